"""`/v1/limits`: how often, and how many at a time, attempts of a group, a scene or a target may run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from sqlalchemy.ext.asyncio import AsyncSession

from redrive.api.access import Access
from redrive.api.configuration import unknown_namespace
from redrive.api.dependencies import AccessDep, ServicesDep, SessionDep
from redrive.api.documentation import problems
from redrive.api.problems import LIMIT_NOT_FOUND, Refusal
from redrive.api.routing import Route
from redrive.api.schemas.base import Listed
from redrive.api.schemas.limits import LimitDocument, LimitResource, LimitScope
from redrive.api.scopes import require_scope, sees_scope
from redrive.core.restraints import LimitSetting, ScopeKey, described, group_of
from redrive.store import audit, limits, scenes
from redrive.store.tables import Limit

router = APIRouter(prefix="/v1/limits", tags=["limits"], route_class=Route)

ScopePath = Annotated[LimitScope, Path(description="What kind of scope.")]
KeyPath = Annotated[
    str,
    Path(
        max_length=300,
        description="Its name: `orders`, `orders/charge-card` or `host:api.example`.",
        examples=["orders/charge-card"],
    ),
]


@router.get("", responses=problems())
async def list_limits(access: AccessDep, session: SessionDep) -> Listed[LimitResource]:
    """List the limits of the namespace by scope and key."""
    rows = await limits.list_limits(session, access.namespace)
    return Listed[LimitResource](items=[_resource(row) for row in rows if sees_scope(access, row.scope, row.key)])


@router.put("/{scope}/{key:path}", responses=problems(404, 413, 415))
async def put_limit(
    scope: ScopePath, key: KeyPath, limit: LimitDocument, access: AccessDep, services: ServicesDep
) -> LimitResource:
    """Set the limit of a scope, in place of the one that it has. It holds everywhere a second later.

    Attempts that come too early wait for their turn and spend nothing. A target's key is `host:` and the host of its
    webhooks; limits of targets need a key for the whole namespace.
    """
    require_scope(access, scope, key)
    setting = LimitSetting((scope, key), limit.rate, limit.burst, limit.concurrency)
    async with services.database.begin() as session:
        if await scenes.find_namespace(session, access.namespace) is None:
            raise unknown_namespace(access.namespace)
        row = await limits.put_limit(session, access.namespace, setting, access.author)
        await _audit(session, access, "set", setting.key, limit.model_dump(exclude_none=True))
    services.restraints.forget()
    return _resource(row)


@router.delete("/{scope}/{key:path}", status_code=204, response_class=Response, responses=problems(404))
async def delete_limit(scope: ScopePath, key: KeyPath, access: AccessDep, services: ServicesDep) -> None:
    """Take the limit of a scope away. Attempts that wait for their turn come when it has come."""
    require_scope(access, scope, key)
    async with services.database.begin() as session:
        if not await limits.delete_limit(session, access.namespace, scope, key):
            raise Refusal(LIMIT_NOT_FOUND, f"{described((scope, key))} has no limit")
        await _audit(session, access, "delete", (scope, key))
    services.restraints.forget()


async def _audit(
    session: AsyncSession, access: Access, action: str, key: ScopeKey, facts: dict[str, Any] | None = None
) -> None:
    subject = " ".join(key)
    await audit.record(session, access.namespace, access.actor, action, "limit", subject, facts, group=group_of(*key))


def _resource(row: Limit) -> LimitResource:
    slot = None
    if row.rate is not None and row.tat is not None:
        slot = row.tat - timedelta(seconds=(row.burst - 1) / row.rate)
    return LimitResource.model_validate(
        {
            **row.model_dump(include=set(LimitResource.model_fields)),
            "next_slot_at": slot if slot is not None and slot > datetime.now(UTC) else None,
        }
    )
