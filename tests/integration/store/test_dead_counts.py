"""Kept counts of dead letters: right at every moment, whatever happens to the dead letters."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from tests.integration.store.support import change, insert

from redrive.core.selection import Selection
from redrive.store import dead_counts, dead_letters, migrate, search
from redrive.store.database import Database
from redrive.store.dead_letters import ErrorGroup
from redrive.store.tasks import delete_task

NOW = datetime(2026, 3, 4, 12, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
WEEK = timedelta(days=7)
MIDNIGHT = datetime(2026, 3, 4, tzinfo=UTC)
THURSDAY = datetime(2026, 2, 26, tzinfo=UTC)  # weeks are counted from 1970-01-01, a Thursday
TICK = timedelta(microseconds=1)
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
    Selection(status=("dead",), finished_after=MIDNIGHT - 3 * DAY, finished_before=MIDNIGHT),
    Selection(status=("dead",), finished_after=MIDNIGHT - DAY - TICK, finished_before=MIDNIGHT + TICK),
    Selection(status=("dead",), finished_after=MIDNIGHT - DAY + TICK, finished_before=NOW, scene="refund"),
    Selection(status=("dead",), finished_after=THURSDAY - WEEK, finished_before=THURSDAY),
    Selection(status=("dead",), finished_after=THURSDAY - WEEK - TICK, finished_before=THURSDAY + TICK),
    Selection(status=("dead",), finished_after=THURSDAY - WEEK + HOUR / 2, finished_before=NOW),
    Selection(status=("dead",), finished_after=NOW - 25 * DAY),
    Selection(status=("dead",), finished_before=NOW - 5 * DAY),
    Selection(status=("dead",), finished_after=datetime.min.replace(tzinfo=UTC), finished_before=THURSDAY),
    Selection(status=("dead",), finished_after=NOW, finished_before=datetime.max.replace(tzinfo=UTC)),
    Selection(status=("dead",), finished_after=datetime.max.replace(tzinfo=UTC)),
    Selection(status=("dead",), finished_before=datetime.min.replace(tzinfo=UTC) + HOUR),
]

DEATHS = [
    *(NOW - HOUR * quarters / 4 for quarters in range(48)),
    *(
        edge + near
        for edge in (MIDNIGHT, MIDNIGHT - DAY, THURSDAY, THURSDAY - WEEK)
        for near in (-TICK, 0 * TICK, TICK)
    ),
    *(NOW - DAY * days - HOUR * days / 4 for days in range(28)),
]
"""When tasks die: in the last twelve hours, at the edges of days and weeks, and over four weeks."""


@given(st.integers(0, 100_000), st.integers(1, 10_000), st.sampled_from(["both", "begin", "end"]))
def test_a_range_is_cut_into_the_longest_spans_without_gap_or_overlap(first: int, hours: int, bounded: str) -> None:
    """Each hour of the range is in one piece, no other is in any, and few single hours and days are left to read."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    begin = None if bounded == "end" else epoch + first * HOUR
    end = None if bounded == "begin" else epoch + (first + hours) * HOUR

    pieces = dead_counts.cut(begin, end)

    far = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
    spans = sorted((at or far[0], until or far[1]) for _, at, until in pieces)
    assert (spans[0][0], spans[-1][1]) == (begin or far[0], end or far[1])
    assert all(at < until for at, until in spans)
    assert all(until == at for (_, until), (at, _) in pairwise(spans))
    assert not any((edge - epoch) % length for length, *edges in pieces for edge in edges if edge is not None)
    read = Counter[timedelta]()
    for length, at, until in pieces:
        if at is not None and until is not None:
            read[length] += (until - at) // length
    assert read[HOUR] <= 2 * 23
    assert read[DAY] <= 2 * 6


