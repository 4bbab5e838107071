"""Admission: whether an attempt may go to its target now.

    paused? → target down, or returning slowly? → budget → limits → probe? → go

The common case, a healthy target without limits, is answered from memory and costs no statement. What this process
knows of a target is at most `TRUST_SECONDS` old; what it sees of it is added to the target's row every `FLUSH_SECONDS`
(`redrive.core.health`). Probes, slots and permits are not answered from memory: each is written down, under the row's
lock, before its attempt goes.

What has not been told yet when this process is killed is lost: half a second of outcomes. Its probe is taken for lost
after the rule's `probe_seconds`, and its permits end by themselves.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final, cast
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from redrive.activities.desk import LimitDesk
from redrive.activities.policies import ScenePolicies
from redrive.core.breaker import Admission as Leave
from redrive.core.breaker import Event, Park, Probe, return_probe, send_probe
from redrive.core.budget import is_spent, spend
from redrive.core.decision import THROTTLED, Outcome, classify, evidence
from redrive.core.health import (
    Health,
    OwnedRules,
    Rules,
    Seen,
    absorb,
    admission,
    begin_slow_start,
    unknown,
)
from redrive.core.messages import DispatchCommand, DispatchResult
from redrive.core.policy import Action, Policy
from redrive.core.quota import Later
from redrive.core.restraints import Place, Restraints
from redrive.core.states import AttemptStatus, ParkedFor
from redrive.store import targets
from redrive.store.database import Database
from redrive.store.limits import Request
from redrive.store.restraints import RestraintsCache
from redrive.store.targets import StoredTarget, TargetName

FLUSH_SECONDS: Final = 0.5
"""How often what was seen is told, and what others have told is read."""

TRUST_SECONDS: Final = 1.0
"""How old what is known of a target may be; older, it is read before anything goes there."""

IDLE_SECONDS: Final = 10.0
"""After how long without an attempt a target is no longer read."""

PERMIT_MARGIN_SECONDS: Final = 30.0
"""How much longer than its time-out an attempt may hold its permits."""

SLOT_LASTS: Final = timedelta(seconds=10)
"""How long after its instant a slot may be used. Were it kept for ever, all that had one when the workers stopped would
come at once when they are back."""

RETURNING: Final = "the target is back, and what has waited for it returns by slow start"

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ticket:
    """Leave to run one attempt.

    Attributes:
        target: Its target.
        owner: Its group and scene.
        task_id: The task.
        probe: What it finds out for the breaker; None when it is an ordinary attempt.
        has_permits: Whether it holds permits of limits.
        began: When it was given, on this process's monotonic clock; None when another process gave it.
    """

    target: TargetName
    owner: tuple[str, str]
    task_id: UUID
    probe: Probe | None = None
    has_permits: bool = False
    began: float | None = None


@dataclass(slots=True)
class _Target:
    """What this process knows and has seen of a target."""

    name: TargetName
    owner: tuple[str, str]
    stored: StoredTarget | None = None
    read_at: float = float("-inf")
    used_at: float = 0.0
    seen: Seen = field(default_factory=Seen)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def is_dirty(self) -> bool:
        return self.seen != Seen()


class Admission:
    """Tells of each attempt whether it may go, and learns from how it ends.

    Args:
        database: Where targets, limits and pauses are.
        restraints: Knows limits and pauses.
        monotonic: A monotonic clock, in seconds.
    """

    def __init__(
        self,
        database: Database,
        restraints: RestraintsCache | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._restraints = restraints or RestraintsCache(database)
        self._policies = ScenePolicies(database)
        self._desk = LimitDesk(database)
        self._monotonic = monotonic
        self._targets: dict[TargetName, _Target] = {}
        self._flushing = asyncio.Lock()
        # The database's clock, as far as it is known; every read of a target corrects it.
        self._epoch = datetime.now(UTC) - timedelta(seconds=monotonic())

    # --- Before the attempt ------------------------------------------------------------------------------------------

    async def ask(self, command: DispatchCommand) -> Ticket | DispatchResult:
        """Tell whether an attempt may go.

        Args:
            command: Which attempt.

        Returns:
            Leave to go, which must be settled or given back; or what to answer when it may not.
        """
        place = await self._place(command)
        if place is None:
            return DispatchResult("superseded")
        restraints = await self._restraints.of(command.namespace)
        target = await self._find((command.namespace, place.target), (place.group, place.scene))
        now = self._now()
        slot = command.slot if now < datetime.fromisoformat(command.due_at) + SLOT_LASTS else None
        pause = restraints.pause_of(place, now)
        if pause is not None:
            return _parked(place, ParkedFor.PAUSE, pause.until, pause.why)
        rules = await self._rules(target, restraints)
        leave = None if command.forced else await self._leave(target, rules, command, now)
        if isinstance(leave, Park):
            pushed_back = _is_pushed_back(target.stored, now)
            return _parked(place, ParkedFor.PUSHBACK if pushed_back else ParkedFor.BREAKER, leave.until, leave.why)
        probe = leave if isinstance(leave, Probe) else None
        if probe is None and slot is None and not command.forced:
            turn = await self._spend(target, rules, now)
            if turn is not None:
                why = f"the retry budget of {place.target} is spent: its turn is at {turn.isoformat()}"
                return _deferred(place, turn, "budget", why)
        limits = restraints.limits_of(place)
        if limits:
            seconds = command.timeout_seconds + PERMIT_MARGIN_SECONDS
            keys = tuple(limit.key for limit in limits)
            request = Request(command.namespace, UUID(command.task_id), keys, seconds, slot == "limit")
            answer = await self._desk.ask(request)
            if isinstance(answer, Later):
                return _deferred(place, answer.at, "limit", answer.why)
        holds = any(limit.concurrency is not None for limit in limits)
        ticket = Ticket(target.name, target.owner, UUID(command.task_id), None, holds, self._monotonic())
        if probe is None:
            return ticket
        sent = await self._send_probe(target, rules)
        if isinstance(sent, Park):
            await self.give_back(ticket)
            return _parked(place, ParkedFor.BREAKER, sent.until, sent.why)
        return replace(ticket, probe=sent)

    async def give_back(self, ticket: Ticket) -> None:
        """Take back leave that was not used: nobody could take the attempt.

        Args:
            ticket: The leave.
        """
        if ticket.has_permits:
            await self._desk.release(ticket.task_id)
        probe = ticket.probe
        if probe is not None:
            target = self._known(ticket.target, ticket.owner)
            await self._change(target, lambda health: replace(health, breaker=return_probe(health.breaker, probe)))

    async def abort(self, ticket: Ticket, *, is_over: bool) -> None:
        """Take back leave of an attempt that has been broken off. It never fails.

        Args:
            ticket: The leave.
            is_over: Whether the task has been cancelled. Otherwise the attempt is delivered again, and keeps its
                permits until then.
        """
        try:
            await self.give_back(ticket if is_over else replace(ticket, has_permits=False))
        except (SQLAlchemyError, OSError) as error:
            _LOG.warning("leave for %s ends by itself: %s", ticket.target[1], type(error).__name__)

    async def ticket(self, command: DispatchCommand, probe: Probe | None = None) -> Ticket:
        """Make out the leave that another process has given for an attempt.

        Args:
            command: Which attempt.
            probe: What the ledger says that it finds out.
        """
        place = await self._place(command) or Place(command.group, "", "")
        holds = bool((await self._restraints.of(command.namespace)).limits_of(place))
        owner = (place.group, place.scene)
        return Ticket((command.namespace, place.target), owner, UUID(command.task_id), probe, holds)

    # --- After it ----------------------------------------------------------------------------------------------------

    async def settle(self, ticket: Ticket, result: DispatchResult) -> None:
        """Learn from how an attempt ended.

        It never fails: the attempt has ended, whatever becomes of what was learned.

        Args:
            ticket: Its leave.
            result: How it ended.
        """
        try:
            await self._settle(ticket, result)
        except (SQLAlchemyError, OSError) as error:
            _LOG.warning("what an attempt told of %s is told later: %s", ticket.target[1], type(error).__name__)

    async def _settle(self, ticket: Ticket, result: DispatchResult) -> None:
        if result.kind != "finished" or result.status == AttemptStatus.CANCELLED:
            await self.give_back(ticket)
            return
        target = self._known(ticket.target, ticket.owner)
        policy = await self._policies.of(ticket.target[0], *ticket.owner)
        said = _evidence(result, policy)
        now, seen = self._now(), target.seen
        if said is not None:
            window = seen.window.add(now, succeeded=said == "succeeded", failed=said == "failed")
            seen = replace(seen, window=window)
        if ticket.began is not None:
            seconds = self._monotonic() - ticket.began
            seen = replace(seen, seconds=seen.seconds + seconds, attempts=seen.attempts + 1)
        if ticket.probe is not None:
            seen = replace(seen, probes=(*seen.probes, (ticket.probe, said != "failed")))
        pushback = _pushback(result, policy)
        if pushback is not None:
            seen = seen.plus(Seen(pushback_until=now + timedelta(seconds=pushback)))
        target.seen = seen
        if ticket.has_permits:
            await self._desk.release(ticket.task_id)
        if ticket.probe is not None or pushback is not None:
            await self._flush([target])

    # --- The loop ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Tell what was seen, and read what others have told, until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            try:
                await self.flush()
            except (SQLAlchemyError, OSError) as error:
                _LOG.warning("the state of targets is told later: %s", type(error).__name__)

    async def close(self) -> None:
        """Tell what is left to be told."""
        try:
            await self._flush([target for target in self._targets.values() if target.is_dirty])
        except (SQLAlchemyError, OSError) as error:
            _LOG.warning("what was last seen of targets is lost: %s", type(error).__name__)

    async def flush(self) -> None:
        """Tell what was seen of all targets, and read those in use."""
        since = self._monotonic() - IDLE_SECONDS
        for target in [known for known in self._targets.values() if known.used_at < since and not known.is_dirty]:
            del self._targets[target.name]
        if self._targets:
            await self._policies.refresh()
            await self._flush([target for target in self._targets.values() if target.is_dirty])
            await self._read([target for target in self._targets.values() if not target.is_dirty])

    async def _flush(self, dirty: Sequence[_Target]) -> None:
        """Add what was seen to the rows; what cannot be told now is kept."""
        if not dirty:
            return
        async with self._flushing:
            taken = {target.name: target.seen for target in dirty}
            for target in dirty:
                target.seen = Seen()
            try:
                await self._add({name: seen for name, seen in taken.items() if seen != Seen()})
            except BaseException:
                for target in dirty:
                    target.seen = taken[target.name].plus(target.seen)
                raise

    async def _add(self, seen: dict[TargetName, Seen]) -> None:
        async with self._database.begin() as session:
            offered, stored = await self._lock(session, [self._targets[name] for name in seen])
            self._correct(now := await targets.clock(session))
            changed: list[StoredTarget] = []
            events: dict[TargetName, tuple[Event, ...]] = {}
            for name, target in stored.items():
                rules = offered[name] if target.rules.yields_to(offered[name]) else target.rules
                # Whether anything is still parked is looked at by who lets it go, and ends a slow start there.
                health, events[name] = absorb(target.health, seen[name], now, rules.rules, backlog=1)
                changed.append(replace(target, health=health, rules=rules))
            await targets.store_targets(session, changed, events)
        for target in changed:
            self._remember(replace(target, version=target.version + 1))

    async def _read(self, known: Sequence[_Target]) -> None:
        versions = {target.name: 0 if target.stored is None else target.stored.version for target in known}
        async with self._database.session() as session:
            now = await targets.clock(session)
            fresh = await targets.load_targets(session, versions)
        self._correct(now)
        for target in known:
            target.read_at = self._monotonic()
        for stored in fresh.values():
            self._remember(stored)

    # --- What is known -----------------------------------------------------------------------------------------------

    def _known(self, name: TargetName, owner: tuple[str, str]) -> _Target:
        target = self._targets.get(name)
        if target is None:
            target = self._targets[name] = _Target(name, owner)
        target.used_at, target.owner = self._monotonic(), owner
        return target

    async def _find(self, name: TargetName, owner: tuple[str, str]) -> _Target:
        target = self._known(name, owner)
        if self._is_old(target):
            async with target.lock:
                if self._is_old(target):
                    await self._read([target])
        return target

    def _is_old(self, target: _Target) -> bool:
        return target.read_at < self._monotonic() - TRUST_SECONDS

    def _remember(self, stored: StoredTarget) -> None:
        target = self._targets.get(stored.name)
        if target is not None and (target.stored is None or target.stored.version < stored.version):
            target.stored, target.read_at = stored, self._monotonic()

    async def _place(self, command: DispatchCommand) -> Place | None:
        scene, key = command.scene, command.target_key
        if scene is None or key is None:
            async with self._database.session() as session:
                found = await targets.find_place(session, UUID(command.task_id))
            if found is None:
                return None
            scene, key = found
        return Place(command.group, scene, key)

    async def _offered(self, target: _Target, restraints: Restraints | None = None) -> OwnedRules:
        namespace, key = target.name
        restraints = restraints or await self._restraints.of(namespace)
        limit = restraints.limits.get(("target", key))
        policy = await self._policies.of(namespace, *target.owner)
        return OwnedRules.of("/".join(target.owner), policy, None if limit is None else limit.rate)

    async def _rules(self, target: _Target, restraints: Restraints) -> Rules:
        offered = await self._offered(target, restraints)
        yields = target.stored is None or target.stored.rules.yields_to(offered)
        return offered.rules if yields or target.stored is None else target.stored.rules.rules

    def _now(self) -> datetime:
        return self._epoch + timedelta(seconds=self._monotonic())

    def _correct(self, now: datetime) -> None:
        self._epoch = now - timedelta(seconds=self._monotonic())

    # --- What is written down before an attempt goes -----------------------------------------------------------------

    async def _leave(self, target: _Target, rules: Rules, command: DispatchCommand, now: datetime) -> Leave | None:
        """Tell what the target's state says; None when nothing is known of it."""
        health = None if target.stored is None else target.stored.health
        if command.returning:
            health = await self._change(target, lambda known: begin_slow_start(known, self._now(), rules))
        if health is None:
            return None
        leave = admission(health, now, rules)
        returns = health.ramp is not None and command.trigger != "wake" and command.slot is None
        return Park(None, RETURNING) if returns and not isinstance(leave, (Park, Probe)) else leave

    async def _spend(self, target: _Target, rules: Rules, now: datetime) -> datetime | None:
        """Take a slot of the budget; None when there is budget, and nothing to wait for."""
        if target.stored is None or not is_spent(target.stored.health.budget, rules.budget, now):
            return None
        slots: list[datetime] = []

        def take(health: Health) -> Health:
            budget, (slot,) = spend(health.budget, rules.budget, self._now())
            slots.append(slot)
            return replace(health, budget=budget)

        await self._change(target, take)
        return slots[0] if slots and slots[0] > self._now() else None

    async def _send_probe(self, target: _Target, rules: Rules) -> Probe | Park | None:
        """Write a probe down. None when the breaker has closed meanwhile, and an ordinary attempt may go."""
        answers: list[Leave] = []

        def take(health: Health) -> Health:
            now = self._now()
            answers.append(answer := admission(health, now, rules))
            if isinstance(answer, Probe):
                return replace(health, breaker=send_probe(health.breaker, answer, now, rules.breaker))
            return health

        async with target.lock:  # those who ask at once are answered from memory once the first has its probe
            if target.stored is not None:
                known = admission(target.stored.health, self._now(), rules)
                if isinstance(known, Park):
                    return known
            await self._change(target, take)
        answer = answers[0] if answers else None
        return answer if isinstance(answer, (Probe, Park)) else None

    async def _lock(
        self, session: AsyncSession, wanted: Sequence[_Target]
    ) -> tuple[dict[TargetName, OwnedRules], dict[TargetName, StoredTarget]]:
        """Hold the rows of targets, and tell which rules are offered for them."""
        offered = {target.name: await self._offered(target) for target in wanted}
        first = {name: (unknown(self._now(), rules.rules), rules) for name, rules in offered.items()}
        return offered, await targets.lock_targets(session, first)

    async def _change(self, target: _Target, change: Callable[[Health], Health]) -> Health | None:
        """Change the state of a target under its lock."""
        async with self._database.begin() as session:
            stored = (await self._lock(session, [target]))[1].get(target.name)
            if stored is None:
                return None  # its namespace is gone
            self._correct(await targets.clock(session))
            health = change(stored.health)
            if health != stored.health:
                await targets.store_targets(session, [replace(stored, health=health)], {})
                stored = replace(stored, health=health, version=stored.version + 1)
        self._remember(stored)
        return health


