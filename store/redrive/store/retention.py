"""Queries by which ended tasks are deleted: those whose time is over, and those that a person purges.

Redrives whose time is over go as well, with what is known of each of their tasks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast
from uuid import UUID

from sqlalchemy import bindparam, delete, exists, tuple_, update
from sqlalchemy import select as select_columns
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from redrive.core.documents import decode
from redrive.core.retention import Retention
from redrive.core.selection import Selection
from redrive.core.states import TERMINAL, TaskStatus
from redrive.store.search import conditions
from redrive.store.tables import Namespace, Redrive, RedriveItem, Task

REDRIVES: Final = 100
"""Redrives that one transaction looks at."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long a namespace keeps its ended tasks and redrives."""

    namespace: str
    retention: Retention


async def list_retentions(session: AsyncSession) -> list[Keeping]:
    """Tell of each namespace how long it keeps what."""
    return [Keeping(row.name, decode(Retention, row.retention)) for row in await session.scalars(select(Namespace))]


async def set_retention(session: AsyncSession, namespace: str, document: Mapping[str, Any]) -> None:
    """Set how long a namespace keeps its ended tasks and redrives."""
    await session.execute(update(Namespace).where(col(Namespace.name) == namespace).values(retention=dict(document)))


async def take_due(
    session: AsyncSession, namespace: str, status: TaskStatus, before: datetime, limit: int
) -> Sequence[Task]:
    """Lock tasks whose time is over, the oldest first, without waiting for those that others hold.

    Args:
        session: The transaction that deletes them.
        namespace: Their namespace.
        status: Their status.
        before: They ended before this.
        limit: The most tasks.
    """
    literal = cast("Any", bindparam)(None, status.value, literal_execute=True)
    where = (
        col(Task.namespace) == namespace,
        col(Task.status) == literal,
        col(Task.id) < _first_id(before),
        col(Task.finished_at) < before,
    )
    statement = select(Task).where(*where).order_by(col(Task.id)).limit(limit).with_for_update(skip_locked=True)
    return (await session.scalars(statement)).all()


async def take_selected(session: AsyncSession, namespace: str, selection: Selection, limit: int) -> Sequence[Task]:
    """Lock ended tasks of a selection, without waiting for those that others hold.

    Args:
        session: The transaction that deletes them.
        namespace: Their namespace.
        selection: Which ones.
        limit: The most tasks.
    """
    where = (conditions(namespace, selection), col(Task.status).in_(TERMINAL))
    return (await session.scalars(select(Task).where(*where).limit(limit).with_for_update(skip_locked=True))).all()


async def delete_taken(session: AsyncSession, tasks: Sequence[Task]) -> None:
    """Delete tasks that this transaction has locked, with their payloads and attempts."""
    await session.execute(
        delete(Task).where(col(Task.id).in_([task.id for task in tasks])).execution_options(synchronize_session=False)
    )
    session.expunge_all()


async def delete_old_redrives(session: AsyncSession, namespace: str, before: datetime, limit: int) -> bool:
    """Delete some of the redrives whose time is over, the oldest first, without waiting for those that others hold.

    A large one goes in several transactions: its items first, and it with the last of them.

    Args:
        session: A transaction.
        namespace: Their namespace.
        before: They ended before this.
        limit: The most items.

    Returns:
        Whether nothing is left of what was to go, except what others hold just now.
    """
    where = (
        col(Redrive.namespace) == namespace,
        col(Redrive.id) < _first_id(before),
        col(Redrive.finished_at) < before,
        # Of those that were ended early, some tasks may not have got their last outcome yet.
        col(Redrive.waiting) == 0,
        col(Redrive.in_flight) == 0,
    )
    due = select(Redrive.id).where(*where).order_by(col(Redrive.id)).limit(REDRIVES).with_for_update(skip_locked=True)
    taken = (await session.scalars(due)).all()
    if not taken:
        return True
    key = (col(RedriveItem.redrive_id), col(RedriveItem.position))
    some = select_columns(*key).where(key[0].in_(taken)).order_by(*key).limit(limit)
    removed = await session.scalars(delete(RedriveItem).where(tuple_(*key).in_(some)).returning(key[1]))
    count = len(removed.all())
    has_items = exists().where(key[0] == col(Redrive.id))
    await session.execute(delete(Redrive).where(col(Redrive.id).in_(taken), ~has_items))
    return count < limit and len(taken) < REDRIVES


def _first_id(at: datetime) -> UUID:
    """Make the least id of what is made at an instant.

    What ended before it was made before it, and ids sort by the time at which they were made: without this bound a
    round that finds nothing would look at everything that has ended.
    """
    return UUID(int=int(at.timestamp() * 1000) << 80)
