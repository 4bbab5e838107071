"""Reports on this machine's disk, for as long as the server is away.

A spool is one SQLite file, shared by all processes that report to the same server for the same group. Any of them
appends; one at a time ships, the one that holds a lock on the file beside it. The operating system gives the lock back
when that process dies, however it dies, so there is no lease to wait for.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import threading
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from redrive.sdk.errors import UsageError
from redrive.sdk.report import Outgoing

if TYPE_CHECKING:
    import sqlite3

if sys.platform == "win32":
    import msvcrt

    def _lock_file(file: IO[bytes]) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock_file(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


_SCHEMA = """
CREATE TABLE IF NOT EXISTS reports (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    report_id TEXT NOT NULL UNIQUE,
    idempotency_key TEXT NOT NULL,
    document TEXT NOT NULL,
    spooled_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS rejected (
    position INTEGER PRIMARY KEY,
    report_id TEXT NOT NULL,
    document TEXT NOT NULL,
    problem TEXT NOT NULL,
    rejected_at REAL NOT NULL
);
"""


@dataclass(frozen=True, slots=True)
class Spooled:
    """A report in the spool, with its place in the order."""

    position: int
    outgoing: Outgoing


class Spool:
    """The reports that wait for the server.

    Args:
        path: The SQLite file; it and its folder are made at the first report.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None

    def append(self, reports: Sequence[Outgoing]) -> None:
        """Keep reports, in order, on disk when this returns. One that is kept already is not kept twice.

        Args:
            reports: The reports.

        Raises:
            sqlite3.Error: The disk does not take them.
            OSError: The folder cannot be made.
        """
        rows = [(item.report_id, item.idempotency_key or "", item.text, time.time()) for item in reports]
        with self._lock, self._open() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO reports (report_id, idempotency_key, document, spooled_at) VALUES (?, ?, ?, ?)",
                rows,
            )

    def first(self, limit: int, max_size: int) -> list[Spooled]:
        """Read the oldest reports.

        Args:
            limit: The most reports.
            max_size: The most characters in all; one report is read even when it is longer.

        Returns:
            The reports in the order in which they came.
        """
        if not self.exists():
            return []
        taken: list[Spooled] = []
        total = 0
        query = "SELECT position, document, idempotency_key, report_id FROM reports ORDER BY position LIMIT ?"
        with self._lock, contextlib.closing(self._open().execute(query, (limit,))) as rows:
            for position, document, key, report_id in rows:
                total += len(document)
                if taken and total > max_size:
                    break
                taken.append(Spooled(position, Outgoing(document, key or None, report_id)))
        return taken

    def remove(self, positions: Sequence[int]) -> None:
        """Forget reports that the server acknowledged."""
        with self._lock, self._open() as connection:
            connection.executemany("DELETE FROM reports WHERE position = ?", [(position,) for position in positions])

    def reject(self, item: Spooled, problem: str) -> None:
        """Set a report aside that the server refuses: it stays on disk for a person, out of the way of the others."""
        with self._lock, self._open() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO rejected VALUES (?, ?, ?, ?, ?)",
                (item.position, item.outgoing.report_id, item.outgoing.text, problem, time.time()),
            )
            connection.execute("DELETE FROM reports WHERE position = ?", (item.position,))

    def count(self) -> int:
        """Count the reports that wait."""
        return self._count("reports")

    def waiting(self) -> tuple[int, float] | None:
        """Tell how many reports wait, and how long the first of them has waited, in seconds; None when none does."""
        if not self.exists():
            return None
        with self._lock:
            query = "SELECT count(*), min(spooled_at) FROM reports"
            row: tuple[int, float | None] = self._open().execute(query).fetchone()
        return None if row[1] is None else (row[0], max(0.0, time.time() - row[1]))

    def count_rejected(self) -> int:
        """Count the reports that the server refused."""
        return self._count("rejected")

    def exists(self) -> bool:
        """Whether there is a file: without one there is nothing to ship, and none is made by looking."""
        return self._connection is not None or self.path.exists()

    @contextlib.contextmanager
    def shipping(self) -> Generator[bool]:
        """Be the one process that ships.

        Yields:
            Whether this process has the right until the end of the block; another one has it otherwise.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_name(self.path.name + ".lock").open("ab") as file:
            try:
                _lock_file(file)
            except OSError:
                yield False
                return
            yield True

    def reset_after_fork(self) -> None:
        """Leave the parent's connection alone: SQLite connections do not survive a fork."""
        self._lock = threading.RLock()
        _abandoned.append(self._connection)
        self._connection = None

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def _count(self, table: str) -> int:
        if not self.exists():
            return 0
        with self._lock:
            row: tuple[int] = self._open().execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - our names
            return row[0]

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            import sqlite3  # noqa: PLC0415 - a process in which nothing fails does not need it

            connection = sqlite3.connect(self.path, timeout=10, check_same_thread=False)
            try:
                with contextlib.suppress(OSError):
                    self.path.chmod(0o600)  # payloads are private
                connection.execute("PRAGMA journal_mode = WAL")
                # A report is acknowledged to the caller once it is here: it must outlive a power cut, too.
                connection.execute("PRAGMA synchronous = FULL")
                connection.executescript(_SCHEMA)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection


_abandoned: list[Any] = []
"""Connections of parents: closing one in a child drops the parent's locks (SQLite, “How To Corrupt”, section 2.2)."""


def default_path(url: str, namespace: str, group: str) -> Path:
    """Choose where the spool lies: the same file for all processes of one user that report the same way.

    Args:
        url: The server.
        namespace: The namespace.
        group: The group.

    Returns:
        `$REDRIVE_SPOOL`, or a file in the user's state folder, or in the temporary folder where there is no home.

    Raises:
        UsageError: `$REDRIVE_SPOOL` is a folder.
    """
    given = os.environ.get("REDRIVE_SPOOL")
    if given:
        path = Path(given)
        if path.is_dir():
            raise UsageError(f"REDRIVE_SPOOL: expected the path of a file, got the folder {given!r}")
        return path
    mark = hashlib.sha256(f"{url} {namespace} {group}".encode()).hexdigest()[:12]
    name = "".join(c if c.isalnum() or c in "-_." else "_" for c in group)[:60]
    return _state_folder() / "redrive" / f"spool-{name}-{mark}.sqlite3"


def _state_folder() -> Path:
    for candidate in (os.environ.get("XDG_STATE_HOME"), os.environ.get("LOCALAPPDATA")):
        if candidate:
            return Path(candidate)
    home = Path("~").expanduser()
    if home.is_dir() and os.access(home, os.W_OK):
        return home / ".local" / "state"
    import tempfile  # noqa: PLC0415 - only where there is no home

    return Path(tempfile.gettempdir()) / f"redrive-{os.getuid() if hasattr(os, 'getuid') else 'user'}"
