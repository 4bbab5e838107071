"""`/metrics`: figures for monitoring."""

from __future__ import annotations

from fastapi import APIRouter, Response

from redrive.api.dependencies import AccessDep, ServicesDep
from redrive.api.metrics import MEDIA_TYPE
from redrive.api.routing import Route

# It speaks Prometheus' own format, which the description of a JSON API has no words for; `docs/metrics.md` has.
router = APIRouter(include_in_schema=False, route_class=Route)


@router.get("/metrics")
async def show_metrics(access: AccessDep, services: ServicesDep) -> Response:
    """Show all figures that the key may see, of all namespaces that it opens."""
    return Response(await services.metrics.write(access.scope), media_type=MEDIA_TYPE)
