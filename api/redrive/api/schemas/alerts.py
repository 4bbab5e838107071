"""Alert rules, channels and the history of what was told, on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from redrive.api.schemas.base import Input, Instant, Name, Output, Printable
from redrive.core.alerting import Dimension, Watched
from redrive.core.channels import ChannelKind
from redrive.core.quiet import QuietWindow
from redrive.core.states import TaskStatus

Title = Annotated[Printable, Field(max_length=100)]
Seconds = Annotated[float, Field(ge=0)]
Document = dict[str, Any]


class QuietHours(Input):
    """A time in which nothing is told: from each moment that a cron expression names, for a while."""

    start: Annotated[str, Field(max_length=200)] = Field(examples=["0 22 * * *"])
    duration_seconds: Annotated[float, Field(ge=1, le=604_800)] = Field(examples=[28_800])
    timezone: Annotated[str, Field(max_length=100)] = "UTC"
    reason: Annotated[str, Field(max_length=500)] = ""


class AlertRuleTerms(Input):
    """What all forms of a rule share, but for its channels. What is left out has the default of its event."""

    groups: Annotated[list[Name], Field(max_length=200)] = Field(default=[], description="Only these; all when empty.")
    scenes: Annotated[list[Name], Field(max_length=200)] = Field(default=[], description="Only these; all when empty.")
    threshold: float | None = Field(
        default=None,
        description="From which value it fires: a count, seconds for `due_lag`, a share from 0 to 1 for `failure_rate`."
        " Null for the default of the event.",
    )
    minimum: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=20, description="The fewest attempts from which `failure_rate` concludes anything."
    )
    window_seconds: Seconds | None = Field(
        default=None,
        description="Over which time events are counted, or for how long a condition must have lasted. Null for the "
        "default of the event.",
    )
    group_by: Annotated[list[Dimension], Field(max_length=5)] = Field(
        default=[], description="What has an alarm of its own; one alarm for everything when empty."
    )
    cool_down_seconds: Seconds = Field(default=900, description="For how long the same alarm is not told again.")
    repeat_seconds: Seconds | None = Field(
        default=None, description="After how long an alarm that goes on is told again; null for never."
    )
    recovery: bool = Field(default=True, description="Whether the end of what was told is told, too.")
    rate_limit_per_hour: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        default=30, description="The most notices of firing in an hour; null for no limit."
    )
    quiet_hours: Annotated[list[QuietHours], Field(max_length=20)] = Field(
        default=[], description="When nothing is told. What is still true afterwards is told then."
    )
    enabled: bool = Field(default=True, description="Whether it is evaluated.")


class AlertRuleFields(AlertRuleTerms):
    """A rule with the ids of its channels."""

    channels: Annotated[list[Annotated[UUID, Field(strict=False)]], Field(max_length=20)] = Field(
        default=[], description="Ids of the channels by which it is told; none for the history alone."
    )


class AlertRuleCreation(AlertRuleFields):
    """A new rule."""

    name: Title = Field(examples=["Payments die"])
    event: Watched = Field(description="What it is about.")


class AlertRuleChange(AlertRuleFields):
    """Changes of a rule. What is left out stays as it is."""

    name: Title = Field(default="")
    event: Watched = Field(default="dead_letter", description="What it is about.")


class AlertConditionResource(Output):
    """What a rule can be about, and what is in force for a rule that says nothing else."""

    event: Watched
    threshold: float = Field(description="From which value it fires.")
    window_seconds: float = Field(description="Over which time it is counted, or for how long it must have lasted.")
    happens: bool = Field(description="Whether it happens at moments, and is counted; otherwise it lasts.")
    group_by: list[Dimension] = Field(description="What it can be grouped by.")
    has_scene: bool = Field(description="Whether a rule can be narrowed to scenes.")


class AlertRuleResource(Output):
    """A rule. Null means the default of its event; `threshold_in_force` and `window_in_force_seconds` tell it."""

    id: UUID
    namespace: str
    name: str
    event: Watched
    groups: list[str]
    scenes: list[str]
    threshold: float | None
    threshold_in_force: float
    minimum: int
    window_seconds: float | None
    window_in_force_seconds: float
    group_by: list[Dimension]
    cool_down_seconds: float
    repeat_seconds: float | None
    recovery: bool
    rate_limit_per_hour: int | None
    quiet_hours: list[QuietWindow]
    channels: list[UUID]
    enabled: bool
    muted_until: datetime | None = Field(description="Until when a person wants to hear nothing of it.")
    state: Literal["ok", "firing"] = Field(description="Whether any of its alarms fires.")
    firing: list[dict[str, str]] = Field(description="The groups that fire, by what the rule groups by.")
    evaluated_at: datetime | None
    created_at: datetime
    updated_at: datetime


class Mute(Input):
    """A time in which a rule tells nothing."""

    until: Instant | None = Field(description="When it ends; null ends it now.")


class AlertChannelCreation(Input):
    """A new channel."""

    name: Title = Field(examples=["payments on call"])
    kind: ChannelKind
    settings: Document = Field(
        description="What this kind needs; `docs/alerts.md` lists it.",
        examples=[{"url": "https://hooks.slack.com/services/T000/B000/XXXX"}],
    )
    enabled: bool = Field(default=True, description="Whether anything is sent to it.")


class AlertChannelChange(Input):
    """Changes of a channel. What is left out stays as it is, and so does a secret that comes back as it was shown."""

    name: Title = Field(default="")
    settings: Document = Field(default={}, description="In place of the present ones.")
    enabled: bool = Field(default=True)


class AlertChannelResource(Output):
    """A channel. Its secrets are shown as `••••`, and of a secret address the host."""

    id: UUID
    namespace: str
    name: str
    kind: ChannelKind
    settings: Document
    enabled: bool
    created_at: datetime
    updated_at: datetime


class AlertTest(Output):
    """What came of a test message."""

    delivered: bool
    http_status: int | None = Field(description="What an HTTP channel answered.")
    error: str | None = Field(description="What went wrong; null when it was delivered.")
    seconds: float = Field(description="How long it took.")


class AlertDeliveryResource(Output):
    """A notice on its way to a channel: a task of its own."""

    channel_id: UUID
    task_id: UUID
    status: TaskStatus | None = Field(description="Status of the task; null when it was deleted.")
    attempts: int
    error: str | None = Field(description="How the last attempt failed.")


class AlertEventResource(Output):
    """Something that a rule told, or held back."""

    id: UUID
    namespace: str
    rule_id: UUID
    rule_name: str
    event: Watched
    group: str | None
    scene: str | None
    where: dict[str, str] = Field(description="What the rule groups by, and the values.")
    state: Literal["firing", "recovered", "suppressed"]
    cause: Literal["mute", "quiet_hours", "cool_down", "rate_limit"] | None = Field(description="What held it back.")
    incident: str = Field(description="The same for a firing and its recovery.")
    summary: str
    value: float = Field(description="What was measured.")
    count: int = Field(description="The same as a whole number.")
    console_path: str = Field(description="Where the console shows what it is about: path and query.")
    created_at: datetime
    deliveries: list[AlertDeliveryResource]
