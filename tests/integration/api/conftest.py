"""The API on a database of its own, with Temporal away unless a test says otherwise."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest
from tests.integration.api.client import Api, Serve, open_api

from redrive.store.database import Database


@pytest.fixture
async def serve(database_url: str) -> AsyncIterator[Serve]:
    """Start the API with other settings than the usual ones; it ends with the test."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(**settings: object) -> Api:
            return await stack.enter_async_context(open_api(database_url, **settings))

        yield start


@pytest.fixture
async def api(serve: Serve, database: Database) -> Api:
    """The API without keys."""
    assert database  # opened first, so that it is closed last
    return await serve()
