"""Queries on redrives: a frozen list of tasks, and how far it is.

A redrive is changed in transactions that hold its row: whoever looks at it, whoever pauses it. An item that is released
and the generation that this begins are written together, so that a task is never replayed twice, whatever is killed
between two looks. Its counters are kept in its row; a CHECK constraint holds that they add up.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, func, insert, literal, text
from sqlalchemy import select as select_columns
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from redrive.core.bulk import LIVE, Counts, Order, Outcome
from redrive.core.selection import Selection
from redrive.core.states import TERMINAL
from redrive.store.search import conditions
from redrive.store.tables import Redrive, RedriveItem, Task

CHUNK: Final = 5_000
"""Items that one statement settles or skips: few enough for a short transaction."""

CLAIM_SECONDS: Final = 30.0
"""How long a redrive may be late for its next look before its workflow is started again."""

# The states stand in the text, as in the predicate of the index: the planner must see that they agree.
_LIVE: Final = ", ".join(f"'{status.value}'" for status in sorted(LIVE))


@dataclass(frozen=True, slots=True)
class Item:
    """One task of a redrive.

    Attributes:
        position: Its place in the redrive, from 1.
        task_id: The task.
        generation: The generation in which the redrive found it.
        started_at: When it was released; None for one whose turn has not come.
    """

    position: int
    task_id: UUID
    generation: int
    started_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What became of an item.

    Attributes:
        position: Its place in the redrive.
        outcome: What became of it.
        why: Why, for people.
        started_generation: The generation that was begun; None for none.
    """

    position: int
    outcome: Outcome
    why: str
    started_generation: int | None = None


async def insert_redrive(session: AsyncSession, redrive: Redrive, selection: Selection, order: Order, most: int) -> int:
    """Insert a redrive with the tasks that its selection means at this moment.

    Args:
        session: A transaction.
        redrive: The redrive.
        selection: Which tasks.
        order: In which order.
        most: The most tasks.

    Returns:
        How many tasks it has.
    """
    session.add(redrive)
    await session.flush()
    orders: dict[Order, list[ColumnElement[Any]]] = {
        "oldest": [col(Task.id).asc()],
        "newest": [col(Task.id).desc()],
        "priority": [col(Task.priority).asc(), col(Task.id).asc()],
    }
    by = orders[order]
    meant = (
        select_columns(literal(redrive.id), func.row_number().over(order_by=by), col(Task.id), col(Task.generation))
        .where(conditions(redrive.namespace, selection))
        .order_by(*by)
        .limit(most)
    )
    columns = ["redrive_id", "position", "task_id", "generation"]
    await session.execute(insert(RedriveItem).from_select(columns, meant))
    last = select_columns(func.max(col(RedriveItem.position))).where(col(RedriveItem.redrive_id) == redrive.id)
    total: int = (await session.execute(last)).scalar_one() or 0
    redrive.total = redrive.waiting = total
    await session.flush()
    return total


async def find_redrive(
    session: AsyncSession, namespace: str, redrive_id: UUID, *, lock: bool = False
) -> Redrive | None:
    """Find a redrive.

    Args:
        session: A transaction, when the row is to be locked.
        namespace: Its namespace.
        redrive_id: Its id.
        lock: Whether to hold the row until the transaction ends.
    """
    statement = select(Redrive).where(col(Redrive.id) == redrive_id, col(Redrive.namespace) == namespace)
    return (await session.scalars(statement.with_for_update() if lock else statement)).one_or_none()


async def list_redrives(
    session: AsyncSession,
    namespace: str,
    *,
    group: str | None = None,
    statuses: Collection[str] = (),
    actions: Collection[str] = (),
    before: UUID | None = None,
    limit: int = 50,
) -> list[Redrive]:
    """List redrives, the newest first.

    Args:
        session: Any session.
        namespace: Their namespace.
        group: Only those that are about this group alone.
        statuses: One of these; none for all.
        actions: One of these; none for all.
        before: Begin behind this id.
        limit: The most redrives.
    """
    statement = select(Redrive).where(col(Redrive.namespace) == namespace)
    if group is not None:
        statement = statement.where(col(Redrive.group) == group)
    if statuses:
        statement = statement.where(col(Redrive.status).in_(statuses))
    if actions:
        statement = statement.where(col(Redrive.action).in_(actions))
    if before is not None:
        statement = statement.where(col(Redrive.id) < before)
    return list((await session.scalars(statement.order_by(col(Redrive.id).desc()).limit(limit))).all())


