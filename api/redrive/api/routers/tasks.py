"""`/v1/tasks`: reports, lists, details, attempts and operations by hand."""

from __future__ import annotations

from typing import Annotated, Any, cast, get_args
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from redrive.api import operations
from redrive.api.access import Access
from redrive.api.dependencies import AccessDep, Cursor, Limit, ServicesDep, SessionDep, TaskId, TransactionDep
from redrive.api.documentation import problems
from redrive.api.importing import DeadLetters, read_results
from redrive.api.operations import due_at
from redrive.api.problems import Refusal
from redrive.api.reports import Accepted, Duplicate, Outcome
from redrive.api.resources import attempt_resource
from redrive.api.routing import Route
from redrive.api.schemas.base import Page
from redrive.api.schemas.problems import Problem
from redrive.api.schemas.tasks import (
    AttemptResource,
    BatchReport,
    BatchResult,
    BatchResults,
    EditAndRetry,
    Operation,
    PayloadRevision,
    RescheduleOperation,
    TaskChange,
    TaskCount,
    TaskReport,
    TaskResource,
    TaskSummary,
)
from redrive.api.selections import COUNT_SECONDS, SelectionQuery, narrowed
from redrive.api.services import Services
from redrive.api.visibility import find_visible_task
from redrive.core.messages import Cancel, Pause, Reschedule, Resume, RetryNow
from redrive.store import attempts, edits, search, tasks
from redrive.store.search import InvalidCursor, Sort, decode_cursor, encode_cursor

router = APIRouter(prefix="/v1/tasks", tags=["tasks"], route_class=Route)

_OPERATION_PROBLEMS = problems(404, 409, 413, 415)


@router.post(
    "",
    status_code=201,
    responses={
        200: {"model": TaskResource, "description": "The idempotency key is known and the payload is the same."},
        **problems(404, 409, 413, 415),
    },
)
async def report_task(report: TaskReport, response: Response, access: AccessDep, services: ServicesDep) -> TaskResource:
    """Report a failed call. The answer means: it is on disk, and it will be retried.

    Temporal need not be up for that. A group or a scene that is unknown is made from its namespace's defaults, unless
    that is switched off.
    """
    outcome = await services.reporter.take(access, report)
    if isinstance(outcome, Accepted):
        response.headers["Location"] = f"/v1/tasks/{outcome.task.id}"
        return services.links.new_task(outcome.task, outcome.payload)
    response.status_code = 200
    return await _show(services, access, outcome.id, duplicate=True)


@router.post("/batch", responses=problems(404, 413, 415))
async def report_tasks(batch: BatchReport, access: AccessDep, services: ServicesDep) -> BatchResults:
    """Report up to 1,000 failed calls in one transaction. Each has a result of its own; a bad one spoils no other."""
    outcomes = await services.reporter.take_batch(access, batch.tasks)
    results = [_result(index, outcome) for index, outcome in enumerate(outcomes)]
    accepted = sum(isinstance(outcome, Accepted) for outcome in outcomes)
    duplicates = sum(isinstance(outcome, Duplicate) for outcome in outcomes)
    return BatchResults.model_construct(
        results=results, accepted=accepted, duplicates=duplicates, rejected=len(outcomes) - accepted - duplicates
    )


@router.post(
    "/import",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "On each line what became of a line, and the sums on the last one.",
            "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
        },
        **problems(413, 415),
    },
    openapi_extra={"requestBody": {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}}},
)
async def import_tasks(
    request: Request,
    access: AccessDep,
    services: ServicesDep,
    dead_letters: Annotated[
        DeadLetters,
        Query(description="Whether exported dead letters stay dead, to be replayed later, or are retried at once."),
    ] = "keep",
) -> StreamingResponse:
    """Import tasks from JSON lines: reports, exported dead letters, or a log in which the SDK left reports.

    Each line has a result of its own, `{"line", "status", "id", "duplicate", "problem"}`. Lines that are none of these
    are skipped, and sending the same file again makes no second task of a line that has an idempotency key, a report
    id, or was exported.
    """
    results = await services.importer.take(access, request.stream(), dead_letters)
    return StreamingResponse(read_results(results), media_type="application/x-ndjson")


