"""A look at a redrive: settle what has ended, decide, release.

Everything that can be done in PostgreSQL alone is done in the transaction that holds the redrive's row: a task is
replayed, deleted, or changed before its workflow starts, and its item says so, or neither. What needs a task's workflow
is noted as started first and carried out then, under an id by which Temporal knows a repeated update. So a look may be
killed at any moment, and be repeated by any worker.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal, cast
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity
from temporalio.client import Client

from redrive.activities.heartbeats import heartbeats
from redrive.activities.updates import EngineUnavailable, UpdateRefused, WorkflowGone, update_task
from redrive.core.bulk import (
    ALLOWED,
    BATCH,
    ENDED,
    MAX_CONCURRENCY,
    Action,
    Counts,
    Options,
    Outcome,
    RedriveStatus,
    Release,
    parse_pace,
    release,
    rest_seconds,
    why_stop,
)
from redrive.core.documents import decode
from redrive.core.errors import InvalidDocument
from redrive.core.messages import (
    LOOK,
    UPDATE_CANCEL,
    UPDATE_CHANGE_POLICY,
    UPDATE_PAUSE,
    UPDATE_RESUME,
    UPDATE_RETRY,
    BulkRun,
    Cancel,
    ChangePolicy,
    Looked,
    Pause,
    Resume,
    RetryNow,
)
from redrive.core.patch import PayloadDocument, patch_payload
from redrive.core.policy import merge
from redrive.core.states import REPLAYABLE, TERMINAL, TaskStatus
from redrive.core.wire import MAX_TASK_BYTES, payload_problems
from redrive.store import edits, redrives, scenes, tasks
from redrive.store.alerts import insert_event
from redrive.store.callbacks import insert_callbacks
from redrive.store.database import Database
from redrive.store.payload_schema import Violation, violations
from redrive.store.redrives import Change, Item
from redrive.store.scenes import SceneConfiguration
from redrive.store.tables import Redrive, Task
from redrive.store.tasks import Replay

AT_ONCE: Final = 16
"""Updates of workflows in flight. A worker serves each with one workflow task; more would only wait there."""

UNDER_WAY: Final = 100
"""Operations on workflows that may be under way."""

PATIENCE_SECONDS: Final = 60.0
"""How long an operation on one task is tried again while its workflow does not answer."""

_REACHED: Final = {"pause": TaskStatus.PAUSED, "cancel": TaskStatus.CANCELLED}
"""What a task is in once an operation was carried out that a lost worker did not note."""


@dataclass(slots=True)
class _Batch:
    """What one look does.

    Attributes:
        changes: What became of items.
        engine: Items that need the workflow of their task, each with the task and the update's argument.
        open: How many were under way before this look.
        left: How many were to be released, and wait until fewer are under way.
    """

    changes: list[tuple[Item, Change]] = field(default_factory=list[tuple[Item, Change]])
    engine: list[tuple[Item, Task, object]] = field(default_factory=list[tuple[Item, Task, object]])
    open: int = 0
    left: int = 0

    def note(self, item: Item, outcome: Outcome, why: str, started_generation: int | None = None) -> None:
        """Note what became of an item."""
        self.changes.append((item, Change(item.position, outcome, why, started_generation)))


class _Apart(Exception):
    """A task that cannot take part, with its outcome and the reason."""

    def __init__(self, outcome: Outcome, why: str) -> None:
        super().__init__(why)
        self.outcome = outcome
        self.why = why


class Redriver:
    """Looks at redrives.

    Args:
        database: Redrives and tasks.
        client: Temporal, for tasks whose workflow runs.
        clock: The wall clock.
    """

    def __init__(
        self, database: Database, client: Client, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._database = database
        self._client = client
        self._clock = clock

    @activity.defn(name=LOOK)
    async def look(self, run: BulkRun) -> Looked:
        """Look at a redrive once.

        Args:
            run: Which redrive, and whether it is to be ended.

        Returns:
            Where it stands, and when to look again.
        """
        async with heartbeats():
            return await self.look_once(run)

    async def look_once(self, run: BulkRun) -> Looked:
        """Look at a redrive, outside of an activity as well."""
        redrive_id = UUID(run.redrive_id)
        async with self._database.begin() as session:
            redrive = await redrives.find_redrive(session, run.namespace, redrive_id, lock=True)
            if redrive is None:
                return Looked("deleted", finished=True)
            looked, batch = await self._look(session, redrive, run.abort)
        if batch is not None and batch.engine:
            await self._operate(redrive, batch)
        return looked

    async def _look(self, session: AsyncSession, redrive: Redrive, abort: str | None) -> tuple[Looked, _Batch | None]:
        now, options = self._clock(), decode(Options, redrive.options, "options")
        pace, before = parse_pace(redrive.pace), redrives.counts_of(redrive)
        counts = await _settled(session, redrive, before)
        batch: _Batch | None = None
        if abort is not None and redrive.status not in ENDED:
            _end(redrive, RedriveStatus.ABORTED, abort, now)
        if redrive.status not in ENDED:
            await _conclude(session, redrive, options, counts, now)
        is_held = redrive.status in ENDED or redrive.status == RedriveStatus.PAUSED
        if is_held and redrive.action != "replay" and counts.in_flight:
            # Nothing more is released. What is under way goes on, and its workflows are asked until they have answered.
            batch = await self._release(session, redrive, options, 0, now)
            counts = _after(counts, batch)
        if redrive.status in ENDED:
            counts = await _drained(session, redrive, counts)
            pace = replace(pace, idle=0 if counts != before else pace.idle + 1)
            wait, redrive.rate_now = 0.0 if counts.waiting else rest_seconds(counts, pace.idle), 0.0
        elif redrive.status == RedriveStatus.PAUSED:
            pace = replace(pace, idle=0 if counts != before else pace.idle + 1)
            wait, redrive.rate_now = rest_seconds(counts, pace.idle), 0.0
        else:
            ended = (counts.succeeded - before.succeeded, counts.bad - before.bad)
            found = release(_paced(redrive, options), counts, pace, now, ended=ended)
            batch = await self._release(session, redrive, options, found.count, now)
            counts = _after(counts, batch)
            found = _held_up(found, batch, counts)
            _note(redrive, found, now)
            pace, wait = found.pace, found.wait_seconds
            if counts.waiting == counts.in_flight == 0:
                _complete(redrive, counts, now)
        redrives.count(redrive, counts)
        redrive.pace, redrive.looked_at = pace.render(), now
        redrive.look_at = datetime.fromtimestamp(now.timestamp() + wait, UTC)
        finished = redrive.status in ENDED and counts.waiting == counts.in_flight == 0
        return Looked(redrive.status, wait, finished), batch

    async def _release(
        self, session: AsyncSession, redrive: Redrive, options: Options, count: int, now: datetime
    ) -> _Batch:
        action = cast("Action", redrive.action)
        items = await redrives.next_items(session, redrive.id, Outcome.WAITING, count) if count else []
        started = [] if action == "replay" else await redrives.next_items(session, redrive.id, Outcome.STARTED, BATCH)
        if not items and not started:
            return _Batch()
        known = await redrives.lock_tasks(session, redrive.namespace, [item.task_id for item in (*items, *started)])
        match action:
            case "replay":
                batch = await _Replays(session, redrive, options, now).begin(items, known)
            case "delete":
                batch = await _delete(session, redrive, items, known)
            case _:
                batch = await _Operations(session, redrive, options, now).begin(items, started, known)
        await redrives.change_items(session, redrive.id, [change for _, change in batch.changes], now)
        return batch

    # --- What needs the workflows of tasks ---------------------------------------------------------------------------

    async def _operate(self, redrive: Redrive, batch: _Batch) -> None:
        """Carry out what a look has noted as started, and note how it went."""
        room = asyncio.Semaphore(AT_ONCE)
        name = _UPDATES[cast("Action", redrive.action)]

        async def one(item: Item, task: Task, argument: object) -> Change | None:
            async with room:
                return await self._update(redrive, item, task, name, argument)

        done = [change for change in await asyncio.gather(*(one(*entry) for entry in batch.engine)) if change]
        if not done:
            return
        overrides = {item.position: task for item, task, _ in batch.engine}
        async with self._database.begin() as session:
            held = await redrives.find_redrive(session, redrive.namespace, redrive.id, lock=True)
            if held is None:
                return
            # A worker that was taken for lost may have been quicker.
            open_ = await redrives.started_among(session, redrive.id, [change.position for change in done])
            done = [change for change in done if change.position in open_]
            await redrives.change_items(session, redrive.id, done, self._clock())
            counts = redrives.counts_of(held)
            for change in done:
                counts = _moved(counts, "in_flight", change.outcome)
            redrives.count(held, counts)
            policy = held.options["policy"]
            for change in done if redrive.action == "change_policy" else ():
                if change.outcome is Outcome.SUCCEEDED:
                    task = overrides[change.position]
                    override = merge(task.policy_override or {}, policy)
                    await edits.change_task(session, task.id, {"policy_override": override})

    async def _update(self, redrive: Redrive, item: Item, task: Task, name: str, argument: object) -> Change | None:
        try:
            await update_task(
                self._client, redrive.namespace, str(task.id), task.generation, name, argument,
                update_id=f"{redrive.id}/{item.position}",
            )  # fmt: skip
        except UpdateRefused as error:
            return Change(item.position, Outcome.FAILED, f"refused: {error}")
        except (WorkflowGone, EngineUnavailable) as error:
            # Its workflow is just being started, has just ended, or nobody serves it: the next look tries again.
            since = item.started_at or self._clock()
            if (self._clock() - since).total_seconds() > PATIENCE_SECONDS:
                return Change(item.position, Outcome.FAILED, f"given up: {error}")
            return None
        return Change(item.position, Outcome.SUCCEEDED, _DONE[cast("Action", redrive.action)])


_UPDATES: Final[dict[Action, str]] = {
    "retry": UPDATE_RETRY,
    "pause": UPDATE_PAUSE,
    "resume": UPDATE_RESUME,
    "cancel": UPDATE_CANCEL,
    "change_policy": UPDATE_CHANGE_POLICY,
}
_DONE: Final[dict[Action, str]] = {
    "retry": "its next attempt runs now",
    "pause": "paused",
    "resume": "resumed",
    "cancel": "cancelled",
    "change_policy": "its policy is in force",
}


def _paced(redrive: Redrive, options: Options) -> Options:
    """Let the rate alone decide where tasks are done with once their rows are changed.

    Those whose workflows must be asked are bounded when it is known which they are (`_Operations`).
    """
    return options if redrive.action == "replay" else replace(options, concurrency=MAX_CONCURRENCY)


def _held_up(found: Release, batch: _Batch, counts: Counts) -> Release:
    """Take back what was not released, and tell when to look again at tasks whose workflows are asked."""
    if not batch.engine and not batch.left:
        return found
    found = replace(found, pace=replace(found.pace, tokens=found.pace.tokens + batch.left))
    if batch.open:
        # Their workflows did not answer before; asking at once would not help.
        why = (
            f"{batch.open} workflows were asked and have not answered; they are asked again"
            if batch.left
            else found.why
        )
        return replace(found, wait_seconds=1.0, why=why)
    if batch.left or not counts.waiting:
        return replace(found, wait_seconds=0.0)
    return replace(found, wait_seconds=min(found.wait_seconds, 1.0))


# --- Replay -----------------------------------------------------------------------------------------------------------


class _Replays:
    """Begins the next generation of a batch of ended tasks.

    Args:
        session: The transaction that holds the redrive and the tasks.
        redrive: The redrive.
        options: What it changes of each task.
        now: The clock.
    """

    def __init__(self, session: AsyncSession, redrive: Redrive, options: Options, now: datetime) -> None:
        self._session = session
        self._redrive = redrive
        self._options = options
        self._now = now
        self._policies = _Policies(session, redrive.namespace)

    async def begin(self, items: Sequence[Item], known: dict[UUID, Task]) -> _Batch:
        """Replay what can be replayed, and say of the rest why not."""
        batch = _Batch()
        taken: list[tuple[Item, Replay]] = []
        revisions: list[edits.Revision] = []
        changes_payload = self._options.payload_patch is not None or self._options.target is not None
        payloads = await edits.load_payloads(self._session, list(known.values())) if changes_payload and known else {}
        for item in items:
            try:
                task = _check_found(item, known.get(item.task_id), REPLAYABLE, "replayed")
                replay = await self._replay(task)
                if changes_payload:
                    payload = payloads[task.id]
                    revision = await self._revision(
                        task, PayloadDocument(tuple(payload.args), payload.kwargs, payload.body)
                    )
                    if revision is not None:
                        revisions.append(revision)
                        replay = replace(replay, payload_revision=revision.revision)
            except _Apart as apart:
                batch.note(item, apart.outcome, apart.why)
            else:
                taken.append((item, replay))
        if revisions:
            await edits.add_revisions(self._session, revisions, self._redrive.author)
        if taken:
            await tasks.replay(
                self._session,
                self._redrive.namespace,
                [replay for _, replay in taken],
                due_at=self._now,
                why=self._redrive.reason or "replayed by a redrive",
                now=self._now,
                redrive_id=self._redrive.id,
            )
        for item, replay in taken:
            batch.note(item, Outcome.STARTED, "", replay.generation + 1)
        return batch

    async def _replay(self, task: Task) -> Replay:
        if task.deadline is not None and task.deadline <= self._now:
            raise _Apart(Outcome.SKIPPED, f"its deadline was {task.deadline.isoformat()}")
        policy, version, override = await self._policies.of(task, self._options.policy)
        keep = self._options.counters == "keep"
        if keep and task.attempts >= policy["max_attempts"]:
            why = f"{task.attempts} of {policy['max_attempts']} attempts are spent, and count on"
            raise _Apart(Outcome.SKIPPED, f"{why}: allow more by a `policy`, or reset the counters")
        return Replay(
            task.id, task.generation, policy, version, keep_counters=keep, policy_override=override,
            target=self._options.target,
        )  # fmt: skip

    async def _revision(self, task: Task, payload: PayloadDocument) -> edits.Revision | None:
        """Make the payload that the target gets; None when it stays as it is."""
        try:
            patched = patch_payload(payload, self._options.payload_patch) if self._options.payload_patch else payload
        except InvalidDocument as error:
            raise _Apart(Outcome.FAILED, f"the patch does not fit its payload: {error}") from None
        for name, problem in payload_problems(
            self._options.target or task.target, task.executor, patched.args, patched.kwargs, patched.body
        ):
            raise _Apart(Outcome.FAILED, f"its target cannot take the payload: {name}: {problem}")
        if patched == payload:
            return None
        for violation in await self._policies.violations(task, patched):
            why = f"{violation.path}: {violation.problem}" if violation.path else violation.problem
            raise _Apart(Outcome.FAILED, f"the patched payload is not as its scene's schema says: {why}")
        document = patched.as_json()
        size = len(json.dumps(document, ensure_ascii=False).encode(errors="replace"))
        if size > MAX_TASK_BYTES:
            why = f"its payload would have {size} bytes, and {MAX_TASK_BYTES} are the most"
            raise _Apart(Outcome.FAILED, why)
        return edits.Revision(task.id, task.payload_revision + 1, **document)


class _Policies:
    """Makes the policies of tasks, each scene's and each override's once.

    Args:
        session: Any session.
        namespace: Namespace of the tasks.
    """

    def __init__(self, session: AsyncSession, namespace: str) -> None:
        self._session = session
        self._namespace = namespace
        self._scenes: dict[tuple[str, str], SceneConfiguration | None] = {}
        self._effective: dict[tuple[str, str, str], dict[str, Any]] = {}

    async def of(
        self, task: Task, parts: Mapping[str, Any] | None
    ) -> tuple[dict[str, Any], int, dict[str, Any] | None]:
        """Make the policy of a task.

        Args:
            task: The task.
            parts: What is laid over its own parts; None for nothing.

        Returns:
            The policy in force, the version of its scene, and the task's own parts when they change.
        """
        configuration = await self._configuration(task)
        override = merge(task.policy_override or {}, parts) if parts else None
        own = override if override is not None else task.policy_override
        key = (task.group, task.scene, json.dumps(own, sort_keys=True))
        try:
            if key not in self._effective:
                self._effective[key] = configuration.effective(own)
        except InvalidDocument as error:
            raise _Apart(Outcome.FAILED, f"its own policy does not fit that of its scene: {error}") from None
        return self._effective[key], configuration.version, override

    async def violations(self, task: Task, payload: PayloadDocument) -> tuple[Violation, ...]:
        """Tell where a payload is not as the schema of its task's scene says."""
        schema = (await self._configuration(task)).payload_schema
        return violations(schema, payload) if schema else ()

    async def _configuration(self, task: Task) -> SceneConfiguration:
        name = (task.group, task.scene)
        if name not in self._scenes:
            self._scenes[name] = await scenes.load_configuration(self._session, self._namespace, *name)
        configuration = self._scenes[name]
        if configuration is None:
            why = f"its scene {task.scene!r} no longer exists in group {task.group!r}: make it again"
            raise _Apart(Outcome.FAILED, why)
        return configuration


