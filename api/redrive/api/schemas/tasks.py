"""Tasks, reports and attempts on the wire (design section 4)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from redrive.api.schemas.base import (
    CallbacksDocument,
    Documented,
    Input,
    Instant,
    Key,
    Name,
    Note,
    Output,
    PolicyDocument,
    PolicyParts,
    Printable,
    TargetDocument,
    Text,
)
from redrive.api.schemas.problems import Problem
from redrive.core.policy import MAX_SECONDS
from redrive.core.states import AttemptStatus, DeadReason, ParkedFor, TaskStatus
from redrive.core.wire import MAX_BATCH

Seconds = Annotated[float, Field(ge=0, le=MAX_SECONDS, allow_inf_nan=False)]
Priority = Annotated[int, Field(ge=1, le=5)]
Metadata = dict[str, Any]


class ReportedError(Input):
    """Why the call failed. What is too long is cut; what cannot be stored is replaced."""

    type: str = Field(description="Class of the error, with its module.", examples=["builtins.TimeoutError"])
    message: str = Field(default="", description="What it says; 4 kB are kept.")
    stack: str | None = Field(default=None, description="The traceback; 16 kB are kept.")


class TaskReport(Input):
    """A failed call that is to be retried."""

    group: Name = Field(description="The client application.", examples=["orders"])
    scene: Name = Field(description="The kind of operation; it owns the policy.", examples=["charge-card"])
    executor: Printable | None = Field(
        default=None, description="Which function re-runs the call; webhooks need none.", examples=["orders.charge"]
    )
    args: list[Any] = Field(default=[], description="Positional arguments.")
    kwargs: dict[str, Any] = Field(default={}, description="Named arguments; a webhook's body.")
    body: Any = Field(default=None, description="A webhook's body in place of `kwargs`: any JSON.")
    target: TargetDocument = Field(default={"kind": "node"}, description="Where attempts go.")
    idempotency_key: Key | None = Field(
        default=None, description="Reports of one key in one scene make one task.", examples=["charge:o-1"]
    )
    dedupe_seconds: Seconds | None = Field(
        default=None,
        description="How long after its end the task keeps its idempotency key: 0 for not at all, so that the next "
        "failure of the same call is a task of its own; for as long as the task is kept when left out.",
    )
    report_id: Key | None = Field(
        default=None,
        description="Names this report, so that sending it again makes no second task, whatever became of the first.",
    )
    business_key: Key | None = Field(default=None, description="What people search for.", examples=["o-1"])
    delay_seconds: Seconds | None = Field(
        default=None, description="Wait before the first attempt; the policy's backoff when it is left out."
    )
    deadline: Instant | None = Field(default=None, description="When the task is worthless.")
    priority: Priority = Field(default=3, description="1 first, 5 last.")
    policy: PolicyParts | None = Field(default=None, description="Parts of the scene's policy to override.")
    error: ReportedError | None = Field(default=None, description="Why the call failed.")
    callbacks: CallbacksDocument | None = Field(
        default=None,
        description="Who is told of the end. What is left out is as the scene says; null is nobody.",
        examples=[{"on_success": "orders.charged", "on_dead": {"url": "https://example.com/hook"}}],
    )
    trace_context: dict[str, Text] = Field(default={}, description="W3C trace context.")
    metadata: Metadata = Field(default={}, description="Anything that is to be shown with the task.")


class BatchReport(Input):
    """Many reports at once. Each has a result of its own; a bad one never spoils the others."""

    tasks: Annotated[list[Annotated[Any, Documented(TaskReport)]], Field(min_length=1, max_length=MAX_BATCH)]


class TaskError(Output):
    """The error of the last failed attempt, or of the reported call."""

    type: str | None
    message: str | None
    stack: str | None


class TaskCounters(Output):
    """What the present generation has been through, each kind apart. Only failures are spent."""

    failures: int = Field(description="Attempts that failed and are spent.")
    snoozes: int = Field(description="Attempts after which the client, or a rule, said: too early.")
    parks: int = Field(description="Times that it had to wait for its target.")
    throttles: int = Field(description="Attempts that its target put off with 429 or 503, where those are not spent.")
    interruptions: int = Field(description="Attempts that were delivered again because their worker was lost.")


class TaskSummary(Output):
    """A task without its payload and policy: what lists show."""

    id: UUID
    namespace: str
    group: str
    scene: str
    kind: Literal["task", "callback"]
    executor: str | None
    status: TaskStatus
    dead_reason: DeadReason | None = Field(description="Why it ended without success; null unless it is dead.")
    parked_for: ParkedFor | None = Field(description="What it waits for while it is parked.")
    why: str = Field(description="Why it is where it is, and its next attempt when it is.")
    generation: int = Field(description="1 for the report, one more for each replay.")
    attempts: int = Field(description="Attempts that this generation has spent.")
    counters: TaskCounters
    max_attempts: int
    next_attempt_at: datetime | None
    deadline: datetime | None
    priority: int
    idempotency_key: str | None
    business_key: str | None
    duplicates: int = Field(description="Further reports of its idempotency key.")
    target: TargetDocument
    target_key: str = Field(description="What its breaker, budget and slow start go by: `host:…` or `scene:…`.")
    policy_version: int = Field(description="The scene's version that its policy was made from.")
    last_error: TaskError | None
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None
    workflow_id: str = Field(description="Id of the Temporal workflow of its present generation.")
    temporal_url: str | None = Field(description="Where to see that workflow; null when Temporal's UI is not known.")
    parent_id: UUID | None = Field(description="The task that this one is a callback of.")
    redrive_id: UUID | None = Field(description="The redrive that began its present generation; null when none did.")
    metadata: dict[str, Any]


class TaskCount(Output):
    """How many tasks a selection means."""

    count: int
    exact: bool = Field(description="Whether they were counted; otherwise a sample was, and this is an estimate.")


class TaskResource(TaskSummary):
    """A task with all that belongs to it."""

    policy: PolicyDocument = Field(description="The policy in force.")
    policy_override: dict[str, Any] | None = Field(description="Parts of the policy that are the task's own.")
    callbacks: dict[str, Any] | None = Field(description="Who is told of its end, where its report says so.")
    args: list[Any]
    kwargs: dict[str, Any]
    body: Any
    payload_revision: int = Field(description="1 for what was reported, one more for each edit.")
    trace_context: dict[str, Any]
    duplicate: bool = Field(default=False, description="Whether a report found that the task existed already.")


class BatchResult(Output):
    """What became of one report of a batch."""

    index: int = Field(description="Its place in the batch, from 0.")
    status: Literal[200, 201, 409, 413, 422]
    id: UUID | None = Field(default=None, description="The task; null when there is none.")
    duplicate: bool = False
    problem: Problem | None = None


class BatchResults(Output):
    """What became of each report of a batch."""

    results: list[BatchResult]
    accepted: int
    duplicates: int
    rejected: int


class AttemptError(TaskError):
    """The error of one attempt."""

    fingerprint: str | None = Field(description="The same for all errors that are the same error.")


class AttemptResource(Output):
    """One execution of a task by its target."""

    generation: int
    number: int = Field(description="From 1 within a generation.")
    status: AttemptStatus
    trigger: str = Field(description="Why it ran: `timer`, `manual`, `wake` or `redrive`.")
    deliveries: int = Field(description="How often it was sent: more than once when a worker was lost.")
    payload_revision: int | None = Field(
        description="Revision of the payload that it ran with; null for attempts of versions before this was kept."
    )
    due_at: datetime
    started_at: datetime
    finished_at: datetime | None
    node_id: str | None
    url: str | None
    http_status: int | None
    response: str | None = Field(description="The answer's body; 20 kB are kept.")
    error: AttemptError | None
    retry_after_seconds: float | None = Field(description="What the target asked for.")
    stop: bool = Field(description="Whether the target said that it must not be retried.")
    logs: list[dict[str, Any]]
    why: str | None = Field(description="Why the next delay is what it is, or why there is none.")
    delay_seconds: float | None
    next_attempt_at: datetime | None


class Operation(Input):
    """A manual operation."""

    reason: Note | None = Field(default=None, description="Why; it is shown with the task.")


class RescheduleOperation(Operation):
    """Another time for the next attempt: `at`, or `delay_seconds` from now."""

    at: Instant | None = None
    delay_seconds: Seconds | None = None


class TaskEdit(Input):
    """What the next attempt of a task is given. What is left out stays as it is."""

    policy: PolicyParts | None = Field(
        default=None, description="The task's own parts of the policy, in place of those it had; null for none."
    )
    args: list[Any] = Field(default=[], description="New positional arguments.")
    kwargs: dict[str, Any] = Field(default={}, description="New named arguments.")
    body: Any = Field(default=None, description="New body of a webhook.")
    payload_patch: dict[str, Any] | None = Field(
        default=None,
        description="A JSON Merge Patch (RFC 7396) of `{args, kwargs, body}`, in place of these three.",
        examples=[{"kwargs": {"amount": 4, "coupon": None}}],
    )
    target: TargetDocument | None = Field(
        default=None, description="Where attempts go from now on; null for no change."
    )
    executor: Printable | None = Field(default=None, description="Which function runs; null for none.")
    reason: Note | None = Field(default=None, description="Why; it is shown with the task.")


class TaskChange(TaskEdit):
    """Changes of a task. What is left out stays as it is."""

    business_key: Key | None = None
    deadline: Instant | None = Field(default=None, description="Only for a task whose workflow does not run.")
    metadata: Metadata = Field(default={})


class EditAndRetry(TaskEdit):
    """What is different from the next attempt on, which runs now."""


class PayloadRevision(Output):
    """One revision of a task's payload."""

    revision: int = Field(description="1 for what was reported, one more for each edit.")
    args: list[Any]
    kwargs: dict[str, Any]
    body: Any
    author: str | None = Field(description="Name of the key that edited it; null for what was reported.")
    reason: str | None
    created_at: datetime
