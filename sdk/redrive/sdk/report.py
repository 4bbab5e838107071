"""What is reported: the task as a document, and what becomes of it."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeAlias, TypedDict, cast

from redrive.core.documents import did_you_mean, encode
from redrive.core.policy import Policy
from redrive.core.wire import MAX_TASK_BYTES, NodeTarget, WebhookTarget, WorkerTarget
from redrive.sdk.ends import Callback
from redrive.sdk.errors import Unserialisable, UsageError
from redrive.sdk.serialisation import dump

MAX_STACK: Final = 16_000
MAX_MESSAGE: Final = 2_000

Seconds: TypeAlias = float | timedelta
"""A duration: seconds, or a timedelta."""

Executor: TypeAlias = Any
"""The name of an executor, or a function that was decorated with `executor` or `retryable`."""


class ReportOptions(TypedDict, total=False):
    """The parts of a `Report` besides its scene, for `Redrive.report(scene, **options)`."""

    executor: Executor
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    body: Any
    target: NodeTarget | WorkerTarget | WebhookTarget | Mapping[str, Any] | None
    group: str | None
    idempotency_key: str | None
    dedupe: Seconds | None
    business_key: str | None
    delay: Seconds | None
    deadline: datetime | None
    priority: int | None
    policy: Policy | Mapping[str, Any] | None
    error: BaseException | Mapping[str, Any] | None
    metadata: Mapping[str, Any]
    on_success: Callback
    on_dead: Callback
    on_cancelled: Callback
    trace_context: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One failed call that is to be retried.

    Attributes:
        scene: The kind of operation; owns the policy.
        executor: Which function re-runs the call: its name, or the decorated function.
        args: Positional arguments, as values; they are serialised by the executor's annotations when it is given as a
            function.
        kwargs: Named arguments, as values.
        body: A webhook's body, any JSON; None sends the named arguments.
        target: Where attempts go; None for the client's own: its `task_queue` if it has one, else a node of the group.
        group: The group that runs the attempts; None for the client's own.
        idempotency_key: Reports with one key make one task; None for a task of this report alone.
        dedupe: How long after its end the task keeps that key, in seconds: 0 for not at all, so that the next report
            makes a task of its own; None for as long as the server keeps the task.
        business_key: What people search for, such as an order number.
        delay: Wait before the first attempt, in seconds; None leaves it to the policy.
        deadline: When the task is worthless.
        priority: 1 (first) to 5 (last).
        policy: Parts of the scene's policy to override.
        error: Why the call failed.
        metadata: Anything that is to be shown with the task.
        on_success: Told when the task succeeds: a function, the name of an executor, or a `WebhookCallback`. The
            first argument of an executor is a `TaskEnd`, the others are those of the task.
        on_dead: Told when the task ends without success, in the same way.
        on_cancelled: Told when somebody calls the task off, in the same way.
        trace_context: W3C trace context; taken from OpenTelemetry's current span when left out and installed.

    Example:
        ```python
        orders = ["o-1", "o-2"]
        client.report_many([Report(scene="charge-card", executor="orders.charge", args=[order]) for order in orders])
        ```
    """

    scene: str
    executor: Executor = None
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    body: Any = None
    target: NodeTarget | WorkerTarget | WebhookTarget | Mapping[str, Any] | None = None
    group: str | None = None
    idempotency_key: str | None = None
    dedupe: Seconds | None = 0
    business_key: str | None = None
    delay: Seconds | None = None
    deadline: datetime | None = None
    priority: int | None = None
    policy: Policy | Mapping[str, Any] | None = None
    error: BaseException | Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    on_success: Callback = None
    on_dead: Callback = None
    on_cancelled: Callback = None
    trace_context: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a report.

    Attributes:
        status: `accepted`: on the server's disk. `duplicate`: the server had it already. `spooled`: on this machine's
            disk, to be sent when the server is back. `queued`: in memory, on its way (background reports only).
            `stored`: in the caller's database transaction (outbox).
        idempotency_key: The key of the task; None when it has none.
        id: The task's id; None while only this process knows of it.
        report_id: Names the report: however often it is sent, it makes one task.
    """

    status: Literal["accepted", "duplicate", "spooled", "queued", "stored"]
    idempotency_key: str | None
    id: str | None = None
    report_id: str = ""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A report as it travels: made once, so that every re-send is the same to the byte."""

    text: str
    idempotency_key: str | None
    report_id: str

    def receipt(
        self, status: Literal["accepted", "duplicate", "spooled", "queued", "stored"], task: str | None = None
    ) -> Receipt:
        """Say what became of it."""
        return Receipt(status, self.idempotency_key, task, self.report_id)

    @property
    def size(self) -> int:
        """Length in characters: near enough to bytes to bound a batch."""
        return len(self.text)


def make_report(scene: str, options: Mapping[str, Any]) -> Report:
    """Build a `Report`, refusing unknown options by name."""
    known = {item.name for item in dataclasses.fields(Report)}
    for name in options:
        if name not in known:
            raise UsageError(f"report() has no option {name!r}{did_you_mean(name, known)}")
    return Report(scene=scene, **options)


