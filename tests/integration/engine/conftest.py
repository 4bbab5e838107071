"""A whole Redrive per test, and targets for it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from temporalio.client import Client
from tests.integration.engine.harness import Platform
from tests.integration.engine.target import Target, serving

from redrive.cli.stack import EmbeddedTemporal
from redrive.store.database import Database


@pytest.fixture
async def idle(database: Database, temporal: Client, temporal_server: EmbeddedTemporal) -> Platform:
    """Redrive with nothing running: no worker, no starter."""
    platform = Platform(database, temporal, temporal_server.address)
    await platform.prepare()
    return platform


@pytest.fixture
async def platform(idle: Platform) -> AsyncIterator[Platform]:
    """Redrive with one worker, a starter and a waker."""
    async with idle.worker(), idle.starting():
        yield idle


@pytest.fixture
async def target() -> AsyncIterator[Target]:
    """A webhook target that answers 200 until it is told otherwise."""
    async with serving(Target()) as target:
        yield target
