"""What running code may ask and say: which attempt this is, and what is to follow from it.

Three facts live in one context variable, so that they follow asyncio tasks and `asyncio.to_thread`: the outermost
retryable call (inner ones join it), the dispatched attempt (nothing inside it opens a retry of its own), and the limits
that came with an incoming request (`storm`). Plain threads start with an empty context; `carry` takes it along.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, ParamSpec, TypeVar

from redrive.core.wire import ATTEMPT_HEADER, DEADLINE_HEADER, ErrorFacts
from redrive.sdk.errors import AttemptCancelled, DeadlineExceeded, SdkError

P = ParamSpec("P")
R = TypeVar("R")


class Verdict(SdkError):
    """What running code says about its own failure. Raise one, or return it."""


class Stop(Verdict):
    """It failed, and must not be retried.

    Args:
        reason: Why, for the person who looks at the dead letter.
    """

    def __init__(self, reason: str = "the client said stop") -> None:
        super().__init__(reason)
        self.reason = reason


class RetryAfter(Verdict):
    """It failed; the next attempt must wait at least so long.

    Args:
        seconds: The wait, in seconds.
        reason: Why.
    """

    def __init__(self, seconds: float | timedelta, reason: str = "") -> None:
        self.seconds = seconds.total_seconds() if isinstance(seconds, timedelta) else float(seconds)
        super().__init__(reason or f"retry after {self.seconds:g} s")


class Snooze(Verdict):
    """It did not fail, it is too early: run again later, without spending an attempt.

    Args:
        seconds: The wait, in seconds.
        reason: Why.
    """

    def __init__(self, seconds: float | timedelta, reason: str = "") -> None:
        self.seconds = seconds.total_seconds() if isinstance(seconds, timedelta) else float(seconds)
        super().__init__(reason or f"snoozed for {self.seconds:g} s")


def stop(reason: str = "the client said stop") -> Stop:
    """Say that a failure must not be retried: raise what this returns, or return it.

    Args:
        reason: Why, for the person who looks at the dead letter.

    Returns:
        The verdict.

    Example:
        ```python
        raise stop("the card is closed")
        ```
    """
    return Stop(reason)


def retry_after(seconds: float | timedelta, reason: str = "") -> RetryAfter:
    """Say how long the next attempt must wait at least: raise what this returns, or return it.

    Args:
        seconds: The wait, in seconds.
        reason: Why.

    Returns:
        The verdict.

    Example:
        ```python
        raise retry_after(30)
        ```
    """
    return RetryAfter(seconds, reason)


def snooze(seconds: float | timedelta, reason: str = "") -> Snooze:
    """Say that it is too early, without spending an attempt: raise what this returns, or return it.

    Args:
        seconds: The wait, in seconds.
        reason: Why.

    Returns:
        The verdict.

    Example:
        ```python
        raise snooze(60, "the bank opens at nine")
        ```
    """
    return Snooze(seconds, reason)


@dataclass(frozen=True, slots=True)
class Attempt:
    """The attempt that is running.

    Attributes:
        task: Id of the task, which is also its idempotency key towards others.
        generation: 1 for the report, one more for each replay.
        number: Number within the generation, from 1.
        scene: Name of the scene.
        executor: Name under which the function was asked for.
        max_attempts: The most attempts of this generation; None when the server did not say.
        deadline: When the attempt must have ended.
        last_error: How the attempt before, or the original call, failed.
        cancel_flag: Set when the server gives the attempt up; look at `cancelled`.
    """

    task: str
    generation: int
    number: int
    scene: str
    executor: str
    max_attempts: int | None = None
    deadline: datetime | None = None
    last_error: ErrorFacts | None = None
    cancel_flag: threading.Event = field(default_factory=threading.Event, repr=False, compare=False)

    @property
    def is_last(self) -> bool:
        """Whether no attempt follows when this one fails."""
        return self.max_attempts is not None and self.number >= self.max_attempts

    @property
    def cancelled(self) -> bool:
        """Whether the server gave this attempt up; a long loop in a plain function looks at it."""
        return self.cancel_flag.is_set()

    @property
    def remaining_seconds(self) -> float | None:
        """Time until the deadline, in seconds, at least 0; None without a deadline."""
        if self.deadline is None:
            return None
        return max(0.0, (self.deadline - datetime.now(UTC)).total_seconds())

    def check(self) -> None:
        """Leave a long function when nobody waits for its end any more.

        Raises:
            AttemptCancelled: The server gave this attempt up.
            DeadlineExceeded: Its time is over.
        """
        if self.cancelled:
            raise AttemptCancelled(f"attempt {self.number} of task {self.task} was cancelled by the server")
        if self.remaining_seconds == 0:
            raise DeadlineExceeded(f"attempt {self.number} of task {self.task} is past its deadline")

    def headers(self) -> dict[str, str]:
        """Make the headers that tell other services of this attempt, so that they open no retries of their own."""
        headers = {ATTEMPT_HEADER: str(self.number)}
        if self.deadline is not None:
            headers[DEADLINE_HEADER] = self.deadline.isoformat()
        return headers


def give_up(attempt: Attempt) -> None:
    """Mark an attempt as cancelled, for the code that looks at `cancelled`."""
    attempt.cancel_flag.set()


class Scope:
    """A region of a call chain in which retryable calls join something outer.

    `active` ends it even for tasks that copied the context and outlive the call.
    """

    __slots__ = ("active", "attempt", "deadline", "guarded", "local_attempt", "stop")

    def __init__(
        self, attempt: Attempt | None = None, deadline: datetime | None = None, *, guarded: bool = False
    ) -> None:
        self.active = True
        self.attempt = attempt
        self.deadline = deadline
        self.guarded = guarded
        self.local_attempt = 0
        self.stop = False


SCOPE: Final[contextvars.ContextVar[Scope | None]] = contextvars.ContextVar("redrive_scope", default=None)


def current_scope() -> Scope | None:
    """Tell the scope in force; None outside of any."""
    scope = SCOPE.get()
    return scope if scope is not None and scope.active else None


def current_attempt() -> Attempt | None:
    """Tell which attempt is running.

    Returns:
        The attempt; None when this is an ordinary call.

    Example:
        ```python
        attempt = current_attempt()
        key = attempt.task if attempt else order_id
        ```
    """
    scope = current_scope()
    return scope.attempt if scope is not None else None


def carry(function: Callable[P, R]) -> Callable[P, R]:
    """Take the context along into a plain thread or a thread pool.

    Args:
        function: What the thread is to run.

    Returns:
        The function, bound to a copy of the current context.

    Example:
        ```python
        pool.submit(carry(charge), order)
        ```
    """
    context = contextvars.copy_context()

    def carried(*args: P.args, **kwargs: P.kwargs) -> R:
        # A copy per call: one context cannot be entered twice at once, and pools call from many threads.
        return context.copy().run(function, *args, **kwargs)

    return carried


def outgoing_headers() -> Mapping[str, str]:
    """Make the headers for a request to another service: empty outside of retries.

    Returns:
        `Redrive-Attempt` and, when there is one, `Redrive-Deadline`.

    Raises:
        DeadlineExceeded: There is no time left, so the request is pointless.

    Example:
        ```python
        urllib.request.Request(url, headers=dict(outgoing_headers()))
        ```
    """
    scope = current_scope()
    if scope is None:
        return {}
    headers: dict[str, str] = {}
    number = scope.attempt.number if scope.attempt is not None else scope.local_attempt
    if number or scope.guarded:
        headers[ATTEMPT_HEADER] = str(max(number, 1))
    if scope.deadline is not None:
        if scope.deadline <= datetime.now(UTC):
            raise DeadlineExceeded(f"the deadline of this call chain passed at {scope.deadline.isoformat()}")
        headers[DEADLINE_HEADER] = scope.deadline.isoformat()
    return headers


def error_wait_seconds(error: BaseException) -> float | None:
    """Read what a failed answer asked for, whatever HTTP library raised: its `Retry-After`, in seconds."""
    if isinstance(error, (RetryAfter, Snooze)):
        return error.seconds
    headers = _headers_of(error)
    if headers is None:
        return None
    from redrive.core.retry_after import parse_retry_after  # noqa: PLC0415 - email.utils, only when there is an answer

    return parse_retry_after(headers.get("retry-after"), datetime.now(UTC), headers.get("date"))


def says_stop(error: BaseException) -> bool:
    """Whether an error means that a retry is pointless: a `Stop`, or an answer with `Redrive-Stop: true`."""
    if isinstance(error, Stop):
        return True
    headers = _headers_of(error)
    return headers is not None and str(headers.get("redrive-stop", "")).lower() == "true"


def _headers_of(error: BaseException) -> Mapping[str, str] | None:
    # httpx, requests and aiohttp all hang a response with case-insensitive headers on their errors.
    response: Any = getattr(error, "response", None)
    headers = getattr(response, "headers", None) or getattr(error, "headers", None)
    return headers if headers is not None and hasattr(headers, "get") else None
