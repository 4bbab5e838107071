"""The tables.

States and their shape are guarded by CHECK constraints that are made from `redrive.core.states`, so that code, database
and diagram cannot drift apart. Payloads are apart from tasks: lists and updates never touch them, and an edited payload
keeps its original as an earlier revision.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Computed,
    DateTime,
    Double,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSON, JSONB
from sqlalchemy.orm import declared_attr
from sqlmodel import Field, SQLModel

from redrive.core.bulk import LIVE, Outcome, RedriveStatus
from redrive.core.states import OPEN, TERMINAL, AttemptStatus, DeadReason, ParkedFor, TaskStatus

_NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Table(SQLModel):
    """Base of all tables; it carries their common metadata."""

    metadata = MetaData(naming_convention=_NAMING)

    @declared_attr.directive
    @classmethod
    def __tablename__(cls) -> str:  # pyright: ignore[reportIncompatibleVariableOverride] - SQLModel declares a plain declared_attr
        """The plural of the class's name, in snake case."""
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()
        return f"{name[:-1]}ies" if name.endswith("y") and not name.endswith("key") else f"{name}s"


def _any_of(column: str, values: Iterable[str]) -> str:
    listed = ", ".join(f"'{value}'" for value in sorted(values))
    return f"{column} IN ({listed})"


def _instant(*, nullable: bool = False, now: bool = False) -> Any:
    default = text("now()") if now else None
    return Column(DateTime(timezone=True), nullable=nullable, server_default=default)


def _document(default: str | None = "{}", *, nullable: bool = False) -> Any:
    return Column(JSONB, nullable=nullable, server_default=None if default is None else text(f"'{default}'"))


def _text(*, nullable: bool = False, default: str | None = None) -> Any:
    return Column(Text, nullable=nullable, server_default=None if default is None else text(f"'{default}'"))


def _number(default: int, kind: Any = None) -> Any:
    return Field(default=default, sa_type=kind or Integer, sa_column_kwargs={"server_default": text(str(default))})


TARGET_KEY: Final = (
    "CASE WHEN (target ->> 'kind'::text) = 'webhook'::text"
    """ THEN 'host:'::text || lower("substring"(target ->> 'url'::text, '^[^:]+://([^/?#]*)'::text))"""
    """ ELSE (('scene:'::text || "group") || '/'::text) || scene END"""
)
"""`redrive.core.health.target_key` as the database computes it, so that it is right however a task is changed."""


class Namespace(Table, table=True):
    """An isolation unit: a tenant or an environment."""

    name: str = Field(sa_column=Column(Text, primary_key=True))
    description: str = Field(default="", sa_column=_text(default=""))
    policy: dict[str, Any] = Field(default_factory=dict, sa_column=_document())
    callback_policy: dict[str, Any] = Field(default_factory=dict, sa_column=_document())
    auto_create: bool = Field(default=True, sa_column_kwargs={"server_default": text("true")})
    retention: dict[str, Any] = Field(default_factory=dict, sa_column=_document())
    created_at: datetime = Field(default=None, sa_column=_instant(now=True))


class Group(Table, table=True):
    """One client application."""

    __table_args__ = (ForeignKeyConstraint(["namespace"], ["namespaces.name"]),)

    namespace: str = Field(sa_column=Column(Text, primary_key=True))
    name: str = Field(sa_column=Column(Text, primary_key=True))
    description: str = Field(default="", sa_column=_text(default=""))
    policy: dict[str, Any] = Field(default_factory=dict, sa_column=_document())
    signing_secrets: list[str] = Field(default_factory=list, sa_column=_document("[]"))
    previous_secret_until: datetime | None = Field(default=None, sa_column=_instant(nullable=True))
    weight: float = _number(1, Double)
    auto_create: bool = Field(default=True, sa_column_kwargs={"server_default": text("true")})
    enabled: bool = Field(default=True, sa_column_kwargs={"server_default": text("true")})
    created_at: datetime = Field(default=None, sa_column=_instant(now=True))


class Scene(Table, table=True):
    """One kind of retryable operation. Its policies are in `scene_policies`, one row per version."""

    __table_args__ = (ForeignKeyConstraint(["namespace", "group"], ["groups.namespace", "groups.name"]),)

    namespace: str = Field(sa_column=Column(Text, primary_key=True))
    group: str = Field(sa_column=Column(Text, primary_key=True))
    name: str = Field(sa_column=Column(Text, primary_key=True))
    description: str = Field(default="", sa_column=_text(default=""))
    policy_version: int = _number(1)
    callbacks: dict[str, Any] = Field(default_factory=dict, sa_column=_document())
    callback_policy: dict[str, Any] = Field(default_factory=dict, sa_column=_document())
    payload_schema: dict[str, Any] = Field(default_factory=dict, sa_column=_document())
    schema_on_report: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})
    enabled: bool = Field(default=True, sa_column_kwargs={"server_default": text("true")})
    created_at: datetime = Field(default=None, sa_column=_instant(now=True))


