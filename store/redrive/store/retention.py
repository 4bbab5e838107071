"""Queries by which ended tasks are deleted: those whose time is over, and those that a person purges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import bindparam, delete, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from redrive.core.documents import decode
from redrive.core.retention import Retention
from redrive.core.selection import Selection
from redrive.core.states import TERMINAL, TaskStatus
from redrive.store.search import conditions
from redrive.store.tables import Namespace, Task


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long a namespace keeps its ended tasks."""

    namespace: str
    retention: Retention


async def list_retentions(session: AsyncSession) -> list[Keeping]:
    """List the namespaces that do not keep everything for ever."""
    statement = select(Namespace).where(col(Namespace.retention) != {})
    return [Keeping(row.name, decode(Retention, row.retention)) for row in await session.scalars(statement)]


async def set_retention(session: AsyncSession, namespace: str, document: Mapping[str, Any]) -> None:
    """Set how long a namespace keeps its ended tasks."""
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
    # What ended before an instant was reported before it, and ids sort by the time of the report: without this bound
    # a round that finds nothing would look at all ended tasks.
    bound = UUID(int=int(before.timestamp() * 1000) << 80)
    literal = cast("Any", bindparam)(None, status.value, literal_execute=True)
    where = (
        col(Task.namespace) == namespace,
        col(Task.status) == literal,
        col(Task.id) < bound,
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
