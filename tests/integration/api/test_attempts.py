"""Attempts that a group's own worker asks for and closes; Temporal is away, so nothing else touches the tasks."""

from __future__ import annotations

from typing import Any

import pytest
from tests.integration.api.client import Api, Serve, execute, fields, problem

from redrive.store import keys
from redrive.store.database import Database

WORKER = {"kind": "worker", "task_queue": "orders-retries"}
SUCCESS = {"status": "succeeded", "result": 7}


def command_of(task: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Make the input of the activity, as the workflow does."""
    return {
        "namespace": task["namespace"],
        "group": task["group"],
        "task_id": task["id"],
        "generation": 1,
        "number": 1,
        "attempts": 1,
        "version": 10,
        "due_at": "2026-01-31T12:00:00+00:00",
        "trigger": "timer",
        "timeout_seconds": 20,
        "ends_at": None,
        "max_attempts": 3,
        "route": "round_robin",
        "policy_version": task["policy_version"],
        "affinity": "",
        "executor": "orders.charge",
        **changes,
    }


async def start(api: Api, command: dict[str, Any], **more: Any) -> dict[str, Any]:
    answer = await api.post("/v1/attempts/start", {"command": command, **more})
    assert answer.status_code == 200, answer.text
    started: dict[str, Any] = answer.json()
    return started


async def finish(api: Api, command: dict[str, Any], delivery: int = 1, **end: Any) -> dict[str, Any]:
    answer = await api.post("/v1/attempts/finish", {"command": command, "delivery": delivery, **end})
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()["result"]
    return result


async def ledger(api: Api, task: dict[str, Any]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await api.get(f"/v1/tasks/{task['id']}/attempts")).json()["items"]
    return items


async def test_start_gives_what_is_to_be_run_and_finish_what_the_workflow_is_told(api: Api) -> None:
    task = await api.report(target=WORKER, error={"type": "TimeoutError", "message": "too slow"})
    command = command_of(task)

    started = await start(api, command, worker="4711@orders-1")
    result = await finish(api, command, answer={**SUCCESS, "from_a_newer_sdk": 1})

    request = started["request"]
    assert (started["delivery"], started["result"]) == (1, None)
    assert (request["task"], request["attempt"], request["executor"]) == (task["id"], 1, "orders.charge")
    assert (request["args"], request["kwargs"]) == (["o-1"], {"amount": 5})
    assert request["last_error"] == {"type": "TimeoutError", "message": "too slow", "stack": None}
    assert (result["kind"], result["status"], result["policy"]) == ("finished", "succeeded", None)
    (attempt,) = await ledger(api, task)
    assert (attempt["status"], attempt["node_id"], attempt["response"]) == ("succeeded", "4711@orders-1", "7")


async def test_arguments_come_as_they_were_reported(api: Api) -> None:
    body = (
        b'{"group": "orders", "scene": "charge-card", "executor": "e", "kwargs": {"b": 10000000000000000000001, '
        b'"a": 0.1}, "target": {"kind": "worker", "task_queue": "q"}, "policy": {"backoff": {"kind": "fixed", '
        b'"delay_seconds": 3600}}}'
    )
    task = (await api.send("/v1/tasks", body)).json()

    request = (await start(api, command_of(task, executor="e")))["request"]

    assert list(request["kwargs"].items()) == [("b", 10000000000000000000001), ("a", 0.1)]


async def test_what_was_said_first_is_told_again(api: Api) -> None:
    command = command_of(await api.report(target=WORKER))
    await start(api, command)
    first = await finish(api, command, answer=SUCCESS)

    assert await finish(api, command, answer={"status": "failed"}) == first
    assert (await start(api, command))["result"] == first


async def test_a_superseded_delivery_is_refused_before_and_after_the_end(api: Api) -> None:
    task = await api.report(target=WORKER)
    command = command_of(task)
    await start(api, command)
    assert (await start(api, command))["delivery"] == 2
    late = {"command": command, "delivery": 1, "answer": {"status": "failed"}}

    refused = problem(await api.post("/v1/attempts/finish", late), 409, "superseded")
    assert "expected delivery 2" in refused["detail"]
    await finish(api, command, 2, answer=SUCCESS)
    problem(await api.post("/v1/attempts/finish", late), 409, "superseded")
    assert [attempt["status"] for attempt in await ledger(api, task)] == ["succeeded"]


@pytest.mark.parametrize(
    ("end", "status", "error"),
    [
        ({"cancelled": True}, "cancelled", "redrive.Cancelled"),
        ({"timed_out": True}, "timed_out", "redrive.Timeout"),
        (
            {"timed_out": True, "answer": {"status": "failed", "logs": [
                {"at": "2026-01-31T12:00:00Z", "level": "INFO", "message": "still here"},
            ]}},
            "timed_out", "redrive.Timeout",
        ),
        ({"answer": {"status": "failed", "error": {"type": "E", "message": "m"}}}, "failed", "E"),
    ],
)  # fmt: skip
async def test_every_end_is_kept(api: Api, end: dict[str, Any], status: str, error: str) -> None:
    task = await api.report(target=WORKER)
    await start(api, command_of(task))
    result = await finish(api, command_of(task), **end)

    (attempt,) = await ledger(api, task)
    assert (result["status"], attempt["status"], attempt["error"]["type"]) == (status, status, error)
    assert len(attempt["logs"]) == len(end.get("answer", {}).get("logs", []))


async def test_an_attempt_that_nobody_ran_is_taken_back(api: Api) -> None:
    task = await api.report(target=WORKER)
    await start(api, command_of(task))
    result = await finish(api, command_of(task), not_taken="no such executor")

    assert (result["kind"], result["why"]) == ("unavailable", "no such executor")
    assert await ledger(api, task) == []
    again = {"command": command_of(task), "delivery": 1, "answer": SUCCESS}
    problem(await api.post("/v1/attempts/finish", again), 409, "superseded")


async def test_a_changed_policy_comes_with_the_result(api: Api) -> None:
    task = await api.report(target=WORKER, policy=None)
    changed = await api.put("/v1/groups/orders/scenes/charge-card/policy", {"policy": {"max_attempts": 7}})
    assert changed.status_code == 200, changed.text
    await start(api, command_of(task))

    result = await finish(api, command_of(task), answer=SUCCESS)

    assert result["policy_version"] == task["policy_version"] + 1
    assert result["policy"]["max_attempts"] == 7


async def test_nothing_starts_when_the_time_is_over_or_the_generation_is_another(api: Api) -> None:
    task = await api.report(target=WORKER)

    late = await start(api, command_of(task, ends_at="2026-01-31T12:00:00Z"))
    other = await start(api, command_of(task, generation=2))

    assert (late["result"]["kind"], late["request"]) == ("late", None)
    assert other["result"]["kind"] == "superseded"
    assert await ledger(api, task) == []


async def test_a_command_with_a_part_that_this_version_does_not_know_is_taken(api: Api) -> None:
    task = await api.report(target=WORKER)

    assert (await start(api, command_of(task, from_a_newer_engine=1)))["delivery"] == 1


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"namespace": "another"}, "command.namespace", "expected 'default', the namespace of the request"),
        ({"group": "another"}, "command.group", "expected 'orders', the task's group, got \"another\""),
        ({"number": 0}, "command.number", "expected at least 1, got 0"),
        ({"version": 2**63}, "command.version", f"expected at most {2**63 - 1}, got {2**63}"),
        ({"task_id": "o-1"}, "command.task_id", 'expected a UUID, got "o-1"'),
        ({"due_at": "soon"}, "command.due_at", "expected an ISO 8601 instant"),
        ({"route": "shortest"}, "command.route", "expected 'round_robin'"),
    ],
)
async def test_an_impossible_command_is_refused(api: Api, changes: dict[str, Any], field: str, message: str) -> None:
    task = await api.report(target=WORKER)
    answer = await api.post("/v1/attempts/start", {"command": command_of(task, **changes)})

    assert fields(problem(answer, 422, "invalid-request"))[field].startswith(message)


async def test_an_attempt_has_one_end(api: Api) -> None:
    task = await api.report(target=WORKER)
    document = {"command": command_of(task), "delivery": 1}

    for end in ({}, {"cancelled": True, "timed_out": True}, {"answer": SUCCESS, "not_taken": "no"}):
        refused = problem(await api.post("/v1/attempts/finish", {**document, **end}), 422, "invalid-request")
        assert "expected one of `answer`, `timed_out`, `cancelled` and `not_taken`" in refused["detail"]
    answer = await api.post("/v1/attempts/finish", {**document, "answer": {"status": "perhaps"}})
    assert "answer.status" in fields(problem(answer, 422, "invalid-request"))


async def test_the_attempts_of_other_targets_are_not_given_away(api: Api) -> None:
    task = await api.report()
    answer = await api.post("/v1/attempts/start", {"command": command_of(task)})

    message = fields(problem(answer, 422, "invalid-request"))["command.task_id"]
    assert message == "expected a task whose target is a worker, got one whose target is a node"


async def test_a_key_opens_the_attempts_of_its_group_alone(api: Api, serve: Serve, database: Database) -> None:
    own, other = await api.report(target=WORKER), await api.report(target=WORKER, group="billing")
    async with database.begin() as session:
        _, key = await keys.create_key(session, name="orders", namespace="default", group="orders")
    orders = (await serve(require_api_key=True)).with_key(key)

    assert (await start(orders, command_of(own)))["delivery"] == 1
    foreign = await orders.post("/v1/attempts/start", {"command": command_of(other)})
    problem(foreign, 403, "out-of-scope")
    pretended = await orders.post("/v1/attempts/start", {"command": command_of(other, group="orders")})
    problem(pretended, 404, "task-not-found")
    ready = {"group": "billing", "task_queue": "orders-retries"}
    problem(await orders.post("/v1/attempts/ready", ready), 403, "out-of-scope")
    problem(await orders.with_key(None).post("/v1/attempts/ready", ready), 401, "api-key-required")
    await orders.client.aclose()


async def test_a_worker_that_comes_while_temporal_is_away_is_told_to_come_again(api: Api, database: Database) -> None:
    task = await api.report(target=WORKER)
    ready = {"group": "orders", "task_queue": "orders-retries"}
    await execute(
        database, "UPDATE tasks SET status = 'parked', parked_for = 'no_node', updated_at = now() - interval '1 minute'"
    )

    other_queue = await api.post("/v1/attempts/ready", {**ready, "task_queue": "others"})
    parked_since = await api.post("/v1/attempts/ready", {**ready, "polling_seconds": 90})
    assert other_queue.json() == parked_since.json() == {"woken": 0, "more": False}
    answer = await api.post("/v1/attempts/ready", ready)
    problem(answer, 503, "engine-unavailable")
    assert task["id"]


async def test_the_result_of_an_ended_generation_is_refused(api: Api, database: Database) -> None:
    """The task was replayed while a worker was still at its old attempt."""
    task = await api.report(target=WORKER)
    await start(api, command_of(task))
    await execute(database, "UPDATE attempts SET status = 'cancelled', finished_at = now()")
    await execute(database, "UPDATE tasks SET status = 'cancelled', finished_at = now()")
    edited = await api.post(f"/v1/tasks/{task['id']}/edit-and-retry", {"payload_patch": {"kwargs": {"amount": 4}}})
    assert edited.json()["generation"] == 2

    late = await api.post("/v1/attempts/finish", {"command": command_of(task), "delivery": 1, "answer": SUCCESS})

    assert "expected generation 2" in problem(late, 409, "superseded")["detail"]
    assert await api.task(task["id"]) == edited.json()
    assert [(item["generation"], item["status"]) for item in await ledger(api, task)] == [(1, "cancelled")]


async def test_a_worker_is_told_where_a_task_has_gone(api: Api) -> None:
    task = await api.report(target=WORKER)
    command = command_of(task, task_queue=WORKER["task_queue"])
    for target, executor in (({"kind": "node"}, "orders.charge"), ({**WORKER, "task_queue": "other"}, "orders.other")):
        await api.patch(f"/v1/tasks/{task['id']}", {"target": target, "executor": executor})

        moved = (await start(api, command))["result"]

        assert (moved["kind"], moved["executor"]) == ("retargeted", executor)
        assert moved["task_queue"] == target.get("task_queue")
        assert moved["target_key"] == "scene:orders/charge-card"
        assert await ledger(api, task) == []
