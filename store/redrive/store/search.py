"""Selections in SQL: lists of tasks in keyset pages, counts, and walks over everything that is meant.

A cursor holds the sort key and the id of the last row, so a page costs the same however deep it lies, and a row that
is inserted meanwhile moves nothing.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

from psycopg.errors import QueryCanceled
from sqlalchemy import (
    CTE,
    ColumnElement,
    Text,
    Uuid,
    and_,
    bindparam,
    cast,
    func,
    literal,
    literal_column,
    null,
    or_,
    tablesample,
    text,
    tuple_,
)
from sqlalchemy import select as select_columns
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlmodel import col, select

from redrive.core.errors import RedriveError
from redrive.core.fingerprint import normalise
from redrive.core.selection import Selection
from redrive.core.states import OPEN, TaskStatus
from redrive.store import statistics
from redrive.store.dead_counts import IS_DEAD, NO_ERROR, counted, is_counted
from redrive.store.statistics import Place
from redrive.store.tables import Task

Sort = Literal[
    "created_at", "-created_at", "updated_at", "-updated_at", "next_attempt_at", "-next_attempt_at",
    "finished_at", "-finished_at", "priority", "-priority", "attempts", "-attempts",
]  # fmt: skip

Order = Literal["oldest", "newest", "priority"]
"""In which order a walk meets tasks: by their report, or the most urgent first and the oldest of those first."""


class InvalidCursor(RedriveError, ValueError):
    """A cursor is used as it came, with the sort order it came with; this one was not made for this list."""

    def __init__(self) -> None:
        super().__init__(self.__class__.__doc__)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of tasks.

    Attributes:
        items: The rows.
        next_cursor: Leads to the next page; None on the last one.
    """

    items: list[Task]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Count:
    """How many tasks a selection means.

    Attributes:
        count: That many.
        exact: Whether they were counted; otherwise a sample of the table was, which is good for an order of magnitude.
    """

    count: int
    exact: bool


@dataclass(frozen=True, slots=True)
class Selected:
    """What a walk needs to know of a task.

    Attributes:
        id: Its id.
        generation: Its present generation.
        status: Its status.
        priority: 1 first, 5 last.
    """

    id: UUID
    generation: int
    status: str
    priority: int


@dataclass(frozen=True, slots=True)
class SceneCount:
    """How many of the selected tasks a scene has."""

    group: str
    scene: str
    count: int


@dataclass(frozen=True, slots=True)
class ErrorCount:
    """How many of the selected tasks have one error last. The message is without its varying parts."""

    fingerprint: str
    error_type: str | None
    message: str | None
    count: int


_COLUMNS: Final[dict[str, Any]] = {
    "created_at": Task.id,  # UUIDv7: the order of ids is the order of creation, and the index is the shorter
    "updated_at": Task.updated_at,
    "next_attempt_at": Task.next_attempt_at,
    "finished_at": Task.finished_at,
    "priority": Task.priority,
    "attempts": Task.attempts,
}
_NULLABLE: Final = frozenset({"next_attempt_at", "finished_at"})
_NUMBERS: Final = frozenset({"priority", "attempts"})

WINDOW: Final = 50_000
"""As many tasks are searched for what no index finds within a tenth of a second or two."""

_EVERYTHING: Final = Selection()
_CLOCKS_APART: Final = timedelta(hours=1)
_SAMPLE_ROWS: Final = 20_000


