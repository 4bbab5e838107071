"""`redrive config …`: a namespace's groups, scenes, policies, limits and alerts as one file."""

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Final, cast

import typer
from rich.console import Console
from rich.text import Text

from redrive.cli import display
from redrive.cli.client import DEFAULT_URL, ApiClient, ApiError, JsonOption, KeyOption, NamespaceOption, UrlOption
from redrive.cli.documents import write_json
from redrive.cli.failure import CommandError, Commands
from redrive.cli.files import FileError, read_document, write_yaml

config = typer.Typer(
    cls=Commands,
    help="Keep groups, scenes, policies, limits and alerts in a file: export, compare, apply.",
    no_args_is_help=True,
)

_PATH = "/v1/config"
_SIGNS = {"create": ("+", "green"), "update": ("~", "yellow"), "delete": ("-", "red")}
_TROUBLE = 2
_PLACEHOLDER: Final = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")

FileArgument = Annotated[str, typer.Argument(metavar="FILE", help="JSON or YAML; '-' is standard input.")]
PruneOption = Annotated[
    bool, typer.Option("--prune", help="Delete groups, scenes, limits and alerts that the file does not name.")
]


class Format(StrEnum):
    """How a document is written."""

    YAML = "yaml"
    JSON = "json"


@config.command("export")
def export(
    notation: Annotated[Format, typer.Option("--format", help="How it is written.")] = Format.YAML,
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
) -> None:
    """Write groups, scenes, policies, limits, alerts and switches to standard output, with secrets masked."""
    with ApiClient(url, api_key, namespace) as client:
        document = client.get(_PATH)
    if notation is Format.YAML:
        write_yaml(document)
    else:
        write_json(document)


@config.command("diff")
def diff(
    file: FileArgument,
    prune: PruneOption = False,
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what applying a file would change. Exits 0 when nothing, 1 when something, 2 when it cannot be told."""
    try:
        document = _read(file)
        with ApiClient(url, api_key, namespace) as client:
            result = _put(client, file, document, prune=prune, dry_run=True)
    except CommandError as error:
        error.exit_code = _TROUBLE
        raise
    if as_json:
        write_json(result)
    else:
        show(display.console(), result["changes"])
    if result["changes"]:
        raise typer.Exit(1)


@config.command("apply")
def apply(
    file: FileArgument,
    prune: PruneOption = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the namespace be as a file says: all of it or nothing. What the file leaves out stays as it is."""
    document = _read(file)
    console = display.console()
    with ApiClient(url, api_key, namespace) as client:
        result = _put(client, file, document, prune=prune, dry_run=True)
        changes: list[dict[str, Any]] = result["changes"]
        if not as_json:
            show(console, changes)
        if changes and not dry_run:
            _ask(changes, file, yes=yes)
            result = _put(client, file, document, prune=prune, dry_run=False)
            if not as_json:
                console.print(f"{_counted(result['changes'])} made")
    if as_json:
        write_json(result)


def show(console: Console, changes: Sequence[dict[str, Any]]) -> None:
    """Show changes to a person: what is made, changed and taken away, with the values."""
    if not changes:
        console.print("nothing to change")
    for change in changes:
        sign, style = _SIGNS[change["action"]]
        console.print(Text(f"{sign} {change['kind']} {change['name']}", style=f"bold {style}"))
        for difference in change["differences"]:
            console.print(_difference(difference))


def _difference(difference: dict[str, Any]) -> Text:
    line = Text(f"    {difference['path']}: ")
    before, after = (json.dumps(difference[name], ensure_ascii=False) for name in ("before", "after"))
    if difference["action"] != "add":
        line.append(before, style="red")
    if difference["action"] == "change":
        line.append(" → ")
    if difference["action"] == "change" and before == after:
        return line.append("another secret", style="green")
    if difference["action"] != "remove":
        line.append(after, style="green")
    return line.append("" if difference["action"] != "remove" else " is removed")


def _read(file: str) -> dict[str, Any]:
    """Read a document, and fill in what the settings of its channels take from the environment.

    Nothing else is looked at: a policy may well have a text with a dollar sign.
    """
    document = read_document(file)
    alerts = document.get("alerts")
    channels = cast("Mapping[str, Any]", alerts).get("channels") if isinstance(alerts, Mapping) else None
    if isinstance(channels, Mapping):
        for name, channel in cast("Mapping[str, Any]", channels).items():
            if isinstance(channel, dict) and "settings" in channel:
                place = f"{file}: alerts.channels.{name}.settings"
                channel["settings"] = _filled(channel["settings"], place)
    return document


def _filled(value: Any, place: str) -> Any:
    if isinstance(value, dict):
        return {name: _filled(item, f"{place}.{name}") for name, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_filled(item, f"{place}[{index}]") for index, item in enumerate(cast("Sequence[object]", value))]
    if not isinstance(value, str):
        return value

    def variable(found: re.Match[str]) -> str:
        if found[1] not in os.environ:
            raise FileError(f"{place}: the environment has no {found[1]}: set it, or leave the field out")
        return os.environ[found[1]]

    return _PLACEHOLDER.sub(variable, value)


def _ask(changes: Sequence[dict[str, Any]], file: str, *, yes: bool) -> None:
    if yes:
        return
    if file == "-" or not sys.stdin.isatty():
        raise CommandError("nobody is there to be asked: look at the changes with --dry-run, then add --yes")
    typer.confirm(f"Make {_counted(changes)}?", abort=True)


def _counted(changes: Sequence[object]) -> str:
    return f"{len(changes)} change{'' if len(changes) == 1 else 's'}"


def _put(client: ApiClient, file: str, document: Any, *, prune: bool, dry_run: bool) -> dict[str, Any]:
    params = {"prune": prune or None, "dry_run": dry_run or None}
    try:
        result: dict[str, Any] = client.put(_PATH, document, params)
    except ApiError as error:
        if error.status == 422:
            raise FileError(f"{file}: {error}") from error
        raise
    return result
