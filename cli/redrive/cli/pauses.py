"""`redrive pauses …`: letting nothing of a namespace, a group, a scene or a target run for a while."""

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import typer

from redrive.cli import display
from redrive.cli.client import DEFAULT_URL, ApiClient, JsonOption, KeyOption, NamespaceOption, UrlOption
from redrive.cli.documents import write_json
from redrive.cli.failure import Commands
from redrive.cli.moments import iso, parse_duration, parse_instant

pauses = typer.Typer(
    cls=Commands, help="Let nothing of a namespace, group, scene or target run for a while.", no_args_is_help=True
)

_PATH = "/v1/pauses"


@pauses.command("list")
def list_pauses(
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the pauses that are in force."""
    with ApiClient(url, api_key, namespace) as client:
        found: list[dict[str, Any]] = client.get(_PATH)["items"]
    if as_json:
        write_json(found)
        return
    display.console().print(display.pause_table(found, datetime.now(UTC)) if found else "no pauses")


@pauses.command("start")
def start_pause(
    scope: Annotated[str, typer.Argument(help="namespace, group, scene or target.")],
    key: Annotated[
        str,
        typer.Argument(help="Such as orders, orders/charge-card or host:api.example; nothing for the namespace."),
    ] = "",
    reason: Annotated[str | None, typer.Option(help="Why, for everybody who wonders.")] = None,
    lasting: Annotated[
        str | None, typer.Option("--for", metavar="DURATION", help="It ends by itself after 90s, 10m, 2h, 1d.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="WHEN", help="It ends by itself at 2025-01-31T12:00:00Z or 'in 2h'.")
    ] = None,
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Pause a scope. Reports are taken as ever; what falls due waits and spends nothing."""
    if lasting is not None and until is not None:
        raise typer.BadParameter("give either --for or --until")
    now = datetime.now(UTC)
    document: dict[str, Any] = {"scope": scope, "key": key}
    if reason is not None:
        document["reason"] = reason
    if lasting is not None:
        document["until"] = iso(now + parse_duration(lasting))
    if until is not None:
        document["until"] = iso(parse_instant(until, now))
    with ApiClient(url, api_key, namespace) as client:
        pause = client.post(_PATH, document)
    if as_json:
        write_json(pause)
    else:
        display.console().print(display.pause_table([pause], now))


@pauses.command("end")
def end_pauses(
    ids: Annotated[list[UUID], typer.Argument(metavar="ID...", help="Ids of pauses, as `redrive pauses list` shows.")],
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
) -> None:
    """End pauses. What has waited returns by slow start."""
    with ApiClient(url, api_key, namespace) as client:
        for pause_id in ids:
            client.delete(f"{_PATH}/{pause_id}")
