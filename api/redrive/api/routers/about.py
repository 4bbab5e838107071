"""`/v1/about`, `/v1/me` and `/v1/suggestions`: what the console needs beside the resources."""

from __future__ import annotations

import importlib.metadata
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from redrive.api.dependencies import AccessDep, ServicesDep, SessionDep
from redrive.api.documentation import problems
from redrive.api.routing import Route
from redrive.api.schemas.base import Listed, Name, Text
from redrive.api.schemas.console import About, Me, Suggestion
from redrive.store import migrate, suggestions

router = APIRouter(prefix="/v1", tags=["about"], route_class=Route)


@router.get("/about", responses=problems())
async def show_about(access: AccessDep, services: ServicesDep, session: SessionDep) -> About:
    """Tell what runs here: versions, and where Temporal is seen."""
    settings = services.settings
    up = await services.probe.is_up()
    return About(
        version=importlib.metadata.version("redrive"),
        database_version=await migrate.server_version(session),
        schema_revision=await migrate.revision(session),
        engine="up" if up else "down",
        engine_version=services.probe.version,
        temporal_ui_url=settings.temporal_ui_url,
        temporal_namespace=settings.temporal_namespace or "default",
        task_queue=settings.task_queue,
        require_api_key=settings.require_api_key,
        public_url=settings.public_url,
    )


@router.get("/me", responses=problems())
async def show_me(access: AccessDep, services: ServicesDep) -> Me:
    """Tell who asks and what the key opens. Without a key where one is required, the answer is 401."""
    scope = access.scope
    reach: Literal["everything", "namespace", "group"] = "everything"
    if scope.namespace is not None:
        reach = "namespace" if scope.group is None else "group"
    return Me(
        key_id=scope.key_id,
        name=scope.name,
        user=access.user,
        scope=reach,
        namespace=scope.namespace,
        group=scope.group,
        require_api_key=services.settings.require_api_key,
    )


@router.get("/suggestions", responses=problems())
async def suggest(
    access: AccessDep,
    session: SessionDep,
    field: Annotated[suggestions.Field, Query(description="Which words; `metadata` gives its keys.")],
    prefix: Annotated[Annotated[Text, Field(max_length=200)], Query(description="How they begin.")] = "",
    key: Annotated[
        Annotated[Text, Field(min_length=1, max_length=200)] | None,
        Query(description="With `metadata`: give the values of this key."),
    ] = None,
    group: Annotated[Name | None, Query(description="Only those of this group.")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> Listed[Suggestion]:
    """Complete a word of a query: from names of groups and scenes, and from what the newest tasks have."""
    found = await suggestions.suggest(
        session,
        access.namespace,
        access.group_filter(group),
        field,
        prefix,
        key=key if field == "metadata" else None,
        limit=limit,
    )
    return Listed[Suggestion](items=[Suggestion(value=value) for value in found])
