"""Words that complete a query: names of groups and scenes, and what the newest tasks have.

What tasks have is read from the newest ones and no others, so that a keystroke costs the same on any table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

Field = Literal["group", "scene", "error", "executor", "metadata"]

NEWEST: Final = 5_000
"""Tasks that are looked at."""

_NAMES: Final = """
    SELECT {column} AS value FROM {table} WHERE namespace = :namespace
        AND (CAST(:group AS text) IS NULL OR {group} = :group) AND starts_with(lower({column}), lower(:prefix))
    GROUP BY 1 ORDER BY 1 LIMIT :limit
"""
_RECENT: Final = """
    SELECT value FROM (
        SELECT * FROM tasks WHERE namespace = :namespace ORDER BY id DESC LIMIT :newest
    ) AS newest CROSS JOIN LATERAL ({values}) AS found
    WHERE (CAST(:group AS text) IS NULL OR newest."group" = :group) AND starts_with(lower(value), lower(:prefix))
    GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT :limit
"""
_QUERIES: Final[Mapping[Field, str]] = {
    "group": _NAMES.format(column="name", table="groups", group="name"),
    "scene": _NAMES.format(column="name", table="scenes", group='"group"'),
    "error": _RECENT.format(values="SELECT newest.error_type AS value"),
    "executor": _RECENT.format(values="SELECT newest.executor AS value"),
    "metadata": _RECENT.format(values="SELECT jsonb_object_keys(newest.metadata) AS value"),
}
_METADATA_VALUES: Final = _RECENT.format(values="SELECT newest.metadata ->> :key AS value")


async def suggest(
    session: AsyncSession,
    namespace: str,
    group: str | None,
    field: Field,
    prefix: str,
    *,
    key: str | None = None,
    limit: int = 20,
) -> list[str]:
    """Complete a word.

    Args:
        session: Any session.
        namespace: Whose words.
        group: Only those of this group.
        field: Which words; `metadata` gives keys, or the values of one key.
        prefix: How they begin, in any case.
        key: The key of the metadata whose values are wanted.
        limit: The most words.

    Returns:
        Names by the alphabet, and what tasks have by how often it occurs.
    """
    values: dict[str, Any] = {"namespace": namespace, "group": group, "prefix": prefix, "limit": limit}
    if field not in ("group", "scene"):
        values["newest"] = NEWEST
    if key is not None:
        values["key"] = key
    query = _QUERIES[field] if key is None else _METADATA_VALUES
    return list((await session.scalars(text(query), values)).all())
