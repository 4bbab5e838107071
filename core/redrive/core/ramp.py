"""Slow start: how fast parked work returns to a target that is back.

A breaker that closes, a pause that ends and a redrive that begins all release work that has piled up. All of it at once
would take the target down again. So the rate begins low and doubles every few seconds, halves when failures return, and
is limited no more once it has reached its limit or nothing is left that waits:

    r(t) = min(limit, r0 × 2^(t / T)),   r0 = max(1 per second, 10 % of the limit, or of the rate before the outage)

The exponential beginning is TCP's slow start (RFC 5681, section 3.1), the halving its answer to congestion, and so is
that the rate then grows evenly until it is back where it was too high (AIMD, Chiu and Jain 1989). Beyond that it
doubles again, because the target may bear more by now. Google Cloud Tasks ramps up the same way after a pause.

A target may fail now and then whatever its rate. Half the rate does not lessen such failures, which is how they are
told from those of too high a rate: they are then taken as the target's own, and the rate grows in spite of them.

A target that asks to be left alone for a while is not one that was down: it has said that the rate was too high. So
what waits returns at half the rate that it was given, as TCP goes on at half its window after a notification of
congestion (RFC 3168, section 6.1.2), and begins from the bottom only after silence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import ClassVar, Final

from redrive.core.checks import expect, expect_seconds, expect_share
from redrive.core.window import Window

EVEN_DOUBLINGS: Final = 4.0
"""In how many times `doubling_seconds` a halved rate is back where it was too high."""

MOST_TOLERATED: Final = 0.5
"""The share of failures beyond which none are taken as the target's own: it is the one at which breakers open."""

_FORBID: Final = {"extra": "forbid"}
_LOWER: Final = 0.75
"""Below this share of the rate that was too high, failures say whether it was the rate; and a share of failures below
this part of the one before counts as lessened."""


@dataclass(frozen=True, slots=True)
class RampRule:
    """How fast work returns.

    Attributes:
        first_per_second: The slowest rate, in attempts per second; it is never below that.
        first_share: The rate at the beginning as a share of the limit, or of the rate before the outage.
        doubling_seconds: In how many seconds the rate doubles.
        failure_ratio: The share of failures above which it halves.
        minimum: The fewest attempts from which that is concluded.
        window_seconds: Over how many seconds failures are counted; also the shortest time between two halvings, so
            that the same failures do not halve it twice.
        ceiling_per_second: The limit for a target that has none, in attempts per second.
    """

    __pydantic_config__: ClassVar = _FORBID
    first_per_second: float = 1
    first_share: float = 0.1
    doubling_seconds: float = 10
    failure_ratio: float = 0.2
    minimum: int = 5
    window_seconds: float = 5
    ceiling_per_second: float = 1000

    def __post_init__(self) -> None:
        expect(0 < self.first_per_second <= 1e6, "first_per_second", "above 0, up to 1000000", self.first_per_second)
        expect_share("first_share", self.first_share)
        expect_seconds("doubling_seconds", self.doubling_seconds, above_zero=True)
        expect_share("failure_ratio", self.failure_ratio)
        expect(self.minimum >= 1, "minimum", "a whole number from 1", self.minimum)
        expect(1 <= self.window_seconds <= 3600, "window_seconds", "seconds from 1 to 3600", self.window_seconds)
        enough = self.first_per_second <= self.ceiling_per_second <= 1e6
        expect(enough, "ceiling_per_second", "from first_per_second to 1000000", self.ceiling_per_second)


