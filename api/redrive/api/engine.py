"""The API's side of Temporal: starting workflows, and updates with their refusals."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime, timedelta
from typing import Any, Final

from temporalio.client import (
    Client,
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import (
    Priority,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from redrive.core.errors import RedriveError
from redrive.core.messages import RETRY_TASK, SIGNAL_WAKE, TaskRun, TaskView, fairness_key, workflow_id
from redrive.store.settings import Settings
from redrive.store.tasks import Claim, WorkflowKey
from redrive.workflows.engine import (
    BUSINESS_KEY_ATTRIBUTE,
    GROUP_ATTRIBUTE,
    SCENE_ATTRIBUTE,
    add_search_attributes,
    connect,
)

UPDATE_SECONDS: Final = 5.0
"""How long an operation by hand may wait for a worker."""

START_SECONDS: Final = 10.0
"""How long one start may take; the SDK tries again within it."""


class UpdateRefused(RedriveError):
    """The workflow refused an update: the task is not in a state for it."""


class WorkflowGone(RedriveError):
    """No workflow runs for the task."""


class EngineUnavailable(RedriveError):
    """Temporal, or every worker, is away."""


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
                priority=Priority(priority_key=claim.priority, fairness_key=fairness_key(claim.namespace, claim.group)),
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
        handle: WorkflowHandle[Any, Any] = self.client.get_workflow_handle(workflow_id(namespace, task_id, generation))
        try:
            async with asyncio.timeout(UPDATE_SECONDS):
                view: TaskView = await handle.execute_update(  # pyright: ignore[reportUnknownMemberType]
                    name, argument, result_type=TaskView, rpc_timeout=timedelta(seconds=UPDATE_SECONDS)
                )
                return view
        except WorkflowUpdateFailedError as error:
            cause = error.cause
            message = cause.message if isinstance(cause, ApplicationError) else str(cause)
            if isinstance(cause, ApplicationError) and cause.type == "AcceptedUpdateCompletedWorkflow":
                raise WorkflowGone(message) from None
            raise UpdateRefused(message) from None
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                raise WorkflowGone(error.message) from None
            raise EngineUnavailable(_no_answer()) from None
        except (WorkflowUpdateRPCTimeoutOrCancelledError, TimeoutError, RuntimeError):
            raise EngineUnavailable(_no_answer()) from None


def _no_answer() -> str:
    return (
        f"no worker answered within {UPDATE_SECONDS:g} s; the task is unchanged or will show the change soon. "
        "Check that `redrive worker` runs and that Temporal is up, then look at the task again"
    )


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
        affinity=claim.business_key or str(claim.id),
        executor=claim.executor,
        task_queue=claim.target.get("task_queue"),
        target_key=claim.target_key,
        counters=dict(claim.counters),
        trigger="manual" if claim.replayed else "timer",
    )
