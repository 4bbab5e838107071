"""Alerts: when people are told of something, and when they are left alone.

A rule watches one kind of event or condition. Every few seconds somebody measures it: the groups in which its value has
reached the threshold are its readings, one per combination of what it groups by. Each group has an alarm:

    ok ──value reaches the threshold──▶ firing ──value is below it again──▶ ok
               │ told, unless held back                   │ told, if the firing was told and the rule wants it
               ▼                                          ▼
    mute, quiet hours, cool-down, rate limit     mute and quiet hours put it off

What happens at moments, such as deaths, is counted over a window. What lasts, such as a backlog, must have lasted for
the window before it fires: a deployment takes all nodes away for a moment, and nobody wants to hear of that.

What holds a notice back puts it off: it is told as soon as nothing holds it back any more, if it is still true by then.
A firing that was told is always followed by its recovery (or by telling that it still fires), so that no incident stays
open in anybody's pager.

The states are values and time is an argument; measuring, storing and telling are done elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import ClassVar, Final, Literal, TypeAlias, get_args

from redrive.core.errors import InvalidDocument
from redrive.core.quiet import QuietWindow, quiet_until

_FORBID: Final = {"extra": "forbid"}

Watched: TypeAlias = Literal[
    "dead_letter",
    "exhausted",
    "waiting",
    "failure_rate",
    "no_live_node",
    "due_lag",
    "breaker_open",
    "redrive_stopped",
    "spool_growing",
    "sdk_error",
]
"""What a rule is about."""

EVENTS: Final[tuple[Watched, ...]] = get_args(Watched)

Dimension: TypeAlias = Literal["group", "scene", "fingerprint", "target", "node"]
"""What readings may be grouped by."""

Key: TypeAlias = tuple[tuple[str, str], ...]
"""One combination of what a rule groups by: dimensions and their values, in the rule's order."""

Cause: TypeAlias = Literal["mute", "quiet_hours", "cool_down", "rate_limit"]
"""What holds a notice back."""

MAX_WINDOW_SECONDS: Final = 86_400.0
"""The longest window, in seconds: events are kept for longer than that."""

MAX_GROUPS: Final = 500
"""The most groups that one rule has at a time, those with the highest values: nobody reads more messages than that."""

_MOST_NAMES: Final = 200
_MOST_CHANNELS: Final = 20
_MOST_WINDOWS: Final = 20


@dataclass(frozen=True, slots=True)
class Condition:
    """What is measured for one kind of rule.

    Attributes:
        title: Its name in messages.
        one: What the value counts, when it is one.
        unit: What it counts otherwise; `%` for shares.
        dimensions: What it can be grouped by.
        threshold: The threshold of a rule that gives none.
        happens: Whether it happens at moments; otherwise it lasts.
        window_seconds: The window of a rule that gives none, in seconds.
        tick: Every how many rounds it is measured: counting what waits costs more than counting events.
        has_scene: Whether it happens in a scene, so that a rule can be narrowed to some; a node belongs to none.
    """

    title: str
    one: str
    unit: str
    dimensions: tuple[Dimension, ...]
    threshold: float = 1
    happens: bool = True
    window_seconds: float = 300
    tick: int = 1
    has_scene: bool = True


CONDITIONS: Final[Mapping[Watched, Condition]] = {
    "dead_letter": Condition("Dead letters", "dead letter", "dead letters", ("group", "scene", "fingerprint")),
    "exhausted": Condition(
        "Tasks out of attempts", "exhausted task", "exhausted tasks", ("group", "scene", "fingerprint"), 10
    ),
    "waiting": Condition(
        "Too many tasks wait", "open task", "open tasks", ("group", "scene"), 10_000, False, 60, tick=6
    ),
    "failure_rate": Condition(
        "Attempts fail", "% of attempts fail", "% of attempts fail", ("group", "scene"), 0.5, tick=2
    ),
    "no_live_node": Condition(
        "No live node", "open task without a node", "open tasks without a node", ("group",), 1, False, 60, tick=2
    ),
    "due_lag": Condition("Tasks run late", "second late", "seconds late", ("group", "scene"), 60, False, 60, tick=2),
    "breaker_open": Condition("Circuit breaker open", "open breaker", "open breakers", ("target",), 1, False, 0),
    "redrive_stopped": Condition("A redrive stopped itself", "stopped redrive", "stopped redrives", ()),
    "spool_growing": Condition(
        "Reports wait on clients' disks",
        "spooled report",
        "spooled reports",
        ("group", "node"),
        1,
        False,
        60,
        has_scene=False,
    ),
    "sdk_error": Condition("Errors in the client's SDK", "error", "errors", ("group", "node"), has_scene=False),
}


