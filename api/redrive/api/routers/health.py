"""Whether the process lives, and whether it can take reports."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from sqlalchemy.exc import SQLAlchemyError

from redrive.api.dependencies import ServicesDep
from redrive.api.documentation import problems
from redrive.api.engine import EngineUnavailable
from redrive.api.failures import database_unavailable
from redrive.api.problems import SCHEMA_OUTDATED, Refusal
from redrive.api.routing import Route
from redrive.api.schemas.health import Health, Readiness
from redrive.store import migrate

router = APIRouter(tags=["health"], route_class=Route)

_DATABASE_SECONDS = 5.0


@router.get("/healthz")
async def check_health() -> Health:
    """Tell that the process lives."""
    return Health()


@router.get("/readyz", responses=problems())
async def check_readiness(services: ServicesDep) -> Readiness:
    """Tell whether the process can take reports: the database answers, and its schema is this version's.

    Temporal is not needed for that; `engine` says whether it answers.
    """
    engine = asyncio.ensure_future(_engine_is_up(services))
    try:
        async with asyncio.timeout(_DATABASE_SECONDS), services.database.session() as session:
            reached = await migrate.revision(session)
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        engine.cancel()
        raise database_unavailable(error) from None
    if reached != migrate.head():
        engine.cancel()
        detail = f"the schema is at {reached}, and this version needs {migrate.head()}: run `redrive migrate`"
        raise Refusal(SCHEMA_OUTDATED, detail, headers={"Retry-After": "5"})
    return Readiness(engine="up" if await engine else "down")


async def _engine_is_up(services: ServicesDep) -> bool:
    try:
        await services.engine.check()
    except EngineUnavailable:
        return False
    return True
