"""Queries by which people change a task beside its state: its columns, and its payload.

An edited payload is a new revision; the one before stays. The hash of the payload stays that of the report, so that the
client which repeats its report is still told that it is known.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from redrive.store.tables import Payload, Task


async def change_task(session: AsyncSession, task_id: UUID, changes: Mapping[str, Any]) -> None:
    """Change columns of a task.

    Args:
        session: The transaction that locked the row.
        task_id: Its id.
        changes: New values by column name.
    """
    values = {("metadata_" if name == "metadata" else name): value for name, value in changes.items()}
    await session.execute(update(Task).where(col(Task.id) == task_id).values(**values, updated_at=func.now()))


async def add_payload(
    session: AsyncSession,
    task_id: UUID,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    body: Any,
    author: str | None,
    reason: str | None = None,
) -> int:
    """Add a revision of a task's payload and put it in force.

    Args:
        session: The transaction that locked the task's row.
        task_id: Id of the task.
        args: Positional arguments.
        kwargs: Named arguments.
        body: A webhook's body; None for none.
        author: Who changed it.
        reason: Why.

    Returns:
        The new revision.
    """
    statement = text(
        """
        WITH task AS (
            UPDATE tasks SET payload_revision = payload_revision + 1, updated_at = now() WHERE id = :id
            RETURNING payload_revision
        )
        INSERT INTO payloads (task_id, revision, args, kwargs, body, author, reason)
        SELECT :id, payload_revision, CAST(:args AS json), CAST(:kwargs AS json), CAST(:body AS json), :author, :reason
        FROM task
        RETURNING revision
        """
    )
    values = {
        "id": task_id,
        "args": json.dumps(args),
        "kwargs": json.dumps(kwargs),
        "body": None if body is None else json.dumps(body),
        "author": author,
        "reason": reason,
    }
    revision: int = (await session.execute(statement, values)).scalar_one()
    return revision


async def list_payloads(
    session: AsyncSession, task_id: UUID, *, before: int | None = None, limit: int = 50
) -> list[Payload]:
    """List the revisions of a task's payload, the newest first.

    Args:
        session: Any session.
        task_id: The task.
        before: Only revisions below this one.
        limit: The most revisions.
    """
    statement = select(Payload).where(col(Payload.task_id) == task_id)
    if before is not None:
        statement = statement.where(col(Payload.revision) < before)
    return list((await session.scalars(statement.order_by(col(Payload.revision).desc()).limit(limit))).all())


async def clock(session: AsyncSession) -> datetime:
    """Tell the database's time: claims are measured by it, and this process's own clock may differ."""
    now: datetime = (await session.execute(select(func.clock_timestamp()))).scalar_one()
    return now
