"""Writing a workflow's decision into the mirror."""

from __future__ import annotations

from uuid import UUID

from temporalio import activity

from redrive.core.messages import RECORD, Record
from redrive.core.states import TERMINAL
from redrive.store import tasks
from redrive.store.callbacks import insert_callback
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
        """Write one decision: the attempt's reason and the task's state, and at its end the callback, together.

        Args:
            change: The decision.
        """
        if change.status not in TERMINAL:
            async with self._database.session() as session:
                await tasks.record(session, change)
            return
        async with self._database.begin() as session:
            if await tasks.record(session, change):
                await insert_callback(session, UUID(change.task_id))
