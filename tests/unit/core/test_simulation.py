"""The simulator: its formulas against first principles, against the real decisions, and as properties."""

import math
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.core.strategies import (
    cron_backoffs,
    exponential_backoffs,
    fixed_backoffs,
    level_backoffs,
    linear_backoffs,
    random_backoffs,
    seeds,
)

from redrive.core.backoff import next_delay
from redrive.core.decision import Clock, Retry, plan
from redrive.core.errors import InvalidDocument
from redrive.core.policy import (
    Backoff,
    CronBackoff,
    DecorrelatedJitter,
    DelayLevelsBackoff,
    EqualJitter,
    ExponentialBackoff,
    FixedBackoff,
    FullJitter,
    LinearBackoff,
    NoJitter,
    Policy,
    ProportionalJitter,
    RandomBackoff,
)
from redrive.core.simulation import MOST_ATTEMPTS, MOST_TASKS, Scenario, Simulation, simulate

NOW = datetime(2026, 1, 1, tzinfo=UTC)
STEADY = FixedBackoff(delay_seconds=10, jitter=NoJitter())

any_backoffs: st.SearchStrategy[Backoff] = st.one_of(
    fixed_backoffs, linear_backoffs(), exponential_backoffs(), level_backoffs, random_backoffs(), cron_backoffs
)
policies = st.builds(
    Policy,
    backoff=any_backoffs,
    max_attempts=st.integers(1, 15),
    max_elapsed_seconds=st.none() | st.floats(1, 1e7),
    attempt_timeout_seconds=st.floats(0.1, 3600),
)
scenarios = st.builds(
    Scenario,
    outage_seconds=st.floats(0, 1e6),
    tasks=st.sampled_from([1, 7, 500]),
    attempt_seconds=st.floats(0, 600),
    deadline_seconds=st.none() | st.floats(0, 1e7),
)


def run(policy: Policy, scenario: Scenario | None = None, seed: int = 1) -> Simulation:
    return simulate(policy, scenario or Scenario(), Random(seed))


