"""Mirror and engine are brought back into agreement, whichever of them lost its memory."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest
from tests.eventually import eventually
from tests.integration.engine.conftest import new_namespace
from tests.integration.engine.harness import NODE, Platform, webhook
from tests.integration.engine.target import Gate, Reply, Target

from redrive.cli.stack import EmbeddedTemporal
from redrive.core.messages import Pause
from redrive.store import reconciliations
from redrive.workflows.reconciler import Found, Reconciler


def reconciler(platform: Platform) -> Reconciler:
    return Reconciler(platform.client, platform.database, grace_seconds=0)


async def round_of(platform: Platform) -> Found:
    found = await reconciler(platform).round()
    assert found is not None
    return found


async def drifts(platform: Platform) -> Found:
    """Run rounds until one finds something: Temporal's list of workflows is a moment behind."""

    async def found() -> Found | None:
        found = await round_of(platform)
        return found if found.drift else None

    result = await eventually(found)
    assert result is not None
    return result


async def delayed(platform: Platform, target: Target) -> UUID:
    task_id = await platform.report(webhook(target.url), delay=600)
    await platform.starter.round()
    await platform.started(task_id)
    return task_id


async def forget(platform: Platform, server: EmbeddedTemporal) -> Platform:
    """Give the platform a Temporal that knows nothing, as after the loss of its data."""
    fresh = Platform(platform.database, await new_namespace(server), server.address)
    await fresh.engine.start()
    return fresh


async def test_what_agrees_is_left_alone(alone: Platform, target: Target) -> None:
    async with alone.worker():
        ids = [await delayed(alone, target), await alone.report(NODE), await alone.report(webhook(target.url))]
        await alone.starter.round()
        await alone.reaches(ids[1], "parked")
        await alone.ends(ids[2])
        before = [await alone.task(task_id) for task_id in ids]
        found = await round_of(alone)

        assert (found.drift, found.rows_checked) == (0, 2)
        assert [await alone.task(task_id) for task_id in ids] == before


async def test_a_workflow_terminated_in_temporal_cancels_its_task(alone: Platform, target: Target) -> None:
    task_id = await delayed(alone, target)
    await alone.handle(task_id).terminate()
    found = await drifts(alone)

    task = await alone.task(task_id)
    assert found.cancelled == 1
    assert (task.status, task.why, task.next_attempt_at) == (
        "cancelled",
        "its workflow was stopped in Temporal",
        None,
    )


async def test_termination_closes_the_attempt_in_flight(alone: Platform, target: Target) -> None:
    gate = Gate()
    target.say(Reply(200, until=gate))
    task_id = await alone.report(webhook(target.url))
    async with alone.worker(), alone.starting():
        await target.called()
        await alone.handle(task_id).terminate()
        await drifts(alone)
        gate.open()
        await alone.check_ledger(task_id)

    (attempt,) = await alone.ledger(task_id)
    assert attempt.status == "cancelled"


async def test_a_lost_workflow_is_started_again_in_the_same_generation(
    alone: Platform, temporal_server: EmbeddedTemporal, target: Target
) -> None:
    target.say(Reply(500), Reply(500), Reply(200))
    policy = {"backoff": {"kind": "delay_levels", "levels": [0, 600, 0], "jitter": {"kind": "none"}}}
    task_id = await alone.report(webhook(target.url), policy)
    async with alone.worker(), alone.starting():
        await alone.reaches_attempts(task_id, 1)
    await alone.execute("UPDATE tasks SET next_attempt_at = now()")
    fresh = await forget(alone, temporal_server)
    found = await drifts(fresh)
    restarted = await fresh.task(task_id)
    async with fresh.worker(), fresh.starting():
        task = await fresh.ends(task_id)

    assert found.restarted == 1
    assert (restarted.status, restarted.why) == ("pending", "started again: its workflow was unknown to Temporal")
    assert (task.status, task.generation, task.attempts) == ("succeeded", 1, 3)


async def test_a_lost_attempt_in_flight_is_closed_and_counts(
    alone: Platform, temporal_server: EmbeddedTemporal, target: Target
) -> None:
    target.say(Reply(200, until=Gate()), Reply(500))
    task_id = await alone.report(webhook(target.url), {"max_attempts": 2})
    async with alone.worker(), alone.starting():
        await target.called()
    fresh = await forget(alone, temporal_server)
    await fresh.execute("UPDATE tasks SET updated_at = now() - interval '1 hour'")
    await drifts(fresh)
    async with fresh.worker(), fresh.starting():
        task = await fresh.ends(task_id)

    assert (task.status, task.dead_reason, task.attempts) == ("dead", "exhausted", 2)
    assert [(entry.status, entry.error_type) for entry in await fresh.ledger(task_id)] == [
        ("timed_out", "redrive.WorkflowLost"),
        ("failed", "http.500"),
    ]


async def test_a_paused_task_stays_paused_when_its_workflow_is_lost(
    alone: Platform, temporal_server: EmbeddedTemporal, target: Target
) -> None:
    task_id = await delayed(alone, target)
    async with alone.worker():
        await alone.update(task_id, "pause", Pause())
    fresh = await forget(alone, temporal_server)
    found = await drifts(fresh)

    assert found.restarted == 1
    assert (await fresh.task(task_id)).status == "paused"
    assert (await round_of(fresh)).drift == 0, "it is known to have no workflow now"


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM tasks",
        "UPDATE tasks SET status = 'cancelled', finished_at = now()",
        "UPDATE tasks SET generation = 2, status = 'pending'",
    ],
)
async def test_a_workflow_without_a_task_is_terminated(alone: Platform, target: Target, change: str) -> None:
    task_id = await delayed(alone, target)
    await alone.execute(change)
    found = await drifts(alone)

    assert found.closed == 1
    assert await alone.closed(task_id)


async def test_a_row_that_has_only_just_changed_is_not_judged(alone: Platform, target: Target) -> None:
    task_id = await delayed(alone, target)
    await alone.handle(task_id).terminate()

    found = await Reconciler(alone.client, alone.database, grace_seconds=60).round()
    assert found == Found(rows_checked=0, workflows_checked=found.workflows_checked if found else -1)


async def test_one_process_at_a_time_reconciles_and_each_round_is_written_down(alone: Platform) -> None:
    async with alone.database.begin() as session:
        assert await reconciliations.try_lock(session)
        assert await reconciler(alone).round() is None
    await round_of(alone)

    async with alone.database.session() as session:
        (written,) = await reconciliations.list_recent(session, 10)
    assert (written.restarted, written.cancelled, written.closed) == (0, 0, 0)


async def test_a_page_of_another_server_is_forgotten(
    alone: Platform, temporal_server: EmbeddedTemporal, target: Target
) -> None:
    """The token of a page means nothing to a Temporal that has lost its data."""
    await delayed(alone, target)
    walker = reconciler(alone)
    walker._next_page = b"from another life"  # pyright: ignore[reportPrivateUsage]
    running = asyncio.create_task(walker.run(0.05))
    await eventually(lambda: walker._next_page is None)  # pyright: ignore[reportPrivateUsage]

    async def went_on() -> bool:
        async with alone.database.session() as session:
            return bool(await reconciliations.list_recent(session, 1))

    await eventually(went_on)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
