"""What an attempt writes to its log travels with its answer, and is shown beside it in the console."""

from __future__ import annotations

import contextvars
import logging
import threading
from collections.abc import MutableMapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, cast

from redrive.core.wire import MAX_LOG_CHARACTERS, MAX_LOG_LINES, ExecuteAnswer, LogLine

if TYPE_CHECKING:
    from typing_extensions import override
else:

    def override(method: Any) -> Any:
        """Stand in for the decorator, which is for type checkers."""
        return method


_LINE_CHARACTERS: Final = 2_000


class AttemptLog:
    """The log lines of one attempt, bounded in number and length."""

    def __init__(self) -> None:
        self._lines: list[LogLine] = []
        self._left = MAX_LOG_CHARACTERS
        self._lock = threading.Lock()

    def add(self, level: str, message: str) -> None:
        """Keep a line while there is room."""
        text = message if len(message) <= _LINE_CHARACTERS else message[: _LINE_CHARACTERS - 1] + "…"
        with self._lock:
            if self._left <= 0:
                return
            if len(self._lines) >= MAX_LOG_LINES - 1 or len(text) > self._left - 100:
                self._left = 0
                text, level = "the rest of this attempt's log was dropped: it is too long", "WARNING"
            self._left -= len(text)
            self._lines.append(LogLine(datetime.now(UTC), level, text))

    def attach(self, answer: ExecuteAnswer) -> ExecuteAnswer:
        """Put the lines into an answer."""
        with self._lock:
            return replace(answer, logs=tuple(self._lines))


_current: Final[contextvars.ContextVar[AttemptLog | None]] = contextvars.ContextVar("redrive_log", default=None)


def capture(lines: AttemptLog) -> None:
    """Collect the lines of the current context."""
    _current.set(lines)


class AttemptLogHandler(logging.Handler):
    """Sends the log records of a running attempt to the platform; records outside of attempts pass it by.

    Example:
        ```python
        logging.getLogger("orders").addHandler(AttemptLogHandler(level=logging.INFO))
        ```
    """

    @override
    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record when an attempt runs."""
        lines = _current.get()
        if lines is not None:
            try:
                lines.add(record.levelname, self.format(record))
            except Exception:  # noqa: BLE001 - what logging does with a record that cannot be formatted
                self.handleError(record)


class _AttemptLogger(logging.LoggerAdapter[logging.Logger]):
    @override
    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Write a line to both places."""
        lines = _current.get()
        if lines is not None and self.isEnabledFor(level):
            lines.add(logging.getLevelName(level), _format(msg, args))
        super().log(level, msg, *args, **kwargs)

    @override
    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Leave the message as it is."""
        return msg, kwargs


def attempt_logger(logger: logging.Logger | str | None = None) -> logging.LoggerAdapter[logging.Logger]:
    """Make a logger whose lines are also shown with the attempt that wrote them.

    Args:
        logger: The logger that gets them in any case, or its name; the root logger when left out.

    Returns:
        An adapter with the usual methods.

    Example:
        ```python
        log = attempt_logger(__name__)


        @redrive.executor("orders.charge")
        def charge(order_id: str) -> None:
            log.info("asking the bank")
        ```
    """
    return _AttemptLogger(logger if isinstance(logger, logging.Logger) else logging.getLogger(logger))


def _format(message: object, args: tuple[object, ...]) -> str:
    text = str(message)
    if not args:
        return text
    try:
        values: Any = args[0] if len(args) == 1 and isinstance(cast("Any", args[0]), dict) else args
        return str(text % values)
    except (TypeError, ValueError):
        return text
