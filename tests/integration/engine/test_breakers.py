"""Targets that suffer: tasks are parked and spend nothing, and return slowly."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import text
from temporalio.client import Client
from tests.eventually import eventually
from tests.integration.engine.harness import GROUP, NAMESPACE, NODE, Platform, webhook
from tests.integration.engine.target import Gate, Reply, Target, answer
from tests.integration.engine.test_pauses import end, pause

from redrive.api.releaser import POLL_SECONDS, ROUND_SECONDS
from redrive.core.breaker import Closed, HalfOpen, Open
from redrive.core.messages import Resume, RetryNow
from redrive.store import targets
from redrive.store.targets import StoredTarget
from redrive.workflows.worker import sandboxed_runner, serving

OUTAGE = {
    "backoff": {"kind": "fixed", "delay_seconds": 0.2, "jitter": {"kind": "none"}},
    "max_attempts": 5,
    "breaker": {"minimum": 4, "window_seconds": 60, "open_seconds": 1.5, "rounds": 2, "probe_seconds": 5},
    "budget": {"enabled": False},
    "slow_start": {"first_per_second": 20, "doubling_seconds": 1},
}


def key_of(target: Target) -> str:
    return f"host:{target.url.partition('//')[2]}"


async def stored(platform: Platform, key: str) -> StoredTarget | None:
    async with platform.database.session() as session:
        return await targets.find_target(session, (NAMESPACE, key))


async def state(platform: Platform, key: str) -> Closed | Open | HalfOpen | None:
    known = await stored(platform, key)
    return None if known is None else known.health.breaker.state


async def events(platform: Platform, key: str) -> list[str]:
    async with platform.database.session() as session:
        return [event.kind for event in reversed(await targets.list_events(session, (NAMESPACE, key)))]


async def test_an_outage_costs_no_attempts_and_its_end_is_no_stampede(platform: Platform, target: Target) -> None:
    await platform.change_scene(OUTAGE)
    target.say(Reply(503))
    key = key_of(target)
    first = [await platform.report(webhook(target.url)) for _ in range(4)]
    await eventually(lambda: _is(platform, key, Open), what="the breaker opens")
    rest = [await platform.report(webhook(target.url)) for _ in range(30)]

    parked = [await platform.reaches(task_id, "parked") for task_id in rest]
    assert {task.parked_for for task in parked} == {"breaker"}
    assert sum(task.attempts for task in parked) <= 2, "only probes may fail while the breaker is open"
    assert "breaker is open" in parked[0].why

    # Probes find that it is still down; it opens again, and of those that wait none has spent anything but a probe.
    await eventually(lambda: _opens(platform, key, 2), what="the breaker opens again")
    target.say(Reply(200))
    ended = [await platform.ends(task_id, 60) for task_id in [*first, *rest]]

    assert {task.status for task in ended} == {"succeeded"}
    assert max(task.attempts for task in ended) < 5
    assert sum(task.counters["failures"] for task in ended[4:]) <= 4, "only probes may fail while the breaker is open"
    happened = await events(platform, key)
    assert happened[0] == "opened"
    assert "closed" in happened
    assert isinstance(await state(platform, key), Closed)


async def test_two_workers_share_a_breaker_and_one_may_be_killed(idle: Platform, target: Target) -> None:
    await idle.change_scene(OUTAGE)
    target.say(Reply(500))
    key = key_of(target)
    async with idle.starting(), idle.worker():
        other = await Client.connect(idle.settings.temporal_address or "", namespace=idle.client.namespace)
        async with serving(other, idle.database, idle.settings, runner=sandboxed_runner()):
            tasks = [await idle.report(webhook(target.url)) for _ in range(12)]
            await eventually(lambda: _is(idle, key, Open), what="the breaker opens")
        for task_id in tasks:
            await idle.reaches(task_id, "parked")
        target.say(Reply(200))
        ended = [await idle.ends(task_id, 60) for task_id in tasks]

    assert {task.status for task in ended} == {"succeeded"}


async def test_a_lost_probe_is_replaced(idle: Platform, target: Target) -> None:
    """A worker that dies in the middle of a probe leaves the breaker half-open only for as long as the rule says."""
    rule = {**OUTAGE["breaker"], "open_seconds": 0.5, "rounds": 1, "probe_seconds": 1}  # type: ignore[dict-item]
    await idle.change_scene({**OUTAGE, "breaker": rule, "max_attempts": 50})
    target.say(Reply(500))
    key = key_of(target)
    gate = Gate()
    async with idle.starting():
        async with idle.worker():
            tasks = [await idle.report(webhook(target.url)) for _ in range(6)]
            await eventually(lambda: _is(idle, key, Open), what="the breaker opens")
            target.say(Reply(200, until=gate))
            await eventually(lambda: target.open == 1, what="a probe is under way")
        target.say(Reply(200))
        async with idle.worker():
            for task_id in tasks:
                assert (await idle.ends(task_id, 60)).status == "succeeded"


async def test_a_person_who_retries_a_task_passes_the_breaker(platform: Platform, target: Target) -> None:
    await platform.change_scene({**OUTAGE, "breaker": {"minimum": 2, "open_seconds": 300}})
    target.say(Reply(500))
    waits = [await platform.report(webhook(target.url)) for _ in range(2)]
    await platform.reaches(waits[0], "parked")
    await platform.reaches(waits[1], "parked")
    target.say(Reply(200))

    await platform.update(waits[0], "retry", RetryNow("I know better"))

    assert (await platform.ends(waits[0])).status == "succeeded"
    assert (await platform.task(waits[1])).status == "parked"


async def test_pushback_parks_the_whole_host(platform: Platform, target: Target) -> None:
    await platform.change_scene({"backoff": {"kind": "fixed", "delay_seconds": 0.1}, "max_attempts": 3})
    target.say(Reply(429, headers={"retry-after": "3"}), Reply(200))
    first = await platform.report(webhook(target.url))
    await platform.reaches_attempts(first, 1)

    other = await platform.report({**webhook(target.url), "url": f"{target.url}/hook?another"})
    task = await platform.reaches(other, "parked")
    assert task.parked_for == "pushback"
    assert "asked to be left alone" in task.why

    ended = [await platform.ends(task_id) for task_id in (first, other)]
    assert [(task.status, task.attempts) for task in ended] == [("succeeded", 2), ("succeeded", 1)]
    refused = (await platform.ledger(first))[0].finished_at
    assert refused is not None
    began = (await platform.ledger(other))[0].started_at
    assert (began - refused).total_seconds() >= 2.9


async def test_a_target_that_somebody_holds_just_now_is_looked_after_in_the_next_round(
    platform: Platform, target: Target
) -> None:
    """Workers hold a busy target's row twice a second; its tasks must not wait for the next poll each time."""
    await platform.change_scene({"backoff": {"kind": "fixed", "delay_seconds": 0.1}, "max_attempts": 3})
    target.say(Reply(429, headers={"retry-after": "60"}))
    await platform.reaches_attempts(await platform.report(webhook(target.url)), 1)
    await platform.reaches(await platform.report(webhook(target.url)), "parked")

    async with platform.database.begin() as session:
        await session.execute(text("SELECT FROM target_states FOR UPDATE"))
        held = await platform.releaser.round()

    assert held == ROUND_SECONDS

    async def is_left_alone() -> bool:
        return await platform.releaser.round() == POLL_SECONDS

    await eventually(is_left_alone, what="nothing to do for the target until it wants to be asked again")


