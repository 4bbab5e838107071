"""The keeper of redrives: every redrive that has not ended has a workflow.

New ones are started at once by whoever makes them; what Temporal was away for, and what it has lost, is found here. Any
number of API processes run it side by side: a workflow that is started twice is the same workflow.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from redrive.api.engine import Engine, EngineUnavailable
from redrive.core.bulk import ENDED, RedriveStatus
from redrive.store import redrives
from redrive.store.database import Database

POLL_SECONDS: Final = 5.0
MOST: Final = 100
"""Redrives of one round; they are looked for again before this matters."""

_LOG = logging.getLogger(__name__)


class RedriveKeeper:
    """Starts the workflows of redrives that nobody looks at.

    Args:
        database: Where redrives are.
        engine: Temporal.
    """

    def __init__(self, database: Database, engine: Engine) -> None:
        self._database = database
        self._engine = engine

    async def run(self) -> None:
        """Keep redrives alive until cancelled."""
        while True:
            try:
                await self.round()
            except (EngineUnavailable, SQLAlchemyError, OSError) as error:
                _LOG.warning("starting redrives is put off: %s", type(error).__name__)
            await asyncio.sleep(POLL_SECONDS)

    async def round(self) -> int:
        """Start what is late.

        Returns:
            How many redrives were late.
        """
        async with self._database.session() as session:
            late = await redrives.list_late(session, MOST)
        for namespace, redrive_id in late:
            if await self._engine.was_stopped(namespace, str(redrive_id)):
                await self._abort(namespace, redrive_id)
            await self._engine.drive(namespace, str(redrive_id))
        return len(late)

    async def _abort(self, namespace: str, redrive_id: UUID) -> None:
        """End a redrive whose workflow was terminated: somebody wanted it to stop."""
        async with self._database.begin() as session:
            redrive = await redrives.find_redrive(session, namespace, redrive_id, lock=True)
            if redrive is None or redrive.status in ENDED:
                return
            redrive.status, redrive.why = RedriveStatus.ABORTED.value, "its workflow was terminated in Temporal"
            redrive.finished_at, redrive.rate_now = datetime.now(UTC), 0.0
