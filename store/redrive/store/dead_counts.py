"""Counts of dead letters that are kept, so that a million of them are counted without being looked at.

Triggers on `tasks` write each death, and each end of one by a replay or a deletion, as a row of
`dead_letter_changes` in the transaction that causes it. `fold` adds these up in `dead_letter_totals` and
`dead_letter_hours`, and triggers on the hours add these up in `dead_letter_spans` and `dead_letter_error_hours`, by
which long ranges of time are counted. Whoever counts reads the changes as well, so that a count is right whether or
not anything has been folded.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    CTE,
    ColumnElement,
    Text,
    Uuid,
    and_,
    cast,
    func,
    literal_column,
    null,
    or_,
    select,
    text,
    true,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from redrive.core.selection import Selection
from redrive.store.tables import DeadLetterChange, DeadLetterHour, DeadLetterSpan, DeadLetterTotal, Task

NO_ERROR: Final = "none"
"""The fingerprint of dead letters without an error. Others have 16 hexadecimal digits."""

IS_DEAD: Final = col(Task.status) == literal_column("'dead'")
"""A literal, so that the planner sees that the indexes of dead letters hold what is asked for."""

_LOCK: Final = 0x64_6561_6463_6F75_6E74 & 0x7FFF_FFFF_FFFF_FFFF  # "deadcount"
_HOUR: Final = timedelta(hours=1)
_SPANS: Final = (timedelta(days=7), timedelta(days=1))
"""Lengths of spans that are kept beside the hours. Each is a whole multiple of the next, and of an hour."""

_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
_LATEST: Final = datetime.max.replace(tzinfo=UTC)
_COUNTED: Final = frozenset(
    {"group", "scene", "kind", "status", "dead_reason", "fingerprint", "finished_after", "finished_before"}
)


def is_by_error(selection: Selection) -> bool:
    """Tell whether a selection of dead letters is not narrowed by where they are and why they died."""
    return not (selection.group or selection.scene or selection.kind or selection.dead_reason)


def is_counted(selection: Selection) -> bool:
    """Tell whether kept counts can answer for a selection: one of dead letters, by scene, error, reason and time."""
    blank = Selection()
    others = (name for name in Selection.__dataclass_fields__ if name not in _COUNTED)
    return selection.status == ("dead",) and all(getattr(selection, name) == getattr(blank, name) for name in others)


def counted(namespace: str, selection: Selection) -> CTE:
    """Give the counts of a selection that `is_counted`.

    Args:
        namespace: Namespace of the tasks.
        selection: Which ones.

    Returns:
        Rows of fingerprint, group, scene, count and the id of a sample, which may be no dead letter any more. Those of
        one key are to be added up.
    """
    after, before = selection.finished_after, selection.finished_before
    if after is None and before is None:
        return union_all(
            _rows(
                DeadLetterTotal,
                DeadLetterTotal.count,
                DeadLetterTotal.sample_id,
                matches(DeadLetterTotal, namespace, selection),
            ),
            _rows(
                DeadLetterChange,
                DeadLetterChange.change,
                DeadLetterChange.task_id,
                matches(DeadLetterChange, namespace, selection),
            ),
        ).cte("counted")
    # Whole hours are known; what lies at the edges of the range is counted.
    begin, end = _whole(after, before, _HOUR)
    finished = col(Task.finished_at)
    if begin is not None and end is not None and begin >= end:
        edge: CTE = _tasks(namespace, selection, _within(finished, after, before)).cte("counted")
        return edge
    parts = [
        _rows(
            DeadLetterChange,
            DeadLetterChange.change,
            DeadLetterChange.task_id,
            and_(matches(DeadLetterChange, namespace, selection), _within(DeadLetterChange.finished_at, begin, end)),
        ),
    ]
    for length, *bounds in cut(begin, end):
        if length == _HOUR:
            where = and_(matches(DeadLetterHour, namespace, selection), _within(DeadLetterHour.hour, *bounds))
            parts.append(_rows(DeadLetterHour, DeadLetterHour.count, null(), where))
        else:
            where = and_(matches(DeadLetterSpan, namespace, selection), _within(DeadLetterSpan.at, *bounds))
            seconds = int(length.total_seconds())
            parts.append(
                _rows(DeadLetterSpan, DeadLetterSpan.count, null(), and_(where, col(DeadLetterSpan.seconds) == seconds))
            )
    edges = [_within(finished, *ends) for ends in ((after, begin), (end, before)) if None not in ends]
    if edges:
        parts.append(_tasks(namespace, selection, or_(*edges)))
    spans = union_all(*parts).subquery("spans")
    key = (spans.c.fingerprint, spans.c.group, spans.c.scene)
    sample = cast(func.max(cast(spans.c.sample_id, Text)), Uuid).label("sample_id")
    # Added up here, because a long range has many times as many spans as there are errors in scenes.
    return select(*key, func.sum(spans.c.count).label("count"), sample).group_by(*key).cte("counted")


def cut(
    begin: datetime | None, end: datetime | None, lengths: tuple[timedelta, ...] = _SPANS
) -> list[tuple[timedelta, datetime | None, datetime | None]]:
    """Cut a range of whole hours into pieces, each of which is made of the longest spans that are kept and fit.

    Args:
        begin: Where the range begins, a whole hour; None for the beginning of time.
        end: Where it ends, likewise.
        lengths: Lengths of the spans, the longest first; what they leave is made of hours.

    Returns:
        The length of the spans of each piece, where it begins and where it ends.
    """
    if not lengths:
        return [(_HOUR, begin, end)]
    length, *shorter = lengths
    first, last = _whole(begin, end, length)
    if first is not None and last is not None and first >= last:
        return cut(begin, end, tuple(shorter))
    pieces: list[tuple[timedelta, datetime | None, datetime | None]] = [(length, first, last)]
    if first != begin:
        pieces += cut(begin, first, tuple(shorter))
    if last != end:
        pieces += cut(last, end, tuple(shorter))
    return pieces


def matches(entity: Any, namespace: str, selection: Selection) -> ColumnElement[bool]:
    """Turn what the kept counts are broken down by into conditions on one of their tables."""
    found = [col(entity.namespace) == namespace]
    for column, value in (
        (entity.group, selection.group),
        (entity.scene, selection.scene),
        (entity.kind, selection.kind),
        (entity.fingerprint, selection.fingerprint),
    ):
        if value is not None:
            found.append(col(column) == value)
    if selection.dead_reason:
        found.append(col(entity.dead_reason).in_(selection.dead_reason))
    if entity is DeadLetterChange:
        # True of all rows: lets the planner find the few that wait by their key. After a burst of deaths the table has
        # many empty pages, which a scan would read.
        found.append(col(entity.id) > 0)
    return and_(*found)


async def is_folded(session: AsyncSession) -> bool:
    """Tell whether nothing waits to be folded."""
    return (await session.execute(text("SELECT id FROM dead_letter_changes LIMIT 1"))).first() is None


async def fold(session: AsyncSession, limit: int = 10_000) -> int:
    """Add up changes of dead letters.

    Args:
        session: A transaction.
        limit: The most changes.

    Returns:
        How many there were; 0 also when another process is at it.
    """
    if not await _try_lock(session):
        return 0
    folded: int = (await session.execute(_FOLD, {"limit": limit})).scalar_one()
    return folded


async def repair(session: AsyncSession) -> int:
    """Compare the kept counts with the dead letters that there are, correct them, and drop what has become 0.

    Args:
        session: A transaction.

    Returns:
        How many counts by spans of time were wrong, which is a bug; 0 also when another process is at it.
    """
    if not await _try_lock(session):
        return 0
    wrong = 0
    # The hours first: what is corrected there is passed on, and the others are compared with them.
    for statement in (_REPAIR, _REPAIR_SPANS, _REPAIR_ERROR_HOURS):
        found: int = (await session.execute(statement)).scalar_one()
        wrong += found
    for table in ("dead_letter_totals", "dead_letter_hours", "dead_letter_spans", "dead_letter_error_hours"):
        await session.execute(text(f"DELETE FROM {table} WHERE count = 0"))  # noqa: S608 - constants
    return wrong


async def _try_lock(session: AsyncSession) -> bool:
    """Take the right to write the kept counts until the end of the transaction: one process at a time does so."""
    statement = text("SELECT pg_try_advisory_xact_lock(:key)")
    got: bool = (await session.execute(statement, {"key": _LOCK})).scalar_one()
    return got


def _rows(entity: Any, count: Any, sample: Any, where: ColumnElement[bool]) -> Any:
    key = (col(entity.fingerprint), col(entity.group), col(entity.scene))
    return select(*key, count.label("count"), cast(sample, Uuid).label("sample_id")).where(where)


def _tasks(namespace: str, selection: Selection, where: ColumnElement[bool]) -> Any:
    fingerprint = func.coalesce(Task.fingerprint, NO_ERROR).label("fingerprint")
    columns = (fingerprint, col(Task.group), col(Task.scene))
    found = [col(Task.namespace) == namespace, IS_DEAD, where]
    for column, value in ((Task.group, selection.group), (Task.scene, selection.scene), (Task.kind, selection.kind)):
        if value is not None:
            found.append(col(column) == value)
    if selection.fingerprint is not None:
        is_none = selection.fingerprint == NO_ERROR
        found.append(col(Task.fingerprint).is_(null()) if is_none else col(Task.fingerprint) == selection.fingerprint)
    if selection.dead_reason:
        found.append(col(Task.dead_reason).in_(selection.dead_reason))
    sample = cast(func.max(cast(Task.id, Text)), Uuid).label("sample_id")
    return select(*columns, func.count().label("count"), sample).where(*found).group_by(*columns)


def _within(column: Any, after: datetime | None, before: datetime | None) -> ColumnElement[bool]:
    found: list[ColumnElement[bool]] = [true()]
    if after is not None:
        found.append(col(column) >= after)
    if before is not None:
        found.append(col(column) < before)
    return and_(*found)


def _whole(
    after: datetime | None, before: datetime | None, length: timedelta
) -> tuple[datetime | None, datetime | None]:
    """Give where the whole spans within a range begin and end. There are none when that is not before this."""
    begin = None if after is None else after + min((_FIRST - after) % length, _LATEST - after)
    end = None if before is None else before - min((before - _FIRST) % length, before - _EARLIEST)
    return begin, end


_KEY: Final = 'namespace, fingerprint, "group", scene, kind, dead_reason'

_FOLD: Final = text(
    f"""
    WITH taken AS MATERIALIZED (
        DELETE FROM dead_letter_changes
        WHERE id IN (SELECT id FROM dead_letter_changes ORDER BY id LIMIT :limit)
        RETURNING *
    ), hours AS (
        INSERT INTO dead_letter_hours AS known ({_KEY}, hour, count)
        SELECT {_KEY}, date_trunc('hour', finished_at, 'UTC'), sum(change) FROM taken
        GROUP BY {_KEY}, date_trunc('hour', finished_at, 'UTC') HAVING sum(change) <> 0
        ON CONFLICT ({_KEY}, hour) DO UPDATE SET count = known.count + EXCLUDED.count
    ), totals AS (
        INSERT INTO dead_letter_totals AS known ({_KEY}, count, first_seen, last_seen, sample_id)
        SELECT {_KEY}, sum(change), min(finished_at), max(finished_at),
            (array_agg(task_id ORDER BY finished_at DESC))[1]
        FROM taken GROUP BY {_KEY}
        ON CONFLICT ({_KEY}) DO UPDATE SET count = known.count + EXCLUDED.count,
            first_seen = LEAST(known.first_seen, EXCLUDED.first_seen),
            last_seen = GREATEST(known.last_seen, EXCLUDED.last_seen),
            sample_id = CASE WHEN EXCLUDED.last_seen >= known.last_seen THEN EXCLUDED.sample_id
                ELSE known.sample_id END
    )
    SELECT count(*) FROM taken
    """  # noqa: S608 - built from this module's constants only
)

# One statement sees one moment: what is true of it then is true of the difference, whatever happens meanwhile.
_REPAIR: Final = text(
    f"""
    WITH truth AS (
        SELECT namespace, COALESCE(fingerprint, 'none') AS fingerprint, "group", scene, kind, dead_reason,
            date_trunc('hour', finished_at, 'UTC') AS hour, count(*) AS count, min(finished_at) AS first_seen,
            max(finished_at) AS last_seen, (array_agg(id ORDER BY finished_at DESC))[1] AS sample_id
        FROM tasks WHERE status = 'dead' GROUP BY 1, 2, 3, 4, 5, 6, 7
    ), known AS (
        SELECT {_KEY}, hour, sum(count) AS count FROM (
            SELECT {_KEY}, hour, count FROM dead_letter_hours
            UNION ALL SELECT {_KEY}, date_trunc('hour', finished_at, 'UTC'), change FROM dead_letter_changes
        ) AS parts GROUP BY {_KEY}, hour
    ), wrong AS MATERIALIZED (
        SELECT {_KEY}, hour, COALESCE(truth.count, 0) - COALESCE(known.count, 0) AS missing,
            COALESCE(first_seen, hour) AS first_seen, COALESCE(last_seen, hour) AS last_seen,
            COALESCE(sample_id, '00000000-0000-0000-0000-000000000000') AS sample_id
        FROM truth FULL JOIN known USING ({_KEY}, hour)
        WHERE COALESCE(truth.count, 0) <> COALESCE(known.count, 0)
    ), hours AS (
        INSERT INTO dead_letter_hours AS old ({_KEY}, hour, count)
        SELECT {_KEY}, hour, missing FROM wrong
        ON CONFLICT ({_KEY}, hour) DO UPDATE SET count = old.count + EXCLUDED.count
    ), sums AS (
        SELECT {_KEY}, sum(missing) AS missing, min(first_seen) AS first_seen, max(last_seen) AS last_seen,
            (array_agg(sample_id ORDER BY last_seen DESC))[1] AS sample_id
        FROM wrong GROUP BY {_KEY}
    ), totals AS (
        INSERT INTO dead_letter_totals AS old ({_KEY}, count, first_seen, last_seen, sample_id)
        SELECT {_KEY}, missing, first_seen, last_seen, sample_id FROM sums
        ON CONFLICT ({_KEY}) DO UPDATE SET count = old.count + EXCLUDED.count
    )
    SELECT count(*) FROM wrong
    """  # noqa: S608 - built from this module's constants only
)

_REPAIR_SPANS: Final = text(
    f"""
    WITH truth AS (
        SELECT {_KEY}, seconds, date_bin(make_interval(secs => seconds), hour, 'epoch') AS at, sum(count) AS count
        FROM dead_letter_hours CROSS JOIN (VALUES {", ".join(f"({int(span.total_seconds())})" for span in _SPANS)})
            AS spans(seconds)
        GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
    ), wrong AS MATERIALIZED (
        SELECT {_KEY}, seconds, at, COALESCE(truth.count, 0) AS count
        FROM truth FULL JOIN dead_letter_spans AS known USING ({_KEY}, seconds, at)
        WHERE COALESCE(truth.count, 0) <> COALESCE(known.count, 0)
    ), corrected AS (
        INSERT INTO dead_letter_spans ({_KEY}, seconds, at, count) SELECT {_KEY}, seconds, at, count FROM wrong
        ON CONFLICT ({_KEY}, seconds, at) DO UPDATE SET count = EXCLUDED.count
    )
    SELECT count(*) FROM wrong
    """  # noqa: S608 - built from this module's constants only
)

_REPAIR_ERROR_HOURS: Final = text(
    """
    WITH truth AS (
        SELECT namespace, fingerprint, hour, sum(count) AS count FROM dead_letter_hours GROUP BY 1, 2, 3
    ), wrong AS MATERIALIZED (
        SELECT namespace, fingerprint, hour, COALESCE(truth.count, 0) AS count
        FROM truth FULL JOIN dead_letter_error_hours AS known USING (namespace, fingerprint, hour)
        WHERE COALESCE(truth.count, 0) <> COALESCE(known.count, 0)
    ), corrected AS (
        INSERT INTO dead_letter_error_hours (namespace, fingerprint, hour, count)
        SELECT namespace, fingerprint, hour, count FROM wrong
        ON CONFLICT (namespace, fingerprint, hour) DO UPDATE SET count = EXCLUDED.count
    )
    SELECT count(*) FROM wrong
    """
)
