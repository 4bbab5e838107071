"""What people do to tasks by hand.

Who carries it out depends on who owns the task at that moment:

- A task whose workflow has not started (`pending`, or paused before its start) lives in its row alone. The row is
  locked and changed. While a starter holds it, the workflow is just being started: we wait a moment and look again.
- A task whose workflow runs is changed by an update of the workflow, which refuses or accepts at once, and shows the
  result in the row.
- A task that has ended can be retried, which begins its next generation, edited and deleted.

What an attempt is given stands in the row alone, also while a workflow runs: an edit is one transaction, and the next
attempt finds it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, assert_never
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from redrive.api.access import Access
from redrive.api.configuration import KnownScene
from redrive.api.engine import Engine, EngineUnavailable, UpdateRefused, WorkflowGone
from redrive.api.problems import BODY_TOO_LARGE, BUSY, ENGINE_UNAVAILABLE, REFUSED, WORKFLOW_GONE, WRONG_STATE, Refusal
from redrive.api.reports import check_payload, check_queue, read_target
from redrive.api.scene_settings import check_payload_schema
from redrive.api.schemas.tasks import EditAndRetry, TaskChange
from redrive.api.text import check_storable, check_unicode
from redrive.api.validation import invalid_document, invalid_field
from redrive.api.visibility import find_visible_task
from redrive.core.decision import Clock
from redrive.core.errors import InvalidDocument
from redrive.core.messages import (
    UPDATE_CANCEL,
    UPDATE_CHANGE_POLICY,
    UPDATE_PAUSE,
    UPDATE_RESCHEDULE,
    UPDATE_RESUME,
    UPDATE_RETARGET,
    UPDATE_RETRY,
    Cancel,
    ChangePolicy,
    Pause,
    Reschedule,
    Resume,
    Retarget,
    RetryNow,
)
from redrive.core.patch import PayloadDocument, patch_payload
from redrive.core.policy import parse
from redrive.core.states import REPLAYABLE, TERMINAL, TaskStatus
from redrive.core.wire import MAX_TASK_BYTES
from redrive.store import audit, edits, scenes, tasks
from redrive.store.callbacks import insert_callback
from redrive.store.database import Database
from redrive.store.tables import Task
from redrive.store.tasks import Replay

Operation = RetryNow | Pause | Resume | Cancel | Reschedule

_NAMES: Final[dict[type[Operation | ChangePolicy | Retarget], str]] = {
    RetryNow: UPDATE_RETRY,
    Pause: UPDATE_PAUSE,
    Resume: UPDATE_RESUME,
    Cancel: UPDATE_CANCEL,
    Reschedule: UPDATE_RESCHEDULE,
    ChangePolicy: UPDATE_CHANGE_POLICY,
    Retarget: UPDATE_RETARGET,
}
_VERBS: Final[dict[type[Operation], str]] = {
    RetryNow: "retry",
    Pause: "pause",
    Resume: "resume",
    Cancel: "cancel",
    Reschedule: "reschedule",
}
_DONE: Final = {
    UPDATE_RETRY: "retried",
    UPDATE_PAUSE: "paused",
    UPDATE_RESUME: "resumed",
    UPDATE_CANCEL: "cancelled",
    UPDATE_RESCHEDULE: "rescheduled",
}
_PATIENCE_SECONDS: Final = 5.0
_FIRST_PAUSE_SECONDS: Final = 0.02
_LONGEST_PAUSE_SECONDS: Final = 0.5
_RETRY_AFTER: Final = {"Retry-After": "2"}
_PAYLOAD: Final = ("args", "kwargs", "body")
_EDITS: Final = frozenset({*_PAYLOAD, "payload_patch", "target", "executor"})


@dataclass(frozen=True, slots=True)
class _Change:
    """A change of a task that was checked against its present state.

    Attributes:
        columns: New values of the row.
        payload: The new revision of its payload.
        update: What its workflow must take before the row is changed.
        moves: Whether its workflow is to send attempts elsewhere once the row is changed.
    """

    columns: dict[str, Any]
    payload: PayloadDocument | None = None
    update: ChangePolicy | None = None
    moves: bool = False


class Operations:
    """Carries out operations on tasks.

    Args:
        database: Where tasks are.
        engine: Where their workflows are.
        own_queue: The task queue of Redrive's own workers, which is no target.
    """

    def __init__(self, database: Database, engine: Engine, own_queue: str) -> None:
        self._database = database
        self._engine = engine
        self._own_queue = own_queue

    async def perform(self, access: Access, task_id: UUID, operation: Operation) -> None:
        """Carry out an operation.

        Args:
            access: Who asks.
            task_id: The task.
            operation: What to do.

        Raises:
            Refusal: There is no such task, its state does not allow it, or Temporal is needed and away.
        """
        gone: tuple[str, int] | None = None
        async for _ in _patience():
            async with self._database.begin() as session:
                task = await find_visible_task(session, access, task_id, lock=True)
                if _is_unstarted(task):
                    if await _is_claimed(session, task):
                        continue
                    await _change_row(session, task, operation)
                    await _write_down(session, access, task, operation)
                    return
                if task.status in TERMINAL:
                    await _replay(session, task, operation)
                    await _write_down(session, access, task, operation)
                    return
            state = (task.status, task.generation)
            if gone == state:
                raise _gone(task)
            try:
                await self._update(task, operation)
            except WorkflowGone:
                gone = state  # it may have ended since we looked: look again
                continue
            async with self._database.begin() as session:
                await _write_down(session, access, task, operation)
            return
        raise _busy(task_id)

    async def change(self, access: Access, task_id: UUID, change: TaskChange) -> None:
        """Change a task's policy, payload or labels.

        Args:
            access: Who asks.
            task_id: The task.
            change: What is to be different; fields that were not given stay.

        Raises:
            Refusal: There is no such task, its state does not allow it, or Temporal is needed and away.
        """
        if not change.model_fields_set - {"reason"}:
            raise invalid_field("", "expected at least one field to change, got none")
        check_storable(change.metadata, "metadata")
        task, checked = await self._edit(access, task_id, change, "change")
        if checked.moves:
            await self._aim(task)

    async def edit_and_retry(self, access: Access, task_id: UUID, change: EditAndRetry) -> None:
        """Change what the next attempt of a task is given, and let it run now: one transaction.

        A dead or cancelled task begins its next generation.

        Args:
            access: Who asks.
            task_id: The task.
            change: What is to be different; fields that were not given stay.

        Raises:
            Refusal: There is no such task, its state does not allow it, or Temporal is needed and away.
        """
        if not change.model_fields_set - {"reason"}:
            raise invalid_field("", "expected at least one field to change, got none: POST …/retry retries as it is")
        operation = RetryNow(change.reason)
        task, checked = await self._edit(access, task_id, change, "edit_and_retry", operation)
        if task.status in TERMINAL or _is_unstarted(task):
            return
        if checked.moves:
            await self._aim(task)
        try:
            await self._update(task, operation)
        except (WorkflowGone, Refusal) as error:
            if isinstance(error, Refusal) and error.kind is ENGINE_UNAVAILABLE:
                detail = f"the change is stored, and its next attempt has it, but that could not be moved: {error}"
                raise Refusal(ENGINE_UNAVAILABLE, detail, headers=_RETRY_AFTER) from None
            # An attempt was begun after the change was stored, so it has it: nothing is left to do.

    async def _edit(
        self,
        access: Access,
        task_id: UUID,
        change: TaskChange | EditAndRetry,
        action: str,
        operation: RetryNow | None = None,
    ) -> tuple[Task, _Change]:
        """Store a change, and in the same transaction retry a task that no workflow owns.

        Returns:
            The task as it was found, and what was stored.
        """
        updated = False
        async for _ in _patience():
            async with self._database.begin() as session:
                task = await find_visible_task(session, access, task_id, lock=True)
                if _is_unstarted(task) and await _is_claimed(session, task):
                    continue
                checked = await self._check_change(session, task, change, updated=updated)
                if checked.update is None:
                    await _store(session, access, task, change, checked, action)
                    if operation is not None and _is_unstarted(task):
                        await _change_row(session, task, operation)
                    elif operation is not None and task.status in TERMINAL:
                        session.expire(task)
                        await session.refresh(task)
                        await _replay(session, task, operation)
                    session.expunge(task)
                    return task, checked
            # Outside of the transaction: the workflow writes to the row before it answers.
            try:
                await self._update(task, checked.update)
            except WorkflowGone:
                raise _gone(task) from None
            updated = True
        raise _busy(task_id)

    async def _aim(self, task: Task) -> None:
        """Tell a workflow where its next attempts go. It would find out by itself, but perhaps after a while."""
        async with self._database.session() as session:
            row = await tasks.find_task(session, task.namespace, task.id)
        if row is None:
            return
        with contextlib.suppress(WorkflowGone, Refusal):
            await self._update(task, Retarget(row.executor, row.target.get("task_queue"), row.target_key))

    async def delete(self, access: Access, task_id: UUID) -> None:
        """Delete an ended task with its payloads and attempts.

        Raises:
            Refusal: There is no such task, or it has not ended.
        """
        async with self._database.begin() as session:
            task = await find_visible_task(session, access, task_id, lock=True)
            if not await tasks.delete_task(session, access.namespace, task_id):
                detail = f"only an ended task can be deleted, and this one is {task.status}: cancel it first"
                raise Refusal(WRONG_STATE, detail)
            facts = {"scene": task.scene, "status": task.status, "business_key": task.business_key}
            await _audit(session, access, task, "delete", facts, None)

    async def _update(self, task: Task, argument: Operation | ChangePolicy | Retarget) -> None:
        try:
            await self._engine.update(task.namespace, str(task.id), task.generation, _NAMES[type(argument)], argument)
        except UpdateRefused as error:
            raise Refusal(REFUSED, str(error)) from None
        except EngineUnavailable as error:
            raise Refusal(ENGINE_UNAVAILABLE, str(error), headers=_RETRY_AFTER) from None

    async def _check_change(
        self, session: AsyncSession, task: Task, change: TaskChange | EditAndRetry, *, updated: bool
    ) -> _Change:
        """Check a change against the task's state.

        Args:
            session: The transaction that locked the row.
            task: The row.
            change: What is to be different.
            updated: Whether the workflow knows its new policy already.
        """
        given = change.model_fields_set
        ended, unstarted = task.status in TERMINAL, _is_unstarted(task)
        edits_payload = not given.isdisjoint(_EDITS)
        if task.status == TaskStatus.SUCCEEDED and (edits_payload or "policy" in given):
            raise Refusal(WRONG_STATE, "the task has succeeded: only its business key and metadata can be changed")
        if task.status == TaskStatus.RUNNING and edits_payload:
            raise Refusal(WRONG_STATE, "an attempt is running with the present payload: pause the task, then edit it")
        columns: dict[str, Any] = {
            name: getattr(change, name) for name in ("business_key", "metadata") if name in given
        }
        if isinstance(change, TaskChange) and "deadline" in given:
            if not (ended or unstarted):
                detail = f"the deadline of a task whose workflow runs is fixed, and this one is {task.status}"
                raise Refusal(WRONG_STATE, f"{detail}: report it anew with another one")
            if change.deadline is not None and change.deadline <= datetime.now(UTC):
                raise invalid_field("deadline", f"expected an instant in the future, got {change.deadline.isoformat()}")
            columns["deadline"] = change.deadline
        if change.reason is not None and (ended or unstarted):
            columns["why"] = change.reason
        update = None
        if "policy" in given:
            policy_columns, update = await _new_policy(session, task, change)
            columns |= policy_columns
            update = None if ended or unstarted or updated else update
        if not edits_payload:
            return _Change(columns, None, update)
        destination = self._new_target(task, change)
        payload = await _new_payload(session, task, change, {"target": task.target, **destination})
        return _Change(columns | destination, payload, update, bool(destination) and not (ended or unstarted))

    def _new_target(self, task: Task, change: TaskChange | EditAndRetry) -> dict[str, Any]:
        """Read the target and the executor that a change gives."""
        columns: dict[str, Any] = {}
        if change.target is not None:
            try:
                columns["target"] = read_target(change.target)
            except InvalidDocument as error:
                raise invalid_document(error) from None
            check_queue(columns["target"], self._own_queue)
        if "executor" in change.model_fields_set:
            columns["executor"] = change.executor
        return columns


async def _write_down(session: AsyncSession, access: Access, task: Task, operation: Operation) -> None:
    facts: dict[str, Any] = {"status": task.status, "generation": task.generation}
    if isinstance(operation, Reschedule):
        facts["due_at"] = operation.due_at
    await _audit(session, access, task, _VERBS[type(operation)], facts, operation.reason)


async def _audit(
    session: AsyncSession, access: Access, task: Task, action: str, facts: dict[str, Any], reason: str | None
) -> None:
    await audit.record(
        session, task.namespace, access.actor, action, "task", str(task.id), facts, reason, group=task.group
    )


async def _patience() -> AsyncGenerator[None]:
    """Give several tries within a bounded time, at first quickly one after the other."""
    end = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
    pause = _FIRST_PAUSE_SECONDS
    while asyncio.get_running_loop().time() < end:
        yield
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)


def _is_unstarted(task: Task) -> bool:
    return task.status == TaskStatus.PENDING or (task.status == TaskStatus.PAUSED and task.mirror_version == 0)


async def _is_claimed(session: AsyncSession, task: Task) -> bool:
    return task.claimed_until is not None and task.claimed_until > await edits.clock(session)


async def _change_row(session: AsyncSession, task: Task, operation: Operation) -> None:
    now = datetime.now(UTC)
    why = operation.reason or f"{_DONE[_NAMES[type(operation)]]} by hand"
    status, due = _after(task, operation, now)
    queued = not isinstance(operation, RetryNow)
    await tasks.change_unstarted(session, [task.id], status, next_attempt_at=due, why=why, now=now, queued=queued)
    if status in TERMINAL:
        await insert_callback(session, task.id)


def _after(task: Task, operation: Operation, now: datetime) -> tuple[TaskStatus, datetime | None]:
    """Tell the state of an unstarted task after an operation, and when its first attempt is due then."""
    paused = task.status == TaskStatus.PAUSED
    match operation:
        case RetryNow():
            return TaskStatus.PENDING, now
        case Pause():
            if paused:
                raise Refusal(WRONG_STATE, "the task is paused already: resume, retry, reschedule or cancel it")
            return TaskStatus.PAUSED, task.next_attempt_at
        case Resume():
            if not paused:
                detail = f"only a paused task can be resumed, and this one is {task.status}: it goes on by itself"
                raise Refusal(WRONG_STATE, detail)
            return TaskStatus.PENDING, task.next_attempt_at or now
        case Cancel():
            return TaskStatus.CANCELLED, None
        case Reschedule():
            due = datetime.fromisoformat(operation.due_at)
            _check_end(task, due)
            return TaskStatus(task.status), due
        case _ as never:
            assert_never(never)


def _check_end(task: Task, due_at: datetime) -> None:
    end = Clock(task.started_at, task.deadline).ends_at(parse(task.policy))
    if end is not None and due_at > end:
        detail = f"expected a time before the task's end at {end.isoformat()}, got {due_at.isoformat()}"
        raise Refusal(REFUSED, detail)


async def _replay(session: AsyncSession, task: Task, operation: Operation) -> None:
    """Begin the next generation of an ended task."""
    if not isinstance(operation, RetryNow) or task.status not in REPLAYABLE:
        possible = "it can only be deleted" if task.status not in REPLAYABLE else "it can be retried, edited or deleted"
        raise Refusal(WRONG_STATE, f"the task has ended, it is {task.status}: {possible}")
    now = datetime.now(UTC)
    if task.deadline is not None and task.deadline <= now:
        detail = f"its deadline was {task.deadline.isoformat()}: PATCH it with a later `deadline` or null, then retry"
        raise Refusal(WRONG_STATE, detail)
    configuration = await _configuration(session, task)
    try:
        policy = configuration.effective(task.policy_override)
    except InvalidDocument as error:
        detail = (
            f"its own policy no longer fits that of its scene ({error}): PATCH it with another `policy`, then retry"
        )
        raise Refusal(WRONG_STATE, detail) from None
    begun = await tasks.replay(
        session,
        task.namespace,
        [Replay(task.id, task.generation, policy, configuration.version)],
        due_at=now,
        why=operation.reason or "retried by hand",
        now=now,
    )
    if not begun:
        raise Refusal(WRONG_STATE, "somebody else has just retried the task: look at it again")


async def _new_policy(
    session: AsyncSession, task: Task, change: TaskChange | EditAndRetry
) -> tuple[dict[str, Any], ChangePolicy]:
    configuration = await _configuration(session, task)
    try:
        effective = KnownScene(configuration, True, 0).effective(change.policy)
    except InvalidDocument as error:
        raise invalid_document(error) from None
    columns: dict[str, Any] = {"policy_override": change.policy or None}
    if _is_unstarted(task):
        columns |= {
            "policy": effective.document,
            "policy_version": configuration.version,
            "max_attempts": effective.policy.max_attempts,
        }
    return columns, ChangePolicy(effective.document, configuration.version)


async def _new_payload(
    session: AsyncSession, task: Task, change: TaskChange | EditAndRetry, destination: dict[str, Any]
) -> PayloadDocument | None:
    """Make the payload that a change leads to; None when it stays as it is.

    Args:
        session: The transaction that locked the row.
        task: The row.
        change: What is to be different.
        destination: The target that the task will have, and its executor when that changes.
    """
    old = await tasks.find_payload(session, task)
    before = PayloadDocument(tuple(old.args), old.kwargs, old.body)
    given = [name for name in _PAYLOAD if name in change.model_fields_set]
    if change.payload_patch is not None and given:
        raise invalid_field("payload_patch", f"expected either a patch or new {' and '.join(given)}, got both")
    if change.payload_patch is not None:
        try:
            payload = patch_payload(before, change.payload_patch)
        except InvalidDocument as error:
            raise invalid_document(error) from None
    else:
        payload = replace(before, **{name: getattr(change, name) for name in given})
    args, kwargs, body = list(payload.args), payload.kwargs, payload.body
    check_payload(destination["target"], destination.get("executor", task.executor), args, kwargs, body)
    check_unicode({"args": args, "kwargs": kwargs, "body": body})
    size = len(json.dumps(payload.as_json(), ensure_ascii=False).encode())
    if size > MAX_TASK_BYTES:
        raise Refusal(BODY_TOO_LARGE, f"expected a payload of at most {MAX_TASK_BYTES} bytes, got {size}")
    if change.payload_patch is None and not given:
        return None
    check_payload_schema((await _configuration(session, task)).payload_schema, args, kwargs, body)
    return payload


async def _store(
    session: AsyncSession,
    access: Access,
    task: Task,
    change: TaskChange | EditAndRetry,
    checked: _Change,
    action: str,
) -> None:
    """Store a checked change, with its entry in the audit."""
    facts: dict[str, Any] = {
        "fields": sorted(change.model_fields_set - {"reason"}),
        "status": task.status,
        "generation": task.generation,
    }
    if checked.columns:
        await edits.change_task(session, task.id, checked.columns)
    if checked.payload is not None:
        new = checked.payload
        facts["payload_revision"] = await edits.add_payload(
            session, task.id, new.args, new.kwargs, new.body, access.author, change.reason
        )
    await _audit(session, access, task, action, facts, change.reason)


async def _configuration(session: AsyncSession, task: Task) -> scenes.SceneConfiguration:
    configuration = await scenes.load_configuration(session, task.namespace, task.group, task.scene)
    if configuration is None:
        raise Refusal(WRONG_STATE, f"its scene {task.scene!r} no longer exists in group {task.group!r}: make it again")
    return configuration


def _gone(task: Task) -> Refusal:
    detail = f"the task is {task.status}, but its workflow does not run; the reconciler will repair it: try again later"
    return Refusal(WORKFLOW_GONE, detail)


def _busy(task_id: UUID) -> Refusal:
    return Refusal(BUSY, f"the workflow of task {task_id} is just being started: repeat the operation in a few seconds")


def due_at(at: datetime | None, delay_seconds: float | None) -> datetime:
    """Settle the time of a reschedule.

    Args:
        at: The instant.
        delay_seconds: Or seconds from now.

    Raises:
        Refusal: Neither or both are given.
    """
    if (at is None) == (delay_seconds is None):
        raise invalid_field("at", "expected either `at` or `delay_seconds`")
    return at if at is not None else datetime.now(UTC) + timedelta(seconds=delay_seconds or 0)
