"""What a client is made of, loaded when it is first needed."""

from __future__ import annotations

import asyncio
import signal
import threading
import types
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from redrive.sdk._http import Connection
from redrive.sdk.attempts import Runner
from redrive.sdk.batching import Sender
from redrive.sdk.executor import Registry
from redrive.sdk.lost import LastResort
from redrive.sdk.report import Outgoing, Receipt
from redrive.sdk.serving import LoopThread
from redrive.sdk.spool import Spool
from redrive.sdk.window import Window

if TYPE_CHECKING:
    import httpx


@dataclass(frozen=True, slots=True)
class Settings:
    """What a client was given, checked.

    Attributes:
        url: Base URL of the server.
        namespace: The namespace.
        api_key: The bearer token.
        timeout: The longest wait for an answer, in seconds.
        spool: The file of the spool; None for no spool.
        window: The limits of background reports.
        lost: Takes reports that can be brought nowhere else.
        capacity: The most attempts at a time.
        verify_signatures: Whether unsigned dispatches are refused.
        transport: An httpx transport in place of the network.
    """

    url: str
    namespace: str
    api_key: str | None
    timeout: float
    spool: Path | None
    window: Window
    lost: LastResort
    capacity: int
    verify_signatures: bool
    transport: httpx.BaseTransport | None


class Backend(Protocol):
    """Where reports go: the sender, or a stand-in of the testing kit."""

    def submit(self, outgoing: Outgoing, *, urgent: bool = True) -> Future[Receipt]:
        """Hand over a report."""
        ...

    def withdraw(self, outgoing: Outgoing, future: Future[Receipt]) -> Receipt:
        """Stop waiting for a report, and keep it some other way."""
        ...


class Parts:
    """The working parts of one client.

    Args:
        settings: What the client was given.
        registry: Its executors.
        secrets: Tells the secrets that dispatches are signed with.
        refresh: Asks the server for them again.
    """

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        secrets: Callable[[], list[str] | None],
        refresh: Callable[[], None],
    ) -> None:
        self.settings = settings
        self.connection = Connection(
            settings.url, settings.namespace, settings.api_key, settings.timeout, settings.transport
        )
        self.spool = Spool(settings.spool) if settings.spool is not None else None
        self.sender = Sender(self.connection, self.spool, settings.window, settings.lost)
        self.loop = LoopThread()
        self.runner = Runner(
            registry, settings.capacity, secrets, refresh, verify_signatures=settings.verify_signatures
        )
        self.backend: Backend = self.sender

    def wait(self, outgoing: Outgoing, future: Future[Receipt], timeout: float | None) -> Receipt:
        """Wait for what becomes of a report; when the time is over, keep it on this machine's disk."""
        try:
            return future.result(self._patience(timeout))
        except FutureTimeout:
            return self.backend.withdraw(outgoing, future)

    async def await_(self, outgoing: Outgoing, future: Future[Receipt], timeout: float | None) -> Receipt:
        """Wait without blocking the event loop."""
        waiting = asyncio.wrap_future(future)
        # `wait` leaves the future alone when the time is over or the caller is cancelled; `wait_for` would cancel it.
        done, _ = await asyncio.wait({waiting}, timeout=self._patience(timeout))
        if done:
            return waiting.result()
        return await asyncio.to_thread(self.backend.withdraw, outgoing, future)

    def close(self, timeout: float) -> None:
        """Send what waits, and close everything."""
        self.sender.close(timeout)
        self.loop.stop()
        self.connection.close()
        if self.spool is not None:
            self.spool.close()

    def reset_after_fork(self) -> None:
        """Begin anew in a child process."""
        self.connection.reset_after_fork()
        if self.spool is not None:
            self.spool.reset_after_fork()
        self.loop.reset_after_fork()
        self.runner.reset_after_fork()
        self.sender.reset_after_fork()

    def _patience(self, timeout: float | None) -> float:
        # One request's time and a little: whoever joins a batch waits for the request before it, too.
        return timeout if timeout is not None else self.settings.timeout + 1.0


def before_sigterm(flush: Callable[[], None]) -> None:
    """Run `flush` before SIGTERM ends a process that does not handle it itself.

    Servers such as uvicorn and gunicorn end in order on SIGTERM, and then `atexit` does it.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        return

    def end(number: int, frame: types.FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        flush()
        signal.raise_signal(number)

    signal.signal(signal.SIGTERM, end)
