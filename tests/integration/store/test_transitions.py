"""What the database allows: the states of `redrive.core.states`, and nothing that came too late."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from tests.integration.store.support import change, command, insert, ledger, load

from redrive.core.messages import DispatchCommand, Record
from redrive.core.states import TERMINAL, TRANSITIONS, AttemptStatus, DeadReason, TaskStatus, state_diagram
from redrive.store import attempts, tasks
from redrive.store.attempts import Finish
from redrive.store.database import Database, new_id
from redrive.store.tasks import WorkflowKey

DUE = datetime(2030, 1, 1, tzinfo=UTC)


async def task_in(database: Database, status: TaskStatus) -> UUID:
    """Insert a task and put it into a state behind everybody's back."""
    task_id = await insert(database)
    reason = "'rejected'" if status is TaskStatus.DEAD else "NULL"
    finished_at = "now()" if status in TERMINAL else "NULL"
    assignments = f"status = '{status}', mirror_version = 5, dead_reason = {reason}, finished_at = {finished_at}"
    await change(database, task_id, assignments)
    return task_id


async def record(database: Database, change: Record) -> bool:
    async with database.session() as session:
        return await tasks.record(session, change)


async def start(database: Database, command: DispatchCommand) -> int | None:
    async with database.session() as session:
        delivery = await tasks.start_attempt(session, command, has_node=True, node_id=None, url=None)
    return None if delivery is None else delivery.number


def decision(task_id: UUID, status: TaskStatus, **changes: Any) -> Record:
    made = Record(
        namespace="default",
        task_id=str(task_id),
        generation=1,
        version=10,
        status=status,
        attempts=1,
        next_attempt_at=None if status in TERMINAL else DUE.isoformat(),
        why="because",
        dead_reason=DeadReason.EXHAUSTED if status is TaskStatus.DEAD else None,
    )
    return replace(made, **changes)


@pytest.mark.parametrize("old", list(TaskStatus))
async def test_the_mirror_takes_exactly_the_transitions_of_the_table(database: Database, old: TaskStatus) -> None:
    """A state that goes on may be written again, an end may not."""
    taken: set[TaskStatus] = set()
    for new in TaskStatus:
        task_id = await task_in(database, old)
        if await record(database, decision(task_id, new)):
            taken.add(new)
        assert (await load(database, task_id)).status == (new if new in taken else old)

    assert taken == TRANSITIONS[old] | (set() if old in TERMINAL else {old})


@pytest.mark.parametrize(("old", "starts"), [(status, status in tasks.RUNNABLE) for status in TaskStatus])
async def test_an_attempt_starts_only_where_the_table_leads_to_running(
    database: Database, old: TaskStatus, *, starts: bool
) -> None:
    task_id = await task_in(database, old)

    assert (await start(database, command(task_id)) == 1) is starts


@pytest.mark.parametrize("status", list(TaskStatus))
async def test_only_what_started_can_be_handed_back_to_the_starter(database: Database, status: TaskStatus) -> None:
    task_id = await task_in(database, status)
    async with database.session() as session:
        restarted = await tasks.restart(session, WorkflowKey("default", task_id, 1), "lost")

    started = status not in TERMINAL and status is not TaskStatus.PENDING
    assert restarted is started
    expected = {TaskStatus.PAUSED: "paused"}.get(status, "pending") if started else status
    assert (await load(database, task_id)).status == expected


@pytest.mark.parametrize(
    "assignments",
    [
        "status = 'sleeping'",
        "status = 'dead', finished_at = now()",
        "status = 'succeeded'",
        "finished_at = now()",
        "dead_reason = 'rejected'",
        "status = 'dead', finished_at = now(), dead_reason = 'bored'",
        "attempts = -1",
        "generation = 0",
        "priority = 6",
        "kind = 'other'",
    ],
)
async def test_the_database_refuses_a_task_that_makes_no_sense(database: Database, assignments: str) -> None:
    task_id = await insert(database)

    with pytest.raises(IntegrityError, match="violates check constraint"):
        await change(database, task_id, assignments)


