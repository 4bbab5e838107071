"""Imports: tasks from a file of JSON lines, read and answered line by line.

A line is a report as `POST /v1/tasks` takes it, a dead letter as an export or the archive wrote it, or a line of an
application's log in which the SDK left a report that it could bring nowhere else. What is read is worked off in
batches; the results wait in a temporary file, so that an import of any length needs the memory of one batch.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Any, Final, Literal, cast
from uuid import UUID

from redrive.api.access import Access
from redrive.api.problems import BODY_TOO_LARGE, INVALID_REQUEST, FieldProblem, Refusal
from redrive.api.reports import Accepted, Duplicate, End, Outcome, Reporter
from redrive.api.strict_json import parse
from redrive.api.validation import invalid, shown
from redrive.core.states import DeadReason, TaskStatus
from redrive.core.wire import LOST_REPORT, MAX_TASK_BYTES
from redrive.store import tasks
from redrive.store.database import Database

DeadLetters = Literal["keep", "retry"]

BATCH: Final = 500
BATCH_BYTES: Final = 4 * 1024 * 1024
_LONGEST_LINE: Final = 8 * MAX_TASK_BYTES
"""A dead letter of the archive has its attempts with it."""

_IN_MEMORY: Final = 1024 * 1024
_CHUNK: Final = 64 * 1024
_LOG_FIELDS: Final = ("message", "msg", "event", "log", "body", "text")
_REPORT_FIELDS: Final = (
    "group", "scene", "executor", "args", "kwargs", "body", "target", "idempotency_key", "business_key", "priority",
    "metadata", "trace_context", "callbacks",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """A line that is to become a task.

    Attributes:
        number: Its number in the file, from 1.
        report: The report that it means, or why it means none.
        end: How the dead letter ended that it is; None for what is to be retried.
        original: Id of the task that was exported.
    """

    number: int
    report: Any
    end: End | None = None
    original: UUID | None = None


class Importer:
    """Takes files.

    Args:
        database: Where tasks are.
        reporter: Takes reports.
    """

    def __init__(self, database: Database, reporter: Reporter) -> None:
        self._database = database
        self._reporter = reporter

    async def take(self, access: Access, body: AsyncIterator[bytes], dead_letters: DeadLetters) -> IO[bytes]:
        """Import a file.

        Args:
            access: Who imports.
            body: The file.
            dead_letters: `keep` them dead, to be replayed when the time has come, or `retry` them at once.

        Returns:
            A temporary file with a result for each line that was to become a task, and the sums on its last line.
        """
        results = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - the answer closes it
        sums = {"lines": 0, "accepted": 0, "duplicates": 0, "rejected": 0, "skipped": 0}
        batch: list[Line] = []
        size = 0
        async for number, raw in _lines(body):
            sums["lines"] = number
            line = read_line(number, raw, dead_letters)
            if line is None:
                sums["skipped"] += 1
                continue
            batch.append(line)
            size += 0 if raw is None else len(raw)
            if len(batch) == BATCH or size >= BATCH_BYTES:
                await self._work_off(access, batch, results, sums)
                batch, size = [], 0
        await self._work_off(access, batch, results, sums)
        results.write(json.dumps(sums).encode() + b"\n")
        results.seek(0)
        return cast("IO[bytes]", results)

    async def _work_off(
        self, access: Access, batch: Sequence[Line], results: IO[bytes] | Any, sums: dict[str, int]
    ) -> None:
        for line, outcome in zip(batch, await self._outcomes(access, batch), strict=True):
            result: dict[str, Any]
            match outcome:
                case Accepted():
                    sums["accepted"] += 1
                    result = {"line": line.number, "status": 201, "id": str(outcome.task.id), "duplicate": False}
                case Duplicate():
                    sums["duplicates"] += 1
                    result = {"line": line.number, "status": 200, "id": str(outcome.id), "duplicate": True}
                case Refusal():
                    sums["rejected"] += 1
                    problem = outcome.document()
                    result = {"line": line.number, "status": outcome.kind.status, "id": None, "problem": problem}
            results.write(json.dumps(result).encode() + b"\n")

    async def _outcomes(self, access: Access, batch: Sequence[Line]) -> list[Outcome]:
        if not batch:
            return []
        originals = [line.original for line in batch if line.original is not None]
        async with self._database.session() as session:
            there = await tasks.list_generations(session, originals) if originals else {}
        known = {task_id for task_id, key in there.items() if key.namespace == access.namespace}
        fresh = [line for line in batch if line.original not in known]
        taken = iter(
            await self._reporter.take_batch(access, [line.report for line in fresh], [line.end for line in fresh])
        )
        return [
            Duplicate(line.original) if line.original is not None and line.original in known else next(taken)
            for line in batch
        ]


def read_line(number: int, raw: bytes | None, dead_letters: DeadLetters) -> Line | None:
    """Tell what a line means.

    Args:
        number: Its number in the file.
        raw: The line; None when it is too long.
        dead_letters: What is to become of dead letters.

    Returns:
        What is to be done with it; None for nothing, as with the other lines of a log.
    """
    if raw is None:
        return Line(number, Refusal(BODY_TOO_LARGE, f"expected a line of at most {_LONGEST_LINE} bytes, got a longer"))
    text = raw.strip()
    marker = text.find(LOST_REPORT.encode())
    if marker < 0 and not text.startswith(b"{"):
        return None
    try:
        if not text.startswith(b"{"):
            return Line(number, _lost_report(text[marker:].decode(errors="replace")))
        document = parse(text)
    except Refusal as refusal:
        return Line(number, refusal)
    logged = next((entry for name in _LOG_FIELDS if LOST_REPORT in str(entry := document.get(name, ""))), None)
    if isinstance(logged, str):
        try:
            return Line(number, _lost_report(logged[logged.index(LOST_REPORT) :]))
        except Refusal as refusal:
            return Line(number, refusal)
    if "scene" not in document and "group" not in document:
        # A program that logs JSON writes many a line that is none of ours.
        return None
    if "status" not in document or "generation" not in document:
        return Line(number, document)
    try:
        return _dead_letter(number, document, dead_letters)
    except Refusal as refusal:
        return Line(number, refusal)


def _lost_report(text: str) -> Any:
    """Read the report behind the SDK's marker, whatever the log has put after it."""
    begin = text.find("{")
    try:
        document, _end = json.JSONDecoder().raw_decode(text[begin:] if begin >= 0 else "")
    except (ValueError, RecursionError):
        detail = f"expected a report as JSON behind {LOST_REPORT!r}, got {shown(text[:80])}; the log may have cut it"
        raise Refusal(INVALID_REQUEST, detail) from None
    return parse(json.dumps(document).encode())


