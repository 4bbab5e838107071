"""Callbacks: how a client hears of a task's end.

A callback is a task of its own, with its own policy, attempts and dead letters, made in the transaction that ends its
parent. An executor of the same group gets the outcome and the arguments of the parent; a webhook gets an event that
tells the outcome and the parent, without its payload. There is never a callback of a callback.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, cast
from uuid import UUID

from sqlalchemy import func, or_, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from redrive.core.callbacks import EVENTS, Callback, WebhookCallback, told_of
from redrive.core.documents import encode
from redrive.core.errors import InvalidDocument
from redrive.core.messages import workflow_id
from redrive.core.states import TaskStatus
from redrive.store.database import new_id
from redrive.store.scenes import DEFAULTS, SceneConfiguration
from redrive.store.tables import Namespace, Payload, Scene, Task
from redrive.store.tasks import NewTask, insert_tasks

_ENDS: Final = {
    TaskStatus.SUCCEEDED: "succeeded",
    TaskStatus.DEAD: "is dead",
    TaskStatus.CANCELLED: "was cancelled",
}


async def insert_callback(session: AsyncSession, task_id: UUID) -> bool:
    """Make the callback of a task that has just ended, when its report or its scene asks for one.

    Whatever ends a task calls this. Doing it twice for one end makes one callback.

    Args:
        session: The transaction that ends the task.
        task_id: The task.

    Returns:
        Whether a callback was made.
    """
    return bool(await insert_callbacks(session, [task_id]))


async def insert_callbacks(session: AsyncSession, task_ids: Sequence[UUID]) -> int:
    """Make the callbacks of tasks that have just ended: what `insert_callback` does, for many.

    Args:
        session: The transaction that ends the tasks.
        task_ids: The tasks.

    Returns:
        How many callbacks were made.
    """
    statement = (
        select(Task, Payload, Scene, Namespace)
        .join(Payload, (col(Payload.task_id) == Task.id) & (col(Payload.revision) == Task.payload_revision))
        .join(Namespace, col(Namespace.name) == Task.namespace)
        .outerjoin(
            Scene,
            (col(Scene.namespace) == Task.namespace)
            & (col(Scene.group) == Task.group)
            & (col(Scene.name) == Task.scene),
        )
        .where(col(Task.id) == func.any(list(task_ids)), col(Task.kind) == "task")
        .where(or_(col(Task.callbacks).is_not(None), text("scenes.callbacks <> '{}'")))
        # The row may be known to the session as it was before its end.
        .execution_options(populate_existing=True)
    )
    made: list[NewTask] = []
    for row in await session.execute(statement):
        task, payload, namespace = row[0], row[1], row[3]
        scene = cast("Scene | None", row[2])  # it may have been deleted while its last task ended
        told = told_of(TaskStatus(task.status), {} if scene is None else scene.callbacks, task.callbacks)
        if told is not None:
            policy = _policy(namespace.callback_policy, {} if scene is None else scene.callback_policy)
            made.append(_callback(task, payload, told, policy))
    return len(await insert_tasks(session, made)) if made else 0


def _policy(*layers: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        return SceneConfiguration(1, layers).effective()
    except InvalidDocument:
        # Layers are checked when they are set. An end must be recorded all the same, should one not fit any more.
        return DEFAULTS


def _callback(task: Task, payload: Payload, told: Callback, policy: Mapping[str, Any]) -> NewTask:
    now, status = datetime.now(UTC), TaskStatus(task.status)
    key = f"{EVENTS[status]}:{task.id}:{task.generation}"
    if isinstance(told, WebhookCallback):
        executor, target = None, encode(told.target())
        args, kwargs, body = [], {}, event_document(task)
    else:
        # A webhook's task has nobody of its own to tell: its group's nodes are told.
        executor, target = told, task.target if task.target["kind"] != "webhook" else {"kind": "node"}
        args, kwargs, body = [_outcome(task), *payload.args], payload.kwargs, None
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
        why=f"tells that task {task.id} {_ENDS[status]}",
        max_attempts=policy["max_attempts"],
        priority=task.priority,
        delay_seconds=0,
        next_attempt_at=now,
        deadline=None,
        idempotency_key=key,
        report_id=key,
        payload_hash=key,
        business_key=task.business_key,
        target=target,
        policy=policy,
        policy_override=policy,  # its own, whatever becomes of the scene's
        policy_version=task.policy_version,
        error_type=None,
        error_message=None,
        error_stack=None,
        fingerprint=None,
        trace_context=task.trace_context,
        metadata={},
        created_at=now,
        finished_at=None,
        args=args,
        kwargs=kwargs,
        body=body,
    )


def event_document(task: Task) -> dict[str, Any]:
    """Write the event by which a webhook is told of an end, in the form that Standard Webhooks recommends.

    Args:
        task: A task that has ended.

    Returns:
        `type`, `timestamp` and `data`, which has the outcome that executors get, and the task without its payload. It
        is stored as the callback's own payload, so that every attempt sends the same bytes.
    """
    return {
        "type": f"task.{task.status}",
        "timestamp": _instant(task.finished_at),
        "data": {
            "outcome": _outcome(task),
            "task": {
                "id": str(task.id),
                "namespace": task.namespace,
                "group": task.group,
                "scene": task.scene,
                "kind": task.kind,
                "executor": task.executor,
                "status": task.status,
                "dead_reason": task.dead_reason,
                "why": task.why,
                "generation": task.generation,
                "attempts": task.attempts,
                "max_attempts": task.max_attempts,
                "deadline": _instant(task.deadline),
                "priority": task.priority,
                "idempotency_key": task.idempotency_key,
                "business_key": task.business_key,
                "target": {"kind": task.target["kind"]},
                "policy_version": task.policy_version,
                "last_error": _error(task),
                "created_at": _instant(task.created_at),
                "updated_at": _instant(task.updated_at),
                "finished_at": _instant(task.finished_at),
                "workflow_id": workflow_id(task.namespace, str(task.id), task.generation),
                "parent_id": None if task.parent_id is None else str(task.parent_id),
                "metadata": task.metadata_,
            },
        },
    }


def _outcome(task: Task) -> dict[str, Any]:
    return {
        "task": str(task.id),
        "generation": task.generation,
        "scene": task.scene,
        "executor": task.executor,
        "business_key": task.business_key,
        "outcome": task.status,
        "dead_reason": task.dead_reason,
        "why": task.why,
        "attempts": task.attempts,
        "error": None if task.status == TaskStatus.SUCCEEDED else _error(task),
    }


def _error(task: Task) -> dict[str, str] | None:
    if task.error_type is None:
        return None
    return {"type": task.error_type, "message": task.error_message or ""}


def _instant(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")
