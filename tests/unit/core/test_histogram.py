"""The histogram of durations: quantiles are off by no more than one bucket, at any scale."""

from __future__ import annotations

import statistics
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from redrive.core.histogram import LAST_BUCKET, bound_seconds, bucket_of, quantile_seconds

DURATIONS = st.floats(min_value=0.001, max_value=900_000)


@given(DURATIONS)
def test_a_duration_lies_between_the_bounds_of_its_bucket(seconds: float) -> None:
    bucket = bucket_of(seconds)

    assert seconds <= bound_seconds(bucket) * (1 + 1e-9)
    assert bucket == 0 or seconds >= bound_seconds(bucket - 1) * (1 - 1e-9)


def test_what_is_outside_of_the_scale_is_in_the_first_or_the_last_bucket() -> None:
    assert bucket_of(-5) == bucket_of(0) == bucket_of(0.001) == 0
    assert bucket_of(1e12) == LAST_BUCKET


@given(st.lists(DURATIONS, min_size=1, max_size=60), st.sampled_from([0.5, 0.9, 0.99]))
def test_a_quantile_is_the_true_one_or_up_to_a_fifth_more(durations: list[float], share: float) -> None:
    found = quantile_seconds(Counter(bucket_of(seconds) for seconds in durations), share)

    ordered = sorted(durations)
    true = ordered[max(0, -int(-len(ordered) * share // 1) - 1)]
    assert found is not None
    assert true * (1 - 1e-9) <= found <= true * 2 ** (1 / 4) * (1 + 1e-9)


def test_the_median_of_many_agrees_with_the_standard_library() -> None:
    durations = [number / 100 for number in range(1, 1002)]
    found = quantile_seconds(Counter(map(bucket_of, durations)), 0.5)

    assert found is not None
    assert abs(found / statistics.median(durations) - 1) < 0.19


def test_nothing_has_no_quantile() -> None:
    assert quantile_seconds({}, 0.5) is None