@pytest.mark.parametrize("seed", range(4))
async def test_counts_are_those_of_the_tasks_whatever_happens(database: Database, seed: int) -> None:
    """Deaths, replays, deletions and folds in any order: at each step the kept counts are what looking would find."""
    chance = random.Random(seed)
    alive: list[UUID] = []
    lost: list[UUID] = []
    for step in range(60):
        match chance.choice(["die", "die", "die again", "replay", "delete", "fold", "repair"]):
            case "die":
                at = chance.choice(DEATHS)
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
    for selection in (DEAD, *(Selection(status=("dead",), finished_after=NOW - days * DAY) for days in (3, 28))):
        for narrowed in (selection, replace(selection, scene="refund")):
            for group in await groups(database, narrowed):
                assert list(group.sparkline.counts) == await deaths(database, narrowed, group)


async def deaths(database: Database, selection: Selection, group: ErrorGroup) -> list[int]:
    """Count what a sparkline shows by looking at every task."""
    begin, length = group.sparkline.begin, timedelta(seconds=group.sparkline.bucket_seconds)
    found = [0] * dead_letters.BUCKETS
    async with database.session() as session:
        statement = """
            SELECT finished_at FROM tasks WHERE status = 'dead' AND COALESCE(fingerprint, 'none') = :error
                AND (CAST(:scene AS text) IS NULL OR scene = :scene)
        """
        for at in await session.scalars(text(statement), {"error": group.fingerprint, "scene": selection.scene}):
            if begin <= at < begin + dead_letters.BUCKETS * length:
                found[(at - begin) // length] += 1
    return found


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


@pytest.mark.parametrize("table", ["dead_letter_spans", "dead_letter_error_hours"])
async def test_wrong_sums_of_hours_are_found_and_corrected(database: Database, table: str) -> None:
    for at in (NOW, NOW, NOW - 3 * DAY, NOW - 20 * DAY):
        await dead(database, at=at)
    await fold(database)
    async with database.session() as session:
        known = sorted(await session.execute(text(f"SELECT * FROM {table}")))
        gone = await session.execute(text(f"DELETE FROM {table} WHERE count = 2 RETURNING 1"))
        more = await session.execute(text(f"UPDATE {table} SET count = count + 5 RETURNING 1"))
        wrong = len(gone.all()) + len(more.all())

    assert await repaired(database) == wrong
    assert await repaired(database) == 0
    async with database.session() as session:
        assert sorted(await session.execute(text(f"SELECT * FROM {table}"))) == known
    for selection in SELECTIONS:
        assert await counts(database, selection) == await truth(database, selection), selection


def test_an_upgrade_knows_what_died_before(empty_database_url: str) -> None:
    """The spans of what had been folded are there after it, and go on with what is folded by the version before."""
    migrate.upgrade(empty_database_url, "0017")
    hours = """
        INSERT INTO dead_letter_hours AS known VALUES ('default', 'aaaa', '2026-02-25 23:00Z', 'g', 's', 't', 'r', %s),
            ('default', 'aaaa', '2026-02-26 00:00Z', 'g', 's', 't', 'r', 3)
        ON CONFLICT (namespace, fingerprint, hour, "group", scene, kind, dead_reason)
            DO UPDATE SET count = known.count + EXCLUDED.count
    """
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute(hours, [2])
        migrate.upgrade(empty_database_url)

        def spans() -> list[tuple[Any, ...]]:
            """Day or week, the day of the month on which it began, and the count."""
            return connection.execute(
                "SELECT seconds / 86400, extract(day FROM at AT TIME ZONE 'UTC')::int, count FROM dead_letter_spans "
                "ORDER BY 1, at"
            ).fetchall()

        assert spans() == [(1, 25, 2), (1, 26, 3), (7, 19, 2), (7, 26, 3)]
        connection.execute(hours, [-2])
        assert spans() == [(1, 25, 0), (1, 26, 6), (7, 19, 0), (7, 26, 6)]
        by_error = connection.execute("SELECT count FROM dead_letter_error_hours ORDER BY hour").fetchall()
        assert by_error == [(0,), (6,)]


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
