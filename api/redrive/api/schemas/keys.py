"""API keys on the wire."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import Field

from redrive.api.schemas.base import Input, Instant, Name, Output, Printable


class KeyCreation(Input):
    """A new API key."""

    name: Printable = Field(description="What it is for.", examples=["orders in production"])
    namespace: Name | None = Field(default=None, description="The only namespace that it opens; null for all.")
    group: Name | None = Field(default=None, description="The only group of it; null for all.")
    expires_at: Instant | None = Field(default=None, description="When it stops working; null for never.")


class KeyResource(Output):
    """An API key. The key itself is not stored."""

    id: UUID
    name: str
    prefix: str = Field(description="How the key begins.")
    namespace: str | None
    group: str | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class NewKey(KeyResource):
    """An API key that was just made."""

    key: str = Field(description="The key. It is shown this once and cannot be had again.")
