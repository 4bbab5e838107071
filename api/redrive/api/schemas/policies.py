"""Policies on the wire: simulation, origins, versions and roll-out."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import Field

from redrive.api.schemas.base import Input, Instant, Name, Note, Output, PolicyDocument, PolicyParts
from redrive.core.layers import Difference, Setting
from redrive.core.policy import MAX_SECONDS
from redrive.core.simulation import MOST_TASKS, Load, PlannedAttempt, Scenario, Span, SurvivalPoint

Seconds = Annotated[float, Field(ge=0, le=MAX_SECONDS)]


class SimulationRequest(Input):
    """Which policy, and what happens to its target."""

    policy: PolicyParts = Field(
        default={}, description="Laid over the policy of the scene or group, or over the defaults when none is named."
    )
    group: Name | None = Field(default=None, description="Take the policy of this group.")
    scene: Name | None = Field(default=None, description="Take the policy of this scene of the group.")
    outage_seconds: Seconds = Field(default=600, description="How long the target is down.")
    tasks: int = Field(default=1000, ge=1, le=MOST_TASKS, description="Tasks that failed when it went down.")
    attempt_seconds: Seconds = Field(default=1, description="How long an attempt takes; its time-out cuts it.")
    deadline_seconds: Seconds | None = Field(default=None, description="When the tasks are worthless.")
    starts_at: Instant | None = Field(default=None, description="When they failed, for cron; now when left out.")
    seed: int = Field(default=0, ge=0, lt=2**63, description="The same seed gives the same answer.")


class SimulationResult(Output):
    """What the policy does. Times are seconds from the failure."""

    policy: PolicyDocument = Field(description="The whole policy that was simulated.")
    seed: int
    scenario: Scenario
    attempts: list[PlannedAttempt] = Field(description="The schedule if nothing ever succeeds.")
    total: Span = Field(description="When the last attempt has failed.")
    survival: float = Field(description="Share of tasks that survive the outage.")
    lost_tasks: float = Field(description="Tasks that do not.")
    survival_curve: list[SurvivalPoint] = Field(description="Outages that a given share of the tasks survives.")
    load: Load = Field(description="Requests to the target in this outage.")
    lives: int = Field(description="Simulated lives; 1 when nothing is left to chance.")
    share_error: float = Field(description="Each share is off by at most this much, with 95 % confidence.")
    truncated: bool = Field(description="Whether only the first attempts of very many were looked at.")


class DefaultPolicy(Output):
    """The policy where no layer says anything."""

    policy: PolicyDocument


class TaskEffectivePolicy(Output):
    """The policy of a task: `defaults ← namespace ← group ← scene ← task`."""

    version: int = Field(description="Version of the scene's policy that is in force.")
    task_version: int = Field(description="The version that the task has; it takes the other at its next attempt.")
    policy: PolicyDocument
    settings: list[Setting] = Field(description="Each value, and which layer gave it.")


class PolicyDifference(Output):
    """What differs between two versions of a scene's policy."""

    from_version: int
    to_version: int
    changes: list[Difference] = Field(description="Empty when they say the same.")


class Rollback(Input):
    """Which version is to be in force again."""

    version: int = Field(ge=1, lt=2**31)
    note: Note = Field(default="", description="Why.")


class PolicyRollout(Input):
    """How the policy in force is brought to tasks that live already."""

    dry_run: bool = Field(default=False, description="Only count the tasks.")
    limit: int = Field(default=200, ge=1, le=1000, description="The most tasks of one call.")
    # Strictly, a UUID is no string; in JSON it is always one.
    cursor: UUID | None = Field(
        default=None, strict=False, description="Where to go on: `next_cursor` of the call before."
    )


class KeptTask(Output):
    """A task that keeps the policy that it has."""

    id: UUID
    reason: str


class PolicyRolloutResult(Output):
    """What a call came to. Repeat it with `next_cursor` until that is null; repeating a call does no harm."""

    version: int = Field(description="The version in force.")
    behind: dict[str, int] = Field(description="Open tasks with another version before this call, by status.")
    total: int = Field(description="All of them.")
    changed: int = Field(description="Tasks that have the policy in force now.")
    kept: list[KeptTask] = Field(description="Tasks that do not, and why.")
    next_cursor: UUID | None
