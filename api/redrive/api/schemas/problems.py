"""Problems as models, for OpenAPI; `redrive.api.problems` writes them."""

from __future__ import annotations

from pydantic import Field

from redrive.api.schemas.base import Output


class FieldProblem(Output):
    """What is wrong with one field."""

    field: str = Field(description="Where, such as `policy.backoff.max_seconds`; empty for the whole document.")
    message: str = Field(description="What was expected and what came.")


class Problem(Output):
    """A problem (RFC 9457)."""

    type: str = Field(description="Stable kind of the problem, and the address of its page.")
    title: str = Field(description="What it is, the same for each occurrence.")
    status: int = Field(description="HTTP status.")
    detail: str = Field(description="What was expected, what came and what to do, this time.")
    errors: list[FieldProblem] = Field(default=[], description="The fields at fault.")
