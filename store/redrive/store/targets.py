"""Queries on what all workers know of targets together, and on the tasks that are parked for them.

Whoever changes a target's state holds its row, so that nothing is lost and nothing has to be done again; rows are
locked in the order of their keys. What happens to a breaker is written in the transaction of the change, to its history
and as an event that alerts may be about.

All instants are the database's, whose clock is the only one that all workers share.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, TypeAlias
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from redrive.core.breaker import Event
from redrive.core.documents import decode, encode
from redrive.core.health import (
    Health,
    OwnedRules,
    Rules,
    begin_slow_start,
    is_settled,
    parse_health,
    render_health,
    unknown,
)
from redrive.core.restraints import Scope
from redrive.core.states import ParkedFor
from redrive.store.alerts import insert_event
from redrive.store.tables import TargetEvent
from redrive.store.tasks import CLAIM_SECONDS, RELEASES_CHANNEL, WorkflowKey

HELD: Final = (ParkedFor.BREAKER, ParkedFor.PUSHBACK, ParkedFor.PAUSE)
"""What tasks of a target wait for that are let go by slow start."""

KEPT_EVENTS: Final = 100
"""Events that the history of one breaker has."""

TargetName: TypeAlias = tuple[str, str]
"""A namespace, and the key of a target in it (`redrive.core.health.target_key`)."""


@dataclass(frozen=True, slots=True)
class StoredTarget:
    """A target as its row has it.

    Attributes:
        version: One more with each change.
        health: What is known of it.
        rules: By which rules.
        released_at: When parked tasks were last let go.
        carry: What part of a task was left over then.
    """

    name: TargetName
    version: int
    health: Health
    rules: OwnedRules
    released_at: datetime | None = None
    carry: float = 0.0


@dataclass(frozen=True, slots=True)
class ListedTarget:
    """A target as lists show it.

    Attributes:
        stored: The target.
        parked: How many tasks are parked for it.
        updated_at: When it last changed.
    """

    stored: StoredTarget
    parked: int
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Unsettled:
    """A target that is not plainly up, or for which tasks are parked.

    Attributes:
        target: The target, which this transaction holds.
        waited: Whether tasks are parked for it.
        resumed: Whether some of them were paused, and are no longer.
    """

    target: StoredTarget
    waited: bool
    resumed: bool


async def clock(session: AsyncSession) -> datetime:
    """Tell the database's time."""
    now: datetime = (await session.execute(text("SELECT clock_timestamp()"))).scalar_one()
    return now


async def load_targets(session: AsyncSession, known: Mapping[TargetName, int]) -> dict[TargetName, StoredTarget]:
    """Load the targets that have changed.

    Args:
        session: Any session.
        known: The version that is known of each one asked for; 0 for none.
    """
    statement = text(
        f"""
        SELECT {_COLUMNS} FROM target_states JOIN unnest(
            CAST(:namespaces AS text[]), CAST(:keys AS text[]), CAST(:versions AS bigint[])
        ) AS known(namespace, key, known) USING (namespace, key)
        WHERE version <> known
        """  # noqa: S608 - built from this module's constants only
    )
    rows = await session.execute(statement, {**_names(known), "versions": list(known.values())})
    return _by_name(rows)


async def lock_targets(
    session: AsyncSession, wanted: Mapping[TargetName, tuple[Health, OwnedRules]]
) -> dict[TargetName, StoredTarget]:
    """Hold the rows of targets until the transaction ends, and make those that are missing.

    Args:
        session: A transaction.
        wanted: The targets, with what a missing one begins with. Those whose namespace is gone are left out.
    """
    found = await _lock(session, wanted)
    missing = {name: first for name, first in wanted.items() if name not in found}
    if not missing:
        return found
    statement = text(
        """
        INSERT INTO target_states (namespace, key, state, rules)
        SELECT namespace, key, CAST(state AS jsonb), CAST(rules AS jsonb) FROM unnest(
            CAST(:namespaces AS text[]), CAST(:keys AS text[]), CAST(:states AS text[]), CAST(:rules AS text[])
        ) AS missing(namespace, key, state, rules)
        WHERE EXISTS (SELECT FROM namespaces WHERE name = missing.namespace)
        ORDER BY namespace, key
        ON CONFLICT DO NOTHING
        """
    )
    values = {
        **_names(missing),
        "states": [json.dumps(render_health(health)) for health, _ in missing.values()],
        "rules": [json.dumps(encode(rules)) for _, rules in missing.values()],
    }
    await session.execute(statement, values)
    return await _lock(session, wanted)


