"""Queries on attempts: the ledger of what was tried, when, and how it ended."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from redrive.core.messages import DispatchCommand
from redrive.core.states import AttemptStatus
from redrive.store.tables import Attempt
from redrive.store.tasks import DeliveryKey


@dataclass(frozen=True, slots=True)
class Finish:
    """How an attempt ended, with all that is kept for people."""

    status: AttemptStatus
    http_status: int | None = None
    response: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    error_stack: str | None = None
    fingerprint: str | None = None
    retry_after_seconds: float | None = None
    stop: bool = False
    logs: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    error_bases: tuple[str, ...] = ()


_FINISH: Final = text(
    """
    UPDATE attempts SET status = :status, finished_at = clock_timestamp(), http_status = :http_status,
        response = :response, error_type = :error_type, error_message = :error_message, error_stack = :error_stack,
        fingerprint = :fingerprint, retry_after_seconds = :retry_after_seconds, stop = :stop,
        logs = CAST(:logs AS jsonb), error_bases = CAST(:error_bases AS jsonb)
    WHERE task_id = :task_id AND generation = :generation AND number = :number AND deliveries = :delivery
        AND status = 'running'
    RETURNING number
    """
)


async def finish_attempt(session: AsyncSession, command: DispatchCommand, delivery: int, finish: Finish) -> bool:
    """Write how a delivery ended.

    Args:
        session: Any session; the statement is one transaction.
        command: Which attempt.
        delivery: Which delivery of it; the result of one that has been superseded is refused.
        finish: How it ended.

    Returns:
        Whether the result was taken.
    """
    values = {
        "task_id": UUID(command.task_id),
        "generation": command.generation,
        "number": command.number,
        "delivery": delivery,
        "status": finish.status.value,
        "http_status": finish.http_status,
        "response": finish.response,
        "error_type": finish.error_type,
        "error_message": finish.error_message,
        "error_stack": finish.error_stack,
        "fingerprint": finish.fingerprint,
        "retry_after_seconds": finish.retry_after_seconds,
        "stop": finish.stop,
        "logs": json.dumps(finish.logs),
        "error_bases": json.dumps(finish.error_bases),
    }
    return (await session.execute(_FINISH, values)).first() is not None


@dataclass(frozen=True, slots=True)
class NewestDelivery(DeliveryKey):
    """The newest delivery of an attempt.

    Attributes:
        probe: Which probe of its target's breaker it is.
    """

    probe: str | None


async def find_delivery(session: AsyncSession, command: DispatchCommand) -> NewestDelivery | None:
    """Find the newest delivery of an attempt; None when the attempt is not known in the command's group."""
    statement = text(
        """
        SELECT attempts.deliveries AS number, tasks."group", tasks.scene, tasks.policy_override,
            scenes.policy_version AS scene_version, attempts.probe
        FROM attempts
        JOIN tasks ON tasks.id = attempts.task_id
        JOIN scenes ON scenes.namespace = tasks.namespace AND scenes."group" = tasks."group"
            AND scenes.name = tasks.scene
        WHERE attempts.task_id = :task_id AND attempts.generation = :generation AND attempts.number = :number
            AND tasks.namespace = :namespace AND tasks."group" = :group
        """
    )
    values = {
        "task_id": UUID(command.task_id),
        "generation": command.generation,
        "number": command.number,
        "namespace": command.namespace,
        "group": command.group,
    }
    row = (await session.execute(statement, values)).mappings().one_or_none()
    return None if row is None else NewestDelivery(**row)


async def find_attempt(session: AsyncSession, task_id: UUID, generation: int, number: int) -> Attempt | None:
    """Find one attempt."""
    where = (
        col(Attempt.task_id) == task_id,
        col(Attempt.generation) == generation,
        col(Attempt.number) == number,
    )
    return (await session.scalars(select(Attempt).where(*where))).one_or_none()


async def list_attempts(
    session: AsyncSession, task_id: UUID, *, after: tuple[int, int] | None = None, limit: int = 100
) -> list[Attempt]:
    """List the attempts of a task in the order in which they ran.

    Args:
        session: Any session.
        task_id: The task.
        after: Generation and number of the last attempt that is known already.
        limit: The most attempts.
    """
    statement = select(Attempt).where(col(Attempt.task_id) == task_id)
    if after is not None:
        generation, number = after
        later_number = (col(Attempt.generation) == generation) & (col(Attempt.number) > number)
        statement = statement.where((col(Attempt.generation) > generation) | later_number)
    statement = statement.order_by(col(Attempt.generation), col(Attempt.number)).limit(limit)
    return list((await session.scalars(statement)).all())
