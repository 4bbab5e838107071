"""The live nodes of each group, as far as this process knows."""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random
from typing import Final

from redrive.activities.routing import Router
from redrive.core.policy import Route
from redrive.store.database import Database
from redrive.store.nodes import LiveNode, list_live

FRESH_SECONDS: Final = 1.0
"""How long a group's list is used before it is read again."""

SUSPECT_SECONDS: Final = 5.0
"""How long a node that refused a connection is passed over."""


class NodeDirectory:
    """Finds a node for an attempt.

    Args:
        database: Where nodes are registered.
        random: Source of randomness.
        clock: Monotonic clock, in seconds.
    """

    def __init__(self, database: Database, random: Random, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._router = Router(random)
        self._clock = clock
        self._known: dict[tuple[str, str], tuple[float, list[LiveNode]]] = {}
        self._suspects: dict[str, float] = {}

    async def choose(
        self, namespace: str, group: str, route: Route, affinity: str, executor: str | None, tried: frozenset[str]
    ) -> LiveNode | None:
        """Choose a live node that has the executor.

        Args:
            namespace: Namespace of the group.
            group: Name of the group.
            route: The policy's rule.
            affinity: What consistent hashing keeps on one node.
            executor: The function to run; a node that names no executors is taken to have them all.
            tried: Ids of nodes that have refused this attempt already.

        Returns:
            The node; None when there is none.
        """
        now = self._clock()
        # Before there is none, look again: a node that has just come is what parked tasks are woken for.
        for fresh_seconds in (FRESH_SECONDS, 0.0):
            candidates = [
                node
                for node in await self._live(namespace, group, now, fresh_seconds)
                if node.id not in tried
                and self._suspects.get(node.id, 0) <= now
                and (executor is None or not node.executors or executor in node.executors)
            ]
            if candidates:
                return self._router.choose(route, f"{namespace}/{group}", affinity, candidates)
        return None

    def suspect(self, node: LiveNode) -> None:
        """Pass over a node for a while: it did not take an attempt."""
        self._suspects[node.id] = self._clock() + SUSPECT_SECONDS

    async def _live(self, namespace: str, group: str, now: float, fresh_seconds: float) -> list[LiveNode]:
        read_at, nodes = self._known.get((namespace, group), (float("-inf"), []))
        if now - read_at < fresh_seconds:
            return nodes
        async with self._database.session() as session:
            nodes = await list_live(session, namespace, group)
        self._known[namespace, group] = (now, nodes)
        self._suspects = {node_id: until for node_id, until in self._suspects.items() if until > now}
        return nodes
