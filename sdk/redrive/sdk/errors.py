"""Errors of the SDK.

RedriveError (redrive.core.errors)
└── SdkError
    ├── UsageError             the code that uses the SDK is wrong; the message says how to mend it
    │   ├── DuplicateExecutor  two functions claim one executor name
    │   ├── Unserialisable     an argument cannot travel as JSON
    │   └── NotConfigured      there is no client to report to
    ├── ReportError            a report did not reach the server
    │   ├── Rejected           the server refused it, and will refuse it again
    │   │   └── Conflict       the idempotency key is known with another payload
    │   ├── AccessDenied       the key is unknown, or may not do this
    │   └── Unavailable        the server cannot be reached, and there is no spool to keep the report
    ├── AttemptError           a dispatched attempt cannot run here
    │   ├── UnknownExecutor    no function has that name in this process
    │   └── Unrestorable       the arguments do not fit the function's annotations
    ├── AttemptCancelled       the server gave up this attempt
    └── DeadlineExceeded       there is no time left for this call
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from redrive.core.errors import RedriveError


class SdkError(RedriveError):
    """Base of every error that the SDK raises on purpose."""


class UsageError(SdkError, TypeError):
    """The code that uses the SDK is wrong; the message says how to mend it."""


class DuplicateExecutor(UsageError):
    """Two functions claim one executor name."""


class Unserialisable(UsageError):
    """An argument cannot travel as JSON."""


class NotConfigured(UsageError):
    """There is no client to report to."""


class ReportError(SdkError):
    """A report did not reach the server."""


class Rejected(ReportError):
    """The server refused a report, and will refuse it again.

    Args:
        status: HTTP status of the answer.
        problem: The problem document (RFC 9457) of the answer.
    """

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.problem = dict(problem)
        fields = [f"{item.get('field')}: {item.get('message')}" for item in self.problem.get("errors") or ()]
        detail = "; ".join(fields) or self.problem.get("detail") or self.problem.get("title") or "no reason given"
        super().__init__(f"Redrive refused the report with status {status}: {detail}")


class Conflict(Rejected):
    """The idempotency key is known with another payload."""


class AccessDenied(ReportError):
    """The key is unknown to the server, or may not do this."""


class Unavailable(ReportError):
    """The server cannot be reached, and there is no spool to keep the report.

    Args:
        reason: What happened on the way.
        retry_after_seconds: What the server asked for, in seconds.
    """

    def __init__(self, reason: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_seconds = retry_after_seconds


class AttemptError(SdkError):
    """A dispatched attempt cannot run here."""


class UnknownExecutor(AttemptError):
    """No function has that name in this process."""


class Unrestorable(AttemptError):
    """The arguments of a task do not fit the function's annotations."""


class AttemptCancelled(SdkError):
    """The server gave up this attempt."""


class DeadlineExceeded(SdkError):
    """There is no time left for this call."""
