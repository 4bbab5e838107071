"""Queries on API keys. A key is shown once; what is kept is its hash."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, insert, or_, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from redrive.store.database import new_id
from redrive.store.tables import ApiKey

_PREFIX = "rdv_"


@dataclass(frozen=True, slots=True)
class Scope:
    """What a key may see and do.

    Attributes:
        namespace: The only namespace; None for all.
        group: The only group of it; None for all.
        key_id: The key; None when keys are not required.
        name: Who acts, for the records.
    """

    namespace: str | None = None
    group: str | None = None
    key_id: UUID | None = None
    name: str = "anonymous"

    def allows(self, namespace: str, group: str | None = None) -> bool:
        """Tell whether the scope covers a namespace, and a group of it when one is given.

        Args:
            namespace: Its name.
            group: Name of the group; None asks for the whole namespace.
        """
        if self.namespace is None:
            return True
        return self.namespace == namespace and (self.group is None or self.group == group)


def hash_key(key: str) -> str:
    """Hash a key for storage and look-up."""
    return hashlib.sha256(key.encode()).hexdigest()


async def create_key(
    session: AsyncSession,
    *,
    name: str,
    namespace: str | None = None,
    group: str | None = None,
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """Make a key.

    Args:
        session: A transaction.
        name: What the key is for.
        namespace: The only namespace that it may touch; None for all.
        group: The only group of it; None for all.
        expires_at: When it stops working.

    Returns:
        The stored row, and the key itself, which cannot be had again.
    """
    key = _PREFIX + secrets.token_urlsafe(32)
    values = {
        "id": new_id(),
        "name": name,
        "prefix": key[:12],
        "hash": hash_key(key),
        "namespace": namespace,
        "group": group,
        "expires_at": expires_at,
    }
    row = (await session.scalars(insert(ApiKey).values(**values).returning(ApiKey))).one()
    return row, key


async def list_keys(session: AsyncSession, namespace: str | None = None) -> list[ApiKey]:
    """List the keys, the newest first; those of one namespace when it is given."""
    statement = select(ApiKey).order_by(col(ApiKey.id).desc())
    if namespace is not None:
        statement = statement.where(col(ApiKey.namespace) == namespace)
    return list((await session.scalars(statement)).all())


async def revoke_key(session: AsyncSession, key_id: UUID) -> ApiKey | None:
    """Make a key worthless from now on; return its row, or None when it was not in force."""
    statement = (
        update(ApiKey)
        .where(col(ApiKey.id) == key_id, col(ApiKey.revoked_at).is_(None))
        .values(revoked_at=func.now())
        .returning(ApiKey)
    )
    return (await session.scalars(statement)).first()


async def find_scope(session: AsyncSession, key: str) -> Scope | None:
    """Tell what a key allows; None when it is unknown, revoked or expired."""
    statement = select(ApiKey.id, ApiKey.namespace, ApiKey.group, ApiKey.name).where(
        col(ApiKey.hash) == hash_key(key),
        col(ApiKey.revoked_at).is_(None),
        or_(col(ApiKey.expires_at).is_(None), col(ApiKey.expires_at) > func.now()),
    )
    row = (await session.execute(statement)).one_or_none()
    return None if row is None else Scope(namespace=row[1], group=row[2], key_id=row[0], name=row[3])


async def touch_keys(session: AsyncSession, key_ids: set[UUID]) -> None:
    """Note that keys were used."""
    statement = text("UPDATE api_keys SET last_used_at = now() WHERE id = ANY(:ids)")
    await session.execute(statement, {"ids": list(key_ids)})
