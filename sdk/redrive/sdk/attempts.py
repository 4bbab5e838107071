"""Running dispatched attempts in this process.

One runner serves every way in (ASGI, WSGI, the own server): coroutines run on the event loop that asks, plain functions
in a thread each, and both see the attempt through `current_attempt()`.

A thread cannot be stopped from outside. When a plain function's attempt is cancelled or out of time, the answer goes
out at once, the function is told through `current_attempt().cancelled`, and its place stays taken until it returns.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import json
import logging
import threading
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, cast

from redrive.core.documents import decode, encode
from redrive.core.errors import InvalidDocument
from redrive.core.signature import InvalidSecret, InvalidSignature, verify
from redrive.core.wire import MAX_ERROR_BASES, ErrorFacts, ExecuteAnswer, ExecuteRequest
from redrive.sdk.context import SCOPE, Attempt, Scope, Snooze, Verdict, error_wait_seconds, give_up, says_stop
from redrive.sdk.errors import AttemptCancelled, DeadlineExceeded, Unserialisable
from redrive.sdk.executor import ExecutorEntry, Registry
from redrive.sdk.logs import AttemptLog, capture
from redrive.sdk.report import class_name, error_document
from redrive.sdk.serialisation import dump

log = logging.getLogger("redrive.sdk")

_RESULT_CHARACTERS: Final = 20_000

AttemptKey = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer: a status and a JSON document.

    Attributes:
        status: HTTP status.
        document: The body.
        headers: Headers to add.
    """

    status: int
    document: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def body(self) -> bytes:
        """The document as it travels."""
        return json.dumps(self.document, ensure_ascii=False).encode()

    @property
    def content_type(self) -> str:
        """The media type of the body."""
        return "application/json" if self.status < 400 else "application/problem+json"


@dataclass(slots=True)
class _Running:
    attempt: Attempt
    cancel: Callable[[], None]


