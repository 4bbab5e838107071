"""Operations on tasks whose workflow has not started, and on tasks that have ended: Temporal is away all the time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.integration.api.client import Api, count, execute, fields, problem

from redrive.store.database import Database


async def act(api: Api, task: dict[str, Any], action: str, document: Any = None) -> dict[str, Any]:
    answer = await api.post(f"/v1/tasks/{task['id']}/{action}", document)
    assert answer.status_code == 200, answer.text
    changed: dict[str, Any] = answer.json()
    assert await api.task(task["id"]) == changed
    return changed


def instant(task: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(task["next_attempt_at"])


async def test_retry_makes_a_pending_task_due_now(api: Api) -> None:
    task = await api.report()

    changed = await act(api, task, "retry", {"reason": "the bank is back"})

    assert changed["status"] == "pending"
    assert instant(changed) <= datetime.now(UTC)
    assert changed["why"] == "the bank is back"


async def test_a_paused_task_keeps_its_due_time_and_goes_on_when_it_is_resumed(api: Api) -> None:
    task = await api.report()

    paused = await act(api, task, "pause")
    resumed = await act(api, task, "resume")

    assert (paused["status"], paused["why"]) == ("paused", "paused by hand")
    assert (resumed["status"], resumed["why"]) == ("pending", "resumed by hand")
    assert task["next_attempt_at"] == paused["next_attempt_at"] == resumed["next_attempt_at"]


async def test_a_paused_task_can_be_retried_rescheduled_and_cancelled(api: Api) -> None:
    task = await api.report()
    await act(api, task, "pause")

    moved = await act(api, task, "reschedule", {"delay_seconds": 60})
    retried = await act(api, task, "retry")
    await act(api, task, "pause")
    cancelled = await act(api, task, "cancel")

    assert moved["status"] == "paused"
    assert abs(instant(moved) - datetime.now(UTC) - timedelta(seconds=60)) < timedelta(seconds=30)
    assert retried["status"] == "pending"
    assert cancelled["status"] == "cancelled"
    assert cancelled["next_attempt_at"] is None
    assert cancelled["finished_at"] is not None


async def test_a_task_is_rescheduled_to_an_instant(api: Api) -> None:
    task = await api.report()
    at = (datetime.now(UTC) + timedelta(minutes=10)).replace(microsecond=0)

    assert instant(await act(api, task, "reschedule", {"at": at.isoformat(), "reason": "later"})) == at


BAD_TIMES: list[tuple[Any, ...]] = [
    ({}, "at"),
    ({"at": "2040-01-01T00:00:00Z", "delay_seconds": 5}, "at"),
    ({"at": "soon"}, "at"),
    ({"delay_seconds": -5}, "delay_seconds"),
    ({"next_attempt_at": "2040-01-01T00:00:00Z"}, "next_attempt_at"),
]


async def test_a_reschedule_without_one_time_is_refused(api: Api, subtests: pytest.Subtests) -> None:
    for document, field in BAD_TIMES:
        with subtests.test(document=str(document)[:80], field=str(field)[:80]):
            task = await api.report()

            answer = await api.post(f"/v1/tasks/{task['id']}/reschedule", document)

            assert field in fields(problem(answer, 422, "invalid-request"))
            assert await api.task(task["id"]) == task


async def test_a_task_cannot_be_rescheduled_past_its_end(api: Api) -> None:
    task = await api.report(deadline=(datetime.now(UTC) + timedelta(hours=2)).isoformat())

    answer = await api.post(f"/v1/tasks/{task['id']}/reschedule", {"delay_seconds": 10_000})

    assert "before the task's end" in problem(answer, 409, "refused")["detail"]


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (["pause"], "pause", "paused already"),
        ([], "resume", "only a paused task can be resumed"),
        (["cancel"], "cancel", "it can be retried, edited or deleted"),
        (["cancel"], "pause", "it is cancelled"),
        (["cancel"], "resume", "it is cancelled"),
    ],
)
async def test_an_operation_that_the_state_does_not_allow_says_what_is_possible(
    api: Api, first: list[str], second: str, words: str
) -> None:
    task = await api.report()
    for action in first:
        await act(api, task, action)

    assert words in problem(await api.post(f"/v1/tasks/{task['id']}/{second}"), 409, "wrong-state")["detail"]


async def test_a_succeeded_task_can_only_be_deleted(api: Api, database: Database) -> None:
    task = await api.report()
    await execute(database, "UPDATE tasks SET status = 'succeeded', finished_at = now(), next_attempt_at = NULL")

    for action in ("retry", "pause", "resume", "cancel"):
        document = problem(await api.post(f"/v1/tasks/{task['id']}/{action}"), 409, "wrong-state")
        assert document["detail"] == "the task has ended, it is succeeded: it can only be deleted"
    problem(await api.patch(f"/v1/tasks/{task['id']}", {"args": []}), 409, "wrong-state")
    assert (await api.patch(f"/v1/tasks/{task['id']}", {"metadata": {"seen": True}})).status_code == 200
    assert (await api.delete(f"/v1/tasks/{task['id']}")).status_code == 204


async def test_ends_without_a_workflow_are_told(api: Api, database: Database) -> None:
    """A task that is cancelled before its start, and one whose time is over when it is reported."""
    told = {"on_cancelled": {"url": "https://example.com/hook"}, "on_dead": "orders.given-up"}
    tasks = [
        await api.report(callbacks=told, business_key="o-1"),
        await api.report(callbacks=told, delay_seconds=7200, policy={"max_elapsed_seconds": 60}),
    ]
    await act(api, tasks[0], "cancel", {"reason": "sold out"})

    made: list[dict[str, Any]] = []
    for task in tasks:
        (child,) = (await api.get("/v1/tasks", parent_id=task["id"])).json()["items"]
        made.append(await api.task(child["id"]))

    assert tasks[0]["callbacks"] == {
        "on_cancelled": {"url": "https://example.com/hook", "headers": {}},
        "on_dead": "orders.given-up",
    }
    cancelled, dead = made
    assert (cancelled["kind"], cancelled["parent_id"], cancelled["business_key"]) == ("callback", tasks[0]["id"], "o-1")
    assert cancelled["target"]["url"] == "https://example.com/hook"
    assert cancelled["body"]["type"] == "task.cancelled"
    assert cancelled["body"]["data"]["task"]["why"] == "sold out"
    assert (dead["executor"], dead["args"][0]["dead_reason"], dead["args"][1:]) == (
        "orders.given-up",
        "expired",
        ["o-1"],
    )
    await act(api, cancelled, "cancel")
    assert await count(database) == 4, "a callback has no callback"


async def test_only_an_ended_task_can_be_deleted_and_all_of_it_goes(api: Api, database: Database) -> None:
    task = await api.report()
    assert "cancel it first" in problem(await api.delete(f"/v1/tasks/{task['id']}"), 409, "wrong-state")["detail"]

    await act(api, task, "cancel")
    answer = await api.delete(f"/v1/tasks/{task['id']}")

    assert answer.status_code == 204
    assert answer.content == b""
    assert await count(database) + await count(database, "payloads") == 0
    problem(await api.get(f"/v1/tasks/{task['id']}"), 404, "task-not-found")


async def test_retrying_an_ended_task_begins_its_next_generation_under_the_present_policy(api: Api) -> None:
    task = await api.report(policy={"max_attempts": 5})
    await act(api, task, "cancel")
    await api.put("/v1/groups/orders/scenes/charge-card/policy", {"policy": {"attempt_timeout_seconds": 9}})

    replayed = await act(api, task, "retry", {"reason": "fixed"})

    assert (replayed["status"], replayed["generation"], replayed["attempts"]) == ("pending", 2, 0)
    assert (replayed["policy"]["attempt_timeout_seconds"], replayed["policy"]["max_attempts"]) == (9, 5)
    assert (replayed["policy_version"], replayed["why"], replayed["finished_at"]) == (2, "fixed", None)
    assert replayed["workflow_id"] == f"redrive/default/{task['id']}/2"
    assert instant(replayed) <= datetime.now(UTC)


async def test_two_people_who_retry_a_dead_task_begin_one_generation(api: Api) -> None:
    task = await api.report()
    await act(api, task, "cancel")

    answers = await asyncio.gather(*(api.post(f"/v1/tasks/{task['id']}/retry") for _ in range(6)))

    assert {answer.status_code for answer in answers} == {200}, "the later ones retry what is pending again"
    assert (await api.task(task["id"]))["generation"] == 2


async def test_a_task_past_its_deadline_is_retried_only_with_a_later_one(api: Api, database: Database) -> None:
    task = await api.report(deadline=(datetime.now(UTC) + timedelta(hours=2)).isoformat())
    await act(api, task, "cancel")
    await execute(database, "UPDATE tasks SET deadline = now() - interval '1 second'")

    assert "PATCH" in problem(await api.post(f"/v1/tasks/{task['id']}/retry"), 409, "wrong-state")["detail"]
    assert (await api.patch(f"/v1/tasks/{task['id']}", {"deadline": None})).status_code == 200
    assert (await act(api, task, "retry"))["generation"] == 2


async def test_a_task_whose_policy_no_longer_fits_is_retried_after_it_is_changed(api: Api) -> None:
    task = await api.report(policy={"backoff": {"kind": "exponential", "initial_seconds": 100}})
    await act(api, task, "cancel")
    policy = {"backoff": {"kind": "exponential", "max_seconds": 50}}
    await api.put("/v1/groups/orders/scenes/charge-card/policy", {"policy": policy})

    assert "max_seconds" in problem(await api.post(f"/v1/tasks/{task['id']}/retry"), 409, "wrong-state")["detail"]
    await api.patch(f"/v1/tasks/{task['id']}", {"policy": None})
    assert (await act(api, task, "retry"))["policy"]["backoff"]["max_seconds"] == 50


async def test_a_started_task_needs_temporal(api: Api, database: Database) -> None:
    task = await api.report()
    await execute(database, "UPDATE tasks SET status = 'waiting', mirror_version = 1")

    answer = await api.post(f"/v1/tasks/{task['id']}/pause")

    problem(answer, 503, "engine-unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert (await api.task(task["id"]))["status"] == "waiting"


async def test_a_task_that_a_starter_holds_is_waited_for(api: Api, database: Database) -> None:
    """The starter is just starting its workflow: a change of the row would not reach it."""
    task = await api.report()
    await execute(database, "UPDATE tasks SET claimed_until = now() + interval '1 hour'")

    pausing = asyncio.create_task(api.post(f"/v1/tasks/{task['id']}/pause"))
    retrying = asyncio.create_task(api.patch(f"/v1/tasks/{task['id']}", {"business_key": "b"}))
    done, _ = await asyncio.wait([pausing, retrying], timeout=0.3)
    assert not done
    await execute(database, "UPDATE tasks SET claimed_until = NULL")

    assert (await pausing).json()["status"] == "paused"
    assert (await retrying).json()["business_key"] == "b"


async def test_a_patch_changes_what_is_given_and_nothing_else(api: Api) -> None:
    task = await api.report(business_key="b", metadata={"a": 1})

    answer = await api.patch(
        f"/v1/tasks/{task['id']}", {"policy": {"max_attempts": 3}, "metadata": {"c": 2}, "reason": "by Ann"}
    )

    changed = answer.json()
    assert answer.status_code == 200, answer.text
    assert (changed["max_attempts"], changed["policy"]["max_attempts"]) == (3, 3)
    assert changed["policy_override"] == {"max_attempts": 3}
    assert changed["policy"]["backoff"]["kind"] == "exponential", "the task's own parts were replaced"
    assert (changed["metadata"], changed["business_key"], changed["why"]) == ({"c": 2}, "b", "by Ann")
    assert (changed["status"], changed["next_attempt_at"]) == (task["status"], task["next_attempt_at"])


async def test_an_edited_payload_is_a_new_revision_and_the_report_stays_known(api: Api, database: Database) -> None:
    task = await api.report(idempotency_key="k")

    edited = (await api.patch(f"/v1/tasks/{task['id']}", {"kwargs": {"amount": 4, "nul": "\x00"}})).json()
    again = await api.report(idempotency_key="k")

    assert (edited["args"], edited["kwargs"]) == (["o-1"], {"amount": 4, "nul": "\x00"})
    assert edited["payload_revision"] == 2
    assert again["duplicate"] is True, "the client that repeats its report is told that it is known"
    assert await count(database, "payloads") == 2


BAD_PATCHES: list[tuple[Any, ...]] = [
    ({}, ""),
    ({"reason": "nothing to change"}, ""),
    ({"status": "dead"}, "status"),
    ({"policy": {"max_attempts": 0}}, "policy.max_attempts"),
    ({"body": 5}, "body"),
    ({"metadata": {"\x00": 1}}, "metadata"),
    ({"metadata": None}, "metadata"),
    ({"deadline": "2020-01-01T00:00:00Z"}, "deadline"),
    ({"business_key": ""}, "business_key"),
]


async def test_a_bad_patch_changes_nothing(api: Api, subtests: pytest.Subtests) -> None:
    for change, field in BAD_PATCHES:
        with subtests.test(change=str(change)[:80], field=str(field)[:80]):
            task = await api.report()

            answer = await api.patch(f"/v1/tasks/{task['id']}", change)

            assert field in fields(problem(answer, 422, "invalid-request"))
            assert await api.task(task["id"]) == task


async def test_a_running_task_keeps_its_payload(api: Api, database: Database) -> None:
    task = await api.report()
    await execute(database, "UPDATE tasks SET status = 'running', mirror_version = 1, next_attempt_at = NULL")

    answer = await api.patch(f"/v1/tasks/{task['id']}", {"args": []})

    assert "pause the task" in problem(answer, 409, "wrong-state")["detail"]
    problem(await api.patch(f"/v1/tasks/{task['id']}", {"deadline": None}), 409, "wrong-state")
