"""OpenAPI: operation ids, and the problems that each route may answer with."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from fastapi.routing import APIRoute

from redrive.api.problems import MEDIA_TYPE
from redrive.api.schemas.problems import Problem

_MEANINGS: Final = {
    401: "A key is needed, or the one that came is not valid.",
    403: "The key does not open this.",
    404: "What the request is about does not exist.",
    409: "The present state does not allow this.",
    413: "The body is too large.",
    415: "The body's type or encoding is not supported.",
    422: "The request has invalid fields; `errors` names them.",
    500: "Something went wrong on our side.",
    503: "The database, or for operations on started tasks Temporal, does not answer.",
}

DESCRIPTION: Final = """\
Redrive retries failed calls until they succeed. Report a failed call with `POST /v1/tasks`: when the answer comes, the
task is on disk and will be retried.

* Times are ISO 8601 instants in UTC, durations are numbers of seconds, ids are UUIDs of version 7.
* The namespace comes from the header `Redrive-Namespace` or the query parameter `namespace`.
* Errors are problems (RFC 9457, `application/problem+json`); `type` is the address of a page that explains the kind.
* Lists take `limit` and `cursor`, and answer with `items` and `next_cursor`.
"""


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Declare the problems that a route may answer with, beside those that any route may.

    Args:
        statuses: Its own HTTP statuses.
    """
    declared = sorted({401, 403, 422, 500, 503, *statuses})
    return {status: {"model": Problem, "description": _MEANINGS[status]} for status in declared}


def operation_id(route: APIRoute) -> str:
    """Name an operation by its tag and function, such as `tasks-list_tasks`: generated clients read well."""
    tag = route.tags[0] if route.tags else "root"
    return f"{tag}-{route.name}"


class Application(FastAPI):
    """FastAPI whose OpenAPI document says what errors look like."""

    def openapi(self) -> dict[str, Any]:
        """Give the OpenAPI document."""
        if self.openapi_schema is None:
            schema = super().openapi()
            for path in schema["paths"].values():
                for operation in path.values():
                    _correct(operation)
            for name in ("HTTPValidationError", "ValidationError"):
                schema["components"]["schemas"].pop(name, None)
            self.openapi_schema = schema
        return self.openapi_schema


def _correct(operation: dict[str, Any]) -> None:
    responses: dict[str, Any] = operation["responses"]
    for status, response in responses.items():
        content = response.get("content", {})
        if status >= "400" and "application/json" in content:
            content[MEDIA_TYPE] = content.pop("application/json")