class ScenePolicy(Table, table=True):
    """One version of a scene's policy. Rows are only added."""

    __table_args__ = (
        ForeignKeyConstraint(
            ["namespace", "group", "scene"], ["scenes.namespace", "scenes.group", "scenes.name"], ondelete="CASCADE"
        ),
    )

    namespace: str = Field(sa_column=Column(Text, primary_key=True))
    group: str = Field(sa_column=Column(Text, primary_key=True))
    scene: str = Field(sa_column=Column(Text, primary_key=True))
    version: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    policy: dict[str, Any] = Field(default_factory=dict, sa_column=_document())
    author: str | None = Field(default=None, sa_column=_text(nullable=True))
    note: str = Field(default="", sa_column=_text(default=""))
    created_at: datetime = Field(default=None, sa_column=_instant(now=True))


class Node(Table, table=True):
    """A client process that registered and sends heartbeats."""

    __table_args__ = (
        CheckConstraint("status IN ('live', 'draining')", name="status"),
        Index("ix_nodes_group", "namespace", "group", "last_heartbeat_at"),
    )

    id: str = Field(sa_column=Column(Text, primary_key=True))
    namespace: str = Field(sa_column=_text())
    group: str = Field(sa_column=_text())
    url: str = Field(sa_column=_text())
    status: str = Field(default="live", sa_column=_text(default="live"))
    labels: dict[str, str] = Field(default_factory=dict, sa_column=_document())
    version: str | None = Field(default=None, sa_column=_text(nullable=True))
    executors: list[str] = Field(default_factory=list, sa_column=_document("[]"))
    capacity: int | None = Field(default=None)
    in_flight: int = _number(0)
    spool_size: int = _number(0)
    spool_oldest_seconds: float | None = Field(default=None)
    errors: int = _number(0, BigInteger)
    registered_at: datetime = Field(default=None, sa_column=_instant(now=True))
    live_since: datetime = Field(default=None, sa_column=_instant(now=True))
    last_heartbeat_at: datetime = Field(default=None, sa_column=_instant(now=True))


