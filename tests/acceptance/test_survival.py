"""`kill -9` of each part in the middle of live tasks: nothing acknowledged is lost, and the ledger stays true.

Everything here is what a user runs: `redrive dev` with its own processes, which it starts again when they end, and
reports over HTTP. The target says beforehand how each task must end.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Self

import httpx
import psycopg
import pytest
from psycopg.rows import namedtuple_row
from temporalio.client import Client
from tests.eventually import eventually

from redrive.core.messages import RETRY_TASK
from redrive.store.database import Database
from redrive.workflows.reconciler import Found, Reconciler

PARTS = ["worker-1", "api", "temporal", "postgres"]
EVERYTHING = "everything"
LIVE_TASKS = 200
MORE_TASKS = 40
MAX_ATTEMPTS = 6
KILL_AFTER_CALLS = 120
QUICK_RETURN = {"first_per_second": 100, "doubling_seconds": 1}
POLICY = {
    "backoff": {"kind": "fixed", "delay_seconds": 0.5, "jitter": {"kind": "full"}},
    "max_attempts": MAX_ATTEMPTS,
    "attempt_timeout_seconds": 10,
}


@dataclass
class Deliveries:
    """What the target saw of one task."""

    attempts: list[int] = field(default_factory=list[int])
    open: int = 0
    overlapped: bool = False


class Target:
    """A webhook target in a thread of its own. The body says how often it fails, and with which status."""

    def __init__(self) -> None:
        self.tasks: dict[str, Deliveries] = defaultdict(Deliveries)
        self.calls = 0
        self.url = ""
        self._random = Random(1)
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._connection, "127.0.0.1", 0, backlog=512))
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        server.close()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lines = head.decode("latin-1").split("\r\n")[1:]
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
                body = json.loads(await reader.readexactly(int(headers["content-length"])))
                status = await self._answer(headers, body)
                writer.write(f"HTTP/1.1 {status} Whatever\r\ncontent-length: 2\r\n\r\n{{}}".encode())
                await writer.drain()
        writer.close()

    async def _answer(self, headers: dict[str, str], body: dict[str, int]) -> int:
        seen = self.tasks[headers["redrive-task"]]
        number = int(headers["redrive-attempt"])
        seen.attempts.append(number)
        self.calls += 1
        seen.open += 1
        seen.overlapped |= seen.open > 1
        # The caller may be killed meanwhile; the work here goes on, as it does in the world.
        await asyncio.sleep(self._random.uniform(0, 0.15))
        seen.open -= 1
        return body["status"] if number <= body["fails"] else 200


class Stack:
    """`redrive dev` on any free ports."""

    def __init__(self, folder: Path) -> None:
        self._data = folder / "data"
        self._output = (folder / "dev.out").open("a+")
        ports = [part for name in ("", "postgres-", "temporal-", "temporal-ui-") for part in (f"--{name}port", "0")]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "redrive.cli", "dev", "--data-dir", str(self._data), *ports],
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def output(self) -> str:
        self._output.seek(0)
        return self._output.read()

    @property
    def state(self) -> dict[str, Any]:
        try:
            state: dict[str, Any] = json.loads((self._data / "stack.json").read_text())
        except FileNotFoundError:
            return {"ready": False}
        return state

    def wait_ready(self) -> None:
        wait_until(lambda: self._process.poll() is not None or bool(self.state["ready"]), 60)
        assert self._process.poll() is None, self.output

    def kill(self, *parts: str) -> None:
        processes = self.state["processes"]
        for part in parts:
            os.kill(processes[part]["pid"], signal.SIGKILL)

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)
        try:
            assert self._process.wait(40) == 0, self.output
        finally:
            self._process.kill()
            self._output.close()

    def rows(self, query: str) -> list[Any]:
        """Ask the database; nothing comes while it is away."""
        try:
            with psycopg.connect(self.state["database_url"], row_factory=namedtuple_row) as connection:
                return connection.execute(query.encode()).fetchall()
        except psycopg.OperationalError:
            return []


class Reporter:
    """A client that reports until it is acknowledged, as the SDK does."""

    def __init__(self, stack: Stack, target: Target, name: str) -> None:
        self._url = f"{stack.state['api_url']}/v1/tasks"
        self._target = target
        self._random = Random(name)
        self._name = name
        self.expected: dict[str, tuple[str, str | None, int]] = {}
        self.refusals = 0

    def report(self, count: int) -> None:
        """Report a batch that must be taken as a whole."""
        reports = [self._make(f"batch-{self._name}-{number}") for number in range(count)]
        answer = httpx.post(f"{self._url}/batch", json={"tasks": reports}, timeout=20)
        assert answer.is_success, answer.text
        for report, result in zip(reports, answer.json()["results"], strict=True):
            assert result["status"] == 201, result
            self._acknowledged(result["id"], report)

    def report_through(self, count: int) -> None:
        """Report one by one, whatever is being killed meanwhile."""
        for number in range(count):
            report = self._make(f"single-{self._name}-{number}")
            wait_until(lambda report=report: self._try(report), 40)

    def _try(self, report: dict[str, Any]) -> bool:
        try:
            answer = httpx.post(self._url, json=report, timeout=10)
        except httpx.TransportError:
            self.refusals += 1
            return False
        if answer.status_code >= 500:
            self.refusals += 1
            return False
        assert answer.status_code in (200, 201), answer.text
        self._acknowledged(answer.json()["id"], report)
        return True

    def _make(self, key: str) -> dict[str, Any]:
        fails = self._random.choice([0, 0, 0, 1, 1, 2, 3, MAX_ATTEMPTS])
        status = self._random.choice([500, 503, 503, 429, 422])
        return {
            "group": "orders",
            "scene": "survive",
            "target": {"kind": "webhook", "url": f"{self._target.url}/hook"},
            "kwargs": {"fails": fails, "status": status},
            "idempotency_key": key,
            "policy": POLICY,
            "delay_seconds": round(self._random.uniform(0, 2), 3),
        }

    def _acknowledged(self, task_id: str, report: dict[str, Any]) -> None:
        fails, status = report["kwargs"]["fails"], report["kwargs"]["status"]
        if fails and status == 422:
            self.expected[task_id] = ("dead", "rejected", 1)
        elif fails >= MAX_ATTEMPTS:
            self.expected[task_id] = ("dead", "exhausted", MAX_ATTEMPTS)
        else:
            self.expected[task_id] = ("succeeded", None, fails + 1)


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not come true in time"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with Target() as target:
        yield target


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One stack for all: each test goes on where the one before has left it."""
    stack = Stack(tmp_path_factory.mktemp("survival"))
    try:
        stack.wait_ready()
        # The target fails as its tasks are told to. A breaker would take it for down, and park what is to end.
        off = {"policy": {"breaker": {"enabled": False}, "slow_start": QUICK_RETURN}}
        httpx.patch(f"{stack.state['api_url']}/v1/namespaces/default", json=off, timeout=30).raise_for_status()
        yield stack
    finally:
        stack.stop()


