"""`/v1/events`: what changes, as it changes."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from redrive.api.dependencies import AccessDep, ServicesDep
from redrive.api.routing import Route
from redrive.api.schemas.base import Name
from redrive.store.statistics import Place

# A stream never ends, so that a program that calls whatever the description lists would hang; `docs/console.md` has it.
router = APIRouter(include_in_schema=False, route_class=Route)


@router.get("/v1/events")
async def stream_events(
    access: AccessDep, services: ServicesDep, group: Annotated[Name | None, Query()] = None
) -> StreamingResponse:
    """Stream what changes, as server-sent events `tasks`, `nodes`, `redrives`, `breakers` and `alerts`."""
    return StreamingResponse(
        services.feed.stream(Place(access.namespace, access.group_filter(group))),
        media_type="text/event-stream",
        # Without the last one nginx would collect the stream before it passes it on.
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )
