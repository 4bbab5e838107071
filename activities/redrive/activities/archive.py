"""Deleting ended tasks, into an archive when one is wanted.

The archive is a folder of JSON lines: `<folder>/<namespace>/<day>.<process>.jsonl`. Each line is a task with its
payload and its attempts, and a dead letter can be imported again. A line is on disk before its task is deleted; a
process that is killed in between leaves the line and the task, and the next one writes the line again.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from redrive.core.errors import RedriveError
from redrive.core.selection import Selection
from redrive.core.states import TaskStatus
from redrive.store import exports, retention
from redrive.store.database import Database
from redrive.store.tables import Task

BATCH: Final = 500
"""Tasks that are held in memory, and deleted by one statement."""


class NoArchive(RedriveError):
    """An archive is wanted, and no folder is set: set `REDRIVE_ARCHIVE_DIR` for every server process."""

    def __init__(self) -> None:
        super().__init__(self.__class__.__doc__)


class Archive:
    """A folder of JSON lines, readable by its owner alone, because payloads are private.

    Args:
        folder: The folder; None when none is set.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._process = uuid4().hex[:12]

    @property
    def is_set(self) -> bool:
        """Whether there is a folder to write to."""
        return self._folder is not None

    async def write(self, namespace: str, documents: Sequence[dict[str, Any]], now: datetime) -> Path:
        """Write documents, to be on disk when this returns.

        Args:
            namespace: Namespace of the tasks.
            documents: The tasks.
            now: The clock: each day has files of its own.

        Returns:
            The file.

        Raises:
            NoArchive: No folder is set.
            OSError: The disk does not take them.
        """
        if self._folder is None:
            raise NoArchive
        path = self._folder / namespace / f"{now.astimezone(UTC):%Y-%m-%d}.{self._process}.jsonl"
        text = "".join(json.dumps(document, ensure_ascii=False) + "\n" for document in documents)
        await asyncio.to_thread(_append, path, text.encode(errors="backslashreplace"))
        return path


@dataclass(frozen=True, slots=True)
class Removed:
    """What was deleted.

    Attributes:
        count: How many tasks.
        done: Whether nothing is left of what was to go, except what others hold just now.
    """

    count: int
    done: bool


class Remover:
    """Deletes ended tasks.

    Args:
        database: Where they are.
        archive: Where they are kept.
    """

    def __init__(self, database: Database, archive: Archive) -> None:
        self._database = database
        self._archive = archive

    async def remove_due(
        self, namespace: str, status: TaskStatus, before: datetime, *, archive: bool, now: datetime
    ) -> Removed:
        """Delete one batch of tasks whose time is over, in a transaction of its own.

        Args:
            namespace: Their namespace.
            status: Their status.
            before: They ended before this.
            archive: Whether they are archived first.
            now: The clock.

        Raises:
            NoArchive: There is no archive.
            OSError: The archive's disk does not take them.
        """
        async with self._database.begin() as session:
            taken = await retention.take_due(session, namespace, status, before, BATCH)
            await self._remove(session, namespace, taken, archive=archive, now=now)
            return Removed(len(taken), done=len(taken) < BATCH)

    async def remove_selected(
        self,
        namespace: str,
        selection: Selection,
        *,
        limit: int,
        archive: bool,
        now: datetime,
        note: Callable[[AsyncSession, int], Awaitable[None]],
    ) -> Removed:
        """Delete ended tasks of a selection, in one transaction.

        Args:
            namespace: Their namespace.
            selection: Which ones.
            limit: The most tasks.
            archive: Whether they are archived first.
            now: The clock.
            note: Writes down, in the same transaction, that so many were deleted.

        Raises:
            NoArchive: There is no archive.
            OSError: The archive's disk does not take them.
        """
        removed = 0
        async with self._database.begin() as session:
            while removed < limit:
                wanted = min(BATCH, limit - removed)
                taken = await retention.take_selected(session, namespace, selection, wanted)
                await self._remove(session, namespace, taken, archive=archive, now=now)
                removed += len(taken)
                if len(taken) < wanted:
                    await note(session, removed)
                    return Removed(removed, done=True)
            await note(session, removed)
        return Removed(removed, done=False)

    async def _remove(
        self, session: AsyncSession, namespace: str, taken: Sequence[Task], *, archive: bool, now: datetime
    ) -> None:
        if archive and not self._archive.is_set:
            raise NoArchive
        if not taken:
            return
        if archive:
            documents = await exports.documents(session, taken, payload=True, history=True)
            await self._archive.write(namespace, documents, now)
        await retention.delete_taken(session, taken)


def _append(path: Path, lines: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    is_new = not path.exists()
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "ab") as file:
        file.write(lines)
        file.flush()
        os.fsync(file.fileno())
    if is_new:
        folder = os.open(path.parent, os.O_RDONLY)  # the name is a part of the folder, and must survive as well
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
