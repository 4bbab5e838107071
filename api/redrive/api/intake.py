"""Putting tasks into the database: the transaction whose commit is the acknowledgement.

Single reports that arrive while a transaction is under way share the next one. Sixteen clients that each report one
task at a time then cost one commit for several tasks and not one each, and a client alone waits for nobody.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final
from uuid import UUID

from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from redrive.store import scenes
from redrive.store.blocks import find_replacing, replace_tasks
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
        waiting: Of the new ones those that wait for the end of an older one, as they are.
    """

    ids: set[UUID]
    known: Mapping[UUID, KeyedTask]
    waiting: Mapping[UUID, NewTask] = field(default_factory=dict[UUID, NewTask])

    def outcome(self, task: NewTask) -> NewTask | KeyedTask:
        """Give a task as it was inserted, or else the older task of its key."""
        return self.waiting.get(task.id, task) if task.id in self.ids else self.known[task.id]


class Intake:
    """Inserts tasks.

    Args:
        database: Where they go.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: deque[tuple[NewTask, asyncio.Future[NewTask | KeyedTask]]] = deque()
        self._transactions: set[asyncio.Task[None]] = set()

    async def insert_one(self, task: NewTask) -> NewTask | KeyedTask:
        """Insert a task, in one transaction with others that come at the same time.

        Args:
            task: The task. Its scene exists.

        Returns:
            The task as it was inserted, or the older one of its idempotency key.
        """
        settled: asyncio.Future[NewTask | KeyedTask] = asyncio.get_running_loop().create_future()
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
                    again = await _sent_again(session, ordered)
                    fresh = [task for task in ordered if task.id not in again]
                    ids = await insert_tasks(session, fresh)
                    older = [task for task in fresh if task.id not in ids]
                    if older and (free := await release_keys(session, older)):
                        ids |= await insert_tasks(session, [task for task in older if task.id in free])
                        older = [task for task in older if task.id not in ids]
                    met = await _meet(session, older) if older else Inserted(set(), {})
                    ids |= met.ids
                    for task in ordered:
                        if task.finished_at is not None and task.id in ids and not task.is_restored:
                            await insert_callback(session, task.id)  # it has ended before it could begin
                return await self._again(Inserted(ids, {**met.known, **again}, met.waiting), older)
            except OperationalError as error:
                if getattr(error.orig, "sqlstate", None) != _DEADLOCK or not left:
                    raise
        raise AssertionError("unreachable: the last try returns or raises")

    async def _again(self, inserted: Inserted, older: Sequence[NewTask]) -> Inserted:
        """Insert what has neither been inserted nor found: its older task was deleted between the two statements."""
        lost = [task for task in older if task.id not in inserted.known and task.id not in inserted.ids]
        if not lost:
            return inserted
        more = await self.insert(lost)
        return Inserted(inserted.ids | more.ids, {**inserted.known, **more.known}, {**inserted.waiting, **more.waiting})

    async def _drain(self) -> None:
        while self._waiting:
            taken = [self._waiting.popleft() for _ in range(min(len(self._waiting), _MOST_AT_ONCE))]
            await self._settle(taken)

    async def _settle(self, taken: Sequence[tuple[NewTask, asyncio.Future[NewTask | KeyedTask]]]) -> None:
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
                settled.set_result(inserted.outcome(task))


async def _sent_again(session: AsyncSession, tasks: Sequence[NewTask]) -> Mapping[UUID, KeyedTask]:
    """Find reports that have replaced a task before. Those alone are not known by the report id of a task."""
    replacing = [task for task in tasks if task.block == "overlay" and task.report_id is not None]
    return await find_replacing(session, replacing) if replacing else {}


async def _meet(session: AsyncSession, tasks: Sequence[NewTask]) -> Inserted:
    """Let reports meet the older tasks of their keys: join them, replace them, or wait for their end."""
    known = await find_keyed(session, tasks)
    living = [task for task in tasks if (older := known.get(task.id)) and older.lives and not older.same_report]
    # Of several reports that replace one task the last one stays.
    replacing = {known[task.id].id: task for task in living if task.block == "overlay"}
    replaced = await replace_tasks(session, replacing) if replacing else set[UUID]()
    for task in living:
        if task.block == "overlay" and known[task.id].id in replaced:
            known[task.id] = replace(known[task.id], replaced=True)
    waiting = {task.id: _behind(task, known.pop(task.id)) for task in living if task.block == "enqueue"}
    ids = await insert_tasks(session, list(waiting.values())) if waiting else set[UUID]()
    return Inserted(ids, known, waiting)


def _behind(task: NewTask, older: KeyedTask) -> NewTask:
    why = f"waits for the end of task {older.id}, which has the same key, and of those that came before it"
    return replace(task, queue_key=task.idempotency_key, next_attempt_at=None, why=why)


def key_of(task: NewTask) -> Key:
    """Give what a task's idempotency key is unique in, and the key."""
    return task.namespace, task.group, task.scene, task.idempotency_key or ""


async def _create_scenes(session: AsyncSession, missing: Iterable[NewScene], author: str | None) -> None:
    for namespace, group, scene in missing:
        await scenes.create_group(session, namespace, group, "made by its first report")
        await scenes.create_scene(
            session, namespace, group, scene, description="made by its first report", author=author
        )