@dataclass(frozen=True, slots=True)
class Ramp:
    """A slow start under way.

    Attributes:
        base: The rate at `since`, in attempts per second.
        since: When growth began: the start of the ramp, or its last halving.
        limit: Where it ends, in attempts per second.
        first: The rate that it never goes below, in attempts per second.
        doubling_seconds: In how many seconds the rate doubles.
        started_at: When the ramp began.
        halvings: How often the rate was halved.
        too_high: The rate that was last too high, in attempts per second: up to there the rate grows evenly. None while
            none was.
        halved_at: The share of failures at which it was last halved.
        tolerated: The share of failures that is the target's own, whatever the rate.
    """

    base: float
    since: datetime
    limit: float
    first: float
    doubling_seconds: float
    started_at: datetime
    halvings: int = 0
    too_high: float | None = None
    halved_at: float = 0.0
    tolerated: float = 0.0

    def rate(self, now: datetime) -> float:
        """Tell the rate that is allowed at a moment, in attempts per second."""
        growth, seconds = self._growth(), max(0.0, (now - self.since).total_seconds())
        if seconds < growth.even:
            return self.base + growth.slope * seconds
        doublings = (seconds - growth.even) / self.doubling_seconds
        if doublings > math.log2(self.limit / growth.bend):  # also what keeps the power from overflowing
            return self.limit
        return min(self.limit, growth.bend * 2**doublings)

    def released(self, start: datetime, end: datetime) -> float:
        """Tell how many attempts may begin between two moments: the integral of the rate.

        Args:
            start: The beginning; what lies before `since` counts as nothing.
            end: The end.

        Returns:
            A number that need not be whole: the caller carries the fraction over.
        """
        growth = self._growth()
        begin = max(0.0, (start - self.since).total_seconds())
        finish = max(begin, (end - self.since).total_seconds())
        full = growth.even + self.doubling_seconds * math.log2(self.limit / growth.bend)  # when the limit is reached
        low, high = min(begin, growth.even), min(finish, growth.even)
        evenly = (high - low) * (self.base + growth.slope * (low + high) / 2)
        low, high = (min(max(at, growth.even), full) - growth.even for at in (begin, finish))
        powers = 2 ** (high / self.doubling_seconds) - 2 ** (low / self.doubling_seconds)
        doubling = self.doubling_seconds / math.log(2) * growth.bend * powers
        return evenly + doubling + self.limit * (max(finish, full) - max(begin, full))

    def seconds_for(self, count: float) -> float:
        """Tell in how many seconds from `since` so many attempts may begin: the inverse of `released`.

        Args:
            count: How many; not below 0.
        """
        growth = self._growth()
        evenly = growth.even * (self.base + growth.slope * growth.even / 2)
        if count < evenly:
            return 2 * count / (self.base + math.sqrt(self.base**2 + 2 * growth.slope * count))
        left, span = count - evenly, self.doubling_seconds / math.log(2)
        doubling = span * (self.limit - growth.bend)
        if left <= doubling:
            return growth.even + span * math.log1p(left / (span * growth.bend))
        full = growth.even + self.doubling_seconds * math.log2(self.limit / growth.bend)
        return full + (left - doubling) / self.limit

    def _growth(self) -> _Growth:
        bend = max(self.base, min(self.too_high or 0.0, self.limit))
        if bend == self.base or self.too_high is None:
            return _Growth(0.0, 0.0, self.base)
        slope = self.too_high / (2 * EVEN_DOUBLINGS * self.doubling_seconds)
        return _Growth(slope, (bend - self.base) / slope, bend)


@dataclass(frozen=True, slots=True)
class _Growth:
    """How a rate grows: evenly by `slope` for `even` seconds, and from `bend` on by doubling."""

    slope: float
    even: float
    bend: float


@dataclass(frozen=True, slots=True)
class Ended:
    """The ramp is over: the target has its ordinary limits again.

    Attributes:
        why: The reason, for people.
    """

    why: str


def start(
    now: datetime,
    rule: RampRule,
    limit: float | None = None,
    before: float | None = None,
    refused: float | None = None,
) -> Ramp:
    """Begin a slow start.

    Args:
        now: When.
        rule: How fast.
        limit: The target's own limit, in attempts per second; None for none.
        before: The rate before the outage, in attempts per second; None when it is not known.
        refused: The rate at which the target asked to be left alone, in attempts per second; None when it was down, or
            held by a person.
    """
    top = rule.ceiling_per_second if limit is None else limit
    reference = limit if limit is not None else before or 0.0
    first = min(rule.first_per_second, top)
    share = rule.first_share * reference if refused is None else refused / 2
    base = min(top, max(first, share))
    return Ramp(base, now, top, first, rule.doubling_seconds, now, too_high=refused or None)


def step(ramp: Ramp, window: Window, now: datetime, rule: RampRule, backlog: int) -> Ramp | Ended:
    """Move a ramp on.

    Args:
        ramp: The ramp as it is.
        window: How the target has answered lately.
        now: When.
        rule: How fast.
        backlog: How many tasks wait to be released.

    Returns:
        The ramp as it is from now on, or that it is over.
    """
    totals = window.totals(now, rule.window_seconds, ramp.since)
    share = totals.failure_ratio
    failing = totals.count >= rule.minimum and share > max(rule.failure_ratio, ramp.tolerated)
    if failing and now >= ramp.since + timedelta(seconds=rule.window_seconds):
        return _answered(ramp, share, totals.count, now)
    if backlog <= 0:
        return Ended("nothing is left that waits")
    if not failing and ramp.rate(now) >= ramp.limit:
        return Ended(f"the rate has reached its limit of {ramp.limit:g} per second")
    return ramp


def _answered(ramp: Ramp, share: float, count: int, now: datetime) -> Ramp:
    """Answer a share of failures that is too high: by half the rate, or by bearing it when half the rate is no cure."""
    rate = ramp.rate(now)
    half = max(ramp.first, rate / 2)
    slower = ramp.too_high is not None and rate <= _LOWER * ramp.too_high
    unlessened = ramp.halvings > 0 and slower and share >= _LOWER * ramp.halved_at
    at_the_bottom = half > _LOWER * rate
    doubt = 2 * math.sqrt(share * (1 - share) / count)  # two standard errors
    if share - doubt < MOST_TOLERATED and (unlessened or at_the_bottom):
        return replace(ramp, base=rate, since=now, too_high=None, tolerated=min(MOST_TOLERATED, share + doubt))
    return replace(ramp, base=half, since=now, halvings=ramp.halvings + 1, too_high=rate, halved_at=share)
