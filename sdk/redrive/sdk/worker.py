"""Taking attempts from the group's own Temporal task queue, for processes that have no inbound port.

    task queue → activity `redrive.execute` → ask the server for the arguments → run → tell the server → result

Temporal carries ids and counters only: what an attempt needs comes from the server, and so goes what it answers. The
functions run as everywhere else (`attempts.Runner`): with `current_attempt()`, logs, verdicts, time-outs and
cancellation. While the server is away, the activity fails and Temporal repeats it, under the same attempt number.

This module is the only one of the SDK that needs `temporalio`: `pip install 'redrive[worker]'`.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import dataclasses
import logging
import os
import signal
import socket
import threading
import types
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self, TypeAlias, TypeVar

from redrive.core.documents import encode
from redrive.core.errors import RedriveError
from redrive.core.messages import EXECUTE
from redrive.core.wire import ExecuteAnswer
from redrive.sdk._http import Connection
from redrive.sdk.attempts import AttemptKey, Runner, read_request
from redrive.sdk.errors import DeadlineExceeded, Unavailable, UnknownExecutor, UsageError
from redrive.sdk.executor import Registry
from redrive.sdk.serving import LoopThread

try:
    from temporalio import activity
    from temporalio.client import Client
    from temporalio.envconfig import ClientConfig
    from temporalio.exceptions import ApplicationError
    from temporalio.worker import Worker
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"taking attempts from a Temporal task queue needs {error.name}: pip install 'redrive[worker]'", name=error.name
    ) from None

log = logging.getLogger("redrive.sdk")

T = TypeVar("T")

TemporalClient: TypeAlias = Client
"""A connected client of Temporal."""

HEARTBEAT_SECONDS: Final = 2.0
"""How often a running attempt says that it lives; after ten silent seconds another worker repeats it."""

SET_SECONDS: Final = 0.25
"""Between two sets of parked tasks that are woken."""

_FIRST_WAIT: Final = 0.5
_LONGEST_WAIT: Final = 30.0
_MARGIN_SECONDS: Final = 2.0
_DEADLINE_EXCEEDED: Final = f"{DeadlineExceeded.__module__}.{DeadlineExceeded.__qualname__}"


@dataclass(frozen=True, slots=True)
class WorkerParts:
    """What a worker needs of its client.

    Attributes:
        group: The group whose parked tasks are woken.
        connection: The way to the server.
        runner: Runs attempts.
        registry: The executors.
        capacity: The most attempts at a time.
        drain_seconds: The longest wait for running attempts at shutdown, in seconds.
    """

    group: str
    connection: Connection
    runner: Runner
    registry: Registry
    capacity: int
    drain_seconds: float


class TaskQueueWorker:
    """A worker of the group's task queue; `Redrive.worker` makes it.

    Use it in one of three ways: `with` runs it in a thread of its own, `async with` in the event loop of the
    application, whose resources its coroutines then share, and `await run()` until the process is to end. In each
    case it connects again and again until Temporal is there, and at the end takes no more attempts and lets those that
    run finish.

    Args:
        parts: What it needs of its client.
        task_queue: The group's own task queue.
        address: `host:port` of Temporal; None takes Temporal's own environment configuration (`TEMPORAL_ADDRESS`,
            `TEMPORAL_API_KEY`, `TEMPORAL_TLS_*`, profiles).
        namespace: Temporal namespace; None as above.
        temporal: A connected client in place of the two.

    Example:
        ```python
        with redrive.worker(address="localhost:7233"):
            do_other_work()
        ```
    """

    def __init__(
        self,
        parts: WorkerParts,
        task_queue: str,
        *,
        address: str | None = None,
        namespace: str | None = None,
        temporal: Client | None = None,
    ) -> None:
        self.task_queue = task_queue
        self._parts = parts
        self._address = address
        self._namespace = namespace
        self._temporal = temporal
        self._execution = _Execution(parts, f"{os.getpid()}@{socket.gethostname()}")
        self._stop = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None
        self._loop: LoopThread | None = None
        self._thread_work: concurrent.futures.Future[None] | None = None

    async def run(self) -> None:
        """Take attempts until this is cancelled or the process gets SIGTERM; then let those that run finish.

        Example:
            ```python
            asyncio.run(redrive.worker().run())
            ```
        """
        async with self:
            with _sigterm(self._stop.set):
                await self._stop.wait()

    async def __aenter__(self) -> Self:
        self._begin()
        self._serving = asyncio.create_task(self._serve())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self._stop.set()
        serving, self._serving = self._serving, None
        if serving is not None:
            await _to_its_end(serving)

    def __enter__(self) -> Self:
        self._begin()
        self._loop = LoopThread()
        self._thread_work = asyncio.run_coroutine_threadsafe(self._serve(), self._loop.loop())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        loop, self._loop = self._loop, None
        work, self._thread_work = self._thread_work, None
        if loop is not None and work is not None:
            loop.loop().call_soon_threadsafe(self._stop.set)
            try:
                work.result(self._parts.drain_seconds + 10)
            except concurrent.futures.TimeoutError:
                log.warning("redrive: the worker of %s did not end in time", self.task_queue)
            loop.stop()

    def _begin(self) -> None:
        if self._serving is not None or self._thread_work is not None:
            raise UsageError(f"this worker of {self.task_queue!r} runs already: make another one")
        self._stop = asyncio.Event()

    async def _serve(self) -> None:
        """Connect and poll, and do it again when that fails."""
        wait = _FIRST_WAIT
        while not self._stop.is_set():
            begun = asyncio.get_running_loop().time()
            try:
                await self._poll()
            except Exception as error:  # noqa: BLE001 - whatever it was, attempts wait for this worker
                if asyncio.get_running_loop().time() - begun > _LONGEST_WAIT:
                    wait = _FIRST_WAIT
                log.warning(
                    "redrive: the worker of %s is not connected, next try in %.1f s: %s", self.task_queue, wait, error
                )
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), wait)
                wait = min(wait * 2, _LONGEST_WAIT)

    async def _poll(self) -> None:
        """Take attempts until told to stop."""
        worker = Worker(
            self._temporal or await self._connect(),
            task_queue=self.task_queue,
            activities=[self._execution.execute],
            # Not the default, a hash of all modules that are loaded, which takes long to make.
            build_id="redrive-sdk",
            max_concurrent_activities=self._parts.capacity,
            # An attempt is cancelled through its heartbeats; Temporal would hold most of them back otherwise.
            max_heartbeat_throttle_interval=timedelta(seconds=1),
            default_heartbeat_throttle_interval=timedelta(seconds=1),
            graceful_shutdown_timeout=timedelta(seconds=self._parts.drain_seconds),
        )
        polling = asyncio.create_task(worker.run())
        stopping = asyncio.create_task(self._stop.wait())
        waking = asyncio.create_task(self._wake_parked())
        log.info("redrive: takes attempts from the task queue %s", self.task_queue)
        try:
            await asyncio.wait({polling, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (stopping, waking):
                task.cancel()
            await asyncio.gather(stopping, waking, return_exceptions=True)
            await worker.shutdown()
            await polling

    async def _connect(self) -> Client:
        config = ClientConfig.load_client_connect_config()
        if self._address is not None:
            config["target_host"] = self._address
        if self._namespace is not None:
            config["namespace"] = self._namespace
        config.setdefault("target_host", "localhost:7233")
        return await Client.connect(**config)

    async def _wake_parked(self) -> None:
        """Tell the server that somebody polls: what was parked because nobody did can go on, a few tasks at a time."""
        begun, wait = asyncio.get_running_loop().time(), _FIRST_WAIT
        while True:
            polling = asyncio.get_running_loop().time() - begun
            ready = {"group": self._parts.group, "task_queue": self.task_queue, "polling_seconds": polling}
            try:
                woken = await self._execution.call("ready", ready)
            except Unavailable:
                await asyncio.sleep(wait)
                wait = min(wait * 2, _LONGEST_WAIT)
            except ApplicationError as error:
                # Parked tasks look again by themselves.
                log.warning("redrive: tasks that are parked for %s were not woken: %s", self.task_queue, error)
                return
            else:
                if not woken.get("more"):
                    return
                await asyncio.sleep(SET_SECONDS)


class _Execution:
    """The activity.

    What it raises is repeated by Temporal without end, as it should be: it means that something of ours is away. It
    must never be an error that is not to be repeated, which would end the workflow. Errors carry no text of the
    application: Temporal keeps them.

    Args:
        parts: What it needs of the client.
        identity: How this worker is shown with its attempts.
    """

    def __init__(self, parts: WorkerParts, identity: str) -> None:
        self._parts = parts
        self._identity = identity
        self._taken: set[AttemptKey] = set()

    # The command and the result are documents here: the server wrote the one and will read the other, and it may be
    # newer than this SDK.
    @activity.defn(name=EXECUTE)
    async def execute(self, command: dict[str, Any]) -> dict[str, Any]:
        """Run one attempt.

        Args:
            command: Which one, and its limits.

        Returns:
            What the workflow is to be told.
        """
        key = (str(command["task_id"]), int(command["generation"]), int(command["number"]))
        if key in self._taken:
            raise _unfinished(f"attempt {key[2]} of task {key[0]} still runs in this worker")
        self._taken.add(key)
        try:
            async with _heartbeats():
                return await self._execute(command)
        except Unavailable as error:
            wait = None if error.retry_after_seconds is None else timedelta(seconds=error.retry_after_seconds)
            log.warning("redrive: attempt %d of task %s is repeated: %s", key[2], key[0], error)
            raise ApplicationError(
                "Redrive does not answer", type="redrive.Unavailable", next_retry_delay=wait
            ) from None
        except asyncio.CancelledError:
            details = activity.cancellation_details()
            if details is not None and details.worker_shutdown and not details.cancel_requested:
                raise _unfinished("the worker stopped in the middle of the attempt") from None
            raise
        except RedriveError as error:
            raise _unfinished(f"the server's request cannot be read: {type(error).__name__}") from None
        finally:
            self._taken.discard(key)

    async def call(self, what: str, document: Mapping[str, Any]) -> dict[str, Any]:
        """Make a request below `/v1/attempts`.

        Args:
            what: Last part of its path.
            document: Its body.

        Returns:
            The answer.

        Raises:
            Unavailable: There was no answer, or one that says “later”.
            ApplicationError: The server refused it.
        """
        path = f"/v1/attempts/{what}"
        answer = await asyncio.to_thread(self._parts.connection.call, "POST", path, document)
        if 200 <= answer.status < 300:
            return answer.document
        # Details of a refusal may quote what was sent. Those of a key do not.
        reason = answer.document.get("detail" if answer.status in (401, 403) else "title", "no reason given")
        raise _unfinished(f"Redrive answered {answer.status} to POST {path}: {reason}")

    async def _execute(self, command: dict[str, Any]) -> dict[str, Any]:
        begun = asyncio.get_running_loop().time()
        started = await self.call("start", {"command": command, "worker": self._identity})
        if started.get("result") is not None:
            return _result(started)
        opened: dict[str, Any] = {"command": command, "delivery": started["delivery"]}
        request = read_request(started["request"])
        limit = activity.info().start_to_close_timeout
        until = begun + (limit.total_seconds() if limit is not None else 0.0) - _MARGIN_SECONDS
        try:
            self._parts.registry.find(request.executor)
        except UnknownExecutor:
            # As with nodes: whoever has not got the function does not spend the attempt.
            why = f"worker {self._identity} has no executor {request.executor!r}"
            return await self._tell({**opened, "not_taken": why}, until)
        deadline = _deadline(command)
        try:
            answer = await self._parts.runner.run(dataclasses.replace(request, deadline=deadline))
        except asyncio.CancelledError:
            details = activity.cancellation_details()
            if details is not None and details.cancel_requested:
                await _quietly(self._tell({**opened, "cancelled": True}, until))
            raise
        finish: dict[str, Any] = {**opened, "answer": encode(answer)}
        if _is_timeout(answer, deadline):
            finish["timed_out"] = True
        # Also when it is cancelled by now: the function has ended, and that counts.
        return await _to_its_end(asyncio.ensure_future(self._tell(finish, until)))

    async def _tell(self, finish: Mapping[str, Any], until: float) -> dict[str, Any]:
        """Tell how an attempt ended, again and again as long as Temporal waits: otherwise it would run twice."""
        wait = 0.2
        while True:
            try:
                return _result(await self.call("finish", finish))
            except Unavailable:
                if asyncio.get_running_loop().time() + wait >= until:
                    raise
            await asyncio.sleep(wait)
            wait = min(wait * 2, 2.0)


def _deadline(command: Mapping[str, Any]) -> datetime:
    """Tell when an attempt must have ended, by this machine's clock."""
    deadline = datetime.now(UTC) + timedelta(seconds=float(command["timeout_seconds"]))
    ends_at = command.get("ends_at")
    return deadline if ends_at is None else min(deadline, datetime.fromisoformat(ends_at))


