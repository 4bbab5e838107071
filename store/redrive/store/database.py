"""The connection pool, and the two ways to talk to it: a transaction, or single statements."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import psycopg
import uuid_utils.compat
from psycopg import AsyncConnection as PsycopgConnection
from sqlalchemy import URL, make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from redrive.store.settings import Settings

new_id = uuid_utils.compat.uuid7
"""Make a UUIDv7 (RFC 9562, section 5.7): ids sort by time, so that indexes grow at one end."""


class Database:
    """A pool of connections to one PostgreSQL database.

    Args:
        url: PostgreSQL URL, with or without a driver name.
        pool_size: The most connections.
        application: Name shown in `pg_stat_activity`.
    """

    def __init__(self, url: str, pool_size: int = 12, application: str = "redrive") -> None:
        self.url = driver_url(url)
        self._application = application
        self._engine: AsyncEngine = create_async_engine(
            self.url,
            async_creator=self._connect,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=30,
            # A server that was killed leaves dead connections behind; the first user of each would fail.
            pool_pre_ping=True,
            pool_use_lifo=True,
            # Errors are logged, and parameters are payloads.
            hide_parameters=True,
        )
        self._autocommit = self._engine.execution_options(isolation_level="AUTOCOMMIT")

    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[AsyncSession]:
        """Open a transaction: committed when the block ends, rolled back when it raises."""
        async with AsyncSession(self._engine, expire_on_commit=False, autoflush=False) as session, session.begin():
            yield session

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[AsyncSession]:
        """Open a session in which each statement is its own transaction: one round trip instead of three."""
        async with AsyncSession(self._autocommit, expire_on_commit=False, autoflush=False) as session:
            yield session

    @asynccontextmanager
    async def listen(self, channel: str) -> AsyncGenerator[PsycopgConnection[Any]]:
        """Open a connection of its own that listens on a channel.

        Args:
            channel: A channel name from this part's constants, never user input.

        Yields:
            The connection; its `notifies()` gives what arrives.
        """
        connection = await self._connect()
        try:
            await connection.set_autocommit(True)
            await connection.execute(f'LISTEN "{channel}"'.encode())
            yield connection
        finally:
            await connection.close()

    async def _connect(self) -> PsycopgConnection[Any]:
        """Open a connection, to its end even when the caller is cancelled meanwhile.

        A connection that is given up half-way is not closed at once, and its server process waits for the rest of the
        handshake for a minute; until then nobody can drop the database, and other commands may wait for it too.
        """
        connecting = asyncio.create_task(
            PsycopgConnection.connect(
                self.url.set(drivername="postgresql").render_as_string(hide_password=False),
                application_name=self._application,
                connect_timeout=5,
                # Instants are UTC wherever the server stands. Queries are small: compiling one that PostgreSQL takes
                # for a large one costs more than it saves.
                options="-c timezone=UTC -c jit=off",
                # A vanished server must not hold a worker for the two hours of the kernel's default.
                keepalives_idle=30,
                keepalives_interval=5,
                keepalives_count=3,
            )
        )
        try:
            return await asyncio.shield(connecting)
        except asyncio.CancelledError:
            with suppress(psycopg.Error):
                (await connecting).pgconn.finish()
            raise

    async def ping(self) -> None:
        """Prove that the database answers.

        Raises:
            sqlalchemy.exc.DBAPIError: It does not.
        """
        async with self.session() as session:
            await session.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()


def open_database(settings: Settings, application: str = "redrive") -> Database:
    """Make the pool that the settings describe. No connection is opened yet."""
    return Database(settings.database_url, settings.database_pool_size, application)


def driver_url(url: str) -> URL:
    """Give a PostgreSQL URL the driver that is used here, psycopg 3."""
    return make_url(url).set(drivername="postgresql+psycopg")
