"""The overview: every figure is what the list shows that is filtered likewise, before and after it was added up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.integration.api.client import LONG, Api, Serve, execute, problem
from tests.integration.store.support import command, insert

from redrive.core.messages import Record
from redrive.core.states import AttemptStatus
from redrive.store import attempts, statistics, tallies, tasks
from redrive.store.attempts import Finish
from redrive.store.database import Database
from redrive.store.keys import create_key
from redrive.store.statistics import Place

Fold = Callable[[], Awaitable[None]]


@pytest.fixture
def fold(database: Database) -> Fold:
    async def add_up() -> None:
        async with database.begin() as session:
            await tallies.fold(session, 1_000_000)
            await tallies.prune(session)

    return add_up


async def overview(api: Api, **params: Any) -> dict[str, Any]:
    answer = await api.get("/v1/stats/overview", **params)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def listed(api: Api, **filters: Any) -> int:
    """Count what a list shows, page by page."""
    found, cursor = 0, None
    while True:
        answer = await api.get("/v1/tasks", limit=500, cursor=cursor, **filters)
        assert answer.status_code == 200, answer.text
        found += len(answer.json()["items"])
        cursor = answer.json()["next_cursor"]
        if cursor is None:
            return found


async def live(database: Database, outcomes: str, **fields: Any) -> str:
    """Lead a task through attempts (`f`ailed or `s`ucceeded), each three seconds late, to its end or a pause."""
    now = datetime.now(UTC)
    task_id = await insert(database, **{"created_at": now, "next_attempt_at": now, **fields})
    for number, outcome in enumerate(outcomes, 1):
        due = now - timedelta(seconds=3)
        order = command(
            task_id, group=fields.get("group", "orders"), number=number, attempts=number, version=number * 10,
            due_at=due.isoformat(),
        )  # fmt: skip
        failed = outcome == "f"
        async with database.session() as session:
            assert await tasks.start_attempt(session, order, has_node=True, node_id=None, url=None)
            status = AttemptStatus.FAILED if failed else AttemptStatus.SUCCEEDED
            await attempts.finish_attempt(session, order, 1, Finish(status, error_type="E" if failed else None))
            ended = {"s": "succeeded", "f": "waiting"}[outcome] if number < 3 or not failed else "dead"
            record = Record(
                namespace="default",
                task_id=str(task_id), generation=1, version=number * 10 + 1, status=ended, attempts=number,
                attempt=number, why="", dead_reason="exhausted" if ended == "dead" else None,
                next_attempt_at=(now + timedelta(hours=2)).isoformat() if ended == "waiting" else None,
            )  # fmt: skip
            assert await tasks.record(session, record)
    return str(task_id)


async def check(api: Api, shown: dict[str, Any]) -> None:
    """Compare every figure about tasks with the list that it links to."""
    for status, figure in shown["counts"].items():
        assert figure == await listed(api, status=status), status
    step = timedelta(seconds=shown["bucket_seconds"])
    for point in shown["throughput"]:
        until = (datetime.fromisoformat(point["at"]) + step).isoformat()
        for status in ("succeeded", "dead", "cancelled"):
            if point[status]:
                ended = await listed(api, status=status, finished_after=point["at"], finished_before=until)
                assert point[status] == ended
    for scene in shown["failing_scenes"]:
        place = {"group": scene["group"], "scene": scene["scene"]}
        ended = await listed(api, status="dead", finished_after=shown["since"], finished_before=shown["until"], **place)
        assert scene["dead"] == ended
    open_states = "pending,waiting,parked"
    for hour in shown["due_next"]:
        at = datetime.fromisoformat(hour["at"])
        until = at + timedelta(hours=1)
        listed_then = await listed(api, status=open_states, next_after=at.isoformat(), next_before=until.isoformat())
        assert hour["count"] == listed_then
    overdue = await listed(api, status=open_states, next_before=shown["backlog"]["before"])
    assert shown["backlog"]["overdue"] == overdue


async def test_every_figure_is_what_its_list_shows(api: Api, database: Database, fold: Fold) -> None:
    await api.put("/v1/config", {"version": 1, "groups": {"orders": {"scenes": {"charge": {"policy": LONG}}}}})
    died = [await live(database, "fff") for _ in range(2)]
    for outcomes in ("s", "fs", "ffs", "s", "f"):
        await live(database, outcomes)
    long_ago = datetime.now(UTC) - timedelta(minutes=10)
    await live(database, "", next_attempt_at=long_ago)
    for index in range(4):
        await api.report(business_key=str(index))

    async def compare() -> dict[str, Any]:
        before = await overview(api)
        await check(api, before)
        await fold()
        after = await overview(api)
        await check(api, after)
        for figure in ("counts", "success_after", "failing_scenes", "throughput", "lag", "backlog"):
            if before["since"] == after["since"]:
                assert before[figure] == after[figure], f"{figure} must not depend on what is added up already"
        return after

    first = await compare()
    assert first["success_after"] == [
        {"attempts": 1, "count": 2}, {"attempts": 2, "count": 1}, {"attempts": 3, "count": 1},
    ]  # fmt: skip
    assert first["failing_scenes"] == [
        {"group": "orders", "scene": "charge", "succeeded": 4, "dead": 2, "attempts": 14, "failed": 10}
    ]
    assert first["backlog"]["oldest_due_at"] == long_ago.replace(second=0, microsecond=0).isoformat().replace(
        "+00:00", "Z"
    )
    assert 3.0 < first["lag"]["p50_seconds"] < 4.2
    assert sum(point["failed"] for point in first["throughput"]) == 10

    assert [(error["error_type"], error["count"], error["before"]) for error in first["rising_errors"]] == [("E", 2, 0)]
    for error in first["rising_errors"]:
        range_ = {"finished_after": first["since"], "finished_before": first["until"]}
        assert error["count"] == await listed(api, status="dead", fingerprint=error["fingerprint"], **range_)

    # What people do to tasks afterwards changes the past, in the lists as in the figures.
    assert (await api.post(f"/v1/tasks/{died[0]}/retry")).status_code == 200
    assert (await api.post(f"/v1/tasks/{died[0]}/cancel")).status_code == 200
    assert (await api.delete(f"/v1/tasks/{died[1]}")).status_code == 204
    second = await compare()
    assert second["counts"]["dead"] == 0
    assert second["counts"]["cancelled"] == 1
    assert sum(point["failed"] for point in second["throughput"]) == 10, "attempts are history"


async def test_a_folded_journal_is_empty_and_folding_again_changes_nothing(api: Api, database: Database) -> None:
    for index in range(5):
        await api.report(business_key=str(index))
    async with database.begin() as session:
        assert await tallies.fold(session, 3) is not None
    async with database.begin() as session, database.begin() as other:
        await tallies.fold(session, 100)
        assert await tallies.fold(other, 100) is None, "one process at a time"
    async with database.session() as session:
        assert await statistics.count_by_status(session, Place("default")) == {"pending": 5}
    async with database.begin() as session:
        assert await tallies.fold(session, 100) == 0
    async with database.session() as session:
        assert await statistics.count_by_status(session, Place("default")) == {"pending": 5}


async def test_figures_of_a_group_are_of_that_group_alone(serve: Serve, database: Database, fold: Fold) -> None:
    async with database.begin() as session:
        _, key = await create_key(session, name="orders", namespace="default", group="orders")
    anyone = await serve()
    await anyone.report()
    await anyone.report(group="pay", scene="refund")
    await anyone.report(group="pay", scene="refund", args=["2"])
    narrow = (await serve(require_api_key=True)).with_key(key)

    for _ in range(2):
        assert (await overview(anyone))["counts"]["pending"] == 3
        assert (await overview(anyone, group="pay"))["counts"]["pending"] == 2
        assert (await overview(narrow))["counts"]["pending"] == 1
        problem(await narrow.get("/v1/stats/overview", group="pay"), 403, "out-of-scope")
        await fold()


async def test_a_range_ends_with_the_bucket_of_this_moment(api: Api) -> None:
    for wanted, seconds in (("1h", 3600), ("6h", 21600), ("24h", 86400), ("7d", 604800)):
        shown = await overview(api, range=wanted)
        since, until, at = (datetime.fromisoformat(shown[name]) for name in ("since", "until", "at"))
        assert (until - since).total_seconds() == seconds
        assert until - timedelta(seconds=shown["bucket_seconds"]) <= at < until
        assert len(shown["throughput"]) == seconds / shown["bucket_seconds"]
        assert len(shown["lag"]["series"]) == len(shown["throughput"])
    problem(await api.get("/v1/stats/overview", range="2h"), 422, "invalid-request")


async def test_health_tells_that_temporal_is_away_and_that_nobody_reconciles(api: Api, database: Database) -> None:
    health = (await overview(api))["health"]
    assert health == {
        "database": "up", "engine": "down", "reconciler": "never", "reconciled_at": None, "repaired": 0,
    }  # fmt: skip

    await execute(
        database,
        "INSERT INTO reconciliations (started_at, finished_at, rows_checked, workflows_checked, restarted, cancelled,"
        " closed) VALUES (now(), now() - interval '1 h', 5, 5, 1, 0, 2)",
    )
    health = (await overview(api))["health"]
    assert (health["reconciler"], health["repaired"]) == ("late", 3)


async def test_breakers_are_counted_as_their_list_shows_them(api: Api) -> None:
    for key in ("host:a.example", "scene:orders/charge", "scene:pay/refund"):
        assert (await api.post(f"/v1/breakers/{key}/open", {})).status_code == 200
    await api.post("/v1/breakers/host:a.example/close", {})
    await api.post("/v1/breakers/scene:pay/refund/release", {})

    shown = (await api.get("/v1/breakers")).json()["items"]
    down = [
        one
        for one in shown
        if (one["state"] != "closed" if one["override"] is None else one["override"]["position"] == "open")
    ]
    assert (await overview(api))["breakers_open"] == len(down) == 2
    assert (await overview(api, group="orders"))["breakers_open"] == 1
