"""`/v1/groups`: client applications, and the secrets by which requests to them are signed."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy.ext.asyncio import AsyncSession

from redrive.api.access import Access
from redrive.api.configuration import unknown_namespace
from redrive.api.dependencies import AccessDep, GroupName, ServicesDep, SessionDep, TransactionDep
from redrive.api.documentation import problems
from redrive.api.layers import change_group_policy, check_layers
from redrive.api.problems import ALREADY_EXISTS, Refusal
from redrive.api.routing import Route
from redrive.api.schemas.base import Listed
from redrive.api.schemas.groups import GroupChange, GroupCreation, GroupResource, SecretRotation, SigningSecrets
from redrive.api.visibility import find_visible_group, no_such_group
from redrive.store import audit, scenes, signing
from redrive.store.signing import Secrets
from redrive.store.tables import Group

router = APIRouter(prefix="/v1/groups", tags=["groups"], route_class=Route)


@router.get("", responses=problems())
async def list_groups(access: AccessDep, session: SessionDep) -> Listed[GroupResource]:
    """List the groups of the namespace by name."""
    rows = [row for row in await scenes.list_groups(session, access.namespace) if access.sees(row.name)]
    counts = await scenes.count_scenes(session, access.namespace)
    return Listed[GroupResource](items=[_resource(row, counts.get(row.name, 0)) for row in rows])


@router.post("", status_code=201, responses=problems(404, 409, 413, 415))
async def create_group(
    creation: GroupCreation, access: AccessDep, services: ServicesDep, response: Response
) -> GroupResource:
    """Make a group with a signing secret of its own."""
    access.require_group(creation.name)
    async with services.database.begin() as session:
        owner = await scenes.find_namespace(session, access.namespace)
        if owner is None:
            raise unknown_namespace(access.namespace)
        check_layers([owner.policy, creation.policy])
        if not await scenes.create_group(session, access.namespace, creation.name, creation.description):
            raise Refusal(ALREADY_EXISTS, f"group {creation.name!r} exists: PATCH it to change it")
        changes = creation.model_dump(include={"policy", "weight", "auto_create", "enabled"})
        await scenes.update_group(session, access.namespace, creation.name, changes)
        await _audit(session, access, "create", creation.name)
        row = await find_visible_group(session, access, creation.name)
    services.configurations.forget(access.namespace)
    response.headers["Location"] = f"/v1/groups/{creation.name}"
    return _resource(row, 0)


@router.get("/{group}", responses=problems(404))
async def get_group(group: GroupName, access: AccessDep, session: SessionDep) -> GroupResource:
    """Show a group."""
    row = await find_visible_group(session, access, group)
    return _resource(row, (await scenes.count_scenes(session, access.namespace)).get(group, 0))


@router.patch("/{group}", responses=problems(404, 413, 415))
async def change_group(
    group: GroupName, change: GroupChange, access: AccessDep, services: ServicesDep
) -> GroupResource:
    """Change a group. A new policy takes effect at the next attempt of every live task."""
    changes = change.model_dump(exclude_unset=True)
    async with services.database.begin() as session:
        await find_visible_group(session, access, group)
        if "policy" in changes:
            owner = await scenes.find_namespace(session, access.namespace)
            outer = {} if owner is None else owner.policy
            await change_group_policy(session, access, group, outer, change.policy)
        if changes:
            await scenes.update_group(session, access.namespace, group, changes)
            await _audit(session, access, "change", group, {"fields": sorted(changes)})
        session.expire_all()
        row = await find_visible_group(session, access, group)
        count = (await scenes.count_scenes(session, access.namespace)).get(group, 0)
    services.configurations.forget(access.namespace)
    return _resource(row, count)


@router.get("/{group}/signing-secrets", responses=problems(404))
async def get_signing_secrets(group: GroupName, access: AccessDep, session: SessionDep) -> SigningSecrets:
    """Show the live secrets by which requests to the group's nodes and webhooks are signed, the preferred one first."""
    await find_visible_group(session, access, group)
    return _secrets(access, group, await signing.find_secrets(session, access.namespace, group))


@router.post("/{group}/signing-secrets/rotate", responses=problems(404, 413, 415))
async def rotate_signing_secrets(
    group: GroupName, access: AccessDep, session: TransactionDep, rotation: SecretRotation | None = None
) -> SigningSecrets:
    """Make a new secret. The one before stays live for a while, so that receivers can follow; older ones end.

    While two are live, each request has a signature by each of them.
    """
    await find_visible_group(session, access, group)
    keep = (rotation or SecretRotation()).keep_previous_seconds
    secrets = await signing.rotate_secrets(session, access.namespace, group, keep)
    await _audit(session, access, "rotate_signing_secrets", group, {"keep_previous_seconds": keep})
    return _secrets(access, group, secrets)


@router.post("/{group}/signing-secrets/end-previous", responses=problems(404))
async def end_previous_signing_secret(group: GroupName, access: AccessDep, session: TransactionDep) -> SigningSecrets:
    """End the secret before the preferred one now: receivers know the new one, or the old one has leaked."""
    await find_visible_group(session, access, group)
    secrets = await signing.end_previous_secret(session, access.namespace, group)
    await _audit(session, access, "end_previous_signing_secret", group)
    return _secrets(access, group, secrets)


def _secrets(access: Access, group: str, secrets: Secrets | None) -> SigningSecrets:
    if secrets is None:
        raise no_such_group(access, group)
    return SigningSecrets(signing_secrets=secrets.live, previous_until=secrets.previous_until)


async def _audit(
    session: AsyncSession, access: Access, action: str, group: str, facts: dict[str, Any] | None = None
) -> None:
    await audit.record(session, access.namespace, access.actor, action, "group", group, facts, group=group)


def _resource(row: Group, count: int) -> GroupResource:
    secret = {"signing_secrets", "previous_secret_until"}
    return GroupResource.model_validate({**row.model_dump(exclude=secret), "scenes": count})
