"""Rates and concurrency as reserved slots: a throttled task learns at once when its turn is.

A limit that only answers “not now” makes every task ask again and again: ten thousand throttled tasks ask ten thousand
times a round. Here each one asks once, and is given the instant of its own slot.

This is the generic cell rate algorithm in its virtual-scheduling form (GCRA; ITU-T I.371, ATM Forum Traffic Management
4.1). Its whole state is one instant, the theoretical arrival time (TAT): when the next attempt would be due if all came
evenly. An attempt may come earlier by the tolerance, `(burst − 1) / rate`. With `T = 1 / rate`:

    slot = max(now, TAT − (burst − 1) × T),   TAT' = max(now, TAT) + T

In any span of L seconds there are at most `burst + rate × L` slots. A slot is a promise: a task that does not use its
slot (cancelled, paused) leaves it empty, so the rate is undershot and never exceeded by it.

Many workers share a limit as one row: `UPDATE … SET tat = …` under the row's lock, for a whole batch of tasks at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Final

from redrive.core.checks import expect

_FORBID: Final = {"extra": "forbid"}
_MICROSECONDS: Final = 1_000_000
_SMOOTHING: Final = 0.1


@dataclass(frozen=True, slots=True)
class Limit:
    """How often something may happen.

    Attributes:
        rate: Per second; above 0, up to 100,000.
        burst: How many may come at once after a quiet time.
    """

    __pydantic_config__: ClassVar = _FORBID
    rate: float
    burst: int = 1

    def __post_init__(self) -> None:
        expect(1e-6 <= self.rate <= 1e5, "rate", "a number per second from 0.000001 to 100000", self.rate)
        expect(1 <= self.burst <= 1_000_000, "burst", "a whole number from 1 to 1000000", self.burst)

    @property
    def interval_seconds(self) -> float:
        """The time from one slot to the next, in seconds."""
        return 1 / self.rate


def reserve(
    tat: datetime | None, rate: float, burst: int, now: datetime, n: int = 1
) -> tuple[datetime, tuple[datetime, ...]]:
    """Reserve the next slots of one limit.

    Args:
        tat: The theoretical arrival time so far; None for a limit that was never used.
        rate: Slots per second.
        burst: How many slots may fall together after a quiet time.
        now: When.
        n: How many slots.

    Returns:
        The new theoretical arrival time, and the slots in order; those that are free at once have the instant `now`.
    """
    interval = _MICROSECONDS / rate
    base = now if tat is None else max(tat, now)
    tolerance = math.floor((burst - 1) * interval)
    slots = tuple(max(now, _later(base, math.ceil(index * interval) - tolerance)) for index in range(n))
    return _later(base, math.ceil(n * interval)), slots


def reserve_all(
    tats: Sequence[datetime | None], limits: Sequence[Limit], now: datetime, n: int = 1
) -> tuple[tuple[datetime, ...], tuple[datetime, ...]]:
    """Reserve slots for tasks that are under several limits at once: of their group, scene and target.

    Each limit gives a slot of its own, and the latest one wins. In the other limits a task then keeps a slot that is
    earlier than its attempt. Were it moved there too, one slow scene would push its whole group's slots away for as
    long as the scene has a backlog. The price: while a narrower limit has a backlog, a wider one can be exceeded, by no
    more than the rate and burst of those narrower ones.

    Args:
        tats: The theoretical arrival time of each limit.
        limits: The limits, in the same order.
        now: When.
        n: How many tasks.

    Returns:
        The new theoretical arrival times, and the instant of each task.
    """
    reserved = [reserve(tat, limit.rate, limit.burst, now, n) for tat, limit in zip(tats, limits, strict=True)]
    slots = tuple(max((slots[index] for _, slots in reserved), default=now) for index in range(n))
    return tuple(tat for tat, _ in reserved), slots


def concurrency(permits: int, average_seconds: float) -> Limit:
    """Express a limit on attempts at a time as slots.

    Attempts of `average_seconds` that begin every `average_seconds / permits` are `permits` at a time on average
    (Little's law). It is an estimate: whoever must never exceed the number counts the running ones as well, and uses
    this to tell the rest when to come.

    Args:
        permits: The most attempts at a time.
        average_seconds: How long one takes, in seconds.
    """
    rate = permits / max(average_seconds, 1e-3)
    return Limit(min(max(rate, 1e-6), 1e5), permits)


def average(before: float | None, seconds: float, count: int = 1) -> float:
    """Carry on the average duration of attempts: an exponentially weighted mean, in which the last has a tenth.

    Args:
        before: The average so far, in seconds; None for none.
        seconds: The mean of the attempts that have ended since, in seconds.
        count: How many those are.

    Returns:
        The new average, in seconds.
    """
    if before is None or count <= 0:
        return seconds if before is None else before
    kept = (1 - _SMOOTHING) ** count
    return before * kept + seconds * (1 - kept)


def _later(instant: datetime, microseconds: int) -> datetime:
    return instant + timedelta(microseconds=microseconds)
