"""Records histories of the bulk redrive workflow: `python -m tests.replay.record_redrives [--again]`.

As in `tests.replay.record`, a history that has been released stays as it is for ever.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

from temporalio.client import Client
from tests.eventually import eventually
from tests.integration.engine.desk import ACCESS, Desk
from tests.integration.engine.harness import Platform
from tests.integration.engine.target import Reply, Target, serving

from redrive.api.schemas.redrives import RedriveChange
from redrive.cli.stack import EmbeddedPostgres, EmbeddedTemporal
from redrive.store.database import Database
from redrive.store.migrate import upgrade

FOLDER = Path(__file__).parent / "histories" / "0.1-redrives"
CONTINUED = ("continued_first", "continued_last")

Shape = Callable[[Desk, Target], Awaitable[UUID]]
SHAPES: dict[str, Shape] = {}


def shape(record: Shape) -> Shape:
    """Name a shape after its function."""
    SHAPES[record.__name__] = record
    return record


@shape
async def completed(desk: Desk, target: Target) -> UUID:
    await desk.dead(5, target)
    return await desk.start()


@shape
async def stopped(desk: Desk, target: Target) -> UUID:
    await desk.dead(40, target)
    target.say(*[Reply(404)] * 40)
    return await desk.start(concurrency=20)


@shape
async def paused_changed_and_resumed(desk: Desk, target: Target) -> UUID:
    await desk.dead(10, target)
    redrive_id = await desk.start(rate_per_second=0.05)
    await eventually(lambda: desk.released(redrive_id, 1), what="the first replay")
    await desk.redrives.pause(ACCESS, redrive_id, None)
    await desk.redrives.change(ACCESS, redrive_id, RedriveChange(rate_per_second=100))
    await desk.redrives.resume(ACCESS, redrive_id, None)
    return redrive_id


@shape
async def cancelled_in_temporal(desk: Desk, target: Target) -> UUID:
    await desk.dead(10, target)
    redrive_id = await desk.start(rate_per_second=0.05)
    await eventually(lambda: desk.released(redrive_id, 1), what="the first replay")
    await desk.handle(redrive_id).cancel()
    return redrive_id


async def record(name: str, platform: Platform) -> None:
    """Live one shape to its end and write its history."""
    desk = Desk(platform)
    async with serving(Target()) as target, platform.worker(), platform.starting():
        redrive_id = await SHAPES[name](desk, target)
        await desk.closes(redrive_id)
    await write(name, desk, redrive_id)


async def record_continued(platform: Platform) -> None:
    """Live a long redrive, and write the first of its runs and the last one."""
    desk = Desk(platform)
    async with serving(Target()) as target, platform.worker(), platform.starting():
        await desk.dead(12, target)
        redrive_id = await desk.start(rate_per_second=1)
        await eventually(lambda: desk.released(redrive_id, 1), what="the first replay")
        first = (await desk.handle(redrive_id).describe()).run_id
        await desk.closes(redrive_id)
    await write("continued_first", desk, redrive_id, first)
    await write("continued_last", desk, redrive_id)


async def write(name: str, desk: Desk, redrive_id: UUID, run_id: str | None = None) -> None:
    """Write the history of a workflow."""
    handle = desk.platform.client.get_workflow_handle(desk.handle(redrive_id).id, run_id=run_id)
    (FOLDER / f"{name}.json").write_text(f"{(await handle.fetch_history()).to_json()}\n")


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
            print(f"recording {' and '.join(CONTINUED)}")
            await record_continued(await _platform(database, impatient))
        await database.close()


async def _platform(database: Database, server: EmbeddedTemporal) -> Platform:
    platform = Platform(database, await Client.connect(server.address), server.address)
    await platform.prepare()
    await platform.engine.prepare()
    await platform.execute("TRUNCATE tasks, redrives CASCADE")
    return platform


if __name__ == "__main__":
    with TemporaryDirectory(prefix="redrive-record-") as temporary:
        asyncio.run(run(Path(temporary), again="--again" in sys.argv[1:]))
