"""Queries on limits: what is set, and the slots and permits that attempts are given under it.

For dispatch:

1. `redrive.store.restraints.RestraintsCache.of(namespace)` tells, without a query of its own, which limits and pauses a
   task is under: `restraints.limits_of(place)`. Most tasks are under none and cost nothing more.
2. `admit(session, requests)`, in a transaction, asks for any number of attempts at once: three statements at most,
   however many they are, so a worker that dispatches many at a time asks for them together. `Granted` may run.
   `Later(at, why)` comes again at `at`, and then asks with `has_slot=True`.
3. `release(session, task_ids)` gives the permits of ended attempts back; `admit` does so by the way, where others ask
   at the same time. A permit that is never given back, because its worker was killed, ends by itself after
   `Request.seconds`.

Rows are locked in the order of their keys, so that those who ask for several limits at once do not lock each other out.
Slots are given in the database's time. The rate is never exceeded by more than `redrive.core.pacing` says, and the
number of attempts at a time not at all, unless an attempt outlives its permit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import case, delete, func, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from redrive.core.quota import Answer, Book, Granted, Wish, settle
from redrive.core.restraints import LimitSetting, Scope, ScopeKey
from redrive.store.tables import Limit


@dataclass(frozen=True, slots=True)
class Request:
    """An attempt that asks to run.

    Attributes:
        namespace: Namespace of the task.
        task_id: The task.
        keys: The scopes of its limits.
        seconds: How long its permits hold at most, in seconds: the attempt's time-out with a margin.
        has_slot: Whether it was given a slot before, and that has come.
    """

    namespace: str
    task_id: UUID
    keys: tuple[ScopeKey, ...]
    seconds: float
    has_slot: bool = False


async def list_limits(session: AsyncSession, namespace: str) -> list[Limit]:
    """List the limits of a namespace by scope and key."""
    statement = select(Limit).where(col(Limit.namespace) == namespace).order_by(col(Limit.scope), col(Limit.key))
    return list((await session.scalars(statement)).all())


async def put_limit(session: AsyncSession, namespace: str, setting: LimitSetting, author: str | None) -> Limit:
    """Set a limit, in place of the one that its scope has.

    Slots that were given away stay. A higher rate holds for all who ask from now on, beside those; a lower one begins
    after them.

    Args:
        session: A transaction.
        namespace: Its namespace, which exists.
        setting: The limit.
        author: Who sets it.
    """
    scope, key = setting.key
    facts = {
        "rate": setting.rate,
        "burst": setting.burst,
        "concurrency": setting.concurrency,
        "author": author,
        "updated_at": func.now(),
    }
    statement = upsert(Limit).values(namespace=namespace, scope=scope, key=key, **facts)
    lower = col(Limit.rate) > statement.excluded.rate
    statement = statement.on_conflict_do_update(
        index_elements=["namespace", "scope", "key"],
        set_={**facts, "tat": case((lower, col(Limit.tat))), "turn_at": None},
    )
    return (await session.scalars(statement.returning(Limit))).one()


async def delete_limit(session: AsyncSession, namespace: str, scope: Scope, key: str) -> bool:
    """Take a limit away; tell whether it was there."""
    where = (col(Limit.namespace) == namespace, col(Limit.scope) == scope, col(Limit.key) == key)
    return (await session.scalars(delete(Limit).where(*where).returning(col(Limit.key)))).first() is not None


async def admit(session: AsyncSession, requests: Sequence[Request], ended: Sequence[UUID] = ()) -> list[Answer]:
    """Ask for attempts to run, in the order given.

    Args:
        session: A transaction; the limits stay locked until it ends.
        requests: The attempts. A task whose attempt is delivered again keeps the permits that it has.
        ended: Tasks whose attempts have ended. Their permits are given back first, as `release` does.

    Returns:
        An answer for each.
    """
    wanted = sorted({(request.namespace, *key) for request in requests for key in request.keys})
    values = {
        "namespaces": [namespace for namespace, _, _ in wanted],
        "scopes": [scope for _, scope, _ in wanted],
        "keys": [key for _, _, key in wanted],
        "tasks": [request.task_id for request in requests],
        "ended": list(ended),
    }
    rows = (await session.execute(_LOCK, values)).all()
    if not rows:  # and no permit either, since permits go with their limit
        return [Granted() for _ in requests]
    now: datetime = rows[0].now
    running: dict[tuple[str, str, str], int] = {}
    if ended or any(row.concurrency is not None for row in rows):
        # A statement of its own: it sees what was granted by whoever held the locks before.
        counted = await session.execute(_COUNT, values)
        running = {(row.namespace, row.scope, row.key): row.running for row in counted}
    answers: list[Answer] = [Granted()] * len(requests)
    after: list[tuple[str, Book]] = []
    for namespace in sorted({row.namespace for row in rows}):
        books = {
            (row.scope, row.key): Book(
                LimitSetting((row.scope, row.key), row.rate, row.burst, row.concurrency),
                row.tat,
                row.turn_at,
                row.average_seconds,
                running.get((namespace, row.scope, row.key), 0),
            )
            for row in rows
            if row.namespace == namespace
        }
        places = [place for place, request in enumerate(requests) if request.namespace == namespace]
        wishes = [Wish(requests[place].keys, requests[place].has_slot) for place in places]
        settled, books = settle(books, wishes, now)
        for place, answer in zip(places, settled, strict=True):
            answers[place] = answer
        after += [(namespace, book) for book in books.values()]
    permits = [
        (request, book.setting.key)
        for request, answer in zip(requests, answers, strict=True)
        if isinstance(answer, Granted)
        for namespace, book in after
        if namespace == request.namespace and book.setting.concurrency is not None and book.setting.key in request.keys
    ]
    await _write(session, after, permits)
    return answers


async def release(session: AsyncSession, task_ids: Sequence[UUID]) -> None:
    """Give the permits of ended attempts back, and learn from them how long attempts take.

    Args:
        session: Any session; the statement is one transaction.
        task_ids: The tasks; those that hold no permit are left as they are.
    """
    await session.execute(_RELEASE, {"ended": list(task_ids)})


_WANTED = """
    unnest(CAST(:namespaces AS text[]), CAST(:scopes AS text[]), CAST(:keys AS text[]))
        AS wanted(namespace, scope, key)
