"""The starter: takes pending tasks and starts their workflows.

Any number of API processes run it side by side. A claim expires, so what a killed process held is taken by another one;
a workflow that is started twice is the same workflow.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from sqlalchemy.exc import DBAPIError

from redrive.api.engine import Engine, EngineUnavailable
from redrive.api.listener import Listener
from redrive.core.errors import RedriveError
from redrive.store import tasks
from redrive.store.database import Database
from redrive.store.settings import Settings
from redrive.store.tasks import PENDING_CHANNEL, Claim

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
        clock: The wall clock.
    """

    def __init__(
        self,
        database: Database,
        engine: Engine,
        settings: Settings,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._engine = engine
        self._concurrency = settings.starter_concurrency
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
                    await listener.wait(POLL_SECONDS)
                except (EngineUnavailable, DBAPIError, OSError) as error:
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
        async with self._database.session() as session:
            claims = await tasks.claim_pending(session, self._concurrency)
        if not claims:
            return False
        started, problem = await self._start(claims)
        async with self._database.session() as session:
            if started:
                await tasks.mark_started(session, started)
            if problem is not None:
                await tasks.release_claims(session, [claim.id for claim in claims])
        if problem is not None:
            raise problem
        return len(claims) == self._concurrency

    async def _start(self, claims: Sequence[Claim]) -> tuple[list[UUID], EngineUnavailable | None]:
        results = await asyncio.gather(*(self._start_one(claim) for claim in claims))
        started = [claim.id for claim, problem in zip(claims, results, strict=True) if problem is None]
        return started, next((problem for problem in results if problem is not None), None)

    async def _start_one(self, claim: Claim) -> EngineUnavailable | None:
        try:
            await self._engine.start_task(claim, self._clock())
        except EngineUnavailable as error:
            return error
        return None


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, EngineUnavailable) else f"the database is away ({type(error).__name__})"
