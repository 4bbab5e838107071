"""What a report promises: it is on disk, and it will be retried."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.integration.api.client import Api, Serve, a_report, count, execute, fields, problem

from redrive.store.database import Database

RESOURCE = {
    "id", "namespace", "group", "scene", "executor", "status", "dead_reason", "generation", "attempts", "max_attempts",
    "next_attempt_at", "idempotency_key", "business_key", "target", "policy", "policy_version", "args", "kwargs",
    "last_error", "created_at", "updated_at", "finished_at", "workflow_id", "temporal_url", "parent_id", "metadata",
}  # fmt: skip


async def test_a_report_becomes_a_pending_task_with_all_fields_of_the_contract(api: Api) -> None:
    answer = await api.post(
        "/v1/tasks",
        a_report(
            idempotency_key="charge:o-1",
            business_key="o-1",
            priority=2,
            policy={"max_attempts": 5},
            error={"type": "TimeoutError", "message": "after 30 s", "stack": "Traceback"},
            trace_context={"traceparent": "00-abc-def-01"},
            metadata={"region": "eu"},
        ),
    )
    task = answer.json()

    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/tasks/{task['id']}"
    assert set(task) >= RESOURCE
    assert task["status"] == "pending"
    assert (task["namespace"], task["group"], task["scene"], task["executor"]) == (
        "default", "orders", "charge-card", "orders.charge",
    )  # fmt: skip
    assert (task["args"], task["kwargs"], task["target"]) == (["o-1"], {"amount": 5}, {"kind": "node"})
    assert (task["generation"], task["attempts"], task["max_attempts"], task["priority"]) == (1, 0, 5, 2)
    assert task["policy"]["max_attempts"] == 5
    assert task["policy"]["backoff"]["kind"] == "exponential"
    assert task["last_error"] == {"type": "TimeoutError", "message": "after 30 s", "stack": "Traceback"}
    assert task["workflow_id"] == f"redrive/default/{task['id']}/1"
    assert task["metadata"] == {"region": "eu"}
    assert task["duplicate"] is False
    assert task["id"][14] == "7", "ids are UUIDv7"


async def test_what_is_answered_is_what_is_stored(api: Api) -> None:
    reported = await api.report(error={"type": "E", "message": "m"}, metadata={"a": [1]}, business_key="b")

    assert await api.task(reported["id"]) == reported


async def test_instants_are_utc_and_the_first_attempt_lies_within_the_backoff(api: Api) -> None:
    before = datetime.now(UTC)

    task = await api.report(policy={"backoff": {"kind": "fixed", "delay_seconds": 60, "jitter": {"kind": "none"}}})

    due = datetime.fromisoformat(task["next_attempt_at"])
    assert task["next_attempt_at"].endswith("Z")
    assert before + timedelta(seconds=60) <= due <= datetime.now(UTC) + timedelta(seconds=60)
    assert task["why"] == "fixed 60 s"


async def test_a_delay_takes_the_place_of_the_backoff(api: Api) -> None:
    before = datetime.now(UTC)

    task = await api.report(delay_seconds=120)

    due = datetime.fromisoformat(task["next_attempt_at"])
    assert before + timedelta(seconds=120) <= due <= datetime.now(UTC) + timedelta(seconds=120)


@pytest.mark.parametrize(
    "changes",
    [
        {"policy": {"backoff": {"kind": "fixed", "delay_seconds": 600, "jitter": {"kind": "none"}}}},
        {"delay_seconds": 600},
    ],
)
async def test_a_deadline_before_the_first_attempt_makes_a_dead_letter(api: Api, changes: dict[str, Any]) -> None:
    """It is not refused: a dead letter is seen and can be replayed, a refused report would be gone."""
    deadline = (datetime.now(UTC) + timedelta(seconds=30)).isoformat()

    task = await api.report(deadline=deadline, **changes)

    assert (task["status"], task["dead_reason"]) == ("dead", "expired")
    assert task["finished_at"] is not None
    assert task["next_attempt_at"] is None
    assert await api.task(task["id"]) == task


async def test_a_known_key_with_the_same_payload_is_a_duplicate(api: Api, database: Database) -> None:
    first = await api.report(idempotency_key="k")

    answer = await api.post("/v1/tasks", a_report(idempotency_key="k", business_key="other"))

    assert answer.status_code == 200
    assert answer.json()["id"] == first["id"]
    assert answer.json()["duplicate"] is True
    assert answer.json()["duplicates"] == 1
    assert await count(database) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"args": ["o-2"]},
        {"kwargs": {"amount": 6}},
        {"executor": "orders.refund"},
        {"executor": None, "args": None, "target": {"kind": "webhook", "url": "https://example.com/hook"}},
    ],
)
async def test_a_known_key_with_another_payload_is_refused(
    api: Api, database: Database, changes: dict[str, Any]
) -> None:
    first = await api.report(idempotency_key="k")

    answer = await api.post("/v1/tasks", a_report(idempotency_key="k", **changes))

    assert first["id"] in problem(answer, 409, "payload-differs")["detail"]
    assert await count(database) == 1


async def test_one_key_in_two_scenes_makes_two_tasks(api: Api) -> None:
    first = await api.report(idempotency_key="k")
    second = await api.report(idempotency_key="k", scene="refund")

    assert first["id"] != second["id"]


async def test_the_order_of_names_in_a_payload_does_not_matter(api: Api) -> None:
    first = await api.report(idempotency_key="k", kwargs={"a": 1, "b": {"c": 2, "d": 3}})
    second = await api.report(idempotency_key="k", kwargs={"b": {"d": 3, "c": 2}, "a": 1})

    assert second["id"] == first["id"]


async def test_clients_that_report_one_key_at_the_same_time_make_one_task(api: Api, database: Database) -> None:
    answers = await asyncio.gather(*(api.post("/v1/tasks", a_report(idempotency_key="k")) for _ in range(12)))

    assert sorted(answer.status_code for answer in answers) == [200] * 11 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert await count(database) == 1


async def test_two_servers_that_get_one_key_at_the_same_time_make_one_task(serve: Serve, database: Database) -> None:
    first, second = await serve(), await serve()

    answers = await asyncio.gather(
        *(server.post("/v1/tasks", a_report(idempotency_key=f"k{i}")) for i in range(8) for server in (first, second))
    )

    assert sorted(answer.status_code for answer in answers) == [200] * 8 + [201] * 8
    assert await count(database) == 8


async def test_a_report_after_its_older_task_was_deleted_is_a_new_task(api: Api) -> None:
    first = await api.report(idempotency_key="k")
    await api.post(f"/v1/tasks/{first['id']}/cancel")
    await api.delete(f"/v1/tasks/{first['id']}")

    assert (await api.report(idempotency_key="k"))["id"] != first["id"]


async def test_a_payload_comes_back_as_it_went(api: Api) -> None:
    """Key order, numbers beyond a double's whole numbers, NUL, and characters outside the basic plane."""
    kwargs = {"z": 1, "a": 2**70, "nul": "\x00", "emoji": "😀", "f": 1.5, "n": None, "e": "", "\x00": 0}

    task = await api.task((await api.report(args=[[], {}, True, -0.1], kwargs=kwargs))["id"])

    assert task["kwargs"] == kwargs
    assert list(task["kwargs"]) == list(kwargs)
    assert task["args"] == [[], {}, True, -0.1]


