"""`redrive limits …`: how often, and how many at a time, attempts may run."""

from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote

import typer

from redrive.cli import display
from redrive.cli.client import DEFAULT_URL, ApiClient, JsonOption, KeyOption, NamespaceOption, UrlOption
from redrive.cli.documents import write_json
from redrive.cli.failure import Commands

limits = typer.Typer(
    cls=Commands, help="Limit how often, and how many at a time, attempts may run.", no_args_is_help=True
)

_PATH = "/v1/limits"

ScopeArgument = Annotated[str, typer.Argument(help="group, scene or target.")]
NameArgument = Annotated[
    str, typer.Argument(metavar="KEY", help="Such as orders, orders/charge-card or host:api.example.")
]


@limits.command("list")
def list_limits(
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the limits of the namespace."""
    with ApiClient(url, api_key, namespace) as client:
        found: list[dict[str, Any]] = client.get(_PATH)["items"]
    if as_json:
        write_json(found)
        return
    display.console().print(display.limit_table(found, datetime.now(UTC)) if found else "no limits")


@limits.command("set")
def set_limit(
    scope: ScopeArgument,
    key: NameArgument,
    rate: Annotated[float | None, typer.Option(help="Attempts per second.")] = None,
    burst: Annotated[int | None, typer.Option(help="How many may come at once after a quiet time; 1 if unset.")] = None,
    concurrency: Annotated[int | None, typer.Option(help="Attempts at a time.")] = None,
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set the limit of a scope, in place of the one that it has."""
    given = {"rate": rate, "burst": burst, "concurrency": concurrency}
    with ApiClient(url, api_key, namespace) as client:
        limit = client.put(_path(scope, key), {name: value for name, value in given.items() if value is not None})
    if as_json:
        write_json(limit)
    else:
        display.console().print(display.limit_table([limit], datetime.now(UTC)))


@limits.command("delete")
def delete_limit(
    scope: ScopeArgument,
    key: NameArgument,
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
) -> None:
    """Take the limit of a scope away."""
    with ApiClient(url, api_key, namespace) as client:
        client.delete(_path(scope, key))


def _path(scope: str, key: str) -> str:
    return f"{_PATH}/{quote(scope, safe='')}/{quote(key)}"
