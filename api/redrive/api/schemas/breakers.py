"""Breakers on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from redrive.api.schemas.base import Input, Instant, Note, Output


class BreakerHold(Input):
    """What a person wants of a breaker."""

    reason: Note = Field(default="", description="Why, for everybody who wonders.")
    until: Instant | None = Field(default=None, description="When it ends by itself; null when a person ends it.")


class BreakerRelease(Input):
    """The end of what a person wanted."""

    reason: Note = Field(default="", description="Why, for everybody who wonders.")


class BreakerOverride(Output):
    """A person holds the breaker open or closed."""

    position: Literal["open", "closed"]
    author: str
    reason: str
    until: datetime | None


class BreakerResource(Output):
    """What is known of a target, and what follows from it."""

    key: str = Field(description="Its target: `host:` and the host of webhooks, or `scene:` with group and scene.")
    kind: Literal["host", "scene"]
    state: Literal["closed", "open", "half_open"] = Field(description="Where it stands by itself.")
    override: BreakerOverride | None = Field(description="What a person wants instead; null for nothing.")
    opened_at: datetime | None
    open_until: datetime | None = Field(description="When probes begin.")
    why: str = Field(description="What opened it; empty while it is closed.")
    failure_rate: float = Field(description="Share of the attempts in the window that failed.")
    count: int = Field(description="Attempts in the window.")
    budget_tokens: float = Field(description="What is left of the retry budget; below half, attempts wait.")
    budget_capacity: float
    ramp_rate: float | None = Field(description="Attempts per second of the slow start under way; null for none.")
    pushback_until: datetime | None = Field(description="Until when the target asked to be left alone.")
    parked: int = Field(description="Tasks that wait for the target.")
    updated_at: datetime


class BreakerEvent(Output):
    """Something that happened to a breaker."""

    kind: str
    why: str
    at: datetime


class BreakerDetail(BreakerResource):
    """A breaker with what happened to it, the newest first."""

    history: list[BreakerEvent]
