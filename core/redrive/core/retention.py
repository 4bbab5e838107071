"""How long ended tasks and redrives are kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from redrive.core.documents import require
from redrive.core.states import TaskStatus

MAX_DAYS: Final = 36_500

REDRIVE_DAYS: Final = 90
"""How many days a redrive is kept, unless the namespace says otherwise. It is a report, and needed by nothing else."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How long ended tasks and redrives are kept, in whole days after their end; null for ever.

    Attributes:
        succeeded_days: Tasks that succeeded.
        dead_days: Dead letters.
        cancelled_days: Tasks that were cancelled.
        redrive_days: Redrives, with what became of each of their tasks.
        archive: Whether tasks are written to the archive before they are deleted.
    """

    succeeded_days: int | None = None
    dead_days: int | None = None
    cancelled_days: int | None = None
    redrive_days: int | None = REDRIVE_DAYS
    archive: bool = False

    def __post_init__(self) -> None:
        for name in ("succeeded_days", "dead_days", "cancelled_days", "redrive_days"):
            days = getattr(self, name)
            if days is not None:
                require(1 <= days <= MAX_DAYS, name, f"expected 1 to {MAX_DAYS} days, or null for ever, got {days}")

    def due(self, now: datetime) -> Iterator[tuple[TaskStatus, datetime]]:
        """Tell which tasks are to go.

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

    def redrives_before(self, now: datetime) -> datetime | None:
        """Tell before which instant redrives must have ended to go; None when they stay.

        Args:
            now: The clock.
        """
        return None if self.redrive_days is None else now - timedelta(days=self.redrive_days)
