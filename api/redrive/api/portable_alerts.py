"""Alerts in the document of a namespace's configuration: channels and rules by name.

Secrets are masked, and one that comes back masked, or not at all, stays as it is stored. So a document can be kept in a
repository and applied to any installation that knows its own secrets.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, Literal, cast

from sqlalchemy.ext.asyncio import AsyncSession

from redrive.api.access import Access
from redrive.api.problems import FieldProblem
from redrive.api.schemas.portable import (
    AlertChannelDocument,
    AlertRuleDocument,
    AlertsDocument,
    ConfigChange,
    ConfigDocument,
)
from redrive.api.validation import invalid, invalid_document
from redrive.core.alerting import AlertRule
from redrive.core.channels import (
    ChannelKind,
    ChannelSettings,
    differing_secrets,
    masked,
    parse_settings,
    render_settings,
    unmasked,
)
from redrive.core.documents import decode, encode
from redrive.core.errors import InvalidDocument
from redrive.core.layers import Difference, compare
from redrive.store import alerts, tables

Kind = Literal["alert_channel", "alert_rule"]

_BESIDE: Final = frozenset({"channels", "enabled"})
"""Fields of a rule that the core's rule has not."""


async def export_alerts(session: AsyncSession, namespace: str) -> AlertsDocument:
    """Write the channels and rules of a namespace, with secrets masked.

    Args:
        session: Any session.
        namespace: Which one.
    """
    channels = await alerts.list_channels(session, namespace)
    names = {str(row.id): row.name for row in channels}
    rules = await alerts.list_rules(session, namespace)
    return AlertsDocument(
        channels={row.name: AlertChannelDocument.model_validate(_channel(row)) for row in channels},
        rules={row.name: AlertRuleDocument.model_validate(_rule(row, names)) for row in rules},
    )


async def put_alerts(
    session: AsyncSession, access: Access, wanted: ConfigDocument, *, prune: bool
) -> list[ConfigChange]:
    """Make channels and rules be as a document says.

    Args:
        session: The transaction of the import.
        access: Who asks, and about which namespace.
        wanted: The document.
        prune: Whether what it does not name is to go. A part that it leaves out altogether stays all the same: a
            channel's secrets could not be brought back.

    Returns:
        What was done.

    Raises:
        Refusal: Settings or a rule are not valid, a secret is missing, or a rule names a channel that is not there.
    """
    namespace, document = access.namespace, wanted.alerts
    rows = {row.name: row for row in await alerts.list_channels(session, namespace)}
    going = _unnamed(rows, document.channels) if prune and "channels" in document.model_fields_set else []
    changes: list[ConfigChange] = []
    for name, channel in document.channels.items():
        changes += await _put_channel(session, namespace, name, rows.get(name), channel)
    ids = {row.name: str(row.id) for row in await alerts.list_channels(session, namespace) if row.name not in going}
    _check_channels(document, ids)
    known = {row.name: row for row in await alerts.list_rules(session, namespace)}
    for name, rule in document.rules.items():
        changes += await _put_rule(session, namespace, name, known.get(name), rule, ids)
    if prune and "rules" in document.model_fields_set:
        for name in _unnamed(known, document.rules):
            await alerts.delete_rule(session, known[name].id)
            changes.append(ConfigChange(action="delete", kind="alert_rule", name=name, differences=[]))
    for name in going:
        await alerts.delete_channel(session, rows[name].id)
        changes.append(ConfigChange(action="delete", kind="alert_channel", name=name, differences=[]))
    return changes


async def _put_channel(
    session: AsyncSession, namespace: str, name: str, row: tables.AlertChannel | None, wanted: AlertChannelDocument
) -> list[ConfigChange]:
    before = None if row is None or row.kind != wanted.kind else parse_settings(wanted.kind, row.settings)
    given = wanted.model_dump(exclude_unset=True)
    try:
        settings = before if before and "settings" not in given else unmasked(wanted.kind, wanted.settings, before)
    except InvalidDocument as error:
        raise invalid_document(error, f"alerts.channels.{name}") from None
    values = {**given, "settings": render_settings(settings)}
    shown = {**given, "settings": masked(settings)}
    if row is None:
        await alerts.create_channel(session, namespace, {"enabled": wanted.enabled, **values, "name": name})
        return [_change("create", "alert_channel", name, compare({}, shown))]
    present = _channel(row)
    differences = compare({field: present[field] for field in shown}, shown)
    differences += tuple(_secret(one, settings) for one in (differing_secrets(before, settings) if before else []))
    if not differences:
        return []
    await alerts.update_channel(session, row.id, values)
    return [_change("update", "alert_channel", name, differences)]


async def _put_rule(
    session: AsyncSession,
    namespace: str,
    name: str,
    row: tables.AlertRule | None,
    wanted: AlertRuleDocument,
    ids: Mapping[str, str],
) -> list[ConfigChange]:
    given = wanted.model_dump(exclude_unset=True)
    if row is not None:
        row = await alerts.find_rule(session, namespace, row.id, lock=True)
    stored = {} if row is None else row.rule
    try:
        rule = decode(AlertRule, {**stored, **{name: given[name] for name in given if name not in _BESIDE}})
    except InvalidDocument as error:
        raise invalid_document(error, f"alerts.rules.{name}") from None
    columns: dict[str, Any] = {"enabled": wanted.enabled} if row is None or "enabled" in given else {}
    if row is None or "channels" in given:
        columns["channels"] = [ids[channel] for channel in wanted.channels]
    terms = encode(rule)
    after = {field: terms.get(field, value) for field, value in given.items()}
    if row is None:
        await alerts.create_rule(session, namespace, {**columns, "name": name, "rule": terms})
        return [_change("create", "alert_rule", name, compare({}, after))]
    present = _rule(row, {channel_id: channel for channel, channel_id in ids.items()})
    differences = compare({field: present[field] for field in given}, after)
    if not differences:
        return []
    await alerts.replace_rule(session, row, rule, columns)
    return [_change("update", "alert_rule", name, differences)]


def _check_channels(document: AlertsDocument, known: Collection[str]) -> None:
    problems = [
        FieldProblem(
            f"alerts.rules.{name}.channels[{index}]",
            f"there is no channel {channel!r}, and the document makes none: add it to `alerts.channels`",
        )
        for name, rule in document.rules.items()
        for index, channel in enumerate(rule.channels)
        if channel not in known
    ]
    if problems:
        raise invalid(problems)


def _unnamed(present: Collection[str], wanted: Collection[str]) -> list[str]:
    return [name for name in present if name not in wanted]


def _change(
    action: Literal["create", "update"], kind: Kind, name: str, differences: tuple[Difference, ...]
) -> ConfigChange:
    return ConfigChange(action=action, kind=kind, name=name, differences=list(differences))


def _secret(name: str, settings: ChannelSettings) -> Difference:
    """Tell that a secret changes, without saying what it is or was."""
    shown = masked(settings)[name]
    return Difference(f"settings.{name}", "change", shown, shown)


def _channel(row: tables.AlertChannel) -> dict[str, Any]:
    settings = parse_settings(cast("ChannelKind", row.kind), row.settings)
    return {"kind": row.kind, "settings": masked(settings), "enabled": row.enabled}


def _rule(row: tables.AlertRule, names: Mapping[str, str]) -> dict[str, Any]:
    rule = encode(decode(AlertRule, row.rule, "rule"))
    return {**rule, "channels": [names[one] for one in row.channels if one in names], "enabled": row.enabled}
