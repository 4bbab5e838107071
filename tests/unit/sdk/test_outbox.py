from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlmodel import Session
from tests.unit.sdk.platform import Platform

from redrive.sdk import Redrive, Unavailable, UsageError
from redrive.sdk.outbox import Relay, acreate_table, create_table


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = create_engine(f"sqlite:///{tmp_path / 'shop.sqlite3'}")
    with engine.begin() as connection:
        create_table(connection)
        create_table(connection)
        connection.execute(text("CREATE TABLE orders (id TEXT)"))
    yield engine
    engine.dispose()


def test_a_committed_transaction_reports_and_a_rolled_back_one_does_not(
    client: Redrive, platform: Platform, engine: Engine
) -> None:
    with Session(engine) as session, session.begin():
        session.connection().execute(text("INSERT INTO orders VALUES ('o-1')"))
        assert client.report("s", executor="e", args=["o-1"], session=session).status == "stored"
    with Session(engine) as session:
        client.report("s", executor="e", args=["o-2"], session=session)
        session.rollback()

    relay = Relay(client, engine.begin)
    assert (relay.run_once(), relay.run_once()) == (1, 0)
    assert [task["args"] for task in platform.order] == [["o-1"]]


def test_rows_stay_while_the_server_is_away_and_refused_ones_are_set_aside(
    client: Redrive, platform: Platform, engine: Engine
) -> None:
    with engine.begin() as connection:
        for number in range(5):
            client.report("refused" if number == 2 else "s", executor="e", args=[number], session=connection)
    relay = Relay(client, engine.begin)
    platform.stop()
    with pytest.raises(Unavailable):
        relay.run_once()

    platform.start()
    assert (relay.run_once(), relay.run_once()) == (5, 0)
    assert [task["args"][0] for task in platform.order] == [0, 1, 3, 4]
    with engine.begin() as connection:
        (problem,) = connection.execute(text("SELECT problem FROM redrive_outbox")).one()
    assert "policy.max_attempts" in problem


def test_a_relay_that_dies_after_sending_repeats_nothing(client: Redrive, platform: Platform, engine: Engine) -> None:
    with engine.begin() as connection:
        client.report("s", executor="e", session=connection)

    @contextmanager
    def dying() -> Generator[Any]:
        with engine.connect() as connection:
            yield connection
            connection.rollback()

    Relay(client, dying).run_once()
    Relay(client, engine.begin).run_once()

    assert len(platform.order) == 1


def test_a_relay_ships_in_the_background(client: Redrive, platform: Platform, engine: Engine) -> None:
    with Relay(client, engine.begin, interval=0.01):
        with engine.begin() as connection:
            client.report("s", executor="e", session=connection)
        platform.wait_for(lambda: platform.order)


def test_a_plain_connection_serves_as_well(client: Redrive, platform: Platform, tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "plain.sqlite3")
    create_table(connection)
    with connection:
        client.report("s", executor="e", args=[1], session=connection)

    @contextmanager
    def connect() -> Generator[Any]:
        with connection:
            yield connection

    assert Relay(client, connect).run_once() == 1
    connection.close()


class _AsyncConnection:
    """What the outbox asks of SQLAlchemy's `AsyncConnection`; no asynchronous driver for SQLite is at hand."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.dialect = inner.dialect

    async def exec_driver_sql(self, sql: str, values: tuple[Any, ...]) -> Any:
        return self._inner.exec_driver_sql(sql, values)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        self._inner.commit()


async def test_asynchronous_sessions(client: Redrive, platform: Platform, engine: Engine) -> None:
    with engine.connect() as inner:
        connection = _AsyncConnection(inner)
        await acreate_table(connection)
        assert (await client.areport("s", executor="e", session=connection)).status == "stored"
        with pytest.raises(UsageError, match="asynchronous"):
            client.report("s", executor="e", session=connection)
        relay = Relay(client, lambda: connection)
        assert await relay.arun_once() == 1
        with pytest.raises(UsageError, match="arun_once"):
            relay.run_once()
    assert len(platform.order) == 1


def test_what_is_no_session_is_refused(client: Redrive) -> None:
    with pytest.raises(UsageError, match="expected a session or connection"):
        client.report("s", executor="e", session=object())
