"""The connection pool, and the two ways to talk to it: a transaction, or single statements."""

from __future__ import annotations

import asyncio
import select
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, Final

import psycopg
import uuid_utils.compat
from psycopg import AsyncConnection as PsycopgConnection
from sqlalchemy import URL, Connection, Engine, event, make_url, text
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from redrive.store.settings import Settings

new_id = uuid_utils.compat.uuid7
"""Make a UUIDv7 (RFC 9562, section 5.7): ids sort by time, so that indexes grow at one end."""

FRESH_SECONDS: Final = 1.0
"""For how long after its last use a connection need not be asked whether it lives, in seconds."""

_USED_AT: Final = "redrive.used_at"

_AUTOCOMMIT: Final[ContextVar[bool]] = ContextVar("redrive.autocommit")
"""Whether the connection that is being taken is to commit each statement by itself."""


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
            pool_use_lifo=True,
            # Errors are logged, and parameters are payloads.
            hide_parameters=True,
        )
        _prepare_before_use(self._engine.sync_engine)

    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[AsyncSession]:
        """Open a transaction: committed when the block ends, rolled back when it raises."""
        async with self._open(autocommit=False) as session, session.begin():
            yield session

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[AsyncSession]:
        """Open a session in which each statement is its own transaction: one round trip instead of three."""
        async with self._open(autocommit=True) as session:
            yield session

    def _open(self, *, autocommit: bool) -> AsyncSession:
        return AsyncSession(
            self._engine,
            sync_session_class=_Session,
            info={_AUTOCOMMIT.name: autocommit},
            expire_on_commit=False,
            autoflush=False,
        )

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
            connecting.add_done_callback(_finish)
            await asyncio.wait([connecting])  # which leaves it alone when the caller is cancelled once more
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


class _Session(Session):
    """A session that says how its connection is to commit, when its first statement takes one."""

    def get_bind(self, *args: Any, **kwargs: Any) -> Engine | Connection:
        """Tell where statements go. The connection is taken right after that, if there is none yet."""
        _AUTOCOMMIT.set(self.info[_AUTOCOMMIT.name])
        return super().get_bind(*args, **kwargs)


def _prepare_before_use(engine: Engine) -> None:
    """See that a pooled connection lives and commits as it is to, without a round trip for most of them.

    A server that was killed leaves dead connections behind, and the first user of each would fail. Of a connection that
    was used a moment ago it is enough that nothing has come on its socket: the end of a connection would have, as a
    message or as the end of the stream. Go's driver for MySQL checks the same way. One that has rested is asked,
    because a server that vanished sends nothing.

    SQLAlchemy would set autocommit when it has taken the connection already: one whose user is cancelled then would be
    left to the garbage collector. While it is being taken, the pool takes it back.
    """

    def returned(connection: object, record: ConnectionPoolEntry) -> None:
        record.info[_USED_AT] = time.monotonic()

    def taken(connection: Any, record: ConnectionPoolEntry, proxy: object) -> None:
        driver = connection.driver_connection
        used_at = record.info.get(_USED_AT)  # None for one that has just been made
        rested = used_at is not None and time.monotonic() - used_at > FRESH_SECONDS
        try:
            if rested or _has_come_something(driver):
                engine.dialect.do_ping(connection)
            if driver.autocommit != _AUTOCOMMIT.get():
                connection.set_autocommit(_AUTOCOMMIT.get())
        except psycopg.Error as error:
            # Nothing else of that server is alive either.
            raise InvalidatePoolError("the connection does not answer") from error

    event.listen(engine, "checkin", returned)
    event.listen(engine, "checkout", taken)


def _has_come_something(connection: PsycopgConnection[Any]) -> bool:
    """Tell whether a connection that nobody uses has something to read, or is closed already."""
    if connection.closed:
        return True
    waiting = select.poll()
    waiting.register(connection.fileno(), select.POLLIN)
    return bool(waiting.poll(0))


def _finish(connecting: asyncio.Task[PsycopgConnection[Any]]) -> None:
    """Close a connection that nobody waits for any more."""
    if not connecting.cancelled() and connecting.exception() is None:
        connecting.result().pgconn.finish()


def open_database(settings: Settings, application: str = "redrive") -> Database:
    """Make the pool that the settings describe. No connection is opened yet."""
    return Database(settings.database_url, settings.database_pool_size, application)


def driver_url(url: str) -> URL:
    """Give a PostgreSQL URL the driver that is used here, psycopg 3."""
    return make_url(url).set(drivername="postgresql+psycopg")
