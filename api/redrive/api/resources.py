"""Rows as resources."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from redrive.api.schemas.tasks import (
    AttemptError,
    AttemptResource,
    TaskCounters,
    TaskError,
    TaskResource,
    TaskSummary,
)
from redrive.core.health import target_key
from redrive.core.messages import workflow_id
from redrive.core.restraints import NO_RESTRAINTS, Place, Restraints
from redrive.core.states import AttemptStatus, DeadReason, ParkedFor, TaskStatus
from redrive.store.settings import Settings
from redrive.store.tables import Attempt, Payload, Task
from redrive.store.tasks import NewTask


class Links:
    """Addresses of things that other programs show.

    Args:
        settings: Where Temporal's UI is, and which namespace of it is ours.
    """

    def __init__(self, settings: Settings) -> None:
        namespace = quote(settings.temporal_namespace or "default", safe="")
        ui = settings.temporal_ui_url
        self._workflows = None if ui is None else f"{ui}/namespaces/{namespace}/workflows/"

    def workflow(self, name: str) -> str | None:
        """Tell where a workflow is shown."""
        return None if self._workflows is None else self._workflows + quote(name, safe="")

    def summary(self, task: Task, restraints: Restraints = NO_RESTRAINTS) -> TaskSummary:
        """Show a task as lists do.

        Args:
            task: Its row.
            restraints: What is paused in its namespace: what holds a pending task is told in place of its own `why`.
        """
        return TaskSummary.model_construct(**self._facts(task, restraints))

    def task(
        self, task: Task, payload: Payload, restraints: Restraints = NO_RESTRAINTS, *, duplicate: bool = False
    ) -> TaskResource:
        """Show a task with all that belongs to it."""
        return TaskResource.model_construct(
            **self._facts(task, restraints),
            policy=task.policy,
            policy_override=task.policy_override,
            callbacks=task.callbacks,
            args=payload.args,
            kwargs=payload.kwargs,
            body=payload.body,
            payload_revision=task.payload_revision,
            trace_context=task.trace_context,
            duplicate=duplicate,
        )

    def new_task(self, task: NewTask, payload: Mapping[str, Any]) -> TaskResource:
        """Show a task that was just accepted, without reading it back.

        Args:
            task: What was inserted.
            payload: Its `args`, `kwargs` and `body`.
        """
        name = workflow_id(task.namespace, str(task.id), 1)
        error = task.error_type is not None
        return TaskResource.model_construct(
            **payload,
            id=task.id,
            namespace=task.namespace,
            group=task.group,
            scene=task.scene,
            kind=task.kind,
            executor=task.executor,
            status=TaskStatus(task.status),
            dead_reason=_dead_reason(task.dead_reason),
            parked_for=None,
            why=task.why,
            generation=1,
            attempts=0,
            counters=_counters({}),
            max_attempts=task.max_attempts,
            next_attempt_at=task.next_attempt_at,
            deadline=task.deadline,
            priority=task.priority,
            idempotency_key=task.idempotency_key,
            business_key=task.business_key,
            duplicates=0,
            target=task.target,
            target_key=target_key(task.group, task.scene, task.target),
            policy=task.policy,
            policy_override=task.policy_override,
            callbacks=task.callbacks,
            policy_version=task.policy_version,
            last_error=TaskError.model_construct(
                type=task.error_type, message=task.error_message, stack=task.error_stack
            )
            if error
            else None,
            created_at=task.created_at,
            updated_at=task.created_at,
            finished_at=task.finished_at,
            workflow_id=name,
            temporal_url=self.workflow(name),
            parent_id=task.parent_id,
            redrive_id=None,
            metadata=task.metadata,
            payload_revision=1,
            trace_context=task.trace_context,
            duplicate=False,
        )

    def _facts(self, task: Task, restraints: Restraints) -> dict[str, Any]:
        name = workflow_id(task.namespace, str(task.id), task.generation)
        error = None
        if task.error_type is not None or task.error_message is not None:
            error = TaskError.model_construct(type=task.error_type, message=task.error_message, stack=task.error_stack)
        return {
            "id": task.id,
            "namespace": task.namespace,
            "group": task.group,
            "scene": task.scene,
            "kind": task.kind,
            "executor": task.executor,
            "status": TaskStatus(task.status),
            "dead_reason": _dead_reason(task.dead_reason),
            "parked_for": None if task.parked_for is None else ParkedFor(task.parked_for),
            "why": _why(task, restraints),
            "generation": task.generation,
            "attempts": task.attempts,
            "counters": _counters(task.counters),
            "max_attempts": task.max_attempts,
            "next_attempt_at": task.next_attempt_at,
            "deadline": task.deadline,
            "priority": task.priority,
            "idempotency_key": task.idempotency_key,
            "business_key": task.business_key,
            "duplicates": task.duplicates,
            "target": task.target,
            "target_key": task.target_key,
            "policy_version": task.policy_version,
            "last_error": error,
            "created_at": task.created_at,
            "updated_at": task.updated_at,
            "finished_at": task.finished_at,
            "workflow_id": name,
            "temporal_url": self.workflow(name),
            "parent_id": task.parent_id,
            "redrive_id": task.redrive_id,
            "metadata": task.metadata_,
        }


def attempt_resource(attempt: Attempt) -> AttemptResource:
    """Show an attempt."""
    error = None
    if attempt.error_type is not None or attempt.error_message is not None:
        error = AttemptError.model_construct(
            type=attempt.error_type,
            message=attempt.error_message,
            stack=attempt.error_stack,
            fingerprint=attempt.fingerprint,
        )
    return AttemptResource.model_construct(
        generation=attempt.generation,
        number=attempt.number,
        status=AttemptStatus(attempt.status),
        trigger=attempt.trigger,
        deliveries=attempt.deliveries,
        payload_revision=attempt.payload_revision,
        due_at=attempt.due_at,
        started_at=attempt.started_at,
        finished_at=attempt.finished_at,
        node_id=attempt.node_id,
        url=attempt.url,
        http_status=attempt.http_status,
        response=attempt.response,
        error=error,
        retry_after_seconds=attempt.retry_after_seconds,
        stop=attempt.stop,
        logs=attempt.logs,
        why=attempt.why,
        delay_seconds=attempt.delay_seconds,
        next_attempt_at=attempt.next_attempt_at,
    )


def _why(task: Task, restraints: Restraints) -> str:
    if task.status != TaskStatus.PENDING or not restraints.pauses:
        return task.why
    pause = restraints.pause_of(Place(task.group, task.scene, task.target_key), datetime.now(UTC))
    return task.why if pause is None else pause.why


def _counters(document: Mapping[str, Any]) -> TaskCounters:
    return TaskCounters.model_construct(**{name: document.get(name, 0) for name in TaskCounters.model_fields})


def _dead_reason(value: str | None) -> DeadReason | None:
    return None if value is None else DeadReason(value)
