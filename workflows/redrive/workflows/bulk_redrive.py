"""The bulk redrive: one workflow per redrive, which looks at it again and again until nothing is left to be done.

    look (settle what has ended → decide → release) → rest (timer, or a person's change) → look …, or end

A look is one activity, and what it decides by is in the redrive's row (`redrive.core.bulk`, `redrive.store.redrives`).
So the history holds no task at all: a hundred thousand of them cost as many events as ten. A look that is repeated
because its worker was lost does nothing twice, since releasing tasks and noting that is one transaction; and a redrive
whose workflow is lost altogether goes on by starting another one.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from typing import Final

from temporalio import workflow
from temporalio.common import Priority, RetryPolicy
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from redrive.core.messages import BULK_REDRIVE, LOOK, SIGNAL_LOOK, BulkRun, Looked

LOOK_TIMEOUT: Final = timedelta(minutes=5)
HEARTBEAT_TIMEOUT: Final = timedelta(seconds=10)
"""A worker that is silent for this long is lost; another one looks."""

# A look fails only when something of ours is away. The redrive goes on when it is back, however long that takes.
LOOK_RETRY: Final = RetryPolicy(
    initial_interval=timedelta(milliseconds=500), backoff_coefficient=2, maximum_interval=timedelta(seconds=10)
)

STOPPED_IN_TEMPORAL: Final = "the workflow was cancelled in Temporal"


@workflow.defn(name=BULK_REDRIVE)
class BulkRedrive:
    """Carries out one redrive."""

    @workflow.init
    def __init__(self, run: BulkRun) -> None:
        self._run = run
        self._changes = 0

    @workflow.run
    async def run(self, run: BulkRun) -> str:
        """Look at a redrive until nothing is left to be done.

        Args:
            run: Which redrive.

        Returns:
            Where it stands at the end.
        """
        while True:
            try:
                changes = self._changes
                looked = await self._look()
                if looked.finished:
                    return looked.status
                if workflow.info().is_continue_as_new_suggested():
                    workflow.continue_as_new(self._run)
                await self._rest(looked.wait_seconds, changes)
            except (asyncio.CancelledError, ActivityError) as error:
                if not is_cancelled_exception(error):
                    raise
                # Somebody cancelled the workflow in Temporal's own console or CLI. Tasks that are released already
                # live on, and the redrive still learns how they end.
                self._run.abort = STOPPED_IN_TEMPORAL

    async def _look(self) -> Looked:
        looked: Looked = await workflow.execute_activity(
            LOOK,
            self._run,
            result_type=Looked,
            start_to_close_timeout=LOOK_TIMEOUT,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=LOOK_RETRY,
            # One look releases many tasks, and a person may wait for what it was told.
            priority=Priority(priority_key=1),
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        )
        return looked

    async def _rest(self, seconds: float, changes: int) -> None:
        if seconds > 0:
            with contextlib.suppress(asyncio.TimeoutError):
                await workflow.wait_condition(lambda: self._changes != changes, timeout=timedelta(seconds=seconds))

    @workflow.signal(name=SIGNAL_LOOK)
    def look(self) -> None:
        """Look at once: a person has changed the redrive."""
        self._changes += 1
