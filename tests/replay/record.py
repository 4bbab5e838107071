"""Records histories of the retry workflow, one per shape of a life: `python -m tests.replay.record [--again]`.

A history that has been released stays as it is for ever: it proves that a new version still understands workflows that
an old one has begun. So only missing files are written, unless `--again` is given, which is for a version that nobody
runs yet.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

from temporalio.client import Client
from tests.integration.engine.harness import GROUP, NAMESPACE, NODE, Platform, webhook
from tests.integration.engine.target import Gate, Reply, Target, answer, serving
from tests.integration.engine.test_pauses import end, pause

from redrive.cli.stack import EmbeddedPostgres, EmbeddedTemporal
from redrive.core.messages import Cancel, ChangePolicy, Pause, Reschedule, Resume, RetryNow
from redrive.core.restraints import LimitSetting
from redrive.store import limits
from redrive.store.database import Database
from redrive.store.migrate import upgrade

VERSION = "0.1"
FOLDER = Path(__file__).parent / "histories" / VERSION
SLOW = {"backoff": {"kind": "fixed", "delay_seconds": 600}}
# Longer between attempts than it takes until all know how the last one ended.
PATIENT = {"backoff": {"kind": "fixed", "delay_seconds": 0.8, "jitter": {"kind": "none"}}, "max_attempts": 9}
LATER = "2099-01-01T00:00:00+00:00"

Shape = Callable[[Platform, Target], Awaitable[UUID]]
SHAPES: dict[str, Shape] = {}


def shape(record: Shape) -> Shape:
    """Name a shape after its function."""
    SHAPES[record.__name__] = record
    return record


@shape
async def success(platform: Platform, target: Target) -> UUID:
    return await platform.report(webhook(target.url), delay=0.3)


@shape
async def retries_and_dead(platform: Platform, target: Target) -> UUID:
    target.say(Reply(500), Reply(503, headers={"retry-after": "1"}), Reply(500))
    backoff = {"kind": "exponential", "initial_seconds": 0.1, "max_seconds": 1, "jitter": {"kind": "full"}}
    return await platform.report(webhook(target.url), {"backoff": backoff})


@shape
async def rejected(platform: Platform, target: Target) -> UUID:
    target.say(Reply(404))
    return await platform.report(webhook(target.url))


@shape
async def expired(platform: Platform, target: Target) -> UUID:
    return await platform.report(NODE, {"max_elapsed_seconds": 1})


@shape
async def snoozed(platform: Platform, target: Target) -> UUID:
    await platform.register(target.url)
    target.say(answer("snooze", retry_after_seconds=0.2), answer())
    return await platform.report(NODE)


@shape
async def cron_in_a_zone(platform: Platform, target: Target) -> UUID:
    target.say(Reply(500), Reply(200))
    cron = {"kind": "cron", "expression": "* * * * * */2", "timezone": "Europe/Berlin"}
    return await platform.report(webhook(target.url), {"backoff": cron})


@shape
async def paused_and_resumed(platform: Platform, target: Target) -> UUID:
    task_id = await platform.report(webhook(target.url), delay=1)
    await platform.started(task_id)
    await platform.update(task_id, "pause", Pause("wait"))
    await platform.update(task_id, "resume", Resume("go"))
    return task_id


@shape
async def operated(platform: Platform, target: Target) -> UUID:
    """Each other operation, on a task that waits."""
    target.say(Reply(500), Reply(200))
    task_id = await platform.report(webhook(target.url), {**SLOW, "max_elapsed_seconds": None})
    await platform.reaches_attempts(task_id, 1)
    policy = (await platform.task(task_id)).policy
    await platform.update(task_id, "change_policy", ChangePolicy({**policy, "max_attempts": 9}, 1))
    await platform.update(task_id, "reschedule", Reschedule(LATER))
    await platform.update(task_id, "retry", RetryNow("now"))
    return task_id


@shape
async def parked_and_woken(platform: Platform, target: Target) -> UUID:
    target.say(answer())
    task_id = await platform.report(NODE)
    await platform.reaches(task_id, "parked")
    await platform.register(target.url)
    return task_id


@shape
async def cancelled_in_flight(platform: Platform, target: Target) -> UUID:
    target.say(Reply(until=Gate()))
    task_id = await platform.report(webhook(target.url))
    await target.called()
    await platform.update(task_id, "cancel", Cancel("enough"))
    return task_id


@shape
async def cancelled_in_temporal(platform: Platform, target: Target) -> UUID:
    task_id = await platform.report(webhook(target.url), delay=600)
    await platform.started(task_id)
    await platform.handle(task_id).cancel()
    return task_id


@shape
async def changed_scene(platform: Platform, target: Target) -> UUID:
    target.say(Reply(500), Reply(200))
    task_id = await platform.report(webhook(target.url), delay=0.5)
    await platform.change_scene({"backoff": {"kind": "random", "min_seconds": 0.1, "max_seconds": 0.2}})
    return task_id


@shape
async def parked_by_a_breaker(platform: Platform, target: Target) -> UUID:
    """Two failures open the breaker; the task is parked, let go as its probe, and succeeds."""
    target.say(Reply(500), Reply(500), Reply(200))
    policy = {**PATIENT, "breaker": {"minimum": 2, "open_seconds": 2, "rounds": 1}}
    await platform.change_scene(policy)
    return await platform.report(webhook(target.url))


@shape
async def parked_by_a_pause(platform: Platform, target: Target) -> UUID:
    task_id = await platform.report(webhook(target.url), delay=1)
    await platform.started(task_id)
    pause_id = await pause(platform, "group", GROUP)
    await platform.reaches(task_id, "parked")
    await end(platform, pause_id)
    return task_id


@shape
async def deferred_by_a_limit(platform: Platform, target: Target) -> UUID:
    """A task of the same scene takes the first slot, so that this one is told a later one."""
    async with platform.database.begin() as session:
        setting = LimitSetting(("target", f"host:{target.url.partition('//')[2]}"), rate=0.5)
        await limits.put_limit(session, NAMESPACE, setting, None)
    await platform.ends(await platform.report(webhook(target.url)))
    return await platform.report(webhook(target.url))


@shape
async def deferred_by_a_budget(platform: Platform, target: Target) -> UUID:
    """Two failures spend the budget: the third attempt waits for a slot."""
    target.say(Reply(500), Reply(500), Reply(200))
    policy = {**PATIENT, "breaker": {"enabled": False}, "budget": {"capacity": 2, "floor_per_second": 0.5}}
    await platform.change_scene(policy)
    return await platform.report(webhook(target.url))


async def record(name: str, platform: Platform) -> None:
    """Live one shape to its end and write its history."""
    async with serving(Target()) as target, platform.worker(), platform.starting():
        task_id = await SHAPES[name](platform, target)
        await platform.ends(task_id)
    await write(name, platform, task_id)


async def record_continued(platform: Platform) -> None:
    """Live a long life, and write the first of its runs and the last one."""
    async with serving(Target()) as target, platform.worker(), platform.starting():
        target.say(*[Reply(500)] * 7, Reply(200))
        task_id = await platform.report(webhook(target.url), {"max_attempts": 20})
        await target.called(2)
        first = (await platform.handle(task_id).describe()).run_id
        await platform.ends(task_id)
    await write("continued_first", platform, task_id, first)
    await write("continued_last", platform, task_id)


async def write(name: str, platform: Platform, task_id: UUID, run_id: str | None = None) -> None:
    """Write the history of a workflow."""
    handle = platform.handle(task_id)
    history = await platform.client.get_workflow_handle(handle.id, run_id=run_id).fetch_history()
    (FOLDER / f"{name}.json").write_text(f"{history.to_json()}\n")


async def run(folder: Path, *, again: bool) -> None:
    """Record what is missing."""
    wanted = [name for name in SHAPES if again or not (FOLDER / f"{name}.json").exists()]
    continued = again or not (FOLDER / "continued_last.json").exists()
    FOLDER.mkdir(parents=True, exist_ok=True)
    config = {"limit.historyCount.suggestContinueAsNew": "25"}
    with (
        EmbeddedPostgres(folder / "postgres") as postgres,
        EmbeddedTemporal(folder / "usual", ui_port=None) as usual,
        EmbeddedTemporal(folder / "impatient", ui_port=None, config=config) as impatient,
    ):
        upgrade(postgres.url)
        database = Database(postgres.url)
        for name in wanted:
            print(f"recording {name}")
            await record(name, await _platform(database, usual))
        if continued:
            print("recording continued_first and continued_last")
            await record_continued(await _platform(database, impatient))
        await database.close()


async def _platform(database: Database, server: EmbeddedTemporal) -> Platform:
    platform = Platform(database, await Client.connect(server.address), server.address)
    await platform.prepare()
    await platform.engine.prepare()
    await platform.execute("DELETE FROM nodes")
    return platform


if __name__ == "__main__":
    with TemporaryDirectory(prefix="redrive-record-") as temporary:
        asyncio.run(run(Path(temporary), again="--again" in sys.argv[1:]))
