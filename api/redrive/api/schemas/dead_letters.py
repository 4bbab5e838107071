"""Dead letters on the wire: groups by error, what people say about them, and purges."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import Field

from redrive.api.schemas.base import Input, Instant, Note, Output, SelectionDocument

MAX_PURGE = 10_000


class SceneShare(Output):
    """How many dead letters of an error a scene has."""

    group: str
    scene: str
    count: int


class SparklineResource(Output):
    """When the dead letters of an error died."""

    begin: datetime = Field(alias="from", description="Where the first bucket begins.")
    bucket_seconds: int
    counts: list[int] = Field(description="Deaths by bucket, of those that are dead letters still.")


class DeadLetterGroup(Output):
    """The dead letters of one error."""

    fingerprint: str = Field(description="Names the error; `none` for dead letters without one.")
    error_type: str | None
    message: str | None = Field(description="What it says, without its varying parts.")
    groups: list[str] = Field(description="Groups in which it happened.")
    scenes: list[SceneShare] = Field(description="Where it happened, most first; at most twenty.")
    count: int
    first_seen: datetime = Field(description="First death of it since there were none.")
    last_seen: datetime
    sparkline: SparklineResource
    sample_task_id: UUID | None = Field(description="One of them.")
    acknowledged: bool = Field(description="Whether a person has seen it and nothing died of it since.")
    rising: bool = Field(description="Whether tasks died of it after a person had seen it.")
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    muted_until: datetime | None = Field(description="Until when nobody wants to hear of it.")
    note: str


class DeadLetterGroups(Output):
    """One page of groups."""

    items: list[DeadLetterGroup]
    next_cursor: str | None = None
    exact: bool = Field(
        description="Whether all dead letters were looked at. Searches that take too long look at the newest ones only."
    )


class DeadLetterGroupChange(Input):
    """What a person says about an error. What is left out stays as it is."""

    acknowledged: bool = Field(
        default=False, description="Seen. The next death of it raises it again. `false` takes it back."
    )
    muted_until: Instant | None = Field(default=None, description="No alerts until then; null for alerts again.")
    note: Note = ""


class PurgeRequest(Input):
    """Which dead letters are to be deleted."""

    selection: SelectionDocument = Field(
        description='Which dead letters. An empty one is refused; `{"status": ["dead"]}` means all.'
    )
    archive: bool = Field(default=False, description="Whether they are written to the archive first.")
    dry_run: bool = Field(default=False, description="Count them and delete nothing.")
    limit: int = Field(default=MAX_PURGE, ge=1, le=MAX_PURGE, description="The most that this request deletes.")
    reason: Note | None = Field(default=None, description="Why; it is kept in the audit.")


class PurgeResult(Output):
    """What was deleted, or would be."""

    count: int
    exact: bool = Field(description="Whether they were counted; otherwise it is an estimate of a dry run.")
    finished_before: datetime = Field(
        description="What died later was neither counted nor deleted. Send it back in the selection when you "
        "ask again, so that nothing goes which has died meanwhile."
    )
    done: bool = Field(description="Whether nothing is left of the selection: if not, ask again.")
