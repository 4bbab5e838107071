"""Lists of tasks and attempts: filters, order, and pages that stay right while tasks come."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.integration.api.client import Api, execute, fields, problem

from redrive.store.database import Database


async def listed(api: Api, **params: Any) -> list[dict[str, Any]]:
    answer = await api.get("/v1/tasks", **params)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def ids(api: Api, **params: Any) -> list[str]:
    return [task["id"] for task in await listed(api, **params)]


async def test_a_list_shows_the_newest_first_and_leaves_payload_and_policy_out(api: Api) -> None:
    reported = [await api.report(business_key=f"b{number}") for number in range(3)]

    tasks = await listed(api)

    assert [task["id"] for task in tasks] == [task["id"] for task in reversed(reported)]
    heavy = {"args", "kwargs", "body", "policy", "policy_override", "trace_context"}
    assert heavy <= set(reported[0]) - set(tasks[0])
    assert all(tasks[0][name] == reported[2][name] for name in tasks[0])


FILTERS: list[tuple[dict[str, Any], str]] = [
    ({"group": "orders"}, "acd"),
    ({"group": "none"}, ""),
    ({"scene": "refund"}, "b"),
    ({"status": "paused"}, "c"),
    ({"status": "paused,cancelled"}, "cd"),
    ({"status": ["paused", "cancelled"]}, "cd"),
    ({"status": " paused , dead"}, "c"),
    ({"dead_reason": "expired,rejected"}, ""),
    ({"business_key": "b-a"}, "a"),
    ({"idempotency_key": "i-b"}, "b"),
    ({"error": "timeout"}, "a"),
    ({"error": "FELL over"}, "b"),
    ({"q": "B-C"}, "c"),
    ({"q": "refund"}, "b"),
    ({"q": "100%"}, ""),
    ({"q": ""}, "abcd"),
    ({"group": "orders", "status": "pending"}, "a"),
    ({"kind": "callback"}, ""),
    ({"kind": "task", "priority": 1}, "b"),
    ({"metadata.tenant": "acme"}, "ab"),
    ({"metadata.tenant": "acme", "metadata.try": "3"}, "b"),
    ({"metadata.tenant": "Acme"}, ""),
    ({"fingerprint": "0123456789abcdef"}, ""),
    ({"finished_after": "2020-01-01T00:00:00Z"}, "d"),
    ({"finished_before": "2020-01-01T00:00:00Z"}, ""),
    ({"parent_id": "01890000-0000-7000-8000-000000000000"}, ""),
    ({"ids": "01890000-0000-7000-8000-000000000000"}, ""),
]


async def test_filters_narrow_the_list(api: Api, subtests: pytest.Subtests) -> None:
    tasks = {
        "a": await api.report(
            business_key="b-a", error={"type": "TimeoutError", "message": "late"}, metadata={"tenant": "acme"}
        ),
        "b": await api.report(
            group="shop",
            scene="refund",
            idempotency_key="i-b",
            error={"type": "E", "message": "it fell over"},
            metadata={"tenant": "acme", "try": 3},
            priority=1,
        ),
        "c": await api.report(business_key="b-c"),
        "d": await api.report(),
    }
    await api.post(f"/v1/tasks/{tasks['c']['id']}/pause")
    await api.post(f"/v1/tasks/{tasks['d']['id']}/cancel")

    for params, found in FILTERS:
        with subtests.test(params=params):
            assert sorted(await ids(api, **params)) == sorted(tasks[name]["id"] for name in found)
            counted = (await api.get("/v1/tasks/count", **params)).json()
            assert counted == {"count": len(found), "exact": True}
    chosen = [tasks["a"]["id"], tasks["d"]["id"]]
    assert sorted(await ids(api, ids=",".join(chosen))) == chosen


async def test_a_search_finds_a_task_by_its_id(api: Api) -> None:
    task = await api.report()
    await api.report()

    assert await ids(api, q=task["id"]) == [task["id"]]


async def test_ranges_of_time_include_their_begin_and_exclude_their_end(api: Api) -> None:
    first = await api.report(delay_seconds=100)
    second = await api.report(delay_seconds=200)

    assert await ids(api, created_after=second["created_at"]) == [second["id"]]
    assert await ids(api, created_before=second["created_at"]) == [first["id"]]
    assert await ids(api, next_after=first["next_attempt_at"], next_before=second["next_attempt_at"]) == [first["id"]]
    assert await ids(api, updated_after=(datetime.now(UTC) + timedelta(hours=1)).isoformat()) == []
    assert await ids(api, updated_before="2020-01-01T00:00:00+02:00") == []


ORDERS = {
    "created_at": "abc",
    "-created_at": "cba",
    "next_attempt_at": "cab",
    "-next_attempt_at": "bac",
    "updated_at": "bca",
    "-updated_at": "acb",
    "priority": "cab",
    "-priority": "bac",
    "attempts": "abc",
    "-attempts": "cba",
}


async def test_every_order_is_kept_over_pages_of_any_size(api: Api, subtests: pytest.Subtests) -> None:
    tasks = {
        name: await api.report(delay_seconds=delay, priority=priority)
        for name, delay, priority in (("a", 200, 2), ("b", 300, 3), ("c", 100, 1))
    }
    await api.patch(f"/v1/tasks/{tasks['a']['id']}", {"business_key": "touched last"})

    for sort, order in ORDERS.items():
        for limit in (1, 2, 50):
            with subtests.test(sort=sort, limit=limit):
                assert await all_ids(api, sort, limit) == [tasks[name]["id"] for name in order]


async def test_ended_tasks_are_ordered_by_their_end(api: Api) -> None:
    first, second, _open = [(await api.report())["id"] for _ in range(3)]
    for task_id in (second, first):
        await api.post(f"/v1/tasks/{task_id}/cancel")

    assert await all_ids(api, "finished_at", 1) == [second, first]
    assert await all_ids(api, "-finished_at", 1) == [first, second]


async def all_ids(api: Api, sort: str, limit: int) -> list[str]:
    """Follow the cursors from the first page to the last."""
    found: list[str] = []
    cursor: str | None = None
    while cursor or not found:
        page = (await api.get("/v1/tasks", sort=sort, limit=limit, cursor=cursor)).json()
        found += [task["id"] for task in page["items"]]
        cursor = page["next_cursor"]
    return found


async def test_pages_neither_repeat_nor_skip_while_tasks_come_and_go(api: Api) -> None:
    old = [(await api.report())["id"] for _ in range(5)]
    first = (await api.get("/v1/tasks", limit=2)).json()
    await api.report()
    await api.post(f"/v1/tasks/{first['items'][1]['id']}/cancel")
    await api.delete(f"/v1/tasks/{first['items'][1]['id']}")

    rest = (await api.get("/v1/tasks", limit=10, cursor=first["next_cursor"])).json()

    assert [task["id"] for task in first["items"] + rest["items"]] == list(reversed(old))
    assert rest["next_cursor"] is None


async def test_a_cursor_belongs_to_its_order(api: Api) -> None:
    for _ in range(3):
        await api.report()
    cursor = (await api.get("/v1/tasks", limit=1)).json()["next_cursor"]

    document = problem(await api.get("/v1/tasks", limit=1, sort="created_at", cursor=cursor), 422, "invalid-request")
    assert list(fields(document)) == ["cursor"]


async def test_attempts_are_paged_in_the_order_in_which_they_ran(api: Api, database: Database) -> None:
    task = await api.report()
    for generation, number in ((1, 1), (1, 2), (2, 1)):
        await execute(
            database,
            """
            INSERT INTO attempts (task_id, generation, number, namespace, "group", scene, status, due_at, started_at,
                finished_at, error_type, error_message, fingerprint, why, url, http_status)
            VALUES (:task, :generation, :number, 'default', 'orders', 'charge-card', 'failed', now(), now(), now(),
                'E', 'm', 'f', 'because', 'http://node', 503)
            """,
            task=task["id"],
            generation=generation,
            number=number,
        )
    path = f"/v1/tasks/{task['id']}/attempts"

    first = (await api.get(path, limit=2)).json()
    second = (await api.get(path, limit=2, cursor=first["next_cursor"])).json()

    found = [(attempt["generation"], attempt["number"]) for attempt in first["items"] + second["items"]]
    assert found == [(1, 1), (1, 2), (2, 1)]
    assert second["next_cursor"] is None
    attempt = first["items"][0]
    assert attempt["error"] == {"type": "E", "message": "m", "stack": None, "fingerprint": "f"}
    assert (attempt["status"], attempt["why"], attempt["http_status"]) == ("failed", "because", 503)
    for cursor in ("abc", (await api.get("/v1/tasks", limit=1)).json()["next_cursor"] or "W10"):
        problem(await api.get(path, cursor=cursor), 422, "invalid-request")


async def test_counts_show_every_status(api: Api) -> None:
    task = await api.report()
    await api.report(group="shop")
    await api.post(f"/v1/tasks/{task['id']}/pause")

    everywhere = (await api.get("/v1/stats/tasks")).json()
    shop = (await api.get("/v1/stats/tasks", group="shop")).json()

    assert everywhere["counts"] == {
        "pending": 1, "waiting": 0, "running": 0, "paused": 1, "parked": 0, "succeeded": 0, "dead": 0, "cancelled": 0,
    }  # fmt: skip
    assert (everywhere["open"], everywhere["total"]) == (2, 2)
    assert shop["total"] == 1
