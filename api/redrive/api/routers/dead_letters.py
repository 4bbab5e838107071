"""`/v1/dead-letters`: tasks that ended without success, by themselves and by error."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from fastapi.responses import StreamingResponse
from sqlalchemy.ext.asyncio import AsyncSession

from redrive.activities.archive import NoArchive
from redrive.api import exporting
from redrive.api.access import Access
from redrive.api.dependencies import AccessDep, Cursor, Limit, ServicesDep, SessionDep, TransactionDep
from redrive.api.documentation import problems
from redrive.api.exporting import MEDIA_TYPES, Format
from redrive.api.problems import ARCHIVE_NOT_SET, DEAD_LETTER_GROUP_NOT_FOUND, Refusal
from redrive.api.routing import Route
from redrive.api.schemas.base import Name, Page
from redrive.api.schemas.dead_letters import (
    DeadLetterGroup,
    DeadLetterGroupChange,
    DeadLetterGroups,
    PurgeRequest,
    PurgeResult,
    SceneShare,
    SparklineResource,
)
from redrive.api.schemas.tasks import TaskCount, TaskSummary
from redrive.api.selections import COUNT_SECONDS, SelectionQuery, narrowed
from redrive.api.validation import invalid_field
from redrive.core.documents import encode
from redrive.core.selection import Selection
from redrive.store import audit, dead_letters, search
from redrive.store.dead_letters import ErrorGroup, GroupSort
from redrive.store.search import Sort

router = APIRouter(prefix="/v1/dead-letters", tags=["dead-letters"], route_class=Route)

Fingerprint = Annotated[
    str, Path(pattern=r"^([0-9a-f]{16}|none)$", description="Fingerprint of the error; `none` for those without one.")
]
_DEAD = ("dead",)
_SORT = Query(description="`-` for the latest or greatest first.")


@router.get("", responses=problems())
async def list_dead_letters(
    access: AccessDep,
    services: ServicesDep,
    session: SessionDep,
    selection: SelectionQuery,
    sort: Annotated[Sort, _SORT] = "-finished_at",
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[TaskSummary]:
    """List dead letters, the latest first unless `sort` says otherwise, with the filters of `GET /v1/tasks`."""
    page = await search.list_tasks(
        session, access.namespace, _dead(access, selection), sort=sort, limit=limit, cursor=cursor
    )
    return Page[TaskSummary].model_construct(
        items=[services.links.summary(task) for task in page.items], next_cursor=page.next_cursor
    )


@router.get("/count", responses=problems())
async def count_dead_letters(access: AccessDep, session: TransactionDep, selection: SelectionQuery) -> TaskCount:
    """Count dead letters. A count that would take long is estimated, and says so."""
    chosen = _dead(access, selection)
    found = await search.count_tasks(session, access.namespace, chosen, within_seconds=COUNT_SECONDS)
    return TaskCount(count=found.count, exact=found.exact)


@router.get("/groups", responses=problems())
async def list_dead_letter_groups(
    access: AccessDep,
    session: TransactionDep,
    selection: SelectionQuery,
    sort: Annotated[GroupSort, Query(description="Most, latest or newest first.")] = "-count",
    acknowledged: Annotated[bool | None, Query(description="Those that are, or those that are not.")] = None,
    muted: Annotated[bool | None, Query(description="Those that are, or those that are not.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> DeadLetterGroups:
    """Show what is wrong: dead letters by error, with how many, where and since when."""
    page = await dead_letters.list_groups(
        session,
        access.namespace,
        _dead(access, selection),
        now=datetime.now(UTC),
        sort=sort,
        acknowledged=acknowledged,
        muted=muted,
        limit=limit,
        cursor=cursor,
    )
    items = [_resource(group) for group in page.items]
    return DeadLetterGroups.model_construct(items=items, next_cursor=page.next_cursor, exact=page.exact)


@router.get("/groups/{fingerprint}", responses=problems(404))
async def get_dead_letter_group(
    fingerprint: Fingerprint,
    access: AccessDep,
    session: TransactionDep,
    group: Annotated[Name | None, Query(description="Those of this group.")] = None,
    scene: Annotated[Name | None, Query(description="Those of this scene.")] = None,
) -> DeadLetterGroup:
    """Show the dead letters of one error."""
    return _resource(await _find(session, access, fingerprint, Selection(group=group, scene=scene)))


@router.patch("/groups/{fingerprint}", responses=problems(404, 413, 415))
async def change_dead_letter_group(
    fingerprint: Fingerprint, change: DeadLetterGroupChange, access: AccessDep, services: ServicesDep
) -> DeadLetterGroup:
    """Acknowledge an error, mute its alerts, or leave a note, for everyone in the namespace.

    A death after an acknowledgement raises it again.
    """
    access.require_namespace()
    given = change.model_dump(include={"muted_until", "note"}, exclude_unset=True)
    if "acknowledged" in change.model_fields_set:
        at, by = (datetime.now(UTC), access.actor) if change.acknowledged else (None, None)
        given |= {"acknowledged_at": at, "acknowledged_by": by}
    async with services.database.begin() as session:
        await _find(session, access, fingerprint, Selection())
        if given:
            await dead_letters.note(session, access.namespace, fingerprint, given)
            facts = change.model_dump(mode="json", exclude_unset=True)
            await audit.record(
                session, access.namespace, access.actor, "change", "dead_letter_group", fingerprint, facts
            )
        return _resource(await _find(session, access, fingerprint, Selection()))


@router.get(
    "/export",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "A task on each line.",
            "content": {media: {"schema": {"type": "string"}} for media in MEDIA_TYPES.values()},
        },
        **problems(),
    },
)
async def export_dead_letters(
    access: AccessDep,
    services: ServicesDep,
    selection: SelectionQuery,
    form: Annotated[Format, Query(alias="format", description="JSON lines, or CSV.")] = "jsonl",
    payload: Annotated[
        bool, Query(description="Whether payloads are written as well; only such lines can be imported again.")
    ] = False,
    sort: Annotated[Sort, _SORT] = "-finished_at",
) -> StreamingResponse:
    """Write dead letters as a file, however many there are."""
    chosen = _dead(access, selection)
    written = exporting.lines(services.database, access.namespace, chosen, form, sort, payload=payload)
    name = f"dead-letters-{datetime.now(UTC):%Y%m%d-%H%M%S}.{form}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(written, media_type=MEDIA_TYPES[form], headers=headers)


@router.post("/purge", responses=problems(409, 413, 415))
async def purge_dead_letters(purge: PurgeRequest, access: AccessDep, services: ServicesDep) -> PurgeResult:
    """Delete dead letters with their payloads and attempts: at most `limit` of them, all or none.

    Ask until `done`, with `finished_before` from the first answer, that of a dry run for example.
    """
    if purge.selection.is_empty():
        raise invalid_field("selection", 'expected something that narrows it; `{"status": ["dead"]}` means all')
    now = datetime.now(UTC)
    before = min(purge.selection.finished_before or now, now)
    chosen = replace(_dead(access, purge.selection), finished_before=before)
    if purge.dry_run:
        async with services.database.begin() as session:
            found = await search.count_tasks(session, access.namespace, chosen, within_seconds=COUNT_SECONDS)
        done = found.exact and not found.count
        return PurgeResult(count=found.count, exact=found.exact, finished_before=before, done=done)

    async def note(session: AsyncSession, count: int) -> None:
        given = encode(chosen)
        facts: dict[str, Any] = {name: value for name, value in given.items() if value not in (None, [], {})}
        facts = {"count": count, "archive": purge.archive, "selection": {**facts, "ids": len(chosen.ids)}}
        await audit.record(
            session, access.namespace, access.actor, "purge", "dead_letters", "", facts, purge.reason,
            group=chosen.group,
        )  # fmt: skip

    try:
        removed = await services.remover.remove_selected(
            access.namespace, chosen, limit=purge.limit, archive=purge.archive, now=now, note=note
        )
    except NoArchive:
        raise Refusal(ARCHIVE_NOT_SET, "`archive` is true, and this server has no REDRIVE_ARCHIVE_DIR") from None
    return PurgeResult(count=removed.count, exact=True, finished_before=before, done=removed.done)


def _dead(access: Access, selection: Selection) -> Selection:
    if selection.status not in ((), _DEAD):
        raise invalid_field("status", f"expected 'dead', the status of all dead letters, got {selection.status[0]!r}")
    return narrowed(access, selection, status=_DEAD)


async def _find(session: AsyncSession, access: Access, fingerprint: str, selection: Selection) -> ErrorGroup:
    chosen = narrowed(access, selection, fingerprint=fingerprint, status=_DEAD)
    group = await dead_letters.find_group(session, access.namespace, chosen, datetime.now(UTC))
    if group is None:
        detail = f"there is no dead letter of the error {fingerprint!r} in namespace {access.namespace!r}"
        raise Refusal(DEAD_LETTER_GROUP_NOT_FOUND, detail)
    return group


def _resource(group: ErrorGroup) -> DeadLetterGroup:
    spark = group.sparkline
    return DeadLetterGroup.model_construct(
        fingerprint=group.fingerprint,
        error_type=group.error_type,
        message=group.message,
        groups=sorted({scene.group for scene in group.scenes}),
        scenes=[SceneShare(group=scene.group, scene=scene.scene, count=scene.count) for scene in group.scenes],
        count=group.count,
        first_seen=group.first_seen,
        last_seen=group.last_seen,
        sparkline=SparklineResource.model_validate(
            {"from": spark.begin, "bucket_seconds": spark.bucket_seconds, "counts": list(spark.counts)}
        ),
        sample_task_id=group.sample_id,
        acknowledged=group.acknowledged,
        rising=group.acknowledged_at is not None and not group.acknowledged,
        acknowledged_at=group.acknowledged_at,
        acknowledged_by=group.acknowledged_by,
        muted_until=group.muted_until,
        note=group.note,
    )
