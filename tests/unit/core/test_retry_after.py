from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.core.strategies import instants

from redrive.core.retry_after import parse_retry_after

NOW = datetime(1994, 11, 6, 8, 49, 0, tzinfo=UTC)


@given(st.integers(0, 10**12))
def test_whole_seconds_are_taken_as_they_are(seconds: int) -> None:
    assert parse_retry_after(str(seconds), NOW) == seconds


@pytest.mark.parametrize(
    "date",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",  # IMF-fixdate
        "Sunday, 06-Nov-94 08:49:37 GMT",  # RFC 850
        "Sun Nov  6 08:49:37 1994",  # asctime
    ],
)
def test_the_three_dates_of_rfc_9110_are_the_same_instant(date: str) -> None:
    assert parse_retry_after(date, NOW) == 37


@given(instants.map(lambda instant: instant.replace(microsecond=0)), st.integers(0, 10**8))
def test_a_date_is_as_far_away_as_it_says(now: datetime, seconds: int) -> None:
    until = format_datetime(now + timedelta(seconds=seconds), usegmt=True)

    assert parse_retry_after(until, now) == seconds


def test_a_date_is_measured_from_the_answers_own_clock() -> None:
    """The target's clock is an hour behind ours; it still means two minutes."""
    asked = parse_retry_after("Sun, 06 Nov 1994 07:51:00 GMT", NOW, "Sun, 06 Nov 1994 07:49:00 GMT")

    assert asked == 120


@pytest.mark.parametrize("date", [None, "", "yesterday", "Sun, 99 Nov 1994 07:49:00 GMT"])
def test_without_a_readable_date_header_our_clock_counts(date: str | None) -> None:
    assert parse_retry_after("Sun, 06 Nov 1994 08:51:00 GMT", NOW, date) == 120


def test_seconds_do_not_depend_on_the_date_header() -> None:
    assert parse_retry_after("120", NOW, "Sun, 06 Nov 1994 07:49:00 GMT") == 120


def test_a_date_in_the_past_asks_for_no_wait() -> None:
    assert parse_retry_after("Sun, 06 Nov 1994 08:00:00 GMT", NOW) == 0


@pytest.mark.parametrize("zeros", ["0", "00", "000120"])
def test_leading_zeros_are_read(zeros: str) -> None:
    assert parse_retry_after(zeros, NOW) == int(zeros)


@pytest.mark.parametrize("digits", [13, 400, 10_000])
def test_a_huge_number_is_a_long_wait_and_stays_finite(digits: int) -> None:
    """It is well-formed: to ignore it would be to come back at once. The policy bounds it."""
    asked = parse_retry_after("9" * digits, NOW)

    assert asked == 1e12


def test_space_around_the_value_is_ignored() -> None:
    assert parse_retry_after(" 5\t", NOW) == 5


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        " ",
        "-5",
        "+5",
        "1.5",
        "1e3",
        "5 s",
        "5, 10",
        "nan",
        "inf",
        "soon",
        "\u0661\u0662",
        "1994-11-06T08:49:37Z",
        "06 Nov 1994",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 25:49:37 GMT",
        "Sun, 06 Nov 99999 08:49:37 GMT",
        "Fri, 31 Dec 9999 23:59:59 -2300",
        "Sun, 06 Nov 1994 08:49:37 +99999999999",
        "\x00",
        "," * 10_000,
        "x" * 1_000_000,
    ],
)
def test_garbage_is_ignored(value: str | None) -> None:
    assert parse_retry_after(value, NOW) is None


@given(st.text(max_size=60), st.none() | st.text(max_size=60))
def test_no_header_can_break_it(value: str, date: str | None) -> None:
    asked = parse_retry_after(value, NOW, date)

    assert asked is None or asked >= 0
