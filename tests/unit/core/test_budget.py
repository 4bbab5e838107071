from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redrive.core.budget import Budget, BudgetRule, full, is_spent, settle, spend
from redrive.core.documents import decode, encode
from redrive.core.errors import InvalidPolicy

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
RULE = BudgetRule()

rules = st.builds(BudgetRule, ratio=st.floats(0, 1), floor_per_second=st.floats(0.1, 50), capacity=st.floats(2, 200))
counts = st.integers(0, 300)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


class TestTokens:
    def test_a_failure_takes_one_and_a_success_gives_a_fifth_back(self) -> None:
        budget = settle(full(NOW, RULE), RULE, NOW, failed=30)

        assert budget.tokens == 70
        assert settle(budget, RULE, NOW, succeeded=10).tokens == 72

    def test_the_floor_refills_it_up_to_the_capacity(self) -> None:
        budget = settle(full(NOW, RULE), RULE, NOW, failed=30)

        assert settle(budget, RULE, after(1)).tokens == 80
        assert settle(budget, RULE, after(100)).tokens == 100

    @given(rules, st.lists(st.tuples(st.floats(-5, 5), counts, counts), max_size=30))
    def test_it_stays_between_empty_and_full(self, rule: BudgetRule, script: list[tuple[float, int, int]]) -> None:
        """Also when the clocks of workers disagree."""
        budget, now = full(NOW, rule), NOW
        for seconds, succeeded, failed in script:
            now += timedelta(seconds=seconds)
            budget = settle(budget, rule, now, succeeded=succeeded, failed=failed)
            assert 0 <= budget.tokens <= rule.capacity

    def test_a_clock_that_goes_back_refills_nothing_twice(self) -> None:
        spent = settle(full(NOW, RULE), RULE, NOW, failed=100)

        there = settle(spent, RULE, after(5))

        assert settle(settle(there, RULE, after(0)), RULE, after(5)) == there


class TestSpending:
    def test_while_more_than_half_is_left_attempts_go_at_once(self) -> None:
        budget = settle(full(NOW, RULE), RULE, NOW, failed=49)

        assert spend(budget, RULE, NOW, 1000)[1] == (NOW,) * 1000

    def test_at_half_attempts_are_given_slots_at_the_floor(self) -> None:
        budget = settle(full(NOW, RULE), RULE, NOW, failed=50)

        budget, first = spend(budget, RULE, NOW, 3)
        _, second = spend(budget, RULE, NOW, 2)

        assert first + second == tuple(after(index / 10) for index in range(1, 6))

    def test_it_is_free_again_once_it_has_recovered(self) -> None:
        budget, _ = spend(settle(full(NOW, RULE), RULE, NOW, failed=100), RULE, NOW, 1000)

        assert is_spent(budget, RULE, after(5))
        assert spend(budget, RULE, after(5.1))[1] == (after(5.1),)

    def test_a_budget_that_is_switched_off_delays_nothing(self) -> None:
        off = BudgetRule(enabled=False)

        assert spend(Budget(0, NOW), off, NOW)[1] == (NOW,)

    @given(rules, st.integers(1, 200))
    def test_no_attempt_is_dropped_and_each_has_a_slot_of_its_own(self, rule: BudgetRule, count: int) -> None:
        _, slots = spend(Budget(0, NOW), rule, NOW, count)

        assert len(set(slots)) == count
        assert (slots[-1] - NOW).total_seconds() <= count / rule.floor_per_second + 3e-6

    @given(rules, st.floats(0, 1), st.floats(1, 300), st.integers(0, 2**32))
    def test_a_target_fails_no_more_than_share_and_floor_allow(
        self, rule: BudgetRule, failure_ratio: float, per_second: float, seed: int
    ) -> None:
        """A minute of attempts that wait for their slot and end at once."""
        random, budget, now = Random(seed), full(NOW, rule), NOW
        succeeded = failed = 0
        while now < after(60):
            budget, slots = spend(budget, rule, now)
            now = max(slots[0], now)
            fails = random.random() < failure_ratio
            failed, succeeded = failed + fails, succeeded + (not fails)
            budget = settle(budget, rule, now, succeeded=int(not fails), failed=int(fails))
            now += timedelta(seconds=1 / per_second)

        seconds = (now - NOW).total_seconds()
        bound = rule.capacity + rule.floor_per_second * seconds + rule.ratio * succeeded
        assert failed <= bound + 1e-6 * (1 + bound)

    @given(rules)
    def test_it_recovers_by_itself_within_a_known_time(self, rule: BudgetRule) -> None:
        recovered = after(rule.capacity / 2 / rule.floor_per_second + 0.001)

        assert not is_spent(Budget(0, NOW), rule, recovered)


def test_a_budget_and_its_rule_survive_json() -> None:
    budget, _ = spend(Budget(3.5, NOW), RULE, NOW)

    assert decode(Budget, encode(budget)) == budget
    assert decode(BudgetRule, encode(RULE)) == RULE == decode(BudgetRule, {})


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"ratio": -0.1}, "ratio"),
        ({"floor_per_second": 0}, "floor_per_second"),
        ({"capacity": 1.9}, "capacity"),
        ({"capacity": 1e7}, "capacity"),
    ],
)
def test_an_impossible_rule_is_refused(document: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidPolicy) as refused:
        decode(BudgetRule, document)

    assert refused.value.path == path