class Task(Table, table=True):
    """One failed call that is to be retried: the mirror of its workflow, and before that its only home."""

    __table_args__ = (
        CheckConstraint(_any_of("status", TaskStatus), name="status"),
        CheckConstraint(f"dead_reason IS NULL OR {_any_of('dead_reason', DeadReason)}", name="dead_reason"),
        CheckConstraint("(status = 'dead') = (dead_reason IS NOT NULL)", name="dead_has_reason"),
        CheckConstraint(f"({_any_of('status', TERMINAL)}) = (finished_at IS NOT NULL)", name="ended_has_instant"),
        CheckConstraint("attempts >= 0 AND generation >= 1", name="counters"),
        CheckConstraint("priority BETWEEN 1 AND 5", name="priority"),
        CheckConstraint("kind IN ('task', 'callback', 'alert')", name="kind"),
        CheckConstraint(f"parked_for IS NULL OR {_any_of('parked_for', ParkedFor)}", name="parked_for"),
        # One task per key: from its report until its end, and then for as long as its report said.
        Index(
            "uq_tasks_dedupe_key",
            "namespace",
            "group",
            "scene",
            "dedupe_key",
            unique=True,
            postgresql_where=text("dedupe_key IS NOT NULL"),
        ),
        # One task per report, however often it is sent.
        Index(
            "uq_tasks_report_id",
            "namespace",
            "group",
            "report_id",
            unique=True,
            postgresql_where=text("report_id IS NOT NULL"),
        ),
        Index(
            "ix_tasks_idempotency_key",
            "namespace",
            "idempotency_key",
            "id",
            postgresql_where=text("idempotency_key IS NOT NULL"),
        ),
        # The starter's queue, by group: as small as the backlog, however many rows have gone through it.
        Index(
            "ix_tasks_pending", "namespace", "group", "next_attempt_at",
            postgresql_where=text("status = 'pending' AND queue_key IS NULL"),
        ),
        # What waits for the end of another task of its key, in the order of the reports.
        Index(
            "ix_tasks_queue", "namespace", "group", "scene", "queue_key", "id",
            postgresql_where=text("queue_key IS NOT NULL"),
        ),
        # What is due next, per namespace; also the reconciler's walk.
        Index("ix_tasks_due", "namespace", "next_attempt_at", "id", postgresql_where=text(_any_of("status", OPEN))),
        Index("ix_tasks_parked", "namespace", "group", "id", postgresql_where=text("status = 'parked'")),
        # What is parked for one target, in the order in which it is woken.
        Index(
            "ix_tasks_parked_target", "parked_for", "namespace", "target_key", "priority", "id",
            postgresql_where=text("status = 'parked'"),
        ),
        Index("ix_tasks_dead", "namespace", "finished_at", "id", postgresql_where=text("status = 'dead'")),
        Index(
            "ix_tasks_dead_fingerprint", "namespace", "fingerprint", "finished_at",
            postgresql_where=text("status = 'dead'"),
        ),
        Index(
            "ix_tasks_dead_scene", "namespace", "group", "scene", "finished_at", "id",
            postgresql_where=text("status = 'dead'"),
        ),
        # Lists, newest first: ids are UUIDv7, so their order is the order of creation.
        Index("ix_tasks_list", "namespace", "id"),
        Index("ix_tasks_list_scene", "namespace", "group", "scene", "id"),
        Index("ix_tasks_list_group", "namespace", "group", "status", "id"),
        Index("ix_tasks_list_status", "namespace", "status", "id"),
        Index("ix_tasks_updated", "namespace", "updated_at", "id"),
        Index(
            "ix_tasks_finished", "namespace", "finished_at", "id", postgresql_where=text("finished_at IS NOT NULL")
        ),
        Index("ix_tasks_priority", "namespace", "priority", "id"),
        Index("ix_tasks_attempts", "namespace", "attempts", "id"),
        Index(
            "ix_tasks_business_key", "namespace", "business_key", "id",
            postgresql_where=text("business_key IS NOT NULL"),
        ),
        Index("ix_tasks_parent", "parent_id", postgresql_where=text("parent_id IS NOT NULL")),
    )  # fmt: skip

    id: UUID = Field(primary_key=True)
    namespace: str = Field(sa_column=_text())
    group: str = Field(sa_column=_text())
    scene: str = Field(sa_column=_text())
    kind: str = Field(default="task", sa_column=_text(default="task"))
    parent_id: UUID | None = Field(default=None)
    redrive_id: UUID | None = Field(default=None)
    executor: str | None = Field(default=None, sa_column=_text(nullable=True))
    status: str = Field(default=TaskStatus.PENDING, sa_column=_text())
    dead_reason: str | None = Field(default=None, sa_column=_text(nullable=True))
    parked_for: str | None = Field(default=None, sa_column=_text(nullable=True))
    why: str = Field(default="", sa_column=_text(default=""))
    generation: int = _number(1)
    attempts: int = _number(0)
    counters: dict[str, Any] = Field(default_factory=dict, sa_column=_document())
    max_attempts: int
    mirror_version: int = _number(0, BigInteger)
    priority: int = _number(3)
    delay_seconds: float | None = Field(default=None)
    next_attempt_at: datetime | None = Field(default=None, sa_column=_instant(nullable=True))
    deadline: datetime | None = Field(default=None, sa_column=_instant(nullable=True))
    claimed_until: datetime | None = Field(default=None, sa_column=_instant(nullable=True))
    idempotency_key: str | None = Field(default=None, sa_column=_text(nullable=True))
    dedupe_key: str | None = Field(default=None, sa_column=_text(nullable=True))
    queue_key: str | None = Field(default=None, sa_column=_text(nullable=True))
    dedupe_seconds: float | None = Field(default=None)
    report_id: str | None = Field(default=None, sa_column=_text(nullable=True))
    payload_hash: str = Field(sa_column=_text())
    payload_revision: int = _number(1)
    business_key: str | None = Field(default=None, sa_column=_text(nullable=True))
    duplicates: int = _number(0)
    callbacks: dict[str, Any] | None = Field(default=None, sa_column=_document(None, nullable=True))
    target: dict[str, Any] = Field(sa_column=_document(None))
    target_key: str = Field(default="", sa_column=Column(Text, Computed(TARGET_KEY, persisted=True), nullable=False))
    policy: dict[str, Any] = Field(sa_column=_document(None))
    policy_override: dict[str, Any] | None = Field(default=None, sa_column=_document(None, nullable=True))
    policy_version: int = _number(1)
    error_type: str | None = Field(default=None, sa_column=_text(nullable=True))
    error_message: str | None = Field(default=None, sa_column=_text(nullable=True))
    error_stack: str | None = Field(default=None, sa_column=_text(nullable=True))
    fingerprint: str | None = Field(default=None, sa_column=_text(nullable=True))
    trace_context: dict[str, Any] = Field(default_factory=dict, sa_column=_document())
    metadata_: dict[str, Any] = Field(
        default_factory=dict, sa_column=Column("metadata", JSONB, nullable=False, server_default=text("'{}'"))
    )
    created_at: datetime = Field(sa_column=_instant())
    started_at: datetime = Field(sa_column=_instant())
    updated_at: datetime = Field(sa_column=_instant())
    finished_at: datetime | None = Field(default=None, sa_column=_instant(nullable=True))


class Payload(Table, table=True):
    """What a target is given. JSON is kept as it came: key order and numbers unchanged."""

    __table_args__ = (
        ForeignKeyConstraint(["task_id"], ["tasks.id"], ondelete="CASCADE"),
        # The reports that replaced what was there; the first one is that of the task.
        Index("ix_payloads_report_id", "report_id", postgresql_where=text("report_id IS NOT NULL")),
    )

    task_id: UUID = Field(primary_key=True)
    revision: int = Field(default=1, primary_key=True, sa_column_kwargs={"autoincrement": False})
    report_id: str | None = Field(default=None, sa_column=_text(nullable=True))
    args: list[Any] = Field(sa_column=Column(JSON, nullable=False))
    kwargs: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    body: Any = Field(default=None, sa_column=Column(JSON, nullable=True))
    author: str | None = Field(default=None, sa_column=_text(nullable=True))
    reason: str | None = Field(default=None, sa_column=_text(nullable=True))
    created_at: datetime = Field(default=None, sa_column=_instant(now=True))


