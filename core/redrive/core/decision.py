"""What follows from an attempt: success, another attempt at a certain time, or the dead letters.

`decide` is the one place where a task's fate is settled. It is pure: the workflow gives it the policy, the counters,
the outcome, its own clock and its own source of randomness, and carries out what it returns.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from typing import Literal, TypeAlias, assert_never

from redrive.core.backoff import in_seconds, next_delay
from redrive.core.conditions import Details, matches
from redrive.core.counters import Counters
from redrive.core.policy import MAX_SECONDS, Action, NoJitter, Policy, Rule
from redrive.core.states import AttemptStatus, DeadReason

RETRYABLE_CLIENT_ERRORS = frozenset({408, 425, 429})
"""Statuses below 500 that say “later” (RFC 9110 section 15.5.9, RFC 8470, RFC 6585); design section 4."""

_RETRY_AFTER_SPREAD = 0.1

THROTTLED = frozenset({429, 503})
"""Statuses by which a target asks for less (RFC 6585, section 4; RFC 9110, section 15.6.4)."""

MAX_SNOOZES = 50
"""Snoozes in a row that are believed; further ones count as failures, so that no task sleeps for ever."""

PARK_FIRST = 30.0
PARK_LONGEST = 600.0
"""A parked task looks again after at most this many seconds, doubling from the first to the longest."""


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
        error_bases: Class names of the bases of the error, nearest first, as far as the client tells them.
    """

    status: AttemptStatus
    error_type: str | None = None
    http_status: int | None = None
    retry_after_seconds: float | None = None
    stop: bool = False
    fingerprint: str | None = None
    error_bases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an outcome means, by the rules: computed where message and body are known, and carried to where it is used.

    It holds nothing of message or body, so it may enter a workflow.

    Attributes:
        action: What is to be done.
        why: The rule or default that says so.
        seconds: How long to snooze or to park, in seconds; None where that is open.
    """

    action: Action
    why: str
    seconds: float | None = None


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
        kind: What kind of wait this is. Only a `failure` spends the attempt that just ended and moves the backoff;
            after a `park` the task is shown as parked.
    """

    due_at: datetime
    delay_seconds: float
    base_seconds: float
    why: str
    kind: Literal["failure", "throttle", "snooze", "park"] = "failure"


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
    verdict: Verdict | None = None,
    counters: Counters | None = None,
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
        verdict: What the outcome means, where that has been found out already, by rules that look at message and body;
            None to find it out here, where those rules do not hold.
        counters: What the generation has been through before this attempt. Without them nothing is known of poison, of
            throttles and of how often it was snoozed or parked in a row, and no rule about those holds.

    Returns:
        Success, the next attempt, or death with its reason.
    """
    verdict = verdict or classify(policy.classification, outcome)
    been = counters or Counters()
    if verdict.action == "succeed":
        return Succeed(verdict.why)
    if outcome.stop:
        return Die(DeadReason.STOPPED, "the client said that it must not be retried")
    if verdict.action == "dead":
        return Die(DeadReason.REJECTED, verdict.why)
    if verdict.action == "snooze" and verdict.seconds is not None and been.snoozes_in_row < MAX_SNOOZES:
        return _snooze(policy, clock, verdict.seconds, verdict.why, now)
    if verdict.action == "park":
        seconds = park_seconds(been.parks_in_row, random) if verdict.seconds is None else verdict.seconds
        return _park(policy, clock, seconds, verdict.why, now)
    if counters is not None and (poisoned := _poisoned(policy, clock, outcome, counters, now)) is not None:
        return poisoned
    if counters is not None and _is_throttled(policy, outcome, counters):
        planned = plan(policy, clock, attempts, now, random, previous_delay_seconds, outcome.retry_after_seconds)
        why = f"the target answered {outcome.http_status}, which is not spent"
        return replace(planned, why=f"{why}; {planned.why}", kind="throttle") if isinstance(planned, Retry) else planned
    if attempts >= policy.max_attempts:
        return Die(DeadReason.EXHAUSTED, f"attempt {attempts} of {policy.max_attempts} failed")
    return plan(policy, clock, attempts + 1, now, random, previous_delay_seconds, outcome.retry_after_seconds)


def count(counters: Counters, decision: Decision, outcome: Outcome) -> Counters:
    """Count what an attempt has come to. Of what a success was before, the counters tell as they are.

    Args:
        counters: What the generation has been through before the attempt.
        decision: What `decide` settled.
        outcome: How the attempt ended.
    """
    match decision:
        case Succeed():
            return counters
        case Retry():
            return counters.count(decision.kind, outcome.fingerprint)
        case Die():
            return counters.count("failure", outcome.fingerprint)
        case _ as never:
            assert_never(never)


def evidence(outcome: Outcome, action: Action) -> Literal["succeeded", "failed"] | None:
    """Tell what an outcome says about the target, for its breaker, its budget and its slow start.

    Only failures that another attempt may cure speak against a target: time-outs, connections that cannot be made, 5xx,
    429. A target that refuses a request (4xx, or a rule that says `dead`) is up, and a client that snoozes or says stop
    is too; that counts neither way. As the outcome of a probe, everything but `failed` is an answer.

    Args:
        outcome: How the attempt ended.
        action: What the rules make of it.

    Returns:
        `succeeded`, `failed`, or None for neither.
    """
    if action == "succeed":
        return "succeeded"
    status = outcome.http_status
    refused = status is not None and 400 <= status < 500 and status not in RETRYABLE_CLIENT_ERRORS
    called_off = outcome.stop or outcome.status is AttemptStatus.CANCELLED
    return None if action in ("dead", "snooze") or refused or called_off else "failed"


def park_seconds(parks_in_row: int, random: Random) -> float:
    """Tell after how many seconds a parked task looks again: doubling, and spread over the upper half.

    Args:
        parks_in_row: How often in a row it has been parked before.
        random: Source of randomness.
    """
    longest = min(PARK_LONGEST, PARK_FIRST * 2 ** min(parks_in_row, 10))
    return random.uniform(longest / 2, longest)


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


def classify(rules: tuple[Rule, ...], outcome: Outcome, details: Details | None = None) -> Verdict:
    """Tell what an outcome means.

    Args:
        rules: The policy's rules; of those that match, the last one wins.
        outcome: How the attempt ended.
        details: Message and body, where they are known. Rules that look at what is not known do not match.

    Returns:
        The action and its reason, which names neither message nor body.
    """
    known = details or Details()
    document = known.document() if any(rule.body is not None for rule in rules) else None
    for rule in reversed(rules):
        if _matches(rule, outcome, known, document):
            return Verdict(rule.action, f"rule {_shown(rule)} matched {_facts(outcome)}", rule.seconds)
    return Verdict(_default_action(outcome), f"default for {_facts(outcome)}")


def looks_inside(rules: Iterable[Rule]) -> bool:
    """Tell whether a rule looks at message or body, so that the verdict must be found where the answer is."""
    return any(rule.looks_inside for rule in rules)


def _snooze(policy: Policy, clock: Clock, seconds: float, why: str, now: datetime) -> Retry | Die:
    due_at, end = now + timedelta(seconds=seconds), clock.ends_at(policy)
    if end is not None and due_at > end:
        late = f"{why}: snoozed for {in_seconds(seconds)}, past its end at {end.isoformat()}"
        return Die(DeadReason.EXPIRED, late)
    return Retry(due_at, seconds, seconds, f"{why}: snoozed for {in_seconds(seconds)}", "snooze")


def _park(policy: Policy, clock: Clock, seconds: float, why: str, now: datetime) -> Retry:
    """Park until a moment, or until the task's time is over: then dispatch finds that it is too late."""
    due_at, end = now + timedelta(seconds=seconds), clock.ends_at(policy)
    due_at = due_at if end is None else min(due_at, max(end, now))
    waits = (due_at - now).total_seconds()
    return Retry(due_at, waits, waits, f"{why}: parked", "park")


