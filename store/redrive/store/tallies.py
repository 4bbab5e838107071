"""Keeping the tallies: what triggers wrote down of tasks and attempts is added up, and taken off the journal.

Any number of processes may do it; one at a time does. Adding up and taking off are one transaction, so a move is
counted once, whatever is killed. Whoever reads adds the journal to the tallies and so misses nothing.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

_LOCK: Final = 0x74_616C_6C69_6573  # "tallies"

RESOLUTIONS: Final = {60: "7 hours", 600: "25 hours", 3600: "8 days"}
"""For each span of time in seconds that is tallied, how long it is kept: a little longer than a range that uses it."""

_SPANS: Final = ", ".join(f"({seconds}, interval '{kept}')" for seconds, kept in RESOLUTIONS.items())

_FOLD_TASKS: Final = text(
    f"""
    WITH taken AS MATERIALIZED (
        DELETE FROM task_moves WHERE id IN (SELECT id FROM task_moves ORDER BY id LIMIT :limit)
        RETURNING namespace, "group", scene, status, due_at, ended_at, attempts, change
    ), by_status AS (
        INSERT INTO status_tallies AS known (namespace, "group", scene, status, count)
        SELECT namespace, "group", scene, status, sum(change) FROM taken GROUP BY 1, 2, 3, 4 HAVING sum(change) <> 0
        ON CONFLICT (namespace, "group", scene, status) DO UPDATE SET count = known.count + EXCLUDED.count
    ), by_due AS (
        INSERT INTO due_tallies AS known (namespace, at, "group", count)
        SELECT namespace, due_at, "group", sum(change) FROM taken WHERE due_at IS NOT NULL
        GROUP BY 1, 2, 3 HAVING sum(change) <> 0
        ON CONFLICT (namespace, at, "group") DO UPDATE SET count = known.count + EXCLUDED.count
    ), ended AS (
        SELECT taken.*, seconds, date_bin(make_interval(secs => seconds), ended_at, 'epoch') AS at
        FROM taken CROSS JOIN (VALUES {_SPANS}) AS spans(seconds, kept) WHERE ended_at > now() - kept
    ), by_end AS (
        INSERT INTO end_tallies AS known (namespace, seconds, at, "group", scene, status, count)
        SELECT namespace, seconds, at, "group", scene, status, sum(change) FROM ended
        GROUP BY 1, 2, 3, 4, 5, 6 HAVING sum(change) <> 0
        ON CONFLICT (namespace, seconds, at, "group", scene, status) DO UPDATE SET count = known.count + EXCLUDED.count
    ), by_success AS (
        INSERT INTO success_tallies AS known (namespace, seconds, at, "group", attempts, count)
        SELECT namespace, seconds, at, "group", attempts, sum(change) FROM ended WHERE status = 'succeeded'
        GROUP BY 1, 2, 3, 4, 5 HAVING sum(change) <> 0
        ON CONFLICT (namespace, seconds, at, "group", attempts) DO UPDATE SET count = known.count + EXCLUDED.count
    )
    SELECT count(*) FROM taken
    """  # noqa: S608 - built from this module's constants only
)

_FOLD_ATTEMPTS: Final = text(
    f"""
    WITH taken AS MATERIALIZED (
        DELETE FROM attempt_ends WHERE id IN (SELECT id FROM attempt_ends ORDER BY id LIMIT :limit)
        RETURNING namespace, "group", scene, ended_at, failed, lag_bucket
    ), spanned AS (
        SELECT taken.*, seconds, date_bin(make_interval(secs => seconds), ended_at, 'epoch') AS at
        FROM taken CROSS JOIN (VALUES {_SPANS}) AS spans(seconds, kept) WHERE ended_at > now() - kept
    ), by_scene AS (
        INSERT INTO attempt_tallies AS known (namespace, seconds, at, "group", scene, count, failed)
        SELECT namespace, seconds, at, "group", scene, count(*), count(*) FILTER (WHERE failed)
        FROM spanned GROUP BY 1, 2, 3, 4, 5
        ON CONFLICT (namespace, seconds, at, "group", scene)
            DO UPDATE SET count = known.count + EXCLUDED.count, failed = known.failed + EXCLUDED.failed
    ), total AS (
        INSERT INTO attempt_totals AS known (namespace, "group", scene, count, failed)
        SELECT namespace, "group", scene, count(*), count(*) FILTER (WHERE failed) FROM taken GROUP BY 1, 2, 3
        ON CONFLICT (namespace, "group", scene)
            DO UPDATE SET count = known.count + EXCLUDED.count, failed = known.failed + EXCLUDED.failed
    ), by_lag AS (
        INSERT INTO lag_tallies AS known (namespace, seconds, at, "group", bucket, count)
        SELECT namespace, seconds, at, "group", lag_bucket, count(*) FROM spanned GROUP BY 1, 2, 3, 4, 5
        ON CONFLICT (namespace, seconds, at, "group", bucket) DO UPDATE SET count = known.count + EXCLUDED.count
    )
    SELECT count(*) FROM taken
    """  # noqa: S608 - built from this module's constants only
)


async def fold(session: AsyncSession, limit: int) -> int | None:
    """Add up to `limit` entries of each journal to the tallies.

    Args:
        session: A transaction.
        limit: The most entries of each journal.

    Returns:
        How many there were, of the longer one; None when another process is at it.
    """
    if not await session.scalar(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _LOCK}):
        return None
    tasks: int = (await session.execute(_FOLD_TASKS, {"limit": limit})).scalar_one()
    attempts: int = (await session.execute(_FOLD_ATTEMPTS, {"limit": limit})).scalar_one()
    return max(tasks, attempts)


async def prune(session: AsyncSession) -> None:
    """Forget tallies that no range reaches any more, and those that have come down to nothing.

    Args:
        session: A transaction. While another process works on the tallies, nothing is done.
    """
    if not await session.scalar(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _LOCK}):
        return
    for table in ("end_tallies", "success_tallies", "attempt_tallies", "lag_tallies"):
        statement = f"""
            DELETE FROM {table} USING (VALUES {_SPANS}) AS spans(seconds, kept)
            WHERE {table}.seconds = spans.seconds AND {table}.at < now() - kept
        """  # noqa: S608 - built from this module's constants only
        await session.execute(text(statement))
    for table in ("status_tallies", "due_tallies"):
        await session.execute(text(f"DELETE FROM {table} WHERE count = 0"))  # noqa: S608 - constants
