"""The SDK of Redrive: report failures, and run their retries.

from redrive.sdk import Redrive

redrive = Redrive("http://127.0.0.1:8600", group="orders")

@redrive.retryable(scene="charge-card")
def charge(order_id: str, amount: Decimal) -> None: ...
"""

from redrive.core.callbacks import WebhookCallback
from redrive.sdk.client import Redrive, configure, default_client, executor, retryable
from redrive.sdk.context import (
    Attempt,
    RetryAfter,
    Snooze,
    Stop,
    carry,
    current_attempt,
    outgoing_headers,
    retry_after,
    snooze,
    stop,
)
from redrive.sdk.decorator import Retryable
from redrive.sdk.ends import TaskEnd
from redrive.sdk.errors import (
    AccessDenied,
    AttemptCancelled,
    AttemptError,
    Conflict,
    DeadlineExceeded,
    DuplicateExecutor,
    NotConfigured,
    Rejected,
    ReportError,
    SdkError,
    Unavailable,
    UnknownExecutor,
    Unrestorable,
    Unserialisable,
    UsageError,
)
from redrive.sdk.logs import AttemptLogHandler, attempt_logger
from redrive.sdk.options import BY_ARGUMENTS
from redrive.sdk.report import Receipt, Report
from redrive.sdk.serialisation import Serialiser, register_serialiser
from redrive.sdk.window import Window

__all__ = [
    "BY_ARGUMENTS",
    "AccessDenied",
    "Attempt",
    "AttemptCancelled",
    "AttemptError",
    "AttemptLogHandler",
    "Conflict",
    "DeadlineExceeded",
    "DuplicateExecutor",
    "NotConfigured",
    "Receipt",
    "Redrive",
    "Rejected",
    "Report",
    "ReportError",
    "RetryAfter",
    "Retryable",
    "SdkError",
    "Serialiser",
    "Snooze",
    "Stop",
    "TaskEnd",
    "Unavailable",
    "UnknownExecutor",
    "Unrestorable",
    "Unserialisable",
    "UsageError",
    "WebhookCallback",
    "Window",
    "attempt_logger",
    "carry",
    "configure",
    "current_attempt",
    "default_client",
    "executor",
    "outgoing_headers",
    "register_serialiser",
    "retry_after",
    "retryable",
    "snooze",
    "stop",
]