class TestSchedule:
    def test_delays_count_from_the_end_of_the_failed_attempt(self) -> None:
        found = run(Policy(backoff=STEADY, max_attempts=3), Scenario(attempt_seconds=2))

        assert [attempt.starts.median_seconds for attempt in found.attempts] == [10, 22, 34]
        assert found.total.latest_seconds == 36

    def test_an_attempt_takes_no_longer_than_its_time_out(self) -> None:
        policy = Policy(backoff=STEADY, max_attempts=2, attempt_timeout_seconds=3)

        found = run(policy, Scenario(attempt_seconds=60))

        assert [attempt.starts.earliest_seconds for attempt in found.attempts] == [10, 23]

    @pytest.mark.parametrize(
        ("backoff", "shortest", "longest"),
        [
            (ExponentialBackoff(initial_seconds=4, max_seconds=16, jitter=NoJitter()), (4, 8, 16, 16), (4, 8, 16, 16)),
            (ExponentialBackoff(initial_seconds=4, max_seconds=16), (0, 0, 0, 0), (4, 8, 16, 16)),
            (ExponentialBackoff(initial_seconds=4, jitter=EqualJitter()), (2, 4, 8, 16), (4, 8, 16, 32)),
            (
                ExponentialBackoff(initial_seconds=4, max_seconds=30, jitter=DecorrelatedJitter()),
                (4, 4, 4, 4),
                (12, 30, 30, 30),
            ),
            (
                LinearBackoff(initial_seconds=10, increment_seconds=10, max_seconds=31),
                (9, 18, 27, 31 * 0.9),
                (11, 22, 31, 31),
            ),
            (DelayLevelsBackoff(levels=(10, 20), jitter=NoJitter()), (10, 20, 20, 20), (10, 20, 20, 20)),
            (RandomBackoff(min_seconds=2, max_seconds=8), (2, 2, 2, 2), (8, 8, 8, 8)),
            (RandomBackoff(min_seconds=2, max_seconds=8, jitter=EqualJitter()), (1, 1, 1, 1), (8, 8, 8, 8)),
        ],
        ids=lambda value: value.kind if hasattr(value, "kind") else None,
    )
    def test_bounds_each_delay_by_its_jitter(
        self, backoff: Backoff, shortest: tuple[float, ...], longest: tuple[float, ...]
    ) -> None:
        found = run(Policy(backoff=backoff, max_attempts=4))

        assert [attempt.shortest_delay_seconds for attempt in found.attempts] == pytest.approx(shortest)
        assert [attempt.longest_delay_seconds for attempt in found.attempts] == pytest.approx(longest)

    def test_a_cron_backoff_runs_when_the_expression_says(self) -> None:
        policy = Policy(backoff=CronBackoff(expression="*/10 * * * *"), max_attempts=3)

        found = run(policy, Scenario(starts_at=NOW + timedelta(minutes=3), attempt_seconds=1))

        assert [attempt.starts.median_seconds for attempt in found.attempts] == [420, 1020, 1620]
        assert found.lives == 1

    def test_jitter_of_a_cron_backoff_only_delays(self) -> None:
        policy = Policy(
            backoff=CronBackoff(expression="0 * * * *", jitter=ProportionalJitter(ratio=0.5)), max_attempts=2
        )

        first, second = run(policy, Scenario(starts_at=NOW, attempt_seconds=0)).attempts

        assert (first.starts.earliest_seconds, first.starts.latest_seconds) == (3600, 5400)
        assert second.starts.earliest_seconds == 7200
        assert 7200 < second.starts.median_seconds < second.starts.latest_seconds

    def test_attempts_after_the_limit_are_not_in_it(self) -> None:
        policy = Policy(backoff=STEADY, max_attempts=12, max_elapsed_seconds=35)

        found = run(policy, Scenario(attempt_seconds=0))

        assert [attempt.starts.latest_seconds for attempt in found.attempts] == [10, 20, 30]
        assert found.total.latest_seconds == 30

    def test_the_deadline_of_the_tasks_counts_as_well(self) -> None:
        policy = Policy(backoff=STEADY, max_attempts=12, max_elapsed_seconds=35)

        found = run(policy, Scenario(attempt_seconds=0, deadline_seconds=25))

        assert len(found.attempts) == 2

    def test_says_how_many_tasks_reach_an_attempt_before_the_limit(self) -> None:
        backoff = RandomBackoff(min_seconds=0, max_seconds=100)

        found = run(Policy(backoff=backoff, max_attempts=1, max_elapsed_seconds=25))

        assert found.attempts[0].reached == pytest.approx(0.25, abs=found.share_error)
        assert found.attempts[0].starts.median_seconds == 25

    def test_a_policy_that_expires_before_its_first_attempt_has_no_schedule(self) -> None:
        found = run(Policy(backoff=STEADY, max_elapsed_seconds=5), Scenario(outage_seconds=0))

        assert found.attempts == ()
        assert found.total.latest_seconds == 0
        assert found.survival == 0
        assert found.load.attempts == 0
        assert found.load.peak is None

    def test_a_million_attempts_are_looked_at_in_part_and_said_so(self) -> None:
        policy = Policy(backoff=STEADY, max_attempts=1_000_000, max_elapsed_seconds=None)

        found = run(policy)

        assert len(found.attempts) == MOST_ATTEMPTS
        assert found.truncated
        assert not run(Policy()).truncated


