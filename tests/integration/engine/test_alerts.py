"""Alerts from end to end: a death is told by a task of its own, which is retried, and of whose end nobody is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import text
from tests.eventually import eventually
from tests.integration.engine.harness import NAMESPACE, Platform, webhook
from tests.integration.engine.target import Reply, Target, serving

from redrive.api.alerter import Alerter
from redrive.core.alerting import AlertRule
from redrive.core.documents import encode
from redrive.store import alert_notices, alerts
from redrive.store.alert_notices import Delivered
from redrive.store.alert_readings import ALERTS_GROUP
from redrive.store.tables import AlertChannel, AlertNotice

RULE = AlertRule("dead_letter", group_by=("group", "scene"))


async def channel(platform: Platform, url: str, kind: str = "pagerduty") -> AlertChannel:
    settings: Mapping[str, Any] = {"url": url, "routing_key": "s3cret-key"} if kind == "pagerduty" else {"url": url}
    async with platform.database.begin() as session:
        values = {"name": kind, "kind": kind, "settings": settings, "enabled": True}
        row = await alerts.create_channel(session, NAMESPACE, values)
    assert row is not None
    return row


async def watch(platform: Platform, rule: AlertRule, *channels: AlertChannel) -> Alerter:
    """Make a rule, and return what evaluates it."""
    async with platform.database.begin() as session:
        values = {
            "name": "deaths",
            "rule": encode(rule),
            "channels": [str(one.id) for one in channels],
            "enabled": True,
        }
        await alerts.create_rule(session, NAMESPACE, values)
    return Alerter(platform.database, platform.settings)


async def evaluate(platform: Platform, alerter: Alerter) -> list[AlertNotice]:
    """Evaluate the rule now, and return all that it has ever told, the newest first."""
    await platform.execute("UPDATE alert_rules SET due_at = now()")
    assert await alerter.round()
    async with platform.database.session() as session:
        return (await alert_notices.list_notices(session, NAMESPACE))[0]


async def deliveries(platform: Platform, notice: AlertNotice) -> list[Delivered]:
    async with platform.database.session() as session:
        return await alert_notices.list_deliveries(session, [notice.id])


async def dies(platform: Platform, target: Target) -> None:
    target.say(Reply(400, b"the card 4242 was refused"))
    task = await platform.ends(await platform.report(webhook(target.url)))
    assert task.status == "dead"


async def no_secret_anywhere(platform: Platform, task_id: UUID, secret: str) -> None:
    """Look for a secret in the task, its payload, its attempts and its workflow's history."""
    async with platform.database.session() as session:
        for table, column in (("tasks", "id"), ("payloads", "task_id"), ("attempts", "task_id")):
            rows = (await session.execute(text(f"SELECT * FROM {table} WHERE {column} = :id"), {"id": task_id})).all()
            assert rows
            assert secret not in str(rows)
    history = await platform.handle(task_id).fetch_history()
    assert secret not in str(history.to_json())


async def test_a_death_is_told_and_so_is_its_end_after_failures_of_the_channel(
    platform: Platform, target: Target
) -> None:
    async with serving(Target()) as pager:
        pager.say(Reply(500, b"s3cret-key is not welcome"), Reply(202))
        alerter = await watch(platform, RULE, await channel(platform, f"{pager.url}/v2/enqueue"))
        await dies(platform, target)
        (fired,) = await evaluate(platform, alerter)
        (delivery,) = await deliveries(platform, fired)
        # The first delay is seconds long; a person does not wait for it.
        await eventually(lambda: len(pager.calls) == 1, what="the first attempt at the pager")
        await platform.reaches_attempts(delivery.task_id, 1)
        await platform.update(delivery.task_id, "retry", {"author": "test"})
        task = await platform.ends(delivery.task_id)
        assert (task.status, task.attempts, task.kind) == ("succeeded", 2, "alert")

        await platform.execute("UPDATE alert_events SET created_at = now() - interval '1 hour'")
        recovered, _ = await evaluate(platform, alerter)
        (last,) = await deliveries(platform, recovered)
        await platform.ends(last.task_id)

    failed, opened, closed = (call.json for call in pager.calls)
    assert failed == opened
    assert (opened["event_action"], closed["event_action"]) == ("trigger", "resolve")
    assert opened["dedup_key"] == closed["dedup_key"] == fired.incident
    assert opened["payload"]["summary"] == "Firing: Dead letters: orders/charge-card: 1 dead letter"
    assert "4242" not in str(opened)
    await no_secret_anywhere(platform, delivery.task_id, "s3cret-key")


async def test_nobody_is_told_that_nobody_could_be_told(platform: Platform, target: Target) -> None:
    async with serving(Target()) as room:
        room.say(Reply(404, b"no such room"))
        every = replace(RULE, group_by=(), cool_down_seconds=0)
        alerter = await watch(platform, every, await channel(platform, f"{room.url}/s3cret-hook", "slack"))
        await dies(platform, target)
        (fired,) = await evaluate(platform, alerter)
        (delivery,) = await deliveries(platform, fired)
        task = await platform.ends(delivery.task_id)
        assert (task.status, task.dead_reason, task.group) == ("dead", "rejected", ALERTS_GROUP)
        (shown,) = await deliveries(platform, fired)
        assert (shown.status, shown.attempts, shown.error) == ("dead", 1, "http.404: the target answered 404")

        assert await evaluate(platform, alerter) == [fired]
        async with platform.database.session() as session:
            told = await session.scalars(text('SELECT "group" FROM alert_events'))
        assert set(told) == {"orders"}
    await no_secret_anywhere(platform, delivery.task_id, "s3cret-hook")


async def test_a_firing_is_not_delivered_after_its_end(idle: Platform, target: Target) -> None:
    """While nothing is delivered, the alarm fires and ends: the pager must not open what is already over."""
    async with serving(Target()) as pager:
        alerter = await watch(idle, RULE, await channel(idle, f"{pager.url}/v2/enqueue"))
        async with idle.worker(), idle.starting():
            await dies(idle, target)
        (fired,) = await evaluate(idle, alerter)
        await idle.execute("UPDATE alert_events SET created_at = now() - interval '1 hour'")
        recovered, _ = await evaluate(idle, alerter)
        async with idle.worker(), idle.starting():
            for notice in (fired, recovered):
                (delivery,) = await deliveries(idle, notice)
                assert (await idle.ends(delivery.task_id)).status == "succeeded"
    assert [call.json["event_action"] for call in pager.calls] == ["resolve"]
