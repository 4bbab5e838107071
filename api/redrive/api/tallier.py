"""The tallier: adds up what happened, so that figures about a million tasks cost as little as about ten."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from redrive.store import tallies
from redrive.store.database import Database

FOLD_SECONDS: Final = 2.0
"""Figures do not wait for it: what it has not added up yet is added by whoever reads."""

SET_SIZE: Final = 20_000
_PRUNE_SECONDS: Final = 60.0
_LOG = logging.getLogger(__name__)


class Tallier:
    """Keeps the tallies. Every API process runs one, and one of them at a time works.

    Args:
        database: Where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self) -> None:
        """Add up until cancelled."""
        pruned = time.monotonic()
        while True:
            try:
                while await self.round():
                    pass
                if time.monotonic() - pruned > _PRUNE_SECONDS:
                    pruned = time.monotonic()
                    async with self._database.begin() as session:
                        await tallies.prune(session)
            except (SQLAlchemyError, OSError) as error:
                _LOG.warning("adding up is put off: %s", type(error).__name__)
            await asyncio.sleep(FOLD_SECONDS)

    async def round(self) -> bool:
        """Add up one set.

        Returns:
            Whether there may be more.
        """
        async with self._database.begin() as session:
            folded = await tallies.fold(session, SET_SIZE)
        return folded == SET_SIZE
