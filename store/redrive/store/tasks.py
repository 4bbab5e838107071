"""Queries on tasks: report, claim, attempt, record, replay.

Each change of a task's status is a compare-and-set: on the states from which `redrive.core.states.TRANSITIONS` allows
it, on the generation, and, for what a workflow writes, on the mirror's version.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy import delete, func, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from redrive.core.messages import DispatchCommand, Record
from redrive.core.policy import Block
from redrive.core.states import OPEN, REPLAYABLE, TERMINAL, TaskStatus, sources_of
from redrive.store.signing import LIVE_SECRETS
from redrive.store.tables import Payload, Task

PENDING_CHANNEL: Final = "redrive_pending"
"""Notified by every report, so that the starter need not poll fast."""

RELEASES_CHANNEL: Final = "redrive_releases"
"""Notified when a target or a pause changes so that parked tasks may be let go."""

CLAIM_SECONDS: Final = 30.0
"""How long a starter, or the waker, may hold a row before another one takes it over."""

RUNNABLE: Final = sources_of(TaskStatus.RUNNING) | {TaskStatus.RUNNING}
"""States in which an attempt may start, or be delivered again."""

_TERMINAL: Final = sorted(TERMINAL)
_OPEN: Final = sorted(OPEN)


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task as it is inserted. JSON columns are given as Python values.

    One that `is_restored` ended elsewhere, and whoever was to be told of it has been told.
    """

    id: UUID
    namespace: str
    group: str
    scene: str
    executor: str | None
    status: str
    dead_reason: str | None
    why: str
    max_attempts: int
    priority: int
    delay_seconds: float | None
    next_attempt_at: datetime | None
    deadline: datetime | None
    idempotency_key: str | None
    payload_hash: str
    business_key: str | None
    target: Mapping[str, Any]
    policy: Mapping[str, Any]
    policy_override: Mapping[str, Any] | None
    policy_version: int
    error_type: str | None
    error_message: str | None
    error_stack: str | None
    fingerprint: str | None
    trace_context: Mapping[str, Any]
    metadata: Mapping[str, Any]
    created_at: datetime
    finished_at: datetime | None
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    body: Any
    kind: str = "task"
    parent_id: UUID | None = None
    dedupe_seconds: float | None = None
    report_id: str | None = None
    callbacks: Mapping[str, Any] | None = None
    block: Block = "discard"
    queue_key: str | None = None
    is_restored: bool = False

    @property
    def dedupe_key(self) -> str | None:
        """What only one task may have: the idempotency key, until it is released."""
        return None if self.block == "concurrent" or self.queue_key is not None else self.idempotency_key


@dataclass(frozen=True, slots=True)
class KeyedTask:
    """What the idempotency of a report depends on.

    Attributes:
        id: The older task.
        payload_hash: What it was reported with.
        lives: Whether it has not ended.
        same_report: Whether it was made, or replaced, by the very same report.
        replaced: Whether the report has replaced it.
    """

    id: UUID
    payload_hash: str
    lives: bool = False
    same_report: bool = False
    replaced: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """A pending task that a starter has taken."""

    id: UUID
    namespace: str
    group: str
    scene: str
    generation: int
    attempts: int
    number: int
    priority: int
    policy: Mapping[str, Any]
    policy_version: int
    started_at: datetime
    next_attempt_at: datetime
    deadline: datetime | None
    delay_seconds: float | None
    business_key: str | None
    executor: str | None
    target: Mapping[str, Any]
    target_key: str
    counters: Mapping[str, Any]
    redrive_id: UUID | None
    weight: float

    @property
    def replayed(self) -> bool:
        """Whether somebody wanted this generation to begin at once."""
        return self.generation > 1 and self.attempts == 0 and self.delay_seconds is None

    @property
    def replaces(self) -> bool:
        """Whether a newer report began this generation, whose predecessor may not have ended."""
        return self.generation > 1 and self.attempts == 0 and self.delay_seconds is not None


@dataclass(frozen=True, slots=True)
class WorkflowKey:
    """What names the workflow of a task's present generation.

    Attributes:
        namespace: Namespace of the task.
        id: Id of the task.
        generation: Its present generation.
        status: Its status.
        settled: Whether the row has been as it is for a while.
    """

    namespace: str
    id: UUID
    generation: int
    status: str = ""
    settled: bool = True


@dataclass(frozen=True, slots=True)
class DeliveryKey:
    """One delivery of an attempt, with what tells whether its scene's policy has changed.

    Attributes:
        number: Which delivery of the attempt this is; None when the attempt has ended before.
        policy_override: Parts of the policy that are the task's own.
        scene_version: Version of the scene's policy at this moment.
    """

    number: int | None
    group: str
    scene: str
    policy_override: Mapping[str, Any] | None
    scene_version: int


@dataclass(frozen=True, slots=True)
class Delivery(DeliveryKey):
    """An attempt that is to be sent now, with all that its target is given.

    Attributes:
        args: Positional arguments, as JSON text.
        kwargs: Named arguments, as JSON text.
        body: A webhook's own body, as JSON text.
    """

    executor: str | None
    target: Mapping[str, Any]
    args: str
    kwargs: str
    body: str | None
    idempotency_key: str | None
    business_key: str | None
    trace_context: Mapping[str, Any]
    error_type: str | None
    error_message: str | None
    signing_secrets: Sequence[str]


