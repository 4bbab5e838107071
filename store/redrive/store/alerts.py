"""Alerts: the events that people may want to hear of.

An event is written in the transaction that it tells about. One row per event is cheap, since nobody looks at single
rows: rules count them by window (`redrive.core.alerting`), and those that no window reaches any more are deleted.
Deaths are written by the very statements that end tasks (`redrive.store.tasks`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, func, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from redrive.core.alerting import Alarm, Key
from redrive.core.alerting import AlertRule as Rule
from redrive.core.documents import decode, encode
from redrive.store.database import new_id
from redrive.store.tables import AlertAlarm, AlertChannel, AlertRule

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


async def insert_event(
    session: AsyncSession,
    namespace: str,
    kind: str,
    group: str | None = None,
    scene: str | None = None,
    task_id: UUID | None = None,
    facts: Mapping[str, Any] = _NOTHING,
) -> None:
    """Note that something happened which a rule may be about.

    Args:
        session: The transaction that makes it happen.
        namespace: Where.
        kind: What: `breaker_opened`, `breaker_closed`, `redrive_stopped` or `sdk_error`.
        group: Group that it is about.
        scene: Scene that it is about.
        task_id: Task that it is about.
        facts: A few numbers and names for the message; never a payload.
    """
    statement = text(
        """
        INSERT INTO alert_events (namespace, kind, "group", scene, task_id, facts)
        VALUES (:namespace, :kind, :group, :scene, :task_id, CAST(:facts AS jsonb))
        """
    )
    values = {
        "namespace": namespace,
        "kind": kind,
        "group": group,
        "scene": scene,
        "task_id": task_id,
        "facts": json.dumps(dict(facts)),
    }
    await session.execute(statement, values)


# --- Channels ---------------------------------------------------------------------------------------------------------


async def list_channels(session: AsyncSession, namespace: str, ids: Sequence[str] | None = None) -> list[AlertChannel]:
    """List the channels of a namespace by name.

    Args:
        session: Any session.
        namespace: Where.
        ids: Only these.
    """
    statement = select(AlertChannel).where(col(AlertChannel.namespace) == namespace).order_by(col(AlertChannel.name))
    if ids is not None:
        statement = statement.where(col(AlertChannel.id).in_([UUID(one) for one in ids]))
    return list((await session.scalars(statement)).all())


async def find_channel(session: AsyncSession, namespace: str, channel_id: UUID) -> AlertChannel | None:
    """Find a channel by its id."""
    where = (col(AlertChannel.id) == channel_id, col(AlertChannel.namespace) == namespace)
    return (await session.scalars(select(AlertChannel).where(*where))).one_or_none()


async def create_channel(session: AsyncSession, namespace: str, values: Mapping[str, Any]) -> AlertChannel | None:
    """Make a channel; None when its name is taken.

    Args:
        session: A transaction.
        namespace: Where.
        values: The columns `name`, `kind`, `settings` and `enabled`.
    """
    statement = upsert(AlertChannel).values(id=new_id(), namespace=namespace, **values).on_conflict_do_nothing()
    return (await session.scalars(statement.returning(AlertChannel))).first()


async def update_channel(session: AsyncSession, channel_id: UUID, changes: Mapping[str, Any]) -> None:
    """Change columns of a channel.

    Raises:
        sqlalchemy.exc.IntegrityError: The name is taken.
    """
    where = col(AlertChannel.id) == channel_id
    await session.execute(update(AlertChannel).where(where).values(**changes, updated_at=func.now()))


async def delete_channel(session: AsyncSession, channel_id: UUID) -> None:
    """Delete a channel, and take it out of all rules."""
    await session.execute(delete(AlertChannel).where(col(AlertChannel.id) == channel_id))
    statement = text("UPDATE alert_rules SET channels = channels - :id WHERE channels ? :id")
    await session.execute(statement, {"id": str(channel_id)})


# --- Rules ------------------------------------------------------------------------------------------------------------


async def list_rules(session: AsyncSession, namespace: str) -> list[AlertRule]:
    """List the rules of a namespace by name."""
    statement = select(AlertRule).where(col(AlertRule.namespace) == namespace).order_by(col(AlertRule.name))
    return list((await session.scalars(statement)).all())


async def find_rule(session: AsyncSession, namespace: str, rule_id: UUID, *, lock: bool = False) -> AlertRule | None:
    """Find a rule by its id.

    Args:
        session: A transaction, when the row is to be locked.
        namespace: Where.
        rule_id: Its id.
        lock: Whether to hold it until the transaction ends, also against its evaluation.
    """
    where = (col(AlertRule.id) == rule_id, col(AlertRule.namespace) == namespace)
    statement = select(AlertRule).where(*where)
    return (await session.scalars(statement.with_for_update() if lock else statement)).one_or_none()


async def create_rule(session: AsyncSession, namespace: str, values: Mapping[str, Any]) -> AlertRule | None:
    """Make a rule; None when its name is taken.

    Args:
        session: A transaction.
        namespace: Where.
        values: The columns `name`, `rule`, `channels` and `enabled`.
    """
    statement = upsert(AlertRule).values(id=new_id(), namespace=namespace, **values).on_conflict_do_nothing()
    return (await session.scalars(statement.returning(AlertRule))).first()


async def update_rule(session: AsyncSession, rule_id: UUID, changes: Mapping[str, Any]) -> None:
    """Change columns of a rule; it is evaluated at once.

    Raises:
        sqlalchemy.exc.IntegrityError: The name is taken.
    """
    values = {**changes, "updated_at": func.now(), "due_at": func.now()}
    await session.execute(update(AlertRule).where(col(AlertRule.id) == rule_id).values(**values))


async def replace_rule(session: AsyncSession, row: AlertRule, rule: Rule, changes: Mapping[str, Any]) -> None:
    """Put a rule in place of the present one. Its alarms stay, unless what they are about has changed.

    Args:
        session: A transaction that holds the rule's row.
        row: The rule as it is.
        rule: As it is from now on.
        changes: Other columns.

    Raises:
        sqlalchemy.exc.IntegrityError: The name is taken.
    """
    before = decode(Rule, row.rule, "rule")
    if (before.event, before.group_by) != (rule.event, rule.group_by):
        await save_alarms(session, row.id, {})
    await update_rule(session, row.id, {**changes, "rule": encode(rule)})


async def delete_rule(session: AsyncSession, rule_id: UUID) -> None:
    """Delete a rule with its alarms. What it told stays in the history."""
    await session.execute(delete(AlertRule).where(col(AlertRule.id) == rule_id))


async def claim_due_rule(session: AsyncSession) -> AlertRule | None:
    """Take a rule whose time has come and that no other process holds, until the transaction ends."""
    statement = (
        select(AlertRule)
        .where(col(AlertRule.enabled), col(AlertRule.due_at) <= func.clock_timestamp())
        .order_by(col(AlertRule.due_at))
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    return (await session.scalars(statement)).one_or_none()


async def put_off(session: AsyncSession, rule_id: UUID, seconds: float, evaluated_at: datetime | None) -> None:
    """Note that a rule was evaluated.

    Args:
        session: The transaction that claimed it.
        rule_id: The rule.
        seconds: When it is to be evaluated again, in seconds from now.
        evaluated_at: Up to when its events are counted; None when it could not be evaluated.
    """
    due_at = func.clock_timestamp() + func.make_interval(0, 0, 0, 0, 0, 0, seconds)
    values = {"due_at": due_at, **({} if evaluated_at is None else {"evaluated_at": evaluated_at})}
    await session.execute(update(AlertRule).where(col(AlertRule.id) == rule_id).values(**values))


# --- Alarms -----------------------------------------------------------------------------------------------------------


async def load_alarms(session: AsyncSession, rule_ids: Sequence[UUID]) -> dict[UUID, dict[Key, Alarm]]:
    """Load what is known of the groups of rules."""
    found: dict[UUID, dict[Key, Alarm]] = {rule_id: {} for rule_id in rule_ids}
    for row in await session.scalars(select(AlertAlarm).where(col(AlertAlarm.rule_id).in_(rule_ids))):
        key = tuple((name, value) for name, value in json.loads(row.key))
        found[row.rule_id][key] = decode(Alarm, row.alarm)
    return found


async def save_alarms(session: AsyncSession, rule_id: UUID, alarms: Mapping[Key, Alarm]) -> None:
    """Write what is known of the groups of a rule, in place of what was."""
    rows = [{"key": json.dumps(key), "alarm": encode(alarm)} for key, alarm in alarms.items()]
    statement = text(
        """
        WITH input AS (
            SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS input(key text, alarm jsonb)
        ), gone AS (
            DELETE FROM alert_alarms WHERE rule_id = :rule_id AND key NOT IN (SELECT key FROM input)
        )
        INSERT INTO alert_alarms (rule_id, key, alarm) SELECT :rule_id, key, alarm FROM input
        ON CONFLICT (rule_id, key) DO UPDATE SET alarm = EXCLUDED.alarm WHERE alert_alarms.alarm <> EXCLUDED.alarm
        """
    )
    await session.execute(statement, {"rule_id": rule_id, "rows": json.dumps(rows)})
