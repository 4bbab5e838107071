"""A webhook target, or a node, that answers as a test wants and remembers what it was asked."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from tests.eventually import eventually

from redrive.core.wire import CANCEL_PATH, EXECUTE_PATH


@dataclass
class Call:
    """One request."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    closed_early: bool = False
    query: str = ""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """One answer; `until` is awaited before it is given."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    until: Callable[[], Awaitable[Any]] | None = None


def answer(status: str = "succeeded", **fields: Any) -> Reply:
    """Answer as a node does."""
    return Reply(body=json.dumps({"status": status, **fields}).encode())


class Target:
    """A server on a port of its own. Replies are used up in order; the last one stays."""

    def __init__(self) -> None:
        self.url = ""
        self.calls: list[Call] = []
        self.cancels: list[Any] = []
        self.replies: list[Reply] = [Reply()]
        self.open = 0
        self._seen: dict[str, int] = defaultdict(int)

    def say(self, *replies: Reply) -> None:
        """Give these replies to each path, in order."""
        self.replies = list(replies)
        self._seen.clear()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        call = Call(scope["method"], scope["path"], headers, body, query=scope["query_string"].decode())
        if call.path == CANCEL_PATH:
            self.cancels.append(call.json)
            await _send(send, Reply())
            return
        self.calls.append(call)
        reply = self.replies[min(self._seen[call.path], len(self.replies) - 1)]
        self._seen[call.path] += 1
        self.open += 1
        try:
            if reply.until is not None:
                await _until(reply.until, receive, call)
            await _send(send, reply)
        finally:
            self.open -= 1

    async def called(self, times: int = 1) -> Call:
        """Wait until it has been called so often, and return that call."""
        await eventually(lambda: len(self.calls) >= times, what=f"call {times} of the target")
        return self.calls[times - 1]


class Gate:
    """Holds replies back until it is opened."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def open(self) -> None:
        self._event.set()

    async def __call__(self) -> None:
        await self._event.wait()


class _Server(uvicorn.Server):
    """A server inside a test leaves the process's signal handlers alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


@contextlib.asynccontextmanager
async def serving(target: Target, port: int = 0) -> AsyncGenerator[Target]:
    """Serve a target while the block runs."""
    config = uvicorn.Config(
        target, host="127.0.0.1", port=port, log_level="critical", lifespan="off", timeout_graceful_shutdown=1
    )
    listening = config.bind_socket()
    target.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        await eventually(lambda: server.started)
        yield target
    finally:
        server.should_exit = True
        await task
        listening.close()


async def _until(condition: Callable[[], Awaitable[Any]], receive: Any, call: Call) -> None:
    """Wait for the condition, or for the client to go away."""
    waiting = asyncio.ensure_future(condition())
    leaving = asyncio.ensure_future(receive())
    await asyncio.wait({waiting, leaving}, return_when=asyncio.FIRST_COMPLETED)
    call.closed_early = leaving.done()
    for task in (waiting, leaving):
        task.cancel()
    await asyncio.gather(waiting, leaving, return_exceptions=True)


async def _send(send: Any, reply: Reply) -> None:
    headers = [(name.encode(), value.encode()) for name, value in reply.headers.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


NODE_PATH = EXECUTE_PATH
