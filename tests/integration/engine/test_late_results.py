"""What an old attempt still says after its task was replayed, or sent elsewhere, changes nothing."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment
from tests.eventually import eventually
from tests.integration.engine.harness import GROUP, NAMESPACE, NODE, Platform, webhook
from tests.integration.engine.target import Gate, Reply, Target, answer

from redrive.activities.admission import Admission
from redrive.activities.directory import NodeDirectory
from redrive.activities.dispatch import Dispatcher
from redrive.core.messages import UPDATE_RETARGET, UPDATE_RETRY, DispatchCommand, Retarget, RetryNow
from redrive.core.states import AttemptStatus
from redrive.store import edits, tasks
from redrive.store.attempts import Finish, finish_attempt
from redrive.workflows.worker import target_client


def command(task_id: object, generation: int) -> DispatchCommand:
    return DispatchCommand(
        namespace=NAMESPACE,
        group=GROUP,
        task_id=str(task_id),
        generation=generation,
        number=1,
        attempts=1,
        version=10,
        due_at=datetime.now(UTC).isoformat(),
        trigger="timer",
        timeout_seconds=20,
        ends_at=None,
        max_attempts=3,
        route="first",
        policy_version=1,
    )


@pytest.mark.parametrize("kind", ["node", "webhook"])
async def test_an_answer_that_comes_after_the_replay_counts_for_nothing(
    idle: Platform, target: Target, kind: str
) -> None:
    gate = Gate()
    target.say(Reply(200, answer().body, until=gate), answer("failed", error={"type": "E", "message": "new"}))
    await idle.register(target.url)
    task_id = await idle.report(NODE if kind == "node" else webhook(target.url), executor=None)
    old, new = command(task_id, 1), command(task_id, 2)
    async with target_client(10) as http:
        dispatcher = Dispatcher(idle.database, http, NodeDirectory(idle.database, Random(1)), Admission(idle.database))
        slow = asyncio.create_task(ActivityEnvironment().run(dispatcher.dispatch, old))
        await target.called()
        # Its workflow is lost, somebody cancels the task and retries it with another payload.
        await idle.execute("UPDATE attempts SET status = 'cancelled', finished_at = now()")
        await idle.execute("UPDATE tasks SET status = 'cancelled', finished_at = now()")
        task = await idle.task(task_id)
        async with idle.database.begin() as session:
            await edits.add_payload(session, task_id, [], {"amount": 6}, None, "ann", "typo")
            now = datetime.now(UTC)
            again = tasks.Replay(task_id, 1, task.policy, 1)
            await tasks.replay(session, NAMESPACE, [again], due_at=now, why="again", now=now)
        result = await ActivityEnvironment().run(dispatcher.dispatch, new)
        before = await idle.task(task_id), await idle.ledger(task_id)
        gate.open()
        late = await slow

    first, second = await idle.ledger(task_id)
    assert target.calls[1].json == {"amount": 6} or target.calls[1].json["kwargs"] == {"amount": 6}
    assert late.status == "cancelled", "the old workflow, if it lived, would learn what the ledger has"
    assert (first.generation, first.status, first.http_status) == (1, "cancelled", None)
    assert (second.generation, second.status) == (2, result.status)
    assert (await idle.task(task_id), await idle.ledger(task_id)) == before


async def test_the_ledger_takes_no_result_for_an_attempt_that_has_ended_or_lives_in_another_generation(
    idle: Platform, target: Target
) -> None:
    task_id = await idle.report(webhook(target.url))
    async with target_client(10) as http:
        dispatcher = Dispatcher(idle.database, http, NodeDirectory(idle.database, Random(1)), Admission(idle.database))
        await ActivityEnvironment().run(dispatcher.dispatch, command(task_id, 1))
    before = await idle.ledger(task_id)

    async with idle.database.begin() as session:
        for generation, delivery in ((1, 1), (1, 2), (2, 1)):
            failed = Finish(AttemptStatus.FAILED, error_type="Late")
            assert not await finish_attempt(session, command(task_id, generation), delivery, failed)

    assert await idle.ledger(task_id) == before


async def test_a_live_task_goes_elsewhere_with_its_next_attempt(platform: Platform, target: Target) -> None:
    """From a task queue that nobody polls to a webhook, by an edit of the row that the workflow is told of."""
    task_id = await platform.report({"kind": "worker", "task_queue": "nobody-polls"}, delay=600)
    await platform.started(task_id)
    async with platform.database.begin() as session:
        await edits.change_task(session, task_id, {"target": webhook(target.url), "executor": None})
        await edits.add_payload(session, task_id, [], {"amount": 6}, None, "ann")
    await platform.update(task_id, UPDATE_RETARGET, Retarget(None, None, (await platform.task(task_id)).target_key))
    await platform.update(task_id, UPDATE_RETRY, RetryNow())
    task = await platform.ends(task_id)

    assert (task.status, target.calls[0].json) == ("succeeded", {"amount": 6})


async def test_a_workflow_that_was_not_told_finds_out_where_its_task_has_gone(
    platform: Platform, target: Target
) -> None:
    target.say(answer())
    await platform.register(target.url, executors=("orders.charge-again",))
    task_id = await platform.report(webhook(target.url), delay=600)
    await platform.started(task_id)
    changes: dict[str, Any] = {"target": dict(NODE), "executor": "orders.charge-again"}
    async with platform.database.begin() as session:
        await edits.change_task(session, task_id, changes)
    await platform.update(task_id, UPDATE_RETRY, RetryNow())
    task, (attempt,) = await platform.ends(task_id), await platform.ledger(task_id)

    assert (task.status, task.attempts, attempt.trigger) == ("succeeded", 1, "manual")
    assert target.calls[0].json["executor"] == "orders.charge-again"
    await eventually(lambda: len(target.calls) == 1)