@pytest.mark.timeout(150)
@pytest.mark.parametrize("part", [*PARTS, EVERYTHING])
def test_everything_acknowledged_ends_as_it_must_although_a_part_is_killed(
    stack: Stack, target: Target, part: str
) -> None:
    killed = PARTS if part == EVERYTHING else [part]
    reporter = Reporter(stack, target, part)
    calls = target.calls
    reporter.report(LIVE_TASKS)
    wait_until(lambda: target.calls >= calls + KILL_AFTER_CALLS, 40)
    live = sum(row.status not in ("succeeded", "dead") for row in stack.rows("SELECT status FROM tasks"))
    stack.kill(*killed)
    reporter.report_through(MORE_TASKS)
    wait_until(lambda: ended(stack) >= len(reporter.expected) and not unended(stack), 90)

    assert live > LIVE_TASKS / 4, "the part was to be killed in the middle"
    check_ends(stack, reporter)
    check_ledger(stack)
    check_target(stack, target)
    asyncio.run(check_engine(stack))
    first, second = asyncio.run(reconcile(stack))
    assert (first.drift, second.drift) == (0, 0)
    assert all(f"{name} was ended by SIGKILL" in stack.output for name in killed)
    if part == "temporal":
        assert reporter.refusals == 0, "a report needs no Temporal"


