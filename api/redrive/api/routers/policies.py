"""What policies do, where they come from, and how they change: simulation, origins, versions, roll-out."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from random import Random
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from sqlalchemy.ext.asyncio import AsyncSession

from redrive.api.access import Access
from redrive.api.dependencies import AccessDep, GroupName, SceneName, ServicesDep, SessionDep, TaskId
from redrive.api.documentation import problems
from redrive.api.layers import check_layers
from redrive.api.problems import POLICY_VERSION_NOT_FOUND, WRONG_STATE, Refusal
from redrive.api.rollout import Rollout
from redrive.api.routing import Route
from redrive.api.schemas.policies import (
    DefaultPolicy,
    KeptTask,
    PolicyDifference,
    PolicyRollout,
    PolicyRolloutResult,
    Rollback,
    SimulationRequest,
    SimulationResult,
    TaskEffectivePolicy,
)
from redrive.api.schemas.scenes import ScenePolicyVersion
from redrive.api.text import check_storable
from redrive.api.validation import invalid_document, invalid_field
from redrive.api.visibility import find_visible_group, find_visible_scene, find_visible_task, no_such_scene
from redrive.core import layers
from redrive.core.errors import InvalidDocument
from redrive.core.policy import parse
from redrive.core.simulation import Scenario, simulate
from redrive.store import audit, rollout, scenes
from redrive.store.scenes import SceneConfiguration
from redrive.store.tables import ScenePolicy

router = APIRouter(prefix="/v1", tags=["policies"], route_class=Route)

_SCENE = "/groups/{group}/scenes/{scene}"
Version = Annotated[int, Path(ge=1, lt=2**31, description="Number of the version.")]
VersionQuery = Annotated[int | None, Query(ge=1, lt=2**31)]


@router.post("/policies/simulate", responses=problems(404, 413, 415))
async def simulate_policy(request: SimulationRequest, access: AccessDep, services: ServicesDep) -> SimulationResult:
    """Tell what a policy does before it is in force: its schedule, the outages it survives, and the load it causes.

    Nothing is written. Every attempt fails while the target is down, and the first one after that succeeds.
    """
    below: tuple[Mapping[str, Any], ...] = ()
    if request.group is not None:
        async with services.database.session() as session:
            below = await _layers(session, access, request.group, request.scene)
    elif request.scene is not None:
        raise invalid_field("group", f"expected the group of scene {request.scene!r}, got none")
    check_storable(request.policy, "policy")
    try:
        document = layers.effective([*below, request.policy])
    except InvalidDocument as error:
        raise invalid_document(error) from None
    scenario = Scenario(
        outage_seconds=request.outage_seconds,
        tasks=request.tasks,
        attempt_seconds=request.attempt_seconds,
        deadline_seconds=request.deadline_seconds,
        starts_at=request.starts_at or datetime.now(UTC),
    )
    # It takes up to a fifth of a second of pure Python: other requests must not wait for it.
    found = await asyncio.to_thread(simulate, parse(document), scenario, Random(request.seed))  # noqa: S311 - no secret
    return SimulationResult(
        policy=document,
        seed=request.seed,
        scenario=found.scenario,
        attempts=list(found.attempts),
        total=found.total,
        survival=found.survival,
        lost_tasks=found.lost_tasks,
        survival_curve=list(found.survival_curve),
        load=found.load,
        lives=found.lives,
        share_error=found.share_error,
        truncated=found.truncated,
    )


@router.get("/policies/defaults", responses=problems())
async def get_default_policy(_access: AccessDep) -> DefaultPolicy:
    """Show the policy that holds where neither namespace nor group, scene or task says anything."""
    return DefaultPolicy(policy=layers.effective([]))


@router.get("/tasks/{task_id}/effective-policy", responses=problems(404, 409))
async def get_task_effective_policy(task_id: TaskId, access: AccessDep, session: SessionDep) -> TaskEffectivePolicy:
    """Show the policy that a task has from its next attempt on, and which layer gave each value."""
    task = await find_visible_task(session, access, task_id)
    known = await _configuration(session, access, task.group, task.scene)
    own = task.policy_override or {}
    try:
        settings = layers.explain(*known.layers, own)
    except InvalidDocument as error:
        detail = f"its own policy no longer fits that of its scene ({error}): PATCH it with another `policy`"
        raise Refusal(WRONG_STATE, detail) from None
    return TaskEffectivePolicy(
        version=known.version,
        task_version=task.policy_version,
        policy=known.effective(own),
        settings=list(settings),
    )


# `diff` stands before the version, which is any other word at the same place.
@router.get(_SCENE + "/policies/diff", responses=problems(404))
async def compare_policies(
    group: GroupName,
    scene: SceneName,
    access: AccessDep,
    session: SessionDep,
    from_version: Annotated[VersionQuery, Query(alias="from", description="The one before `to` when left out.")] = None,
    to_version: Annotated[VersionQuery, Query(alias="to", description="The one in force when left out.")] = None,
) -> PolicyDifference:
    """Show what differs between two versions of a scene's policy."""
    row = await find_visible_scene(session, access, group, scene)
    to = row.policy_version if to_version is None else to_version
    since = max(to - 1, 1) if from_version is None else from_version
    new, old = [await _version(session, access, group, scene, version) for version in (to, since)]
    return PolicyDifference(from_version=since, to_version=to, changes=list(layers.compare(old.policy, new.policy)))


