"""`/v1/alerts`: rules, channels, and the history of what was told. All of it needs a key for the whole namespace."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, cast
from uuid import UUID

import httpx
from fastapi import APIRouter, Path, Query, Response
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from redrive.activities.notify import Notifier
from redrive.api.access import Access
from redrive.api.configuration import unknown_namespace
from redrive.api.dependencies import AccessDep, Cursor, Limit, ServicesDep, SessionDep, TransactionDep
from redrive.api.documentation import problems
from redrive.api.problems import ALERT_CHANNEL_NOT_FOUND, ALERT_RULE_NOT_FOUND, ALREADY_EXISTS, Refusal
from redrive.api.routing import Route
from redrive.api.schemas.alerts import (
    AlertChannelChange,
    AlertChannelCreation,
    AlertChannelResource,
    AlertConditionResource,
    AlertDeliveryResource,
    AlertEventResource,
    AlertRuleChange,
    AlertRuleCreation,
    AlertRuleResource,
    AlertTest,
    Mute,
)
from redrive.api.schemas.base import Listed, Page
from redrive.api.text import check_storable
from redrive.api.validation import invalid_document, invalid_field
from redrive.core.alerting import CONDITIONS, Alarm, AlertRule, Key, Watched
from redrive.core.channels import ChannelKind, masked, parse_settings, render_settings, unmasked
from redrive.core.documents import decode, encode
from redrive.core.errors import InvalidDocument
from redrive.core.notices import Notice, console_path
from redrive.core.states import AttemptStatus, TaskStatus
from redrive.store import alert_notices, alerts, audit, scenes, tables
from redrive.store.database import new_id
from redrive.workflows.worker import target_client

router = APIRouter(prefix="/v1/alerts", tags=["alerts"], route_class=Route)

RulePath = Annotated[UUID, Path(description="Id of the rule.")]
ChannelPath = Annotated[UUID, Path(description="Id of the channel.")]

_TEST_SECONDS: Final = 20.0
"""The longest that a test message may take, in seconds."""

_OWN: Final = frozenset({"name", "channels", "enabled"})
"""Fields of a rule that the core's rule has not."""


# --- Rules ------------------------------------------------------------------------------------------------------------


@router.get("/rules", responses=problems())
async def list_rules(access: AccessDep, session: SessionDep) -> Listed[AlertRuleResource]:
    """List the rules by name."""
    access.require_namespace()
    rows = await alerts.list_rules(session, access.namespace)
    alarms = await alerts.load_alarms(session, [row.id for row in rows])
    return Listed[AlertRuleResource](items=[_rule(row, alarms[row.id]) for row in rows])


@router.post("/rules", status_code=201, responses=problems(404, 409, 413, 415))
async def create_rule(
    creation: AlertRuleCreation, access: AccessDep, session: TransactionDep, response: Response
) -> AlertRuleResource:
    """Make a rule. It is evaluated within seconds, also against what happened within its window before."""
    access.require_namespace()
    await _expect_namespace(session, access)
    rule = _read_rule({}, creation.model_dump(exclude=set(_OWN)))
    await _expect_channels(session, access, creation.channels)
    values = {
        "name": creation.name,
        "rule": encode(rule),
        "channels": [str(one) for one in creation.channels],
        "enabled": creation.enabled,
    }
    row = await alerts.create_rule(session, access.namespace, values)
    if row is None:
        raise _name_taken("rule", creation.name)
    await _audit(session, access, "create", "alert_rule", row.id, {"name": row.name})
    response.headers["Location"] = f"/v1/alerts/rules/{row.id}"
    return _rule(row, {})


@router.get("/rules/{rule_id}", responses=problems(404))
async def get_rule(rule_id: RulePath, access: AccessDep, session: SessionDep) -> AlertRuleResource:
    """Show a rule."""
    access.require_namespace()
    return await _shown_rule(session, access, rule_id)


