"""The whole of Redrive as processes, for measurements: the same servers and commands as in use."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import psycopg

from redrive.cli.stack import EmbeddedPostgres, EmbeddedTemporal, ManagedProcess, free_port
from redrive.store.migrate import upgrade


@dataclass
class Stack:
    """Running servers.

    Attributes:
        postgres: The database server.
        temporal: The Temporal server.
        api: Address of the API.
        target: Address of the webhook target.
        folder: Data and logs.
        processes: Redrive's own processes by name.
    """

    postgres: EmbeddedPostgres
    temporal: EmbeddedTemporal
    api: str
    target: str
    folder: Path
    processes: dict[str, ManagedProcess]

    def count(self, *statuses: str) -> int:
        """Count the tasks that are in one of these states."""
        with psycopg.connect(self.postgres.url) as connection:
            row = connection.execute("SELECT count(*) FROM tasks WHERE status = ANY(%s)", [list(statuses)]).fetchone()
        return 0 if row is None else int(row[0])

    def spawn(self, name: str, *arguments: str) -> ManagedProcess:
        """Start one more Python process of the benchmark."""
        process = ManagedProcess(name, [sys.executable, *arguments], log=self.folder / "logs" / f"{name}.log")
        process.start()
        self.processes[name] = process
        return process


@contextmanager
def running(*, worker: bool = True, temporal: bool = True) -> Generator[Stack]:
    """Start PostgreSQL, Temporal, the API, a worker and a webhook target in a new folder; stop them afterwards.

    Args:
        worker: Whether a worker runs.
        temporal: Whether the Temporal server runs.
    """
    with ExitStack() as exits:
        folder = Path(exits.enter_context(TemporaryDirectory(prefix="redrive-bench-", ignore_cleanup_errors=True)))
        postgres = exits.enter_context(EmbeddedPostgres(folder))
        server = EmbeddedTemporal(folder, ui_port=None)
        if temporal:
            exits.enter_context(server)
        else:
            server.port = free_port()
        upgrade(postgres.url)
        api_port, target_port = free_port(), free_port()
        os.environ |= {
            "REDRIVE_DATABASE_URL": postgres.url,
            "REDRIVE_TEMPORAL_ADDRESS": server.address,
            "REDRIVE_REQUIRE_API_KEY": "false",
            "REDRIVE_LOG_LEVEL": "warning",
        }
        stack = Stack(postgres, server, f"http://127.0.0.1:{api_port}", f"http://127.0.0.1:{target_port}", folder, {})
        exits.callback(_stop, stack)
        stack.spawn("api", "-m", "redrive.cli", "api", "--port", str(api_port))
        stack.spawn("target", "-m", "bench.target", str(target_port))
        if worker:
            stack.spawn("worker", "-m", "redrive.cli", "worker")
        wait_until(lambda: answers(f"{stack.api}/readyz"), 120)
        yield stack


def _stop(stack: Stack) -> None:
    for process in stack.processes.values():
        process.stop()


def answers(url: str) -> bool:
    """Tell whether a server answers at an address, and with success."""
    try:
        return httpx.get(url, timeout=2).is_success
    except httpx.HTTPError:
        return False


def wait_until(condition: Callable[[], bool], seconds: float, every: float = 0.05) -> None:
    """Wait until a condition holds.

    Raises:
        TimeoutError: It does not within `seconds`.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:g} s in vain")
        time.sleep(every)


def webhook_task(stack: Stack, succeed_at: int, **parts: Any) -> dict[str, Any]:
    """Make the report of a task for the benchmark's target, due at once, with 50 ms between attempts."""
    return {
        "group": "bench",
        "scene": f"succeed-at-{succeed_at}",
        "target": {"kind": "webhook", "url": f"{stack.target}/succeed-at/{succeed_at}"},
        "kwargs": {"order": "o-1", "amount": 5},
        "delay_seconds": 0,
        "policy": {"backoff": {"kind": "fixed", "delay_seconds": 0.05, "jitter": {"kind": "none"}}},
        **parts,
    }


def report_many(client: httpx.Client, tasks: Sequence[dict[str, Any]], size: int = 1000) -> None:
    """Report tasks in batches, and insist that all were taken."""
    for start in range(0, len(tasks), size):
        answer = client.post("/v1/tasks/batch", json={"tasks": tasks[start : start + size]}, timeout=120)
        answer.raise_for_status()
        if answer.json()["rejected"]:
            raise RuntimeError(f"a report was rejected: {answer.text[:500]}")
