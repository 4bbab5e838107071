"""The stream of events: ids of what changed, to those who may see it, and an end when the server stops."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.eventually import eventually
from tests.integration.api.client import NOBODY, Serve, a_report, problem
from tests.integration.api.test_openapi import serving

from redrive.api.app import create_app
from redrive.cli.stack import free_port
from redrive.store.database import Database
from redrive.store.keys import create_key
from redrive.store.settings import Settings


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a served API: within this process a stream would be collected to its end."""
    app = create_app(Settings(database_url=database_url, require_api_key=False, temporal_address=NOBODY))
    with serving(app) as address:
        async with httpx.AsyncClient(base_url=address, timeout=20) as client:
            yield client


class Heard:
    """What came over a stream."""

    def __init__(self) -> None:
        self.ids: dict[str, set[str]] = {}
        self.messages = 0
        self.open = False


@contextlib.asynccontextmanager
async def listening(client: httpx.AsyncClient, **params: Any) -> AsyncGenerator[Heard]:
    heard = Heard()

    async def listen() -> None:
        async with client.stream("GET", "/v1/events", params=params, timeout=None) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            topic = ""
            async for line in answer.aiter_lines():
                heard.open = True
                if line.startswith("event: "):
                    topic = line.removeprefix("event: ")
                if line.startswith("data: "):
                    heard.messages += 1
                    heard.ids.setdefault(topic, set()).update(json.loads(line.removeprefix("data: "))["ids"])

    task = asyncio.create_task(listen())
    try:
        await eventually(lambda: heard.open, what="the stream to begin")
        yield heard
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def report(client: httpx.AsyncClient, **changes: Any) -> str:
    answer = await client.post("/v1/tasks", json=a_report(**changes))
    assert answer.status_code == 201, answer.text
    task_id: str = answer.json()["id"]
    return task_id


async def heard_of(client: httpx.AsyncClient, heard: Heard, **changes: Any) -> str:
    """Report tasks until the stream names one: the first look of a stream only learns what is there already."""
    reported: list[str] = []

    async def look() -> bool:
        if not reported or len(reported) < 20:
            reported.append(await report(client, args=[str(len(reported))], **changes))
        return bool(heard.ids.get("tasks", set()) & set(reported))

    await eventually(look, what="the stream to name a new task")
    return reported[-1]


async def test_whoever_listens_is_told_which_tasks_and_nodes_changed(client: httpx.AsyncClient) -> None:
    async with listening(client) as heard:
        last = await heard_of(client, heard)
        await eventually(lambda: last in heard.ids["tasks"], what="the last task to be named")
        heard.ids.clear()
        await client.post(f"/v1/tasks/{last}/pause")
        await client.post(
            "/v1/nodes/register", json={"id": "node-1", "group": "orders", "url": "http://127.0.0.1:1", "executors": []}
        )

        await eventually(lambda: heard.ids.get("tasks") == {last}, what="the paused task to be named")
        await eventually(lambda: heard.ids.get("nodes") == {"node-1"}, what="the node to be named")


async def test_a_burst_is_told_in_few_messages(client: httpx.AsyncClient) -> None:
    async with listening(client) as heard:
        await heard_of(client, heard)
        heard.messages = 0
        heard.ids.clear()
        batch = {"tasks": [a_report(args=["burst", number], group="burst") for number in range(90)]}
        ids = {result["id"] for result in (await client.post("/v1/tasks/batch", json=batch)).json()["results"]}
        await eventually(lambda: ids <= heard.ids.get("tasks", set()), what="all tasks to be named")

        assert heard.messages <= 3, "one message per look, and not one per task"


async def test_a_group_and_a_namespace_hear_of_nobody_else(client: httpx.AsyncClient, database: Database) -> None:
    await client.post("/v1/namespaces", json={"name": "other"})
    async with (
        listening(client, group="pay") as narrow,
        listening(client, namespace="other") as elsewhere,
        listening(client) as all_of_it,
    ):
        await heard_of(client, all_of_it)
        mine = await heard_of(client, narrow, group="pay", scene="refund")

        await eventually(lambda: mine in narrow.ids["tasks"] & all_of_it.ids["tasks"], what="both to hear of it")
        orders = (await client.get("/v1/tasks", params={"group": "orders", "limit": 500})).json()["items"]
        assert not {task["id"] for task in orders} & narrow.ids["tasks"]
        assert elsewhere.ids == {}


async def test_the_stream_needs_a_key_where_requests_do(serve: Serve, database: Database) -> None:
    async with database.begin() as session:
        _, key = await create_key(session, name="orders", namespace="default", group="orders")
    api = await serve(require_api_key=True)
    problem(await api.get("/v1/events"), 401, "api-key-required")
    problem(await api.with_key(key).get("/v1/events", group="pay"), 403, "out-of-scope")


async def test_a_server_that_is_told_to_stop_does_not_wait_for_those_who_listen(
    database_url: str, tmp_path: Path
) -> None:
    port = free_port()
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "redrive.cli", "api",
        cwd=tmp_path,
        env={
            "REDRIVE_DATABASE_URL": database_url, "REDRIVE_TEMPORAL_ADDRESS": NOBODY, "REDRIVE_PORT": str(port),
            "REDRIVE_REQUIRE_API_KEY": "false", "REDRIVE_SHUTDOWN_SECONDS": "3600", "PATH": "/usr/bin:/bin",
        },
    )  # fmt: skip
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:

            async def answers() -> bool:
                with contextlib.suppress(httpx.TransportError):
                    return (await client.get("/healthz")).status_code == 200
                return False

            await eventually(answers, within=60, what="the server to answer")
            async with listening(client):
                server.send_signal(signal.SIGTERM)
                assert await asyncio.wait_for(server.wait(), 60) == 0
    finally:
        if server.returncode is None:
            server.kill()
            await server.wait()