_INPUT_TYPES: Final = {
    "id": "uuid", "namespace": "text", "group": "text", "scene": "text", "kind": "text", "parent_id": "uuid",
    "executor": "text", "status": "text", "dead_reason": "text", "why": "text", "max_attempts": "int",
    "priority": "int", "delay_seconds": "float8", "next_attempt_at": "timestamptz", "deadline": "timestamptz",
    "idempotency_key": "text", "dedupe_key": "text", "queue_key": "text", "dedupe_seconds": "float8",
    "report_id": "text", "payload_hash": "text", "business_key": "text", "target": "jsonb", "policy": "jsonb",
    "policy_override": "jsonb", "policy_version": "int", "error_type": "text", "error_message": "text",
    "error_stack": "text", "fingerprint": "text", "trace_context": "jsonb", "metadata": "jsonb",
    "callbacks": "jsonb", "created_at": "timestamptz", "finished_at": "timestamptz",
}  # fmt: skip
_COLUMNS: Final = ", ".join(f'"{name}"' for name in _INPUT_TYPES)
INPUT_DEFINITIONS: Final = ", ".join(f'"{name}" {kind}' for name, kind in _INPUT_TYPES.items())
"""The columns of `input_row` as `json_to_recordset` is told of them, beside `args`, `kwargs` and `body` as text."""


# Rules on dead letters count these rows (`redrive.store.alerts`): a death costs no statement more.
_DEATH: Final = """INSERT INTO alert_events (namespace, kind, "group", scene, task_id, facts)
        SELECT namespace, 'dead_letter', "group", scene, id, jsonb_build_object(
            'dead_reason', dead_reason, 'fingerprint', fingerprint, 'error_type', error_type
        )"""

# One statement for any number of tasks: the rows travel as one JSON parameter, so that a batch of a thousand costs one
# round trip and no thousand-fold statement text.
_INSERT: Final = text(
    f"""
    WITH input AS MATERIALIZED (
        SELECT * FROM json_to_recordset(CAST(:rows AS json))
        AS input({INPUT_DEFINITIONS}, args text, kwargs text, body text)
    ), inserted AS (
        INSERT INTO tasks ({_COLUMNS}, started_at, updated_at)
        SELECT {_COLUMNS}, created_at, created_at FROM input
        ON CONFLICT DO NOTHING
        RETURNING id
    ), stored AS (
        INSERT INTO payloads (task_id, revision, args, kwargs, body)
        SELECT id, 1, CAST(args AS json), CAST(kwargs AS json), CAST(body AS json) FROM input JOIN inserted USING (id)
    ), death AS (
        {_DEATH} FROM input JOIN inserted USING (id) WHERE status = 'dead'
    )
    SELECT id FROM inserted
    """  # noqa: S608 - built from this module's constants only
)


async def insert_tasks(session: AsyncSession, tasks: Sequence[NewTask]) -> set[UUID]:
    """Insert tasks with their payloads, and wake the starters when the transaction commits.

    Args:
        session: A transaction.
        tasks: The tasks. Those whose idempotency key or report id is taken, or is given twice among them, are left out.

    Returns:
        The ids that were inserted.
    """
    rows = json.dumps([input_row(task) for task in tasks], default=str, ensure_ascii=True, allow_nan=False)
    inserted = set((await session.execute(_INSERT, {"rows": rows})).scalars())
    if inserted:
        await notify_pending(session)
    return inserted


def input_row(task: NewTask) -> dict[str, Any]:
    """Write a task for `json_to_recordset`.

    Payloads go as text: as a part of the whole they would be read for jsonb, which knows no NUL, while a json column
    keeps what came.
    """
    row = {name: getattr(task, name) for name in _INPUT_TYPES}  # asdict would copy every document, ten times slower
    row["args"], row["kwargs"] = _json(task.args), _json(task.kwargs)
    row["body"] = None if task.body is None else _json(task.body)
    return row


_json: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


async def notify_pending(session: AsyncSession) -> None:
    """Wake the starters when the transaction commits."""
    await session.execute(text("SELECT pg_notify(:channel, '')"), {"channel": PENDING_CHANNEL})


async def find_keyed(session: AsyncSession, tasks: Sequence[NewTask]) -> dict[UUID, KeyedTask]:
    """Find the tasks that stand in the way of new ones, and count one duplicate for each that is joined to one.

    Args:
        session: A transaction.
        tasks: Tasks that were not inserted.

    Returns:
        For the id of each new task, the task that has its report id, or else its idempotency key.
    """
    statement = text(
        """
        WITH wanted AS (
            SELECT * FROM unnest(
                CAST(:ids AS uuid[]), CAST(:namespaces AS text[]), CAST(:groups AS text[]), CAST(:scenes AS text[]),
                CAST(:keys AS text[]), CAST(:report_ids AS text[]), CAST(:waiting AS boolean[])
            ) AS wanted(new_id, namespace, "group", scene, key, report_id, waiting)
        ), found AS (
            SELECT wanted.new_id, COALESCE(same_report.id, same_key.id) AS id,
                same_report.id IS NOT NULL AS same_report, wanted.waiting
            FROM wanted
            LEFT JOIN tasks AS same_report ON same_report.namespace = wanted.namespace
                AND same_report."group" = wanted."group" AND same_report.report_id = wanted.report_id
            LEFT JOIN tasks AS same_key ON same_key.namespace = wanted.namespace
                AND same_key."group" = wanted."group" AND same_key.scene = wanted.scene
                AND same_key.dedupe_key = wanted.key
        ), counted AS (
            -- What is to wait for the end of a living task is no duplicate of it.
            UPDATE tasks SET duplicates = duplicates + CASE WHEN status = ANY(:open) AND waits THEN 0 ELSE 1 END
            FROM (
                SELECT id, bool_and(waiting AND NOT same_report) AS waits FROM found GROUP BY id ORDER BY id
            ) AS once
            WHERE tasks.id = once.id
            RETURNING tasks.id, payload_hash, status
        )
        SELECT new_id, counted.id, payload_hash, status = ANY(:open) AS lives, same_report
        FROM found JOIN counted USING (id)
        """
    )
    rows = await session.execute(
        statement,
        {
            "ids": [task.id for task in tasks],
            "namespaces": [task.namespace for task in tasks],
            "groups": [task.group for task in tasks],
            "scenes": [task.scene for task in tasks],
            "keys": [task.dedupe_key for task in tasks],
            "report_ids": [task.report_id for task in tasks],
            "waiting": [task.block == "enqueue" for task in tasks],
            "open": _OPEN,
        },
    )
    return {row.new_id: KeyedTask(row.id, row.payload_hash, row.lives, row.same_report) for row in rows}


