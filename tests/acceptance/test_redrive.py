"""A redrive of thousands of dead letters: each is replayed once whatever is killed, and it knows when to stop.

As in `test_survival`, everything here is what a user runs: `redrive dev` with its own processes, and HTTP.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.acceptance.test_survival import Stack, Target, wait_until

TASKS = 2_000
HOPELESS = 200
BATCH = 1_000
DEAD_AT_ONCE = {"max_elapsed_seconds": 1}
"""With a first delay of an hour: the task is a dead letter from its report on."""

AGAIN = {"max_elapsed_seconds": 3600, "max_attempts": 3, "backoff": {"kind": "fixed", "delay_seconds": 0.2}}


class Provider(Target):
    """A target that fails for good while it is out of order, and remembers the generations that it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: int = 0
        self.works = True
        self.generations: dict[str, set[str]] = defaultdict(set)

    async def _answer(self, headers: dict[str, str], body: dict[str, int]) -> int:
        self.generations[headers["redrive-task"]].add(headers["redrive-generation"])
        self.calls += 1
        return 200 if self.works else 422


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider() as provider:
        yield provider


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("redrive"))
    try:
        stack.wait_ready()
        yield stack
    finally:
        stack.stop()


def report_dead(stack: Stack, provider: Provider, scene: str, count: int) -> None:
    """Report calls that are dead letters at once."""
    task = {
        "group": "orders",
        "scene": scene,
        "target": {"kind": "webhook", "url": f"{provider.url}/hook"},
        "kwargs": {"amount": 5},
        "policy": DEAD_AT_ONCE,
        "delay_seconds": 3600,
    }
    for first in range(0, count, BATCH):
        batch = [task] * min(BATCH, count - first)
        answer = httpx.post(f"{stack.state['api_url']}/v1/tasks/batch", json={"tasks": batch}, timeout=60)
        assert answer.json()["accepted"] == len(batch), answer.text


def start(stack: Stack, **fields: Any) -> str:
    answer = httpx.post(f"{stack.state['api_url']}/v1/redrives", json=fields, timeout=60)
    assert answer.status_code == 201, answer.text
    found: str = answer.json()["id"]
    return found


def counts(stack: Stack, redrive_id: str) -> dict[str, int]:
    """How far it is; nothing is known while the API or its database is away."""
    return find(stack, redrive_id).get("counts", {"done": -1, "total": 0})


def find(stack: Stack, redrive_id: str) -> dict[str, Any]:
    try:
        answer = httpx.get(f"{stack.state['api_url']}/v1/redrives/{redrive_id}", timeout=10)
    except (httpx.TransportError, KeyError):
        return {}
    found: dict[str, Any] = answer.json() if answer.is_success else {}
    return found


@pytest.mark.timeout(420)
def test_each_task_is_replayed_once_although_worker_temporal_and_postgres_are_killed(
    stack: Stack, provider: Provider
) -> None:
    report_dead(stack, provider, "charge-card", TASKS)
    redrive_id = start(
        stack,
        selection={"scene": "charge-card"},
        rate_per_second=200,
        ramp=None,
        concurrency=250,
        policy=AGAIN,
        reason="the provider is back",
    )
    for share, part in ((0.1, "worker-1"), (0.3, "temporal"), (0.5, "postgres")):
        wait_until(lambda share=share: counts(stack, redrive_id)["done"] >= share * TASKS, 120)
        assert counts(stack, redrive_id)["done"] < TASKS, "it was to be killed in the middle"
        stack.kill(part)
    wait_until(lambda: find(stack, redrive_id).get("status") == "completed", 240)

    found = find(stack, redrive_id)
    assert found["counts"] == {
        "total": TASKS, "waiting": 0, "in_flight": 0, "succeeded": TASKS, "dead": 0, "skipped": 0, "failed": 0,
        "done": TASKS,
    }  # fmt: skip
    assert found["why"] == f"{TASKS} succeeded"
    items = stack.rows("SELECT outcome, started_generation, task_id::text FROM redrive_items")
    assert Counter((item.outcome, item.started_generation) for item in items) == {("succeeded", 2): TASKS}
    assert len({item.task_id for item in items}) == TASKS
    tasks = stack.rows("SELECT status, generation FROM tasks")
    assert Counter((task.status, task.generation) for task in tasks) == {("succeeded", 2): TASKS}
    attempts = stack.rows("SELECT task_id FROM attempts WHERE generation = 2 AND status = 'succeeded'")
    assert len(attempts) == TASKS
    assert len(provider.generations) == TASKS
    assert set(map(frozenset, provider.generations.values())) == {frozenset({"2"})}


@pytest.mark.timeout(150)
def test_a_redrive_into_a_target_that_still_fails_stops_by_itself_and_says_why(
    stack: Stack, provider: Provider
) -> None:
    provider.works = False
    report_dead(stack, provider, "send-mail", HOPELESS)
    calls = provider.calls
    redrive_id = start(
        stack, selection={"scene": "send-mail"}, rate_per_second=200, ramp=None, concurrency=30, policy=AGAIN
    )
    wait_until(lambda: counts(stack, redrive_id)["done"] == HOPELESS, 100)
    found = find(stack, redrive_id)

    assert found["status"] == "stopped"
    assert "finished tasks failed again (100%; it stops at 50% of at least 20)" in found["why"]
    assert 20 <= found["counts"]["dead"] == provider.calls - calls < HOPELESS / 2, "it spared the target the rest"
    assert found["counts"]["skipped"] == HOPELESS - found["counts"]["dead"]
    (event,) = stack.rows("SELECT facts FROM alert_events WHERE kind = 'redrive_stopped'")
    assert (event.facts["redrive_id"], event.facts["why"]) == (redrive_id, found["why"])
