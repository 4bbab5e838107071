"""Measuring what alert rules are about: one set-based statement per rule, however much has happened.

What belongs to the delivery of alerts is never counted: an alert about it would be delivered the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from redrive.core.alerting import MAX_GROUPS, AlertRule, Dimension, Reading, Watched
from redrive.core.states import OPEN
from redrive.core.wire import NODE_LEASE_SECONDS
from redrive.store.dead_counts import NO_ERROR

ALERTS_GROUP: Final = "redrive-alerts"
"""The group that the tasks belong to which deliver notices."""

BREAKER_MEMORY_DAYS: Final = 30
"""A breaker that opened longer ago without any other news is forgotten."""

_COLUMNS: Final[Mapping[str, Mapping[Dimension, str]]] = {
    "alert_events": {
        "group": '"group"',
        "scene": "scene",
        "fingerprint": "facts ->> 'fingerprint'",
        "target": "facts ->> 'key'",
        "node": "facts ->> 'node'",
    },
    "tasks": {"group": '"group"', "scene": "scene"},
    "attempts": {"group": '"group"', "scene": "scene"},
    "nodes": {"group": '"group"', "node": "id"},
}

_DEAD: Final = """
    SELECT {dimensions} count(*) AS value,
        mode() WITHIN GROUP (ORDER BY facts ->> 'error_type') AS "Most frequent error",
        max(task_id::text) AS "One of the tasks"
    FROM alert_events
    WHERE namespace = :namespace AND kind = 'dead_letter' AND created_at > :since AND {visible} {more}
        -- An error that somebody has muted is nothing to be told of.
        AND NOT EXISTS (
            SELECT FROM dead_letter_notes AS muted WHERE muted.namespace = alert_events.namespace
                AND muted.fingerprint = COALESCE(facts ->> 'fingerprint', :no_error) AND muted_until > now()
        )
    GROUP BY {groups} HAVING count(*) >= :threshold
"""
_LIVE_NODE: Final = """
    SELECT FROM nodes WHERE nodes.namespace = tasks.namespace AND nodes."group" = tasks."group"
        AND nodes.status = 'live' AND last_heartbeat_at > now() - make_interval(secs => :lease)
