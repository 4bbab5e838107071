"""Taking reports: from a document that came over the wire to a row that will be retried.

The work on one report is done before the database is asked for anything, so that a bad report of a batch costs the
others nothing. Then one transaction makes the scenes that are new, inserts every task in one statement, and finds the
tasks of idempotency keys that are known. Its commit is the acknowledgement; it needs PostgreSQL alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final, cast
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from redrive.api.access import Access
from redrive.api.configuration import Configurations, Effective, KnownScene, SceneName
from redrive.api.intake import Intake
from redrive.api.problems import BODY_TOO_LARGE, PAYLOAD_DIFFERS, FieldProblem, Refusal
from redrive.api.scene_settings import check_payload_schema
from redrive.api.schemas.tasks import TaskReport
from redrive.api.text import check_storable, check_unicode, replace_unstorable
from redrive.api.validation import field_problems, invalid, invalid_document, invalid_field
from redrive.core.backoff import in_seconds
from redrive.core.decision import Clock, Die, Retry, plan
from redrive.core.documents import decode, encode
from redrive.core.errors import InvalidDocument
from redrive.core.fingerprint import fingerprint
from redrive.core.states import DeadReason, TaskStatus
from redrive.core.wire import MAX_TASK_BYTES, NodeTarget, Target, payload_problems
from redrive.store.database import Database, new_id
from redrive.store.tasks import KeyedTask, NewTask

MAX_ERROR_TYPE: Final = 500
MAX_ERROR_MESSAGE: Final = 4_000
MAX_ERROR_STACK: Final = 16_000

_NODE: Final[Mapping[str, Any]] = encode(NodeTarget())
_REPORT: Final = TypeAdapter(TaskReport)
_COMPACT: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)
_CANONICAL: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Accepted:
    """A report that is a task now.

    Attributes:
        task: What was inserted.
        payload: Its `args`, `kwargs` and `body`.
    """

    task: NewTask
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A report that was a task already."""

    id: UUID


Outcome = Accepted | Duplicate | Refusal


@dataclass(frozen=True, slots=True)
class End:
    """How a task ended elsewhere, before it came here.

    Attributes:
        reason: Why it is a dead letter.
        why: The same in words.
        created_at: When it was reported.
        finished_at: When it died.
    """

    reason: DeadReason
    why: str
    created_at: datetime
    finished_at: datetime