async def list_items(
    session: AsyncSession,
    redrive_id: UUID,
    *,
    outcomes: Collection[str] = (),
    after: int = 0,
    limit: int = 50,
) -> list[RedriveItem]:
    """List the items of a redrive in their order.

    Args:
        session: Any session.
        redrive_id: The redrive.
        outcomes: One of these; none for all.
        after: Begin behind this position.
        limit: The most items.
    """
    statement = select(RedriveItem).where(col(RedriveItem.redrive_id) == redrive_id, col(RedriveItem.position) > after)
    if outcomes:
        statement = statement.where(col(RedriveItem.outcome).in_(outcomes))
    return list((await session.scalars(statement.order_by(col(RedriveItem.position)).limit(limit))).all())


async def count_elsewhere(session: AsyncSession, namespace: str, selection: Selection, most: int) -> int:
    """Count the tasks of a selection whose turn has not come in another redrive, up to `most`."""
    statement = (
        select_columns(col(RedriveItem.task_id))
        .join(Task, col(Task.id) == RedriveItem.task_id)
        .join(Redrive, col(Redrive.id) == RedriveItem.redrive_id)
        .where(col(RedriveItem.outcome) == Outcome.WAITING, col(Redrive.status).in_(LIVE))
        .where(conditions(namespace, selection))
        .limit(most)
    )
    return (await session.execute(select_columns(func.count()).select_from(statement.subquery()))).scalar_one()


def counts_of(redrive: Redrive) -> Counts:
    """Tell how many tasks of a redrive have which outcome."""
    return Counts(redrive.waiting, redrive.in_flight, redrive.succeeded, redrive.dead, redrive.skipped, redrive.failed)


def count(redrive: Redrive, counts: Counts) -> None:
    """Note how many tasks of a redrive have which outcome; the row is written when its transaction ends."""
    for name in Counts.__slots__:
        setattr(redrive, name, getattr(counts, name))


# --- One look ---------------------------------------------------------------------------------------------------------

_SETTLE: Final = text(
    """
    WITH ended AS (
        SELECT item.position, tasks.finished_at, tasks.status, tasks.dead_reason, tasks.error_type, tasks.why,
            CASE WHEN tasks.id IS NULL THEN 'gone' WHEN tasks.generation > item.started_generation THEN 'replayed'
                ELSE tasks.status END AS found
        FROM redrive_items AS item LEFT JOIN tasks ON tasks.id = item.task_id
        WHERE item.redrive_id = :redrive_id AND item.outcome = 'started'
            AND (tasks.id IS NULL OR tasks.generation > item.started_generation OR tasks.status = ANY(:terminal))
        LIMIT :limit
    ), settled AS (
        UPDATE redrive_items AS item SET
            outcome = CASE found WHEN 'succeeded' THEN 'succeeded' WHEN 'dead' THEN 'dead'
                WHEN 'replayed' THEN 'dead' ELSE 'skipped' END,
            finished_at = COALESCE(CASE WHEN found <> 'replayed' THEN ended.finished_at END, now()),
            why = CASE found WHEN 'succeeded' THEN 'succeeded'
                WHEN 'dead' THEN 'dead again (' || ended.dead_reason || ')' || COALESCE(': ' || ended.error_type, '')
                WHEN 'replayed' THEN 'ended without success, and was retried since'
                WHEN 'gone' THEN 'deleted before it ended'
                ELSE 'cancelled before it ended' END
        FROM ended WHERE item.redrive_id = :redrive_id AND item.position = ended.position
        RETURNING item.outcome
    )
    SELECT outcome, count(*) FROM settled GROUP BY outcome
    """
)


async def settle(session: AsyncSession, redrive_id: UUID) -> dict[Outcome, int]:
    """Give the replayed tasks that have ended their last outcome: one statement, however many there are.

    Args:
        session: The transaction that holds the redrive.
        redrive_id: The redrive.

    Returns:
        How many have got which outcome.
    """
    values = {"redrive_id": redrive_id, "terminal": sorted(TERMINAL), "limit": CHUNK}
    return {Outcome(row[0]): row[1] for row in await session.execute(_SETTLE, values)}


