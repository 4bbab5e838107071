"""The pool of connections when its server goes away."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress

import psycopg
import pytest
from sqlalchemy import text

from redrive.store import database as module
from redrive.store.database import Database

# Waits until the processes are gone, and their ends of the connections with them.
END_ALL = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> %s"
)


async def ask(database: Database, seconds: float = 0) -> int:
    """Which server process answers; it holds its connection for a while, so that others need one of their own."""
    async with database.session() as session:
        answer = await session.execute(text("SELECT pg_backend_pid() FROM pg_sleep(:seconds)"), {"seconds": seconds})
        return int(answer.scalar_one())


async def fill_and_end(database: Database, url: str) -> set[int]:
    """Open several connections, and let the server end them all."""
    pooled = set(await asyncio.gather(*(ask(database, 0.3) for _ in range(5))))
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as other:
        await other.execute(END_ALL, [other.info.backend_pid])
    return pooled


@pytest.mark.parametrize("fresh_seconds", [-1, 3600], ids=["rested", "used a moment ago"])
async def test_connections_that_died_are_replaced_before_their_next_use(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch, fresh_seconds: float
) -> None:
    monkeypatch.setattr(module, "FRESH_SECONDS", fresh_seconds)
    dead = await fill_and_end(database, database_url)

    alive = set(await asyncio.gather(*(ask(database, 0.3) for _ in range(5))))

    assert len(dead) == len(alive) == 5
    assert not dead & alive


async def test_each_session_commits_as_it_says_whichever_connection_it_gets(database: Database) -> None:
    async with database.session() as single:
        await single.execute(text("CREATE TABLE notes (word text)"))
        async with database.begin() as whole:
            await whole.execute(text("INSERT INTO notes VALUES ('undone')"))
            await single.execute(text("INSERT INTO notes VALUES ('kept')"))
            await whole.rollback()
    with suppress(ZeroDivisionError):
        async with database.begin() as failing:
            await failing.execute(text("INSERT INTO notes VALUES ('undone')"))
            raise ZeroDivisionError
    async with database.begin() as whole:
        await whole.execute(text("INSERT INTO notes VALUES ('whole')"))
    # Which of them was opened last says nothing of a connection that the other takes after that.
    async with database.session() as single, database.begin() as whole:
        await single.execute(text("INSERT INTO notes VALUES ('kept, too')"))
        await whole.execute(text("INSERT INTO notes VALUES ('undone')"))
        await whole.rollback()

    async with database.session() as single:
        assert set((await single.scalars(text("SELECT word FROM notes"))).all()) == {"kept", "kept, too", "whole"}


async def begin_and_cancel(database: Database, steps: int) -> None:
    users = [asyncio.create_task(use()) for _ in range(3) for use in (lambda: ask(database), database.ping)]
    for _ in range(steps):
        await asyncio.sleep(0)
    for user in users:
        user.cancel()
    await asyncio.gather(*users, return_exceptions=True)


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 8, 13, 21, 34])
async def test_no_connection_is_left_behind_by_who_is_cancelled(
    database_url: str, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    monkeypatch.setattr("psycopg.waiting.MAX_BUSY_TIME", 0)  # as on a busy machine: each step lets others go first
    database = Database(database_url, application="cancelled")
    await ask(database)

    await begin_and_cancel(database, steps)
    await database.close()

    gc.collect()  # what is left behind is a warning then, and so an error
