from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redrive.core.documents import decode, encode
from redrive.core.errors import InvalidPolicy
from redrive.core.quiet import QuietWindow, quiet_until

HOUR = 3600.0
BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = QuietWindow("0 22 * * *", 8 * HOUR, "Europe/Berlin")


def berlin(text: str, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def on_the_wall(instant: datetime | None) -> str | None:
    return None if instant is None else instant.astimezone(BERLIN).strftime("%m-%d %H:%M %z")


class TestNights:
    @pytest.mark.parametrize(
        ("now", "until"),
        [
            ("2026-01-10T21:59:59", None),
            ("2026-01-10T22:00:00", "01-11 06:00 +0100"),
            ("2026-01-11T00:00:00", "01-11 06:00 +0100"),
            ("2026-01-11T05:59:59", "01-11 06:00 +0100"),
            ("2026-01-11T06:00:00", None),
        ],
    )
    def test_it_is_quiet_from_ten_until_six(self, now: str, until: str | None) -> None:
        assert on_the_wall(quiet_until([NIGHT], berlin(now))) == until

    @pytest.mark.parametrize(
        ("now", "until", "hours"),
        [
            ("2026-03-28T22:00:00", "03-29 06:00 +0200", 7),  # the clocks go forward
            ("2026-10-24T22:00:00", "10-25 06:00 +0100", 9),  # the clocks go back
        ],
    )
    def test_it_ends_at_six_also_in_the_night_in_which_the_clocks_change(
        self, now: str, until: str, hours: int
    ) -> None:
        end = quiet_until([NIGHT], berlin(now))

        assert end is not None
        assert (on_the_wall(end), end - berlin(now).astimezone(UTC)) == (until, timedelta(hours=hours))

    def test_the_last_hour_of_the_long_night_is_quiet_too(self) -> None:
        """Nine hours after it began, an hour longer than the window says."""
        assert on_the_wall(quiet_until([NIGHT], berlin("2026-10-25T05:30:00"))) == "10-25 06:00 +0100"

    def test_an_end_that_does_not_exist_is_the_end_of_the_gap(self) -> None:
        window = QuietWindow("30 1 * * *", HOUR, "Europe/Berlin")

        assert on_the_wall(quiet_until([window], berlin("2026-03-29T01:30:00"))) == "03-29 03:00 +0200"

    def test_a_beginning_that_does_not_exist_is_the_end_of_the_gap(self) -> None:
        window = QuietWindow("30 2 * * *", HOUR, "Europe/Berlin")

        assert quiet_until([window], berlin("2026-03-29T01:59:59")) is None
        assert on_the_wall(quiet_until([window], berlin("2026-03-29T03:00:00"))) == "03-29 04:00 +0200"

    def test_an_end_that_happens_twice_is_the_first_one(self) -> None:
        window = QuietWindow("30 1 * * *", HOUR, "Europe/Berlin")

        assert on_the_wall(quiet_until([window], berlin("2026-10-25T01:45:00"))) == "10-25 02:30 +0200"
        assert quiet_until([window], berlin("2026-10-25T02:30:00")) is None
        assert quiet_until([window], berlin("2026-10-25T02:15:00", fold=1)) is None

    def test_a_beginning_that_happens_twice_is_followed_by_its_own_end(self) -> None:
        """An interval begins in the repeated hour as well."""
        window = QuietWindow("15 * * * *", 1800, "Europe/Berlin")

        assert on_the_wall(quiet_until([window], berlin("2026-10-25T02:20:00"))) == "10-25 02:45 +0200"
        assert on_the_wall(quiet_until([window], berlin("2026-10-25T02:20:00", fold=1))) == "10-25 02:45 +0100"


class TestSeveralWindows:
    def test_without_windows_it_is_never_quiet(self) -> None:
        assert quiet_until([], utc("2026-01-01")) is None

    def test_windows_that_overlap_or_touch_count_as_one(self) -> None:
        windows = [
            QuietWindow("0 1 * * *", HOUR),
            QuietWindow("0 2 * * *", HOUR),
            QuietWindow("30 2 * * *", HOUR),
            QuietWindow("0 5 * * *", HOUR),
        ]

        assert quiet_until(windows, utc("2026-01-01T01:15")) == utc("2026-01-01T03:30")

    def test_a_window_that_begins_anew_before_it_ends_goes_on(self) -> None:
        window = QuietWindow("*/10 8-9 * * *", 900)

        assert quiet_until([window], utc("2026-01-01T08:05")) == utc("2026-01-01T10:05")

    def test_a_weekend_is_one_window_of_two_days(self) -> None:
        window = QuietWindow("0 0 * * 6", 48 * HOUR)

        assert quiet_until([window], utc("2026-01-04T23:59")) == utc("2026-01-05T00:00")
        assert quiet_until([window], utc("2026-01-05T00:00")) is None

    def test_hours_without_an_end_are_answered_with_a_moment_to_ask_again(self) -> None:
        until = quiet_until([QuietWindow("* * * * *", 60)], utc("2026-01-01"))

        assert until is not None
        assert until > utc("2026-01-01")

    @settings(max_examples=30)
    @given(
        st.lists(
            st.builds(
                QuietWindow,
                start=st.sampled_from(["0 22 * * *", "30 2 * * *", "0 * * * *", "15,45 1 * * *", "0 0 * * 6"]),
                duration_seconds=st.floats(60, 100_000),
                timezone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
            ),
            min_size=1,
            max_size=3,
        ),
        st.integers(0, 365 * 24 * 60),
    )
    def test_until_the_answer_it_is_quiet(self, windows: list[QuietWindow], minute: int) -> None:
        now = utc("2026-01-01") + timedelta(minutes=minute)

        until = quiet_until(windows, now)

        if until is not None:
            assert until > now
            just_before = until - timedelta(microseconds=1)
            assert quiet_until(windows, now + (until - now) / 2) is not None
            assert quiet_until(windows, just_before) is not None


class TestDocuments:
    def test_a_window_survives_json(self) -> None:
        assert decode(QuietWindow, encode(NIGHT)) == NIGHT

    @pytest.mark.parametrize(
        ("document", "path"),
        [
            ({"start": "x", "duration_seconds": 60}, "start"),
            ({"start": "0 22 * * *", "duration_seconds": 60, "timezone": "Mars"}, "timezone"),
            ({"start": "0 22 * * *", "duration_seconds": 0}, "duration_seconds"),
            ({"start": "0 22 * * *", "duration_seconds": 8 * 86_400}, "duration_seconds"),
            ({"start": "0 22 * * *", "duration_seconds": 60, "reason": "x" * 501}, "reason"),
        ],
    )
    def test_an_impossible_window_is_refused(self, document: dict[str, Any], path: str) -> None:
        with pytest.raises(InvalidPolicy) as refused:
            decode(QuietWindow, document)

        assert refused.value.path == path
