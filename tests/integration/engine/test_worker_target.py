"""A group's own worker, which has no inbound port: attempts come from its task queue, payloads from the API."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import uvicorn
from tests.eventually import eventually
from tests.integration.engine.harness import GROUP, NAMESPACE, SCENE, Platform

from redrive.api.app import create_app
from redrive.core.messages import UPDATE_CANCEL, Cancel
from redrive.core.wire import WorkerTarget
from redrive.sdk import Redrive, current_attempt, retry_after, snooze, stop
from redrive.sdk.worker import TaskQueueWorker
from redrive.store.settings import Settings
from redrive.workflows import retry_task
from redrive.workflows.worker import serving as serving_engine

MARKER = "a-payload-that-temporal-must-never-see"


class Server(uvicorn.Server):
    """The API inside a test leaves the process's signal handlers alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


class Serving:
    """The API over HTTP, on a port that stays the same when it goes away and comes back."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        config = uvicorn.Config(
            create_app(self._settings), host="127.0.0.1", port=self.port, log_level="critical", log_config=None
        )
        listening = config.bind_socket()
        self.port = listening.getsockname()[1]
        server = Server(config)
        task = asyncio.create_task(server.serve(sockets=[listening]))
        await eventually(lambda: server.started)
        try:
            yield
        finally:
            server.should_exit = True
            await task
            listening.close()


@pytest.fixture
def serving(idle: Platform) -> Serving:
    return Serving(idle.settings.model_copy(update={"require_api_key": False}))


@pytest.fixture
async def stack(idle: Platform, serving: Serving) -> AsyncIterator[Platform]:
    """The engine's worker and the API with its starter, and nobody on the group's task queue."""
    async with idle.worker(), serving.running():
        yield idle


@pytest.fixture
async def client(serving: Serving, stack: Platform) -> AsyncIterator[Redrive]:
    assert stack
    async with new_client(serving) as client:
        yield client


def new_client(serving: Serving, queue: str | None = None, drain_timeout: float = 5) -> Redrive:
    queue = queue or f"orders-{uuid4()}"
    return Redrive(
        serving.url, group=GROUP, task_queue=queue, spool=False, drain_timeout=drain_timeout, capacity=4, timeout=5
    )


def queue_of(client: Redrive) -> str:
    assert isinstance(client.target, WorkerTarget)
    return client.target.task_queue


def working(client: Redrive, platform: Platform) -> TaskQueueWorker:
    return client.worker(address=platform.settings.temporal_address, namespace=platform.client.namespace)


async def report(client: Redrive, executor: str, **options: Any) -> UUID:
    receipt = await client.areport(SCENE, executor=executor, delay=0, **options)
    assert receipt.id is not None
    return UUID(receipt.id)


async def history(platform: Platform, task_id: UUID) -> str:
    return (await platform.handle(task_id).fetch_history()).to_json()


async def test_an_attempt_runs_in_the_groups_own_worker_and_its_payload_stays_out_of_temporal(
    stack: Platform, client: Redrive
) -> None:
    seen: list[Any] = []

    @client.executor("orders.charge")
    async def charge(order: str, amount: int) -> str:
        attempt = current_attempt()
        assert attempt is not None
        seen.append((order, amount, attempt.number, attempt.scene))
        return f"result of {order}"

    async with working(client, stack):
        task_id = await report(client, "orders.charge", args=[MARKER], kwargs={"amount": 5})
        await stack.ends(task_id)

    task, (attempt,) = await stack.task(task_id), await stack.ledger(task_id)
    assert task.target == {"kind": "worker", "task_queue": queue_of(client)}
    assert (task.status, task.attempts) == ("succeeded", 1)
    assert (attempt.status, attempt.response) == ("succeeded", json.dumps(f"result of {MARKER}"))
    assert (attempt.node_id or "").startswith(f"{os.getpid()}@")
    assert seen == [(MARKER, 5, 1, SCENE)]
    assert MARKER not in await history(stack, task_id)


async def test_a_failure_is_retried_with_what_is_known_of_it(stack: Platform, client: Redrive) -> None:
    errors: list[str | None] = []

    @client.executor("orders.charge")
    def charge() -> None:
        attempt = current_attempt()
        assert attempt is not None
        errors.append(attempt.last_error and attempt.last_error.type)
        if attempt.number == 1:
            raise ValueError(MARKER)

    async with working(client, stack):
        task_id = await report(client, "orders.charge")
        task = await stack.ends(task_id)

    first, second = await stack.ledger(task_id)
    assert (task.status, task.attempts) == ("succeeded", 2)
    assert (first.status, first.error_type, first.error_message) == ("failed", "ValueError", MARKER)
    assert second.status == "succeeded"
    assert errors == [None, "ValueError"]
    assert MARKER not in await history(stack, task_id)


async def test_code_may_snooze_ask_for_time_and_stop_as_on_a_node(stack: Platform, client: Redrive) -> None:
    says = iter([snooze(0.01), retry_after(0.01), stop("the card is closed")])

    @client.executor("orders.charge")
    def charge() -> None:
        raise next(says)

    async with working(client, stack):
        task_id = await report(client, "orders.charge")
        task = await stack.ends(task_id)

    ledger = await stack.ledger(task_id)
    assert (task.status, task.dead_reason, task.attempts) == ("dead", "stopped", 2)
    assert [attempt.status for attempt in ledger] == ["cancelled", "failed", "failed"]


async def test_an_attempt_that_is_not_over_in_time_has_timed_out(stack: Platform, client: Redrive) -> None:
    @client.executor("orders.charge")
    async def charge() -> None:
        await asyncio.Event().wait()

    async with working(client, stack):
        policy = {"max_attempts": 1, "attempt_timeout_seconds": 0.3}
        task_id = await report(client, "orders.charge", policy=policy)
        await stack.ends(task_id)

    (attempt,) = await stack.ledger(task_id)
    assert (attempt.status, attempt.error_type) == ("timed_out", "redrive.Timeout")
    assert attempt.error_message == "not over within 0.3 s"


async def test_a_cancellation_reaches_the_running_function(stack: Platform, client: Redrive) -> None:
    began, stopped = asyncio.Event(), asyncio.Event()

    @client.executor("orders.charge")
    async def charge() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            attempt = current_attempt()
            assert attempt is not None
            if attempt.cancelled:
                stopped.set()
            raise

    async with working(client, stack):
        task_id = await report(client, "orders.charge")
        await asyncio.wait_for(began.wait(), 20)
        await stack.update(task_id, UPDATE_CANCEL, Cancel("by hand"))
        await asyncio.wait_for(stopped.wait(), 20)
        task = await stack.ends(task_id)

    (attempt,) = await stack.ledger(task_id)
    assert (task.status, attempt.status, attempt.error_type) == ("cancelled", "cancelled", "redrive.Cancelled")


async def test_a_worker_without_the_executor_spends_no_attempt(stack: Platform, client: Redrive) -> None:
    async with working(client, stack):
        task_id = await report(client, "orders.unknown")
        task = await stack.reaches(task_id, "parked")

    assert task.attempts == 0
    assert "has no executor 'orders.unknown'" in task.why
    assert await stack.ledger(task_id) == []


async def test_a_stopping_worker_lets_its_attempt_finish_and_takes_no_other(stack: Platform, client: Redrive) -> None:
    began, go_on = asyncio.Event(), asyncio.Event()

    @client.executor("orders.charge")
    async def charge() -> None:
        began.set()
        await go_on.wait()

    worker = working(client, stack)
    async with worker:
        task_id = await report(client, "orders.charge")
        await asyncio.wait_for(began.wait(), 20)
        leaving = asyncio.create_task(worker.__aexit__(None, None, None))
        go_on.set()
        await leaving

    task, (attempt,) = await stack.ends(task_id), await stack.ledger(task_id)
    assert (task.status, attempt.deliveries) == ("succeeded", 1)


async def test_a_worker_that_runs_out_of_time_leaves_its_attempt_to_the_next_one(
    stack: Platform, serving: Serving
) -> None:
    began = asyncio.Event()
    async with new_client(serving, drain_timeout=0.1) as impatient, new_client(serving, queue_of(impatient)) as patient:

        @impatient.executor("orders.charge")
        async def charge() -> None:
            began.set()
            await asyncio.Event().wait()

        patient.executor("orders.charge")(_nothing)

        async with working(impatient, stack):
            task_id = await report(impatient, "orders.charge")
            await asyncio.wait_for(began.wait(), 20)
        async with working(patient, stack):
            task = await stack.ends(task_id)

    (attempt,) = await stack.ledger(task_id)
    assert (task.status, task.attempts) == ("succeeded", 1)
    assert (attempt.number, attempt.deliveries) == (1, 2)


async def test_a_script_works_in_a_thread(stack: Platform, client: Redrive) -> None:
    client.executor("orders.charge")(_nothing)

    with working(client, stack):
        task_id = await report(client, "orders.charge")
        task = await stack.ends(task_id)

    assert task.status == "succeeded"


async def test_an_attempt_whose_end_the_api_could_not_take_runs_once(idle: Platform, serving: Serving) -> None:
    runs: list[int] = []
    began, go_on, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async with idle.worker(), contextlib.AsyncExitStack() as stack:
        async with serving.running():
            client = await stack.enter_async_context(new_client(serving))

            @client.executor("orders.charge")
            async def charge() -> None:
                runs.append(1)
                began.set()
                await go_on.wait()
                ended.set()

            await stack.enter_async_context(working(client, idle))
            task_id = await report(client, "orders.charge")
            await asyncio.wait_for(began.wait(), 20)
        go_on.set()
        await ended.wait()
        async with serving.running():
            task = await idle.ends(task_id)

    assert (task.status, task.attempts, runs) == ("succeeded", 1, [1])


async def test_tasks_are_parked_while_nobody_polls_and_woken_when_somebody_does(
    idle: Platform, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = serving_engine(idle.client, idle.database, idle.settings)
    async with engine, serving.running(), new_client(serving) as client:
        client.executor("orders.charge")(_nothing)
        # The wait for a worker is 30 s long. The engine runs unsandboxed here, so that it sees the shorter one, which
        # ends before the worker comes: what was woken may have to wait until it has room.
        with monkeypatch.context() as impatient:
            impatient.setattr(retry_task, "WORKER_WAIT", type(retry_task.WORKER_WAIT)(seconds=1))
            tasks = [await report(client, "orders.charge") for _ in range(25)]
            for task_id in tasks:
                parked = await idle.reaches(task_id, "parked")
                assert parked.attempts == 0
                assert "no worker took it from the task queue" in parked.why
        async with working(client, idle):
            for task_id in tasks:
                task = await idle.ends(task_id)
                assert (task.status, task.attempts) == ("succeeded", 1)

    # By themselves they would have looked again after 15 s, and for another reason.
    triggers = {attempt.trigger for task_id in tasks for attempt in await idle.ledger(task_id)}
    assert triggers == {"wake"}


SCRIPT = """
import asyncio, os, sys
from redrive.sdk import Redrive

