"""The starter: every pending task gets its workflow, once, whatever happens to starters, Temporal and the database."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from temporalio.client import Client
from tests.eventually import eventually
from tests.integration.engine.harness import NAMESPACE, Platform, webhook
from tests.integration.engine.target import Reply, Target

from redrive.api.engine import EngineUnavailable
from redrive.api.starter import Starter
from redrive.cli.stack import EmbeddedTemporal
from redrive.store import tasks
from redrive.store.database import Database
from redrive.store.tasks import Replay
from redrive.workflows import worker


@pytest.fixture
def sleeping_temporal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedTemporal]:
    """A Temporal server that has run, and is down now."""
    server = EmbeddedTemporal(tmp_path_factory.mktemp("temporal"), ui_port=None)
    server.start()
    server.stop()
    yield server
    server.stop()


async def test_starters_side_by_side_start_each_task_once(idle: Platform, target: Target) -> None:
    ids = [await idle.report(webhook(target.url)) for _ in range(40)]
    others = [Starter(idle.database, idle.engine, idle.settings, idle.restraints) for _ in range(3)]
    running = [asyncio.create_task(starter.run()) for starter in others]
    async with idle.worker(), idle.starting():
        for task_id in ids:
            assert (await idle.ends(task_id)).status == "succeeded"
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)

    assert Counter(call.headers["redrive-task"] for call in target.calls) == Counter(map(str, ids))


async def test_temporal_is_told_the_weight_of_the_group(idle: Platform, target: Target) -> None:
    await idle.execute("UPDATE groups SET weight = 2.5")
    task_id = await idle.report(webhook(target.url))
    async with idle.worker(), idle.starting():
        await idle.ends(task_id)

    events = (await idle.handle(task_id).fetch_history()).events
    start = events[0].workflow_execution_started_event_attributes.priority
    (attempt,) = [
        event.activity_task_scheduled_event_attributes.priority
        for event in events
        if event.HasField("activity_task_scheduled_event_attributes")
    ]
    assert (start.fairness_weight, attempt.fairness_weight) == (2.5, 2.5)


async def test_a_claim_of_a_killed_starter_is_taken_over_when_it_has_expired(idle: Platform, target: Target) -> None:
    task_id = await idle.report(webhook(target.url))
    async with idle.database.session() as session:
        (claim,) = await tasks.claim_pending(session, 10)
    assert claim.id == task_id
    assert await idle.starter.round() is False
    assert (await idle.task(task_id)).status == "pending"

    await idle.execute("UPDATE tasks SET claimed_until = now() - interval '1 second'")
    await idle.starter.round()
    assert (await idle.task(task_id)).status == "waiting"


async def test_a_workflow_that_is_started_twice_is_one_workflow(idle: Platform, target: Target) -> None:
    """The first starter was killed before it could write down what it had done."""
    task_id = await idle.report(webhook(target.url))
    async with idle.database.session() as session:
        (claim,) = await tasks.claim_pending(session, 10)
    for _ in range(2):
        await idle.engine.start_task(claim, datetime.now(UTC))
    async with idle.worker():
        await idle.ends(task_id)
        await idle.engine.start_task(claim, datetime.now(UTC))
        await eventually(lambda: idle.closed(task_id))

    assert (await idle.task(task_id)).status == "succeeded"
    assert len(target.calls) == 1


async def test_a_task_that_has_begun_its_next_generation_is_not_taken_for_started(
    idle: Platform, target: Target
) -> None:
    """Its workflow died, and a person replayed it, before the starter could note the first start."""
    task_id = await idle.report(webhook(target.url))
    async with idle.database.session() as session:
        claims = await tasks.claim_pending(session, 10)
    await idle.execute("UPDATE tasks SET status = 'dead', dead_reason = 'rejected', finished_at = now()")
    async with idle.database.begin() as session:
        policy = (await idle.task(task_id)).policy
        now = datetime.now(UTC)
        again = Replay(task_id, 1, policy, 1)
        assert await tasks.replay(session, NAMESPACE, [again], due_at=now, why="again", now=now) == {task_id}
    async with idle.database.session() as session:
        await tasks.mark_started(session, claims)

    task = await idle.task(task_id)
    assert (task.status, task.generation) == ("pending", 2)


async def test_a_replayed_task_lives_again_from_its_first_attempt(platform: Platform, target: Target) -> None:
    target.say(Reply(500), Reply(500), Reply(500), Reply(200))
    task_id = await platform.report(webhook(target.url))
    dead = await platform.ends(task_id)
    async with platform.database.begin() as session:
        now = datetime.now(UTC)
        again = Replay(task_id, 1, dead.policy, 1)
        await tasks.replay(session, NAMESPACE, [again], due_at=now, why="again", now=now)
    task = await platform.ends(task_id)

    assert (dead.status, task.status, task.generation, task.attempts) == ("dead", "succeeded", 2, 1)
    assert [(entry.generation, entry.number) for entry in await platform.ledger(task_id)] == [
        (1, 1),
        (1, 2),
        (1, 3),
        (2, 1),
    ]
    assert target.calls[-1].headers["redrive-generation"] == "2"


async def test_a_workflow_that_temporal_refuses_does_not_hold_up_the_others(idle: Platform, target: Target) -> None:
    refused = await idle.report(webhook(target.url), business_key="k" * 5000)
    others = [await idle.report(webhook(target.url)) for _ in range(3)]
    await idle.starter.round()

    statuses = [(await idle.task(task_id)).status for task_id in [refused, *others]]
    assert statuses == ["pending", "waiting", "waiting", "waiting"]
    assert (await idle.task(refused)).claimed_until is not None


async def test_reports_wait_for_temporal_and_start_when_it_comes(
    database: Database, sleeping_temporal: EmbeddedTemporal, target: Target
) -> None:
    lazy = await Client.connect(sleeping_temporal.address, lazy=True)
    platform = Platform(database, lazy, sleeping_temporal.address)
    await platform.prepare()
    task_id = await platform.report(webhook(target.url))
    with pytest.raises(EngineUnavailable):
        await platform.starter.round()
    waiting = await platform.task(task_id)
    assert (waiting.status, waiting.claimed_until) == ("pending", None), "its claim is given back at once"

    stop = asyncio.Event()
    serving = asyncio.create_task(worker.run(platform.settings, stop))
    async with platform.starting():
        await asyncio.to_thread(sleeping_temporal.start)
        task = await platform.reaches(task_id, "succeeded", within=60)
    stop.set()
    await serving
    assert task.attempts == 1


async def test_temporal_may_go_and_come_back_while_tasks_live(
    database: Database, sleeping_temporal: EmbeddedTemporal, target: Target
) -> None:
    await asyncio.to_thread(sleeping_temporal.start)
    platform = Platform(database, await Client.connect(sleeping_temporal.address), sleeping_temporal.address)
    await platform.prepare()
    await platform.engine.prepare()
    async with platform.worker(), platform.starting():
        early = await platform.report(webhook(target.url), delay=2)
        await platform.started(early)
        await asyncio.to_thread(sleeping_temporal.kill)
        late = await platform.report(webhook(target.url))
        await asyncio.to_thread(sleeping_temporal.start)

        for task_id in (early, late):
            assert (await platform.ends(task_id, within=60)).status == "succeeded"


async def test_the_starter_outlives_its_connections(idle: Platform, target: Target) -> None:
    async with idle.worker(), idle.starting():
        await idle.ends(await idle.report(webhook(target.url)))
        await idle.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        task_id = await idle.report(webhook(target.url))

        assert (await idle.ends(task_id)).status == "succeeded"
