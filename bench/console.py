"""What the console asks of the API on a full database, and its pages in a browser.

Every list and the overview, each ten times, at the API; then every page in Chromium, each five times (`bench.browser`).
1 million tasks with 1.2 million attempts: 96 % succeeded, 2 % dead, 1.9 % waiting, 0.1 % pending, of twenty groups and
a hundred scenes, spread evenly over thirty days. The API runs in this process, without the network between; Temporal is
away. The goal is 300 ms each.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import httpx
import psycopg

from bench.browser import measure_pages
from bench.database import GENERATE
from bench.table import markdown
from redrive.api.app import create_app, prepare
from redrive.cli.stack import EmbeddedPostgres
from redrive.store.migrate import upgrade
from redrive.store.settings import Settings

_ATTEMPTS = """
INSERT INTO attempts (task_id, generation, number, namespace, "group", scene, status, due_at, started_at, finished_at,
    error_type, error_message, fingerprint, logs)
SELECT id, 1, number, namespace, "group", scene, CASE WHEN number = 2 OR status <> 'succeeded' THEN 'failed' ELSE
    'succeeded' END, created_at, created_at + interval '20 ms', COALESCE(finished_at, updated_at), error_type,
    error_message, fingerprint, '[]'
FROM (SELECT *, row_number() OVER () AS n FROM tasks WHERE status <> 'pending') AS tasks
CROSS JOIN generate_series(1, 2) AS number WHERE number = 1 OR n % 5 = 0
"""
_JOURNAL = """
INSERT INTO attempt_ends (namespace, "group", scene, ended_at, failed, lag_bucket)
SELECT namespace, "group", scene, date_trunc('minute', finished_at), status = 'failed', 18 FROM attempts
ORDER BY finished_at
"""
_PAYLOADS = """
INSERT INTO payloads (task_id, revision, args, kwargs) SELECT id, 1, '["o-1"]', '{"amount": 5}' FROM tasks
"""
_GROUPS = """
INSERT INTO groups (namespace, name) SELECT 'default', 'group-' || n FROM generate_series(0, 19) AS n
"""
_SCENES = """
WITH made AS (
    INSERT INTO scenes (namespace, "group", name)
    SELECT DISTINCT namespace, "group", scene FROM tasks RETURNING namespace, "group", name
)
INSERT INTO scene_policies (namespace, "group", scene, version) SELECT namespace, "group", name, 1 FROM made
"""
_TIMES = 10
_GOAL_MS = 300


def measure(rows: int = 1_000_000) -> str:
    """Fill a database and ask the API.

    Args:
        rows: Tasks in the database.

    Returns:
        Two Markdown tables.
    """
    with (
        TemporaryDirectory(prefix="redrive-bench-", ignore_cleanup_errors=True) as name,
        EmbeddedPostgres(Path(name)) as postgres,
    ):
        upgrade(postgres.url)
        fill(postgres.url, rows)
        asked = asyncio.run(_ask(postgres.url, rows))
        return f"{asked}\n\n{measure_pages(postgres.url, Path(name), rows)}"


def fill(url: str, rows: int) -> None:
    """Make tasks, attempts, groups and scenes.

    Args:
        url: A database without tasks.
        rows: How many tasks.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(GENERATE.replace("%(rows)s", str(rows)).replace("%%", "%").encode())
        for statement in (_ATTEMPTS, _JOURNAL, _PAYLOADS, _GROUPS, _SCENES):
            connection.execute(statement.encode())
        connection.execute("VACUUM ANALYZE")


async def _ask(url: str, rows: int) -> str:
    app = prepare(create_app(Settings(database_url=url, require_api_key=False, temporal_address="127.0.0.1:1")))
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=60) as client,
    ):
        await _folded(url)
        task = (await client.get("/v1/tasks", params={"limit": 1, "status": "succeeded"})).json()["items"][0]["id"]
        table = [await _time(client, title, path) for title, path in _questions(task).items()]
    return markdown([f"question on {rows:,} tasks", "median", f"worst of {_TIMES}", f"≤ {_GOAL_MS} ms"], table)


async def _folded(url: str) -> None:
    """Wait until the API has added up what was made."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        while True:
            cursor = await connection.execute(
                "SELECT (SELECT count(*) FROM task_moves) + (SELECT count(*) FROM attempt_ends)"
            )
            row = await cursor.fetchone()
            if row is None or row[0] == 0:
                await connection.execute("VACUUM ANALYZE")
                return
            await asyncio.sleep(1)


async def _time(client: httpx.AsyncClient, title: str, path: str) -> list[str]:
    times: list[float] = []
    for _ in range(_TIMES):
        begun = time.perf_counter()
        answer = await client.get(path)
        times.append((time.perf_counter() - begun) * 1000)
        if answer.status_code != 200:
            raise RuntimeError(f"{path}: {answer.status_code} {answer.text}")
    worst = max(times)
    return [title, f"{median(times):.0f} ms", f"{worst:.0f} ms", "yes" if worst <= _GOAL_MS else "**no**"]


def _questions(task: str) -> dict[str, str]:
    now = datetime.now(UTC)
    hour_ago, week_ago = ((now - timedelta(hours=hours)).isoformat().replace("+00:00", "Z") for hours in (1, 168))
    lists = {
        "tasks": "",
        "tasks, the oldest first": "sort=created_at",
        "tasks, last changed first": "sort=-updated_at",
        "tasks, due first": "sort=next_attempt_at",
        "tasks, last ended first": "sort=-finished_at",
        "tasks by priority": "sort=priority",
        "tasks by attempts": "sort=-attempts",
        "waiting tasks": "status=waiting",
        "dead and cancelled tasks": "status=dead,cancelled",
        "dead tasks, last ended first": "status=dead&sort=-finished_at",
        "tasks of a group": "group=group-3",
        "dead tasks of a group": "group=group-3&status=dead",
        "tasks of a scene": "group=group-3&scene=scene-3",
        "dead tasks of a scene of a week": f"group=group-3&scene=scene-3&status=dead&finished_after={week_ago}",
        "tasks of the last hour": f"created_after={hour_ago}",
        "tasks that ended in the last week, by attempts": f"finished_after={week_ago}&sort=-attempts",
        "by business key": "business_key=order-4711",
        "by idempotency key": "idempotency_key=key-4711",
        "by part of the error": "error=provider%207",
        "by part of the error, none": "error=nobody-has-this",
        "by any text": "q=order-4711",
        "by any text, none": "q=nobody-has-this",
        "by metadata, none": "metadata.tenant=acme",
    }
    return {
        **{f"overview of {span}": f"/v1/stats/overview?range={span}" for span in ("1h", "6h", "24h", "7d")},
        "overview of a group of 7d": "/v1/stats/overview?range=7d&group=group-3",
        "counts by status": "/v1/stats/tasks",
        **{title: f"/v1/tasks?{query}" for title, query in lists.items()},
        "a task": f"/v1/tasks/{task}",
        "its attempts": f"/v1/tasks/{task}/attempts",
        "its policy": f"/v1/tasks/{task}/effective-policy",
        "groups": "/v1/groups",
        "nodes": "/v1/nodes",
        "audit": "/v1/audit",
    }
