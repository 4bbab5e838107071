"""Queries by which people change a task beside its state: its columns, and its payload.

An edited payload is a new revision; the one before stays. The hash of the payload stays that of the report, so that the
client which repeats its report is still told that it is known.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col
from sqlmodel import select as select_rows

from redrive.store.tables import Payload, Task


async def change_task(session: AsyncSession, task_id: UUID, changes: Mapping[str, Any]) -> None:
    """Change columns of a task.

    Args:
        session: The transaction that locked the row.
        task_id: Its id.
        changes: New values by column name.
    """
    await change_tasks(session, [task_id], changes)


async def change_tasks(session: AsyncSession, task_ids: Sequence[UUID], changes: Mapping[str, Any]) -> None:
    """Change columns of tasks to the same values.

    Args:
        session: The transaction that locked the rows.
        task_ids: Their ids.
        changes: New values by column name.
    """
    values = {("metadata_" if name == "metadata" else name): value for name, value in changes.items()}
    changed = update(Task).where(col(Task.id) == func.any(list(task_ids))).values(**values, updated_at=func.now())
    await session.execute(changed.execution_options(synchronize_session=False))


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


@dataclass(frozen=True, slots=True)
class Revision:
    """A new payload of a task.

    Attributes:
        task_id: The task.
        revision: Its number, one more than that of the last.
        args: Positional arguments.
        kwargs: Named arguments.
        body: A webhook's body; None for none.
    """

    task_id: UUID
    revision: int
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    body: Any


async def load_payloads(session: AsyncSession, tasks: Sequence[Task]) -> dict[UUID, Payload]:
    """Load the present payloads of tasks."""
    places = [(task.id, task.payload_revision) for task in tasks]
    where = tuple_(col(Payload.task_id), col(Payload.revision)).in_(places)
    return {payload.task_id: payload for payload in (await session.scalars(select_rows(Payload).where(where))).all()}


async def add_revisions(session: AsyncSession, revisions: Sequence[Revision], author: str | None) -> None:
    """Add payloads of many tasks. Whoever locked the tasks' rows puts them in force.

    Args:
        session: The transaction that locked the tasks' rows.
        revisions: The payloads.
        author: Who changed them.
    """
    rows = [
        {
            "task_id": revision.task_id,
            "revision": revision.revision,
            # As text: as a part of the whole they would be read for jsonb, which changes what came.
            "args": json.dumps(revision.args),
            "kwargs": json.dumps(revision.kwargs),
            "body": None if revision.body is None else json.dumps(revision.body),
        }
        for revision in revisions
    ]
    statement = text(
        """
        INSERT INTO payloads (task_id, revision, args, kwargs, body, author)
        SELECT task_id, revision, CAST(args AS json), CAST(kwargs AS json), CAST(body AS json), :author
        FROM json_to_recordset(CAST(:rows AS json))
            AS revisions(task_id uuid, revision int, args text, kwargs text, body text)
        """
    )
    await session.execute(statement, {"rows": json.dumps(rows, default=str), "author": author})


async def clock(session: AsyncSession) -> datetime:
    """Tell the database's time: claims are measured by it, and this process's own clock may differ."""
    now: datetime = (await session.execute(select(func.clock_timestamp()))).scalar_one()
    return now
