"""Alert events are written with what they tell about, once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from tests.integration.store.support import insert

from redrive.core.messages import Record
from redrive.store import alerts, tasks
from redrive.store.database import Database


async def events(database: Database) -> list[dict[str, Any]]:
    async with database.session() as session:
        rows = await session.execute(text('SELECT kind, "group", scene, task_id, facts FROM alert_events ORDER BY id'))
        return [dict(row) for row in rows.mappings()]


async def end(database: Database, task_id: UUID, status: str, dead_reason: str | None) -> None:
    change = Record(
        namespace="default",
        task_id=str(task_id),
        generation=1,
        version=10,
        status=status,
        attempts=1,
        next_attempt_at=None,
        why="because",
        dead_reason=dead_reason,
    )
    async with database.session() as session:
        await tasks.record(session, change)


async def test_each_death_is_told_once_whoever_ends_the_task(database: Database) -> None:
    fields: dict[str, Any] = {"error_type": "KeyError", "fingerprint": "f1"}
    dies, succeeds = await insert(database, **fields), await insert(database)
    await end(database, dies, "dead", "exhausted")
    await end(database, dies, "dead", "exhausted")
    await end(database, succeeds, "succeeded", None)
    born = await insert(database, status="dead", dead_reason="rejected", finished_at=datetime.now(UTC), **fields)

    told = [(event["kind"], event["scene"], event["task_id"], event["facts"]) for event in await events(database)]
    facts = {"fingerprint": "f1", "error_type": "KeyError"}
    assert told == [
        ("dead_letter", "charge", dies, {**facts, "dead_reason": "exhausted"}),
        ("dead_letter", "charge", born, {**facts, "dead_reason": "rejected"}),
    ]


async def test_an_event_is_gone_with_the_transaction_that_failed(database: Database) -> None:
    async with database.begin() as session:
        await alerts.insert_event(session, "default", "breaker_opened", "orders", facts={"key": "host:a"})
        await session.rollback()
    async with database.begin() as session:
        await alerts.insert_event(session, "default", "breaker_closed", "orders", facts={"key": "host:a"})
    assert [event["kind"] for event in await events(database)] == ["breaker_closed"]