class Attempt(Table, table=True):
    """One execution of a task by its target."""

    __table_args__ = (
        ForeignKeyConstraint(["task_id"], ["tasks.id"], ondelete="CASCADE"),
        CheckConstraint(_any_of("status", AttemptStatus), name="status"),
        CheckConstraint("(status = 'running') = (finished_at IS NULL)", name="ended_has_instant"),
        CheckConstraint("generation >= 1 AND number >= 1 AND deliveries >= 1", name="counters"),
        # Statistics read ranges of time in the order of insertion, which is what BRIN is made for.
        Index("ix_attempts_started_at", "started_at", postgresql_using="brin"),
    )

    task_id: UUID = Field(primary_key=True)
    generation: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    number: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    namespace: str = Field(sa_column=_text())
    group: str = Field(sa_column=_text())
    scene: str = Field(sa_column=_text())
    status: str = Field(default=AttemptStatus.RUNNING, sa_column=_text())
    trigger: str = Field(default="timer", sa_column=_text(default="timer"))
    probe: str | None = Field(default=None, sa_column=_text(nullable=True))
    payload_revision: int | None = Field(default=None)
    deliveries: int = _number(1)
    due_at: datetime = Field(sa_column=_instant())
    started_at: datetime = Field(sa_column=_instant())
    finished_at: datetime | None = Field(default=None, sa_column=_instant(nullable=True))
    node_id: str | None = Field(default=None, sa_column=_text(nullable=True))
    url: str | None = Field(default=None, sa_column=_text(nullable=True))
    http_status: int | None = Field(default=None)
    response: str | None = Field(default=None, sa_column=_text(nullable=True))
    error_type: str | None = Field(default=None, sa_column=_text(nullable=True))
    error_message: str | None = Field(default=None, sa_column=_text(nullable=True))
    error_stack: str | None = Field(default=None, sa_column=_text(nullable=True))
    error_bases: list[str] = Field(default_factory=list, sa_column=_document("[]"))
    fingerprint: str | None = Field(default=None, sa_column=_text(nullable=True))
    retry_after_seconds: float | None = Field(default=None)
    stop: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})
    logs: list[dict[str, Any]] = Field(default_factory=list, sa_column=_document("[]"))
    why: str | None = Field(default=None, sa_column=_text(nullable=True))
    delay_seconds: float | None = Field(default=None)
    next_attempt_at: datetime | None = Field(default=None, sa_column=_instant(nullable=True))


class TargetState(Table, table=True):
    """What all workers know of a target together (`redrive.core.health`).

    The row is rewritten about twice a second while its target is in use, so half of each page is left for that.
    """

    __table_args__ = (
        ForeignKeyConstraint(["namespace"], ["namespaces.name"], ondelete="CASCADE"),
        Index("ix_target_states_opened", "namespace", "key", postgresql_where=text("opened")),
        {"postgresql_with": {"fillfactor": 50}},
    )

    namespace: str = Field(sa_column=Column(Text, primary_key=True))
    key: str = Field(sa_column=Column(Text, primary_key=True))
    version: int = _number(1, BigInteger)
    state: dict[str, Any] = Field(sa_column=_document(None))
    opened: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})
    rules: dict[str, Any] = Field(default_factory=dict, sa_column=_document())
    released_at: datetime | None = Field(default=None, sa_column=_instant(nullable=True))
    carry: float = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    updated_at: datetime = Field(default=None, sa_column=_instant(now=True))


class TargetEvent(Table, table=True):
    """Something that happened to the breaker of a target."""

    __table_args__ = (
        ForeignKeyConstraint(
            ["namespace", "key"], ["target_states.namespace", "target_states.key"], ondelete="CASCADE"
        ),
        Index("ix_target_events_key", "namespace", "key", "id"),
        CheckConstraint("id > 0", name="id"),
    )

    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True, autoincrement=True))
    namespace: str = Field(sa_column=_text())
    key: str = Field(sa_column=_text())
    kind: str = Field(sa_column=_text())
    why: str = Field(sa_column=_text())
    at: datetime = Field(sa_column=_instant())


class AlertEvent(Table, table=True):
    """Something that people may want to hear of, written in the transaction that it tells about."""

    __table_args__ = (
        # Rules count what happened lately; the janitor deletes what happened long ago.
        Index("ix_alert_events_kind", "namespace", "kind", "created_at"),
        CheckConstraint("id > 0", name="id"),
    )

    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True, autoincrement=True))
    namespace: str = Field(sa_column=_text())
    group: str | None = Field(default=None, sa_column=_text(nullable=True))
    scene: str | None = Field(default=None, sa_column=_text(nullable=True))
    kind: str = Field(sa_column=_text())
    task_id: UUID | None = Field(default=None)
    facts: dict[str, Any] = Field(default_factory=dict, sa_column=_document())
    created_at: datetime = Field(default=None, sa_column=_instant(now=True))


class Limit(Table, table=True):
    """How often, and how many at a time, attempts of a scope may run; and the slots and turns that are given away."""

    __table_args__ = (
        ForeignKeyConstraint(["namespace"], ["namespaces.name"]),
        CheckConstraint("scope IN ('group', 'scene', 'target')", name="scope"),
        CheckConstraint("rate IS NOT NULL OR concurrency IS NOT NULL", name="limits_something"),
        CheckConstraint("rate > 0 AND burst >= 1 AND concurrency >= 1", name="numbers"),
    )

    namespace: str = Field(sa_column=Column(Text, primary_key=True))
    scope: str = Field(sa_column=Column(Text, primary_key=True))
    key: str = Field(sa_column=Column(Text, primary_key=True))
    rate: float | None = Field(default=None)
    burst: int = _number(1)
    concurrency: int | None = Field(default=None)
    tat: datetime | None = Field(default=None, sa_column=_instant(nullable=True))
    turn_at: datetime | None = Field(default=None, sa_column=_instant(nullable=True))
    average_seconds: float | None = Field(default=None)
    author: str | None = Field(default=None, sa_column=_text(nullable=True))
    updated_at: datetime = Field(default=None, sa_column=_instant(now=True))