class TestSurvival:
    def test_without_chance_all_survive_until_the_last_attempt_and_none_after(self) -> None:
        policy = Policy(backoff=STEADY, max_attempts=3)

        def survival(outage: float) -> float:
            return run(policy, Scenario(outage_seconds=outage, attempt_seconds=0)).survival

        assert [survival(outage) for outage in (0, 30, 30.001)] == [1, 1, 0]

    def test_the_share_is_that_of_the_distribution(self) -> None:
        """One attempt, uniform between 0 and 100 s: an outage of 30 s is survived by 70 %."""
        policy = Policy(backoff=RandomBackoff(min_seconds=0, max_seconds=100), max_attempts=1)

        found = run(policy, Scenario(outage_seconds=30, tasks=1_000))

        assert found.survival == pytest.approx(0.7, abs=found.share_error)
        assert found.lost_tasks == pytest.approx(300, abs=1_000 * found.share_error)

    def test_the_curve_gives_the_outages_that_a_share_survives(self) -> None:
        policy = Policy(backoff=RandomBackoff(min_seconds=0, max_seconds=100), max_attempts=1)

        found = run(policy)

        for point in found.survival_curve:
            assert point.outage_seconds == pytest.approx(100 * (1 - point.chance), abs=100 * found.share_error)
            assert run(policy, Scenario(outage_seconds=point.outage_seconds)).survival >= point.chance

    @pytest.mark.parametrize(
        "backoff",
        [
            ExponentialBackoff(initial_seconds=3, max_seconds=60),
            ExponentialBackoff(initial_seconds=3, max_seconds=60, jitter=DecorrelatedJitter()),
            LinearBackoff(initial_seconds=5, increment_seconds=20, max_seconds=60),
            RandomBackoff(min_seconds=5, max_seconds=90, jitter=EqualJitter()),
            FixedBackoff(delay_seconds=40),
            CronBackoff(expression="* * * * *", jitter=ProportionalJitter(ratio=0.3)),
        ],
        ids=lambda backoff: backoff.kind,
    )
    def test_agrees_with_lives_that_are_planned_by_the_real_decisions(self, backoff: Backoff) -> None:
        """The simulator draws whole columns for speed; a life that is planned step by step must look the same."""
        policy, lives = Policy(backoff=backoff, max_attempts=6, max_elapsed_seconds=250), 400
        random = Random(5)
        lasts = sorted(planned_last_attempt(policy, random) for _ in range(lives))

        for outage in (20.0, 60.0, 120.0, 200.0):
            found = run(policy, Scenario(outage_seconds=outage, attempt_seconds=2))
            share = sum(last >= outage for last in lasts) / lives

            error = found.share_error + math.sqrt(math.log(40) / (2 * lives))
            assert found.survival == pytest.approx(share, abs=error)


def planned_last_attempt(policy: Policy, random: Random) -> float:
    """Live one task's life with `plan`, two seconds per attempt; return the start of its last attempt."""
    clock, now, last, previous = Clock(NOW), NOW, -1.0, None
    for number in range(1, policy.max_attempts + 1):
        planned = plan(policy, clock, number, now, random, previous)
        if not isinstance(planned, Retry):
            break
        last, previous = (planned.due_at - NOW).total_seconds(), planned.delay_seconds
        now = planned.due_at + timedelta(seconds=2)
    return last


class TestLoad:
    def test_without_jitter_all_tasks_come_in_the_same_second(self) -> None:
        policy = Policy(backoff=STEADY, max_attempts=5)

        load = run(policy, Scenario(outage_seconds=25, tasks=300, attempt_seconds=0)).load

        assert load.attempts == 900
        assert load.amplification == 3
        assert load.peak is not None
        assert (load.peak.at_seconds, load.peak.requests_per_second) == (10, 300)
        assert load.peak_after_outage is not None
        assert (load.peak_after_outage.at_seconds, load.peak_after_outage.requests_per_second) == (30, 300)

    def test_jitter_spreads_the_return(self) -> None:
        scenario = Scenario(outage_seconds=25, tasks=3_000, attempt_seconds=0)
        policy = Policy(backoff=FixedBackoff(delay_seconds=10, jitter=FullJitter()), max_attempts=50)

        peak = run(policy, scenario).load.peak_after_outage

        assert peak is not None
        assert peak.requests_per_second < 1_000

    def test_a_task_asks_once_when_there_is_no_outage(self) -> None:
        load = run(Policy(), Scenario(outage_seconds=0, tasks=50)).load

        assert (load.attempts, load.amplification) == (50, 1)

    def test_more_tasks_than_lives_are_scaled_and_the_error_is_said(self) -> None:
        found = run(Policy(), Scenario(tasks=1_000_000))

        assert found.lives == 10_000
        assert found.load.amplification == pytest.approx(run(Policy()).load.amplification, rel=0.05)
        assert found.load.peak is not None
        assert 0 < found.load.peak.relative_error <= 0.2

    def test_takes_a_fifth_of_a_second_at_most_for_ten_thousand_tasks(self) -> None:
        """Best of three: the machine may be busy."""
        times: list[float] = []
        for _ in range(3):
            begun = time.process_time()
            run(Policy(), Scenario(tasks=10_000, outage_seconds=3_600))
            times.append(time.process_time() - begun)

        assert min(times) <= 0.2


