"""Requests to targets, and what their answers mean (design section 4). No I/O happens here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any, Final, cast

from redrive.core.documents import decode
from redrive.core.errors import InvalidDocument
from redrive.core.fingerprint import fingerprint
from redrive.core.messages import DispatchCommand
from redrive.core.retry_after import parse_retry_after
from redrive.core.signature import sign
from redrive.core.states import AttemptStatus
from redrive.core.wire import (
    ATTEMPT_HEADER,
    CANCEL_PATH,
    DEADLINE_HEADER,
    EXECUTE_PATH,
    GENERATION_HEADER,
    IDEMPOTENCY_HEADER,
    MAX_ATTEMPTS_HEADER,
    MAX_ERROR_BASES,
    MAX_LOG_CHARACTERS,
    MAX_LOG_LINES,
    MAX_RESPONSE_BYTES,
    STOP_HEADER,
    TASK_HEADER,
    ErrorFacts,
    ExecuteAnswer,
    WebhookTarget,
)
from redrive.store.attempts import Finish
from redrive.store.tasks import Delivery

USER_AGENT: Final = "Redrive/0.1 (+https://github.com/redrive/redrive)"

NOT_TAKEN: Final = frozenset({429, 503})
"""A node that answers so did not run the attempt: it is draining or full. Another one may take it."""

SNOOZED: Final = "redrive.Snoozed"
"""Error type of an attempt that the client called off because it was too early."""

_MESSAGE_CHARACTERS: Final = 4_000
_STACK_CHARACTERS: Final = 16_000
_REASON_CHARACTERS: Final = 500
_REASONS: Final = ("detail", "message", "error_description", "title")
_ANSWER_FIELDS: Final = frozenset(field.name for field in fields(ExecuteAnswer))


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, ready to be sent."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, read to the end or to the limit.

    Attributes:
        status: HTTP status.
        headers: Headers, names in lower case.
        body: What was read of the body.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


def execute_document(command: DispatchCommand, delivery: Delivery, deadline: datetime) -> str:
    """Write an `ExecuteRequest`: what whoever runs an attempt is given, as JSON text.

    Args:
        command: Which attempt.
        delivery: What is given.
        deadline: When the attempt must have ended.
    """
    last_error = None
    if delivery.error_type is not None:
        last_error = {"type": delivery.error_type, "message": delivery.error_message or "", "stack": None}
    head = json.dumps(
        {
            "task": command.task_id,
            "generation": command.generation,
            "attempt": command.number,
            "scene": delivery.scene,
            "executor": delivery.executor,
            "deadline": deadline.isoformat(),
            "max_attempts": command.max_attempts,
            "last_error": last_error,
        }
    )
    # The arguments go through as the text that was reported: decoding and encoding them again could only change them.
    return f'{head[:-1]}, "args": {delivery.args}, "kwargs": {delivery.kwargs}}}'


def node_request(command: DispatchCommand, delivery: Delivery, url: str, deadline: datetime, now: datetime) -> Request:
    """Make the request by which a node is given an attempt.

    Args:
        command: Which attempt.
        delivery: What the node is given.
        url: Address of the node.
        deadline: When the attempt must have ended.
        now: The clock, for the signature.
    """
    body = execute_document(command, delivery, deadline).encode()
    headers = _headers(command, delivery, deadline, now, body)
    return Request("POST", url.rstrip("/") + EXECUTE_PATH, headers, body)


def webhook_request(command: DispatchCommand, delivery: Delivery, deadline: datetime, now: datetime) -> Request:
    """Make the request of a webhook target.

    Args:
        command: Which attempt.
        delivery: What the target is given: its own body, or the named arguments.
        deadline: When the attempt must have ended.
        now: The clock, for the signature.
    """
    target = decode(WebhookTarget, delivery.target, "target")
    body = b"" if target.method == "GET" else (delivery.body or delivery.kwargs).encode()
    return Request(
        target.method, target.url, {**target.headers, **_headers(command, delivery, deadline, now, body)}, body
    )


def cancel_request(command: DispatchCommand, delivery: Delivery, url: str, now: datetime) -> Request:
    """Make the request by which a node is told to stop an attempt.

    Args:
        command: Which attempt.
        delivery: What the node was given.
        url: Address of the node.
        now: The clock, for the signature.
    """
    key = {"task": command.task_id, "generation": command.generation, "attempt": command.number}
    body = json.dumps(key).encode()
    headers = {"content-type": "application/json", "user-agent": USER_AGENT}
    if delivery.signing_secrets:
        headers |= sign(delivery.signing_secrets, command.task_id, now, body)
    return Request("POST", url.rstrip("/") + CANCEL_PATH, headers, body)


def read_node_answer(answer: Answer, now: datetime) -> Finish:
    """Tell how an attempt ended by a node's answer.

    Args:
        answer: The answer; the body of a 2xx decides.
        now: When it came.
    """
    if not 200 <= answer.status < 300:
        return _refused(answer, now)
    try:
        said = parse_answer(json.loads(answer.body), "answer")
    except (ValueError, RecursionError) as problem:
        message = f"the node answered {answer.status}, but its body is not an answer: {problem}"
        return _failed(AttemptStatus.FAILED, "redrive.InvalidAnswer", message, answer)
    finish = read_execute_answer(said)
    if finish.status is AttemptStatus.SUCCEEDED:
        return replace(finish, http_status=answer.status)
    return replace(finish, stop=True) if said.status == "failed" and _says_stop(answer) else finish


def parse_answer(document: object, path: str = "") -> ExecuteAnswer:
    """Read what the SDK says of an attempt; a newer one may say more than this version understands.

    Args:
        document: An `ExecuteAnswer` as JSON.
        path: Its name in messages.

    Raises:
        InvalidDocument: It is none.
    """
    if not isinstance(document, dict):
        raise InvalidDocument("", f"expected an object, got {type(document).__name__}")
    known = {key: value for key, value in cast("dict[str, Any]", document).items() if key in _ANSWER_FIELDS}
    return decode(ExecuteAnswer, known, path)


def read_execute_answer(said: ExecuteAnswer) -> Finish:
    """Tell how an attempt ended by what the SDK says.

    Args:
        said: Its answer.
    """
    if said.status == "succeeded":
        return Finish(AttemptStatus.SUCCEEDED, response=_clip(json.dumps(said.result)), logs=_logs(said))
    if said.status == "snooze":
        # Neither success nor failure: the ledger has it as an attempt that was called off.
        return Finish(
            AttemptStatus.CANCELLED,
            error_type=SNOOZED,
            error_message="the client snoozed it",
            retry_after_seconds=said.retry_after_seconds,
            logs=_logs(said),
        )
    error = said.error or ErrorFacts(type="redrive.Unknown", message="the node gave no reason")
    return Finish(
        AttemptStatus.FAILED,
        response=None if said.result is None else _clip(json.dumps(said.result)),
        error_type=_clean(error.type)[:255],
        error_message=_clean(error.message)[:_MESSAGE_CHARACTERS],
        error_stack=None if error.stack is None else _clean(error.stack)[-_STACK_CHARACTERS:],
        error_bases=tuple(_clean(base)[:255] for base in error.bases[:MAX_ERROR_BASES]),
        fingerprint=fingerprint(error.type, error.message, error.stack),
        retry_after_seconds=said.retry_after_seconds,
        stop=said.status == "stop",
        logs=_logs(said),
    )


def timed_out(timeout_seconds: float, said: ExecuteAnswer | None = None) -> Finish:
    """Describe an attempt that was not over in time.

    Args:
        timeout_seconds: The longest that it was allowed, in seconds.
        said: What the SDK says of it, for its log.
    """
    finish = failed_without_answer(AttemptStatus.TIMED_OUT, "redrive.Timeout", f"not over within {timeout_seconds:g} s")
    return finish if said is None else replace(finish, logs=_logs(said))


def read_webhook_answer(answer: Answer, now: datetime) -> Finish:
    """Tell how an attempt ended by a webhook's answer: 2xx is success.

    Args:
        answer: The answer.
        now: When it came.
    """
    if 200 <= answer.status < 300:
        return Finish(AttemptStatus.SUCCEEDED, http_status=answer.status, response=_text(answer.body))
    return _refused(answer, now)


def failed_without_answer(status: AttemptStatus, error_type: str, message: str) -> Finish:
    """Describe an attempt that got no answer: a time-out, or a connection that could not be made or broke."""
    message = _clean(message)[:_MESSAGE_CHARACTERS]
    return Finish(status, error_type=error_type, error_message=message, fingerprint=fingerprint(error_type, message))


def _refused(answer: Answer, now: datetime) -> Finish:
    retry_after = parse_retry_after(answer.headers.get("retry-after"), now, answer.headers.get("date"))
    said = _reason(answer.body)
    message = f"the target answered {answer.status}{f': {said}' if said else ''}"
    finish = _failed(AttemptStatus.FAILED, f"http.{answer.status}", message, answer)
    return Finish(
        finish.status,
        http_status=answer.status,
        response=finish.response,
        error_type=finish.error_type,
        error_message=finish.error_message,
        fingerprint=finish.fingerprint,
        retry_after_seconds=retry_after,
        stop=_says_stop(answer),
    )


def _reason(body: bytes) -> str | None:
    """Find the sentence in which a JSON answer says what is wrong; None when it has none.

    It tells errors of one status apart, and so groups dead letters by what has gone wrong. Looked for are RFC 9457's
    `detail` and `title`, and what APIs without it commonly have: `message`, `error_description` (RFC 6749), `error` as
    text or as an object with one of these.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    found = cast("dict[str, Any]", document)
    inner = found.get("error")
    for part in (found, cast("dict[str, Any]", inner) if isinstance(inner, dict) else {"message": inner}):
        for name in _REASONS:
            text = part.get(name)
            if isinstance(text, str) and text.strip():
                return " ".join(_clean(text).split())[:_REASON_CHARACTERS]
    return None


