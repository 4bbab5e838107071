import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redrive.core.errors import InvalidDocument
from redrive.core.window import Totals, Window, merge_all, parse_window

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)

ages = st.floats(0, 200)
outcomes = st.lists(st.tuples(ages, st.integers(0, 5), st.integers(0, 5)), max_size=20)


def before(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def window_of(counted: list[tuple[float, int, int]]) -> Window:
    window = Window()
    for age, succeeded, failed in counted:
        window = window.add(before(age), succeeded=succeeded, failed=failed)
    return window


windows = outcomes.map(window_of)


class TestCounting:
    def test_the_current_second_and_those_before_it_count(self) -> None:
        window = Window().add(NOW, failed=1).add(before(59), failed=1).add(before(60), failed=1)

        assert window.totals(NOW, 60) == Totals(0, 2)

    def test_a_second_in_which_nothing_happened_has_no_bucket(self) -> None:
        assert Window().add(NOW).buckets == ()

    def test_what_happened_before_a_given_moment_or_in_its_second_can_be_left_out(self) -> None:
        """So the failures that opened a breaker do not open it again as soon as it has closed."""
        window = Window().add(before(10), failed=3).add(before(5), failed=2).add(before(4), failed=1)

        assert window.totals(NOW, 60, since=before(4.5)) == Totals(0, 1)

    def test_a_worker_whose_clock_is_slightly_ahead_is_heard(self) -> None:
        assert Window().add(NOW + timedelta(seconds=2), failed=1).totals(NOW, 60) == Totals(0, 1)

    @given(outcomes, st.integers(1, 120))
    def test_the_totals_are_the_sums_of_what_is_young_enough(
        self, counted: list[tuple[float, int, int]], seconds: int
    ) -> None:
        young = [item for item in counted if before(item[0]).timestamp() >= NOW.timestamp() - seconds + 1]

        totals = window_of(counted).totals(NOW, seconds)

        assert totals == Totals(sum(item[1] for item in young), sum(item[2] for item in young))

    @given(windows, st.integers(1, 120))
    def test_trimming_changes_no_total_of_the_same_length(self, window: Window, seconds: int) -> None:
        trimmed = window.trim(NOW, seconds)

        assert trimmed.totals(NOW, seconds) == window.totals(NOW, seconds)
        assert len(trimmed.buckets) <= 2 * seconds

    def test_a_clock_that_is_far_ahead_leaves_nothing_behind(self) -> None:
        assert Window().add(NOW + timedelta(days=1), failed=1).trim(NOW, 60) == Window()


class TestMerging:
    @given(windows, windows, windows)
    def test_it_does_not_matter_who_adds_first(self, a: Window, b: Window, c: Window) -> None:
        assert a.merge(b) == b.merge(a)
        assert a.merge(b).merge(c) == a.merge(b.merge(c)) == merge_all([c, a, b])

    @given(windows)
    def test_nothing_added_changes_nothing(self, window: Window) -> None:
        assert window.merge(Window()) == window == Window().merge(window)

    @given(outcomes, st.integers(1, 4))
    def test_many_workers_together_count_what_one_would_have_counted(
        self, counted: list[tuple[float, int, int]], workers: int
    ) -> None:
        shares = [window_of(counted[worker::workers]) for worker in range(workers)]

        assert merge_all(shares) == window_of(counted)

    @given(windows)
    def test_there_is_one_bucket_per_second_in_the_order_of_time(self, window: Window) -> None:
        seconds = [second for second, _, _ in window.buckets]

        assert seconds == sorted(set(seconds))


class TestDocuments:
    @given(windows)
    def test_a_window_survives_json(self, window: Window) -> None:
        assert parse_window(json.loads(json.dumps(window.render()))) == window

    @pytest.mark.parametrize("bucket", [[1, 2], [1, 2, 3, 4], [1, -1, 0], [1, 0, -1], [1, 0.5, 0], [1, True, 0]])
    def test_what_is_no_bucket_is_refused_with_its_place(self, bucket: Any) -> None:
        with pytest.raises(InvalidDocument, match=r"window\[1\]: expected \[second, succeeded, failed\]"):
            parse_window([[1, 0, 0], bucket])


def test_the_failure_ratio_of_nothing_is_zero() -> None:
    assert Totals().failure_ratio == 0
    assert Totals(1, 3).failure_ratio == 0.75
