"""`redrive secrets …`: the secrets by which requests to a group's nodes and webhooks are signed."""

from typing import Annotated, Any

import typer

from redrive.cli import display
from redrive.cli.client import DEFAULT_URL, ApiClient, JsonOption, KeyOption, NamespaceOption, UrlOption
from redrive.cli.documents import write_json
from redrive.cli.failure import Commands, say_error
from redrive.cli.moments import parse_duration

secrets = typer.Typer(cls=Commands, help="Show and replace the signing secrets of a group.", no_args_is_help=True)

GroupArgument = Annotated[str, typer.Argument(help="Name of the group.")]


@secrets.command("show")
def show(
    group: GroupArgument,
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the live secrets to standard output, the preferred one first."""
    with ApiClient(url, api_key, namespace) as client:
        _write(client.get(_path(group)), as_json)


@secrets.command("rotate")
def rotate(
    group: GroupArgument,
    keep: Annotated[str, typer.Option(metavar="DURATION", help="How long the one in use stays live, too.")] = "24h",
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a new secret. While two are live, each request has a signature by both."""
    seconds = parse_duration(keep).total_seconds()
    with ApiClient(url, api_key, namespace) as client:
        _write(client.post(f"{_path(group)}/rotate", {"keep_previous_seconds": seconds}), as_json)


@secrets.command("end-previous")
def end_previous(
    group: GroupArgument,
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """End the secret before the preferred one now."""
    with ApiClient(url, api_key, namespace) as client:
        _write(client.post(f"{_path(group)}/end-previous"), as_json)


def _path(group: str) -> str:
    return f"/v1/groups/{group}/signing-secrets"


def _write(answer: Any, as_json: bool) -> None:
    if as_json:
        write_json(answer)
        return
    for secret in answer["signing_secrets"]:
        display.console().print(secret, markup=False, soft_wrap=True)
    if answer["previous_until"] is not None:
        say_error(f"the second one ends at {answer['previous_until']}")