async def release_keys(session: AsyncSession, tasks: Sequence[NewTask]) -> set[UUID]:
    """Free the idempotency keys of ended tasks whose time to keep them is over.

    Args:
        session: A transaction.
        tasks: Tasks that were not inserted.

    Returns:
        The ids of those whose key is free now.
    """
    statement = text(
        """
        UPDATE tasks SET dedupe_key = NULL FROM unnest(
            CAST(:ids AS uuid[]), CAST(:namespaces AS text[]), CAST(:groups AS text[]), CAST(:scenes AS text[]),
            CAST(:keys AS text[])
        ) AS wanted(new_id, namespace, "group", scene, key)
        WHERE tasks.namespace = wanted.namespace AND tasks."group" = wanted."group" AND tasks.scene = wanted.scene
            AND tasks.dedupe_key = wanted.key AND tasks.status = ANY(:terminal)
            AND tasks.finished_at <= now() - make_interval(secs => tasks.dedupe_seconds)
        RETURNING wanted.new_id
        """
    )
    rows = await session.scalars(
        statement,
        {
            "ids": [task.id for task in tasks],
            "namespaces": [task.namespace for task in tasks],
            "groups": [task.group for task in tasks],
            "scenes": [task.scene for task in tasks],
            "keys": [task.dedupe_key for task in tasks],
            "terminal": _TERMINAL,
        },
    )
    return set(rows)


async def find_task(session: AsyncSession, namespace: str, task_id: UUID, *, lock: bool = False) -> Task | None:
    """Find a task.

    Args:
        session: A transaction, when the row is to be locked.
        namespace: Its namespace.
        task_id: Its id.
        lock: Whether to hold the row until the transaction ends.
    """
    statement = select(Task).where(col(Task.id) == task_id, col(Task.namespace) == namespace)
    return (await session.scalars(statement.with_for_update() if lock else statement)).one_or_none()


async def find_payload(session: AsyncSession, task: Task) -> Payload:
    """Load the present payload of a task."""
    where = (col(Payload.task_id) == task.id, col(Payload.revision) == task.payload_revision)
    return (await session.scalars(select(Payload).where(*where))).one()


async def delete_task(session: AsyncSession, namespace: str, task_id: UUID) -> bool:
    """Delete an ended task with its payloads and attempts; tell whether it was there and had ended."""
    where = (col(Task.id) == task_id, col(Task.namespace) == namespace, col(Task.status).in_(TERMINAL))
    return (await session.scalars(delete(Task).where(*where).returning(col(Task.id)))).first() is not None


async def delete_tasks(session: AsyncSession, namespace: str, task_ids: Sequence[UUID]) -> None:
    """Delete ended tasks with their payloads and attempts; those that have not ended stay."""
    where = (col(Task.id) == func.any(list(task_ids)), col(Task.namespace) == namespace, col(Task.status).in_(TERMINAL))
    await session.execute(delete(Task).where(*where))


# --- The starter ------------------------------------------------------------------------------------------------------

# Groups take turns: of each group the most urgent task, then of each the second, and so on. A group that reports five
# thousand tasks at once must not hold up the one task of another group. The heaviest of them has a task in each turn,
# one of a tenth of its weight in every tenth, beginning with a random one of the first ten: shares are those of the
# weights without a memory of what was claimed before, and no group is left out for long. The groups that have pending
# tasks are found by hopping over the index, so that a round costs by the number of groups and not by the backlog.
_CLAIM_FORM: Final = """
    WITH RECURSIVE waiting AS (
        (
            SELECT namespace, "group" FROM tasks WHERE status = 'pending' AND queue_key IS NULL
            ORDER BY namespace, "group" LIMIT 1
        )
        UNION ALL
        SELECT following.namespace, following."group" FROM waiting CROSS JOIN LATERAL (
            SELECT namespace, "group" FROM tasks
            WHERE status = 'pending' AND queue_key IS NULL
                AND (namespace, "group") > (waiting.namespace, waiting."group")
            ORDER BY namespace, "group" LIMIT 1
        ) AS following
    ), shares AS MATERIALIZED (
        SELECT namespace, "group", weight, weight / max(weight) OVER () AS share, random() AS luck FROM (
            SELECT waiting.namespace, waiting."group", COALESCE(groups.weight, 1) AS weight
            FROM waiting LEFT JOIN groups ON groups.namespace = waiting.namespace AND groups.name = waiting."group"
        ) AS weighed
    ), candidates AS (
        SELECT urgent.id, shares.weight, urgent.next_attempt_at, ceil((row_number() OVER (
            PARTITION BY shares.namespace, shares."group" ORDER BY urgent.next_attempt_at
        ) - shares.luck) / shares.share) AS turn
        FROM shares CROSS JOIN LATERAL (
            SELECT id, next_attempt_at FROM tasks
            WHERE status = 'pending' AND queue_key IS NULL
                AND namespace = shares.namespace AND "group" = shares."group"
                AND (claimed_until IS NULL OR claimed_until < now()) {condition}
            ORDER BY next_attempt_at LIMIT :limit
        ) AS urgent
        ORDER BY turn, next_attempt_at LIMIT :limit
    ), picked AS MATERIALIZED (
        SELECT tasks.id, candidates.weight FROM tasks JOIN candidates USING (id)
        WHERE status = 'pending' AND queue_key IS NULL AND (claimed_until IS NULL OR claimed_until < now())
        FOR UPDATE OF tasks SKIP LOCKED
    )
    UPDATE tasks SET claimed_until = now() + make_interval(secs => :seconds)
    FROM picked WHERE tasks.id = picked.id
    RETURNING tasks.id, namespace, "group", scene, generation, attempts,
        COALESCE((
            SELECT max(number) FROM attempts WHERE task_id = tasks.id AND attempts.generation = tasks.generation
        ), 0) AS number, priority, policy, policy_version, started_at,
        next_attempt_at, deadline, delay_seconds, business_key, executor,
        target, target_key, counters, redrive_id, picked.weight
    """

