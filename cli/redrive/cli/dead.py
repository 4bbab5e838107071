"""`redrive dead …`: see what died and of what, take it away, and say that it has been seen."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TextIO

import typer

from redrive.cli import display, selections
from redrive.cli.client import DEFAULT_URL, ApiClient, JsonOption, KeyOption, NamespaceOption, UrlOption
from redrive.cli.documents import write_json
from redrive.cli.failure import CommandError, Commands, say_error
from redrive.cli.moments import iso, parse_instant
from redrive.cli.selections import (
    ErrorOption,
    FingerprintOption,
    GroupOption,
    SceneOption,
    SinceOption,
    TextOption,
    UntilOption,
    WhereOption,
)

dead = typer.Typer(cls=Commands, help="Dead letters: tasks that ended without success.", no_args_is_help=True)

FingerprintArgument = Annotated[str, typer.Argument(metavar="FINGERPRINT", help="`redrive dead groups` shows them.")]
NoteOption = Annotated[str | None, typer.Option("--note", help="A remark that is shown with the error.")]
LimitOption = Annotated[int, typer.Option(min=1, max=500, help="The most lines.")]
_BATCH = 5_000


@dead.command("list")
def list_dead(
    group: GroupOption = None,
    scene: SceneOption = None,
    fingerprint: FingerprintOption = None,
    error: ErrorOption = None,
    text: TextOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    where: WhereOption = None,
    sort: Annotated[str | None, typer.Option(help="As in `redrive tasks list`; the latest first.")] = None,
    limit: LimitOption = 50,
    cursor: Annotated[str | None, typer.Option(help="Where to go on: `next_cursor` of the page before.")] = None,
    all_pages: Annotated[bool, typer.Option("--all", help="Follow the cursors to the end.")] = False,
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """List dead letters."""
    params = selections.read(group, scene, fingerprint, error, text, since, until, where)
    with ApiClient(url, api_key, namespace) as client:
        found: list[dict[str, Any]] = []
        next_cursor: str | None = None
        for page in client.pages("/v1/dead-letters", {**params, "sort": sort, "limit": limit, "cursor": cursor}):
            found += page.items
            next_cursor = page.next_cursor
            if not all_pages:
                break
    if as_json:
        write_json({"items": found, "next_cursor": next_cursor})
    elif not found:
        display.console().print("no dead letters")
    else:
        display.console().print(display.task_table(found, datetime.now(UTC)))
        if next_cursor is not None:
            say_error(f"there are more: --cursor {next_cursor}, or --all")


@dead.command("groups")
def list_groups(
    group: GroupOption = None,
    scene: SceneOption = None,
    fingerprint: FingerprintOption = None,
    error: ErrorOption = None,
    text: TextOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    where: WhereOption = None,
    sort: Annotated[Literal["count", "last_seen", "first_seen"], typer.Option(help="Greatest first.")] = "count",
    only_new: Annotated[bool, typer.Option("--new", help="Only errors that nobody has acknowledged.")] = False,
    limit: LimitOption = 50,
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what is wrong: dead letters by error, with how many, where and since when."""
    params = selections.read(group, scene, fingerprint, error, text, since, until, where)
    params |= {"sort": f"-{sort}", "limit": limit, "acknowledged": "false" if only_new else None}
    with ApiClient(url, api_key, namespace) as client:
        page = client.get("/v1/dead-letters/groups", params)
    if as_json:
        write_json(page)
        return
    if not page["items"]:
        display.console().print("no dead letters")
        return
    display.console().print(display.error_table(page["items"], datetime.now(UTC)))
    if not page["exact"]:
        say_error("only the newest dead letters were looked at; narrow the search by --scene, --since or --fingerprint")
    if page["next_cursor"] is not None:
        say_error("there are more errors: --limit, or a filter")