async def test_a_webhook_takes_any_json_as_its_body(api: Api) -> None:
    target = {"kind": "webhook", "url": "https://example.com/hook"}

    task = await api.report(executor=None, args=None, kwargs=None, body=[1, "two", None], target=target)

    assert (await api.task(task["id"]))["body"] == [1, "two", None]
    assert task["target"] == {**target, "method": "POST", "headers": {}}


async def test_error_facts_are_cut_and_cleaned_and_never_refused(api: Api) -> None:
    """Who reports is in the middle of a failure; an ugly traceback must not cost them the report."""
    stack = "first line\n" + "x" * 40_000 + "\nlast line"

    answer = await api.send(
        "/v1/tasks",
        b'{"group": "g", "scene": "s", "executor": "e", "error": {"type": "E\\u0000", "message": "\\ud800 broken", '
        b'"stack": "' + stack.replace("\n", "\\n").encode() + b'"}}',
    )

    error = answer.json()["last_error"]
    assert answer.status_code == 201
    assert (error["type"], error["message"]) == ("E\ufffd", "\ufffd broken")
    assert error["stack"].startswith("first line")
    assert error["stack"].endswith("last line")
    assert len(error["stack"].encode()) <= 16_000


async def test_an_unknown_scene_is_made_by_its_first_report(api: Api) -> None:
    await api.report(group="shop", scene="ship")

    group = (await api.get("/v1/groups/shop")).json()
    scene = (await api.get("/v1/groups/shop/scenes/ship")).json()
    assert group["scenes"] == 1
    assert scene["policy_version"] == 1
    assert len((await api.get("/v1/groups/shop/signing-secrets")).json()["signing_secrets"]) == 1


