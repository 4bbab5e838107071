"""Pauses: what they hold, why it is held, and how it goes on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from tests.integration.engine.harness import GROUP, NAMESPACE, SCENE, Platform, webhook
from tests.integration.engine.target import Target

from redrive.core.restraints import Scope, ScopeKey
from redrive.store import pauses


async def pause(platform: Platform, scope: Scope, key: str, until: datetime | None = None) -> UUID:
    async with platform.database.begin() as session:
        row = await pauses.insert_pause(session, NAMESPACE, scope, key, reason="", author=None, until=until)
    platform.restraints.forget()
    return row.id


async def end(platform: Platform, pause_id: UUID) -> None:
    async with platform.database.begin() as session:
        assert await pauses.delete_pause(session, NAMESPACE, pause_id)
    platform.restraints.forget()


@pytest.mark.parametrize("scope", ["namespace", "group", "scene", "target"])
async def test_what_is_paused_is_not_started_until_the_pause_ends(idle: Platform, target: Target, scope: Scope) -> None:
    keys = {
        "namespace": "",
        "group": GROUP,
        "scene": f"{GROUP}/{SCENE}",
        "target": f"host:{target.url.partition('//')[2]}",
    }
    held = await pause(idle, scope, keys[scope])
    task_id = await idle.report(webhook(target.url))

    assert await idle.starter.round() is False
    assert (await idle.task(task_id)).status == "pending"

    await end(idle, held)
    assert await idle.starter.round() is True
    assert (await idle.task(task_id)).status == "waiting"


async def test_a_pause_of_something_else_holds_nothing_up(idle: Platform, target: Target) -> None:
    others: tuple[ScopeKey, ...] = (("group", "mail"), ("scene", f"{GROUP}/refund"), ("target", "host:api.example"))
    for scope, key in others:
        await pause(idle, scope, key)
    task_id = await idle.report(webhook(target.url))

    assert await idle.starter.round() is True
    assert (await idle.task(task_id)).status == "waiting"


async def test_a_held_task_still_ends_when_its_time_is_over(idle: Platform, target: Target) -> None:
    await pause(idle, "group", GROUP)
    by_deadline = await idle.report(webhook(target.url), deadline=datetime.now(UTC) + timedelta(seconds=1))
    by_policy = await idle.report(webhook(target.url), {"max_elapsed_seconds": 1})
    lives = await idle.report(webhook(target.url))

    async with idle.worker(), idle.starting():
        for task_id in (by_deadline, by_policy):
            task = await idle.ends(task_id)
            assert (task.status, task.dead_reason, task.attempts) == ("dead", "expired", 0)

    assert (await idle.task(lives)).status == "pending"
    assert target.calls == []