def conditions(namespace: str, selection: Selection, task: Any = Task) -> ColumnElement[bool]:
    """Turn a selection into what the rows must fulfil.

    Args:
        namespace: Namespace of the tasks.
        selection: Which ones.
        task: The entity that is asked for; an alias of `Task` where one is.
    """
    found: list[ColumnElement[bool]] = [col(task.namespace) == namespace]
    for column, value in (
        (task.group, selection.group),
        (task.scene, selection.scene),
        (task.kind, selection.kind),
        (task.business_key, selection.business_key),
        (task.idempotency_key, selection.idempotency_key),
        (task.priority, selection.priority),
        (task.parent_id, None if selection.parent_id is None else UUID(selection.parent_id)),
    ):
        if value is not None:
            found.append(col(column) == value)
    if selection.fingerprint is not None:
        is_none = selection.fingerprint == NO_ERROR
        found.append(col(task.fingerprint).is_(null()) if is_none else col(task.fingerprint) == selection.fingerprint)
    if selection.status:
        # As literals, so that the planner sees which partial index holds what is asked for.
        found.append(col(task.status).in_(bindparam(None, selection.status, expanding=True, literal_execute=True)))
    if selection.dead_reason:
        found.append(col(task.dead_reason).in_(selection.dead_reason))
        found.append(col(task.status) == literal_column("'dead'"))  # as the indexes of dead letters say it
    if selection.ids:
        found.append(col(task.id) == func.any([UUID(task_id) for task_id in selection.ids]))
    for key, value in selection.metadata.items():
        found.append(col(task.metadata_)[key].astext == value)
    for column, after, before in (
        (task.created_at, selection.created_after, selection.created_before),
        (task.updated_at, selection.updated_after, selection.updated_before),
        (task.next_attempt_at, selection.next_after, selection.next_before),
        (task.finished_at, selection.finished_after, selection.finished_before),
    ):
        if after is not None:
            found.append(col(column) >= after)
        if before is not None:
            found.append(col(column) < before)
    if selection.created_after is not None:
        # An id is made when its task is taken, at the earliest when it was reported, and the index is by ids.
        found.append(col(task.id) >= _first_id(selection.created_after - _CLOCKS_APART))
    if selection.error is not None:
        found.append(_contains(selection.error, task.error_type, task.error_message))
    if selection.q is not None:
        found.append(_contains_anywhere(selection.q, task))
    return and_(*found)


async def list_tasks(
    session: AsyncSession,
    namespace: str,
    selection: Selection,
    *,
    sort: Sort = "-created_at",
    limit: int = 50,
    cursor: str | None = None,
    window: int = WINDOW,
) -> Page:
    """List tasks.

    Args:
        session: Any session.
        namespace: Namespace of the tasks.
        selection: Which ones.
        sort: Their order; `-` for the newest, latest or greatest first. Tasks that lack the instant are left out.
        limit: The most rows of one page.
        cursor: Where the page begins: `next_cursor` of the page before.
        window: The most tasks that are looked at one by one.

    Returns:
        A page. Where no index finds what is asked for, up to `window` tasks are looked at, and a page may have fewer
        items than its limit, or none, though others follow.

    Raises:
        InvalidCursor: The cursor was made by something else, or for another order.
    """
    name, descending = sort.removeprefix("-"), sort.startswith("-")
    column = _COLUMNS[name]
    by_id = column is Task.id
    sought = _sought(selection, name)
    where = [conditions(namespace, replace(selection, **sought))]
    if name in _NULLABLE:
        where.append(col(column).is_not(None))
    if name == "next_attempt_at":  # no ended task has a next attempt; the index of what is due says it like this
        where.append(col(Task.status).in_(bindparam(None, sorted(OPEN), expanding=True, literal_execute=True)))
    if cursor is not None:
        value, last_id = _decode_cursor(cursor, sort)
        place: Any = col(Task.id) if by_id else tuple_(col(column), col(Task.id))
        bound: Any = last_id if by_id else (value, last_id)
        where.append(place < bound if descending else place > bound)
    statement = select(Task).where(*where).order_by(*_ordered(Task, name, descending))
    if sought:
        looked_at = aliased(Task, statement.limit(window).subquery())
        ordered = _ordered(looked_at, name, descending)
        page = select(looked_at).where(conditions(namespace, selection, looked_at)).order_by(*ordered)
    else:
        page = statement
    rows = list((await session.scalars(page.limit(limit + 1))).all())
    items = rows[:limit]
    last: Any = None
    if len(rows) > limit:
        last = (items[-1].id, getattr(items[-1], name))
    elif sought:
        edge = statement.with_only_columns(col(Task.id), col(column)).offset(window - 1).limit(1)
        last = (await session.execute(edge)).one_or_none()
    if last is None:
        return Page(items, None)
    last_id, value = last
    reached = None if by_id else value
    written = reached.isoformat() if isinstance(reached, datetime) else reached
    return Page(items, encode_cursor(sort, written, str(last_id)))


def _ordered(task: Any, name: str, descending: bool) -> list[Any]:
    order = [col(task.id)] if name == "created_at" else [col(getattr(task, name)), col(task.id)]
    return [part.desc() if descending else part.asc() for part in order]


def _sought(selection: Selection, sort: str) -> dict[str, Any]:
    """Tell which parts of a selection no index finds, as the values by which they narrow nothing."""
    found: list[str] = [
        name for name in ("error", "metadata", "kind", "created_before") if getattr(selection, name) not in (None, {})
    ]
    if selection.q is not None and not _is_id(selection.q):
        found.append("q")
    if selection.priority is not None and sort != "priority":
        found.append("priority")
    if selection.fingerprint is not None and selection.status != (TaskStatus.DEAD,):
        found.append("fingerprint")
    return {name: getattr(_EVERYTHING, name) for name in found}


