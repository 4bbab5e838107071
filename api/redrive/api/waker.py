"""The waker: tells tasks that are parked for want of a node that one of their group lives again, a few at a time.

A group that comes back with ten thousand parked tasks must not be greeted by all of them at once.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from redrive.api.engine import Engine, EngineUnavailable
from redrive.api.listener import Listener
from redrive.core.wire import NODE_LEASE_SECONDS
from redrive.store import tasks
from redrive.store.database import Database
from redrive.store.nodes import NODES_CHANNEL

POLL_SECONDS: Final = 5.0
SET_SIZE: Final = 20
SET_SECONDS: Final = 0.25
"""Twenty tasks each quarter of a second: a thousand parked tasks return within 13 s."""

_LOG = logging.getLogger(__name__)


class Waker:
    """Wakes parked tasks whose group has a live node.

    Args:
        database: Where parked tasks and nodes are.
        engine: Temporal.
    """

    def __init__(self, database: Database, engine: Engine) -> None:
        self._database = database
        self._engine = engine

    async def run(self) -> None:
        """Wake tasks until cancelled."""
        listener = Listener(self._database, NODES_CHANNEL)
        async with listener.running():
            while True:
                try:
                    while await self.round():  # noqa: ASYNC110 - the sleep is the rate at which tasks are woken
                        await asyncio.sleep(SET_SECONDS)
                except (EngineUnavailable, SQLAlchemyError, OSError) as error:
                    _LOG.warning("waking parked tasks is put off: %s", type(error).__name__)
                await listener.wait(POLL_SECONDS)

    async def round(self) -> bool:
        """Wake one set of parked tasks.

        Returns:
            Whether there may be more.
        """
        async with self._database.session() as session:
            keys = await tasks.claim_parked(session, SET_SIZE, NODE_LEASE_SECONDS)
        await asyncio.gather(*(self._engine.wake(key) for key in keys))
        return len(keys) == SET_SIZE