@router.patch("/rules/{rule_id}", responses=problems(404, 409, 413, 415))
async def change_rule(
    rule_id: RulePath, change: AlertRuleChange, access: AccessDep, session: TransactionDep
) -> AlertRuleResource:
    """Change a rule. Its alarms stay, unless it is about something else or groups by something else from now on."""
    access.require_namespace()
    row = await _find_rule(session, access, rule_id, lock=True)
    given = change.model_dump(exclude_unset=True)
    rule = _read_rule(row.rule, {name: value for name, value in given.items() if name not in _OWN})
    changes: dict[str, Any] = {name: given[name] for name in ("name", "enabled") if name in given}
    if "channels" in given:
        await _expect_channels(session, access, change.channels)
        changes["channels"] = [str(one) for one in change.channels]
    try:
        async with session.begin_nested():
            await alerts.replace_rule(session, row, rule, changes)
    except IntegrityError:
        raise _name_taken("rule", str(given.get("name"))) from None
    await _audit(session, access, "change", "alert_rule", rule_id, {"name": row.name, "fields": sorted(given)})
    return await _shown_rule(session, access, rule_id)


@router.delete("/rules/{rule_id}", status_code=204, response_class=Response, responses=problems(404))
async def delete_rule(rule_id: RulePath, access: AccessDep, session: TransactionDep) -> None:
    """Delete a rule. What it told stays in the history; what fires is not told as over."""
    access.require_namespace()
    row = await _find_rule(session, access, rule_id, lock=True)
    await alerts.delete_rule(session, rule_id)
    await _audit(session, access, "delete", "alert_rule", rule_id, {"name": row.name})


@router.post("/rules/{rule_id}/mute", responses=problems(404, 413, 415))
async def mute_rule(rule_id: RulePath, mute: Mute, access: AccessDep, session: TransactionDep) -> AlertRuleResource:
    """Let a rule tell nothing for a while. What is still true afterwards is told then."""
    access.require_namespace()
    if mute.until is not None and mute.until <= datetime.now(UTC):
        raise invalid_field("until", f"expected an instant in the future, got {mute.until.isoformat()}")
    row = await _find_rule(session, access, rule_id, lock=True)
    await alerts.update_rule(session, rule_id, {"muted_until": mute.until})
    until = None if mute.until is None else mute.until.isoformat()
    action = "unmute" if until is None else "mute"
    await _audit(session, access, action, "alert_rule", rule_id, {"name": row.name, "until": until})
    return await _shown_rule(session, access, rule_id)


@router.get("/conditions", responses=problems())
async def list_conditions(access: AccessDep) -> Listed[AlertConditionResource]:
    """List what a rule can be about, with the defaults of each."""
    access.require_namespace()
    return Listed[AlertConditionResource](
        items=[
            AlertConditionResource(
                event=event,
                threshold=one.threshold,
                window_seconds=one.window_seconds,
                happens=one.happens,
                group_by=list(one.dimensions),
                has_scene=one.has_scene,
            )
            for event, one in CONDITIONS.items()
        ]
    )


# --- Channels ---------------------------------------------------------------------------------------------------------


@router.get("/channels", responses=problems())
async def list_channels(access: AccessDep, session: SessionDep) -> Listed[AlertChannelResource]:
    """List the channels by name. Secrets are masked."""
    access.require_namespace()
    rows = await alerts.list_channels(session, access.namespace)
    return Listed[AlertChannelResource](items=[_channel(row) for row in rows])


@router.post("/channels", status_code=201, responses=problems(404, 409, 413, 415))
async def create_channel(
    creation: AlertChannelCreation, access: AccessDep, session: TransactionDep, response: Response
) -> AlertChannelResource:
    """Make a channel. Its secrets are not shown again."""
    access.require_namespace()
    await _expect_namespace(session, access)
    check_storable(creation.settings, "settings")
    try:
        settings = render_settings(parse_settings(creation.kind, creation.settings))
    except InvalidDocument as error:
        raise invalid_document(error) from None
    values = {"name": creation.name, "kind": creation.kind, "settings": settings, "enabled": creation.enabled}
    row = await alerts.create_channel(session, access.namespace, values)
    if row is None:
        raise _name_taken("channel", creation.name)
    await _audit(session, access, "create", "alert_channel", row.id, {"name": row.name, "kind": row.kind})
    response.headers["Location"] = f"/v1/alerts/channels/{row.id}"
    return _channel(row)


@router.get("/channels/{channel_id}", responses=problems(404))
async def get_channel(channel_id: ChannelPath, access: AccessDep, session: SessionDep) -> AlertChannelResource:
    """Show a channel. Secrets are masked."""
    access.require_namespace()
    return _channel(await _find_channel(session, access, channel_id))