class TestScenario:
    @pytest.mark.parametrize(
        ("fields", "path"),
        [
            ({"outage_seconds": -1}, "outage_seconds"),
            ({"attempt_seconds": math.nan}, "attempt_seconds"),
            ({"deadline_seconds": math.inf}, "deadline_seconds"),
            ({"tasks": 0}, "tasks"),
            ({"tasks": MOST_TASKS + 1}, "tasks"),
        ],
    )
    def test_refuses_what_it_cannot_simulate_and_names_the_field(self, fields: dict[str, Any], path: str) -> None:
        with pytest.raises(InvalidDocument) as raised:
            Scenario(**fields)

        assert raised.value.path == path


class TestProperties:
    @given(policies, scenarios, seeds)
    def test_times_are_in_order_within_an_attempt_and_from_attempt_to_attempt(
        self, policy: Policy, scenario: Scenario, seed: int
    ) -> None:
        found = run(policy, scenario, seed)

        spans = [attempt.starts for attempt in found.attempts]
        for span in (*spans, found.total):
            assert 0 <= span.earliest_seconds <= span.median_seconds <= span.latest_seconds
        for earlier, later in pairwise(spans):
            assert earlier.earliest_seconds <= later.earliest_seconds
            assert earlier.median_seconds <= later.median_seconds
            assert earlier.latest_seconds <= later.latest_seconds
        limits = [limit for limit in (policy.max_elapsed_seconds, scenario.deadline_seconds) if limit is not None]
        assert all(span.latest_seconds <= min(limits, default=math.inf) for span in spans)

    @given(policies, scenarios, seeds, st.lists(st.floats(0, 1e6), min_size=2, max_size=4))
    def test_survival_never_grows_with_the_outage(
        self, policy: Policy, scenario: Scenario, seed: int, outages: list[float]
    ) -> None:
        chances = [run(policy, replace(scenario, outage_seconds=outage), seed).survival for outage in sorted(outages)]

        assert all(0 <= later <= earlier <= 1 for earlier, later in pairwise(chances))

    @given(policies, scenarios, seeds)
    def test_no_outage_is_survived_by_all_that_have_an_attempt(
        self, policy: Policy, scenario: Scenario, seed: int
    ) -> None:
        found = run(policy, replace(scenario, outage_seconds=0), seed)

        reached = found.attempts[0].reached if found.attempts else 0
        assert found.survival == reached

    @given(policies, scenarios, seeds)
    def test_the_load_sums_up_to_the_attempts(self, policy: Policy, scenario: Scenario, seed: int) -> None:
        load = run(policy, scenario, seed).load

        assert sum(bucket.requests for bucket in load.buckets) == pytest.approx(load.attempts)
        assert load.amplification == pytest.approx(load.attempts / scenario.tasks)
        assert load.amplification <= policy.max_attempts
        assert len(load.buckets) <= 60
        for bucket in load.buckets:
            assert bucket.requests_per_second * load.bucket_seconds == pytest.approx(bucket.requests)

    @given(policies, scenarios, seeds)
    def test_the_same_seed_gives_the_same_answer(self, policy: Policy, scenario: Scenario, seed: int) -> None:
        assert run(policy, scenario, seed) == run(policy, scenario, seed)

    @given(policies, scenarios, seeds)
    def test_a_life_that_the_real_backoff_draws_stays_within_the_bounds(
        self, policy: Policy, scenario: Scenario, seed: int
    ) -> None:
        random, now, previous = Random(seed), scenario.starts_at, None
        taken = timedelta(seconds=min(scenario.attempt_seconds, policy.attempt_timeout_seconds))

        for attempt in run(
            replace(policy, max_elapsed_seconds=None), replace(scenario, deadline_seconds=None)
        ).attempts:
            delay = next_delay(policy.backoff, attempt.number, now, random, previous)
            previous, start = delay.seconds, now + timedelta(seconds=delay.seconds)
            now = start + taken

            offset = (start - scenario.starts_at).total_seconds()
            assert at_least(offset, attempt.starts.earliest_seconds)
            assert at_least(attempt.starts.latest_seconds, offset)
            if not isinstance(policy.backoff, CronBackoff):
                assert at_least(delay.seconds, attempt.shortest_delay_seconds)
                assert at_least(attempt.longest_delay_seconds, delay.seconds)


def at_least(value: float, bound: float) -> bool:
    """Compare as far as sums of floats and instants of whole microseconds agree."""
    return value >= bound - max(1e-4, 1e-9 * abs(bound))
