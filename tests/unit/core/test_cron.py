from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.core.strategies import instants

from redrive.core.cron import check_expression, check_timezone, next_time
from redrive.core.errors import InvalidPolicy

MINUTE = timedelta(minutes=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def times(expression: str, timezone: str, after: str, count: int) -> list[str]:
    """The next `count` times, as the clock on the wall shows them, with their offsets."""
    found = [utc(after)]
    for _ in range(count):
        found.append(next_time(expression, timezone, found[-1]))
    return [time.astimezone(ZoneInfo(timezone)).strftime("%m-%d %H:%M:%S %z") for time in found[1:]]


class TestGap:
    """The clocks go forward: a fixed time runs at the first moment after the gap, an interval leaves it out."""

    @pytest.mark.parametrize(
        ("timezone", "expression", "after", "expected"),
        [
            (
                "Europe/Berlin",  # 02:00 → 03:00
                "30 2 * * *",
                "2026-03-28T00:00",
                ["03-28 02:30:00 +0100", "03-29 03:00:00 +0200", "03-30 02:30:00 +0200"],
            ),
            (
                "America/New_York",  # 02:00 → 03:00
                "15,45 2 * * *",
                "2026-03-08T05:00",
                ["03-08 03:00:00 -0400", "03-09 02:15:00 -0400", "03-09 02:45:00 -0400"],
            ),
            (
                "Australia/Lord_Howe",  # 02:00 → 02:30
                "15 2 * * *",
                "2026-10-03T12:00",
                ["10-04 02:30:00 +1100", "10-05 02:15:00 +1100"],
            ),
            ("Australia/Lord_Howe", "30 2 * * *", "2026-10-03T12:00", ["10-04 02:30:00 +1100", "10-05 02:30:00 +1100"]),
            (
                "America/Sao_Paulo",  # 00:00 → 01:00: midnight itself does not exist
                "0 0 * * *",
                "2018-11-03T12:00",
                ["11-04 01:00:00 -0200", "11-05 00:00:00 -0200"],
            ),
            (
                "Pacific/Apia",  # a whole day, 30 December 2011, does not exist
                "0 12 * * *",
                "2011-12-29T12:00",
                ["12-29 12:00:00 -1000", "12-31 00:00:00 +1400", "12-31 12:00:00 +1400"],
            ),
        ],
    )
    def test_a_fixed_time_runs_at_the_end_of_the_gap(
        self, timezone: str, expression: str, after: str, expected: list[str]
    ) -> None:
        assert times(expression, timezone, after, len(expected)) == expected

    def test_an_interval_goes_on_after_the_gap(self) -> None:
        assert times("30 * * * *", "Europe/Berlin", "2026-03-29T00:00", 2) == [
            "03-29 01:30:00 +0100",
            "03-29 03:30:00 +0200",
        ]


class TestRepeatedHour:
    """The clocks go back: a fixed time runs at its first occurrence only, an interval goes on."""

    @pytest.mark.parametrize(
        ("timezone", "expression", "after", "expected"),
        [
            (
                "Europe/Berlin",  # 03:00 → 02:00
                "30 2 * * *",
                "2026-10-24T12:00",
                ["10-25 02:30:00 +0200", "10-26 02:30:00 +0100"],
            ),
            (
                "America/New_York",  # 02:00 → 01:00
                "0 1 * * *",
                "2026-11-01T04:00",
                ["11-01 01:00:00 -0400", "11-02 01:00:00 -0500"],
            ),
            (
                "Australia/Lord_Howe",  # 02:00 → 01:30
                "45 1 * * *",
                "2026-04-04T12:00",
                ["04-05 01:45:00 +1100", "04-06 01:45:00 +1030"],
            ),
        ],
    )
    def test_a_fixed_time_runs_once(self, timezone: str, expression: str, after: str, expected: list[str]) -> None:
        assert times(expression, timezone, after, len(expected)) == expected

    def test_a_fixed_time_is_not_run_again_when_asked_within_the_second_pass(self) -> None:
        assert next_time("30 2 * * *", "Europe/Berlin", utc("2026-10-25T01:10")) == utc("2026-10-26T01:30")

    @pytest.mark.parametrize(
        ("timezone", "expression", "after", "step"),
        [
            ("Europe/Berlin", "*/15 * * * *", "2026-10-25T00:00", 15 * MINUTE),
            ("America/New_York", "*/20 * * * *", "2026-11-01T05:00", 20 * MINUTE),
            ("Australia/Lord_Howe", "*/10 * * * *", "2026-04-04T14:30", 10 * MINUTE),
            ("Europe/Berlin", "0 * * * *", "2026-10-24T23:00", 60 * MINUTE),
        ],
    )
    def test_an_interval_never_stands_still(self, timezone: str, expression: str, after: str, step: timedelta) -> None:
        found = [utc(after)]
        for _ in range(12):
            found.append(next_time(expression, timezone, found[-1]))

        assert {later - earlier for earlier, later in pairwise(found)} == {step}

    def test_every_minute_of_one_hour_is_run_in_both_passes(self) -> None:
        found = times("*/30 2 * * *", "Europe/Berlin", "2026-10-25T00:00", 4)

        assert found == ["10-25 02:30:00 +0200", "10-25 02:00:00 +0100", "10-25 02:30:00 +0100", "10-26 02:00:00 +0100"]


def test_a_zone_with_a_half_hour_offset_is_read_on_its_own_wall() -> None:
    assert next_time("0 9 * * *", "Asia/Kolkata", utc("2026-01-01T00:00")) == utc("2026-01-01T03:30")


@st.composite
def fields(draw: st.DrawFn, size: int) -> tuple[str, frozenset[int]]:
    """A minute or hour field and the numbers that it names."""
    match draw(st.sampled_from(["any", "step", "list", "range", "one"])):
        case "any":
            return "*", frozenset(range(size))
        case "step":
            step = draw(st.integers(1, size))
            return f"*/{step}", frozenset(range(0, size, step))
        case "list":
            named = draw(st.frozensets(st.integers(0, size - 1), min_size=1, max_size=4))
            return ",".join(map(str, sorted(named))), named
        case "range":
            low, high = sorted([draw(st.integers(0, size - 1)), draw(st.integers(0, size - 1))])
            return f"{low}-{high}", frozenset(range(low, high + 1))
        case _:
            one = draw(st.integers(0, size - 1))
            return str(one), frozenset([one])


def by_looking_at_every_minute(
    minutes: tuple[str, frozenset[int]], hours: tuple[str, frozenset[int]], zone: ZoneInfo, after: datetime
) -> datetime:
    """The rules of the module's docstring, applied to one minute after the other."""
    interval = minutes[0].startswith("*") or hours[0].startswith("*")
    instant = after.replace(second=0, microsecond=0)
    while True:
        before, instant = instant.astimezone(zone).replace(tzinfo=None), instant + MINUTE
        wall = instant.astimezone(zone)
        shown = [wall.replace(tzinfo=None)]
        if not interval:
            shown = [] if wall.fold else shown
            skipped = int((wall.replace(tzinfo=None) - before) / MINUTE)
            shown += [before + MINUTE * step for step in range(1, skipped)]
        if any(time.minute in minutes[1] and time.hour in hours[1] for time in shown):
            return instant


CHANGES = [
    ("Europe/Berlin", "2026-03-29T01:00"),
    ("Europe/Berlin", "2026-10-25T01:00"),
    ("America/New_York", "2026-03-08T07:00"),
    ("America/New_York", "2026-11-01T06:00"),
    ("Australia/Lord_Howe", "2026-04-04T15:00"),
    ("Australia/Lord_Howe", "2026-10-03T15:30"),
    ("Europe/Dublin", "2026-10-25T01:00"),  # negative daylight saving: winter is the exception
    ("Africa/Casablanca", "2026-02-15T02:00"),
    ("Pacific/Chatham", "2026-04-04T14:00"),
    ("America/Sao_Paulo", "2018-11-04T03:00"),
    ("Asia/Kolkata", "2026-03-29T01:00"),
]


@settings(max_examples=200)
@given(st.sampled_from(CHANGES), fields(60), fields(24), st.integers(-36 * 3600, 12 * 3600), st.integers(0, 999_999))
def test_the_result_is_what_looking_at_every_minute_finds(
    change: tuple[str, str],
    minutes: tuple[str, frozenset[int]],
    hours: tuple[str, frozenset[int]],
    seconds: int,
    microseconds: int,
) -> None:
    timezone, at = change
    after = utc(at) + timedelta(seconds=seconds, microseconds=microseconds)

    found = next_time(f"{minutes[0]} {hours[0]} * * *", timezone, after)

    assert found == by_looking_at_every_minute(minutes, hours, ZoneInfo(timezone), after)


@given(
    st.sampled_from(["* * * * *", "*/7 * * * * */13", "0 0 L * *", "5 4 1,15 * 5", "0 0 29 2 *", "30 2 * 3,10 SUN"]),
    st.sampled_from(sorted({timezone for timezone, _ in CHANGES})),
    instants,
)
def test_the_result_is_always_later_and_in_utc(expression: str, timezone: str, after: datetime) -> None:
    found = next_time(expression, timezone, after)

    assert found > after
    assert found.tzinfo is UTC


class TestCalendar:
    def test_29_february_waits_for_a_leap_year(self) -> None:
        assert next_time("0 0 29 2 *", "UTC", utc("2026-01-01T00:00")) == utc("2028-02-29T00:00")

    def test_29_february_is_found_over_a_century_that_is_no_leap_year(self) -> None:
        assert next_time("0 0 29 2 *", "UTC", utc("2096-03-01T00:00")) == utc("2104-02-29T00:00")

    @pytest.mark.parametrize(("weekday", "year"), [(1, 2044), (4, 2052)])
    def test_the_rarest_expressions_are_found_as_long_as_they_have_a_meaning(self, weekday: int, year: int) -> None:
        """What is valid when a policy is made must not fail years later, inside a workflow."""
        expression = f"0 0 * 2 {weekday}#5"  # the fifth such weekday of February is a 29th

        assert next_time(expression, "UTC", utc("2026-01-01T00:00")) == utc(f"{year}-02-29T00:00")

    @pytest.mark.parametrize("after", ["2026-01-31T00:00", "2026-02-01T00:00"])
    def test_the_31st_skips_short_months(self, after: str) -> None:
        assert next_time("0 0 31 * *", "UTC", utc(after)) == utc("2026-03-31T00:00")

    def test_day_of_month_and_day_of_week_widen_each_other(self) -> None:
        assert times("0 0 13 * 5", "UTC", "2026-02-05T12:00", 3) == [
            "02-06 00:00:00 +0000",
            "02-13 00:00:00 +0000",
            "02-20 00:00:00 +0000",
        ]

    @pytest.mark.parametrize("sunday", ["0", "7", "sun", "7-7"])
    def test_sunday_has_many_names(self, sunday: str) -> None:
        assert next_time(f"0 0 * * {sunday}", "UTC", utc("2026-01-01T00:00")) == utc("2026-01-04T00:00")

    def test_the_sixth_field_is_the_seconds(self) -> None:
        assert times("0 0 * * * 15,45", "UTC", "2026-01-01T00:00:15", 3) == [
            "01-01 00:00:45 +0000",
            "01-02 00:00:15 +0000",
            "01-02 00:00:45 +0000",
        ]

    def test_a_named_time_that_is_now_is_not_named_again(self) -> None:
        assert next_time("0 * * * *", "UTC", utc("2026-01-01T05:00")) == utc("2026-01-01T06:00")

    def test_a_moment_before_a_named_time_is_enough(self) -> None:
        just_before = utc("2026-01-01T05:00") - timedelta(microseconds=1)

        assert next_time("0 * * * *", "UTC", just_before) == utc("2026-01-01T05:00")

    @pytest.mark.parametrize("field", ["5-5", "5-5/2", "5-5,5"])
    def test_a_range_of_one_value_is_that_value(self, field: str) -> None:
        """croniter 7 reads `5-5` as the whole field, which would run every minute instead of once an hour."""
        assert times(f"{field} * * * *", "UTC", "2026-01-01T00:00", 2) == [
            "01-01 00:05:00 +0000",
            "01-01 01:05:00 +0000",
        ]

    def test_a_range_may_run_over_midnight(self) -> None:
        assert times("0 23-1 * * *", "UTC", "2026-01-01T12:00", 3) == [
            "01-01 23:00:00 +0000",
            "01-02 00:00:00 +0000",
            "01-02 01:00:00 +0000",
        ]


class TestRefusals:
    @pytest.mark.parametrize(
        "expression",
        [
            "",
            "   ",
            "@hourly",
            "* * * *",
            "* * * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "0 0 0 * *",
            "0 0 32 * *",
            "0 0 * 13 *",
            "0 0 * 0 *",
            "0 0 * * 8",
            "0 0 * * * 60",
            "*/0 * * * *",
            "-1 * * * *",
            "1.5 * * * *",
            "a b c d e",
            "1- * * * *",
            "1,,2 * * * *",
            "? * * * *",
            "\u0661 * * * *",
            "0 0 * * \x00",
            "9" * 400 + " * * * *",
            "1," * 5000 + "1 * * * *",
        ],
    )
    def test_an_expression_without_meaning_is_refused(self, expression: str) -> None:
        with pytest.raises(InvalidPolicy) as refused:
            check_expression(expression)

        assert refused.value.path == "expression"
        assert len(str(refused.value)) < 500

    @pytest.mark.parametrize("expression", ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 31 2 *", "0 0 30 2 1#5"])
    def test_an_expression_that_names_no_time_is_refused(self, expression: str) -> None:
        """A task with such a backoff would wait for ever."""
        with pytest.raises(InvalidPolicy, match="failed to find next date"):
            check_expression(expression)

    @pytest.mark.parametrize("expression", ["R * * * *", "0 r(0-5) * * *", "H H * * *", "r/10 * * * *"])
    def test_a_random_expression_is_refused(self, expression: str) -> None:
        """croniter would draw another time whenever it is asked, also when a workflow is replayed."""
        with pytest.raises(InvalidPolicy, match="not supported"):
            check_expression(expression)

    @given(st.text(alphabet="0123456789*/-,?#LWRHlwmonjan ", max_size=40) | st.text(max_size=30))
    def test_whatever_is_not_refused_has_a_next_time(self, expression: str) -> None:
        after = utc("2026-06-15T12:34:56")
        try:
            check_expression(expression)
        except InvalidPolicy:
            return

        assert next_time(expression, "Europe/Berlin", after) > after

    @pytest.mark.parametrize(
        "timezone",
        [
            "",
            "..",
            "../etc/passwd",
            "/etc/localtime",
            "Europe",
            "Mars/Olympus",
            "Europe/Berlin/x",
            "a\x00b",
            "\ud800",
            "é",
            "x" * 100_000,
            "UTC+1",
            "zone.tab",
        ],
    )
    def test_a_zone_that_does_not_exist_is_refused(self, timezone: str) -> None:
        with pytest.raises(InvalidPolicy) as refused:
            check_timezone(timezone)

        assert refused.value.path == "timezone"
        assert len(str(refused.value)) < 500

    @pytest.mark.parametrize("timezone", ["localtime", "posixrules", "right/Europe/Berlin", "posix/Europe/Berlin"])
    def test_a_zone_that_depends_on_the_machine_is_refused(self, timezone: str) -> None:
        with pytest.raises(InvalidPolicy):
            check_timezone(timezone)

    def test_a_misspelt_zone_is_answered_with_the_nearest(self) -> None:
        with pytest.raises(InvalidPolicy, match=r"got 'Europe/Berlim', did you mean 'Europe/Berlin'\?"):
            check_timezone("Europe/Berlim")