@dataclass(frozen=True, slots=True)
class AlertRule:
    """When whom to tell of what.

    Attributes:
        event: What it is about.
        groups: Only these groups; all when empty.
        scenes: Only these scenes; all when empty.
        threshold: From which value it fires: a count, seconds for `due_lag`, a share from 0 to 1 for `failure_rate`.
        minimum: The fewest attempts from which `failure_rate` concludes anything.
        window_seconds: Over which time it is counted, or for how long it must have lasted, in seconds.
        group_by: What has an alarm of its own; one alarm for everything when empty.
        cool_down_seconds: How long a group's alarm is not told again after it was told, in seconds.
        repeat_seconds: After how long an alarm that goes on firing is told again, in seconds; None for never.
        recovery: Whether the end of what was told is told, too.
        rate_limit_per_hour: The most notices of firing in an hour, over all groups; None for no limit.
        quiet_hours: When nothing is told.
    """

    __pydantic_config__: ClassVar = _FORBID
    event: Watched
    groups: tuple[str, ...] = ()
    scenes: tuple[str, ...] = ()
    threshold: float | None = None
    minimum: int = 20
    window_seconds: float | None = None
    group_by: tuple[Dimension, ...] = ()
    cool_down_seconds: float = 900
    repeat_seconds: float | None = None
    recovery: bool = True
    rate_limit_per_hour: int | None = 30
    quiet_hours: tuple[QuietWindow, ...] = ()

    def __post_init__(self) -> None:
        condition = self.condition
        for dimension in self.group_by:
            if dimension not in condition.dimensions:
                known = ", ".join(condition.dimensions) or "none"
                _expect(False, "group_by", f"{self.event!r} can be grouped by: {known}; got {dimension!r}")
        _expect(len(set(self.group_by)) == len(self.group_by), "group_by", "expected each dimension once")
        value = self.limit
        if self.event == "failure_rate":
            _expect(0 < value <= 1, "threshold", f"expected a share above 0 and up to 1, got {value:g}")
        else:
            _expect(0 < value <= 1e12, "threshold", f"expected a number above 0, got {value:g}")
        _expect(1 <= self.minimum <= 1_000_000, "minimum", f"expected 1 to 1000000, got {self.minimum}")
        _seconds("window_seconds", self.window, 10 if condition.happens else 0, MAX_WINDOW_SECONDS)
        _seconds("cool_down_seconds", self.cool_down_seconds, 0, 30 * 86_400)
        if self.repeat_seconds is not None:
            _seconds("repeat_seconds", self.repeat_seconds, 60, 30 * 86_400)
        if self.rate_limit_per_hour is not None:
            fits = 1 <= self.rate_limit_per_hour <= 10_000
            _expect(fits, "rate_limit_per_hour", f"expected 1 to 10000, got {self.rate_limit_per_hour}")
        _expect(len(self.groups) <= _MOST_NAMES, "groups", f"expected at most {_MOST_NAMES}")
        _expect(len(self.scenes) <= _MOST_NAMES, "scenes", f"expected at most {_MOST_NAMES}")
        _expect(len(self.quiet_hours) <= _MOST_WINDOWS, "quiet_hours", f"expected at most {_MOST_WINDOWS}")

    @property
    def condition(self) -> Condition:
        """What is measured for it."""
        return CONDITIONS[self.event]

    @property
    def limit(self) -> float:
        """The threshold in force."""
        return self.condition.threshold if self.threshold is None else self.threshold

    @property
    def window(self) -> float:
        """The window in force, in seconds."""
        return self.condition.window_seconds if self.window_seconds is None else self.window_seconds

    @property
    def rounds(self) -> int:
        """Every how many rounds it is measured: counting over a long window costs more, and moves slower."""
        return max(self.condition.tick, min(round(self.window / 300), 60) if self.condition.happens else 1)


