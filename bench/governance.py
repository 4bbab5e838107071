"""What governance costs: tasks per second with it and without, in turns on the same servers.

Without it, the worker is Redrive's own but for its admission, which lets everything pass and learns nothing. With it,
attempts go by the default rules; then also by limits of group, scene and target, on rate and on attempts at a time,
which are set so high that they hold nothing back: what is measured is the asking.
"""

from __future__ import annotations

import statistics
import time

import httpx

from bench.stack import Stack, report_many, running, wait_until, webhook_task
from bench.table import markdown

_UNGOVERNED, _DEFAULTS, _LIMITS = "none", "by default", "and limits of group, scene and target"
_COMMANDS = {
    _UNGOVERNED: ("-m", "bench.ungoverned"),
    _DEFAULTS: ("-m", "redrive.cli", "worker"),
    _LIMITS: ("-m", "redrive.cli", "worker"),
}


def measure(tasks: int = 400, rounds: int = 5) -> str:
    """Measure in turns, so that a drift of the machine meets all variants.

    Args:
        tasks: Tasks of one round.
        rounds: How often each variant is measured.

    Returns:
        A Markdown table.
    """
    found: dict[str, list[float]] = {variant: [] for variant in _COMMANDS}
    with running(worker=False) as stack, httpx.Client(base_url=stack.api, timeout=60) as client:
        _limit(client, stack)
        for _ in range(rounds):
            for variant, rates in found.items():
                rates.append(_rate(stack, client, variant, tasks))
    without = found[_UNGOVERNED]
    rows = [
        [
            variant,
            f"{statistics.median(rates):.1f}",
            f"{min(rates):.1f} to {max(rates):.1f}",
            # Of each round by itself: the variants of one round had the same machine.
            f"{(1 - statistics.median(one / other for one, other in zip(rates, without, strict=True))) * 100:.0f} %",
            "" if variant == _UNGOVERNED else "<= 10 %",
        ]
        for variant, rates in found.items()
    ]
    return markdown(["governance", "tasks /s", "range", "cost", "goal"], rows)


def _limit(client: httpx.Client, stack: Stack) -> None:
    host = stack.target.removeprefix("http://")
    limit = {"rate": 10_000, "burst": 10_000, "concurrency": 10_000}
    report = _task(stack, _LIMITS)
    client.post("/v1/tasks", json=report).raise_for_status()  # makes group and scene
    for scope in (f"group/{report['group']}", f"scene/{report['group']}/{report['scene']}", f"target/host:{host}"):
        client.put(f"/v1/limits/{scope}", json=limit).raise_for_status()


def _task(stack: Stack, variant: str) -> dict[str, object]:
    """Make a report; those of the limited variant go to the target under the name that has a limit."""
    target = stack.target if variant == _LIMITS else stack.target.replace("127.0.0.1", "localhost")
    return {
        **webhook_task(stack, 1, group="limited" if variant == _LIMITS else "free"),
        "target": {"kind": "webhook", "url": f"{target}/succeed-at/1"},
    }


def _rate(stack: Stack, client: httpx.Client, variant: str, tasks: int) -> float:
    worker = stack.spawn("worker", *_COMMANDS[variant])
    try:
        _run(stack, client, variant, 50)  # a worker that has just started is still loading
        return _run(stack, client, variant, tasks)
    finally:
        worker.stop()


def _run(stack: Stack, client: httpx.Client, variant: str, tasks: int) -> float:
    before = stack.count("succeeded")
    began = time.monotonic()
    report_many(client, [_task(stack, variant) for _ in range(tasks)])
    wait_until(lambda: stack.count("succeeded") >= before + tasks, 300, every=0.1)
    return tasks / (time.monotonic() - began)