_CLAIM: Final = text(_CLAIM_FORM.format(condition=""))

# The pauses of a whole group are asked about once for the group: its backlog is not walked through.
_CLAIM_UNPAUSED: Final = text(
    _CLAIM_FORM.format(
        condition="""
            AND NOT EXISTS (
                SELECT FROM pauses WHERE pauses.namespace = shares.namespace AND (until IS NULL OR until > now())
                    AND (scope = 'namespace' OR (scope = 'group' AND key = shares."group"))
            ) AND NOT EXISTS (
                SELECT FROM pauses WHERE pauses.namespace = shares.namespace AND (until IS NULL OR until > now())
                    AND ((scope = 'scene' AND key = tasks."group" || '/' || tasks.scene)
                        OR (scope = 'target' AND key = tasks.target_key))
            )
        """
    )
)
_CLAIM_OVER: Final = text(
    _CLAIM_FORM.format(
        condition="""
            AND LEAST(
                deadline, started_at + make_interval(secs => (policy ->> 'max_elapsed_seconds')::float8)
            ) <= now()
        """
    )
)
Claimable = Literal["all", "unpaused", "over"]
"""Which pending tasks to claim: all; those that no pause holds; those whose time is over, which a pause must not keep
from ending."""

_CLAIMS: Final = {"all": _CLAIM, "unpaused": _CLAIM_UNPAUSED, "over": _CLAIM_OVER}


async def claim_pending(session: AsyncSession, limit: int, which: Claimable = "all") -> list[Claim]:
    """Take pending tasks that no other starter holds: groups in turns by weight, the most urgent of each first.

    Args:
        session: Any session; the statement is one transaction.
        limit: The most tasks.
        which: Which tasks.
    """
    rows = await session.execute(_CLAIMS[which], {"limit": limit, "seconds": CLAIM_SECONDS})
    return [Claim(**row) for row in rows.mappings()]


async def mark_started(session: AsyncSession, claims: Sequence[Claim]) -> None:
    """Note that workflows run.

    A task whose workflow has overtaken the starter is left as it is, also when it has ended and begun its next
    generation meanwhile, whose workflow has not been started.
    """
    statement = text(
        """
        UPDATE tasks SET status = 'waiting', claimed_until = NULL, updated_at = now()
        FROM unnest(CAST(:ids AS uuid[]), CAST(:generations AS int[])) AS started(id, generation)
        WHERE tasks.id = started.id AND tasks.generation = started.generation AND status = 'pending'
        """
    )
    await session.execute(statement, _claim_keys(claims))


async def release_claims(session: AsyncSession, claims: Sequence[Claim]) -> None:
    """Give back tasks whose workflow could not be started."""
    statement = text(
        """
        UPDATE tasks SET claimed_until = NULL
        FROM unnest(CAST(:ids AS uuid[]), CAST(:generations AS int[])) AS held(id, generation)
        WHERE tasks.id = held.id AND tasks.generation = held.generation AND status = 'pending'
        """
    )
    await session.execute(statement, _claim_keys(claims))


def _claim_keys(claims: Sequence[Claim]) -> dict[str, Any]:
    return {"ids": [claim.id for claim in claims], "generations": [claim.generation for claim in claims]}


async def count_pending(session: AsyncSession) -> int:
    """Count the tasks whose workflow has not started."""
    return (await session.scalars(select(func.count()).select_from(Task).where(col(Task.status) == "pending"))).one()


# --- Manual operations on a task whose workflow has not started -------------------------------------------------------


async def change_unstarted(
    session: AsyncSession,
    task_ids: Sequence[UUID],
    status: TaskStatus,
    *,
    next_attempt_at: datetime | None,
    why: str,
    now: datetime,
    queued: bool = True,
) -> None:
    """Change tasks in their rows, since no workflow owns them yet.

    Args:
        session: The transaction that locked the rows.
        task_ids: The tasks.
        status: Their new status: `pending`, `paused` or `cancelled`.
        next_attempt_at: When their first attempt is due; None for when it is due already.
        why: Who wanted it.
        now: The clock.
        queued: Whether they go on waiting for the end of another task of their key, if they do.
    """
    statement = text(
        """
        UPDATE tasks SET status = :status, why = :why, updated_at = :now,
            next_attempt_at = CASE WHEN NOT :ends
                THEN COALESCE(CAST(:next_attempt_at AS timestamptz), next_attempt_at, :now) END,
            -- What is told to run waits for nobody; what is cancelled lets those behind it move up.
            queue_key = CASE WHEN :queued THEN queue_key END,
            finished_at = CASE WHEN :ends THEN CAST(:now AS timestamptz) END
        WHERE id = ANY(:ids)
        """
    )
    values = {
        "ids": list(task_ids),
        "status": status.value,
        "next_attempt_at": next_attempt_at,
        "why": why,
        "now": now,
        "ends": status in TERMINAL,
        "queued": queued and status not in TERMINAL,
    }
    await session.execute(statement, values)
    if status is TaskStatus.PENDING:
        await notify_pending(session)


