"""What follows from an attempt: success, another attempt at a certain time, or the dead letters.

`decide` is the one place where a task's fate is settled. It is pure: the workflow gives it the policy, the counters,
the outcome, its own clock and its own source of randomness, and carries out what it returns.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Literal, TypeAlias

from redrive.core.backoff import in_seconds, next_delay
from redrive.core.policy import Action, NoJitter, Policy, Rule
from redrive.core.states import AttemptStatus, DeadReason

RETRYABLE_CLIENT_ERRORS = frozenset({408, 425, 429})
"""Statuses below 500 that say “later” (RFC 9110 section 15.5.9, RFC 8470, RFC 6585); design section 4."""

_RETRY_AFTER_SPREAD = 0.1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is known about a finished attempt, without its payload.

    Attributes:
        status: How it ended.
        error_type: Class name of the error.
        http_status: Status of the answer, when there was one.
        retry_after_seconds: What the target asked for, in seconds.
        stop: Whether the client said: do not retry.
        fingerprint: Groups like errors.
    """

    status: AttemptStatus
    error_type: str | None = None
    http_status: int | None = None
    retry_after_seconds: float | None = None
    stop: bool = False
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class Clock:
    """The limits of a generation in time.

    Attributes:
        started_at: When the generation began: the report, or the replay.
        deadline: When the whole task is worthless; None for never.
    """

    started_at: datetime
    deadline: datetime | None = None

    def ends_at(self, policy: Policy) -> datetime | None:
        """Tell the last instant at which an attempt may be planned; None for no limit."""
        limits = [] if self.deadline is None else [self.deadline]
        if policy.max_elapsed_seconds is not None:
            limits.append(self.started_at + timedelta(seconds=policy.max_elapsed_seconds))
        return min(limits, default=None)


@dataclass(frozen=True, slots=True)
class Succeed:
    """The task is done."""

    why: str


@dataclass(frozen=True, slots=True)
class Retry:
    """Another attempt follows.

    Attributes:
        due_at: When.
        delay_seconds: From now, in seconds.
        base_seconds: The backoff's own figure before jitter and Retry-After, in seconds.
        why: The reason for the delay.
    """

    due_at: datetime
    delay_seconds: float
    base_seconds: float
    why: str


@dataclass(frozen=True, slots=True)
class Die:
    """The task goes to the dead letters."""

    reason: DeadReason
    why: str


Decision: TypeAlias = Succeed | Retry | Die


def decide(
    policy: Policy,
    clock: Clock,
    attempts: int,
    outcome: Outcome,
    now: datetime,
    random: Random,
    previous_delay_seconds: float | None = None,
) -> Decision:
    """Settle what follows from an attempt. The first stop rule that holds wins.

    Args:
        policy: The policy in force.
        clock: The limits of this generation in time.
        attempts: Attempts that this generation has spent, with the one that just ended.
        outcome: How it ended.
        now: When it ended.
        random: Source of randomness.
        previous_delay_seconds: The delay before this attempt, in seconds.

    Returns:
        Success, the next attempt, or death with its reason.
    """
    action, why = classify(policy.classification, outcome)
    if action == "succeed":
        return Succeed(why)
    if outcome.stop:
        return Die(DeadReason.STOPPED, "the client said that it must not be retried")
    if action == "dead":
        return Die(DeadReason.REJECTED, why)
    if attempts >= policy.max_attempts:
        return Die(DeadReason.EXHAUSTED, f"attempt {attempts} of {policy.max_attempts} failed")
    return plan(policy, clock, attempts + 1, now, random, previous_delay_seconds, outcome.retry_after_seconds)