class Permit(Table, table=True):
    """One attempt that runs under a limit on attempts at a time. It ends with the attempt, or by itself."""

    __table_args__ = (
        ForeignKeyConstraint(
            ["namespace", "scope", "key"], ["limits.namespace", "limits.scope", "limits.key"], ondelete="CASCADE"
        ),
        Index("ix_permits_task_id", "task_id"),
    )

    namespace: str = Field(sa_column=Column(Text, primary_key=True))
    scope: str = Field(sa_column=Column(Text, primary_key=True))
    key: str = Field(sa_column=Column(Text, primary_key=True))
    task_id: UUID = Field(primary_key=True)
    granted_at: datetime = Field(sa_column=_instant())
    until: datetime = Field(sa_column=_instant())


class Pause(Table, table=True):
    """Nothing of a scope runs while its row is there and its end has not come."""

    __table_args__ = (
        ForeignKeyConstraint(["namespace"], ["namespaces.name"]),
        CheckConstraint("scope IN ('namespace', 'group', 'scene', 'target')", name="scope"),
        CheckConstraint("(scope = 'namespace') = (key = '')", name="key"),
        Index("ix_pauses_scope", "namespace", "scope", "key"),
    )

    id: UUID = Field(primary_key=True)
    namespace: str = Field(sa_column=_text())
    scope: str = Field(sa_column=_text())
    key: str = Field(sa_column=_text())
    reason: str = Field(default="", sa_column=_text(default=""))
    author: str | None = Field(default=None, sa_column=_text(nullable=True))
    created_at: datetime = Field(default=None, sa_column=_instant(now=True))
    until: datetime | None = Field(default=None, sa_column=_instant(nullable=True))


class AlertChannel(Table, table=True):
    """A way by which alerts reach people. Its settings hold secrets, and are shown masked."""

    __table_args__ = (
        ForeignKeyConstraint(["namespace"], ["namespaces.name"]),
        Index("uq_alert_channels_name", "namespace", "name", unique=True),
    )

    id: UUID = Field(primary_key=True)
    namespace: str = Field(sa_column=_text())
    name: str = Field(sa_column=_text())
    kind: str = Field(sa_column=_text())
    settings: dict[str, Any] = Field(default_factory=dict, sa_column=_document())
    enabled: bool = Field(default=True, sa_column_kwargs={"server_default": text("true")})
    created_at: datetime = Field(default=None, sa_column=_instant(now=True))
    updated_at: datetime = Field(default=None, sa_column=_instant(now=True))


class AlertRule(Table, table=True):
    """When whom to tell of what."""

    __table_args__ = (
        ForeignKeyConstraint(["namespace"], ["namespaces.name"]),
        Index("uq_alert_rules_name", "namespace", "name", unique=True),
        Index("ix_alert_rules_due", "due_at", postgresql_where=text("enabled")),
    )

    id: UUID = Field(primary_key=True)
    namespace: str = Field(sa_column=_text())
    name: str = Field(sa_column=_text())
    rule: dict[str, Any] = Field(sa_column=_document(None))
    channels: list[str] = Field(default_factory=list, sa_column=_document("[]"))
    enabled: bool = Field(default=True, sa_column_kwargs={"server_default": text("true")})
    muted_until: datetime | None = Field(default=None, sa_column=_instant(nullable=True))
    evaluated_at: datetime | None = Field(default=None, sa_column=_instant(nullable=True))
    due_at: datetime = Field(default=None, sa_column=_instant(now=True))
    created_at: datetime = Field(default=None, sa_column=_instant(now=True))
    updated_at: datetime = Field(default=None, sa_column=_instant(now=True))


class AlertAlarm(Table, table=True):
    """What is known of one group of a rule (`redrive.core.alerting.Alarm`)."""

    __table_args__ = (ForeignKeyConstraint(["rule_id"], ["alert_rules.id"], ondelete="CASCADE"),)

    rule_id: UUID = Field(primary_key=True)
    key: str = Field(sa_column=Column(Text, primary_key=True))
    alarm: dict[str, Any] = Field(sa_column=_document(None))


class AlertNotice(Table, table=True):
    """Something that a rule told, or held back. It outlives its rule."""

    __table_args__ = (
        CheckConstraint("state IN ('firing', 'recovered', 'suppressed')", name="state"),
        Index("ix_alert_notices_list", "namespace", "id"),
        Index("ix_alert_notices_rule", "rule_id", "id"),
    )

    id: UUID = Field(primary_key=True)
    namespace: str = Field(sa_column=_text())
    rule_id: UUID
    rule_name: str = Field(sa_column=_text())
    event: str = Field(sa_column=_text())
    group: str | None = Field(default=None, sa_column=_text(nullable=True))
    scene: str | None = Field(default=None, sa_column=_text(nullable=True))
    where: dict[str, str] = Field(default_factory=dict, sa_column=_document())
    state: str = Field(sa_column=_text())
    cause: str | None = Field(default=None, sa_column=_text(nullable=True))
    incident: str = Field(sa_column=_text())
    summary: str = Field(sa_column=_text())
    value: float
    created_at: datetime = Field(sa_column=_instant())


