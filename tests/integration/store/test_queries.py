"""Queries on tasks and nodes: who gets what, and who is left out."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from tests.integration.store.support import change, insert, load

from redrive.core.health import target_key
from redrive.core.states import TaskStatus
from redrive.store import nodes, tasks
from redrive.store.database import Database
from redrive.store.scenes import create_group, create_namespace, update_group
from redrive.store.tasks import Replay, WorkflowKey

NODE = {"kind": "node"}


async def register(database: Database, node_id: str = "n", *, executors: tuple[str, ...] = ()) -> None:
    node: dict[str, Any] = {
        "id": node_id,
        "namespace": "default",
        "group": "orders",
        "url": "http://n",
        "labels": {},
        "version": None,
    }
    async with database.begin() as session:
        assert await nodes.register(session, {**node, "executors": list(executors), "capacity": None})


async def parked(database: Database, *, executor: str = "orders.charge", seconds_ago: int = 60) -> UUID:
    task_id = await insert(database, target=NODE, executor=executor)
    since = f"updated_at = now() - make_interval(secs => {seconds_ago})"
    await change(database, task_id, f"status = 'parked', parked_for = 'no_node', {since}")
    return task_id


async def woken(database: Database) -> set[UUID]:
    async with database.session() as session:
        return {key.id for key in await tasks.claim_parked(session, 10, 30)}


async def overdue(database: Database) -> set[UUID]:
    async with database.session() as session:
        return {key.id for key in await tasks.list_overdue(session, 30, 10)}


async def walked(database: Database) -> set[UUID]:
    async with database.session() as session:
        return {key.id for key in await tasks.list_open_after(session, None, 30, 10)}


async def test_the_most_urgent_tasks_are_claimed_first_and_by_one_starter(database: Database) -> None:
    now = datetime.now(UTC)
    ids = [await insert(database, next_attempt_at=now + timedelta(seconds=9 - number)) for number in range(6)]

    async def claim(limit: int) -> list[UUID]:
        async with database.session() as session:
            return [claim.id for claim in await tasks.claim_pending(session, limit)]

    urgent = await claim(2)
    rounds = [await asyncio.gather(*(claim(2) for _ in range(3))) for _ in range(3)]
    rest = [task_id for taken in rounds for claimed in taken for task_id in claimed]
    assert set(urgent) == set(ids[4:])
    assert sorted(rest) == sorted(ids[:4]), "each went to one starter"


async def test_groups_are_claimed_by_their_weights(database: Database) -> None:
    async with database.begin() as session:
        await create_namespace(session, "default", "")
        for group, weight in (("heavy", 0.75), ("light", 0.25)):
            await create_group(session, "default", group)
            await update_group(session, "default", group, {"weight": weight})
    for group in ("heavy", "light"):
        for _ in range(12):
            await insert(database, group=group)

    async def claim(limit: int) -> list[tuple[str, float]]:
        async with database.session() as session:
            return [(claim.group, claim.weight) for claim in await tasks.claim_pending(session, limit)]

    for _ in range(2):
        assert sorted(await claim(8)) == [("heavy", 0.75)] * 6 + [("light", 0.25)] * 2
    assert await claim(24) == [("light", 0.25)] * 8, "what the others do not use is left to it"


async def test_a_claim_knows_the_last_number_of_the_ledger(database: Database) -> None:
    """Snoozed attempts have numbers too, so the counter does not tell."""
    task_id = await insert(database)
    async with database.session() as session:
        await session.execute(
            text(
                'INSERT INTO attempts (task_id, generation, number, namespace, "group", scene, status, due_at, '
                "started_at, finished_at) SELECT id, 1, n, namespace, \"group\", scene, 'failed', now(), now(), now() "
                "FROM tasks, generate_series(1, 4) AS n"
            )
        )
        (claim,) = await tasks.claim_pending(session, 10)

    assert (claim.id, claim.attempts, claim.number) == (task_id, 0, 4)


async def test_only_a_node_that_became_live_after_the_parking_wakes_a_task(database: Database) -> None:
    await register(database)
    after = await parked(database)
    before = await parked(database, seconds_ago=-60)

    assert await woken(database) == {after}
    assert await woken(database) == set(), "and only once, until the claim expires"
    assert (await load(database, before)).claimed_until is None


@pytest.mark.parametrize(
    "assignments",
    ["status = 'draining'", "last_heartbeat_at = now() - interval '31 seconds'", "\"group\" = 'other'"],
)
async def test_a_node_that_takes_nothing_wakes_nobody(database: Database, assignments: str) -> None:
    await register(database)
    async with database.session() as session:
        await session.execute(text(f"UPDATE nodes SET {assignments}"))
    await parked(database)

    assert await woken(database) == set()


async def test_a_node_wakes_only_tasks_whose_executor_it_has(database: Database) -> None:
    await register(database, executors=("orders.charge",))
    mine = await parked(database)
    await parked(database, executor="orders.refund")

    assert await woken(database) == {mine}


async def test_a_heartbeat_after_a_lapsed_lease_makes_a_node_live_anew(database: Database) -> None:
    await register(database)
    async with database.session() as session:
        await session.execute(
            text("UPDATE nodes SET live_since = '2020-01-01', last_heartbeat_at = now() - interval '10 seconds'")
        )
        await nodes.heartbeat(session, "default", "n", 1)
        node = await nodes.find(session, "default", "n")
    assert node is not None
    assert node.live_since.year == 2020, "the lease had not lapsed"

    async with database.session() as session:
        await session.execute(text("UPDATE nodes SET last_heartbeat_at = now() - interval '31 seconds'"))
        await nodes.heartbeat(session, "default", "n", 1)
        node = await nodes.find(session, "default", "n")
    assert node is not None
    assert node.live_since.year > 2020


async def test_nodes_that_were_lost_long_ago_are_forgotten(database: Database) -> None:
    await register(database, "old")
    await register(database, "new")
    async with database.session() as session:
        await session.execute(text("UPDATE nodes SET last_heartbeat_at = now() - interval '37 hours' WHERE id = 'old'"))
        assert await nodes.forget_lost(session, 1.5) == ["old"]


@pytest.mark.parametrize(
    ("assignments", "is_overdue", "is_walked"),
    [
        ("status = 'waiting', next_attempt_at = now() - interval '1 minute'", True, True),
        ("status = 'waiting', next_attempt_at = now() + interval '1 minute'", False, True),
        ("status = 'parked', next_attempt_at = now() - interval '1 minute'", True, True),
        ("status = 'running', next_attempt_at = NULL", True, True),
        ("status = 'paused', mirror_version = 7, next_attempt_at = now() - interval '1 minute'", False, True),
        ("status = 'paused', mirror_version = 0", False, False),
        ("status = 'pending'", False, False),
        ("status = 'cancelled', finished_at = now()", False, False),
    ],
)
async def test_the_reconciler_looks_at_what_should_have_a_workflow(
    database: Database, assignments: str, *, is_overdue: bool, is_walked: bool
) -> None:
    task_id = await insert(database)
    await change(database, task_id, f"{assignments}, updated_at = now() - interval '1 hour'")

    assert (task_id in await overdue(database)) is is_overdue
    assert (task_id in await walked(database)) is is_walked


async def test_what_has_just_changed_is_left_alone_by_the_reconciler(database: Database) -> None:
    task_id = await insert(database)
    await change(database, task_id, "status = 'waiting', next_attempt_at = now() - interval '1 hour'")

    assert await overdue(database) | await walked(database) == set()


@pytest.mark.parametrize("ended", [True, False])
async def test_only_an_open_task_is_closed_as_cancelled(database: Database, *, ended: bool) -> None:
    task_id = await insert(database)
    if ended:
        await change(database, task_id, "status = 'dead', dead_reason = 'rejected', finished_at = now()")
    async with database.session() as session:
        closed = await tasks.close_cancelled(session, WorkflowKey("default", task_id, 1), "terminated")

    assert closed is not ended
    assert (await load(database, task_id)).status == (TaskStatus.DEAD if ended else TaskStatus.CANCELLED)


async def test_a_replay_begins_once(database: Database) -> None:
    task_id = await insert(database)
    await change(database, task_id, "status = 'dead', dead_reason = 'rejected', finished_at = now(), attempts = 3")
    policy = (await load(database, task_id)).policy
    begun: list[set[UUID]] = []
    for _ in range(2):
        now = datetime.now(UTC)
        async with database.begin() as session:
            again = [Replay(task_id, 1, policy, 2)]
            begun.append(await tasks.replay(session, "default", again, due_at=now, why="again", now=now))

    task = await load(database, task_id)
    assert begun == [{task_id}, set()]
    assert (task.status, task.generation, task.attempts, task.dead_reason) == ("pending", 2, 0, None)


@pytest.mark.parametrize(
    "target",
    [
        {"kind": "node"},
        {"kind": "worker", "task_queue": "orders"},
        {"kind": "webhook", "url": "https://Pay.example.com:8443/hook?x=1"},
        {"kind": "webhook", "url": "HTTP://pay.example.com?x=/"},
        {"kind": "webhook", "url": "http://[2001:DB8::1]:80#top"},
    ],
)
async def test_the_database_names_targets_as_the_code_does(database: Database, target: dict[str, str]) -> None:
    task = await load(database, await insert(database, target=target))

    assert task.target_key == target_key(task.group, task.scene, target)
