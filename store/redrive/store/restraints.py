"""All limits and pauses as one process knows them: read in one query for all namespaces, at most once a second."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Final, cast

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from redrive.core.restraints import NO_RESTRAINTS, LimitSetting, Pause, Restraints, Scope, ScopeKey
from redrive.store.database import Database

TRUST_SECONDS: Final = 1.0
"""How long what was read holds: a limit or pause is in force everywhere so much later."""

_LOAD: Final = text(
    """
    SELECT 'pause' AS kind, namespace, scope, key, until, reason, author,
        NULL::float8 AS rate, NULL::int AS burst, NULL::int AS concurrency
    FROM pauses WHERE until IS NULL OR until > now()
    UNION ALL
    SELECT 'limit', namespace, scope, key, NULL, NULL, NULL, rate, burst, concurrency FROM limits
    """
)


async def load_restraints(session: AsyncSession) -> dict[str, Restraints]:
    """Load the limits and pauses of all namespaces that have some, by namespace."""
    pauses: dict[str, dict[ScopeKey, list[Pause]]] = defaultdict(lambda: defaultdict(list))
    limits: dict[str, dict[ScopeKey, LimitSetting]] = defaultdict(dict)
    for row in await session.execute(_LOAD):
        key = (cast("Scope", row.scope), row.key)
        if row.kind == "pause":
            pauses[row.namespace][key].append(Pause(key, row.until, row.reason, row.author))
        else:
            limits[row.namespace][key] = LimitSetting(key, row.rate, row.burst, row.concurrency)
    return {name: Restraints(pauses.get(name, {}), limits.get(name, {})) for name in {*pauses, *limits}}


class RestraintsCache:
    """Remembers the limits and pauses for a second.

    Args:
        database: Where they are.
        clock: A monotonic clock, in seconds.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._known: Mapping[str, Restraints] = {}
        self._until = float("-inf")
        self._reading = asyncio.Lock()

    async def of(self, namespace: str) -> Restraints:
        """Tell the limits and pauses of a namespace."""
        return (await self._read()).get(namespace, NO_RESTRAINTS)

    async def any_pauses(self) -> bool:
        """Tell whether anything is paused, in whatever namespace."""
        return any(restraints.pauses for restraints in (await self._read()).values())

    async def _read(self) -> Mapping[str, Restraints]:
        if self._clock() >= self._until:
            async with self._reading:
                if self._clock() >= self._until:
                    async with self._database.session() as session:
                        self._known = await load_restraints(session)
                    self._until = self._clock() + TRUST_SECONDS
        return self._known

    def forget(self) -> None:
        """Read anew at the next question, because something was changed here."""
        self._until = float("-inf")
