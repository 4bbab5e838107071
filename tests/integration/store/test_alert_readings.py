"""What alert rules measure: each condition on rows as the rest of Redrive writes them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from tests.integration.store.support import change, insert

from redrive.core.alerting import AlertRule, Watched
from redrive.store import alerts, dead_letters, nodes
from redrive.store.alert_readings import ALERTS_GROUP, measure
from redrive.store.database import Database, new_id

NODE: dict[str, Any] = {
    "id": "n1", "namespace": "default", "group": "orders", "url": "http://n", "labels": {}, "version": None,
    "executors": [], "capacity": None,
}  # fmt: skip


async def read(database: Database, event: Watched, **fields: Any) -> list[tuple[tuple[str, ...], float]]:
    """Measure, and give the groups and their values."""
    async with database.session() as session:
        since = datetime.now(UTC) - timedelta(minutes=5)
        found = await measure(session, "default", AlertRule(event, **fields), since)
    return [(tuple(value for _, value in reading.key), reading.value) for reading in found]


async def dies(database: Database, scene: str = "charge", **fields: Any) -> None:
    values: dict[str, Any] = {
        "dead_reason": "exhausted", "finished_at": datetime.now(UTC), "error_type": "KeyError", "fingerprint": "f1",
        **fields,
    }  # fmt: skip
    await insert(database, scene=scene, status="dead", **values)


async def test_deaths_are_counted_by_what_the_rule_groups_by(database: Database) -> None:
    await dies(database)
    await dies(database)
    await dies(database, "refund", fingerprint="f2", dead_reason="rejected")
    await dies(database, ALERTS_GROUP, group=ALERTS_GROUP)

    assert await read(database, "dead_letter", threshold=3) == [((), 3)]
    assert await read(database, "dead_letter", threshold=4) == []
    scenes = [(("orders", "charge"), 2), (("orders", "refund"), 1)]
    assert await read(database, "dead_letter", group_by=("group", "scene")) == scenes
    assert await read(database, "dead_letter", group_by=("fingerprint",), threshold=2) == [(("f1",), 2)]
    assert await read(database, "dead_letter", scenes=("refund",)) == [((), 1)]
    assert await read(database, "dead_letter", groups=("billing",)) == []
    assert await read(database, "exhausted", threshold=1, group_by=("scene",)) == [(("charge",), 2)]


async def test_an_error_that_somebody_muted_is_not_counted(database: Database) -> None:
    await dies(database)
    await dies(database, fingerprint="f2")
    async with database.begin() as session:
        until = datetime.now(UTC) + timedelta(hours=1)
        await dead_letters.note(session, "default", "f1", {"muted_until": until})
    assert await read(database, "dead_letter", group_by=("fingerprint",)) == [(("f2",), 1)]


async def test_a_reading_explains_itself_without_any_message(database: Database) -> None:
    await dies(database, error_message="card 4242 was refused")
    async with database.session() as session:
        (reading,) = await measure(
            session, "default", AlertRule("dead_letter"), datetime.now(UTC) - timedelta(minutes=5)
        )
    assert reading.facts["Most frequent error"] == "KeyError"
    assert "4242" not in str(reading)


async def test_what_waits_and_what_is_late(database: Database) -> None:
    now = datetime.now(UTC)
    for status, late in (("pending", 120), ("waiting", 30), ("waiting", -60), ("parked", 500)):
        task_id = await insert(database, next_attempt_at=now - timedelta(seconds=late))
        await change(database, task_id, f"status = '{status}'")
    await insert(database, group=ALERTS_GROUP, next_attempt_at=now - timedelta(days=1))

    assert await read(database, "waiting", threshold=4, group_by=("group",)) == [(("orders",), 4)]
    assert await read(database, "waiting", threshold=5) == []
    ((key, lag),) = await read(database, "due_lag", threshold=20, group_by=("scene",))
    assert key == ("charge",)
    assert 120 <= lag < 180
    assert await read(database, "due_lag", threshold=600) == []


async def test_a_group_without_a_live_node_is_seen_only_if_something_waits_for_one(database: Database) -> None:
    assert await read(database, "no_live_node", group_by=("group",)) == []
    await insert(database, target={"kind": "node"})
    await insert(database, target={"kind": "node"}, group="billing")
    async with database.begin() as session:
        await nodes.register(session, NODE)
    assert await read(database, "no_live_node", group_by=("group",)) == [(("billing",), 1)]
    await _execute(database, "UPDATE nodes SET last_heartbeat_at = now() - interval '31 seconds'")
    assert await read(database, "no_live_node", threshold=2) == [((), 2)]


async def test_the_rate_of_failures_needs_enough_attempts(database: Database) -> None:
    task_id = await insert(database)
    statuses: Sequence[str] = ["failed"] * 5 + ["timed_out"] + ["succeeded"] * 4 + ["running", "cancelled"]
    for number, status in enumerate(statuses, 1):
        await _execute(
            database,
            'INSERT INTO attempts (task_id, generation, number, namespace, "group", scene, status, trigger, due_at, '
            "started_at, finished_at) VALUES (:id, 1, :number, 'default', 'orders', 'charge', :status, 'timer', now(), "
            "now(), CASE WHEN :status <> 'running' THEN now() END)",
            id=task_id, number=number, status=status,
        )  # fmt: skip
    assert await read(database, "failure_rate", minimum=10, group_by=("scene",)) == [(("charge",), 0.6)]
    assert await read(database, "failure_rate", minimum=10, threshold=0.61) == []
    assert await read(database, "failure_rate", minimum=11) == []


async def test_a_breaker_is_open_until_its_last_event_says_otherwise(database: Database) -> None:
    async with database.begin() as session:
        for kind, key in (
            ("breaker_opened", "host:a"),
            ("breaker_opened", "host:b"),
            ("breaker_closed", "host:a"),
            ("breaker_opened", f"scene:{ALERTS_GROUP}/slack"),
        ):
            await alerts.insert_event(session, "default", kind, facts={"key": key})
    assert await read(database, "breaker_open", group_by=("target",)) == [(("host:b",), 1)]


async def test_what_nodes_say_of_their_sdk(database: Database) -> None:
    async with database.begin() as session:
        await nodes.register(session, NODE)
    async with database.session() as session:
        for errors in (2, 2, None, 5):
            status = await nodes.heartbeat(
                session, "default", "n1", 0, spool_size=40, spool_oldest_seconds=12.5, errors=errors
            )
            assert status == "live"
    assert await read(database, "sdk_error", group_by=("group", "node")) == [(("orders", "n1"), 5)]
    # An SDK is in no scene.
    assert await read(database, "sdk_error", scenes=("charge",)) == [((), 5)]
    assert await read(database, "spool_growing", threshold=40, group_by=("group",)) == [(("orders",), 40)]
    async with database.session() as session:
        await nodes.heartbeat(session, "default", "n1", 0)
    assert await read(database, "spool_growing") == []


async def test_a_stopped_redrive_is_an_event_of_its_window(database: Database) -> None:
    async with database.begin() as session:
        await alerts.insert_event(session, "default", "redrive_stopped", facts={"redrive_id": str(new_id())})
    assert await read(database, "redrive_stopped") == [((), 1)]
    await _execute(database, "UPDATE alert_events SET created_at = now() - interval '6 minutes'")
    assert await read(database, "redrive_stopped") == []


@pytest.mark.parametrize("event", ["breaker_open", "sdk_error", "spool_growing", "redrive_stopped"])
async def test_every_condition_can_be_narrowed_to_groups_and_scenes(database: Database, event: Watched) -> None:
    assert await read(database, event, groups=("orders",), scenes=("charge",)) == []


async def _execute(database: Database, statement: str, **values: Any) -> None:
    async with database.session() as session:
        await session.execute(text(statement), values)
