"""Queries on saved views: filters of the console's pages that somebody gave a name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from redrive.store.database import new_id
from redrive.store.tables import SavedView


async def list_views(session: AsyncSession, namespace: str, page: str | None = None) -> list[SavedView]:
    """List the views of a namespace, or of one page of it, by page and name."""
    statement = select(SavedView).where(col(SavedView.namespace) == namespace)
    if page is not None:
        statement = statement.where(col(SavedView.page) == page)
    return list((await session.scalars(statement.order_by(col(SavedView.page), col(SavedView.name)))).all())


async def create_view(
    session: AsyncSession, namespace: str, *, page: str, name: str, query: str, author: str | None
) -> SavedView | None:
    """Keep a view; return it, or None when the page has one of that name."""
    values = {"namespace": namespace, "page": page, "name": name, "query": query, "author": author, "id": new_id()}
    statement = insert(SavedView).values(**values).on_conflict_do_nothing().returning(SavedView)
    return (await session.scalars(statement)).one_or_none()


async def find_view(session: AsyncSession, namespace: str, view_id: UUID) -> SavedView | None:
    """Find a view."""
    where = (col(SavedView.id) == view_id, col(SavedView.namespace) == namespace)
    return (await session.scalars(select(SavedView).where(*where))).one_or_none()


async def change_view(session: AsyncSession, view_id: UUID, changes: Mapping[str, Any]) -> bool:
    """Change a view; tell whether its new name was free.

    Args:
        session: A transaction, which goes on in either case.
        view_id: Its id.
        changes: `name` and `query`, or one of them.
    """
    statement = update(SavedView).where(col(SavedView.id) == view_id).values(**changes, updated_at=func.now())
    try:
        async with session.begin_nested():
            await session.execute(statement)
    except IntegrityError:
        return False
    return True


async def delete_view(session: AsyncSession, namespace: str, view_id: UUID) -> bool:
    """Delete a view; tell whether it was there."""
    where = (col(SavedView.id) == view_id, col(SavedView.namespace) == namespace)
    return (await session.scalars(delete(SavedView).where(*where).returning(col(SavedView.id)))).first() is not None
