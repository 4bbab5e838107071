"""The configuration of a namespace as one document."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from redrive.api.schemas.alerts import AlertRuleTerms, Document, Title
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
from redrive.core.alerting import Watched
from redrive.core.channels import ChannelKind
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


class AlertChannelDocument(Input):
    """A channel. Its secrets are masked; one that is masked or left out stays as it is stored."""

    kind: ChannelKind
    settings: Document = Field(
        default={},
        description="What this kind needs; `docs/alerts.md` lists it.",
        examples=[{"url": "https://hooks.slack.com/••••", "mentions": ["here"]}],
    )
    enabled: bool = Field(default=True, description="Whether anything is sent to it.")


class AlertRuleDocument(AlertRuleTerms):
    """A rule, which names its channels."""

    event: Watched = Field(description="What it is about.")
    channels: Annotated[list[Title], Field(max_length=20)] = Field(
        default=[], description="Names of the channels by which it is told; none for the history alone."
    )


class AlertsDocument(Input):
    """Who is told of what."""

    channels: dict[Title, AlertChannelDocument] = Field(default={}, description="The channels by name.")
    rules: dict[Title, AlertRuleDocument] = Field(default={}, description="The rules by name.")


class ConfigDocument(Input):
    """A namespace's groups, scenes, policies, limits, alerts and switches. What is left out stays as it is."""

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
    alerts: AlertsDocument = Field(
        default=AlertsDocument(), description="Channels and rules. Left out, they stay also when all else is pruned."
    )


class ConfigChange(Output):
    """One thing that the document makes, changes or takes away."""

    action: Literal["create", "update", "delete"]
    kind: Literal["namespace", "group", "scene", "limit", "alert_channel", "alert_rule"]
    name: str = Field(
        description="Name; of a scene with its group, such as `orders/charge-card`, of a limit with its scope, such as "
        "`scene orders/charge-card`."
    )
    differences: list[Difference] = Field(description="Values that change, by their place in it.")


class ConfigResult(Output):
    """What a document came to."""

    dry_run: bool = Field(description="Whether the changes were only looked at.")
    changes: list[ConfigChange] = Field(description="Empty when everything is as the document says.")
