"""Alerts: the events that people may want to hear of.

An event is written in the transaction that it tells about. One row per event is cheap, since nobody looks at single
rows: rules count them by window (`redrive.core.alerting`), and those that no window reaches any more are deleted.
Deaths are written by the very statements that end tasks (`redrive.store.tasks`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


async def insert_event(
    session: AsyncSession,
    namespace: str,
    kind: str,
    group: str | None = None,
    scene: str | None = None,
    task_id: UUID | None = None,
    facts: Mapping[str, Any] = _NOTHING,
) -> None:
    """Note that something happened which a rule may be about.

    Args:
        session: The transaction that makes it happen.
        namespace: Where.
        kind: What: `breaker_opened`, `breaker_closed`, `redrive_stopped` or `sdk_error`.
        group: Group that it is about.
        scene: Scene that it is about.
        task_id: Task that it is about.
        facts: A few numbers and names for the message; never a payload.
    """
    statement = text(
        """
        INSERT INTO alert_events (namespace, kind, "group", scene, task_id, facts)
        VALUES (:namespace, :kind, :group, :scene, :task_id, CAST(:facts AS jsonb))
        """
    )
    values = {
        "namespace": namespace,
        "kind": kind,
        "group": group,
        "scene": scene,
        "task_id": task_id,
        "facts": json.dumps(dict(facts)),
    }
    await session.execute(statement, values)
