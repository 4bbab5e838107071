"""Queries by which scenes, groups and namespaces are taken away.

Ended tasks stay: their rows say what happened. They can be retried once their scene has been made again.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from redrive.core.states import OPEN

# As literals, so that the planner sees that the index of open tasks holds what is asked for.
_OPEN: Final = ", ".join(f"'{status.value}'" for status in sorted(OPEN))


async def count_open(session: AsyncSession, namespace: str, group: str | None = None, scene: str | None = None) -> int:
    """Count the tasks that have not ended, of a namespace, a group or a scene."""
    statement = text(
        f"""
        SELECT count(*) FROM tasks WHERE namespace = :namespace AND status IN ({_OPEN})
            AND (CAST(:group AS text) IS NULL OR "group" = :group)
            AND (CAST(:scene AS text) IS NULL OR scene = :scene)
        """  # noqa: S608 - built from this module's constants only
    )
    found: int = (await session.execute(statement, _values(namespace, group, scene))).scalar_one()
    return found


async def switch_off(
    session: AsyncSession, namespace: str, group: str | None = None, scene: str | None = None
) -> list[tuple[str, str | None]]:
    """Let a scene, a group, or all groups of a namespace take no reports.

    Returns:
        What was on before: groups, with the scene when it was one.
    """
    if scene is not None:
        statement = text(
            """
            UPDATE scenes SET enabled = false
            WHERE namespace = :namespace AND "group" = :group AND name = :scene AND enabled
            RETURNING "group" AS owner, name AS scene
            """
        )
    else:
        statement = text(
            """
            UPDATE groups SET enabled = false
            WHERE namespace = :namespace AND (CAST(:group AS text) IS NULL OR name = :group) AND enabled
            RETURNING name AS owner, NULL AS scene
            """
        )
    values = _values(namespace, group, scene)
    if scene is None:
        del values["scene"]
    return [(row.owner, row.scene) for row in await session.execute(statement, values)]


async def delete_scene(session: AsyncSession, namespace: str, group: str, scene: str) -> bool:
    """Delete a scene with all versions of its policy, its limit and its pauses; tell whether it was there."""
    statement = text(
        'DELETE FROM scenes WHERE namespace = :namespace AND "group" = :group AND name = :scene RETURNING name'
    )
    for table in ("limits", "pauses"):
        own = text(f"DELETE FROM {table} WHERE namespace = :namespace AND scope = 'scene' AND key = :key")  # noqa: S608 - constants
        await session.execute(own, {"namespace": namespace, "key": f"{group}/{scene}"})
    return (await session.execute(statement, _values(namespace, group, scene))).first() is not None


async def delete_group(session: AsyncSession, namespace: str, group: str) -> bool:
    """Delete a group with its scenes, nodes, limits and pauses; tell whether it was there."""
    values = {"namespace": namespace, "group": group}
    for table in ("scenes", "nodes"):
        statement = text(f'DELETE FROM {table} WHERE namespace = :namespace AND "group" = :group')  # noqa: S608 - constants
        await session.execute(statement, values)
    for table in ("limits", "pauses"):
        statement = text(
            f"""
            DELETE FROM {table} WHERE namespace = :namespace AND scope IN ('group', 'scene')
                AND split_part(key, '/', 1) = :group
            """  # noqa: S608 - constants
        )
        await session.execute(statement, values)
    statement = text("DELETE FROM groups WHERE namespace = :namespace AND name = :group RETURNING name")
    return (await session.execute(statement, values)).first() is not None


async def delete_namespace(session: AsyncSession, namespace: str) -> bool:
    """Delete a namespace with all that is set in it, and its API keys; tell whether it was there."""
    values = {"namespace": namespace}
    for table in ("scenes", "nodes", "groups", "limits", "pauses", "alert_rules", "alert_channels", "api_keys"):
        await session.execute(text(f"DELETE FROM {table} WHERE namespace = :namespace"), values)  # noqa: S608 - constants
    statement = text("DELETE FROM namespaces WHERE name = :namespace RETURNING name")
    return (await session.execute(statement, values)).first() is not None


def _values(namespace: str, group: str | None, scene: str | None) -> dict[str, Any]:
    return {"namespace": namespace, "group": group, "scene": scene}
