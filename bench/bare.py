"""Bare Temporal: a workflow of the same shape as a task's, whose activities do nothing at all.

Per attempt one remote and one local activity, with a timer between attempts. No database, no HTTP, no decisions: what
remains is what the engine itself costs.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

TASK_QUEUE = "bench-bare"


@dataclass
class Shape:
    """How many attempts a workflow makes, and the pause between them in seconds."""

    attempts: int
    pause_seconds: float


@activity.defn(name="bare-dispatch")
async def dispatch(number: int) -> int:
    """Do nothing, remotely."""
    return number


@activity.defn(name="bare-record")
async def record(number: int) -> None:
    """Do nothing, locally."""


@workflow.defn(name="Bare")
class Bare:
    """The same steps as a task's workflow, and nothing in them."""

    @workflow.run
    async def run(self, shape: Shape) -> None:
        for number in range(1, shape.attempts + 1):
            await workflow.execute_activity(
                dispatch,
                number,
                start_to_close_timeout=timedelta(seconds=45),
                heartbeat_timeout=timedelta(seconds=10),
                retry_policy=RetryPolicy(initial_interval=timedelta(seconds=1)),
            )
            await workflow.execute_local_activity(record, number, start_to_close_timeout=timedelta(seconds=10))
            if number < shape.attempts:
                await workflow.sleep(shape.pause_seconds)


async def work(address: str) -> None:
    """Run a worker until terminated."""
    client = await Client.connect(address)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with Worker(
        client,
        task_queue=TASK_QUEUE,
        workflows=[Bare],
        activities=[dispatch, record],
        workflow_runner=UnsandboxedWorkflowRunner(),
        build_id="bench-bare",
        max_cached_workflows=2000,
    ):
        await stop.wait()


async def start_many(address: str, count: int, shape: Shape, run: str, concurrency: int) -> None:
    """Start workflows, so many at a time."""
    client = await Client.connect(address)
    limit = asyncio.Semaphore(concurrency)

    async def start(index: int) -> None:
        async with limit:
            await client.start_workflow(Bare.run, shape, id=f"{run}-{index}", task_queue=TASK_QUEUE)

    await asyncio.gather(*(start(index) for index in range(count)))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["work", where]:
            asyncio.run(work(where))
        case ["start", where, many, attempts, pause, name]:
            asyncio.run(start_many(where, int(many), Shape(int(attempts), float(pause)), name, 32))
            # The SDK's native threads may outlive the interpreter and crash it while it ends (sdk-python#300).
            os._exit(0)
        case _:
            sys.exit("expected: work ADDRESS | start ADDRESS COUNT ATTEMPTS PAUSE NAME")
