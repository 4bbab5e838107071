from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.core.strategies import (
    backoffs,
    cron_backoffs,
    exponential_backoffs,
    fixed_backoffs,
    instants,
    level_backoffs,
    linear_backoffs,
    numbers,
    random_backoffs,
    seconds,
    seeds,
)

from redrive.core.backoff import base_seconds, cap_seconds, decorrelated, in_seconds, next_delay, spread
from redrive.core.policy import (
    DELAY_LEVEL_TABLES,
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

NOW = datetime(2026, 1, 1, tzinfo=UTC)

# The tables of easy-retry 1.5.0 and SnailJob 2.0.2 (`WaitStrategies`), as their documentation prints them.
EASY_RETRY_LEVELS = "5s,10s,15s,30s,40s,50s,1m,2m,3m,4m,5m,10m,15m,30m,1h,2h,3h,6h,12h,18h,24h,30h,34h,40h,46h,50h"
SNAILJOB_LEVELS = "10s,15s,30s,35s,40s,50s,1m,2m,4m,6m,8m,10m,20m,40m,1h,2h,3h,4h,5h,6h,7h,8h,9h,10h,11h,12h"


def base(backoff: Backoff, number: int, seed: int = 0) -> float:
    return base_seconds(backoff, number, NOW, Random(seed))


def levels(text: str) -> tuple[float, ...]:
    return tuple(int(level[:-1]) * {"s": 1, "m": 60, "h": 3600}[level[-1]] for level in text.split(","))


class TestBase:
    def test_fixed_is_the_same_for_every_attempt(self) -> None:
        assert [base(FixedBackoff(delay_seconds=7.5), number) for number in (1, 2, 10_000)] == [7.5, 7.5, 7.5]

    def test_linear_adds_its_increment_until_the_cap(self) -> None:
        backoff = LinearBackoff(initial_seconds=2, increment_seconds=3, max_seconds=10)

        assert [base(backoff, number) for number in range(1, 6)] == [2, 5, 8, 10, 10]

    def test_exponential_multiplies_until_the_cap(self) -> None:
        backoff = ExponentialBackoff(initial_seconds=1, multiplier=3, max_seconds=50)

        assert [base(backoff, number) for number in range(1, 7)] == [1, 3, 9, 27, 50, 50]

    def test_the_last_delay_level_repeats(self) -> None:
        assert [base(DelayLevelsBackoff(levels=(1, 5, 9)), number) for number in (1, 2, 3, 4, 10_000)] == [
            1,
            5,
            9,
            9,
            9,
        ]

    @pytest.mark.parametrize(
        ("table", "printed"), [("easy-retry-1.5.0", EASY_RETRY_LEVELS), ("snailjob-2.0.2", SNAILJOB_LEVELS)]
    )
    def test_a_named_table_has_the_values_of_the_original(self, table: str, printed: str) -> None:
        assert len(DELAY_LEVEL_TABLES[table]) == 26
        assert DELAY_LEVEL_TABLES[table] == levels(printed)

    def test_a_named_table_is_used_level_by_level(self) -> None:
        backoff = DelayLevelsBackoff(levels="easy-retry-1.5.0")

        assert [base(backoff, number) for number in range(1, 27)] == list(levels(EASY_RETRY_LEVELS))
        assert base(backoff, 27) == 50 * 3600

    @pytest.mark.parametrize(
        ("table", "hours_of_21", "hours_of_26"), [("easy-retry-1.5.0", 67.2, 267), ("snailjob-2.0.2", 29.6, 79.6)]
    )
    def test_the_tables_add_up_to_the_published_totals(
        self, table: str, hours_of_21: float, hours_of_26: float
    ) -> None:
        """A second source for the same numbers: a slip in one level would show in the sums."""
        delays = DELAY_LEVEL_TABLES[table]

        assert sum(delays[:21]) / 3600 == pytest.approx(hours_of_21, abs=0.1)
        assert sum(delays) / 3600 == pytest.approx(hours_of_26, abs=0.5)

    @given(random_backoffs(), seeds)
    def test_random_stays_between_its_bounds(self, backoff: RandomBackoff, seed: int) -> None:
        assert backoff.min_seconds <= base(backoff, 1, seed) <= backoff.max_seconds

    def test_random_uses_all_of_its_range(self) -> None:
        drawn = [base(RandomBackoff(min_seconds=10, max_seconds=20), 1, seed) for seed in range(500)]

        assert 10 <= min(drawn) < 10.5
        assert 19.5 < max(drawn) <= 20

    @given(cron_backoffs, instants)
    def test_cron_leads_to_a_later_instant(self, backoff: CronBackoff, now: datetime) -> None:
        assert base_seconds(backoff, 1, now, Random(0)) > 0

    @given(st.one_of(fixed_backoffs, linear_backoffs(), exponential_backoffs()), numbers)
    def test_a_later_attempt_never_waits_less_before_jitter(self, backoff: Backoff, number: int) -> None:
        assert base(backoff, number) <= base(backoff, number + 1)

    @given(st.one_of(linear_backoffs(), exponential_backoffs()), numbers)
    def test_growth_begins_at_the_initial_delay_and_ends_at_the_cap(
        self, backoff: LinearBackoff | ExponentialBackoff, number: int
    ) -> None:
        assert base(backoff, 1) == backoff.initial_seconds
        assert backoff.initial_seconds <= base(backoff, number) <= backoff.max_seconds

    @pytest.mark.parametrize("number", [10_000, 1_000_000])
    @pytest.mark.parametrize("initial", [5, 1e-300, 5e-324])
    @pytest.mark.parametrize("multiplier", [2, 1000, 1.0001])
    def test_exponential_survives_any_attempt(self, number: int, initial: float, multiplier: float) -> None:
        """2.0 ** 10,000 does not fit a float; the ratio of the cap to a tiny initial delay does not either."""
        backoff = ExponentialBackoff(initial_seconds=initial, multiplier=multiplier)

        assert 0 < base(backoff, number) <= 3600

    def test_exponential_from_nothing_stays_nothing(self) -> None:
        assert base(ExponentialBackoff(initial_seconds=0), 1_000_000) == 0

    def test_exponential_with_multiplier_one_stays_at_its_initial_delay(self) -> None:
        assert base(ExponentialBackoff(initial_seconds=5, multiplier=1), 1_000_000) == 5


class TestJitter:
    @given(seconds, seeds)
    def test_full_lies_between_nothing_and_the_delay(self, delay: float, seed: int) -> None:
        assert 0 <= spread(FullJitter(), delay, Random(seed)) <= delay

    @given(seconds, seeds)
    def test_equal_lies_in_the_upper_half_of_the_delay(self, delay: float, seed: int) -> None:
        assert delay / 2 <= spread(EqualJitter(), delay, Random(seed)) <= delay

    @given(seconds, seeds, st.floats(0.001, 1))
    def test_proportional_lies_within_its_ratio_of_the_delay(self, delay: float, seed: int, ratio: float) -> None:
        drawn = spread(ProportionalJitter(ratio=ratio), delay, Random(seed))

        assert max(0, 1 - ratio) * delay * 0.999_999 <= drawn <= (1 + ratio) * delay * 1.000_001

    @given(seconds, seconds, st.none() | seconds, seeds)
    def test_decorrelated_lies_between_the_first_delay_and_the_cap(
        self, one: float, other: float, previous: float | None, seed: int
    ) -> None:
        first, cap = sorted([one, other])

        drawn = decorrelated(first, cap, previous, Random(seed))

        assert first <= drawn <= cap
        assert drawn <= max(first, 3 * (first if previous is None else previous)) * 1.000_001

    @pytest.mark.parametrize("jitter", [FullJitter(), EqualJitter(), ProportionalJitter(ratio=0.5)])
    def test_jitter_spreads(self, jitter: FullJitter | EqualJitter | ProportionalJitter) -> None:
        """Bounds alone would also hold for a jitter that does nothing."""
        random = Random(1)
        low, high = {"full": (0, 100), "equal": (50, 100), "proportional": (50, 150)}[jitter.kind]

        drawn = [spread(jitter, 100, random) for _ in range(2000)]

        assert min(drawn) < low + 0.02 * (high - low)
        assert max(drawn) > high - 0.02 * (high - low)
        assert sum(drawn) / len(drawn) == pytest.approx((low + high) / 2, rel=0.05)

    def test_decorrelated_grows_with_the_previous_delay(self) -> None:
        random = Random(1)

        after_short = [decorrelated(1, 1000, 2, random) for _ in range(500)]
        after_long = [decorrelated(1, 1000, 200, random) for _ in range(500)]

        assert max(after_short) <= 6
        assert max(after_long) > 500


class TestNextDelay:
    @given(backoffs, numbers, instants, seeds, st.none() | seconds)
    def test_a_delay_is_never_negative_and_never_above_the_cap(
        self, backoff: Backoff, number: int, now: datetime, seed: int, previous: float | None
    ) -> None:
        delay = next_delay(backoff, number, now, Random(seed), previous)

        assert delay.seconds >= 0
        assert delay.base_seconds >= 0
        cap = cap_seconds(backoff)
        assert cap is None or delay.seconds <= cap
        assert now + timedelta(seconds=delay.seconds) >= now

    @given(backoffs, numbers, instants, seeds, st.none() | seconds)
    def test_the_same_seed_gives_the_same_delay(
        self, backoff: Backoff, number: int, now: datetime, seed: int, previous: float | None
    ) -> None:
        """A workflow that is replayed must come to the same timer."""
        one = next_delay(backoff, number, now, Random(seed), previous)
        other = next_delay(backoff, number, now, Random(seed), previous)

        assert one == other

    @pytest.mark.parametrize("number", [10_000, 1_000_000])
    @pytest.mark.parametrize(
        "backoff",
        [
            FixedBackoff(),
            LinearBackoff(jitter=DecorrelatedJitter()),
            ExponentialBackoff(),
            ExponentialBackoff(jitter=DecorrelatedJitter()),
            DelayLevelsBackoff(),
            RandomBackoff(),
            CronBackoff(),
        ],
        ids=lambda backoff: f"{backoff.kind}-{backoff.jitter.kind}",
    )
    def test_every_kind_survives_any_attempt(self, backoff: Backoff, number: int) -> None:
        assert 0 <= next_delay(backoff, number, NOW, Random(0), 1e6).seconds < 1e6

    @given(cron_backoffs, instants, seeds)
    def test_jitter_never_runs_before_the_time_that_cron_names(
        self, backoff: CronBackoff, now: datetime, seed: int
    ) -> None:
        delay = next_delay(backoff, 1, now, Random(seed))

        ratio = backoff.jitter.ratio if isinstance(backoff.jitter, ProportionalJitter) else 0
        assert delay.base_seconds <= delay.seconds <= delay.base_seconds * (1 + ratio) * 1.000_001

    @given(level_backoffs, numbers, seeds)
    def test_no_jitter_leaves_the_delay_alone(self, backoff: DelayLevelsBackoff, number: int, seed: int) -> None:
        bare = DelayLevelsBackoff(levels=backoff.levels, jitter=NoJitter())

        assert next_delay(bare, number, NOW, Random(seed)).seconds == base(bare, number)

    def test_decorrelated_delays_wander_between_the_first_and_the_cap(self) -> None:
        backoff = ExponentialBackoff(initial_seconds=1, max_seconds=60, jitter=DecorrelatedJitter())
        random, previous, seen = Random(3), None, list[float]()

        for number in range(1, 200):
            previous = next_delay(backoff, number, NOW, random, previous).seconds
            seen.append(previous)

        assert all(after <= max(1, 3 * before) for before, after in pairwise(seen))
        assert min(seen) < 5
        assert max(seen) == 60

    @pytest.mark.parametrize(
        ("backoff", "why"),
        [
            (FixedBackoff(delay_seconds=60, jitter=NoJitter()), "fixed 60 s"),
            (LinearBackoff(jitter=NoJitter()), "linear 5 s + 5 s × 2 = 15 s"),
            (ExponentialBackoff(jitter=NoJitter()), "exponential 5 s × 2^2 = 20 s"),
            (ExponentialBackoff(max_seconds=7, jitter=NoJitter()), "exponential 5 s × 2^2 = 7 s (the cap)"),
            (DelayLevelsBackoff(jitter=NoJitter()), "delay level 3 of snailjob-2.0.2: 30 s"),
            (DelayLevelsBackoff(levels=(1, 2.5), jitter=NoJitter()), "delay level 2: 2.5 s"),
            (RandomBackoff(min_seconds=4, max_seconds=4), "random between 4 s and 4 s: 4 s"),
            (
                CronBackoff(expression="0 12 * * *", timezone="Asia/Kolkata"),
                "cron '0 12 * * *' in Asia/Kolkata: 23400 s",
            ),
        ],
    )
    def test_the_reason_shows_the_formula_and_its_result(self, backoff: Backoff, why: str) -> None:
        assert next_delay(backoff, 3, NOW, Random(0)).why == why

    @given(backoffs, numbers, seeds)
    def test_the_reason_ends_with_the_delay_that_is_waited(self, backoff: Backoff, number: int, seed: int) -> None:
        delay = next_delay(backoff, number, NOW, Random(seed))

        assert delay.why.removesuffix(" (the cap)").endswith(in_seconds(delay.seconds))


@pytest.mark.parametrize(
    ("seconds_", "text"), [(0, "0 s"), (0.25, "0.25 s"), (100, "100 s"), (2_592_000, "2592000 s"), (1e-9, "0 s")]
)
def test_a_duration_is_written_without_exponent_or_trailing_zeros(seconds_: float, text: str) -> None:
    assert in_seconds(seconds_) == text
