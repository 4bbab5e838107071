"""Queries on the secrets by which requests to a group's nodes and webhooks are signed.

Two may be live at once, the preferred one first, so that receivers can follow a new one without a gap. The one before
ends by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from redrive.core.signature import new_secret

LIVE_SECRETS: Final = """
    CASE WHEN groups.previous_secret_until <= now() THEN jsonb_path_query_array(groups.signing_secrets, '$[0]')
    ELSE groups.signing_secrets END
"""
"""SQL: the secrets of a group that are live now, as a jsonb list."""

_SHOWN: Final = f"""
    {LIVE_SECRETS} AS live, CASE WHEN previous_secret_until > now() THEN previous_secret_until END AS previous_until
"""


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secrets of a group.

    Attributes:
        live: Those that requests are signed with, the preferred one first.
        previous_until: When the second one ends; None when there is none, or when only a rotation ends it.
    """

    live: list[str]
    previous_until: datetime | None


async def find_secrets(session: AsyncSession, namespace: str, group: str) -> Secrets | None:
    """Find the live secrets of a group; None when there is no such group."""
    statement = f"SELECT {_SHOWN} FROM groups WHERE namespace = :namespace AND name = :group"  # noqa: S608 - constants
    return await _one(session, statement, {"namespace": namespace, "group": group})


async def live_secrets(session: AsyncSession, namespace: str, group: str) -> list[str]:
    """List the live secrets of a group, the preferred one first; none when there is no such group."""
    found = await find_secrets(session, namespace, group)
    return [] if found is None else found.live


async def rotate_secrets(session: AsyncSession, namespace: str, group: str, keep_seconds: float) -> Secrets | None:
    """Put a new secret before the one in use.

    Args:
        session: Any session; the statement is one transaction.
        namespace: Namespace of the group.
        group: Its name.
        keep_seconds: How long the one in use stays live beside it, in seconds.

    Returns:
        The live secrets; None when there is no such group.
    """
    statement = f"""
        UPDATE groups SET
            signing_secrets = jsonb_build_array(CAST(:new AS text))
                || CASE WHEN :keep > 0 THEN jsonb_path_query_array(signing_secrets, '$[0]') ELSE '[]' END,
            previous_secret_until = CASE WHEN :keep > 0 THEN now() + make_interval(secs => :keep) END
        WHERE namespace = :namespace AND name = :group
        RETURNING {_SHOWN}
        """  # noqa: S608 - built from this module's constants only
    values = {"namespace": namespace, "group": group, "new": new_secret(), "keep": keep_seconds}
    return await _one(session, statement, values)


async def end_previous_secret(session: AsyncSession, namespace: str, group: str) -> Secrets | None:
    """Let the preferred secret alone be live from now on.

    Args:
        session: Any session; the statement is one transaction.
        namespace: Namespace of the group.
        group: Its name.

    Returns:
        The live secrets; None when there is no such group.
    """
    statement = f"""
        UPDATE groups SET signing_secrets = jsonb_path_query_array(signing_secrets, '$[0]'),
            previous_secret_until = NULL
        WHERE namespace = :namespace AND name = :group
        RETURNING {_SHOWN}
        """  # noqa: S608 - built from this module's constants only
    return await _one(session, statement, {"namespace": namespace, "group": group})


async def _one(session: AsyncSession, statement: str, values: dict[str, Any]) -> Secrets | None:
    row = (await session.execute(text(statement), values)).one_or_none()
    return None if row is None else Secrets(row.live, row.previous_until)
