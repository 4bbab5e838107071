from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redrive.core.documents import decode, encode
from redrive.core.errors import InvalidPolicy
from redrive.core.ramp import Ended, Ramp, RampRule, start, step
from redrive.core.window import Window

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
RULE = RampRule()

limits = st.none() | st.floats(0.01, 1e5)
moments = st.floats(0, 10_000)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def seen(succeeded: int, failed: int, at: datetime) -> Window:
    return Window().add(at, succeeded=succeeded, failed=failed)


@st.composite
def ramps(draw: st.DrawFn) -> Ramp:
    """Slow starts as they begin, and such as have been halved."""
    ramp = start(NOW, RULE, draw(limits))
    too_high = draw(st.none() | st.floats(ramp.first, ramp.limit))
    return ramp if too_high is None else replace(ramp, base=max(ramp.first, too_high / 2), too_high=too_high)


def stepped(ramp: Ramp, window: Window, now: datetime, backlog: int = 1000) -> Ramp:
    moved = step(ramp, window, now, RULE, backlog)
    assert isinstance(moved, Ramp)
    return moved


class TestGrowth:
    def test_it_begins_at_a_tenth_of_the_limit_and_doubles_every_ten_seconds(self) -> None:
        ramp = start(NOW, RULE, limit=1000)

        assert [ramp.rate(after(seconds)) for seconds in (0, 10, 20, 30, 100)] == [100, 200, 400, 800, 1000]

    @pytest.mark.parametrize(
        ("limit", "before", "first", "top"),
        [
            (None, None, 1, 1000),
            (None, 500, 50, 1000),
            (50, 500, 5, 50),
            (0.5, None, 0.5, 0.5),
            (None, 10**6, 1000, 1000),
        ],
    )
    def test_without_a_limit_it_begins_from_the_rate_before_the_outage(
        self, limit: float | None, before: float | None, first: float, top: float
    ) -> None:
        ramp = start(NOW, RULE, limit, before)

        assert (ramp.rate(NOW), ramp.limit) == (first, top)

    @given(ramps(), moments, moments)
    def test_it_rises_and_never_exceeds_the_limit(self, ramp: Ramp, one: float, other: float) -> None:
        early, late = sorted([one, other])

        assert 0 < ramp.rate(after(early)) <= ramp.rate(after(late)) <= ramp.limit

    def test_no_time_is_too_long(self) -> None:
        assert start(NOW, RULE).rate(NOW + timedelta(days=10**6)) == 1000


class TestRelease:
    @given(ramps(), st.floats(0, 300), st.floats(0, 300))
    def test_what_is_released_is_the_sum_of_the_rates(self, ramp: Ramp, one: float, other: float) -> None:
        early, late = sorted([one, other])
        parts = 400
        width = (late - early) / parts
        # The rate never falls, so the sums at the left and at the right ends enclose it.
        rates = [ramp.rate(after(early + index * width)) for index in range(parts + 1)]

        released = ramp.released(after(early), after(late))

        low, high = sum(rates[:-1]) * width, sum(rates[1:]) * width
        assert low * (1 - 1e-3) - 1e-3 <= released <= high * (1 + 1e-3) + 1e-3

    @given(ramps(), moments)
    def test_how_long_it_takes_is_the_inverse_of_what_is_released(self, ramp: Ramp, seconds: float) -> None:
        count = ramp.released(NOW, after(seconds))

        assert ramp.seconds_for(count) == pytest.approx(seconds, rel=1e-4, abs=1e-4)

    @given(ramps(), moments, moments, moments)
    def test_it_does_not_matter_in_how_many_rounds_it_is_released(
        self, ramp: Ramp, a: float, b: float, c: float
    ) -> None:
        first, second, third = sorted([a, b, c])

        whole = ramp.released(after(first), after(third))

        assert ramp.released(after(first), after(second)) + ramp.released(after(second), after(third)) == pytest.approx(
            whole, rel=1e-6, abs=1e-6
        )

    def test_ten_thousand_parked_tasks_do_not_return_at_once(self) -> None:
        ramp = start(NOW, RULE, limit=1000)

        assert ramp.released(NOW, after(1)) < 110
        assert 1400 < ramp.released(NOW, after(10)) < 1500
        assert ramp.released(NOW, after(30)) > 10_000


