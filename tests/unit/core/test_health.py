import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redrive.core.breaker import Admit, BreakerRule, Closed, Open, Override, Park, Probe, hold, send_probe
from redrive.core.health import (
    Health,
    Rules,
    Seen,
    absorb,
    admission,
    parse_health,
    render_health,
    target_key,
    unknown,
)
from redrive.core.policy import Policy
from redrive.core.window import Window

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
RULES = Rules()


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def saw(succeeded: int, failed: int, at: datetime = NOW) -> Seen:
    return Seen(Window().add(at, succeeded=succeeded, failed=failed))


def told(health: Health, seen: Seen, now: datetime, backlog: int = 1000) -> Health:
    return absorb(health, seen, now, RULES, backlog)[0]


def recovered(health: Health, now: datetime) -> Health:
    """Let all probes succeed."""
    while isinstance(probe := admission(health, now, RULES), Probe):
        sent = send_probe(health.breaker, probe, now)
        health = told(
            Health(health.budget, health.window, sent, rate_before=health.rate_before),
            Seen(probes=((probe, True),)),
            now,
        )
    return health


class TestAnOutage:
    DOWN = told(unknown(NOW, RULES), saw(20, 40), NOW)

    def test_it_opens_the_breaker_and_spends_the_budget(self) -> None:
        assert isinstance(self.DOWN.breaker.state, Open)
        assert isinstance(admission(self.DOWN, after(1), RULES), Park)
        assert self.DOWN.budget.tokens == 60
        assert self.DOWN.ramp is None

    def test_after_it_work_returns_by_slow_start_from_the_rate_before(self) -> None:
        health = recovered(self.DOWN, after(30))

        assert isinstance(health.breaker.state, Closed)
        assert health.rate_before == 1
        assert health.ramp is not None
        assert health.ramp.rate(after(30)) == 1

    def test_slow_start_ends_when_nothing_waits(self) -> None:
        health = recovered(self.DOWN, after(30))

        assert told(health, Seen(), after(31)).ramp is not None
        assert told(health, Seen(), after(31), backlog=0).ramp is None

    def test_the_next_outage_ends_slow_start(self) -> None:
        health = recovered(self.DOWN, after(30))

        assert told(health, saw(0, 100, after(32)), after(32)).ramp is None


class TestPushback:
    def test_a_target_that_asks_to_be_left_alone_is_for_all_its_tasks(self) -> None:
        health = told(unknown(NOW, RULES), Seen(pushback_until=after(60)), NOW)

        assert admission(health, after(59), RULES) == Park(
            after(60), f"the target asked to be left alone until {after(60).isoformat()}"
        )
        assert admission(health, after(60), RULES) == Admit()

    def test_the_later_wish_holds_and_is_forgotten_once_it_is_over(self) -> None:
        health = told(unknown(NOW, RULES), Seen(pushback_until=after(60)), NOW)

        assert told(health, Seen(pushback_until=after(30)), after(1)).pushback_until == after(60)
        assert told(health, Seen(), after(60)).pushback_until is None

    def test_work_returns_by_slow_start_afterwards(self) -> None:
        health = told(unknown(NOW, RULES), Seen(pushback_until=after(60)), NOW)

        assert health.ramp is None
        assert told(health, Seen(), after(61)).ramp is not None

    def test_it_returns_at_half_the_rate_that_was_refused(self) -> None:
        """It is up, so nobody begins from the bottom; 200 attempts in 5 s are 40 per second."""
        asked = Seen(Window().add(NOW, succeeded=150, failed=50), pushback_until=after(60))
        health = told(told(unknown(NOW, RULES), asked, NOW), Seen(), after(60))

        assert health.ramp is not None
        assert health.ramp.rate(after(60)) == 20

    def test_each_further_refusal_halves_the_rate_of_the_return(self) -> None:
        asked = Seen(Window().add(NOW, succeeded=150, failed=50), pushback_until=after(60))
        health = told(told(unknown(NOW, RULES), asked, NOW), Seen(), after(60))
        health = told(health, Seen(Window().add(after(70), failed=1), pushback_until=after(80)), after(70))
        # What was under way says the same once more, and does not count twice.
        health = told(health, Seen(Window().add(after(71), failed=1), pushback_until=after(81)), after(71))
        health = told(health, Seen(), after(81))

        assert health.ramp is not None
        assert health.ramp.rate(after(81)) == pytest.approx(25 / 2)  # from 20 it had grown to 25 when it was refused

    def test_after_an_outage_it_returns_slowly_although_it_was_refused_before(self) -> None:
        asked = Seen(Window().add(NOW, succeeded=5), pushback_until=after(1))
        health = told(told(unknown(NOW, RULES), asked, NOW), saw(0, 600, after(2)), after(2))
        health = recovered(health, after(60))

        assert health.ramp is not None
        assert health.ramp.rate(after(60)) == pytest.approx(RULES.slow_start.first_share * 605 / 60, rel=0.01)


class TestManyWorkers:
    @given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12))
    def test_in_which_order_they_tell_makes_no_difference_to_the_window(self, shares: list[tuple[int, int]]) -> None:
        one = other = unknown(NOW, RULES)
        for succeeded, failed in shares:
            one = told(one, saw(succeeded, failed), NOW)
        for succeeded, failed in reversed(shares):
            other = told(other, saw(succeeded, failed), NOW)

        assert one.window == other.window

    @given(st.lists(st.tuples(st.floats(0, 20), st.integers(0, 30), st.integers(0, 30)), max_size=30))
    def test_nothing_is_admitted_by_a_state_that_is_open(self, script: list[tuple[float, int, int]]) -> None:
        health, now = unknown(NOW, RULES), NOW
        for seconds, succeeded, failed in script:
            now += timedelta(seconds=seconds)
            health = told(health, saw(succeeded, failed, now), now)
            assert isinstance(admission(health, now, RULES), Admit) == isinstance(health.breaker.state, Closed)
            assert parse_health(json.loads(json.dumps(render_health(health)))) == health
            if health.ramp is not None:
                assert isinstance(health.breaker.state, Closed)


class TestHolds:
    def test_after_a_hold_closed_over_an_outage_there_is_no_slow_start(self) -> None:
        """Everything has been going through all the while."""
        held, _ = hold(unknown(NOW, RULES).breaker, Override("closed", "ada", until=after(60)), NOW)
        health = told(Health(unknown(NOW, RULES).budget, breaker=held), Seen(), after(61))

        assert health.ramp is None


def test_durations_are_averaged() -> None:
    health = told(unknown(NOW, RULES), Seen(seconds=10, attempts=5), NOW)

    assert health.average_seconds == 2
    assert told(health, Seen(), NOW).average_seconds == 2


def test_rules_come_from_the_policy_or_are_the_defaults() -> None:
    assert Rules.of(Policy()) == Rules()
    assert Rules.of(Policy(breaker=BreakerRule(minimum=5)), 10) == Rules(BreakerRule(minimum=5), limit=10)


@pytest.mark.parametrize(
    ("target", "key"),
    [
        ({"kind": "node"}, "scene:orders/charge-card"),
        ({"kind": "worker", "task_queue": "orders"}, "scene:orders/charge-card"),
        ({"kind": "webhook", "url": "https://Pay.example.com:8443/hook?x=1"}, "host:pay.example.com:8443"),
        ({"kind": "webhook", "url": "HTTP://pay.example.com?x=/"}, "host:pay.example.com"),
    ],
)
def test_a_webhook_is_known_by_its_host_and_others_by_their_scene(target: dict[str, str], key: str) -> None:
    assert target_key("orders", "charge-card", target) == key