class AlertDelivery(Table, table=True):
    """A notice on its way to a channel: a task of its own."""

    __table_args__ = (ForeignKeyConstraint(["notice_id"], ["alert_notices.id"], ondelete="CASCADE"),)

    notice_id: UUID = Field(primary_key=True)
    channel_id: UUID = Field(primary_key=True)
    task_id: UUID


class ApiKey(Table, table=True):
    """A key to the API, kept as the SHA-256 of its secret, which has 256 random bits and needs no slow hash."""

    __table_args__ = (
        ForeignKeyConstraint(["namespace"], ["namespaces.name"]),
        CheckConstraint('namespace IS NOT NULL OR "group" IS NULL', name="scope"),
    )

    id: UUID = Field(primary_key=True)
    name: str = Field(sa_column=_text())
    prefix: str = Field(sa_column=_text())
    hash: str = Field(sa_column=Column(Text, nullable=False, unique=True))
    namespace: str | None = Field(default=None, sa_column=_text(nullable=True))
    group: str | None = Field(default=None, sa_column=_text(nullable=True))
    created_at: datetime = Field(default=None, sa_column=_instant(now=True))
    expires_at: datetime | None = Field(default=None, sa_column=_instant(nullable=True))
    revoked_at: datetime | None = Field(default=None, sa_column=_instant(nullable=True))
    last_used_at: datetime | None = Field(default=None, sa_column=_instant(nullable=True))


class Redrive(Table, table=True):
    """A durable operation on many tasks: what was asked for, and how far it is. Its tasks are in `redrive_items`."""

    __table_args__ = (
        CheckConstraint(_any_of("status", RedriveStatus), name="status"),
        CheckConstraint(f"({_any_of('status', LIVE)}) = (finished_at IS NULL)", name="ended_has_instant"),
        CheckConstraint(
            "waiting >= 0 AND in_flight >= 0 AND succeeded >= 0 AND dead >= 0 AND skipped >= 0 AND failed >= 0"
            " AND total = waiting + in_flight + succeeded + dead + skipped + failed",
            name="adds_up",
        ),
        Index("ix_redrives_list", "namespace", "id"),
        # Those that somebody must look at: all that are live, and ended ones with tasks that have no last outcome yet.
        Index(
            "ix_redrives_open",
            "look_at",
            postgresql_where=text(f"{_any_of('status', LIVE)} OR waiting > 0 OR in_flight > 0"),
        ),
    )

    id: UUID = Field(primary_key=True)
    namespace: str = Field(sa_column=_text())
    group: str | None = Field(default=None, sa_column=_text(nullable=True))
    action: str = Field(sa_column=_text())
    status: str = Field(default=RedriveStatus.WAITING, sa_column=_text())
    why: str = Field(default="", sa_column=_text(default=""))
    selection: dict[str, Any] = Field(sa_column=_document(None))
    options: dict[str, Any] = Field(sa_column=_document(None))
    reason: str | None = Field(default=None, sa_column=_text(nullable=True))
    author: str | None = Field(default=None, sa_column=_text(nullable=True))
    total: int = _number(0)
    waiting: int = _number(0)
    in_flight: int = _number(0)
    succeeded: int = _number(0)
    dead: int = _number(0)
    skipped: int = _number(0)
    failed: int = _number(0)
    rate_now: float = Field(default=0.0, sa_column_kwargs={"server_default": text("0")})
    pace: dict[str, Any] = Field(default_factory=dict, sa_column=_document())
    look_at: datetime = Field(default=None, sa_column=_instant(now=True))
    looked_at: datetime | None = Field(default=None, sa_column=_instant(nullable=True))
    created_at: datetime = Field(default=None, sa_column=_instant(now=True))
    started_at: datetime | None = Field(default=None, sa_column=_instant(nullable=True))
    finished_at: datetime | None = Field(default=None, sa_column=_instant(nullable=True))


class RedriveItem(Table, table=True):
    """One task of a redrive. The task itself may have been deleted meanwhile; what became of it here stays."""

    __table_args__ = (
        ForeignKeyConstraint(["redrive_id"], ["redrives.id"], ondelete="CASCADE"),
        CheckConstraint(_any_of("outcome", Outcome), name="outcome"),
        Index("ix_redrive_items_outcome", "redrive_id", "outcome", "position"),
        Index("ix_redrive_items_task", "task_id"),
    )

    redrive_id: UUID = Field(primary_key=True)
    position: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    task_id: UUID
    generation: int
    outcome: str = Field(default=Outcome.WAITING, sa_column=_text(default=Outcome.WAITING))
    why: str = Field(default="", sa_column=_text(default=""))
    started_generation: int | None = Field(default=None)
    started_at: datetime | None = Field(default=None, sa_column=_instant(nullable=True))
    finished_at: datetime | None = Field(default=None, sa_column=_instant(nullable=True))