def _poisoned(policy: Policy, clock: Clock, outcome: Outcome, counters: Counters, now: datetime) -> Retry | Die | None:
    rule, repeats = policy.poison, counters.repeated(outcome.fingerprint)
    if rule is None or repeats < rule.same_fingerprint:
        return None
    why = f"poison: it failed {repeats} times in a row with the fingerprint {outcome.fingerprint}"
    if rule.action == "dead":
        return Die(DeadReason.REJECTED, why)
    return _park(policy, clock, MAX_SECONDS, f"{why}, and waits for a person", now)


def _is_throttled(policy: Policy, outcome: Outcome, counters: Counters) -> bool:
    rule = policy.retry_after
    return (
        rule.honour
        and not rule.spends_attempt
        and outcome.http_status in THROTTLED
        and outcome.retry_after_seconds is not None
        and counters.throttles < rule.max_throttles
    )


def _default_action(outcome: Outcome) -> Action:
    if outcome.status is AttemptStatus.SUCCEEDED:
        return "succeed"
    status = outcome.http_status
    if status is not None and 400 <= status < 500 and status not in RETRYABLE_CLIENT_ERRORS:
        return "dead"
    return "retry"


def _matches(rule: Rule, outcome: Outcome, details: Details, document: object) -> bool:
    if rule.error is not None and not _matches_error(rule.error, outcome):
        return False
    if rule.statuses and not _matches_status(rule, outcome.http_status):
        return False
    if rule.message is not None and not matches(rule.message, details.message):
        return False
    return rule.body is None or (details.body is not None and rule.body.holds(document))


def _matches_status(rule: Rule, http_status: int | None) -> bool:
    return http_status is not None and any(
        http_status == status if isinstance(status, int) else http_status // 100 == int(status[0])
        for status in rule.statuses
    )


def _matches_error(pattern: str, outcome: Outcome) -> bool:
    if outcome.error_type is None:
        return False
    names = [name for full in (outcome.error_type, *outcome.error_bases) for name in (full, full.rpartition(".")[2])]
    if pattern.endswith("*"):
        return any(name.startswith(pattern[:-1]) for name in names)
    return pattern in names


def _shown(rule: Rule) -> str:
    conditions: list[Literal["error", "http_status", "message", "body"]] = ["error", "http_status", "message", "body"]
    given = [f"{name}={getattr(rule, name)}" for name in conditions if getattr(rule, name) is not None]
    return f"{' and '.join(given)} → {rule.action}"


def _facts(outcome: Outcome) -> str:
    facts = [
        outcome.status.value,
        outcome.error_type or "",
        f"HTTP {outcome.http_status}" if outcome.http_status is not None else "",
    ]
    return " ".join(fact for fact in facts if fact)