@dataclass(frozen=True, slots=True)
class Reading:
    """A group whose value has reached the threshold.

    Attributes:
        key: Which group.
        value: The value.
        facts: A few names and numbers that explain it; never a payload.
    """

    key: Key
    value: float
    facts: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Alarm:
    """What is known of one group of a rule. A group of which nothing is known has never fired.

    Attributes:
        firing: Whether it fires: its value is at or above the threshold, for long enough.
        since: Since when the value is so. While people believe that it fires, from the beginning of that incident.
        value: The last value.
        told: Whether people believe that it fires: they were told so, and not yet of its end.
        told_at: When they were last told that it fires.
        held: What holds its notice back; None when nothing does, or there is none to give.
    """

    firing: bool
    since: datetime
    value: float = 0
    told: bool = False
    told_at: datetime | None = None
    held: Cause | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """Something that is told, or that would have been.

    Attributes:
        key: Which group.
        state: `firing`, `recovered`, or `suppressed` when it was held back.
        value: The value.
        since: Since when it fires, or fired.
        cause: What held it back.
        last: Whether the rate limit lets no other notice pass for a while.
        again: Whether it was told before and still goes on.
        facts: What explains it.
    """

    key: Key
    state: Literal["firing", "recovered", "suppressed"]
    value: float
    since: datetime
    cause: Cause | None = None
    last: bool = False
    again: bool = False
    facts: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What became of a rule's alarms.

    Attributes:
        alarms: All that is still to be known, by group.
        steps: What happened, in order.
    """

    alarms: Mapping[Key, Alarm]
    steps: tuple[Step, ...]


def evaluate(
    rule: AlertRule,
    alarms: Mapping[Key, Alarm],
    readings: Iterable[Reading],
    now: datetime,
    *,
    muted_until: datetime | None = None,
    told_lately: int = 0,
) -> Evaluation:
    """Decide what is told. Asking again with the same readings at the same moment tells nothing more.

    Args:
        rule: The rule.
        alarms: What is known of its groups.
        readings: The groups that have reached the threshold; all others have not.
        now: When.
        muted_until: Until when a person wants to hear nothing of this rule.
        told_lately: How many notices of firing were given during the last hour.
    """
    muted = muted_until is not None and now < muted_until
    closed: Cause | None = "mute" if muted else "quiet_hours" if quiet_until(rule.quiet_hours, now) else None
    found = {reading.key: reading for reading in readings}
    left = None if rule.rate_limit_per_hour is None else max(rule.rate_limit_per_hour - told_lately, 0)
    after: dict[Key, Alarm] = {}
    steps: list[Step] = []
    for key in [*found, *(key for key in alarms if key not in found)]:
        alarm: Alarm | None
        reading = found.get(key)
        if reading is not None:
            alarm, step = _fires(rule, alarms.get(key), reading, now, closed, left)
            if step is not None and step.state == "firing" and left is not None:
                left -= 1
        else:
            alarm, step = _rests(rule, alarms[key], key, now, closed)
        if alarm is not None:
            after[key] = alarm
        if step is not None:
            steps.append(step)
    return Evaluation(after, tuple(steps))


def _fires(
    rule: AlertRule, before: Alarm | None, reading: Reading, now: datetime, closed: Cause | None, left: int | None
) -> tuple[Alarm, Step | None]:
    alarm = _reached(before, reading, now)
    if not alarm.firing and not alarm.told:
        lasts = rule.condition.happens or now >= alarm.since + timedelta(seconds=rule.window)
        if not lasts:
            return alarm, None
    alarm = replace(alarm, firing=True)
    again = alarm.told
    if again and not _repeats(rule, alarm, now):
        # People believe that it fires, and so it does: also when it rested in between and nobody has been told yet.
        return replace(alarm, held=None), None
    cause = closed or (None if again or not _cools(rule, alarm, now) else "cool_down")
    if cause is None and left == 0:
        cause = "rate_limit"
    if cause is not None:
        # Said once per reason, or the history would have a line for each round.
        silent = alarm.held == cause or again
        step = None if silent else Step(reading.key, "suppressed", reading.value, alarm.since, cause)
        return replace(alarm, held=cause), step
    told = replace(alarm, told=True, told_at=now, held=None)
    return told, Step(
        reading.key, "firing", reading.value, alarm.since, last=left == 1, again=again, facts=reading.facts
    )


def _reached(before: Alarm | None, reading: Reading, now: datetime) -> Alarm:
    """Note that the value has reached the threshold."""
    if before is None:
        return Alarm(False, now, reading.value)
    goes_on = before.firing or before.told or before.value > 0
    return replace(before, value=reading.value, since=before.since if goes_on else now)


def _rests(
    rule: AlertRule, before: Alarm, key: Key, now: datetime, closed: Cause | None
) -> tuple[Alarm | None, Step | None]:
    alarm = replace(before, firing=False, value=0)
    if alarm.told and rule.recovery and closed is not None:
        return replace(alarm, held=closed), None
    rested = replace(alarm, told=False, held=None)
    # Kept for as long as the cool-down may still hold the next firing back.
    kept = rested if _cools(rule, rested, now) else None
    step = Step(key, "recovered", 0, before.since) if alarm.told and rule.recovery else None
    return kept, step


def _cools(rule: AlertRule, alarm: Alarm, now: datetime) -> bool:
    return alarm.told_at is not None and now < alarm.told_at + timedelta(seconds=rule.cool_down_seconds)


def _repeats(rule: AlertRule, alarm: Alarm, now: datetime) -> bool:
    if rule.repeat_seconds is None or alarm.told_at is None:
        return False
    return now >= alarm.told_at + timedelta(seconds=rule.repeat_seconds)


def _seconds(name: str, value: float, low: float, high: float) -> None:
    _expect(low <= value <= high, name, f"expected seconds from {low:g} to {high:.0f}, got {value:g}")


def _expect(condition: bool, name: str, problem: str) -> None:
    if not condition:
        raise InvalidDocument(name, problem)