async def test_unknown_groups_are_refused_when_the_server_makes_none(serve: Serve, database: Database) -> None:
    api = await serve(auto_create=False)

    document = problem(await api.post("/v1/tasks", a_report()), 422, "unknown-group")

    assert "POST /v1/groups" in document["detail"]
    assert await count(database, "groups") == 0


async def test_unknown_groups_are_refused_when_the_namespace_makes_none(api: Api, database: Database) -> None:
    await api.patch("/v1/namespaces/default", {"auto_create": False})

    problem(await api.post("/v1/tasks", a_report()), 422, "unknown-group")
    assert await count(database, "groups") == 0


async def test_unknown_scenes_are_refused_when_the_group_makes_none(api: Api, database: Database) -> None:
    await api.post("/v1/groups", {"name": "orders", "auto_create": False})

    document = problem(await api.post("/v1/tasks", a_report()), 422, "unknown-scene")
    assert "POST /v1/groups/orders/scenes" in document["detail"]

    await api.post("/v1/groups/orders/scenes", {"name": "charge-card"})
    assert (await api.report())["status"] == "pending"
    assert await count(database) == 1


async def test_an_unknown_namespace_is_refused_and_not_made(api: Api) -> None:
    answer = await api.post("/v1/tasks", a_report(), **{"redrive-namespace": "nowhere"})

    assert "POST /v1/namespaces" in problem(answer, 404, "namespace-not-found")["detail"]


async def test_a_group_or_scene_that_is_switched_off_takes_no_reports(api: Api) -> None:
    await api.report()

    await api.patch("/v1/groups/orders/scenes/charge-card", {"enabled": False})
    assert "scenes/charge-card" in problem(await api.post("/v1/tasks", a_report()), 422, "disabled")["detail"]
    await api.patch("/v1/groups/orders/scenes/charge-card", {"enabled": True})
    await api.patch("/v1/groups/orders", {"enabled": False})
    assert "'orders'" in problem(await api.post("/v1/tasks", a_report()), 422, "disabled")["detail"]
    await api.patch("/v1/groups/orders", {"enabled": True})
    assert (await api.report())["status"] == "pending"


async def test_policies_of_all_layers_reach_the_task(api: Api) -> None:
    await api.patch("/v1/namespaces/default", {"policy": {"max_attempts": 20, "attempt_timeout_seconds": 7}})
    await api.post("/v1/groups", {"name": "orders", "policy": {"max_attempts": 19, "route": "random"}})
    await api.post("/v1/groups/orders/scenes", {"name": "charge-card", "policy": {"max_attempts": 18}})

    task = await api.report(policy={"backoff": {"max_seconds": 99}})

    assert (task["max_attempts"], task["policy"]["attempt_timeout_seconds"], task["policy"]["route"]) == (
        18,
        7,
        "random",
    )
    assert task["policy"]["backoff"]["max_seconds"] == 99
    assert task["policy_override"] == {"backoff": {"max_seconds": 99}}


