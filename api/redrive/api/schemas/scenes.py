"""Scenes and the versions of their policies on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from redrive.api.schemas.base import (
    CallbacksDocument,
    Input,
    Name,
    Note,
    Output,
    PayloadSchema,
    PolicyDocument,
    PolicyParts,
)
from redrive.core.layers import Setting


class SceneResource(Output):
    """One kind of retryable operation."""

    namespace: str
    group: str
    name: str
    description: str
    policy_version: int = Field(description="The version in force.")
    callbacks: dict[str, Any] = Field(description="Who is told how its tasks end, unless their reports say otherwise.")
    callback_policy: dict[str, Any] = Field(description="Parts of the policy of those callbacks.")
    payload_schema: dict[str, Any] = Field(description="The JSON Schema of its payloads; empty for none.")
    schema_on_report: bool = Field(description="Whether reports are checked against it, too.")
    enabled: bool = Field(description="Whether it takes reports.")
    created_at: datetime


class SceneCreation(Input):
    """A new scene."""

    name: Name = Field(examples=["charge-card"])
    description: Note = ""
    policy: PolicyParts = Field(default={}, description="The parts that differ from its group's policy.")
    callbacks: CallbacksDocument = Field(
        default={}, description="Who is told how its tasks end, unless their reports say otherwise."
    )
    callback_policy: PolicyParts = Field(default={}, description="Parts of the policy of those callbacks.")
    payload_schema: PayloadSchema = Field(
        default={},
        description="JSON Schema 2020-12 of `{args, kwargs, body}`, which every edit must fit; empty for none.",
    )
    schema_on_report: bool = Field(default=False, description="Whether reports must fit it, too.")


class SceneChange(Input):
    """Changes of a scene. What is left out stays as it is. Its policy has an address of its own."""

    description: Note = ""
    enabled: bool = True
    callbacks: CallbacksDocument = Field(
        default={}, description="Who is told how its tasks end, unless their reports say otherwise."
    )
    callback_policy: PolicyParts = Field(default={}, description="Parts of the policy of those callbacks.")
    payload_schema: PayloadSchema = Field(
        default={},
        description="JSON Schema 2020-12 of `{args, kwargs, body}`, which every edit must fit; empty for none.",
    )
    schema_on_report: bool = Field(default=False, description="Whether reports must fit it, too.")


class ScenePolicyChange(Input):
    """A new version of a scene's policy."""

    policy: PolicyParts = Field(description="The parts that differ from its group's policy.")
    note: Note = Field(default="", description="Why.")


class ScenePolicyVersion(Output):
    """One version of a scene's policy."""

    version: int
    policy: dict[str, Any] = Field(description="The parts that differ from its group's policy.")
    author: str | None = Field(description="Name of the key that changed it.")
    note: str
    created_at: datetime


class EffectivePolicy(Output):
    """The policy of new tasks: `defaults ← namespace ← group ← scene`."""

    version: int
    policy: PolicyDocument
    settings: list[Setting] = Field(description="Each value, and which layer gave it.")
