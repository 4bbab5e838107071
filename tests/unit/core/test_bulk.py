"""How many tasks a redrive releases, when it looks again, when it stops, and how long it takes."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redrive.core.bulk import (
    ALLOWED,
    BATCH,
    MEANT,
    Counts,
    Hours,
    Options,
    Pace,
    RedriveStatus,
    StopRule,
    check_options,
    estimate,
    parse_pace,
    release,
    why_stop,
)
from redrive.core.documents import decode, encode
from redrive.core.errors import InvalidDocument
from redrive.core.ramp import RampRule

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
NIGHT = Hours("22:00", "06:00", "Europe/Berlin")

rates = st.floats(0.05, 900)
ramps = st.none() | st.builds(
    RampRule, first_per_second=st.floats(0.01, 50), first_share=st.floats(0.001, 1), doubling_seconds=st.floats(0.1, 60)
)
options = st.builds(Options, rate_per_second=rates, ramp=ramps, concurrency=st.integers(1, 400), stop=st.none())
# What each look finds: how late it comes, and how many of the tasks in flight have succeeded and failed.
looks = st.lists(st.tuples(st.floats(0, 90), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=60)


def live(
    options: Options, looks: list[tuple[float, float, float]], total: int = 5_000
) -> list[tuple[datetime, int, Counts]]:
    """Carry a redrive out: at each look some tasks have ended, and some are released."""
    counts, pace, now = Counts(waiting=total), Pace(), NOW
    released: list[tuple[datetime, int, Counts]] = []
    for late, ended, bad in looks:
        finished = math.floor(counts.in_flight * ended)
        failed = math.floor(finished * bad)
        counts = replace(
            counts,
            in_flight=counts.in_flight - finished,
            succeeded=counts.succeeded + finished - failed,
            dead=counts.dead + failed,
        )
        found = release(options, counts, pace, now, ended=(finished - failed, failed))
        # What is remembered goes through the database.
        pace = parse_pace(json.loads(json.dumps(found.pace.render())))
        counts = replace(counts, waiting=counts.waiting - found.count, in_flight=counts.in_flight + found.count)
        released.append((now, found.count, counts))
        assert found.wait_seconds >= 0
        now += timedelta(seconds=found.wait_seconds + late)
    return released


@given(options, looks)
def test_never_more_than_its_concurrency_are_in_flight_and_it_always_adds_up(
    options: Options, looks: list[tuple[float, float, float]]
) -> None:
    for _, count, counts in live(options, looks):
        assert 0 <= count <= BATCH
        assert counts.in_flight <= options.concurrency
        assert counts.total == 5_000


@given(options, looks)
def test_its_rate_is_never_exceeded_however_late_it_looks(
    options: Options, looks: list[tuple[float, float, float]]
) -> None:
    """Between any two looks at most what the rate gives in that time, and what two seconds have saved."""
    released = live(replace(options, concurrency=10_000), looks)
    saved = max(1.0, 2 * options.rate_per_second) + 1
    for first in range(len(released)):
        total = 0
        for at, count, _ in released[first:]:
            total += count
            seconds = (at - released[first][0]).total_seconds()
            assert total <= options.rate_per_second * seconds + saved


@given(options, st.integers(1, 300))
def test_it_comes_to_its_end(options: Options, total: int) -> None:
    counts, pace, now = Counts(waiting=total), Pace(), NOW
    for _ in range(20_000):
        found = release(options, counts, pace, now, ended=(counts.in_flight, 0))
        counts = replace(
            counts, waiting=counts.waiting - found.count, in_flight=found.count,
            succeeded=counts.succeeded + counts.in_flight,
        )  # fmt: skip
        pace, now = found.pace, now + timedelta(seconds=found.wait_seconds)
        if counts.waiting == 0:
            return
    pytest.fail("tasks were left")


def test_it_begins_slowly_and_doubles() -> None:
    seconds = [(0.0, 1.0, 0.0)] * 60
    released = [count for _, count, _ in live(Options(rate_per_second=100, concurrency=10_000), seconds)]

    assert released[0] == 1, "nothing is saved up at the beginning"
    assert released[1] == pytest.approx(10, abs=1), "a tenth of its rate"
    assert released[11] == pytest.approx(20, abs=2), "twice as much after ten seconds"
    assert released[-1] == 100


def test_failures_halve_its_rate() -> None:
    good, bad = [(0.0, 1.0, 0.0)] * 80, [(0.0, 1.0, 1.0)] * 8
    options = Options(rate_per_second=50, concurrency=10_000, stop=None)
    released = [count for _, count, _ in live(options, good + bad)]

    assert released[79] == 50
    assert released[-1] <= 26


def test_a_rate_that_is_changed_takes_effect_at_the_next_look() -> None:
    options = Options(rate_per_second=100, ramp=None, concurrency=10_000)
    found = release(options, Counts(waiting=1000), Pace(0, NOW), NOW + timedelta(seconds=1))
    slower = release(replace(options, rate_per_second=5), Counts(waiting=900), found.pace, NOW + timedelta(seconds=2))

    assert (found.count, slower.count, slower.rate) == (100, 5, 5)


def test_after_an_interruption_it_does_not_catch_up() -> None:
    options = Options(rate_per_second=10, concurrency=10_000)
    pace = Pace(10, NOW, None)
    found = release(options, Counts(waiting=1000), pace, NOW + timedelta(hours=5))

    assert found.count == 1
    assert found.rate == pytest.approx(1)


def test_it_says_what_holds_it_up() -> None:
    full = release(Options(concurrency=3), Counts(waiting=5, in_flight=3), Pace(9, NOW), NOW)
    last = release(Options(), Counts(in_flight=3), Pace(9, NOW), NOW)
    closed = release(Options(window=NIGHT), Counts(waiting=5), Pace(9, NOW), NOW)

    assert (full.count, full.why) == (0, "3 released tasks have not ended, and 3 may be unfinished at once")
    assert last.why == "all tasks are released; 3 have not ended"
    assert (closed.count, closed.status) == (0, RedriveStatus.WAITING)
    assert closed.why == "outside of its hours until 2026-03-02T21:00:00+00:00"


@given(st.integers(0, 23), st.integers(0, 59), st.integers(0, 23), st.integers(0, 59), st.integers(0, 600_000))
def test_hours_are_open_from_their_start_to_their_end_on_the_wall(
    start_hour: int, start_minute: int, end_hour: int, end_minute: int, seconds: int
) -> None:
    hours = Hours(f"{start_hour:02}:{start_minute:02}", f"{end_hour:02}:{end_minute:02}", "Europe/Berlin")
    now = NOW + timedelta(seconds=seconds)
    wall = now.astimezone(ZoneInfo("Europe/Berlin"))
    at, start, end = wall.hour * 60 + wall.minute, start_hour * 60 + start_minute, end_hour * 60 + end_minute
    inside = start <= at < end if start < end else at >= start or at < end

    assert (hours.open_until(now) is not None) == inside


def test_hours_may_be_bound_to_days() -> None:
    hours = Hours("22:00", "06:00", days=("sat", "sun"))
    monday_morning = datetime(2026, 3, 2, 5, tzinfo=UTC)

    assert hours.open_until(monday_morning) == datetime(2026, 3, 2, 6, tzinfo=UTC)
    assert hours.open_until(NOW.replace(hour=23)) is None
    assert hours.opens_at(NOW) == datetime(2026, 3, 7, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("counts", "stops"),
    [
        (Counts(waiting=50, dead=10, succeeded=10), True),
        (Counts(waiting=50, dead=9, succeeded=11), False),
        (Counts(waiting=50, dead=19), False),
        (Counts(waiting=50, dead=10, failed=10), True),
        (Counts(waiting=50, dead=10, skipped=500, succeeded=9), False),
    ],
)
def test_it_stops_when_half_of_twenty_fail_again(counts: Counts, stops: bool) -> None:
    assert (why_stop(StopRule(), counts) is not None) == stops
    assert why_stop(None, counts) is None


def test_it_says_why_it_stops() -> None:
    why = why_stop(StopRule(), Counts(dead=30, succeeded=10))

    assert why is not None
    assert why.startswith("30 of 40 finished tasks failed again (75%; it stops at 50% of at least 20)")


@given(rates, ramps, st.integers(1, 400))
def test_the_estimate_agrees_with_what_happens(rate: float, ramp: RampRule | None, count: int) -> None:
    options = Options(rate_per_second=rate, ramp=ramp, concurrency=10_000)
    counts, pace, now = Counts(waiting=count), Pace(), NOW
    last = now
    while counts.waiting:
        last, found = now, release(options, counts, pace, now)
        counts = replace(counts, waiting=counts.waiting - found.count)
        pace, now = found.pace, now + timedelta(seconds=found.wait_seconds)
    last_due = estimate(options, count, NOW).last_due

    assert last_due is not None
    expected, took = (last_due - NOW).total_seconds(), (last - NOW).total_seconds()
    assert took == pytest.approx(expected, rel=0.1, abs=16), "a look may come later than the token by 15 s"


def test_the_estimate_knows_its_hours() -> None:
    options = Options(rate_per_second=1, ramp=None, window=NIGHT)
    found = estimate(options, 8 * 3600 + 3600, NOW)

    assert found.first_due == datetime(2026, 3, 2, 21, tzinfo=UTC)
    assert found.last_due is not None
    assert abs(found.last_due - datetime(2026, 3, 3, 22, tzinfo=UTC)) < timedelta(seconds=3)


def test_an_estimate_of_years_is_none() -> None:
    minute = Hours("12:00", "12:01")

    assert estimate(Options(rate_per_second=0.001, window=minute), 1_000_000, NOW).last_due is None


def test_options_go_through_a_document_unchanged() -> None:
    options = Options(window=NIGHT, policy={"max_attempts": 3}, payload_patch={"kwargs": {"amount": 7}}, stop=None)

    assert decode(Options, json.loads(json.dumps(encode(options)))) == options


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"rate_per_second": 0}, "rate_per_second: expected a number from 0.001 to 1000, got 0"),
        ({"concurrency": 0}, "concurrency: expected a whole number from 1 to 10000, got 0"),
        ({"window": {"start": "25:00", "end": "06:00"}}, "window.start: expected a time of day such as '22:00'"),
        ({"window": {"start": "22:00", "end": "06:00", "timezone": "Mars"}}, "window.timezone: expected an IANA"),
        ({"payload_patch": {"amount": 5}}, "payload_patch.amount: unknown field; known: args, body, kwargs"),
        ({"payload_patch": {}}, "payload_patch: expected at least one of 'args', 'kwargs' and 'body'"),
        ({"stop": {"ratio": 2}}, "stop.ratio: expected a number above 0 and up to 1, got 2"),
        ({"rate_per_secnd": 5}, "rate_per_secnd: unknown field, did you mean 'rate_per_second'?"),
    ],
)
def test_impossible_options_are_refused(document: dict[str, object], problem: str) -> None:
    with pytest.raises(InvalidDocument) as refused:
        decode(Options, document)

    assert str(refused.value).startswith(problem)


def test_an_option_that_an_action_would_ignore_is_refused() -> None:
    check_options("replay", Options(payload_patch={"args": [1]}, policy={"max_attempts": 3}))
    for action, options in (
        ("pause", Options(payload_patch={"args": [1]})),
        ("cancel", Options(policy={"max_attempts": 3})),
        ("change_policy", Options()),
        ("retry", Options(counters="keep")),
        ("delete", Options(target={"kind": "node"})),
    ):
        with pytest.raises(InvalidDocument):
            check_options(action, options)  # type: ignore[arg-type]


def test_what_an_action_means_is_what_it_can_do() -> None:
    assert all(MEANT[action] <= ALLOWED[action] for action in ALLOWED)