async def find_target(session: AsyncSession, name: TargetName, *, lock: bool = False) -> StoredTarget | None:
    """Find one target.

    Args:
        session: A transaction, when the row is to be locked.
        name: Its namespace and key.
        lock: Whether to hold the row until the transaction ends.
    """
    if lock:
        return (await _lock(session, [name])).get(name)
    return (await load_targets(session, {name: 0})).get(name)


async def store_targets(
    session: AsyncSession, changed: Sequence[StoredTarget], events: Mapping[TargetName, Sequence[Event]]
) -> None:
    """Write targets that this transaction holds, and what happened to them.

    Args:
        session: The transaction that locked them.
        changed: The targets; each gets the version after the one given.
        events: What happened, by target.
    """
    statement = text(
        """
        UPDATE target_states SET version = written.version + 1, state = CAST(written.state AS jsonb),
            rules = CAST(written.rules AS jsonb), opened = written.opened, released_at = written.released_at,
            carry = written.carry, updated_at = clock_timestamp()
        FROM unnest(
            CAST(:namespaces AS text[]), CAST(:keys AS text[]), CAST(:versions AS bigint[]), CAST(:states AS text[]),
            CAST(:rules AS text[]), CAST(:opened AS bool[]), CAST(:released AS timestamptz[]),
            CAST(:carries AS float8[])
        ) AS written(namespace, key, version, state, rules, opened, released_at, carry)
        WHERE (target_states.namespace, target_states.key) = (written.namespace, written.key)
        """
    )
    values = {
        **_names([target.name for target in changed]),
        "versions": [target.version for target in changed],
        "states": [json.dumps(render_health(target.health)) for target in changed],
        "rules": [json.dumps(encode(target.rules)) for target in changed],
        "opened": [not is_settled(target.health) for target in changed],
        "released": [target.released_at for target in changed],
        "carries": [target.carry for target in changed],
    }
    await session.execute(statement, values)
    if any(events.values()):
        await _tell(session, changed, events)


async def notify_targets(session: AsyncSession) -> None:
    """Let parked tasks be looked at when the transaction commits."""
    await session.execute(text("SELECT pg_notify(:channel, '')"), {"channel": RELEASES_CHANNEL})


# --- What people see --------------------------------------------------------------------------------------------------


async def list_targets(
    session: AsyncSession, namespace: str, *, group: str | None = None, after: str | None = None, limit: int = 50
) -> list[ListedTarget]:
    """List the targets of a namespace by key.

    Args:
        session: Any session.
        namespace: Their namespace.
        group: Only the scenes of this group; None for all, with hosts.
        after: Begin behind this key.
        limit: The most targets.
    """
    statement = text(
        f"""
        SELECT {_COLUMNS}, updated_at, {_PARKED} AS parked FROM target_states
        WHERE namespace = :namespace AND (CAST(:after AS text) IS NULL OR key > :after)
            AND (CAST(:group AS text) IS NULL OR starts_with(key, 'scene:' || :group || '/'))
        ORDER BY key LIMIT :limit
        """  # noqa: S608 - built from this module's constants only
    )
    values = {"namespace": namespace, "group": group, "after": after, "limit": limit, "kinds": list(HELD)}
    return [_listed(row) for row in await session.execute(statement, values)]


