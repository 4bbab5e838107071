"""What is done beside the work: kept counts are folded and checked, and what has ended goes when its time is over.

Every worker process runs it. Folding and checking take an advisory lock; what is to be deleted is locked, and skipped
where another process holds it. So any number of processes may do all of it at once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from redrive.activities.archive import NoArchive, Remover
from redrive.core.states import TaskStatus
from redrive.store import dead_counts, retention
from redrive.store.database import Database
from redrive.store.redrives import CHUNK
from redrive.store.retention import Keeping

FOLD_SECONDS: Final = 2.0
"""Time between two looks for changes of dead letters. Counts are right in the meantime; more changes make them slow."""

RETENTION_SECONDS: Final = 60.0
"""Time between two looks for tasks and redrives whose time is over."""

CHECK_SECONDS: Final = 6 * 3600.0
"""Time between two comparisons of the kept counts with the dead letters."""

REST: Final = 1.0
"""Time between two batches of deletions, as a share of what the batch took: at least half is left to the work."""

FOLDED_AT_ONCE: Final = 10_000

_LOG = logging.getLogger(__name__)


class Janitor:
    """Folds counts and deletes what is old.

    Args:
        database: Where all of it is.
        remover: Deletes tasks.
    """

    def __init__(self, database: Database, remover: Remover) -> None:
        self._database = database
        self._remover = remover

    async def run(self) -> None:
        """Run for ever."""
        await asyncio.gather(
            _every(FOLD_SECONDS, "folding the counts of dead letters", self.fold),
            _every(RETENTION_SECONDS, "deleting old tasks", self.clean),
            _every(RETENTION_SECONDS, "deleting old redrives", self.clean_redrives),
            _every(CHECK_SECONDS, "checking the counts of dead letters", self.check),
        )

    async def fold(self) -> None:
        """Fold all changes of dead letters that there are now."""
        async with self._database.session() as session:
            if await dead_counts.is_folded(session):
                return
        folded = FOLDED_AT_ONCE
        while folded == FOLDED_AT_ONCE:
            async with self._database.begin() as session:
                folded = await dead_counts.fold(session, FOLDED_AT_ONCE)

    async def clean(self) -> int:
        """Delete the tasks whose time is over.

        Returns:
            How many there were.
        """
        now = datetime.now(UTC)
        async with self._database.session() as session:
            keepings = await retention.list_retentions(session)
        removed = 0
        for keeping in keepings:
            for status, before in keeping.retention.due(now):
                try:
                    removed += await self._clean(keeping, status, before, now)
                except (NoArchive, OSError) as error:
                    _LOG.error("old tasks of %s stay, for they cannot be archived: %s", keeping.namespace, error)
        if removed:
            _LOG.info("deleted %d tasks whose time was over", removed)
        return removed

    async def clean_redrives(self) -> None:
        """Delete the redrives whose time is over."""
        async with self._database.session() as session:
            keepings = await retention.list_retentions(session)
        for keeping in keepings:
            before = keeping.retention.redrives_before(datetime.now(UTC))
            if before is not None:
                await self._clean_redrives(keeping.namespace, before)

    async def check(self) -> int:
        """Compare the kept counts with the dead letters, and correct them.

        Returns:
            How many were wrong.
        """
        async with self._database.begin() as session:
            wrong = await dead_counts.repair(session)
        if wrong:
            _LOG.error("%d counts of dead letters were wrong and have been corrected; please report this", wrong)
        return wrong

    async def _clean(self, keeping: Keeping, status: TaskStatus, before: datetime, now: datetime) -> int:
        removed = 0
        while True:
            began = time.monotonic()
            batch = await self._remover.remove_due(
                keeping.namespace, status, before, archive=keeping.retention.archive, now=now
            )
            removed += batch.count
            if batch.done:
                return removed
            await asyncio.sleep(REST * (time.monotonic() - began))

    async def _clean_redrives(self, namespace: str, before: datetime) -> None:
        while True:
            began = time.monotonic()
            async with self._database.begin() as session:
                if await retention.delete_old_redrives(session, namespace, before, CHUNK):
                    return
            await asyncio.sleep(REST * (time.monotonic() - began))


async def _every(seconds: float, what: str, work: Callable[[], Awaitable[object]]) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except (SQLAlchemyError, OSError) as error:
            _LOG.warning("%s is put off: %s", what, error.__class__.__name__)
