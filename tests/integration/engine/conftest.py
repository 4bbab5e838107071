"""A whole Redrive per test, and targets for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from tests.integration.engine.harness import Platform
from tests.integration.engine.target import Target, serving

from redrive.cli.stack import EmbeddedTemporal
from redrive.store.database import Database
from redrive.workflows.engine import add_search_attributes


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


async def new_namespace(server: EmbeddedTemporal) -> Client:
    """Make a Temporal namespace in which no other test has workflows."""
    name = f"namespace-{uuid4()}"
    client = await Client.connect(server.address)
    retention = Duration(seconds=86_400)
    await client.workflow_service.register_namespace(
        RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=retention)
    )
    client = await Client.connect(server.address, namespace=name)
    await add_search_attributes(client)
    return client


@pytest.fixture
async def alone(database: Database, temporal_server: EmbeddedTemporal) -> Platform:
    """Redrive with a Temporal namespace of its own and nothing running."""
    platform = Platform(database, await new_namespace(temporal_server), temporal_server.address)
    await platform.prepare()
    return platform