async def find_listed(session: AsyncSession, name: TargetName) -> ListedTarget | None:
    """Find one target as lists show it."""
    statement = text(
        f"""
        SELECT {_COLUMNS}, updated_at, {_PARKED} AS parked FROM target_states
        WHERE namespace = :namespace AND key = :key
        """  # noqa: S608 - built from this module's constants only
    )
    values = {"namespace": name[0], "key": name[1], "kinds": list(HELD)}
    row = (await session.execute(statement, values)).one_or_none()
    return None if row is None else _listed(row)


async def list_events(session: AsyncSession, name: TargetName, limit: int = KEPT_EVENTS) -> list[TargetEvent]:
    """List what happened to the breaker of a target, the newest first."""
    where = (col(TargetEvent.namespace) == name[0], col(TargetEvent.key) == name[1])
    statement = select(TargetEvent).where(*where).order_by(col(TargetEvent.id).desc()).limit(limit)
    return list((await session.scalars(statement)).all())


# --- Letting parked tasks go ------------------------------------------------------------------------------------------

# The targets for which tasks are parked are found by hopping over the index, so that a round costs by the number of
# targets and not by the backlog.
_WAITING: Final = """
    WITH RECURSIVE waiting AS (
        SELECT first.* FROM unnest(CAST(:kinds AS text[])) AS reason CROSS JOIN LATERAL (
            SELECT parked_for, namespace, target_key FROM tasks
            WHERE status = 'parked' AND parked_for = reason ORDER BY namespace, target_key LIMIT 1
        ) AS first
        UNION ALL
        SELECT following.* FROM waiting CROSS JOIN LATERAL (
            SELECT parked_for, namespace, target_key FROM tasks
            WHERE status = 'parked' AND parked_for = waiting.parked_for
                AND (namespace, target_key) > (waiting.namespace, waiting.target_key)
            ORDER BY namespace, target_key LIMIT 1
        ) AS following
    )
"""
_UNSETTLED: Final = """
    FROM target_states WHERE opened OR (namespace, key) IN (SELECT namespace, target_key FROM waiting)
"""
_TAKE_UNSETTLED: Final = """
    SELECT {columns}, EXISTS (
        SELECT FROM waiting WHERE waiting.namespace = target_states.namespace AND target_key = target_states.key
    ) AS waited, EXISTS (
        SELECT FROM (
            SELECT namespace, "group", scene, target_key FROM tasks
            WHERE status = 'parked' AND parked_for = 'pause' AND tasks.namespace = target_states.namespace
                AND target_key = target_states.key
            ORDER BY priority, id LIMIT 100
        ) AS tasks WHERE NOT {paused}
    ) AS resumed
    {unsettled}
    ORDER BY namespace, key
    FOR UPDATE SKIP LOCKED
"""


async def lock_unsettled(session: AsyncSession) -> list[Unsettled]:
    """Hold the targets that are not plainly up, or for which tasks are parked, unless somebody else holds them.

    Args:
        session: A transaction.
    """
    statement = text(_WAITING + _TAKE_UNSETTLED.format(columns=_COLUMNS, paused=_PAUSED, unsettled=_UNSETTLED))
    rows = await session.execute(statement, {"kinds": list(HELD)})
    return [Unsettled(_stored(row), row.waited, row.resumed) for row in rows]


async def count_unsettled(session: AsyncSession) -> int:
    """Count the targets that `lock_unsettled` would hold if nobody else held any."""
    statement = text(f"{_WAITING} SELECT count(*) {_UNSETTLED}")
    return int((await session.execute(statement, {"kinds": list(HELD)})).scalar_one())


