"""One task's life, from the report to its end: what the target sees, and what the ledger says."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from tests.integration.engine.harness import NODE, QUICK, Platform, webhook
from tests.integration.engine.target import Reply, Target, answer

from redrive.core.messages import ChangePolicy


async def test_a_task_that_succeeds_at_once_has_one_attempt(platform: Platform, target: Target) -> None:
    task_id = await platform.report(webhook(target.url), kwargs={"amount": 5})
    task = await platform.ends(task_id)

    (attempt,) = await platform.ledger(task_id)
    assert (task.status, task.attempts, task.next_attempt_at) == ("succeeded", 1, None)
    assert (attempt.status, attempt.http_status, attempt.response, attempt.trigger) == ("succeeded", 200, "{}", "timer")
    assert attempt.url == f"{target.url}/hook"
    assert task.why == attempt.why == "default for succeeded HTTP 200"
    assert [call.json for call in target.calls] == [{"amount": 5}]


async def test_a_task_that_fails_twice_says_why_each_delay_is_what_it_is(platform: Platform, target: Target) -> None:
    target.say(Reply(500, b"first"), Reply(503, b"second"), Reply(200))
    task_id = await platform.report(webhook(target.url))
    task = await platform.ends(task_id)

    ledger = await platform.ledger(task_id)
    assert (task.status, task.attempts) == ("succeeded", 3)
    assert [(attempt.number, attempt.status, attempt.http_status) for attempt in ledger] == [
        (1, "failed", 500),
        (2, "failed", 503),
        (3, "succeeded", 200),
    ]
    assert [attempt.why for attempt in ledger[:2]] == ["fixed 0.05 s"] * 2
    assert [attempt.delay_seconds for attempt in ledger] == [0.05, 0.05, None]
    assert [attempt.next_attempt_at for attempt in ledger[:2]] == [attempt.due_at for attempt in ledger[1:]]
    assert [attempt.response for attempt in ledger[:2]] == ["first", "second"]
    assert task.error_message == "the target answered 503", "the last failure stays visible"


async def test_the_first_attempt_waits_for_its_first_delay(platform: Platform, target: Target) -> None:
    task_id = await platform.report(webhook(target.url), delay=0.7)
    before = await platform.task(task_id)
    await platform.ends(task_id)

    (attempt,) = await platform.ledger(task_id)
    assert attempt.due_at == before.next_attempt_at
    assert attempt.started_at >= attempt.due_at


async def test_a_task_whose_attempts_are_spent_is_dead_of_exhaustion(platform: Platform, target: Target) -> None:
    target.say(Reply(500))
    task = await platform.ends(await platform.report(webhook(target.url)))

    assert (task.status, task.dead_reason, task.attempts) == ("dead", "exhausted", 3)
    assert task.why == "attempt 3 of 3 failed"
    assert len(target.calls) == 3


@pytest.mark.parametrize("status", [400, 401, 404, 410, 422])
async def test_an_answer_that_retrying_cannot_cure_is_dead_at_once(
    platform: Platform, target: Target, status: int
) -> None:
    target.say(Reply(status))
    task = await platform.ends(await platform.report(webhook(target.url)))

    assert (task.status, task.dead_reason, task.attempts) == ("dead", "rejected", 1)


async def test_the_stop_header_of_a_webhook_stops_the_task(platform: Platform, target: Target) -> None:
    target.say(Reply(500, headers={"redrive-stop": "true"}))
    task = await platform.ends(await platform.report(webhook(target.url)))

    assert (task.status, task.dead_reason, task.attempts) == ("dead", "stopped", 1)


async def test_a_node_can_stop_its_task(platform: Platform, target: Target) -> None:
    target.say(answer("stop", error={"type": "app.Closed", "message": "the account is closed", "stack": "line 1"}))
    await platform.register(target.url)
    task = await platform.ends(await platform.report(NODE))

    assert (task.status, task.dead_reason) == ("dead", "stopped")
    assert (task.error_type, task.error_message, task.error_stack) == (
        "app.Closed",
        "the account is closed",
        "line 1",
    )


async def test_no_attempt_is_planned_past_the_deadline(platform: Platform, target: Target) -> None:
    target.say(Reply(500))
    policy = {"backoff": {"kind": "fixed", "delay_seconds": 60, "jitter": {"kind": "none"}}}
    deadline = datetime.now(UTC) + timedelta(seconds=30)
    task = await platform.ends(await platform.report(webhook(target.url), policy, deadline=deadline))

    assert (task.status, task.dead_reason, task.attempts) == ("dead", "expired", 1)
    assert "after the deadline at" in task.why


async def test_no_attempt_is_planned_past_the_longest_life(platform: Platform, target: Target) -> None:
    target.say(Reply(500))
    policy = {
        "backoff": {"kind": "fixed", "delay_seconds": 60, "jitter": {"kind": "none"}},
        "max_elapsed_seconds": 30,
    }
    task = await platform.ends(await platform.report(webhook(target.url), policy))

    assert (task.status, task.dead_reason, task.attempts) == ("dead", "expired", 1)
    assert "after the limit of 30 s" in task.why


async def test_a_deadline_that_passes_before_the_first_attempt_spends_none(idle: Platform, target: Target) -> None:
    """As after an outage: the starter comes too late."""
    deadline = datetime.now(UTC)
    task_id = await idle.report(webhook(target.url), deadline=deadline)
    async with idle.worker(), idle.starting():
        task = await idle.ends(task_id)

    assert (task.status, task.dead_reason, task.attempts) == ("dead", "expired", 0)
    assert target.calls == []
    assert await idle.ledger(task_id) == []


async def test_a_parked_task_expires_when_its_time_is_over(platform: Platform) -> None:
    task_id = await platform.report(NODE, {"max_elapsed_seconds": 1.5})
    await platform.reaches(task_id, "parked")
    task = await platform.ends(task_id)

    assert (task.status, task.dead_reason, task.attempts) == ("dead", "expired", 0)


@pytest.mark.parametrize("kind", ["webhook", "node"])
async def test_retry_after_lengthens_the_delay(platform: Platform, target: Target, kind: str) -> None:
    if kind == "webhook":
        target.say(Reply(503, headers={"retry-after": "1"}), Reply(200))
        task_id = await platform.report(webhook(target.url))
    else:
        await platform.register(target.url)
        error = {"type": "Busy", "message": "later"}
        target.say(answer("failed", error=error, retry_after_seconds=1), answer())
        task_id = await platform.report(NODE)
    task = await platform.ends(task_id)

    first, second = await platform.ledger(task_id)
    assert task.status == "succeeded"
    assert first.retry_after_seconds == 1
    assert first.finished_at is not None
    assert second.started_at - first.finished_at >= timedelta(seconds=1)
    assert "Retry-After of 1 s" in (first.why or "")


async def test_an_attempt_that_takes_too_long_is_timed_out(platform: Platform, target: Target) -> None:
    target.say(Reply(until=_never), Reply(200))
    task_id = await platform.report(webhook(target.url), {"attempt_timeout_seconds": 0.3})
    task = await platform.ends(task_id)

    first, second = await platform.ledger(task_id)
    assert (first.status, first.error_type, first.http_status) == ("timed_out", "redrive.Timeout", None)
    assert first.error_message == "no answer within 0.3 s"
    assert (second.status, task.status) == ("succeeded", "succeeded")
    assert target.calls[0].closed_early


async def test_a_target_that_is_not_there_fails_the_attempt(platform: Platform, target: Target) -> None:
    task_id = await platform.report(webhook("http://127.0.0.1:1"), {"max_attempts": 1})
    task = await platform.ends(task_id)

    assert (task.status, task.dead_reason, task.error_type) == ("dead", "exhausted", "httpx.ConnectError")


async def test_a_redirect_is_not_followed(platform: Platform, target: Target) -> None:
    target.say(Reply(307, headers={"location": f"{target.url}/elsewhere"}))
    task = await platform.ends(await platform.report(webhook(target.url), {"max_attempts": 1}))

    assert task.status == "dead"
    assert [call.path for call in target.calls] == ["/hook"]


async def test_a_changed_scene_takes_effect_at_the_next_attempt(platform: Platform, target: Target) -> None:
    target.say(Reply(500))
    task_id = await platform.report(webhook(target.url), {"max_attempts": 5}, delay=0.5)
    version = await platform.change_scene({**QUICK, "classification": [{"http_status": "5xx", "action": "dead"}]})
    task = await platform.ends(task_id)

    assert (task.status, task.dead_reason, task.attempts) == ("dead", "rejected", 1)
    assert (version, task.policy_version) == (2, 2)
    assert task.policy["classification"][0]["action"] == "dead", "the mirror shows the policy in force"
    assert task.max_attempts == 5, "what the task overrides stays"


async def test_a_scene_that_no_longer_fits_the_task_leaves_it_its_policy(platform: Platform, target: Target) -> None:
    """The merged policy cannot be applied (initial > max); the task must end all the same."""
    target.say(Reply(500), Reply(200))
    exponential = {"kind": "exponential", "initial_seconds": 0.1, "max_seconds": 50, "jitter": {"kind": "none"}}
    task_id = await platform.report(webhook(target.url), {"backoff": {**exponential, "initial_seconds": 0.2}})
    await platform.change_scene({**QUICK, "backoff": {"kind": "exponential", "max_seconds": 0.1, "initial_seconds": 0}})
    await platform.execute(
        "UPDATE tasks SET policy_override = jsonb_set(policy_override, '{backoff}', "
        """'{"kind": "exponential", "initial_seconds": 0.2}')"""
    )
    task = await platform.ends(task_id)

    assert (task.status, task.attempts, task.policy_version) == ("succeeded", 2, 1)


async def test_a_policy_that_allows_fewer_attempts_than_are_spent_ends_the_task(
    platform: Platform, target: Target
) -> None:
    target.say(Reply(500))
    task_id = await platform.report(webhook(target.url), {"backoff": {"kind": "delay_levels", "levels": [0, 0, 60]}})
    await platform.reaches_attempts(task_id, 2)
    policy = (await platform.task(task_id)).policy
    await platform.update(
        task_id,
        "change_policy",
        ChangePolicy({**policy, "max_attempts": 1, "backoff": {"kind": "fixed", "delay_seconds": 0}}, 1),
    )
    task = await platform.ends(task_id)

    assert (task.status, task.dead_reason, task.max_attempts) == ("dead", "exhausted", 1)
    assert task.why == "2 attempts are spent and 1 are allowed"


async def test_a_snooze_spends_no_attempt(platform: Platform, target: Target) -> None:
    await platform.register(target.url)
    target.say(*[answer("snooze", retry_after_seconds=0.05)] * 4, answer())
    task_id = await platform.report(NODE, {"max_attempts": 1})
    task = await platform.ends(task_id)

    ledger = await platform.ledger(task_id)
    assert (task.status, task.attempts) == ("succeeded", 1)
    assert [attempt.status for attempt in ledger] == ["cancelled"] * 4 + ["succeeded"]
    assert ledger[0].why == "the client snoozed it for 0.05 s"
    assert [call.json["attempt"] for call in target.calls] == [1, 2, 3, 4, 5]


async def test_a_task_that_only_snoozes_ends(platform: Platform, target: Target) -> None:
    await platform.register(target.url)
    target.say(answer("snooze", retry_after_seconds=0))
    task_id = await platform.report(NODE, {"max_attempts": 1})
    task = await platform.ends(task_id, within=60)

    assert (task.status, task.dead_reason, task.attempts) == ("dead", "exhausted", 1)
    assert len(target.calls) == 51


async def test_a_snooze_is_bounded_as_retry_after_is(platform: Platform, target: Target) -> None:
    await platform.register(target.url)
    target.say(answer("snooze", retry_after_seconds=1e15), answer())
    task_id = await platform.report(NODE, {"retry_after": {"max_seconds": 0.2}})
    task = await platform.ends(task_id)

    assert task.status == "succeeded"
    assert (await platform.ledger(task_id))[0].why == "the client snoozed it for 0.2 s"


async def test_a_snooze_past_the_end_ends_the_task(platform: Platform, target: Target) -> None:
    await platform.register(target.url)
    target.say(answer("snooze", retry_after_seconds=1000))
    task = await platform.ends(await platform.report(NODE, {"max_elapsed_seconds": 100}))

    assert (task.status, task.dead_reason, task.attempts) == ("dead", "expired", 0)


async def test_a_cron_backoff_runs_in_the_sandbox(platform: Platform, target: Target) -> None:
    target.say(Reply(500), Reply(200))
    cron = {"kind": "cron", "expression": "* * * * * *", "timezone": "Europe/Berlin"}
    task_id = await platform.report(webhook(target.url), {"backoff": cron})
    task = await platform.ends(task_id)

    _, second = await platform.ledger(task_id)
    assert task.status == "succeeded"
    assert second.due_at.microsecond == 0


async def _never() -> None:
    await asyncio.Event().wait()
