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


class LimitDesk:
    """Asks for attempts under limits, many at a time.

    While one transaction is under way, those who come wait for the next one, which takes them all: the busier a limit,
    the fewer statements each of its attempts costs.

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
        while self._asked or self._ended:
            ended, self._ended = self._ended, []
            if ended:
                await _answer(ended, self._release([task_id for task_id, _ in ended]))
            asked, self._asked = self._asked[:LARGEST], self._asked[LARGEST:]
            if asked:
                await _answer(asked, self._admit([request for request, _ in asked]))

    async def _admit(self, requests: list[Request]) -> list[Any]:
        async with self._database.begin() as session:
            return list(await limits.admit(session, requests))

    async def _release(self, task_ids: list[UUID]) -> list[Any]:
        async with self._database.session() as session:
            await limits.release(session, task_ids)
        return [None] * len(task_ids)


async def _answer(asked: list[tuple[Any, asyncio.Future[Any]]], work: Any) -> None:
    """Give each who asked its answer, or the error that stood in the way."""
    answers: list[Any] = []
    failure: Exception | None = None
    try:
        answers = await work
    except (SQLAlchemyError, OSError) as error:
        failure = error
    for index, (_, future) in enumerate(asked):
        if not future.done():
            future.set_result(answers[index]) if failure is None else future.set_exception(failure)
