"""Kept counts of dead letters: right at every moment, whatever happens to the dead letters."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from tests.integration.store.support import change, insert

from redrive.core.selection import Selection
from redrive.store import dead_counts, dead_letters, search
from redrive.store.database import Database
from redrive.store.dead_letters import ErrorGroup
from redrive.store.tasks import delete_task

NOW = datetime(2026, 3, 4, 12, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
DEAD = Selection(status=("dead",))


async def dead(database: Database, error: str | None = "a" * 16, at: datetime = NOW, **changes: Any) -> UUID:
    """Insert a dead letter."""
    task = {"status": "dead", "dead_reason": "exhausted", "fingerprint": error, "finished_at": at, **changes}
    return await insert(database, next_attempt_at=None, **task)


async def fold(database: Database, limit: int = 10_000) -> int:
    async with database.begin() as session:
        return await dead_counts.fold(session, limit)


async def repaired(database: Database) -> int:
    async with database.begin() as session:
        return await dead_counts.repair(session)


async def counts(database: Database, selection: Selection) -> dict[tuple[str, str, str], int]:
    """Count by error and scene, by the kept counts."""
    assert dead_counts.is_counted(selection)
    async with database.session() as session:
        found: dict[tuple[str, str, str], int] = {}
        facts = dead_counts.counted("default", selection)
        for fingerprint, group, scene, count, _sample in await session.execute(facts.select()):
            key = (fingerprint, group, scene)
            found[key] = found.get(key, 0) + int(count)
    return {key: count for key, count in found.items() if count}


async def truth(database: Database, selection: Selection) -> dict[tuple[str, str, str], int]:
    """Count the same by looking at every task."""
    async with database.session() as session:
        statement = """
            SELECT COALESCE(fingerprint, 'none'), "group", scene, count(*) FROM tasks WHERE status = 'dead'
                AND (CAST(:scene AS text) IS NULL OR scene = :scene)
                AND (CAST(:after AS timestamptz) IS NULL OR finished_at >= :after)
                AND (CAST(:before AS timestamptz) IS NULL OR finished_at < :before)
            GROUP BY 1, 2, 3
        """
        values = {"scene": selection.scene, "after": selection.finished_after, "before": selection.finished_before}
        return {row[:3]: row[3] for row in map(tuple, await session.execute(text(statement), values))}


SELECTIONS = [
    DEAD,
    Selection(status=("dead",), scene="refund"),
    Selection(status=("dead",), finished_after=NOW - 5 * HOUR),
    Selection(status=("dead",), finished_before=NOW - 5 * HOUR, scene="charge"),
    Selection(status=("dead",), finished_after=NOW - 7 * HOUR, finished_before=NOW - 3 * HOUR / 2),
    Selection(status=("dead",), finished_after=NOW, finished_before=NOW + HOUR / 4),
    Selection(status=("dead",), finished_after=NOW - HOUR / 2, finished_before=NOW + HOUR / 2),
]


@pytest.mark.parametrize("seed", range(4))
async def test_counts_are_those_of_the_tasks_whatever_happens(database: Database, seed: int) -> None:
    """Deaths, replays, deletions and folds in any order: at each step the kept counts are what looking would find."""
    chance = random.Random(seed)
    alive: list[UUID] = []
    lost: list[UUID] = []
    for step in range(60):
        match chance.choice(["die", "die", "die again", "replay", "delete", "fold", "repair"]):
            case "die":
                at = NOW - HOUR * chance.randrange(48) / 4
                error, scene = chance.choice(["a" * 16, "b" * 16, None]), chance.choice(["charge", "refund"])
                lost.append(await dead(database, error, at, scene=scene))
            case "die again" if alive:
                lost.append(alive.pop())
                await change(database, lost[-1], "status = 'dead', dead_reason = 'expired', finished_at = now()")
            case "replay" if lost:
                alive.append(lost.pop(chance.randrange(len(lost))))
                reset = "status = 'pending', dead_reason = NULL, finished_at = NULL"
                await change(database, alive[-1], f"{reset}, generation = generation + 1")
            case "delete" if lost:
                async with database.session() as session:
                    assert await delete_task(session, "default", lost.pop(chance.randrange(len(lost))))
            case "fold":
                await fold(database, chance.choice([1, 3, 100]))
            case "repair":
                assert await repaired(database) == 0, "nothing was wrong"
            case _:
                continue
        if step % 5 == 0:
            for selection in SELECTIONS:
                assert await counts(database, selection) == await truth(database, selection), selection
    while await fold(database):
        pass
    for selection in SELECTIONS:
        assert await counts(database, selection) == await truth(database, selection), selection
    assert await repaired(database) == 0


async def test_what_does_not_concern_a_death_is_not_counted(database: Database) -> None:
    task_id = await dead(database)
    await insert(database)
    await fold(database)
    await change(database, task_id, "business_key = 'touched', updated_at = now()")

    async with database.session() as session:
        assert await dead_counts.is_folded(session)


async def test_folding_while_tasks_die_loses_and_doubles_nothing(database: Database) -> None:
    async def die() -> None:
        for _ in range(25):
            await dead(database)

    async def fold_often() -> None:
        for _ in range(25):
            await fold(database, 7)

    await asyncio.gather(die(), die(), fold_often(), fold_often())

    assert sum((await counts(database, DEAD)).values()) == 50
    while await fold(database):
        pass
    assert sum((await counts(database, DEAD)).values()) == 50


async def test_a_wrong_count_is_found_and_corrected(database: Database) -> None:
    for at in (NOW, NOW, NOW - 3 * HOUR):
        await dead(database, at=at)
    await fold(database)
    async with database.session() as session:
        await session.execute(text("UPDATE dead_letter_hours SET count = 7 WHERE count = 2"))
        await session.execute(text("UPDATE dead_letter_totals SET count = 8"))
        await session.execute(text("DELETE FROM dead_letter_changes"))

    assert await repaired(database) == 1
    for selection in SELECTIONS:
        assert await counts(database, selection) == await truth(database, selection), selection


async def groups(database: Database, selection: Selection = DEAD, **options: Any) -> list[ErrorGroup]:
    """List all groups, two on a page."""
    found: list[ErrorGroup] = []
    cursor: str | None = None
    while cursor or not found:
        async with database.begin() as session:
            page = await dead_letters.list_groups(
                session, "default", selection, now=NOW, limit=2, cursor=cursor, **options
            )
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
    return found


@pytest.mark.parametrize("folded", [True, False])
async def test_groups_say_what_is_wrong_where_since_when_and_how_often(database: Database, *, folded: bool) -> None:
    for number in range(3):
        await dead(database, at=NOW - number * HOUR, error_type="E", error_message=f"order {number} is late")
    newest = await dead(database, at=NOW, scene="refund", error_type="E", error_message="order 9 is late")
    await dead(database, "b" * 16, at=NOW - 30 * HOUR, error_type="F", error_message="gone")
    await dead(database, None, at=NOW - HOUR, dead_reason="expired")
    if folded:
        await fold(database)

    late, gone, none = sorted(await groups(database), key=lambda group: group.error_type or "z")

    assert (late.fingerprint, late.error_type, late.message, late.count) == ("a" * 16, "E", "order <n> is late", 4)
    assert [(scene.scene, scene.count) for scene in late.scenes] == [("charge", 3), ("refund", 1)]
    assert (late.first_seen, late.last_seen) == (NOW - 2 * HOUR, NOW)
    assert late.sparkline.counts[-3:] == (1, 1, 2)
    assert (gone.message, sum(gone.sparkline.counts)) == ("gone", 0), "died before the range of the sparkline"
    assert (none.fingerprint, none.error_type, none.message) == ("none", None, None)
    (refund,) = await groups(database, Selection(status=("dead",), scene="refund"))
    assert (refund.count, refund.sample_id) == (1, newest)
    for sort, first in (("-count", late), ("-last_seen", late), ("-first_seen", none)):
        assert (await groups(database, sort=sort))[0].fingerprint == first.fingerprint
    for selection in (Selection(status=("dead",), q="order"), Selection(status=("dead",), error="late")):
        (searched,) = await groups(database, selection)
        assert (searched.fingerprint, searched.count) == ("a" * 16, 4)


async def test_a_sample_that_was_replayed_is_replaced_by_one_that_is_still_dead(database: Database) -> None:
    left = await dead(database, at=NOW - HOUR)
    gone = await dead(database)
    await change(database, gone, "status = 'pending', dead_reason = NULL, finished_at = NULL")
    await fold(database)

    (group,) = await groups(database)

    assert (group.count, group.sample_id) == (1, left)


async def test_a_count_of_dead_letters_needs_no_look_at_them(database: Database) -> None:
    for scene in ("charge", "charge", "refund"):
        await dead(database, scene=scene)
    charge = Selection(status=("dead",), scene="charge")

    async with database.begin() as session:
        counted = await search.count_tasks(session, "default", charge, within_seconds=10)
        # Who looks at the tasks now does not find them there.
        await session.execute(text("ALTER TABLE tasks RENAME TO away"))
        again = await search.count_tasks(session, "default", charge, within_seconds=10)
        scenes = await search.count_by_scene(session, "default", DEAD)
        await session.rollback()

    assert (counted.count, counted.exact) == (2, True)
    assert again == counted
    assert [(scene.scene, scene.count) for scene in scenes] == [("charge", 2), ("refund", 1)]
