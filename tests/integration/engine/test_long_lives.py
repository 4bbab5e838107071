"""Long lives: continue-as-new, hours between attempts, and workers that are lost on the way."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest
from temporalio import activity
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker
from tests.eventually import eventually
from tests.integration.engine.harness import NAMESPACE, NODE, QUICK, Platform, webhook
from tests.integration.engine.target import Gate, Reply, Target, answer

from redrive.activities.record import Recorder
from redrive.cli.stack import EmbeddedTemporal
from redrive.cli.stack.temporal import find_program
from redrive.core.messages import DISPATCH, Cancel, ChangePolicy, DispatchCommand, Pause, Resume, workflow_id
from redrive.store.database import Database
from redrive.workflows.engine import add_search_attributes
from redrive.workflows.retry_task import RetryTask
from redrive.workflows.worker import sandboxed_runner


@pytest.fixture(scope="module")
def impatient_temporal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedTemporal]:
    """A Temporal server that wants workflows to continue as new after every few events."""
    config = {"limit.historyCount.suggestContinueAsNew": "20"}
    with EmbeddedTemporal(tmp_path_factory.mktemp("impatient"), ui_port=None, config=config) as server:
        yield server


@pytest.fixture
async def impatient(database: Database, impatient_temporal: EmbeddedTemporal) -> AsyncIterator[Platform]:
    platform = Platform(database, await Client.connect(impatient_temporal.address), impatient_temporal.address)
    await platform.prepare()
    await platform.engine.prepare()
    async with platform.worker(), platform.starting():
        yield platform


async def runs(platform: Platform, task_id: object) -> int:
    """Count the runs that a workflow has had, once Temporal's list has caught up."""
    query = f"WorkflowId = '{workflow_id(NAMESPACE, str(task_id), 1)}'"

    async def listed() -> int:
        found = [run async for run in platform.client.list_workflows(query)]
        return len(found) if len(found) > 1 else 0

    return await eventually(listed, what="a second run")


async def test_a_workflow_that_continues_as_new_forgets_nothing(impatient: Platform, target: Target) -> None:
    target.say(*[Reply(500)] * 11, Reply(200))
    task_id = await impatient.report(webhook(target.url), {"max_attempts": 15})
    task = await impatient.ends(task_id)

    assert (task.status, task.attempts) == ("succeeded", 12)
    assert await runs(impatient, task_id) > 2
    assert [int(call.headers["redrive-attempt"]) for call in target.calls] == list(range(1, 13))


async def test_a_workflow_that_continues_as_new_keeps_its_limits(impatient: Platform, target: Target) -> None:
    """Attempts, elapsed time and the changed policy are counted from the beginning, not from the last run."""
    target.say(Reply(500))
    task_id = await impatient.report(webhook(target.url), {"max_attempts": 500, "max_elapsed_seconds": None})
    await target.called(6)
    policy = (await impatient.task(task_id)).policy
    await impatient.update(task_id, "change_policy", ChangePolicy({**policy, "max_attempts": 12}, 1))
    task = await impatient.ends(task_id)

    assert await runs(impatient, task_id) > 1
    assert (task.status, task.dead_reason, task.attempts, task.policy_version) == ("dead", "exhausted", 12, 1)


async def test_a_workflow_that_continues_as_new_stays_paused_and_parked(impatient: Platform, target: Target) -> None:
    target.say(answer())
    task_id = await impatient.report(NODE)
    await impatient.reaches(task_id, "parked")
    for _ in range(8):
        await impatient.update(task_id, "pause", Pause())
        await impatient.update(task_id, "resume", Resume())
    parked = await impatient.task(task_id)
    await impatient.update(task_id, "pause", Pause("for good"))
    paused = await impatient.task(task_id)
    await impatient.register(target.url)
    await impatient.update(task_id, "resume", Resume())
    task = await impatient.ends(task_id)

    assert await runs(impatient, task_id) > 1
    assert (parked.status, paused.status, paused.why) == ("parked", "paused", "for good")
    assert (task.status, task.attempts) == ("succeeded", 1)


