"""What has changed of late, for people who look at it: asked once for all who look, and paid by no writer.

Lists that are short are compared as a whole, each row by a version of what people see of it. Tasks are asked for by the
time of their last change. That time is the beginning of the transaction that changed them, so one that takes longer
than the overlap may be missed; whoever shows tasks looks at them anew from time to time anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from redrive.core.wire import NODE_LEASE_SECONDS

Topic = Literal["tasks", "nodes", "redrives", "breakers", "alerts"]

OVERLAP_SECONDS: Final = 3.0
"""How far back each look goes: longer than any transaction that changes a task."""

MOST_ROWS: Final = 500

_QUERIES: Final[Mapping[Topic, str]] = {
    "tasks": """
        SELECT id::text AS id, updated_at AS version FROM tasks
        WHERE namespace = :namespace AND (CAST(:group AS text) IS NULL OR "group" = :group)
            AND updated_at > now() - make_interval(secs => :overlap)
        ORDER BY updated_at DESC, id DESC LIMIT :limit
    """,
    "nodes": """
        SELECT id,
            concat_ws(' ', status, last_heartbeat_at < now() - make_interval(secs => :lease), in_flight) AS version
        FROM nodes WHERE namespace = :namespace AND (CAST(:group AS text) IS NULL OR "group" = :group)
        ORDER BY last_heartbeat_at DESC LIMIT :limit
    """,
    "redrives": """
        SELECT id::text AS id, concat_ws(
            ' ', status, total, waiting, in_flight, succeeded, dead, skipped, failed, rate_now
        ) AS version
        FROM redrives WHERE namespace = :namespace AND (CAST(:group AS text) IS NULL OR "group" = :group)
        ORDER BY id DESC LIMIT :limit
    """,
    # A target may serve several groups, and a key for one of them sees its breaker.
    "breakers": """
        SELECT key AS id, max(id) AS version FROM (
            SELECT key, id FROM target_events WHERE namespace = :namespace ORDER BY id DESC LIMIT :limit
        ) AS newest GROUP BY key
    """,
    "alerts": """
        SELECT id::text AS id, state AS version FROM alert_notices
        WHERE namespace = :namespace AND (CAST(:group AS text) IS NULL OR "group" = :group)
        ORDER BY id DESC LIMIT :limit
    """,
}
TOPICS: Final = tuple(_QUERIES)


async def versions(session: AsyncSession, topic: Topic, namespace: str, group: str | None) -> dict[str, Any]:
    """Tell the present version of the newest rows.

    Args:
        session: Any session.
        topic: Of what.
        namespace: Whose.
        group: Only those of this group.

    Returns:
        Versions by id; they compare equal as long as nothing changed that people see. Up to `MOST_ROWS`.
    """
    values: dict[str, Any] = {"namespace": namespace, "limit": MOST_ROWS}
    if topic != "breakers":
        values["group"] = group
    if topic == "tasks":
        values["overlap"] = OVERLAP_SECONDS
    if topic == "nodes":
        values["lease"] = NODE_LEASE_SECONDS
    rows = await session.execute(text(_QUERIES[topic]), values)
    return {row.id: row.version for row in rows}
