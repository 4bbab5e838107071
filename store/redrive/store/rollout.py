"""Queries by which a scene's policy is brought to the tasks that live already."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from redrive.core.states import OPEN

# The states stand in the text, as in the predicate of the index of open tasks: the planner must see that they agree.
_OPEN: Final = ", ".join(f"'{status.value}'" for status in sorted(OPEN))
_BEHIND: Final = f"""
    namespace = :namespace AND "group" = :group AND scene = :scene
    AND status IN ({_OPEN}) AND policy_version <> :version
"""
_UNSTARTED: Final = "(status = 'pending' OR (status = 'paused' AND mirror_version = 0))"


@dataclass(frozen=True, slots=True)
class Behind:
    """An open task whose policy was made from another version than the one in force.

    Attributes:
        id: Its id.
        generation: Its generation.
        status: Its status.
        policy_override: The task's own parts of the policy.
        unstarted: Whether no workflow owns it yet.
    """

    id: UUID
    generation: int
    status: str
    policy_override: Mapping[str, Any] | None
    unstarted: bool


async def count_behind(session: AsyncSession, namespace: str, group: str, scene: str, version: int) -> dict[str, int]:
    """Count the open tasks of a scene that have another version of the policy, by status."""
    statement = text(f"SELECT status, count(*) AS tasks FROM tasks WHERE {_BEHIND} GROUP BY 1")  # noqa: S608 - constants
    rows = await session.execute(statement, _values(namespace, group, scene, version))
    return {row.status: row.tasks for row in rows}


async def list_behind(
    session: AsyncSession, namespace: str, group: str, scene: str, version: int, *, after: UUID | None, limit: int
) -> list[Behind]:
    """List the open tasks of a scene that have another version of the policy, in the order of their ids.

    Args:
        session: Any session.
        namespace: Their namespace.
        group: Their group.
        scene: Their scene.
        version: The version in force.
        after: Begin behind this id.
        limit: The most tasks.
    """
    statement = text(
        f"""
        SELECT id, generation, status, policy_override, {_UNSTARTED} AS unstarted FROM tasks
        WHERE {_BEHIND} AND (CAST(:after AS uuid) IS NULL OR id > :after)
        ORDER BY id LIMIT :limit
        """  # noqa: S608 - built from this module's constants only
    )
    rows = await session.execute(
        statement, {**_values(namespace, group, scene, version), "after": after, "limit": limit}
    )
    return [Behind(**row) for row in rows.mappings()]


async def set_unstarted_policy(
    session: AsyncSession, task_id: UUID, generation: int, policy: Mapping[str, Any], version: int
) -> bool:
    """Give a task another policy in its row, as long as no workflow owns it and no starter holds it.

    Args:
        session: Any session; the statement is one transaction.
        task_id: Its id.
        generation: Its generation.
        policy: The whole policy.
        version: Version of its scene's policy.

    Returns:
        Whether the row was changed.
    """
    statement = text(
        f"""
        UPDATE tasks SET policy = CAST(:policy AS jsonb), policy_version = :version, max_attempts = :max_attempts,
            updated_at = now()
        WHERE id = :id AND generation = :generation AND {_UNSTARTED}
            AND (claimed_until IS NULL OR claimed_until < clock_timestamp())
        RETURNING id
        """  # noqa: S608 - built from this module's constants only
    )
    values = {
        "id": task_id,
        "generation": generation,
        "policy": json.dumps(policy),
        "version": version,
        "max_attempts": policy["max_attempts"],
    }
    return (await session.execute(statement, values)).first() is not None


def _values(namespace: str, group: str, scene: str, version: int) -> dict[str, Any]:
    return {"namespace": namespace, "group": group, "scene": scene, "version": version}
