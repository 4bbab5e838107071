"""What all workers know of a target together: its window, breaker, budget and slow start, as one value and one row.

Each worker counts in memory what it sees, and adds it to the row about twice a second (`absorb`); between two reads it
admits by what it last read (`admission`). So the common case costs no statement per attempt. The error of that is
bounded: for as long as a worker may be behind (its flush interval), it goes on admitting to a target that others have
found to be down, which is its rate times that interval. Probes are not subject to it, since each one is stored against
the row's version before it goes.

A target is a webhook's host, which an outage takes away as a whole and which scenes may share, or else one scene.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, cast
from urllib.parse import urlsplit

from redrive.core.breaker import (
    Admission,
    Admit,
    Breaker,
    BreakerRule,
    Closed,
    Event,
    Park,
    Probe,
    admit,
    settle_probe,
    step,
)
from redrive.core.budget import Budget, BudgetRule, full, settle
from redrive.core.documents import decode, encode
from redrive.core.pacing import average
from redrive.core.policy import Policy
from redrive.core.ramp import Ended, Ramp, RampRule, start
from redrive.core.ramp import step as step_ramp
from redrive.core.window import Window


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of a target.

    Attributes:
        breaker: When it counts as down.
        budget: How much failing it is made to bear.
        slow_start: How fast parked work returns.
        limit: Its rate limit, in attempts per second; None for none.
    """

    breaker: BreakerRule = field(default_factory=BreakerRule)
    budget: BudgetRule = field(default_factory=BudgetRule)
    slow_start: RampRule = field(default_factory=RampRule)
    limit: float | None = None

    @classmethod
    def of(cls, policy: Policy, limit: float | None = None) -> Rules:
        """Take the rules from a scene's policy as it is now."""
        return cls(
            policy.breaker or BreakerRule(), policy.budget or BudgetRule(), policy.slow_start or RampRule(), limit
        )


@dataclass(frozen=True, slots=True)
class OwnedRules:
    """The rules of a target, and the scene that they come from. Scenes may share a host.

    Attributes:
        owner: The scene, as `group/scene`.
        given: Whether its policy says anything about the target, or leaves it at the defaults.
        rules: What it says.
    """

    owner: str
    given: bool
    rules: Rules

    @classmethod
    def of(cls, owner: str, policy: Policy, limit: float | None = None) -> OwnedRules:
        """Take what a scene's policy says.

        Args:
            owner: The scene, as `group/scene`.
            policy: Its policy as it is now.
            limit: The target's rate limit, in attempts per second; None for none.
        """
        given = (policy.breaker, policy.budget, policy.slow_start) != (None, None, None)
        return cls(owner, given, Rules.of(policy, limit))

    def yields_to(self, offered: OwnedRules) -> bool:
        """Tell whether what another scene offers takes the place of these rules.

        A scene that says something comes before one that leaves it at the defaults, and whoever was first stays until
        it says nothing any more. So two scenes that disagree about their host do not take turns.

        Args:
            offered: The rules of the scene whose attempts come now.
        """
        return offered.owner == self.owner or (offered.given and not self.given)


@dataclass(frozen=True, slots=True)
class Seen:
    """What one worker has seen of a target since it last told.

    Attributes:
        window: Outcomes that count, by second (`redrive.core.decision.evidence`).
        probes: The probes that have ended, and whether the target answered.
        pushback_until: Until when the target asked to be left alone, by `Retry-After` with 429 or 503.
        seconds: What the attempts that ended took altogether, in seconds.
        attempts: How many those were, whatever came of them.
    """

    window: Window = field(default_factory=Window)
    probes: tuple[tuple[Probe, bool], ...] = ()
    pushback_until: datetime | None = None
    seconds: float = 0.0
    attempts: int = 0

    def plus(self, other: Seen) -> Seen:
        """Add what was seen besides."""
        return Seen(
            self.window.merge(other.window),
            self.probes + other.probes,
            max((until for until in (self.pushback_until, other.pushback_until) if until is not None), default=None),
            self.seconds + other.seconds,
            self.attempts + other.attempts,
        )


@dataclass(frozen=True, slots=True)
class Health:
    """The shared state of a target.

    Attributes:
        budget: Its retry budget.
        window: How it has answered lately.
        breaker: Its breaker.
        ramp: The slow start under way; None for none.
        pushback_until: Until when it asked to be left alone.
        average_seconds: How long an attempt takes, in seconds; None while none has ended.
        rate_before: Attempts per second before the breaker opened; None when it never did.
        rate_refused: Attempts per second when it last asked to be left alone; None when it never did.
    """

    budget: Budget
    window: Window = field(default_factory=Window)
    breaker: Breaker = field(default_factory=Breaker)
    ramp: Ramp | None = None
    pushback_until: datetime | None = None
    average_seconds: float | None = None
    rate_before: float | None = None
    rate_refused: float | None = None


def unknown(now: datetime, rules: Rules) -> Health:
    """Make the state of a target that nothing is known of."""
    return Health(full(now, rules.budget))


