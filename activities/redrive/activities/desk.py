"""The desk at which attempts ask for slots and permits: one transaction for all that ask at the same time."""

from __future__ import annotations

import asyncio
from typing import Any, Final
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from redrive.core.quota import Answer
from redrive.store import limits
from redrive.store.database import Database
from redrive.store.limits import Request

LARGEST: Final = 200
"""The most attempts that are asked for in one transaction."""

ROUND_SECONDS: Final = 0.02
"""Transactions begin at least so far apart. Who comes to an idle desk is served at once; at a busy one, those who come
within this time share a transaction, which costs nearly the same for one as for twenty."""


class LimitDesk:
    """Asks for attempts under limits, many at a time.

    While one transaction is under way, those who come wait for the next one, which takes them all, with those whose
    attempts have ended: the busier a limit, the fewer statements each of its attempts costs.

    Args:
        database: Where the limits are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._asked: list[tuple[Request, asyncio.Future[Answer]]] = []
        self._ended: list[tuple[UUID, asyncio.Future[None]]] = []
        self._serving: asyncio.Task[None] | None = None

    async def ask(self, request: Request) -> Answer:
        """Ask for one attempt."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._asked.append((request, answer))
        self._serve()
        return await answer

    async def release(self, task_id: UUID) -> None:
        """Give the permits of an attempt back."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ended.append((task_id, done))
        self._serve()
        await done

    def _serve(self) -> None:
        """Begin to serve, unless that is under way. It is a task of its own: whoever asks may be cancelled."""
        if self._serving is None or self._serving.done():
            self._serving = asyncio.create_task(self._rounds())

    async def _rounds(self) -> None:
        loop = asyncio.get_running_loop()
        while self._asked or self._ended:
            next_at = loop.time() + ROUND_SECONDS
            ended, self._ended = self._ended, []
            asked, self._asked = self._asked[:LARGEST], self._asked[LARGEST:]
            await self._round(asked, ended)
            await asyncio.sleep(next_at - loop.time())

    async def _round(
        self, asked: list[tuple[Request, asyncio.Future[Answer]]], ended: list[tuple[UUID, asyncio.Future[None]]]
    ) -> None:
        """Serve those who have come, and give each its answer, or the error that stood in the way."""
        task_ids = [task_id for task_id, _ in ended]
        try:
            if asked:
                async with self._database.begin() as session:
                    answers = await limits.admit(session, [request for request, _ in asked], task_ids)
            else:
                async with self._database.session() as session:
                    await limits.release(session, task_ids)
                answers = []
        except (SQLAlchemyError, OSError) as error:
            waiting: list[asyncio.Future[Any]] = [*(future for _, future in asked), *(future for _, future in ended)]
            for future in waiting:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, answered), answer in zip(asked, answers, strict=True):
            if not answered.done():
                answered.set_result(answer)
        for _, done in ended:
            if not done.done():
                done.set_result(None)
