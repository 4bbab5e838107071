"""`/v1/pauses`: letting nothing of a namespace, a group, a scene or a target run for a while."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, cast
from uuid import UUID

from fastapi import APIRouter, Path, Response
from sqlalchemy.ext.asyncio import AsyncSession

from redrive.api.access import Access
from redrive.api.configuration import unknown_namespace
from redrive.api.dependencies import AccessDep, ServicesDep, SessionDep
from redrive.api.documentation import problems
from redrive.api.problems import PAUSE_NOT_FOUND, Refusal
from redrive.api.routing import Route
from redrive.api.schemas.base import Listed
from redrive.api.schemas.pauses import PauseCreation, PauseResource
from redrive.api.scopes import require_scope, sees_scope
from redrive.api.validation import invalid_field
from redrive.core.restraints import Scope, group_of
from redrive.store import audit, pauses, scenes
from redrive.store.tables import Pause

router = APIRouter(prefix="/v1/pauses", tags=["pauses"], route_class=Route)


@router.get("", responses=problems())
async def list_pauses(access: AccessDep, session: SessionDep) -> Listed[PauseResource]:
    """List the pauses that are in force, the newest first."""
    rows = await pauses.list_pauses(session, access.namespace)
    return Listed[PauseResource](items=[_resource(row) for row in rows if sees_scope(access, row.scope, row.key)])


@router.post("", status_code=201, responses=problems(404, 413, 415))
async def create_pause(creation: PauseCreation, access: AccessDep, services: ServicesDep) -> PauseResource:
    """Let nothing of a scope run until the pause ends. It holds everywhere a second later.

    Reports are taken as ever. Attempts that run may end; what falls due waits and spends nothing. When the pause ends,
    what has waited returns by slow start. Several pauses may hold the same scope; it runs when all have ended.
    """
    require_scope(access, creation.scope, creation.key)
    if creation.until is not None and creation.until <= datetime.now(UTC):
        raise invalid_field("until", f"expected an instant in the future, got {creation.until.isoformat()}")
    async with services.database.begin() as session:
        if await scenes.find_namespace(session, access.namespace) is None:
            raise unknown_namespace(access.namespace)
        row = await pauses.insert_pause(
            session,
            access.namespace,
            creation.scope,
            creation.key,
            reason=creation.reason,
            author=access.author,
            until=creation.until,
        )
        await _audit(session, access, "pause", row)
    services.restraints.forget()
    return _resource(row)


@router.delete("/{pause_id}", status_code=204, response_class=Response, responses=problems(404))
async def end_pause(
    pause_id: Annotated[UUID, Path(description="Id of the pause.")], access: AccessDep, services: ServicesDep
) -> None:
    """End a pause. What has waited returns by slow start, unless another pause holds it."""
    async with services.database.begin() as session:
        row = await pauses.find_pause(session, access.namespace, pause_id)
        if row is None or not sees_scope(access, row.scope, row.key):
            raise Refusal(PAUSE_NOT_FOUND, f"pause {pause_id} is not in force")
        require_scope(access, cast("Scope", row.scope), row.key)
        if await pauses.delete_pause(session, access.namespace, pause_id):
            await _audit(session, access, "resume", row)
    services.restraints.forget()


async def _audit(session: AsyncSession, access: Access, action: str, row: Pause) -> None:
    facts = {"scope": row.scope, "key": row.key, "until": row.until}
    await audit.record(
        session,
        access.namespace,
        access.actor,
        action,
        "pause",
        str(row.id),
        facts,
        row.reason or None,
        group=group_of(cast("Scope", row.scope), row.key),
    )


def _resource(row: Pause) -> PauseResource:
    return PauseResource.model_validate(row.model_dump(include=set(PauseResource.model_fields)))
