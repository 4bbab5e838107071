"""The edge of the application: bodies that are too large, encodings, and whatever nobody else has caught.

A plain ASGI middleware, because the limit must hold while the body is read, also without a `Content-Length`.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from redrive.api.failures import refusal_of
from redrive.api.problems import BODY_TOO_LARGE, MALFORMED_JSON, UNSUPPORTED_ENCODING, Refusal
from redrive.core.wire import MAX_TASK_BYTES

MAX_BODY_BYTES: Final = MAX_TASK_BYTES
MAX_BATCH_BYTES: Final = 64 * 1024 * 1024
MAX_CONFIG_BYTES: Final = 16 * 1024 * 1024
MAX_IMPORT_BYTES: Final = 4 * 1024 * 1024 * 1024
_LIMITS: Final[Mapping[str, int]] = {
    "/v1/tasks/batch": MAX_BATCH_BYTES,
    "/v1/config": MAX_CONFIG_BYTES,
    "/v1/tasks/import": MAX_IMPORT_BYTES,  # read line by line
}

_GZIP: Final = 16 + zlib.MAX_WBITS


class Edge:
    """Bounds what is read, unpacks gzip, and turns every error that is left into a problem.

    Args:
        app: What it wraps.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watched_send(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, _bounded(scope, receive), watched_send)
        except Exception as error:
            if started:  # the status is on its way; all that is left is to break the connection off
                raise
            await refusal_of(error).response()(scope, receive, send)


def _bounded(scope: Scope, receive: Receive) -> Receive:
    limit = _LIMITS.get(scope["path"], MAX_BODY_BYTES)
    headers = Headers(scope=scope)
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", ""):
        raise Refusal(UNSUPPORTED_ENCODING, f"expected `Content-Encoding: gzip` or none, got {encoding[:40]!r}")
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > limit:
        raise _too_large(limit)
    unpack = zlib.decompressobj(_GZIP) if encoding == "gzip" else None
    read = 0

    async def bounded_receive() -> Message:
        nonlocal read
        message = await receive()
        if message["type"] != "http.request":
            return message
        body: bytes = message.get("body", b"")
        if unpack is not None and body:
            try:
                body = unpack.decompress(body, limit - read + 1)
            except zlib.error:
                raise Refusal(MALFORMED_JSON, "expected a gzip body, got something else") from None
        read += len(body)
        if read > limit:
            raise _too_large(limit)
        return {**message, "body": body}

    return bounded_receive


def _too_large(limit: int) -> Refusal:
    what = "a batch" if limit == MAX_BATCH_BYTES else "a request"
    return Refusal(BODY_TOO_LARGE, f"expected at most {limit} bytes in {what}, got more")
