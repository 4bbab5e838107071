"""Waking a loop by PostgreSQL's NOTIFY, with a slow poll as the net below it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from typing import Final

import psycopg

from redrive.store.database import Database

_RECONNECT_SECONDS: Final = 2.0
_LOG = logging.getLogger(__name__)


class Listener:
    """Listens on a channel and remembers that something came.

    Args:
        database: Where to listen.
        channel: What to listen on.
    """

    def __init__(self, database: Database, channel: str) -> None:
        self._database = database
        self._channel = channel
        self._came = asyncio.Event()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Listen while the block runs. A lost connection is made again; what came meanwhile is found by the poll."""
        task = asyncio.create_task(self._listen())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def wait(self, timeout: float) -> None:
        """Wait until something comes or has come since the last call, but not longer than `timeout` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._came.wait()
        self._came.clear()

    async def _listen(self) -> None:
        while True:
            try:
                async with self._database.listen(self._channel) as connection:
                    self._came.set()
                    async for _ in connection.notifies():
                        self._came.set()
            except (psycopg.Error, OSError) as error:
                _LOG.debug("listening on %s is interrupted: %s", self._channel, error.__class__.__name__)
            await asyncio.sleep(_RECONNECT_SECONDS)
