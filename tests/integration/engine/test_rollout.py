"""A scene's new policy reaches tasks that live: by itself at their next attempt, at once when it is applied."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.integration.engine.harness import GROUP, NAMESPACE, SCENE, Platform, webhook
from tests.integration.engine.target import Reply, Target

from redrive.api.rollout import Rollout
from redrive.core.messages import UPDATE_RETRY, RetryNow
from redrive.store import rollout, scenes

SLOW = {"backoff": {"kind": "fixed", "delay_seconds": 3600, "jitter": {"kind": "none"}}}
QUICKER = {"backoff": {"kind": "fixed", "delay_seconds": 600, "jitter": {"kind": "none"}}, "max_attempts": 7}
PLACE = (NAMESPACE, GROUP, SCENE)


async def test_waiting_tasks_plan_their_next_attempt_anew_and_a_second_call_finds_none(
    platform: Platform, target: Target
) -> None:
    await platform.change_scene(SLOW)
    reported = datetime.now(UTC)
    tasks = [await platform.report(webhook(target.url), delay=3600) for _ in range(3)]
    for task in tasks:
        await platform.reaches(task, "waiting")
    version = await platform.change_scene(QUICKER)
    assert version is not None
    async with platform.database.session() as session:
        known = await scenes.load_configuration(session, *PLACE)
        before = await rollout.count_behind(session, *PLACE, version)
    assert known is not None

    first = await Rollout(platform.database, platform.engine).apply(PLACE, known, after=None, limit=2)
    rest = await Rollout(platform.database, platform.engine).apply(PLACE, known, after=first.last, limit=2)
    again = await Rollout(platform.database, platform.engine).apply(PLACE, known, after=None, limit=2)

    assert before == {"waiting": 3}
    assert (first.changed, rest.changed, again.changed) == (2, 1, 0)
    assert first.kept == rest.kept == ()
    for task in tasks:
        row = await platform.task(task)
        assert (row.policy_version, row.max_attempts) == (version, 7)
        assert row.next_attempt_at is not None
        assert row.next_attempt_at < reported + timedelta(seconds=700)
        assert "policy changed" in row.why


async def test_a_group_policy_reaches_a_live_task_at_its_next_attempt(platform: Platform, target: Target) -> None:
    """The scene's own content is the same: only its version tells the task that something changed."""
    target.say(Reply(503))
    await platform.change_scene(SLOW)
    task = await platform.report(webhook(target.url), delay=3600)
    await platform.started(task)
    async with platform.database.begin() as session:
        await scenes.update_group(session, NAMESPACE, GROUP, {"policy": {"attempt_timeout_seconds": 11}})
        await scenes.renew_policies(session, NAMESPACE, GROUP, None, "the policy of the group has changed")

    await platform.update(task, UPDATE_RETRY, RetryNow())
    await platform.reaches_attempts(task, 1)

    row = await platform.task(task)
    assert row.policy_version == 3
    assert row.policy["attempt_timeout_seconds"] == 11
