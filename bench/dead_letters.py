"""The dead letters' views with a million of them: by error, counted and listed, through the API.

A table of `rows` dead letters is generated: 200 errors in 100 scenes of 20 groups, over 30 days; each view is asked for
with the filters that people use. What is measured is the whole request in the API's process, over one connection. Half
of the deaths of the last hour have not been folded into the kept counts.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import psycopg

from bench.table import markdown
from redrive.api.app import create_app, prepare
from redrive.cli.stack import EmbeddedPostgres
from redrive.core.fingerprint import fingerprint
from redrive.store import dead_counts, tallies
from redrive.store.database import Database
from redrive.store.migrate import upgrade
from redrive.store.settings import Settings

_ERRORS = 200
_REPEATS = 15
_FOLDED_AT_ONCE = 20_000

_GENERATE = """
INSERT INTO tasks (id, namespace, "group", scene, executor, status, dead_reason, generation, attempts, max_attempts,
    finished_at, payload_hash, business_key, idempotency_key, target, policy, error_type, error_message, fingerprint,
    metadata, created_at, started_at, updated_at)
SELECT
    (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(n::text), 1, 3) || '8'
        || substr(md5(n::text), 4, 15))::uuid,
    'default', 'group-' || scene %% 20, 'scene-' || scene, 'app.run', 'dead',
    (ARRAY['exhausted', 'expired', 'rejected'])[1 + n %% 3], 1, 1 + n %% 5, 12, at, md5(n::text),
    'order-' || n %% 100000, 'key-' || n, '{"kind": "node"}', '{"max_attempts": 12}', 'TimeoutError',
    'no answer from provider ' || n %% 50 || ' about order ' || n, (%(names)s::text[])[1 + error],
    jsonb_build_object('tenant', 'tenant-' || n %% 500), at, at, at
FROM (
    SELECT n, (n * 7919 %% %(errors)s) AS error, (n * 7919 %% %(errors)s + n / 1000 %% 7) %% 100 AS scene,
        now() - interval '30 days' * (1 - n::float / %(rows)s) AS at
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n
) AS series
"""


def measure(rows: int = 1_000_000) -> str:
    """Generate dead letters and ask for their views.

    Args:
        rows: How many.

    Returns:
        A Markdown table.
    """
    with (
        TemporaryDirectory(prefix="redrive-bench-", ignore_cleanup_errors=True) as name,
        EmbeddedPostgres(Path(name)) as postgres,
    ):
        upgrade(postgres.url)
        _generate(postgres.url, rows)
        return asyncio.run(_measure(postgres.url, rows))


def _generate(url: str, rows: int) -> None:
    names = [fingerprint("TimeoutError", f"no answer from provider {'x' * number}") for number in range(_ERRORS)]
    late = rows // 1440  # half an hour of thirty days
    with psycopg.connect(url, autocommit=True) as connection:
        _insert(connection, names, rows, 1, rows - late)
        asyncio.run(_fold(url))
        _insert(connection, names, rows, rows - late + 1, rows)
        connection.execute("VACUUM ANALYZE")


def _insert(connection: psycopg.Connection[Any], names: list[str], rows: int, first: int, last: int) -> None:
    values = {"names": names, "errors": _ERRORS, "rows": rows, "first": first, "last": last}
    connection.execute(_GENERATE.encode(), values)


async def _fold(url: str) -> None:
    database = Database(url)
    folded = 1
    while folded:
        async with database.begin() as session:
            folded = await dead_counts.fold(session) + (await tallies.fold(session, _FOLDED_AT_ONCE) or 0)
    await database.close()


async def _measure(url: str, rows: int) -> str:
    settings = Settings(database_url=url, require_api_key=False, temporal_address="127.0.0.1:1")
    app = prepare(create_app(settings))
    table: list[list[str]] = []
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://localhost") as client,
    ):
        first = (await client.get("/v1/dead-letters/groups", params={"limit": 1})).json()["items"][0]
        task = (await client.get("/v1/dead-letters", params={"limit": 1})).json()["items"][0]
        for title, path, params in _views(first, task):
            times: list[float] = []
            answer = httpx.Response(500)
            for _ in range(_REPEATS):
                began = time.perf_counter()
                answer = await client.get(f"/v1/dead-letters{path}", params=params)
                times.append((time.perf_counter() - began) * 1000)
            answer.raise_for_status()
            document = answer.json()
            found = document.get("count", len(document.get("items", [])))
            exact = {True: "yes", False: "no, estimated", None: ""}[document.get("exact")]
            table.append([title, f"{statistics.median(times):.0f} ms", f"{max(times):.0f} ms", f"{found:,}", exact])
    return markdown([f"view on {rows:,} dead letters", "median", "slowest", "answer", "exact"], table)


def _views(group: dict[str, Any], task: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    scene = {"group": task["group"], "scene": task["scene"]}
    middle = {"finished_after": group["first_seen"], "finished_before": group["last_seen"]}
    return [
        ("groups", "/groups", {}),
        ("groups, by last seen, 200 on a page", "/groups", {"sort": "-last_seen", "limit": 200}),
        ("groups of a scene", "/groups", scene),
        ("groups of a range of time", "/groups", middle),
        ("groups by a word of the error", "/groups", {"error": "provider 7 "}),
        ("groups by metadata", "/groups", {"metadata.tenant": "tenant-7"}),
        ("one group", f"/groups/{group['fingerprint']}", {}),
        ("count of all", "/count", {}),
        ("count of a scene", "/count", scene),
        ("count of an error in a range of time", "/count", {**middle, "fingerprint": group["fingerprint"]}),
        ("count by a business key", "/count", {"business_key": "order-4711"}),
        ("count by metadata", "/count", {"metadata.tenant": "tenant-7"}),
        ("count by a word", "/count", {"q": "provider 7 "}),
        ("list", "", {}),
        ("list of a scene", "", scene),
        ("list of an error", "", {"fingerprint": group["fingerprint"]}),
        ("list of a reason by priority", "", {"dead_reason": "expired", "sort": "priority"}),
    ]
