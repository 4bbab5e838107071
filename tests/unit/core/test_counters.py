from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redrive.core.counters import Counters, Movement
from redrive.core.documents import decode, encode

MOVEMENTS: list[Movement] = ["failure", "throttle", "snooze", "park", "interruption"]
KINDS = ["failures", "throttles", "snoozes", "parks", "interruptions"]

events = st.lists(st.tuples(st.sampled_from(MOVEMENTS), st.none() | st.sampled_from(["a", "b"])), max_size=40)


def lived(script: list[tuple[Movement, str | None]]) -> Counters:
    counters = Counters()
    for movement, fingerprint in script:
        counters = counters.count(movement, fingerprint)
    return counters


@given(events)
def test_each_kind_is_counted_apart(script: list[tuple[Movement, str | None]]) -> None:
    counters = lived(script)

    seen = [movement for movement, _ in script]
    assert [getattr(counters, kind) for kind in KINDS] == [seen.count(movement) for movement in MOVEMENTS]


@given(events)
def test_a_row_of_snoozes_ends_with_an_attempt_that_was_none(script: list[tuple[Movement, str | None]]) -> None:
    """Parking and interruptions between them are no attempts that ended."""
    row = 0
    for movement, _ in script:
        row = row + 1 if movement == "snooze" else 0 if movement in ("failure", "throttle") else row

    assert lived(script).snoozes_in_row == row


@given(events)
def test_a_row_of_parks_ends_with_any_attempt_that_ended(script: list[tuple[Movement, str | None]]) -> None:
    row = 0
    for movement, _ in script:
        row = row + 1 if movement == "park" else row if movement == "interruption" else 0

    assert lived(script).parks_in_row == row


@given(events)
def test_repeats_are_the_failures_at_the_end_that_are_alike(script: list[tuple[Movement, str | None]]) -> None:
    failures = [fingerprint for movement, fingerprint in script if movement == "failure"]
    alike = 0
    while failures and alike < len(failures) and failures[-1 - alike] == failures[-1]:
        alike += 1

    assert lived(script).repeats == (alike if failures and failures[-1] is not None else 0)


@pytest.mark.parametrize(("fingerprint", "repeated"), [("a", 3), ("b", 1), (None, 0)])
def test_it_is_known_beforehand_how_often_a_failure_would_have_repeated(fingerprint: str | None, repeated: int) -> None:
    counters = Counters(fingerprint="a", repeats=2)

    assert counters.repeated(fingerprint) == repeated == counters.count("failure", fingerprint).repeats


@given(events)
def test_counters_survive_json(script: list[tuple[Movement, str | None]]) -> None:
    counters = lived(script)

    assert decode(Counters, encode(counters)) == counters
    assert set(encode(counters)) == {field.name for field in fields(Counters)}
