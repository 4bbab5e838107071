"""Logging of the server processes: lines for people, or JSON for machines."""

import json
import logging
from datetime import UTC, datetime
from typing import Any

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


class JsonFormatter(logging.Formatter):
    """Writes a record as one JSON object; what was passed as `extra` becomes fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line for a record."""
        document: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        document |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            document["exception"] = self.formatException(record.exc_info)
        return json.dumps(document, default=str, ensure_ascii=False)


def logging_config(level: str, style: str) -> dict[str, Any]:
    """Return the configuration for `logging.config.dictConfig`; uvicorn hands it to its worker processes too.

    Args:
        level: The lowest level that is written, such as `info`.
        style: `text` or `json`.
    """
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "text": {"format": "%(asctime)s %(levelname)-7s %(name)s: %(message)s"},
            "json": {"()": JsonFormatter},
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": style, "stream": "ext://sys.stderr"}},
        "root": {"level": level.upper(), "handlers": ["stderr"]},
        "loggers": {
            # One line per request is for debugging; the metrics count them all.
            "uvicorn.access": {"level": "INFO" if level == "debug" else "WARNING"},
            # One line per request of the HTTP client, which is one per attempt.
            "httpx": {"level": "INFO" if level == "debug" else "WARNING"},
            "httpcore": {"level": "WARNING"},
        },
    }
