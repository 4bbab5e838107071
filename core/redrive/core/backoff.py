"""How long to wait before an attempt.

The base delay (`base_seconds`) and the jitter (`spread`) are apart, so that each can be tested alone; jitter comes
last. Delays are measured from the end of the failed attempt.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import assert_never

from redrive.core.cron import next_time
from redrive.core.policy import (
    Backoff,
    CronBackoff,
    DecorrelatedJitter,
    DelayLevelsBackoff,
    EqualJitter,
    ExponentialBackoff,
    FixedBackoff,
    FullJitter,
    LinearBackoff,
    NoJitter,
    ProportionalJitter,
    RandomBackoff,
)


@dataclass(frozen=True, slots=True)
class Delay:
    """A delay and the reason for it.

    Attributes:
        seconds: What to wait, in seconds.
        base_seconds: What the backoff gave before jitter, in seconds.
        why: One sentence for the person who asks why the attempt ran when it ran.
    """

    seconds: float
    base_seconds: float
    why: str


def next_delay(
    backoff: Backoff, number: int, now: datetime, random: Random, previous_seconds: float | None = None
) -> Delay:
    """Compute the delay before attempt `number`.

    Args:
        backoff: The strategy.
        number: Number of the coming attempt, from 1.
        now: End of the failed call or attempt.
        random: Source of randomness; the same state gives the same delay.
        previous_seconds: The delay before, in seconds; only decorrelated jitter looks at it.

    Returns:
        The delay, never negative and never above the cap of the strategy.
    """
    base = base_seconds(backoff, number, now, random)
    match backoff.jitter:
        case NoJitter():
            return Delay(base, base, _describe(backoff, number, base))
        case DecorrelatedJitter():
            first, longest = _decorrelated_bounds(backoff)
            drawn = decorrelated(first, longest, previous_seconds, random)
            bounds = f"between {in_seconds(first)} and three times the previous delay, at most {in_seconds(longest)}"
            return Delay(drawn, base, f"decorrelated jitter {bounds}: {in_seconds(drawn)}")
        case FullJitter() | EqualJitter() | ProportionalJitter() as jitter:
            seconds = spread(jitter, base, random)
            cap = cap_seconds(backoff)
            if isinstance(backoff, CronBackoff):
                seconds = max(seconds, 2 * base - seconds)  # mirror what would be early: only later is allowed
            elif cap is not None:
                seconds = min(seconds, cap)
            why = f"{_describe(backoff, number, base)}, {jitter.kind} jitter: {in_seconds(seconds)}"
            return Delay(seconds, base, why)
        case _ as never:
            assert_never(never)


def base_seconds(backoff: Backoff, number: int, now: datetime, random: Random) -> float:
    """Compute the delay before jitter.

    Args:
        backoff: The strategy.
        number: Number of the coming attempt, from 1.
        now: End of the failed call or attempt; only cron looks at it.
        random: Source of randomness; only `random` looks at it.

    Returns:
        Seconds, from 0 to the cap of the strategy.
    """
    step = max(number, 1) - 1
    match backoff:
        case FixedBackoff():
            return backoff.delay_seconds
        case LinearBackoff():
            return min(backoff.max_seconds, backoff.initial_seconds + backoff.increment_seconds * step)
        case ExponentialBackoff():
            return _exponential(backoff, step)
        case DelayLevelsBackoff():
            levels = backoff.seconds
            return levels[min(step, len(levels) - 1)]
        case RandomBackoff():
            # uniform(a, b) computes a + (b − a) × u, whose rounding can end just above b.
            return min(backoff.max_seconds, random.uniform(backoff.min_seconds, backoff.max_seconds))
        case CronBackoff():
            return (next_time(backoff.expression, backoff.timezone, now) - now).total_seconds()
        case _ as never:
            assert_never(never)


def cap_seconds(backoff: Backoff) -> float | None:
    """Tell the longest delay that a strategy gives, in seconds; None when it has none but its own numbers."""
    if isinstance(backoff, (LinearBackoff, ExponentialBackoff, RandomBackoff)):
        return backoff.max_seconds
    return None


def spread(jitter: FullJitter | EqualJitter | ProportionalJitter, seconds: float, random: Random) -> float:
    """Spread a delay.

    Args:
        jitter: The kind of spread.
        seconds: The delay, in seconds.
        random: Source of randomness.

    Returns:
        Seconds: full in [0, s]; equal in [s/2, s]; proportional in [s(1 − r), s(1 + r)].
    """
    match jitter:
        case FullJitter():
            return random.uniform(0, seconds)
        case EqualJitter():
            return seconds / 2 + random.uniform(0, seconds / 2)
        case ProportionalJitter():
            return seconds * random.uniform(1 - jitter.ratio, 1 + jitter.ratio)
        case _ as never:
            assert_never(never)


def decorrelated(first: float, cap: float, previous: float | None, random: Random) -> float:
    """Decorrelated jitter: `min(cap, U(first, 3 × previous))`, beginning with `previous = first`.

    Args:
        first: The first delay, in seconds.
        cap: The longest delay, in seconds.
        previous: The delay before, in seconds; None for the first.
        random: Source of randomness.

    Returns:
        Seconds from `first` to `cap`.
    """
    return min(cap, random.uniform(first, max(first, 3 * (first if previous is None else previous))))


def _exponential(backoff: ExponentialBackoff, step: int) -> float:
    if backoff.initial_seconds == 0:
        return 0.0
    try:
        growth = float(backoff.multiplier) ** step  # as a float: an int would grow to millions of digits
    except OverflowError:
        return backoff.max_seconds
    return min(backoff.max_seconds, backoff.initial_seconds * growth)


def _decorrelated_bounds(backoff: Backoff) -> tuple[float, float]:
    if isinstance(backoff, (LinearBackoff, ExponentialBackoff)):
        return backoff.initial_seconds, backoff.max_seconds
    raise AssertionError(f"{backoff.kind} refuses decorrelated jitter when it is made")


def _describe(backoff: Backoff, number: int, base: float) -> str:
    match backoff:
        case FixedBackoff():
            return f"fixed {in_seconds(base)}"
        case LinearBackoff():
            formula = f"{in_seconds(backoff.initial_seconds)} + {in_seconds(backoff.increment_seconds)} × {number - 1}"
            return f"linear {formula} = {in_seconds(base)}{_capped(base, backoff.max_seconds)}"
        case ExponentialBackoff():
            formula = f"{in_seconds(backoff.initial_seconds)} × {backoff.multiplier:g}^{number - 1}"
            return f"exponential {formula} = {in_seconds(base)}{_capped(base, backoff.max_seconds)}"
        case DelayLevelsBackoff():
            table = f" of {backoff.levels}" if isinstance(backoff.levels, str) else ""
            return f"delay level {min(number, len(backoff.seconds))}{table}: {in_seconds(base)}"
        case RandomBackoff():
            bounds = f"{in_seconds(backoff.min_seconds)} and {in_seconds(backoff.max_seconds)}"
            return f"random between {bounds}: {in_seconds(base)}"
        case CronBackoff():
            return f"cron '{backoff.expression}' in {backoff.timezone}: {in_seconds(base)}"
        case _ as never:
            assert_never(never)


def _capped(base: float, cap: float) -> str:
    return " (the cap)" if base >= cap else ""


def in_seconds(seconds: float) -> str:
    """Write a duration for a person: to the millisecond, without trailing zeros, never as 1e+06."""
    return f"{seconds:.3f}".rstrip("0").rstrip(".") + " s"
