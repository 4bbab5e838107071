"""What a selection means in the database: counts, and walks in chunks."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import text
from tests.integration.store.support import insert

from redrive.core.fingerprint import fingerprint
from redrive.core.selection import Selection
from redrive.store import search
from redrive.store.database import Database
from redrive.store.search import Count, ErrorCount, Order, SceneCount, Selected, Sort


async def walk(database: Database, selection: Selection, order: Order, limit: int) -> list[UUID]:
    """Walk to the end, in chunks."""
    found: list[UUID] = []
    last: Selected | None = None
    async with database.session() as session:
        while chunk := await search.walk_tasks(session, "default", selection, order=order, after=last, limit=limit):
            assert len(chunk) <= limit
            found += [task.id for task in chunk]
            last = chunk[-1]
    return found


@pytest.mark.parametrize("limit", [1, 2, 100])
async def test_a_walk_meets_every_selected_task_once_and_in_order(database: Database, limit: int) -> None:
    ids = [await insert(database, priority=priority) for priority in (3, 1, 3, 2)]
    await insert(database, group="shop")
    selection = Selection(group="orders")

    assert await walk(database, selection, "oldest", limit) == ids
    assert await walk(database, selection, "newest", limit) == ids[::-1]
    assert await walk(database, selection, "priority", limit) == [ids[1], ids[3], ids[0], ids[2]]


async def test_counts_by_scene_and_by_error_name_what_they_count(database: Database) -> None:
    for number in range(3):
        message = f"no answer after {number} s"
        name = fingerprint("TimeoutError", message)
        await insert(database, error_type="TimeoutError", error_message=message, fingerprint=name)
    await insert(database, scene="refund")
    slow = fingerprint("TimeoutError", "no answer after 1 s")

    async with database.begin() as session:
        scenes = await search.count_by_scene(session, "default", Selection())
        errors = await search.count_by_error(session, "default", Selection())
        late = await search.count_tasks(session, "default", Selection(fingerprint=slow))

    assert scenes == [SceneCount("orders", "charge", 3), SceneCount("orders", "refund", 1)]
    assert errors == [ErrorCount(slow, "TimeoutError", "no answer after <n> s", 3), ErrorCount("none", None, None, 1)]
    assert late == Count(3, exact=True)


async def test_a_count_that_takes_too_long_is_estimated_and_says_so(database: Database) -> None:
    await insert(database, executor="orders.charge")
    copies = """
        INSERT INTO tasks (id, namespace, "group", scene, status, max_attempts, payload_hash, executor, target, policy,
            created_at, started_at, updated_at)
        SELECT gen_random_uuid(), namespace, "group", scene, status, max_attempts, payload_hash, executor, target,
            policy, created_at, started_at, updated_at FROM tasks, generate_series(1, 20000)
    """
    async with database.begin() as session:
        await session.execute(text(copies))
        counted = await search.count_tasks(session, "default", Selection(q="charg"), within_seconds=0.001)
        known = await search.count_tasks(session, "default", Selection(q="charg"))

    assert counted == Count(20_001, exact=False), "the sample is the whole of so small a table"
    assert known == Count(20_001, exact=True)


@pytest.mark.parametrize("sort", ["-created_at", "priority", "-attempts", "updated_at"])
@pytest.mark.parametrize(
    "selection",
    [Selection(error="needle"), Selection(q="needle"), Selection(metadata={"tenant": "a"}), Selection(kind="callback")],
    ids=["error", "q", "metadata", "kind"],
)
async def test_what_no_index_finds_is_found_piece_by_piece(
    database: Database, selection: Selection, sort: Sort
) -> None:
    """Pages may be short or empty while others follow; together they hold every match once, and in order."""
    matching: set[UUID] = set()
    for number in range(23):
        hit = number in (2, 3, 4, 19)
        task_id = await insert(
            database,
            priority=1 + number % 5,
            error_type="E",
            error_message="the needle" if hit else "hay",
            metadata={"tenant": "a" if hit else "b"},
            kind="callback" if hit else "task",
        )
        matching |= {task_id} if hit else set()

    found: list[UUID] = []
    pages, cursor = 0, None
    async with database.session() as session:
        while pages == 0 or cursor is not None:
            page = await search.list_tasks(session, "default", selection, sort=sort, limit=2, cursor=cursor, window=5)
            found += [task.id for task in page.items]
            cursor, pages = page.next_cursor, pages + 1
        whole = await search.list_tasks(session, "default", selection, sort=sort, limit=100)

    assert pages >= 5, "no page looks at more than its window"
    assert set(found) == matching
    assert found == [task.id for task in whole.items]


@pytest.mark.parametrize("part", ["100%", "a_b", "C:\\temp", "it's", "100%, a_b in C:\\temp"])
async def test_a_part_of_a_text_means_itself_and_nothing_else(database: Database, part: str) -> None:
    """What is a wildcard to the database is a character like any other to who searches."""
    meant = await insert(database, error_message=f"before {part.upper()} after")
    await insert(database, error_message="before 100 axb C:/temp its 1000, a-b in C: temp after")

    async with database.session() as session:
        for selection in (Selection(error=part), Selection(q=part)):
            page = await search.list_tasks(session, "default", selection)
            assert [task.id for task in page.items] == [meant]