async def next_items(session: AsyncSession, redrive_id: UUID, outcome: Outcome, limit: int) -> list[Item]:
    """Take the next items that have an outcome, in their order.

    Args:
        session: The transaction that holds the redrive.
        redrive_id: The redrive.
        outcome: `waiting` for those whose turn has not come, `started` for those that are under way.
        limit: The most items.
    """
    columns = (
        col(RedriveItem.position),
        col(RedriveItem.task_id),
        col(RedriveItem.generation),
        col(RedriveItem.started_at),
    )
    where = (col(RedriveItem.redrive_id) == redrive_id, col(RedriveItem.outcome) == outcome)
    rows = await session.execute(
        select_columns(*columns).where(*where).order_by(col(RedriveItem.position)).limit(limit)
    )
    return [Item(*row) for row in rows]


async def started_among(session: AsyncSession, redrive_id: UUID, positions: Sequence[int]) -> set[int]:
    """Tell which items are still under way.

    Args:
        session: The transaction that holds the redrive.
        redrive_id: The redrive.
        positions: The items.
    """
    statement = select_columns(col(RedriveItem.position)).where(
        col(RedriveItem.redrive_id) == redrive_id,
        col(RedriveItem.position) == func.any(list(positions)),
        col(RedriveItem.outcome) == Outcome.STARTED,
    )
    return set((await session.execute(statement)).scalars())


async def lock_tasks(session: AsyncSession, namespace: str, task_ids: Sequence[UUID]) -> dict[UUID, Task]:
    """Load tasks and hold their rows until the transaction ends; those that are gone are left out.

    Rows are locked in the order of their ids, so that two redrives that overlap never wait for each other in a circle.
    """
    statement = (
        select(Task)
        .where(col(Task.id) == func.any(list(task_ids)), col(Task.namespace) == namespace)
        .order_by(col(Task.id))
        .with_for_update()
    )
    return {task.id: task for task in (await session.scalars(statement)).all()}


async def change_items(session: AsyncSession, redrive_id: UUID, changes: Sequence[Change], now: datetime) -> None:
    """Note what became of items.

    Args:
        session: The transaction that holds the redrive.
        redrive_id: The redrive.
        changes: What became of each.
        now: The clock.
    """
    statement = text(
        """
        UPDATE redrive_items AS item SET outcome = change.outcome, why = change.why,
            started_generation = COALESCE(change.started_generation, item.started_generation),
            started_at = COALESCE(item.started_at, CASE WHEN change.outcome <> 'skipped' THEN :now END),
            finished_at = CASE WHEN change.outcome <> 'started' THEN CAST(:now AS timestamptz) END
        FROM json_to_recordset(CAST(:changes AS json))
            AS change(position int, outcome text, why text, started_generation int)
        WHERE item.redrive_id = :redrive_id AND item.position = change.position
        """
    )
    rows = [{name: getattr(change, name) for name in Change.__slots__} for change in changes]
    await session.execute(statement, {"redrive_id": redrive_id, "changes": json.dumps(rows), "now": now})


async def skip_waiting(session: AsyncSession, redrive_id: UUID, why: str) -> int:
    """Skip a chunk of the items whose turn will not come.

    Args:
        session: The transaction that holds the redrive.
        redrive_id: The redrive.
        why: Why, for people.

    Returns:
        How many were skipped; there may be more.
    """
    statement = text(
        """
        WITH skipped AS (
            UPDATE redrive_items AS item SET outcome = 'skipped', why = :why, finished_at = now()
            FROM (
                SELECT position FROM redrive_items WHERE redrive_id = :redrive_id AND outcome = 'waiting'
                ORDER BY position LIMIT :limit
            ) AS rest
            WHERE item.redrive_id = :redrive_id AND item.position = rest.position
            RETURNING item.position
        )
        SELECT count(*) FROM skipped
        """
    )
    values = {"redrive_id": redrive_id, "why": why, "limit": CHUNK}
    return int((await session.execute(statement, values)).scalar_one())


# --- Keeping redrives alive -------------------------------------------------------------------------------------------


async def list_late(session: AsyncSession, limit: int) -> list[tuple[str, UUID]]:
    """List the redrives that somebody should have looked at by now: new ones, and those whose workflow is lost.

    Args:
        session: Any session.
        limit: The most redrives.

    Returns:
        Namespace and id of each.
    """
    statement = text(
        f"""
        SELECT namespace, id FROM redrives
        WHERE (status IN ({_LIVE}) OR waiting > 0 OR in_flight > 0)
            AND look_at <= now() - make_interval(secs => CASE WHEN looked_at IS NULL THEN 0 ELSE :seconds END)
        ORDER BY look_at LIMIT :limit
        """  # noqa: S608 - built from this module's constants only
    )
    rows = await session.execute(statement, {"seconds": CLAIM_SECONDS, "limit": limit})
    return [(row.namespace, row.id) for row in rows]
