"""Limits on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from redrive.api.schemas.base import Input, Output

LimitScope = Literal["group", "scene", "target"]

Rate = Annotated[float, Field(ge=1e-6, le=1e5)]
Burst = Annotated[int, Field(ge=1, le=1_000_000)]
Concurrency = Annotated[int, Field(ge=1, le=100_000)]


class LimitDocument(Input):
    """How often, and how many at a time, attempts may run. At least one of `rate` and `concurrency` is needed."""

    rate: Rate | None = Field(default=None, description="Attempts per second; null for no limit.", examples=[50])
    burst: Burst = Field(default=1, description="How many attempts may come at once after a quiet time.")
    concurrency: Concurrency | None = Field(
        default=None, description="Attempts at a time; null for no limit.", examples=[10]
    )

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.rate is None and self.concurrency is None:
            raise ValueError("expected a rate, a concurrency or both, got neither; DELETE takes a limit away")
        if self.rate is None and self.burst != 1:
            raise ValueError("a burst has a meaning only with a rate; give `rate` too, or leave `burst` out")
        return self


class LimitResource(Output):
    """A limit."""

    scope: LimitScope
    key: str = Field(description="Name of the group; group and scene; or the target.", examples=["orders/charge-card"])
    rate: float | None
    burst: int
    concurrency: int | None
    next_slot_at: datetime | None = Field(
        description="When an attempt that asked now might run by the rate; null for at once."
    )
    average_seconds: float | None = Field(
        description="How long its attempts take, where their number at a time is limited."
    )
    author: str | None
    updated_at: datetime