def _check_found(item: Item, task: Task | None, allowed: Collection[TaskStatus], done: str) -> Task:
    """Refuse a task that is not as the redrive found it, or not in a state for what is to be done."""
    if task is None:
        raise _Apart(Outcome.SKIPPED, "the task no longer exists")
    if task.generation != item.generation:
        who = "somebody" if task.redrive_id is None else f"redrive {task.redrive_id}"
        raise _Apart(Outcome.SKIPPED, f"{who} has replayed it meanwhile: generation {task.generation} is {task.status}")
    if task.status not in allowed:
        states = ", ".join(sorted(allowed))
        raise _Apart(Outcome.SKIPPED, f"it is {task.status}; what can be {done} is {states}")
    return task


# --- Other actions ----------------------------------------------------------------------------------------------------

_DONE_TO: Final[dict[Action, str]] = {
    "retry": "retried",
    "pause": "paused",
    "resume": "resumed",
    "cancel": "cancelled",
    "delete": "deleted",
    "change_policy": "given another policy",
}


async def _delete(session: AsyncSession, redrive: Redrive, items: Sequence[Item], known: dict[UUID, Task]) -> _Batch:
    batch = _Batch()
    gone: list[UUID] = []
    for item in items:
        try:
            gone.append(_check_found(item, known.get(item.task_id), ALLOWED["delete"], "deleted").id)
        except _Apart as apart:
            batch.note(item, apart.outcome, apart.why)
        else:
            batch.note(item, Outcome.SUCCEEDED, "deleted")
    await tasks.delete_tasks(session, redrive.namespace, gone)
    return batch


