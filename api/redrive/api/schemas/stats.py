"""Statistics on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from redrive.api.schemas.base import Output
from redrive.core.states import TaskStatus


class TaskCounts(Output):
    """How many tasks are in which state."""

    counts: dict[TaskStatus, int] = Field(description="By status; every status is there.")
    open: int = Field(description="Those that have not ended.")
    total: int


class ReconcilerRun(Output):
    """One comparison of workflows and tasks."""

    started_at: datetime
    finished_at: datetime
    rows_checked: int
    workflows_checked: int
    restarted: int = Field(description="Tasks whose workflow was lost and is started again.")
    cancelled: int = Field(description="Tasks whose workflow was cancelled or terminated from outside.")
    closed: int = Field(description="Workflows whose task had ended.")


Range = Literal["1h", "6h", "24h", "7d"]


class Throughput(Output):
    """What ended within one bucket of time."""

    at: datetime = Field(description="Its begin.")
    succeeded: int = Field(description="Tasks.")
    dead: int = Field(description="Tasks.")
    cancelled: int = Field(description="Tasks.")
    attempts: int = Field(description="Attempts, of whatever outcome.")
    failed: int = Field(description="Attempts that failed or timed out.")


class SuccessAfter(Output):
    """How many tasks needed this many attempts to succeed."""

    attempts: int
    count: int


class LagPoint(Output):
    """How late attempts began within one bucket of time, in seconds; null when none ended."""

    at: datetime
    p50_seconds: float | None
    p99_seconds: float | None


class Lag(Output):
    """How late attempts began, in seconds: bounds that 50 % and 99 % of them kept, up to 19 % too high."""

    p50_seconds: float | None
    p99_seconds: float | None
    series: list[LagPoint]


class FailingScene(Output):
    """A scene in which something failed within the range."""

    group: str
    scene: str
    succeeded: int = Field(description="Tasks.")
    dead: int = Field(description="Tasks.")
    attempts: int
    failed: int = Field(description="Attempts that failed or timed out.")


class RisingError(Output):
    """An error of which more tasks died within the range than in the time of the same length before it."""

    fingerprint: str = Field(description="Names it; `none` for tasks that died without an error.")
    error_type: str | None
    message: str | None = Field(description="Without its varying parts.")
    count: int = Field(description="Tasks that died of it within the range.")
    before: int = Field(description="Tasks that died of it in the time before.")


class NodeCounts(Output):
    """How many nodes are in which state."""

    live: int
    draining: int
    lost: int


class Backlog(Output):
    """Work that could be done now."""

    pending: int = Field(description="Tasks that are not started yet.")
    overdue: int = Field(description="Tasks that were due before `before`: pending, waiting or parked.")
    before: datetime = Field(description="Begin of the present minute.")
    oldest_due_at: datetime | None = Field(description="The minute in which the earliest one was due.")


class DueNext(Output):
    """How many tasks that are pending, waiting or parked have their next attempt within an hour."""

    at: datetime = Field(description="Begin of the hour.")
    count: int


class Vitals(Output):
    """Whether what Redrive stands on works."""

    database: Literal["up"] = Field(default="up", description="It gave this answer.")
    engine: Literal["up", "down"] = Field(description="Temporal, asked within the last seconds.")
    reconciler: Literal["ok", "late", "never"] = Field(
        description="Whether the last comparison of workflows and tasks is recent; workers make them."
    )
    reconciled_at: datetime | None
    repaired: int = Field(description="What the last comparison repaired.")


class Overview(Output):
    """All of a namespace, or of one group, at a glance; of one moment.

    Each figure about tasks is what the list shows that is filtered likewise.
    """

    at: datetime = Field(description="The moment.")
    since: datetime = Field(description="Begin of the first bucket.")
    until: datetime = Field(description="End of the last bucket, in which the moment lies.")
    bucket_seconds: int
    counts: dict[TaskStatus, int] = Field(description="Tasks by status, whenever they came; every status is there.")
    throughput: list[Throughput]
    success_after: list[SuccessAfter] = Field(description="Of the tasks that succeeded in the range.")
    lag: Lag
    failing_scenes: list[FailingScene] = Field(description="The worst first: by dead tasks, then by failed attempts.")
    rising_errors: list[RisingError] = Field(description="What has grown most first.")
    breakers_open: int = Field(
        description="Breakers that are open, half open or held open; of a group those of its scenes."
    )
    nodes: NodeCounts
    backlog: Backlog
    due_next: list[DueNext] = Field(description="The next 24 hours, from the present minute on.")
    health: Vitals
