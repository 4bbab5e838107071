"""`/v1/groups/{group}/scenes`: kinds of operations, and the versions of their policies."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy.ext.asyncio import AsyncSession

from redrive.api.access import Access
from redrive.api.dependencies import AccessDep, GroupName, SceneName, ServicesDep, SessionDep
from redrive.api.documentation import problems
from redrive.api.layers import check_layers
from redrive.api.problems import ALREADY_EXISTS, Refusal
from redrive.api.routing import Route
from redrive.api.scene_settings import SETTINGS, check_settings
from redrive.api.schemas.base import Listed
from redrive.api.schemas.scenes import (
    EffectivePolicy,
    SceneChange,
    SceneCreation,
    ScenePolicyChange,
    ScenePolicyVersion,
    SceneResource,
)
from redrive.api.visibility import find_visible_group, find_visible_scene, no_such_scene
from redrive.core.layers import explain
from redrive.store import audit, scenes
from redrive.store.tables import Scene

router = APIRouter(prefix="/v1/groups/{group}/scenes", tags=["scenes"], route_class=Route)


@router.get("", responses=problems(404))
async def list_scenes(group: GroupName, access: AccessDep, session: SessionDep) -> Listed[SceneResource]:
    """List the scenes of a group by name."""
    await find_visible_group(session, access, group)
    rows = await scenes.list_scenes(session, access.namespace, group)
    return Listed[SceneResource](items=[_resource(row) for row in rows])


@router.post("", status_code=201, responses=problems(404, 409, 413, 415))
async def create_scene(
    group: GroupName, creation: SceneCreation, access: AccessDep, services: ServicesDep, response: Response
) -> SceneResource:
    """Make a scene with version 1 of its policy."""
    async with services.database.begin() as session:
        owner = await find_visible_group(session, access, group)
        namespace = await scenes.find_namespace(session, access.namespace)
        check_layers([{} if namespace is None else namespace.policy, owner.policy, creation.policy])
        settings = creation.model_dump(include=set(SETTINGS))
        check_settings(settings, {} if namespace is None else namespace.callback_policy)
        created = await scenes.create_scene(
            session, access.namespace, group, creation.name, creation.policy, creation.description, access.author
        )
        if not created:
            raise Refusal(ALREADY_EXISTS, f"scene {creation.name!r} exists in group {group!r}: PATCH it to change it")
        await scenes.update_scene(session, access.namespace, group, creation.name, settings)
        await _audit(session, access, "create", group, creation.name)
        row = await find_visible_scene(session, access, group, creation.name)
    services.configurations.forget(access.namespace)
    response.headers["Location"] = f"/v1/groups/{group}/scenes/{creation.name}"
    return _resource(row)


@router.get("/{scene}", responses=problems(404))
async def get_scene(group: GroupName, scene: SceneName, access: AccessDep, session: SessionDep) -> SceneResource:
    """Show a scene."""
    return _resource(await find_visible_scene(session, access, group, scene))


@router.patch("/{scene}", responses=problems(404, 413, 415))
async def change_scene(
    group: GroupName, scene: SceneName, change: SceneChange, access: AccessDep, services: ServicesDep
) -> SceneResource:
    """Change a scene beside its policy: whether it takes reports, who is told of ends, what payloads look like."""
    changes = change.model_dump(exclude_unset=True)
    async with services.database.begin() as session:
        await find_visible_scene(session, access, group, scene)
        namespace = await scenes.find_namespace(session, access.namespace)
        check_settings(changes, {} if namespace is None else namespace.callback_policy)
        if changes:
            await scenes.update_scene(session, access.namespace, group, scene, changes)
            await _audit(session, access, "change", group, scene, {"fields": sorted(changes)})
        session.expire_all()
        row = await find_visible_scene(session, access, group, scene)
    services.configurations.forget(access.namespace)
    return _resource(row)


@router.put("/{scene}/policy", responses=problems(404, 413, 415))
async def set_policy(
    group: GroupName, scene: SceneName, change: ScenePolicyChange, access: AccessDep, services: ServicesDep
) -> ScenePolicyVersion:
    """Put a new version of the policy in force. It takes effect at the next attempt of every live task."""
    async with services.database.begin() as session:
        await find_visible_scene(session, access, group, scene)
        known = await scenes.load_configuration(session, access.namespace, group, scene)
        check_layers([*(known.layers[:2] if known else ()), change.policy])
        await scenes.set_policy(session, access.namespace, group, scene, change.policy, access.author, change.note)
        newest = (await scenes.list_policies(session, access.namespace, group, scene))[0]
        await _audit(session, access, "set_policy", group, scene, {"version": newest.version}, change.note)
    services.configurations.forget(access.namespace)
    return ScenePolicyVersion.model_validate(newest.model_dump(exclude={"namespace", "group", "scene"}))


@router.get("/{scene}/policies", responses=problems(404))
async def list_policies(
    group: GroupName, scene: SceneName, access: AccessDep, session: SessionDep
) -> Listed[ScenePolicyVersion]:
    """List all versions of the policy, the newest first."""
    await find_visible_scene(session, access, group, scene)
    rows = await scenes.list_policies(session, access.namespace, group, scene)
    items = [ScenePolicyVersion.model_validate(row.model_dump(exclude={"namespace", "group", "scene"})) for row in rows]
    return Listed[ScenePolicyVersion](items=items)


@router.get("/{scene}/effective-policy", responses=problems(404))
async def get_effective_policy(
    group: GroupName, scene: SceneName, access: AccessDep, session: SessionDep
) -> EffectivePolicy:
    """Show the policy of new tasks, `defaults ← namespace ← group ← scene`, and which layer gave each value."""
    await find_visible_group(session, access, group)
    known = await scenes.load_configuration(session, access.namespace, group, scene)
    if known is None:
        raise no_such_scene(group, scene)
    settings = explain(*known.layers)
    return EffectivePolicy(version=known.version, policy=known.effective(), settings=list(settings))


async def _audit(
    session: AsyncSession,
    access: Access,
    action: str,
    group: str,
    scene: str,
    facts: dict[str, Any] | None = None,
    reason: str = "",
) -> None:
    subject = f"{group}/{scene}"
    await audit.record(
        session, access.namespace, access.actor, action, "scene", subject, facts, reason or None, group=group
    )


def _resource(row: Scene) -> SceneResource:
    return SceneResource.model_validate(row.model_dump())