class _Operations:
    """Changes a batch of live tasks: in their rows while no workflow owns them, else by their workflows.

    Args:
        session: The transaction that holds the redrive and the tasks.
        redrive: The redrive.
        options: What it changes of each task.
        now: The clock.
    """

    def __init__(self, session: AsyncSession, redrive: Redrive, options: Options, now: datetime) -> None:
        self._session = session
        self._action: Action = cast("Action", redrive.action)
        self._why = redrive.reason or f"{_DONE_TO[self._action]} by a redrive"
        self._options = options
        self._now = now
        self._policies = _Policies(session, redrive.namespace)
        self._room = min(options.concurrency, UNDER_WAY)
        self._rows: list[UUID] = []
        self._rows_by_policy: dict[str, tuple[dict[str, Any], list[UUID]]] = {}

    async def begin(self, items: Sequence[Item], started: Sequence[Item], known: dict[UUID, Task]) -> _Batch:
        """Change rows, and tell which tasks' workflows must be asked."""
        batch = _Batch(open=len(started))
        self._room -= len(started)
        for item in (*started, *items):
            try:
                await self._one(item, known.get(item.task_id), batch)
            except _Apart as apart:
                batch.note(item, apart.outcome, apart.why)
        await self._change_rows()
        return batch

    async def _one(self, item: Item, found: Task | None, batch: _Batch) -> None:
        if self._is_done(item, found):
            batch.note(item, Outcome.SUCCEEDED, _DONE[self._action])
            return
        task = _check_found(item, found, ALLOWED[self._action], _DONE_TO[self._action])
        if task.status == TaskStatus.PENDING or (task.status == TaskStatus.PAUSED and task.mirror_version == 0):
            if task.claimed_until is None or task.claimed_until <= self._now:
                await self._take_row(task)
                batch.note(item, Outcome.SUCCEEDED, _DONE[self._action])
            elif self._has_room(item, batch):
                # A starter is at it this very moment: the next look finds its workflow.
                batch.note(item, Outcome.STARTED, "its workflow is being started")
        elif item.started_at is not None or self._has_room(item, batch):
            batch.engine.append((item, task, await self._argument(task)))
            if item.started_at is None:
                batch.note(item, Outcome.STARTED, "")

    def _has_room(self, item: Item, batch: _Batch) -> bool:
        """Tell whether an item can be under way from now on."""
        if item.started_at is not None:
            return False
        self._room -= 1
        if self._room < 0:
            batch.left += 1
        return self._room >= 0

    def _is_done(self, item: Item, found: Task | None) -> bool:
        """Tell whether a worker carried it out and was lost before it could say so."""
        return (
            item.started_at is not None
            and found is not None
            and found.generation == item.generation
            and found.status == _REACHED.get(self._action)
        )

    async def _argument(self, task: Task) -> object:
        match self._action:
            case "retry":
                return RetryNow(self._why, force=False)
            case "pause":
                return Pause(self._why)
            case "resume":
                return Resume(self._why)
            case "cancel":
                return Cancel(self._why)
            case _:
                policy, version, _ = await self._policies.of(task, self._options.policy)
                return ChangePolicy(policy, version)

    async def _take_row(self, task: Task) -> None:
        """Note that a task is changed in its row, with all others that are changed alike."""
        if self._action != "change_policy":
            self._rows.append(task.id)
            return
        policy, version, override = await self._policies.of(task, self._options.policy)
        columns = {
            "policy_override": override,
            "policy": policy,
            "policy_version": version,
            "max_attempts": policy["max_attempts"],
        }
        key = json.dumps(columns, sort_keys=True)
        self._rows_by_policy.setdefault(key, (columns, []))[1].append(task.id)

    async def _change_rows(self) -> None:
        for columns, task_ids in self._rows_by_policy.values():
            await edits.change_tasks(self._session, task_ids, columns)
        if not self._rows:
            return
        status, due_at = _UNSTARTED[self._action]
        await tasks.change_unstarted(
            self._session, self._rows, status, next_attempt_at=self._now if due_at == "now" else None, why=self._why,
            now=self._now,
        )  # fmt: skip
        if status in TERMINAL:
            await insert_callbacks(self._session, self._rows)