def ended(stack: Stack) -> int:
    rows = stack.rows("SELECT count(*) FROM tasks WHERE finished_at IS NOT NULL")
    return int(rows[0].count) if rows else 0


def unended(stack: Stack) -> bool:
    rows = stack.rows("SELECT count(*) FROM tasks WHERE finished_at IS NULL")
    return not rows or bool(rows[0].count)


def check_ends(stack: Stack, reporter: Reporter) -> None:
    """Every acknowledged task has the end that its target gave it, after exactly the attempts that it takes."""
    rows = stack.rows("SELECT id::text, status, dead_reason, attempts, next_attempt_at FROM tasks")
    ends = {row.id: (row.status, row.dead_reason, row.attempts) for row in rows if row.id in reporter.expected}
    wrong = {
        task_id: (ends.get(task_id), expected)
        for task_id, expected in reporter.expected.items()
        if ends.get(task_id) != expected
    }
    assert wrong == {}
    assert all(row.next_attempt_at is None for row in rows)


def check_ledger(stack: Stack) -> None:
    """No gap, no duplicate, nothing before its time, nothing open, never more than allowed, one at a time."""
    rows = stack.rows(
        """
        SELECT tasks.id::text, tasks.status AS task_status, tasks.attempts, number, attempts.status, due_at,
            attempts.started_at, attempts.finished_at
        FROM tasks LEFT JOIN attempts ON attempts.task_id = tasks.id ORDER BY tasks.id, number
        """
    )
    for task_id, group in itertools.groupby(rows, lambda row: row.id):
        ledger = list(group)
        assert [row.number for row in ledger] == list(range(1, ledger[0].attempts + 1)), task_id
        assert all(row.due_at <= row.started_at <= row.finished_at for row in ledger), task_id
        assert all(row.status != "running" for row in ledger), task_id
        assert len(ledger) <= MAX_ATTEMPTS
        assert [row.status == "succeeded" for row in ledger] == [
            *[False] * (len(ledger) - 1),
            ledger[0].task_status == "succeeded",
        ]
        for earlier, later in itertools.pairwise(ledger):
            assert earlier.finished_at <= later.started_at, task_id


def check_target(stack: Stack, target: Target) -> None:
    """The target was never asked twice at once, and saw each attempt of the ledger, in order, and no other."""
    numbers = {row.id: row.attempts for row in stack.rows("SELECT id::text, attempts FROM tasks")}
    for task_id, seen in target.tasks.items():
        assert not seen.overlapped, task_id
        assert seen.attempts == sorted(seen.attempts), task_id
        assert set(seen.attempts) == set(range(1, numbers[task_id] + 1)), task_id


async def check_engine(stack: Stack) -> None:
    """No workflow runs any more, once Temporal's list has caught up."""
    client = await Client.connect(stack.state["temporal_address"])
    query = f"WorkflowType = '{RETRY_TASK}' AND ExecutionStatus = 'Running'"

    async def none_runs() -> bool:
        return (await client.count_workflows(query)).count == 0

    await eventually(none_runs, what="the end of all workflows")


async def reconcile(stack: Stack) -> tuple[Found, Found]:
    """Compare mirror and engine twice."""
    client = await Client.connect(stack.state["temporal_address"])
    database = Database(stack.state["database_url"])
    reconciler = Reconciler(client, database, grace_seconds=0)
    rounds: list[Found] = []
    try:
        while len(rounds) < 2:
            # The worker's own reconciler may be at it.
            found = await reconciler.round()
            rounds += [] if found is None else [found]
    finally:
        await database.close()
    return rounds[0], rounds[1]
