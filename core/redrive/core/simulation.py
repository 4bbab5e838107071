"""What a policy does before anybody lives with it: its schedule, the outages it survives, the load it causes.

The model. A call fails at second 0 and is reported. Attempt `n` starts at

    S(n) = D(1) + … + D(n) + (n − 1) × a

where `D(k)` is the delay before attempt `k` with its jitter (`redrive.core.backoff`) and `a` is how long an attempt
takes to fail, at most the policy's time-out. No attempt starts after the limit, the smaller of `max_elapsed_seconds`
and the task's deadline. An outage of length `T` begins at second 0: attempts that start before `T` fail, and the first
one that starts at or after `T` succeeds. With `L` the start of a task's last possible attempt, the chance to survive is

    survival(T) = P(L ≥ T)

Bounds of the schedule are exact sums of the bounds of each delay (for cron with jitter the upper one is a bound that
need not be reached). A median is exact while all delays are spread evenly around their middle, since their sum is then
symmetric too; otherwise, and for everything that counts tasks, up to 10,000 simulated lives are drawn. A share that was
counted over `M` lives is off by at most `√(ln 40 ÷ 2M)` with 95 % confidence (Hoeffding's inequality): 1.4 percentage
points for 10,000, and nothing at all when the policy leaves nothing to chance, in which case there is one life.

Not modelled: `Retry-After`, classification, parking, limits and priorities, all of which depend on the target.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final, TypeAlias

from redrive.core.backoff import base_seconds, cap_seconds
from redrive.core.cron import next_time
from redrive.core.errors import InvalidDocument
from redrive.core.policy import (
    MAX_SECONDS,
    Backoff,
    CronBackoff,
    DecorrelatedJitter,
    EqualJitter,
    ExponentialBackoff,
    FullJitter,
    Jitter,
    LinearBackoff,
    NoJitter,
    Policy,
    ProportionalJitter,
    RandomBackoff,
)

MOST_ATTEMPTS: Final = 1_000
"""Attempts of one life that are looked at. A policy may allow a million; what follows the thousandth looks like it."""

MOST_TASKS: Final = 10_000_000

_MOST_LIVES: Final = 10_000
_FEWEST_LIVES: Final = 200
_DRAWS: Final = 120_000
"""Random delays of one simulation: about 0.1 s of Python, and 10,000 lives of the default policy's 12 attempts."""

# Finding the next time of a cron expression takes up to half a millisecond.
_MOST_CRON_ATTEMPTS: Final = 100
_CRON_DRAWS: Final = 1_200

_MOST_BUCKETS: Final = 60
_NICE_SECONDS: Final = (
    0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400,
)  # fmt: skip
_CHANCES: Final = (0.99, 0.95, 0.9, 0.75, 0.5, 0.25, 0.1, 0.05, 0.01)
_ENOUGH_IN_A_PEAK: Final = 100

_EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)

