"""Writing a workflow's decision into the mirror."""

from __future__ import annotations

from temporalio import activity

from redrive.core.messages import RECORD, Record
from redrive.store import tasks
from redrive.store.database import Database


class Recorder:
    """Keeps the mirror.

    Args:
        database: Where the mirror is.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @activity.defn(name=RECORD)
    async def record(self, change: Record) -> None:
        """Write one decision: the attempt's reason and the task's state, in one transaction.

        Args:
            change: The decision.
        """
        async with self._database.session() as session:
            await tasks.record(session, change)
