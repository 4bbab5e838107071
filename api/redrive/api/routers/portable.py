"""`/v1/config`: the configuration of a namespace as one document."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from redrive.api.dependencies import AccessDep, ServicesDep, SessionDep
from redrive.api.documentation import problems
from redrive.api.portable import Portable, export
from redrive.api.routing import Route
from redrive.api.schemas.portable import ConfigDocument, ConfigResult

router = APIRouter(prefix="/v1/config", tags=["config"], route_class=Route)


@router.get("", responses=problems(404))
async def export_config(access: AccessDep, session: SessionDep) -> ConfigDocument:
    """Export groups, scenes, policies, limits, alerts and switches of a namespace. Secrets and keys are never in it.

    This needs a key for the whole namespace.
    """
    access.require_namespace()
    return await export(session, access.namespace)


@router.put("", responses=problems(404, 409, 413, 415))
async def import_config(
    document: ConfigDocument,
    access: AccessDep,
    services: ServicesDep,
    dry_run: Annotated[bool, Query(description="Only tell what would change.")] = False,
    prune: Annotated[
        bool,
        Query(description="Delete groups, scenes, limits, alert rules and channels that the document does not name."),
    ] = False,
) -> ConfigResult:
    """Make the namespace be as the document says: all of it, or nothing. Repeating it changes nothing more.

    Fields that are left out stay as they are, and so do masked secrets. A policy that is given replaces the one that is
    there. Nothing is deleted without `prune`, and nothing that tasks still need. This needs a key for the whole
    namespace.
    """
    access.require_namespace()
    portable = Portable(services.database, services.configurations)
    changes = await portable.put(access, document, dry_run=dry_run, prune=prune)
    services.restraints.forget()
    return ConfigResult(dry_run=dry_run, changes=changes)
