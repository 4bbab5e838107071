"""The client: everything that an application needs of Redrive, in one object.

What it is made of (`_parts.Parts`: connection, spool, sender, runner, event loop) is loaded when it is first needed:
most processes import the SDK, decorate functions, and never see a failure.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
import types
import weakref
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeVar, Unpack, overload

from redrive.core.errors import InvalidDocument
from redrive.core.wire import NodeTarget, WorkerTarget
from redrive.sdk.decorator import DefaultingDecorator, RetryableDecorator, retryable_decorator
from redrive.sdk.ends import EVENTS, callback_document
from redrive.sdk.errors import NotConfigured, ReportError, UsageError
from redrive.sdk.executor import ExecutorDecorator, Registry, entry_of, executor_decorator
from redrive.sdk.lost import LastResort, LostReports
from redrive.sdk.options import DecorationOptions, RetryableOptions
from redrive.sdk.report import Outgoing, Receipt, Report, ReportOptions, make_report, prepare
from redrive.sdk.serialisation import dump
from redrive.sdk.window import Window

if TYPE_CHECKING:
    from concurrent.futures import Future

    import httpx

    from redrive.sdk._parts import Backend, Parts
    from redrive.sdk.attempts import Runner
    from redrive.sdk.node import Node
    from redrive.sdk.serving import AsgiApp, AsgiServing, WsgiApp, WsgiServing
    from redrive.sdk.worker import TaskQueueWorker, TemporalClient

D = TypeVar("D")

log = logging.getLogger("redrive.sdk")

_shared: Final = Registry()
"""Executors of the module-level decorators: every client serves them."""


class Redrive:
    """A client of one Redrive server, for one group of one namespace.

    It is safe to share between threads, tasks and forks. It starts no thread and opens no connection before it is
    needed; what waits in memory is sent when the process ends.

    Args:
        url: Base URL of the server; `$REDRIVE_URL` when left out.
        group: The application that reports, and that runs the attempts; `$REDRIVE_GROUP` when left out.
        namespace: `$REDRIVE_NAMESPACE`, or `default`, when left out.
        api_key: `$REDRIVE_API_KEY` when left out; `redrive dev` needs none.
        timeout: The longest wait for an answer of the server, in seconds. After that a report goes to the spool.
        spool: File for reports while the server is away; True for one in the user's state folder (or
            `$REDRIVE_SPOOL`), False for none: then a report that cannot be sent raises `Unavailable`.
        window: How long background reports may wait for company.
        lost_reports: Where a report goes that neither the server nor the spool takes, with its payload, for
            `redrive tasks import`: `"log"`, the `Path` of a file, or a function that gets the line; None to log only
            which report was lost.
        node_url: Where the server reaches this process, such as `http://orders-1:8000`; `$REDRIVE_NODE_URL` when left
            out. Needed to serve attempts from an ASGI or WSGI application.
        task_queue: The group's own Temporal task queue, for processes without an inbound port: what is reported goes
            there, and `worker()` takes it from there.
        capacity: The most attempts at a time.
        labels: Anything that tells this node from others.
        version: Version of the application, shown in the console.
        drain_timeout: The longest wait for running attempts at shutdown, in seconds.
        signing_secrets: Secrets that dispatches are signed with; the server tells them when left out.
        verify_signatures: Whether a dispatch without a good signature is refused.
        transport: An httpx transport in place of the network.

    Raises:
        NotConfigured: There is no URL or no group.

    Example:
        ```python
        redrive = Redrive("http://127.0.0.1:8600", group="orders")


        @redrive.retryable(scene="charge-card")
        def charge(order_id: str, amount: Decimal) -> None: ...
        ```
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        group: str | None = None,
        namespace: str | None = None,
        api_key: str | None = None,
        timeout: float = 10.0,
        spool: bool | str | Path = True,
        window: Window | None = None,
        lost_reports: LostReports | None = None,
        node_url: str | None = None,
        task_queue: str | None = None,
        capacity: int = 32,
        labels: Mapping[str, str] | None = None,
        version: str | None = None,
        drain_timeout: float = 30.0,
        signing_secrets: Sequence[str] | None = None,
        verify_signatures: bool = True,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = _needed(url, "REDRIVE_URL", "url").rstrip("/")
        self._group = _needed(group, "REDRIVE_GROUP", "group")
        self.namespace = namespace or os.environ.get("REDRIVE_NAMESPACE") or "default"
        if not self.url.startswith(("http://", "https://")):
            raise UsageError(f"url: expected an address such as 'http://127.0.0.1:8600', got {self.url!r}")
        if capacity < 1:
            raise UsageError(f"capacity: expected 1 or more, got {capacity}")
        self._node_url = node_url or os.environ.get("REDRIVE_NODE_URL")
        self._target = NodeTarget() if task_queue is None else _own_queue(task_queue)
        self._capacity = capacity
        self._labels = dict(labels or {})
        self._version = version
        self._drain_timeout = drain_timeout
        self._secrets = list(signing_secrets) if signing_secrets is not None else None
        self.registry = Registry(parents=[_shared])
        self._settings: dict[str, Any] = {
            "url": self.url,
            "namespace": self.namespace,
            "api_key": api_key or os.environ.get("REDRIVE_API_KEY"),
            "timeout": timeout,
            "spool": self._spool_path(spool),
            "window": window or Window(),
            "lost": LastResort(lost_reports),
            "capacity": capacity,
            "verify_signatures": verify_signatures,
            "transport": transport,
        }
        self._lock = threading.RLock()
        self._parts: Parts | None = None
        self._node: Node | None = None
        self._node_wanted = False
        self._enabled = True
        self._sleeps = True
        self._sigterm_done = False
        _clients.add(self)
        path = self._settings["spool"]
        if path is not None and path.exists():
            self._get().sender.ship()  # what an earlier process left behind

    # Reporting ----------------------------------------------------------------------------------------------------

    def report(
        self,
        scene: str,
        *,
        session: Any = None,
        background: bool = False,
        timeout: float | None = None,
        **options: Unpack[ReportOptions],
    ) -> Receipt:
        """Report a failed call, or any work that is to be done until it succeeds.

        Args:
            scene: The kind of operation; owns the policy.
            session: A database session or connection (SQLAlchemy, SQLModel, Django, DB-API): the report becomes a row
                of its transaction, and is sent by a relay once that is committed (see `outbox`).
            background: Whether to return at once; the report goes out within the window.
            timeout: The longest wait for the server, in seconds; then the report goes to the spool.
            **options: The parts of a `Report`.

        Returns:
            What became of it: once this returns, the report is on a disk (unless it goes in the background).

        Raises:
            Rejected: The server refuses it.
            AccessDenied: The key may not report.
            Unavailable: The server is away and there is no spool.
            UsageError: An option is unknown or impossible, or the payload is no JSON.

        Example:
            ```python
            receipt = redrive.report("charge-card", executor=charge, kwargs={"order_id": "o-1", "amount": Decimal(5)})
            ```
        """
        outgoing = self._prepare(make_report(scene, options))
        if session is not None:
            from redrive.sdk import outbox  # noqa: PLC0415 - see the module's docstring

            return outbox.store(session, outgoing)
        return self.hand_over(outgoing, background=background, timeout=timeout)

    async def areport(
        self,
        scene: str,
        *,
        session: Any = None,
        background: bool = False,
        timeout: float | None = None,
        **options: Unpack[ReportOptions],
    ) -> Receipt:
        """Report without blocking the event loop; see `report`.

        Args:
            scene: The kind of operation.
            session: As in `report`; also an `AsyncSession` or an `AsyncConnection`.
            background: As in `report`.
            timeout: As in `report`, in seconds.
            **options: The parts of a `Report`.

        Returns:
            What became of it.

        Raises:
            Rejected: The server refuses it.
            AccessDenied: The key may not report.
            Unavailable: The server is away and there is no spool.
            UsageError: An option is unknown or impossible, or the payload is no JSON.

        Example:
            ```python
            receipt = await redrive.areport("send-mail", executor="mail.send", kwargs={"to": "a@example.com"})
            ```
        """
        outgoing = self._prepare(make_report(scene, options))
        if session is not None:
            from redrive.sdk import outbox  # noqa: PLC0415 - see the module's docstring

            return await outbox.astore(session, outgoing)
        return await self.ahand_over(outgoing, background=background, timeout=timeout)

    def report_many(self, reports: Sequence[Report], *, timeout: float | None = None) -> list[Receipt | ReportError]:
        """Report many calls in as few requests as possible.

        Args:
            reports: The reports.
            timeout: The longest wait for each of them, in seconds.

        Returns:
            What became of each, in their order: its receipt, or the error that `report` would have raised. One bad
            report does not keep the others back.

        Raises:
            UsageError: A report is impossible, so that none was sent.

        Example:
            ```python
            reports = [Report(scene="send-mail", executor="mail.send", args=[address]) for address in addresses]
            failed = [outcome for outcome in redrive.report_many(reports) if isinstance(outcome, ReportError)]
            ```
        """
        handed = self._submit_all(reports)
        return [self._outcome(outgoing, future, timeout) for outgoing, future in handed]

    async def areport_many(
        self, reports: Sequence[Report], *, timeout: float | None = None
    ) -> list[Receipt | ReportError]:
        """Report many calls without blocking the event loop; see `report_many`.

        Args:
            reports: The reports.
            timeout: The longest wait for each of them, in seconds.

        Returns:
            What became of each, in their order.

        Raises:
            UsageError: A report is impossible, so that none was sent.

        Example:
            ```python
            outcomes = await redrive.areport_many(reports)
            ```
        """
        import asyncio  # noqa: PLC0415 - who awaits has loaded it; who does not should not

        handed = await asyncio.to_thread(self._submit_all, reports)
        outcomes = await asyncio.gather(*(self._get().await_(*one, timeout) for one in handed), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException) and not isinstance(outcome, ReportError):
                raise outcome
        return [
            outcome
            for outcome in outcomes
            if not isinstance(outcome, BaseException) or isinstance(outcome, ReportError)
        ]

    def hand_over(self, outgoing: Outgoing, *, background: bool = False, timeout: float | None = None) -> Receipt:
        """Send a prepared report; the decorator and the relay of the outbox do."""
        future = self._submit(outgoing, urgent=not background)
        if background and not future.done():
            return outgoing.receipt("queued")
        return self._get().wait(outgoing, future, timeout)

    async def ahand_over(
        self, outgoing: Outgoing, *, background: bool = False, timeout: float | None = None
    ) -> Receipt:
        """Send a prepared report without blocking the event loop."""
        import asyncio  # noqa: PLC0415 - as above

        # In a thread: while the server is away, submitting means writing to the disk.
        future = await asyncio.to_thread(self._submit, outgoing, urgent=not background)
        if background and not future.done():
            return outgoing.receipt("queued")
        return await self._get().await_(outgoing, future, timeout)

    def keep(self, outgoing: Outgoing, reason: str) -> Receipt:
        """Put a prepared report into the spool; the decorator does when the server does not know the key.

        Args:
            outgoing: The report.
            reason: Why, for the error when there is no spool.

        Returns:
            The receipt of the spool.

        Raises:
            Unavailable: There is no spool, or the disk is full.
        """
        return self._get().sender.keep(outgoing, reason)

    def post(self, reports: Sequence[Outgoing]) -> list[Receipt | ReportError]:
        """Send prepared reports past the spool; the relay of the outbox does, which has a safe place of its own.

        Args:
            reports: At most 1,000 reports.

        Returns:
            What became of each.

        Raises:
            Unavailable: Nothing is known of any of them.
        """
        from redrive.sdk.batching import post  # noqa: PLC0415 - see the module's docstring

        return post(self._get().connection, reports)

    def flush(self, timeout: float = 10.0) -> bool:
        """Send what waits in memory now.

        Args:
            timeout: The longest to wait, in seconds; what is left then goes to the spool.

        Returns:
            Whether all of it reached the server or the spool.

        Example:
            ```python
            redrive.flush()
            ```
        """
        return self._parts.sender.flush(timeout) if self._parts is not None else True

    @property
    def spooled(self) -> int:
        """How many reports wait on this machine's disk."""
        spool = self._get().spool
        return spool.count() if spool is not None else 0

    @property
    def set_aside(self) -> int:
        """How many reports of the spool the server refused; they stay on this machine's disk for a person."""
        spool = self._get().spool
        return spool.count_rejected() if spool is not None else 0

    # Decorators ---------------------------------------------------------------------------------------------------

    @overload
    def retryable(self, scene: str, *, default: D, **options: Unpack[DecorationOptions]) -> DefaultingDecorator[D]: ...

    @overload
    def retryable(  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload] - False is a bool, too
        self, scene: str, *, raise_on_exhausted: Literal[False], **options: Unpack[DecorationOptions]
    ) -> DefaultingDecorator[None]: ...

    @overload
    def retryable(
        self, scene: str, *, raise_on_exhausted: bool = True, **options: Unpack[DecorationOptions]
    ) -> RetryableDecorator: ...

    def retryable(self, scene: str, **options: Unpack[RetryableOptions]) -> Any:
        """Retry a function's failures here, on the server, or both.

        Args:
            scene: The kind of operation; owns the policy.
            **options: See `redrive.sdk.options.Options`.

        Returns:
            A decorator for plain and `async` functions and methods; it keeps their signature, and adds `original` and
            `with_options`.

        Raises:
            UsageError: An option is unknown or impossible, or the function cannot be run again.

        Example:
            ```python
            @redrive.retryable(scene="charge-card", mode="only_remote", business_key="{order_id}")
            async def charge(order_id: str, amount: Decimal) -> None: ...
            ```
        """
        return retryable_decorator(lambda: self, self.registry, scene, options)

    def executor(
        self,
        name: str | None = None,
        *,
        version: int = 1,
        aliases: Sequence[str] = (),
        instance: Callable[[], Any] | None = None,
    ) -> ExecutorDecorator:
        """Register a function that runs the attempts of hand-made reports.

        Args:
            name: Its name in reports; `module.qualname` when left out.
            version: Above 1, it becomes a part of the name (`orders.charge@2`): tasks that wait still find the old one.
            aliases: Names that it had before.
            instance: Gives the object on which a method runs.

        Returns:
            A decorator that returns the function as it is.

        Raises:
            DuplicateExecutor: Another function has that name.
            UsageError: The function cannot be called by name.

        Example:
            ```python
            @redrive.executor("orders.charge", aliases=["shop.charge"])
            def charge(order_id: str) -> None: ...
            ```
        """
        return executor_decorator(self.registry, name, version=version, aliases=aliases, instance=instance)

    # Serving ------------------------------------------------------------------------------------------------------

    def asgi(self, app: AsgiApp | None = None, *, url: str | None = None) -> AsgiServing:
        """Serve attempts from an ASGI application.

        Args:
            app: An application to put it in front of; its start registers the node, its end drains it. Without one,
                the result is an application of its own, to be run alone, or mounted beside `lifespan`.
            url: Where the server reaches it, up to what stands before `/redrive/v1/`; `node_url` when left out.

        Returns:
            An ASGI application.

        Example:
            ```python
            app = redrive.asgi(FastAPI(), url="http://orders-1:8000")
            ```
        """
        from redrive.sdk.serving import AsgiServing  # noqa: PLC0415 - see the module's docstring

        self._node_url = url or self._node_url
        return AsgiServing(self, app)

    @contextlib.asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncGenerator[None]:
        """Be a node between the start and the end of an application, for those that mount `asgi()`.

        Args:
            app: The application, which frameworks pass; it is not used.

        Yields:
            Nothing.

        Raises:
            UsageError: Nobody said where the server reaches this process.

        Example:
            ```python
            app = FastAPI(lifespan=redrive.lifespan)
            app.mount("/", redrive.asgi(url="http://orders-1:8000"))
            ```
        """
        import asyncio  # noqa: PLC0415 - as above

        self.start_node()
        try:
            yield
        finally:
            await asyncio.to_thread(self.stop_node)

    def wsgi(self, app: WsgiApp | None = None, *, url: str | None = None) -> WsgiServing:
        """Serve attempts from a WSGI application; the node registers at once, and in each worker after a fork.

        Args:
            app: An application to put it in front of.
            url: Where the server reaches it; `node_url` when left out.

        Returns:
            A WSGI application.

        Raises:
            UsageError: Nobody said where the server reaches this process.

        Example:
            ```python
            app.wsgi_app = redrive.wsgi(app.wsgi_app, url="http://orders-1:8000")
            ```
        """
        from redrive.sdk.serving import WsgiServing  # noqa: PLC0415 - see the module's docstring

        self._node_url = url or self._node_url
        self.start_node()
        return WsgiServing(self, app, self._get().loop)

    @contextlib.contextmanager
    def serve(self, host: str = "127.0.0.1", port: int = 0, *, url: str | None = None) -> Generator[str]:
        """Serve attempts from a script or a worker, by a small server in a thread.

        Args:
            host: Address to listen on; `0.0.0.0` for other machines.
            port: Port; 0 for any free one.
            url: Where the server reaches it, when that differs.

        Yields:
            The URL under which this process registers.

        Raises:
            SdkError: The port is taken.

        Example:
            ```python
            with redrive.serve():
                do_other_work()
            ```
        """
        from redrive.sdk.serving import AsgiServing, OwnServer, local_address  # noqa: PLC0415 - see the docstring

        loop = self._get().loop
        server = OwnServer(AsgiServing(self), host, port, loop)
        shown = local_address() if host in ("0.0.0.0", "::") else host  # noqa: S104 - compared, not bound
        self._node_url = url or f"http://{f'[{shown}]' if ':' in shown else shown}:{server.port}"
        server.start()
        try:
            self.start_node()
            yield self._node_url
        finally:
            self.stop_node()
            server.stop()
            loop.stop()

    def worker(
        self,
        task_queue: str | None = None,
        *,
        address: str | None = None,
        namespace: str | None = None,
        temporal: TemporalClient | None = None,
    ) -> TaskQueueWorker:
        """Take attempts from the group's own Temporal task queue: no inbound port is needed.

        Needs `pip install 'redrive[worker]'`. Without `address` and `namespace`, Temporal's own environment
        configuration holds: `TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, `TEMPORAL_API_KEY`, `TEMPORAL_TLS_*`, profiles.

        Args:
            task_queue: The task queue; that of the client when left out.
            address: `host:port` of Temporal.
            namespace: Temporal's namespace (not Redrive's): the one that the server uses.
            temporal: A connected client in place of the two.

        Returns:
            A worker that runs in a thread (`with`), or in the running event loop (`async with`).

        Raises:
            ModuleNotFoundError: The extra is not installed.
            UsageError: Nobody said which task queue.

        Example:
            ```python
            redrive = Redrive("http://redrive:8600", group="orders", task_queue="orders-retries")

            with redrive.worker(address="temporal:7233"):
                do_other_work()
            ```
        """
        target = self._target if task_queue is None else _own_queue(task_queue)
        if not isinstance(target, WorkerTarget):
            raise UsageError("a worker needs a task queue: pass task_queue='orders-retries' to Redrive() or worker()")
        from redrive.sdk.worker import TaskQueueWorker, WorkerParts  # noqa: PLC0415 - see the module's docstring

        parts = WorkerParts(
            self._group, self._get().connection, self.runner, self.registry, self._capacity, self._drain_timeout
        )
        return TaskQueueWorker(parts, target.task_queue, address=address, namespace=namespace, temporal=temporal)

    async def run_worker(
        self,
        task_queue: str | None = None,
        *,
        address: str | None = None,
        namespace: str | None = None,
        temporal: TemporalClient | None = None,
    ) -> None:
        """Take attempts from the group's task queue until this is cancelled or the process gets SIGTERM; see `worker`.

        Args:
            task_queue: The task queue; that of the client when left out.
            address: `host:port` of Temporal.
            namespace: Temporal's namespace.
            temporal: A connected client in place of the two.

        Raises:
            ModuleNotFoundError: The extra is not installed.
            UsageError: Nobody said which task queue.

        Example:
            ```python
            await redrive.run_worker()
            ```
        """
        await self.worker(task_queue, address=address, namespace=namespace, temporal=temporal).run()

    def start_node(self) -> None:
        """Register this process as a node, in the background, and keep its heart beating.

        Raises:
            UsageError: Nobody said where the server reaches this process.
        """
        if self._node_url is None:
            raise UsageError(
                "a node needs the address under which the server reaches it: pass url='http://this-host:8000' to "
                "asgi(), wsgi() or serve(), node_url=… to Redrive(), or set REDRIVE_NODE_URL"
            )
        from redrive.sdk._health import health_of  # noqa: PLC0415 - see the module's docstring
        from redrive.sdk.node import Node, NodeFacts  # noqa: PLC0415 - likewise

        with self._lock:
            self._node_wanted = True
            if self._node is None:
                facts = NodeFacts(self._group, self._node_url, self._settings["capacity"], self._labels, self._version)
                self._node = Node(
                    self._get().connection,
                    facts,
                    self.registry.names,
                    lambda: self.runner.in_flight,
                    self._secrets,
                    health_of(self._get().spool),
                )
            self.runner.resume()
            self._node.start()

    def stop_node(self) -> None:
        """Drain: tell the server, let running attempts finish, and stop the heart."""
        with self._lock:
            node, self._node = self._node, None
            self._node_wanted = False
        if node is None:
            return
        node.drain()
        if not self.runner.drain(self._drain_timeout):
            log.warning("redrive: %d attempts were still running when the node stopped", self.runner.in_flight)
        node.stop()

    @property
    def runner(self) -> Runner:
        """Runs the attempts of this process."""
        return self._get().runner

    @property
    def node(self) -> Node | None:
        """The registration of this process; None while it is none."""
        return self._node

    # Life ---------------------------------------------------------------------------------------------------------

    def close(self, timeout: float = 10.0) -> None:
        """Drain the node, send what waits, and close all connections. The client can be used again after that.

        Args:
            timeout: The longest to wait for reports, in seconds; what is left then is in the spool.
        """
        self.stop_node()
        if self._parts is not None:
            self._parts.close(timeout)

    async def aclose(self, timeout: float = 10.0) -> None:
        """Close without blocking the event loop; see `close`.

        Args:
            timeout: The longest to wait for reports, in seconds.
        """
        import asyncio  # noqa: PLC0415 - as above

        await asyncio.to_thread(self.close, timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        await self.aclose()

    @property
    def group(self) -> str:
        """The group that this client reports for."""
        return self._group

    @property
    def target(self) -> NodeTarget | WorkerTarget:
        """Where attempts go unless a report says otherwise: to the task queue when there is one, else to nodes."""
        return self._target

    @property
    def enabled(self) -> bool:
        """Whether anything is retried; the testing kit turns it off."""
        return self._enabled

    @property
    def sleeps(self) -> bool:
        """Whether local waits are real; the testing kit skips them."""
        return self._sleeps

    @contextlib.contextmanager
    def replaced(self, backend: Backend | None = None, *, enabled: bool = True) -> Generator[None]:
        """Report to something else for a while, without waits; the testing kit does.

        Args:
            backend: What takes the reports; None to leave that as it is.
            enabled: Whether failures are handled at all.

        Yields:
            Nothing.
        """
        parts = self._get()
        before = (parts.backend, self._enabled, self._sleeps)
        parts.backend = backend or parts.backend
        self._enabled, self._sleeps = enabled, False
        try:
            yield
        finally:
            parts.backend, self._enabled, self._sleeps = before

    def reset_after_fork(self) -> None:
        """Begin anew in a child process; called by itself."""
        self._lock = threading.RLock()
        if self._parts is not None:
            self._parts.reset_after_fork()
        self._node = None
        if self._node_wanted:
            self.start_node()

    def _prepare(self, report: Report) -> Outgoing:
        executor, args, kwargs = report.executor, report.args, report.kwargs
        call = entry.parameters.signature() if (entry := entry_of(executor)) is not None else None
        callbacks = {
            event: callback_document(callback, event, self.registry, f"report({report.scene!r})", call)
            for event in EVENTS
            if (callback := getattr(report, event)) is not None
        }
        if executor is None or isinstance(executor, str):
            place = f"report({report.scene!r})"
            return prepare(
                report,
                self._group,
                self._target,
                executor,
                [dump(item, where=f"{place}.args[{index}]") for index, item in enumerate(args)],
                {name: dump(item, where=f"{place}.kwargs[{name!r}]") for name, item in kwargs.items()},
                callbacks,
            )
        if entry is None:
            raise UsageError(
                f"executor: expected a name or a function decorated with @executor or @retryable, got {executor!r}"
            )
        receiver = (None,) if entry.parameters.skip_first else ()
        try:
            positional, named = entry.parameters.dump((*receiver, *args), kwargs)
        except TypeError as error:
            raise UsageError(f"report({report.scene!r}): the arguments do not fit {entry.name}: {error}") from None
        return prepare(report, self._group, self._target, entry.name, positional, named, callbacks)

    def _submit_all(self, reports: Sequence[Report]) -> list[tuple[Outgoing, Future[Receipt]]]:
        prepared = [self._prepare(report) for report in reports]
        # All but the last wait for company, so that one request takes them all.
        last = len(prepared) - 1
        return [(item, self._submit(item, urgent=index == last)) for index, item in enumerate(prepared)]

    def _submit(self, outgoing: Outgoing, *, urgent: bool) -> Future[Receipt]:
        if not urgent and not self._sigterm_done:
            from redrive.sdk._parts import before_sigterm  # noqa: PLC0415 - see the module's docstring

            self._sigterm_done = True
            before_sigterm(_flush_all)
        return self._get().backend.submit(outgoing, urgent=urgent)

    def _outcome(self, outgoing: Outgoing, future: Future[Receipt], timeout: float | None) -> Receipt | ReportError:
        try:
            return self._get().wait(outgoing, future, timeout)
        except ReportError as error:
            return error

    def _known_secrets(self) -> list[str] | None:
        if self._secrets is not None:
            return self._secrets
        return self._node.secrets if self._node is not None else None

    def _refresh_secrets(self) -> None:
        node = self._node
        if node is not None and self._secrets is None:
            node.refresh()

    def _spool_path(self, spool: bool | str | Path) -> Path | None:
        if isinstance(spool, bool):
            from redrive.sdk.spool import default_path  # noqa: PLC0415 - see the module's docstring

            return default_path(self.url, self.namespace, self._group) if spool else None
        return Path(spool)

    def _get(self) -> Parts:
        parts = self._parts
        if parts is None:
            with self._lock:
                if self._parts is None:
                    from redrive.sdk._parts import Parts, Settings  # noqa: PLC0415 - see the module's docstring

                    self._parts = Parts(
                        Settings(**self._settings), self.registry, self._known_secrets, self._refresh_secrets
                    )
                parts = self._parts
        return parts


_clients: weakref.WeakSet[Redrive] = weakref.WeakSet()
_default: Redrive | None = None


@contextlib.contextmanager
def some_default() -> Generator[None]:
    """See to it that the module-level decorators have a client for a while, for tests that configure none."""
    global _default  # noqa: PLW0603 - as below
    before = _default
    if before is None:
        _default = Redrive("http://redrive.invalid", group="testing", spool=False)
    try:
        yield
    finally:
        _default = before


def configure(client: Redrive) -> Redrive:
    """Make a client the one that the module-level `retryable` reports to.

    Args:
        client: The client.

    Returns:
        The same client.

    Example:
        ```python
        configure(Redrive("http://127.0.0.1:8600", group="orders"))
        ```
    """
    global _default  # noqa: PLW0603 - the one default, as its name says
    _default = client
    return client


def all_clients() -> list[Redrive]:
    """List the clients of this process."""
    return list(_clients)


def default_client() -> Redrive:
    """Find the client of the module-level decorators, making it from the environment when nobody configured one.

    Returns:
        The client.

    Raises:
        NotConfigured: There is none, and `REDRIVE_URL` and `REDRIVE_GROUP` are not set.

    Example:
        ```python
        default_client().report("send-mail", executor="mail.send", args=["a@example.com"])
        ```
    """
    if _default is not None:
        return _default
    if not (os.environ.get("REDRIVE_URL") and os.environ.get("REDRIVE_GROUP")):
        raise NotConfigured(
            "no client: call redrive.sdk.configure(Redrive('http://…', group='…')) when the application starts, or set "
            "REDRIVE_URL and REDRIVE_GROUP"
        )
    return configure(Redrive())


@overload
def retryable(scene: str, *, default: D, **options: Unpack[DecorationOptions]) -> DefaultingDecorator[D]: ...


@overload
def retryable(  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload] - False is a bool, too
    scene: str, *, raise_on_exhausted: Literal[False], **options: Unpack[DecorationOptions]
) -> DefaultingDecorator[None]: ...