def plan(
    policy: Policy,
    clock: Clock,
    number: int,
    now: datetime,
    random: Random,
    previous_delay_seconds: float | None = None,
    retry_after_seconds: float | None = None,
) -> Retry | Die:
    """Plan attempt `number`, or find that it would come too late.

    Args:
        policy: The policy in force.
        clock: The limits of this generation in time.
        number: Number of the coming attempt, from 1.
        now: End of the failed call or attempt.
        random: Source of randomness.
        previous_delay_seconds: The delay before, in seconds.
        retry_after_seconds: What the target asked for, in seconds.

    Returns:
        The plan, or death by expiry: no attempt is planned past the deadline.
    """
    delay = next_delay(policy.backoff, number, now, random, previous_delay_seconds)
    seconds, why = delay.seconds, delay.why
    end = clock.ends_at(policy)
    if retry_after_seconds is not None and policy.retry_after.honour:
        asked = min(retry_after_seconds, policy.retry_after.max_seconds)
        if asked > seconds:
            # Every task that met this answer was given the same moment. Spread them, upwards only: the target said
            # when it wants to be asked, and earlier would be rude.
            spread = 0.0 if isinstance(policy.backoff.jitter, NoJitter) else random.uniform(0, _RETRY_AFTER_SPREAD)
            seconds = asked * (1 + spread)
            if end is not None:  # the spread alone is no reason to die
                seconds = max(asked, min(seconds, (end - now).total_seconds()))
            bound = f" (bounded by {in_seconds(policy.retry_after.max_seconds)})" if asked < retry_after_seconds else ""
            wish = f"the target's Retry-After of {in_seconds(retry_after_seconds)}{bound}"
            why = f"{why}; {wish} raised it to {in_seconds(seconds)}"
    due_at = now + timedelta(seconds=seconds)
    if end is not None and due_at > end:
        limit = "deadline" if end == clock.deadline else f"limit of {in_seconds(policy.max_elapsed_seconds or 0)}"
        late = f"attempt {number} would be due at {due_at.isoformat()}, after the {limit} at {end.isoformat()}"
        return Die(DeadReason.EXPIRED, late)
    return Retry(due_at, seconds, delay.base_seconds, why)


def classify(rules: tuple[Rule, ...], outcome: Outcome) -> tuple[Action, str]:
    """Tell what an outcome means.

    Args:
        rules: The policy's rules; of those that match, the last one wins.
        outcome: How the attempt ended.

    Returns:
        The action and its reason.
    """
    for rule in reversed(rules):
        if _matches(rule, outcome):
            return rule.action, f"rule {_shown(rule)} matched {_facts(outcome)}"
    return _default_action(outcome), f"default for {_facts(outcome)}"


def _default_action(outcome: Outcome) -> Action:
    if outcome.status is AttemptStatus.SUCCEEDED:
        return "succeed"
    status = outcome.http_status
    if status is not None and 400 <= status < 500 and status not in RETRYABLE_CLIENT_ERRORS:
        return "dead"
    return "retry"


def _matches(rule: Rule, outcome: Outcome) -> bool:
    if rule.error is not None and not _matches_error(rule.error, outcome.error_type):
        return False
    if rule.statuses:
        return outcome.http_status is not None and any(
            outcome.http_status == status if isinstance(status, int) else outcome.http_status // 100 == int(status[0])
            for status in rule.statuses
        )
    return True


def _matches_error(pattern: str, error_type: str | None) -> bool:
    if error_type is None:
        return False
    names = (error_type, error_type.rpartition(".")[2])
    if pattern.endswith("*"):
        return any(name.startswith(pattern[:-1]) for name in names)
    return pattern in names


def _shown(rule: Rule) -> str:
    conditions: list[Literal["error", "http_status"]] = ["error", "http_status"]
    given = [f"{name}={getattr(rule, name)}" for name in conditions if getattr(rule, name) is not None]
    return f"{' and '.join(given)} → {rule.action}"


def _facts(outcome: Outcome) -> str:
    facts = [
        outcome.status.value,
        outcome.error_type or "",
        f"HTTP {outcome.http_status}" if outcome.http_status is not None else "",
    ]
    return " ".join(fact for fact in facts if fact)
