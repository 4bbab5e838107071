"""`redrive tasks …`: find tasks, look at them, and act on them."""

import json
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from redrive.cli import display
from redrive.cli.client import (
    DEFAULT_URL,
    ApiClient,
    ApiError,
    JsonOption,
    KeyOption,
    NamespaceOption,
    UrlOption,
    describe_problem,
)
from redrive.cli.documents import write_json
from redrive.cli.failure import CommandError, Commands, say_error
from redrive.cli.moments import iso, parse_duration, parse_instant
from redrive.core.states import DeadReason, TaskStatus

tasks = typer.Typer(cls=Commands, help="Find tasks, look at them, and act on them.", no_args_is_help=True)

_CHUNK = 64 * 1024

IdsArgument = Annotated[
    list[str], typer.Argument(metavar="ID...", help="Ids of tasks; '-' reads them from standard input.")
]
ReasonOption = Annotated[str | None, typer.Option("--reason", help="Why; it is shown with the task.")]
_INSTANT_HELP = "An instant such as 2025-01-31T12:00:00Z, or '2h ago', or 'in 10m'."


def _instant(name: str, description: str) -> Any:
    return typer.Option(name, metavar="WHEN", help=description, rich_help_panel="Times")


@tasks.command("list")
def list_tasks(
    group: Annotated[str | None, typer.Option(help="Client application.")] = None,
    scene: Annotated[str | None, typer.Option(help="Kind of operation.")] = None,
    status: Annotated[list[TaskStatus] | None, typer.Option(help="State; may be given several times.")] = None,
    dead_reason: Annotated[
        list[DeadReason] | None, typer.Option(help="Why it is dead; may be given several times.")
    ] = None,
    business_key: Annotated[str | None, typer.Option(help="Key of the business object.")] = None,
    idempotency_key: Annotated[str | None, typer.Option(help="Key of the report.")] = None,
    error: Annotated[str | None, typer.Option(help="Part of the last error's class or message.")] = None,
    text: Annotated[str | None, typer.Option("--text", "-q", help="Words to search for.")] = None,
    created_after: Annotated[str | None, _instant("--created-after", _INSTANT_HELP)] = None,
    created_before: Annotated[str | None, _instant("--created-before", "Likewise.")] = None,
    updated_after: Annotated[str | None, _instant("--updated-after", "Likewise.")] = None,
    updated_before: Annotated[str | None, _instant("--updated-before", "Likewise.")] = None,
    next_after: Annotated[str | None, _instant("--next-after", "Next attempt; likewise.")] = None,
    next_before: Annotated[str | None, _instant("--next-before", "Next attempt; likewise.")] = None,
    sort: Annotated[
        str | None,
        typer.Option(help="created_at, updated_at or next_attempt_at; with a minus in front: the latest first."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="Tasks per page.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Where to go on: `next_cursor` of the page before.")] = None,
    all_pages: Annotated[bool, typer.Option("--all", help="Follow the cursors to the end.")] = False,
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """List tasks."""
    now = datetime.now(UTC)
    params: dict[str, Any] = {
        "group": group,
        "scene": scene,
        "status": status or None,
        "dead_reason": dead_reason or None,
        "business_key": business_key,
        "idempotency_key": idempotency_key,
        "error": error,
        "q": text,
        "created_after": _moment(created_after, now),
        "created_before": _moment(created_before, now),
        "updated_after": _moment(updated_after, now),
        "updated_before": _moment(updated_before, now),
        "next_after": _moment(next_after, now),
        "next_before": _moment(next_before, now),
        "sort": sort,
        "limit": limit,
        "cursor": cursor,
    }
    with ApiClient(url, api_key, namespace) as client:
        found: list[dict[str, Any]] = []
        next_cursor: str | None = None
        for page in client.pages("/v1/tasks", params):
            found += page.items
            next_cursor = page.next_cursor
            if not all_pages:
                break
    if as_json:
        write_json({"items": found, "next_cursor": next_cursor})
        return
    console = display.console()
    if not found:
        console.print("no tasks")
        return
    console.print(display.task_table(found, now))
    if next_cursor is not None:
        say_error(f"there are more: --cursor {next_cursor}, or --all")


@tasks.command("show")
def show_tasks(
    ids: IdsArgument,
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show everything about tasks. JSON is an object for one id and an array for several."""
    found = _for_each(ids, url, api_key, namespace, lambda client, task: client.get(f"/v1/tasks/{task}"))
    now = datetime.now(UTC)
    found.write(as_json, lambda _id, task: display.task_details(task, now))


@tasks.command("attempts")
def show_attempts(
    ids: IdsArgument,
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the attempts of tasks. JSON is an array of attempts for one id and an array of arrays for several."""

    def read(client: ApiClient, task: str) -> list[dict[str, Any]]:
        return [attempt for page in client.pages(f"/v1/tasks/{task}/attempts", {}) for attempt in page.items]

    found = _for_each(ids, url, api_key, namespace, read)
    now = datetime.now(UTC)
    heading = len(found.answers) > 1

    def show(task: str, attempts: Any) -> Group | Table:
        table = display.attempt_table(attempts, now)
        return Group(Text(task, style="bold"), table) if heading else table

    found.write(as_json, show)


@tasks.command("retry")
def retry(
    ids: IdsArgument,
    reason: ReasonOption = None,
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Retry tasks now, without waiting for their next attempt."""
    _act("retry", _operation(reason), ids, url, api_key, namespace, as_json)


@tasks.command("pause")
def pause(
    ids: IdsArgument,
    reason: ReasonOption = None,
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Hold tasks until they are resumed."""
    _act("pause", _operation(reason), ids, url, api_key, namespace, as_json)


@tasks.command("resume")
def resume(
    ids: IdsArgument,
    reason: ReasonOption = None,
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let paused tasks go on."""
    _act("resume", _operation(reason), ids, url, api_key, namespace, as_json)


@tasks.command("cancel")
def cancel(
    ids: IdsArgument,
    reason: ReasonOption = None,
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """End tasks without success and without a dead letter."""
    _act("cancel", _operation(reason), ids, url, api_key, namespace, as_json)


@tasks.command("reschedule")
def reschedule(
    ids: IdsArgument,
    at: Annotated[str | None, typer.Option("--at", metavar="WHEN", help=_INSTANT_HELP)] = None,
    delay: Annotated[str | None, typer.Option("--in", metavar="DURATION", help="90s, 10m, 2h, 1d.")] = None,
    reason: ReasonOption = None,
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Move the next attempt of tasks to another time."""
    if (at is None) == (delay is None):
        raise typer.BadParameter("give either --at or --in")
    if at is not None:
        due: dict[str, Any] = {"at": iso(parse_instant(at, datetime.now(UTC)))}
    else:
        # A delay counts from the API's clock, which may not be this machine's.
        due = {"delay_seconds": parse_duration(delay or "").total_seconds()}
    _act("reschedule", {**_operation(reason), **due}, ids, url, api_key, namespace, as_json)


@tasks.command("import")
def import_tasks(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="JSON lines (reports, exported dead letters) or a log in which the SDK left reports; '-' is standard "
            "input.",
        ),
    ],
    retry_dead: Annotated[
        bool, typer.Option("--retry", help="Retry dead letters at once; otherwise they come back as dead letters.")
    ] = False,
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import tasks from a file. Doing it again makes no second task of what has been exported, or has a key."""
    params = {"dead_letters": "retry" if retry_dead else "keep"}
    results: list[dict[str, Any]] = []
    sums: dict[str, Any] = {}
    with (
        ApiClient(url, api_key, namespace) as client,
        display.progress(enabled=not as_json) as shown,
        _input(file, shown) as content,
        client.lines("POST", "/v1/tasks/import", params, content) as lines,
    ):
        for line in lines:
            result: dict[str, Any] = json.loads(line)
            if "accepted" in result:
                sums = result
            elif as_json:
                results.append(result)
            elif result.get("problem"):
                say_error(f"line {result['line']}: {describe_problem(result['problem'])}")
    if not sums:
        raise CommandError("the answer broke off; import the file again, which makes no task twice")
    if as_json:
        write_json({**sums, "results": results})
    else:
        words = (
            "{accepted} accepted, {duplicates} known already, {rejected} refused, {skipped} of {lines} lines skipped"
        )
        display.console().print(words.format(**sums))
    if sums["rejected"]:
        raise typer.Exit(1)


@contextmanager
def _input(file: str, shown: Progress) -> Generator[Iterator[bytes]]:
    """Open a file to be read in chunks, and show how far it has been read."""
    if file == "-":
        yield iter(lambda: sys.stdin.buffer.read(_CHUNK), b"")
        return
    try:
        with Path(file).open("rb") as opened:
            work = shown.add_task("importing", total=Path(file).stat().st_size)

            def chunks() -> Iterator[bytes]:
                while chunk := opened.read(_CHUNK):
                    yield chunk
                    shown.advance(work, len(chunk))

            yield chunks()
    except OSError as error:
        raise CommandError(f"cannot read {file}: {error.strerror}") from error


class _Answers:
    """What the API said to several requests; a refusal of one does not keep the others from being made."""

    def __init__(self) -> None:
        self.answers: list[tuple[str, Any]] = []
        self.asked = 0
        self.refused = 0

    def write(self, as_json: bool, show: Callable[[str, Any], Any]) -> None:
        """Write the answers, and end with code 1 when one of the requests was refused."""
        documents = [answer for _, answer in self.answers]
        if as_json:
            write_json(documents[0] if self.asked == 1 and documents else documents)
        else:
            console = display.console()
            for index, (task, answer) in enumerate(self.answers):
                if index:
                    console.print()
                console.print(show(task, answer))
        self.finish()

    def finish(self) -> None:
        """End with code 1 when one of the requests was refused."""
        if self.refused:
            raise typer.Exit(1)


def _for_each(
    ids: list[str], url: str, api_key: str | None, namespace: str | None, ask: Callable[[ApiClient, str], Any]
) -> _Answers:
    """Make one request for each task and say on standard error which were refused."""
    found = _Answers()
    with ApiClient(url, api_key, namespace) as client:
        for task in _expand(ids):
            found.asked += 1
            try:
                found.answers.append((task, ask(client, task)))
            except ApiError as error:
                found.refused += 1
                say_error(f"{task}: {error}")
    return found


def _act(
    action: str, document: Any, ids: list[str], url: str, api_key: str | None, namespace: str | None, as_json: bool
) -> None:
    found = _for_each(
        ids, url, api_key, namespace, lambda client, task: client.post(f"/v1/tasks/{task}/{action}", document)
    )
    documents = [answer for _, answer in found.answers]
    if as_json:
        write_json(documents)
    elif documents:
        display.console().print(display.task_table(documents, datetime.now(UTC)))
    found.finish()


def _operation(reason: str | None) -> dict[str, Any]:
    return {} if reason is None else {"reason": reason}


def _expand(ids: list[str]) -> list[str]:
    """Replace '-' by the ids on standard input, and refuse what cannot be an id before it gets into a path."""
    expanded = [word for given in ids for word in (sys.stdin.read().split() if given == "-" else [given])]
    for task in expanded:
        if not task.replace("-", "").isalnum():
            raise CommandError(f"expected the id of a task, got {task!r}")
    return expanded


def _moment(text: str | None, now: datetime) -> str | None:
    return None if text is None else iso(parse_instant(text, now))