class Reporter:
    """Takes reports.

    Args:
        database: Where tasks go.
        configurations: Finds the policies of scenes.
        own_queue: The task queue of Redrive's own workers, which is no target.
        random: Source of randomness for the first delay.
    """

    def __init__(
        self, database: Database, configurations: Configurations, own_queue: str, random: Random | None = None
    ) -> None:
        self._intake = Intake(database)
        self._configurations = configurations
        self._own_queue = own_queue
        self._random = random or Random()  # noqa: S311 - spreads load, guards nothing

    async def take(self, access: Access, report: TaskReport) -> Accepted | Duplicate:
        """Take one report.

        Raises:
            Refusal: It cannot be taken.
        """
        (outcome,) = await self._take(access, [report])
        if isinstance(outcome, Refusal):
            raise outcome
        return outcome

    async def take_batch(
        self, access: Access, documents: Sequence[Any], ends: Sequence[End | None] | None = None
    ) -> list[Outcome]:
        """Take many reports, each with an outcome of its own.

        Args:
            access: Who reports.
            documents: The reports as they came; a refusal stands for one that could not be read.
            ends: For each report how it ended elsewhere, to be a dead letter here; None where it is to be retried.

        Returns:
            An outcome for each, in their order.
        """
        return await self._take(access, [_read(document) for document in documents], ends)

    async def _take(
        self, access: Access, reports: Sequence[TaskReport | Refusal], ends: Sequence[End | None] | None = None
    ) -> list[Outcome]:
        now = datetime.now(UTC)
        names = {_scene_of(report) for report in reports if not isinstance(report, Refusal)}
        known = await self._configurations.find(access.namespace, names) if names else {}
        outcomes = [self._prepare(access, report, known, now) for report in reports]
        if ends is not None:
            outcomes = [_ended(outcome, end) for outcome, end in zip(outcomes, ends, strict=True)]
        accepted = [outcome for outcome in outcomes if isinstance(outcome, Accepted)]
        if not accepted:
            return outcomes
        tasks = [outcome.task for outcome in accepted]
        missing = {
            (task.namespace, task.group, task.scene)
            for task in tasks
            if isinstance(scene := known[task.group, task.scene], KnownScene) and not scene.exists
        }
        if len(tasks) == 1 and not missing:
            stored = {tasks[0].id: await self._intake.insert_one(tasks[0])}
        else:
            inserted = await self._intake.insert(tasks, missing, access.author)
            stored = {task.id: inserted.outcome(task) for task in tasks}
        return [
            _settle(outcome, stored[outcome.task.id]) if isinstance(outcome, Accepted) else outcome
            for outcome in outcomes
        ]

    def _prepare(
        self,
        access: Access,
        report: TaskReport | Refusal,
        known: Mapping[SceneName, KnownScene | Refusal],
        now: datetime,
    ) -> Outcome:
        if isinstance(report, Refusal):
            return report
        try:
            access.require_group(report.group)
            scene = known[_scene_of(report)]
            if isinstance(scene, Refusal):
                return scene
            effective = scene.effective(report.policy)
            if scene.configuration.schema_on_report:
                check_payload_schema(scene.configuration.payload_schema, report.args, report.kwargs, report.body)
            return self._make(access.namespace, report, scene.configuration.version, effective, now)
        except InvalidDocument as error:
            return invalid_document(error)
        except Refusal as refusal:
            return refusal

    def _make(self, namespace: str, report: TaskReport, version: int, effective: Effective, now: datetime) -> Accepted:
        target = read_target(report.target)
        check_queue(target, self._own_queue)
        check_payload(target, report.executor, report.args, report.kwargs, report.body)
        payload: dict[str, Any] = {"args": report.args, "kwargs": report.kwargs, "body": report.body}
        payload_hash = _hash({"executor": report.executor, "target": target, **payload})
        if report.deadline is not None and report.deadline <= now:
            raise invalid_field("deadline", f"expected an instant in the future, got {report.deadline.isoformat()}")
        check_storable(report.metadata, "metadata")
        check_storable(report.trace_context, "trace_context")
        planned = self._plan(report, effective, now)
        dead = planned if isinstance(planned, Die) else None
        error_type, error_message, error_stack, mark = _error_facts(report)
        task = NewTask(
            id=new_id(),
            namespace=namespace,
            group=report.group,
            scene=report.scene,
            executor=report.executor,
            status=TaskStatus.DEAD if dead else TaskStatus.PENDING,
            dead_reason=dead.reason if dead else None,
            why=planned.why,
            max_attempts=effective.policy.max_attempts,
            priority=report.priority,
            delay_seconds=planned.delay_seconds if isinstance(planned, Retry) else None,
            next_attempt_at=planned.due_at if isinstance(planned, Retry) else None,
            deadline=report.deadline,
            idempotency_key=report.idempotency_key,
            payload_hash=payload_hash,
            business_key=report.business_key,
            target=target,
            policy=effective.document,
            policy_override=report.policy or None,
            policy_version=version,
            error_type=error_type,
            error_message=error_message,
            error_stack=error_stack,
            fingerprint=mark,
            trace_context=report.trace_context,
            metadata=report.metadata,
            created_at=now,
            finished_at=now if dead else None,
            args=report.args,
            kwargs=report.kwargs,
            body=report.body,
            dedupe_seconds=report.dedupe_seconds,
            # What is dead on arrival neither replaces a living task nor waits for one.
            block="concurrent" if dead and effective.policy.block in ("overlay", "enqueue") else effective.policy.block,
            report_id=report.report_id,
            callbacks=report.callbacks or None,
        )
        return Accepted(task, payload)

    def _plan(self, report: TaskReport, effective: Effective, now: datetime) -> Retry | Die:
        clock = Clock(now, report.deadline)
        if report.delay_seconds is None:
            return plan(effective.policy, clock, 1, now, self._random)
        seconds = report.delay_seconds
        due_at, end = now + timedelta(seconds=seconds), clock.ends_at(effective.policy)
        if end is not None and due_at > end:
            why = f"the reported delay of {in_seconds(seconds)} ends at {due_at.isoformat()}, after {end.isoformat()}"
            return Die(DeadReason.EXPIRED, why)
        return Retry(due_at, seconds, seconds, f"the report asked for a delay of {in_seconds(seconds)}")