@dataclass(frozen=True, slots=True)
class Replay:
    """The next generation of an ended task.

    Attributes:
        id: Its id.
        generation: The generation that has ended; another one means that somebody was quicker.
        policy: The policy in force.
        policy_version: Version of its scene's policy.
        keep_counters: Whether what it has spent so far counts on.
        policy_override: The task's own parts of the policy from now on; None keeps those that it has.
        target: Its target from now on; None keeps the one that it has.
        payload_revision: Its payload from now on; None keeps the one that it has.
    """

    id: UUID
    generation: int
    policy: Mapping[str, Any]
    policy_version: int
    keep_counters: bool = False
    policy_override: Mapping[str, Any] | None = None
    target: Mapping[str, Any] | None = None
    payload_revision: int | None = None


# Each policy travels once, however many tasks have it.
_REPLAY: Final = text(
    """
    WITH input AS (
        SELECT * FROM json_to_recordset(CAST(:replays AS json)) AS input(
            id uuid, generation int, policy int, policy_version int, keep_counters boolean, policy_override jsonb,
            target jsonb, payload_revision int
        )
    ), policies AS (
        SELECT place - 1 AS place, document FROM jsonb_array_elements(CAST(:policies AS jsonb))
            WITH ORDINALITY AS policies(document, place)
    )
    UPDATE tasks SET status = 'pending', generation = tasks.generation + 1, mirror_version = 0,
        attempts = CASE WHEN input.keep_counters THEN tasks.attempts ELSE 0 END,
        counters = CASE WHEN input.keep_counters THEN tasks.counters ELSE '{}' END, parked_for = NULL,
        dead_reason = NULL, finished_at = NULL, claimed_until = NULL, next_attempt_at = :due_at,
        delay_seconds = NULL, started_at = :now, updated_at = :now, why = :why, redrive_id = :redrive_id,
        policy = policies.document, policy_version = input.policy_version,
        max_attempts = CAST(policies.document ->> 'max_attempts' AS int),
        policy_override = COALESCE(input.policy_override, tasks.policy_override),
        target = COALESCE(input.target, tasks.target),
        payload_revision = COALESCE(input.payload_revision, tasks.payload_revision)
    FROM input JOIN policies ON policies.place = input.policy
    WHERE tasks.id = input.id AND tasks.namespace = :namespace AND tasks.generation = input.generation
        AND tasks.status = ANY(:sources)
    RETURNING tasks.id
    """
)


async def replay(
    session: AsyncSession,
    namespace: str,
    replays: Sequence[Replay],
    *,
    due_at: datetime,
    why: str,
    now: datetime,
    redrive_id: UUID | None = None,
) -> set[UUID]:
    """Begin the next generation of ended tasks.

    Args:
        session: A transaction.
        namespace: Their namespace.
        replays: The tasks.
        due_at: When their first attempts are due.
        why: Who wanted it.
        now: The clock: the new generations' time limits are measured from it.
        redrive_id: The redrive that wanted it; None for a person.

    Returns:
        The ids of those that this call began.
    """
    policies: dict[str, int] = {}
    rows: list[dict[str, Any]] = []
    for task in replays:
        row = {name: getattr(task, name) for name in Replay.__slots__}
        row["policy"] = policies.setdefault(json.dumps(task.policy), len(policies))
        rows.append(row)
    values = {
        "namespace": namespace,
        "replays": json.dumps(rows, default=str),
        "policies": f"[{','.join(policies)}]",
        "due_at": due_at,
        "now": now,
        "why": why,
        "redrive_id": redrive_id,
        "sources": sorted(REPLAYABLE),
    }
    begun = set((await session.execute(_REPLAY, values)).scalars())
    if begun:
        await notify_pending(session)
    return begun


# --- One attempt ------------------------------------------------------------------------------------------------------

_START_ATTEMPT: Final = text(
    f"""
    WITH task AS (
        UPDATE tasks SET status = 'running', attempts = :attempts, mirror_version = :version, next_attempt_at = NULL,
            parked_for = NULL, claimed_until = NULL, updated_at = now()
        WHERE id = :task_id AND generation = :generation AND mirror_version <= :version AND status = ANY(:sources)
            AND (:has_node OR target ->> 'kind' <> 'node')
            -- Paused in its row while the starter was at it: the workflow has not heard of it. It ends as superseded,
            -- and the resumed task is started again.
            AND NOT (status = 'paused' AND mirror_version = 0)
        RETURNING id, namespace, "group", scene, executor, target, payload_revision, idempotency_key, business_key,
            trace_context, policy_override, error_type, error_message
    ), attempt AS (
        INSERT INTO attempts AS known (task_id, generation, number, namespace, "group", scene, status, trigger, due_at,
            started_at, node_id, url, probe, payload_revision)
        SELECT id, :generation, :number, namespace, "group", scene, 'running', :trigger,
            CAST(:due_at AS timestamptz), clock_timestamp(), :node_id, COALESCE(:url, target ->> 'url'), :probe,
            payload_revision
        FROM task
        ON CONFLICT (task_id, generation, number) DO UPDATE
            SET deliveries = known.deliveries + 1, node_id = EXCLUDED.node_id, url = EXCLUDED.url,
                probe = EXCLUDED.probe, payload_revision = EXCLUDED.payload_revision
            WHERE known.status = 'running'
        RETURNING deliveries
    )
    SELECT attempt.deliveries AS number, task."group", task.scene, executor, target, payloads.args::text AS args,
        payloads.kwargs::text AS kwargs, payloads.body::text AS body, idempotency_key, business_key, trace_context,
        policy_override, error_type, error_message, scenes.policy_version AS scene_version,
        {LIVE_SECRETS} AS signing_secrets
    FROM task
    JOIN payloads ON payloads.task_id = task.id AND payloads.revision = task.payload_revision
    JOIN groups ON groups.namespace = task.namespace AND groups.name = task."group"
    JOIN scenes ON scenes.namespace = task.namespace AND scenes."group" = task."group" AND scenes.name = task.scene
    LEFT JOIN attempt ON true
    """  # noqa: S608 - built from constants only
)


