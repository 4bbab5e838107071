"""`redrive redrive …`: act on everything that matches, throttled, previewed and pausable."""

import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from redrive.cli import display
from redrive.cli.client import DEFAULT_URL, ApiClient, JsonOption, KeyOption, NamespaceOption, UrlOption
from redrive.cli.documents import write_json
from redrive.cli.failure import CommandError, Commands, say_error
from redrive.cli.files import read_document
from redrive.cli.moments import iso, parse_instant
from redrive.cli.plots import duration
from redrive.core.bulk import ENDED, Outcome, RedriveStatus
from redrive.core.states import DeadReason, TaskStatus

redrives = typer.Typer(
    cls=Commands, help="Replay dead tasks, or act on many live ones, at a rate that is safe.", no_args_is_help=True
)

_LOOK_SECONDS = 1.0
_ACTIONS = ("replay", "retry", "pause", "resume", "cancel", "delete", "change_policy")
_STYLES = {"running": "cyan", "waiting": "blue", "paused": "yellow", "completed": "green", "stopped": "red"}
_INSTANT_HELP = "An instant such as 2025-01-31T12:00:00Z, or '2h ago'."

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="Id of the redrive.")]
ReasonOption = Annotated[str | None, typer.Option("--reason", help="Why; it is shown with the redrive.")]


def _which(name: str, description: str, **options: Any) -> Any:
    return typer.Option(name, help=description, rich_help_panel="Which tasks", **options)


def _how(name: str, description: str, **options: Any) -> Any:
    return typer.Option(name, help=description, rich_help_panel="How fast, and how far", **options)


def _what(name: str, description: str, **options: Any) -> Any:
    return typer.Option(name, help=description, rich_help_panel="What is changed of each", **options)


