"""What other parts raise, as refusals."""

from __future__ import annotations

import logging
import traceback
import uuid
from collections.abc import Iterable
from typing import Final

from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from redrive.api.problems import (
    DATABASE_UNAVAILABLE,
    INTERNAL,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    SCHEMA_OUTDATED,
    Kind,
    Refusal,
)
from redrive.api.validation import invalid_document, invalid_field
from redrive.core.errors import InvalidDocument
from redrive.store.search import InvalidCursor

_RETRY_AFTER: Final = {"Retry-After": "2"}
_UNDEFINED_TABLE: Final = "42P01"
_UNDEFINED_COLUMN: Final = "42703"
_logger: Final = logging.getLogger("redrive.api")


def refusal_of(error: Exception) -> Refusal:
    """Map any error to a refusal; one that nobody expected is logged under an id.

    Args:
        error: What was raised.

    Returns:
        What the client is told.
    """
    match error:
        case Refusal():
            return error
        case HTTPException():
            return _of_http(error)
        case InvalidCursor():
            return invalid_field("cursor", str(error))
        case InvalidDocument():
            return invalid_document(error)
        case ProgrammingError() if _sqlstate(error) in (_UNDEFINED_TABLE, _UNDEFINED_COLUMN):
            detail = "the database's schema is not the one that this version needs: run `redrive migrate`"
            return Refusal(SCHEMA_OUTDATED, detail, headers=_RETRY_AFTER)
        case OperationalError() | PoolTimeout() | ConnectionError():
            return database_unavailable(error)
        case DBAPIError() if error.connection_invalidated:
            return database_unavailable(error)
        case _:
            return _unexpected(error)


def database_unavailable(error: Exception) -> Refusal:
    """Make the refusal of a request that needs the database while it is away."""
    _logger.warning("the database does not answer: %s", _first_line(error))
    detail = "PostgreSQL does not answer, so nothing was written; repeat the request in 2 seconds"
    return Refusal(DATABASE_UNAVAILABLE, detail, headers=_RETRY_AFTER)


def method_not_allowed(methods: Iterable[str]) -> Refusal:
    """Make the refusal of a method that a path has not.

    Args:
        methods: Those that it has.
    """
    allowed = ", ".join(sorted(methods))
    return Refusal(
        METHOD_NOT_ALLOWED, f"expected {allowed} at this path, got another method", headers={"Allow": allowed}
    )


def _of_http(error: HTTPException) -> Refusal:
    if isinstance(error.__cause__, Refusal):
        return error.__cause__
    headers = dict(error.headers or {})
    if error.status_code == NOT_FOUND.status:
        return Refusal(NOT_FOUND, "there is nothing at this path; `/docs` lists what there is", headers=headers)
    if error.status_code == METHOD_NOT_ALLOWED.status:
        return method_not_allowed([method.strip() for method in headers.get("Allow", "").split(",")])
    kind = Kind("about:blank", error.status_code, str(error.detail), "")
    return Refusal(kind, str(error.detail), headers=headers)


def _unexpected(error: Exception) -> Refusal:
    number = uuid.uuid4().hex[:12]
    if isinstance(error, SQLAlchemyError):
        # The message of a database error quotes rows. Frames and code are enough to find the cause.
        frames = "".join(traceback.format_tb(error.__traceback__))
        _logger.error("error %s: %s (SQLSTATE %s)\n%s", number, type(error).__name__, _sqlstate(error), frames)
    else:
        _logger.error("error %s", number, exc_info=error)
    return Refusal(INTERNAL, f"the server failed to answer; its log has the cause under the id {number}")


def _sqlstate(error: SQLAlchemyError) -> str | None:
    original = getattr(error, "orig", None)
    state: str | None = getattr(original, "sqlstate", None)
    return state


def _first_line(error: Exception) -> str:
    original = getattr(error, "orig", None) or error
    return str(original).strip().partition("\n")[0] or type(error).__name__
