"""One HTTP call to the server, and what its answer means.

httpx is imported at the first call: it takes longer to load than the rest of the SDK, and a process in which nothing
fails never needs it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, cast

from redrive.core.wire import NAMESPACE_HEADER
from redrive.sdk.errors import AccessDenied, Conflict, Rejected, ReportError, Unavailable

if TYPE_CHECKING:
    import httpx

_CONNECT_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said.

    Attributes:
        status: HTTP status.
        document: The body; an empty object when it was no JSON object.
        retry_after_seconds: What it asked for, in seconds.
    """

    status: int
    document: dict[str, Any]
    retry_after_seconds: float | None = None


class Connection:
    """The way to the server: connections are kept and shared by threads.

    Args:
        url: Base URL of the server.
        namespace: Sent with each request.
        api_key: Sent as a bearer token; None for a server that needs none.
        timeout_seconds: The longest that one request may take, in seconds.
        transport: An httpx transport in place of the network, for tests.
    """

    def __init__(
        self,
        url: str,
        namespace: str,
        api_key: str | None,
        timeout_seconds: float,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._url = url.rstrip("/")
        self._headers = {NAMESPACE_HEADER: namespace, "content-type": "application/json"}
        if api_key is not None:
            self._headers["authorization"] = f"Bearer {api_key}"
        self._timeout = timeout_seconds
        self._transport = transport
        self._lock = threading.Lock()
        self._client: httpx.Client | None = None

    def call(self, method: str, path: str, body: str | Mapping[str, Any] | None = None) -> Answer:
        """Make a request and return any answer below 500 but 408, 425 and 429.

        Args:
            method: HTTP method.
            path: Path below the base URL.
            body: JSON, as text or as a document.

        Returns:
            The answer.

        Raises:
            Unavailable: There was no answer, or one that says “later”.
        """
        import httpx  # noqa: PLC0415 - see the module's docstring

        from redrive.core.retry_after import parse_retry_after  # noqa: PLC0415 - see the module's docstring

        content = body if isinstance(body, str) or body is None else json.dumps(body)
        try:
            response = self._open().request(method, path, content=content)
        except httpx.HTTPError as error:
            raise Unavailable(f"{self._url}: {type(error).__name__}: {error}") from error
        now = datetime.now(UTC)
        wait = parse_retry_after(response.headers.get("retry-after"), now, response.headers.get("date"))
        if response.status_code >= 500 or response.status_code in (408, 425, 429):
            raise Unavailable(f"{self._url} answered {response.status_code}", wait)
        return Answer(response.status_code, _document(response.content), wait)

    def reset_after_fork(self) -> None:
        """Forget the parent's sockets without closing them: they are the parent's."""
        self._lock = threading.Lock()
        self._client = None

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _open(self) -> httpx.Client:
        import httpx  # noqa: PLC0415 - see the module's docstring

        with self._lock:
            if self._client is None:
                # Environment proxies are for the internet; trust_env stays on, as NO_PROXY is how people steer that.
                self._client = httpx.Client(
                    base_url=self._url,
                    headers=self._headers,
                    timeout=httpx.Timeout(self._timeout, connect=min(_CONNECT_SECONDS, self._timeout)),
                    transport=self._transport,
                )
            return self._client


def refusal(status: int, document: Mapping[str, Any]) -> ReportError | None:
    """Turn an answer's status into an error; None when it is a success."""
    if 200 <= status < 300:
        return None
    if status in (401, 403):
        detail = document.get("detail") or document.get("title") or "no reason given"
        return AccessDenied(f"Redrive answered {status}: {detail}. Check the client's api_key, group and namespace")
    return (Conflict if status == 409 else Rejected)(status, document)


def _document(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except ValueError:
        return {}
    return cast("dict[str, Any]", document) if isinstance(document, dict) else {}