async def test_a_new_policy_is_in_force_at_once_on_the_server_that_took_it(api: Api) -> None:
    await api.report()

    await api.put("/v1/groups/orders/scenes/charge-card/policy", {"policy": {"max_attempts": 2}})

    task = await api.report()
    assert (task["max_attempts"], task["policy_version"]) == (2, 2)


async def test_links_to_temporal_are_made_from_the_settings(serve: Serve, database: Database) -> None:
    api = await serve(temporal_ui_url="http://localhost:8233/", temporal_namespace="payments")

    task = await api.report()

    name = f"redrive%2Fdefault%2F{task['id']}%2F1"
    assert task["temporal_url"] == f"http://localhost:8233/namespaces/payments/workflows/{name}"


async def test_the_namespace_comes_from_the_header_or_the_query(api: Api) -> None:
    await api.post("/v1/namespaces", {"name": "staging"})

    by_header = (await api.post("/v1/tasks", a_report(), **{"redrive-namespace": "staging"})).json()
    by_query = (await api.post("/v1/tasks?namespace=staging", a_report())).json()

    assert by_header["namespace"] == by_query["namespace"] == "staging"
    problem(await api.get(f"/v1/tasks/{by_header['id']}"), 404, "task-not-found")
    assert (await api.get(f"/v1/tasks/{by_header['id']}", namespace="staging")).status_code == 200


async def test_a_row_that_the_database_refuses_does_not_take_others_with_it(api: Api, database: Database) -> None:
    """Single reports share transactions; a trigger here stands for whatever PostgreSQL may refuse."""
    await api.report()
    await execute(database, "ALTER TABLE tasks ADD CONSTRAINT no_bad CHECK (business_key IS DISTINCT FROM 'bad')")

    keys = ["good"] * 10 + ["bad"] + ["good"] * 10
    answers = await asyncio.gather(*(api.post("/v1/tasks", a_report(business_key=key)) for key in keys))

    assert [answer.status_code for answer in answers] == [201 if key == "good" else 500 for key in keys]
    assert fields(problem(answers[10], 500, "internal-error")) == {}
    assert await count(database) == 21


async def test_a_key_is_free_again_once_its_task_has_ended_when_the_report_said_so(api: Api) -> None:
    """The same call that fails again next week is another failure, and must be retried again."""
    first = await api.report(idempotency_key="sync", dedupe_seconds=0)
    while_it_lives = await api.post("/v1/tasks", a_report(idempotency_key="sync", dedupe_seconds=0))
    await api.post(f"/v1/tasks/{first['id']}/cancel")

    second = await api.post("/v1/tasks", a_report(idempotency_key="sync", dedupe_seconds=0))

    assert (while_it_lives.status_code, while_it_lives.json()["id"]) == (200, first["id"])
    assert second.status_code == 201
    assert second.json()["id"] != first["id"]


async def test_a_key_without_a_limit_is_taken_for_as_long_as_its_task_is_kept(api: Api) -> None:
    first = await api.report(idempotency_key="once")
    await api.post(f"/v1/tasks/{first['id']}/cancel")

    again = await api.post("/v1/tasks", a_report(idempotency_key="once", dedupe_seconds=0))

    assert (again.status_code, again.json()["id"], again.json()["duplicate"]) == (200, first["id"], True)


async def test_a_report_that_is_sent_again_makes_no_second_task_whatever_became_of_the_first(api: Api) -> None:
    """A client whose acknowledgement was lost sends again, perhaps after its task has ended and its key is free."""
    first = await api.report(idempotency_key="sync", dedupe_seconds=0, report_id="r-1")
    await api.post(f"/v1/tasks/{first['id']}/cancel")

    again = await api.post("/v1/tasks", a_report(idempotency_key="sync", dedupe_seconds=0, report_id="r-1"))
    another = await api.post("/v1/tasks", a_report(idempotency_key="sync", dedupe_seconds=0, report_id="r-2"))

    assert (again.status_code, again.json()["id"]) == (200, first["id"])
    assert another.status_code == 201
