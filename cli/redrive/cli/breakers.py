"""`redrive breakers …`: which targets are taken to be down, and holding them open or closed by hand."""

from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote

import typer

from redrive.cli import display
from redrive.cli.client import DEFAULT_URL, ApiClient, JsonOption, KeyOption, NamespaceOption, UrlOption
from redrive.cli.documents import write_json
from redrive.cli.failure import Commands
from redrive.cli.moments import iso, parse_duration

breakers = typer.Typer(
    cls=Commands, help="See which targets are taken to be down, and hold them open or closed.", no_args_is_help=True
)

_PATH = "/v1/breakers"

TargetArgument = Annotated[
    str, typer.Argument(metavar="TARGET", help="Such as host:api.example or scene:orders/charge-card.")
]
ReasonOption = Annotated[str | None, typer.Option(help="Why, for everybody who wonders.")]
LastingOption = Annotated[
    str | None, typer.Option("--for", metavar="DURATION", help="It ends by itself after 90s, 10m, 2h, 1d.")
]


@breakers.command("list")
def list_breakers(
    limit: Annotated[int, typer.Option(min=1, max=200, help="The most targets.")] = 50,
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the breakers of the targets that have been tried."""
    with ApiClient(url, api_key, namespace) as client:
        found: list[dict[str, Any]] = client.get(_PATH, {"limit": limit})["items"]
    if as_json:
        write_json(found)
        return
    display.console().print(display.breaker_table(found, datetime.now(UTC)) if found else "no targets yet")


@breakers.command("open")
def open_breaker(
    target: TargetArgument,
    reason: ReasonOption = None,
    lasting: LastingOption = None,
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let nothing go to a target; what falls due is parked, and spends no attempt."""
    _move(target, "open", _wanted(reason, lasting), ApiClient(url, api_key, namespace), as_json=as_json)


@breakers.command("close")
def close_breaker(
    target: TargetArgument,
    reason: ReasonOption = None,
    lasting: LastingOption = None,
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let everything go to a target, however much of it fails; what is parked returns by slow start."""
    _move(target, "close", _wanted(reason, lasting), ApiClient(url, api_key, namespace), as_json=as_json)


@breakers.command("release")
def release_breaker(
    target: TargetArgument,
    reason: ReasonOption = None,
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a breaker that is held by hand move by itself again."""
    _move(target, "release", _wanted(reason, None), ApiClient(url, api_key, namespace), as_json=as_json)


def _wanted(reason: str | None, lasting: str | None) -> dict[str, Any]:
    wanted: dict[str, Any] = {} if reason is None else {"reason": reason}
    if lasting is not None:
        wanted["until"] = iso(datetime.now(UTC) + parse_duration(lasting))
    return wanted


def _move(target: str, action: str, wanted: dict[str, Any], api: ApiClient, *, as_json: bool) -> None:
    with api as client:
        breaker = client.post(f"{_PATH}/{quote(target)}/{action}", wanted)
    if as_json:
        write_json(breaker)
    else:
        display.console().print(display.breaker_table([breaker], datetime.now(UTC)))
