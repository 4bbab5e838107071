"""Testing code that uses Redrive: no server, no sleep, the same decisions.

    from redrive.sdk import testing

    def test_a_declined_card_is_tried_again() -> None:
        with testing.manual() as reports:
            with pytest.raises(BankDown):
                charge("o-1")

            reports.assert_reported("charge-card", kwargs={"order_id": "o-1"})
            bank.up()
            reports.drain()

        assert reports.tasks[0].status == "succeeded"

`manual` collects reports until `drain` runs them, `inline` runs each as it comes, `disabled` leaves functions bare.
Attempts run in this process, through the same runner that serves a real server; `redrive.core` decides what follows, on
a clock that jumps from one attempt to the next. With pytest, the fixtures `redrive_reports`, `redrive_inline` and
`redrive_disabled` do the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, Final, Literal, ParamSpec, TypeVar, cast

import httpx

from redrive.core.decision import Clock, Decision, Die, Outcome, Retry, decide, plan
from redrive.core.documents import decode
from redrive.core.policy import Policy, merge, parse, render
from redrive.core.states import AttemptStatus
from redrive.core.wire import ErrorFacts, ExecuteAnswer, ExecuteRequest
from redrive.sdk.attempts import Runner
from redrive.sdk.client import Redrive, all_clients, some_default
from redrive.sdk.errors import Conflict, SdkError, UsageError
from redrive.sdk.executor import Registry
from redrive.sdk.report import Outgoing, Receipt

P = ParamSpec("P")
R = TypeVar("R")

_START: Final = datetime(2026, 1, 1, tzinfo=UTC)
_MAX_SNOOZES: Final = 1_000


@dataclass(frozen=True, slots=True)
class Tried:
    """One attempt of a drained task.

    Attributes:
        number: From 1.
        after_seconds: Time since the report, on the clock that jumps, in seconds.
        answer: How it ended.
        why: Why it was planned for that time.
    """

    number: int
    after_seconds: float
    answer: ExecuteAnswer
    why: str


@dataclass(slots=True)
class Task:
    """A report, as a server would keep it.

    Attributes:
        id: `task-1` for the first.
        document: What was reported, as it travels.
        status: `waiting`, `succeeded` or `dead`.
        dead_reason: Why it is dead.
        tried: Its attempts.
        parent_id: The task whose end this one tells, when it is a callback.
    """

    id: str
    document: Mapping[str, Any]
    status: Literal["waiting", "succeeded", "dead"] = "waiting"
    dead_reason: str | None = None
    tried: list[Tried] = field(default_factory=list[Tried])
    parent_id: str | None = None

    @property
    def scene(self) -> str:
        """Name of the scene."""
        return str(self.document["scene"])

    @property
    def executor(self) -> str | None:
        """Name of the executor."""
        return self.document.get("executor")

    @property
    def is_webhook(self) -> bool:
        """Whether its attempts go to a URL, so that nobody here runs them: it stays `waiting`."""
        return cast("Mapping[str, Any]", self.document.get("target") or {}).get("kind") == "webhook"

    @property
    def args(self) -> list[Any]:
        """Positional arguments as JSON."""
        return list(self.document.get("args", []))

    @property
    def kwargs(self) -> dict[str, Any]:
        """Named arguments as JSON."""
        return dict(self.document.get("kwargs", {}))

    @property
    def business_key(self) -> str | None:
        """The business key."""
        return self.document.get("business_key")

    @property
    def idempotency_key(self) -> str | None:
        """The idempotency key."""
        return self.document.get("idempotency_key")

    @property
    def error(self) -> str | None:
        """Class name of the error that was reported."""
        return cast("Mapping[str, Any]", self.document.get("error") or {}).get("type")


class Reports:
    """The reports of a test.

    Args:
        runner: Runs attempts.
        inline: Whether each report is drained as it comes.
        policy: The scenes' policy; a report's own parts are laid over it.
    """

    def __init__(
        self, runner: Runner, *, inline: bool = False, policy: Policy | Mapping[str, Any] | None = None
    ) -> None:
        self.tasks: list[Task] = []
        self._runner = runner
        self._runners: dict[str, Runner] = {}
        self._inline = inline
        self._policy = render(policy if isinstance(policy, Policy) else parse(policy or {}))
        self._random = random.Random(0)  # noqa: S311 - the same delays in every run of a test
        self._lock = threading.RLock()
        try:
            self._loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None

    def submit(self, outgoing: Outgoing, *, urgent: bool = True, runner: Runner | None = None) -> Future[Receipt]:
        """Take a report, as the server would; its attempts run in `runner`."""
        del urgent
        future: Future[Receipt] = Future()
        document: dict[str, Any] = json.loads(outgoing.text)
        with self._lock:
            known = next((task for task in reversed(self.tasks) if _is_known(task, document)), None)
            task = known or Task(f"task-{len(self.tasks) + 1}", document)
            if known is None:
                self.tasks.append(task)
                self._runners[task.id] = runner or self._runner
        if known is not None:
            if _payload(known.document) != _payload(document):
                detail = f"the key {outgoing.idempotency_key!r} is known with another payload"
                future.set_exception(Conflict(409, {"title": "Conflict", "status": 409, "detail": detail}))
            else:
                future.set_result(outgoing.receipt("duplicate", known.id))
            return future
        if self._inline:
            self._drain_now()
        future.set_result(outgoing.receipt("accepted", task.id))
        return future

    def withdraw(self, outgoing: Outgoing, future: Future[Receipt]) -> Receipt:
        """Wait on: nothing takes long here."""
        del outgoing
        return future.result()

    def drain(self, attempts: int | None = None) -> list[Task]:
        """Run what waits, until it has succeeded or is dead.

        Args:
            attempts: The most attempts of each task; None for as many as its policy allows.

        Returns:
            All tasks of this test.

        Raises:
            UsageError: An event loop runs here: `await adrain()` instead.

        Example:
            ```python
            assert [task.status for task in reports.drain()] == ["succeeded"]
            ```
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(self.adrain(attempts))
        raise UsageError("an event loop runs in this thread: await reports.adrain() instead of reports.drain()")

    async def adrain(self, attempts: int | None = None) -> list[Task]:
        """Run what waits on the running event loop; see `drain`.

        Args:
            attempts: The most attempts of each task; None for as many as its policy allows.

        Returns:
            All tasks of this test.

        Example:
            ```python
            await reports.adrain()
            ```
        """
        for task in self.tasks:  # grows while it is walked: an attempt may report, too
            if task.status == "waiting" and not task.is_webhook:
                await self._run(task, attempts)
        return self.tasks

    def find(self, scene: str | None = None, **expected: Any) -> list[Task]:
        """Find reports.

        Args:
            scene: Name of the scene; None for any.
            **expected: Parts of the report, such as `business_key`, `executor`, `args` or `error`; mappings (`kwargs`,
                `policy`, `metadata`) need only contain what is given.

        Returns:
            The tasks that match.
        """
        return [
            task
            for task in self.tasks
            if scene in (None, task.scene) and all(_fits(task, name, value) for name, value in expected.items())
        ]

    def assert_reported(self, scene: str | None = None, *, count: int | None = None, **expected: Any) -> Task:
        """Check that something was reported.

        Args:
            scene: Name of the scene; None for any.
            count: How often exactly; None for at least once.
            **expected: As in `find`.

        Returns:
            The first task that matches.

        Raises:
            AssertionError: There is none; the message shows what was reported instead.

        Example:
            ```python
            reports.assert_reported("charge-card", business_key="o-1", error="TimeoutError")
            ```
        """
        found = self.find(scene, **expected)
        if (count is None and found) or (count is not None and len(found) == count and found):
            return found[0]
        wanted = ", ".join([f"scene={scene!r}", *(f"{name}={value!r}" for name, value in expected.items())])
        seen = "\n".join(f"  {task.scene}: {_shown(task, expected)}" for task in self.tasks) or "  nothing"
        times = "once or more" if count is None else f"{count} times"
        raise AssertionError(f"expected a report with {wanted} {times}, found {len(found)}. Reported:\n{seen}")

    def assert_nothing_reported(self) -> None:
        """Check that nothing was reported.

        Raises:
            AssertionError: Something was.
        """
        if self.tasks:
            raise AssertionError(f"expected no report, found {len(self.tasks)}: {[task.scene for task in self.tasks]}")

    def _drain_now(self) -> None:
        if self._loop is not None and self._loop.is_running() and not _in_loop():
            # An async test: its event loop waits for this thread, and owns what its executors use.
            asyncio.run_coroutine_threadsafe(self.adrain(), self._loop).result()
        elif _in_loop():
            thread = threading.Thread(target=lambda: asyncio.run(self.adrain()))
            thread.start()
            thread.join()
        else:
            asyncio.run(self.adrain())

    async def _run(self, task: Task, attempts: int | None) -> None:
        policy = parse(merge(self._policy, cast("Mapping[str, Any]", task.document.get("policy") or {})))
        deadline: Any = task.document.get("deadline")
        # A deadline is an instant of the real clock; on this one it is as far away as it was at the report.
        life = None if deadline is None else datetime.fromisoformat(deadline) - datetime.now(UTC)
        clock = Clock(_START, None if life is None else _START + life)
        spent = len(task.tried)
        now = _START + timedelta(seconds=task.tried[-1].after_seconds if task.tried else 0)
        delay: float | None = task.document.get("delay_seconds")
        decision: Decision = (
            Retry(now + timedelta(seconds=delay), delay, delay, "the report asked for it")
            if delay is not None and not spent
            else plan(policy, clock, spent + 1, now, self._random)
        )
        last_error: Any = task.document.get("error")
        snoozes = 0
        while isinstance(decision, Retry) and (attempts is None or len(task.tried) < attempts):
            now = decision.due_at
            request = ExecuteRequest(
                task=task.id,
                generation=1,
                attempt=spent + 1,
                scene=task.scene,
                executor=task.executor or "",
                args=tuple(task.args),
                kwargs=task.kwargs,
                max_attempts=policy.max_attempts,
                last_error=decode(ErrorFacts, last_error) if last_error else None,
            )
            answer = await self._runners[task.parent_id or task.id].run(request)
            task.tried.append(Tried(spent + 1, (now - _START).total_seconds(), answer, decision.why))
            if answer.status == "snooze" and snoozes < _MAX_SNOOZES:
                snoozes += 1
                wait = answer.retry_after_seconds or 0.0
                decision = Retry(now + timedelta(seconds=wait), wait, wait, "the attempt snoozed")
                continue
            spent += 1
            error = answer.error
            outcome = Outcome(
                AttemptStatus.SUCCEEDED if answer.status == "succeeded" else AttemptStatus.FAILED,
                error_type=error.type if error is not None else None,
                retry_after_seconds=answer.retry_after_seconds,
                stop=answer.status == "stop",
            )
            last_error = {"type": error.type, "message": error.message} if error is not None else None
            decision = decide(policy, clock, spent, outcome, now, self._random, decision.delay_seconds)
        if isinstance(decision, Die):
            task.status, task.dead_reason = "dead", decision.reason.value
        elif not isinstance(decision, Retry):
            task.status = "succeeded"
        self._call_back(task, spent, last_error)

    def _call_back(self, task: Task, attempts: int, error: Mapping[str, Any] | None) -> None:
        """Make the task that tells of an end, as the server does: there is none of a callback's own end."""
        event = {"succeeded": "on_success", "dead": "on_dead"}.get(task.status, "")
        callback = cast("Mapping[str, Any]", task.document.get("callbacks") or {}).get(event)
        if callback is None:
            return
        outcome = {
            "task": task.id,
            "generation": 1,
            "scene": task.scene,
            "executor": task.executor,
            "business_key": task.business_key,
            "outcome": task.status,
            "dead_reason": task.dead_reason,
            "why": "",
            "attempts": attempts,
            "error": {"type": error["type"], "message": error.get("message", "")}
            if error and task.status == "dead"
            else None,
        }
        told = {name: task.document.get(name) for name in ("group", "scene", "target", "business_key", "priority")}
        document: dict[str, Any] = {**told, "executor": callback, "args": [outcome, *task.args], "kwargs": task.kwargs}
        if not isinstance(callback, str):
            body = {"type": f"task.{task.status}", "data": {"outcome": outcome}}
            target = {"kind": "webhook", "method": "POST", **callback}
            document = {**told, "executor": None, "args": [], "kwargs": {}, "body": body, "target": target}
        with self._lock:
            self.tasks.append(Task(f"task-{len(self.tasks) + 1}", document, parent_id=task.id))


