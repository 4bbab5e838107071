"""Callbacks: a client hears of a task's end by a task of its own."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import text
from tests.eventually import eventually
from tests.integration.engine.harness import NODE, Platform
from tests.integration.engine.target import Target, answer

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
