"""Which tasks a command is about, as options."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from redrive.cli.moments import iso, parse_instant

_PANEL = "Which ones"

GroupOption = Annotated[str | None, typer.Option("--group", help="Client application.", rich_help_panel=_PANEL)]
SceneOption = Annotated[str | None, typer.Option("--scene", help="Kind of operation.", rich_help_panel=_PANEL)]
FingerprintOption = Annotated[
    str | None,
    typer.Option("--fingerprint", help="One error; `redrive dead groups` shows them.", rich_help_panel=_PANEL),
]
ErrorOption = Annotated[
    str | None, typer.Option("--error", help="Part of the last error's class or message.", rich_help_panel=_PANEL)
]
TextOption = Annotated[str | None, typer.Option("--text", "-q", help="Words to search for.", rich_help_panel=_PANEL)]
SinceOption = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="WHEN",
        help="Ended from here on: an instant such as 2025-01-31T12:00:00Z, or '2h ago'.",
        rich_help_panel=_PANEL,
    ),
]
UntilOption = Annotated[
    str | None, typer.Option("--until", metavar="WHEN", help="Ended before this; likewise.", rich_help_panel=_PANEL)
]
WhereOption = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="NAME=VALUE",
        help="Any other filter of the API, such as business_key=o-1, dead_reason=expired or metadata.tenant=acme; "
        "may be given several times.",
        rich_help_panel=_PANEL,
    ),
]

_LISTS = ("status", "dead_reason", "ids")


def read(
    group: str | None = None,
    scene: str | None = None,
    fingerprint: str | None = None,
    error: str | None = None,
    text: str | None = None,
    since: str | None = None,
    until: str | None = None,
    where: list[str] | None = None,
) -> dict[str, Any]:
    """Read the options as query parameters; those that were not given are left out."""
    now = datetime.now(UTC)
    given: dict[str, Any] = {
        "group": group,
        "scene": scene,
        "fingerprint": fingerprint,
        "error": error,
        "q": text,
        "finished_after": None if since is None else iso(parse_instant(since, now)),
        "finished_before": None if until is None else iso(parse_instant(until, now)),
    }
    for entry in where or []:
        name, separator, value = entry.partition("=")
        if not separator or not name:
            raise typer.BadParameter(f"expected NAME=VALUE, got {entry!r}", param_hint="--where")
        given[name.strip()] = value
    return {name: value for name, value in given.items() if value is not None}


def document(params: dict[str, Any]) -> dict[str, Any]:
    """Write the same as the JSON document that requests about many tasks take."""
    written: dict[str, Any] = {}
    for name, value in params.items():
        if name.startswith("metadata."):
            written.setdefault("metadata", {})[name.removeprefix("metadata.")] = value
        elif name in _LISTS:
            written[name] = [part.strip() for part in value.split(",")]
        elif name == "priority" and value.isdecimal():
            written[name] = int(value)
        else:
            written[name] = value
    return written