@router.get("", responses=problems())
async def list_tasks(
    access: AccessDep,
    services: ServicesDep,
    session: SessionDep,
    selection: SelectionQuery,
    sort: Annotated[
        Sort,
        Query(description="`-` for the latest or greatest first. Sorting by an instant leaves out tasks without it."),
    ] = "-created_at",
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[TaskSummary]:
    """List tasks, the newest first unless `sort` says otherwise. All filters that are given must hold.

    A value of the metadata is asked for by `metadata.<key>=<value>`. Where no index finds what is asked for, a page
    looks at so many tasks and no more: it may have fewer items than `limit`, or none, and yet lead on by `next_cursor`.
    """
    page = await search.list_tasks(
        session, access.namespace, narrowed(access, selection), sort=sort, limit=limit, cursor=cursor
    )
    restraints = await services.restraints.of(access.namespace)
    return Page[TaskSummary].model_construct(
        items=[services.links.summary(task, restraints) for task in page.items], next_cursor=page.next_cursor
    )


@router.get("/count", responses=problems())
async def count_tasks(access: AccessDep, session: TransactionDep, selection: SelectionQuery) -> TaskCount:
    """Count tasks, with the filters of the list. A count that would take long is estimated, and says so."""
    found = await search.count_tasks(
        session, access.namespace, narrowed(access, selection), within_seconds=COUNT_SECONDS
    )
    return TaskCount(count=found.count, exact=found.exact)


@router.get("/{task_id}", responses=problems(404))
async def get_task(task_id: TaskId, access: AccessDep, services: ServicesDep, session: SessionDep) -> TaskResource:
    """Show a task with its payload and its policy."""
    task = await find_visible_task(session, access, task_id)
    restraints = await services.restraints.of(access.namespace)
    return services.links.task(task, await tasks.find_payload(session, task), restraints)


@router.patch("/{task_id}", responses=problems(404, 409, 413, 415))
async def change_task(task_id: TaskId, change: TaskChange, access: AccessDep, services: ServicesDep) -> TaskResource:
    """Change a task. An edited payload is a new revision; the reported one is kept.

    A policy is put in force at once while the task lives, and at its next retry when it is dead or cancelled.
    """
    await services.operations.change(access, task_id, change)
    return await _show(services, access, task_id)


@router.post("/{task_id}/edit-and-retry", responses=_OPERATION_PROBLEMS)
async def edit_and_retry(task_id: TaskId, edit: EditAndRetry, access: AccessDep, services: ServicesDep) -> TaskResource:
    """Change payload, target or policy, and run the next attempt with them now.

    The payload becomes a new revision, which must fit the schema of the scene when it has one. A dead or cancelled task
    begins its next generation in the same transaction. While an attempt runs, pause the task or wait for its end.
    """
    await services.operations.edit_and_retry(access, task_id, edit)
    return await _show(services, access, task_id)


@router.get("/{task_id}/payloads", responses=problems(404))
async def list_payloads(
    task_id: TaskId, access: AccessDep, session: SessionDep, limit: Limit = 50, cursor: Cursor = None
) -> Page[PayloadRevision]:
    """List the revisions of a task's payload, the newest first. The last one is what was reported."""
    await find_visible_task(session, access, task_id)
    before = None if cursor is None else _revision(cursor)
    found = await edits.list_payloads(session, task_id, before=before, limit=limit + 1)
    items = [
        PayloadRevision.model_validate(row.model_dump(include=set(PayloadRevision.model_fields)))
        for row in found[:limit]
    ]
    more = encode_cursor(items[-1].revision) if len(found) > limit else None
    return Page[PayloadRevision].model_construct(items=items, next_cursor=more)


@router.delete("/{task_id}", status_code=204, response_class=Response, responses=problems(404, 409))
async def delete_task(task_id: TaskId, access: AccessDep, services: ServicesDep) -> None:
    """Delete an ended task with its payloads and attempts."""
    await services.operations.delete(access, task_id)


@router.post("/{task_id}/retry", responses=_OPERATION_PROBLEMS)
async def retry_task(
    task_id: TaskId, access: AccessDep, services: ServicesDep, operation: Operation | None = None
) -> TaskResource:
    """Run the next attempt now. A dead or cancelled task begins its next generation."""
    return await _perform(services, access, task_id, RetryNow(_reason(operation)))


@router.post("/{task_id}/pause", responses=_OPERATION_PROBLEMS)
async def pause_task(
    task_id: TaskId, access: AccessDep, services: ServicesDep, operation: Operation | None = None
) -> TaskResource:
    """Hold a task until it is resumed. An attempt that is running may end first."""
    return await _perform(services, access, task_id, Pause(_reason(operation)))


@router.post("/{task_id}/resume", responses=_OPERATION_PROBLEMS)
async def resume_task(
    task_id: TaskId, access: AccessDep, services: ServicesDep, operation: Operation | None = None
) -> TaskResource:
    """Let a paused task go on: at once when it is overdue, else when it was due anyway."""
    return await _perform(services, access, task_id, Resume(_reason(operation)))


@router.post("/{task_id}/cancel", responses=_OPERATION_PROBLEMS)
async def cancel_task(
    task_id: TaskId, access: AccessDep, services: ServicesDep, operation: Operation | None = None
) -> TaskResource:
    """End a task without success and without a dead letter. An attempt that is running is cancelled."""
    return await _perform(services, access, task_id, Cancel(_reason(operation)))


@router.post("/{task_id}/reschedule", responses=_OPERATION_PROBLEMS)
async def reschedule_task(
    task_id: TaskId, operation: RescheduleOperation, access: AccessDep, services: ServicesDep
) -> TaskResource:
    """Move the next attempt to another time."""
    moment = due_at(operation.at, operation.delay_seconds)
    return await _perform(services, access, task_id, Reschedule(moment.isoformat(), operation.reason))


@router.get("/{task_id}/attempts", responses=problems(404))
async def list_attempts(
    task_id: TaskId, access: AccessDep, session: SessionDep, limit: Limit = 100, cursor: Cursor = None
) -> Page[AttemptResource]:
    """List the attempts of a task in the order in which they ran, over all generations."""
    await find_visible_task(session, access, task_id)
    after = None if cursor is None else _attempt_place(cursor)
    found = await attempts.list_attempts(session, task_id, after=after, limit=limit + 1)
    items = found[:limit]
    more = encode_cursor(items[-1].generation, items[-1].number) if len(found) > limit else None
    return Page[AttemptResource].model_construct(
        items=[attempt_resource(attempt) for attempt in items], next_cursor=more
    )


async def _perform(services: Services, access: Access, task_id: UUID, operation: operations.Operation) -> TaskResource:
    await services.operations.perform(access, task_id, operation)
    return await _show(services, access, task_id)


async def _show(services: Services, access: Access, task_id: UUID, *, duplicate: bool = False) -> TaskResource:
    async with services.database.session() as session:
        task = await find_visible_task(session, access, task_id)
        restraints = await services.restraints.of(access.namespace)
        return services.links.task(task, await tasks.find_payload(session, task), restraints, duplicate=duplicate)


def _reason(operation: Operation | None) -> str | None:
    return None if operation is None else operation.reason


def _result(index: int, outcome: Outcome) -> BatchResult:
    match outcome:
        case Accepted():
            return BatchResult.model_construct(index=index, status=201, id=outcome.task.id)
        case Duplicate():
            return BatchResult.model_construct(index=index, status=200, id=outcome.id, duplicate=True)
        case Refusal():
            status = outcome.kind.status if outcome.kind.status in _RESULTS else 422
            problem = Problem(**outcome.document())
            return BatchResult.model_construct(index=index, status=status, problem=problem)


_RESULTS: tuple[int, ...] = get_args(BatchResult.model_fields["status"].annotation)


def _revision(cursor: str) -> int:
    parts: list[Any] = decode_cursor(cursor)
    if len(parts) != 1 or not (type(parts[0]) is int and 0 <= parts[0] < 2**31):
        raise InvalidCursor
    return parts[0]


def _attempt_place(cursor: str) -> tuple[int, int]:
    parts: list[Any] = decode_cursor(cursor)
    if len(parts) != 2 or not all(type(part) is int and 0 <= part < 2**31 for part in parts):
        raise InvalidCursor
    return cast("tuple[int, int]", tuple(parts))