url, queue, address, namespace, started = sys.argv[1:]
client = Redrive(url, group="orders", task_queue=queue, spool=False)

@client.executor("orders.charge")
async def charge() -> None:
    open(started, "w").close()
    await asyncio.Event().wait()

asyncio.run(client.run_worker(address=address, namespace=namespace))
"""


@contextlib.asynccontextmanager
async def process(client: Redrive, platform: Platform, started: Path) -> AsyncGenerator[asyncio.subprocess.Process]:
    """Run a worker in a process of its own."""
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SCRIPT, client.url, queue_of(client),
        platform.settings.temporal_address or "", platform.client.namespace, str(started),
    )  # fmt: skip
    try:
        yield worker
    finally:
        if worker.returncode is None:
            worker.kill()
        await worker.wait()


async def test_the_attempt_of_a_killed_worker_is_repeated_under_its_number(
    stack: Platform, client: Redrive, tmp_path: Path
) -> None:
    started = tmp_path / "started"
    client.executor("orders.charge")(_nothing)
    async with process(client, stack, started) as worker:
        task_id = await report(client, "orders.charge")
        await eventually(started.exists)
        worker.send_signal(signal.SIGKILL)
        await worker.wait()
        lost = (await stack.ledger(task_id))[0]
        async with working(client, stack):
            task = await stack.ends(task_id, within=60)

    (attempt,) = await stack.ledger(task_id)
    assert (task.status, task.attempts) == ("succeeded", 1)
    assert (attempt.number, attempt.deliveries) == (1, 2)
    assert attempt.node_id != lost.node_id
    # Its result would come late now, and is refused.
    answer = await _finish(client, stack, task_id, delivery=1)
    assert answer.status_code == 409
    assert answer.json()["type"] == "/problems/superseded"
    assert "expected delivery 2" in answer.json()["detail"]
    assert (await stack.ledger(task_id))[0].error_type is None


async def test_sigterm_drains_a_worker_process(stack: Platform, client: Redrive, tmp_path: Path) -> None:
    async with process(client, stack, tmp_path / "started") as worker:
        task_id = await report(client, "orders.charge", policy={"max_attempts": 1, "attempt_timeout_seconds": 2})
        await eventually((tmp_path / "started").exists)
        worker.terminate()

        assert await asyncio.wait_for(worker.wait(), 30) == 0

    await stack.ends(task_id)
    (attempt,) = await stack.ledger(task_id)
    assert (attempt.status, attempt.deliveries) == ("timed_out", 1)


async def _finish(client: Redrive, platform: Platform, task_id: UUID, delivery: int) -> httpx.Response:
    attempt = (await platform.ledger(task_id))[0]
    command = {
        "namespace": NAMESPACE,
        "group": GROUP,
        "task_id": str(task_id),
        "generation": 1,
        "number": attempt.number,
        "attempts": 1,
        "version": 1,
        "due_at": attempt.due_at.isoformat(),
        "trigger": "timer",
        "timeout_seconds": 20,
        "ends_at": None,
        "max_attempts": 3,
        "route": "first",
        "policy_version": 1,
    }
    answer = {"status": "failed", "error": {"type": "TooLate", "message": "late"}}
    async with httpx.AsyncClient() as http:
        document = {"command": command, "delivery": delivery, "answer": answer}
        return await http.post(f"{client.url}/v1/attempts/finish", json=document)


def _nothing() -> None:
    pass


async def test_the_code_of_the_page_about_workers_runs_an_attempt(
    stack: Platform, serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[3] / "docs" / "sdk" / "worker.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    code = code.replace("http://redrive:8600", serving.url)
    code = code.replace("temporal:7233", stack.settings.temporal_address or "")
    monkeypatch.setenv("TEMPORAL_NAMESPACE", stack.client.namespace)
    monkeypatch.setenv("REDRIVE_SPOOL", str(tmp_path / "spool"))
    done = threading.Event()
    names: dict[str, Any] = {"__name__": "shop", "do_other_work": lambda: done.wait(60)}

    script = asyncio.create_task(asyncio.to_thread(exec, code, names))
    try:
        await eventually(lambda: "charge" in names or script.done())
        task_id = await report(names["redrive"], "shop.charge", args=["o-1"])
        task = await stack.ends(task_id)
    finally:
        done.set()
        await script

    assert (task.status, task.target) == ("succeeded", {"kind": "worker", "task_queue": "orders-retries"})
    names["redrive"].close()
