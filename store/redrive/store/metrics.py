"""What monitoring asks for: everything at once, of one moment, from what is counted anyway."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from redrive.core.wire import NODE_LEASE_SECONDS
from redrive.store.statistics import OPEN_BREAKER

LAG_MINUTES: Final = 5


@dataclass(frozen=True, slots=True)
class Sample:
    """One value with its labels."""

    labels: Mapping[str, str]
    value: float


_VISIBLE: Final = """
    (CAST(:namespace AS text) IS NULL OR namespace = :namespace) AND (CAST(:group AS text) IS NULL OR "group" = :group)
"""
_TASKS: Final = f"""
    SELECT namespace, "group", scene, status, sum(count)::float8 AS value FROM (
        SELECT namespace, "group", scene, status, count FROM status_tallies WHERE {_VISIBLE}
        UNION ALL SELECT namespace, "group", scene, status, change FROM task_moves WHERE {_VISIBLE}
    ) AS parts GROUP BY 1, 2, 3, 4
"""  # noqa: S608 - built from this module's constants only
_ATTEMPTS: Final = f"""
    SELECT namespace, "group", scene, outcome, sum(value)::float8 AS value FROM (
        SELECT namespace, "group", scene, count, failed FROM attempt_totals WHERE {_VISIBLE}
        UNION ALL SELECT namespace, "group", scene, 1, failed::int FROM attempt_ends WHERE {_VISIBLE}
    ) AS parts
    CROSS JOIN LATERAL (VALUES ('failed', failed), ('other', count - failed)) AS split(outcome, value)
    GROUP BY 1, 2, 3, 4
"""  # noqa: S608 - built from this module's constants only
_OVERDUE: Final = f"""
    SELECT namespace, "group", EXTRACT(EPOCH FROM now() - min(at))::float8 AS value FROM (
        SELECT namespace, "group", at FROM (
            SELECT namespace, "group", at, count FROM due_tallies WHERE {_VISIBLE} AND at < now()
            UNION ALL SELECT namespace, "group", due_at, change FROM task_moves
            WHERE {_VISIBLE} AND due_at < now()
        ) AS parts GROUP BY 1, 2, 3 HAVING sum(count) > 0
    ) AS due GROUP BY 1, 2
"""  # noqa: S608 - built from this module's constants only
_DUE: Final = f"""
    SELECT namespace, "group", sum(count)::float8 AS value FROM (
        SELECT namespace, "group", count FROM due_tallies WHERE {_VISIBLE} AND at < now()
        UNION ALL SELECT namespace, "group", change FROM task_moves WHERE {_VISIBLE} AND due_at < now()
    ) AS parts GROUP BY 1, 2
"""  # noqa: S608 - built from this module's constants only
_NODES: Final = f"""
    SELECT namespace, "group", CASE WHEN last_heartbeat_at < now() - make_interval(secs => :lease) THEN 'lost'
        ELSE status END AS state, count(*)::float8 AS value
    FROM nodes WHERE {_VISIBLE} GROUP BY 1, 2, 3
"""  # noqa: S608 - built from this module's constants only
_BREAKERS: Final = f"""
    SELECT namespace, count(*) FILTER (WHERE {OPEN_BREAKER})::float8 AS value FROM target_states
    WHERE CAST(:namespace AS text) IS NULL OR namespace = :namespace GROUP BY 1
"""  # noqa: S608 - built from this module's constants only
_LAGS: Final = f"""
    SELECT namespace, "group", bucket, sum(count)::bigint AS attempts FROM (
        SELECT namespace, "group", bucket, count FROM lag_tallies
        WHERE {_VISIBLE} AND seconds = 60 AND at > now() - make_interval(mins => :minutes)
        UNION ALL SELECT namespace, "group", lag_bucket, 1 FROM attempt_ends
        WHERE {_VISIBLE} AND ended_at > now() - make_interval(mins => :minutes)
    ) AS parts GROUP BY 1, 2, 3
"""  # noqa: S608 - built from this module's constants only
_QUERIES: Final = {
    "tasks": _TASKS,
    "attempts": _ATTEMPTS,
    "due": _DUE,
    "overdue": _OVERDUE,
    "nodes": _NODES,
    "breakers": _BREAKERS,
}


async def samples(session: AsyncSession, namespace: str | None, group: str | None) -> dict[str, list[Sample]]:
    """Read all samples.

    Args:
        session: A transaction of one moment (`statistics.begin`).
        namespace: The only namespace that may be seen; None for all.
        group: The only group of it; None for all.

    Returns:
        Samples by what they are of: `tasks`, `attempts`, `due`, `overdue` (seconds), `nodes`, `breakers`, `reconciled`.
    """
    found: dict[str, list[Sample]] = {}
    for name, query in _QUERIES.items():
        values: dict[str, Any] = {"namespace": namespace}
        if name != "breakers":
            values["group"] = group
        if name == "nodes":
            values["lease"] = NODE_LEASE_SECONDS
        rows = (await session.execute(text(query), values)).mappings()
        found[name] = [
            Sample({label: str(part) for label, part in row.items() if label != "value"}, row["value"]) for row in rows
        ]
    if namespace is None:
        repairs = await session.execute(
            text("SELECT COALESCE(sum(restarted + cancelled + closed), 0)::float8 FROM reconciliations")
        )
        found["repaired"] = [Sample({}, repairs.scalar_one())]
    return found


async def lags(
    session: AsyncSession, namespace: str | None, group: str | None
) -> dict[tuple[str, str], dict[int, int]]:
    """Read how late the attempts of the last minutes began: a histogram by namespace and group."""
    values = {"namespace": namespace, "group": group, "minutes": LAG_MINUTES}
    found: dict[tuple[str, str], dict[int, int]] = {}
    for row in await session.execute(text(_LAGS), values):
        found.setdefault((row.namespace, row.group), {})[row.bucket] = row.attempts
    return found
