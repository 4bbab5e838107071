"""Health on the wire."""

from __future__ import annotations

from typing import Literal

from redrive.api.schemas.base import Output


class Health(Output):
    """The process lives."""

    status: Literal["ok"] = "ok"


class Readiness(Output):
    """The process can take reports. That Temporal is down does not change it."""

    status: Literal["ready"] = "ready"
    database: Literal["up"] = "up"
    engine: Literal["up", "down"]
