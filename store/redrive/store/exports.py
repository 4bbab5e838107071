"""Tasks as documents for files: what is exported, archived, and can be imported again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from redrive.store.tables import Attempt, Payload, Task

_FIELDS: Final = (
    "id", "namespace", "group", "scene", "kind", "parent_id", "executor", "status", "dead_reason", "why", "generation",
    "attempts", "max_attempts", "priority", "deadline", "idempotency_key", "business_key", "target", "policy_version",
    "created_at", "updated_at", "finished_at",
)  # fmt: skip
_PRIVATE: Final = ("policy_override", "callbacks", "trace_context")


async def documents(
    session: AsyncSession, tasks: Sequence[Task], *, payload: bool, history: bool = False
) -> list[dict[str, Any]]:
    """Write tasks as JSON documents.

    Args:
        session: Any session.
        tasks: The rows.
        payload: Whether to give what an import needs as well: arguments, body, own parts of the policy and the like.
        history: Whether to give all attempts.

    Returns:
        A document for each task, in their order.
    """
    ids = [task.id for task in tasks]
    payloads = await _payloads(session, ids) if payload else {}
    attempts = await _attempts(session, ids) if history else {}
    written: list[dict[str, Any]] = []
    for task in tasks:
        document = {name: _plain(getattr(task, name)) for name in _FIELDS}
        error = {"type": task.error_type, "message": task.error_message, "stack": task.error_stack}
        document["last_error"] = None if task.error_type is None else error
        document["fingerprint"] = task.fingerprint
        document["metadata"] = task.metadata_
        if payload:
            kept = payloads[task.id, task.payload_revision]
            document |= {"args": kept.args, "kwargs": kept.kwargs, "body": kept.body}
            document |= {name: getattr(task, name) for name in _PRIVATE}
        if history:
            document["history"] = attempts.get(task.id, [])
        written.append(document)
    return written


async def _payloads(session: AsyncSession, ids: Sequence[UUID]) -> dict[tuple[UUID, int], Payload]:
    rows = await session.scalars(select(Payload).where(col(Payload.task_id).in_(ids)))
    return {(row.task_id, row.revision): row for row in rows}


async def _attempts(session: AsyncSession, ids: Sequence[UUID]) -> dict[UUID, list[dict[str, Any]]]:
    order = (col(Attempt.task_id), col(Attempt.generation), col(Attempt.number))
    found: dict[UUID, list[dict[str, Any]]] = {}
    for row in await session.scalars(select(Attempt).where(col(Attempt.task_id).in_(ids)).order_by(*order)):
        facts = row.model_dump(exclude={"task_id", "namespace", "group", "scene"})
        found.setdefault(row.task_id, []).append({name: _plain(value) for name, value in facts.items()})
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value
