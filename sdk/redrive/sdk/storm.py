"""Keeping retries from multiplying between services.

Three services in a row that each try three times call the last one 27 times for one request, at the moment when it is
least able to take it. So a request that is part of a retry says so (`Redrive-Attempt`) and says how long its answer is
worth something (`Redrive-Deadline`). A service that sees this opens no retries of its own, refuses what comes too
late, and passes both on. An answer may say that retrying is pointless: `Redrive-Stop: true`.

Incoming: `AsgiStormGuard` and `WsgiStormGuard`. Outgoing: `StormTransport` and `AsyncStormTransport` for httpx, or its
event hooks, and `storm_adapter` for requests.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import httpx

from redrive.core.wire import ATTEMPT_HEADER, DEADLINE_HEADER, STOP_HEADER
from redrive.sdk.context import SCOPE, Scope, current_scope, outgoing_headers

if TYPE_CHECKING:
    from redrive.sdk.serving import AsgiApp, AsgiMessage, AsgiReceive, AsgiSend, WsgiApp

_TOO_LATE: Final = (
    b'{"type":"about:blank","title":"Deadline exceeded","status":504,"detail":"Redrive-Deadline has passed"}'
)
_STOP: Final[contextvars.ContextVar[list[bool] | None]] = contextvars.ContextVar("redrive_stop", default=None)


def answer_stop() -> None:
    """Let the answer to the request in hand carry `Redrive-Stop: true`: callers are not to retry it.

    Example:
        ```python
        if card.closed:
            answer_stop()
            return JSONResponse({"error": "card is closed"}, status_code=503)
        ```
    """
    asked = _STOP.get()
    if asked is not None:
        asked.append(True)


class AsgiStormGuard:
    """ASGI middleware: inside a request that is part of a retry, no retry is opened.

    Args:
        app: The application.

    Example:
        ```python
        app.add_middleware(AsgiStormGuard)
        ```
    """

    def __init__(self, app: AsgiApp) -> None:
        self._app = app

    async def __call__(self, scope: AsgiMessage, receive: AsgiReceive, send: AsgiSend) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        guarded, deadline = _limits(headers)
        if deadline is not None and deadline <= datetime.now(UTC):
            kind = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(_TOO_LATE)).encode())]
            await send({"type": "http.response.start", "status": 504, "headers": [*kind, (b"redrive-stop", b"true")]})
            await send({"type": "http.response.body", "body": _TOO_LATE})
            return

        async def sending(message: AsgiMessage) -> None:
            if message["type"] == "http.response.start" and asked:
                message = {**message, "headers": [*message.get("headers", []), (b"redrive-stop", b"true")]}
            await send(message)

        with _inside(guarded, deadline) as asked:
            await self._app(scope, receive, sending)


class WsgiStormGuard:
    """WSGI middleware: inside a request that is part of a retry, no retry is opened.

    Args:
        app: The application.

    Example:
        ```python
        app.wsgi_app = WsgiStormGuard(app.wsgi_app)
        ```
    """

    def __init__(self, app: WsgiApp) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Handle one request."""
        headers = {
            ATTEMPT_HEADER.lower(): environ.get("HTTP_REDRIVE_ATTEMPT", ""),
            DEADLINE_HEADER.lower(): environ.get("HTTP_REDRIVE_DEADLINE", ""),
        }
        guarded, deadline = _limits(headers)
        if deadline is not None and deadline <= datetime.now(UTC):
            kind = [("content-type", "application/problem+json"), ("content-length", str(len(_TOO_LATE)))]
            start_response("504 Gateway Timeout", [*kind, ("redrive-stop", "true")])
            return [_TOO_LATE]

        def starting(status: str, fields: list[tuple[str, str]], *rest: Any) -> Any:
            return start_response(status, [*fields, ("redrive-stop", "true")] if asked else fields, *rest)

        with _inside(guarded, deadline) as asked:
            return self._app(environ, starting)


