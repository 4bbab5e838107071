"""Callbacks: a client hears of a task's end by a task of its own."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest
import standardwebhooks
from sqlalchemy import text
from sqlmodel import col, select
from tests.eventually import eventually
from tests.integration.engine.harness import GROUP, NAMESPACE, NODE, SCENE, Platform, webhook
from tests.integration.engine.target import Reply, Target, answer

from redrive.api.schemas.tasks import TaskSummary
from redrive.core.messages import UPDATE_CANCEL, UPDATE_RETRY, Cancel, RetryNow
from redrive.store import scenes, signing, tasks
from redrive.store.tables import Task
from redrive.workflows.reconciler import Reconciler

CALLBACKS = {"on_success": "orders.charged", "on_dead": "orders.given-up"}


async def test_a_success_is_told_to_the_executor_that_the_report_names(platform: Platform, target: Target) -> None:
    target.say(answer())
    await platform.register(target.url)

    task_id = await platform.report(NODE, callbacks=CALLBACKS)
    await platform.ends(await child(platform, task_id))

    attempt, told = target.calls
    assert attempt.json["executor"] == "orders.charge"
    assert told.json["executor"] == "orders.charged"
    outcome, *args = told.json["args"]
    assert args == ["o-1"]
    assert told.json["kwargs"] == {"amount": 5}
    assert (outcome["task"], outcome["outcome"], outcome["attempts"]) == (str(task_id), "succeeded", 1)


async def test_a_death_is_told_with_its_reason_and_error(platform: Platform, target: Target) -> None:
    target.say(answer("stop", error={"type": "CardStolen", "message": "no"}), answer())
    await platform.register(target.url)

    task_id = await platform.report(NODE, callbacks=CALLBACKS)
    await platform.ends(await child(platform, task_id))

    outcome = target.calls[1].json["args"][0]
    assert target.calls[1].json["executor"] == "orders.given-up"
    assert (outcome["outcome"], outcome["dead_reason"]) == ("dead", "stopped")
    assert outcome["error"] == {"type": "CardStolen", "message": "no"}


async def test_a_callback_fails_and_is_retried_like_any_task_and_has_no_callback_itself(
    platform: Platform, target: Target
) -> None:
    target.say(answer(), answer("stop", error={"type": "E", "message": ""}))
    await platform.register(target.url)

    task_id = await platform.report(NODE, callbacks=CALLBACKS)
    told = await platform.ends(await child(platform, task_id))

    assert (told.status, told.kind, told.parent_id, told.callbacks) == ("dead", "callback", task_id, None)
    async with platform.database.session() as session:
        assert await session.scalar(text("SELECT count(*) FROM tasks")) == 2


async def test_a_webhook_gets_the_event_signed_by_both_live_secrets_in_the_same_bytes_each_time(
    platform: Platform, target: Target
) -> None:
    """Byte for byte what the reference implementation signs."""
    old, new = await secrets_of(platform), await secrets_of(platform, rotate=True)
    assert new[1:] == old
    target.say(Reply(500), Reply(200), Reply(200))
    callbacks = {"on_dead": {"url": f"{target.url}/ended", "headers": {"x-shop": "7"}}}

    task_id = await platform.report(
        webhook(target.url), {"max_attempts": 1}, kwargs={"card": PRIVATE}, callbacks=callbacks, business_key="o-1"
    )
    told_id = await child(platform, task_id)
    await platform.execute("UPDATE tasks SET next_attempt_at = now() WHERE id = :id", id=told_id)
    await platform.reaches_attempts(told_id, 1)
    await platform.update(told_id, UPDATE_RETRY, RetryNow())
    told = await platform.ends(told_id)

    _, first, second = target.calls
    assert (told.status, told.attempts, told.target["url"]) == ("succeeded", 2, f"{target.url}/ended")
    assert first.method == second.method == "POST"
    assert first.body == second.body
    for call in (first, second):
        headers = call.headers
        sent_at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
        expected = [standardwebhooks.Webhook(secret).sign(str(told_id), sent_at, call.body.decode()) for secret in new]
        assert headers["webhook-signature"] == " ".join(expected)
        assert (headers["webhook-id"], headers["x-shop"]) == (str(told_id), "7")
        for secret in new:
            standardwebhooks.Webhook(secret).verify(call.body, dict(headers))
    event = first.json
    task = await platform.task(task_id)
    assert event["type"] == "task.dead"
    assert datetime.fromisoformat(event["timestamp"]) == task.finished_at
    assert event["data"]["outcome"] == {
        "task": str(task_id),
        "generation": 1,
        "scene": SCENE,
        "executor": None,
        "business_key": "o-1",
        "outcome": "dead",
        "dead_reason": "exhausted",
        "why": task.why,
        "attempts": 1,
        "error": {"type": "http.500", "message": "the target answered 500"},
    }
    assert PRIVATE not in first.body.decode()
    # The fields of the resource, without what the receiver has no use for.
    assert set(TaskSummary.model_fields) - set(event["data"]["task"]) <= NOT_TOLD
    assert set(event["data"]["task"]) <= set(TaskSummary.model_fields)


async def test_the_old_secret_ends_at_its_time(platform: Platform, target: Target) -> None:
    (old,), (new, _) = await secrets_of(platform), await secrets_of(platform, rotate=True)
    await platform.execute("UPDATE groups SET previous_secret_until = now() - interval '1 second'")

    await platform.ends(await platform.report(webhook(target.url)))

    call = target.calls[0]
    assert len(call.headers["webhook-signature"].split(" ")) == 1
    standardwebhooks.Webhook(new).verify(call.body, dict(call.headers))
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(old).verify(call.body, dict(call.headers))


async def test_a_cancellation_is_told_with_its_reason(platform: Platform, target: Target) -> None:
    target.say(answer())
    await platform.register(target.url)

    task_id = await platform.report(NODE, delay=600, callbacks={**CALLBACKS, "on_cancelled": "orders.called-off"})
    await platform.started(task_id)
    await platform.update(task_id, UPDATE_CANCEL, Cancel("sold out"))
    await platform.ends(await child(platform, task_id))

    (told,) = target.calls
    outcome, *args = told.json["args"]
    assert (told.json["executor"], args) == ("orders.called-off", ["o-1"])
    assert (outcome["outcome"], outcome["why"], outcome["error"]) == (
        "cancelled",
        "sold out",
        {"type": "TimeoutError", "message": "the call timed out"},
    )


async def test_what_a_report_does_not_say_is_as_its_scene_says_at_the_end(platform: Platform, target: Target) -> None:
    target.say(answer())
    await platform.register(target.url)
    async with platform.database.begin() as session:
        # Also for what is under way already, like the scene's policy.
        callbacks = {"on_success": "of-the-scene", "on_dead": "of-the-scene"}
        settings = {"callbacks": callbacks, "callback_policy": {"max_attempts": 7}}
        await scenes.update_namespace(session, NAMESPACE, {"callback_policy": {"attempt_timeout_seconds": 9}})
        await scenes.update_scene(session, NAMESPACE, GROUP, SCENE, settings)

    silent = await platform.report(NODE)
    own = await platform.report(NODE, callbacks={"on_success": "of-the-report"})
    nobody = await platform.report(NODE, callbacks={"on_success": None})
    told = [await platform.task(await child(platform, task_id)) for task_id in (silent, own)]
    await platform.ends(nobody)

    assert [task.executor for task in told] == ["of-the-scene", "of-the-report"]
    for task in told:
        assert (task.max_attempts, task.policy["attempt_timeout_seconds"]) == (7, 9)
    assert await children(platform, nobody) == []


async def test_each_generation_tells_its_own_end(platform: Platform, target: Target) -> None:
    target.say(answer("stop", error={"type": "E", "message": ""}), answer("stop", error={"type": "E", "message": ""}))
    await platform.register(target.url, executors=("orders.charge",))
    task_id = await platform.report(NODE, callbacks=CALLBACKS)
    dead = await platform.ends(task_id)
    async with platform.database.begin() as session:
        now = datetime.now(UTC)
        again = tasks.Replay(task_id, 1, dead.policy, 1)
        await tasks.replay(session, NAMESPACE, [again], due_at=now, why="again", now=now)

    async def both() -> list[Task] | None:
        found = await children(platform, task_id)
        return found if len(found) == 2 else None

    found = await eventually(both, what="two callbacks") or []
    assert [task.idempotency_key for task in found] == [f"on_dead:{task_id}:1", f"on_dead:{task_id}:2"]


async def test_an_end_that_temporal_makes_is_told_too(alone: Platform, target: Target) -> None:
    task_id = await alone.report(webhook(target.url), delay=600, callbacks={"on_cancelled": "orders.called-off"})
    await alone.starter.round()
    await alone.started(task_id)
    await alone.handle(task_id).terminate()

    async def repaired() -> list[Task]:
        await Reconciler(alone.client, alone.database, grace_seconds=0).round()
        return await children(alone, task_id)

    (told,) = await eventually(repaired, what="the callback")
    assert (told.executor, told.target) == ("orders.called-off", {"kind": "node"})


PRIVATE = "4242-4242"
NOT_TOLD = {"temporal_url", "next_attempt_at", "duplicates", "parked_for", "target_key", "counters", "redrive_id"}


async def secrets_of(platform: Platform, *, rotate: bool = False) -> list[str]:
    async with platform.database.begin() as session:
        if rotate:
            await signing.rotate_secrets(session, NAMESPACE, GROUP, 3600)
        return await signing.live_secrets(session, NAMESPACE, GROUP)


async def children(platform: Platform, task_id: UUID) -> list[Task]:
    async with platform.database.session() as session:
        statement = select(Task).where(col(Task.parent_id) == task_id).order_by(col(Task.id))
        return list((await session.scalars(statement)).all())


async def child(platform: Platform, task_id: UUID) -> UUID:
    """Wait for the callback of a task."""

    async def found() -> UUID | None:
        async with platform.database.session() as session:
            made: UUID | None = await session.scalar(
                text("SELECT id FROM tasks WHERE parent_id = :id"), {"id": task_id}
            )
        return made

    made = await eventually(found, what="the callback")
    assert made is not None
    return made