async def count_tasks(
    session: AsyncSession, namespace: str, selection: Selection, *, within_seconds: float | None = None
) -> Count:
    """Count the tasks of a selection.

    Args:
        session: A transaction.
        namespace: Namespace of the tasks.
        selection: Which ones.
        within_seconds: How long counting may take before a sample of the table has to do; None counts to the end.
    """
    if replace(selection, group=None, scene=None, status=()) == _EVERYTHING:
        tallied = await statistics.count_by_status(session, Place(namespace, selection.group), selection.scene)
        wanted = selection.status or tuple(tallied)
        return Count(sum(tallied.get(status, 0) for status in wanted), exact=True)
    if is_counted(selection):
        kept = counted(namespace, selection)
        return Count(int((await session.scalar(select_columns(func.sum(kept.c.count)))) or 0), exact=True)
    statement = select_columns(func.count()).select_from(Task).where(conditions(namespace, selection))
    if within_seconds is None:
        return Count((await session.execute(statement)).scalar_one(), exact=True)
    try:
        async with limited_time(session, within_seconds):
            found: int = (await session.execute(statement)).scalar_one()
    except TimeoutError:
        return Count(await _sampled(session, namespace, selection), exact=False)
    return Count(found, exact=True)


async def count_by_scene(session: AsyncSession, namespace: str, selection: Selection) -> list[SceneCount]:
    """Count the tasks of a selection by scene, most first."""
    found = facts(namespace, selection)
    count = func.sum(found.c.count)
    statement = select_columns(found.c.group, found.c.scene, count).group_by(found.c.group, found.c.scene)
    rows = await session.execute(statement.having(count > 0).order_by(count.desc(), found.c.group, found.c.scene))
    return [SceneCount(group, scene, int(number)) for group, scene, number in rows]


async def count_by_error(
    session: AsyncSession, namespace: str, selection: Selection, *, limit: int = 20
) -> list[ErrorCount]:
    """Count the tasks of a selection by the fingerprint of their last error, most first.

    Args:
        session: Any session.
        namespace: Namespace of the tasks.
        selection: Which ones.
        limit: The most fingerprints.
    """
    found = facts(namespace, selection)
    count = func.sum(found.c.count)
    one = select_columns(found.c.fingerprint, count.label("count"), any_of(found.c.sample_id).label("sample_id"))
    most = one.group_by(found.c.fingerprint).having(count > 0).order_by(count.desc(), found.c.fingerprint).limit(limit)
    page = most.subquery()
    statement = (
        select_columns(page.c.fingerprint, col(Task.error_type), col(Task.error_message), page.c.count)
        .outerjoin(Task, col(Task.id) == page.c.sample_id)
        .order_by(page.c.count.desc(), page.c.fingerprint)
    )
    return [
        ErrorCount(name, error_type, None if message is None else normalise(message), int(number))
        for name, error_type, message, number in await session.execute(statement)
    ]


def facts(namespace: str, selection: Selection, newest: int | None = None) -> CTE:
    """Give the counts of a selection, from the kept ones where they can answer.

    Args:
        namespace: Namespace of the tasks.
        selection: Which ones.
        newest: Look at so many of the latest dead letters and no further; for selections of dead letters alone.

    Returns:
        Rows of fingerprint, group, scene, count and the id of a sample; those of one key are to be added up.
    """
    if is_counted(selection):
        return counted(namespace, selection)
    task: Any = Task
    if newest is not None:
        latest = select(Task).where(col(Task.namespace) == namespace, IS_DEAD)
        task = aliased(Task, latest.order_by(col(Task.finished_at).desc()).limit(newest).subquery())
    columns = (func.coalesce(task.fingerprint, NO_ERROR).label("fingerprint"), col(task.group), col(task.scene))
    statement = select_columns(*columns, func.count().label("count"), any_of(task.id).label("sample_id"))
    return statement.where(conditions(namespace, selection, task)).group_by(*columns).cte("facts")


def any_of(column: Any) -> ColumnElement[Any]:
    """Aggregate a column of ids to one of them."""
    return cast(func.max(cast(column, Text)), Uuid)


