"""What people do with redrives.

A redrive lives in its row: whoever changes it changes the row, and what was acknowledged holds from that moment, since
its workflow looks at the row before it releases anything. Temporal is only told to look sooner. So a redrive can be
made, paused and aborted while Temporal is away.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from redrive.api.access import Access
from redrive.api.configuration import unknown_namespace
from redrive.api.engine import Engine, EngineUnavailable
from redrive.api.problems import REDRIVE_ENDED, REDRIVE_NOT_FOUND, REDRIVE_STATE, FieldProblem, Refusal
from redrive.api.reports import read_target
from redrive.api.schemas.redrives import RedriveChange, RedriveRequest
from redrive.api.selections import narrowed
from redrive.api.text import check_storable
from redrive.api.validation import invalid, invalid_document, invalid_field
from redrive.core.bulk import (
    ALLOWED,
    ENDED,
    MAX_ITEMS,
    MEANT,
    Action,
    Estimate,
    Options,
    RedriveStatus,
    check_options,
    estimate,
)
from redrive.core.documents import decode, encode
from redrive.core.errors import InvalidDocument
from redrive.core.policy import merge, parse
from redrive.core.selection import Selection
from redrive.core.states import TaskStatus
from redrive.store import audit, pauses, redrives, scenes, search
from redrive.store.database import Database, new_id
from redrive.store.scenes import DEFAULTS
from redrive.store.search import ErrorCount, SceneCount
from redrive.store.tables import Pause, Redrive

_OPTIONS: Final = frozenset(field.name for field in fields(Options))
_LONG_SECONDS: Final = 7 * 86_400.0
_logger: Final = logging.getLogger("redrive.api")


@dataclass(frozen=True, slots=True)
class Preview:
    """What a redrive would come to.

    Attributes:
        matched: Tasks that the selection means.
        count: Tasks that it would take.
        estimate: When they would be released; None when there are none.
        begins: When it would begin.
        by_scene: How many each scene has.
        by_error: How many have which error.
        warnings: What a person should know before.
    """

    matched: int
    count: int
    estimate: Estimate | None
    begins: datetime
    by_scene: Sequence[SceneCount]
    by_error: Sequence[ErrorCount]
    warnings: tuple[str, ...]


class Redrives:
    """Makes redrives, and changes them.

    Args:
        database: Where they are.
        engine: Where their workflows are.
        own_queue: The task queue of Redrive's own workers, which is no target.
    """

    def __init__(self, database: Database, engine: Engine, own_queue: str) -> None:
        self._database = database
        self._engine = engine
        self._own_queue = own_queue

    async def preview(self, access: Access, request: RedriveRequest) -> Preview:
        """Tell what a redrive would come to.

        Args:
            access: Who asks.
            request: What is asked for.

        Raises:
            Refusal: It cannot be made.
        """
        selection, options = self._read(access, request)
        now = datetime.now(UTC)
        async with self._database.session() as session:
            by_scene = await search.count_by_scene(session, access.namespace, selection)
            by_error = await search.count_by_error(session, access.namespace, selection)
            elsewhere = await redrives.count_elsewhere(session, access.namespace, selection, MAX_ITEMS)
            held = await pauses.list_pauses(session, access.namespace)
        matched = sum(share.count for share in by_scene)
        count = min(matched, options.max_items or MAX_ITEMS)
        expected = estimate(options, count, now) if count else None
        warnings = [
            *_warn_count(request.action, options, matched, count, elsewhere),
            *_warn_time(options, expected, now),
            *_warn_pauses(held, by_scene),
        ]
        return Preview(matched, count, expected, now, by_scene, by_error, tuple(warnings))

    async def create(self, access: Access, request: RedriveRequest) -> Redrive:
        """Make a redrive of the tasks that its selection means at this moment.

        Args:
            access: Who asks.
            request: What is asked for.

        Raises:
            Refusal: It cannot be made.
        """
        selection, options = self._read(access, request)
        redrive = Redrive(
            id=new_id(),
            namespace=access.namespace,
            group=selection.group,
            action=request.action,
            status=RedriveStatus.WAITING.value,
            why="accepted",
            selection=encode(selection),
            options=encode(options),
            reason=request.reason or None,
            author=access.author,
            created_at=datetime.now(UTC),
        )
        most = options.max_items or MAX_ITEMS + 1
        async with self._database.begin() as session:
            if await scenes.find_namespace(session, access.namespace) is None:
                raise unknown_namespace(access.namespace)
            total = await redrives.insert_redrive(session, redrive, selection, options.order, most)
            if not total:
                raise invalid_field("selection", "expected at least one task that it means, found none")
            if total > MAX_ITEMS:
                detail = f"expected at most {MAX_ITEMS} tasks, found more: narrow it, or set `max_items`"
                raise invalid_field("selection", detail)
            await self._audit(session, access, "start", redrive, {"action": redrive.action, "tasks": total})
        await self._drive(redrive)
        return redrive

    async def pause(self, access: Access, redrive_id: UUID, reason: str | None) -> Redrive:
        """Let a redrive release no more tasks. What is released goes on."""
        async with self._changing(access, redrive_id) as (session, redrive):
            if redrive.status == RedriveStatus.PAUSED:
                raise Refusal(REDRIVE_STATE, "the redrive is paused already: resume or abort it")
            _set(redrive, RedriveStatus.PAUSED, reason or "paused by hand")
            await self._audit(session, access, "pause", redrive, {}, reason)
        return redrive

    async def resume(self, access: Access, redrive_id: UUID, reason: str | None) -> Redrive:
        """Let a paused redrive go on, by slow start."""
        async with self._changing(access, redrive_id) as (session, redrive):
            if redrive.status != RedriveStatus.PAUSED:
                raise Refusal(REDRIVE_STATE, f"only a paused redrive can be resumed, and this one is {redrive.status}")
            _set(redrive, RedriveStatus.WAITING, reason or "resumed by hand")
            redrive.pace = {}
            await self._audit(session, access, "resume", redrive, {}, reason)
        return redrive

    async def abort(self, access: Access, redrive_id: UUID, reason: str | None) -> Redrive:
        """End a redrive. What is released goes on, and the rest is left alone."""
        async with self._changing(access, redrive_id) as (session, redrive):
            _set(redrive, RedriveStatus.ABORTED, reason or "aborted by hand")
            redrive.finished_at, redrive.rate_now = datetime.now(UTC), 0.0
            await self._audit(session, access, "abort", redrive, {}, reason)
        return redrive

    async def change(self, access: Access, redrive_id: UUID, change: RedriveChange) -> Redrive:
        """Change the rate or the concurrency of a redrive; it holds at its next look, at once.

        Raises:
            Refusal: There is no such redrive, it has ended, or nothing is to be changed.
        """
        changed = {name: getattr(change, name) for name in change.model_fields_set - {"reason"}}
        if not changed:
            raise invalid_field("", "expected `rate_per_second` or `concurrency`, got neither")
        async with self._changing(access, redrive_id) as (session, redrive):
            redrive.options = {**redrive.options, **changed}
            redrive.look_at = datetime.now(UTC)
            await self._audit(session, access, "change", redrive, changed, change.reason)
        return redrive

    # --- Steps -------------------------------------------------------------------------------------------------------

    def _read(self, access: Access, request: RedriveRequest) -> tuple[Selection, Options]:
        """Check a request as far as it can be checked without its tasks."""
        if request.selection.is_empty():
            detail = "is empty, which would mean every task: give at least one filter, or `ids`"
            raise invalid_field("selection", detail)
        given: dict[str, Any] = {name: getattr(request, name) for name in request.model_fields_set & _OPTIONS}
        for name in ("policy", "payload_patch"):
            check_storable(given.get(name), name)
        wrong: list[FieldProblem] = []
        for name, value in given.items():
            # One by one, so that each that is wrong is told.
            try:
                given[name] = read_target(value) if name == "target" and value is not None else value
                alone = decode(Options, {name: given[name]})
                if alone.policy is not None:
                    # Whether it fits each task's own parts shows when it is laid over them.
                    parse(merge(DEFAULTS, alone.policy))
            except InvalidDocument as error:
                wrong.append(FieldProblem(error.path, error.problem))
        if wrong:
            raise invalid(wrong)
        try:
            options = decode(Options, given)
            check_options(request.action, options)
        except InvalidDocument as error:
            raise invalid_document(error) from None
        if options.target is not None and options.target.get("task_queue") == self._own_queue:
            raise invalid_field("target.task_queue", f"{self._own_queue!r} is Redrive's own; name the group's queue")
        return _meant(access, request.action, request.selection), options

    @asynccontextmanager
    async def _changing(self, access: Access, redrive_id: UUID) -> AsyncGenerator[tuple[AsyncSession, Redrive]]:
        """Hold a redrive that has not ended while it is changed, and let its workflow look at it afterwards."""
        async with self._database.begin() as session:
            redrive = await find_visible_redrive(session, access, redrive_id, lock=True)
            if redrive.status in ENDED:
                raise Refusal(REDRIVE_ENDED, f"the redrive has ended, it is {redrive.status}: start another one")
            yield session, redrive
        await self._drive(redrive)

    async def _drive(self, redrive: Redrive) -> None:
        try:
            await self._engine.drive(redrive.namespace, str(redrive.id), look=True)
        except EngineUnavailable as error:
            # Its keeper starts it once Temporal is back, and the row says already what is to be.
            _logger.warning("redrive %s is not looked at yet: %s", redrive.id, error)

    async def _audit(
        self,
        session: AsyncSession,
        access: Access,
        action: str,
        redrive: Redrive,
        facts: Mapping[str, Any],
        reason: str | None = None,
    ) -> None:
        await audit.record(
            session,
            access.namespace,
            access.actor,
            action,
            "redrive",
            str(redrive.id),
            facts,
            reason or redrive.reason,
            group=redrive.group,
        )


async def find_visible_redrive(
    session: AsyncSession, access: Access, redrive_id: UUID, *, lock: bool = False
) -> Redrive:
    """Find a redrive.

    Args:
        session: A transaction, when the row is to be locked.
        access: Who asks.
        redrive_id: Its id.
        lock: Whether to hold the row until the transaction ends.

    Raises:
        Refusal: There is none that the key may see.
    """
    redrive = await redrives.find_redrive(session, access.namespace, redrive_id, lock=lock)
    if redrive is None or (access.scope.group is not None and redrive.group != access.scope.group):
        detail = f"there is no redrive {redrive_id} in namespace {access.namespace!r}: check the id and the namespace"
        raise Refusal(REDRIVE_NOT_FOUND, detail)
    return redrive


def _meant(access: Access, action: Action, selection: Selection) -> Selection:
    """Settle which tasks an action means. Of ids that are named each one has an outcome, whatever state it is in."""
    meant = narrowed(access, selection)
    impossible = [status for status in meant.status if status not in ALLOWED[action]]
    if impossible:
        message = f"expected {_listed(ALLOWED[action])} for the action {action!r}, got {', '.join(impossible)}"
        raise invalid([FieldProblem("selection.status", message)])
    if meant.status or meant.ids:
        return meant
    return replace(meant, status=tuple(sorted(status.value for status in MEANT[action])))


def _listed(statuses: Collection[TaskStatus]) -> str:
    return ", ".join(sorted(statuses))


def _set(redrive: Redrive, status: RedriveStatus, why: str) -> None:
    redrive.status, redrive.why, redrive.look_at = status.value, why, datetime.now(UTC)


def _warn_count(action: Action, options: Options, matched: int, count: int, elsewhere: int) -> list[str]:
    warnings: list[str] = []
    if not matched:
        warnings.append("the selection means no task")
    if matched > count:
        what = "`max_items`" if options.max_items is not None else "the most that one redrive takes"
        warnings.append(f"{matched} tasks match; the first {count} are taken ({what})")
    if elsewhere:
        warnings.append(f"{elsewhere} of them wait in another redrive; each is taken by the one that comes first")
    if action == "delete" and matched:
        warnings.append("what is deleted is gone, with its payloads and attempts")
    if action == "replay" and options.stop is None:
        warnings.append("without `stop` it goes on however many fail again")
    return warnings


def _warn_time(options: Options, expected: Estimate | None, now: datetime) -> list[str]:
    if expected is None:
        return []
    if expected.last_due is None:
        return ["it would take years: raise the rate, or widen its hours"]
    warnings: list[str] = []
    if expected.first_due > now:
        warnings.append(f"it begins at {expected.first_due.isoformat()}, when its hours do")
    days = (expected.last_due - now).total_seconds() / 86_400
    if days * 86_400 > _LONG_SECONDS:
        warnings.append(f"the last task is released in {days:.0f} days at {options.rate_per_second:g} per second")
    return warnings


def _warn_pauses(held: Sequence[Pause], by_scene: Sequence[SceneCount]) -> list[str]:
    warnings: list[str] = []
    for pause in held:
        count = sum(share.count for share in by_scene if _holds(pause, share))
        if count:
            what = "the namespace" if pause.scope == "namespace" else f"{pause.scope} {pause.key}"
            warnings.append(f"{what} is paused: {count} of the tasks will wait until that ends")
    return warnings


def _holds(pause: Pause, share: SceneCount) -> bool:
    return pause.key == {"namespace": "", "group": share.group, "scene": f"{share.group}/{share.scene}"}.get(
        pause.scope
    )
