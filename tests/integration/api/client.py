"""A client of the API within this process, and documents to send."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Any, Protocol

import httpx
from sqlalchemy import text

from redrive.api.app import create_app
from redrive.store.database import Database
from redrive.store.settings import Settings

NOBODY = "127.0.0.1:1"
"""An address where no Temporal answers."""

LONG = {"backoff": {"kind": "fixed", "delay_seconds": 3600}}
"""A policy by which nothing happens during a test."""


class Serve(Protocol):
    """Starts the API with settings."""

    async def __call__(self, **settings: object) -> Api:
        """Start it."""
        ...


class Api:
    """Requests to the API.

    Args:
        transport: Leads to it.
        headers: Sent with each request.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport, headers: dict[str, str] | None = None) -> None:
        self._transport = transport
        self.client = httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers)

    async def get(self, path: str, **params: Any) -> httpx.Response:
        return await self.client.get(path, params={name: value for name, value in params.items() if value is not None})

    async def post(self, path: str, document: Any = None, **headers: str) -> httpx.Response:
        return await self.client.post(path, json=document, headers=headers)

    async def put(self, path: str, document: Any) -> httpx.Response:
        return await self.client.put(path, json=document)

    async def patch(self, path: str, document: Any) -> httpx.Response:
        return await self.client.patch(path, json=document)

    async def delete(self, path: str) -> httpx.Response:
        return await self.client.delete(path)

    async def send(self, path: str, body: bytes, **headers: str) -> httpx.Response:
        """Send bytes that say that they are JSON."""
        given = {"content-type": "application/json", **{name.replace("_", "-"): v for name, v in headers.items()}}
        return await self.client.post(path, content=body, headers=given)

    async def report(self, **fields: Any) -> dict[str, Any]:
        """Report a task that nothing happens to, and return it."""
        answer = await self.post("/v1/tasks", a_report(**{"policy": LONG, **fields}))
        assert answer.status_code in (200, 201), answer.text
        task: dict[str, Any] = answer.json()
        return task

    async def task(self, task_id: str) -> dict[str, Any]:
        """Read a task."""
        answer = await self.get(f"/v1/tasks/{task_id}")
        assert answer.status_code == 200, answer.text
        task: dict[str, Any] = answer.json()
        return task

    def with_key(self, key: str | None, namespace: str | None = None) -> Api:
        """Make the same requests with a key."""
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        if namespace is not None:
            headers["redrive-namespace"] = namespace
        return Api(self._transport, headers)


@contextlib.asynccontextmanager
async def open_api(database_url: str, **settings: object) -> AsyncGenerator[Api]:
    """Run the API with its background services."""
    values: dict[str, Any] = {"require_api_key": False, "temporal_address": NOBODY, **settings}
    app = create_app(Settings(database_url=database_url, **values))
    async with app.router.lifespan_context(app):
        yield Api(httpx.ASGITransport(app=app))


def a_report(**changes: Any) -> dict[str, Any]:
    """Make a report; a change to None leaves the field out."""
    report: dict[str, Any] = {
        "group": "orders",
        "scene": "charge-card",
        "executor": "orders.charge",
        "args": ["o-1"],
        "kwargs": {"amount": 5},
        **changes,
    }
    return {name: value for name, value in report.items() if value is not None}


async def count(database: Database, table: str = "tasks", where: str = "true") -> int:
    """Count rows."""
    async with database.session() as session:
        found: int = (await session.execute(text(f"SELECT count(*) FROM {table} WHERE {where}"))).scalar_one()
        return found


async def execute(database: Database, statement: str, **values: Any) -> None:
    """Change rows behind the API's back."""
    async with database.session() as session:
        await session.execute(text(statement), values)


def problem(answer: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    """Check that an answer is a problem of a kind, and return it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["type"] == f"/problems/{kind}", document
    assert document["status"] == status
    assert document["title"]
    assert document["detail"]
    return document


def fields(document: dict[str, Any]) -> dict[str, str]:
    """Give the messages of a problem by field."""
    return {error["field"]: error["message"] for error in document.get("errors", [])}