@router.patch("/channels/{channel_id}", responses=problems(404, 409, 413, 415))
async def change_channel(
    channel_id: ChannelPath, change: AlertChannelChange, access: AccessDep, session: TransactionDep
) -> AlertChannelResource:
    """Change a channel. A secret that is left out, or comes back as it was shown, stays as it is."""
    access.require_namespace()
    row = await _find_channel(session, access, channel_id)
    changes = change.model_dump(exclude_unset=True)
    if "settings" in changes:
        check_storable(changes["settings"], "settings")
        kind = cast("ChannelKind", row.kind)
        try:
            settings = unmasked(kind, changes["settings"], parse_settings(kind, row.settings))
        except InvalidDocument as error:
            raise invalid_document(error) from None
        changes["settings"] = render_settings(settings)
    if changes:
        try:
            async with session.begin_nested():
                await alerts.update_channel(session, channel_id, changes)
        except IntegrityError:
            raise _name_taken("channel", str(changes.get("name"))) from None
        facts = {"name": row.name, "fields": sorted(changes)}
        await _audit(session, access, "change", "alert_channel", channel_id, facts)
    session.expire_all()
    return _channel(await _find_channel(session, access, channel_id))


@router.delete("/channels/{channel_id}", status_code=204, response_class=Response, responses=problems(404))
async def delete_channel(channel_id: ChannelPath, access: AccessDep, session: TransactionDep) -> None:
    """Delete a channel, and take it out of all rules. What is on its way to it is not delivered."""
    access.require_namespace()
    row = await _find_channel(session, access, channel_id)
    await alerts.delete_channel(session, channel_id)
    await _audit(session, access, "delete", "alert_channel", channel_id, {"name": row.name, "kind": row.kind})


@router.post("/channels/{channel_id}/test", responses=problems(404))
async def test_channel(channel_id: ChannelPath, access: AccessDep, services: ServicesDep) -> AlertTest:
    """Send a test message at once, and answer with what came of it. Nobody is called, and nothing stays open."""
    access.require_namespace()
    async with services.database.session() as session:
        row = await _find_channel(session, access, channel_id)
    now, begun, message_id = datetime.now(UTC), time.monotonic(), str(new_id())
    notice = Notice(
        id=message_id,
        state="test",
        rule=row.name,
        event="dead_letter",
        namespace=access.namespace,
        incident=f"test-{message_id}",
        since=now,
        at=now,
        url=services.settings.console_url or services.settings.public_url,
    )
    async with target_client(1) as http:
        try:
            async with asyncio.timeout(_TEST_SECONDS):
                finish = await Notifier(services.database, http).send(row, notice, message_id)
        except (TimeoutError, httpx.InvalidURL, UnicodeError) as error:
            why = f"no answer within {_TEST_SECONDS:g} s" if isinstance(error, TimeoutError) else "no usable address"
            return AlertTest(delivered=False, http_status=None, error=why, seconds=time.monotonic() - begun)
    delivered = finish.status is AttemptStatus.SUCCEEDED
    told = f"{finish.error_message}{f' ({finish.response[:200]})' if finish.response else ''}"
    return AlertTest(
        delivered=delivered,
        http_status=finish.http_status,
        error=None if delivered else told,
        seconds=round(time.monotonic() - begun, 3),
    )


# --- History ----------------------------------------------------------------------------------------------------------