def absorb(
    health: Health, seen: Seen, now: datetime, rules: Rules, backlog: int = 0
) -> tuple[Health, tuple[Event, ...]]:
    """Add what a worker has seen, and move everything to where it then belongs.

    Args:
        health: The state as it is in the row, under its lock or against its version.
        seen: What the worker has seen; nothing, for a step in time alone.
        now: When.
        rules: The target's rules.
        backlog: How many tasks are parked for it.

    Returns:
        The state to store, and what happened to the breaker.
    """
    kept = max(rules.breaker.window_seconds, rules.slow_start.window_seconds)
    window = health.window.merge(seen.window).trim(now, kept)
    before, breaker = health.breaker, health.breaker
    for probe, succeeded in seen.probes:
        breaker = settle_probe(breaker, probe, succeeded=succeeded)
    breaker, events = step(breaker, window, now, rules.breaker)
    opened = isinstance(before.state, Closed) and not isinstance(breaker.state, Closed)
    rate = window.totals(now, rules.breaker.window_seconds).count / rules.breaker.window_seconds
    pushback_until = _later(health.pushback_until, seen.pushback_until, now)
    refused = health.pushback_until is None and pushback_until is not None
    counted = seen.window.buckets
    budget = settle(
        health.budget,
        rules.budget,
        now,
        succeeded=sum(succeeded for _, succeeded, _ in counted),
        failed=sum(failed for _, _, failed in counted),
    )
    absorbed = replace(
        health,
        budget=budget,
        window=window,
        breaker=breaker,
        pushback_until=pushback_until,
        average_seconds=_average(health.average_seconds, seen),
        rate_before=rate if opened else health.rate_before,
        rate_refused=_present_rate(health, window, now, rules) if refused else health.rate_refused,
    )
    return replace(absorbed, ramp=_ramp(health, absorbed, now, rules, backlog)), events


def moved_by_hand(health: Health, breaker: Breaker, now: datetime, rules: Rules) -> Health:
    """Put a breaker that a person has moved in place of the one before, and begin or end the slow start that follows.

    Args:
        health: The state as it is.
        breaker: The breaker from now on.
        now: When.
        rules: The target's rules.
    """
    moved = replace(health, breaker=breaker)
    return replace(moved, ramp=_ramp(health, moved, now, rules, backlog=1))


def admission(health: Health, now: datetime, rules: Rules) -> Admission:
    """Tell whether an attempt may go to the target.

    Limits, budget and quiet hours are asked apart: they give instants.

    Args:
        health: The state as last read.
        now: When.
        rules: The target's rules.
    """
    if health.pushback_until is not None and now < health.pushback_until:
        asked = health.pushback_until.isoformat()
        return Park(health.pushback_until, f"the target asked to be left alone until {asked}")
    return admit(health.breaker, now, rules.breaker)


def target_key(group: str, scene: str, target: Mapping[str, Any]) -> str:
    """Name a target within its namespace.

    Args:
        group: Group of the task.
        scene: Scene of the task.
        target: Where its attempts go: a checked target, as a document.
    """
    if target["kind"] == "webhook":
        return f"host:{urlsplit(str(target['url'])).netloc.lower()}"
    return f"scene:{group}/{scene}"


def is_settled(health: Health) -> bool:
    """Tell whether everything goes through, and nothing is to change with time alone."""
    return _was_up(health) and health.ramp is None and health.breaker.override is None


def begin_slow_start(health: Health, now: datetime, rules: Rules) -> Health:
    """Let what has waited return slowly, unless it does or the target is down.

    Args:
        health: The state as it is.
        now: When.
        rules: The target's rules.
    """
    if health.ramp is not None or not _is_up(health, now, rules):
        return health
    return replace(health, ramp=start(now, rules.slow_start, rules.limit, health.rate_before))


def render_health(health: Health) -> dict[str, Any]:
    """Write it as a JSON object, the inverse of `parse_health`."""
    return cast("dict[str, Any]", encode(health))


def parse_health(document: object, path: str = "health") -> Health:
    """Read what `render_health` wrote.

    Raises:
        InvalidDocument: It has another form.
    """
    return decode(Health, document, path)


def _ramp(before: Health, health: Health, now: datetime, rules: Rules, backlog: int) -> Ramp | None:
    if not _is_up(health, now, rules):
        return None  # nothing returns to a target that is not taken to be up
    if not _was_up(before):
        refused = before.rate_refused if _is_let_through(before.breaker) else None
        return start(now, rules.slow_start, rules.limit, health.rate_before, refused)
    moved = None if health.ramp is None else step_ramp(health.ramp, health.window, now, rules.slow_start, backlog)
    return None if isinstance(moved, Ended) else moved


def _is_up(health: Health, now: datetime, rules: Rules) -> bool:
    return isinstance(admission(health, now, rules), Admit)


def _was_up(health: Health) -> bool:
    """Tell whether everything was let through by the state as it was stored, however long ago its holds have ended."""
    return _is_let_through(health.breaker) and health.pushback_until is None


def _is_let_through(breaker: Breaker) -> bool:
    held = breaker.override
    return isinstance(breaker.state, Closed) if held is None else held.position == "closed"


def _present_rate(health: Health, window: Window, now: datetime, rules: Rules) -> float:
    """Tell how many attempts per second the target is given now: by its slow start, or else as they came."""
    if health.ramp is not None:
        return health.ramp.rate(now)
    seconds = rules.slow_start.window_seconds
    return window.totals(now, seconds).count / seconds


def _later(one: datetime | None, other: datetime | None, now: datetime) -> datetime | None:
    """Take the later of two instants, if it is still to come."""
    return max((instant for instant in (one, other) if instant is not None and instant > now), default=None)


def _average(before: float | None, seen: Seen) -> float | None:
    return average(before, seen.seconds / seen.attempts, seen.attempts) if seen.attempts else before
