"""Attempts for nodes: who gets them, and what becomes of them when nobody can take them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.eventually import eventually
from tests.integration.engine.harness import NODE, Platform
from tests.integration.engine.target import Gate, Reply, Target, answer, serving

from redrive.store import nodes

NOWHERE = "http://127.0.0.1:1"
FIRST = {"route": "first"}


@pytest.fixture
async def other() -> AsyncIterator[Target]:
    """A second node."""
    async with serving(Target()) as target:
        target.say(answer())
        yield target


async def test_a_node_is_given_the_call_and_its_answer_is_kept(platform: Platform, target: Target) -> None:
    line = {"at": "2026-01-01T00:00:00Z", "level": "INFO", "message": "charging"}
    target.say(answer(result={"receipt": 7}, logs=[line]))
    node_id = await platform.register(target.url)
    task_id = await platform.report(NODE, args=["o-1"], kwargs={"amount": 5.10})
    await platform.ends(task_id)

    (attempt,) = await platform.ledger(task_id)
    asked = target.calls[0].json
    assert target.calls[0].path == "/redrive/v1/execute"
    assert (asked["task"], asked["generation"], asked["attempt"]) == (str(task_id), 1, 1)
    assert (asked["scene"], asked["executor"], asked["args"]) == ("charge-card", "orders.charge", ["o-1"])
    assert asked["kwargs"] == {"amount": 5.10}
    assert asked["last_error"] == {"type": "TimeoutError", "message": "the call timed out", "stack": None}
    assert (attempt.node_id, attempt.url, attempt.response) == (node_id, target.url, '{"receipt": 7}')
    assert attempt.logs[0]["message"] == "charging"


async def test_a_task_without_a_live_node_is_parked_and_a_node_that_registers_wakes_it(
    platform: Platform, target: Target
) -> None:
    target.say(answer())
    task_id = await platform.report(NODE, {"max_attempts": 1})
    parked = await platform.reaches(task_id, "parked")
    assert (parked.attempts, parked.why) == (
        0,
        "group 'orders' has no live node that has the executor 'orders.charge'",
    )
    assert await platform.ledger(task_id) == []

    await platform.register(target.url)
    task = await platform.ends(task_id)
    (attempt,) = await platform.ledger(task_id)
    assert (task.status, task.attempts, attempt.trigger) == ("succeeded", 1, "wake")


async def test_a_node_whose_lease_had_lapsed_wakes_what_waits_for_it(platform: Platform, target: Target) -> None:
    target.say(answer())
    node_id = await platform.register(target.url)
    await platform.execute("UPDATE nodes SET last_heartbeat_at = now() - interval '1 hour', live_since = '2020-01-01'")
    task_id = await platform.report(NODE)
    await platform.reaches(task_id, "parked")
    async with platform.database.begin() as session:
        assert await nodes.heartbeat(session, "default", node_id, 0) == "live"

    assert (await platform.ends(task_id)).status == "succeeded"


async def test_a_drained_node_gets_no_attempts(platform: Platform, target: Target) -> None:
    node_id = await platform.register(target.url)
    async with platform.database.begin() as session:
        assert await nodes.drain(session, "default", node_id)
    task_id = await platform.report(NODE)

    await platform.reaches(task_id, "parked")
    assert target.calls == []


@pytest.mark.parametrize("status", [429, 503])
async def test_a_node_that_takes_nothing_hands_over_to_the_next(
    platform: Platform, target: Target, other: Target, status: int
) -> None:
    target.say(Reply(status))
    await platform.register(target.url)
    second = await platform.register(other.url)
    task_id = await platform.report(NODE, FIRST)
    task = await platform.ends(task_id)

    (attempt,) = await platform.ledger(task_id)
    assert (task.status, task.attempts) == ("succeeded", 1)
    assert (attempt.node_id, attempt.url) == (second, other.url)
    assert (len(target.calls), len(other.calls)) == (1, 1)


async def test_a_node_that_refuses_the_connection_hands_over_to_the_next(platform: Platform, other: Target) -> None:
    await platform.register(NOWHERE)
    second = await platform.register(other.url)
    task_id = await platform.report(NODE, FIRST)
    task = await platform.ends(task_id)

    (attempt,) = await platform.ledger(task_id)
    assert (task.status, task.attempts, attempt.node_id) == ("succeeded", 1, second)


async def test_a_task_that_no_node_takes_is_parked_with_its_attempts_unspent(
    platform: Platform, target: Target
) -> None:
    target.say(Reply(503))
    await platform.register(NOWHERE)
    await platform.register(target.url)
    task_id = await platform.report(NODE, {**FIRST, "max_attempts": 1})
    task = await platform.reaches(task_id, "parked")

    assert (task.attempts, task.why.endswith("took no attempt: it answered 503")) == (0, True)
    assert await platform.ledger(task_id) == []


async def test_a_node_that_refuses_is_not_asked_again_at_once(idle: Platform, target: Target) -> None:
    """Waking a task for a node that has just sent it away would be a loop as fast as the machine."""
    target.say(Reply(503))
    await idle.register(target.url)
    await idle.execute("UPDATE nodes SET live_since = now() - interval '1 minute'")
    task_id = await idle.report(NODE)
    async with idle.worker():
        await idle.starter.round()
        await idle.reaches(task_id, "parked")
        assert await idle.waker.round() is False
        calls = len(target.calls)

        await idle.register(target.url)
        await idle.waker.round()
        await target.called(calls + 1)


async def test_only_nodes_that_have_the_executor_are_asked_and_wake(platform: Platform, target: Target) -> None:
    target.say(answer())
    await platform.register(NOWHERE, executors=("orders.refund",))
    task_id = await platform.report(NODE)
    await platform.reaches(task_id, "parked")
    assert await platform.waker.round() is False
    assert (await platform.task(task_id)).claimed_until is None, "it was not woken for a node that cannot take it"

    await platform.register(target.url, executors=("orders.refund", "orders.charge"))
    assert (await platform.ends(task_id)).status == "succeeded"


async def test_consistent_hashing_keeps_a_business_key_on_one_node(
    platform: Platform, target: Target, other: Target
) -> None:
    target.say(answer())
    await platform.register(target.url)
    await platform.register(other.url)
    for _ in range(4):
        task_id = await platform.report(NODE, {"route": "consistent_hash"}, business_key="customer-7")
        await platform.ends(task_id)

    assert sorted([len(target.calls), len(other.calls)]) == [0, 4]


async def test_round_robin_takes_turns(platform: Platform, target: Target, other: Target) -> None:
    target.say(answer())
    await platform.register(target.url)
    await platform.register(other.url)
    for _ in range(4):
        await platform.ends(await platform.report(NODE))

    assert (len(target.calls), len(other.calls)) == (2, 2)


async def test_an_answer_that_is_none_fails_the_attempt(platform: Platform, target: Target) -> None:
    target.say(Reply(200, b"<html>"), Reply(200, b'{"status": "dunno"}'), answer())
    await platform.register(target.url)
    task_id = await platform.report(NODE)
    await platform.ends(task_id)

    assert [attempt.error_type for attempt in await platform.ledger(task_id)] == [
        "redrive.InvalidAnswer",
        "redrive.InvalidAnswer",
        None,
    ]


async def test_an_attempt_that_still_runs_on_its_node_is_delivered_again_until_it_has_ended(
    platform: Platform, target: Target
) -> None:
    """The worker was lost, the node was not. That is no rejection by the target."""
    target.say(Reply(409), answer())
    await platform.register(target.url)
    task_id = await platform.report(NODE)
    task = await platform.ends(task_id)

    (attempt,) = await platform.ledger(task_id)
    assert (task.status, task.attempts, attempt.deliveries) == ("succeeded", 1, 2)


async def test_a_node_is_told_when_its_attempt_takes_too_long(platform: Platform, target: Target) -> None:
    target.say(Reply(until=Gate()), answer())
    await platform.register(target.url)
    task_id = await platform.report(NODE, {"attempt_timeout_seconds": 0.3})
    task = await platform.ends(task_id)

    first, _ = await platform.ledger(task_id)
    assert (task.status, first.status) == ("succeeded", "timed_out")
    await eventually(lambda: target.cancels == [{"task": str(task_id), "generation": 1, "attempt": 1}])