@contextlib.contextmanager
def manual(client: Redrive | None = None, *, policy: Policy | Mapping[str, Any] | None = None) -> Generator[Reports]:
    """Collect reports until `drain` runs them.

    Args:
        client: The client; all clients of this process when left out.
        policy: The scenes' policy.

    Yields:
        The reports.

    Example:
        ```python
        with manual() as reports:
            place_order()
            reports.drain()
        ```
    """
    with _replaced(client, inline=False, policy=policy) as reports:
        yield reports


@contextlib.contextmanager
def inline(client: Redrive | None = None, *, policy: Policy | Mapping[str, Any] | None = None) -> Generator[Reports]:
    """Run the attempts of each report at once, until it has succeeded or is dead.

    Args:
        client: The client; all clients of this process when left out.
        policy: The scenes' policy.

    Yields:
        The reports.

    Example:
        ```python
        with inline() as reports:
            place_order()
        ```
    """
    with _replaced(client, inline=True, policy=policy) as reports:
        yield reports


@contextlib.contextmanager
def disabled(client: Redrive | None = None) -> Generator[None]:
    """Leave functions bare: errors come out at once, nothing is retried and nothing is reported.

    Args:
        client: The client; all clients of this process when left out.

    Yields:
        Nothing.

    Example:
        ```python
        with disabled():
            place_order()
        ```
    """
    with contextlib.ExitStack() as stack:
        if client is None:
            stack.enter_context(some_default())
        for one in [client] if client is not None else all_clients():
            stack.enter_context(one.replaced(enabled=False))
        yield


