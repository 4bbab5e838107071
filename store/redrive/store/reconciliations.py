"""Queries on reconciliations: the comparisons of engine and mirror."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, insert, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from redrive.store.tables import Reconciliation

_LOCK = 0x7265_636F_6E63_696C  # "reconcil"


async def try_lock(session: AsyncSession) -> bool:
    """Take the right to reconcile until the transaction ends; tell whether nobody else has it."""
    return bool(await session.scalar(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _LOCK}))


async def add(
    session: AsyncSession,
    *,
    started_at: datetime,
    rows_checked: int,
    workflows_checked: int,
    restarted: int,
    cancelled: int,
    closed: int,
) -> None:
    """Write down what one round found."""
    await session.execute(
        insert(Reconciliation).values(
            started_at=started_at,
            finished_at=func.clock_timestamp(),
            rows_checked=rows_checked,
            workflows_checked=workflows_checked,
            restarted=restarted,
            cancelled=cancelled,
            closed=closed,
        )
    )


async def list_recent(session: AsyncSession, limit: int) -> list[Reconciliation]:
    """List the last rounds, the newest first."""
    statement = select(Reconciliation).order_by(col(Reconciliation.id).desc()).limit(limit)
    return list((await session.scalars(statement)).all())