async def claim_parked_for(session: AsyncSession, wanted: Mapping[TargetName, int]) -> list[WorkflowKey]:
    """Take tasks that are parked for targets, to be woken: the most urgent first, of those the oldest.

    Args:
        session: The transaction that holds the targets.
        wanted: How many of each.
    """
    statement = text(
        f"""
        WITH picked AS MATERIALIZED (
            SELECT chosen.id FROM unnest(
                CAST(:namespaces AS text[]), CAST(:keys AS text[]), CAST(:counts AS int[])
            ) AS wanted(namespace, key, count) CROSS JOIN LATERAL (
                SELECT id FROM tasks
                WHERE status = 'parked' AND parked_for = ANY(:kinds) AND tasks.namespace = wanted.namespace
                    AND target_key = wanted.key AND (claimed_until IS NULL OR claimed_until < clock_timestamp())
                    AND NOT (parked_for = 'pause' AND {_PAUSED})
                ORDER BY priority, id LIMIT wanted.count FOR UPDATE SKIP LOCKED
            ) AS chosen
        )
        UPDATE tasks SET claimed_until = clock_timestamp() + make_interval(secs => :seconds)
        FROM picked WHERE tasks.id = picked.id
        RETURNING tasks.namespace, tasks.id, tasks.generation, tasks.status
        """  # noqa: S608 - built from this module's constants only
    )
    values = {
        **_names(wanted),
        "counts": list(wanted.values()),
        "kinds": list(HELD),
        "seconds": CLAIM_SECONDS,
    }
    return [WorkflowKey(**row) for row in (await session.execute(statement, values)).mappings()]


async def begin_slow_starts(session: AsyncSession, namespace: str, scope: Scope, key: str) -> None:
    """Let what a pause has held return slowly: begin the slow start of each target that its tasks go to.

    Args:
        session: The transaction that ends the pause.
        namespace: Its namespace.
        scope: What kind of scope it was on.
        key: Its name.
    """
    statement = text(
        """
        SELECT DISTINCT target_key FROM tasks
        WHERE namespace = :namespace AND (status = 'pending' OR (status = 'parked' AND parked_for = 'pause'))
            AND CASE :scope WHEN 'namespace' THEN true WHEN 'group' THEN "group" = :key
                WHEN 'scene' THEN "group" || '/' || scene = :key ELSE target_key = :key END
        LIMIT 1000
        """
    )
    keys = (await session.scalars(statement, {"namespace": namespace, "scope": scope, "key": key})).all()
    if not keys:
        return
    now = await clock(session)
    first = (unknown(now, Rules()), OwnedRules("", False, Rules()))
    held = await lock_targets(session, {(namespace, key): first for key in keys})
    begun = [
        replace(target, health=begin_slow_start(target.health, now, target.rules.rules), released_at=now, carry=1.0)
        for target in held.values()
        if target.health.ramp is None
    ]
    if begun:
        await store_targets(session, begun, {})


async def delete_idle(session: AsyncSession, idle_seconds: float, limit: int) -> int:
    """Forget targets that are up and have not been used for long; tell how many they were."""
    statement = text(
        """
        DELETE FROM target_states USING (
            SELECT namespace, key FROM target_states
            WHERE NOT opened AND updated_at < clock_timestamp() - make_interval(secs => :idle)
            LIMIT :limit FOR UPDATE SKIP LOCKED
        ) AS idle
        WHERE (target_states.namespace, target_states.key) = (idle.namespace, idle.key)
        RETURNING 1
        """
    )
    return len((await session.execute(statement, {"idle": idle_seconds, "limit": limit})).all())


async def find_place(session: AsyncSession, task_id: UUID) -> tuple[str, str] | None:
    """Tell scene and target of a task whose workflow does not know them."""
    statement = text("SELECT scene, target_key FROM tasks WHERE id = :id")
    row = (await session.execute(statement, {"id": task_id})).one_or_none()
    return None if row is None else (row.scene, row.target_key)