async def start_attempt(
    session: AsyncSession,
    command: DispatchCommand,
    *,
    has_node: bool,
    node_id: str | None,
    url: str | None,
    probe: str | None = None,
) -> Delivery | None:
    """Mark a task as running, write the attempt's row, and load what its target is given: one statement.

    Args:
        session: Any session; the statement is one transaction.
        command: Which attempt.
        has_node: Whether a node lives; without one, an attempt for a node is not started.
        node_id: The node that is to get it.
        url: Address of that node.
        probe: Which probe of its target's breaker it is.

    Returns:
        The delivery; None when the task is not in a state to run, or no node lives.
    """
    values = {
        "task_id": UUID(command.task_id),
        "generation": command.generation,
        "number": command.number,
        "attempts": command.attempts,
        "version": command.version,
        "sources": sorted(RUNNABLE),
        "has_node": has_node,
        "trigger": command.trigger,
        "due_at": command.due_at,
        "node_id": node_id,
        "url": url,
        "probe": probe,
    }
    row = (await session.execute(_START_ATTEMPT, values)).mappings().one_or_none()
    return None if row is None else Delivery(**row)


async def redirect_attempt(session: AsyncSession, command: DispatchCommand, node_id: str, url: str) -> None:
    """Note that a running attempt goes to another node, since the one before refused the connection."""
    statement = text(
        """
        UPDATE attempts SET node_id = :node_id, url = :url
        WHERE task_id = :task_id AND generation = :generation AND number = :number AND status = 'running'
        """
    )
    await session.execute(statement, {**_attempt_key(command), "node_id": node_id, "url": url})


async def abandon_attempt(session: AsyncSession, command: DispatchCommand) -> None:
    """Take back an attempt that reached nobody: its row goes, and the task's counter with it."""
    statement = text(
        """
        WITH gone AS (
            DELETE FROM attempts
            WHERE task_id = :task_id AND generation = :generation AND number = :number AND status = 'running'
            RETURNING task_id
        )
        UPDATE tasks SET attempts = :attempts - 1 FROM gone
        WHERE tasks.id = gone.task_id AND generation = :generation AND attempts = :attempts
        """
    )
    await session.execute(statement, {**_attempt_key(command), "attempts": command.attempts})


# --- The mirror -------------------------------------------------------------------------------------------------------

_RECORD: Final = text(
    f"""
    WITH task AS MATERIALIZED (
        -- A write that comes too late must change nothing, in the ledger either.
        SELECT id, namespace, "group", scene, dedupe_key FROM tasks
        WHERE id = :task_id AND generation = :generation AND mirror_version <= :version AND status = ANY(:sources)
        FOR UPDATE
    ), next AS MATERIALIZED (
        -- Whoever waits for the end of this task, because it has the same key, takes the key over.
        SELECT queued.id FROM task JOIN tasks AS queued ON queued.namespace = task.namespace
            AND queued."group" = task."group" AND queued.scene = task.scene AND queued.queue_key = task.dedupe_key
        WHERE :status = ANY(:terminal)
        ORDER BY queued.id LIMIT 1
    ), attempt AS (
        -- A task that ends while an attempt is still open (a cancellation that came before the request was sent, a
        -- worker that was lost) closes it: the ledger has no open end, and a late result finds nothing to change.
        UPDATE attempts SET why = :why, delay_seconds = :delay_seconds,
            next_attempt_at = CAST(:next_attempt_at AS timestamptz),
            status = CASE WHEN status = 'running' AND :status = ANY(:terminal) THEN 'cancelled' ELSE status END,
            finished_at = CASE WHEN status = 'running' AND :status = ANY(:terminal) THEN now() ELSE finished_at END
        FROM task
        WHERE task_id = task.id AND generation = :generation
            AND (number = :attempt OR (status = 'running' AND :status = ANY(:terminal)))
        RETURNING status, error_type, error_message, error_stack, fingerprint
    ), changed AS (
        UPDATE tasks SET status = :status, mirror_version = :version, why = :why,
            -- An attempt that was cancelled before a worker took it has no row and was not spent.
            attempts = CAST(:attempts AS int)
                - CASE WHEN CAST(:attempt AS int) IS NOT NULL AND fact.failed IS NULL THEN 1 ELSE 0 END,
            dead_reason = :dead_reason, delay_seconds = :delay_seconds,
            parked_for = CASE WHEN :status = 'parked' THEN CAST(:parked_for AS text) END,
            counters = COALESCE(CAST(:counters AS jsonb), counters),
            next_attempt_at = CAST(:next_attempt_at AS timestamptz), claimed_until = NULL, updated_at = now(),
            finished_at = CASE WHEN :status = ANY(:terminal) THEN now() END,
            max_attempts = COALESCE(:max_attempts, max_attempts),
            policy = COALESCE(CAST(:policy AS jsonb), policy),
            policy_version = COALESCE(:policy_version, policy_version),
            error_type = CASE WHEN fact.failed THEN fact.error_type ELSE tasks.error_type END,
            error_message = CASE WHEN fact.failed THEN fact.error_message ELSE tasks.error_message END,
            error_stack = CASE WHEN fact.failed THEN fact.error_stack ELSE tasks.error_stack END,
            fingerprint = CASE WHEN fact.failed THEN fact.fingerprint ELSE tasks.fingerprint END,
            dedupe_key = CASE WHEN NOT EXISTS (SELECT FROM next) THEN tasks.dedupe_key END
        FROM task LEFT JOIN (
            SELECT status IN ('failed', 'timed_out') AS failed, error_type, error_message, error_stack, fingerprint
            FROM attempt
        ) AS fact ON true
        WHERE tasks.id = task.id
        RETURNING tasks.id, tasks.namespace, tasks."group", tasks.scene, tasks.kind, tasks.status, tasks.dead_reason,
            tasks.fingerprint, tasks.error_type
    ), death AS (
        -- Nobody is told of a notice that could not be delivered: that would be told the same way.
        {_DEATH} FROM changed WHERE status = 'dead' AND kind <> 'alert'
    ), begun AS (
        UPDATE tasks SET dedupe_key = queue_key, queue_key = NULL, started_at = now(), updated_at = now(),
            next_attempt_at = GREATEST(
                now(), tasks.created_at + make_interval(secs => COALESCE(tasks.delay_seconds, 0))
            ),
            why = 'the task before it, which had the same key, has ended'
        FROM next, changed WHERE tasks.id = next.id AND tasks.queue_key IS NOT NULL
        RETURNING tasks.id
    )
    SELECT id, (SELECT count(pg_notify('{PENDING_CHANNEL}', '')) FROM begun) FROM changed
    """  # noqa: S608 - built from this module's constants only
)


