"""Redrives on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from redrive.api.schemas.base import (
    Documented,
    Input,
    Note,
    Output,
    PolicyParts,
    SelectionDocument,
    TargetDocument,
    read_object,
)
from redrive.core.bulk import MAX_CONCURRENCY, MAX_ITEMS, MAX_RATE, Action, Counters, Hours, Order, StopRule
from redrive.core.documents import encode
from redrive.core.patch import PayloadDocument
from redrive.core.ramp import RampRule
from redrive.core.selection import Selection

_RAMP: dict[str, Any] = encode(RampRule())
_STOP: dict[str, Any] = encode(StopRule())

RampParts = Annotated[dict[str, Any], Documented(RampRule, read_object)]
HoursDocument = Annotated[dict[str, Any], Documented(Hours, read_object)]
StopParts = Annotated[dict[str, Any], Documented(StopRule, read_object)]
PatchDocument = Annotated[dict[str, Any], Documented(PayloadDocument, read_object)]
SelectionShown = Annotated[dict[str, Any], Documented(Selection)]

Rate = Annotated[float, Field(ge=0.001, le=MAX_RATE, description="Tasks released per second, at most.")]
Concurrency = Annotated[
    int, Field(ge=1, le=MAX_CONCURRENCY, description="How many released tasks may be unfinished at once.")
]
RedriveState = Literal["waiting", "running", "paused", "completed", "stopped", "aborted"]
ItemOutcome = Literal["waiting", "started", "succeeded", "dead", "skipped", "failed"]


class RedriveRequest(Input):
    """Many tasks, what is to be done with each, and how fast."""

    action: Action = Field(
        default="replay",
        description="`replay` begins the next generation of dead (or cancelled) tasks; the others change live tasks, "
        "or delete ended ones.",
    )
    selection: SelectionDocument = Field(
        description="Which tasks, frozen at this moment. An empty selection is refused. Without `status` and `ids` "
        "those are meant that the action can do something with; `replay` and `delete` then mean dead ones.",
        examples=[{"group": "orders", "scene": "charge-card", "error": "TimeoutError"}],
    )
    rate_per_second: Rate = 10
    ramp: RampParts | None = Field(
        default=_RAMP,
        description="How the rate begins, and how it halves while replayed tasks fail again; null for the full rate at "
        "once.",
    )
    concurrency: Concurrency = 100
    window: HoursDocument | None = Field(default=None, description="Hours in which tasks may be released.")
    max_items: int | None = Field(default=None, ge=1, le=MAX_ITEMS, description="The most tasks.")
    order: Order = Field(default="oldest", description="Which tasks come first.")
    policy: PolicyParts | None = Field(
        default=None, description="Parts of the policy that are laid over those that each task has of its own."
    )
    target: TargetDocument | None = Field(default=None, description="Another target for each task.")
    payload_patch: PatchDocument | None = Field(
        default=None,
        description="A JSON Merge Patch (RFC 7396) of each task's `args`, `kwargs` and `body`. The payload before is "
        "kept as an earlier revision.",
        examples=[{"kwargs": {"currency": "EUR"}}],
    )
    counters: Counters = Field(
        default="reset", description="Whether attempts that are spent already count on (`keep`) or not."
    )
    stop: StopParts | None = Field(
        default=_STOP,
        description="It stops itself when this share of at least so many finished tasks failed again; null for never.",
    )
    reason: Note | None = Field(default=None, description="Why; it is shown with the redrive and with each task.")
    dry_run: bool = Field(default=False, description="Tell what it would come to, and do nothing.")


class RedriveChange(Input):
    """Changes of a redrive that has not ended. What is left out stays as it is."""

    rate_per_second: Rate = 10
    concurrency: Concurrency = 100
    reason: Note | None = Field(default=None, description="Why; it is kept in the audit.")


class RedriveOperation(Input):
    """Why a redrive is paused, resumed or aborted."""

    reason: Note | None = Field(default=None, description="Why; it is shown with the redrive.")


class SceneShare(Output):
    """How many of the tasks a scene has."""

    group: str
    scene: str
    count: int


class ErrorShare(Output):
    """How many of the tasks have one error last."""

    fingerprint: str | None
    error_type: str | None
    message: str | None
    count: int


class RedrivePreview(Output):
    """What a redrive would come to."""

    count: int = Field(description="Tasks that it would take.")
    matched: int = Field(description="Tasks that the selection means; more than `count` when `max_items` is smaller.")
    estimate_seconds: float | None = Field(
        description="Until the last task is released, if nothing holds it up; null when that is years."
    )
    first_due: datetime | None
    last_due: datetime | None
    by_scene: list[SceneShare]
    by_error: list[ErrorShare] = Field(description="By fingerprint, the 20 most frequent.")
    warnings: list[str]


class RedriveOptions(Output):
    """How a redrive goes about its tasks, and what it changes of each."""

    rate_per_second: float
    ramp: Annotated[dict[str, Any], Documented(RampRule)] | None
    concurrency: int
    window: Annotated[dict[str, Any], Documented(Hours)] | None
    max_items: int | None
    order: Order
    policy: dict[str, Any] | None
    target: dict[str, Any] | None
    payload_patch: dict[str, Any] | None
    counters: Counters
    stop: Annotated[dict[str, Any], Documented(StopRule)] | None


class RedriveCounts(Output):
    """How many tasks have which outcome; all but `total` and `done` add up to `total`."""

    total: int
    waiting: int = Field(description="Their turn has not come.")
    in_flight: int = Field(description="Released, and not finished.")
    succeeded: int
    dead: int = Field(description="Dead again.")
    skipped: int = Field(description="Nothing was to be done; each says why.")
    failed: int = Field(description="Refused; each says why.")
    done: int = Field(description="Those that have their last outcome.")


class RedriveResource(Output):
    """A durable operation on many tasks."""

    id: UUID
    namespace: str
    group: str | None = Field(description="The only group that it is about; null for several.")
    action: Action
    status: RedriveState
    why: str = Field(description="Why it stands where it stands, or is not faster.")
    selection: SelectionShown
    options: RedriveOptions
    counts: RedriveCounts
    rate_now: float = Field(description="Tasks per second that are allowed at this moment.")
    reason: str | None
    author: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    estimate_finished_at: datetime | None = Field(
        description="When the last task will be released, if nothing holds it up; null when none waits, or it is held."
    )
    workflow_id: str
    temporal_url: str | None = Field(description="Where to see its workflow; null when Temporal's UI is not known.")


class RedriveItemResource(Output):
    """What became of one task of a redrive."""

    position: int = Field(description="Its place in the redrive, from 1.")
    task_id: UUID
    outcome: ItemOutcome
    why: str
    generation: int | None = Field(description="The generation that was begun; null when none was.")
    started_at: datetime | None
    finished_at: datetime | None