class Reconciliation(Table, table=True):
    """One comparison of engine and mirror: how much was looked at and what was repaired."""

    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True, autoincrement=True))
    started_at: datetime = Field(sa_column=_instant())
    finished_at: datetime = Field(sa_column=_instant())
    rows_checked: int
    workflows_checked: int
    restarted: int
    cancelled: int
    closed: int


class AuditEntry(Table, table=True):
    """What a person changed. It outlives what it tells about."""

    __table_args__ = (
        Index("ix_audit_entries_list", "namespace", "id"),
        Index("ix_audit_entries_subject", "namespace", "subject_kind", "subject_id", "id"),
    )

    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True, autoincrement=True))
    namespace: str = Field(sa_column=_text())
    group: str | None = Field(default=None, sa_column=_text(nullable=True))
    actor: str = Field(sa_column=_text())
    action: str = Field(sa_column=_text())
    subject_kind: str = Field(sa_column=_text())
    subject_id: str = Field(sa_column=_text())
    facts: dict[str, Any] = Field(default_factory=dict, sa_column=_document())
    reason: str | None = Field(default=None, sa_column=_text(nullable=True))
    created_at: datetime = Field(default=None, sa_column=_instant(now=True))


class TaskMove(Table, table=True):
    """A task that came into a state (`change` 1) or left it (−1): what the tallies have not counted yet.

    Triggers write it in the transaction of the move, so that the tallies with it always agree with the tasks.
    """

    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True, autoincrement=True))
    namespace: str = Field(sa_column=_text())
    group: str = Field(sa_column=_text())
    scene: str = Field(sa_column=_text())
    status: str = Field(sa_column=_text())
    due_at: datetime | None = Field(default=None, sa_column=_instant(nullable=True))
    ended_at: datetime | None = Field(default=None, sa_column=_instant(nullable=True))
    attempts: int = _number(0)
    change: int


class AttemptEnd(Table, table=True):
    """An attempt that ended, which the tallies have not counted yet. A trigger writes it."""

    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True, autoincrement=True))
    namespace: str = Field(sa_column=_text())
    group: str = Field(sa_column=_text())
    scene: str = Field(sa_column=_text())
    ended_at: datetime = Field(sa_column=_instant())
    failed: bool
    lag_bucket: int


class StatusTally(Table, table=True):
    """How many tasks of a scene are in a status."""

    namespace: str = Field(sa_column=Column(Text, primary_key=True))
    group: str = Field(sa_column=Column(Text, primary_key=True))
    scene: str = Field(sa_column=Column(Text, primary_key=True))
    status: str = Field(sa_column=Column(Text, primary_key=True))
    count: int = _number(0, BigInteger)


class DueTally(Table, table=True):
    """How many tasks of a group have their next attempt in a minute."""

    namespace: str = Field(sa_column=Column(Text, primary_key=True))
    at: datetime = Field(sa_column=Column(DateTime(timezone=True), primary_key=True))
    group: str = Field(sa_column=Column(Text, primary_key=True))
    count: int = _number(0, BigInteger)


class EndTally(Table, table=True):
    """How many tasks of a scene, as they are now, ended in a span of time."""

    namespace: str = Field(sa_column=Column(Text, primary_key=True))
    seconds: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    at: datetime = Field(sa_column=Column(DateTime(timezone=True), primary_key=True))
    group: str = Field(sa_column=Column(Text, primary_key=True))
    scene: str = Field(sa_column=Column(Text, primary_key=True))
    status: str = Field(sa_column=Column(Text, primary_key=True))
    count: int = _number(0, BigInteger)


class SuccessTally(Table, table=True):
    """How many tasks of a group, as they are now, succeeded in a span of time, by how many attempts they needed."""

    namespace: str = Field(sa_column=Column(Text, primary_key=True))
    seconds: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    at: datetime = Field(sa_column=Column(DateTime(timezone=True), primary_key=True))
    group: str = Field(sa_column=Column(Text, primary_key=True))
    attempts: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    count: int = _number(0, BigInteger)


class AttemptTally(Table, table=True):
    """How many attempts of a scene ended in a span of time, and how many of them failed."""

    namespace: str = Field(sa_column=Column(Text, primary_key=True))
    seconds: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    at: datetime = Field(sa_column=Column(DateTime(timezone=True), primary_key=True))
    group: str = Field(sa_column=Column(Text, primary_key=True))
    scene: str = Field(sa_column=Column(Text, primary_key=True))
    count: int = _number(0, BigInteger)
    failed: int = _number(0, BigInteger)


class AttemptTotal(Table, table=True):
    """How many attempts of a scene have ended since the beginning, and how many of them failed."""

    namespace: str = Field(sa_column=Column(Text, primary_key=True))
    group: str = Field(sa_column=Column(Text, primary_key=True))
    scene: str = Field(sa_column=Column(Text, primary_key=True))
    count: int = _number(0, BigInteger)
    failed: int = _number(0, BigInteger)


class LagTally(Table, table=True):
    """How many attempts of a group that ended in a span of time had begun how late (`redrive.core.histogram`)."""

    namespace: str = Field(sa_column=Column(Text, primary_key=True))
    seconds: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    at: datetime = Field(sa_column=Column(DateTime(timezone=True), primary_key=True))
    group: str = Field(sa_column=Column(Text, primary_key=True))
    bucket: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    count: int = _number(0, BigInteger)