async def record(session: AsyncSession, change: Record) -> bool:
    """Write a workflow's decision into the mirror.

    Writing it twice changes nothing more, and a write that comes late never overwrites a newer one.

    Args:
        session: Any session; the statement is one transaction.
        change: The decision.

    Returns:
        Whether the row was changed.
    """
    status = TaskStatus(change.status)
    sources = sources_of(status) if status in TERMINAL else sources_of(status) | {status}
    values = {
        "task_id": UUID(change.task_id),
        "generation": change.generation,
        "version": change.version,
        "status": status.value,
        "sources": sorted(sources),
        "terminal": _TERMINAL,
        "attempts": change.attempts,
        "attempt": change.attempt,
        "why": change.why,
        "dead_reason": change.dead_reason,
        "parked_for": change.parked_for,
        "counters": None if change.counters is None else json.dumps(change.counters),
        "delay_seconds": change.delay_seconds,
        "next_attempt_at": change.next_attempt_at,
        "max_attempts": change.max_attempts,
        "policy": None if change.policy is None else json.dumps(change.policy),
        "policy_version": change.policy_version,
    }
    return (await session.execute(_RECORD, values)).first() is not None


# --- Parked tasks and the reconciler ----------------------------------------------------------------------------------


async def claim_parked(session: AsyncSession, limit: int, lease_seconds: float) -> list[WorkflowKey]:
    """Take up to `limit` parked tasks for which a node has become live since they were parked, to be woken.

    Args:
        session: Any session.
        limit: The most tasks.
        lease_seconds: How long a node counts as live after its last heartbeat.
    """
    statement = text(
        """
        WITH picked AS MATERIALIZED (
            SELECT id FROM tasks
            WHERE status = 'parked' AND parked_for = 'no_node' AND target ->> 'kind' = 'node'
                AND (claimed_until IS NULL OR claimed_until < now())
                AND EXISTS (
                    SELECT FROM nodes WHERE nodes.namespace = tasks.namespace AND nodes."group" = tasks."group"
                        AND nodes.status = 'live'
                        AND last_heartbeat_at > now() - make_interval(secs => :lease)
                        AND (executor IS NULL OR executors = '[]' OR executors ? executor)
                        -- A node that was there already has not taken the task, and is not asked again at once: the
                        -- parked task itself looks again. The second is for a list of nodes read just before.
                        AND live_since > tasks.updated_at - interval '1 second'
                )
            ORDER BY priority, id LIMIT :limit FOR UPDATE SKIP LOCKED
        )
        UPDATE tasks SET claimed_until = now() + make_interval(secs => :seconds)
        FROM picked WHERE tasks.id = picked.id
        RETURNING tasks.namespace, tasks.id, tasks.generation, tasks.status
        """
    )
    values = {"limit": limit, "lease": lease_seconds, "seconds": CLAIM_SECONDS}
    return [WorkflowKey(**row) for row in (await session.execute(statement, values)).mappings()]


async def claim_parked_of_queue(
    session: AsyncSession, namespace: str, group: str, task_queue: str, polling_seconds: float, limit: int
) -> list[WorkflowKey]:
    """Take up to `limit` tasks that were parked before a worker of their group came to their task queue.

    Args:
        session: Any session.
        namespace: Namespace of the tasks.
        group: Their group.
        task_queue: The group's own Temporal task queue.
        polling_seconds: How long the worker has been there, in seconds. What was parked since then it has not taken,
            and is not asked again at once: the parked task itself looks again.
        limit: The most tasks.
    """
    statement = text(
        """
        WITH picked AS MATERIALIZED (
            SELECT id FROM tasks
            WHERE status = 'parked' AND parked_for = 'no_node' AND namespace = :namespace AND "group" = :group
                AND target ->> 'kind' = 'worker' AND target ->> 'task_queue' = :task_queue
                AND (claimed_until IS NULL OR claimed_until < now())
                AND updated_at < now() - make_interval(secs => :polling) + interval '1 second'
            ORDER BY priority, id LIMIT :limit FOR UPDATE SKIP LOCKED
        )
        UPDATE tasks SET claimed_until = now() + make_interval(secs => :seconds)
        FROM picked WHERE tasks.id = picked.id
        RETURNING tasks.namespace, tasks.id, tasks.generation, tasks.status
        """
    )
    values = {
        "namespace": namespace,
        "group": group,
        "task_queue": task_queue,
        "polling": polling_seconds,
        "limit": limit,
        "seconds": CLAIM_SECONDS,
    }
    return [WorkflowKey(**row) for row in (await session.execute(statement, values)).mappings()]


