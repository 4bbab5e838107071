"""Redrives as workflows: each task once, at the pace that was asked for, whatever is lost meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from temporalio.client import WorkflowExecutionStatus
from tests.eventually import eventually
from tests.integration.engine.desk import ACCESS, Desk
from tests.integration.engine.harness import NAMESPACE, NODE, Platform, webhook
from tests.integration.engine.target import Gate, Reply, Target

from redrive.activities.bulk import Redriver
from redrive.api.engine import Engine
from redrive.api.redrive_keeper import RedriveKeeper
from redrive.api.redrives import Redrives
from redrive.api.schemas.redrives import RedriveChange
from redrive.core.messages import BulkRun

SLOW = {"backoff": {"kind": "fixed", "delay_seconds": 600, "jitter": {"kind": "none"}}, "max_elapsed_seconds": None}


@pytest.fixture
def desk(idle: Platform) -> Desk:
    """Redrive with nothing running yet, so that what a redrive finds can be laid out."""
    return Desk(idle)


@pytest.fixture
async def running(desk: Desk) -> AsyncIterator[Desk]:
    """Redrive with a worker and a starter."""
    async with desk.platform.worker(), desk.platform.starting():
        yield desk


async def test_each_dead_task_is_replayed_once_and_the_redrive_learns_how_it_ends(
    running: Desk, target: Target
) -> None:
    ids = await running.dead(60, target)
    target.say(*[Reply(404)] * 10, *[Reply(200)] * 50)
    redrive_id = await running.start(reason="the provider is back")
    found = await running.closes(redrive_id)

    assert (found.status, found.succeeded, found.dead) == ("completed", 50, 10)
    assert found.why == "50 succeeded, 10 dead again"
    assert await running.generations() == {("succeeded", 2): 50, ("dead", 2): 10}
    items = await running.items(redrive_id)
    assert [item.task_id for item in items] == ids
    assert {item.started_generation for item in items} == {2}
    assert {item.why for item in items} == {"succeeded", "dead again (rejected): http.404"}
    task = await running.platform.task(ids[0])
    assert task.redrive_id == redrive_id
    assert (await running.platform.ledger(ids[0]))[0].trigger == "redrive"


async def test_two_that_overlap_replay_no_task_twice(running: Desk, target: Target) -> None:
    await running.dead(40, target)
    first, second = await asyncio.gather(running.start(), running.start(order="newest"))
    reports = [await running.closes(first), await running.closes(second)]

    assert sum(report.succeeded for report in reports) == 40
    assert sum(report.skipped for report in reports) == 40
    assert await running.generations() == {("succeeded", 2): 40}
    skipped = [
        item for item in (*await running.items(first), *await running.items(second)) if item.outcome == "skipped"
    ]
    assert all("has replayed it meanwhile" in item.why for item in skipped)


async def test_a_look_that_is_repeated_by_another_worker_replays_nothing_twice(desk: Desk, target: Target) -> None:
    """As when a worker commits and is killed before it can say so, or is only taken for lost."""
    await desk.dead(30, target)
    redrive_id = await desk.start(concurrency=20)
    redriver = Redriver(desk.platform.database, desk.platform.client)
    run = BulkRun(NAMESPACE, str(redrive_id))
    await asyncio.gather(*(redriver.look_once(run) for _ in range(5)))
    found = await desk.find(redrive_id)

    assert (found.in_flight, found.waiting) == (20, 10)
    assert await desk.generations() == {("pending", 2): 20, ("dead", 1): 10}


async def test_what_still_fails_stops_it_and_it_says_why(running: Desk, target: Target) -> None:
    await running.dead(120, target)
    target.say(*[Reply(404)] * 120)
    redrive_id = await running.start(concurrency=25)
    stopped = await running.reaches(redrive_id, "stopped")
    found = await running.closes(redrive_id)

    assert "of 25 finished tasks failed again" in stopped.why or "finished tasks failed again (100%" in stopped.why
    assert 20 <= found.dead < 120
    assert found.skipped == 120 - found.dead
    left = [item for item in await running.items(redrive_id) if item.outcome == "skipped"]
    assert {item.why for item in left} == {"left alone: the redrive was stopped before"}
    async with running.platform.database.session() as session:
        (event,) = await session.execute(text("SELECT kind, facts FROM alert_events WHERE kind = 'redrive_stopped'"))
    assert event.facts["redrive_id"] == str(redrive_id)


async def test_nothing_is_released_once_a_pause_is_acknowledged(running: Desk, target: Target) -> None:
    await running.dead(60, target)
    redrive_id = await running.start(rate_per_second=10, concurrency=1000)
    await eventually(lambda: running.released(redrive_id, 1), what="the first replay")
    await running.redrives.pause(ACCESS, redrive_id, "wait")
    paused = await running.find(redrive_id)
    await eventually(lambda: _settled(running, redrive_id), what="the end of what was released")
    later = await running.find(redrive_id)
    await running.redrives.change(ACCESS, redrive_id, RedriveChange(rate_per_second=500))
    await running.redrives.resume(ACCESS, redrive_id, None)
    found = await running.closes(redrive_id, within=60)

    assert paused.status == "paused"
    assert later.waiting == paused.waiting > 0
    assert (found.status, found.succeeded) == ("completed", 60)


async def test_an_abort_leaves_the_rest_alone(running: Desk, target: Target) -> None:
    gate = Gate()
    await running.dead(50, target)
    target.say(*[Reply(200, until=gate)] * 10)
    redrive_id = await running.start(concurrency=10)
    await target.called(10)
    await running.redrives.abort(ACCESS, redrive_id, "wrong ones")
    aborted = await running.find(redrive_id)
    gate.open()
    found = await running.closes(redrive_id)

    assert (aborted.status, aborted.why) == ("aborted", "wrong ones")
    assert (found.succeeded, found.skipped) == (10, 40)
    assert await running.generations() == {("succeeded", 2): 10, ("dead", 1): 40}


async def test_cancelling_its_workflow_in_temporal_aborts_it(running: Desk, target: Target) -> None:
    await running.dead(50, target)
    redrive_id = await running.start(rate_per_second=0.01)
    await eventually(lambda: running.released(redrive_id, 1), what="the first replay")
    await running.handle(redrive_id).cancel()
    found = await running.closes(redrive_id)

    assert (found.status, found.why) == ("aborted", "the workflow was cancelled in Temporal")
    assert (found.succeeded, found.skipped) == (1, 49)


async def test_what_is_made_while_temporal_is_away_begins_when_it_is_back(desk: Desk, target: Target) -> None:
    await desk.dead(5, target)
    keeper = RedriveKeeper(desk.platform.database, desk.platform.engine)
    desk.redrives = Redrives(desk.platform.database, Engine(desk.platform.settings), "another")
    redrive_id = await desk.start()
    accepted = await desk.find(redrive_id)
    async with desk.platform.worker(), desk.platform.starting():
        assert await keeper.round() == 1
        found = await desk.closes(redrive_id)

    assert (accepted.status, accepted.why) == ("waiting", "accepted")
    assert found.succeeded == 5


async def test_a_lost_workflow_is_started_again_and_goes_on(desk: Desk, target: Target) -> None:
    await desk.dead(40, target)
    keeper = RedriveKeeper(desk.platform.database, desk.platform.engine)
    async with desk.platform.worker(), desk.platform.starting():
        redrive_id = await desk.start(concurrency=10, rate_per_second=10)
        await eventually(lambda: desk.released(redrive_id, 5), what="five replays")
        # As when Temporal has lost what it knew: nothing runs, and nobody wanted that.
        await desk.platform.execute("UPDATE redrives SET look_at = now() - interval '2 minutes'")
        with contextlib.suppress(AssertionError):
            assert await keeper.round() == 1
        assert (await desk.handle(redrive_id).describe()).status is WorkflowExecutionStatus.RUNNING
        await desk.redrives.change(ACCESS, redrive_id, RedriveChange(rate_per_second=500))
        found = await desk.closes(redrive_id)

    assert found.succeeded == 40
    assert await desk.generations() == {("succeeded", 2): 40}


async def test_a_terminated_workflow_means_that_somebody_wanted_it_to_stop(running: Desk, target: Target) -> None:
    await running.dead(20, target)
    redrive_id = await running.start(rate_per_second=0.01)
    await eventually(lambda: running.released(redrive_id, 1), what="the first replay")
    await running.handle(redrive_id).terminate()
    await running.platform.execute("UPDATE redrives SET look_at = now() - interval '2 minutes'")
    await RedriveKeeper(running.platform.database, running.platform.engine).round()
    found = await running.closes(redrive_id)

    assert (found.status, found.why) == ("aborted", "its workflow was terminated in Temporal")
    assert (found.succeeded, found.skipped) == (1, 19)


async def test_policy_target_and_payload_are_changed_and_the_original_payload_is_kept(
    running: Desk, target: Target
) -> None:
    (task_id,) = await running.dead(1, target, kwargs={"amount": 5, "note": "x"}, args=[])
    redrive_id = await running.start(
        policy={"max_attempts": 7},
        target={"kind": "webhook", "url": f"{target.url}/elsewhere"},
        payload_patch={"kwargs": {"amount": 6, "note": None}},
    )
    await running.closes(redrive_id)
    task = await running.platform.task(task_id)

    assert task.status == "succeeded"
    assert (task.max_attempts, task.policy_override, task.payload_revision) == (7, {"max_attempts": 7}, 2)
    assert (target.calls[0].path, target.calls[0].json) == ("/elsewhere", {"amount": 6})
    async with running.platform.database.session() as session:
        revisions = await session.execute(text("SELECT revision, kwargs FROM payloads ORDER BY revision"))
        assert [tuple(row) for row in revisions] == [(1, {"amount": 5, "note": "x"}), (2, {"amount": 6})]


async def test_a_task_that_cannot_take_part_says_why(running: Desk, target: Target) -> None:
    ids = await running.dead(5, target)
    gone, late, alive, spent, wrong = ids
    await running.platform.execute("DELETE FROM tasks WHERE id = :id", id=gone)
    await running.platform.execute("UPDATE tasks SET deadline = '2020-01-01' WHERE id = :id", id=late)
    await running.platform.execute("UPDATE tasks SET status = 'succeeded', dead_reason = NULL WHERE id = :id", id=alive)
    await running.platform.execute(
        "UPDATE payloads SET args = '[]', kwargs = '{}', body = '[1]' WHERE task_id = :id", id=wrong
    )
    redrive_id = await running.start(
        selection={"ids": [str(task_id) for task_id in ids]}, counters="keep", payload_patch={"kwargs": {"a": 1}}
    )
    await running.closes(redrive_id)
    whys = {item.task_id: (item.outcome, item.why) for item in await running.items(redrive_id)}

    assert gone not in whys, "it was gone before the selection was frozen"
    assert whys[late] == ("skipped", "its deadline was 2020-01-01T00:00:00+00:00")
    assert whys[alive] == ("skipped", "it is succeeded; what can be replayed is cancelled, dead")
    assert whys[spent][0] == "skipped"
    assert whys[spent][1].startswith("3 of 3 attempts are spent, and count on")
    assert whys[wrong][0] == "skipped"


async def test_live_tasks_are_operated_on_in_their_rows_and_in_their_workflows(desk: Desk, target: Target) -> None:
    started = [await desk.platform.report(webhook(target.url), SLOW, delay=600) for _ in range(8)]
    async with desk.platform.starting():
        for task_id in started:
            await desk.platform.started(task_id)
    unstarted = [await desk.platform.report(NODE, SLOW, delay=600) for _ in range(4)]
    selection = {"ids": [str(task_id) for task_id in (*started, *unstarted)]}

    async def status() -> Counter[str]:
        return Counter([(await desk.platform.task(task_id)).status for task_id in (*started, *unstarted)])

    async with desk.platform.worker():
        paused = await desk.closes(await desk.start(action="pause", selection=selection, reason="maintenance"))
        after_pause = await status()
        again = await desk.closes(await desk.start(action="pause", selection=selection))
        await desk.closes(await desk.start(action="change_policy", selection=selection, policy={"max_attempts": 9}))
        policies = {(await desk.platform.task(task_id)).max_attempts for task_id in (*started, *unstarted)}
        resumed = await desk.closes(await desk.start(action="resume", selection=selection))
        after_resume = await status()
        cancelled = await desk.closes(await desk.start(action="cancel", selection=selection))
        after_cancel = await status()
        deleted = await desk.closes(await desk.start(action="delete", selection=selection))

    assert (paused.succeeded, after_pause) == (12, {"paused": 12})
    assert (again.skipped, again.status) == (12, "completed")
    assert policies == {9}
    assert (resumed.succeeded, after_resume) == (12, {"waiting": 8, "pending": 4})
    assert (cancelled.succeeded, after_cancel) == (12, {"cancelled": 12})
    assert deleted.succeeded == 12
    async with desk.platform.database.session() as session:
        assert (await session.execute(text("SELECT count(*) FROM tasks"))).scalar_one() == 0


async def test_retry_now_runs_waiting_tasks_and_spends_no_patience_on_others(running: Desk, target: Target) -> None:
    target.say(*[Reply(500)] * 6, *[Reply(200)] * 6)
    ids = [await running.platform.report(webhook(target.url), SLOW) for _ in range(6)]
    for task_id in ids:
        await running.platform.reaches_attempts(task_id, 1)
    found = await running.closes(await running.start(action="retry"))
    for task_id in ids:
        await running.platform.ends(task_id)

    assert found.succeeded == 6
    assert len(target.calls) == 12


async def test_tasks_that_no_workflow_owns_wait_for_the_rate_alone(desk: Desk, target: Target) -> None:
    """`concurrency` bounds what is under way, and a row that is changed never is."""
    for _ in range(300):
        await desk.platform.report(webhook(target.url), SLOW, delay=600)
    redrive_id = await desk.start(action="cancel", concurrency=5)
    now = datetime.now(UTC)
    looks = [
        await Redriver(
            desk.platform.database, desk.platform.client, lambda at=now + timedelta(seconds=second): at
        ).look_once(BulkRun(NAMESPACE, str(redrive_id)))
        for second in range(2)
    ]

    assert looks[-1].finished
    assert (await desk.find(redrive_id)).succeeded == 300
    assert await desk.generations() == {("cancelled", 1): 300}


async def test_no_more_workflows_are_asked_than_its_concurrency_allows(desk: Desk, target: Target) -> None:
    """Those that are left keep their turn, and the rest of the look's tasks theirs."""
    for _ in range(6):
        task_id = await desk.platform.report(webhook(target.url), SLOW, delay=600)
        await desk.platform.execute(
            "UPDATE tasks SET status = 'waiting', mirror_version = 1 WHERE id = :id", id=task_id
        )
    for _ in range(4):
        await desk.platform.report(webhook(target.url), SLOW, delay=600)
    redrive_id = await desk.start(action="pause", concurrency=2)
    now = datetime.now(UTC)
    for second in range(2):
        redriver = Redriver(desk.platform.database, desk.platform.client, lambda at=now + timedelta(seconds=second): at)
        await redriver.look_once(BulkRun(NAMESPACE, str(redrive_id)))
    found = await desk.find(redrive_id)

    assert (found.in_flight, found.waiting, found.succeeded) == (2, 4, 4)
    assert found.why == "1 workflows were asked and have not answered; they are asked again"


