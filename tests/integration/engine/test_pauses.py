"""Pauses: what they hold, why it is held, and how it goes on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from tests.integration.engine.harness import GROUP, NAMESPACE, SCENE, Platform, webhook
from tests.integration.engine.target import Target

from redrive.core.restraints import LimitSetting, Scope, ScopeKey
from redrive.store import limits, pauses


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


async def test_what_is_parked_by_a_pause_dies_at_its_deadline_and_not_later(idle: Platform, target: Target) -> None:
    task_id = await idle.report(webhook(target.url), delay=1, deadline=datetime.now(UTC) + timedelta(seconds=6))
    await idle.starter.round()
    await pause(idle, "scene", f"{GROUP}/{SCENE}")

    async with idle.worker(), idle.starting():
        parked = await idle.reaches(task_id, "parked")
        task = await idle.ends(task_id)

    assert (parked.parked_for, parked.attempts) == ("pause", 0)
    assert parked.next_attempt_at == parked.deadline
    assert (task.status, task.dead_reason, task.attempts) == ("dead", "expired", 0)
    assert target.calls == []


async def test_no_slot_of_a_limit_lies_after_the_end_of_a_task(idle: Platform, target: Target) -> None:
    async with idle.database.begin() as session:
        setting = LimitSetting(("scene", f"{GROUP}/{SCENE}"), rate=0.001)
        await limits.put_limit(session, NAMESPACE, setting, None)
    deadline = datetime.now(UTC) + timedelta(seconds=6)
    ids = [await idle.report(webhook(target.url), deadline=deadline) for _ in range(2)]

    async with idle.worker(), idle.starting():
        ended = [await idle.ends(task_id) for task_id in ids]

    assert sorted((task.status, task.attempts) for task in ended) == [("dead", 0), ("succeeded", 1)]
    assert len(target.calls) == 1