@router.get("/events", responses=problems())
async def list_events(
    access: AccessDep,
    session: SessionDep,
    rule_id: Annotated[UUID | None, Query(description="Only those of this rule.")] = None,
    state: Annotated[Literal["firing", "recovered", "suppressed"] | None, Query(description="Only these.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[AlertEventResource]:
    """List what was told or held back, the newest first, and how its delivery stands."""
    access.require_namespace()
    rows, following = await alert_notices.list_notices(
        session, access.namespace, rule_id=rule_id, state=state, limit=limit, cursor=cursor
    )
    deliveries = await alert_notices.list_deliveries(session, [row.id for row in rows])
    items = [_event(row, [one for one in deliveries if one.notice_id == row.id]) for row in rows]
    return Page[AlertEventResource](items=items, next_cursor=following)


# --- Parts ------------------------------------------------------------------------------------------------------------


def _read_rule(before: Mapping[str, Any], changes: Mapping[str, Any]) -> AlertRule:
    try:
        return decode(AlertRule, {**before, **changes})
    except InvalidDocument as error:
        raise invalid_document(error) from None


async def _find_rule(session: AsyncSession, access: Access, rule_id: UUID, *, lock: bool = False) -> tables.AlertRule:
    row = await alerts.find_rule(session, access.namespace, rule_id, lock=lock)
    if row is None:
        detail = f"there is no alert rule {rule_id} in namespace {access.namespace!r}: GET /v1/alerts/rules lists them"
        raise Refusal(ALERT_RULE_NOT_FOUND, detail)
    return row


async def _find_channel(session: AsyncSession, access: Access, channel_id: UUID) -> tables.AlertChannel:
    row = await alerts.find_channel(session, access.namespace, channel_id)
    if row is None:
        detail = (
            f"there is no channel {channel_id} in namespace {access.namespace!r}: GET /v1/alerts/channels lists them"
        )
        raise Refusal(ALERT_CHANNEL_NOT_FOUND, detail)
    return row


async def _shown_rule(session: AsyncSession, access: Access, rule_id: UUID) -> AlertRuleResource:
    session.expire_all()
    row = await _find_rule(session, access, rule_id)
    return _rule(row, (await alerts.load_alarms(session, [rule_id]))[rule_id])


async def _expect_namespace(session: AsyncSession, access: Access) -> None:
    if await scenes.find_namespace(session, access.namespace) is None:
        raise unknown_namespace(access.namespace)


async def _expect_channels(session: AsyncSession, access: Access, ids: Sequence[UUID]) -> None:
    known = {row.id for row in await alerts.list_channels(session, access.namespace, [str(one) for one in ids])}
    for index, one in enumerate(ids):
        if one not in known:
            raise invalid_field(f"channels[{index}]", f"there is no channel {one}: POST /v1/alerts/channels makes one")


def _name_taken(what: str, name: str) -> Refusal:
    return Refusal(ALREADY_EXISTS, f"there is an alert {what} named {name!r} already: choose another name")


async def _audit(
    session: AsyncSession, access: Access, action: str, kind: str, subject: UUID, facts: Mapping[str, Any]
) -> None:
    await audit.record(session, access.namespace, access.actor, action, kind, str(subject), facts)


def _rule(row: tables.AlertRule, alarms: Mapping[Key, Alarm]) -> AlertRuleResource:
    rule = decode(AlertRule, row.rule, "rule")
    firing = [dict(key) for key, alarm in alarms.items() if alarm.firing]
    return AlertRuleResource(
        id=row.id,
        namespace=row.namespace,
        name=row.name,
        event=rule.event,
        groups=list(rule.groups),
        scenes=list(rule.scenes),
        threshold=rule.threshold,
        threshold_in_force=rule.limit,
        minimum=rule.minimum,
        window_seconds=rule.window_seconds,
        window_in_force_seconds=rule.window,
        group_by=list(rule.group_by),
        cool_down_seconds=rule.cool_down_seconds,
        repeat_seconds=rule.repeat_seconds,
        recovery=rule.recovery,
        rate_limit_per_hour=rule.rate_limit_per_hour,
        quiet_hours=list(rule.quiet_hours),
        channels=[UUID(one) for one in row.channels],
        enabled=row.enabled,
        muted_until=row.muted_until,
        state="firing" if firing else "ok",
        firing=firing,
        evaluated_at=row.evaluated_at,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _channel(row: tables.AlertChannel) -> AlertChannelResource:
    kind = cast("ChannelKind", row.kind)
    return AlertChannelResource(
        id=row.id,
        namespace=row.namespace,
        name=row.name,
        kind=kind,
        settings=masked(parse_settings(kind, row.settings)),
        enabled=row.enabled,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _event(row: tables.AlertNotice, deliveries: Sequence[alert_notices.Delivered]) -> AlertEventResource:
    shown = [
        AlertDeliveryResource(
            channel_id=one.channel_id,
            task_id=one.task_id,
            status=None if one.status is None else TaskStatus(one.status),
            attempts=one.attempts,
            error=one.error,
        )
        for one in deliveries
    ]
    path = console_path(row.namespace, cast("Watched", row.event), tuple(row.where.items()))
    return AlertEventResource.model_validate(
        {**row.model_dump(), "count": int(row.value), "console_path": path, "deliveries": shown}
    )
