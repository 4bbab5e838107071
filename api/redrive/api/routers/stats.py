"""`/v1/stats`: numbers."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from redrive.api.dependencies import AccessDep, Limit, ServicesDep, SessionDep
from redrive.api.documentation import problems
from redrive.api.routing import Route
from redrive.api.schemas.base import Listed, Name
from redrive.api.schemas.stats import Overview, Range, ReconcilerRun, TaskCounts
from redrive.core.states import OPEN, TaskStatus
from redrive.store import reconciliations, statistics
from redrive.store.statistics import Place

router = APIRouter(prefix="/v1/stats", tags=["stats"], route_class=Route)


@router.get("/tasks", responses=problems())
async def count_tasks(
    access: AccessDep, session: SessionDep, group: Annotated[Name | None, Query()] = None
) -> TaskCounts:
    """Count the tasks of the namespace, or of one group, by status."""
    found = await statistics.count_by_status(session, Place(access.namespace, access.group_filter(group)))
    counts = {status: found.get(status, 0) for status in TaskStatus}
    return TaskCounts(counts=counts, open=sum(counts[status] for status in OPEN), total=sum(counts.values()))


@router.get("/overview", responses=problems())
async def show_overview(
    access: AccessDep,
    services: ServicesDep,
    range: Annotated[Range, Query(description="How far back.")] = "1h",  # noqa: A002 - the name on the wire
    group: Annotated[Name | None, Query(description="Only this group.")] = None,
) -> Overview:
    """Show all figures of the namespace, or of one group, of one moment."""
    return await services.overviews.show(Place(access.namespace, access.group_filter(group)), range)


@router.get("/reconciler", responses=problems())
async def list_reconciler_runs(access: AccessDep, session: SessionDep, limit: Limit = 10) -> Listed[ReconcilerRun]:
    """Show the last comparisons of workflows and tasks over all namespaces, the newest first."""
    access.require_everything()
    rows = await reconciliations.list_recent(session, limit)
    return Listed[ReconcilerRun](items=[ReconcilerRun.model_validate(row.model_dump(exclude={"id"})) for row in rows])