"""
_STATEMENTS: Final[Mapping[Watched, tuple[str, str]]] = {
    "dead_letter": ("alert_events", _DEAD.replace("{more}", "")),
    "exhausted": ("alert_events", _DEAD.replace("{more}", "AND facts ->> 'dead_reason' = 'exhausted'")),
    "waiting": (
        "tasks",
        """
        SELECT {dimensions} count(*) AS value FROM tasks
        WHERE namespace = :namespace AND status = ANY(:open) AND {visible}
        GROUP BY {groups} HAVING count(*) >= :threshold
        """,
    ),
    "failure_rate": (
        "attempts",
        """
        SELECT {dimensions} avg((status <> 'succeeded')::int)::float8 AS value, count(*) AS "Attempts",
            mode() WITHIN GROUP (ORDER BY error_type) AS "Most frequent error"
        FROM attempts
        WHERE namespace = :namespace AND started_at > :since AND status IN ('succeeded', 'failed', 'timed_out')
            AND {visible}
        GROUP BY {groups}
        HAVING count(*) >= :minimum AND avg((status <> 'succeeded')::int) >= :threshold
        """,
    ),
    "no_live_node": (
        "tasks",
        f"""
        SELECT {{dimensions}} count(*) AS value FROM tasks
        WHERE namespace = :namespace AND status = ANY(:open) AND target ->> 'kind' = 'node' AND {{visible}}
            AND NOT EXISTS ({_LIVE_NODE})
        GROUP BY {{groups}} HAVING count(*) >= :threshold
        """,  # noqa: S608 - built from this module's constants only
    ),
    "due_lag": (
        "tasks",
        """
        SELECT {dimensions} max(extract(epoch FROM now() - next_attempt_at))::float8 AS value, count(*) AS "Late tasks"
        FROM tasks
        WHERE namespace = :namespace AND status IN ('pending', 'waiting') AND {visible}
            AND next_attempt_at <= now() - make_interval(secs => :threshold)
        GROUP BY {groups} HAVING count(*) > 0
        """,
    ),
    "breaker_open": (
        "alert_events",
        """
        SELECT {dimensions} count(*) AS value, min(facts ->> 'key') AS "Target" FROM (
            SELECT DISTINCT ON (facts ->> 'key') * FROM alert_events
            WHERE namespace = :namespace AND kind IN ('breaker_opened', 'breaker_closed')
                AND created_at > now() - make_interval(days => :memory)
            ORDER BY facts ->> 'key', id DESC
        ) AS latest
        WHERE kind = 'breaker_opened' AND starts_with(facts ->> 'key', :alerts_target) IS NOT TRUE AND {visible}
        GROUP BY {groups} HAVING count(*) >= :threshold
        """,
    ),
    "redrive_stopped": (
        "alert_events",
        """
        SELECT {dimensions} count(*) AS value, max(facts ->> 'redrive_id') AS "Redrive", max(facts ->> 'why') AS "Why"
        FROM alert_events
        WHERE namespace = :namespace AND kind = 'redrive_stopped' AND created_at > :since AND {visible}
        GROUP BY {groups} HAVING count(*) >= :threshold
        """,
    ),
    "spool_growing": (
        "nodes",
        """
        SELECT {dimensions} max(spool_size) AS value,
            round(max(spool_oldest_seconds))::text || ' s' AS "Oldest report", count(*) AS "Nodes"
        FROM nodes
        WHERE namespace = :namespace AND spool_size > 0 AND {visible}
            AND last_heartbeat_at > now() - make_interval(secs => :lease)
        GROUP BY {groups} HAVING max(spool_size) >= :threshold
        """,
    ),
    "sdk_error": (
        "alert_events",
        """
        SELECT {dimensions} sum((facts ->> 'count')::int) AS value, count(DISTINCT facts ->> 'node') AS "Nodes"
        FROM alert_events
        WHERE namespace = :namespace AND kind = 'sdk_error' AND created_at > :since AND {visible}
        GROUP BY {groups} HAVING sum((facts ->> 'count')::int) >= :threshold
        """,
    ),
}


async def measure(session: AsyncSession, namespace: str, rule: AlertRule, since: datetime) -> list[Reading]:
    """Measure what a rule is about.

    Args:
        session: Any session.
        namespace: Where.
        rule: The rule.
        since: From when on events are counted.

    Returns:
        The groups that have reached the threshold, the highest values first.
    """
    table, template = _STATEMENTS[rule.event]
    columns = [_COLUMNS[table][dimension] for dimension in rule.group_by]
    conditions = ["true" if table == "nodes" else '"group" IS DISTINCT FROM :alerts_group']
    if rule.groups:
        conditions.append('"group" = ANY(:groups)')
    if rule.scenes and rule.condition.has_scene:
        conditions.append("scene = ANY(:scenes)")
    statement = template.format(
        dimensions="".join(f"{column} AS d{index}, " for index, column in enumerate(columns)),
        groups=", ".join(columns) or "()",
        visible=" AND ".join(conditions),
    )
    values: dict[str, Any] = {
        "namespace": namespace,
        "threshold": rule.limit,
        "minimum": rule.minimum,
        "since": since,
        "open": sorted(OPEN),
        "lease": NODE_LEASE_SECONDS,
        "memory": BREAKER_MEMORY_DAYS,
        "alerts_group": ALERTS_GROUP,
        "alerts_target": f"scene:{ALERTS_GROUP}/",
        "groups": list(rule.groups),
        "scenes": list(rule.scenes),
        "no_error": NO_ERROR,
        "limit": MAX_GROUPS,
    }
    query = text(f"{statement} ORDER BY value DESC LIMIT :limit")
    used = {name: value for name, value in values.items() if f":{name}" in query.text}
    rows = (await session.execute(query, used)).mappings()
    return [_reading(rule, dict(row)) for row in rows]


def _reading(rule: AlertRule, row: dict[str, Any]) -> Reading:
    key = tuple((dimension, str(row.pop(f"d{index}") or "")) for index, dimension in enumerate(rule.group_by))
    value = float(row.pop("value"))
    return Reading(key, value, {name: str(fact) for name, fact in row.items() if fact is not None})
