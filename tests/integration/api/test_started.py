"""Operations on tasks whose workflows run: through the API, a real Temporal and a real worker, into the row."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client
from tests.eventually import eventually
from tests.integration.api.client import LONG, Api, Serve, execute, problem
from tests.integration.engine.target import Reply, Target
from tests.integration.engine.target import serving as serving_target

from redrive.cli.stack import EmbeddedTemporal
from redrive.core.messages import workflow_id
from redrive.store.database import Database
from redrive.store.settings import Settings
from redrive.workflows.worker import serving

NOWHERE = {"kind": "webhook", "url": "http://127.0.0.1:1/hook"}
"""A webhook that refuses the connection."""

BULK_RETRY = {"action": "retry", "selection": {"group": "orders"}, "rate_per_second": 500, "ramp": None}


@pytest.fixture
async def whole(
    serve: Serve, database: Database, database_url: str, temporal: Client, temporal_server: EmbeddedTemporal
) -> AsyncIterator[Api]:
    """The API with its starter, and a worker."""
    queue = f"queue-{uuid4()}"
    settings = Settings(
        database_url=database_url,
        temporal_address=temporal_server.address,
        task_queue=queue,
        shutdown_seconds=0.1,
        reconcile_seconds=3600,
    )
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(serving(temporal, database, settings))
        yield await serve(temporal_address=temporal_server.address, task_queue=queue)


async def started(api: Api, **fields: Any) -> dict[str, Any]:
    """Report a task and wait until its workflow waits for the first attempt."""
    task = await api.report(**{"executor": None, "args": None, "target": NOWHERE, **fields})
    return await reaches(api, task, "waiting")


async def reaches(api: Api, task: dict[str, Any], status: str) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        found = await api.task(task["id"])
        return found if found["status"] == status else None

    found = await eventually(look, what=f"the task to be {status}")
    assert found is not None
    return found


async def test_a_running_workflow_is_paused_moved_resumed_and_cancelled(whole: Api) -> None:
    task = await started(whole)

    paused = (await whole.post(f"/v1/tasks/{task['id']}/pause", {"reason": "lunch"})).json()
    moved = (await whole.post(f"/v1/tasks/{task['id']}/reschedule", {"delay_seconds": 600})).json()
    resumed = (await whole.post(f"/v1/tasks/{task['id']}/resume")).json()
    cancelled = (await whole.post(f"/v1/tasks/{task['id']}/cancel")).json()

    assert (paused["status"], paused["why"]) == ("paused", "lunch")
    assert moved["status"] == "paused"
    assert moved["next_attempt_at"] < task["next_attempt_at"]
    assert (resumed["status"], resumed["next_attempt_at"]) == ("waiting", moved["next_attempt_at"])
    assert cancelled["status"] == "cancelled"
    problem(await whole.post(f"/v1/tasks/{task['id']}/cancel"), 409, "wrong-state")


async def test_what_the_workflow_refuses_is_a_conflict_with_its_reason(whole: Api) -> None:
    task = await started(whole)

    answer = await whole.post(f"/v1/tasks/{task['id']}/resume")

    assert "only a paused task can be resumed" in problem(answer, 409, "refused")["detail"]


async def test_a_retry_runs_the_next_attempt_and_a_dead_task_begins_again(whole: Api) -> None:
    task = await started(whole, policy={**LONG, "max_attempts": 1})

    assert (await whole.post(f"/v1/tasks/{task['id']}/retry")).status_code == 200
    dead = await reaches(whole, task, "dead")
    attempts = (await whole.get(f"/v1/tasks/{task['id']}/attempts")).json()["items"]
    assert (dead["dead_reason"], dead["attempts"]) == ("exhausted", 1)
    assert [(attempt["generation"], attempt["number"], attempt["trigger"]) for attempt in attempts] == [
        (1, 1, "manual")
    ]

    assert (await whole.post(f"/v1/tasks/{task['id']}/retry")).json()["generation"] == 2
    again = await reaches(whole, task, "dead")
    assert again["generation"] == 2
    assert len((await whole.get(f"/v1/tasks/{task['id']}/attempts")).json()["items"]) == 2


async def test_a_changed_policy_reaches_the_workflow_and_the_row(whole: Api) -> None:
    task = await started(whole)

    answer = await whole.patch(f"/v1/tasks/{task['id']}", {"policy": {"max_attempts": 2}, "business_key": "b"})

    changed = answer.json()
    assert answer.status_code == 200, answer.text
    assert (changed["max_attempts"], changed["policy"]["max_attempts"], changed["business_key"]) == (2, 2, "b")
    assert changed["policy_override"] == {"max_attempts": 2}


async def test_an_edited_payload_is_what_the_next_attempt_sends(whole: Api) -> None:
    task = await started(whole)

    edited = await whole.patch(f"/v1/tasks/{task['id']}", {"kwargs": {"amount": 4}})

    assert (edited.json()["kwargs"], edited.json()["payload_revision"]) == ({"amount": 4}, 2)
    assert edited.json()["status"] == "waiting"


async def test_a_task_whose_workflow_is_gone_is_left_to_the_reconciler(whole: Api, temporal: Client) -> None:
    task = await started(whole)
    await temporal.get_workflow_handle(workflow_id("default", task["id"], 1)).terminate()

    for answer in (
        await whole.post(f"/v1/tasks/{task['id']}/pause"),
        await whole.patch(f"/v1/tasks/{task['id']}", {"policy": {"max_attempts": 2}}),
    ):
        assert "reconciler" in problem(answer, 409, "workflow-gone")["detail"]
    assert (await whole.task(task["id"]))["status"] == "waiting"


async def test_a_paused_task_that_was_never_started_is_started_when_it_is_resumed(
    whole: Api, database: Database
) -> None:
    task = await whole.report(executor=None, args=None, target=NOWHERE)
    await reaches(whole, task, "waiting")
    await whole.post(f"/v1/tasks/{task['id']}/cancel")
    await execute(
        database,
        "UPDATE tasks SET status = 'paused', mirror_version = 0, finished_at = NULL, generation = 2, "
        "next_attempt_at = now() + interval '1 hour'",
    )

    assert (await whole.post(f"/v1/tasks/{task['id']}/resume")).json()["status"] == "pending"
    assert (await reaches(whole, task, "waiting"))["generation"] == 2


async def test_a_live_task_is_edited_and_retried_now(whole: Api) -> None:
    task = await started(whole)
    async with serving_target(Target()) as target:
        target.say(Reply(500), Reply(200))
        path = f"/v1/tasks/{task['id']}/edit-and-retry"
        change = {
            "target": {"kind": "webhook", "url": f"{target.url}/hook"},
            "payload_patch": {"kwargs": {"amount": 4}},
            "policy": {**LONG, "max_attempts": 7},
            "reason": "the address was wrong",
        }
        edited = await whole.post(path, change)
        failed = await reaches_attempts(whole, task, 1)
        await whole.post(path, {"kwargs": {"amount": 3}})
        done = await reaches(whole, task, "succeeded")

    assert edited.status_code == 200, edited.text
    assert (failed["status"], failed["generation"], failed["max_attempts"]) == ("waiting", 1, 7)
    assert [call.json for call in target.calls] == [{"amount": 4}, {"amount": 3}]
    assert (done["generation"], done["attempts"], done["payload_revision"]) == (1, 2, 3)
    attempts = (await whole.get(f"/v1/tasks/{task['id']}/attempts")).json()["items"]
    assert [attempt["payload_revision"] for attempt in attempts] == [2, 3]
    problem(await whole.post(path, {"kwargs": {"amount": 2}}), 409, "wrong-state")


async def test_a_bulk_retry_waits_at_an_open_breaker_and_goes_on_when_it_closes(whole: Api) -> None:
    """A person's retry of one task passes the breaker; that of many would knock out what is just coming back."""
    policy = {**LONG, "slow_start": {"first_per_second": 20, "doubling_seconds": 1}}
    async with serving_target(Target()) as target:
        target.say(*[Reply(500)] * 6, Reply(200))
        webhook = {"kind": "webhook", "url": f"{target.url}/hook"}
        tasks = [await started(whole, target=webhook, policy=policy, delay_seconds=0) for _ in range(6)]
        for task in tasks:
            await reaches_attempts(whole, task, 1)
        # Not yet begun when the breaker opens, and so without an attempt of its own.
        tasks.append(await started(whole, target=webhook, policy=policy))
        breaker = f"/v1/breakers/host:{target.url.partition('//')[2]}"
        assert (await whole.post(f"{breaker}/open", {"reason": "the bank migrates"})).status_code == 200
        # It holds everywhere a second later; by then what falls due is parked.
        await eventually(lambda: _is_held(whole, webhook, policy), what="the worker to know of the open breaker")
        calls = len(target.calls)

        redrive = (await whole.post("/v1/redrives", BULK_RETRY)).json()
        done = await _ends(whole, redrive)
        parked = [await reaches(whole, task, "parked") for task in tasks]
        assert (done["status"], done["counts"]["failed"], done["counts"]["skipped"]) == ("completed", 0, 0)
        assert {(task["parked_for"], "the bank migrates" in task["why"]) for task in parked} == {("breaker", True)}
        assert [task["attempts"] for task in parked] == [1] * 6 + [0]
        assert len(target.calls) == calls, "a bulk retry has passed the open breaker"

        assert (await whole.post(f"{breaker}/close", {})).status_code == 200
        for task in tasks:
            assert (await reaches(whole, task, "succeeded"))["generation"] == 1


async def reaches_attempts(api: Api, task: dict[str, Any], attempts: int) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        found = await api.task(task["id"])
        return found if found["attempts"] == attempts and found["status"] == "waiting" else None

    found = await eventually(look, what=f"attempt {attempts}")
    assert found is not None
    return found


async def _is_held(api: Api, webhook: dict[str, str], policy: dict[str, Any]) -> bool:
    """Report one more task, and tell whether it was parked for the breaker instead of being sent."""
    task = await api.report(executor=None, args=None, target=webhook, policy=policy, delay_seconds=0)

    async def look() -> str | None:
        status: str = (await api.task(task["id"]))["status"]
        return status if status in ("parked", "succeeded") else None

    return await eventually(look, what="the task to be tried") == "parked"


async def _ends(api: Api, redrive: dict[str, Any]) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        found: dict[str, Any] = (await api.get(f"/v1/redrives/{redrive['id']}")).json()
        return found if found["finished_at"] is not None else None

    found = await eventually(look, 60, "the end of the redrive")
    assert found is not None
    return found
