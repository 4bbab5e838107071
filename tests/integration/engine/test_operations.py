"""Operations by hand, as Temporal updates, in each state that a task can be in when they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from tests.eventually import eventually
from tests.integration.engine.harness import NODE, QUICK, Platform, webhook
from tests.integration.engine.target import Gate, Reply, Target

from redrive.api.engine import UpdateRefused, WorkflowGone
from redrive.core.messages import Cancel, ChangePolicy, Pause, Reschedule, Resume, RetryNow, workflow_id

LATER = datetime(2099, 1, 1, tzinfo=UTC)
SLOW = {"backoff": {"kind": "fixed", "delay_seconds": 600, "jitter": {"kind": "none"}}, "max_elapsed_seconds": None}

ARGUMENTS: dict[str, Any] = {
    "retry": RetryNow("asked to"),
    "pause": Pause("asked to"),
    "resume": Resume("asked to"),
    "cancel": Cancel("asked to"),
    "reschedule": Reschedule(LATER.isoformat(), "asked to"),
    "change_policy": ChangePolicy({**QUICK, **SLOW, "max_attempts": 7}, 9),
}


@dataclass
class Situation:
    """Brings a task into a state."""

    platform: Platform
    target: Target
    gate: Gate

    async def task(self, state: str) -> UUID:
        platform, gate = self.platform, self.gate
        match state:
            case "delayed":
                task_id = await platform.report(webhook(self.target.url), SLOW, delay=600)
                await platform.started(task_id)
            case "waiting":
                self.target.say(Reply(500), Reply(200))
                task_id = await platform.report(webhook(self.target.url), SLOW)
                await platform.reaches_attempts(task_id, 1)
            case "in flight":
                self.target.say(Reply(200, until=gate))
                task_id = await platform.report(webhook(self.target.url), SLOW)
                await self.target.called()
            case "paused":
                task_id = await self.task("delayed")
                await platform.update(task_id, "pause", Pause())
            case "parked":
                task_id = await platform.report(NODE, SLOW)
                await platform.reaches(task_id, "parked")
            case _:
                task_id = await platform.report(webhook(self.target.url))
                await platform.ends(task_id)
        return task_id


@pytest.fixture
async def situation(platform: Platform, target: Target) -> AsyncIterator[Situation]:
    gate = Gate()
    yield Situation(platform, target, gate)
    gate.open()


@pytest.mark.parametrize(
    ("operation", "state", "status"),
    [
        ("retry", "delayed", "waiting"),
        ("retry", "waiting", "waiting"),
        ("retry", "paused", "waiting"),
        ("retry", "parked", "waiting"),
        ("pause", "delayed", "paused"),
        ("pause", "waiting", "paused"),
        ("pause", "in flight", "running"),
        ("pause", "parked", "paused"),
        ("resume", "paused", "waiting"),
        ("cancel", "delayed", "cancelled"),
        ("cancel", "waiting", "cancelled"),
        ("cancel", "in flight", "cancelled"),
        ("cancel", "paused", "cancelled"),
        ("cancel", "parked", "cancelled"),
        ("reschedule", "delayed", "waiting"),
        ("reschedule", "waiting", "waiting"),
        ("reschedule", "paused", "paused"),
        ("reschedule", "parked", "waiting"),
        ("change_policy", "delayed", "waiting"),
        ("change_policy", "waiting", "waiting"),
        ("change_policy", "in flight", "running"),
        ("change_policy", "paused", "paused"),
        ("change_policy", "parked", "parked"),
    ],
)
async def test_an_accepted_operation_shows_in_the_mirror_before_its_caller_is_told(
    situation: Situation, operation: str, state: str, status: str
) -> None:
    platform = situation.platform
    task_id = await situation.task(state)
    view = await platform.update(task_id, operation, ARGUMENTS[operation])
    task = await platform.task(task_id)

    # What was asked for may be over by now: a retried task runs at once.
    passing = operation == "retry"
    assert passing or view.status == task.status == status
    if operation == "reschedule":
        assert task.next_attempt_at == LATER
    if operation == "change_policy" and state != "in flight":
        assert (task.max_attempts, task.policy["max_attempts"], task.policy_version) == (7, 7, 9)
    if operation not in ("retry", "change_policy") and state != "in flight":
        assert task.why == "asked to"
    if operation == "retry" and state != "parked":
        assert (await platform.ends(task_id)).status == "succeeded"
        assert (await platform.ledger(task_id))[-1].trigger == "manual"
    if operation == "cancel":
        await platform.ends(task_id)


@pytest.mark.parametrize(
    ("operation", "state", "message"),
    [
        ("retry", "in flight", "attempt 1 is in flight"),
        ("reschedule", "in flight", "attempt 1 is in flight"),
        ("pause", "paused", "the task is paused already"),
        ("resume", "delayed", "only a paused task can be resumed, and this one is waiting"),
        ("resume", "waiting", "only a paused task can be resumed, and this one is waiting"),
        ("resume", "in flight", "only a paused task can be resumed, and this one is running"),
        ("resume", "parked", "only a paused task can be resumed, and this one is parked"),
    ],
)
async def test_an_operation_that_makes_no_sense_is_refused_with_a_reason(
    situation: Situation, operation: str, state: str, message: str
) -> None:
    task_id = await situation.task(state)
    before = await situation.platform.task(task_id)

    with pytest.raises(UpdateRefused, match=message):
        await situation.platform.update(task_id, operation, ARGUMENTS[operation])
    assert await situation.platform.task(task_id) == before


@pytest.mark.parametrize("operation", sorted(ARGUMENTS))
async def test_a_task_that_has_ended_takes_no_operation(situation: Situation, operation: str) -> None:
    task_id = await situation.task("ended")

    with pytest.raises(WorkflowGone, match="completed"):
        await situation.platform.update(task_id, operation, ARGUMENTS[operation])


async def test_a_policy_that_cannot_be_applied_is_refused(situation: Situation) -> None:
    task_id = await situation.task("delayed")

    with pytest.raises(UpdateRefused, match="max_attempts: expected a whole number"):
        await situation.platform.update(task_id, "change_policy", ChangePolicy({"max_attempts": 0}, 2))


@pytest.mark.parametrize(
    ("due_at", "message"),
    [
        ("2099-01-01T00:00:00", "with its offset from UTC"),
        ("2099-01-01T00:00:00+00:00", "before the task's end"),
    ],
)
async def test_a_time_that_cannot_be_kept_is_refused(
    platform: Platform, target: Target, due_at: str, message: str
) -> None:
    task_id = await platform.report(webhook(target.url), delay=60)
    await platform.started(task_id)

    with pytest.raises(UpdateRefused, match=message):
        await platform.update(task_id, "reschedule", Reschedule(due_at))


async def test_a_paused_task_waits_past_its_time_and_runs_when_it_is_resumed(
    platform: Platform, target: Target
) -> None:
    task_id = await platform.report(webhook(target.url), delay=0.5)
    await platform.started(task_id)
    await platform.update(task_id, "pause", Pause())
    other = await platform.report(webhook(target.url), delay=0.8)
    await platform.ends(other)
    held = await platform.task(task_id)
    await platform.update(task_id, "resume", Resume())
    task = await platform.ends(task_id)

    assert (held.status, held.attempts) == ("paused", 0)
    assert task.status == "succeeded"


async def test_a_task_paused_in_flight_is_held_after_its_attempt(platform: Platform, target: Target) -> None:
    gate = Gate()
    target.say(Reply(500, until=gate), Reply(200))
    task_id = await platform.report(webhook(target.url))
    await target.called()
    await platform.update(task_id, "pause", Pause())
    gate.open()
    held = await platform.reaches(task_id, "paused")
    await platform.update(task_id, "resume", Resume())
    task = await platform.ends(task_id)

    assert held.attempts == 1
    assert (task.status, task.attempts) == ("succeeded", 2)


async def test_a_policy_changed_in_flight_decides_about_that_attempt(platform: Platform, target: Target) -> None:
    gate = Gate()
    target.say(Reply(500, until=gate))
    task_id = await platform.report(webhook(target.url), SLOW)
    await target.called()
    policy = (await platform.task(task_id)).policy
    await platform.update(task_id, "change_policy", ChangePolicy({**policy, "max_attempts": 1}, 1))
    gate.open()
    task = await platform.ends(task_id)

    assert (task.status, task.dead_reason, task.max_attempts) == ("dead", "exhausted", 1)


async def test_a_changed_policy_plans_the_waiting_attempt_anew(situation: Situation) -> None:
    task_id = await situation.task("waiting")
    policy = (await situation.platform.task(task_id)).policy
    quick = {**policy, "backoff": {"kind": "fixed", "delay_seconds": 0}}
    await situation.platform.update(task_id, "change_policy", ChangePolicy(quick, 1))
    task = await situation.platform.ends(task_id)

    assert (task.status, task.attempts) == ("succeeded", 2)


async def test_a_changed_policy_leaves_a_time_that_a_person_has_set(situation: Situation) -> None:
    task_id = await situation.task("waiting")
    await situation.platform.update(task_id, "reschedule", ARGUMENTS["reschedule"])
    policy = (await situation.platform.task(task_id)).policy
    await situation.platform.update(
        task_id, "change_policy", ChangePolicy({**policy, "backoff": {"kind": "fixed", "delay_seconds": 0}}, 1)
    )

    assert (await situation.platform.task(task_id)).next_attempt_at == LATER


async def test_cancelling_reaches_the_attempt_in_flight_of_a_webhook(situation: Situation) -> None:
    task_id = await situation.task("in flight")
    view = await situation.platform.update(task_id, "cancel", Cancel("no longer wanted"))
    task = await situation.platform.ends(task_id)

    (attempt,) = await situation.platform.ledger(task_id)
    await eventually(lambda: situation.target.calls[0].closed_early)
    assert (view.status, task.status, task.why, task.attempts) == ("cancelled", "cancelled", "no longer wanted", 1)
    assert (attempt.status, attempt.error_type) == ("cancelled", "redrive.Cancelled")


async def test_cancelling_tells_the_node_that_runs_the_attempt(platform: Platform, target: Target) -> None:
    target.say(Reply(until=Gate()))
    await platform.register(target.url)
    task_id = await platform.report(NODE)
    await target.called()
    await platform.update(task_id, "cancel", Cancel())
    task = await platform.ends(task_id)

    assert task.status == "cancelled"
    assert target.cancels == [{"task": str(task_id), "generation": 1, "attempt": 1}]


async def test_an_answer_that_overtakes_the_cancellation_counts(platform: Platform, target: Target) -> None:
    """The call has been made; to say that it was not would be a lie."""
    gate = Gate()
    target.say(Reply(200, until=gate))
    task_id = await platform.report(webhook(target.url))
    await target.called()
    gate.open()
    await eventually(lambda: target.open == 0)
    await platform.handle(task_id).cancel()
    task = await platform.ends(task_id)
    (attempt,) = await platform.ledger(task_id)

    assert (task.status == "succeeded") == (attempt.status == "succeeded")


@pytest.mark.parametrize("state", ["delayed", "waiting", "in flight", "paused", "parked"])
async def test_a_workflow_cancelled_in_temporal_ends_its_task_as_cancelled(situation: Situation, state: str) -> None:
    task_id = await situation.task(state)
    await situation.platform.handle(task_id).cancel()
    task = await situation.platform.ends(task_id)

    assert (task.status, task.why) == ("cancelled", "the workflow was cancelled in Temporal")


async def test_many_operations_at_once_leave_one_state(situation: Situation) -> None:
    platform = situation.platform
    task_id = await situation.task("delayed")
    names = ["pause", "resume", "reschedule", "change_policy", "pause", "resume"]
    results = await asyncio.gather(
        *(platform.update(task_id, name, ARGUMENTS[name]) for name in names), return_exceptions=True
    )
    row = await platform.task(task_id)
    view = await platform.update(task_id, "change_policy", ARGUMENTS["change_policy"])

    assert all(not isinstance(result, BaseException) or isinstance(result, UpdateRefused) for result in results)
    assert view.status == row.status


async def test_what_a_person_did_is_kept_when_nobody_lives_to_hear_it(idle: Platform, target: Target) -> None:
    """An update without a worker is not stored anywhere: its caller is told so, and the task is unchanged."""
    task_id = await idle.report(webhook(target.url), delay=60)
    async with idle.starting():
        await idle.started(task_id)
    handle = idle.client.get_workflow_handle(workflow_id("default", str(task_id), 1))
    assert (await handle.describe()).execution_time is not None

    with pytest.raises(Exception, match="no worker answered within"):
        await idle.update(task_id, "pause", Pause())
    async with idle.worker():
        view = await idle.update(task_id, "cancel", Cancel())
    assert view.status == "cancelled"
