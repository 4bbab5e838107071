"""Statistics on the wire."""

from __future__ import annotations

from datetime import datetime

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
