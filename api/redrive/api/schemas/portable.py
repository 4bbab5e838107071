"""The configuration of a namespace as one document."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from redrive.api.schemas.base import (
    CallbacksDocument,
    GroupWeight,
    Input,
    Name,
    Note,
    Output,
    PayloadSchema,
    PolicyParts,
    RetentionDocument,
)
from redrive.api.schemas.limits import LimitDocument, LimitScope
from redrive.core.layers import Difference


class SceneDocument(Input):
    """A scene."""

    description: Note = ""
    enabled: bool = Field(default=True, description="Whether it takes reports.")
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


class GroupDocument(Input):
    """A group. Its signing secrets are never in it."""

    description: Note = ""
    weight: GroupWeight = 1
    auto_create: bool = Field(default=True, description="Whether reports make scenes.")
    enabled: bool = Field(default=True, description="Whether it takes reports.")
    policy: PolicyParts = Field(default={}, description="Parts of the policy for all its scenes.")
    scenes: dict[Name, SceneDocument] = Field(default={}, description="Its scenes by name.")


class ConfigDocument(Input):
    """A namespace's groups, scenes, policies, limits and switches. What is left out stays as it is."""

    version: Literal[1] = Field(default=1, description="Version of this format.")
    namespace: Name | None = Field(default=None, description="Must be that of the request when it is given.")
    description: Note = ""
    auto_create: bool = Field(default=True, description="Whether reports make groups and scenes.")
    policy: PolicyParts = Field(default={}, description="Parts of the policy for all groups.")
    callback_policy: PolicyParts = Field(default={}, description="Parts of the policy of all callbacks.")
    retention: RetentionDocument = Field(
        default={},
        description="How long ended tasks and redrives are kept; when empty, tasks for ever and redrives for 90 days.",
    )
    groups: dict[Name, GroupDocument] = Field(default={}, description="The groups by name.")
    limits: dict[LimitScope, dict[str, LimitDocument]] = Field(
        default={},
        description="Limits by scope and key.",
        examples=[{"scene": {"orders/charge-card": {"rate": 50}}, "target": {"host:api.example": {"concurrency": 10}}}],
    )


class ConfigChange(Output):
    """One thing that the document makes, changes or takes away."""

    action: Literal["create", "update", "delete"]
    kind: Literal["namespace", "group", "scene", "limit"]
    name: str = Field(
        description="Name; of a scene with its group, such as `orders/charge-card`, of a limit with its scope, such as "
        "`scene orders/charge-card`."
    )
    differences: list[Difference] = Field(description="Values that change, by their place in it.")


class ConfigResult(Output):
    """What a document came to."""

    dry_run: bool = Field(description="Whether the changes were only looked at.")
    changes: list[ConfigChange] = Field(description="Empty when everything is as the document says.")
