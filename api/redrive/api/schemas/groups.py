"""Groups and their signing secrets on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from redrive.api.schemas.base import GroupWeight, Input, Name, Note, Output, PolicyParts


class GroupResource(Output):
    """A client application."""

    namespace: str
    name: str
    description: str
    policy: dict[str, Any] = Field(description="Parts of the policy for all its scenes.")
    weight: float = Field(description="Its share of what runs, beside the other groups'.")
    auto_create: bool = Field(description="Whether reports make scenes.")
    enabled: bool = Field(description="Whether it takes reports.")
    scenes: int = Field(description="How many scenes it has.")
    created_at: datetime


class GroupCreation(Input):
    """A new group."""

    name: Name = Field(examples=["orders"])
    description: Note = ""
    policy: PolicyParts = Field(default={}, description="Parts of the policy for all its scenes.")
    weight: GroupWeight = 1
    auto_create: bool = True
    enabled: bool = True


class GroupChange(Input):
    """Changes of a group. What is left out stays as it is."""

    description: Note = ""
    policy: PolicyParts = Field(default={}, description="In place of the present parts.")
    weight: GroupWeight = 1
    auto_create: bool = True
    enabled: bool = True


class SigningSecrets(Output):
    """The secrets by which requests to a group's nodes and webhooks are signed, the preferred one first."""

    signing_secrets: list[str]
    previous_until: datetime | None = Field(description="When the second one ends; null when there is none.")


class SecretRotation(Input):
    """How a new secret takes the place of the one in use."""

    keep_previous_seconds: float = Field(
        default=86_400,
        ge=0,
        le=30 * 86_400,
        allow_inf_nan=False,
        description="How long the one in use stays live beside the new one; 0 ends it now.",
    )
