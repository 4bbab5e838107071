"""A report inside the caller's own database transaction.

Two writes to two systems cannot be made one: a process that commits its order and dies before it reports has lost the
retry. So the report is first a row beside the order, in the same transaction; a `Relay` sends committed rows and
deletes what the server acknowledged. A transaction that rolls back reports nothing.

    create_table(connection)                                  # once, or TABLE_SQL in a migration
    with Session(engine) as session, session.begin():
        session.add(order)
        redrive.report("charge-card", executor=charge, args=[order.id], session=session)

    with Relay(redrive, engine.begin):                         # in one process or in many
        ...

Nothing of SQLAlchemy, SQLModel or Django is imported: a session or connection is known by what it can do. That is a
SQLAlchemy or SQLModel `Session`, `Connection`, `AsyncSession` or `AsyncConnection`, Django's `connection`, or a DB-API
connection such as psycopg's. The SQL is PostgreSQL's, SQLite's and MySQL's.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self

from redrive.sdk.errors import Rejected, ReportError, Unavailable, UsageError
from redrive.sdk.report import Outgoing, Receipt

log = logging.getLogger("redrive.sdk")

TABLE_SQL: Final = """\
CREATE TABLE IF NOT EXISTS redrive_outbox (
    id VARCHAR(48) PRIMARY KEY,
    idempotency_key VARCHAR(500) NOT NULL,
    report {text} NOT NULL,
    problem {text}
)"""
"""The table, for a migration; `{text}` is `TEXT`, or `LONGTEXT` in MySQL."""

_INSERT: Final = "INSERT INTO redrive_outbox (id, idempotency_key, report) VALUES (?, ?, ?)"
# Fewer than a batch may hold: rows stay locked while they travel.
_SELECT: Final = "SELECT id, idempotency_key, report FROM redrive_outbox WHERE problem IS NULL ORDER BY id LIMIT 200"
_DELETE: Final = "DELETE FROM redrive_outbox WHERE id = ?"
_REFUSE: Final = "UPDATE redrive_outbox SET problem = ? WHERE id = ?"


def create_table(session: Any) -> None:
    """Make the table of the outbox, unless it is there.

    Args:
        session: A session or connection that is not asynchronous; committing is the caller's part.

    Example:
        ```python
        with engine.begin() as connection:
            create_table(connection)
        ```
    """
    port = _port(session)
    port.run(TABLE_SQL.format(text="LONGTEXT" if port.dialect in ("mysql", "mariadb") else "TEXT"), ())


async def acreate_table(session: Any) -> None:
    """Make the table of the outbox through an asynchronous session or connection, unless it is there.

    Args:
        session: An `AsyncSession` or `AsyncConnection`; committing is the caller's part.

    Example:
        ```python
        async with engine.begin() as connection:
            await acreate_table(connection)
        ```
    """
    port = await _aport(session)
    await port.arun(TABLE_SQL.format(text="LONGTEXT" if port.dialect in ("mysql", "mariadb") else "TEXT"), ())


def store(session: Any, outgoing: Outgoing) -> Receipt:
    """Write a report into the transaction of `session`; `Redrive.report(session=…)` does.

    Args:
        session: The session or connection.
        outgoing: The report.

    Returns:
        A receipt with the status `stored`: it holds once the caller commits.

    Raises:
        UsageError: The object is no session or connection, or an asynchronous one.
    """
    _port(session).run(_INSERT, (_row_id(outgoing), outgoing.idempotency_key or "", outgoing.text))
    return outgoing.receipt("stored")


async def astore(session: Any, outgoing: Outgoing) -> Receipt:
    """Write a report into the transaction of an asynchronous session; `Redrive.areport(session=…)` does.

    Args:
        session: An `AsyncSession`, an `AsyncConnection`, or anything that `store` takes.
        outgoing: The report.

    Returns:
        A receipt with the status `stored`: it holds once the caller commits.

    Raises:
        UsageError: The object is no session or connection.
    """
    port = await _aport(session)
    await port.arun(_INSERT, (_row_id(outgoing), outgoing.idempotency_key or "", outgoing.text))
    return outgoing.receipt("stored")


class Poster(Protocol):
    """What a relay needs of its client."""

    def post(self, reports: Sequence[Outgoing]) -> list[Receipt | ReportError]:
        """Send reports."""
        ...


class Relay:
    """Sends the committed rows of an outbox, again and again.

    Several relays may work on one table: in PostgreSQL and MySQL each takes rows of its own, elsewhere two may send
    the same row, which makes one task, since it carries one report id.

    Args:
        client: The client that sends.
        connect: Begins a transaction and gives its session or connection, and commits at the end: `engine.begin`, a
            `sessionmaker.begin`, or a context manager of your own.
        interval: Wait between two looks at an empty table, in seconds.

    Example:
        ```python
        with Relay(redrive, engine.begin):
            serve()
        ```
    """

    def __init__(
        self,
        client: Poster,
        connect: Callable[[], AbstractContextManager[Any] | AbstractAsyncContextManager[Any]],
        interval: float = 0.5,
    ) -> None:
        self._client = client
        self._connect = connect
        self._interval = interval
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def run_once(self) -> int:
        """Send what is there, up to 200 rows.

        Returns:
            How many rows were taken off the table.

        Raises:
            Unavailable: The server is away; the rows stay.
            UsageError: `connect` gives an asynchronous connection: await `arun_once` instead.
        """
        context = self._connect()
        if not hasattr(context, "__exit__"):
            raise UsageError("connect gives an asynchronous connection: await relay.arun_once() or relay.arun()")
        with context as session:  # type: ignore[union-attr] # checked above
            port = _port(session)
            flow = self._flow(port.dialect)
            try:
                step = next(flow)
                while True:
                    step = flow.send(
                        self._client.post(step.reports) if step.reports else port.run(step.sql, step.values)
                    )
            except StopIteration as end:
                return int(end.value)

    async def arun_once(self) -> int:
        """Send what is there, up to 200 rows, through an asynchronous connection.

        Returns:
            How many rows were taken off the table.

        Raises:
            Unavailable: The server is away; the rows stay.
        """
        async with self._connect() as session:  # type: ignore[union-attr] # the caller chose the asynchronous way
            port = await _aport(session)
            flow = self._flow(port.dialect)
            try:
                step = next(flow)
                while True:
                    if step.reports:
                        step = flow.send(await asyncio.to_thread(self._client.post, step.reports))
                    else:
                        step = flow.send(await port.arun(step.sql, step.values))
            except StopIteration as end:
                return int(end.value)

    def run(self) -> None:
        """Send rows until `stop` is called."""
        failures = 0
        while not self._ending.is_set():
            taken, failures = self._attempt(self.run_once, failures)
            if not taken:
                self._ending.wait(self._pause(failures))

    async def arun(self) -> None:
        """Send rows, through an asynchronous connection, until this coroutine is cancelled."""
        failures = 0
        while True:
            try:
                taken, failures = await self.arun_once(), 0
            except Exception as error:  # noqa: BLE001 - a relay outlives its database and its server
                taken, failures = 0, self._complain(error, failures)
            if not taken:
                await asyncio.sleep(self._pause(failures))

    def start(self) -> None:
        """Send rows in a thread, until `stop` is called."""
        self._ending.clear()
        self._thread = threading.Thread(target=self.run, name="redrive-relay", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 10.0) -> None:
        """Stop the thread.

        Args:
            timeout: The longest to wait for a request that is on its way, in seconds.
        """
        self._ending.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(timeout)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _flow(self, dialect: str) -> Generator[_Step, Any, int]:
        # Rows stay locked while they travel: another relay passes them over, and a crash gives them back.
        lock = " FOR UPDATE SKIP LOCKED" if dialect in ("postgresql", "mysql", "mariadb") else ""
        rows: Sequence[tuple[str, str, str]] = yield _Step(_SELECT + lock)
        if not rows:
            return 0
        reports = [Outgoing(str(text), str(key) or None, str(row_id)) for row_id, key, text in rows]
        outcomes: list[Receipt | ReportError] = yield _Step("", reports=reports)
        taken = 0
        for report, outcome in zip(reports, outcomes, strict=True):
            if isinstance(outcome, Receipt):
                yield _Step(_DELETE, (report.report_id,))
                taken += 1
            elif isinstance(outcome, Rejected):
                log.error("redrive: a report of the outbox was refused and set aside: %s", outcome)
                yield _Step(_REFUSE, (json.dumps(outcome.problem), report.report_id))
                taken += 1
            else:
                log.warning("redrive: a report of the outbox has to wait: %s", outcome)
        return taken

    def _attempt(self, run: Callable[[], int], failures: int) -> tuple[int, int]:
        try:
            return run(), 0
        except Exception as error:  # noqa: BLE001 - a relay outlives its database and its server
            return 0, self._complain(error, failures)

    def _complain(self, error: Exception, failures: int) -> int:
        if not failures:
            what = "the server is away" if isinstance(error, Unavailable) else type(error).__name__
            log.warning("redrive: the outbox has to wait (%s): %s", what, error)
        return failures + 1

    def _pause(self, failures: int) -> float:
        from random import uniform  # noqa: PLC0415 - beside its one use

        return float(min(self._interval * 2 ** min(failures, 10), 15.0) * uniform(0.5, 1.0))  # noqa: S311 - spread


@dataclass(frozen=True, slots=True)
class _Step:
    sql: str
    values: tuple[Any, ...] = ()
    reports: Sequence[Outgoing] = ()


class _Port:
    """One way to run SQL inside a transaction that somebody else opened."""

    def __init__(self, execute: Callable[[str, tuple[Any, ...]], Any], dialect: str, paramstyle: str) -> None:
        self._execute = execute
        self.dialect = dialect
        self._paramstyle = paramstyle

    def run(self, sql: str, values: tuple[Any, ...]) -> Any:
        result = self._execute(_placeholders(sql, self._paramstyle), values)
        if inspect.isawaitable(result):
            _drop(result)
            raise UsageError("this session is asynchronous: await client.areport(…, session=session)")
        return result.fetchall() if sql.startswith("SELECT") else None

    async def arun(self, sql: str, values: tuple[Any, ...]) -> Any:
        result = self._execute(_placeholders(sql, self._paramstyle), values)
        if inspect.isawaitable(result):
            result = await result
        return result.fetchall() if sql.startswith("SELECT") else None


def _port(session: Any) -> _Port:
    if hasattr(session, "exec_driver_sql"):  # SQLAlchemy's Connection and AsyncConnection
        dialect = session.dialect
        style = str(dialect.paramstyle)
        return _Port(session.exec_driver_sql, str(dialect.name), style)
    connection = getattr(session, "connection", None)
    if callable(connection) and hasattr(session, "flush"):  # SQLAlchemy's Session
        opened: Any = connection()
        if inspect.isawaitable(opened):
            _drop(opened)
            raise UsageError("this session is asynchronous: await client.areport(…, session=session)")
        return _port(opened)
    if hasattr(session, "cursor"):
        vendor = getattr(session, "vendor", None)  # Django's connection wrapper, whose placeholders are always %s
        module = sys.modules.get(type(session).__module__.partition(".")[0])
        style = "format" if vendor is not None else str(getattr(module, "paramstyle", "format"))
        name = str(vendor or ("sqlite" if "sqlite" in type(session).__module__ else "postgresql"))
        return _Port(lambda sql, values: _by_cursor(session, sql, values), name, style)
    raise UsageError(
        f"session: expected a session or connection of SQLAlchemy, SQLModel or Django, or a DB-API connection, "
        f"got {type(session).__module__}.{type(session).__qualname__}"
    )


async def _aport(session: Any) -> _Port:
    connection = getattr(session, "connection", None)
    if callable(connection) and hasattr(session, "flush") and not hasattr(session, "exec_driver_sql"):
        opened: Any = connection()
        return _port(await opened if inspect.isawaitable(opened) else opened)
    return _port(session)


def _by_cursor(connection: Any, sql: str, values: tuple[Any, ...]) -> Any:
    cursor = connection.cursor()
    cursor.execute(sql, values)
    return cursor


def _placeholders(sql: str, style: str) -> str:
    parts = sql.split("?")
    if len(parts) == 1 or style == "qmark":
        return sql
    if style in ("format", "pyformat"):
        return "%s".join(parts)
    if style in ("numeric", "numeric_dollar"):
        mark = ":" if style == "numeric" else "$"
        return parts[0] + "".join(f"{mark}{index}{part}" for index, part in enumerate(parts[1:], 1))
    raise UsageError(f"the database driver wants {style!r} parameters, which the outbox does not speak")


def _drop(awaitable: Any) -> None:
    close = getattr(awaitable, "close", None)
    if close is not None:
        close()


def _row_id(outgoing: Outgoing) -> str:
    # The clock first: rows go out in the order in which they were written.
    return f"{time.time_ns():016x}{outgoing.report_id}"
