"""Which of the live nodes gets an attempt."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from redrive.activities.routing import Router
from redrive.core.policy import Route
from redrive.store.nodes import LiveNode

NODES = [LiveNode(f"node-{number}", f"http://node-{number}", ()) for number in range(4)]


def choices(router: Router, route: Route, times: int, nodes: list[LiveNode] = NODES) -> list[str]:
    return [router.choose(route, "default/orders", "", nodes).id for _ in range(times)]


def test_first_and_last_go_by_age() -> None:
    router = Router(Random(1))

    assert choices(router, "first", 2) == ["node-0"] * 2
    assert choices(router, "last", 2) == ["node-3"] * 2


def test_round_robin_takes_turns_in_each_group() -> None:
    router = Router(Random(1))

    assert choices(router, "round_robin", 5) == ["node-0", "node-1", "node-2", "node-3", "node-0"]
    assert router.choose("round_robin", "default/billing", "", NODES).id == "node-0"


def test_round_robin_goes_on_when_nodes_come_and_go() -> None:
    router = Router(Random(1))
    choices(router, "round_robin", 3)

    assert set(choices(router, "round_robin", 2, NODES[:2])) == {"node-0", "node-1"}


def test_least_recently_used_prefers_who_has_waited_longest() -> None:
    router = Router(Random(1))
    choices(router, "first", 1)
    choices(router, "last", 1)

    assert choices(router, "least_recently_used", 5) == ["node-1", "node-2", "node-0", "node-3", "node-1"]


def test_random_spreads_over_all_and_can_be_repeated() -> None:
    drawn = choices(Router(Random(1)), "random", 400)

    assert drawn == choices(Router(Random(1)), "random", 400)
    assert all(count > 50 for count in Counter(drawn).values())
    assert len(set(drawn)) == len(NODES)


def test_consistent_hashing_keeps_a_key_on_its_node() -> None:
    keys = [f"customer-{number}" for number in range(400)]
    owners = {key: Router(Random(1)).choose("consistent_hash", "g", key, NODES).id for key in keys}

    assert owners == {key: Router(Random(2)).choose("consistent_hash", "g", key, NODES[::-1]).id for key in keys}
    assert all(count > 50 for count in Counter(owners.values()).values())


@pytest.mark.parametrize("gone", range(len(NODES)))
def test_when_a_node_goes_only_its_own_keys_move(gone: int) -> None:
    keys = [f"customer-{number}" for number in range(200)]
    left = [node for node in NODES if node is not NODES[gone]]
    router = Router(Random(1))
    before = {key: router.choose("consistent_hash", "g", key, NODES).id for key in keys}
    after = {key: router.choose("consistent_hash", "g", key, left).id for key in keys}

    assert {key for key in keys if before[key] != after[key]} == {key for key in keys if before[key] == NODES[gone].id}
