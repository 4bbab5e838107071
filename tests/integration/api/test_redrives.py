"""Redrives over HTTP, with Temporal away: what is previewed, accepted, refused, changed and shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from tests.integration.api.client import Api, Serve

from redrive.store.database import Database


async def dead(api: Api, database: Database, count: int, **fields: Any) -> list[str]:
    """Report tasks and let them be dead."""
    ids = [(await api.report(**fields))["id"] for _ in range(count)]
    async with database.session() as session:
        await session.execute(
            text(
                "UPDATE tasks SET status = 'dead', dead_reason = 'exhausted', finished_at = now(),"
                " next_attempt_at = NULL, error_type = 'TimeoutError', fingerprint = 'f1' WHERE id = ANY(:ids)"
            ),
            {"ids": ids},
        )
    return ids


async def start(api: Api, **fields: Any) -> dict[str, Any]:
    answer = await api.post("/v1/redrives", {"selection": {"group": "orders"}, **fields})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_dry_run_tells_what_it_would_come_to_and_does_nothing(api: Api, database: Database) -> None:
    await dead(api, database, 3, scene="charge-card")
    await dead(api, database, 2, scene="send-mail")
    await api.post("/v1/pauses", {"scope": "scene", "key": "orders/send-mail"})
    request = {"selection": {"group": "orders"}, "rate_per_second": 1, "ramp": None, "max_items": 4, "dry_run": True}
    answer = await api.post("/v1/redrives", request)
    preview = answer.json()

    assert answer.status_code == 200
    assert (preview["count"], preview["matched"], preview["estimate_seconds"]) == (4, 5, 3)
    assert preview["by_scene"] == [
        {"group": "orders", "scene": "charge-card", "count": 3},
        {"group": "orders", "scene": "send-mail", "count": 2},
    ]
    assert preview["by_error"][0]["error_type"] == "TimeoutError"
    assert preview["warnings"] == [
        "5 tasks match; the first 4 are taken (`max_items`)",
        "scene orders/send-mail is paused: 2 of the tasks will wait until that ends",
    ]
    assert (await api.get("/v1/redrives")).json()["items"] == []


async def test_what_it_takes_is_frozen_when_it_is_made(api: Api, database: Database) -> None:
    ids = await dead(api, database, 3)
    await api.report()
    found = await start(api, reason="the provider is back")
    await dead(api, database, 2)
    items = (await api.get(f"/v1/redrives/{found['id']}/items")).json()["items"]

    assert [item["task_id"] for item in items] == ids
    assert {(item["outcome"], item["generation"]) for item in items} == {("waiting", None)}
    assert (found["status"], found["action"], found["why"]) == ("waiting", "replay", "accepted")
    assert found["counts"] == {
        "total": 3, "waiting": 3, "in_flight": 0, "succeeded": 0, "dead": 0, "skipped": 0, "failed": 0, "done": 0,
    }  # fmt: skip
    assert found["selection"]["status"] == ["dead"]
    assert found["options"]["rate_per_second"] == 10
    assert found["workflow_id"] == f"redrive-bulk/default/{found['id']}"
    assert found["estimate_finished_at"] is not None
    assert (await api.get(f"/v1/redrives/{found['id']}")).json()["reason"] == "the provider is back"


@pytest.mark.parametrize(("order", "expected"), [("oldest", [0, 1, 2]), ("newest", [2, 1, 0]), ("priority", [1, 0, 2])])
async def test_its_order_is_what_was_asked_for(api: Api, database: Database, order: str, expected: list[int]) -> None:
    ids = [(await dead(api, database, 1, priority=priority))[0] for priority in (3, 1, 3)]
    found = await start(api, order=order)
    items = (await api.get(f"/v1/redrives/{found['id']}/items")).json()["items"]

    assert [item["task_id"] for item in items] == [ids[index] for index in expected]


@pytest.mark.parametrize(
    ("request_", "field", "message"),
    [
        ({"selection": {}}, "selection", "is empty, which would mean every task"),
        ({"selection": {"group": "nobody"}}, "selection", "expected at least one task that it means, found none"),
        (
            {"selection": {"status": ["running"]}},
            "selection.status",
            "expected cancelled, dead for the action 'replay'",
        ),
        ({"rate_per_second": 0}, "rate_per_second", "expected at least 0.001, got 0"),
        ({"window": {"start": "10", "end": "11:00"}}, "window.start", "expected a time of day such as '22:00'"),
        ({"window": {"start": "10:00"}}, "window.end", "is missing"),
        ({"payload_patch": {"amount": 1}}, "payload_patch.amount", "unknown field; known: args, body, kwargs"),
        ({"policy": {"max_attempts": 0}}, "policy.max_attempts", "expected"),
        ({"target": {"kind": "webhook"}}, "target.url", "is missing"),
        ({"target": {"kind": "worker", "task_queue": "redrive"}}, "target.task_queue", "'redrive' is Redrive's own"),
        ({"action": "pause", "payload_patch": {"args": []}}, "payload_patch", "expected it with the action 'replay'"),
        ({"action": "change_policy"}, "policy", "is missing"),
        ({"stop": {"ratio": 0}}, "stop.ratio", "expected a number above 0 and up to 1"),
        ({"rate": 5}, "rate", "unknown field"),
    ],
)
async def test_what_cannot_be_is_refused(api: Api, request_: dict[str, Any], field: str, message: str) -> None:
    answer = await api.post("/v1/redrives", {"selection": {"group": "orders"}, **request_})
    problem = answer.json()

    assert answer.status_code == 422, problem
    assert (problem["errors"][0]["field"], problem["errors"][0]["message"][: len(message)]) == (field, message)


async def test_each_option_that_is_wrong_is_told(api: Api) -> None:
    wrong: dict[str, Any] = {
        "window": {"start": "22:00", "end": "06:00", "timezone": "Europe/Nowhere"},
        "target": {"kind": "webhook", "url": "ftp://pay.example"},
        "policy": {"max_attempts": 0},
        "stop": {"ratio": 2},
    }
    answer = await api.post("/v1/redrives", {"selection": {"group": "orders"}, **wrong, "dry_run": True})

    assert {error["field"] for error in answer.json()["errors"]} == {
        "window.timezone",
        "target.url",
        "policy.max_attempts",
        "stop.ratio",
    }


async def test_it_is_paused_changed_resumed_and_aborted_while_temporal_is_away(api: Api, database: Database) -> None:
    await dead(api, database, 2)
    path = f"/v1/redrives/{(await start(api))['id']}"
    paused = (await api.post(f"{path}/pause", {"reason": "too early"})).json()
    twice = await api.post(f"{path}/pause")
    changed = (await api.patch(path, {"rate_per_second": 2.5, "concurrency": 7})).json()
    nothing = await api.patch(path, {})
    resumed = (await api.post(f"{path}/resume")).json()
    running = await api.post(f"{path}/resume")
    aborted = (await api.post(f"{path}/abort")).json()
    ended = [await api.post(f"{path}/{action}") for action in ("pause", "resume", "abort")]

    assert (paused["status"], paused["why"], paused["estimate_finished_at"]) == ("paused", "too early", None)
    assert (changed["options"]["rate_per_second"], changed["options"]["concurrency"]) == (2.5, 7)
    assert (resumed["status"], resumed["why"]) == ("waiting", "resumed by hand")
    assert (aborted["status"], aborted["finished_at"] is not None) == ("aborted", True)
    assert [answer.status_code for answer in (twice, nothing, running)] == [409, 422, 409]
    assert {answer.json()["type"] for answer in ended} == {"/problems/redrive-ended"}
    audit = (await api.get("/v1/audit", subject_kind="redrive")).json()["items"]
    assert [entry["action"] for entry in audit] == ["abort", "resume", "change", "pause", "start"]
    assert audit[-1]["facts"] == {"action": "replay", "tasks": 2}


async def test_lists_go_page_by_page_and_by_status_and_outcome(api: Api, database: Database) -> None:
    await dead(api, database, 3)
    made = [await start(api) for _ in range(3)]
    await api.post(f"/v1/redrives/{made[0]['id']}/abort")
    first = (await api.get("/v1/redrives", limit=2)).json()
    second = (await api.get("/v1/redrives", limit=2, cursor=first["next_cursor"])).json()
    aborted = (await api.get("/v1/redrives", status="aborted")).json()["items"]
    path = f"/v1/redrives/{made[1]['id']}/items"
    page = (await api.get(path, limit=2)).json()
    rest = (await api.get(path, limit=2, cursor=page["next_cursor"])).json()

    assert [item["id"] for item in (*first["items"], *second["items"])] == [found["id"] for found in reversed(made)]
    assert second["next_cursor"] is None
    assert [item["id"] for item in aborted] == [made[0]["id"]]
    assert [item["position"] for item in (*page["items"], *rest["items"])] == [1, 2, 3]
    assert (await api.get(path, outcome="dead")).json()["items"] == []
    assert (await api.get(path, cursor="nonsense")).status_code == 422
    assert (await api.get("/v1/redrives", cursor=page["next_cursor"])).status_code == 422


async def test_a_key_for_a_group_redrives_that_group_alone(serve: Serve, api: Api, database: Database) -> None:
    await dead(api, database, 2, group="orders")
    await dead(api, database, 2, group="mails")
    theirs = await start(api, selection={"group": "mails"})
    key = (await api.post("/v1/keys", {"name": "orders", "namespace": "default", "group": "orders"})).json()["key"]
    scoped = (await serve(require_api_key=True)).with_key(key)
    found = await start(scoped, selection={"created_before": (datetime.now(UTC) + timedelta(hours=1)).isoformat()})
    refused = await scoped.post("/v1/redrives", {"selection": {"group": "mails"}})

    assert (found["group"], found["counts"]["total"], found["author"]) == ("orders", 2, "orders")
    assert refused.status_code == 403
    assert (await scoped.get(f"/v1/redrives/{theirs['id']}")).status_code == 404
    assert [item["id"] for item in (await scoped.get("/v1/redrives")).json()["items"]] == [found["id"]]
