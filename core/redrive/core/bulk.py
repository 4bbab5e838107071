"""Redrives: many tasks, one after another, at a pace that their targets survive.

A redrive is a frozen list of tasks and what is to be done with each. This module decides everything about it that can
be decided without asking anybody: how many tasks may be released now, when to look again, when to stop, how long it
will take. Whoever carries that out keeps `Pace` between two looks.

    released per look = min(tokens of the rate, room below the concurrency, tasks that wait, what one batch may hold)

Tokens come at the rate of a slow start (`redrive.core.ramp`), which begins anew whenever nothing could be released for
a while, and halves when the replayed tasks fail again. They are never saved up for longer than `_SAVED_SECONDS`: after
an interruption the redrive goes on, and does not catch up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, ClassVar, Final, Literal, TypeAlias

from redrive.core import ramp as ramps
from redrive.core.checks import expect, expect_share
from redrive.core.cron import check_timezone, next_time
from redrive.core.documents import decode, encode
from redrive.core.errors import InvalidDocument
from redrive.core.patch import PayloadDocument, patch_payload
from redrive.core.quiet import QuietWindow, quiet_until
from redrive.core.ramp import Ramp, RampRule
from redrive.core.states import OPEN, REPLAYABLE, TERMINAL, TaskStatus
from redrive.core.window import Window, parse_window

_FORBID: Final = {"extra": "forbid"}

BATCH: Final = 500
"""The most tasks of one batch: few enough for a short transaction, enough for 500 per second."""

MAX_ITEMS: Final = 1_000_000
"""The most tasks of one redrive."""

MAX_RATE: Final = 1_000.0
MAX_CONCURRENCY: Final = 10_000

_LOOK_SECONDS: Final = 1.0
"""Between two batches."""

_SAVED_SECONDS: Final = 2.0
"""For how long tokens are saved up."""

_FORGOTTEN_SECONDS: Final = 30.0
"""After so long without a look, the slow start begins anew."""

_LONGEST_LOOK: Final = 15.0
"""The longest time between two looks at tasks that are in flight, in seconds."""

_LONGEST_REST: Final = 60.0
"""The longest time between two looks when nothing is in flight: a net below the signal that wakes it, in seconds."""

_MOST_OPENINGS: Final = 1_000
"""Windows of hours that an estimate looks through."""

Action: TypeAlias = Literal["replay", "retry", "pause", "resume", "cancel", "delete", "change_policy"]
Order: TypeAlias = Literal["oldest", "newest", "priority"]
Counters: TypeAlias = Literal["reset", "keep"]
Day: TypeAlias = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

ALLOWED: Final[Mapping[Action, frozenset[TaskStatus]]] = MappingProxyType(
    {
        "replay": REPLAYABLE,
        "retry": OPEN,
        "pause": OPEN - {TaskStatus.PAUSED},
        "resume": frozenset({TaskStatus.PAUSED}),
        "cancel": OPEN,
        "delete": TERMINAL,
        "change_policy": OPEN,
    }
)
"""The states in which a task can take part in an action."""

MEANT: Final[Mapping[Action, frozenset[TaskStatus]]] = MappingProxyType(
    {
        **ALLOWED,
        "replay": frozenset({TaskStatus.DEAD}),
        "retry": frozenset({TaskStatus.PENDING, TaskStatus.WAITING, TaskStatus.PARKED}),
    }
)
"""The states that an action means when its selection names none."""


class RedriveStatus(StrEnum):
    """Where a redrive stands."""

    WAITING = "waiting"
    """It has not begun, or its hours are over for now."""
    RUNNING = "running"
    PAUSED = "paused"
    """A person holds it."""
    COMPLETED = "completed"
    """Every task of it has an outcome."""
    STOPPED = "stopped"
    """It stopped itself, because too many failed again."""
    ABORTED = "aborted"
    """A person ended it."""


class Outcome(StrEnum):
    """What became of one task of a redrive."""

    WAITING = "waiting"
    """Its turn has not come."""
    STARTED = "started"
    """It was replayed and has not ended, or the operation is under way."""
    SUCCEEDED = "succeeded"
    """The replay succeeded, or the operation was carried out."""
    DEAD = "dead"
    """The replay is dead again."""
    SKIPPED = "skipped"
    """Nothing was to be done with it; its why says so."""
    FAILED = "failed"
    """The operation was refused."""


ENDED: Final = frozenset({RedriveStatus.COMPLETED, RedriveStatus.STOPPED, RedriveStatus.ABORTED})
LIVE: Final = frozenset(RedriveStatus) - ENDED


# --- What a person asks for -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hours:
    """Hours of the day in which a redrive may release tasks.

    Attributes:
        start: When they begin, on the clock on the wall, such as `22:00`.
        end: When they end; at or before `start` means on the next day.
        timezone: IANA name of the zone of that clock.
        days: Days on which they begin; every day when left out.
    """

    __pydantic_config__: ClassVar = _FORBID
    start: str
    end: str
    timezone: str = "UTC"
    days: tuple[Day, ...] = ()

    def __post_init__(self) -> None:
        check_timezone(self.timezone)
        _minutes("start", self.start)
        _minutes("end", self.end)

    @property
    def cron(self) -> str:
        """When they begin, as a cron expression."""
        hour, minute = divmod(_minutes("start", self.start), 60)
        return f"{minute} {hour} * * {','.join(self.days) or '*'}"

    @property
    def seconds(self) -> float:
        """How long they last on the clock on the wall, in seconds."""
        minutes = (_minutes("end", self.end) - _minutes("start", self.start)) % 1440
        return 60.0 * (minutes or 1440)

    def open_until(self, now: datetime) -> datetime | None:
        """Tell until when tasks may be released; None when they may not be released now."""
        return quiet_until((QuietWindow(self.cron, self.seconds, self.timezone),), now)

    def opens_at(self, now: datetime) -> datetime:
        """Tell when they begin next."""
        return next_time(self.cron, self.timezone, now)


@dataclass(frozen=True, slots=True)
class StopRule:
    """When a redrive stops itself.

    Attributes:
        ratio: The share of the finished tasks that failed again, from which on it stops.
        minimum: The fewest finished tasks from which that is concluded.
    """

    __pydantic_config__: ClassVar = _FORBID
    ratio: float = 0.5
    minimum: int = 20

    def __post_init__(self) -> None:
        expect_share("ratio", self.ratio)
        expect(1 <= self.minimum <= MAX_ITEMS, "minimum", f"a whole number from 1 to {MAX_ITEMS}", self.minimum)


@dataclass(frozen=True, slots=True)
class Options:
    """How a redrive goes about its tasks, and what it changes of each.

    Attributes:
        rate_per_second: Tasks released per second, at most.
        ramp: How the rate begins and how it reacts to failures; None for the full rate at once.
        concurrency: How many replayed tasks may be unfinished at once.
        window: Hours in which tasks may be released; None for always.
        max_items: The most tasks; the rest of the selection is left alone. None for all.
        order: Which tasks come first.
        policy: Parts of the policy that each task gets as its own; None for no change.
        target: The target that each task gets; None for no change.
        payload_patch: A JSON Merge Patch of each task's `args`, `kwargs` and `body`; None for no change.
        counters: Whether attempts that were spent before the replay count on (`keep`) or not (`reset`).
        stop: When it stops itself; None for never.
    """

    rate_per_second: float = 10
    ramp: RampRule | None = field(default_factory=RampRule)
    concurrency: int = 100
    window: Hours | None = None
    max_items: int | None = None
    order: Order = "oldest"
    policy: Mapping[str, Any] | None = None
    target: Mapping[str, Any] | None = None
    payload_patch: Mapping[str, Any] | None = None
    counters: Counters = "reset"
    stop: StopRule | None = field(default_factory=StopRule)

    def __post_init__(self) -> None:
        rate = self.rate_per_second
        expect(0.001 <= rate <= MAX_RATE, "rate_per_second", f"a number from 0.001 to {MAX_RATE:.0f}", rate)
        fits = 1 <= self.concurrency <= MAX_CONCURRENCY
        expect(fits, "concurrency", f"a whole number from 1 to {MAX_CONCURRENCY}", self.concurrency)
        if self.max_items is not None:
            fits = 1 <= self.max_items <= MAX_ITEMS
            expect(fits, "max_items", f"a whole number from 1 to {MAX_ITEMS}", self.max_items)
        if self.payload_patch is not None:
            _check_patch(self.payload_patch)


def check_options(action: Action, options: Options) -> None:
    """Refuse options that have no meaning for an action.

    Raises:
        InvalidDocument: An option was given that the action would ignore, or one is missing that it needs.
    """
    for name in ("target", "payload_patch") if action != "replay" else ():
        if getattr(options, name) is not None:
            raise InvalidDocument(name, f"expected it with the action 'replay' alone, got it with {action!r}")
    if action != "replay" and options.counters != "reset":
        raise InvalidDocument("counters", f"expected it with the action 'replay' alone, got it with {action!r}")
    if action not in ("replay", "change_policy") and options.policy is not None:
        raise InvalidDocument("policy", f"expected it with 'replay' or 'change_policy' alone, got it with {action!r}")
    if action == "change_policy" and options.policy is None:
        raise InvalidDocument("policy", "is missing; the action 'change_policy' needs the parts that are to change")


# --- How far it is ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Counts:
    """How many tasks of a redrive have which outcome.

    Attributes:
        waiting: Their turn has not come.
        in_flight: Released, and not finished.
        succeeded: Succeeded.
        dead: Dead again.
        skipped: Nothing was to be done.
        failed: Refused.
    """

    waiting: int = 0
    in_flight: int = 0
    succeeded: int = 0
    dead: int = 0
    skipped: int = 0
    failed: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.waiting + self.in_flight + self.done

    @property
    def done(self) -> int:
        """Those that have their last outcome."""
        return self.succeeded + self.dead + self.skipped + self.failed

    @property
    def bad(self) -> int:
        """Those that speak against going on."""
        return self.dead + self.failed

    @property
    def finished(self) -> int:
        """Those that tell how the target is."""
        return self.succeeded + self.bad


def why_stop(rule: StopRule | None, counts: Counts) -> str | None:
    """Tell why a redrive must stop itself; None when it may go on.

    Args:
        rule: When it stops.
        counts: How far it is.
    """
    if rule is None or counts.finished < rule.minimum or counts.bad < rule.ratio * counts.finished:
        return None
    share = counts.bad / counts.finished
    return (
        f"{counts.bad} of {counts.finished} finished tasks failed again ({share:.0%}; it stops at {rule.ratio:.0%} of "
        f"at least {rule.minimum}): look at their last errors, cure the cause, then start another redrive for the rest"
    )


# --- How many now -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pace:
    """What is remembered from one look to the next.

    Attributes:
        tokens: Tasks that may be released, and the fraction of the next.
        at: When that was.
        ramp: The slow start; None before the first look, and without one.
        outcomes: How released tasks have ended lately.
        idle: Looks in a row at which nothing happened.
    """

    tokens: float = 0.0
    at: datetime | None = None
    ramp: Ramp | None = None
    outcomes: Window = field(default_factory=Window)
    idle: int = 0

    def render(self) -> dict[str, Any]:
        """Write it as JSON."""
        return {
            "tokens": self.tokens,
            "at": encode(self.at),
            "ramp": None if self.ramp is None else encode(self.ramp),
            "outcomes": self.outcomes.render(),
            "idle": self.idle,
        }


def parse_pace(document: Mapping[str, Any]) -> Pace:
    """Read what `Pace.render` wrote; an empty document is the beginning.

    Raises:
        InvalidDocument: It has another form.
    """
    if not document:
        return Pace()
    at, ramp = document["at"], document["ramp"]
    return Pace(
        tokens=decode(_Number, {"value": document["tokens"]}, "pace").value,
        at=None if at is None else datetime.fromisoformat(at),
        ramp=None if ramp is None else decode(Ramp, ramp, "pace.ramp"),
        outcomes=parse_window(document["outcomes"], "pace.outcomes"),
        idle=document["idle"],
    )


@dataclass(frozen=True, slots=True)
class Release:
    """What to do at one look.

    Attributes:
        count: How many tasks to release now.
        wait_seconds: When to look again, in seconds; a change by a person comes earlier.
        status: Whether it runs, or waits for its hours.
        why: Why it is not faster, for people.
        rate: The rate that is allowed now, in tasks per second; 0 outside of its hours.
        pace: What to remember.
    """

    count: int
    wait_seconds: float
    status: RedriveStatus
    why: str
    rate: float
    pace: Pace


def release(options: Options, counts: Counts, pace: Pace, now: datetime, *, ended: tuple[int, int] = (0, 0)) -> Release:
    """Decide how many tasks may be released now.

    Args:
        options: Rate, ramp, concurrency and hours.
        counts: How far it is, with all outcomes that are known.
        pace: What was remembered at the last look.
        now: When.
        ended: How many released tasks have succeeded, and failed again, since the last look.
    """
    rule = options.ramp or RampRule()
    succeeded, failed = ended
    outcomes = pace.outcomes.add(now, succeeded=succeeded, failed=failed).trim(now, rule.window_seconds)
    closed = options.window is not None and options.window.open_until(now) is None
    if options.window is not None and closed:
        return _closed(options.window, counts, outcomes, now)
    at = now if pace.at is None else min(pace.at, now)
    if pace.at is None or (now - at).total_seconds() > _FORGOTTEN_SECONDS:
        at, pace = now, Pace(tokens=1.0)
    ramp = _moved(options, pace.ramp, outcomes, now, counts.waiting)
    rate = options.rate_per_second if ramp is None else ramp.rate(now)
    gained = rate * (now - at).total_seconds() if ramp is None else ramp.released(at, now)
    tokens = min(pace.tokens + gained, max(1.0, rate * _SAVED_SECONDS))
    room = max(0, options.concurrency - counts.in_flight)
    count = min(math.floor(tokens + 1e-9), room, counts.waiting, BATCH)
    idle = 0 if count or succeeded or failed else pace.idle + 1
    after = Pace(max(0.0, tokens - count), now, ramp, outcomes, idle)
    in_flight = counts.in_flight + count
    if counts.waiting == count:
        why = f"all tasks are released; {in_flight} have not ended"
        return Release(count, _look(idle, _LONGEST_LOOK), RedriveStatus.RUNNING, why, rate, after)
    if count == room:
        why = f"{in_flight} released tasks have not ended, and {options.concurrency} may be unfinished at once"
        return Release(count, _look(idle, 5.0), RedriveStatus.RUNNING, why, rate, after)
    more = count == BATCH and after.tokens >= 1
    wait = 0.0 if more else _until_token(after.tokens, options.rate_per_second, ramp, now)
    return Release(count, wait, RedriveStatus.RUNNING, _why_rate(options, rate), rate, after)


def rest_seconds(counts: Counts, idle: int) -> float:
    """Tell when to look again at a redrive that releases nothing, because a person holds it or it has ended.

    Args:
        counts: How far it is.
        idle: Looks in a row at which nothing happened.
    """
    return _look(idle, _LONGEST_LOOK) if counts.in_flight else _LONGEST_REST


def _closed(hours: Hours, counts: Counts, outcomes: Window, now: datetime) -> Release:
    opens_at = hours.opens_at(now)
    until = max(0.0, (opens_at - now).total_seconds())
    wait = min(until, _LONGEST_LOOK if counts.in_flight else _LONGEST_REST)
    # Without an instant: the slow start begins anew when the hours do.
    pace = Pace(outcomes=outcomes)
    return Release(0, wait, RedriveStatus.WAITING, f"outside of its hours until {opens_at.isoformat()}", 0.0, pace)


def _moved(options: Options, ramp: Ramp | None, outcomes: Window, now: datetime, waiting: int) -> Ramp | None:
    """Move the slow start on, and bring it to a rate that was changed meanwhile."""
    if options.ramp is None:
        return None
    limit = options.rate_per_second
    if ramp is None:
        return ramps.start(now, options.ramp, limit)
    if ramp.limit != limit:
        first = min(options.ramp.first_per_second, limit)
        ramp = replace(ramp, base=max(first, min(ramp.rate(now), limit)), since=now, limit=limit, first=first)
    moved = ramps.step(ramp, outcomes, now, options.ramp, max(1, waiting))
    # At its limit it is kept: failures that return later halve the rate again.
    return moved if isinstance(moved, Ramp) else ramp


def _why_rate(options: Options, rate: float) -> str:
    if rate >= options.rate_per_second * 0.999:
        return f"{rate:g} tasks per second"
    return f"slow start: {rate:.3g} of {options.rate_per_second:g} tasks per second"


def _until_token(tokens: float, rate: float, ramp: Ramp | None, now: datetime) -> float:
    from_now = None if ramp is None else replace(ramp, base=ramp.rate(now), since=now)
    seconds = _seconds_for(max(0.0, 1 - tokens), rate, from_now)
    # Rounded up: a look that is a microsecond early finds no whole token, and the next one is a second later.
    return min(max(_LOOK_SECONDS, math.ceil(seconds * 1000) / 1000), _LONGEST_LOOK)


def _look(idle: int, longest: float) -> float:
    return min(_LOOK_SECONDS * 1.5 ** min(idle, 20), longest)


# --- How long it takes ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Estimate:
    """When tasks will be released, if nothing holds them up.

    Attributes:
        first_due: When the first is.
        last_due: When the last is; None when it would take years.
    """

    first_due: datetime
    last_due: datetime | None


def estimate(options: Options, count: int, now: datetime, rate: float | None = None) -> Estimate:
    """Estimate when the tasks of a redrive will be released, if neither failures nor its concurrency hold them up.

    Args:
        options: Rate, ramp and hours.
        count: How many tasks.
        now: When it begins, or goes on.
        rate: The rate that it has reached; None at the beginning.
    """
    begins, left = _opening(options.window, now), float(count)
    first = begins
    for _ in range(_MOST_OPENINGS):
        ramp = None if options.ramp is None else ramps.start(begins, options.ramp, options.rate_per_second)
        if ramp is not None and rate is not None and begins == now:
            ramp = replace(ramp, base=max(ramp.first, min(rate, ramp.limit)))
        seconds = _seconds_for(max(0.0, left - 1), options.rate_per_second, ramp)  # the first is released at once
        ends = None if options.window is None else options.window.open_until(begins)
        try:
            last = begins + timedelta(seconds=seconds)
        except OverflowError:
            return Estimate(first, None)
        if options.window is None or ends is None or last <= ends:
            return Estimate(first, last)
        left -= _released(begins, ends, options.rate_per_second, ramp)
        begins = _opening(options.window, ends)
    return Estimate(first, None)


def _opening(hours: Hours | None, now: datetime) -> datetime:
    return now if hours is None or hours.open_until(now) is not None else hours.opens_at(now)


def _released(start: datetime, end: datetime, rate: float, ramp: Ramp | None) -> float:
    return rate * (end - start).total_seconds() if ramp is None else ramp.released(start, end)


def _seconds_for(count: float, rate: float, ramp: Ramp | None) -> float:
    """Tell in how many seconds so many tasks are released."""
    return count / rate if ramp is None else ramp.seconds_for(count)


# --- Checks -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Number:
    value: float


def _minutes(name: str, text: str) -> int:
    hours, _, minutes = text.partition(":")
    fits = len(text) == 5 and hours.isdecimal() and minutes.isdecimal() and int(hours) < 24 and int(minutes) < 60
    expect(fits and text.isascii(), name, "a time of day such as '22:00'", text[:40])
    return int(hours) * 60 + int(minutes)


def _check_patch(patch: Mapping[str, Any]) -> None:
    """Refuse a patch that fits no payload at all. Whether it fits each one shows when it is applied."""
    expect(bool(patch), "payload_patch", "at least one of 'args', 'kwargs' and 'body'", dict(patch))
    try:
        patch_payload(PayloadDocument(), patch)
    except InvalidDocument as error:
        raise InvalidDocument(error.path, error.problem) from None