class InjectedFault(SdkError):
    """A failure that a test asked for."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One step of a script of failures.

    Attributes:
        times: How often.
        error: Makes the error; None for success.
        response: Makes the answer of a transport in place of an error.
    """

    times: int
    error: Callable[[], Exception] | None
    response: Callable[[httpx.Request], httpx.Response] | None = None


def fail(times: int = 1, error: Exception | type[Exception] = InjectedFault) -> Fault:
    """Fail.

    Args:
        times: How often.
        error: What to raise.

    Returns:
        A step for `Faults`.
    """
    return Fault(times, lambda: error("injected") if isinstance(error, type) else error)


def timeout(times: int = 1) -> Fault:
    """Time out: `TimeoutError` from a function, `httpx.ReadTimeout` from a transport.

    Args:
        times: How often.

    Returns:
        A step for `Faults`.
    """

    def response(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("injected", request=request)

    return Fault(times, lambda: TimeoutError("injected"), response)


def http(status: int, *, retry_after: float | None = None, stop: bool = False, times: int = 1) -> Fault:
    """Answer with a status: `httpx.HTTPStatusError` from a function, the answer itself from a transport.

    Args:
        status: HTTP status.
        retry_after: `Retry-After`, in seconds.
        stop: Whether the answer says `Redrive-Stop: true`.
        times: How often.

    Returns:
        A step for `Faults`.
    """
    headers = {"retry-after": f"{retry_after:.0f}"} if retry_after is not None else {}
    if stop:
        headers["redrive-stop"] = "true"

    def response(request: httpx.Request) -> httpx.Response:
        return httpx.Response(status, headers=headers, request=request)

    def error() -> Exception:
        request = httpx.Request("POST", "http://injected.invalid")
        return httpx.HTTPStatusError(f"injected {status}", request=request, response=response(request))

    return Fault(times, error, response)


def ok(times: int = 1) -> Fault:
    """Let calls through.

    Args:
        times: How often.

    Returns:
        A step for `Faults`.
    """
    return Fault(times, None)


class Faults:
    """A script of failures for something that a test replaces: after its last step, everything works.

    Args:
        *script: The steps.

    Example:
        ```python
        faults = Faults(fail(2), http(503, retry_after=30))
        monkeypatch.setattr(bank, "charge", faults.wrap(bank.charge))
        client = httpx.Client(transport=faults.transport(httpx.MockTransport(bank_api)))
        ```
    """

    def __init__(self, *script: Fault) -> None:
        self._steps = [step for step in script for _ in range(step.times)]
        self._lock = threading.Lock()
        self.calls = 0

    def check(self) -> None:
        """Play the next step.

        Raises:
            Exception: What the step says.
        """
        step = self._next()
        if step is not None and step.error is not None:
            raise step.error()

    def wrap(self, function: Callable[P, R]) -> Callable[P, R]:
        """Put the script in front of a function, plain or async.

        Args:
            function: The function.

        Returns:
            A function that plays a step and then, when that lets it through, calls the function.
        """
        if iscoroutinefunction(function):

            @wraps(function)
            async def awaited(*args: Any, **kwargs: Any) -> Any:
                self.check()
                return await function(*args, **kwargs)

            return cast("Callable[P, R]", awaited)

        @wraps(function)
        def called(*args: P.args, **kwargs: P.kwargs) -> R:
            self.check()
            return function(*args, **kwargs)

        return called

    def transport(self, inner: httpx.MockTransport) -> httpx.MockTransport:
        """Put the script in front of an httpx transport, for clients of both kinds.

        Args:
            inner: What answers when a step lets the request through.

        Returns:
            A transport.
        """

        def handle(request: httpx.Request) -> httpx.Response:
            step = self._next()
            if step is not None and step.response is not None:
                return step.response(request)
            if step is not None and step.error is not None:
                raise step.error()
            return inner.handle_request(request)

        return httpx.MockTransport(handle)

    def _next(self) -> Fault | None:
        with self._lock:
            self.calls += 1
            return self._steps.pop(0) if self._steps else None


@contextlib.contextmanager
def _replaced(client: Redrive | None, *, inline: bool, policy: Policy | Mapping[str, Any] | None) -> Generator[Reports]:
    with contextlib.ExitStack() as stack:
        if client is None:
            stack.enter_context(some_default())
        clients = [client] if client is not None else all_clients()
        if not clients:
            raise UsageError("there is no client in this process: make one before the test")
        # A runner finds the executors of all clients, so that a test need not know which client a function belongs to;
        # those of the client that reports come first, for another one may use the same name.
        registries = [one.registry for one in clients]
        reports = Reports(_runner(registries), inline=inline, policy=policy)
        for one in clients:
            others = [registry for registry in registries if registry is not one.registry]
            stack.enter_context(one.replaced(_Inbox(reports, _runner([one.registry, *others]))))
        yield reports


def _runner(registries: Sequence[Registry]) -> Runner:
    return Runner(Registry(parents=registries), 1_000, list, lambda: None)


@dataclass(frozen=True, slots=True)
class _Inbox:
    """Where one client's reports go."""

    reports: Reports
    runner: Runner

    def submit(self, outgoing: Outgoing, *, urgent: bool = True) -> Future[Receipt]:
        return self.reports.submit(outgoing, urgent=urgent, runner=self.runner)

    def withdraw(self, outgoing: Outgoing, future: Future[Receipt]) -> Receipt:
        return self.reports.withdraw(outgoing, future)


def _in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _is_known(task: Task, document: Mapping[str, Any]) -> bool:
    """Whether a task is what a report is about, as the server decides it: by the report's id, or by a key in use."""
    if task.document.get("report_id") == document["report_id"]:
        return True
    key = document.get("idempotency_key")
    same = [task.document.get(name) == document.get(name) for name in ("group", "scene", "idempotency_key")]
    # No time passes between two reports here: a task that keeps its key for a while after its end has it still.
    return key is not None and all(same) and (task.status == "waiting" or task.document.get("dedupe_seconds") != 0)


def _payload(document: Mapping[str, Any]) -> Sequence[Any]:
    return [document.get(name) for name in ("executor", "args", "kwargs", "body")]


def _fits(task: Task, name: str, value: Any) -> bool:
    got: Any = task.error if name == "error" else task.document.get(name)
    if name == "error" and isinstance(value, type):
        value = value.__name__
    if name == "error" and got is not None:
        return value in (got, str(got).rpartition(".")[2])
    if isinstance(value, Mapping) and isinstance(got, Mapping):
        wanted, have = cast("Mapping[str, Any]", value), cast("Mapping[str, Any]", got)
        return all(key in have and have[key] == item for key, item in wanted.items())
    return bool(got == value)


def _shown(task: Task, expected: Mapping[str, Any]) -> str:
    names = list(expected) or ["executor", "kwargs", "error"]
    return ", ".join(f"{name}={task.error if name == 'error' else task.document.get(name)!r}" for name in names)


__all__ = [
    "Fault",
    "Faults",
    "InjectedFault",
    "Reports",
    "Task",
    "Tried",
    "disabled",
    "fail",
    "http",
    "inline",
    "manual",
    "ok",
    "timeout",
]
