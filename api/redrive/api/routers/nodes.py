"""`/v1/nodes`: client processes that take attempts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, cast

from fastapi import APIRouter, Path, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from redrive.api.access import Access
from redrive.api.dependencies import AccessDep, ServicesDep, SessionDep, TransactionDep
from redrive.api.documentation import problems
from redrive.api.problems import ALREADY_EXISTS, NODE_NOT_FOUND, Refusal
from redrive.api.routing import Route
from redrive.api.schemas.base import Listed, Name, NodeId
from redrive.api.schemas.nodes import (
    Heartbeat,
    HeartbeatAnswer,
    Lease,
    NodeRegistration,
    NodeResource,
    NodeStatus,
    SpoolState,
)
from redrive.api.text import check_storable
from redrive.core.wire import NODE_LEASE_SECONDS
from redrive.store import audit, nodes, signing
from redrive.store.tables import Node

router = APIRouter(prefix="/v1/nodes", tags=["nodes"], route_class=Route)

NodePath = Annotated[NodeId, Path(description="Id of the node.")]


@router.post("/register", responses=problems(404, 409, 413, 415))
async def register_node(registration: NodeRegistration, access: AccessDep, services: ServicesDep) -> Lease:
    """Register a node, or take it back after it was lost. Its group is made when that is allowed for reports."""
    access.require_group(registration.group)
    check_storable(registration.labels, "labels")
    async with services.database.begin() as session:
        await services.configurations.ensure_group(session, access.namespace, registration.group)
        row = {"namespace": access.namespace, **registration.model_dump()}
        if not await nodes.register(session, row):
            detail = f"node {registration.id!r} belongs to another namespace or group: choose another id"
            raise Refusal(ALREADY_EXISTS, detail)
        secrets = await signing.live_secrets(session, access.namespace, registration.group)
    return Lease(id=registration.id, signing_secrets=secrets)


@router.post("/{node_id}/heartbeat", responses=problems(404, 413, 415))
async def send_heartbeat(
    node_id: NodePath, heartbeat: Heartbeat, access: AccessDep, session: TransactionDep
) -> HeartbeatAnswer:
    """Prolong a node's lease. 404 means: register again."""
    access.require_group(heartbeat.group)
    await _find(session, access, node_id, heartbeat.group)
    spool = heartbeat.spool or SpoolState()
    status = await nodes.heartbeat(
        session,
        access.namespace,
        node_id,
        heartbeat.in_flight,
        spool_size=spool.size,
        spool_oldest_seconds=spool.oldest_seconds,
        errors=heartbeat.errors,
    )
    if status is None:
        raise _unknown(node_id)
    secrets = await signing.live_secrets(session, access.namespace, heartbeat.group)
    return HeartbeatAnswer(status=cast("Literal['live', 'draining']", status), signing_secrets=secrets)


@router.post("/{node_id}/drain", responses=problems(404))
async def drain_node(node_id: NodePath, access: AccessDep, session: TransactionDep) -> NodeResource:
    """Send a node no further attempts. It leaves the list when it is deleted or lost."""
    node = await _find(session, access, node_id)
    await nodes.drain(session, access.namespace, node_id)
    await audit.record(session, access.namespace, access.actor, "drain", "node", node_id, group=node.group)
    return _resource(await _find(session, access, node_id, fresh=True))


@router.get("", responses=problems())
async def list_nodes(
    access: AccessDep, session: SessionDep, group: Annotated[Name | None, Query()] = None
) -> Listed[NodeResource]:
    """List the nodes, the longest registered first."""
    found = await nodes.list_nodes(session, access.namespace, access.group_filter(group))
    return Listed[NodeResource](items=[_resource(node) for node in found])


@router.get("/{node_id}", responses=problems(404))
async def get_node(node_id: NodePath, access: AccessDep, session: SessionDep) -> NodeResource:
    """Show a node."""
    return _resource(await _find(session, access, node_id))


@router.delete("/{node_id}", status_code=204, response_class=Response, responses=problems(404))
async def delete_node(node_id: NodePath, access: AccessDep, session: TransactionDep) -> None:
    """Forget a node. One that still lives registers again with its next heartbeat."""
    node = await _find(session, access, node_id)
    await nodes.remove(session, access.namespace, node_id)
    await audit.record(session, access.namespace, access.actor, "delete", "node", node_id, group=node.group)


async def _find(
    session: AsyncSession, access: Access, node_id: str, group: str | None = None, *, fresh: bool = False
) -> Node:
    if fresh:
        session.expire_all()
    node = await nodes.find(session, access.namespace, node_id)
    if node is None or not access.sees(node.group) or (group is not None and node.group != group):
        raise _unknown(node_id)
    return node


def _unknown(node_id: str) -> Refusal:
    return Refusal(NODE_NOT_FOUND, f"node {node_id!r} is not registered: POST /v1/nodes/register first")


def _resource(node: Node) -> NodeResource:
    lapsed = node.last_heartbeat_at < datetime.now(UTC) - timedelta(seconds=NODE_LEASE_SECONDS)
    status = cast("NodeStatus", "lost" if lapsed else node.status)
    return NodeResource.model_validate({**node.model_dump(include=set(NodeResource.model_fields)), "status": status})