_FOREVER: Final = 1e11
"""Seconds, three thousand years: later than any attempt that is looked at."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What happens to the target, and to how many tasks.

    Attributes:
        outage_seconds: How long the target is down, from the failure of all tasks on, in seconds.
        tasks: How many tasks failed at that moment.
        attempt_seconds: How long an attempt takes, in seconds; the policy's time-out cuts it.
        deadline_seconds: When the tasks are worthless, in seconds from their failure; None for never.
        starts_at: The moment of the failure; only a cron backoff looks at it.
    """

    outage_seconds: float = 600
    tasks: int = 1_000
    attempt_seconds: float = 1
    deadline_seconds: float | None = None
    starts_at: datetime = _EPOCH

    def __post_init__(self) -> None:
        for name in ("outage_seconds", "attempt_seconds", "deadline_seconds"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= MAX_SECONDS:
                raise InvalidDocument(name, f"expected seconds from 0 to {MAX_SECONDS:.0f}, got {value!r}")
        if not 1 <= self.tasks <= MOST_TASKS:
            raise InvalidDocument("tasks", f"expected a whole number from 1 to {MOST_TASKS}, got {self.tasks!r}")


@dataclass(frozen=True, slots=True)
class Span:
    """When something happens, in seconds from the report: at the earliest, for half of the tasks, at the latest."""

    earliest_seconds: float
    median_seconds: float
    latest_seconds: float


@dataclass(frozen=True, slots=True)
class PlannedAttempt:
    """One attempt of the schedule, if all before it failed.

    Attributes:
        number: From 1.
        starts: When it starts, cut off at the limit of the task's life.
        shortest_delay_seconds: The shortest delay before it, in seconds from the end of the one before.
        longest_delay_seconds: The longest.
        reached: Share of tasks that start it within the limit.
    """

    number: int
    starts: Span
    shortest_delay_seconds: float
    longest_delay_seconds: float
    reached: float


@dataclass(frozen=True, slots=True)
class SurvivalPoint:
    """A point of the survival curve.

    Attributes:
        chance: At least this share of the tasks survives …
        outage_seconds: … an outage of this length, in seconds, and of every shorter one.
    """

    chance: float
    outage_seconds: float


@dataclass(frozen=True, slots=True)
class Bucket:
    """The load in one stretch of time.

    Attributes:
        starts_seconds: Its beginning, in seconds from the failure.
        requests: Attempts that start in it, of all tasks together.
        requests_per_second: Their mean rate.
    """

    starts_seconds: float
    requests: float
    requests_per_second: float


@dataclass(frozen=True, slots=True)
class Peak:
    """The busiest moment.

    Attributes:
        at_seconds: The beginning of its window, in seconds from the failure.
        requests_per_second: The mean rate within the window.
        window_seconds: Length of the window: 1 s, or more where few simulated lives stand for many tasks.
        relative_error: The rate is off by at most this share with 95 % confidence; 0 when every task was simulated.
    """

    at_seconds: float
    requests_per_second: float
    window_seconds: float
    relative_error: float


@dataclass(frozen=True, slots=True)
class Load:
    """What the tasks do to the target.

    Attributes:
        bucket_seconds: Length of a bucket, in seconds.
        buckets: The load over time, from the failure to the last attempt.
        attempts: Attempts of all tasks together; the sum over the buckets.
        amplification: Attempts per task.
        peak: The busiest moment; None when there is no attempt.
        peak_after_outage: The busiest moment from the outage's end on: what greets a target that has just come back.
    """

    bucket_seconds: float
    buckets: tuple[Bucket, ...]
    attempts: float
    amplification: float
    peak: Peak | None
    peak_after_outage: Peak | None


@dataclass(frozen=True, slots=True)
class Simulation:
    """What a policy does in a scenario.

    Attributes:
        scenario: The scenario.
        attempts: The schedule if nothing ever succeeds.
        total: When the last attempt has failed; 0 for a task that has none. Where a limit cuts some lives short, the
            earliest is the earliest of the simulated lives.
        survival: Share of tasks that survive the scenario's outage.
        lost_tasks: Tasks that do not, of all.
        survival_curve: Outages that a given share of the tasks survives.
        load: What the tasks do to the target in the scenario.
        lives: Simulated lives; 1 when nothing is left to chance.
        share_error: Each share is off by at most this much with 95 % confidence.
        truncated: Whether the policy allows more attempts than were looked at. Survival is then a lower bound.
    """

    scenario: Scenario
    attempts: tuple[PlannedAttempt, ...]
    total: Span
    survival: float
    lost_tasks: float
    survival_curve: tuple[SurvivalPoint, ...]
    load: Load
    lives: int
    share_error: float
    truncated: bool


def simulate(policy: Policy, scenario: Scenario, random: Random) -> Simulation:
    """Tell what a policy does.

    The same policy, scenario and state of `random` give the same answer. It takes about 0.1 s for any number of tasks.

    Args:
        policy: The policy.
        scenario: What happens to the target.
        random: Source of randomness.
    """
    taken = min(scenario.attempt_seconds, policy.attempt_timeout_seconds)
    limit = _limit(policy, scenario)
    is_cron = isinstance(policy.backoff, CronBackoff)
    looked_at = min(policy.max_attempts, _MOST_CRON_ATTEMPTS if is_cron else MOST_ATTEMPTS)

    steps = _bounds(policy.backoff, looked_at, limit, taken, scenario.starts_at)
    columns = _draw(policy.backoff, steps, limit, taken, scenario.starts_at, random)
    lives = len(columns[0]) if columns else 1
    by_chance = lives > 1

    lasts = _lasts(columns, lives, limit)
    chance = _share_from(lasts, scenario.outage_seconds)
    return Simulation(
        scenario=scenario,
        attempts=_schedule(steps, columns, limit),
        total=_total(steps, lasts, limit, taken),
        survival=chance,
        lost_tasks=scenario.tasks * (1 - chance),
        survival_curve=_curve(lasts),
        load=_load(columns, lives, limit, scenario, by_chance=by_chance),
        lives=lives,
        share_error=math.sqrt(math.log(40) / (2 * lives)) if by_chance else 0.0,
        truncated=policy.max_attempts > looked_at and len(steps) == looked_at,
    )


# --- Bounds of the schedule -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Step:
    """Bounds of one delay and of the attempt after it; `even` when the delay is spread evenly around its middle."""

    low: float
    high: float
    earliest: float
    latest: float
    even: bool


def _limit(policy: Policy, scenario: Scenario) -> float:
    limits = (policy.max_elapsed_seconds, scenario.deadline_seconds)
    return min((limit for limit in limits if limit is not None), default=_FOREVER)


def _bounds(backoff: Backoff, attempts: int, limit: float, taken: float, starts_at: datetime) -> list[_Step]:
    """Bound the start of each attempt that can start within the limit."""
    steps: list[_Step] = []
    earliest = latest = -taken
    highest = 0.0  # of the delay before; only decorrelated jitter looks at it
    for number in range(1, attempts + 1):
        ended_earliest, ended_latest = earliest + taken, latest + taken
        if isinstance(backoff, CronBackoff):
            earliest, latest = _cron_bounds(backoff, starts_at, ended_earliest, ended_latest, limit)
            low, high = earliest - ended_earliest, latest - ended_earliest
            even = isinstance(backoff.jitter, NoJitter)
        else:
            low, high, even = _delay_bounds(backoff, number, highest)
            earliest, latest, highest = ended_earliest + low, ended_latest + high, high
        if earliest > limit:
            break
        steps.append(_Step(low, high, earliest, latest, even))
    return steps


def _delay_bounds(backoff: Backoff, number: int, previous_high: float) -> tuple[float, float, bool]:
    if isinstance(backoff.jitter, DecorrelatedJitter):
        first, longest = _growing(backoff)
        return first, min(longest, 3 * (first if number == 1 else previous_high)), False
    if isinstance(backoff, RandomBackoff):
        low, _ = _spread_bounds(backoff.jitter, backoff.min_seconds)
        _, high = _spread_bounds(backoff.jitter, backoff.max_seconds)
        return low, min(high, backoff.max_seconds), isinstance(backoff.jitter, NoJitter)
    base = _base(backoff, number)
    low, high = _spread_bounds(backoff.jitter, base)
    cap = cap_seconds(backoff)
    return (low, high, True) if cap is None or high <= cap else (min(low, cap), cap, False)


def _spread_bounds(jitter: Jitter, seconds: float) -> tuple[float, float]:
    match jitter:
        case FullJitter():
            return 0.0, seconds
        case EqualJitter():
            return seconds / 2, seconds
        case ProportionalJitter():
            return seconds * (1 - jitter.ratio), seconds * (1 + jitter.ratio)
        case _:
            return seconds, seconds


def _base(backoff: Backoff, number: int) -> float:
    """Tell the delay before jitter of a strategy that looks neither at the clock nor at chance."""
    return base_seconds(backoff, number, _EPOCH, Random(0))  # noqa: S311 - not asked


def _growing(backoff: Backoff) -> tuple[float, float]:
    if isinstance(backoff, (LinearBackoff, ExponentialBackoff)):
        return backoff.initial_seconds, backoff.max_seconds
    raise AssertionError(f"{backoff.kind} refuses decorrelated jitter when it is made")


# --- Cron -------------------------------------------------------------------------------------------------------------


def _cron_offset(backoff: CronBackoff, starts_at: datetime, after: float) -> float:
    """Tell the next time that the expression names after an offset, as an offset, in seconds; infinite past the end."""
    try:
        named = next_time(backoff.expression, backoff.timezone, starts_at + timedelta(seconds=after))
    except (OverflowError, ValueError):  # the calendar ends before
        return math.inf
    return (named - starts_at).total_seconds()


def _cron_bounds(
    backoff: CronBackoff, starts_at: datetime, earliest: float, latest: float, limit: float
) -> tuple[float, float]:
    low = _cron_offset(backoff, starts_at, earliest)
    if isinstance(backoff.jitter, NoJitter):
        return low, low
    # Where the bound is past the limit, nobody asks how far.
    high = _cron_offset(backoff, starts_at, min(latest, limit)) if earliest <= limit else math.inf
    ratio = backoff.jitter.ratio if isinstance(backoff.jitter, ProportionalJitter) else 0.0
    return low, max(high, latest) + ratio * (max(high, latest) - earliest)


# --- Simulated lives --------------------------------------------------------------------------------------------------

_Column: TypeAlias = list[float]
"""One number for each simulated life, in seconds: the start of an attempt, its end, or the delay before it."""


def _draw(
    backoff: Backoff, steps: Sequence[_Step], limit: float, taken: float, starts_at: datetime, random: Random
) -> list[_Column]:
    """Draw the starts of each attempt, as if there were no limit, until no life reaches it."""
    certain = all(step.low == step.high for step in steps)
    draws, fewest = (_CRON_DRAWS, 12) if isinstance(backoff, CronBackoff) else (_DRAWS, _FEWEST_LIVES)
    lives = 1 if certain else min(_MOST_LIVES, max(fewest, draws // max(len(steps), 1)))
    columns: list[_Column] = []
    ended: _Column = [0.0] * lives
    delays: _Column = []
    for number, step in enumerate(steps, 1):
        delays = _delays(backoff, number, step, ended, delays, starts_at, random)
        column = [at + delay for at, delay in zip(ended, delays, strict=True)]
        if min(column) > limit:
            break
        columns.append(column)
        ended = [at + taken for at in column]
    return columns


def _delays(
    backoff: Backoff,
    number: int,
    step: _Step,
    ended: _Column,
    before: _Column,
    starts_at: datetime,
    random: Random,
) -> _Column:
    """Draw the delay before an attempt in each life, given the ends of the attempts before it and their delays."""
    uniform, draw, lives = random.uniform, random.random, range(len(ended))
    if isinstance(backoff, CronBackoff):
        ratio = backoff.jitter.ratio if isinstance(backoff.jitter, ProportionalJitter) else 0.0
        return [wait * (1 + ratio * draw()) for wait in _cron_waits(backoff, starts_at, ended)]
    if isinstance(backoff.jitter, DecorrelatedJitter):
        first, longest = _growing(backoff)
        return [min(longest, uniform(first, 3 * previous)) for previous in before or [first] * len(ended)]
    if isinstance(backoff, RandomBackoff) and not isinstance(backoff.jitter, NoJitter):
        low, high = backoff.min_seconds, backoff.max_seconds
        least, most = _spread_bounds(backoff.jitter, 1.0)
        return [min(high, uniform(low, high) * uniform(least, most)) for _ in lives]
    low, width, cap = step.low, step.high - step.low, cap_seconds(backoff)
    if width == 0:
        return [low] * len(ended)
    if step.even or cap is None:
        return [low + width * draw() for _ in lives]
    low, high = _spread_bounds(backoff.jitter, _base(backoff, number))
    return [min(cap, uniform(low, high)) for _ in lives]


def _cron_waits(backoff: CronBackoff, starts_at: datetime, ended: _Column) -> _Column:
    waits = [0.0] * len(ended)
    named = -1.0
    for life in sorted(range(len(ended)), key=ended.__getitem__):
        at = ended[life]
        if named <= at:  # ordered, so that lives that wait for the same moment ask for it once
            named = _cron_offset(backoff, starts_at, at)
        waits[life] = named - at
    return waits


def _lasts(columns: Sequence[_Column], lives: int, limit: float) -> _Column:
    """Tell the start of each life's last attempt within the limit, in order; −1 for a life without any."""
    lasts = [-1.0] * lives
    for column in columns:
        lasts = [at if at <= limit else last for at, last in zip(column, lasts, strict=True)]
    return sorted(lasts)


# --- What they say ----------------------------------------------------------------------------------------------------


def _schedule(steps: Sequence[_Step], columns: Sequence[_Column], limit: float) -> tuple[PlannedAttempt, ...]:
    attempts: list[PlannedAttempt] = []
    even, before = True, 0.0
    for number, (step, column) in enumerate(zip(steps, columns, strict=False), 1):
        even = even and step.even
        median = (step.earliest + step.latest) / 2 if even else _median(sorted(column))
        # Counted medians are not exact: they keep the order that they would have in truth.
        before = min(max(median, before, step.earliest), step.latest, limit)
        span = Span(step.earliest, before, min(step.latest, limit))
        reached = sum(at <= limit for at in column) / len(column)
        attempts.append(PlannedAttempt(number, span, step.low, step.high, reached))
    return tuple(attempts)


def _total(steps: Sequence[_Step], lasts: _Column, limit: float, taken: float) -> Span:
    if not steps:
        return Span(0.0, 0.0, 0.0)
    final = steps[-1]
    if final.latest > limit:
        first, middle = (last + taken if last >= 0 else 0.0 for last in (lasts[0], _median(lasts)))
        return Span(first, middle, limit + taken)
    even = all(step.even for step in steps)
    median = (final.earliest + final.latest) / 2 if even else _median(lasts)
    middle = min(max(median, final.earliest), final.latest)
    return Span(final.earliest + taken, middle + taken, final.latest + taken)


def _curve(lasts: _Column) -> tuple[SurvivalPoint, ...]:
    """Read the survival curve off: of `M` ordered last attempts, `M − i` are not before the one at index `i`."""
    points = ((chance, lasts[min(math.floor(len(lasts) * (1 - chance) + 1e-9), len(lasts) - 1)]) for chance in _CHANCES)
    return tuple(SurvivalPoint(chance, last) for chance, last in points if last >= 0)


def _share_from(lasts: _Column, outage: float) -> float:
    return (len(lasts) - bisect_left(lasts, outage)) / len(lasts)


def _load(columns: Sequence[_Column], lives: int, limit: float, scenario: Scenario, *, by_chance: bool) -> Load:
    """Let the tasks live through the outage, and count their attempts."""
    # Each simulated life stands for as many tasks; when there are fewer tasks than lives, each task is one life.
    played = min(lives, scenario.tasks)
    weight = scenario.tasks / played
    outage = scenario.outage_seconds
    starts: _Column = []
    alive: Sequence[int] = range(played)
    for column in columns:
        alive = [life for life in alive if column[life] <= limit]
        if not alive:
            break
        starts += (now := [column[life] for life in alive])
        alive = [life for life, at in zip(alive, now, strict=True) if at < outage]
    sampled = by_chance and weight > 1
    width, buckets = _buckets(starts, weight)
    return Load(
        bucket_seconds=width,
        buckets=buckets,
        attempts=len(starts) * weight,
        # Counted, since what is multiplied and divided again may come out above the attempts that a policy allows.
        amplification=len(starts) / played,
        peak=_peak(starts, weight, sampled=sampled),
        peak_after_outage=_peak([at for at in starts if at >= outage], weight, sampled=sampled),
    )


def _buckets(starts: _Column, weight: float) -> tuple[float, tuple[Bucket, ...]]:
    if not starts:
        return 1.0, ()
    last = max(starts)
    fitting = (width for width in _NICE_SECONDS if last / width < _MOST_BUCKETS)
    width = next(fitting, math.ceil((last + 1) / _MOST_BUCKETS / 86_400) * 86_400.0)
    counts = Counter(int(at / width) for at in starts)
    buckets = (
        Bucket(index * width, counts[index] * weight, counts[index] * weight / width)
        for index in range(int(last / width) + 1)
    )
    return float(width), tuple(buckets)


def _peak(starts: _Column, weight: float, *, sampled: bool) -> Peak | None:
    if not starts:
        return None
    window, counts = 1.0, Counter(int(at) for at in starts)
    # The busiest of many seconds with a handful of lives each is the luckiest, not the busiest.
    while sampled and len(counts) > 1 and max(counts.values()) < _ENOUGH_IN_A_PEAK:
        wider: Counter[int] = Counter()
        for index, count in counts.items():
            wider[index // 2] += count
        window, counts = window * 2, wider
    index = max(sorted(counts), key=counts.__getitem__)
    error = min(1.0, 1.96 / math.sqrt(counts[index])) if sampled else 0.0
    return Peak(index * window, counts[index] * weight / window, window, error)


def _median(ordered: _Column) -> float:
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
