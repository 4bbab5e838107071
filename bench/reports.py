"""Acknowledged reports per second: in batches, singly from 16 clients, with and without Temporal, and a burst."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from multiprocessing import get_context

import httpx

from bench.stack import Stack, report_many, running, wait_until, webhook_task
from bench.table import markdown

CLIENTS = 16


def measure(batches: int = 20, singles: int = 2000, burst: int = 20_000) -> str:
    """Measure reporting.

    Args:
        batches: Batches of 1,000 tasks.
        singles: Tasks that are reported one by one.
        burst: Tasks of the burst, which is drained to the end.

    Returns:
        A Markdown table.
    """
    rows: list[list[str]] = []
    for temporal in (False, True):
        engine = "running" if temporal else "stopped"
        with running(worker=False, temporal=temporal) as stack:
            rate = _batches(stack, batches)
            rows.append(["batches of 1,000", engine, f"{rate:.0f} tasks/s"])
            rate, median, slow = _singles(stack, singles)
            rows.append(
                [f"singly, {CLIENTS} clients", engine, f"{rate:.0f} tasks/s, p50 {median:.1f} ms, p99 {slow:.1f} ms"]
            )
    with running() as stack:
        rows.append([f"burst of {burst:,}, kept and drained", "running", _burst(stack, burst)])
    return markdown(["reports", "Temporal", "result"], rows)


def _later(stack: Stack, count: int) -> list[dict[str, object]]:
    return [
        webhook_task(stack, 1, delay_seconds=3600, idempotency_key=f"{time.monotonic_ns()}-{n}") for n in range(count)
    ]


def _batches(stack: Stack, batches: int) -> float:
    bodies = [json.dumps({"tasks": _later(stack, 1000)}).encode() for _ in range(batches + 1)]
    with httpx.Client(base_url=stack.api, timeout=60, headers={"content-type": "application/json"}) as client:
        client.post("/v1/tasks/batch", content=bodies.pop()).raise_for_status()
        began = time.monotonic()
        for body in bodies:
            answer = client.post("/v1/tasks/batch", content=body).raise_for_status()
            if answer.json()["accepted"] != 1000:
                raise RuntimeError(answer.text[:500])
        return batches * 1000 / (time.monotonic() - began)


def _singles(stack: Stack, count: int) -> tuple[float, float, float]:
    bodies = [json.dumps(body).encode() for body in _later(stack, count)]
    # The clients are processes of their own: in this one they would measure their own event loop.
    with get_context("spawn").Pool(2) as pool:
        half = len(bodies) // 2
        began = time.monotonic()
        halves = pool.starmap(_report_all, [(stack.api, bodies[:half]), (stack.api, bodies[half:])])
        elapsed = time.monotonic() - began
    times = sorted(seconds * 1000 for part in halves for seconds in part)
    return len(times) / elapsed, times[len(times) // 2], times[int(len(times) * 0.99)]


def _report_all(api: str, bodies: list[bytes]) -> list[float]:
    return asyncio.run(_report_concurrently(api, bodies))


async def _report_concurrently(api: str, bodies: list[bytes]) -> list[float]:
    times: list[float] = []
    left = iter(bodies)

    async def one_client() -> None:
        async with httpx.AsyncClient(base_url=api, headers={"content-type": "application/json"}) as client:
            for body in left:
                began = time.monotonic()
                answer = await client.post("/v1/tasks", content=body)
                times.append(time.monotonic() - began)
                if answer.status_code != 201:
                    raise RuntimeError(f"{answer.status_code}: {answer.text[:300]}")

    await asyncio.gather(*(one_client() for _ in range(CLIENTS // 2)))
    return times


def _burst(stack: Stack, count: int) -> str:
    with httpx.Client(base_url=stack.api) as client:
        tasks = [webhook_task(stack, 1) for _ in range(count)]
        began = time.monotonic()
        report_many(client, tasks)
        acknowledged = time.monotonic() - began

        def ended() -> bool:
            sys.stderr.write(".")
            sys.stderr.flush()
            return stack.count("succeeded") >= count

        wait_until(ended, 3600, every=5)
        drained = time.monotonic() - began
    return f"acknowledged in {acknowledged:.1f} s, drained in {drained:.0f} s ({count / drained:.0f} tasks/s), no error"