@router.get(_SCENE + "/policies/{version}", responses=problems(404))
async def get_policy_version(
    group: GroupName, scene: SceneName, version: Version, access: AccessDep, session: SessionDep
) -> ScenePolicyVersion:
    """Show one version of a scene's policy."""
    await find_visible_scene(session, access, group, scene)
    return _resource(await _version(session, access, group, scene, version))


@router.post(_SCENE + "/policy/rollback", responses=problems(404, 413, 415))
async def roll_back_policy(
    group: GroupName, scene: SceneName, rollback: Rollback, access: AccessDep, services: ServicesDep
) -> ScenePolicyVersion:
    """Put the content of an old version in force as a new version. Nothing happens when it is in force already."""
    async with services.database.begin() as session:
        row = await find_visible_scene(session, access, group, scene)
        old = await _version(session, access, group, scene, rollback.version)
        present = await _version(session, access, group, scene, row.policy_version)
        if not layers.compare(present.policy, old.policy):
            return _resource(present)
        known = await _configuration(session, access, group, scene)
        check_layers([*known.layers[:2], old.policy])
        note = rollback.note or f"version {rollback.version} again"
        number = await scenes.set_policy(session, access.namespace, group, scene, old.policy, access.author, note)
        if number is None:
            raise no_such_scene(group, scene)
        facts = {"version": number, "from_version": rollback.version}
        await _audit(session, access, "roll_back_policy", group, scene, facts, rollback.note)
        new = _resource(await _version(session, access, group, scene, number))
    services.configurations.forget(access.namespace)
    return new


@router.post(_SCENE + "/policy/apply", responses=problems(404, 413, 415))
async def apply_policy(
    group: GroupName, scene: SceneName, wish: PolicyRollout, access: AccessDep, services: ServicesDep
) -> PolicyRolloutResult:
    """Bring the policy in force to the tasks that live already, and let them plan their next attempt anew.

    Without this call they take it at their next attempt. With `dry_run` they are only counted. A call changes up to
    `limit` tasks; it may be repeated at any time, since a task that has the policy in force is left alone.
    """
    place = (access.namespace, group, scene)
    async with services.database.session() as session:
        known = await _configuration(session, access, group, scene)
        behind = await rollout.count_behind(session, *place, known.version)
    result = PolicyRolloutResult(
        version=known.version, behind=behind, total=sum(behind.values()), changed=0, kept=[], next_cursor=None
    )
    if wish.dry_run:
        return result
    applied = await Rollout(services.database, services.engine).apply(place, known, after=wish.cursor, limit=wish.limit)
    result.changed, result.next_cursor = applied.changed, applied.last
    result.kept = [KeptTask(id=task.id, reason=task.reason) for task in applied.kept]
    facts = {"version": known.version, "changed": applied.changed, "kept": len(applied.kept)}
    async with services.database.begin() as session:
        await _audit(session, access, "apply_policy", group, scene, facts)
    return result


async def _audit(
    session: AsyncSession,
    access: Access,
    action: str,
    group: str,
    scene: str,
    facts: dict[str, Any],
    reason: str = "",
) -> None:
    subject = f"{group}/{scene}"
    await audit.record(
        session, access.namespace, access.actor, action, "scene", subject, facts, reason or None, group=group
    )


async def _layers(
    session: AsyncSession, access: Access, group: str, scene: str | None
) -> tuple[Mapping[str, Any], ...]:
    if scene is not None:
        return (await _configuration(session, access, group, scene)).layers
    row = await find_visible_group(session, access, group)
    owner = await scenes.find_namespace(session, access.namespace)
    return ({} if owner is None else owner.policy, row.policy)


async def _configuration(session: AsyncSession, access: Access, group: str, scene: str) -> SceneConfiguration:
    await find_visible_group(session, access, group)
    known = await scenes.load_configuration(session, access.namespace, group, scene)
    if known is None:
        raise no_such_scene(group, scene)
    return known


async def _version(session: AsyncSession, access: Access, group: str, scene: str, version: int) -> ScenePolicy:
    row = await scenes.find_policy(session, access.namespace, group, scene, version)
    if row is None:
        detail = f"scene {scene!r} of group {group!r} has no version {version} of its policy"
        raise Refusal(POLICY_VERSION_NOT_FOUND, f"{detail}: GET /v1/groups/{group}/scenes/{scene}/policies lists them")
    return row


def _resource(row: ScenePolicy) -> ScenePolicyVersion:
    return ScenePolicyVersion.model_validate(row.model_dump(exclude={"namespace", "group", "scene"}))
