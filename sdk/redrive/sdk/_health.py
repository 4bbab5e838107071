"""What this process says of its SDK with each heartbeat, so that an alert can be about it.

Everything that goes wrong inside the SDK is logged as an error by the logger `redrive.sdk`, since it must never break
the application. Those records are counted here.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from redrive.sdk.spool import Spool


class ErrorCount(logging.Filter):
    """Counts the errors that a logger is given.

    It is a filter and no handler: a logger that has a handler does not write to standard error by itself any more.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self.value = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Count an error, and let every record pass."""
        if record.levelno >= logging.ERROR:
            with self._lock:
                self.value += 1
        return True


ERRORS: Final = ErrorCount()
"""The errors of this process since it imported the SDK's node."""

logging.getLogger("redrive.sdk").addFilter(ERRORS)


def health_of(spool: Spool | None) -> Callable[[], Mapping[str, Any]]:
    """Make what tells the state of a spool and the number of errors, as fields of a heartbeat.

    Args:
        spool: Where reports wait while the server is away; None for nowhere.
    """

    def tell() -> Mapping[str, Any]:
        fields: dict[str, Any] = {}
        if ERRORS.value:
            fields["errors"] = ERRORS.value
        # A spool that cannot be read must not take the node away.
        with contextlib.suppress(Exception):
            waiting = spool.waiting() if spool is not None else None
            if waiting is not None:
                fields["spool"] = {"size": waiting[0], "oldest_seconds": waiting[1]}
        return fields

    return tell
