"""The last resort: what is left of a report when neither the server nor this machine's disk took it.

Payloads are private and logs are read by many, so that a report goes to the log, to a file or to a function of the
application only where the application says so. An import (`redrive tasks import`) finds it there. Otherwise the log
says what was lost, without its payload.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Literal, TypeAlias

from redrive.core.wire import LOST_REPORT
from redrive.sdk.errors import UsageError
from redrive.sdk.report import Outgoing

LostReports: TypeAlias = Literal["log"] | Path | Callable[[str], object]
"""Where lost reports go: the log, a file, or a function of the application. It gets one line for each."""

log = logging.getLogger("redrive.sdk")

_NAMED: Final = ("scene", "executor", "business_key", "idempotency_key", "report_id")


class LastResort:
    """Takes reports that nobody else takes, and never fails itself.

    Args:
        to: Where they go; None to log what was lost, without payloads.

    Raises:
        UsageError: That is none of these places.
    """

    def __init__(self, to: LostReports | None) -> None:
        if not (to is None or to == "log" or isinstance(to, Path) or callable(to)):
            raise UsageError(f"lost_reports: expected 'log', a pathlib.Path, a function or None, got {to!r}")
        self._to = to
        self._lock = threading.Lock()

    def take(self, reports: Sequence[Outgoing], why: object) -> None:
        """Take reports.

        Args:
            reports: The reports.
            why: What became of them elsewhere, for the log.
        """
        for report in reports:
            document = json.loads(report.text)
            named = ", ".join(f"{name} {document[name]!r}" for name in _NAMED if document.get(name) is not None)
            try:
                # Escaped: whatever encoding the log has, it can write this, and a payload cannot begin a line.
                kept = self._write(f"{LOST_REPORT} {json.dumps(document, separators=(',', ':'))}")
            except Exception as error:  # noqa: BLE001 - the application's own function and disk; nothing is left to try
                log.critical("redrive: a report was lost (%s): %s; and lost_reports failed: %r", named, why, error)
                continue
            if kept is None:
                log.critical("redrive: a report was lost (%s): %s", named, why)
            else:
                log.error("redrive: a report went to %s, to be imported (%s): %s", kept, named, why)

    def reset_after_fork(self) -> None:
        """Begin anew in a child: a thread of the parent may have held the lock."""
        self._lock = threading.Lock()

    def _write(self, line: str) -> str | None:
        """Write a line, and tell where it went; None when nobody wants it."""
        if self._to is None:
            return None
        if isinstance(self._to, Path):
            with self._lock:
                _append(self._to, line)
            return str(self._to)
        if callable(self._to):
            self._to(line)
            return "lost_reports"
        log.critical("%s", line)
        return "the log"


def _append(path: Path, line: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # One write at the end of the file: several processes may share it, and none writes into another's line.
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)  # payloads are private
    try:
        data = line.encode("ascii") + b"\n"
        if os.write(descriptor, data) != len(data):
            raise OSError(f"{path} took a part of a line only: the disk may be full")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
