"""Putting tasks into the database: the transaction whose commit is the acknowledgement.

Single reports that arrive while a transaction is under way share the next one. Sixteen clients that each report one
task at a time then cost one commit for several tasks and not one each, and a client alone waits for nobody.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from redrive.store import scenes
from redrive.store.callbacks import insert_callback
from redrive.store.database import Database
from redrive.store.tasks import KeyedTask, NewTask, find_keyed, insert_tasks, release_keys

Key = tuple[str, str, str, str]
"""Namespace, group, scene and idempotency key."""

NewScene = tuple[str, str, str]
"""Namespace, group and name."""

_DEADLOCK: Final = "40P01"
_TRIES: Final = 5
_MOST_AT_ONCE: Final = 500
_TRANSACTIONS: Final = 2
"""Two, so that one that waits for a lock does not hold everybody up."""


@dataclass(frozen=True, slots=True)
class Inserted:
    """What became of tasks.

    Attributes:
        ids: Those that are new.
        known: For the others, the older tasks that have their idempotency keys or report ids.
    """

    ids: set[UUID]
    known: Mapping[UUID, KeyedTask]

    def older(self, task: NewTask) -> KeyedTask | None:
        """Give the older task of a key; None when the task itself is new."""
        return None if task.id in self.ids else self.known[task.id]


class Intake:
    """Inserts tasks.

    Args:
        database: Where they go.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: deque[tuple[NewTask, asyncio.Future[KeyedTask | None]]] = deque()
        self._transactions: set[asyncio.Task[None]] = set()

    async def insert_one(self, task: NewTask) -> KeyedTask | None:
        """Insert a task, in one transaction with others that come at the same time.

        Args:
            task: The task. Its scene exists.

        Returns:
            The older task of its idempotency key; None when it was inserted.
        """
        settled: asyncio.Future[KeyedTask | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((task, settled))
        if len(self._transactions) < _TRANSACTIONS:
            transaction = asyncio.create_task(self._drain())
            self._transactions.add(transaction)
            transaction.add_done_callback(self._transactions.discard)
        return await settled

    async def insert(
        self, tasks: Sequence[NewTask], missing: Iterable[NewScene] = (), author: str | None = None
    ) -> Inserted:
        """Insert tasks in one transaction.

        Args:
            tasks: The tasks.
            missing: Scenes that are to be made first.
            author: Who makes them.
        """
        # Always in one order, so that transactions with the same keys wait for each other and do not lock each other
        # out. What remains possible (an update that reads its rows in another order) is repeated.
        ordered = sorted(tasks, key=key_of)
        for left in reversed(range(_TRIES)):
            try:
                async with self._database.begin() as session:
                    await _create_scenes(session, sorted(missing), author)
                    ids = await insert_tasks(session, ordered)
                    older = [task for task in ordered if task.id not in ids]
                    if older and (free := await release_keys(session, older)):
                        ids |= await insert_tasks(session, [task for task in older if task.id in free])
                        older = [task for task in older if task.id not in ids]
                    known = await find_keyed(session, older) if older else {}
                    for task in ordered:
                        if task.finished_at is not None and task.id in ids:
                            await insert_callback(session, task.id)  # it has ended before it could begin
                return await self._again(Inserted(ids, known), older)
            except OperationalError as error:
                if getattr(error.orig, "sqlstate", None) != _DEADLOCK or not left:
                    raise
        raise AssertionError("unreachable: the last try returns or raises")

    async def _again(self, inserted: Inserted, older: Sequence[NewTask]) -> Inserted:
        """Insert what has neither been inserted nor found: its older task was deleted between the two statements."""
        lost = [task for task in older if task.id not in inserted.known]
        if not lost:
            return inserted
        more = await self.insert(lost)
        return Inserted(inserted.ids | more.ids, {**inserted.known, **more.known})

    async def _drain(self) -> None:
        while self._waiting:
            taken = [self._waiting.popleft() for _ in range(min(len(self._waiting), _MOST_AT_ONCE))]
            await self._settle(taken)

    async def _settle(self, taken: Sequence[tuple[NewTask, asyncio.Future[KeyedTask | None]]]) -> None:
        try:
            inserted = await self.insert([task for task, _ in taken])
        except Exception as error:  # noqa: BLE001 - it belongs to those who wait, who raise it
            if len(taken) > 1 and isinstance(error, DBAPIError) and not isinstance(error, OperationalError):
                # One of them cannot be stored, and must not take the others with it.
                for one in taken:
                    await self._settle([one])
                return
            for _, settled in taken:
                if not settled.done():
                    settled.set_exception(error)
            return
        for task, settled in taken:
            if not settled.done():
                settled.set_result(inserted.older(task))


def key_of(task: NewTask) -> Key:
    """Give what a task's idempotency key is unique in, and the key."""
    return task.namespace, task.group, task.scene, task.idempotency_key or ""


async def _create_scenes(session: AsyncSession, missing: Iterable[NewScene], author: str | None) -> None:
    for namespace, group, scene in missing:
        await scenes.create_group(session, namespace, group, "made by its first report")
        await scenes.create_scene(
            session, namespace, group, scene, description="made by its first report", author=author
        )
