"""Queries on nodes: the client processes that take attempts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from redrive.core.wire import NODE_LEASE_SECONDS
from redrive.store.tables import Node

NODES_CHANNEL = "redrive_nodes"
"""Notified when a node becomes live, so that what is parked for its group can go on."""


@dataclass(frozen=True, slots=True)
class LiveNode:
    """A node that may be sent an attempt."""

    id: str
    url: str
    executors: tuple[str, ...]


async def register(session: AsyncSession, node: Mapping[str, Any]) -> bool:
    """Write a node as live, whether it is new or comes back.

    Args:
        session: A transaction.
        node: The columns `id`, `namespace`, `group`, `url`, `labels`, `version`, `executors` and `capacity`.

    Returns:
        Whether it was written; False when the id belongs to another namespace or group, which must not lose its node.
    """
    fresh = {**node, "status": "live", "in_flight": 0, "last_heartbeat_at": func.now(), "live_since": func.now()}
    statement = upsert(Node).values(**fresh, registered_at=func.now())
    own = (col(Node.namespace) == node["namespace"]) & (col(Node.group) == node["group"])
    statement = statement.on_conflict_do_update(index_elements=["id"], set_=fresh, where=own)
    written = (await session.scalars(statement.returning(col(Node.id)))).first() is not None
    if written:
        await _notify(session, node["namespace"], node["group"])
    return written


async def heartbeat(
    session: AsyncSession,
    namespace: str,
    node_id: str,
    in_flight: int,
    *,
    spool_size: int = 0,
    spool_oldest_seconds: float | None = None,
    errors: int | None = None,
) -> str | None:
    """Prolong a node's lease, and note what its SDK says of itself.

    Args:
        session: Any session; the statement is one transaction.
        namespace: Namespace of the node.
        node_id: Its id.
        in_flight: Attempts that it runs.
        spool_size: Reports that wait on its disk.
        spool_oldest_seconds: How long the first of them has waited, in seconds.
        errors: Errors that its SDK has met since it started; None when it does not count them. Those that are new make
            an alert event.

    Returns:
        The node's status; None when it is not known, so that it must register again.
    """
    statement = text(
        """
        WITH before AS (
            SELECT id, last_heartbeat_at < now() - make_interval(secs => :lease) AS lapsed, errors
            FROM nodes WHERE id = :id AND namespace = :namespace FOR UPDATE
        ), told AS (
            INSERT INTO alert_events (namespace, kind, "group", facts)
            SELECT namespace, 'sdk_error', "group", jsonb_build_object(
                'node', nodes.id, 'count', CAST(:errors AS bigint) - before.errors
            )
            FROM nodes JOIN before ON before.id = nodes.id WHERE CAST(:errors AS bigint) > before.errors
        )
        UPDATE nodes SET last_heartbeat_at = now(), in_flight = :in_flight, spool_size = :spool_size,
            spool_oldest_seconds = :spool_oldest_seconds, errors = COALESCE(CAST(:errors AS bigint), nodes.errors),
            live_since = CASE WHEN before.lapsed THEN now() ELSE live_since END
        FROM before WHERE nodes.id = before.id
        RETURNING nodes.status, nodes."group", before.lapsed
        """
    )
    values = {
        "id": node_id,
        "namespace": namespace,
        "in_flight": in_flight,
        "spool_size": spool_size,
        "spool_oldest_seconds": spool_oldest_seconds,
        "errors": errors,
        "lease": NODE_LEASE_SECONDS,
    }
    row = (await session.execute(statement, values)).one_or_none()
    if row is None:
        return None
    if row.lapsed and row.status == "live":
        await _notify(session, namespace, row.group)
    return str(row.status)


async def drain(session: AsyncSession, namespace: str, node_id: str) -> bool:
    """Send a node no further attempts; tell whether it is known."""
    statement = (
        update(Node)
        .where(col(Node.id) == node_id, col(Node.namespace) == namespace)
        .values(status="draining")
        .returning(col(Node.id))
    )
    return (await session.scalars(statement)).first() is not None


async def remove(session: AsyncSession, namespace: str, node_id: str) -> bool:
    """Forget a node; tell whether it was known."""
    statement = delete(Node).where(col(Node.id) == node_id, col(Node.namespace) == namespace).returning(col(Node.id))
    return (await session.scalars(statement)).first() is not None


async def find(session: AsyncSession, namespace: str, node_id: str) -> Node | None:
    """Find a node by its id."""
    statement = select(Node).where(col(Node.id) == node_id, col(Node.namespace) == namespace)
    return (await session.scalars(statement)).one_or_none()


async def list_nodes(session: AsyncSession, namespace: str, group: str | None = None) -> list[Node]:
    """List the nodes of a namespace, or of one group, the longest registered first."""
    statement = select(Node).where(col(Node.namespace) == namespace)
    if group is not None:
        statement = statement.where(col(Node.group) == group)
    return list(
        (await session.scalars(statement.order_by(col(Node.group), col(Node.registered_at), col(Node.id)))).all()
    )


async def list_live(session: AsyncSession, namespace: str, group: str) -> list[LiveNode]:
    """List the nodes of a group that may be sent an attempt now, the longest registered first."""
    statement = text(
        """
        SELECT id, url, executors FROM nodes
        WHERE namespace = :namespace AND "group" = :group AND status = 'live'
            AND last_heartbeat_at > now() - make_interval(secs => :lease)
        ORDER BY registered_at, id
        """
    )
    values = {"namespace": namespace, "group": group, "lease": NODE_LEASE_SECONDS}
    rows = await session.execute(statement, values)
    return [LiveNode(row.id, row.url, tuple(row.executors)) for row in rows]


async def count_states(session: AsyncSession, namespace: str, group: str | None = None) -> dict[str, int]:
    """Count the nodes that are live, draining, and lost: those whose lease has lapsed."""
    statement = text(
        """
        SELECT CASE WHEN last_heartbeat_at < now() - make_interval(secs => :lease) THEN 'lost' ELSE status END AS state,
            count(*) AS nodes
        FROM nodes WHERE namespace = :namespace AND (CAST(:group AS text) IS NULL OR "group" = :group) GROUP BY 1
        """
    )
    rows = await session.execute(statement, {"namespace": namespace, "group": group, "lease": NODE_LEASE_SECONDS})
    return {row.state: row.nodes for row in rows}


async def forget_lost(session: AsyncSession, days: float) -> Sequence[str]:
    """Delete nodes that have not been heard of for `days` days; return their ids."""
    limit = func.now() - func.make_interval(0, 0, 0, 0, 0, 0, days * 86_400)
    statement = delete(Node).where(col(Node.last_heartbeat_at) < limit).returning(col(Node.id))
    return (await session.scalars(statement)).all()


async def _notify(session: AsyncSession, namespace: str, group: str) -> None:
    await session.execute(
        text("SELECT pg_notify(:channel, :group)"), {"channel": NODES_CHANNEL, "group": f"{namespace}/{group}"}
    )
