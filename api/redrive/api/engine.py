"""The API's side of Temporal: starting workflows, and updates with their refusals."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime, timedelta
from typing import Any, Final

from temporalio.api.workflowservice.v1 import GetSystemInfoRequest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import (
    Priority,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.service import RPCError, RPCStatusCode

from redrive.activities.updates import EngineUnavailable, UpdateRefused, WorkflowGone, update_task
from redrive.core.errors import RedriveError
from redrive.core.messages import (
    BULK_REDRIVE,
    RETRY_TASK,
    SIGNAL_LOOK,
    SIGNAL_WAKE,
    BulkRun,
    TaskRun,
    TaskView,
    fairness_key,
    redrive_workflow_id,
    workflow_id,
)
from redrive.store.settings import Settings
from redrive.store.tasks import Claim, WorkflowKey
from redrive.workflows.engine import (
    BUSINESS_KEY_ATTRIBUTE,
    GROUP_ATTRIBUTE,
    SCENE_ATTRIBUTE,
    add_search_attributes,
    connect,
)

__all__ = ["Engine", "EngineUnavailable", "StartRefused", "UpdateRefused", "WorkflowGone"]

START_SECONDS: Final = 10.0
"""How long one start may take; the SDK tries again within it."""


DRIVE_SECONDS: Final = 2.0
"""How long a person waits until a redrive is looked at; without an answer its keeper sees to it."""


class StartRefused(RedriveError):
    """Temporal is there, and will not take this workflow."""


class Engine:
    """Temporal as the API uses it. It may be away: reports do not need it.

    Args:
        settings: Where it is.
        client: A client to use; one that fits the settings is made when not given.
    """

    def __init__(self, settings: Settings, client: Client | None = None) -> None:
        self._settings = settings
        self._client = client
        self._prepared = False

    async def start(self) -> None:
        """Make the client. No connection is opened yet."""
        if self._client is None:
            self._client = await connect(self._settings, lazy=True)

    async def close(self) -> None:
        """Let go of the client; its connection closes with it."""
        self._client = None

    @property
    def client(self) -> Client:
        """The client.

        Raises:
            EngineUnavailable: The engine has not been started.
        """
        if self._client is None:
            raise EngineUnavailable("the connection to Temporal is not open")
        return self._client

    async def check(self) -> None:
        """Prove that Temporal answers.

        Raises:
            EngineUnavailable: It does not.
        """
        try:
            async with asyncio.timeout(2):
                healthy = await self.client.service_client.check_health(timeout=timedelta(seconds=2))
        except (RPCError, RuntimeError, TimeoutError) as error:
            raise EngineUnavailable(f"Temporal does not answer: {error.__class__.__name__}") from None
        if not healthy:
            raise EngineUnavailable("Temporal answers that it is not serving")

    async def server_version(self) -> str:
        """Tell the version of the Temporal server.

        Raises:
            EngineUnavailable: It does not answer.
        """
        try:
            answer = await self.client.workflow_service.get_system_info(
                GetSystemInfoRequest(), timeout=timedelta(seconds=2)
            )
        except (RPCError, RuntimeError) as error:
            raise EngineUnavailable(f"Temporal does not answer: {error.__class__.__name__}") from None
        return answer.server_version

    async def prepare(self) -> None:
        """Make sure once that the namespace has Redrive's search attributes.

        Raises:
            EngineUnavailable: Temporal does not answer.
        """
        if not self._prepared:
            try:
                await add_search_attributes(self.client)
            except (RPCError, RuntimeError) as error:
                raise EngineUnavailable(f"Temporal does not answer: {error.__class__.__name__}") from None
            self._prepared = True

    async def start_task(self, claim: Claim, now: datetime) -> None:
        """Start the workflow of a task's generation. Starting it twice is harmless.

        Args:
            claim: The task.
            now: The clock: the first attempt is put off by what remains until it is due.

        Raises:
            EngineUnavailable: Temporal did not answer.
            StartRefused: Temporal refused it.
        """
        attributes: list[SearchAttributePair[Any]] = [
            SearchAttributePair(GROUP_ATTRIBUTE, claim.group),
            SearchAttributePair(SCENE_ATTRIBUTE, claim.scene),
        ]
        if claim.business_key is not None:
            attributes.append(SearchAttributePair(BUSINESS_KEY_ATTRIBUTE, claim.business_key))
        remaining = claim.next_attempt_at - now
        try:
            await self.client.start_workflow(
                RETRY_TASK,
                _task_run(claim),
                id=workflow_id(claim.namespace, str(claim.id), claim.generation),
                task_queue=self._settings.task_queue,
                # The first backoff costs no timer, no workflow task and no worker.
                start_delay=remaining if remaining > timedelta(0) else None,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                # The reconciler starts a lost generation again under its old id.
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                search_attributes=TypedSearchAttributes(attributes),
                priority=Priority(
                    priority_key=claim.priority,
                    fairness_key=fairness_key(claim.namespace, claim.group),
                    fairness_weight=claim.weight,
                ),
                rpc_timeout=timedelta(seconds=START_SECONDS),
            )
        except RPCError as error:
            if error.status is RPCStatusCode.INVALID_ARGUMENT:
                raise StartRefused(error.message) from None
            raise EngineUnavailable(f"Temporal took no workflow: {error}") from None
        except RuntimeError as error:
            raise EngineUnavailable(f"Temporal took no workflow: {error}") from None

    async def stop_replaced(self, claim: Claim) -> None:
        """End the workflow of the generation before, which a newer report has replaced.

        It would find out by itself when its next attempt is due. Should Temporal not answer, the reconciler ends it.
        """
        name = workflow_id(claim.namespace, str(claim.id), claim.generation - 1)
        with contextlib.suppress(RPCError, RuntimeError):
            await self.client.get_workflow_handle(name).terminate(
                reason="Redrive: a newer report has replaced the task", rpc_timeout=timedelta(seconds=START_SECONDS)
            )

    async def wake(self, key: WorkflowKey) -> None:
        """Tell a parked task that its target may be back.

        Args:
            key: The task.

        Raises:
            EngineUnavailable: Temporal does not answer.
        """
        handle = self.client.get_workflow_handle(workflow_id(key.namespace, str(key.id), key.generation))
        try:
            await handle.signal(SIGNAL_WAKE, rpc_timeout=timedelta(seconds=START_SECONDS))
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise EngineUnavailable(f"Temporal took no signal: {error.message}") from None
        except RuntimeError as error:
            raise EngineUnavailable(f"Temporal took no signal: {error}") from None

    async def update(self, namespace: str, task_id: str, generation: int, name: str, argument: object) -> TaskView:
        """Change a running task, and learn at once whether the change was taken.

        Args:
            namespace: Its namespace.
            task_id: Its id.
            generation: Its generation.
            name: Name of the update.
            argument: Its argument.

        Returns:
            The state after the change.

        Raises:
            UpdateRefused: The task is not in a state for it.
            WorkflowGone: No workflow runs for the task.
            EngineUnavailable: Temporal or every worker is away.
        """
        return await update_task(self.client, namespace, task_id, generation, name, argument)

    async def drive(self, namespace: str, redrive_id: str, *, look: bool = False) -> None:
        """Start the workflow of a redrive. Starting it twice is harmless.

        Args:
            namespace: Namespace of the redrive.
            redrive_id: Its id.
            look: Whether it is to look at once at what was changed.

        Raises:
            EngineUnavailable: Temporal does not answer.
        """
        try:
            await self.client.start_workflow(
                BULK_REDRIVE,
                BulkRun(namespace, redrive_id),
                id=redrive_workflow_id(namespace, redrive_id),
                task_queue=self._settings.task_queue,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                start_signal=SIGNAL_LOOK if look else None,
                rpc_timeout=timedelta(seconds=DRIVE_SECONDS),
            )
        except (RPCError, RuntimeError) as error:
            raise EngineUnavailable(f"Temporal took no workflow: {error}") from None

    async def was_stopped(self, namespace: str, redrive_id: str) -> bool:
        """Tell whether somebody terminated the workflow of a redrive in Temporal.

        Args:
            namespace: Namespace of the redrive.
            redrive_id: Its id.

        Raises:
            EngineUnavailable: Temporal does not answer.
        """
        handle = self.client.get_workflow_handle(redrive_workflow_id(namespace, redrive_id))
        try:
            found = await handle.describe(rpc_timeout=timedelta(seconds=START_SECONDS))
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return False
            raise EngineUnavailable(f"Temporal does not answer: {error.message}") from None
        except RuntimeError as error:
            raise EngineUnavailable(f"Temporal does not answer: {error}") from None
        return found.status is WorkflowExecutionStatus.TERMINATED


def _task_run(claim: Claim) -> TaskRun:
    return TaskRun(
        namespace=claim.namespace,
        task_id=str(claim.id),
        generation=claim.generation,
        group=claim.group,
        scene=claim.scene,
        policy=dict(claim.policy),
        policy_version=claim.policy_version,
        started_at=claim.started_at.isoformat(),
        due_at=claim.next_attempt_at.isoformat(),
        deadline=None if claim.deadline is None else claim.deadline.isoformat(),
        attempts=claim.attempts,
        number=claim.number,
        delay_seconds=claim.delay_seconds,
        priority=claim.priority,
        weight=claim.weight,
        affinity=claim.business_key or str(claim.id),
        executor=claim.executor,
        task_queue=claim.target.get("task_queue"),
        target_key=claim.target_key,
        counters=dict(claim.counters),
        trigger=("manual" if claim.redrive_id is None else "redrive") if claim.replayed else "timer",
    )
