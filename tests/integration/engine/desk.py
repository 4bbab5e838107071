"""A person at the controls of redrives, without the HTTP API."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from temporalio.client import WorkflowHandle
from tests.eventually import eventually
from tests.integration.engine.harness import NAMESPACE, Platform, webhook
from tests.integration.engine.target import Target

from redrive.api.access import Access
from redrive.api.redrives import Redrives
from redrive.api.schemas.redrives import RedriveRequest
from redrive.core.messages import redrive_workflow_id
from redrive.store import redrives
from redrive.store.keys import Scope
from redrive.store.tables import Redrive, RedriveItem

ACCESS = Access(Scope(), NAMESPACE)
FAST: dict[str, Any] = {"rate_per_second": 500, "ramp": None}


class Desk:
    """A person at a redrive's controls."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.redrives = Redrives(platform.database, platform.engine, platform.settings.task_queue)

    async def dead(self, count: int, target: Target, **fields: Any) -> list[UUID]:
        """Make dead tasks, the first of which is the oldest."""
        ended = {"status": "dead", "dead_reason": "exhausted", "finished_at": datetime.now(UTC)}
        found = [await self.platform.report(webhook(target.url), **ended, **fields) for _ in range(count)]
        await self.platform.execute("UPDATE tasks SET attempts = 3 WHERE id = ANY(:ids)", ids=found)
        return found

    async def start(self, **fields: Any) -> UUID:
        """Start a redrive of everything, unless told otherwise."""
        given: dict[str, Any] = {"selection": {"group": "orders"}, **FAST, **fields}
        return (await self.redrives.create(ACCESS, RedriveRequest(**given))).id

    async def find(self, redrive_id: UUID) -> Redrive:
        async with self.platform.database.session() as session:
            found = await redrives.find_redrive(session, NAMESPACE, redrive_id)
        assert found is not None
        return found

    async def items(self, redrive_id: UUID) -> Sequence[RedriveItem]:
        async with self.platform.database.session() as session:
            return await redrives.list_items(session, redrive_id, limit=10_000)

    async def reaches(self, redrive_id: UUID, *statuses: str, within: float = 30) -> Redrive:
        async def there() -> Redrive | None:
            found = await self.find(redrive_id)
            return found if found.status in statuses else None

        found = await eventually(there, within, f"{' or '.join(statuses)} of redrive {redrive_id}")
        assert found is not None
        return found

    async def closes(self, redrive_id: UUID, within: float = 30) -> Redrive:
        """Wait until the redrive's workflow has ended, and check that its report adds up."""
        handle = self.handle(redrive_id)
        await eventually(lambda: _closed(handle), within, f"the end of the workflow of {redrive_id}")
        found = await self.find(redrive_id)
        items = await self.items(redrive_id)
        outcomes = Counter(item.outcome for item in items)
        assert found.total == len(items)
        assert {name: getattr(found, name) for name in ("succeeded", "dead", "skipped", "failed")} == {
            name: outcomes[name] for name in ("succeeded", "dead", "skipped", "failed")
        }
        assert found.waiting == found.in_flight == 0
        assert all(item.finished_at is not None for item in items)
        return found

    async def released(self, redrive_id: UUID, count: int) -> bool:
        found = await self.find(redrive_id)
        return found.total - found.waiting >= count

    def handle(self, redrive_id: UUID) -> WorkflowHandle[Any, Any]:
        return self.platform.client.get_workflow_handle(redrive_workflow_id(NAMESPACE, str(redrive_id)))

    async def generations(self) -> Counter[tuple[str, int]]:
        async with self.platform.database.session() as session:
            rows = await session.execute(text("SELECT status, generation FROM tasks"))
            return Counter((row.status, row.generation) for row in rows)


async def _closed(handle: WorkflowHandle[Any, Any]) -> bool:
    return (await handle.describe()).close_time is not None
