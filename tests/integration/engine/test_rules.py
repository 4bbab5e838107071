"""Rules of a policy at work: what message and body say, what is not spent, poison, and quiet hours."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.integration.engine.harness import NODE, QUICK, Platform, webhook
from tests.integration.engine.target import Reply, Target, answer

from redrive.core.messages import RetryNow


async def test_a_rule_about_the_message_decides_where_the_answer_is(platform: Platform, target: Target) -> None:
    target.say(answer("failed", error={"type": "E", "message": "card 4711 was stolen"}))
    await platform.register(target.url)
    rules = [{"message": "card \\d+ was stolen", "action": "dead"}]

    task_id = await platform.report(NODE, {**QUICK, "classification": rules})
    task = await platform.ends(task_id)

    assert (task.status, task.dead_reason, task.attempts) == ("dead", "rejected", 1)
    assert "4711" not in str((await platform.handle(task_id).fetch_history()).to_json())


async def test_a_rule_about_the_body_of_a_webhook_can_make_a_failure_a_success(
    platform: Platform, target: Target
) -> None:
    target.say(Reply(409, b'{"error": {"code": "already-done"}}'))
    rules = [{"body": {"pointer": "/error/code", "equals": "already-done"}, "action": "succeed"}]

    task_id = await platform.report(webhook(target.url), {**QUICK, "classification": rules})
    task = await platform.ends(task_id)

    assert (task.status, task.attempts) == ("succeeded", 1)


async def test_what_a_rule_snoozes_is_not_spent(platform: Platform, target: Target) -> None:
    target.say(*[Reply(425)] * 4, Reply(200))
    rules = [{"http_status": 425, "action": "snooze", "seconds": 0.05}]

    task_id = await platform.report(webhook(target.url), {**QUICK, "max_attempts": 2, "classification": rules})
    task = await platform.ends(task_id)

    assert (task.status, task.attempts) == ("succeeded", 1)
    assert [attempt.number for attempt in await platform.ledger(task_id)] == [1, 2, 3, 4, 5]


async def test_a_throttled_attempt_is_not_spent_when_the_policy_says_so(platform: Platform, target: Target) -> None:
    target.say(*[Reply(429, headers={"retry-after": "0"})] * 3, Reply(200))
    policy = {**QUICK, "max_attempts": 2, "retry_after": {"spends_attempt": False}}

    task_id = await platform.report(webhook(target.url), policy)
    task = await platform.ends(task_id)

    assert (task.status, task.attempts) == ("succeeded", 1)


async def test_poison_is_given_up_before_its_attempts_are_spent(platform: Platform, target: Target) -> None:
    target.say(Reply(500))
    policy = {**QUICK, "max_attempts": 9, "poison": {"same_fingerprint": 3}}

    task_id = await platform.report(webhook(target.url), policy)
    task = await platform.ends(task_id)

    assert (task.status, task.dead_reason, task.attempts) == ("dead", "rejected", 3)
    assert "poison" in task.why


async def test_nothing_runs_in_quiet_hours_until_a_person_wants_it(platform: Platform, target: Target) -> None:
    policy = {**QUICK, "quiet_hours": [{"start": "* * * * *", "duration_seconds": 86_400}]}

    task_id = await platform.report(webhook(target.url), policy)
    quiet = await platform.reaches(task_id, "waiting")
    while not quiet.why.startswith("quiet hours"):
        quiet = await platform.task(task_id)
    assert quiet.next_attempt_at is not None
    assert quiet.next_attempt_at > datetime.now(UTC)
    assert target.calls == []

    await platform.update(task_id, "retry", RetryNow())
    assert (await platform.ends(task_id)).status == "succeeded"


@pytest.mark.parametrize("looks_inside", [False, True])
async def test_a_rule_names_a_base_of_the_error(platform: Platform, target: Target, looks_inside: bool) -> None:
    target.say(
        answer("failed", error={"type": "bank.CardLost", "message": "m", "bases": ["bank.Refused", "ValueError"]})
    )
    await platform.register(target.url)
    rules = [{"error": "Refused", "action": "dead"}, *[{"message": "never", "action": "retry"}] * looks_inside]

    task = await platform.ends(await platform.report(NODE, {**QUICK, "classification": rules}))

    assert (task.status, task.dead_reason, task.attempts) == ("dead", "rejected", 1)
