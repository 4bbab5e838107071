"""`DELETE` of namespaces, groups and scenes."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from redrive.api.configuration import unknown_namespace
from redrive.api.dependencies import AccessDep, GroupName, SceneName, ServicesDep
from redrive.api.documentation import problems
from redrive.api.removal import Place, Removal
from redrive.api.routing import Route
from redrive.api.schemas.base import Name
from redrive.api.visibility import find_visible_group, find_visible_scene
from redrive.store import scenes

router = APIRouter(prefix="/v1", route_class=Route)


@router.delete(
    "/namespaces/{name}",
    tags=["namespaces"],
    status_code=204,
    response_class=Response,
    responses=problems(404, 409),
)
async def delete_namespace(
    name: Annotated[Name, Path(description="Name of the namespace.")], access: AccessDep, services: ServicesDep
) -> None:
    """Delete a namespace with its groups, scenes and keys, unless tasks in it have not ended. It takes two seconds.

    This needs a key for all namespaces. Ended tasks stay in the database; they are seen again when the namespace is
    made anew.
    """
    access.require_everything()
    async with services.database.session() as session:
        if await scenes.find_namespace(session, name) is None:
            raise unknown_namespace(name)
    await Removal(services.database, services.configurations).remove(Place(name), access.actor)


@router.delete(
    "/groups/{group}", tags=["groups"], status_code=204, response_class=Response, responses=problems(404, 409)
)
async def delete_group(group: GroupName, access: AccessDep, services: ServicesDep) -> None:
    """Delete a group with its scenes and signing secrets, unless tasks in it have not ended. It takes two seconds.

    Ended tasks stay, and can be retried when their scene has been made again.
    """
    async with services.database.session() as session:
        await find_visible_group(session, access, group)
    await Removal(services.database, services.configurations).remove(Place(access.namespace, group), access.actor)


@router.delete(
    "/groups/{group}/scenes/{scene}",
    tags=["scenes"],
    status_code=204,
    response_class=Response,
    responses=problems(404, 409),
)
async def delete_scene(group: GroupName, scene: SceneName, access: AccessDep, services: ServicesDep) -> None:
    """Delete a scene with all versions of its policy, unless tasks in it have not ended. It takes two seconds.

    Ended tasks stay, and can be retried when the scene has been made again. A report makes it again, unless that is
    switched off.
    """
    async with services.database.session() as session:
        await find_visible_scene(session, access, group, scene)
    await Removal(services.database, services.configurations).remove(
        Place(access.namespace, group, scene), access.actor
    )