@pytest.mark.parametrize(
    "assignments", ["status = 'paused'", "status = 'failed'", "finished_at = now()", "number = 0", "deliveries = 0"]
)
async def test_the_database_refuses_an_attempt_that_makes_no_sense(database: Database, assignments: str) -> None:
    task_id = await insert(database)
    await start(database, command(task_id))

    with pytest.raises(IntegrityError, match="violates check constraint"):
        async with database.session() as session:
            await session.execute(text(f"UPDATE attempts SET {assignments}"))


@pytest.mark.parametrize("status", [status for status in AttemptStatus if status is not AttemptStatus.RUNNING])
async def test_an_attempt_ends_once_in_each_of_its_ends(database: Database, status: AttemptStatus) -> None:
    asked = command(await insert(database))
    await start(database, asked)
    async with database.session() as session:
        first = await attempts.finish_attempt(session, asked, 1, Finish(status))
        second = await attempts.finish_attempt(session, asked, 1, Finish(AttemptStatus.SUCCEEDED))

    (attempt,) = await ledger(database, UUID(asked.task_id))
    assert (first, second, attempt.status) == (True, False, status)


async def test_a_decision_that_is_written_twice_is_one_decision(database: Database) -> None:
    task_id = await insert(database)
    await start(database, command(task_id))
    async with database.session() as session:
        await attempts.finish_attempt(session, command(task_id), 1, Finish(AttemptStatus.FAILED, error_type="E"))
    made = decision(task_id, TaskStatus.WAITING, version=11, attempt=1)
    await record(database, made)
    once, lines = await load(database, task_id), await ledger(database, task_id)
    await record(database, made)
    twice = await load(database, task_id)

    assert once.model_dump(exclude={"updated_at"}) == twice.model_dump(exclude={"updated_at"})
    assert await ledger(database, task_id) == lines
    assert (twice.attempts, twice.error_type, lines[0].why, lines[0].next_attempt_at) == (1, "E", "because", DUE)


async def test_a_decision_that_comes_late_changes_neither_task_nor_ledger(database: Database) -> None:
    task_id = await insert(database)
    await start(database, command(task_id))
    await record(database, decision(task_id, TaskStatus.WAITING, version=20, attempt=1, why="newer"))
    before, lines = await load(database, task_id), await ledger(database, task_id)
    late = await record(database, decision(task_id, TaskStatus.CANCELLED, version=19, attempt=1, why="older"))

    assert late is False
    assert await load(database, task_id) == before
    assert await ledger(database, task_id) == lines
    assert lines[0].status == "running", "the late end did not close the attempt"


async def test_a_decision_of_another_generation_changes_nothing(database: Database) -> None:
    task_id = await insert(database)
    await change(database, task_id, "generation = 2")

    assert await record(database, decision(task_id, TaskStatus.WAITING)) is False


@pytest.mark.parametrize("status", [TaskStatus.CANCELLED, TaskStatus.DEAD])
async def test_the_end_of_a_task_closes_what_is_open_in_its_ledger(database: Database, status: TaskStatus) -> None:
    task_id = await insert(database)
    await start(database, command(task_id))
    await record(database, decision(task_id, status, version=11))

    (attempt,) = await ledger(database, task_id)
    assert (attempt.status, attempt.finished_at is not None) == ("cancelled", True)


async def test_an_attempt_that_never_began_is_not_counted(database: Database) -> None:
    """It was cancelled before a worker took it."""
    task_id = await insert(database)
    await record(database, decision(task_id, TaskStatus.CANCELLED, attempts=1, attempt=1))

    assert (await load(database, task_id)).attempts == 0


async def test_an_abandoned_attempt_leaves_no_trace(database: Database) -> None:
    task_id = await insert(database)
    await start(database, command(task_id))
    async with database.session() as session:
        await tasks.abandon_attempt(session, command(task_id))

    assert (await load(database, task_id)).attempts == 0
    assert await ledger(database, task_id) == []


async def test_ids_sort_by_time() -> None:
    ids = [new_id() for _ in range(100)]

    assert ids == sorted(ids)


def test_the_diagram_in_the_documentation_is_the_table() -> None:
    """`make gen` draws it."""
    page = Path(__file__).parents[3] / "docs" / "lifecycle.md"

    assert state_diagram() in page.read_text()