async def walk_tasks(
    session: AsyncSession,
    namespace: str,
    selection: Selection,
    *,
    order: Order = "oldest",
    after: Selected | None = None,
    limit: int = 1000,
) -> list[Selected]:
    """Give the next tasks of a walk over a selection.

    Args:
        session: Any session.
        namespace: Namespace of the tasks.
        selection: Which ones.
        order: In which order.
        after: The last task of the chunk before; None begins.
        limit: The most tasks of one chunk.

    Returns:
        The next chunk; an empty one at the end.
    """
    where = [conditions(namespace, selection)]
    if after is not None and order == "priority":
        where.append(tuple_(col(Task.priority), col(Task.id)) > (after.priority, after.id))
    elif after is not None:
        where.append(col(Task.id) > after.id if order == "oldest" else col(Task.id) < after.id)
    by: dict[Order, Sequence[ColumnElement[Any]]] = {
        "oldest": [col(Task.id).asc()],
        "newest": [col(Task.id).desc()],
        "priority": [col(Task.priority).asc(), col(Task.id).asc()],
    }
    columns = (col(Task.id), col(Task.generation), col(Task.status), col(Task.priority))
    rows = await session.execute(select_columns(*columns).where(*where).order_by(*by[order]).limit(limit))
    return [Selected(*row) for row in rows]


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


def _decode_cursor(cursor: str, sort: Sort) -> tuple[datetime | int | None, UUID]:
    try:
        made_for, value, last_id = decode_cursor(cursor)
        if made_for != sort:
            raise InvalidCursor
        return _decode_reached(sort.removeprefix("-"), value), UUID(last_id)
    except (ValueError, TypeError, AttributeError):
        raise InvalidCursor from None


def _decode_reached(name: str, value: Any) -> datetime | int | None:
    if _COLUMNS[name] is Task.id:
        if value is not None:
            raise InvalidCursor
        return None
    if name in _NUMBERS:
        if type(value) is not int or not 0 <= value < 2**31:
            raise InvalidCursor
        return value
    instant = datetime.fromisoformat(value)
    if instant.tzinfo is None:
        raise InvalidCursor
    return instant


@asynccontextmanager
async def limited_time(session: AsyncSession, seconds: float) -> AsyncGenerator[None]:
    """Limit how long each statement of a block may take, at most to the millisecond.

    Args:
        session: A transaction, which goes on as if a block that took too long had not been.
        seconds: That long.

    Raises:
        TimeoutError: A statement took longer.
    """
    try:
        async with session.begin_nested():
            await _limit_time(session, f"{max(1, round(seconds * 1000))}ms")
            yield
            await _limit_time(session, "0")
    except DBAPIError as error:
        if isinstance(error.orig, QueryCanceled):
            raise TimeoutError from error
        raise


async def _limit_time(session: AsyncSession, longest: str) -> None:
    await session.execute(text("SELECT set_config('statement_timeout', :longest, true)"), {"longest": longest})


async def _sampled(session: AsyncSession, namespace: str, selection: Selection) -> int:
    """Count in a sample of the table's pages, and extrapolate. The same pages each time, so that the number is calm."""
    size = text("SELECT GREATEST(reltuples, 1) FROM pg_class WHERE oid = 'tasks'::regclass")
    rows: float = (await session.execute(size)).scalar_one()
    percent = min(100.0, 100.0 * _SAMPLE_ROWS / rows)
    sample = aliased(Task, tablesample(Task, func.system(percent), seed=literal(1)))
    statement = select_columns(func.count()).select_from(sample).where(conditions(namespace, selection, sample))
    found: int = (await session.execute(statement)).scalar_one()
    return round(found * 100.0 / percent)


def _contains(part: str, *columns: Any) -> ColumnElement[bool]:
    # The whole pattern as one value: PostgreSQL may put together for each row what it is to put together.
    escaped = re.sub(r"([\\%_])", r"\\\1", part)
    return or_(*(col(column).ilike(f"%{escaped}%") for column in columns))


def _contains_anywhere(part: str, task: Any) -> ColumnElement[bool]:
    if _is_id(part):
        return col(task.id) == UUID(part)
    return _contains(
        part, task.business_key, task.idempotency_key, task.executor, task.scene, task.error_type, task.error_message
    )


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _first_id(instant: datetime) -> UUID:
    """Give the least UUIDv7 of an instant (RFC 9562, section 5.7: it begins with 48 bits of milliseconds)."""
    return UUID(int=max(0, int(instant.timestamp() * 1000)) << 80)
