"""How long ended tasks are kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from redrive.core.documents import require
from redrive.core.states import TaskStatus

MAX_DAYS: Final = 36_500


@dataclass(frozen=True, slots=True)
class Retention:
    """How long ended tasks are kept, in whole days after their end; null for ever.

    Attributes:
        succeeded_days: Tasks that succeeded.
        dead_days: Dead letters.
        cancelled_days: Tasks that were cancelled.
        archive: Whether they are written to the archive before they are deleted.
    """

    succeeded_days: int | None = None
    dead_days: int | None = None
    cancelled_days: int | None = None
    archive: bool = False

    def __post_init__(self) -> None:
        for name in ("succeeded_days", "dead_days", "cancelled_days"):
            days = getattr(self, name)
            if days is not None:
                require(1 <= days <= MAX_DAYS, name, f"expected 1 to {MAX_DAYS} days, or null for ever, got {days}")

    def due(self, now: datetime) -> Iterator[tuple[TaskStatus, datetime]]:
        """Tell what is to go.

        Args:
            now: The clock.

        Yields:
            A state, and the instant before which tasks of it must have ended to go.
        """
        for status, days in (
            (TaskStatus.SUCCEEDED, self.succeeded_days),
            (TaskStatus.DEAD, self.dead_days),
            (TaskStatus.CANCELLED, self.cancelled_days),
        ):
            if days is not None:
                yield status, now - timedelta(days=days)
