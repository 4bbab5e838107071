"""`/v1/attempts`: attempts that a group's own Temporal worker takes from its task queue.

The worker has no inbound port, and payloads never enter Temporal: so it asks here for what an attempt needs, and tells
here how it ended. Its Temporal activity returns the `result` that it gets here, as it is.
"""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Response

from redrive.activities.ledger import CANCELLED, DeliveredAgain, Ledger, moved_elsewhere, read_probe
from redrive.activities.request import execute_document, read_execute_answer, timed_out
from redrive.api.access import Access
from redrive.api.dependencies import AccessDep, ServicesDep
from redrive.api.documentation import problems
from redrive.api.engine import EngineUnavailable
from redrive.api.problems import ENGINE_UNAVAILABLE, SUPERSEDED, Refusal
from redrive.api.routing import Route
from redrive.api.schemas.attempts import (
    AttemptCommand,
    AttemptFinish,
    AttemptFinished,
    AttemptStart,
    AttemptStarted,
    Woken,
    WorkerReady,
)
from redrive.api.services import Services
from redrive.api.validation import invalid_field, shown
from redrive.api.visibility import find_visible_task
from redrive.api.waker import SET_SIZE
from redrive.core.messages import DispatchCommand, DispatchResult
from redrive.store import attempts, tasks
from redrive.store.attempts import Finish
from redrive.store.tables import Task
from redrive.store.tasks import Delivery, DeliveryKey

router = APIRouter(prefix="/v1/attempts", tags=["attempts"], route_class=Route)


@router.post("/start", response_model=AttemptStarted, responses=problems(404, 409, 413, 415))
async def start_attempt(start: AttemptStart, access: AccessDep, services: ServicesDep) -> Response:
    """Open an attempt, and get what is to be run.

    Asking again delivers it again, under the same number: the delivery before must then not say how it ended.
    """
    command, task = await _check(services, access, start.command, starts=True)
    ledger = Ledger(services.database)
    deadline = ledger.deadline(command)
    try:
        result = None
        if task.generation == command.generation:
            result = moved_elsewhere(command, task.executor, task.target, task.scene)
        result = result or await ledger.late(command)
        delivery = result or await _open(services, ledger, command, start.worker)
    except DeliveredAgain as error:
        raise Refusal(SUPERSEDED, f"{error}, and runs elsewhere") from None
    if isinstance(delivery, DispatchResult):
        content = AttemptStarted(result=delivery).model_dump_json()
    else:
        # As text, because decoding and encoding the arguments could only change them.
        request = execute_document(command, delivery, deadline)
        content = f'{{"delivery": {delivery.number}, "request": {request}, "result": null}}'
    return Response(content, media_type="application/json")


@router.post("/finish", responses=problems(404, 409, 413, 415))
async def finish_attempt(finish: AttemptFinish, access: AccessDep, services: ServicesDep) -> AttemptFinished:
    """Say how an attempt ended. Saying it again changes nothing; only the newest delivery may say it."""
    command, _ = await _check(services, access, finish.command)
    async with services.database.session() as session:
        newest = await attempts.find_delivery(session, command)
    if newest is None or newest.number != finish.delivery:
        raise _superseded(command, finish.delivery, newest)
    ledger = Ledger(services.database)
    try:
        result = await _close(ledger, command, newest, finish)
    except DeliveredAgain:
        raise _superseded(command, finish.delivery, newest) from None
    ticket = await services.admission.ticket(command, read_probe(newest.probe))
    await services.admission.settle(ticket, result)
    return AttemptFinished(result=result)


@router.post("/ready", responses=problems(413, 415))
async def announce_worker(ready: WorkerReady, access: AccessDep, services: ServicesDep) -> Woken:
    """Wake a few of the tasks that were parked because nobody polled their task queue."""
    access.require_group(ready.group)
    async with services.database.session() as session:
        keys = await tasks.claim_parked_of_queue(
            session, access.namespace, ready.group, ready.task_queue, ready.polling_seconds, SET_SIZE
        )
    try:
        await asyncio.gather(*(services.engine.wake(key) for key in keys))
    except EngineUnavailable as error:
        raise Refusal(ENGINE_UNAVAILABLE, f"{error}; parked tasks look again by themselves") from None
    return Woken(woken=len(keys), more=len(keys) == SET_SIZE)


async def _check(
    services: Services, access: Access, asked: AttemptCommand, *, starts: bool = False
) -> tuple[DispatchCommand, Task]:
    """Refuse a command about something else than a worker's attempt that the key opens.

    Args:
        services: The database.
        access: Who asks.
        asked: The command.
        starts: Whether the attempt is to start: then a worker is told that the task has moved elsewhere, also to a
            node or a webhook.

    Returns:
        The command as the ledger takes it, and the task.
    """
    access.require_group(asked.group)
    if asked.namespace != access.namespace:
        expected = f"expected {access.namespace!r}, the namespace of the request"
        raise invalid_field(
            "command.namespace", f"{expected}, got {shown(asked.namespace)}: give each namespace its own task queues"
        )
    async with services.database.session() as session:
        task = await find_visible_task(session, access, asked.task_id)
    if task.group != asked.group:
        raise invalid_field("command.group", f"expected {task.group!r}, the task's group, got {shown(asked.group)}")
    if task.generation != asked.generation and not starts:
        detail = f"expected generation {task.generation} of task {task.id}, the present one, got {asked.generation}"
        raise Refusal(SUPERSEDED, f"{detail}: that one has ended, and nothing of it counts any more")
    if task.target["kind"] != "worker" and not (starts and asked.task_queue is not None):
        expected = "expected a task whose target is a worker"
        raise invalid_field("command.task_id", f"{expected}, got one whose target is a {task.target['kind']}")
    command = asked.command()
    if command.task_queue is None:
        # An older engine does not say where it sent the attempt.
        command.task_queue = task.target.get("task_queue")
    return command, task


async def _open(
    services: Services, ledger: Ledger, command: DispatchCommand, worker: str | None
) -> Delivery | DispatchResult:
    """Open an attempt, if its target may have it."""
    ticket = await services.admission.ask(command)
    if isinstance(ticket, DispatchResult):
        return await ledger.ended(command) or ticket
    try:
        delivery = await ledger.start(command, node_id=worker, probe=ticket.probe)
    except BaseException:
        await asyncio.shield(services.admission.abort(ticket, is_over=False))
        raise
    if isinstance(delivery, DispatchResult):
        await services.admission.settle(ticket, delivery)
    return delivery


async def _close(
    ledger: Ledger, command: DispatchCommand, delivery: DeliveryKey, finish: AttemptFinish
) -> DispatchResult:
    if finish.not_taken is not None:
        return await ledger.abandon(command, delivery, finish.not_taken)
    return await ledger.finish(command, delivery, _finish(command, finish))


def _finish(command: DispatchCommand, finish: AttemptFinish) -> Finish:
    if finish.cancelled:
        return CANCELLED
    if finish.timed_out or finish.answer is None:
        return timed_out(command.timeout_seconds, finish.answer)
    return read_execute_answer(finish.answer)


def _superseded(command: DispatchCommand, delivery: int, newest: DeliveryKey | None) -> Refusal:
    attempt = f"attempt {command.number} of task {command.task_id}"
    if newest is None:
        return Refusal(SUPERSEDED, f"{attempt} has been taken back, so there is nothing to finish")
    return Refusal(
        SUPERSEDED, f"expected delivery {newest.number} of {attempt}, the newest, got the result of delivery {delivery}"
    )
