"""The schema: up, down and up again, and the same as the tables in the code."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import NullPool

from redrive.cli.stack import EmbeddedPostgres
from redrive.store import migrate
from redrive.store.database import driver_url
from redrive.store.tables import Table

SCHEMA = """
    SELECT 'column', table_name, column_name, format('%s %s %s %s', data_type, is_nullable, column_default, is_identity)
    FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'
    UNION ALL
    SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'alembic_version'
    UNION ALL
    SELECT 'index', tablename, indexname, indexdef
    FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'
"""
LEFTOVERS = """
    SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE 'alembic_version%'
    UNION ALL SELECT typname FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typname NOT LIKE '%alembic%'
    UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
"""


def ask(url: str, query: str) -> set[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return set(connection.execute(query.encode()).fetchall())


def revisions() -> list[str]:
    """All revisions, the oldest first."""
    scripts = ScriptDirectory.from_config(migrate._config())  # pyright: ignore[reportPrivateUsage]
    return [script.revision for script in scripts.walk_revisions()][::-1]


def create_all(connection: Connection) -> None:
    Table.metadata.create_all(connection)
    connection.commit()


def test_migrations_lead_to_the_tables_in_the_code(
    empty_database_url: str, postgres_server: EmbeddedPostgres, database_url: str
) -> None:
    """Columns, defaults, constraints and indexes, to the letter: CHECKs are made from `redrive.core.states`."""
    engine = create_engine(driver_url(empty_database_url), poolclass=NullPool)
    with engine.connect() as connection:
        create_all(connection)

    assert ask(database_url, SCHEMA) ^ ask(empty_database_url, SCHEMA) == set()


def test_alembic_finds_no_drift(database_url: str) -> None:
    engine = create_engine(driver_url(database_url), poolclass=NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, Table.metadata) == []


def test_the_schema_goes_up_down_and_up_again(empty_database_url: str) -> None:
    migrate.upgrade(empty_database_url)
    first = ask(empty_database_url, SCHEMA)
    assert migrate.current(empty_database_url) == migrate.head()
    migrate.downgrade(empty_database_url, "base")
    assert migrate.current(empty_database_url) is None
    assert ask(empty_database_url, LEFTOVERS) == set(), "nothing is left behind"
    migrate.upgrade(empty_database_url)

    assert ask(empty_database_url, SCHEMA) == first
    assert not migrate.pending(empty_database_url)


@pytest.mark.parametrize("revision", revisions())
def test_each_migration_can_be_taken_back_alone(empty_database_url: str, revision: str) -> None:
    place = revisions().index(revision)
    before = revisions()[place - 1] if place else "base"
    if place:
        migrate.upgrade(empty_database_url, before)
    schema = ask(empty_database_url, SCHEMA)
    migrate.upgrade(empty_database_url, revision)
    migrate.downgrade(empty_database_url, before)

    assert ask(empty_database_url, SCHEMA) == schema


async def test_processes_that_start_together_migrate_once(empty_database_url: str) -> None:
    await asyncio.gather(*(asyncio.to_thread(migrate.upgrade, empty_database_url) for _ in range(4)))

    assert migrate.current(empty_database_url) == migrate.head()


def test_the_first_migration_makes_the_default_namespace(empty_database_url: str) -> None:
    migrate.upgrade(empty_database_url)

    assert ask(empty_database_url, "SELECT name FROM namespaces") == {("default",)}
