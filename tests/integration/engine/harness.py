"""Redrive without its HTTP API: report into the store, a starter, a waker, and sandboxed workers that can be ended."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text
from temporalio.client import Client, WorkflowHandle
from tests.eventually import eventually

from redrive.api.engine import Engine
from redrive.api.intake import Intake
from redrive.api.releaser import Releaser
from redrive.api.starter import Starter
from redrive.api.waker import Waker
from redrive.core.messages import TaskView, workflow_id
from redrive.core.states import TERMINAL, TaskStatus
from redrive.store import attempts, nodes, scenes, tasks
from redrive.store.database import Database, new_id
from redrive.store.restraints import RestraintsCache
from redrive.store.settings import Settings
from redrive.store.tables import Attempt, Task
from redrive.store.tasks import NewTask
from redrive.workflows.worker import sandboxed_runner, serving

NAMESPACE = "default"
GROUP = "orders"
SCENE = "charge-card"

QUICK: Mapping[str, Any] = {
    "backoff": {"kind": "fixed", "delay_seconds": 0.05, "jitter": {"kind": "none"}},
    "max_attempts": 3,
    "attempt_timeout_seconds": 20,
}
"""A policy that retries at once."""


class Platform:
    """One installation of Redrive."""

    def __init__(self, database: Database, client: Client, address: str, *, share_client: bool = False) -> None:
        self.database = database
        self.client = client
        self.settings = Settings(
            database_url=database.url.render_as_string(hide_password=False),
            temporal_address=address,
            temporal_namespace=client.namespace,
            task_queue=f"queue-{uuid4()}",
            shutdown_seconds=0.1,
            reconcile_seconds=3600,
        )
        self.engine = Engine(self.settings, client if share_client else None)
        self.restraints = RestraintsCache(database)
        self.starter = Starter(database, self.engine, self.settings, self.restraints)
        self.waker = Waker(database, self.engine)
        self.releaser = Releaser(database, self.engine, self.restraints)
        self.policy: dict[str, Any] = {}

    async def prepare(self, policy: Mapping[str, Any] = QUICK) -> None:
        """Open the connection to Temporal, and make the scene that all tasks here belong to."""
        await self.engine.start()
        async with self.database.begin() as session:
            await scenes.create_namespace(session, NAMESPACE)
            await scenes.create_group(session, NAMESPACE, GROUP)
            await scenes.create_scene(session, NAMESPACE, GROUP, SCENE, policy)

    @contextlib.asynccontextmanager
    async def worker(self, **options: Any) -> AsyncGenerator[None]:
        """Run a worker, sandboxed: what is not deterministic fails."""
        async with serving(self.client, self.database, self.settings, runner=sandboxed_runner(), **options):
            yield

    @contextlib.asynccontextmanager
    async def starting(self) -> AsyncGenerator[None]:
        """Run the starter, the waker and the releaser."""
        running = [asyncio.create_task(each.run()) for each in (self.starter, self.waker, self.releaser)]
        try:
            yield
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def report(
        self,
        target: Mapping[str, Any],
        policy: Mapping[str, Any] | None = None,
        *,
        delay: float = 0,
        deadline: datetime | None = None,
        **fields: Any,
    ) -> UUID:
        """Report a task as the API does, with the parts of the policy that it overrides, and give the id it answers."""
        async with self.database.begin() as session:
            configuration = await scenes.load_configuration(session, NAMESPACE, GROUP, SCENE)
            assert configuration is not None
            effective = configuration.effective(policy)
            now = datetime.now(UTC)
            values: dict[str, Any] = {
                "status": "pending",
                "dead_reason": None,
                "finished_at": None,
                "executor": None if target["kind"] == "webhook" else "orders.charge",
                "args": ["o-1"],
                "kwargs": {"amount": 5},
                "body": None,
                "business_key": None,
                "priority": 3,
                "metadata": {},
                "trace_context": {},
                "error_message": "the call timed out",
                "error_stack": None,
                "idempotency_key": None,
                **fields,
            }
        task = NewTask(
            id=new_id(),
            namespace=NAMESPACE,
            group=GROUP,
            scene=SCENE,
            why="reported",
            max_attempts=effective["max_attempts"],
            delay_seconds=delay,
            next_attempt_at=now + timedelta(seconds=delay),
            deadline=deadline,
            payload_hash="",
            target=target,
            policy=effective,
            policy_override=policy,
            policy_version=configuration.version,
            error_type="TimeoutError",
            fingerprint=None,
            created_at=now,
            **values,
        )
        inserted = await Intake(self.database).insert([task])
        return inserted.outcome(task).id

    async def register(self, url: str, node_id: str | None = None, executors: tuple[str, ...] = ()) -> str:
        """Register a node."""
        node_id = node_id or f"node-{uuid4()}"
        async with self.database.begin() as session:
            node: dict[str, Any] = {
                "id": node_id,
                "namespace": NAMESPACE,
                "group": GROUP,
                "url": url,
                "labels": {},
                "version": None,
            }
            await nodes.register(session, {**node, "executors": list(executors), "capacity": None})
        return node_id

    async def task(self, task_id: UUID) -> Task:
        async with self.database.session() as session:
            task = await tasks.find_task(session, NAMESPACE, task_id)
        assert task is not None
        return task

    async def ledger(self, task_id: UUID) -> list[Attempt]:
        async with self.database.session() as session:
            return await attempts.list_attempts(session, task_id)

    async def execute(self, statement: str, **values: Any) -> None:
        """Change the database behind Redrive's back."""
        async with self.database.session() as session:
            await session.execute(text(statement), values)

    async def reaches(self, task_id: UUID, *statuses: str, within: float = 45) -> Task:
        """Wait until the mirror shows one of these states."""

        async def there() -> Task | None:
            task = await self.task(task_id)
            return task if task.status in statuses else None

        found = await eventually(there, within, f"{' or '.join(statuses)} of {task_id}")
        assert found is not None
        return found

    async def ends(self, task_id: UUID, within: float = 45) -> Task:
        """Wait until the task and its workflow have ended, and check what holds for every end."""
        task = await self.reaches(task_id, *TERMINAL, within=within)
        await eventually(lambda: self.closed(task_id, task.generation), what=f"the end of the workflow of {task_id}")
        await self.check_ledger(task_id)
        return task

    async def closed(self, task_id: UUID, generation: int = 1) -> bool:
        return (await self.handle(task_id, generation).describe()).close_time is not None

    async def check_ledger(self, task_id: UUID) -> list[Attempt]:
        """What must be true of every ledger (design section 6)."""
        task = await self.task(task_id)
        ledger = [attempt for attempt in await self.ledger(task_id) if attempt.generation == task.generation]
        assert [attempt.number for attempt in ledger] == list(range(1, len(ledger) + 1))
        for attempt in ledger:
            assert attempt.due_at <= attempt.started_at, f"attempt {attempt.number} ran before its time"
        for earlier, later in itertools.pairwise(ledger):
            assert earlier.finished_at is not None
            assert earlier.finished_at <= later.started_at, "two attempts of one task at once"
        if task.status in TERMINAL:
            assert all(attempt.status != "running" for attempt in ledger)
        assert task.attempts <= len(ledger)
        return ledger

    def handle(self, task_id: UUID, generation: int = 1) -> WorkflowHandle[Any, Any]:
        return self.client.get_workflow_handle(workflow_id(NAMESPACE, str(task_id), generation))

    async def update(self, task_id: UUID, name: str, argument: object) -> TaskView:
        task = await self.task(task_id)
        return await self.engine.update(NAMESPACE, str(task_id), task.generation, name, argument)

    async def change_scene(self, policy: Mapping[str, Any]) -> int | None:
        """Put the next version of the scene's policy in force."""
        async with self.database.begin() as session:
            return await scenes.set_policy(session, NAMESPACE, GROUP, SCENE, policy)

    async def reaches_attempts(self, task_id: UUID, count: int) -> None:
        """Wait until so many attempts have ended and the task waits for the next one."""

        async def there() -> bool:
            task = await self.task(task_id)
            return task.attempts == count and task.status == TaskStatus.WAITING

        await eventually(there, what=f"{count} attempts of {task_id}")

    async def started(self, task_id: UUID) -> None:
        """Wait until the starter has started the workflow."""
        await eventually(lambda: self._left_pending(task_id), what=f"the start of {task_id}")

    async def _left_pending(self, task_id: UUID) -> bool:
        return (await self.task(task_id)).status != TaskStatus.PENDING


def webhook(url: str, **fields: Any) -> dict[str, Any]:
    """Describe a webhook target."""
    return {"kind": "webhook", "url": f"{url}/hook", "method": "POST", "headers": {}, **fields}


NODE: Mapping[str, Any] = {"kind": "node"}
