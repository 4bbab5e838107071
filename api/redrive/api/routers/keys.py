"""`/v1/keys`: API keys. Only a key for everything may see and make them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response

from redrive.api.configuration import unknown_namespace
from redrive.api.dependencies import AccessDep, SessionDep, TransactionDep
from redrive.api.documentation import problems
from redrive.api.problems import KEY_NOT_FOUND, Refusal
from redrive.api.routing import Route
from redrive.api.schemas.base import Listed, Name
from redrive.api.schemas.keys import KeyCreation, KeyResource, NewKey
from redrive.api.validation import invalid_field
from redrive.store import audit, keys, scenes
from redrive.store.tables import ApiKey

router = APIRouter(prefix="/v1/keys", tags=["keys"], route_class=Route)


@router.get("", responses=problems())
async def list_keys(
    access: AccessDep,
    session: SessionDep,
    of: Annotated[Name | None, Query(description="Only the keys of this namespace.")] = None,
) -> Listed[KeyResource]:
    """List the keys, the newest first."""
    access.require_everything()
    return Listed[KeyResource](items=[_resource(row) for row in await keys.list_keys(session, of)])


@router.post("", status_code=201, responses=problems(404, 413, 415))
async def create_key(creation: KeyCreation, access: AccessDep, session: TransactionDep) -> NewKey:
    """Make a key. The answer shows it once."""
    access.require_everything()
    if creation.group is not None and creation.namespace is None:
        raise invalid_field("namespace", "is missing; a group belongs to one namespace")
    if creation.expires_at is not None and creation.expires_at <= datetime.now(UTC):
        shown = creation.expires_at.isoformat()
        raise invalid_field("expires_at", f"expected an instant in the future, got {shown}")
    if creation.namespace is not None and await scenes.find_namespace(session, creation.namespace) is None:
        raise unknown_namespace(creation.namespace)
    row, key = await keys.create_key(session, **creation.model_dump())
    facts = {"name": row.name, "namespace": row.namespace, "group": row.group, "expires_at": row.expires_at}
    await audit.record(
        session, row.namespace or access.namespace, access.actor, "create", "key", str(row.id), facts, group=row.group
    )
    return NewKey.model_validate({**row.model_dump(exclude={"hash"}), "key": key})


@router.delete("/{key_id}", status_code=204, response_class=Response, responses=problems(404))
async def revoke_key(
    key_id: Annotated[UUID, Path(description="Id of the key.")], access: AccessDep, session: TransactionDep
) -> None:
    """Revoke a key. It may work for a few seconds more."""
    access.require_everything()
    row = await keys.revoke_key(session, key_id)
    if row is None:
        raise Refusal(KEY_NOT_FOUND, f"there is no key {key_id} in force: GET /v1/keys lists the keys")
    namespace = row.namespace or access.namespace
    await audit.record(
        session, namespace, access.actor, "revoke", "key", str(row.id), {"name": row.name}, group=row.group
    )


def _resource(row: ApiKey) -> KeyResource:
    return KeyResource.model_validate(row.model_dump(exclude={"hash"}))