"""
# The mean of the attempts that have ended is folded in as `redrive.core.pacing.average` says.
_FREED = """
    freed AS (
        DELETE FROM permits WHERE task_id = ANY(:ended)
        RETURNING namespace, scope, key, extract(epoch FROM clock_timestamp() - granted_at) AS seconds
    ), seen AS (
        SELECT namespace, scope, key, avg(seconds)::float8 AS mean, count(*) AS attempts FROM freed
        GROUP BY namespace, scope, key ORDER BY namespace, scope, key
    ), learned AS (
        UPDATE limits SET average_seconds = COALESCE(
            average_seconds * power(0.9, attempts) + mean * (1 - power(0.9, attempts)), mean
        ) FROM seen
        WHERE (limits.namespace, limits.scope, limits.key) = (seen.namespace, seen.scope, seen.key)
    )
"""
_RELEASE = text(f"WITH {_FREED} SELECT count(*) FROM freed")  # noqa: S608 - built from this module's constants only
_LOCK = text(
    f"""
    SELECT limits.*, clock_timestamp() AS now FROM limits
    WHERE (namespace, scope, key) IN (
        SELECT * FROM {_WANTED} UNION SELECT namespace, scope, key FROM permits WHERE task_id = ANY(:ended)
    )
    ORDER BY namespace, scope, key FOR UPDATE OF limits
    """  # noqa: S608 - built from this module's constants only
)
_COUNT = text(
    f"""
    WITH {_FREED}, lapsed AS (
        DELETE FROM permits USING {_WANTED}
        WHERE (permits.namespace, permits.scope, permits.key) = (wanted.namespace, wanted.scope, wanted.key)
            AND until <= clock_timestamp() AND NOT task_id = ANY(:ended)
    )
    SELECT namespace, scope, key, count(*) AS running FROM permits JOIN {_WANTED} USING (namespace, scope, key)
    WHERE until > clock_timestamp() AND NOT task_id = ANY(:tasks) AND NOT task_id = ANY(:ended)
    GROUP BY namespace, scope, key
    """  # noqa: S608 - built from this module's constants only
)
_WRITE = text(
    """
    WITH carried AS (
        UPDATE limits SET tat = written.tat, turn_at = written.turn_at
        FROM unnest(
            CAST(:namespaces AS text[]), CAST(:scopes AS text[]), CAST(:keys AS text[]),
            CAST(:tats AS timestamptz[]), CAST(:turns AS timestamptz[])
        ) AS written(namespace, scope, key, tat, turn_at)
        WHERE (limits.namespace, limits.scope, limits.key) = (written.namespace, written.scope, written.key)
            AND (limits.tat, limits.turn_at) IS DISTINCT FROM (written.tat, written.turn_at)
    )
    INSERT INTO permits (namespace, scope, key, task_id, granted_at, until)
    SELECT namespace, scope, key, task_id, clock_timestamp(), clock_timestamp() + make_interval(secs => seconds)
    FROM unnest(
        CAST(:permit_namespaces AS text[]), CAST(:permit_scopes AS text[]), CAST(:permit_keys AS text[]),
        CAST(:tasks AS uuid[]), CAST(:seconds AS float8[])
    ) AS granted(namespace, scope, key, task_id, seconds)
    ON CONFLICT (namespace, scope, key, task_id)
        DO UPDATE SET granted_at = EXCLUDED.granted_at, until = EXCLUDED.until
    """
)


async def _write(
    session: AsyncSession, books: Sequence[tuple[str, Book]], permits: Sequence[tuple[Request, ScopeKey]]
) -> None:
    """Write the books on, and the permits that were granted."""
    await session.execute(
        _WRITE,
        {
            "namespaces": [namespace for namespace, _ in books],
            "scopes": [book.setting.key[0] for _, book in books],
            "keys": [book.setting.key[1] for _, book in books],
            "tats": [book.tat for _, book in books],
            "turns": [book.turn_at for _, book in books],
            "permit_namespaces": [request.namespace for request, _ in permits],
            "permit_scopes": [scope for _, (scope, _) in permits],
            "permit_keys": [key for _, (_, key) in permits],
            "tasks": [request.task_id for request, _ in permits],
            "seconds": [request.seconds for request, _ in permits],
        },
    )
