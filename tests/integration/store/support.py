"""Rows for tests of queries."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from redrive.core.messages import DispatchCommand
from redrive.core.policy import Policy, render
from redrive.store import attempts, tasks
from redrive.store.database import Database, new_id
from redrive.store.tables import Attempt, Task
from redrive.store.tasks import NewTask


def new_task(**changes: Any) -> NewTask:
    now = datetime.now(UTC)
    values: dict[str, Any] = {
        **dict.fromkeys(
            (
                "executor", "dead_reason", "delay_seconds", "deadline", "idempotency_key", "business_key",
                "policy_override", "error_type", "error_message", "error_stack", "fingerprint", "finished_at", "body",
            )
        ),
        "id": new_id(),
        "namespace": "default",
        "group": "orders",
        "scene": "charge",
        "status": "pending",
        "why": "",
        "max_attempts": 3,
        "priority": 3,
        "next_attempt_at": now,
        "payload_hash": "",
        "target": {"kind": "webhook", "url": "http://localhost/"},
        "policy": render(Policy()),
        "policy_version": 1,
        "trace_context": {},
        "metadata": {},
        "created_at": now,
        "args": [],
        "kwargs": {},
        **changes,
    }  # fmt: skip
    return NewTask(**values)


async def insert(database: Database, **changes: Any) -> UUID:
    task = new_task(**changes)
    async with database.begin() as session:
        assert await tasks.insert_tasks(session, [task]) == {task.id}
    return task.id


async def change(database: Database, task_id: UUID, assignments: str) -> None:
    async with database.session() as session:
        await session.execute(text(f"UPDATE tasks SET {assignments} WHERE id = :id"), {"id": task_id})


async def load(database: Database, task_id: UUID) -> Task:
    async with database.session() as session:
        task = await tasks.find_task(session, "default", task_id)
    assert task is not None
    return task


async def ledger(database: Database, task_id: UUID) -> list[Attempt]:
    async with database.session() as session:
        return await attempts.list_attempts(session, task_id)


def command(task_id: UUID, **changes: Any) -> DispatchCommand:
    made = DispatchCommand(
        namespace="default",
        group="orders",
        task_id=str(task_id),
        generation=1,
        number=1,
        attempts=1,
        version=10,
        due_at=datetime.now(UTC).isoformat(),
        trigger="timer",
        timeout_seconds=5,
        ends_at=None,
        max_attempts=3,
        route="first",
        policy_version=1,
    )
    return replace(made, **changes)