@redrives.command("start")
def start(
    action: Annotated[str, typer.Option("--action", help=f"What is done with each: {', '.join(_ACTIONS)}.")] = "replay",
    group: Annotated[str | None, _which("--group", "Client application.")] = None,
    scene: Annotated[str | None, _which("--scene", "Kind of operation.")] = None,
    status: Annotated[list[TaskStatus] | None, _which("--status", "State; may be given several times.")] = None,
    dead_reason: Annotated[
        list[DeadReason] | None, _which("--dead-reason", "Why it is dead; may be given several times.")
    ] = None,
    fingerprint: Annotated[str | None, _which("--fingerprint", "Fingerprint of the last error.")] = None,
    error: Annotated[str | None, _which("--error", "Part of the last error's class or message.")] = None,
    words: Annotated[str | None, _which("--text", "Words to search for.")] = None,
    business_key: Annotated[str | None, _which("--business-key", "Key of the business object.")] = None,
    metadata: Annotated[list[str] | None, _which("--metadata", "KEY=VALUE; may be given several times.")] = None,
    created_after: Annotated[str | None, _which("--created-after", _INSTANT_HELP)] = None,
    created_before: Annotated[str | None, _which("--created-before", "Likewise.")] = None,
    finished_after: Annotated[str | None, _which("--finished-after", "Likewise.")] = None,
    finished_before: Annotated[str | None, _which("--finished-before", "Likewise.")] = None,
    ids: Annotated[
        list[str] | None, _which("--id", "Id of a task; may be given several times; '-' reads standard input.")
    ] = None,
    rate: Annotated[float | None, _how("--rate", "Tasks released per second, at most; 10 when omitted.")] = None,
    no_ramp: Annotated[bool, _how("--no-ramp", "Begin at the full rate.")] = False,
    concurrency: Annotated[
        int | None, _how("--concurrency", "Released tasks that may be unfinished at once; 100 when omitted.")
    ] = None,
    window: Annotated[str | None, _how("--window", "Hours in which tasks are released: 22:00-06:00.")] = None,
    timezone: Annotated[str, _how("--timezone", "Time zone of the window.")] = "UTC",
    max_items: Annotated[int | None, _how("--max-items", "The most tasks.")] = None,
    order: Annotated[str | None, _how("--order", "oldest, newest or priority first.")] = None,
    stop_ratio: Annotated[
        float | None, _how("--stop-ratio", "Stop when this share of the finished failed again; 0.5 when omitted.")
    ] = None,
    stop_minimum: Annotated[
        int | None, _how("--stop-minimum", "… of at least so many finished; 20 when omitted.")
    ] = None,
    no_stop: Annotated[bool, _how("--no-stop", "Go on however many fail again.")] = False,
    policy: Annotated[str | None, _what("--policy", "File with parts of a policy, as JSON or YAML.")] = None,
    target: Annotated[str | None, _what("--target", "File with another target, as JSON or YAML.")] = None,
    patch: Annotated[
        str | None, _what("--payload-patch", "File with a JSON Merge Patch of args, kwargs and body.")
    ] = None,
    keep_counters: Annotated[bool, _what("--keep-counters", "Let spent attempts count on.")] = False,
    reason: ReasonOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what it would come to, and do nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Show its progress until it ends.")] = False,
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Start a redrive. What it would come to is shown first, and asked for.

    With --wait the command ends with code 1 when not every task succeeded.
    """
    now = datetime.now(UTC)
    selection = {
        "group": group, "scene": scene, "status": status or None, "dead_reason": dead_reason or None,
        "fingerprint": fingerprint, "error": error, "q": words, "business_key": business_key,
        "metadata": _pairs(metadata or []) or None, "created_after": _moment(created_after, now),
        "created_before": _moment(created_before, now), "finished_after": _moment(finished_after, now),
        "finished_before": _moment(finished_before, now), "ids": _expand(ids or []) or None,
    }  # fmt: skip
    request: dict[str, Any] = {
        "action": action,
        "selection": _given(selection),
        **_given(
            {
                "rate_per_second": rate,
                "concurrency": concurrency,
                "window": None if window is None else _hours(window, timezone),
                "max_items": max_items,
                "order": order,
                "policy": None if policy is None else read_document(policy),
                "target": None if target is None else read_document(target),
                "payload_patch": None if patch is None else read_document(patch),
                "counters": "keep" if keep_counters else None,
                "stop": _given({"ratio": stop_ratio, "minimum": stop_minimum}) or None,
                "reason": reason,
            }
        ),
    }
    if no_ramp:
        request["ramp"] = None
    if no_stop:
        request["stop"] = None
    with ApiClient(url, api_key, namespace) as client:
        if dry_run or not yes:
            preview = client.post("/v1/redrives", {**request, "dry_run": True})
            if dry_run:
                write_json(preview) if as_json else show_preview(display.console(), preview, action, now)
                return
            show_preview(Console(stderr=True, highlight=False), preview, action, now)
            _confirm(preview["count"], action)
        started = client.post("/v1/redrives", request)
        if wait:
            started = follow(client, started, Console(stderr=True, highlight=False))
    if as_json:
        write_json(started)
    else:
        display.console().print(redrive_details(started, datetime.now(UTC)))
    if wait and started["counts"]["succeeded"] != started["counts"]["total"]:
        raise typer.Exit(1)


@redrives.command("list")
def list_redrives(
    status: Annotated[list[RedriveStatus] | None, typer.Option(help="State; may be given several times.")] = None,
    action: Annotated[list[str] | None, typer.Option(help="Action; may be given several times.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="Redrives per page.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Where to go on: `next_cursor` of the page before.")] = None,
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """List redrives, the newest first."""
    params = {"status": status or None, "action": action or None, "limit": limit, "cursor": cursor}
    with ApiClient(url, api_key, namespace) as client:
        page = client.get("/v1/redrives", params)
    if as_json:
        write_json(page)
        return
    console = display.console()
    if not page["items"]:
        console.print("no redrives")
        return
    console.print(_table(page["items"], datetime.now(UTC)))
    if page["next_cursor"] is not None:
        say_error(f"there are more: --cursor {page['next_cursor']}")


@redrives.command("show")
def show(
    redrive_id: IdArgument,
    wait: Annotated[bool, typer.Option("--wait", help="Show its progress until it ends.")] = False,
    items: Annotated[bool, typer.Option("--items", help="Show what became of each task.")] = False,
    outcome: Annotated[
        list[Outcome] | None, typer.Option("--outcome", help="With --items: only these; may be given several times.")
    ] = None,
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how far a redrive is, and what became of each of its tasks."""
    path = f"/v1/redrives/{_checked(redrive_id)}"
    console = display.console()
    with ApiClient(url, api_key, namespace) as client:
        found = client.get(path)
        if wait:
            found = follow(client, found, Console(stderr=True, highlight=False))
        rows: list[dict[str, Any]] = []
        if items:
            pages = client.pages(f"{path}/items", {"outcome": outcome or None, "limit": 500})
            rows = [item for page in pages for item in page.items]
    if as_json:
        write_json({**found, "items": rows} if items else found)
        return
    console.print(redrive_details(found, datetime.now(UTC)))
    if rows:
        console.print()
        console.print(_item_table(rows))


@redrives.command("pause")
def pause(
    redrive_id: IdArgument,
    reason: ReasonOption = None,
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a redrive release no more tasks until it is resumed."""
    _act("pause", redrive_id, reason, url, api_key, namespace, as_json)


@redrives.command("resume")
def resume(
    redrive_id: IdArgument,
    reason: ReasonOption = None,
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a paused redrive go on, slowly at first."""
    _act("resume", redrive_id, reason, url, api_key, namespace, as_json)


@redrives.command("abort")
def abort(
    redrive_id: IdArgument,
    reason: ReasonOption = None,
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a redrive. What is released goes on; the rest is left alone."""
    _act("abort", redrive_id, reason, url, api_key, namespace, as_json)


@redrives.command("change")
def change(
    redrive_id: IdArgument,
    rate: Annotated[float | None, typer.Option("--rate", help="Tasks released per second, at most.")] = None,
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", help="Released tasks that may be unfinished at once.")
    ] = None,
    reason: ReasonOption = None,
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change the rate or the concurrency of a redrive while it runs."""
    if rate is None and concurrency is None:
        raise typer.BadParameter("give --rate, --concurrency or both")
    document = _given({"rate_per_second": rate, "concurrency": concurrency, "reason": reason})
    with ApiClient(url, api_key, namespace) as client:
        _write(client.patch(f"/v1/redrives/{_checked(redrive_id)}", document), as_json)


def follow(client: ApiClient, found: dict[str, Any], console: Console) -> dict[str, Any]:
    """Show the progress of a redrive until it has ended and every task has its outcome.

    Args:
        client: The API.
        found: The redrive as it is.
        console: Where the bar is drawn; without a terminal nothing is.

    Returns:
        The redrive as it is at the end.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[counts]}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("", total=found["counts"]["total"], counts="")
        while True:
            counts = found["counts"]
            progress.update(bar, completed=counts["done"], description=_state(found).markup, counts=counts_line(counts))
            if found["status"] in ENDED and counts["done"] == counts["total"]:
                return found
            time.sleep(_LOOK_SECONDS)
            found = client.get(f"/v1/redrives/{found['id']}")


def show_preview(console: Console, preview: Mapping[str, Any], action: str, now: datetime) -> None:
    """Show to a person what a redrive would come to."""
    line = Text(f"{action} {preview['count']:,} tasks", style="bold")
    if preview["estimate_seconds"] is not None:
        line.append(f", released within {duration(preview['estimate_seconds'])}", style="not bold")
    if preview["first_due"] is not None and datetime.fromisoformat(preview["first_due"]) > now:
        line.append(f", from {display.when(preview['first_due'], now, exact=True)}", style="not bold")
    console.print(line)
    scenes: list[dict[str, Any]] = preview["by_scene"]
    for scene in scenes[:10]:
        console.print(f"  {scene['count']:>9,}  {scene['group']}/{scene['scene']}")
    if len(scenes) > 10:
        console.print(f"  … and {len(scenes) - 10} more scenes")
    errors: list[dict[str, Any]] = preview["by_error"]
    if errors:
        console.print("by last error:")
    for error in errors[:5]:
        shown = display.error_line({"type": error["error_type"], "message": error["message"]}) or "none"
        console.print(Text(f"  {error['count']:>9,}  {shown}", overflow="ellipsis", no_wrap=True))
    for warning in preview["warnings"]:
        console.print(Text(f"note: {warning}", style="yellow"))


def redrive_details(found: Mapping[str, Any], now: datetime) -> Table:
    """Return what there is to say of a redrive, a line for each field."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    counts: Mapping[str, int] = found["counts"]
    table.add_row("id", str(found["id"]))
    table.add_row("action", str(found["action"]))
    table.add_row("status", _state(found))
    table.add_row("why", Text(str(found["why"])))
    table.add_row("tasks", f"{counts['done']:,} of {counts['total']:,} done: {counts_line(counts)}")
    if found["status"] in ("running", "waiting"):
        table.add_row("rate", f"{found['rate_now']:.3g} per second now")
    for name in ("reason", "author"):
        if found.get(name):
            table.add_row(name, Text(str(found[name])))
    for name in ("created_at", "started_at", "finished_at", "estimate_finished_at"):
        if found.get(name):
            table.add_row(name, display.when(found[name], now, exact=True))
    return table


def counts_line(counts: Mapping[str, int]) -> str:
    """Return how many tasks have which outcome, as one line."""
    names = {
        "succeeded": "succeeded", "dead": "dead again", "failed": "failed", "skipped": "skipped",
        "in_flight": "in flight", "waiting": "waiting",
    }  # fmt: skip
    return ", ".join(f"{counts[name]:,} {word}" for name, word in names.items() if counts[name]) or "none"


def _act(
    action: str,
    redrive_id: str,
    reason: str | None,
    url: str,
    api_key: str | None,
    namespace: str | None,
    as_json: bool,
) -> None:
    document = {} if reason is None else {"reason": reason}
    with ApiClient(url, api_key, namespace) as client:
        _write(client.post(f"/v1/redrives/{_checked(redrive_id)}/{action}", document), as_json)


def _write(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        write_json(found)
    else:
        display.console().print(redrive_details(found, datetime.now(UTC)))


def _table(found: list[dict[str, Any]], now: datetime) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("id", "action", "status", "done", "tasks", "created"):
        table.add_column(name, no_wrap=True)
    for redrive in found:
        counts = redrive["counts"]
        done = f"{counts['done']:,}/{counts['total']:,}"
        created = display.when(redrive["created_at"], now)
        table.add_row(redrive["id"], redrive["action"], _state(redrive), done, counts_line(counts), created)
    return table


def _item_table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("position", "task", "outcome", "generation"):
        table.add_column(name, no_wrap=True)
    table.add_column("why", overflow="fold")
    for item in rows:
        generation = "" if item["generation"] is None else str(item["generation"])
        table.add_row(str(item["position"]), item["task_id"], item["outcome"], generation, Text(item["why"]))
    return table


def _state(found: Mapping[str, Any]) -> Text:
    return Text(str(found["status"]), style=_STYLES.get(str(found["status"]), ""))


def _confirm(count: int, action: str) -> None:
    if not count:
        raise CommandError("the selection means no task: nothing was started")
    if not sys.stdin.isatty():
        raise CommandError("nobody can be asked here: give --yes to start it, or --dry-run to only look")
    typer.confirm(f"{action} {count:,} tasks?", abort=True, err=True)


def _given(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if value is not None}


def _pairs(given: list[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in given:
        key, separator, value = text.partition("=")
        if not separator:
            raise typer.BadParameter(f"expected KEY=VALUE, got {text!r}")
        pairs[key] = value
    return pairs


def _expand(ids: list[str]) -> list[str]:
    return [word for given in ids for word in (sys.stdin.read().split() if given == "-" else [given])]


def _hours(window: str, timezone: str) -> dict[str, str]:
    start, separator, end = window.partition("-")
    if not separator:
        raise typer.BadParameter(f"expected hours such as 22:00-06:00, got {window!r}")
    return {"start": start, "end": end, "timezone": timezone}


def _checked(redrive_id: str) -> str:
    """Refuse what cannot be an id before it gets into a path."""
    if not redrive_id.replace("-", "").isalnum():
        raise CommandError(f"expected the id of a redrive, got {redrive_id!r}")
    return redrive_id


def _moment(text: str | None, now: datetime) -> str | None:
    return None if text is None else iso(parse_instant(text, now))