class Runner:
    """Runs attempts.

    Args:
        registry: The executors.
        capacity: The most attempts at a time; what comes on top waits for a place until its deadline.
        secrets: Tells the secrets that dispatches are signed with; None while they are not known yet.
        refresh: Asks the server for the secrets again; called when a signature does not fit.
        verify_signatures: Whether an unsigned dispatch is refused.
    """

    def __init__(
        self,
        registry: Registry,
        capacity: int,
        secrets: Callable[[], list[str] | None],
        refresh: Callable[[], None],
        *,
        verify_signatures: bool = True,
    ) -> None:
        self._registry = registry
        self._capacity = capacity
        self._secrets = secrets
        self._refresh = refresh
        self._verify = verify_signatures
        self._running: dict[AttemptKey, _Running] = {}
        self._taken = 0
        self._condition = threading.Condition()
        self._draining = False

    @property
    def in_flight(self) -> int:
        """How many attempts run or wait for a place."""
        return len(self._running)

    def drain(self, timeout_seconds: float) -> bool:
        """Take no more attempts, and wait for those that run.

        Args:
            timeout_seconds: The longest to wait, in seconds.

        Returns:
            Whether all of them ended.
        """
        with self._condition:
            self._draining = True
            return self._condition.wait_for(lambda: not self._running, timeout_seconds)

    def reset_after_fork(self) -> None:
        """Forget the parent's attempts."""
        self._condition = threading.Condition()
        self._running = {}
        self._taken = 0

    def resume(self) -> None:
        """Take attempts again after a drain."""
        self._draining = False

    async def execute(self, headers: Mapping[str, str], body: bytes) -> Reply:
        """Answer `POST /redrive/v1/execute`.

        Args:
            headers: The request's headers, names in lower case.
            body: The request's body.

        Returns:
            The answer. Cancelling this coroutine cancels the attempt.
        """
        if self._draining:
            return _problem(503, "Draining", "this node is shutting down; try another one", {"retry-after": "1"})
        refused = await self._authenticate(headers, body)
        if refused is not None:
            return refused
        try:
            request = read_request(json.loads(body))
        except (ValueError, InvalidDocument) as error:
            return _problem(422, "Malformed dispatch", str(error))
        key = (request.task, request.generation, request.attempt)
        if key in self._running:
            return _problem(409, "Attempt already running", f"attempt {request.attempt} of {request.task} runs here")
        return Reply(200, encode(await self.run(request)))

    async def cancel(self, headers: Mapping[str, str], body: bytes) -> Reply:
        """Answer `POST /redrive/v1/cancel`.

        Args:
            headers: The request's headers, names in lower case.
            body: `{"task", "generation", "attempt"}`.

        Returns:
            200 with `{"cancelled": …}`: whether that attempt was running here.
        """
        refused = await self._authenticate(headers, body)
        if refused is not None:
            return refused
        try:
            document = json.loads(body)
            key = (str(document["task"]), int(document["generation"]), int(document["attempt"]))
        except (ValueError, KeyError, TypeError):
            return _problem(422, "Malformed cancellation", "expected task, generation and attempt")
        running = self._running.get(key)
        if running is not None:
            running.cancel()
        return Reply(200, {"cancelled": running is not None})

    async def _authenticate(self, headers: Mapping[str, str], body: bytes) -> Reply | None:
        if not self._verify:
            return None
        secrets = self._secrets()
        if secrets is None:
            return _problem(
                503, "Not registered", "this node is starting; its secrets are not known", {"retry-after": "1"}
            )
        try:
            verify(secrets, headers, body, datetime.now(UTC))
        except (InvalidSignature, InvalidSecret):
            # The secret may have been replaced since the last heartbeat.
            await asyncio.to_thread(self._refresh)
            try:
                verify(self._secrets() or [], headers, body, datetime.now(UTC))
            except (InvalidSignature, InvalidSecret) as error:
                log.warning("redrive: refused a dispatch: %s", error)
                return _problem(401, "Bad signature", str(error))
        return None

    async def run(self, request: ExecuteRequest) -> ExecuteAnswer:
        """Run one attempt.

        Args:
            request: The attempt.

        Returns:
            How it ended. Cancelling this coroutine cancels the attempt.
        """
        key = (request.task, request.generation, request.attempt)
        attempt = Attempt(
            task=request.task,
            generation=request.generation,
            number=request.attempt,
            scene=request.scene,
            executor=request.executor,
            max_attempts=request.max_attempts,
            deadline=request.deadline,
            last_error=request.last_error,
        )
        lines = AttemptLog()
        work = asyncio.ensure_future(self._run(request, attempt, lines))
        loop = asyncio.get_running_loop()

        def cancel() -> None:
            give_up(attempt)
            loop.call_soon_threadsafe(work.cancel)

        with self._registered(key, _Running(attempt, cancel)):
            try:
                async with asyncio.timeout(attempt.remaining_seconds):
                    return lines.attach(await asyncio.shield(work))
            except TimeoutError:
                give_up(attempt)
                await _stopped(work)
                return lines.attach(_failed(DeadlineExceeded(f"the attempt was not over at {attempt.deadline}")))
            except asyncio.CancelledError:
                give_up(attempt)
                if work.cancelled():  # by /cancel: the server waits for an answer to execute
                    return lines.attach(_failed(AttemptCancelled("the server cancelled this attempt")))
                await _stopped(work)
                raise

    async def _run(self, request: ExecuteRequest, attempt: Attempt, lines: AttemptLog) -> ExecuteAnswer:
        await self._take_place()
        handed_on = False
        scope = Scope(attempt, attempt.deadline)
        entry: ExecutorEntry | None = None
        try:
            entry = self._registry.find(request.executor)
            args, kwargs = entry.parameters.load(request.args, request.kwargs)
            context = contextvars.copy_context()
            context.run(SCOPE.set, scope)
            context.run(capture, lines)
            if entry.is_async:
                task = asyncio.get_running_loop().create_task(entry.call(args, kwargs), context=context)
                result = await _await_task(task)
            else:
                handed_on = True
                result = await self._in_thread(entry, args, kwargs, context)
            return _succeeded(result)
        except Exception as error:  # noqa: BLE001 - whatever the function raises is the attempt's outcome
            return _failed(error, stop=scope.stop or (entry is not None and entry.gives_up(error)))
        finally:
            if not handed_on:
                scope.active = False
                self._free_place()

    async def _in_thread(
        self, entry: ExecutorEntry, args: list[Any], kwargs: dict[str, Any], context: contextvars.Context
    ) -> Any:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()

        def settle(result: Any, error: BaseException | None) -> None:
            if not future.done():
                if error is None:
                    future.set_result(result)
                else:
                    future.set_exception(error)

        def work() -> None:
            result, error = None, None
            try:
                result = context.run(entry.call, args, kwargs)
            except BaseException as raised:  # noqa: BLE001 - SystemExit in a thread is a failed attempt, too
                error = raised if isinstance(raised, Exception) else RuntimeError(repr(raised))
            finally:
                self._free_place()
            with contextlib.suppress(RuntimeError):  # the loop may be closed when nobody waits any more
                loop.call_soon_threadsafe(settle, result, error)

        # Not a pool: its threads are joined at exit, and one attempt that hangs would keep the process from ending.
        threading.Thread(target=work, name=f"redrive-{entry.name}", daemon=True).start()
        return await future

    async def _take_place(self) -> None:
        while True:
            with self._condition:
                if self._taken < self._capacity:
                    self._taken += 1
                    return
            # Attempts beyond the capacity are rare (the server knows it), and places are freed by threads.
            await asyncio.sleep(0.02)

    def _free_place(self) -> None:
        with self._condition:
            self._taken -= 1

    @contextlib.contextmanager
    def _registered(self, key: AttemptKey, running: _Running) -> Generator[None]:
        self._running[key] = running
        try:
            yield
        finally:
            with self._condition:
                del self._running[key]
                self._condition.notify_all()


