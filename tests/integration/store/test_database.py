"""The pool of connections when its server goes away."""

from __future__ import annotations

import asyncio

import psycopg
from sqlalchemy import text

from redrive.store.database import Database

END_ALL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> %s"


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


async def test_connections_that_died_are_replaced_before_their_next_use(database: Database, database_url: str) -> None:
    dead = await fill_and_end(database, database_url)

    alive = set(await asyncio.gather(*(ask(database, 0.3) for _ in range(5))))

    assert len(dead) == len(alive) == 5
    assert not dead & alive
