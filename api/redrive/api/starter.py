"""The starter: takes pending tasks and starts their workflows.

Any number of API processes run it side by side. A claim expires, so what a killed process held is taken by another one;
a workflow that is started twice is the same workflow.

What a pause holds stays pending: it is not started until the pause has ended, or its own time is over.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from redrive.api.engine import Engine, EngineUnavailable, StartRefused
from redrive.api.listener import Listener
from redrive.core.errors import RedriveError
from redrive.core.rounds import next_size
from redrive.store import blocks, tasks
from redrive.store.database import Database
from redrive.store.restraints import RestraintsCache
from redrive.store.settings import Settings
from redrive.store.tasks import PENDING_CHANNEL, Claim, Claimable

POLL_SECONDS: Final = 5.0
"""The net below NOTIFY: claims of a killed process, and what came while nobody listened."""

RETRY_FIRST: Final = 0.5
RETRY_LONGEST: Final = 10.0

_LOG = logging.getLogger(__name__)


class Starter:
    """Starts workflows for pending tasks.

    Args:
        database: Where tasks wait.
        engine: Temporal.
        settings: How many starts may be in flight.
        restraints: Knows whether anything is paused.
        clock: The wall clock.
    """

    def __init__(
        self,
        database: Database,
        engine: Engine,
        settings: Settings,
        restraints: RestraintsCache,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._engine = engine
        self._concurrency = settings.starter_concurrency
        self._size = self._concurrency
        self._restraints = restraints
        self._clock = clock

    async def run(self) -> None:
        """Start workflows until cancelled."""
        listener = Listener(self._database, PENDING_CHANNEL)
        wait = RETRY_FIRST
        async with listener.running():
            while True:
                try:
                    await self._engine.prepare()
                    # Claims are taken in small sets, so that the first of a burst do not wait for the last.
                    while await self.round():
                        wait = RETRY_FIRST
                    await self._start_over()
                    async with self._database.session() as session:
                        await blocks.start_waiting(session)
                    await listener.wait(POLL_SECONDS)
                except (EngineUnavailable, SQLAlchemyError, OSError) as error:
                    _LOG.warning("starting workflows is put off for %.1f s: %s", wait, _reason(error))
                    await asyncio.sleep(wait)
                    wait = min(wait * 2, RETRY_LONGEST)
                except RedriveError as error:
                    _LOG.error("workflows cannot be started: %s", error)
                    await asyncio.sleep(RETRY_LONGEST)

    async def round(self) -> bool:
        """Claim and start one set of tasks.

        Returns:
            Whether there may be more.

        Raises:
            EngineUnavailable: Temporal took none of some; those are given back.
        """
        return await self._start("unpaused" if await self._restraints.any_pauses() else "all")

    async def _start_over(self) -> None:
        """Start what a pause holds and whose time is over, so that it ends."""
        if await self._restraints.any_pauses():
            while await self._start("over"):
                pass

    async def _start(self, which: Claimable) -> bool:
        began = time.monotonic()
        async with self._database.session() as session:
            claims = await tasks.claim_pending(session, self._size, which)
        if not claims:
            return False
        problems = await asyncio.gather(*(self._start_one(claim) for claim in claims))
        results = list(zip(claims, problems, strict=True))
        put_off = [claim for claim, problem in results if isinstance(problem, EngineUnavailable)]
        async with self._database.session() as session:
            await tasks.mark_started(session, [claim for claim, problem in results if problem is None])
            if put_off:
                await tasks.release_claims(session, put_off)
        # A round that found less than it might have taken tells nothing of how many it could have started.
        if len(claims) == self._size:
            self._size = next_size(self._size, time.monotonic() - began, self._concurrency)
        for claim, problem in results:
            if isinstance(problem, StartRefused):
                # It keeps its claim, so that it is tried again after those that can be started.
                _LOG.error("the workflow of task %s cannot be started: %s", claim.id, problem)
        if put_off:
            raise next(problem for problem in problems if isinstance(problem, EngineUnavailable))
        return True

    async def _start_one(self, claim: Claim) -> EngineUnavailable | StartRefused | None:
        try:
            await self._engine.start_task(claim, self._clock())
        except (EngineUnavailable, StartRefused) as error:
            return error
        if claim.replaces:
            await self._engine.stop_replaced(claim)
        return None


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, EngineUnavailable) else f"the database is away ({type(error).__name__})"
