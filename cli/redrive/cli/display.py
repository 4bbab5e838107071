"""Shows API documents to people: tables, coloured states, times."""

import json
import sys
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from redrive.cli.documents import as_object
from redrive.cli.moments import relative
from redrive.cli.plots import bars

_STYLES = {
    "pending": "bright_black",
    "waiting": "cyan",
    "running": "blue",
    "paused": "yellow",
    "parked": "magenta",
    "succeeded": "green",
    "failed": "red",
    "timed_out": "red",
    "dead": "bold red",
    "cancelled": "bright_black",
}
# Wide enough that a pipe gets whole lines.
_PIPE_WIDTH = 240
_DASH = "–"
_ID_WIDTH = 36  # an id that is cut cannot be copied


def console() -> Console:
    """Return the console for standard output."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)


@contextmanager
def progress(*, enabled: bool = True) -> Generator[Progress]:
    """Show progress on standard error, when that is a terminal."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not (enabled and console.is_terminal)) as shown:
        yield shown


def state(task: Mapping[str, Any]) -> Text:
    """Return the state of a task or an attempt in its colour, with the reason of a dead one."""
    status = str(task.get("status", ""))
    reason = task.get("dead_reason")
    return Text(f"{status} ({reason})" if reason else status, style=_STYLES.get(status, ""))


def when(value: str | None, now: datetime, *, exact: bool = False) -> str:
    """Return an instant of the API relative to now, and also as it is when `exact`."""
    if not value:
        return _DASH
    words = relative(datetime.fromisoformat(value), now)
    return f"{value} ({words})" if exact else words


def error_line(error: Mapping[str, Any] | None) -> str:
    """Return an error as one line."""
    if not error:
        return ""
    return " ".join(": ".join(str(part) for part in (error.get("type"), error.get("message")) if part).split())


def task_table(tasks: Iterable[Mapping[str, Any]], now: datetime) -> Table:
    """Return tasks as a table, one line each."""
    columns = ("id", "status", "group", "scene", "attempts", "next attempt", "created")
    table = _table(*columns, "last error", whole=columns)
    for task in tasks:
        table.add_row(
            Text(str(task.get("id", ""))),
            state(task),
            Text(str(task.get("group", ""))),
            Text(str(task.get("scene", ""))),
            Text(_attempts(task)),
            Text(when(task.get("next_attempt_at"), now)),
            Text(when(task.get("created_at"), now)),
            Text(error_line(task.get("last_error")), no_wrap=True, overflow="ellipsis"),
        )
    return table


