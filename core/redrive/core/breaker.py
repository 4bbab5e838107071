"""The circuit breaker of a target: it parks tasks while their target is known to be down.

An outage must cost no task its attempts. When too large a share of the attempts at a target fails, the breaker opens:
tasks that fall due are parked, and spend nothing. After a while it lets probes through, one at first, then two, then
four; if those succeed, it closes, and what was parked returns by slow start (`redrive.core.ramp`). If more of a round
fail than a target may that is up, it opens again, for longer.

    closed ──failure ratio over the window──▶ open ──its time is over──▶ half-open
      ▲                                        ▲                            │
      │                                        └──────── a round fails ─────┤
      └─────────────── the last round of probes passes ────────────────────┘

This is the breaker of M. Nygard, “Release It!” (2007), with the sliding window and minimum count of Resilience4j and
with probes in growing rounds, because a target that has just come back may bear one request but not a hundred.

Only failures that another attempt may cure count: time-outs, connections that cannot be made, 5xx, 429. A target that
refuses a request (4xx) is up. `redrive.core.decision.evidence` draws that line.

State and decisions are values. Workers share a breaker as one row with a version: `step` and the functions that
follow a probe return a new breaker, which its caller stores only if the row still has the version that was read;
`admit` changes nothing. A worker that loses that race reads the row again and asks again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final, Literal, TypeAlias, assert_never, cast

from redrive.core.checks import expect, expect_seconds, expect_share
from redrive.core.documents import decode, encode
from redrive.core.window import Window

_FORBID: Final = {"extra": "forbid"}
_MAX_ROUNDS: Final = 10


@dataclass(frozen=True, slots=True)
class BreakerRule:
    """When a target counts as down, and how it is tried again.

    Attributes:
        enabled: Whether the breaker opens by itself. By hand it can be opened in any case.
        failure_ratio: The share of failed attempts that opens it.
        minimum: The fewest attempts in the window from which anything is concluded.
        window_seconds: What “lately” means, in seconds.
        open_seconds: How long it stays open the first time, in seconds.
        growth: By how much the next time is longer, when the target has not come back.
        max_open_seconds: The longest that it stays open at a time, in seconds.
        rounds: Rounds of probes, of 1, 2, 4 … attempts, that must pass before it closes. Of the probes of a round the
            share `failure_ratio` may fail, though never all: a target that fails three times in ten is up.
        probe_seconds: A probe that has not ended after this many seconds is replaced: its worker may be gone.
    """

    __pydantic_config__: ClassVar = _FORBID
    enabled: bool = True
    failure_ratio: float = 0.5
    minimum: int = 20
    window_seconds: float = 60
    open_seconds: float = 30
    growth: float = 2
    max_open_seconds: float = 600
    rounds: int = 3
    probe_seconds: float = 60

    def __post_init__(self) -> None:
        expect_share("failure_ratio", self.failure_ratio)
        expect(self.minimum >= 1, "minimum", "a whole number from 1", self.minimum)
        expect(1 <= self.window_seconds <= 3600, "window_seconds", "seconds from 1 to 3600", self.window_seconds)
        expect_seconds("open_seconds", self.open_seconds, above_zero=True)
        expect(1 <= self.growth <= 1000, "growth", "a number from 1 to 1000", self.growth)
        expect_seconds("max_open_seconds", self.max_open_seconds)
        enough = self.max_open_seconds >= self.open_seconds
        expect(enough, "max_open_seconds", f"at least open_seconds ({self.open_seconds:g})", self.max_open_seconds)
        expect(1 <= self.rounds <= _MAX_ROUNDS, "rounds", f"a whole number from 1 to {_MAX_ROUNDS}", self.rounds)
        expect_seconds("probe_seconds", self.probe_seconds, above_zero=True)

    def may_fail(self, probes: int) -> int:
        """Tell how many probes of a round may fail without speaking against the target."""
        return min(math.floor(probes * self.failure_ratio), probes - 1)

    def open_for(self, opens: int) -> float:
        """Tell how long the breaker stays open the `opens`-th time in a row, in seconds."""
        try:
            growth = float(self.growth) ** (max(opens, 1) - 1)
        except OverflowError:
            return self.max_open_seconds
        return min(self.max_open_seconds, self.open_seconds * growth)


@dataclass(frozen=True, slots=True)
class Closed:
    """The target is taken to be up.

    Attributes:
        since: Since when; outcomes up to this moment do not count again. None for ever since.
        opens: How often in a row it was open before that; if it opens again within one window, the row goes on.
    """

    since: datetime | None = None
    opens: int = 0
    kind: Literal["closed"] = "closed"


@dataclass(frozen=True, slots=True)
class Open:
    """The target is taken to be down.

    Attributes:
        opened_at: Since when.
        open_until: When probes begin.
        opens: How often in a row it has opened, from 1.
        why: What opened it.
    """

    opened_at: datetime
    open_until: datetime
    opens: int
    why: str
    kind: Literal["open"] = "open"


@dataclass(frozen=True, slots=True)
class HalfOpen:
    """Probes find out whether the target is back.

    Attributes:
        opened_at: When the breaker opened.
        opens: How often in a row it has opened, from 1.
        round: Number of the round of probes, from 1.
        sent: Probes of this round that are under way or have ended.
        succeeded: Probes of this round that have succeeded.
        failed: Probes of this round that have failed.
        sent_at: When the last one was sent; None while none was.
    """

    opened_at: datetime
    opens: int
    round: int = 1
    sent: int = 0
    succeeded: int = 0
    failed: int = 0
    sent_at: datetime | None = None
    kind: Literal["half_open"] = "half_open"

    @property
    def allowed(self) -> int:
        """How many probes this round has: 1, 2, 4 and so on."""
        return 1 << (self.round - 1)

    @property
    def settled(self) -> int:
        """How many probes of this round have ended."""
        return self.succeeded + self.failed


State: TypeAlias = Closed | Open | HalfOpen


@dataclass(frozen=True, slots=True)
class Override:
    """A person holds the breaker open or closed. Meanwhile it does not move by itself.

    Attributes:
        position: `open`: nothing passes. `closed`: everything passes.
        author: Who.
        reason: Why.
        until: When it ends by itself; None for when a person ends it.
    """

    position: Literal["open", "closed"]
    author: str
    reason: str = ""
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Breaker:
    """The breaker of one target.

    Attributes:
        state: Where it stands by itself.
        override: What a person wants instead.
    """

    state: State = field(default_factory=Closed)
    override: Override | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """Something about a breaker that people may want to hear of.

    Attributes:
        kind: What happened.
        at: When.
        why: One sentence about the reason.
    """

    kind: Literal["opened", "half_opened", "round_passed", "closed", "probe_lost", "override_set", "override_ended"]
    at: datetime
    why: str


@dataclass(frozen=True, slots=True)
class Admit:
    """The attempt may go."""


@dataclass(frozen=True, slots=True)
class Park:
    """The attempt must wait, and spends nothing.

    Attributes:
        until: The earliest moment at which asking again makes sense; None while that is in a person's hands. Whoever
            waits for it should spread: everything that is parked is given the same moment.
        why: One sentence for the person who looks at the task.
    """

    until: datetime | None
    why: str


@dataclass(frozen=True, slots=True)
class Probe:
    """The attempt may go to find out whether the target is back, if `send_probe` can be stored.

    Attributes:
        opens: Which opening of the breaker it belongs to.
        round: Which round.
    """

    opens: int
    round: int


Admission: TypeAlias = Admit | Park | Probe


def admit(breaker: Breaker, now: datetime, rule: BreakerRule | None = None) -> Admission:
    """Tell whether an attempt may go.

    Args:
        breaker: The breaker of its target.
        now: When.
        rule: The target's rule; it is asked only how long to wait for probes under way.

    Returns:
        A decision. `Probe` holds only once `send_probe` has been stored.
    """
    held = _override(breaker, now)
    if held is not None:
        if held.position == "closed":
            return Admit()
        return Park(held.until, f"{held.author} opened the breaker{_because(held.reason)}")
    match _unheld(breaker, now):
        case Closed():
            return Admit()
        case Open() as state if now < state.open_until:
            return Park(state.open_until, f"the breaker is open: {state.why}")
        case Open() as state:
            return Probe(state.opens, 1)
        case HalfOpen() as state if not _has_failed(state, rule) and _in_round(state, now, rule) < state.allowed:
            return Probe(state.opens, state.round)
        case HalfOpen() as state:
            until = (state.sent_at or now) + timedelta(seconds=(rule or BreakerRule()).probe_seconds)
            why = f"the breaker is half-open: round {state.round} has its {state.allowed} probes under way"
            return Park(max(until, now), why)
        case _ as never:
            assert_never(never)


def probes_left(breaker: Breaker, now: datetime, rule: BreakerRule) -> int:
    """Tell how many probes may still go in the present round, or in the first one when that is to begin.

    Args:
        breaker: The breaker as it is.
        now: When.
        rule: The target's rule.
    """
    if not isinstance(admit(breaker, now, rule), Probe):
        return 0
    state = _unheld(breaker, now)
    return state.allowed - _in_round(state, now, rule) if isinstance(state, HalfOpen) else 1


def send_probe(breaker: Breaker, probe: Probe, now: datetime, rule: BreakerRule | None = None) -> Breaker:
    """Note that a probe goes.

    Args:
        breaker: The breaker that `admit` was asked about.
        probe: Its answer.
        now: When.
        rule: The target's rule.

    Returns:
        The breaker to store. The probe may go only if that succeeds against the version that was read.
    """
    match _unheld(breaker, now):
        case Open() as state if state.opens == probe.opens and now >= state.open_until:
            half_open = HalfOpen(state.opened_at, state.opens, sent=1, sent_at=now)
        case HalfOpen() as state if admit(breaker, now, rule) == probe:
            half_open = replace(state, sent=_in_round(state, now, rule) + 1, sent_at=now)
        case _:
            raise ValueError(f"expected the breaker that gave {probe}, got {breaker.state}")
    return Breaker(half_open, None)


def settle_probe(breaker: Breaker, probe: Probe, *, succeeded: bool) -> Breaker:
    """Note how a probe ended. `step` draws the conclusion.

    A target that refuses the request (4xx) is up, so such a probe has succeeded.

    Args:
        breaker: The breaker as it is now.
        probe: Which probe.
        succeeded: Whether the target has answered.

    Returns:
        The breaker to store; unchanged when the probe belongs to a round that is over.
    """
    state = breaker.state
    if not isinstance(state, HalfOpen) or (state.opens, state.round) != (probe.opens, probe.round):
        return breaker
    settled = replace(state, succeeded=state.succeeded + 1) if succeeded else replace(state, failed=state.failed + 1)
    return replace(breaker, state=replace(settled, sent=max(settled.sent, settled.settled)))


def return_probe(breaker: Breaker, probe: Probe) -> Breaker:
    """Give back a probe that has not run after all, for example because no node took it."""
    state = breaker.state
    if not isinstance(state, HalfOpen) or (state.opens, state.round) != (probe.opens, probe.round):
        return breaker
    return replace(breaker, state=replace(state, sent=max(state.sent - 1, state.settled)))


def step(breaker: Breaker, window: Window, now: datetime, rule: BreakerRule) -> tuple[Breaker, tuple[Event, ...]]:
    """Move a breaker to where it belongs.

    Calling it again at the same moment changes nothing more.

    Args:
        breaker: The breaker as it is.
        window: How the target has answered lately.
        now: When.
        rule: The target's rule.

    Returns:
        The breaker as it is from now on, and what happened on the way.
    """
    if _override(breaker, now) is not None:
        return breaker, ()
    events: list[Event] = []
    if breaker.override is not None:
        over = breaker.override
        events.append(Event("override_ended", now, f"the hold by {over.author} has ended{_because(over.reason)}"))
        breaker = Breaker(_unheld(breaker, now))
    if not rule.enabled and not isinstance(breaker.state, Closed):
        events.append(Event("closed", now, "the breaker was switched off"))
        breaker = Breaker(Closed(now))
    while (moved := _move(breaker.state, window, now, rule)) is not None:
        state, event = moved
        breaker = Breaker(state)
        events.append(event)
    return breaker, tuple(events)


def hold(breaker: Breaker, override: Override, now: datetime) -> tuple[Breaker, tuple[Event, ...]]:
    """Open or close a breaker by hand.

    Args:
        breaker: The breaker as it is.
        override: What is wanted, by whom and why.
        now: When.
    """
    event = Event("override_set", now, f"{override.author} holds it {override.position}{_because(override.reason)}")
    return replace(breaker, override=override), (event,)


def release(breaker: Breaker, author: str, now: datetime) -> tuple[Breaker, tuple[Event, ...]]:
    """End a hold by hand.

    After a hold open, the target is probed before everything returns to it; after a hold closed, the breaker is closed
    and forgets what it saw before.

    Args:
        breaker: The breaker as it is.
        author: Who ends the hold.
        now: When.
    """
    if breaker.override is None:
        return breaker, ()
    ended = replace(breaker, override=replace(breaker.override, until=now))
    return Breaker(_unheld(ended, now)), (Event("override_ended", now, f"{author} ended the hold"),)


def render_breaker(breaker: Breaker) -> dict[str, Any]:
    """Write a breaker as a JSON object, the inverse of `parse_breaker`."""
    return cast("dict[str, Any]", encode(breaker))


def parse_breaker(document: object, path: str = "breaker") -> Breaker:
    """Read a breaker.

    Args:
        document: What `render_breaker` wrote.
        path: Its name in messages.

    Raises:
        InvalidDocument: It has another form.
    """
    return decode(Breaker, document, path)


def _override(breaker: Breaker, now: datetime) -> Override | None:
    """Give the override that is in force."""
    held = breaker.override
    return None if held is None or (held.until is not None and held.until <= now) else held


def _unheld(breaker: Breaker, now: datetime) -> State:
    """Tell where the breaker stands once an override is over."""
    held = breaker.override
    if held is None or held.until is None or held.until > now:
        return breaker.state
    if held.position == "closed":
        return Closed(held.until)
    opened_at = held.until if isinstance(breaker.state, Closed) else breaker.state.opened_at
    return HalfOpen(opened_at, max(breaker.state.opens, 1))


def _has_failed(state: HalfOpen, rule: BreakerRule | None) -> bool:
    return state.failed > (rule or BreakerRule()).may_fail(state.allowed)


def _in_round(state: HalfOpen, now: datetime, rule: BreakerRule | None) -> int:
    """Count the probes of a round, without those that must be taken for lost."""
    limit = timedelta(seconds=(rule or BreakerRule()).probe_seconds)
    lost = state.sent_at is not None and now >= state.sent_at + limit
    return state.settled if lost else state.sent


def _move(state: State, window: Window, now: datetime, rule: BreakerRule) -> tuple[State, Event] | None:
    """Take one step; None when the breaker stays where it is."""
    match state:
        case Closed():
            return _judge(state, window, now, rule)
        case Open() if now < state.open_until:
            return None
        case Open():
            return HalfOpen(state.opened_at, state.opens), Event("half_opened", now, "its time is over: probes begin")
        case HalfOpen() if _has_failed(state, rule):
            opens = state.opens + 1
            why = f"{state.failed} of {state.allowed} probes in round {state.round} failed"
            return _opened(now, opens, why, rule, opened_at=state.opened_at)
        case HalfOpen() if state.settled >= state.allowed and state.round >= rule.rounds:
            away = (now - state.opened_at).total_seconds()
            why = f"the probes of {rule.rounds} rounds succeeded, {away:.0f} s after it had opened"
            return Closed(now, state.opens), Event("closed", now, why)
        case HalfOpen() if state.settled >= state.allowed:
            why = f"{state.succeeded} of {state.allowed} probes of round {state.round} succeeded"
            return HalfOpen(state.opened_at, state.opens, state.round + 1), Event("round_passed", now, why)
        case HalfOpen() if _in_round(state, now, rule) < state.sent:
            lost = state.sent - state.settled
            why = f"{lost} probes of round {state.round} have not ended within {rule.probe_seconds:g} s"
            return replace(state, sent=state.settled, sent_at=None), Event("probe_lost", now, why)
        case HalfOpen():
            return None
        case _ as never:
            assert_never(never)


def _judge(state: Closed, window: Window, now: datetime, rule: BreakerRule) -> tuple[State, Event] | None:
    if not rule.enabled:
        return None
    totals = window.totals(now, rule.window_seconds, state.since)
    if totals.count < rule.minimum or totals.failure_ratio < rule.failure_ratio:
        return None
    share = f"{totals.failed} of {totals.count} attempts failed within {rule.window_seconds:g} s"
    again = state.since is not None and now < state.since + timedelta(seconds=rule.window_seconds)
    return _opened(now, state.opens + 1 if again else 1, share, rule, opened_at=now)


def _opened(now: datetime, opens: int, why: str, rule: BreakerRule, *, opened_at: datetime) -> tuple[State, Event]:
    seconds = rule.open_for(opens)
    again = "" if opens == 1 else f", time {opens} in a row"
    event = Event("opened", now, f"{why}: open for {seconds:g} s{again}")
    return Open(opened_at, now + timedelta(seconds=seconds), opens, why), event


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""
