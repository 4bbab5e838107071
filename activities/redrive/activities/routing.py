"""Which of the live nodes gets an attempt."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from random import Random
from typing import assert_never

from redrive.core.policy import Route
from redrive.store.nodes import LiveNode


class Router:
    """Chooses nodes, and remembers whose turn it is.

    The memory is this process's own: with several workers each takes its own turns, which spreads the load as well and
    needs no shared write per attempt.

    Args:
        random: Source of randomness.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._turns: dict[str, int] = {}
        self._last_use: dict[str, int] = {}
        self._clock = 0

    def choose(self, route: Route, group: str, affinity: str, nodes: Sequence[LiveNode]) -> LiveNode:
        """Choose a node.

        Args:
            route: The policy's rule.
            group: Namespace and name of the group; each has its own turns.
            affinity: What consistent hashing keeps on one node.
            nodes: The candidates, at least one, the longest registered first.

        Returns:
            One of them.
        """
        node = self._choose(route, group, affinity, nodes)
        self._clock += 1
        self._last_use[node.id] = self._clock
        return node

    def _choose(self, route: Route, group: str, affinity: str, nodes: Sequence[LiveNode]) -> LiveNode:
        match route:
            case "round_robin":
                turn = self._turns.get(group, 0)
                self._turns[group] = turn + 1
                return nodes[turn % len(nodes)]
            case "random":
                return self._random.choice(nodes)
            case "consistent_hash":
                # Rendezvous hashing (Thaler and Ravishankar, 1998): when a node goes, only its own keys move.
                return max(nodes, key=lambda node: hashlib.sha256(f"{affinity}\0{node.id}".encode()).digest())
            case "least_recently_used":
                return min(nodes, key=lambda node: self._last_use.get(node.id, 0))
            case "first":
                return nodes[0]
            case "last":
                return nodes[-1]
            case _ as never:
                assert_never(never)
