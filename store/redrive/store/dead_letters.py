"""Dead letters by error: what is wrong, since when, where and how often, and what people said about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal, cast
from uuid import UUID

from sqlalchemy import CTE, ColumnElement, and_, func, null, select, tuple_, union_all
from sqlalchemy.dialects.postgresql import aggregate_order_by, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from redrive.core.fingerprint import normalise
from redrive.core.selection import Selection
from redrive.store.dead_counts import IS_DEAD, NO_ERROR, is_by_error, is_counted, matches
from redrive.store.search import InvalidCursor, SceneCount, any_of, decode_cursor, encode_cursor, facts, limited_time
from redrive.store.tables import (
    DeadLetterChange,
    DeadLetterErrorHour,
    DeadLetterHour,
    DeadLetterNote,
    DeadLetterTotal,
    Task,
)

GroupSort = Literal["-count", "-last_seen", "-first_seen"]

BUCKETS: Final = 24
"""Buckets of a sparkline."""

NEWEST: Final = 20_000
"""Dead letters that are looked at when the kept counts cannot answer and looking at all takes too long."""

_MOST_SCENES: Final = 20
_HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Sparkline:
    """When the dead letters of a group died.

    Attributes:
        begin: Where the first bucket begins.
        bucket_seconds: Length of a bucket, in seconds.
        counts: Deaths by bucket.
    """

    begin: datetime
    bucket_seconds: int
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """The dead letters of one error.

    Attributes:
        fingerprint: Names the error; `none` for dead letters without one.
        error_type: Its class.
        message: What it says, without its varying parts.
        scenes: Where it happened, most first; at most twenty.
        count: How many there are.
        first_seen: First death of it since there were none.
        last_seen: Last one.
        sparkline: When they died.
        sample_id: One of them.
        acknowledged: Whether a person has seen it and nothing died of it since.
        acknowledged_at: When that person said so.
        acknowledged_by: Who.
        muted_until: Until when nobody wants to hear of it.
        note: A remark.
    """

    fingerprint: str
    error_type: str | None
    message: str | None
    scenes: tuple[SceneCount, ...]
    count: int
    first_seen: datetime
    last_seen: datetime
    sparkline: Sparkline
    sample_id: UUID | None
    acknowledged: bool
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    muted_until: datetime | None
    note: str


@dataclass(frozen=True, slots=True)
class GroupPage:
    """One page of groups.

    Attributes:
        items: The groups.
        next_cursor: Leads to the next page; None on the last one.
        exact: Whether all dead letters were looked at, and not only the newest ones.
    """

    items: list[ErrorGroup]
    next_cursor: str | None
    exact: bool


async def list_groups(
    session: AsyncSession,
    namespace: str,
    selection: Selection,
    *,
    now: datetime,
    sort: GroupSort = "-count",
    acknowledged: bool | None = None,
    muted: bool | None = None,
    limit: int = 50,
    cursor: str | None = None,
    within_seconds: float = 0.1,
) -> GroupPage:
    """List dead letters by error.

    Args:
        session: A transaction.
        namespace: Namespace of the tasks.
        selection: Which dead letters; its status is `dead`.
        now: The clock: sparklines without a range end there.
        sort: Most, latest or newest first.
        acknowledged: Those that are, or those that are not.
        muted: Likewise.
        limit: The most groups of one page.
        cursor: Where the page begins: `next_cursor` of the page before.
        within_seconds: How long looking at all dead letters may take before the newest ones have to do.

    Raises:
        InvalidCursor: The cursor was made by something else, or for another order.
    """
    place = None if cursor is None else _decode_cursor(cursor, sort)
    filters = _Filters(namespace, selection, now, sort, acknowledged, muted, limit + 1, place)
    exact = True
    if is_counted(selection):
        rows = (await session.execute(_page(filters, facts(namespace, selection)))).all()
    else:
        try:
            async with limited_time(session, within_seconds):
                rows = (await session.execute(_page(filters, facts(namespace, selection)))).all()
        except TimeoutError:
            exact = False
            rows = (await session.execute(_page(filters, facts(namespace, selection, NEWEST)))).all()
    shown = rows[:limit]
    items = await _load(session, namespace, selection, shown, now)
    more = encode_cursor(sort, _reached(shown[-1], sort), shown[-1].fingerprint) if len(rows) > limit else None
    return GroupPage(items, more, exact)


async def find_group(session: AsyncSession, namespace: str, selection: Selection, now: datetime) -> ErrorGroup | None:
    """Find the dead letters of one error.

    Args:
        session: A transaction.
        namespace: Namespace of the tasks.
        selection: Which dead letters; it names the fingerprint.
        now: The clock: a sparkline without a range ends there.

    Returns:
        The group; None when there are no such dead letters.
    """
    page = await list_groups(session, namespace, selection, now=now, limit=1)
    return page.items[0] if page.items else None


async def note(session: AsyncSession, namespace: str, fingerprint: str, changes: dict[str, Any]) -> None:
    """Write down what a person says about an error.

    Args:
        session: A transaction.
        namespace: Namespace of the tasks.
        fingerprint: The error.
        changes: New values of `acknowledged_at`, `acknowledged_by`, `muted_until` or `note`.
    """
    statement = insert(DeadLetterNote).values(namespace=namespace, fingerprint=fingerprint, **changes)
    await session.execute(statement.on_conflict_do_update(index_elements=["namespace", "fingerprint"], set_=changes))


async def is_muted(session: AsyncSession, namespace: str, fingerprint: str | None, now: datetime) -> bool:
    """Tell whether nobody wants to hear of an error now."""
    statement = select(col(DeadLetterNote.muted_until)).where(
        col(DeadLetterNote.namespace) == namespace, col(DeadLetterNote.fingerprint) == (fingerprint or NO_ERROR)
    )
    until = (await session.execute(statement)).scalar_one_or_none()
    return until is not None and until > now


@dataclass(frozen=True, slots=True)
class _Filters:
    namespace: str
    selection: Selection
    now: datetime
    sort: GroupSort
    acknowledged: bool | None
    muted: bool | None
    limit: int
    place: tuple[int | datetime, str] | None


def _page(filters: _Filters, found: CTE) -> Any:
    """Ask for one page of groups with the scenes of each."""
    number = func.sum(found.c.count)
    by_error = (
        select(found.c.fingerprint, number.label("count"), any_of(found.c.sample_id).label("sample_id"))
        .group_by(found.c.fingerprint)
        .having(number > 0)
        .subquery("by_error")
    )
    seen = _seen(filters.namespace, filters.selection)
    notes = DeadLetterNote
    is_acknowledged = func.coalesce(col(notes.acknowledged_at) >= seen.c.last_seen, False)
    is_muted = func.coalesce(col(notes.muted_until) > filters.now, False)
    column = {"-count": by_error.c.count, "-last_seen": seen.c.last_seen, "-first_seen": seen.c.first_seen}[
        filters.sort
    ]
    where: list[ColumnElement[bool]] = []
    if filters.acknowledged is not None:
        where.append(is_acknowledged.is_(filters.acknowledged))
    if filters.muted is not None:
        where.append(is_muted.is_(filters.muted))
    if filters.place is not None:
        where.append(cast("Any", tuple_(column, by_error.c.fingerprint)) < filters.place)
    page = (
        select(
            by_error.c.fingerprint,
            by_error.c.count,
            func.coalesce(seen.c.sample_id, by_error.c.sample_id).label("sample_id"),
            seen.c.first_seen,
            seen.c.last_seen,
            is_acknowledged.label("acknowledged"),
            col(notes.acknowledged_at),
            col(notes.acknowledged_by),
            col(notes.muted_until),
            func.coalesce(notes.note, "").label("note"),
            column.label("place"),
        )
        .join(seen, seen.c.fingerprint == by_error.c.fingerprint)
        .outerjoin(
            notes,
            and_(col(notes.namespace) == filters.namespace, col(notes.fingerprint) == by_error.c.fingerprint),
        )
        .where(*where)
        .order_by(column.desc(), by_error.c.fingerprint.desc())
        .limit(filters.limit)
        .cte("page")
    )
    in_scene = (
        select(found.c.fingerprint, found.c.group, found.c.scene, number.label("count"))
        .where(found.c.fingerprint.in_(select(page.c.fingerprint)))
        .group_by(found.c.fingerprint, found.c.group, found.c.scene)
        .having(number > 0)
        .subquery("in_scene")
    )
    scenes = (
        select(
            in_scene.c.fingerprint,
            func.jsonb_agg(func.jsonb_build_array(in_scene.c.group, in_scene.c.scene, in_scene.c.count)).label("all"),
        )
        .group_by(in_scene.c.fingerprint)
        .subquery("scenes")
    )
    return (
        select(page, scenes.c["all"].label("scenes"))
        .join(scenes, scenes.c.fingerprint == page.c.fingerprint)
        .order_by(page.c.place.desc(), page.c.fingerprint.desc())
    )


def _seen(namespace: str, selection: Selection) -> Any:
    """Tell for each error when it was seen first and last in the groups and scenes of a selection."""
    totals, changes = DeadLetterTotal, DeadLetterChange
    parts = union_all(
        select(
            col(totals.fingerprint), col(totals.first_seen), col(totals.last_seen), col(totals.sample_id)
        ).where(matches(totals, namespace, selection)),
        select(
            col(changes.fingerprint), col(changes.finished_at), col(changes.finished_at), col(changes.task_id)
        ).where(matches(changes, namespace, selection)),
    ).subquery("parts")  # fmt: skip
    return (
        select(
            parts.c.fingerprint,
            func.min(parts.c.first_seen).label("first_seen"),
            func.max(parts.c.last_seen).label("last_seen"),
            func.array_agg(aggregate_order_by(parts.c.sample_id, parts.c.last_seen.desc()))[1].label("sample_id"),
        )
        .group_by(parts.c.fingerprint)
        .subquery("seen")
    )


async def _load(
    session: AsyncSession, namespace: str, selection: Selection, rows: Sequence[Any], now: datetime
) -> list[ErrorGroup]:
    fingerprints = [row.fingerprint for row in rows]
    if not fingerprints:
        return []
    samples = await _samples(session, namespace, selection, {row.fingerprint: row.sample_id for row in rows})
    sparklines = await _sparklines(session, namespace, selection, fingerprints, now)
    groups: list[ErrorGroup] = []
    for row in rows:
        sample = samples.get(row.fingerprint)
        scenes = [SceneCount(group, scene, int(count)) for group, scene, count in row.scenes]
        scenes.sort(key=lambda scene: (-scene.count, scene.group, scene.scene))
        message = None if sample is None else sample.error_message
        groups.append(
            ErrorGroup(
                fingerprint=row.fingerprint,
                error_type=None if sample is None else sample.error_type,
                message=None if message is None else normalise(message),
                scenes=tuple(scenes[:_MOST_SCENES]),
                count=int(row.count),
                first_seen=row.first_seen,
                last_seen=row.last_seen,
                sparkline=sparklines[row.fingerprint],
                sample_id=None if sample is None else sample.id,
                acknowledged=row.acknowledged,
                acknowledged_at=row.acknowledged_at,
                acknowledged_by=row.acknowledged_by,
                muted_until=row.muted_until,
                note=row.note,
            )
        )
    return groups


async def _samples(
    session: AsyncSession, namespace: str, selection: Selection, known: dict[str, UUID | None]
) -> dict[str, Any]:
    """Load the sample of each error, and another one for those whose sample is no dead letter any more."""
    columns = (col(Task.id), col(Task.fingerprint), col(Task.error_type), col(Task.error_message))
    dead = (col(Task.namespace) == namespace, IS_DEAD)
    ids = [sample_id for sample_id in known.values() if sample_id is not None]
    rows = await session.execute(select(*columns).where(*dead, col(Task.id).in_(ids)))
    found = {row.fingerprint or NO_ERROR: row for row in rows}
    for fingerprint in known.keys() - found.keys():
        is_none = fingerprint == NO_ERROR
        same = col(Task.fingerprint).is_(null()) if is_none else col(Task.fingerprint) == fingerprint
        where = [*dead, same]
        where += [col(Task.group) == selection.group] if selection.group is not None else []
        where += [col(Task.scene) == selection.scene] if selection.scene is not None else []
        latest = select(*columns).where(*where).order_by(col(Task.finished_at).desc()).limit(1)
        row = (await session.execute(latest)).one_or_none()
        if row is not None:
            found[fingerprint] = row
    return found


async def _sparklines(
    session: AsyncSession, namespace: str, selection: Selection, fingerprints: Sequence[str], now: datetime
) -> dict[str, Sparkline]:
    begin, bucket = sparkline_range(selection, now)
    end = begin + BUCKETS * bucket
    by_error = is_by_error(selection)
    hours: Any = DeadLetterErrorHour if by_error else DeadLetterHour
    changes: Any = DeadLetterChange
    parts = union_all(
        cast("Any", select(hours.fingerprint, hours.hour.label("at"), hours.count.label("count"))).where(
            col(hours.namespace) == namespace if by_error else matches(hours, namespace, selection),
            col(hours.fingerprint).in_(fingerprints),
            col(hours.hour) >= begin,
            col(hours.hour) < end,
        ),
        select(col(changes.fingerprint), col(changes.finished_at), col(changes.change)).where(
            matches(changes, namespace, selection),
            col(changes.fingerprint).in_(fingerprints),
            col(changes.finished_at) >= begin,
            col(changes.finished_at) < end,
        ),
    ).subquery("parts")
    at = func.date_bin(bucket, parts.c.at, begin).label("bucket")
    counted = select(parts.c.fingerprint, at, func.sum(parts.c.count)).group_by(parts.c.fingerprint, at)
    counts = {fingerprint: [0] * BUCKETS for fingerprint in fingerprints}
    for fingerprint, first, count in await session.execute(counted):
        counts[fingerprint][(first - begin) // bucket] = int(count)
    seconds = int(bucket.total_seconds())
    return {name: Sparkline(begin, seconds, tuple(found)) for name, found in counts.items()}


def sparkline_range(selection: Selection, now: datetime) -> tuple[datetime, timedelta]:
    """Tell what the sparklines of a selection cover: its range of time until now, or the last 24 hours.

    Args:
        selection: Its range counts.
        now: The clock.

    Returns:
        Where the first of 24 buckets begins, and the length of a bucket: whole hours.
    """
    end = _whole_hour(min(selection.finished_before or now, now) - timedelta(microseconds=1)) + _HOUR
    if selection.finished_after is None:
        return end - BUCKETS * _HOUR, _HOUR
    begin = _whole_hour(min(selection.finished_after, now))
    return begin, max(1, -(-int((end - begin) / _HOUR) // BUCKETS)) * _HOUR


def _whole_hour(instant: datetime) -> datetime:
    return instant.replace(minute=0, second=0, microsecond=0)


def _reached(row: Any, sort: GroupSort) -> int | str:
    return int(row.place) if sort == "-count" else row.place.isoformat()


def _decode_cursor(cursor: str, sort: GroupSort) -> tuple[int | datetime, str]:
    try:
        made_for, value, fingerprint = decode_cursor(cursor)
        if made_for != sort or not isinstance(fingerprint, str):
            raise InvalidCursor
        if sort == "-count":
            if type(value) is not int or not 0 <= value < 2**63:
                raise InvalidCursor
            return value, fingerprint
        instant = datetime.fromisoformat(value)
        if instant.tzinfo is None:
            raise InvalidCursor
    except (ValueError, TypeError):
        raise InvalidCursor from None
    return instant, fingerprint