def _failed(status: AttemptStatus, error_type: str, message: str, answer: Answer) -> Finish:
    return Finish(
        status,
        http_status=answer.status,
        response=_text(answer.body),
        error_type=error_type,
        error_message=message[:_MESSAGE_CHARACTERS],
        fingerprint=fingerprint(error_type, message),
    )


def _logs(said: ExecuteAnswer) -> list[dict[str, Any]]:
    kept: list[dict[str, Any]] = []
    room = MAX_LOG_CHARACTERS
    for line in said.logs[:MAX_LOG_LINES]:
        room -= len(line.message)
        if room < 0:
            break
        kept.append({"at": line.at.isoformat(), "level": _clean(line.level)[:20], "message": _clean(line.message)})
    return kept


def _says_stop(answer: Answer) -> bool:
    return answer.headers.get(STOP_HEADER.lower(), "").strip().lower() == "true"


def _headers(
    command: DispatchCommand, delivery: Delivery, deadline: datetime, now: datetime, body: bytes
) -> dict[str, str]:
    headers = {
        "content-type": "application/json",
        "user-agent": USER_AGENT,
        IDEMPOTENCY_HEADER: command.task_id,
        TASK_HEADER: command.task_id,
        GENERATION_HEADER: str(command.generation),
        ATTEMPT_HEADER: str(command.number),
        MAX_ATTEMPTS_HEADER: str(command.max_attempts),
        DEADLINE_HEADER: deadline.isoformat(),
    }
    for name in ("traceparent", "tracestate"):
        value = delivery.trace_context.get(name)
        if isinstance(value, str) and value.isascii() and value.isprintable():
            headers[name] = value
    if delivery.signing_secrets:
        headers |= sign(delivery.signing_secrets, command.task_id, now, body)
    return headers


def _text(body: bytes) -> str | None:
    return _clip(_clean(body[:MAX_RESPONSE_BYTES].decode(errors="replace"))) if body else None


def _clip(text: str) -> str:
    return text if len(text) <= MAX_RESPONSE_BYTES else f"{text[: MAX_RESPONSE_BYTES - 1]}…"


def _clean(text: str) -> str:
    """Replace what PostgreSQL's text cannot hold: NUL, and halves of surrogate pairs."""
    return text.replace("\0", "�").encode(errors="replace").decode()
