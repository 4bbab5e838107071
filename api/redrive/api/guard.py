"""What keeps browsers from being used against the API, and what all answers tell them.

Where no key is required, whoever reaches the port may do everything, and every web page that a developer opens can
make the browser send requests to it. So there requests must name this machine in `Host` (a page whose own name was
made to point here names another one), and what changes something must not come from a page of another origin. Where a
key is required, its header does both: no browser sends it by itself.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from redrive.api.problems import FOREIGN_PAGE, Refusal
from redrive.store.settings import Settings

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class Guard:
    """Refuses what foreign web pages send, and sets security headers on every answer.

    Args:
        app: What it wraps.
        settings: Whether a key is required, and under which names the API is known.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._open = not settings.require_api_key
        self._hosts = _LOOPBACK | {settings.host.lower()}
        if settings.public_url is not None:
            self._hosts |= {urlsplit(settings.public_url).hostname or ""}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if scope["path"].startswith("/v1/"):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = self._refusal(scope) if self._open else None
        if refusal is not None:
            await refusal.response()(scope, receive, send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> Refusal | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if _name_of(f"//{host}") not in self._hosts:
            expected = f"expected the header `Host` to name this machine, got {host[:100]!r}"
            return Refusal(FOREIGN_PAGE, f"{expected}: ask for localhost, or set REDRIVE_PUBLIC_URL")
        origin = headers.get("origin")
        if scope["method"] in _SAFE or origin is None:
            return None
        if _name_of(origin) in self._hosts:
            return None
        return Refusal(FOREIGN_PAGE, f"expected a request from a page of this machine, got one from {origin[:100]!r}")


def _name_of(url: str) -> str | None:
    try:
        name = urlsplit(url).hostname
    except ValueError:
        return None
    return "localhost" if name is not None and name.endswith(".localhost") else name