class TestFailures:
    def test_more_than_a_fifth_of_failures_halves_the_rate_which_then_grows_evenly_to_where_it_was(self) -> None:
        ramp = stepped(start(NOW, RULE, limit=1000), seen(7, 3, after(29)), after(30))

        assert [ramp.rate(after(seconds)) for seconds in (30, 40, 50, 70, 80)] == [400, 500, 600, 800, 1000]
        assert ramp.halvings == 1

    @pytest.mark.parametrize(("succeeded", "failed"), [(8, 2), (0, 4), (100, 0)])
    def test_few_failures_change_nothing(self, succeeded: int, failed: int) -> None:
        ramp = start(NOW, RULE, limit=1000)

        assert stepped(ramp, seen(succeeded, failed, after(29)), after(30)) == ramp

    def test_the_same_failures_halve_it_once(self) -> None:
        failures = seen(0, 10, after(29)).merge(seen(0, 10, after(33)))
        once = stepped(start(NOW, RULE, limit=1000), failures, after(30))

        assert stepped(once, failures, after(31)) == once
        assert stepped(once, failures, after(34.9)) == once
        assert stepped(once, failures, after(35)).halvings == 2

    def test_a_target_that_refused_a_rate_is_given_half_of_it(self) -> None:
        assert start(NOW, RULE, limit=1000, before=500, refused=40).rate(NOW) == 20
        assert start(NOW, RULE, limit=10, refused=40).rate(NOW) == 10
        assert start(NOW, RULE, refused=0).rate(NOW) == 1

    def test_it_never_falls_below_the_first_rate(self) -> None:
        ramp, now = start(NOW, RULE, limit=1000), NOW
        for _ in range(100):
            now += timedelta(seconds=6)
            ramp = stepped(ramp, seen(0, 10, now), now)

        assert ramp.rate(now) == 1

    @pytest.mark.parametrize("own", [0, 0.1, 0.3])
    def test_a_target_is_held_near_what_it_bears_whatever_fails_besides(self, own: float) -> None:
        """The target fails a share of all, and of the rest whatever exceeds 100 per second."""
        rates = answered_by(lambda count, random: lost(min(count, 100), own, random) + max(count - 100, 0))

        assert max(rates) < 250
        assert 60 < sum(rates[100:]) / len(rates[100:]) < 150

    @pytest.mark.parametrize("own", [0.1, 0.25, 0.4])
    def test_failures_that_half_the_rate_does_not_lessen_do_not_hold_it(self, own: float) -> None:
        rates = answered_by(lambda count, random: lost(count, own, random))

        assert rates[-1] > 900
        assert len(rates) < 600, "the slow start has ended"

    def test_failures_of_most_hold_it_at_the_bottom(self) -> None:
        rates = answered_by(lambda count, random: lost(count, 0.8, random))

        assert max(rates) < 4


def lost(count: int, share: float, random: Random) -> int:
    return sum(random.random() < share for _ in range(count))


def answered_by(failed: Callable[[int, Random], int], seconds: int = 600) -> list[float]:
    """Run a slow start from 1 per second against a target that fails so many of each second's; give its rates."""
    ramp, window, rates, random = start(NOW, RULE), Window(), list[float](), Random(1)
    carry = 0.0
    for second in range(1, seconds + 1):
        now = after(second)
        carry += ramp.released(after(second - 1), now)
        count, carry = int(carry), carry % 1
        failures = failed(count, random)
        window = window.add(now, succeeded=count - failures, failed=failures).trim(now, 60)
        moved = step(ramp, window, now, RULE, 1000)
        if isinstance(moved, Ended):
            break
        ramp = moved
        rates.append(ramp.rate(now))
    return rates


class TestEnd:
    def test_it_ends_at_the_limit(self) -> None:
        assert step(start(NOW, RULE, limit=4), Window(), after(20), RULE, 10) == Ended(
            "the rate has reached its limit of 4 per second"
        )

    def test_it_does_not_end_while_the_target_fails(self) -> None:
        assert isinstance(step(start(NOW, RULE, limit=4), seen(0, 10, after(20)), after(20), RULE, 10), Ramp)

    def test_it_ends_when_nothing_waits(self) -> None:
        assert step(start(NOW, RULE), Window(), after(1), RULE, 0) == Ended("nothing is left that waits")


@given(limits, limits)
def test_a_ramp_and_its_rule_survive_json(limit: float | None, before: float | None) -> None:
    ramp = start(NOW, RULE, limit, before)

    assert decode(Ramp, encode(ramp)) == ramp
    assert decode(RampRule, encode(RULE)) == RULE == decode(RampRule, {})


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"first_per_second": 0}, "first_per_second"),
        ({"first_share": 0}, "first_share"),
        ({"doubling_seconds": 0}, "doubling_seconds"),
        ({"failure_ratio": 2}, "failure_ratio"),
        ({"minimum": 0}, "minimum"),
        ({"window_seconds": 0}, "window_seconds"),
        ({"ceiling_per_second": 0.5}, "ceiling_per_second"),
    ],
)
def test_an_impossible_rule_is_refused(document: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidPolicy) as refused:
        decode(RampRule, document)

    assert refused.value.path == path