class DeadLetterChange(Table, table=True):
    """A task that has become a dead letter (1), or is none any more (-1): written by triggers on `tasks`.

    Rows are only added by those who change tasks, so that forty thousand deaths of one error do not wait for each
    other, and are folded into `dead_letter_totals` and `dead_letter_hours` beside the work.
    """

    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True, autoincrement=True))
    namespace: str = Field(sa_column=_text())
    fingerprint: str = Field(sa_column=_text())
    group: str = Field(sa_column=_text())
    scene: str = Field(sa_column=_text())
    kind: str = Field(sa_column=_text())
    dead_reason: str = Field(sa_column=_text())
    finished_at: datetime = Field(sa_column=_instant())
    task_id: UUID
    change: int


class DeadLetterTotal(Table, table=True):
    """How many dead letters there are of one error, scene and reason. `fingerprint` is `none` for those without error.

    First and last seen tell of all deaths since there were none; the sample is the last of them.
    """

    namespace: str = Field(sa_column=Column(Text, primary_key=True))
    fingerprint: str = Field(sa_column=Column(Text, primary_key=True))
    group: str = Field(sa_column=Column(Text, primary_key=True))
    scene: str = Field(sa_column=Column(Text, primary_key=True))
    kind: str = Field(sa_column=Column(Text, primary_key=True))
    dead_reason: str = Field(sa_column=Column(Text, primary_key=True))
    count: int = Field(sa_type=BigInteger)
    first_seen: datetime = Field(sa_column=_instant())
    last_seen: datetime = Field(sa_column=_instant())
    sample_id: UUID


class DeadLetterHour(Table, table=True):
    """The same by the hour of death, for ranges of time and the sparklines of one scene."""

    __table_args__ = (Index("ix_dead_letter_hours_hour", "namespace", "hour"),)

    namespace: str = Field(sa_column=Column(Text, primary_key=True))
    fingerprint: str = Field(sa_column=Column(Text, primary_key=True))
    hour: datetime = Field(sa_column=Column(DateTime(timezone=True), primary_key=True))
    group: str = Field(sa_column=Column(Text, primary_key=True))
    scene: str = Field(sa_column=Column(Text, primary_key=True))
    kind: str = Field(sa_column=Column(Text, primary_key=True))
    dead_reason: str = Field(sa_column=Column(Text, primary_key=True))
    count: int = Field(sa_type=BigInteger)


class DeadLetterSpan(Table, table=True):
    """The same by the day and the week of death, for long ranges of time.

    Triggers on `dead_letter_hours` keep it, so that it agrees with them whichever version of Redrive folds. Spans begin
    at whole multiples of their length since 1970.
    """

    __table_args__ = (Index("ix_dead_letter_spans_at", "namespace", "seconds", "at"),)

    namespace: str = Field(sa_column=Column(Text, primary_key=True))
    fingerprint: str = Field(sa_column=Column(Text, primary_key=True))
    seconds: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    at: datetime = Field(sa_column=Column(DateTime(timezone=True), primary_key=True))
    group: str = Field(sa_column=Column(Text, primary_key=True))
    scene: str = Field(sa_column=Column(Text, primary_key=True))
    kind: str = Field(sa_column=Column(Text, primary_key=True))
    dead_reason: str = Field(sa_column=Column(Text, primary_key=True))
    count: int = Field(sa_type=BigInteger)


class DeadLetterErrorHour(Table, table=True):
    """How many dead letters there are of one error by the hour of death, for sparklines. Kept by the same triggers."""

    namespace: str = Field(sa_column=Column(Text, primary_key=True))
    fingerprint: str = Field(sa_column=Column(Text, primary_key=True))
    hour: datetime = Field(sa_column=Column(DateTime(timezone=True), primary_key=True))
    count: int = Field(sa_type=BigInteger)


class DeadLetterNote(Table, table=True):
    """What people said about one error: seen, muted, and a remark."""

    namespace: str = Field(sa_column=Column(Text, primary_key=True))
    fingerprint: str = Field(sa_column=Column(Text, primary_key=True))
    acknowledged_at: datetime | None = Field(default=None, sa_column=_instant(nullable=True))
    acknowledged_by: str | None = Field(default=None, sa_column=_text(nullable=True))
    muted_until: datetime | None = Field(default=None, sa_column=_instant(nullable=True))
    note: str = Field(default="", sa_column=_text(default=""))


class SavedView(Table, table=True):
    """A filter of a page of the console that somebody gave a name."""

    __table_args__ = (
        ForeignKeyConstraint(["namespace"], ["namespaces.name"], ondelete="CASCADE"),
        Index("uq_saved_views_name", "namespace", "page", "name", unique=True),
    )

    id: UUID = Field(primary_key=True)
    namespace: str = Field(sa_column=_text())
    page: str = Field(sa_column=_text())
    name: str = Field(sa_column=_text())
    query: str = Field(sa_column=_text())
    author: str | None = Field(default=None, sa_column=_text(nullable=True))
    created_at: datetime = Field(default=None, sa_column=_instant(now=True))
    updated_at: datetime = Field(default=None, sa_column=_instant(now=True))
