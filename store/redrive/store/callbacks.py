"""Callbacks: how a client hears of a task's end.

A callback is a task of its own, with its own attempts and dead letters, made in the transaction that ends its parent.
It runs an executor of the same group, whose first argument is the outcome and whose others are those of the parent.
There is never a callback of a callback.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from redrive.core.states import TaskStatus
from redrive.store.database import new_id
from redrive.store.scenes import DEFAULTS
from redrive.store.tables import Payload, Task
from redrive.store.tasks import NewTask, insert_tasks

EVENTS: Final = {TaskStatus.SUCCEEDED: "on_success", TaskStatus.DEAD: "on_dead"}
"""Which callback follows which end."""


async def insert_callback(session: AsyncSession, task_id: UUID) -> bool:
    """Make the callback of a task that has just ended, when its report asked for one.

    Doing it twice makes one callback.

    Args:
        session: The transaction that ends the task.
        task_id: The task.

    Returns:
        Whether a callback was made.
    """
    statement = (
        select(Task, Payload)
        .join(Payload, (col(Payload.task_id) == Task.id) & (col(Payload.revision) == Task.payload_revision))
        .where(col(Task.id) == task_id, col(Task.callbacks).is_not(None), col(Task.kind) == "task")
    )
    row = (await session.execute(statement)).one_or_none()
    if row is None:
        return False
    task, payload = row
    event = EVENTS.get(TaskStatus(task.status))
    executor = (task.callbacks or {}).get(event) if event is not None else None
    if executor is None:
        return False
    return bool(
        await insert_tasks(session, [_callback(task, payload, f"{event}:{task.id}:{task.generation}", executor)])
    )


def _callback(task: Task, payload: Payload, key: str, executor: str) -> NewTask:
    now = datetime.now(UTC)
    return NewTask(
        id=new_id(),
        namespace=task.namespace,
        group=task.group,
        scene=task.scene,
        kind="callback",
        parent_id=task.id,
        executor=executor,
        status=TaskStatus.PENDING,
        dead_reason=None,
        why=f"tells that task {task.id} {'succeeded' if task.status == TaskStatus.SUCCEEDED else 'is dead'}",
        max_attempts=DEFAULTS["max_attempts"],
        priority=task.priority,
        delay_seconds=0,
        next_attempt_at=now,
        deadline=None,
        idempotency_key=key,
        report_id=key,
        payload_hash=key,
        business_key=task.business_key,
        # A webhook's task has nobody of its own to tell: its group's nodes are told.
        target=task.target if task.target["kind"] != "webhook" else {"kind": "node"},
        policy=DEFAULTS,
        policy_override=DEFAULTS,  # its own, whatever becomes of the scene's
        policy_version=task.policy_version,
        error_type=None,
        error_message=None,
        error_stack=None,
        fingerprint=None,
        trace_context=task.trace_context,
        metadata={},
        created_at=now,
        finished_at=None,
        args=[_outcome(task), *payload.args],
        kwargs=payload.kwargs,
        body=None,
    )


def _outcome(task: Task) -> dict[str, Any]:
    error = None
    if task.status == TaskStatus.DEAD and task.error_type is not None:
        error = {"type": task.error_type, "message": task.error_message or ""}
    return {
        "task": str(task.id),
        "generation": task.generation,
        "scene": task.scene,
        "executor": task.executor,
        "business_key": task.business_key,
        "outcome": task.status,
        "dead_reason": task.dead_reason,
        "attempts": task.attempts,
        "error": error,
    }
