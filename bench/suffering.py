"""A webhook target that suffers: it is down, slow or overloaded, as a scenario says, and remembers every request."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, as a behaviour sees it.

    Attributes:
        at: Seconds since the scenario began.
        number: How many requests there were before, over all.
        path: Its path.
        in_capacity: Whether the target has capacity left in this second.
        in_trouble: Whether the trouble lasts.
    """

    at: float
    number: int
    path: str
    in_capacity: bool
    in_trouble: bool


@dataclass(frozen=True, slots=True)
class Said:
    """An answer.

    Attributes:
        status: HTTP status.
        after: How long it takes, in seconds.
        retry_after: The header `Retry-After`, in seconds; None for none.
    """

    status: int = 200
    after: float = 0.0
    retry_after: int | None = None


Behaviour = Callable[[Asked], Said]


@dataclass
class Suffering:
    """One target.

    Attributes:
        behave: What it answers.
        capacity: Requests that it can take in one second.
        in_trouble: Tells from the seconds since the beginning whether its trouble lasts.
        url: Its address, once it is served.
        seen: When each request came, in seconds since `begin`, and its answer's status.
    """

    behave: Behaviour
    capacity: float
    in_trouble: Callable[[float], bool]
    url: str = ""
    seen: list[tuple[float, int]] = field(default_factory=list[tuple[float, int]])
    _began: float = field(default_factory=time.monotonic)
    _tokens: float = 0.0
    _counted_at: float = 0.0

    def begin(self) -> None:
        """Let the scenario begin now."""
        self._began = time.monotonic()
        self._tokens, self._counted_at = self.capacity, 0.0
        self.seen.clear()

    @property
    def elapsed(self) -> float:
        """Seconds since the scenario began."""
        return time.monotonic() - self._began

    def answer(self, path: str) -> Said:
        """Take a request and decide its answer."""
        now = self.elapsed
        self._tokens = min(self.capacity, self._tokens + (now - self._counted_at) * self.capacity)
        self._counted_at = now
        said = self.behave(Asked(now, len(self.seen), path, self._tokens >= 1, self.in_trouble(now)))
        self._tokens = max(0.0, self._tokens - 1)
        self.seen.append((now, said.status))
        return said

    def peak(self, since: float = 0.0) -> int:
        """Count the requests of the busiest second."""
        times = sorted(at for at, _ in self.seen if at >= since)
        most, first = 0, 0
        for last, at in enumerate(times):
            while times[first] <= at - 1:
                first += 1
            most = max(most, last - first + 1)
        return most

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                request_line, *lines = head.split("\r\n")
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
                await reader.readexactly(int(headers.get("content-length", "0")))
                said = self.answer(request_line.split(" ")[1])
                if said.after:
                    await asyncio.sleep(said.after)
                later = "" if said.retry_after is None else f"retry-after: {said.retry_after}\r\n"
                writer.write(f"HTTP/1.1 {said.status} -\r\ncontent-length: 2\r\n{later}\r\n{{}}".encode())
                await writer.drain()
        writer.close()
        with suppress(ConnectionError, asyncio.CancelledError):
            await writer.wait_closed()


@contextmanager
def serving(*targets: Suffering) -> Generator[None]:
    """Serve targets, each on a port of its own, by one thread beside the caller."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    servers: list[asyncio.Server] = []

    async def start() -> None:
        for target in targets:
            server = await asyncio.start_server(target.connection, "127.0.0.1", 0, backlog=1024)
            servers.append(server)
            target.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def stop() -> None:
        for server in servers:
            server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