def _is_timeout(answer: ExecuteAnswer, deadline: datetime) -> bool:
    exceeded = answer.status == "failed" and answer.error is not None and answer.error.type == _DEADLINE_EXCEEDED
    return exceeded and datetime.now(UTC) >= deadline


def _result(document: Mapping[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = document["result"]
    return result


def _unfinished(message: str) -> ApplicationError:
    return ApplicationError(message, type="redrive.Unfinished")


@contextlib.asynccontextmanager
async def _heartbeats() -> AsyncGenerator[None]:
    """Say that the attempt lives, from the first moment until the block ends."""

    async def beat() -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            activity.heartbeat()

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _to_its_end(task: asyncio.Task[T]) -> T:
    """Wait for a task also when the waiting is cancelled meanwhile, and say so only after that."""
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        return await task


async def _quietly(work: Coroutine[Any, Any, object]) -> None:
    """Carry something out, whatever becomes of it: the workflow closes what is left open."""
    task = asyncio.ensure_future(work)
    with contextlib.suppress(Unavailable, ApplicationError, asyncio.CancelledError):
        await asyncio.shield(task)


@contextlib.contextmanager
def _sigterm(stop: Callable[[], object]) -> Generator[None]:
    """Stop on SIGTERM, unless the application handles it itself."""
    is_ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) in (
        signal.SIG_DFL,
        None,
    )
    loop = asyncio.get_running_loop()
    if not is_ours:
        yield
        return
    try:
        loop.add_signal_handler(signal.SIGTERM, stop)
    except (NotImplementedError, ValueError, RuntimeError):  # Windows, or a loop that takes no signals
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
