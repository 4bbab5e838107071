"""Namespaces on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from redrive.api.schemas.base import Input, Name, Note, Output, PolicyParts
from redrive.core.retention import MAX_DAYS, REDRIVE_DAYS

Days = Annotated[int, Field(ge=1, le=MAX_DAYS)]


class NamespaceResource(Output):
    """An isolation unit: a tenant or an environment."""

    name: str
    description: str
    policy: dict[str, Any] = Field(description="Parts of the policy for all its groups.")
    callback_policy: dict[str, Any] = Field(description="Parts of the policy of its callbacks.")
    auto_create: bool = Field(description="Whether reports make groups and scenes.")
    created_at: datetime


class RetentionSetting(Input):
    """How long ended tasks and redrives are kept, in days after their end. Null is for ever.

    Tasks are kept for ever as well when nothing is said of them.
    """

    succeeded_days: Days | None = Field(default=None, description="Tasks that succeeded.")
    dead_days: Days | None = Field(default=None, description="Dead letters.")
    cancelled_days: Days | None = Field(default=None, description="Tasks that were cancelled.")
    redrive_days: Days | None = Field(
        default=REDRIVE_DAYS, description="Redrives that have ended, with what became of each of their tasks."
    )
    archive: bool = Field(default=False, description="Whether tasks are written to the archive before they go.")


class RetentionResource(Output):
    """How long ended tasks and redrives are kept, in days after their end; null is for ever."""

    succeeded_days: int | None
    dead_days: int | None
    cancelled_days: int | None
    redrive_days: int | None
    archive: bool


class NamespaceCreation(Input):
    """A new namespace."""

    name: Name = Field(examples=["staging"])
    description: Note = ""
    policy: PolicyParts = Field(default={}, description="Parts of the policy for all its groups.")
    callback_policy: PolicyParts = Field(default={}, description="Parts of the policy of all callbacks in it.")
    auto_create: bool = True


class NamespaceChange(Input):
    """Changes of a namespace. What is left out stays as it is."""

    description: Note = ""
    policy: PolicyParts = Field(default={}, description="In place of the present parts.")
    callback_policy: PolicyParts = Field(default={}, description="Parts of the policy of all callbacks in it.")
    auto_create: bool = True
