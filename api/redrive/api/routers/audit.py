"""`/v1/audit`: who changed what."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from redrive.api.dependencies import AccessDep, Cursor, Limit, SessionDep
from redrive.api.documentation import problems
from redrive.api.routing import Route
from redrive.api.schemas.audit import AuditEntryResource
from redrive.api.schemas.base import Name, Page, Text
from redrive.store import audit
from redrive.store.audit import AuditFilter
from redrive.store.search import InvalidCursor, decode_cursor, encode_cursor

router = APIRouter(prefix="/v1/audit", tags=["audit"], route_class=Route)

Words = Annotated[Text, Field(max_length=400)]


@router.get("", responses=problems())
async def list_audit(
    access: AccessDep,
    session: SessionDep,
    subject_kind: Annotated[Words | None, Query(description="Such as `task`, `scene` or `group`.")] = None,
    subject_id: Annotated[Words | None, Query(description="Its id or name; of a scene `group/scene`.")] = None,
    actor: Annotated[Words | None, Query(description="Exactly this.")] = None,
    group: Annotated[Name | None, Query(description="What belongs to this group.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[AuditEntryResource]:
    """List what people have changed, the newest first."""
    filters = AuditFilter(access.namespace, access.group_filter(group), subject_kind, subject_id, actor)
    before = None if cursor is None else _place(cursor)
    found = await audit.list_entries(session, filters, before=before, limit=limit + 1)
    items = [AuditEntryResource.model_validate(row.model_dump()) for row in found[:limit]]
    return Page[AuditEntryResource](
        items=items, next_cursor=encode_cursor(items[-1].id) if len(found) > limit else None
    )


def _place(cursor: str) -> int:
    match decode_cursor(cursor):
        case [int(last)] if 0 < last < 2**63 and not isinstance(last, bool):
            return last
        case _:
            raise InvalidCursor