@dead.command("show")
def show(
    fingerprint: FingerprintArgument,
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one error with a sample: the last task that died of it, and its attempts."""
    with ApiClient(url, api_key, namespace) as client:
        group = client.get(f"/v1/dead-letters/groups/{_safe(fingerprint)}")
        sample = group["sample_task_id"]
        task = None if sample is None else client.get(f"/v1/tasks/{sample}")
        attempts: list[dict[str, Any]] = [] if sample is None else client.get(f"/v1/tasks/{sample}/attempts")["items"]
    if as_json:
        write_json({**group, "sample": task, "sample_attempts": attempts})
        return
    now, console = datetime.now(UTC), display.console()
    console.print(display.error_table([group], now))
    if task is not None:
        console.print()
        console.print(display.task_details(task, now))
        console.print()
        console.print(display.attempt_table(attempts, now))


@dead.command("export")
def export(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Where to write; '-' is standard output.")] = "-",
    group: GroupOption = None,
    scene: SceneOption = None,
    fingerprint: FingerprintOption = None,
    error: ErrorOption = None,
    text: TextOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    where: WhereOption = None,
    form: Annotated[Literal["jsonl", "csv"], typer.Option("--format", help="JSON lines, or CSV.")] = "jsonl",
    payload: Annotated[
        bool, typer.Option("--payload", help="Write payloads as well: needed to import the file again.")
    ] = False,
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
) -> None:
    """Write dead letters to a file, however many there are."""
    params = selections.read(group, scene, fingerprint, error, text, since, until, where)
    with ApiClient(url, api_key, namespace) as client, _output(file) as output:
        total = client.get("/v1/dead-letters/count", params)["count"]
        wanted = {**params, "format": form, "payload": str(payload).lower()}
        with (
            display.progress(enabled=file != "-") as shown,
            client.lines("GET", "/v1/dead-letters/export", wanted) as lines,
        ):
            work = shown.add_task("exporting", total=total)
            for line in lines:
                output.write(line)
                shown.advance(work)


@dead.command("purge")
def purge(
    group: GroupOption = None,
    scene: SceneOption = None,
    fingerprint: FingerprintOption = None,
    error: ErrorOption = None,
    text: TextOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    where: WhereOption = None,
    everything: Annotated[bool, typer.Option("--everything", help="All dead letters of the namespace.")] = False,
    archive: Annotated[bool, typer.Option("--archive", help="Write them to the server's archive first.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count them and delete nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    reason: Annotated[str | None, typer.Option("--reason", help="Why; it is kept in the audit.")] = None,
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete dead letters with their payloads and attempts, for ever."""
    params = selections.read(group, scene, fingerprint, error, text, since, until, where)
    if not params and not everything:
        raise typer.BadParameter("say which ones, or --everything")
    selection = {**selections.document(params), "status": ["dead"]}
    request = {"selection": selection, "archive": archive, "reason": reason}
    with ApiClient(url, api_key, namespace) as client:
        counted = client.post("/v1/dead-letters/purge", {**request, "dry_run": True})
        about = "" if counted["exact"] else "about "
        if dry_run:
            if as_json:
                write_json(counted)
            else:
                display.console().print(f"{about}{counted['count']} dead letters would be deleted")
            return
        if not yes and not typer.confirm(f"Delete {about}{counted['count']} dead letters for ever?", err=True):
            raise CommandError("nothing was deleted")
        # What dies meanwhile was not meant; by the server's clock, since this one may be wrong.
        selection["finished_before"] = counted["finished_before"]
        deleted, done = 0, False
        with display.progress(enabled=not as_json) as shown:
            work = shown.add_task("deleting", total=counted["count"])
            while not done:
                answer = client.post("/v1/dead-letters/purge", {**request, "limit": _BATCH})
                deleted += answer["count"]
                done = answer["done"]
                shown.advance(work, answer["count"])
    if as_json:
        write_json({"count": deleted, "done": True})
    else:
        display.console().print(f"{deleted} dead letters deleted")


@dead.command("ack")
def acknowledge(
    fingerprint: FingerprintArgument,
    undo: Annotated[bool, typer.Option("--undo", help="Take it back.")] = False,
    note: NoteOption = None,
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say that an error has been seen. The next death of it raises it again."""
    _change(fingerprint, {"acknowledged": not undo}, note, url, api_key, namespace, as_json)


@dead.command("mute")
def mute(
    fingerprint: FingerprintArgument,
    until: Annotated[str, typer.Option("--until", metavar="WHEN", help="An instant, or 'in 2h'.")] = "in 1d",
    undo: Annotated[bool, typer.Option("--undo", help="Let alerts tell of it again.")] = False,
    note: NoteOption = None,
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let alerts keep silent about an error for a while."""
    moment = None if undo else iso(parse_instant(until, datetime.now(UTC)))
    _change(fingerprint, {"muted_until": moment}, note, url, api_key, namespace, as_json)


def _change(
    fingerprint: str,
    change: dict[str, Any],
    note: str | None,
    url: str,
    api_key: str | None,
    namespace: str | None,
    as_json: bool,
) -> None:
    given = change if note is None else {**change, "note": note}
    with ApiClient(url, api_key, namespace) as client:
        group = client.patch(f"/v1/dead-letters/groups/{_safe(fingerprint)}", given)
    if as_json:
        write_json(group)
    else:
        display.console().print(display.error_table([group], datetime.now(UTC)))


def _safe(fingerprint: str) -> str:
    """Refuse what cannot be a fingerprint before it gets into a path."""
    if not fingerprint.isalnum():
        raise CommandError(f"expected a fingerprint, got {fingerprint!r}")
    return fingerprint


@contextmanager
def _output(file: str) -> Generator[TextIO]:
    if file == "-":
        yield sys.stdout
        return
    try:
        with Path(file).open("w", encoding="utf-8", newline="") as output:
            yield output
    except OSError as error:
        raise CommandError(f"cannot write {file}: {error.strerror}") from error
