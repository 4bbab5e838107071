"""What travels between Redrive and a target: targets, the node protocol, and header names (design section 4).

Written once for both sides: the dispatcher encodes what the SDK decodes.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Final, Literal, TypeAlias
from urllib.parse import urlsplit

from redrive.core.errors import InvalidDocument

TASK_HEADER: Final = "Redrive-Task"
GENERATION_HEADER: Final = "Redrive-Generation"
ATTEMPT_HEADER: Final = "Redrive-Attempt"
MAX_ATTEMPTS_HEADER: Final = "Redrive-Max-Attempts"
DEADLINE_HEADER: Final = "Redrive-Deadline"
STOP_HEADER: Final = "Redrive-Stop"
IDEMPOTENCY_HEADER: Final = "Idempotency-Key"
NAMESPACE_HEADER: Final = "Redrive-Namespace"

EXECUTE_PATH: Final = "/redrive/v1/execute"
CANCEL_PATH: Final = "/redrive/v1/cancel"

NODE_LEASE_SECONDS: Final = 30.0
"""A node counts as live for this long after its last heartbeat."""

HEARTBEAT_SECONDS: Final = 10.0
"""How often a node sends a heartbeat: two may be lost before it counts as gone."""

MAX_TASK_BYTES: Final = 1024 * 1024
"""The largest payload of one task, as JSON."""

LOST_REPORT: Final = "redrive-lost-report"
"""Begins what the SDK leaves in the application's log of a report that it could bring nowhere else: this word, and then
the report as JSON. An import finds it there."""

MAX_BATCH: Final = 1000
"""The most tasks of one batch."""

MAX_RESPONSE_BYTES: Final = 20_000
"""What is kept of an answer's body."""