def _parked(place: Place, parked_for: ParkedFor, until: datetime | None, why: str) -> DispatchResult:
    instant = None if until is None else until.isoformat()
    return DispatchResult("parked", why=why, until=instant, parked_for=parked_for, target_key=place.target)


def _deferred(place: Place, until: datetime, slot: str, why: str) -> DispatchResult:
    return DispatchResult("deferred", why=why, until=until.isoformat(), slot=slot, target_key=place.target)


def _is_pushed_back(stored: StoredTarget | None, now: datetime) -> bool:
    until = None if stored is None else stored.health.pushback_until
    return until is not None and now < until


def _evidence(result: DispatchResult, policy: Policy) -> str | None:
    if result.snooze:
        return None
    outcome = Outcome(
        AttemptStatus(result.status or AttemptStatus.FAILED),
        error_type=result.error_type,
        http_status=result.http_status,
        retry_after_seconds=result.retry_after_seconds,
        stop=result.stop,
        error_bases=tuple(result.error_bases),
    )
    action = result.action or classify(policy.classification, outcome).action
    return evidence(outcome, cast("Action", action))


def _pushback(result: DispatchResult, policy: Policy) -> float | None:
    """Tell for how many seconds the target asks to be left alone."""
    rule = policy.retry_after
    if result.http_status not in THROTTLED or not result.retry_after_seconds or not rule.honour:
        return None
    return min(result.retry_after_seconds, rule.max_seconds)
