"""Attempts that a group's own Temporal worker takes, on the wire."""

from __future__ import annotations

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import ConfigDict, Field, model_validator

from redrive.activities.request import parse_answer
from redrive.api.schemas.base import Documented, Input, Instant, Name, Note, Output, Printable, Text
from redrive.core.messages import DispatchCommand, DispatchResult
from redrive.core.policy import MAX_SECONDS, Route
from redrive.core.wire import ExecuteAnswer, ExecuteRequest

Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
Ordinal = Annotated[int, Field(ge=1, le=2**31 - 1)]
Seconds = Annotated[float, Field(ge=0, le=MAX_SECONDS, allow_inf_nan=False)]
AnswerDocument = Annotated[ExecuteAnswer, Documented(ExecuteAnswer, parse_answer)]


class AttemptCommand(Input):
    """Which attempt is to run, and its limits: the input of the Temporal activity, as it came."""

    # It was written by the engine, which during an upgrade may be newer than this process.
    model_config = ConfigDict(extra="ignore", strict=True)

    namespace: Name
    group: Name
    task_id: Annotated[UUID, Field(strict=False)]
    generation: Ordinal
    number: Ordinal = Field(description="Number of the attempt within the generation.")
    attempts: Ordinal = Field(description="Attempts that are spent once this one is.")
    version: Annotated[int, Field(ge=0, le=2**63 - 1)] = Field(description="Orders the writes to the task's row.")
    due_at: Instant
    trigger: Literal["timer", "manual", "wake", "redrive"]
    timeout_seconds: Seconds
    ends_at: Instant | None = None
    max_attempts: Ordinal
    route: Route
    policy_version: Count
    affinity: Text = ""
    executor: Printable | None = None
    task_queue: Text | None = None
    scene: Name | None = None
    target_key: Text | None = None
    slot: Literal["budget", "limit"] | None = None
    forced: bool = False
    returning: bool = False

    def command(self) -> DispatchCommand:
        """Write it as the ledger takes it."""
        return DispatchCommand(**self.model_dump(mode="json"))


class AttemptStart(Input):
    """A worker took an attempt from its task queue."""

    command: AttemptCommand
    worker: Printable | None = Field(
        default=None, description="Who runs it; it is shown with the attempt.", examples=["4711@orders-1"]
    )


class AttemptStarted(Output):
    """What is to be run, or what the workflow is to be told when there is nothing to run."""

    delivery: int | None = Field(default=None, description="Number of this delivery; `finish` takes it.")
    request: ExecuteRequest | None = Field(default=None, description="The function and its arguments.")
    result: DispatchResult | None = Field(default=None, description="Result of the activity: nothing is to be run.")


class AttemptFinish(Input):
    """How a delivery ended: `answer`, `timed_out` (with or without an answer), `cancelled` or `not_taken`."""

    command: AttemptCommand
    delivery: Ordinal = Field(description="What `start` said.")
    answer: AnswerDocument | None = Field(default=None, description="What the function did.")
    timed_out: bool = Field(default=False, description="It was not over in time; of `answer` the log is kept.")
    cancelled: bool = Field(default=False, description="The task was cancelled, and the function was stopped.")
    not_taken: Note | None = Field(default=None, description="It was not run, for this reason; no attempt is spent.")

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        ends = [self.timed_out or self.answer is not None, self.cancelled, self.not_taken is not None]
        if sum(ends) != 1:
            raise ValueError("expected one of `answer`, `timed_out`, `cancelled` and `not_taken`")
        return self


class AttemptFinished(Output):
    """What the workflow is to be told."""

    result: DispatchResult


class WorkerReady(Input):
    """A worker of a group polls a task queue."""

    group: Name
    task_queue: Annotated[Text, Field(min_length=1, max_length=200)]
    polling_seconds: Seconds = Field(
        default=0.0, description="How long it has been polling. Tasks that were parked before that are woken."
    )


class Woken(Output):
    """Parked tasks that were woken."""

    woken: int
    more: bool = Field(description="Whether there may be more: ask again in a quarter of a second.")
