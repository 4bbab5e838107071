"""What is done beside the work: what has ended goes when its time is over, and counts are folded."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from tests.integration.store.support import insert

from redrive.activities.archive import Archive, Remover
from redrive.core.documents import encode
from redrive.core.retention import Retention
from redrive.store import dead_counts, retention, scenes
from redrive.store.database import Database
from redrive.store.tables import Redrive, RedriveItem
from redrive.workflows import janitor
from redrive.workflows.janitor import Janitor

NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
async def group(database: Database) -> None:
    async with database.begin() as session:
        await scenes.create_group(session, "default", "orders")
        await scenes.create_scene(session, "default", "orders", "charge")


async def ended(database: Database, status: str, days: float, reported_days: float | None = None) -> UUID:
    """Insert a task that ended so many days ago."""
    reported = NOW - timedelta(days=days if reported_days is None else reported_days, seconds=60)
    task_id = UUID(int=(int(reported.timestamp() * 1000) << 80) | (7 << 76) | (2 << 62) | uuid4().int >> 68)
    facts: dict[str, Any] = {"status": status, "finished_at": NOW - timedelta(days=days), "created_at": reported}
    if status == "dead":
        facts |= {"dead_reason": "exhausted", "fingerprint": "a" * 16}
    return await insert(database, id=task_id, next_attempt_at=None, **facts)


async def keep(database: Database, namespace: str = "default", **setting: Any) -> None:
    async with database.begin() as session:
        await scenes.create_namespace(session, namespace)
        await retention.set_retention(session, namespace, encode(Retention(**setting)))


async def left(database: Database) -> set[UUID]:
    async with database.session() as session:
        return set((await session.execute(text("SELECT id FROM tasks"))).scalars())


async def redrive(database: Database, days: float, *, namespace: str = "default", **facts: Any) -> UUID:
    """Insert a redrive of seven tasks that was made, and ended, so many days ago."""
    ended_at = NOW - timedelta(days=days)
    row: dict[str, Any] = {"status": "completed", "finished_at": ended_at, "total": 7, "succeeded": 7, **facts}
    redrive_id = UUID(int=(int((ended_at.timestamp() - 60) * 1000) << 80) | uuid4().int >> 68)
    async with database.begin() as session:
        session.add(Redrive(id=redrive_id, namespace=namespace, action="replay", selection={}, options={}, **row))
        await session.flush()
        for position in range(1, 8):
            session.add(RedriveItem(redrive_id=redrive_id, position=position, task_id=uuid4(), generation=1))
    return redrive_id


async def redrives_left(database: Database) -> dict[UUID, int]:
    """Tell which redrives are left, and with how many items."""
    async with database.session() as session:
        rows = await session.execute(
            text("SELECT id, (SELECT count(*) FROM redrive_items WHERE redrive_id = redrives.id) FROM redrives")
        )
        return {row[0]: row[1] for row in rows}


def cleaner(database: Database, folder: Path | None = None) -> Janitor:
    return Janitor(database, Remover(database, Archive(folder)))


async def test_each_state_is_kept_for_its_own_time(database: Database) -> None:
    await keep(database, succeeded_days=2, dead_days=5)
    gone = {await ended(database, "succeeded", 3), await ended(database, "dead", 6)}
    stay = {
        await ended(database, "succeeded", 1),
        await ended(database, "succeeded", 1, reported_days=30),
        await ended(database, "dead", 3),
        await ended(database, "cancelled", 1000),
        await insert(database, id=UUID(int=1), created_at=NOW - timedelta(days=1000)),
    }

    assert await cleaner(database).clean() == len(gone)
    assert await left(database) == stay
    assert await cleaner(database).clean() == 0
    async with database.session() as session:
        payloads = set((await session.execute(text("SELECT task_id FROM payloads"))).scalars())
    assert payloads == stay


async def test_a_namespace_that_sets_nothing_keeps_everything(database: Database) -> None:
    await keep(database, "other", succeeded_days=1)
    task_id = await ended(database, "succeeded", 1000)

    await cleaner(database).clean()

    assert await left(database) == {task_id}


async def test_many_janitors_delete_each_task_once_and_archive_it_once(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("redrive.activities.archive.BATCH", 3)
    await keep(database, succeeded_days=1, dead_days=1, archive=True)
    tasks = {await ended(database, status, 2) for status in ("succeeded", "dead") for _ in range(10)}

    removed = await asyncio.gather(*(cleaner(database, tmp_path).clean() for _ in range(3)))
    rest = await cleaner(database, tmp_path).clean()

    assert sum(removed) + rest == len(tasks)
    assert await left(database) == set()
    assert sorted(archived(tmp_path)) == sorted(str(task) for task in tasks)


def archived(folder: Path) -> list[str]:
    return [json.loads(line)["id"] for file in folder.glob("default/*") for line in file.read_text().splitlines()]


async def test_what_cannot_be_archived_stays(database: Database, tmp_path: Path) -> None:
    await keep(database, succeeded_days=1, archive=True)
    task_id = await ended(database, "succeeded", 2)
    blocked = tmp_path / "a-file"
    blocked.touch()

    for folder in (None, blocked):
        assert await cleaner(database, folder).clean() == 0
    assert await left(database) == {task_id}


async def test_a_task_that_somebody_holds_is_left_for_the_next_round(database: Database) -> None:
    await keep(database, dead_days=1)
    task_id = await ended(database, "dead", 2)
    async with database.begin() as session:
        await session.execute(text("SELECT id FROM tasks FOR UPDATE"))
        assert await cleaner(database).clean() == 0

    assert await left(database) == {task_id}
    assert await cleaner(database).clean() == 1


async def test_all_changes_are_folded_and_counts_are_checked(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(janitor, "FOLDED_AT_ONCE", 2)
    for _ in range(5):
        await ended(database, "dead", 1)
    work = cleaner(database)

    await work.fold()

    async with database.session() as session:
        assert await dead_counts.is_folded(session)
        await session.execute(text("UPDATE dead_letter_hours SET count = count + 1"))
    assert await work.check() == 1
    assert await work.check() == 0


async def test_ended_redrives_go_after_90_days_with_their_items(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(janitor, "CHUNK", 4)
    monkeypatch.setattr(retention, "REDRIVES", 2)
    await keep(database, "other", redrive_days=None)
    for days in (91, 92, 93, 400):
        await redrive(database, days)
    stay = {
        await redrive(database, 89),
        await redrive(database, 400, finished_at=NOW - timedelta(days=1)),
        await redrive(database, 400, status="running", finished_at=None),
        await redrive(database, 400, status="aborted", succeeded=6, in_flight=1),
        await redrive(database, 400, namespace="other"),
    }

    await asyncio.gather(*(cleaner(database).clean_redrives() for _ in range(3)))
    await cleaner(database).clean_redrives()

    assert await redrives_left(database) == dict.fromkeys(stay, 7)


async def test_a_namespace_says_for_how_long_its_redrives_are_kept(database: Database) -> None:
    await keep(database, redrive_days=7)
    await redrive(database, 8)
    younger = await redrive(database, 6)

    await cleaner(database).clean_redrives()

    assert await redrives_left(database) == {younger: 7}