class StormTransport(httpx.BaseTransport):
    """An httpx transport that tells the called service of the retry, and keeps to what is left of its time.

    Args:
        transport: What makes the request; httpx's own when left out.

    Example:
        ```python
        client = httpx.Client(transport=StormTransport())
        ```
    """

    def __init__(self, transport: httpx.BaseTransport | None = None) -> None:
        self._inner = transport or httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Make one request.

        Raises:
            DeadlineExceeded: There is no time left for it.
        """
        on_request(request)
        response = self._inner.handle_request(request)
        _note_stop(response.headers)
        return response

    def close(self) -> None:
        """Close the transport."""
        self._inner.close()


class AsyncStormTransport(httpx.AsyncBaseTransport):
    """An asynchronous httpx transport that does what `StormTransport` does.

    Args:
        transport: What makes the request; httpx's own when left out.

    Example:
        ```python
        client = httpx.AsyncClient(transport=AsyncStormTransport())
        ```
    """

    def __init__(self, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._inner = transport or httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Make one request.

        Raises:
            DeadlineExceeded: There is no time left for it.
        """
        on_request(request)
        response = await self._inner.handle_async_request(request)
        _note_stop(response.headers)
        return response

    async def aclose(self) -> None:
        """Close the transport."""
        await self._inner.aclose()


def on_request(request: httpx.Request) -> None:
    """Prepare a request: an event hook for an `httpx.Client` that has a transport of its own.

    Args:
        request: The request.

    Raises:
        DeadlineExceeded: There is no time left for it.

    Example:
        ```python
        client = httpx.Client(event_hooks={"request": [on_request]})
        ```
    """
    for name, value in outgoing_headers().items():
        request.headers.setdefault(name, value)
    left = _seconds_left()
    if left is not None:
        timeout: dict[str, float | None] = dict(request.extensions.get("timeout") or {})
        request.extensions["timeout"] = {
            part: left if timeout.get(part) is None else min(left, timeout[part] or 0.0)
            for part in ("connect", "read", "write", "pool")
        }


async def aon_request(request: httpx.Request) -> None:
    """Prepare a request: an event hook for an `httpx.AsyncClient`.

    Args:
        request: The request.

    Raises:
        DeadlineExceeded: There is no time left for it.

    Example:
        ```python
        client = httpx.AsyncClient(event_hooks={"request": [aon_request]})
        ```
    """
    on_request(request)


def storm_adapter() -> Any:
    """Make an adapter for `requests` that does what `StormTransport` does.

    Returns:
        A `requests.adapters.HTTPAdapter`.

    Raises:
        ImportError: requests is not installed.
        DeadlineExceeded: Raised by its requests, when there is no time left.

    Example:
        ```python
        session = requests.Session()
        session.mount("https://", storm_adapter())
        ```
    """
    from requests.adapters import HTTPAdapter  # noqa: PLC0415 - only for those who use it

    class StormAdapter(HTTPAdapter):
        def send(self, request: Any, *args: Any, **options: Any) -> Any:
            for name, value in outgoing_headers().items():
                request.headers.setdefault(name, value)
            left = _seconds_left()
            if left is not None:
                given = options.get("timeout")
                options["timeout"] = _shorter(given, left)
            response = super().send(request, *args, **options)
            _note_stop(response.headers)
            return response

    return StormAdapter()


def _shorter(given: Any, left: float) -> Any:
    if given is None:
        return left
    if isinstance(given, (int, float)):
        return min(float(given), left)
    parts: tuple[Any, ...] = tuple(given)
    return tuple(left if part is None else min(float(part), left) for part in parts)


def _seconds_left() -> float | None:
    scope = current_scope()
    if scope is None or scope.deadline is None:
        return None
    return max(0.001, (scope.deadline - datetime.now(UTC)).total_seconds())


def _limits(headers: Mapping[str, str]) -> tuple[bool, datetime | None]:
    """Read what came with a request; what cannot be read is as good as not there."""
    guarded = headers.get(ATTEMPT_HEADER.lower(), "").isdigit()
    text = headers.get(DEADLINE_HEADER.lower(), "").strip()
    if not text:
        return guarded, None
    try:
        deadline = datetime.fromisoformat(text)
    except ValueError:
        return guarded, None
    return guarded, deadline if deadline.tzinfo is not None else None


@contextmanager
def _inside(guarded: bool, deadline: datetime | None) -> Generator[list[bool]]:
    asked: list[bool] = []
    stop = _STOP.set(asked)
    scope = Scope(deadline=deadline, guarded=True) if guarded or deadline is not None else None
    token = SCOPE.set(scope) if scope is not None else None
    try:
        yield asked
    finally:
        if scope is not None and token is not None:
            scope.active = False
            SCOPE.reset(token)
        _STOP.reset(stop)


def _note_stop(headers: Mapping[str, str]) -> None:
    scope = current_scope()
    if scope is not None and headers.get(STOP_HEADER, "").lower() == "true":
        scope.stop = True
