"""The alerter: measures what alert rules are about, and has people told.

Every API process runs one. A rule is evaluated by whoever takes it first; its row is locked meanwhile, and what it
tells is written in the same transaction, so that no two processes tell the same thing and none is told by halves. It
works while Temporal is away; what it tells then is delivered when Temporal is back, like every task.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from redrive.core.alerting import MAX_WINDOW_SECONDS, AlertRule, Key, Step, evaluate
from redrive.core.documents import decode
from redrive.core.errors import InvalidDocument
from redrive.core.notices import Notice, console_link
from redrive.store import alert_notices, alert_readings, alerts, edits, tables
from redrive.store.database import Database, new_id
from redrive.store.settings import Settings

MEASURE_SECONDS: Final = 20
"""The longest that one measurement may take, in seconds: alerts must not bring the database down."""

_AFTER_FAILURE_SECONDS: Final = 60.0
_PRUNE_SECONDS: Final = 600.0
_LOG = logging.getLogger(__name__)


class Alerter:
    """Evaluates alert rules.

    Args:
        database: Rules, and all that they are about.
        settings: How often, and where the console is.
    """

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._every = settings.alerts_seconds
        self._console_url = settings.console_url or settings.public_url

    async def run(self) -> None:
        """Evaluate until cancelled."""
        pruned = time.monotonic()
        while True:
            try:
                while await self.round():
                    pass
                if time.monotonic() - pruned > _PRUNE_SECONDS:
                    pruned = time.monotonic()
                    async with self._database.begin() as session:
                        await alert_notices.prune(session)
            except (SQLAlchemyError, OSError) as error:
                _LOG.warning("evaluating alert rules is put off: %s", type(error).__name__)
            await asyncio.sleep(self._every)

    async def round(self) -> bool:
        """Evaluate one rule whose time has come.

        Returns:
            Whether there was one.
        """
        rule_id: UUID | None = None
        try:
            async with self._database.begin() as session:
                row = await alerts.claim_due_rule(session)
                if row is not None:
                    rule_id = row.id
                    await self._evaluate(session, row)
        except (SQLAlchemyError, InvalidDocument) as error:
            if rule_id is None:
                raise
            # One rule that cannot be measured must not hold the others up.
            _LOG.warning("alert rule %s cannot be evaluated: %s", rule_id, type(error).__name__)
            async with self._database.begin() as session:
                await alerts.put_off(session, rule_id, _AFTER_FAILURE_SECONDS, None)
        return rule_id is not None

    async def _evaluate(self, session: AsyncSession, row: tables.AlertRule) -> None:
        rule = decode(AlertRule, row.rule, "rule")
        now = await edits.clock(session)
        await session.execute(text(f"SET LOCAL statement_timeout = '{MEASURE_SECONDS}s'"))
        readings = await alert_readings.measure(session, row.namespace, rule, _since(rule, row.evaluated_at, now))
        alarms = (await alerts.load_alarms(session, [row.id]))[row.id]
        if readings or alarms:
            lately = await alert_notices.count_told(session, row.id, now - timedelta(hours=1))
            found = evaluate(rule, alarms, readings, now, muted_until=row.muted_until, told_lately=lately)
            if found.alarms != alarms:
                await alerts.save_alarms(session, row.id, found.alarms)
            if found.steps:
                channels = await alerts.list_channels(session, row.namespace, row.channels)
                enabled = [channel for channel in channels if channel.enabled]
                for step in found.steps:
                    notice = self._notice(row, rule, step, now)
                    told = enabled if step.state != "suppressed" else []
                    await alert_notices.add_notice(session, _history(row, step, notice), notice, told)
        await alerts.put_off(session, row.id, self._every * rule.rounds, now)

    def _notice(self, row: tables.AlertRule, rule: AlertRule, step: Step, now: datetime) -> Notice:
        return Notice(
            id=str(new_id()),
            state="recovered" if step.state == "recovered" else "firing",
            rule=row.name,
            event=rule.event,
            namespace=row.namespace,
            incident=_incident(row.id, step.key, step.since),
            since=step.since,
            at=now,
            value=step.value,
            threshold=rule.limit,
            window_seconds=rule.window if rule.condition.happens else None,
            where=dict(step.key),
            facts=step.facts,
            url=console_link(self._console_url, row.namespace, rule.event, step.key, step.facts),
            last=step.last,
            again=step.again,
        )


def _since(rule: AlertRule, evaluated_at: datetime | None, now: datetime) -> datetime:
    """Tell from when on events are counted.

    Where every single event counts, none is missed because no process was there to look for longer than the window.
    """
    since = now - timedelta(seconds=rule.window)
    if rule.limit <= 1 and evaluated_at is not None:
        since = min(since, max(evaluated_at, now - timedelta(seconds=MAX_WINDOW_SECONDS)))
    return since


def _incident(rule_id: UUID, key: Key, since: datetime) -> str:
    """Name an incident: the same for its firing and its recovery."""
    return hashlib.sha256(f"{rule_id} {json.dumps(key)} {since.isoformat()}".encode()).hexdigest()[:32]


def _history(row: tables.AlertRule, step: Step, notice: Notice) -> tables.AlertNotice:
    where = dict(step.key)
    return tables.AlertNotice(
        id=UUID(notice.id),
        namespace=row.namespace,
        rule_id=row.id,
        rule_name=row.name,
        event=notice.event,
        group=where.get("group"),
        scene=where.get("scene"),
        where=where,
        state=step.state,
        cause=step.cause,
        incident=notice.incident,
        summary=notice.title,
        value=step.value,
        created_at=notice.at,
    )
