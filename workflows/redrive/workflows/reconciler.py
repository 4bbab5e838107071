"""Mirror and engine agree, or are made to.

Two walks, each bounded per round. From the mirror: open rows that should have moved by now, and then all open rows a
page at a time, are compared with their workflows. From the engine: open workflows, a page at a time, are compared with
their rows. What is found:

    row open, workflow unknown, failed or finished    → the starter starts it again, in the same generation
    row open, workflow cancelled or terminated        → the row is cancelled, for somebody did so in Temporal
    row ended, in another generation, or gone         → the workflow is terminated
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from redrive.core.messages import RETRY_TASK, workflow_id
from redrive.core.states import TERMINAL, TaskStatus
from redrive.store import reconciliations, tasks
from redrive.store.callbacks import insert_callback
from redrive.store.database import Database
from redrive.store.tasks import WorkflowKey

GRACE_SECONDS: Final = 30.0
"""How long a row may be behind before it is looked at: longer than any write takes that is still under way."""

PAGE: Final = 200
"""Rows, and workflows, that one round looks at."""

AFTER_DRIFT_SECONDS: Final = 5.0
"""Time until the next round after one that found something: where one is lost, more are."""

_LOST: Final = frozenset(
    {WorkflowExecutionStatus.COMPLETED, WorkflowExecutionStatus.FAILED, WorkflowExecutionStatus.TIMED_OUT}
)
_STOPPED: Final = frozenset({WorkflowExecutionStatus.CANCELED, WorkflowExecutionStatus.TERMINATED})

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """What one round found and repaired.

    Attributes:
        rows_checked: Rows that were compared with their workflows.
        workflows_checked: Workflows that were compared with their rows.
        restarted: Rows that were handed back to the starter.
        cancelled: Rows that were ended, because their workflow had been stopped in Temporal.
        closed: Workflows that were terminated, because their task had ended.
    """

    rows_checked: int = 0
    workflows_checked: int = 0
    restarted: int = 0
    cancelled: int = 0
    closed: int = 0

    @property
    def drift(self) -> int:
        """How much was out of step."""
        return self.restarted + self.cancelled + self.closed


class Reconciler:
    """Compares engine and mirror, round by round.

    Args:
        client: A connected client.
        database: The mirror.
        grace_seconds: How long a row may be behind before it is looked at.
    """

    def __init__(self, client: Client, database: Database, grace_seconds: float = GRACE_SECONDS) -> None:
        self._client = client
        self._database = database
        self._grace = grace_seconds
        self._last_row: UUID | None = None
        self._next_page: bytes | None = None

    async def run(self, every_seconds: float) -> None:
        """Run rounds for ever. Of all worker processes one at a time does so.

        Args:
            every_seconds: Time between two rounds, in seconds.
        """
        wait = every_seconds
        while True:
            await asyncio.sleep(wait)
            wait = every_seconds
            try:
                found = await self.round()
            except (RPCError, SQLAlchemyError, OSError, RuntimeError) as error:
                _LOG.warning("reconciling is put off: %s", error.__class__.__name__)
                # Another server knows nothing of this one's pages.
                self._next_page = None
            else:
                if found is not None and found.drift:
                    wait = min(every_seconds, AFTER_DRIFT_SECONDS)

    async def round(self) -> Found | None:
        """Run one round.

        Returns:
            What was found; None when another process is at it.
        """
        async with self._database.begin() as session:
            if not await reconciliations.try_lock(session):
                return None
            started_at = datetime.now(UTC)
            found = await self._check_rows()
            found = await self._check_workflows(found)
            await reconciliations.add(
                session,
                started_at=started_at,
                rows_checked=found.rows_checked,
                workflows_checked=found.workflows_checked,
                restarted=found.restarted,
                cancelled=found.cancelled,
                closed=found.closed,
            )
        if found.drift:
            _LOG.warning(
                "mirror and engine disagreed %d times: %d restarted, %d cancelled, %d workflows terminated",
                found.drift,
                found.restarted,
                found.cancelled,
                found.closed,
            )
        return found

    async def _check_rows(self) -> Found:
        async with self._database.session() as session:
            overdue = await tasks.list_overdue(session, self._grace, PAGE)
            walked = await tasks.list_open_after(session, self._last_row, self._grace, PAGE)
        self._last_row = walked[-1].id if len(walked) == PAGE else None
        found = Found()
        for key in {key.id: key for key in [*overdue, *walked]}.values():
            found = await self._check_row(key, found)
        return found

    async def _check_row(self, key: WorkflowKey, found: Found) -> Found:
        found = replace(found, rows_checked=found.rows_checked + 1)
        status = await self._workflow_status(key)
        if status in _STOPPED:
            async with self._database.begin() as session:
                if await tasks.close_cancelled(session, key, "its workflow was stopped in Temporal"):
                    await insert_callback(session, key.id)
                    return replace(found, cancelled=found.cancelled + 1)
        elif status is None or status in _LOST:
            lost = "unknown to Temporal" if status is None else status.name.lower()
            async with self._database.session() as session:
                if await tasks.restart(session, key, f"started again: its workflow was {lost}"):
                    return replace(found, restarted=found.restarted + 1)
        return found

    async def _workflow_status(self, key: WorkflowKey) -> WorkflowExecutionStatus | None:
        handle = self._client.get_workflow_handle(workflow_id(key.namespace, str(key.id), key.generation))
        try:
            return (await handle.describe()).status
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise

    async def _check_workflows(self, found: Found) -> Found:
        query = f"WorkflowType = '{RETRY_TASK}' AND ExecutionStatus = 'Running'"
        pages = self._client.list_workflows(query, page_size=PAGE, next_page_token=self._next_page)
        await pages.fetch_next_page()
        self._next_page = pages.next_page_token or None
        ids = [execution.id for execution in pages.current_page or ()]
        keys = [key for key in map(_parse_workflow_id, ids) if key is not None]
        async with self._database.session() as session:
            rows = await tasks.list_generations(session, [key.id for key in keys], self._grace)
        for key in keys:
            if _is_stray(key, rows.get(key.id)):
                await self._terminate(key)
                found = replace(found, closed=found.closed + 1)
        return replace(found, workflows_checked=found.workflows_checked + len(keys))

    async def _terminate(self, key: WorkflowKey) -> None:
        handle = self._client.get_workflow_handle(workflow_id(key.namespace, str(key.id), key.generation))
        try:
            await handle.terminate(reason="Redrive: the task has ended, or lives in another generation")
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise


def _is_stray(key: WorkflowKey, row: WorkflowKey | None) -> bool:
    """Tell whether a running workflow has no task to work for.

    A workflow closes a moment after it has recorded its end, so a row that has only just changed proves nothing.
    """
    if row is None:
        return True
    return row.settled and (row.generation != key.generation or TaskStatus(row.status) in TERMINAL)


def _parse_workflow_id(text: str) -> WorkflowKey | None:
    parts = text.split("/")
    try:
        _, namespace, task_id, generation = parts
        return WorkflowKey(namespace, UUID(task_id), int(generation))
    except ValueError:
        return None