_UNSTARTED: Final[dict[Action, tuple[TaskStatus, Literal["now", "as before"]]]] = {
    "retry": (TaskStatus.PENDING, "now"),
    "pause": (TaskStatus.PAUSED, "as before"),
    "resume": (TaskStatus.PENDING, "as before"),
    "cancel": (TaskStatus.CANCELLED, "as before"),
}
"""What becomes of a task that no workflow owns, and when its first attempt is due."""


# --- Where the redrive stands -----------------------------------------------------------------------------------------


async def _settled(session: AsyncSession, redrive: Redrive, counts: Counts) -> Counts:
    """Learn how replayed tasks have ended."""
    if redrive.action != "replay" or not counts.in_flight:
        return counts
    for outcome, number in (await redrives.settle(session, redrive.id)).items():
        counts = _moved(counts, "in_flight", outcome, number)
    return counts


async def _conclude(session: AsyncSession, redrive: Redrive, options: Options, counts: Counts, now: datetime) -> None:
    """End a redrive that must not or need not go on."""
    why = why_stop(options.stop, counts) if counts.waiting else None
    if why is not None:
        _end(redrive, RedriveStatus.STOPPED, why, now)
        facts = {
            "redrive_id": str(redrive.id),
            "action": redrive.action,
            "why": why,
            "finished": counts.finished,
            "failed": counts.bad,
            "left": counts.waiting,
        }
        scene = redrive.selection.get("scene")
        await insert_event(session, redrive.namespace, "redrive_stopped", redrive.group, scene, facts=facts)
    elif counts.waiting == counts.in_flight == 0:
        _complete(redrive, counts, now)