_FORBID: Final = {"extra": "forbid"}
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_HOST_LABEL: Final = re.compile(r"(?!-)[0-9a-z_-]{1,63}(?<!-)\Z")  # `_` as in names of compose services
_USER_INFO: Final = re.compile(r"//[^/?#]*@")
_NUMERIC_HOST: Final = re.compile(r"[0-9.]+\Z")
_RESERVED_HEADERS: Final = frozenset(
    {
        "connection", "content-length", "host", "idempotency-key", "keep-alive", "proxy-connection", "te", "trailer",
        "traceparent", "transfer-encoding", "upgrade", "webhook-id", "webhook-signature", "webhook-timestamp",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class NodeTarget:
    """Attempts go to a live client process of the task's group."""

    __pydantic_config__: ClassVar = _FORBID
    kind: Literal["node"] = "node"


@dataclass(frozen=True, slots=True)
class WorkerTarget:
    """Attempts go to the group's own Temporal task queue.

    Attributes:
        task_queue: Its name.
    """

    __pydantic_config__: ClassVar = _FORBID
    task_queue: str
    kind: Literal["worker"] = "worker"

    def __post_init__(self) -> None:
        if not 1 <= len(self.task_queue) <= 200:
            raise InvalidDocument("task_queue", f"expected 1 to 200 characters, got {len(self.task_queue)}")


@dataclass(frozen=True, slots=True)
class WebhookTarget:
    """Attempts go to any HTTP URL.

    Attributes:
        url: Absolute `http` or `https` URL without user information.
        method: HTTP method.
        headers: Headers to add. Those that Redrive or HTTP itself sets cannot be given.
    """

    __pydantic_config__: ClassVar = _FORBID
    url: str
    method: Literal["POST", "PUT", "PATCH", "DELETE", "GET"] = "POST"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    kind: Literal["webhook"] = "webhook"

    def __post_init__(self) -> None:
        check_url(self.url, "url")
        check_headers(self.headers)


Target: TypeAlias = NodeTarget | WorkerTarget | WebhookTarget


@dataclass(frozen=True, slots=True)
class ErrorFacts:
    """An error as the client saw it.

    Attributes:
        type: Class name, with its module.
        message: What it says.
        stack: The traceback as text, limited by the sender.
        bases: Class names of the bases of its class, nearest first.
    """

    __pydantic_config__: ClassVar = _FORBID
    type: str
    message: str = ""
    stack: str | None = None
    bases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExecuteRequest:
    """What a node is asked to run.

    Attributes:
        task: Id of the task, which is also its idempotency key.
        generation: 1 for the report, one more for each replay.
        attempt: Number within the generation, from 1.
        scene: Name of the scene.
        executor: Name of the function to run.
        args: Positional arguments.
        kwargs: Named arguments.
        deadline: When the attempt must have ended.
        max_attempts: The most attempts of this generation.
        last_error: How the attempt before, or the original call, failed.
    """

    task: str
    generation: int
    attempt: int
    scene: str
    executor: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    deadline: datetime | None = None
    max_attempts: int | None = None
    last_error: ErrorFacts | None = None


@dataclass(frozen=True, slots=True)
class LogLine:
    """What an attempt wrote to its log.

    Attributes:
        at: When.
        level: Name of the level, such as `INFO`.
        message: The formatted message.
    """

    at: datetime
    level: str
    message: str


MAX_ERROR_BASES: Final = 20
"""How many bases of an error's class are told; the nearest ones."""

MAX_LOG_LINES: Final = 200
MAX_LOG_CHARACTERS: Final = 32_000
"""What a node sends of one attempt's log; what comes after is dropped, and the last line says so."""


@dataclass(frozen=True, slots=True)
class ExecuteAnswer:
    """How a node says that an attempt ended.

    Attributes:
        status: `succeeded`, `failed`, `stop` (failed, and must not be retried), or `snooze` (did not fail: it is too
            early, so run it again after `retry_after_seconds` without spending an attempt).
        result: What the function returned, as JSON.
        error: What it raised.
        retry_after_seconds: The shortest wait before the next attempt, in seconds.
        logs: What it wrote to its log, in order.
    """

    status: Literal["succeeded", "failed", "stop", "snooze"]
    result: Any = None
    error: ErrorFacts | None = None
    retry_after_seconds: float | None = None
    logs: tuple[LogLine, ...] = ()


def check_headers(headers: Mapping[str, str]) -> None:
    """Refuse headers that cannot be sent, or that are Redrive's to set.

    Raises:
        InvalidDocument: A name or a value is at fault.
    """
    for name, value in headers.items():
        if not _HEADER_NAME.match(name):
            raise InvalidDocument("headers", f"expected header names of RFC 9110 tokens, got {name!r}")
        if name.lower() in _RESERVED_HEADERS or name.lower().startswith("redrive-"):
            raise InvalidDocument("headers", f"{name!r} is set by Redrive or by HTTP itself; leave it out")
        if not value.isascii() or not value.isprintable() or value != value.strip():
            raise InvalidDocument("headers", f"the value of {name!r} must be printable ASCII without outer spaces")


def payload_problems(
    target: Mapping[str, Any], executor: str | None, args: Sequence[Any], kwargs: Mapping[str, Any], body: Any
) -> list[tuple[str, str]]:
    """Tell why a target cannot take a payload.

    Args:
        target: The target, as a document.
        executor: Name of the function to run; None for none.
        args: Positional arguments.
        kwargs: Named arguments.
        body: A webhook's own body; None for none.

    Returns:
        The fields at fault, each with what is wrong with it; none when it fits.
    """
    problems: list[tuple[str, str]] = []
    if target["kind"] == "webhook":
        if args:
            problems.append(("args", "a webhook has no positional arguments; give `kwargs` or `body`"))
        if kwargs and body is not None:
            problems.append(("body", "expected either `kwargs` or `body`, got both"))
    else:
        if executor is None:
            problems.append(("executor", f"is missing; a {target['kind']} needs the name of the function to run"))
        if body is not None:
            problems.append(("body", "only a webhook has a body; give `args` and `kwargs`"))
    return problems


def check_url(url: str, path: str) -> None:
    """Refuse what is not an absolute HTTP URL.

    Args:
        url: The URL.
        path: Its name in messages.

    Raises:
        InvalidDocument: The URL cannot be called.
    """
    expected = "expected an absolute http or https URL such as 'https://example.com/hook'"
    if len(url) > 2000 or not url.isascii() or not url.isprintable() or " " in url:
        raise InvalidDocument(path, f"{expected} of at most 2000 printable ASCII characters")
    shown = _USER_INFO.sub("//…@", url)  # what is refused ends up in answers and logs
    try:
        parts = urlsplit(url)
        port = parts.port
        _check_host(parts.netloc, parts.hostname or "")
    except ValueError as error:
        raise InvalidDocument(path, f"{expected}, got {shown!r}: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidDocument(path, f"{expected}, got {shown!r}")
    if port == 0:
        raise InvalidDocument(path, f"{expected}, got {shown!r}: port 0 cannot be called")
    if parts.username is not None or parts.password is not None:
        raise InvalidDocument(path, "expected a URL without user information; put credentials into `headers`")


def _check_host(netloc: str, host: str) -> None:
    """Refuse a host that no client can resolve, so that it fails at the report and not at each attempt.

    Raises:
        ValueError: Neither an IP address nor a name.
    """
    authority = netloc.rpartition("@")[2]
    if authority.startswith("["):
        ipaddress.IPv6Address(host)
        after = authority.partition("]")[2]
        if after and not after.startswith(":"):
            raise ValueError(f"{after!r} after the address is not a port")
    elif _NUMERIC_HOST.match(host):
        ipaddress.IPv4Address(host)
    elif host and (len(host) > 253 or not all(_HOST_LABEL.match(label) for label in host.removesuffix(".").split("."))):
        raise ValueError(f"{host!r} is not a host name")
