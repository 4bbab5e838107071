"""What the retry workflow and its activities tell each other: ids, counters, instants and the policy, never a payload.

Every message is one dataclass whose fields have defaults where an older history may lack them, so that fields can be
added later. Instants are ISO 8601 text: they go through Temporal's plain JSON converter unchanged.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Final, Literal

RETRY_TASK: Final = "RetryTask"
DISPATCH: Final = "dispatch"
RECORD: Final = "record"
CLOSE: Final = "close"
EXECUTE: Final = "redrive.execute"
"""Dispatch as a group's own Temporal worker carries it out: same input, same result, on the group's task queue."""

BULK_REDRIVE: Final = "BulkRedrive"
LOOK: Final = "redrive_look"
SIGNAL_LOOK: Final = "look"

UPDATE_RETRY: Final = "retry"
UPDATE_PAUSE: Final = "pause"
UPDATE_RESUME: Final = "resume"
UPDATE_CANCEL: Final = "cancel"
UPDATE_RESCHEDULE: Final = "reschedule"
UPDATE_CHANGE_POLICY: Final = "change_policy"
UPDATE_RETARGET: Final = "retarget"
SIGNAL_WAKE: Final = "wake"

CONFLICT: Final = "Conflict"
"""Type of the application error by which a validator refuses an update."""


def workflow_id(namespace: str, task_id: str, generation: int) -> str:
    """Name the workflow of one generation of a task."""
    return f"redrive/{namespace}/{task_id}/{generation}"


def redrive_workflow_id(namespace: str, redrive_id: str) -> str:
    """Name the workflow of a redrive."""
    return f"redrive-bulk/{namespace}/{redrive_id}"


def fairness_key(namespace: str, group: str) -> str:
    """Name a group to Temporal, whose task queues give each such key its turn by its weight (at most 64 bytes)."""
    key = f"{namespace}/{group}"
    return key if len(key.encode()) <= 64 else hashlib.sha256(key.encode()).hexdigest()


def mirror_version(run: int, history_length: int, sequence: int) -> int:
    """Order the writes to one generation's mirror: by run, then progress in its history, then order within a step.

    A local activity may run twice with different content, when its workflow task failed in between; the later step has
    the longer history, and wins.

    Args:
        run: Number of the run, one more after each continue-as-new.
        history_length: Events in the history when the write was asked for; at most 51,200.
        sequence: Number of the write within the run.

    Returns:
        A number that fits a bigint.
    """
    return (run << 40) | (min(history_length, 0xFFFFF) << 20) | min(sequence, 0xFFFFF)


@dataclass
class TaskRun:
    """Input of the retry workflow.

    Attributes:
        namespace: Its namespace.
        task_id: Id of the task.
        generation: Which life of it.
        group: Its group.
        scene: Its scene.
        policy: The policy in force, as a document.
        policy_version: The scene's version that the policy was made from.
        started_at: When the generation began.
        due_at: When the next attempt is due.
        deadline: When the whole task is worthless.
        attempts: Attempts that the generation has spent.
        number: Number of its last attempt; snoozed ones have numbers too, but are not spent.
        snoozes: How often in a row it was snoozed.
        counters: What the generation has been through (`redrive.core.counters`), as a document.
        delay_seconds: The delay before the next attempt, in seconds.
        priority: 1 first, 5 last.
        affinity: What consistent hashing keeps together: the business key, or the task's id.
        executor: Name of the function to run; None for webhooks.
        task_queue: The group's own Temporal task queue, for a worker target.
        planned_at: From when the delay before the next attempt counts.
        run: 0, and one more after each continue-as-new.
        paused: Whether a person holds it.
        parked: Why it is parked; None when it is not.
        parked_for: What it waits for then (`redrive.core.states.ParkedFor`).
        target_key: Its target, as its breaker is named; None in a run that an older version has begun.
        slot: Which slot it waits for (see `DispatchCommand`).
        forced: Whether a person wants the next attempt, whatever is known of its target.
        returning: Whether quiet hours have put the next attempt off.
        parks: How often in a row no target could be had.
        trigger: Why the next attempt runs: `timer`, `manual`, `wake` or `redrive`.
        weight: Its group's share of what runs, beside the other groups' (see `fairness_key`).
    """

    namespace: str
    task_id: str
    generation: int
    group: str
    scene: str
    policy: dict[str, Any]
    policy_version: int
    started_at: str
    due_at: str
    deadline: str | None = None
    attempts: int = 0
    number: int = 0
    snoozes: int = 0
    counters: dict[str, Any] = field(default_factory=dict[str, Any])
    delay_seconds: float | None = None
    priority: int = 3
    affinity: str = ""
    executor: str | None = None
    task_queue: str | None = None
    planned_at: str | None = None
    run: int = 0
    paused: bool = False
    parked: str | None = None
    parked_for: str | None = None
    target_key: str | None = None
    slot: str | None = None
    forced: bool = False
    returning: bool = False
    parks: int = 0
    trigger: str = "timer"
    weight: float = 1.0


@dataclass
class DispatchCommand:
    """Input of the dispatch activity.

    Attributes:
        namespace: Namespace of the task.
        group: Group of the task.
        task_id: Id of the task.
        generation: Which life of it.
        number: Number of the attempt, from 1.
        attempts: Attempts that are spent once this one is.
        version: Mirror version of the write that marks the task as running.
        due_at: When the attempt was due.
        trigger: Why it runs: `timer`, `manual`, `wake` or `redrive`.
        timeout_seconds: The longest that the attempt may take.
        ends_at: When the generation must have ended; None for never.
        max_attempts: The most attempts of the generation.
        route: How a node is chosen.
        policy_version: The version that the workflow knows.
        affinity: What consistent hashing keeps together.
        executor: Name of the function to run; None for webhooks.
        classification: The policy's rules, when one of them looks at message or body: those are known where the answer
            is and nowhere else.
        task_queue: The group's own Temporal task queue that the attempt was sent to; None for a node or a webhook.
        scene: Scene of the task; None from a run that an older version has begun.
        target_key: Its target, as its breaker is named; None as above.
        slot: The slot for which it has waited: `budget` (of its target's retry budget) or `limit` (of the limits on its
            group, scene and target, which are asked after the budget). It is not given another one.
        forced: Whether a person wants this attempt, whatever is known of the target.
        returning: Whether it comes from quiet hours, with all others that waited for their end.
    """

    namespace: str
    group: str
    task_id: str
    generation: int
    number: int
    attempts: int
    version: int
    due_at: str
    trigger: str
    timeout_seconds: float
    ends_at: str | None
    max_attempts: int
    route: str
    policy_version: int
    affinity: str = ""
    executor: str | None = None
    classification: list[dict[str, Any]] | None = None
    task_queue: str | None = None
    scene: str | None = None
    target_key: str | None = None
    slot: str | None = None
    forced: bool = False
    returning: bool = False


@dataclass
class DispatchResult:
    """Result of the dispatch activity: what the decision needs, and nothing of the payload.

    Attributes:
        kind: `finished`: the attempt ran and has an outcome. `unavailable`: nobody could take it, no attempt was spent.
            `late`: the generation's time is over, no attempt was spent. `superseded`: the task has ended or lives in
            another generation, so the workflow has nothing left to do. `retargeted`: the task has got another target or
            executor, so it must be sent again, no attempt was spent. `parked`: its target is known to be away, no
            attempt was spent. `deferred`: it has a slot at `until`, and comes back then; no attempt was spent.
        why: What stood in the way, when it did not run.
        until: When its slot is, or the earliest moment at which its target may be back; None when nobody knows.
        parked_for: What it waits for when it is parked (`redrive.core.states.ParkedFor`).
        slot: Which slot it was given (see `DispatchCommand`).
        deliveries: How often the attempt was delivered: more than once when a worker was lost under it.
        status: How the attempt ended.
        error_type: Class name of the error.
        error_bases: Class names of the bases of its class, nearest first.
        http_status: Status of the answer.
        retry_after_seconds: What the target asked for.
        stop: Whether the client said: do not retry.
        snooze: Whether the client said: it is too early, and that is no failure.
        fingerprint: Groups like errors.
        action: What the rules make of it, where they were asked with message and body.
        why_action: The rule that says so.
        action_seconds: How long to snooze, in seconds, when that is what it says.
        policy: The policy now in force, when the scene's version has changed.
        policy_version: Its version.
        executor: The executor that the task has now, when it is `retargeted`.
        task_queue: The group's own task queue that it goes to now; None for none.
        target_key: What its breaker is named by now; None where that is known.
    """

    kind: Literal["finished", "unavailable", "late", "superseded", "retargeted", "parked", "deferred"]
    why: str = ""
    until: str | None = None
    parked_for: str | None = None
    slot: str | None = None
    deliveries: int = 1
    status: str | None = None
    error_type: str | None = None
    http_status: int | None = None
    retry_after_seconds: float | None = None
    stop: bool = False
    snooze: bool = False
    fingerprint: str | None = None
    error_bases: list[str] = field(default_factory=list[str])
    action: str | None = None
    why_action: str = ""
    action_seconds: float | None = None
    policy: dict[str, Any] | None = None
    policy_version: int | None = None
    executor: str | None = None
    task_queue: str | None = None
    target_key: str | None = None


@dataclass
class Record:
    """Input of the record activity: the state that the mirror is to show.

    Attributes:
        namespace: Namespace of the task.
        task_id: Id of the task.
        generation: Which life of it.
        version: Mirror version of this write.
        status: Status of the task.
        attempts: Attempts that the generation has spent.
        next_attempt_at: When the next attempt is due.
        why: Why the task is where it is.
        dead_reason: Why it died.
        parked_for: What a parked task waits for (`redrive.core.states.ParkedFor`).
        counters: What the generation has been through (`redrive.core.counters`), as a document.
        attempt: Number of the attempt that this decision follows; None for a change without an attempt.
        delay_seconds: The delay until the next attempt, in seconds.
        max_attempts: The most attempts of the generation, as the workflow knows it.
        policy: The policy now in force, when it changed since the last record.
        policy_version: Its version.
    """

    namespace: str
    task_id: str
    generation: int
    version: int
    status: str
    attempts: int
    next_attempt_at: str | None = None
    why: str = ""
    dead_reason: str | None = None
    parked_for: str | None = None
    counters: dict[str, Any] | None = None
    attempt: int | None = None
    delay_seconds: float | None = None
    max_attempts: int | None = None
    policy: dict[str, Any] | None = None
    policy_version: int | None = None


@dataclass
class RetryNow:
    """Argument of the retry update.

    Attributes:
        force: Whether the attempt goes also while its target is taken to be down. A person who asks for one task wants
            that; whoever asks for many does not.
    """

    reason: str | None = None
    force: bool = True


@dataclass
class Pause:
    """Argument of the pause update."""

    reason: str | None = None


@dataclass
class Resume:
    """Argument of the resume update."""

    reason: str | None = None


@dataclass
class Cancel:
    """Argument of the cancel update."""

    reason: str | None = None


@dataclass
class Reschedule:
    """Argument of the reschedule update.

    Attributes:
        due_at: When the next attempt is to run.
    """

    due_at: str
    reason: str | None = None


@dataclass
class ChangePolicy:
    """Argument of the change-policy update.

    Attributes:
        policy: The whole policy from now on, as a document.
        policy_version: The scene's version that it was made from.
    """

    policy: dict[str, Any] = field(default_factory=dict[str, Any])
    policy_version: int = 0


@dataclass
class Retarget:
    """Argument of the retarget update: where the next attempts go, as the task's row has it already.

    Attributes:
        executor: Name of the function to run; None for webhooks.
        task_queue: The group's own Temporal task queue; None for a node or a webhook.
        target_key: What its breaker is named by.
    """

    executor: str | None = None
    task_queue: str | None = None
    target_key: str | None = None


@dataclass
class TaskView:
    """What an accepted update returns: the state after it.

    Attributes:
        status: Status of the task.
        next_attempt_at: When the next attempt is due.
        attempts: Attempts that the generation has spent.
    """

    status: str
    next_attempt_at: str | None
    attempts: int


@dataclass
class BulkRun:
    """Input of the bulk redrive workflow, and of the activity by which it looks at its redrive.

    Everything else is in the redrive's row, so that any number of tasks costs the workflow nothing.

    Attributes:
        namespace: Namespace of the redrive.
        redrive_id: Its id.
        abort: Why it is to be ended; None while it may go on.
    """

    namespace: str
    redrive_id: str
    abort: str | None = None


@dataclass
class Looked:
    """What a look at a redrive has found.

    Attributes:
        status: Where the redrive stands after it.
        wait_seconds: When to look again, in seconds.
        finished: Whether nothing is left to be done, also not for its records.
    """

    status: str
    wait_seconds: float = 0.0
    finished: bool = False