def _dead_letter(number: int, document: Mapping[str, Any], dead_letters: DeadLetters) -> Line:
    if document["status"] != TaskStatus.DEAD:
        detail = f"expected a report or a dead letter, got a task that is {shown(document['status'])}"
        raise invalid([FieldProblem("status", detail)])
    if "args" not in document or "kwargs" not in document:
        raise invalid([FieldProblem("args", "is missing: export with `payload=true` to import again")])
    try:
        original = UUID(document["id"])
        reason = DeadReason(document["dead_reason"])
        created_at, finished_at = (_instant(document[name]) for name in ("created_at", "finished_at"))
    except (KeyError, ValueError, TypeError, AttributeError):
        detail = "expected a dead letter as the export wrote it, got other values for id, dead_reason or its instants"
        raise invalid([FieldProblem("", detail)]) from None
    report = {name: document[name] for name in _REPORT_FIELDS if document.get(name) is not None}
    report["report_id"] = f"import:{original}:{document['generation']}"
    if document.get("policy_override"):
        report["policy"] = document["policy_override"]
    error = document.get("last_error")
    if isinstance(error, dict):
        report["error"] = {name: value for name, value in cast("dict[str, Any]", error).items() if value is not None}
    end = None
    if dead_letters == "keep":
        why = document.get("why")
        end = End(reason, why if isinstance(why, str) else "", created_at, finished_at)
    return Line(number, report, end, original)


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(text)
    return min(instant.astimezone(UTC), datetime.now(UTC))


async def _lines(body: AsyncIterator[bytes]) -> AsyncGenerator[tuple[int, bytes | None]]:
    """Cut a file into lines; one that is too long is passed over and given as None."""
    rest, number, too_long = b"", 0, False
    async for chunk in body:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            number += 1
            yield number, None if too_long or len(line) > _LONGEST_LINE else line
            too_long = False
        if len(rest) > _LONGEST_LINE:
            rest, too_long = b"", True
    if rest.strip() or too_long:
        yield number + 1, None if too_long else rest


async def read_results(results: IO[bytes]) -> AsyncGenerator[bytes]:
    """Read what `Importer.take` wrote, and close it."""
    with results:
        while chunk := results.read(_CHUNK):
            yield chunk