@overload
def retryable(
    scene: str, *, raise_on_exhausted: bool = True, **options: Unpack[DecorationOptions]
) -> RetryableDecorator: ...


def retryable(scene: str, **options: Unpack[RetryableOptions]) -> Any:
    """Retry a function's failures through the default client; see `Redrive.retryable`.

    Args:
        scene: The kind of operation; owns the policy.
        **options: See `redrive.sdk.options.Options`.

    Returns:
        A decorator for plain and `async` functions and methods.

    Raises:
        UsageError: An option is unknown or impossible, or the function cannot be run again.

    Example:
        ```python
        @retryable(scene="send-mail", local_attempts=2)
        def send(to: str, body: str) -> None: ...
        ```
    """
    return retryable_decorator(default_client, _shared, scene, options)


def executor(
    name: str | None = None,
    *,
    version: int = 1,
    aliases: Sequence[str] = (),
    instance: Callable[[], Any] | None = None,
) -> ExecutorDecorator:
    """Register a function for hand-made reports, with every client of this process; see `Redrive.executor`.

    Args:
        name: Its name in reports; `module.qualname` when left out.
        version: Above 1, it becomes a part of the name.
        aliases: Names that it had before.
        instance: Gives the object on which a method runs.

    Returns:
        A decorator that returns the function as it is.

    Raises:
        DuplicateExecutor: Another function has that name.
        UsageError: The function cannot be called by name.

    Example:
        ```python
        @executor("mail.send")
        def send(to: str) -> None: ...
        ```
    """
    return executor_decorator(_shared, name, version=version, aliases=aliases, instance=instance)


def _own_queue(task_queue: str) -> WorkerTarget:
    try:
        return WorkerTarget(task_queue)
    except InvalidDocument as error:
        raise UsageError(str(error)) from None


def _needed(given: str | None, variable: str, option: str) -> str:
    value = given or os.environ.get(variable)
    if not value:
        raise NotConfigured(f"Redrive needs {option}=…, or the environment variable {variable}")
    return value


def _close_all() -> None:
    for client in list(_clients):
        client.close(timeout=5.0)


def _reset_all() -> None:
    for client in list(_clients):
        client.reset_after_fork()


def _flush_all() -> None:
    for client in list(_clients):
        client.flush(timeout=5.0)


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_all)
