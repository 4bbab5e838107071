"""Tasks per second from the report to the end, beside bare workflows of the same shape on the same server."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time

import httpx
from temporalio.client import Client

from bench.bare import TASK_QUEUE
from bench.stack import Stack, report_many, running, wait_until, webhook_task
from bench.table import markdown


def measure(tasks: int = 400, rounds: int = 3) -> str:
    """Measure in turns, so that a drift of the machine meets both sides.

    Args:
        tasks: Tasks, and workflows, of one round.
        rounds: How often each side is measured.

    Returns:
        A Markdown table.
    """
    rows: list[list[str]] = []
    with running() as stack:
        stack.spawn("bare", "-m", "bench.bare", "work", stack.temporal.address)
        _let_fail(stack)
        _redrive(stack, 1, 50)
        _bare(stack, 1, 50)
        for succeed_at in (1, 3):
            ours: list[float] = []
            bare: list[float] = []
            for _ in range(rounds):
                ours.append(_redrive(stack, succeed_at, tasks))
                bare.append(_bare(stack, succeed_at, tasks))
            ratio = statistics.median(ours) / statistics.median(bare)
            rows.append(
                [
                    f"success at attempt {succeed_at}",
                    f"{statistics.median(ours):.1f}",
                    f"{statistics.median(bare):.1f}",
                    f"{ratio:.2f}",
                    f"{min(ours):.1f} to {max(ours):.1f}",
                    f"{min(bare):.1f} to {max(bare):.1f}",
                ]
            )
    return markdown(["tasks", "Redrive /s", "bare Temporal /s", "ratio", "Redrive range", "bare range"], rows)


def _let_fail(stack: Stack) -> None:
    """Hold nothing back at the target, which fails two of three attempts on purpose."""
    with httpx.Client(base_url=stack.api) as client:
        policy = {"breaker": {"enabled": False}, "budget": {"enabled": False}}
        client.patch("/v1/namespaces/default", json={"policy": policy}).raise_for_status()


def _redrive(stack: Stack, succeed_at: int, count: int) -> float:
    with httpx.Client(base_url=stack.api) as client:
        before = stack.count("succeeded")
        began = time.monotonic()
        report_many(client, [webhook_task(stack, succeed_at) for _ in range(count)])
        wait_until(lambda: stack.count("succeeded") >= before + count, 300, every=0.1)
        return count / (time.monotonic() - began)


def _bare(stack: Stack, attempts: int, count: int) -> float:
    run = f"bare-{time.monotonic_ns()}"
    began = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "bench.bare", "start", stack.temporal.address, str(count), str(attempts), "0.05", run],
        check=True,
    )
    asyncio.run(_bare_done(stack.temporal.address))
    return count / (time.monotonic() - began)


async def _bare_done(address: str) -> None:
    client = await Client.connect(address)
    query = f"TaskQueue = '{TASK_QUEUE}' AND ExecutionStatus = 'Running'"
    while (await client.count_workflows(query)).count:  # noqa: ASYNC110 - another process does the work
        await asyncio.sleep(0.1)
