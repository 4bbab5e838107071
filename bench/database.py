"""The queries of starter, due lists, dead letters and task lists on a full table: plan and time of each.

A table of `rows` tasks is generated: 96 % succeeded, 2 % dead, 1.9 % waiting, 0.1 % pending. The indexes that the hot
queries use are partial, so that their size follows the backlog and not the history.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg

from bench.table import markdown
from redrive.cli.stack import EmbeddedPostgres
from redrive.store.migrate import upgrade

GENERATE = """
INSERT INTO tasks (id, namespace, "group", scene, executor, status, dead_reason, generation, attempts, max_attempts,
    next_attempt_at, finished_at, payload_hash, business_key, idempotency_key, target, policy, error_type,
    error_message, fingerprint, created_at, started_at, updated_at)
SELECT
    (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(n::text), 1, 3) || '8'
        || substr(md5(n::text), 4, 15))::uuid,
    'default', 'group-' || n % 20, 'scene-' || n % 100, 'app.run', status,
    CASE WHEN status = 'dead' THEN 'exhausted' END, 1, 1 + n % 5, 12,
    CASE WHEN status IN ('pending', 'waiting') THEN at + interval '1 hour' END,
    CASE WHEN status IN ('succeeded', 'dead') THEN at + interval '5 minutes' END,
    md5(n::text), 'order-' || n % 100000, 'key-' || n, '{"kind": "node"}', '{"max_attempts": 12}',
    'TimeoutError', 'no answer from provider ' || n % 50, substr(md5((n % 200)::text), 1, 16), at, at, at
FROM (
    SELECT n, now() - interval '30 days' * (1 - n::float / %(rows)s) AS at,
        CASE WHEN n %% 1000 = 0 THEN 'pending' WHEN n %% 50 = 1 THEN 'dead' WHEN n %% 1000 BETWEEN 2 AND 20
            THEN 'waiting' ELSE 'succeeded' END AS status
    FROM generate_series(1, %(rows)s) AS n
) AS series
"""

_QUERIES = {
    "starter: claim 32 pending of 20 groups": """
        WITH RECURSIVE waiting AS (
            (SELECT namespace, "group" FROM tasks WHERE status = 'pending' ORDER BY namespace, "group" LIMIT 1)
            UNION ALL
            SELECT following.namespace, following."group" FROM waiting CROSS JOIN LATERAL (
                SELECT namespace, "group" FROM tasks
                WHERE status = 'pending' AND (namespace, "group") > (waiting.namespace, waiting."group")
                ORDER BY namespace, "group" LIMIT 1
            ) AS following
        )
        SELECT urgent.id, row_number() OVER (PARTITION BY namespace, "group" ORDER BY next_attempt_at) AS turn
        FROM waiting CROSS JOIN LATERAL (
            SELECT id, next_attempt_at FROM tasks
            WHERE status = 'pending' AND namespace = waiting.namespace AND "group" = waiting."group"
                AND (claimed_until IS NULL OR claimed_until < now())
            ORDER BY next_attempt_at LIMIT 32
        ) AS urgent ORDER BY turn, next_attempt_at LIMIT 32""",
    "due next in a namespace": """
        SELECT id FROM tasks WHERE namespace = 'default'
            AND status IN ('parked', 'paused', 'pending', 'running', 'waiting')
        ORDER BY next_attempt_at, id LIMIT 50""",
    "dead letters, newest first": """
        SELECT id FROM tasks WHERE namespace = 'default' AND status = 'dead'
        ORDER BY finished_at DESC, id DESC LIMIT 50""",
    "dead letters of a fingerprint": """
        SELECT id FROM tasks WHERE namespace = 'default' AND status = 'dead' AND fingerprint = substr(md5('51'), 1, 16)
        ORDER BY finished_at DESC LIMIT 50""",
    "task list, first page": """
        SELECT * FROM tasks WHERE namespace = 'default' ORDER BY id DESC LIMIT 51""",
    "task list, a page in the middle": """
        SELECT * FROM tasks WHERE namespace = 'default' AND id < %(middle)s ORDER BY id DESC LIMIT 51""",
    "task list of a scene": """
        SELECT * FROM tasks WHERE namespace = 'default' AND "group" = 'group-3' AND scene = 'scene-3'
        ORDER BY id DESC LIMIT 51""",
    "waiting tasks": """
        SELECT * FROM tasks WHERE namespace = 'default' AND status = 'waiting' ORDER BY id DESC LIMIT 51""",
    "by business key": """
        SELECT * FROM tasks WHERE namespace = 'default' AND business_key = 'order-4711' ORDER BY id DESC LIMIT 51""",
    "reconciler: overdue": """
        SELECT id FROM tasks WHERE namespace = 'default' AND status IN ('waiting', 'parked')
            AND next_attempt_at < now() - interval '30 s' AND updated_at < now() - interval '30 s'
        ORDER BY next_attempt_at LIMIT 200""",
    "reconciler: running too long": """
        SELECT id FROM tasks WHERE namespace = 'default' AND status = 'running'
            AND updated_at < now() - make_interval(secs => 30 + (policy ->> 'attempt_timeout_seconds')::float8)
        ORDER BY id LIMIT 200""",
}


def measure(rows: int = 1_000_000) -> str:
    """Generate a table and explain the queries on it.

    Args:
        rows: Tasks in the table.

    Returns:
        A Markdown table.
    """
    with (
        TemporaryDirectory(prefix="redrive-bench-", ignore_cleanup_errors=True) as name,
        EmbeddedPostgres(Path(name)) as postgres,
    ):
        upgrade(postgres.url)
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            connection.execute(GENERATE.replace("%(rows)s", str(rows)).replace("%%", "%").encode())
            connection.execute("VACUUM ANALYZE tasks")
            middle = connection.execute(
                "SELECT id FROM tasks ORDER BY id OFFSET (SELECT count(*) / 2 FROM tasks) LIMIT 1"
            ).fetchone()
            queries = {
                title: query.replace("%(middle)s", f"'{(middle or [''])[0]}'") for title, query in _QUERIES.items()
            }
            table = [_explain(connection, title, query) for title, query in queries.items()]
    return markdown([f"query on {rows:,} tasks", "time", "buffers", "plan"], table)


def _explain(connection: psycopg.Connection[Any], title: str, query: str) -> list[str]:
    statement = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}".encode()
    connection.execute(statement)  # warms the cache
    row = connection.execute(statement).fetchone()
    assert row is not None
    document: dict[str, Any] = row[0][0]
    names = re.findall(r'"(?:Index Name|Node Type)": "([^"]+)"', json.dumps(document["Plan"]))
    plan = next((name for name in names if name.startswith(("ix_", "uq_", "pk_"))), " → ".join(names))
    buffers = int(document["Plan"]["Shared Hit Blocks"]) + int(document["Plan"]["Shared Read Blocks"])
    return [title, f"{document['Execution Time']:.2f} ms", f"{buffers}", plan]
