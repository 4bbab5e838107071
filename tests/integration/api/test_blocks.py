"""A second report of a key while one lives: joined, replaced, beside it, or behind it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.integration.api.client import LONG, Api, a_report, count, execute, problem

from redrive.store import blocks
from redrive.store.database import Database


def report(block: str, amount: int = 1, **fields: Any) -> dict[str, Any]:
    policy = {**LONG, "block": block, **fields.pop("policy", {})}
    return a_report(idempotency_key="k", args=[], kwargs={"amount": amount}, policy=policy, **fields)


async def send(api: Api, block: str, amount: int = 1, **fields: Any) -> dict[str, Any]:
    answer = await api.post("/v1/tasks", report(block, amount, **fields))
    assert answer.status_code in (200, 201), answer.text
    return {**answer.json(), "http_status": answer.status_code}


async def end(database: Database, task_id: str, status: str = "succeeded") -> None:
    await execute(
        database, "UPDATE tasks SET status = :status, finished_at = now() WHERE id = :id", id=task_id, status=status
    )


async def test_overlay_replaces_the_payload_and_begins_the_schedule_anew(api: Api, database: Database) -> None:
    first = await send(api, "overlay", 1)
    await execute(database, "UPDATE tasks SET next_attempt_at = now() + interval '1 second'")

    second = await send(api, "overlay", 2, business_key="o-2", error={"type": "E", "message": "again"})

    assert (second["http_status"], second["duplicate"], second["id"]) == (200, True, first["id"])
    assert (second["kwargs"], second["business_key"], second["last_error"]["message"]) == (
        {"amount": 2},
        "o-2",
        "again",
    )
    assert (second["generation"], second["payload_revision"], second["duplicates"]) == (1, 2, 1)
    assert datetime.fromisoformat(second["next_attempt_at"]) > datetime.now(UTC) + timedelta(minutes=50)
    assert await count(database) == 1


async def test_of_a_batch_of_overlays_the_last_one_stays(api: Api, database: Database) -> None:
    answer = await api.post("/v1/tasks/batch", {"tasks": [report("overlay", amount) for amount in (1, 2, 3)]})

    results = answer.json()["results"]
    assert [result["status"] for result in results] == [201, 200, 200]
    assert len({result["id"] for result in results}) == 1
    assert (await api.task(results[0]["id"]))["kwargs"] == {"amount": 3}


async def test_an_overlay_that_is_sent_again_does_not_bring_the_old_payload_back(api: Api, database: Database) -> None:
    """A client whose answer was lost sends its report again, after another one has replaced it."""
    for amount in (1, 2, 3):
        await send(api, "overlay", amount, report_id=f"r{amount}")
    for amount in (1, 2):
        again = await send(api, "overlay", amount, report_id=f"r{amount}")
        assert (again["http_status"], again["kwargs"]) == (200, {"amount": 3})

    await end(database, again["id"])
    await execute(database, "UPDATE tasks SET dedupe_key = NULL")
    for amount in (1, 2, 3):
        assert (await send(api, "overlay", amount, report_id=f"r{amount}"))["id"] == again["id"]


async def test_concurrent_reports_are_tasks_of_their_own(api: Api, database: Database) -> None:
    first, second = await send(api, "concurrent", 1), await send(api, "concurrent", 2)

    assert first["http_status"] == second["http_status"] == 201
    assert first["id"] != second["id"]
    assert [task["idempotency_key"] for task in (first, second)] == ["k", "k"]
    assert (await api.task(first["id"]))["duplicates"] == 0


async def test_a_concurrent_report_that_is_sent_again_is_no_second_task(api: Api) -> None:
    first = await send(api, "concurrent", report_id="r")

    assert (await send(api, "concurrent", report_id="r"))["id"] == first["id"]


async def test_an_enqueued_report_waits_for_the_end_of_those_before_it(api: Api, database: Database) -> None:
    first, second, third = [await send(api, "enqueue", amount) for amount in (1, 2, 3)]

    assert [task["http_status"] for task in (first, second, third)] == [201, 201, 201]
    assert (second["status"], second["next_attempt_at"]) == ("pending", None)
    assert first["id"] in second["why"]
    assert await api.task(second["id"]) == {name: second[name] for name in second if name != "http_status"}
    assert (await api.task(first["id"]))["duplicates"] == 0

    await api.post(f"/v1/tasks/{first['id']}/cancel")
    async with database.session() as session:
        assert [await blocks.start_waiting(session), await blocks.start_waiting(session)] == [1, 0]

    assert (await api.task(second["id"]))["next_attempt_at"] is not None
    assert (await api.task(third["id"]))["next_attempt_at"] is None


async def test_an_enqueued_report_moves_up_when_the_one_before_it_is_deleted_or_cancelled(
    api: Api, database: Database
) -> None:
    first, second, third = [await send(api, "enqueue", amount) for amount in (1, 2, 3)]
    await api.post(f"/v1/tasks/{second['id']}/cancel")
    await api.post(f"/v1/tasks/{first['id']}/cancel")
    await api.delete(f"/v1/tasks/{first['id']}")
    async with database.session() as session:
        await blocks.start_waiting(session)

    assert (await api.task(second["id"]))["status"] == "cancelled"
    assert (await api.task(third["id"]))["next_attempt_at"] is not None


async def test_a_person_may_let_an_enqueued_task_run_at_once(api: Api) -> None:
    await send(api, "enqueue", 1)
    second = await send(api, "enqueue", 2)

    await api.post(f"/v1/tasks/{second['id']}/retry")

    assert (await api.task(second["id"]))["next_attempt_at"] is not None


@pytest.mark.parametrize("block", ["overlay", "enqueue"])
async def test_after_the_end_the_dedupe_window_holds(api: Api, database: Database, block: str) -> None:
    first = await send(api, block, 1, dedupe_seconds=3600)
    await end(database, first["id"])

    same = await send(api, block, 1, dedupe_seconds=3600)
    problem(await api.post("/v1/tasks", report(block, 2)), 409, "payload-differs")
    await execute(database, "UPDATE tasks SET finished_at = now() - interval '2 hours'")
    after = await send(api, block, 2)

    assert (same["http_status"], same["id"], same["kwargs"]) == (200, first["id"], {"amount": 1})
    assert (after["http_status"], after["kwargs"]) == (201, {"amount": 2})


@pytest.mark.parametrize("block", ["overlay", "enqueue"])
async def test_a_report_that_is_too_late_from_the_start_leaves_the_living_task_alone(api: Api, block: str) -> None:
    first = await send(api, block, 1)

    late = await send(api, block, 2, policy={"max_elapsed_seconds": 1})

    assert (late["status"], late["dead_reason"]) == ("dead", "expired")
    assert (await api.task(first["id"]))["kwargs"] == {"amount": 1}
