"""Lists of tasks: filters, order and keyset pages.

A cursor holds the sort key and the id of the last row, so a page costs the same however deep it lies, and a row that
is inserted meanwhile moves nothing.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, and_, or_, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from redrive.core.errors import RedriveError
from redrive.store.tables import Task

Sort = Literal["created_at", "-created_at", "updated_at", "-updated_at", "next_attempt_at", "-next_attempt_at"]


class InvalidCursor(RedriveError, ValueError):
    """A cursor is used as it came, with the sort order it came with; this one was not made for this list."""

    def __init__(self) -> None:
        super().__init__(self.__class__.__doc__)


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Which tasks a list shows. All that is given must hold.

    Attributes:
        namespace: Their namespace.
        group: Their group.
        scene: Their scene.
        status: One of these.
        dead_reason: One of these.
        business_key: Exactly this.
        idempotency_key: Exactly this.
        error: Part of the error's class or message, in any case.
        text: Part of a key, the executor, the scene or the error, in any case; or the id.
        created_after: From here on.
        created_before: Before this.
        updated_after: From here on.
        updated_before: Before this.
        next_after: From here on.
        next_before: Before this.
        parent_id: Children of this task.
    """

    namespace: str
    group: str | None = None
    scene: str | None = None
    status: tuple[str, ...] = ()
    dead_reason: tuple[str, ...] = ()
    business_key: str | None = None
    idempotency_key: str | None = None
    error: str | None = None
    text: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    updated_after: datetime | None = None
    updated_before: datetime | None = None
    next_after: datetime | None = None
    next_before: datetime | None = None
    parent_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of tasks.

    Attributes:
        items: The rows.
        next_cursor: Leads to the next page; None on the last one.
    """

    items: list[Task]
    next_cursor: str | None


_COLUMNS: Final[dict[str, Any]] = {
    "created_at": Task.id,  # UUIDv7: the order of ids is the order of creation, and the index is the shorter
    "updated_at": Task.updated_at,
    "next_attempt_at": Task.next_attempt_at,
}


async def list_tasks(
    session: AsyncSession,
    filters: TaskFilter,
    *,
    sort: Sort = "-created_at",
    limit: int = 50,
    cursor: str | None = None,
) -> Page:
    """List tasks.

    Args:
        session: Any session.
        filters: Which ones.
        sort: Their order; `-` for the newest or latest first.
        limit: The most rows of one page.
        cursor: Where the page begins: `next_cursor` of the page before.

    Raises:
        InvalidCursor: The cursor was made by something else, or for another order.
    """
    column, descending = _COLUMNS[sort.removeprefix("-")], sort.startswith("-")
    by_id = column is Task.id
    conditions = _conditions(filters)
    if column is Task.next_attempt_at:
        conditions.append(col(column).is_not(None))
    if cursor is not None:
        value, last_id = _decode_cursor(cursor, sort, by_id=by_id)
        place: Any = col(Task.id) if by_id else tuple_(col(column), col(Task.id))
        bound: Any = last_id if by_id else (value, last_id)
        conditions.append(place < bound if descending else place > bound)
    order = [col(Task.id)] if by_id else [col(column), col(Task.id)]
    ordered = [part.desc() if descending else part.asc() for part in order]
    rows = list(
        (await session.scalars(select(Task).where(and_(*conditions)).order_by(*ordered).limit(limit + 1))).all()
    )
    items = rows[:limit]
    last = items[-1] if len(rows) > limit else None
    if last is None:
        return Page(items, None)
    reached: datetime | None = None if by_id else getattr(last, sort.removeprefix("-"))
    return Page(items, encode_cursor(sort, None if reached is None else reached.isoformat(), str(last.id)))


def encode_cursor(*parts: str | int | None) -> str:
    """Write the parts of a place in a list as one opaque text."""
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).rstrip(b"=").decode()


def decode_cursor(cursor: str) -> list[Any]:
    """Read what `encode_cursor` wrote.

    Raises:
        InvalidCursor: It did not write this.
    """
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        parts: list[Any] | str | None = json.loads(raw)
    except (binascii.Error, ValueError, RecursionError):
        raise InvalidCursor from None
    if not isinstance(parts, list):
        raise InvalidCursor
    return parts


def _decode_cursor(cursor: str, sort: Sort, *, by_id: bool) -> tuple[datetime | None, UUID]:
    try:
        made_for, value, last_id = decode_cursor(cursor)
        if made_for != sort or (value is None) != by_id:
            raise InvalidCursor
        instant = None if value is None else datetime.fromisoformat(value)
        if instant is not None and instant.tzinfo is None:
            raise InvalidCursor
        return instant, UUID(last_id)
    except (ValueError, TypeError, AttributeError):
        raise InvalidCursor from None


def _conditions(filters: TaskFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [col(Task.namespace) == filters.namespace]
    for column, value in (
        (Task.group, filters.group),
        (Task.scene, filters.scene),
        (Task.business_key, filters.business_key),
        (Task.idempotency_key, filters.idempotency_key),
        (Task.parent_id, filters.parent_id),
    ):
        if value is not None:
            conditions.append(col(column) == value)
    if filters.status:
        conditions.append(col(Task.status).in_(filters.status))
    if filters.dead_reason:
        conditions.append(col(Task.dead_reason).in_(filters.dead_reason))
    for instant, after, before in (
        (Task.created_at, filters.created_after, filters.created_before),
        (Task.updated_at, filters.updated_after, filters.updated_before),
        (Task.next_attempt_at, filters.next_after, filters.next_before),
    ):
        if after is not None:
            conditions.append(col(instant) >= after)
        if before is not None:
            conditions.append(col(instant) < before)
    if filters.error is not None:
        conditions.append(_contains(filters.error, Task.error_type, Task.error_message))
    if filters.text is not None:
        conditions.append(_contains_anywhere(filters.text))
    return conditions


def _contains(text: str, *columns: Any) -> ColumnElement[bool]:
    return or_(*(col(column).icontains(text, autoescape=True) for column in columns))


def _contains_anywhere(text: str) -> ColumnElement[bool]:
    try:
        return col(Task.id) == UUID(text)
    except ValueError:
        pass
    return _contains(
        text, Task.business_key, Task.idempotency_key, Task.executor, Task.scene, Task.error_type, Task.error_message
    )
