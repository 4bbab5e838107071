"""Updates of a task's workflow: the way in which whoever changes a running task learns whether it was taken."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, Final

from temporalio.client import (
    Client,
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from redrive.core.errors import RedriveError
from redrive.core.messages import TaskView, workflow_id

UPDATE_SECONDS: Final = 5.0
"""How long an update may wait for a worker."""


class UpdateRefused(RedriveError):
    """The workflow refused an update: the task is not in a state for it."""


class WorkflowGone(RedriveError):
    """No workflow runs for the task."""


class EngineUnavailable(RedriveError):
    """Temporal, or every worker, is away."""


async def update_task(
    client: Client,
    namespace: str,
    task_id: str,
    generation: int,
    name: str,
    argument: object,
    *,
    update_id: str | None = None,
) -> TaskView:
    """Change a running task, and learn at once whether the change was taken.

    Args:
        client: Temporal.
        namespace: Its namespace.
        task_id: Its id.
        generation: Its generation.
        name: Name of the update.
        argument: Its argument.
        update_id: What makes it one update however often it is sent; None for one that is sent once.

    Returns:
        The state after the change.

    Raises:
        UpdateRefused: The task is not in a state for it.
        WorkflowGone: No workflow runs for the task.
        EngineUnavailable: Temporal or every worker is away.
    """
    handle: WorkflowHandle[Any, Any] = client.get_workflow_handle(workflow_id(namespace, task_id, generation))
    try:
        async with asyncio.timeout(UPDATE_SECONDS):
            view: TaskView = await handle.execute_update(  # pyright: ignore[reportUnknownMemberType]
                name, argument, id=update_id, result_type=TaskView, rpc_timeout=timedelta(seconds=UPDATE_SECONDS)
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
