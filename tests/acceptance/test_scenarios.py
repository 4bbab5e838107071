"""Targets that suffer, small: what governance spares them and the tasks, beside plain backoff in the same run."""

from __future__ import annotations

import pytest
from bench import scenarios
from bench.scenarios import GOVERNED, HEALTHY, PLAIN, POISONOUS, SMALL, Result
from bench.stack import running

pytestmark = pytest.mark.timeout(300)  # a whole stack, on machines that do other things, too

Results = dict[tuple[str, str], Result]


@pytest.fixture(scope="module")
def results() -> Results:
    with running() as stack:
        found = scenarios.run(stack, SMALL)
    return {(result.scenario.name, result.variant): result for result in found}


@pytest.mark.parametrize("name", ["outage", "errors", "throttled", "slow", "poison"])
def test_no_task_dies_whose_target_comes_back(results: Results, name: str) -> None:
    governed = results[name, GOVERNED]

    assert (governed.wrongly_dead, governed.open) == (0, 0)
    for scene, count in governed.scenario.tasks.items():
        expected = 0 if scene == POISONOUS else count
        assert governed.succeeded[scene] == expected


def test_an_outage_costs_fewer_attempts_than_plain_backoff_spends(results: Results) -> None:
    governed, plain = results["outage", GOVERNED], results["outage", PLAIN]

    spent = sum(governed.attempts.values()) - SMALL.outage_tasks
    wasted = sum(plain.attempts.values()) - SMALL.outage_tasks
    assert spent < wasted, "attempts beyond the one that succeeds"
    assert len(governed.target.seen) < len(plain.target.seen), "what the target was asked in vain"


def test_a_poisonous_scene_is_given_up_and_the_healthy_ones_beside_it_are_not(results: Results) -> None:
    governed, plain = results["poison", GOVERNED], results["poison", PLAIN]

    assert governed.attempts[POISONOUS] < plain.attempts[POISONOUS]
    assert governed.dead[POISONOUS] == governed.scenario.tasks[POISONOUS]
    assert all(count == 0 for scene, count in governed.dead.items() if scene.startswith(HEALTHY))
