"""`redrive alerts …`: rules, channels, what was told, and the test button."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, cast
from uuid import UUID

import typer

from redrive.cli import display
from redrive.cli.client import DEFAULT_URL, ApiClient, JsonOption, KeyOption, NamespaceOption, UrlOption
from redrive.cli.documents import write_json
from redrive.cli.failure import CommandError, Commands
from redrive.cli.files import read_document
from redrive.cli.moments import iso, parse_duration, parse_instant

alerts = typer.Typer(cls=Commands, help="Be told when something goes wrong.", no_args_is_help=True)
rules = typer.Typer(cls=Commands, help="When whom to tell of what.", no_args_is_help=True)
channels = typer.Typer(cls=Commands, help="By which ways people are told.", no_args_is_help=True)
alerts.add_typer(rules, name="rules")
alerts.add_typer(channels, name="channels")

_RULES = "/v1/alerts/rules"
_CHANNELS = "/v1/alerts/channels"

_File = Annotated[str, typer.Argument(metavar="FILE", help="JSON or YAML, as the API has it; '-' is standard input.")]
_Rule = Annotated[str, typer.Argument(metavar="RULE", help="Its name or its id.")]
_Channel = Annotated[str, typer.Argument(metavar="CHANNEL", help="Its name or its id.")]


# --- Rules ------------------------------------------------------------------------------------------------------------


@rules.command("list")
def list_rules(
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the rules, and whether they fire."""
    with ApiClient(url, api_key, namespace) as client:
        _show_rules(client.get(_RULES)["items"], as_json=as_json)


@rules.command("show")
def show_rule(
    rule: _Rule, url: UrlOption = DEFAULT_URL, api_key: KeyOption = None, namespace: NamespaceOption = None
) -> None:
    """Write a rule as JSON."""
    with ApiClient(url, api_key, namespace) as client:
        write_json(_find(client, _RULES, "rule", rule))