def read_target(document: Mapping[str, Any]) -> dict[str, Any]:
    """Read a target, with its defaults.

    Raises:
        InvalidDocument: It is not a target.
        Refusal: It holds text that cannot be stored.
    """
    if document == _NODE:
        return dict(_NODE)
    target: dict[str, Any] = encode(decode(cast("type[NodeTarget]", Target), document, "target"))
    check_storable(target, "target")
    return target


def check_queue(target: Mapping[str, Any], own_queue: str) -> None:
    """Refuse a target that is Redrive's own task queue, on which nobody runs a group's attempts.

    Raises:
        Refusal: It is.
    """
    if target.get("task_queue") == own_queue:
        raise invalid_field("target.task_queue", f"{own_queue!r} is Redrive's own; name the group's queue")


def check_payload(
    target: Mapping[str, Any], executor: str | None, args: list[Any], kwargs: Mapping[str, Any], body: Any
) -> None:
    """Refuse a payload that its target cannot take.

    Raises:
        Refusal: Fields are missing, or have no meaning for this target.
    """
    problems = [FieldProblem(*problem) for problem in payload_problems(target, executor, args, kwargs, body)]
    if problems:
        raise invalid(problems)


def _ended(outcome: Outcome, end: End | None) -> Outcome:
    """Let a task be the dead letter that it was elsewhere. Who was to be told of its end has been told."""
    if end is None or not isinstance(outcome, Accepted):
        return outcome
    task = replace(
        outcome.task,
        status=TaskStatus.DEAD,
        dead_reason=end.reason,
        why=end.why,
        delay_seconds=None,
        next_attempt_at=None,
        created_at=end.created_at,
        finished_at=end.finished_at,
        is_restored=True,
    )
    return Accepted(task, outcome.payload)


def _read(document: Any) -> TaskReport | Refusal:
    if isinstance(document, Refusal):
        return document
    try:
        report = _REPORT.validate_python(document)
    except ValidationError as error:
        return invalid(field_problems(error.errors(include_url=False), TaskReport))
    size = len(_COMPACT.encode(document).encode(errors="replace"))
    if size > MAX_TASK_BYTES:
        return Refusal(BODY_TOO_LARGE, f"expected a task of at most {MAX_TASK_BYTES} bytes, got {size}")
    return report


def _scene_of(report: TaskReport) -> SceneName:
    return report.group, report.scene


def _settle(accepted: Accepted, stored: NewTask | KeyedTask) -> Outcome:
    task = accepted.task
    if isinstance(stored, NewTask):
        return Accepted(stored, accepted.payload)
    older = stored
    # A report that is sent again after another one has replaced its task is known by its id alone.
    known = older.replaced or (older.same_report and task.block == "overlay")
    if known or older.payload_hash == task.payload_hash:
        return Duplicate(older.id)
    detail = (
        f"key {task.idempotency_key!r} of scene {task.scene!r}, or the report's own id, belongs to task {older.id}, "
        "whose executor, arguments, body or target differ: use another key, or report the same call"
    )
    return Refusal(PAYLOAD_DIFFERS, detail)


def _error_facts(report: TaskReport) -> tuple[str | None, str | None, str | None, str | None]:
    error = report.error
    if error is None:
        return None, None, None, None
    kind = replace_unstorable(error.type, MAX_ERROR_TYPE)
    message = replace_unstorable(error.message, MAX_ERROR_MESSAGE)
    stack = None if error.stack is None else replace_unstorable(error.stack, MAX_ERROR_STACK)
    return kind, message, stack, fingerprint(kind, message, stack)


def _hash(facts: Mapping[str, Any]) -> str:
    """Hash what makes two reports the same call.

    Raises:
        Refusal: A text in it is no valid Unicode, so that it could neither be stored nor sent.
    """
    try:
        return hashlib.sha256(_CANONICAL.encode(facts).encode()).hexdigest()
    except UnicodeEncodeError:
        check_unicode(facts)
        raise