async def test_what_is_under_way_when_it_is_aborted_is_asked_until_it_is_known(desk: Desk, target: Target) -> None:
    """Else a worker that is killed in the middle would leave a redrive that never closes."""
    for _ in range(3):
        task_id = await desk.platform.report(webhook(target.url), SLOW, delay=600)
        await desk.platform.execute(
            "UPDATE tasks SET status = 'waiting', mirror_version = 1 WHERE id = :id", id=task_id
        )
    redrive_id = await desk.start(action="pause")
    run, now = BulkRun(NAMESPACE, str(redrive_id)), datetime.now(UTC)
    await Redriver(desk.platform.database, desk.platform.client, lambda: now).look_once(run)
    await desk.redrives.abort(ACCESS, redrive_id, "wrong ones")
    aborted = await desk.find(redrive_id)
    late = now + timedelta(seconds=61)
    looks = [
        await Redriver(desk.platform.database, desk.platform.client, lambda: late).look_once(run) for _ in range(2)
    ]
    found = await desk.find(redrive_id)

    assert (aborted.status, aborted.in_flight, aborted.waiting) == ("aborted", 1, 2)
    assert looks[-1].finished
    assert (found.status, found.failed, found.skipped, found.in_flight) == ("aborted", 1, 2, 0)
    whys = [item.why for item in await desk.items(redrive_id) if item.outcome == "failed"]
    assert all(why.startswith("given up") for why in whys)


async def test_its_history_does_not_grow_with_its_tasks(running: Desk, target: Target) -> None:
    await running.dead(300, target)
    redrive_id = await running.start(action="delete")
    await running.closes(redrive_id)
    history = await running.handle(redrive_id).fetch_history()

    assert len(history.events) < 100


async def _settled(desk: Desk, redrive_id: UUID) -> bool:
    return (await desk.find(redrive_id)).in_flight == 0
