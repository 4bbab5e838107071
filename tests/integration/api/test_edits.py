"""Editing a task and retrying it, and the revisions of its payload."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.integration.api.client import Api, count, execute, fields, problem

from redrive.store.database import Database

HOOK = {"kind": "webhook", "url": "https://example.com/hook"}


async def edit(api: Api, task: dict[str, Any], **changes: Any) -> dict[str, Any]:
    answer = await api.post(f"/v1/tasks/{task['id']}/edit-and-retry", changes)
    assert answer.status_code == 200, answer.text
    edited: dict[str, Any] = answer.json()
    assert await api.task(task["id"]) == edited
    return edited


async def revisions(api: Api, task: dict[str, Any], **params: Any) -> list[dict[str, Any]]:
    answer = await api.get(f"/v1/tasks/{task['id']}/payloads", **params)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def test_a_dead_task_begins_its_next_generation_with_what_was_edited(api: Api) -> None:
    task = await api.report(delay_seconds=7200, policy={"max_elapsed_seconds": 60})
    assert task["status"] == "dead"

    edited = await edit(
        api, task, payload_patch={"kwargs": {"amount": 4, "note": "x"}}, policy={"max_attempts": 3}, reason="by Ann"
    )

    assert (edited["status"], edited["generation"], edited["attempts"]) == ("pending", 2, 0)
    assert (edited["args"], edited["kwargs"]) == (["o-1"], {"amount": 4, "note": "x"})
    assert (edited["max_attempts"], edited["policy_override"]) == (3, {"max_attempts": 3})
    assert (edited["why"], edited["payload_revision"]) == ("by Ann", 2)
    assert datetime.fromisoformat(edited["next_attempt_at"]) <= datetime.now(UTC)
    newest, reported = await revisions(api, task)
    assert (newest["revision"], newest["kwargs"], newest["reason"]) == (2, {"amount": 4, "note": "x"}, "by Ann")
    assert (reported["revision"], reported["kwargs"], reported["author"]) == (1, {"amount": 5}, None)
    (entry,) = (await api.get("/v1/audit", subject_id=task["id"])).json()["items"]
    assert (entry["action"], entry["reason"]) == ("edit_and_retry", "by Ann")
    assert entry["facts"]["payload_revision"] == 2
    assert "kwargs" not in entry["facts"]


async def test_a_task_that_waits_for_its_start_is_edited_and_due_now(api: Api) -> None:
    task = await api.report()
    await api.post(f"/v1/tasks/{task['id']}/pause")

    edited = await edit(api, task, target=HOOK, executor=None, payload_patch={"args": None, "kwargs": {"amount": 4}})

    assert (edited["status"], edited["generation"]) == ("pending", 1)
    assert (edited["target"]["url"], edited["executor"]) == (HOOK["url"], None)
    assert (edited["args"], edited["kwargs"]) == ([], {"amount": 4})
    assert datetime.fromisoformat(edited["next_attempt_at"]) <= datetime.now(UTC)


async def test_a_patch_takes_what_edit_and_retry_takes_and_retries_nothing(api: Api) -> None:
    task = await api.report()

    change = {"payload_patch": {"kwargs": {"amount": 4}}, "executor": "orders.charge-again", "reason": "typo"}
    changed = (await api.patch(f"/v1/tasks/{task['id']}", change)).json()

    assert (changed["kwargs"], changed["executor"]) == ({"amount": 4}, "orders.charge-again")
    assert (changed["next_attempt_at"], changed["status"]) == (task["next_attempt_at"], task["status"])
    assert [revision["reason"] for revision in await revisions(api, task)] == ["typo", None]


async def test_revisions_come_in_pages_the_newest_first(api: Api) -> None:
    task = await api.report()
    for amount in range(4):
        await api.patch(f"/v1/tasks/{task['id']}", {"kwargs": {"amount": amount}})

    path, cursor = f"/v1/tasks/{task['id']}/payloads", None
    found: list[tuple[int, int]] = []
    while page := (await api.get(path, limit=2, cursor=cursor)).json():
        found += [(item["revision"], item["kwargs"]["amount"]) for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break

    assert found == [(5, 3), (4, 2), (3, 1), (2, 0), (1, 5)]
    problem(await api.get(path, cursor="x"), 422, "invalid-request")
    problem(await api.get("/v1/tasks/01900000-0000-7000-8000-000000000000/payloads"), 404, "task-not-found")


SCHEMA = {
    "properties": {
        "args": {"items": {"type": "string"}},
        "kwargs": {
            "required": ["amount"],
            "properties": {"amount": {"type": "integer", "minimum": 1}, "items": {"items": {"type": "string"}}},
            "additionalProperties": False,
        },
    }
}


async def test_every_edit_must_fit_the_schema_of_the_scene_field_by_field(api: Api) -> None:
    task = await api.report()
    scene = "/v1/groups/orders/scenes/charge-card"
    assert (await api.patch(scene, {"payload_schema": SCHEMA})).status_code == 200
    bad = {"args": [7], "kwargs": {"amount": 0, "items": ["a", 1], "cards": []}}
    expected = {
        "args[0]": 'the value is not of type "string"',
        "kwargs.amount": "the value is less than the minimum of 1",
        "kwargs.items[1]": 'the value is not of type "string"',
        "kwargs": "Additional properties are not allowed ('cards' was unexpected)",
    }

    for answer in (
        await api.post(f"/v1/tasks/{task['id']}/edit-and-retry", bad),
        await api.patch(f"/v1/tasks/{task['id']}", bad),
        await api.post(f"/v1/tasks/{task['id']}/edit-and-retry", {"payload_patch": bad}),
    ):
        told = fields(problem(answer, 422, "invalid-request"))
        assert told == {field: f"{message} (the scene's schema)" for field, message in expected.items()}
    assert await api.task(task["id"]) == task
    assert (await edit(api, task, kwargs={"amount": 4}))["kwargs"] == {"amount": 4}


async def test_reports_must_fit_the_schema_only_where_the_scene_says_so(api: Api) -> None:
    await api.report()
    scene = "/v1/groups/orders/scenes/charge-card"
    await api.patch(scene, {"payload_schema": SCHEMA})
    await api.report(kwargs={"amount": 0})

    await api.patch(scene, {"schema_on_report": True})
    report = {"group": "orders", "scene": "charge-card", "executor": "e", "kwargs": {"amount": 0}}
    refused = await api.post("/v1/tasks", report)
    batch = (await api.post("/v1/tasks/batch", {"tasks": [report, {**report, "kwargs": {"amount": 1}}]})).json()

    assert "kwargs.amount" in fields(problem(refused, 422, "invalid-request"))
    assert [result["status"] for result in batch["results"]] == [422, 201]


BAD_EDITS: list[tuple[dict[str, Any], str]] = [
    ({}, ""),
    ({"reason": "nothing to change"}, ""),
    ({"payload_patch": {"amount": 4}}, "payload_patch.amount"),
    ({"payload_patch": {"kwargs": [1]}}, "payload_patch.kwargs"),
    ({"payload_patch": {"body": 1}}, "body"),
    ({"payload_patch": {}, "args": []}, "payload_patch"),
    ({"executor": None}, "executor"),
    ({"target": HOOK}, "args"),
    ({"target": {"kind": "webhook", "url": "ftp://x"}}, "target.url"),
    ({"target": {"kind": "worker", "task_queue": "redrive"}}, "target.task_queue"),
    ({"policy": {"max_attempts": 0}}, "policy.max_attempts"),
    ({"business_key": "b"}, "business_key"),
    ({"kwargs": {"a": "x" * 1_100_000}}, "-"),
]


async def test_a_bad_edit_changes_nothing(api: Api, database: Database, subtests: pytest.Subtests) -> None:
    task = await api.report()
    for change, field in BAD_EDITS:
        with subtests.test(change=str(change)[:80]):
            answer = await api.post(f"/v1/tasks/{task['id']}/edit-and-retry", change)

            if field == "-":
                problem(answer, 413, "body-too-large")
            else:
                assert field in fields(problem(answer, 422, "invalid-request"))
            assert await api.task(task["id"]) == task
    assert await count(database, "payloads") == 1


async def test_a_running_and_a_succeeded_task_are_not_edited(api: Api, database: Database) -> None:
    task = await api.report()
    path, change = f"/v1/tasks/{task['id']}/edit-and-retry", {"payload_patch": {"kwargs": {"amount": 4}}}

    await execute(database, "UPDATE tasks SET status = 'running', mirror_version = 1, next_attempt_at = NULL")
    assert "pause the task" in problem(await api.post(path, change), 409, "wrong-state")["detail"]
    await execute(database, "UPDATE tasks SET status = 'succeeded', finished_at = now()")
    assert "has succeeded" in problem(await api.post(path, change), 409, "wrong-state")["detail"]
    assert await count(database, "payloads") == 1