@rules.command("create")
def create_rule(
    file: _File,
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a rule. In the file, channels may be given by their names."""
    with ApiClient(url, api_key, namespace) as client:
        _show_rules([client.post(_RULES, _with_channels(client, read_document(file)))], as_json=as_json)


@rules.command("update")
def update_rule(
    rule: _Rule,
    file: _File,
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change what the file has of a rule. What it leaves out stays."""
    with ApiClient(url, api_key, namespace) as client:
        found = _find(client, _RULES, "rule", rule)
        changes = _with_channels(client, read_document(file))
        _show_rules([client.patch(f"{_RULES}/{found['id']}", changes)], as_json=as_json)


@rules.command("delete")
def delete_rule(
    rule: _Rule, url: UrlOption = DEFAULT_URL, api_key: KeyOption = None, namespace: NamespaceOption = None
) -> None:
    """Delete a rule. What it told stays in the history."""
    with ApiClient(url, api_key, namespace) as client:
        client.delete(f"{_RULES}/{_find(client, _RULES, 'rule', rule)['id']}")


@rules.command("mute")
def mute_rule(
    rule: _Rule,
    lasting: Annotated[
        str | None, typer.Option("--for", metavar="DURATION", help="For so long: 90s, 10m, 2h, 1d.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="WHEN", help="Until 2025-01-31T12:00:00Z or 'in 2h'.")] = None,
    off: Annotated[bool, typer.Option("--off", help="End it now.")] = False,
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a rule tell nothing for a while. What is still true afterwards is told then."""
    if [lasting is not None, until is not None, off].count(True) != 1:
        raise typer.BadParameter("give one of --for, --until and --off")
    now = datetime.now(UTC)
    end = None
    if lasting is not None:
        end = iso(now + parse_duration(lasting))
    elif until is not None:
        end = iso(parse_instant(until, now))
    with ApiClient(url, api_key, namespace) as client:
        found = _find(client, _RULES, "rule", rule)
        _show_rules([client.post(f"{_RULES}/{found['id']}/mute", {"until": end})], as_json=as_json)


# --- Channels ---------------------------------------------------------------------------------------------------------


@channels.command("list")
def list_channels(
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the channels. Secrets are not shown."""
    with ApiClient(url, api_key, namespace) as client:
        _show_channels(client.get(_CHANNELS)["items"], as_json=as_json)


@channels.command("create")
def create_channel(
    file: _File,
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a channel. Its secrets are not shown again."""
    with ApiClient(url, api_key, namespace) as client:
        _show_channels([client.post(_CHANNELS, read_document(file))], as_json=as_json)


@channels.command("update")
def update_channel(
    channel: _Channel,
    file: _File,
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change what the file has of a channel. Secrets that its settings leave out stay."""
    with ApiClient(url, api_key, namespace) as client:
        found = _find(client, _CHANNELS, "channel", channel)
        _show_channels([client.patch(f"{_CHANNELS}/{found['id']}", read_document(file))], as_json=as_json)


@channels.command("delete")
def delete_channel(
    channel: _Channel, url: UrlOption = DEFAULT_URL, api_key: KeyOption = None, namespace: NamespaceOption = None
) -> None:
    """Delete a channel, and take it out of all rules."""
    with ApiClient(url, api_key, namespace) as client:
        client.delete(f"{_CHANNELS}/{_find(client, _CHANNELS, 'channel', channel)['id']}")


@alerts.command("test")
def send_test(
    channel: _Channel,
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send a test message at once. The exit code is 1 when it was not delivered."""
    with ApiClient(url, api_key, namespace) as client:
        found = _find(client, _CHANNELS, "channel", channel)
        outcome = client.post(f"{_CHANNELS}/{found['id']}/test")
    if as_json:
        write_json(outcome)
        raise typer.Exit(0 if outcome["delivered"] else 1)
    if not outcome["delivered"]:
        raise CommandError(f"{found['name']} did not take it: {outcome['error']}")
    display.console().print(f"{found['name']} took it within {outcome['seconds']:.1f} s", markup=False)


# --- History ----------------------------------------------------------------------------------------------------------


@alerts.command("events")
def list_events(
    rule: Annotated[str | None, typer.Option(help="Only those of this rule, by name or id.")] = None,
    state: Annotated[str | None, typer.Option(help="firing, recovered or suppressed.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="The most lines.")] = 50,
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what was told or held back, the newest first, and how its delivery stands."""
    with ApiClient(url, api_key, namespace) as client:
        rule_id = None if rule is None else _find(client, _RULES, "rule", rule)["id"]
        found = client.get("/v1/alerts/events", {"rule_id": rule_id, "state": state, "limit": limit})["items"]
    if as_json:
        write_json(found)
        return
    shown = display.alert_event_table(found, datetime.now(UTC)) if found else "nothing was told"
    display.console().print(shown)


# --- Parts ------------------------------------------------------------------------------------------------------------


def _find(client: ApiClient, path: str, what: str, wanted: str) -> dict[str, Any]:
    """Find one by its id or its name."""
    items: list[dict[str, Any]] = client.get(path)["items"]
    for item in items:
        if wanted in (item["id"], item["name"]):
            return item
    known = ", ".join(repr(item["name"]) for item in items) or "none yet"
    raise CommandError(f"there is no {what} {wanted!r}; there is: {known}")


def _with_channels(client: ApiClient, document: dict[str, Any]) -> dict[str, Any]:
    """Put ids in place of the names of channels."""
    given: object = document.get("channels")
    if not isinstance(given, list):
        return document
    names = [str(one) for one in cast("list[object]", given)]
    found = [one if _is_id(one) else _find(client, _CHANNELS, "channel", one)["id"] for one in names]
    return {**document, "channels": found}


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _show_rules(found: list[Mapping[str, Any]], *, as_json: bool) -> None:
    if as_json:
        write_json(found)
    else:
        display.console().print(display.alert_rule_table(found, datetime.now(UTC)) if found else "no rules")


def _show_channels(found: list[Mapping[str, Any]], *, as_json: bool) -> None:
    if as_json:
        write_json(found)
    else:
        display.console().print(display.alert_channel_table(found) if found else "no channels")
