"""Ways in for the server's requests: an ASGI app, a WSGI app, and a small server of our own.

All of them come down to `Runner.execute` and `Runner.cancel`. The own server speaks HTTP/1.1 through h11 (which httpx
brings along) and hands each request to the ASGI app, so that there is one code path to trust.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable, MutableMapping
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, TypeVar, cast

from redrive.core.wire import CANCEL_PATH, EXECUTE_PATH, MAX_TASK_BYTES
from redrive.sdk.attempts import Reply, Runner
from redrive.sdk.errors import SdkError

if TYPE_CHECKING:
    import h11

log = logging.getLogger("redrive.sdk")

T = TypeVar("T")

AsgiMessage: TypeAlias = MutableMapping[str, Any]
AsgiReceive: TypeAlias = Callable[[], Awaitable[AsgiMessage]]
AsgiSend: TypeAlias = Callable[[AsgiMessage], Awaitable[None]]
AsgiApp: TypeAlias = Callable[[AsgiMessage, AsgiReceive, AsgiSend], Awaitable[None]]
WsgiApp: TypeAlias = Callable[..., Iterable[bytes]]

_MAX_BODY: Final = 2 * MAX_TASK_BYTES  # the arguments, and what the envelope and the last error add


class Serving(Protocol):
    """What the ways in need of the client."""

    def start_node(self) -> None:
        """Register this process, in the background."""
        ...

    def stop_node(self) -> None:
        """Drain: take no more attempts, wait for those that run, and say good-bye."""
        ...

    @property
    def runner(self) -> Runner:
        """Runs attempts."""
        ...


class AsgiServing:
    """An ASGI application that serves attempts, alone or in front of another one.

    In front of an application it answers its own two paths, and takes part in the start and the end of the
    application: the node registers once the application is up, and drains before the application goes down. Mounted
    *inside* an application it sees no start and no end; use `Redrive.lifespan` there.

    Args:
        serving: The client.
        app: The application behind it.
    """

    def __init__(self, serving: Serving, app: AsgiApp | None = None) -> None:
        self._serving = serving
        self._app = app

    async def __call__(self, scope: AsgiMessage, receive: AsgiReceive, send: AsgiSend) -> None:
        """Handle one connection."""
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        path = _own_path(scope) if scope["type"] == "http" else None
        if path is None:
            if self._app is not None:
                await self._app(scope, receive, send)
            elif scope["type"] == "http":
                await _respond(send, _not_found())
            return
        if scope["method"] != "POST":
            await _respond(send, _only_post())
            return
        await self._handle(path, scope, receive, send)

    async def _handle(self, path: str, scope: AsgiMessage, receive: AsgiReceive, send: AsgiSend) -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        body = await _read_body(receive)
        if body is None:
            return
        if len(body) > _MAX_BODY:
            await _respond(send, _too_large())
            return
        runner = self._serving.runner
        if path == CANCEL_PATH:
            await _respond(send, await runner.cancel(headers, body))
            return
        work = asyncio.ensure_future(runner.execute(headers, body))
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                await _respond(send, work.result())
            else:
                log.info("redrive: the server dropped an attempt; it is cancelled")
        finally:
            for task in (work, gone):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await task

    async def _lifespan(self, scope: AsgiMessage, receive: AsgiReceive, send: AsgiSend) -> None:
        if self._app is None:
            await receive()
            self._serving.start_node()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await asyncio.to_thread(self._serving.stop_node)
            await send({"type": "lifespan.shutdown.complete"})
            return

        async def receiving() -> AsgiMessage:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                # Before the application closes what its executors use.
                await asyncio.to_thread(self._serving.stop_node)
            return message

        async def sending(message: AsgiMessage) -> None:
            if message["type"] == "lifespan.startup.complete":
                self._serving.start_node()
            await send(message)

        await self._app(scope, receiving, sending)


class WsgiServing:
    """A WSGI application that serves attempts, alone or in front of another one.

    WSGI knows no start: the node registers when this object is made, or in each worker after the fork.

    Args:
        serving: The client.
        app: The application behind it.
        loop: Runs coroutines for it.
    """

    def __init__(self, serving: Serving, app: WsgiApp | None, loop: LoopThread) -> None:
        self._serving = serving
        self._app = app
        self._loop = loop

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Handle one request."""
        path = str(environ.get("PATH_INFO", ""))
        if path not in (EXECUTE_PATH, CANCEL_PATH):
            if self._app is not None:
                return self._app(environ, start_response)
            return _start(start_response, _not_found())
        if environ.get("REQUEST_METHOD") != "POST":
            return _start(start_response, _only_post())
        try:
            length = int(environ.get("CONTENT_LENGTH") or 0)
        except ValueError:
            length = 0
        if length > _MAX_BODY:
            return _start(start_response, _too_large())
        body: bytes = environ["wsgi.input"].read(length)
        headers = {
            name[5:].replace("_", "-").lower(): str(value)
            for name, value in environ.items()
            if name.startswith("HTTP_")
        }
        runner = self._serving.runner
        handler = runner.execute if path == EXECUTE_PATH else runner.cancel
        return _start(start_response, self._loop.run(handler(headers, body)))