async def _drained(session: AsyncSession, redrive: Redrive, counts: Counts) -> Counts:
    """Give the tasks whose turn will not come their outcome, a chunk per look."""
    if not counts.waiting:
        return counts
    skipped = await redrives.skip_waiting(session, redrive.id, f"left alone: the redrive was {redrive.status} before")
    return replace(counts, waiting=counts.waiting - skipped, skipped=counts.skipped + skipped)


def _note(redrive: Redrive, found: Release, now: datetime) -> None:
    redrive.status, redrive.why, redrive.rate_now = found.status.value, found.why, found.rate
    if redrive.started_at is None and found.status is RedriveStatus.RUNNING:
        redrive.started_at = now


def _complete(redrive: Redrive, counts: Counts, now: datetime) -> None:
    parts = [
        f"{number} {name}"
        for name, number in (
            ("succeeded", counts.succeeded), ("dead again", counts.dead), ("skipped", counts.skipped),
            ("failed", counts.failed),
        )
        if number
    ]  # fmt: skip
    _end(redrive, RedriveStatus.COMPLETED, ", ".join(parts), now)


def _end(redrive: Redrive, status: RedriveStatus, why: str, now: datetime) -> None:
    redrive.status, redrive.why, redrive.finished_at, redrive.rate_now = status.value, why, now, 0.0


def _after(counts: Counts, batch: _Batch) -> Counts:
    for item, change in batch.changes:
        counts = _moved(counts, "waiting" if item.started_at is None else "in_flight", change.outcome)
    return counts


_COUNTED: Final = {
    Outcome.STARTED: "in_flight",
    Outcome.SUCCEEDED: "succeeded",
    Outcome.DEAD: "dead",
    Outcome.SKIPPED: "skipped",
    Outcome.FAILED: "failed",
}


def _moved(counts: Counts, source: str, outcome: Outcome, number: int = 1) -> Counts:
    """Count items that have another outcome than before."""
    moved = replace(counts, **{source: getattr(counts, source) - number})
    target = _COUNTED[outcome]
    return replace(moved, **{target: getattr(moved, target) + number})