async def list_overdue(session: AsyncSession, grace_seconds: float, limit: int) -> list[WorkflowKey]:
    """List started tasks that should have moved by now: the first suspects of the reconciler.

    Those are tasks whose attempt was due, and attempts that run for longer than any time-out allows. Each namespace is
    asked by itself, so that both parts are short walks over an index, however many tasks wait for a later day.

    Args:
        session: Any session.
        grace_seconds: How late a task may be.
        limit: The most tasks per namespace and part.
    """
    statement = text(
        """
        SELECT suspect.* FROM namespaces CROSS JOIN LATERAL (
            (
                SELECT namespace, id, generation, status FROM tasks
                WHERE namespace = namespaces.name AND status IN ('waiting', 'parked')
                    AND next_attempt_at < now() - make_interval(secs => :grace)
                    AND updated_at < now() - make_interval(secs => :grace)
                ORDER BY next_attempt_at LIMIT :limit
            ) UNION ALL (
                SELECT namespace, id, generation, status FROM tasks
                WHERE namespace = namespaces.name AND status = 'running'
                    AND updated_at < now() - make_interval(
                        secs => :grace + (policy ->> 'attempt_timeout_seconds')::float8
                    )
                ORDER BY id LIMIT :limit
            )
        ) AS suspect
        """
    )
    rows = await session.execute(statement, {"grace": grace_seconds, "limit": limit})
    return [WorkflowKey(**row) for row in rows.mappings()]


async def list_open_after(
    session: AsyncSession, after: UUID | None, grace_seconds: float, limit: int
) -> list[WorkflowKey]:
    """List started open tasks in the order of their ids: the reconciler's walk over all of them."""
    statement = text(
        """
        SELECT namespace, id, generation, status FROM tasks
        WHERE status = ANY(:open) AND status <> 'pending' AND NOT (status = 'paused' AND mirror_version = 0)
            AND updated_at < now() - make_interval(secs => :grace)
            AND (CAST(:after AS uuid) IS NULL OR id > :after)
        ORDER BY id LIMIT :limit
        """
    )
    rows = await session.execute(statement, {"open": _OPEN, "after": after, "grace": grace_seconds, "limit": limit})
    return [WorkflowKey(**row) for row in rows.mappings()]


async def list_generations(
    session: AsyncSession, task_ids: Sequence[UUID], grace_seconds: float = 0
) -> dict[UUID, WorkflowKey]:
    """Load generation and status of tasks.

    Args:
        session: Any session.
        task_ids: Which ones.
        grace_seconds: How long a row must have been as it is to count as settled.
    """
    statement = text(
        """
        SELECT namespace, id, generation, status, updated_at < now() - make_interval(secs => :grace) AS settled
        FROM tasks WHERE id = ANY(:ids)
        """
    )
    rows = await session.execute(statement, {"ids": list(task_ids), "grace": grace_seconds})
    return {row["id"]: WorkflowKey(**row) for row in rows.mappings()}


async def restart(session: AsyncSession, key: WorkflowKey, why: str) -> bool:
    """Hand a task whose workflow is lost back to the starter, in the same generation.

    A running attempt whose end nobody will ever report is closed as timed out, so that the ledger has no open end.
    """
    statement = text(
        """
        WITH lost AS (
            UPDATE attempts SET status = 'timed_out', finished_at = now(), why = :why,
                error_type = 'redrive.WorkflowLost', error_message = :why
            WHERE task_id = :id AND generation = :generation AND status = 'running'
        )
        UPDATE tasks SET mirror_version = 0, parked_for = NULL, claimed_until = NULL, updated_at = now(), why = :why,
            -- What a person holds stays held: it is started when it is resumed.
            status = CASE WHEN status = 'paused' THEN 'paused' ELSE 'pending' END,
            next_attempt_at = COALESCE(next_attempt_at, now())
        WHERE id = :id AND generation = :generation AND status = ANY(:sources)
        RETURNING id
        """
    )
    values = {
        "id": key.id,
        "generation": key.generation,
        "why": why,
        "sources": sorted(sources_of(TaskStatus.PENDING) & OPEN),
    }
    restarted = (await session.execute(statement, values)).first() is not None
    if restarted:
        await notify_pending(session)
    return restarted


async def close_cancelled(session: AsyncSession, key: WorkflowKey, why: str) -> bool:
    """End a task whose workflow was cancelled or terminated from outside."""
    statement = text(
        """
        WITH lost AS (
            UPDATE attempts SET status = 'cancelled', finished_at = now(), why = :why
            WHERE task_id = :id AND generation = :generation AND status = 'running'
        )
        UPDATE tasks SET status = 'cancelled', parked_for = NULL, next_attempt_at = NULL, claimed_until = NULL,
            finished_at = now(), updated_at = now(), why = :why
        WHERE id = :id AND generation = :generation AND status = ANY(:sources)
        RETURNING id
        """
    )
    values = {
        "id": key.id,
        "generation": key.generation,
        "why": why,
        "sources": sorted(sources_of(TaskStatus.CANCELLED)),
    }
    return (await session.execute(statement, values)).first() is not None


def _attempt_key(command: DispatchCommand) -> dict[str, Any]:
    return {"task_id": UUID(command.task_id), "generation": command.generation, "number": command.number}