def prepare(
    report: Report,
    group: str,
    target: NodeTarget | WorkerTarget,
    executor: str | None,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    callbacks: Mapping[str, str | dict[str, Any]] | None = None,
) -> Outgoing:
    """Turn a report into the text that travels.

    Args:
        report: The report.
        group: The client's own group.
        target: The client's own target.
        executor: Name of the executor.
        args: Positional arguments as JSON.
        kwargs: Named arguments as JSON.
        callbacks: Executors and webhooks that are told of the end.

    Returns:
        The text with its keys.

    Raises:
        UsageError: An option is impossible.
        Unserialisable: The payload is no JSON, or too large.
    """
    report_id = os.urandom(16).hex()
    key = report.idempotency_key or None
    dedupe = seconds(report.dedupe)
    if dedupe is not None and dedupe < 0:
        raise UsageError(f"dedupe: expected 0 seconds or more, or None for as long as the task is kept, got {dedupe:g}")
    document: dict[str, Any] = {
        "group": report.group or group,
        "scene": report.scene,
        "executor": executor,
        "args": list(args),
        "kwargs": dict(kwargs),
        "target": target_document(report.target, report.group, group, target),
        "report_id": report_id,
        "idempotency_key": key,
        "dedupe_seconds": dedupe if key is not None else None,
        "business_key": report.business_key,
        "delay_seconds": seconds(report.delay),
        "deadline": _instant(report.deadline),
        "priority": report.priority,
        "policy": encode(report.policy) if report.policy is not None else None,
        "error": error_document(report.error) if isinstance(report.error, BaseException) else report.error,
        "callbacks": dict(callbacks) if callbacks else None,
        "trace_context": dict(report.trace_context) or current_trace_context(),
        "metadata": dict(report.metadata),
    }
    if report.body is not None:
        document["body"] = dump(report.body, where="body")
    document = {name: value for name, value in document.items() if value is not None}
    try:
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise Unserialisable(f"scene {report.scene!r}: the report is no JSON: {error}") from None
    if len(text) > MAX_TASK_BYTES // 4 and len(text.encode()) > MAX_TASK_BYTES:
        raise Unserialisable(
            f"scene {report.scene!r}: the report has {len(text.encode())} bytes, at most {MAX_TASK_BYTES} can travel: "
            "store the large part and pass its address"
        )
    return Outgoing(text, key, report_id)


def stable_key(
    scene: str, executor: str, args: Sequence[Any], kwargs: Mapping[str, Any], target: Mapping[str, Any]
) -> str:
    """Make the default idempotency key: the same for the same call, in any process.

    Args:
        scene: Name of the scene.
        executor: Name of the executor.
        args: Positional arguments as JSON.
        kwargs: Named arguments as JSON.
        target: Where attempts go, as JSON. Unless that is the group's nodes it counts, too: the server would refuse
            a second report of one key that wants its attempts elsewhere, as it refuses other arguments.

    Returns:
        64 hexadecimal digits.
    """
    import hashlib  # noqa: PLC0415 - needed at the first failure, not before

    elsewhere = [] if target == {"kind": "node"} else [dict(target)]
    call = [scene, executor, list(args), dict(kwargs), *elsewhere]
    canonical = json.dumps(call, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def seconds(value: Seconds | None) -> float | None:
    """Read a duration as seconds."""
    return value.total_seconds() if isinstance(value, timedelta) else value


def error_document(error: BaseException) -> dict[str, Any]:
    """Write down an error: its class, what it says, and where it came from, each limited in length."""
    import traceback  # noqa: PLC0415 - needed at the first failure, not before

    kind = type(error)
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - an error that cannot say what it is must not hide the failure
        message = "(the error's own __str__ failed)"
    # Frames without local variables: arguments are private, and stacks are shown to many.
    stack = "".join(traceback.format_exception(kind, error, error.__traceback__, limit=50))
    if len(stack) > MAX_STACK:
        stack = stack[: MAX_STACK // 2] + "\n… cut …\n" + stack[-MAX_STACK // 2 :]
    return {"type": class_name(kind), "message": message[:MAX_MESSAGE], "stack": stack}


def class_name(kind: type[BaseException]) -> str:
    """Name a class of errors with its module; the built-in ones have none."""
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return name[:500]


def current_trace_context() -> dict[str, str]:
    """Take the W3C trace context from OpenTelemetry, when the application uses it."""
    propagate = cast("Any", sys.modules.get("opentelemetry.propagate"))
    carrier: dict[str, str] = {}
    if propagate is not None:  # never imported here: an application that does not trace must not pay for it
        propagate.inject(carrier)
    return carrier


def target_document(
    given: NodeTarget | WorkerTarget | WebhookTarget | Mapping[str, Any] | None,
    group: str | None,
    own_group: str,
    own: NodeTarget | WorkerTarget,
) -> dict[str, Any]:
    """Tell where attempts go, as JSON.

    Args:
        given: What the report says.
        group: The group that the report names.
        own_group: The client's own group.
        own: The client's own target.
    """
    # The client's task queue is its own group's; of another group's queue it knows nothing.
    own = own if group in (None, own_group) else NodeTarget()
    is_own_queue = isinstance(given, Mapping) and dict(given) == {"kind": "worker"} and isinstance(own, WorkerTarget)
    document: dict[str, Any] = encode(own if given is None or is_own_queue else given)
    return document


def _instant(value: datetime | None) -> str | None:
    if value is None:
        return None
    if value.tzinfo is None:
        raise UsageError(f"deadline: expected an aware datetime, got {value!r}: use datetime.now(UTC) + timedelta(…)")
    return value.isoformat()