class LoopThread:
    """An event loop in a thread, started by its first use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine and wait for its result."""
        return asyncio.run_coroutine_threadsafe(work, self.loop()).result()

    def loop(self) -> asyncio.AbstractEventLoop:
        """Give the running loop."""
        with self._lock:
            if self._loop is None:
                loop = self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=_run_loop, args=(loop,), name="redrive-loop", daemon=True)
                self._thread.start()
            return self._loop

    def stop(self) -> None:
        """Cancel what runs, and end the thread."""
        with self._lock:
            loop, self._loop = self._loop, None
            thread, self._thread = self._thread, None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(5)

    def reset_after_fork(self) -> None:
        """Forget the parent's loop: its thread stayed there."""
        self._lock = threading.Lock()
        self._loop = None
        self._thread = None


class OwnServer:
    """A small HTTP/1.1 server for scripts and workers, in a thread.

    Args:
        app: What answers requests.
        host: Address to listen on.
        port: Port to listen on; 0 for any free one.
        loop: Runs it.
    """

    def __init__(self, app: AsgiApp, host: str, port: int, loop: LoopThread) -> None:
        self._app = app
        self._host = host
        self._loop = loop
        self._socket = _listen(host, port)
        self.port: int = self._socket.getsockname()[1]
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[Any]] = set()

    def start(self) -> None:
        """Begin to answer."""
        self._loop.run(self._start())

    def stop(self) -> None:
        """Close the port and the connections."""
        self._loop.run(self._stop())

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._serve, sock=self._socket)

    async def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._connections.add(task)
        try:
            await _serve_connection(self._app, reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass  # the other side went away, or this one stops
        finally:
            self._connections.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()


def local_address() -> str:
    """Tell the address under which other machines most likely reach this one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # documentation range: no packet is sent, only a route is looked up
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


async def _serve_connection(app: AsgiApp, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    import h11  # noqa: PLC0415 - only for those who use this server

    connection = h11.Connection(h11.SERVER)
    while True:
        try:
            request = await _next_event(connection, reader)
            if not isinstance(request, h11.Request):
                return
            body = bytearray()
            while isinstance(event := await _next_event(connection, reader), h11.Data):
                body += event.data
                if len(body) > _MAX_BODY:
                    await _write(connection, writer, _too_large().status, [], _too_large().body)
                    return
        except h11.RemoteProtocolError:
            return
        await _answer(app, connection, reader, writer, request, bytes(body))
        if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
            return
        connection.start_next_cycle()


async def _answer(
    app: AsgiApp,
    connection: h11.Connection,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    request: h11.Request,
    body: bytes,
) -> None:
    path, _, query = request.target.partition(b"?")
    scope: AsgiMessage = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method.decode("ascii"),
        "path": path.decode("latin-1"),
        "root_path": "",
        "query_string": query,
        "headers": [(bytes(name).lower(), bytes(value)) for name, value in request.headers],
    }
    pending = [{"type": "http.request", "body": body, "more_body": False}]
    status = 500
    headers: list[tuple[bytes, bytes]] = []
    content = bytearray()

    async def receive() -> AsgiMessage:
        if pending:
            return cast("AsgiMessage", pending.pop())
        # One request at a time on a connection: bytes that come now are the end of it, or break the protocol.
        await reader.read(1)
        return {"type": "http.disconnect"}

    async def send(message: AsgiMessage) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status, headers = message["status"], list(message["headers"])
        else:
            content.extend(message["body"])

    await app(scope, receive, send)
    await _write(connection, writer, status, headers, bytes(content))


async def _next_event(connection: h11.Connection, reader: asyncio.StreamReader) -> object:
    import h11  # noqa: PLC0415 - as above

    while True:
        event = connection.next_event()
        if event is not h11.NEED_DATA:
            return event
        connection.receive_data(await reader.read(65_536))


async def _write(
    connection: h11.Connection,
    writer: asyncio.StreamWriter,
    status: int,
    headers: list[tuple[bytes, bytes]],
    content: bytes,
) -> None:
    import h11  # noqa: PLC0415 - as above

    parts = (h11.Response(status_code=status, headers=headers), h11.Data(data=content), h11.EndOfMessage())
    for event in parts:
        writer.write(connection.send(event) or b"")
    await writer.drain()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(128)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        raise SdkError(
            f"cannot listen on {host}:{port}: {error.strerror}; choose another port, or 0 for any"
        ) from error
    return listening


def _run_loop(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    loop.close()


def _own_path(scope: AsgiMessage) -> str | None:
    path = str(scope["path"])
    root = str(scope.get("root_path", ""))
    inner = path.removeprefix(root) if root else path
    return inner if inner in (EXECUTE_PATH, CANCEL_PATH) else None


async def _read_body(receive: AsgiReceive) -> bytes | None:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if not message.get("more_body") or len(body) > _MAX_BODY:
            return bytes(body)


async def _disconnected(receive: AsgiReceive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _respond(send: AsgiSend, reply: Reply) -> None:
    body = reply.body
    headers = {"content-type": reply.content_type, "content-length": str(len(body)), **reply.headers}
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    # The server may be gone; then nobody needs the answer.
    with contextlib.suppress(OSError):
        await send({"type": "http.response.start", "status": reply.status, "headers": encoded})
        await send({"type": "http.response.body", "body": body})


def _start(start_response: Callable[..., Any], reply: Reply) -> Iterable[bytes]:
    body = reply.body
    headers = {"content-type": reply.content_type, "content-length": str(len(body)), **reply.headers}
    start_response(f"{reply.status} {_REASONS.get(reply.status, 'Answer')}", list(headers.items()))
    return [body]


_REASONS: Final = {200: "OK", 401: "Unauthorized", 404: "Not Found", 405: "Method Not Allowed", 503: "Unavailable"}


def _not_found() -> Reply:
    detail = f"this application serves POST {EXECUTE_PATH} and POST {CANCEL_PATH}"
    return Reply(404, {"type": "about:blank", "title": "Not found", "status": 404, "detail": detail})


def _only_post() -> Reply:
    document = {"type": "about:blank", "title": "Method not allowed", "status": 405, "detail": "use POST"}
    return Reply(405, document, {"allow": "POST"})


def _too_large() -> Reply:
    detail = f"a dispatch has at most {_MAX_BODY} bytes"
    return Reply(413, {"type": "about:blank", "title": "Too large", "status": 413, "detail": detail})