async def test_operations_that_meet_continue_as_new_are_answered(impatient: Platform, target: Target) -> None:
    """An update is a reason to continue as new, and the next one may come while that happens."""
    task_id = await impatient.report(webhook(target.url), delay=600)
    await impatient.started(task_id)
    policy = {**QUICK, "backoff": {"kind": "fixed", "delay_seconds": 600}}
    for _ in range(5):
        views = await asyncio.gather(
            *(impatient.update(task_id, "change_policy", ChangePolicy(policy, number)) for number in range(6))
        )
        assert {view.status for view in views} == {"waiting"}

    assert (await impatient.update(task_id, "cancel", Cancel())).status == "cancelled"


@pytest.fixture
async def hours(database: Database) -> AsyncIterator[Platform]:
    """A platform whose Temporal skips the time in which nothing happens."""
    options = {"frontend.WorkflowTimeSkippingEnabled": "true", "history.timerProcessorMaxTimeShift": '"10ms"'}
    async with await WorkflowEnvironment.start_time_skipping_v2(
        dev_server_existing_path=str(find_program()),
        dev_server_extra_args=[
            part for key, value in options.items() for part in ("--dynamic-config-value", f"{key}={value}")
        ],
    ) as environment:
        client = environment.client
        await add_search_attributes(client)
        # Time is skipped for the workflows that the environment's own client starts.
        platform = Platform(database, client, client.service_client.config.target_host, share_client=True)
        await platform.prepare()
        async with platform.worker(), platform.starting():
            yield platform


async def test_hours_between_attempts_are_kept_to_the_second(hours: Platform, target: Target) -> None:
    target.say(Reply(500))
    backoff = {"kind": "exponential", "initial_seconds": 3600, "multiplier": 2, "max_seconds": 20_000}
    policy = {
        "backoff": {**backoff, "jitter": {"kind": "none"}},
        "max_attempts": 5,
        "max_elapsed_seconds": None,
    }
    task_id = await hours.report(webhook(target.url), policy, delay=3600)
    task = await hours.reaches(task_id, "dead")

    ledger = await hours.ledger(task_id)
    assert (task.dead_reason, task.attempts) == ("exhausted", 5)
    waits = [later.due_at - earlier.due_at for earlier, later in itertools.pairwise(ledger)]
    for wait, seconds in zip(waits, (7200, 14_400, 20_000, 20_000), strict=True):
        assert timedelta(0) <= wait - timedelta(seconds=seconds) < timedelta(seconds=5)


async def test_an_attempt_that_a_stopping_worker_leaves_is_repeated_by_the_next(idle: Platform, target: Target) -> None:
    target.say(Reply(until=Gate()), Reply(200))
    async with idle.starting():
        async with idle.worker():
            task_id = await idle.report(webhook(target.url))
            await target.called()
        async with idle.worker():
            task = await idle.ends(task_id)

    (attempt,) = await idle.ledger(task_id)
    assert (task.status, task.attempts) == ("succeeded", 1)
    assert (attempt.status, attempt.deliveries) == ("succeeded", 2)


async def test_a_cancellation_whose_worker_is_lost_cancels_all_the_same(idle: Platform, target: Target) -> None:
    """The server gives up on an attempt that is silent and cancelled; that is no failure of the workflow."""
    begun = asyncio.Event()

    @activity.defn(name=DISPATCH)
    async def silent(command: DispatchCommand) -> None:
        begun.set()
        await asyncio.shield(asyncio.Event().wait())

    worker = Worker(
        idle.client,
        task_queue=idle.settings.task_queue,
        workflows=[RetryTask],
        activities=[silent, Recorder(idle.database).record],
        workflow_runner=sandboxed_runner(),
    )
    async with worker, idle.starting():
        task_id = await idle.report(webhook(target.url))
        await begun.wait()
        with pytest.raises(Exception, match="no worker answered"):
            await idle.update(task_id, "cancel", Cancel("enough"))
        task = await idle.ends(task_id)

    assert (task.status, task.why, task.attempts) == ("cancelled", "enough", 0)
