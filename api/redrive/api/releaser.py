"""The releaser: lets parked tasks go when their target is back, no faster than the target bears.

    down → none; half-open → as many as probes are left; slow start → as many as the ramp gives; else a few at a time

Any number of API processes run it side by side. Whoever looks after a target holds its row, moves breaker and ramp to
where they belong by now, and notes until when tasks have been let go. So two of them give the ramp once, not twice, and
one that is killed leaves no gap.
"""

from __future__ import annotations

import asyncio
import logging
import math
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from redrive.activities.policies import ScenePolicies
from redrive.api.engine import Engine, EngineUnavailable
from redrive.api.listener import Listener
from redrive.core.breaker import Admit, Event, HalfOpen, Open, probes_left
from redrive.core.health import Health, OwnedRules, Rules, Seen, absorb, admission, begin_slow_start
from redrive.store import pauses, targets
from redrive.store.database import Database
from redrive.store.restraints import RestraintsCache
from redrive.store.targets import StoredTarget, TargetName, Unsettled
from redrive.store.tasks import RELEASES_CHANNEL

POLL_SECONDS: Final = 5.0
"""The net below NOTIFY."""

ROUND_SECONDS: Final = 0.25
"""Time between two looks at targets that change or let tasks go."""

SET_SIZE: Final = 20
"""How many tasks go in a round where nothing says how many may."""

LARGEST: Final = 500
"""The most tasks of one target that go in one round."""

PROBE_SECONDS: Final = 2.0
"""How long tasks that were woken for probes have to become probes, before others are woken in their place."""

SAVED_UP: Final = timedelta(seconds=1)
"""For how long a ramp's rate counts while nobody uses it."""

LINGERS: Final = timedelta(seconds=5)
"""How long a slow start goes on although nothing waits."""

SWEEP_SECONDS: Final = 600.0
IDLE_SECONDS: Final = 7 * 86_400.0
"""How long a target that is up is remembered without being used."""

_LOG = logging.getLogger(__name__)


class Releaser:
    """Lets parked tasks go.

    Args:
        database: Where targets and parked tasks are.
        engine: Temporal.
        restraints: Knows the limits of targets.
    """

    def __init__(self, database: Database, engine: Engine, restraints: RestraintsCache) -> None:
        self._database = database
        self._engine = engine
        self._restraints = restraints
        self._policies = ScenePolicies(database)
        self._swept = float("-inf")

    async def run(self) -> None:
        """Let tasks go until cancelled."""
        listener = Listener(self._database, RELEASES_CHANNEL)
        async with listener.running():
            while True:
                wait = POLL_SECONDS
                try:
                    await self._tidy()
                    wait = await self.round()
                except (EngineUnavailable, SQLAlchemyError, OSError) as error:
                    _LOG.warning("letting parked tasks go is put off: %s", type(error).__name__)
                if wait > ROUND_SECONDS:
                    await listener.wait(wait)
                else:
                    await asyncio.sleep(wait)

    async def round(self) -> float:
        """Look after all targets that are not plainly up once, and let tasks go.

        Returns:
            After how many seconds to look again.
        """
        await self._policies.refresh()
        async with self._database.begin() as session:
            unsettled = await targets.lock_unsettled(session)
            # A worker that tells what it saw holds a row for a moment. Nothing may wait for that until the next poll.
            others = await targets.count_unsettled(session) - len(unsettled)
            longest = ROUND_SECONDS if others > 0 else POLL_SECONDS
            if not unsettled:
                return longest
            now = await targets.clock(session)
            looked: list[Health] = []
            changed: list[StoredTarget] = []
            events: dict[TargetName, tuple[Event, ...]] = {}
            allowed: dict[TargetName, int] = {}
            for one in unsettled:
                rules = await self._rules(one.target)
                backlog = int(one.waited or _was_used(one.target, now))
                health, events[one.target.name] = absorb(one.target.health, Seen(), now, rules.rules, backlog)
                if one.resumed:
                    health = begin_slow_start(health, now, rules.rules)
                moved = replace(one.target, health=health, rules=rules)
                count, after = _allowance(one, moved, now)
                if count:
                    allowed[one.target.name] = count
                looked.append(after.health)
                # A budget refills with time alone, which is no reason to write.
                if replace(after, health=replace(after.health, budget=one.target.health.budget)) != one.target:
                    changed.append(after)
            keys = await targets.claim_parked_for(session, allowed) if allowed else []
            if changed:
                await targets.store_targets(session, changed, events)
        await asyncio.gather(*(self._engine.wake(key) for key in keys))
        if keys:
            return ROUND_SECONDS
        return min(longest, *(_next_look(health, now) for health in looked))

    async def _tidy(self) -> None:
        """End the pauses whose time is over, and forget targets that nobody uses any more."""
        async with self._database.begin() as session:
            await pauses.take_ended(session)
        now = asyncio.get_running_loop().time()
        if now > self._swept + SWEEP_SECONDS:
            self._swept = now
            async with self._database.session() as session:
                await targets.delete_idle(session, IDLE_SECONDS, 1000)

    async def _rules(self, target: StoredTarget) -> OwnedRules:
        """Take the rules of a target from the policy of their scene as it is now."""
        owner = target.rules.owner
        group, _, scene = owner.partition("/")
        if not scene:
            return target.rules
        namespace, key = target.name
        limit = (await self._restraints.of(namespace)).limits.get(("target", key))
        policy = await self._policies.of(namespace, group, scene)
        return OwnedRules.of(owner, policy, None if limit is None else limit.rate)