def task_details(task: Mapping[str, Any], now: datetime) -> Table:
    """Return everything about a task, a line for each field; times relative and exact."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in task.items():
        if value in (None, "", [], {}):
            continue
        if name == "status":
            shown = state(task)
        elif name == "last_error":
            error = as_object(value) or {}
            shown = Text("\n".join(part for part in (error_line(error), error.get("stack")) if part), style="red")
        elif name.endswith("_at") or name == "deadline":
            shown = Text(when(str(value), now, exact=True))
        elif isinstance(value, str | int | float):
            shown = Text(str(value))
        else:
            shown = Text(json.dumps(value, indent=2, ensure_ascii=False))
        table.add_row(name, shown)
    return table


def attempt_table(attempts: Iterable[Mapping[str, Any]], now: datetime) -> Table:
    """Return attempts as a table, one line each."""
    columns = ("generation", "attempt", "status", "trigger", "started", "took", "sent to")
    table = _table(*columns, "error", "why", whole=columns)
    for attempt in attempts:
        table.add_row(
            Text(str(attempt.get("generation", ""))),
            Text(str(attempt.get("number", ""))),
            state(attempt),
            Text(str(attempt.get("trigger") or _DASH)),
            Text(when(attempt.get("started_at"), now)),
            Text(_took(attempt)),
            Text(str(attempt.get("node_id") or attempt.get("url") or _DASH)),
            Text(error_line(attempt.get("error"))),
            Text(str(attempt.get("why") or "")),
        )
    return table


def error_table(groups: Iterable[Mapping[str, Any]], now: datetime) -> Table:
    """Return dead letters by error as a table, one line each; a spark for each hour of the last day."""
    columns = ("fingerprint", "count", "last day", "first seen", "last seen", "state")
    table = _table(*columns, "where", "error", whole=columns)
    for group in groups:
        scenes = [f"{scene['group']}/{scene['scene']}" for scene in group["scenes"]]
        more = f" and {len(scenes) - 2} more" if len(scenes) > 2 else ""
        table.add_row(
            Text(group["fingerprint"]),
            Text(f"{group['count']:,}"),
            Text(bars(group["sparkline"]["counts"])),
            Text(when(group["first_seen"], now)),
            Text(when(group["last_seen"], now)),
            _error_state(group, now),
            Text(", ".join(scenes[:2]) + more),
            Text(error_line({"type": group["error_type"], "message": group["message"]}) or "no error"),
        )
    return table


def _error_state(group: Mapping[str, Any], now: datetime) -> Text:
    words = Text("rising", "bold red") if group["rising"] else Text("seen" if group["acknowledged"] else "new")
    until = group["muted_until"]
    if until is not None and datetime.fromisoformat(until) > now:
        words.append(", muted", "yellow")
    return words


def key_table(keys: Iterable[Sequence[str]]) -> Table:
    """Return API keys as a table."""
    table = _table("id", "name", "key begins with", "namespace", "group", "created", "last used", "state")
    for key in keys:
        table.add_row(*(Text(part) for part in key))
    return table


def limit_table(limits: Iterable[Mapping[str, Any]], now: datetime) -> Table:
    """Return limits as a table."""
    table = _table("scope", "key", "per second", "burst", "at a time", "next slot", "author", "set")
    for limit in limits:
        table.add_row(
            str(limit["scope"]),
            Text(str(limit["key"])),
            _DASH if limit["rate"] is None else f"{limit['rate']:g}",
            _DASH if limit["rate"] is None else str(limit["burst"]),
            _DASH if limit["concurrency"] is None else str(limit["concurrency"]),
            when(limit["next_slot_at"], now),
            Text(limit["author"] or _DASH),
            when(limit["updated_at"], now),
        )
    return table


def breaker_table(breakers: Iterable[Mapping[str, Any]], now: datetime) -> Table:
    """Return breakers as a table."""
    table = _table("target", "state", "held", "failed", "parked", "probes", "budget", "slow start", "why")
    for breaker in breakers:
        held = breaker["override"]
        table.add_row(
            Text(str(breaker["key"])),
            str(breaker["state"]).replace("_", "-"),
            _DASH if held is None else Text(f"{held['position']} by {held['author']}"),
            _DASH if not breaker["count"] else f"{breaker['failure_rate']:.0%} of {breaker['count']}",
            str(breaker["parked"]),
            when(breaker["open_until"], now),
            f"{breaker['budget_tokens']:.0f}/{breaker['budget_capacity']:g}",
            _DASH if breaker["ramp_rate"] is None else f"{breaker['ramp_rate']:.1f}/s",
            Text(held["reason"] if held is not None else breaker["why"]),
        )
    return table


def pause_table(pauses: Iterable[Mapping[str, Any]], now: datetime) -> Table:
    """Return pauses as a table."""
    table = _table("id", "scope", "key", "until", "since", "author", "reason")
    for pause in pauses:
        table.add_row(
            Text(str(pause["id"])),
            str(pause["scope"]),
            Text(pause["key"] or _DASH),
            when(pause["until"], now) if pause["until"] else "ended by hand",
            when(pause["created_at"], now),
            Text(pause["author"] or _DASH),
            Text(pause["reason"]),
        )
    return table


def alert_rule_table(rules: Iterable[Mapping[str, Any]], now: datetime) -> Table:
    """Return alert rules as a table."""
    table = _table("id", "name", "event", "threshold", "window", "by", "channels", "state", "muted")
    for rule in rules:
        firing = len(rule["firing"])
        state = "off" if not rule["enabled"] else f"firing ({firing})" if firing else "ok"
        table.add_row(
            Text(str(rule["id"])),
            Text(rule["name"]),
            str(rule["event"]),
            f"{rule['threshold_in_force']:g}",
            f"{rule['window_in_force_seconds']:g} s",
            ", ".join(rule["group_by"]) or _DASH,
            str(len(rule["channels"])),
            Text(state, style="red" if firing else ""),
            when(rule["muted_until"], now),
        )
    return table


def alert_channel_table(channels: Iterable[Mapping[str, Any]]) -> Table:
    """Return alert channels as a table."""
    table = _table("id", "name", "kind", "to", "state")
    for channel in channels:
        settings = channel["settings"]
        to = settings.get("url") or f"{', '.join(settings.get('to', ()))} by {settings.get('host')}"
        row = (str(channel["id"]), channel["name"], channel["kind"], to, "on" if channel["enabled"] else "off")
        table.add_row(*(Text(part) for part in row))
    return table


def alert_event_table(events: Iterable[Mapping[str, Any]], now: datetime) -> Table:
    """Return what alerts have told as a table."""
    table = _table("when", "state", "rule", "summary", "deliveries")
    for event in events:
        held = f" ({event['cause']})" if event["cause"] else ""
        deliveries = ", ".join(_delivery(one) for one in event["deliveries"])
        table.add_row(
            when(event["created_at"], now),
            Text(f"{event['state']}{held}", style="red" if event["state"] == "firing" else ""),
            Text(event["rule_name"]),
            Text(event["summary"]),
            Text(deliveries or _DASH),
        )
    return table


def _delivery(delivery: Mapping[str, Any]) -> str:
    status, error = delivery["status"] or "deleted", delivery["error"]
    return f"{status}: {error}" if error and status != "succeeded" else status


def _table(*columns: str, whole: Collection[str] = ("id",)) -> Table:
    """Make a table; columns that are not `whole` give up their width first."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name, no_wrap=name in whole, overflow="fold", min_width=_ID_WIDTH if name == "id" else None)
    return table


def _attempts(task: Mapping[str, Any]) -> str:
    maximum = task.get("max_attempts")
    return f"{task.get('attempts', 0)}" + (f"/{maximum}" if maximum is not None else "")


def _took(attempt: Mapping[str, Any]) -> str:
    if not attempt.get("started_at") or not attempt.get("finished_at"):
        return _DASH
    taken = datetime.fromisoformat(attempt["finished_at"]) - datetime.fromisoformat(attempt["started_at"])
    return f"{taken.total_seconds():.3f} s"
