"""A redrive of 100,000 tasks: how long it takes to freeze and to carry out, and what it leaves in memory and history.

What is done with each task is done in PostgreSQL alone (cancelling tasks whose workflow has not started, and deleting
them), so that what is measured is the redrive itself: its looks, its bookkeeping and its workflow.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx
import psycopg
from psycopg.types.json import Jsonb
from temporalio.client import Client

from bench.stack import Stack, running, wait_until
from bench.table import markdown
from redrive.store.scenes import DEFAULTS

_FILL = """
    WITH made AS (
        INSERT INTO tasks (id, namespace, "group", scene, status, why, max_attempts, next_attempt_at, payload_hash,
            target, policy, created_at, started_at, updated_at)
        SELECT gen_random_uuid(), 'default', 'bench', 'held', 'paused', 'held by the benchmark', 12, now(), '',
            '{"kind": "webhook", "url": "http://127.0.0.1:1/", "method": "POST", "headers": {}}', %s,
            now(), now(), now()
        FROM generate_series(1, %s)
        RETURNING id
    )
    INSERT INTO payloads (task_id, revision, args, kwargs) SELECT id, 1, '[]', '{"order": "o-1", "amount": 5}' FROM made
"""


def measure(tasks: int = 100_000) -> str:
    """Cancel tasks, then delete them.

    Args:
        tasks: How many.

    Returns:
        A Markdown table.
    """
    rows: list[list[str]] = []
    with running() as stack, httpx.Client(base_url=stack.api, timeout=120) as client:
        report = {
            "group": "bench",
            "scene": "held",
            "target": {"kind": "webhook", "url": f"{stack.target}/succeed-at/1"},
            "kwargs": {},
        }
        client.post("/v1/tasks", json=report).raise_for_status()
        wait_until(lambda: stack.count("succeeded") == 1, 60)
        with psycopg.connect(stack.postgres.url, autocommit=True) as connection:
            connection.execute(_FILL, [Jsonb(dict(DEFAULTS)), tasks])
            connection.execute("ANALYZE tasks")
        before = _resident(stack)
        for action, statuses in (("cancel", ["paused"]), ("delete", ["cancelled"])):
            rows.append(_redrive(stack, client, action, statuses, tasks))
        rows.append(
            ["memory of the worker", f"{before:.0f} MB before", f"{_resident(stack):.0f} MB at most", "", "", ""]
        )
    header = ["redrive", "frozen in s", "carried out in s", "tasks /s", "runs of its workflow", "events of the longest"]
    return markdown(header, rows)


def _redrive(stack: Stack, client: httpx.Client, action: str, statuses: list[str], tasks: int) -> list[str]:
    request = {
        "action": action,
        "selection": {"scene": "held", "status": statuses},
        "rate_per_second": 1000,
        "ramp": None,
        "concurrency": 10_000,
    }
    began = time.monotonic()
    answer = client.post("/v1/redrives", json=request)
    answer.raise_for_status()
    frozen, found = time.monotonic() - began, answer.json()
    wait_until(lambda: _find(client, found["id"])["status"] == "completed", 1200, every=0.5)
    took, found = time.monotonic() - began, _find(client, found["id"])
    if found["counts"]["succeeded"] != tasks:
        raise RuntimeError(f"expected {tasks} tasks, got {found['counts']}")
    lengths = asyncio.run(_histories(stack, found["workflow_id"]))
    return [
        f"{action} {tasks:,}",
        f"{frozen:.1f}",
        f"{took:.0f}",
        f"{tasks / took:.0f}",
        str(len(lengths)),
        f"{max(lengths):,}",
    ]


def _find(client: httpx.Client, redrive_id: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/v1/redrives/{redrive_id}").json()
    return found


async def _histories(stack: Stack, workflow_id: str) -> list[int]:
    client = await Client.connect(stack.temporal.address)
    runs = [run async for run in client.list_workflows(f"WorkflowId = '{workflow_id}'")]
    described = [await client.get_workflow_handle(run.id, run_id=run.run_id).describe() for run in runs]
    return [description.history_length or 0 for description in described]


def _resident(stack: Stack) -> float:
    """Tell the most memory that the worker has had, in MB."""
    status = Path(f"/proc/{stack.processes['worker'].pid}/status").read_text()
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return int(kilobytes) / 1000
