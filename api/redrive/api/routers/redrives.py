"""`/v1/redrives`: operations on many tasks, throttled, previewed, pausable and audited."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response

from redrive.api.dependencies import AccessDep, Cursor, Limit, ServicesDep, SessionDep
from redrive.api.documentation import problems
from redrive.api.redrives import Preview, find_visible_redrive
from redrive.api.resources import Links
from redrive.api.routing import Route
from redrive.api.schemas.base import Page
from redrive.api.schemas.redrives import (
    ErrorShare,
    ItemOutcome,
    RedriveChange,
    RedriveCounts,
    RedriveItemResource,
    RedriveOperation,
    RedriveOptions,
    RedrivePreview,
    RedriveRequest,
    RedriveResource,
    RedriveState,
    SceneShare,
)
from redrive.core.bulk import Action, Options, RedriveStatus, estimate
from redrive.core.documents import decode
from redrive.core.messages import redrive_workflow_id
from redrive.store import redrives
from redrive.store.search import InvalidCursor, decode_cursor, encode_cursor
from redrive.store.tables import Redrive, RedriveItem

router = APIRouter(prefix="/v1/redrives", tags=["redrives"], route_class=Route)

RedriveId = Annotated[UUID, Path(description="Id of the redrive.")]
_PROBLEMS = problems(404, 409, 413, 415)


@router.post(
    "",
    status_code=201,
    response_model=RedriveResource,
    responses={200: {"model": RedrivePreview, "description": "It was a dry run."}, **problems(404, 413, 415)},
)
async def create_redrive(
    request: RedriveRequest, response: Response, access: AccessDep, services: ServicesDep
) -> Response | RedriveResource:
    """Start an operation on many tasks. Its selection is frozen: what matches later is left alone.

    It runs as a workflow of its own. Each task takes part once, whatever is killed meanwhile, and when two redrives
    overlap, a task is replayed by the one that comes first. With `dry_run` it is only told what it would come to.
    """
    if request.dry_run:
        preview = _preview(await services.redrives.preview(access, request))
        return Response(preview.model_dump_json(), media_type="application/json")
    redrive = await services.redrives.create(access, request)
    response.headers["Location"] = f"/v1/redrives/{redrive.id}"
    return redrive_resource(redrive, services.links)


@router.get("", responses=problems())
async def list_redrives(
    access: AccessDep,
    services: ServicesDep,
    session: SessionDep,
    status: Annotated[list[RedriveState], Query(description="One of these; repeat it.")] = [],  # noqa: B006 - FastAPI copies it
    action: Annotated[list[Action], Query(description="One of these; repeat it.")] = [],  # noqa: B006 - likewise
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[RedriveResource]:
    """List redrives, the newest first."""
    found = await redrives.list_redrives(
        session,
        access.namespace,
        group=access.group_filter(None),
        statuses=status,
        actions=action,
        before=None if cursor is None else _id_of(cursor),
        limit=limit + 1,
    )
    items = found[:limit]
    more = encode_cursor(str(items[-1].id)) if len(found) > limit else None
    return Page[RedriveResource](
        items=[redrive_resource(redrive, services.links) for redrive in items], next_cursor=more
    )


@router.get("/{redrive_id}", responses=problems(404))
async def get_redrive(
    redrive_id: RedriveId, access: AccessDep, services: ServicesDep, session: SessionDep
) -> RedriveResource:
    """Show how far a redrive is."""
    return redrive_resource(await find_visible_redrive(session, access, redrive_id), services.links)


@router.patch("/{redrive_id}", responses=_PROBLEMS)
async def change_redrive(
    redrive_id: RedriveId, change: RedriveChange, access: AccessDep, services: ServicesDep
) -> RedriveResource:
    """Change the rate or the concurrency of a redrive while it runs."""
    return redrive_resource(await services.redrives.change(access, redrive_id, change), services.links)


@router.get("/{redrive_id}/items", responses=problems(404))
async def list_redrive_items(
    redrive_id: RedriveId,
    access: AccessDep,
    session: SessionDep,
    outcome: Annotated[list[ItemOutcome], Query(description="One of these; repeat it.")] = [],  # noqa: B006 - FastAPI copies it
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[RedriveItemResource]:
    """List the tasks of a redrive in their order, with what became of each."""
    await find_visible_redrive(session, access, redrive_id)
    after = 0 if cursor is None else _position_of(cursor)
    found = await redrives.list_items(session, redrive_id, outcomes=outcome, after=after, limit=limit + 1)
    items = found[:limit]
    more = encode_cursor(items[-1].position) if len(found) > limit else None
    return Page[RedriveItemResource](items=[_item(item) for item in items], next_cursor=more)


@router.post("/{redrive_id}/pause", responses=_PROBLEMS)
async def pause_redrive(
    redrive_id: RedriveId, access: AccessDep, services: ServicesDep, operation: RedriveOperation | None = None
) -> RedriveResource:
    """Let a redrive release no more tasks. Once this is answered, none is; what is released goes on."""
    redrive = await services.redrives.pause(access, redrive_id, _reason(operation))
    return redrive_resource(redrive, services.links)


@router.post("/{redrive_id}/resume", responses=_PROBLEMS)
async def resume_redrive(
    redrive_id: RedriveId, access: AccessDep, services: ServicesDep, operation: RedriveOperation | None = None
) -> RedriveResource:
    """Let a paused redrive go on. Its rate begins slowly again."""
    redrive = await services.redrives.resume(access, redrive_id, _reason(operation))
    return redrive_resource(redrive, services.links)


@router.post("/{redrive_id}/abort", responses=_PROBLEMS)
async def abort_redrive(
    redrive_id: RedriveId, access: AccessDep, services: ServicesDep, operation: RedriveOperation | None = None
) -> RedriveResource:
    """End a redrive. What is released goes on; the rest is left alone, and becomes `skipped`."""
    redrive = await services.redrives.abort(access, redrive_id, _reason(operation))
    return redrive_resource(redrive, services.links)


def redrive_resource(redrive: Redrive, links: Links) -> RedriveResource:
    """Show a redrive."""
    counts, name = redrives.counts_of(redrive), redrive_workflow_id(redrive.namespace, str(redrive.id))
    facts: dict[str, Any] = {
        field: getattr(redrive, field)
        for field in (
            "id", "namespace", "group", "action", "status", "why", "selection", "rate_now", "reason", "author",
            "created_at", "started_at", "finished_at",
        )
    }  # fmt: skip
    return RedriveResource(
        **facts,
        options=RedriveOptions(**redrive.options),
        counts=RedriveCounts(
            total=counts.total,
            waiting=counts.waiting,
            in_flight=counts.in_flight,
            succeeded=counts.succeeded,
            dead=counts.dead,
            skipped=counts.skipped,
            failed=counts.failed,
            done=counts.done,
        ),
        estimate_finished_at=_expected_end(redrive),
        workflow_id=name,
        temporal_url=links.workflow(name),
    )


def _expected_end(redrive: Redrive) -> datetime | None:
    if redrive.status not in (RedriveStatus.RUNNING, RedriveStatus.WAITING) or not redrive.waiting:
        return None
    options, now = decode(Options, redrive.options, "options"), datetime.now(UTC)
    return estimate(options, redrive.waiting, now, redrive.rate_now or None).last_due


def _preview(found: Preview) -> RedrivePreview:
    expected = found.estimate
    last_due = None if expected is None else expected.last_due
    return RedrivePreview(
        count=found.count,
        matched=found.matched,
        estimate_seconds=None if last_due is None else (last_due - found.begins).total_seconds(),
        first_due=None if expected is None else expected.first_due,
        last_due=last_due,
        by_scene=[SceneShare(group=share.group, scene=share.scene, count=share.count) for share in found.by_scene],
        by_error=[
            ErrorShare(
                fingerprint=share.fingerprint, error_type=share.error_type, message=share.message, count=share.count
            )
            for share in found.by_error
        ],
        warnings=list(found.warnings),
    )


def _item(item: RedriveItem) -> RedriveItemResource:
    return RedriveItemResource(
        position=item.position,
        task_id=item.task_id,
        outcome=item.outcome,  # type: ignore[arg-type] # a CHECK constraint holds it
        why=item.why,
        generation=item.started_generation,
        started_at=item.started_at,
        finished_at=item.finished_at,
    )


def _reason(operation: RedriveOperation | None) -> str | None:
    return None if operation is None else operation.reason


def _id_of(cursor: str) -> UUID:
    try:
        (text,) = decode_cursor(cursor)
        return UUID(text)
    except (ValueError, TypeError, AttributeError):
        raise InvalidCursor from None


def _position_of(cursor: str) -> int:
    parts = decode_cursor(cursor)
    if len(parts) != 1 or type(parts[0]) is not int or not 0 <= parts[0] < 2**31:
        raise InvalidCursor
    return parts[0]
