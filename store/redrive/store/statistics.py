"""Figures about tasks and attempts, read from the tallies and what is not in them yet.

No figure reads tasks: each costs by the number of groups, scenes and spans of time. Counts of tasks are those of the
tasks as they are now; a task that is replayed or deleted is gone from the minute in which it had ended, as it is gone
from the list of what ended in that minute. Counts of attempts are history.

Spans of time begin at whole multiples of their length since 1970.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession


@dataclass(frozen=True, slots=True)
class Place:
    """What figures are about.

    Attributes:
        namespace: Its namespace.
        group: One group of it; None for all.
    """

    namespace: str
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """A time to look at.

    Attributes:
        since: Its begin, a whole multiple of the bucket.
        until: Its end, likewise.
        bucket_seconds: Length of one point of a series.
        resolution: Which tallies to read (`redrive.store.tallies.RESOLUTIONS`), a divisor of the bucket.
    """

    since: datetime
    until: datetime
    bucket_seconds: int
    resolution: int


@dataclass(frozen=True, slots=True)
class SceneFigures:
    """How a scene fared within a span of time."""

    group: str
    scene: str
    succeeded: int
    dead: int
    attempts: int
    failed: int


_HERE: Final = 'namespace = :namespace AND (CAST(:group AS text) IS NULL OR "group" = :group)'
_TALLIED: Final = f"{_HERE} AND seconds = :resolution AND at >= :since AND at < :until"
_JOURNALLED: Final = f"{_HERE} AND ended_at >= :since AND ended_at < :until"
_BUCKET: Final = "date_bin(make_interval(secs => :bucket), {instant}, 'epoch')"


async def begin(session: AsyncSession) -> datetime:
    """Let all figures of a transaction be of one moment, and tell the moment."""
    await session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
    now: datetime = (await session.execute(select(func.now()))).scalar_one()
    return now


async def count_by_status(session: AsyncSession, place: Place, scene: str | None = None) -> dict[str, int]:
    """Count tasks by their status.

    Args:
        session: Any session.
        place: Whose.
        scene: Only those of this scene.
    """
    where = f"{_HERE} AND (CAST(:scene AS text) IS NULL OR scene = :scene)"
    statement = text(
        f"""
        SELECT status, sum(count)::bigint AS tasks FROM (
            SELECT status, count FROM status_tallies WHERE {where}
            UNION ALL SELECT status, change FROM task_moves WHERE {where}
        ) AS all_of_them GROUP BY 1
        """  # noqa: S608 - built from this module's constants only
    )
    rows = await session.execute(statement, {**_place(place), "scene": scene})
    return {row.status: row.tasks for row in rows}


async def ends(session: AsyncSession, place: Place, span: Span) -> dict[tuple[datetime, str], int]:
    """Count the tasks that ended, by bucket and status."""
    statement = text(
        f"""
        SELECT {_BUCKET.format(instant="at")} AS bucket, status, sum(count)::bigint AS tasks FROM (
            SELECT at, status, count FROM end_tallies WHERE {_TALLIED}
            UNION ALL SELECT ended_at, status, change FROM task_moves WHERE {_JOURNALLED}
        ) AS all_of_them GROUP BY 1, 2
        """  # noqa: S608 - built from this module's constants only
    )
    rows = await session.execute(statement, _values(place, span))
    return {(row.bucket, row.status): row.tasks for row in rows}


async def successes_by_attempts(session: AsyncSession, place: Place, span: Span) -> dict[int, int]:
    """Count the tasks that succeeded, by how many attempts they needed."""
    statement = text(
        f"""
        SELECT attempts, sum(count)::bigint AS tasks FROM (
            SELECT attempts, count FROM success_tallies WHERE {_TALLIED}
            UNION ALL SELECT attempts, change FROM task_moves WHERE {_JOURNALLED} AND status = 'succeeded'
        ) AS all_of_them GROUP BY 1 HAVING sum(count) <> 0 ORDER BY 1
        """  # noqa: S608 - built from this module's constants only
    )
    rows = await session.execute(statement, _values(place, span))
    return {row.attempts: row.tasks for row in rows}


async def attempts(session: AsyncSession, place: Place, span: Span) -> dict[datetime, tuple[int, int]]:
    """Count the attempts that ended, and those of them that failed, by bucket."""
    statement = text(
        f"""
        SELECT {_BUCKET.format(instant="at")} AS bucket, sum(count)::bigint AS ended, sum(failed)::bigint AS failed
        FROM (
            SELECT at, count, failed FROM attempt_tallies WHERE {_TALLIED}
            UNION ALL SELECT ended_at, 1, failed::int FROM attempt_ends WHERE {_JOURNALLED}
        ) AS all_of_them GROUP BY 1
        """  # noqa: S608 - built from this module's constants only
    )
    rows = await session.execute(statement, _values(place, span))
    return {row.bucket: (row.ended, row.failed) for row in rows}


async def lags(session: AsyncSession, place: Place, span: Span) -> dict[datetime, dict[int, int]]:
    """Count the attempts that ended by how late they had begun: for each bucket a histogram."""
    statement = text(
        f"""
        SELECT {_BUCKET.format(instant="at")} AS bucket, lag, sum(count)::bigint AS attempts FROM (
            SELECT at, bucket AS lag, count FROM lag_tallies WHERE {_TALLIED}
            UNION ALL SELECT ended_at, lag_bucket, 1 FROM attempt_ends WHERE {_JOURNALLED}
        ) AS all_of_them GROUP BY 1, 2
        """  # noqa: S608 - built from this module's constants only
    )
    found: dict[datetime, dict[int, int]] = {}
    for row in await session.execute(statement, _values(place, span)):
        found.setdefault(row.bucket, {})[row.lag] = row.attempts
    return found


async def failing_scenes(session: AsyncSession, place: Place, span: Span, limit: int) -> list[SceneFigures]:
    """Rank the scenes in which tasks died or attempts failed, the worst first."""
    statement = text(
        f"""
        SELECT "group", scene, sum(succeeded)::bigint AS succeeded, sum(dead)::bigint AS dead,
            sum(attempts)::bigint AS attempts, sum(failed)::bigint AS failed
        FROM (
            SELECT "group", scene, CASE WHEN status = 'succeeded' THEN count END AS succeeded,
                CASE WHEN status = 'dead' THEN count END AS dead, 0 AS attempts, 0 AS failed
            FROM end_tallies WHERE {_TALLIED}
            UNION ALL SELECT "group", scene, CASE WHEN status = 'succeeded' THEN change END,
                CASE WHEN status = 'dead' THEN change END, 0, 0
            FROM task_moves WHERE {_JOURNALLED}
            UNION ALL SELECT "group", scene, 0, 0, count, failed FROM attempt_tallies WHERE {_TALLIED}
            UNION ALL SELECT "group", scene, 0, 0, 1, failed::int FROM attempt_ends WHERE {_JOURNALLED}
        ) AS all_of_them
        GROUP BY 1, 2 HAVING sum(dead) > 0 OR sum(failed) > 0
        ORDER BY 4 DESC, 6 DESC, 1, 2 LIMIT :limit
        """  # noqa: S608 - built from this module's constants only
    )
    rows = await session.execute(statement, {**_values(place, span), "limit": limit})
    return [
        SceneFigures(row.group, row.scene, row.succeeded or 0, row.dead or 0, row.attempts, row.failed) for row in rows
    ]


async def due(
    session: AsyncSession, place: Place, since: datetime, until: datetime, bucket_seconds: int
) -> dict[int, int]:
    """Count the tasks whose next attempt is due.

    Args:
        session: Any session.
        place: Whose.
        since: The begin, a whole minute.
        until: The end, a whole minute.
        bucket_seconds: Length of one point of the series, in seconds.

    Returns:
        Tasks by the number of the bucket, counted from `since`; −1 for what is overdue then.
    """
    statement = text(
        f"""
        SELECT GREATEST(-1, floor(EXTRACT(EPOCH FROM at - :since) / :bucket))::int AS bucket,
            sum(count)::bigint AS tasks
        FROM (
            SELECT at, count FROM due_tallies WHERE {_HERE} AND at < :until
            UNION ALL SELECT due_at, change FROM task_moves WHERE {_HERE} AND due_at < :until
        ) AS all_of_them GROUP BY 1
        """  # noqa: S608 - built from this module's constants only
    )
    values = {**_place(place), "since": since, "until": until, "bucket": bucket_seconds}
    return {row.bucket: row.tasks for row in await session.execute(statement, values)}


async def longest_due(session: AsyncSession, place: Place) -> datetime | None:
    """Tell the minute of the earliest next attempt of all; None when none lies ahead."""
    statement = text(
        f"""
        SELECT at FROM (
            SELECT at, count FROM due_tallies WHERE {_HERE}
            UNION ALL SELECT due_at, change FROM task_moves WHERE {_HERE} AND due_at IS NOT NULL
        ) AS all_of_them GROUP BY 1 HAVING sum(count) > 0 ORDER BY 1 LIMIT 1
        """  # noqa: S608 - built from this module's constants only
    )
    return (await session.execute(statement, _place(place))).scalar_one_or_none()


OPEN_BREAKER: Final = """
    opened AND CASE WHEN state -> 'breaker' -> 'override' ->> 'position' IS NULL
        THEN state -> 'breaker' -> 'state' ->> 'kind' <> 'closed'
        ELSE state -> 'breaker' -> 'override' ->> 'position' = 'open' END
"""
"""Whether a row of `target_states` has a breaker that is open, half open, or held open by a person."""


async def count_open_breakers(session: AsyncSession, place: Place) -> int:
    """Count the targets whose breaker is open, half open, or held open; of a group the scenes alone are targets."""
    statement = text(
        f"""
        SELECT count(*) FROM target_states WHERE namespace = :namespace AND {OPEN_BREAKER}
            AND (CAST(:group AS text) IS NULL OR starts_with(key, 'scene:' || :group || '/'))
        """  # noqa: S608 - built from this module's constants only
    )
    found: int = (await session.execute(statement, _place(place))).scalar_one()
    return found


def _place(place: Place) -> dict[str, Any]:
    return {"namespace": place.namespace, "group": place.group}


def _values(place: Place, span: Span) -> dict[str, Any]:
    return {
        **_place(place),
        "since": span.since,
        "until": span.until,
        "resolution": span.resolution,
        "bucket": span.bucket_seconds,
    }