async def _await_task(task: asyncio.Task[Any]) -> Any:
    try:
        return await task
    except asyncio.CancelledError:
        if not task.cancelled():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        raise


async def _stopped(work: asyncio.Future[Any]) -> None:
    work.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await work


def read_request(document: Any) -> ExecuteRequest:
    """Read what the server asks to run.

    Args:
        document: An `ExecuteRequest` as JSON.

    Returns:
        The attempt.

    Raises:
        InvalidDocument: It is none.
    """
    if isinstance(document, dict):
        # What a newer server adds is not for this SDK: refusing it would stop every retry during an upgrade.
        known = ExecuteRequest.__dataclass_fields__
        items = cast("dict[str, Any]", document)
        document = {name: value for name, value in items.items() if name in known}
    return decode(ExecuteRequest, document, "dispatch")


def _succeeded(result: Any) -> ExecuteAnswer:
    if isinstance(result, Verdict):
        return _failed(result)
    try:
        document = dump(result)
        if len(json.dumps(document)) > _RESULT_CHARACTERS:
            document = None
    except (Unserialisable, TypeError, ValueError):
        document = None  # the result is for people; the work is done whether or not it can be shown
    return ExecuteAnswer("succeeded", result=document)


def _failed(error: Exception, *, stop: bool = False) -> ExecuteAnswer:
    facts = ErrorFacts(**error_document(error), bases=_bases(error))
    wait = error_wait_seconds(error)
    if isinstance(error, Snooze):
        return ExecuteAnswer("snooze", error=facts, retry_after_seconds=wait)
    if stop or says_stop(error):
        return ExecuteAnswer("stop", error=facts)
    return ExecuteAnswer("failed", error=facts, retry_after_seconds=wait)


def _bases(error: Exception) -> tuple[str, ...]:
    """Name the bases of an error's class, so that rules can match them: the nearest first, up to `Exception`."""
    bases = (base for base in type(error).__mro__[1:] if issubclass(base, Exception) and base is not Exception)
    return tuple(class_name(base) for base in bases)[:MAX_ERROR_BASES]


def _problem(status: int, title: str, detail: str, headers: Mapping[str, str] | None = None) -> Reply:
    document = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return Reply(status, document, headers or {})
