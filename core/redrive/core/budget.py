"""The retry budget of a target: failing attempts may be no more than a share of those that succeed, plus a floor.

The breaker answers an outage. A budget answers what lies below it: a target that fails three times in ten, where
retries add load to what is already too much. It is a bucket of tokens, as in gRPC (gRFC A6, `retryThrottling`): a
failure takes one, a success gives back `ratio`, and retries are free while it is more than half full. What differs:

- Out of budget, nothing is dropped. Attempts are given slots at `floor_per_second`, one after the other, so each learns
  at once when its turn is and nobody has to ask again.
- `floor_per_second` also refills the bucket. A target with little traffic is not locked out for want of successes
  (Finagle's `minRetriesPerSec`), and a bucket that is empty recovers once the failures stop.

So over any L seconds a target fails no more often than `capacity + floor × L + ratio × successes`, plus what was under
way when the bucket came down to half.

Failures are those that count for the breaker (`redrive.core.decision.evidence`): a refusal costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import ClassVar, Final

from redrive.core.checks import expect
from redrive.core.pacing import reserve

_FORBID: Final = {"extra": "forbid"}


@dataclass(frozen=True, slots=True)
class BudgetRule:
    """How much failing a target is made to bear.

    Attributes:
        enabled: Whether there is a budget.
        ratio: Tokens that a success gives back: the share of successes that may fail.
        floor_per_second: Tokens that come back each second, and attempts per second when the budget is spent.
        capacity: Tokens of a full bucket, at least 2; half of them may be spent at once.
    """

    __pydantic_config__: ClassVar = _FORBID
    enabled: bool = True
    ratio: float = 0.2
    floor_per_second: float = 10
    capacity: float = 100

    def __post_init__(self) -> None:
        expect(0 <= self.ratio <= 10, "ratio", "a number from 0 to 10", self.ratio)
        # Above zero: a budget delays, and without a floor it could delay for ever.
        fits = 0.001 <= self.floor_per_second <= 1e5
        expect(fits, "floor_per_second", "a number per second from 0.001 to 100000", self.floor_per_second)
        expect(2 <= self.capacity <= 1e6, "capacity", "tokens from 2 to 1000000", self.capacity)


@dataclass(frozen=True, slots=True)
class Budget:
    """The budget of one target.

    Attributes:
        tokens: What is left, from 0 to the capacity.
        at: When that was counted.
        reserved_until: Up to when slots have been given away while it was spent; None when none were.
    """

    tokens: float
    at: datetime
    reserved_until: datetime | None = None


def full(now: datetime, rule: BudgetRule) -> Budget:
    """Make the budget of a target that nothing is known of."""
    return Budget(rule.capacity, now)


def settle(budget: Budget, rule: BudgetRule, now: datetime, *, succeeded: int = 0, failed: int = 0) -> Budget:
    """Count outcomes.

    Args:
        budget: The budget as it is.
        rule: The target's rule.
        now: When. A moment before the last count refills nothing: another worker's clock may be ahead.
        succeeded: Attempts that have succeeded since.
        failed: Attempts that have failed since, in a way that counts.

    Returns:
        The budget from now on.
    """
    refill = max(0.0, (now - budget.at).total_seconds()) * rule.floor_per_second
    tokens = min(rule.capacity, budget.tokens + refill + rule.ratio * succeeded) - failed
    return replace(budget, tokens=max(0.0, tokens), at=max(now, budget.at))


def is_spent(budget: Budget, rule: BudgetRule, now: datetime) -> bool:
    """Tell whether attempts must wait: half of the bucket or more is gone."""
    return rule.enabled and settle(budget, rule, now).tokens <= rule.capacity / 2


def spend(budget: Budget, rule: BudgetRule, now: datetime, n: int = 1) -> tuple[Budget, tuple[datetime, ...]]:
    """Tell when the next attempts, which may fail, may be risked.

    Args:
        budget: The budget as it is.
        rule: The target's rule.
        now: When.
        n: How many attempts.

    Returns:
        The budget to store, and an instant for each attempt: `now` while there is budget, else a slot of its own.
    """
    if not is_spent(budget, rule, now):
        return replace(budget, reserved_until=None), (now,) * n
    # The first slot is one interval away: by then the floor has given back what the attempt may take, so the bucket is
    # never asked for more than it has, however often it runs low.
    interval = timedelta(seconds=1 / rule.floor_per_second)
    reserved_until, slots = reserve(budget.reserved_until or now + interval, rule.floor_per_second, 1, now, n)
    return replace(budget, reserved_until=reserved_until), slots
