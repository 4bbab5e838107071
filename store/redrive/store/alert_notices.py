"""Notices of alerts: what was told or held back, and the tasks that deliver it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from redrive.core.breaker import BreakerRule
from redrive.core.documents import encode
from redrive.core.notices import Notice
from redrive.core.policy import ExponentialBackoff, Policy, render
from redrive.core.states import TaskStatus
from redrive.store import scenes
from redrive.store.alert_readings import ALERTS_GROUP, BREAKER_MEMORY_DAYS
from redrive.store.database import new_id
from redrive.store.search import InvalidCursor, decode_cursor, encode_cursor
from redrive.store.tables import AlertChannel, AlertDelivery, AlertNotice
from redrive.store.tasks import NewTask, insert_tasks

NOTICE_DAYS: Final = 90
"""How long notices are kept, in days."""

DEATH_DAYS: Final = 2
"""How long the events of single deaths are kept, in days: longer than any window."""

_PRUNED: Final = 10_000

DELIVERY: Final[Mapping[str, Any]] = render(
    Policy(
        backoff=ExponentialBackoff(initial_seconds=5, max_seconds=600),
        max_attempts=12,
        # What nobody could be told of for half a day is told no more: the console has it.
        max_elapsed_seconds=43_200,
        attempt_timeout_seconds=20,
    )
)
"""How the delivery of a notice is retried."""

_SCENE_POLICY: Final[Mapping[str, Any]] = {**DELIVERY, "breaker": encode(BreakerRule(enabled=False))}


@dataclass(frozen=True, slots=True)
class Delivered:
    """How the delivery of a notice to one channel stands.

    Attributes:
        notice_id: The notice.
        channel_id: The channel.
        task_id: The task that delivers it.
        status: Its status; None when the task has been deleted.
        attempts: How many attempts it has had.
        error: How the last one failed.
    """

    notice_id: UUID
    channel_id: UUID
    task_id: UUID
    status: str | None
    attempts: int
    error: str | None


async def add_notice(session: AsyncSession, row: AlertNotice, notice: Notice, channels: Sequence[AlertChannel]) -> None:
    """Write a notice, with one task for each channel that is to get it.

    Args:
        session: The transaction in which the rule was evaluated.
        row: The notice as history keeps it.
        notice: The notice as it is delivered.
        channels: Where to; none for a notice that is held back.
    """
    session.add(row)
    await session.flush()
    if not channels:
        return
    await scenes.create_group(session, row.namespace, ALERTS_GROUP, "Delivers the notices of alerts")
    for kind in {channel.kind for channel in channels}:
        await scenes.create_scene(session, row.namespace, ALERTS_GROUP, kind, _SCENE_POLICY)
    made = [_task(notice, channel, row.created_at) for channel in channels]
    await insert_tasks(session, made)
    for task, channel in zip(made, channels, strict=True):
        session.add(AlertDelivery(notice_id=row.id, channel_id=channel.id, task_id=task.id))
    await session.flush()


async def list_notices(
    session: AsyncSession,
    namespace: str,
    *,
    rule_id: UUID | None = None,
    state: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> tuple[list[AlertNotice], str | None]:
    """List notices, the newest first.

    Args:
        session: Any session.
        namespace: Where.
        rule_id: Only those of this rule.
        state: Only those in this state.
        limit: The most of one page.
        cursor: Where the page begins.

    Returns:
        The notices, and the cursor of the next page.

    Raises:
        InvalidCursor: The cursor was made by something else.
    """
    statement = select(AlertNotice).where(col(AlertNotice.namespace) == namespace)
    if rule_id is not None:
        statement = statement.where(col(AlertNotice.rule_id) == rule_id)
    if state is not None:
        statement = statement.where(col(AlertNotice.state) == state)
    if cursor is not None:
        statement = statement.where(col(AlertNotice.id) < _place(cursor))
    rows = list((await session.scalars(statement.order_by(col(AlertNotice.id).desc()).limit(limit + 1))).all())
    last = rows[limit - 1] if len(rows) > limit else None
    return rows[:limit], None if last is None else encode_cursor("alerts", str(last.id))


async def list_deliveries(session: AsyncSession, notice_ids: Sequence[UUID]) -> list[Delivered]:
    """Tell how the deliveries of notices stand."""
    statement = text(
        """
        SELECT notice_id, channel_id, task_id, tasks.status, COALESCE(tasks.attempts, 0) AS attempts,
            tasks.error_type || COALESCE(': ' || tasks.error_message, '') AS error
        FROM alert_deliveries LEFT JOIN tasks ON tasks.id = task_id
        WHERE notice_id = ANY(:ids) ORDER BY notice_id, task_id
        """
    )
    rows = await session.execute(statement, {"ids": list(notice_ids)})
    return [Delivered(**row) for row in rows.mappings()]


async def count_told(session: AsyncSession, rule_id: UUID, since: datetime) -> int:
    """Count the notices of firing that a rule has given since then."""
    statement = (
        select(func.count())
        .select_from(AlertNotice)
        .where(
            col(AlertNotice.rule_id) == rule_id,
            col(AlertNotice.state) == "firing",
            col(AlertNotice.created_at) > since,
        )
    )
    return (await session.scalars(statement)).one()


async def is_over(session: AsyncSession, notice_id: UUID, incident: str) -> bool:
    """Tell whether a later notice says that an incident is over."""
    statement = text(
        """
        SELECT EXISTS (
            SELECT FROM alert_notices AS later JOIN alert_notices AS this USING (rule_id)
            WHERE this.id = :id AND later.id > :id AND later.incident = :incident AND later.state = 'recovered'
        )
        """
    )
    found: bool = (await session.execute(statement, {"id": notice_id, "incident": incident})).scalar_one()
    return found


async def prune(session: AsyncSession) -> int:
    """Delete events that no window reaches any more, and old notices; a set at a time.

    Returns:
        How many rows went.
    """
    events = text(
        """
        DELETE FROM alert_events WHERE id IN (
            SELECT id FROM alert_events
            WHERE created_at < now() - make_interval(
                days => CASE WHEN kind IN ('breaker_opened', 'breaker_closed', 'redrive_stopped')
                    THEN :long ELSE :short END
            )
            ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED
        )
        RETURNING id
        """
    )
    notices = text(
        """
        DELETE FROM alert_notices WHERE id IN (
            SELECT id FROM alert_notices WHERE created_at < now() - make_interval(days => :days)
            ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED
        )
        RETURNING id
        """
    )
    values = {"short": DEATH_DAYS, "long": BREAKER_MEMORY_DAYS, "limit": _PRUNED}
    gone = len((await session.execute(events, values)).all())
    return gone + len((await session.execute(notices, {"days": NOTICE_DAYS, "limit": _PRUNED})).all())


def _task(notice: Notice, channel: AlertChannel, now: datetime) -> NewTask:
    key = f"alert:{notice.id}:{channel.id}"
    return NewTask(
        id=new_id(),
        namespace=channel.namespace,
        group=ALERTS_GROUP,
        scene=channel.kind,
        kind="alert",
        executor=None,
        status=TaskStatus.PENDING,
        dead_reason=None,
        why=f"tells {channel.name}: {notice.title}",
        max_attempts=DELIVERY["max_attempts"],
        priority=1,
        delay_seconds=0,
        next_attempt_at=now,
        deadline=None,
        idempotency_key=key,
        report_id=key,
        payload_hash=key,
        business_key=notice.rule[:255],
        target={"kind": "channel", "channel": str(channel.id)},
        policy=DELIVERY,
        policy_override=DELIVERY,
        policy_version=1,
        error_type=None,
        error_message=None,
        error_stack=None,
        fingerprint=None,
        trace_context={},
        metadata={},
        created_at=now,
        finished_at=None,
        args=[],
        kwargs={},
        body=encode(notice),
    )


def _place(cursor: str) -> UUID:
    parts = decode_cursor(cursor)
    try:
        made_for, last_id = parts
        if made_for != "alerts":
            raise InvalidCursor
        return UUID(last_id)
    except (ValueError, TypeError, AttributeError):
        raise InvalidCursor from None
