from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redrive.core.errors import InvalidPolicy
from redrive.core.pacing import Limit, average, concurrency, reserve, reserve_all

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)

rates = st.floats(0.01, 5000)
bursts = st.integers(1, 20)
arrivals = st.lists(st.tuples(st.floats(0, 30), st.integers(1, 8)), min_size=1, max_size=15)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def given_slots(rate: float, burst: int, batches: list[tuple[float, int]]) -> list[tuple[datetime, datetime]]:
    """When each task asked, and what it was given."""
    tat, now, given_out = None, NOW, list[tuple[datetime, datetime]]()
    for seconds, count in batches:
        now += timedelta(seconds=seconds)
        tat, slots = reserve(tat, rate, burst, now, count)
        given_out += [(now, slot) for slot in slots]
    return given_out


class TestSlots:
    def test_what_comes_at_once_is_spread_evenly(self) -> None:
        tat, slots = reserve(None, 10, 1, NOW, 4)

        assert slots == (NOW, after(0.1), after(0.2), after(0.3))
        assert tat == after(0.4)

    def test_the_next_who_asks_goes_on_where_the_last_ended(self) -> None:
        tat, _ = reserve(None, 10, 1, NOW, 4)

        assert reserve(tat, 10, 1, after(0.05)) == (after(0.5), (after(0.4),))

    def test_a_burst_may_come_at_once_after_a_quiet_time(self) -> None:
        _, slots = reserve(after(-1000), 10, 3, NOW, 5)

        assert slots == (NOW, NOW, NOW, after(0.1), after(0.2))

    def test_a_quiet_time_saves_no_more_than_the_burst(self) -> None:
        assert reserve(after(-1000), 10, 3, NOW, 9) == reserve(None, 10, 3, NOW, 9)

    @given(rates, bursts, arrivals)
    def test_no_slot_is_in_the_past_and_who_asks_later_goes_later(
        self, rate: float, burst: int, batches: list[tuple[float, int]]
    ) -> None:
        given_out = given_slots(rate, burst, batches)

        assert all(slot >= asked for asked, slot in given_out)
        slots = [slot for _, slot in given_out]
        assert slots == sorted(slots)

    @given(rates, bursts, arrivals)
    def test_no_span_of_time_has_more_slots_than_burst_and_rate_allow(
        self, rate: float, burst: int, batches: list[tuple[float, int]]
    ) -> None:
        slots = [slot for _, slot in given_slots(rate, burst, batches)]

        for index, first in enumerate(slots):
            for later in range(index, len(slots)):
                span = (slots[later] - first).total_seconds()
                assert later - index + 1 <= burst + rate * span + 1e-6 * (1 + rate)

    @given(rates, bursts, st.integers(1, 50))
    def test_a_backlog_is_served_at_the_full_rate(self, rate: float, burst: int, count: int) -> None:
        """Nothing is wasted: the last of a batch waits no longer than the rate demands."""
        _, slots = reserve(None, rate, burst, NOW, count)

        waited = (slots[-1] - NOW).total_seconds()
        assert waited <= max(0, count - burst) / rate + 2e-6

    @given(rates, bursts, st.lists(st.integers(1, 6), min_size=1, max_size=6))
    def test_it_does_not_matter_in_how_many_batches_the_tasks_ask(
        self, rate: float, burst: int, counts: list[int]
    ) -> None:
        tat, apart = None, list[datetime]()
        for count in counts:
            tat, slots = reserve(tat, rate, burst, NOW, count)
            apart += slots

        _, together = reserve(None, rate, burst, NOW, sum(counts))

        # Each batch rounds up to the microsecond once.
        pairs = zip(apart, together, strict=True)
        assert all(abs((one - other).total_seconds()) <= 1e-6 * len(counts) for one, other in pairs)


class TestSeveralLimits:
    def test_the_latest_slot_wins(self) -> None:
        _, slots = reserve_all([None, None], [Limit(10), Limit(1)], NOW, 3)

        assert slots == (NOW, after(1), after(2))

    def test_a_slow_scene_does_not_push_its_group_away(self) -> None:
        """A thousand tasks of the scene wait for a quarter of an hour; the group's others go on at the group's rate."""
        tats, _ = reserve_all([None, None], [Limit(100), Limit(1)], NOW, 1000)

        _, slots = reserve_all([tats[0]], [Limit(100)], NOW, 1)

        assert slots == (after(10),)

    @given(st.lists(st.tuples(rates, bursts), min_size=1, max_size=4), arrivals)
    def test_no_limit_gives_a_slot_earlier_than_it_would_alone(
        self, limits: list[tuple[float, int]], batches: list[tuple[float, int]]
    ) -> None:
        made = [Limit(rate, burst) for rate, burst in limits]
        tats: Sequence[datetime | None] = [None] * len(made)
        merged, now = list[datetime](), NOW
        for seconds, count in batches:
            now += timedelta(seconds=seconds)
            new, slots = reserve_all(tats, made, now, count)
            tats, merged = new, [*merged, *slots]

        alone = [[slot for _, slot in given_slots(rate, burst, batches)] for rate, burst in limits]
        assert merged == [max(slots) for slots in zip(*alone, strict=True)]

    def test_without_a_limit_everything_may_go_at_once(self) -> None:
        assert reserve_all([], [], NOW, 2) == ((), (NOW, NOW))


class TestConcurrency:
    @given(st.integers(1, 50), st.floats(0.05, 100), st.integers(1, 200))
    def test_attempts_of_average_length_are_about_as_many_at_a_time_as_there_are_permits(
        self, permits: int, seconds: float, count: int
    ) -> None:
        limit = concurrency(permits, seconds)

        _, slots = reserve(None, limit.rate, limit.burst, NOW, count)

        for index, slot in enumerate(slots):
            begun_before = index + 1 - bisect_right(slots, slot - timedelta(seconds=seconds))
            assert begun_before <= 2 * permits

    def test_in_the_long_run_the_estimate_is_exact(self) -> None:
        limit = concurrency(4, 2)

        assert limit == Limit(2, 4)

    def test_attempts_that_take_no_time_are_not_limited_to_nothing(self) -> None:
        assert concurrency(10, 0).rate == 10_000

    def test_the_average_follows_what_attempts_take(self) -> None:
        assert average(None, 3) == 3
        assert average(3, 100, 0) == 3
        assert average(10, 20) == pytest.approx(11)
        assert average(10, 20, 100) == pytest.approx(20, rel=1e-3)

    @given(st.floats(0, 1e4), st.floats(0, 1e4), st.integers(1, 10**6))
    def test_the_average_stays_between_what_was_and_what_is(self, before: float, seconds: float, count: int) -> None:
        low, high = sorted([before, seconds])

        assert low - 1e-9 <= average(before, seconds, count) <= high + 1e-9 * (1 + high)


@pytest.mark.parametrize(("rate", "burst"), [(0, 1), (-1, 1), (1e6, 1), (float("nan"), 1), (1, 0), (1, 10**7)])
def test_an_impossible_limit_is_refused(rate: float, burst: int) -> None:
    with pytest.raises(InvalidPolicy):
        Limit(rate, burst)


def test_the_time_between_slots_is_the_inverse_of_the_rate() -> None:
    assert Limit(4).interval_seconds == 0.25
