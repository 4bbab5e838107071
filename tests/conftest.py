"""Real servers for all suites: one PostgreSQL and one Temporal per run, one database per test.

A database is a copy of a migrated template, which takes a few hundredths of a second. Temporal is shared: workflow ids
contain the ids of tasks, and each test has a task queue of its own.
"""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import psycopg
import pytest
from temporalio.client import Client

from redrive.cli.stack import EmbeddedPostgres, EmbeddedTemporal
from redrive.store.database import Database
from redrive.store.migrate import upgrade
from redrive.workflows.engine import add_search_attributes

_TEMPLATE = "template_redrive"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the tests of the console write the pictures of the docs."""
    parser.addoption("--pictures", action="store_true", help="write pictures of the console to docs/images/console")


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL server that may forget everything in a power cut, which makes it quick."""
    settings = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200"}
    with EmbeddedPostgres(tmp_path_factory.mktemp("postgres"), settings=settings) as server:
        yield server


@pytest.fixture(scope="session")
def database_template(postgres_server: EmbeddedPostgres) -> str:
    """The name of a database with the newest schema, to be copied."""
    _administer(postgres_server, f'CREATE DATABASE "{_TEMPLATE}"')
    upgrade(postgres_server.database_url(_TEMPLATE))
    return _TEMPLATE


@pytest.fixture
def empty_database_url(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """The address of a database without any table."""
    yield from _fresh_database(postgres_server, "template1")


@pytest.fixture
def database_url(postgres_server: EmbeddedPostgres, database_template: str) -> Iterator[str]:
    """The address of this test's own database, with the newest schema."""
    yield from _fresh_database(postgres_server, database_template)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """This test's own database."""
    database = Database(database_url, application="test")
    yield database
    await database.close()


@pytest.fixture(scope="session")
def temporal_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedTemporal]:
    """A Temporal server without its Web UI."""
    with EmbeddedTemporal(tmp_path_factory.mktemp("temporal"), ui_port=None) as server:
        yield server


@pytest.fixture
async def temporal(temporal_server: EmbeddedTemporal) -> Client:
    """A client of the shared Temporal server, whose namespace has Redrive's search attributes."""
    client = await Client.connect(temporal_server.address)
    await add_search_attributes(client)
    return client


def _fresh_database(server: EmbeddedPostgres, template: str) -> Iterator[str]:
    name = f"test_{uuid4().hex}"
    _administer(server, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    yield server.database_url(name)
    # A connection that was cancelled while it was being made leaves its socket to the garbage collector. The server
    # waits a minute for the rest of its log-in, and DROP DATABASE waits with it.
    gc.collect()
    _administer(server, f'DROP DATABASE "{name}" WITH (FORCE)')


def _administer(server: EmbeddedPostgres, statement: str) -> None:
    with psycopg.connect(server.database_url("postgres"), autocommit=True) as connection:
        connection.execute(statement.encode())
