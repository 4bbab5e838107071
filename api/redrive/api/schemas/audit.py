"""The audit on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from redrive.api.schemas.base import Output


class AuditEntryResource(Output):
    """Something that a person changed."""

    id: int
    namespace: str
    group: str | None = Field(description="The group that it belongs to.")
    actor: str = Field(description="Who: the name of the API key, with the name that the request gave for its user.")
    action: str = Field(examples=["pause"])
    subject_kind: str = Field(examples=["task"])
    subject_id: str = Field(description="Its id or name; of a scene `group/scene`.")
    facts: dict[str, Any]
    reason: str | None
    created_at: datetime