_COLUMNS: Final = "target_states.namespace, target_states.key, version, state, rules, released_at, carry"
_PAUSED: Final = """EXISTS (
    SELECT FROM pauses WHERE pauses.namespace = tasks.namespace AND (until IS NULL OR until > clock_timestamp())
        AND (scope, key) IN (
            ('namespace', ''), ('group', tasks."group"), ('scene', tasks."group" || '/' || tasks.scene),
            ('target', tasks.target_key)
        )
)"""
_PARKED: Final = """(
    SELECT count(*) FROM tasks
    WHERE status = 'parked' AND parked_for = ANY(:kinds) AND tasks.namespace = target_states.namespace
        AND target_key = target_states.key
)"""


async def _lock(session: AsyncSession, names: Iterable[TargetName]) -> dict[TargetName, StoredTarget]:
    statement = text(
        f"""
        SELECT {_COLUMNS} FROM target_states
        JOIN unnest(CAST(:namespaces AS text[]), CAST(:keys AS text[])) AS wanted(namespace, key) USING (namespace, key)
        ORDER BY namespace, key FOR UPDATE OF target_states
        """  # noqa: S608 - built from this module's constants only
    )
    return _by_name(await session.execute(statement, _names(names)))


async def _tell(
    session: AsyncSession, changed: Sequence[StoredTarget], events: Mapping[TargetName, Sequence[Event]]
) -> None:
    happened = [(target, event) for target in changed for event in events.get(target.name, ())]
    statement = text(
        """
        WITH history AS (
            INSERT INTO target_events (namespace, key, kind, why, at)
            SELECT * FROM unnest(
                CAST(:namespaces AS text[]), CAST(:keys AS text[]), CAST(:kinds AS text[]), CAST(:whys AS text[]),
                CAST(:instants AS timestamptz[])
            )
        )
        DELETE FROM target_events USING (
            SELECT known.namespace, known.key, (
                SELECT id FROM target_events AS old WHERE (old.namespace, old.key) = (known.namespace, known.key)
                ORDER BY id DESC OFFSET :kept LIMIT 1
            ) AS id
            FROM (
                SELECT DISTINCT * FROM unnest(CAST(:namespaces AS text[]), CAST(:keys AS text[]))
            ) AS known(namespace, key)
        ) AS last
        WHERE (target_events.namespace, target_events.key) = (last.namespace, last.key) AND target_events.id <= last.id
        """
    )
    values = {
        **_names([target.name for target, _ in happened]),
        "kinds": [event.kind for _, event in happened],
        "whys": [event.why for _, event in happened],
        "instants": [event.at for _, event in happened],
        "kept": KEPT_EVENTS,
    }
    await session.execute(statement, values)
    await notify_targets(session)
    for target, event in happened:
        namespace, key = target.name
        # One alert for an outage: a breaker that opens again after its probes have failed tells nothing new.
        again = event.kind == "opened" and _opens(target) > 1
        if event.kind in ("opened", "closed") and not again:
            kind, _, place = key.partition(":")
            group, _, scene = place.partition("/")
            is_scene = kind == "scene"
            await insert_event(
                session,
                namespace,
                f"breaker_{event.kind}",
                group if is_scene else None,
                scene if is_scene else None,
                facts={"key": key, "why": event.why},
            )


def _opens(target: StoredTarget) -> int:
    return target.health.breaker.state.opens


def _names(names: Iterable[TargetName]) -> dict[str, Any]:
    pairs = list(names)
    return {"namespaces": [namespace for namespace, _ in pairs], "keys": [key for _, key in pairs]}


def _by_name(rows: Iterable[Row[Any]]) -> dict[TargetName, StoredTarget]:
    return {target.name: target for target in map(_stored, rows)}


def _stored(row: Row[Any]) -> StoredTarget:
    return StoredTarget(
        (row.namespace, row.key),
        row.version,
        parse_health(row.state),
        decode(OwnedRules, row.rules, "rules"),
        row.released_at,
        row.carry,
    )


def _listed(row: Row[Any]) -> ListedTarget:
    return ListedTarget(_stored(row), row.parked, row.updated_at)