def _was_used(target: StoredTarget, now: datetime) -> bool:
    """Tell whether a slow start has only just begun, or tasks were let go lately: then more may be on their way."""
    ramp, last = target.health.ramp, target.released_at
    since = now - LINGERS
    return ramp is not None and (ramp.started_at > since or (last is not None and last > since))


def _allowance(one: Unsettled, target: StoredTarget, now: datetime) -> tuple[int, StoredTarget]:
    """Tell how many tasks may go now, and note it.

    Args:
        one: The target as it was.
        target: The target as it is by now.
        now: When.
    """
    health, rules = target.health, target.rules.rules
    if not isinstance(admission(health, now, rules), Admit):
        return _for_probes(one, target, now, rules)
    if health.ramp is not None:
        if not one.waited:
            return 0, target
        last = target.released_at
        if last is None or last < health.ramp.started_at:
            due = 1.0  # the first task goes at once: the rate says how soon the next one follows
        else:
            # What nobody was there to use is not saved up.
            due = target.carry + health.ramp.released(max(last, now - SAVED_UP), now)
        count = min(math.floor(due), LARGEST)
        return count, replace(target, released_at=now, carry=due - count)
    recent = target.released_at is not None and now < target.released_at + timedelta(seconds=ROUND_SECONDS * 0.9)
    if not one.waited or recent:
        return 0, target
    return SET_SIZE, replace(target, released_at=now, carry=0.0)


def _for_probes(one: Unsettled, target: StoredTarget, now: datetime, rules: Rules) -> tuple[int, StoredTarget]:
    left = probes_left(target.health.breaker, now, rules.breaker)
    pushed_back = target.health.pushback_until is not None and now < target.health.pushback_until
    if left == 0 or pushed_back or not one.waited:
        return 0, target
    moved = one.target.health.breaker.state != target.health.breaker.state
    asked = target.released_at is not None and now < target.released_at + timedelta(seconds=PROBE_SECONDS)
    if asked and not moved and target.carry >= left:
        return 0, target
    return left, replace(target, released_at=now, carry=float(left))


def _next_look(health: Health, now: datetime) -> float:
    """Tell after how many seconds a target may have changed."""
    if health.pushback_until is not None and now < health.pushback_until:
        return _within((health.pushback_until - now).total_seconds())
    state = health.breaker.state
    if isinstance(state, Open) and now < state.open_until:
        return _within((state.open_until - now).total_seconds())
    if isinstance(state, HalfOpen) or health.ramp is not None:
        return ROUND_SECONDS
    return POLL_SECONDS


def _within(seconds: float) -> float:
    return min(max(seconds, ROUND_SECONDS), POLL_SECONDS)