async def test_a_spent_budget_delays_and_never_drops(platform: Platform, target: Target) -> None:
    policy = {
        "backoff": {"kind": "fixed", "delay_seconds": 0.05, "jitter": {"kind": "none"}},
        "max_attempts": 4,
        "breaker": {"enabled": False},
        "budget": {"capacity": 4, "floor_per_second": 5, "ratio": 0},
    }
    await platform.change_scene(policy)
    target.say(Reply(500))
    begun = datetime.now(UTC)
    tasks = [await platform.report(webhook(target.url)) for _ in range(6)]

    ended = [await platform.ends(task_id, 60) for task_id in tasks]

    assert {(task.status, task.dead_reason, task.attempts) for task in ended} == {("dead", "exhausted", 4)}
    took = (datetime.now(UTC) - begun).total_seconds()
    # 24 failures: half of the bucket at once, what was under way then, and five a second after that.
    assert took >= (24 - 2 - 12) / 5


async def test_poison_waits_for_a_person(platform: Platform, target: Target) -> None:
    await platform.register(target.url)
    await platform.change_scene(
        {
            "backoff": {"kind": "fixed", "delay_seconds": 0.05},
            "max_attempts": 10,
            "poison": {"same_fingerprint": 2, "action": "park"},
        }
    )
    target.say(answer("failed", error={"type": "ValueError", "message": "no such order"}))
    task_id = await platform.report(NODE)
    task = await platform.reaches(task_id, "parked")
    assert (task.parked_for, task.attempts) == ("poison", 1)
    assert "waits for a person" in task.why

    target.say(answer())
    await platform.update(task_id, "resume", Resume("repaired"))
    task = await platform.ends(task_id)

    assert task.status == "succeeded"
    assert task.counters["failures"] == 1
    assert task.counters["parks"] == 1


async def test_a_rule_parks_without_spending(platform: Platform, target: Target) -> None:
    await platform.change_scene({"classification": [{"http_status": 423, "action": "park", "seconds": 1}]})
    target.say(Reply(423), Reply(200))
    task_id = await platform.report(webhook(target.url))
    task = await platform.reaches(task_id, "parked")
    assert (task.parked_for, task.attempts) == ("rule", 0)

    task = await platform.ends(task_id)

    assert (task.status, task.attempts, task.counters["parks"]) == ("succeeded", 1, 1)


async def test_a_paused_group_holds_live_tasks_and_lets_them_go_again(platform: Platform, target: Target) -> None:
    await platform.change_scene({**OUTAGE, "backoff": {"kind": "fixed", "delay_seconds": 2}})
    target.say(Reply(500), Reply(200))
    task_id = await platform.report(webhook(target.url))
    await platform.reaches_attempts(task_id, 1)
    held = await pause(platform, "group", GROUP)

    task = await platform.reaches(task_id, "parked")
    assert (task.parked_for, task.attempts) == ("pause", 1)
    assert "group orders is paused" in task.why
    await end(platform, held)

    assert (await platform.ends(task_id)).status == "succeeded"
    known = await stored(platform, key_of(target))
    assert known is not None
    assert known.released_at is not None


async def _is(platform: Platform, key: str, kind: type) -> bool:
    return isinstance(await state(platform, key), kind)


async def _opens(platform: Platform, key: str, times: int) -> bool:
    found = await state(platform, key)
    return isinstance(found, Open) and found.opens >= times
