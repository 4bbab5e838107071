"""How many tasks a starter takes at a time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from redrive.core.rounds import ROUND_SECONDS, SMALLEST, next_size


@given(st.floats(1, 5000), st.integers(1, 500))
def test_rounds_become_as_short_as_they_should_be_where_parallel_starts_gain_nothing(rate: float, limit: int) -> None:
    size = limit
    for _ in range(12):
        size = next_size(size, size / rate, limit)
    assert 1 <= size <= limit
    assert size <= max(SMALLEST, rate * ROUND_SECONDS + 1)
    assert size >= min(limit, rate * ROUND_SECONDS - 1), "and no shorter, or starts would be wasted on claims"


@given(st.floats(0, ROUND_SECONDS / 2), st.integers(1, 500))
def test_they_grow_to_the_limit_where_a_start_takes_its_time_but_many_take_no_longer(
    seconds: float, limit: int
) -> None:
    size = 1
    for _ in range(10):
        size = next_size(size, seconds, limit)
    assert size == limit
