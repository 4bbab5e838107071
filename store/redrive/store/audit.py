"""Queries on the audit: who changed what, when, and why.

An entry is written in the transaction of the change, so that there is no change without an entry and no entry without a
change. What a workflow owns is changed by an update of the workflow; its entry is written once that was accepted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from redrive.store.tables import AuditEntry


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries a list shows. All that is given must hold.

    Attributes:
        namespace: Their namespace.
        group: What belongs to this group.
        subject_kind: Kind of what was changed.
        subject_id: Its id or name.
        actor: Who changed it.
    """

    namespace: str
    group: str | None = None
    subject_kind: str | None = None
    subject_id: str | None = None
    actor: str | None = None


async def record(
    session: AsyncSession,
    namespace: str,
    actor: str,
    action: str,
    subject_kind: str,
    subject_id: str,
    facts: Mapping[str, Any] | None = None,
    reason: str | None = None,
    *,
    group: str | None = None,
) -> None:
    """Write down what a person has changed.

    Args:
        session: The transaction of the change.
        namespace: Namespace of what was changed.
        actor: Who changed it: `Access.actor` of the request.
        action: A verb, such as `pause`.
        subject_kind: What was changed: `task`, `scene`, `group`, `namespace`, `key`, `node`, `redrive`, …
        subject_id: Its id or name; of a scene `group/scene`.
        facts: What tells about the change, as a small JSON object: never payloads or secrets.
        reason: Why, in the actor's words.
        group: The group that it belongs to; a key for that group sees the entry.
    """
    statement = text(
        """
        INSERT INTO audit_entries (namespace, "group", actor, action, subject_kind, subject_id, facts, reason)
        VALUES (:namespace, :group, :actor, :action, :subject_kind, :subject_id, CAST(:facts AS jsonb), :reason)
        """
    )
    values = {
        "namespace": namespace,
        "group": group,
        "actor": actor,
        "action": action,
        "subject_kind": subject_kind,
        "subject_id": subject_id,
        "facts": json.dumps(dict(facts or {}), default=str),
        "reason": reason,
    }
    await session.execute(statement, values)


async def list_entries(
    session: AsyncSession, filters: AuditFilter, *, before: int | None = None, limit: int = 50
) -> list[AuditEntry]:
    """List entries, the newest first.

    Args:
        session: Any session.
        filters: Which ones.
        before: Begin behind this id.
        limit: The most entries.
    """
    statement = select(AuditEntry).where(col(AuditEntry.namespace) == filters.namespace)
    for column, value in (
        (AuditEntry.group, filters.group),
        (AuditEntry.subject_kind, filters.subject_kind),
        (AuditEntry.subject_id, filters.subject_id),
        (AuditEntry.actor, filters.actor),
    ):
        if value is not None:
            statement = statement.where(col(column) == value)
    if before is not None:
        statement = statement.where(col(AuditEntry.id) < before)
    return list((await session.scalars(statement.order_by(col(AuditEntry.id).desc()).limit(limit))).all())
