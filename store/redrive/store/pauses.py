"""Queries on pauses.

For dispatch and the starter: `redrive.store.restraints.RestraintsCache.of(namespace)` tells, without a query of its
own, whether a task is held: `restraints.pause_of(place, now)`. A pause is in force everywhere a second later.

A pause ends when a person takes its row away, or when its time is over and `take_ended` takes the row away. Either
begins the slow start of what has waited, in the same transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import cast
from uuid import UUID

from sqlalchemy import func, insert, or_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, delete, select

from redrive.core.restraints import Scope
from redrive.store.database import new_id
from redrive.store.tables import Pause
from redrive.store.targets import begin_slow_starts, notify_targets
from redrive.store.tasks import notify_pending


async def list_pauses(session: AsyncSession, namespace: str) -> list[Pause]:
    """List the pauses of a namespace that are in force, the newest first."""
    statement = (
        select(Pause)
        .where(col(Pause.namespace) == namespace, or_(col(Pause.until).is_(None), col(Pause.until) > func.now()))
        .order_by(col(Pause.id).desc())
    )
    return list((await session.scalars(statement)).all())


async def find_pause(session: AsyncSession, namespace: str, pause_id: UUID) -> Pause | None:
    """Find a pause."""
    where = (col(Pause.id) == pause_id, col(Pause.namespace) == namespace)
    return (await session.scalars(select(Pause).where(*where))).one_or_none()


async def insert_pause(
    session: AsyncSession,
    namespace: str,
    scope: Scope,
    key: str,
    *,
    reason: str,
    author: str | None,
    until: datetime | None,
) -> Pause:
    """Pause a scope.

    Args:
        session: A transaction.
        namespace: Its namespace, which exists.
        scope: What kind of scope.
        key: Its name; empty for the namespace itself.
        reason: Why, for people.
        author: Who pauses it.
        until: When it ends by itself; None when a person must end it.
    """
    values = {
        "id": new_id(),
        "namespace": namespace,
        "scope": scope,
        "key": key,
        "reason": reason,
        "author": author,
        "until": until,
    }
    return (await session.scalars(insert(Pause).values(**values).returning(Pause))).one()


async def delete_pause(session: AsyncSession, namespace: str, pause_id: UUID) -> Pause | None:
    """End a pause.

    Args:
        session: A transaction.
        namespace: Its namespace.
        pause_id: Its id.

    Returns:
        What it was; None when there is none.
    """
    where = (col(Pause.id) == pause_id, col(Pause.namespace) == namespace)
    found = (await session.scalars(delete(Pause).where(*where).returning(Pause))).first()
    if found is not None:
        await _let_go(session, [found])
    return found


async def take_ended(session: AsyncSession) -> list[Pause]:
    """Take away the pauses of all namespaces whose time is over.

    Several processes may ask at once; each pause is given to one of them.

    Args:
        session: A transaction.
    """
    statement = delete(Pause).where(col(Pause.until) <= func.now()).returning(Pause)
    ended = list((await session.scalars(statement)).all())
    if ended:
        await _let_go(session, ended)
    return ended


async def _let_go(session: AsyncSession, ended: Sequence[Pause]) -> None:
    for pause in ended:
        await begin_slow_starts(session, pause.namespace, cast("Scope", pause.scope), pause.key)
    await notify_targets(session)
    await notify_pending(session)
