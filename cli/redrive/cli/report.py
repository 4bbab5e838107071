"""`redrive report`: hand in failed calls from a file or a pipe."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from redrive.cli import display
from redrive.cli.client import (
    DEFAULT_URL,
    ApiClient,
    JsonOption,
    KeyOption,
    NamespaceOption,
    UrlOption,
    describe_problem,
)
from redrive.cli.documents import Located, read_objects, write_json
from redrive.cli.failure import CommandError, say_error
from redrive.core.wire import MAX_BATCH

# Half of what the API takes at once: large payloads make a batch slow, and a slow one is not confirmed in time.
_BATCH_BYTES = 32 * 1024 * 1024


@dataclass(slots=True)
class Summary:
    """What became of the reports.

    Attributes:
        accepted: Reports that are now tasks.
        duplicates: Reports that were tasks already.
        rejected: Reports that were refused.
        results: The result of each, with its line in the file.
    """

    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    results: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def add(self, batch: Sequence[Located], answer: dict[str, Any]) -> None:
        """Take in the answer to a batch."""
        self.accepted += int(answer["accepted"])
        self.duplicates += int(answer["duplicates"])
        self.rejected += int(answer["rejected"])
        results: list[dict[str, Any]] = answer["results"]
        for result in results:
            index: int = result["index"]
            self.results.append({"line": batch[index].line, **result})


def report(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A JSON object, an array, or JSON lines; '-' is standard input.")
    ],
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Report failed calls: each becomes a task that is retried until it succeeds.

    Give each report an idempotency_key when the command may be repeated: then nothing is reported twice.
    """
    items = read_objects(_read(file))
    summary = Summary()
    with ApiClient(url, api_key, namespace) as client:
        for batch in batches(items):
            try:
                answer = client.post("/v1/tasks/batch", {"tasks": [item.document for item in batch]})
            except CommandError as error:
                raise CommandError(f"{error}{_progress(summary, batch)}") from error
            summary.add(batch, answer)
    if as_json:
        write_json(
            {
                "accepted": summary.accepted,
                "duplicates": summary.duplicates,
                "rejected": summary.rejected,
                "results": summary.results,
            }
        )
    else:
        display.console().print(
            f"{summary.accepted} accepted, {summary.duplicates} duplicates, {summary.rejected} rejected"
        )
    for result in summary.results:
        if result.get("problem"):
            say_error(f"line {result['line']}: {describe_problem(result['problem'])}")
    if summary.rejected:
        raise typer.Exit(1)


def batches(
    items: Sequence[Located], most: int = MAX_BATCH, most_bytes: int = _BATCH_BYTES
) -> Iterator[Sequence[Located]]:
    """Cut a list into pieces that the API takes.

    Args:
        items: What to hand in.
        most: The most items of one piece.
        most_bytes: The most bytes of one piece; a single item may be larger, and then the API says so.
    """
    start, size = 0, 0
    for end, item in enumerate(items):
        if end > start and (end - start == most or size + item.size > most_bytes):
            yield items[start:end]
            start, size = end, 0
        size += item.size
    if items:
        yield items[start:]


def _read(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{file} is not UTF-8 text") from error


def _progress(summary: Summary, batch: Sequence[Located]) -> str:
    """Say where to go on after a failure in the middle of a file."""
    handed_in = len(summary.results)
    return f" [{handed_in} reports were handed in before; go on at line {batch[0].line}]" if handed_in else ""
