"""`/v1/namespaces`: isolation units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response

from redrive.api.access import Access
from redrive.api.configuration import unknown_namespace
from redrive.api.dependencies import AccessDep, ServicesDep, SessionDep
from redrive.api.documentation import problems
from redrive.api.layers import change_namespace_policy, check_layers
from redrive.api.problems import ALREADY_EXISTS, ARCHIVE_NOT_SET, Refusal
from redrive.api.routing import Route
from redrive.api.scene_settings import check_namespace_callback_policy, check_settings
from redrive.api.schemas.base import Listed, Name
from redrive.api.schemas.namespaces import (
    NamespaceChange,
    NamespaceCreation,
    NamespaceResource,
    RetentionResource,
    RetentionSetting,
)
from redrive.core.documents import decode, encode
from redrive.core.retention import Retention
from redrive.store import audit, retention, scenes
from redrive.store.tables import Namespace

router = APIRouter(prefix="/v1/namespaces", tags=["namespaces"], route_class=Route)

NamespacePath = Annotated[Name, Path(description="Name of the namespace.")]


@router.get("", responses=problems())
async def list_namespaces(access: AccessDep, session: SessionDep) -> Listed[NamespaceResource]:
    """List the namespaces that the key opens."""
    found = [row for row in await scenes.list_namespaces(session) if _sees(access, row.name)]
    return Listed[NamespaceResource](items=[_resource(row) for row in found])


@router.post("", status_code=201, responses=problems(409, 413, 415))
async def create_namespace(
    creation: NamespaceCreation, access: AccessDep, services: ServicesDep, response: Response
) -> NamespaceResource:
    """Make a namespace. This needs a key for all namespaces."""
    access.require_everything()
    check_layers([creation.policy])
    check_settings({"callback_policy": creation.callback_policy}, {})
    async with services.database.begin() as session:
        if not await scenes.create_namespace(session, creation.name, creation.description):
            raise Refusal(ALREADY_EXISTS, f"namespace {creation.name!r} exists: PATCH it to change it")
        changes = creation.model_dump(include={"policy", "callback_policy", "auto_create"})
        await scenes.update_namespace(session, creation.name, changes)
        await audit.record(session, creation.name, access.actor, "create", "namespace", creation.name)
        row = await scenes.find_namespace(session, creation.name)
    response.headers["Location"] = f"/v1/namespaces/{creation.name}"
    return _resource(_known(row, creation.name))


@router.get("/{name}", responses=problems(404))
async def get_namespace(name: NamespacePath, access: AccessDep, session: SessionDep) -> NamespaceResource:
    """Show a namespace."""
    row = await scenes.find_namespace(session, name) if _sees(access, name) else None
    return _resource(_known(row, name))


@router.patch("/{name}", responses=problems(404, 413, 415))
async def change_namespace(
    name: NamespacePath, change: NamespaceChange, access: AccessDep, services: ServicesDep
) -> NamespaceResource:
    """Change a namespace. A new policy takes effect at the next attempt of every live task."""
    access.require_namespace(name)
    changes = change.model_dump(exclude_unset=True)
    async with services.database.begin() as session:
        _known(await scenes.find_namespace(session, name), name)
        if "policy" in changes:
            await change_namespace_policy(session, access, name, change.policy)
        if "callback_policy" in changes:
            await check_namespace_callback_policy(session, name, change.callback_policy)
        if changes:
            await scenes.update_namespace(session, name, changes)
            facts = {"fields": sorted(changes)}
            await audit.record(session, name, access.actor, "change", "namespace", name, facts)
        session.expire_all()
        row = await scenes.find_namespace(session, name)
    services.configurations.forget(name)
    return _resource(_known(row, name))


@router.get("/{name}/retention", responses=problems(404))
async def get_retention(name: NamespacePath, access: AccessDep, session: SessionDep) -> RetentionResource:
    """Tell how long ended tasks and redrives are kept."""
    row = _known(await scenes.find_namespace(session, name) if _sees(access, name) else None, name)
    return _retention(row.retention)


@router.put("/{name}/retention", responses=problems(404, 409, 413, 415))
async def set_retention(
    name: NamespacePath, setting: RetentionSetting, access: AccessDep, services: ServicesDep
) -> RetentionResource:
    """Set how long ended tasks and redrives are kept. Those whose time is over go within minutes, in small batches."""
    access.require_namespace(name)
    document = setting.model_dump()
    if setting.archive and services.settings.archive_dir is None:
        raise Refusal(ARCHIVE_NOT_SET, "`archive` is true, and this server has no REDRIVE_ARCHIVE_DIR")
    async with services.database.begin() as session:
        _known(await scenes.find_namespace(session, name), name)
        await retention.set_retention(session, name, document)
        await audit.record(session, name, access.actor, "change", "namespace", name, {"retention": document})
    return _retention(document)


def _sees(access: Access, name: str) -> bool:
    return access.scope.namespace in (None, name)


def _known(row: Namespace | None, name: str) -> Namespace:
    if row is None:
        raise unknown_namespace(name)
    return row


def _retention(document: Mapping[str, Any]) -> RetentionResource:
    return RetentionResource.model_validate(encode(decode(Retention, document)))


def _resource(row: Namespace) -> NamespaceResource:
    return NamespaceResource.model_validate(row.model_dump(include=set(NamespaceResource.model_fields)))
