"""Exports of dead letters: JSON lines or CSV, written page by page.

Each page is a query of its own, in keyset order. A cursor of the database would hold a connection, and its snapshot,
for as long as the slowest client takes to read.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Final, Literal

from redrive.core.selection import Selection
from redrive.store import exports, search
from redrive.store.database import Database
from redrive.store.search import Sort

Format = Literal["jsonl", "csv"]

MEDIA_TYPES: Final[dict[Format, str]] = {"jsonl": "application/x-ndjson", "csv": "text/csv"}

PAGE: Final = 500
"""Tasks that are held in memory."""

_COLUMNS: Final = (
    "id", "group", "scene", "kind", "status", "dead_reason", "error_type", "error_message", "fingerprint", "attempts",
    "max_attempts", "generation", "priority", "business_key", "idempotency_key", "executor", "target", "why",
    "created_at", "finished_at", "metadata",
)  # fmt: skip
_PAYLOAD: Final = ("args", "kwargs", "body")


async def lines(
    database: Database, namespace: str, selection: Selection, form: Format, sort: Sort, *, payload: bool
) -> AsyncGenerator[bytes]:
    """Write the tasks of a selection.

    Args:
        database: Where they are.
        namespace: Their namespace.
        selection: Which ones.
        form: What a line is.
        sort: Their order.
        payload: Whether payloads are written as well.

    Yields:
        Some lines.
    """
    columns = (*_COLUMNS, *(_PAYLOAD if payload else ()))
    if form == "csv":
        yield _csv([dict(zip(columns, columns, strict=True))], columns).encode()
    cursor: str | None = None
    while True:
        async with database.session() as session:
            page = await search.list_tasks(session, namespace, selection, sort=sort, limit=PAGE, cursor=cursor)
            documents = await exports.documents(session, page.items, payload=payload)
        # A payload may hold half of a surrogate pair only as an escape, which is how it goes out as well.
        text = _json_lines(documents) if form == "jsonl" else _csv([_flat(each) for each in documents], columns)
        yield text.encode(errors="backslashreplace")
        cursor = page.next_cursor
        if cursor is None:
            return


def _json_lines(documents: Sequence[dict[str, Any]]) -> str:
    return "".join(json.dumps(document, ensure_ascii=False) + "\n" for document in documents)


def _flat(document: dict[str, Any]) -> dict[str, Any]:
    error: dict[str, Any] = document["last_error"] or {}
    return {**document, "error_type": error.get("type"), "error_message": error.get("message")}


def _csv(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerows([_cell(row.get(column)) for column in columns] for row in rows)
    return text.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    # A spreadsheet takes such a text for a formula and runs it, and messages come from anywhere (OWASP, "CSV
    # Injection").
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) and not isinstance(value, int) else text
