"""Queries by which a report meets a living task of its key (`Policy.block`): replacing it, and waiting for its end.

What is replaced keeps its id, and begins anew: with the new payload, error and policy, at the first delay of its
schedule. Where its workflow has begun, that is the next generation, as in a replay, so that whatever the old workflow
still does comes too late to change anything; its running attempt is closed at once, and its result is refused.

What waits has no dedupe key yet, but a queue key. It gets the dedupe key in the statement that ends the task before it
(`redrive.store.tasks.record`), so that no crash can lose it; `start_waiting` is for ends by other ways.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from redrive.core.states import OPEN, TERMINAL
from redrive.store.tasks import INPUT_DEFINITIONS, KeyedTask, NewTask, input_row, notify_pending

SETTLE_SECONDS: Final = 15.0
"""How long a running attempt may take to learn that its task has been replaced; the next one begins after that."""

_REPLACED: Final = (
    "executor", "why", "max_attempts", "priority", "delay_seconds", "deadline", "dedupe_seconds", "payload_hash",
    "business_key", "target", "policy", "policy_override", "policy_version", "error_type", "error_message",
    "error_stack", "fingerprint", "trace_context", "metadata", "callbacks",
)  # fmt: skip
_ASSIGNMENTS: Final = ", ".join(f'"{name}" = held."{name}"' for name in _REPLACED)

_REPLACE: Final = text(
    f"""
    WITH held AS MATERIALIZED (
        SELECT tasks.id AS task_id, tasks.status AS before, input.*,
            -- Nobody has begun it: neither a workflow nor a starter that holds it.
            (tasks.status = 'pending' AND (tasks.claimed_until IS NULL OR tasks.claimed_until < now()))
                OR (tasks.status = 'paused' AND tasks.mirror_version = 0) AS unstarted
        FROM json_to_recordset(CAST(:rows AS json))
            AS input({INPUT_DEFINITIONS}, args text, kwargs text, body text, older uuid)
        JOIN tasks ON tasks.id = input.older
        WHERE tasks.status = ANY(:open)
        ORDER BY tasks.id FOR UPDATE OF tasks
    ), closed AS (
        UPDATE attempts SET status = 'cancelled', finished_at = now(), why = 'a newer report has replaced its task',
            error_type = 'redrive.Replaced', error_message = 'a newer report has replaced the task'
        FROM held WHERE attempts.task_id = held.task_id AND attempts.status = 'running'
    ), changed AS (
        UPDATE tasks SET {_ASSIGNMENTS},
            generation = tasks.generation + CASE WHEN unstarted THEN 0 ELSE 1 END,
            status = CASE WHEN before = 'paused' THEN 'paused' ELSE 'pending' END,
            attempts = 0, mirror_version = 0, counters = '{{}}', parked_for = NULL, claimed_until = NULL,
            payload_revision = payload_revision + 1, started_at = held.created_at, updated_at = now(),
            next_attempt_at = CASE
                WHEN tasks.queue_key IS NOT NULL THEN NULL
                WHEN before = 'running' THEN GREATEST(
                    held.next_attempt_at, now() + make_interval(secs => :settle_seconds)
                )
                ELSE held.next_attempt_at
            END
        FROM held WHERE tasks.id = held.task_id
        RETURNING tasks.id, tasks.payload_revision
    ), stored AS (
        INSERT INTO payloads (task_id, revision, report_id, args, kwargs, body)
        SELECT changed.id, payload_revision, held.report_id, CAST(args AS json), CAST(kwargs AS json),
            CAST(body AS json)
        FROM changed JOIN held ON held.task_id = changed.id
    )
    SELECT id FROM changed
    """  # noqa: S608 - built from this module's constants only
)


async def find_replacing(session: AsyncSession, tasks: Sequence[NewTask]) -> dict[UUID, KeyedTask]:
    """Find the tasks that have been replaced by these very reports before: they have been sent again.

    Args:
        session: Any session.
        tasks: Reports that replace the task of their key.

    Returns:
        The replaced tasks by the ids of the reports' own tasks.
    """
    statement = text(
        """
        SELECT wanted.new_id, tasks.id, tasks.payload_hash, tasks.status = ANY(:open) AS lives FROM unnest(
            CAST(:ids AS uuid[]), CAST(:namespaces AS text[]), CAST(:groups AS text[]), CAST(:report_ids AS text[])
        ) AS wanted(new_id, namespace, "group", report_id)
        JOIN payloads ON payloads.report_id = wanted.report_id
        JOIN tasks ON tasks.id = payloads.task_id AND tasks.namespace = wanted.namespace
            AND tasks."group" = wanted."group"
        """
    )
    values = {
        "ids": [task.id for task in tasks],
        "namespaces": [task.namespace for task in tasks],
        "groups": [task.group for task in tasks],
        "report_ids": [task.report_id for task in tasks],
        "open": sorted(OPEN),
    }
    rows = await session.execute(statement, values)
    return {row.new_id: KeyedTask(row.id, row.payload_hash, row.lives, same_report=True) for row in rows}


async def replace_tasks(session: AsyncSession, tasks: Mapping[UUID, NewTask]) -> set[UUID]:
    """Let living tasks begin anew with what newer reports say.

    Args:
        session: A transaction.
        tasks: The reports by the id of the task that each replaces.

    Returns:
        The ids of the tasks that were replaced; the others have ended meanwhile.
    """
    rows = [{**input_row(task), "older": older} for older, task in tasks.items()]
    values = {
        "rows": json.dumps(rows, default=str, ensure_ascii=True, allow_nan=False),
        "open": sorted(OPEN),
        "settle_seconds": SETTLE_SECONDS,
    }
    replaced = set((await session.execute(_REPLACE, values)).scalars())
    if replaced:
        await notify_pending(session)
    return replaced


async def start_waiting(session: AsyncSession) -> int:
    """Start tasks that wait for the end of another one that has ended by other ways than its workflow's record.

    Those are a cancellation before the start, a deletion, a report that came while the task before it ended.

    Args:
        session: Any session; the statement is one transaction.

    Returns:
        How many were started.
    """
    statement = text(
        """
        WITH heads AS (
            SELECT DISTINCT ON (namespace, "group", scene, queue_key) id, namespace, "group", scene, queue_key
            FROM tasks WHERE queue_key IS NOT NULL ORDER BY namespace, "group", scene, queue_key, id
        ), free AS MATERIALIZED (
            SELECT heads.id, holder.id AS holder FROM heads LEFT JOIN tasks AS holder
                ON holder.namespace = heads.namespace AND holder."group" = heads."group"
                AND holder.scene = heads.scene AND holder.dedupe_key = heads.queue_key
            WHERE holder.id IS NULL OR holder.status = ANY(:terminal)
        ), released AS (
            UPDATE tasks SET dedupe_key = NULL FROM free WHERE tasks.id = free.holder AND status = ANY(:terminal)
            RETURNING tasks.id
        )
        UPDATE tasks SET dedupe_key = queue_key, queue_key = NULL, started_at = now(), updated_at = now(),
            next_attempt_at = GREATEST(now(), created_at + make_interval(secs => COALESCE(delay_seconds, 0))),
            why = 'the task before it, which had the same key, has ended'
        FROM free LEFT JOIN released ON released.id = free.holder
        WHERE tasks.id = free.id AND queue_key IS NOT NULL AND (free.holder IS NULL OR released.id IS NOT NULL)
        RETURNING tasks.id
        """
    )
    values: dict[str, Any] = {"terminal": sorted(TERMINAL)}
    started = len((await session.execute(statement, values)).all())
    if started:
        await notify_pending(session)
    return started
