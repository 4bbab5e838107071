"""Pauses on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field

from redrive.api.schemas.base import Input, Instant, Note, Output, storable
from redrive.core.restraints import Scope


class PauseCreation(Input):
    """A scope of which nothing is to run for a while."""

    scope: Scope = Field(description="What kind of scope.")
    key: Annotated[str, Field(max_length=300), AfterValidator(storable)] = Field(
        default="",
        description="Its name: `orders`, `orders/charge-card` or `host:api.example`; empty for the namespace.",
        examples=["orders/charge-card"],
    )
    reason: Note = Field(default="", description="Why, for everybody who wonders.")
    until: Instant | None = Field(default=None, description="When it ends by itself; null when a person ends it.")


class PauseResource(Output):
    """A pause that is in force."""

    id: UUID
    scope: Scope
    key: str
    reason: str
    author: str | None
    created_at: datetime
    until: datetime | None
