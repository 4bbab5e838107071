"""What a second report of a key does to a task whose workflow runs."""

from __future__ import annotations

from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from tests.eventually import eventually
from tests.integration.engine.harness import Platform, webhook
from tests.integration.engine.target import Gate, Reply, Target

from redrive.core.messages import UPDATE_PAUSE, Pause
from redrive.store import blocks

SOON: dict[str, Any] = {"backoff": {"kind": "fixed", "delay_seconds": 0.05, "jitter": {"kind": "none"}}}


async def report(platform: Platform, target: Target, block: str, amount: int, delay: float = 0) -> UUID:
    return await platform.report(
        webhook(target.url), SOON, delay=delay, kwargs={"amount": amount}, args=[], idempotency_key="k", block=block
    )


def amounts(target: Target) -> list[int]:
    return [call.json["amount"] for call in target.calls]


async def test_an_overlay_of_a_waiting_task_runs_with_the_new_payload_alone(platform: Platform, target: Target) -> None:
    task_id = await report(platform, target, "overlay", 1, delay=3600)
    await platform.started(task_id)

    assert await report(platform, target, "overlay", 2) == task_id
    task = await platform.ends(task_id)

    assert (task.status, task.generation, task.payload_revision) == ("succeeded", 2, 2)
    assert amounts(target) == [2]
    await eventually(lambda: platform.closed(task_id, 1), what="the end of the replaced workflow")


async def test_an_overlay_of_a_running_attempt_refuses_its_result_and_runs_after_it(
    platform: Platform, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "SETTLE_SECONDS", 3.0)
    held = Gate()
    target.say(Reply(200, until=held), Reply(200))
    task_id = await report(platform, target, "overlay", 1)
    await target.called()

    await report(platform, target, "overlay", 2)
    held.open()
    task = await platform.ends(task_id)

    first, second = await platform.ledger(task_id)
    assert (task.status, task.generation) == ("succeeded", 2)
    assert (first.generation, first.status, first.error_type) == (1, "cancelled", "redrive.Replaced")
    assert (second.generation, second.status) == (2, "succeeded")
    assert amounts(target) == [1, 2]
    await eventually(lambda: platform.closed(task_id, 1), what="the end of the replaced workflow")


async def test_a_paused_task_stays_paused_when_it_is_replaced(platform: Platform, target: Target) -> None:
    task_id = await report(platform, target, "overlay", 1, delay=3600)
    await platform.started(task_id)
    await platform.update(task_id, UPDATE_PAUSE, Pause())

    await report(platform, target, "overlay", 2)

    task = await platform.task(task_id)
    assert (task.status, task.generation, task.payload_revision) == ("paused", 2, 2)


async def test_enqueued_reports_run_one_after_the_other_in_their_order(platform: Platform, target: Target) -> None:
    """The end of one starts the next in the same transaction: success, and death as well."""
    held = Gate()
    target.say(Reply(200, until=held), Reply(400), Reply(200))
    ids = [await report(platform, target, "enqueue", amount) for amount in (1, 2, 3)]
    await target.called()
    assert [(await platform.task(task_id)).status for task_id in ids[1:]] == ["pending", "pending"]

    held.open()
    ended = [await platform.ends(task_id) for task_id in ids]

    assert [task.status for task in ended] == ["succeeded", "dead", "succeeded"]
    assert amounts(target) == [1, 2, 3]
    for before, after in pairwise(ended):
        (attempt,) = await platform.ledger(after.id)
        assert before.finished_at is not None
        assert before.finished_at <= attempt.started_at
