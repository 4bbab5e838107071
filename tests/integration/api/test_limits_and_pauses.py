"""Limits and pauses: set, shown, taken away, and by whom."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from tests.integration.api.client import Api, Serve, fields, problem

from redrive.store.database import Database
from redrive.store.keys import create_key
from redrive.store.scenes import create_namespace

LIMIT = "/v1/limits/scene/orders/charge-card"


async def test_a_limit_is_set_replaced_and_taken_away(api: Api) -> None:
    made = (await api.put(LIMIT, {"rate": 50, "burst": 5})).json()
    replaced = await api.put(LIMIT, {"concurrency": 3})

    assert (made["scope"], made["key"], made["rate"], made["burst"]) == ("scene", "orders/charge-card", 50, 5)
    assert (await api.get("/v1/limits")).json()["items"] == [replaced.json()]
    assert (replaced.json()["rate"], replaced.json()["concurrency"]) == (None, 3)

    assert (await api.delete(LIMIT)).status_code == 204
    assert (await api.get("/v1/limits")).json() == {"items": []}
    problem(await api.delete(LIMIT), 404, "limit-not-found")


@pytest.mark.parametrize(
    ("document", "field"),
    [({}, ""), ({"burst": 3, "concurrency": 1}, ""), ({"rate": 0}, "rate"), ({"concurrency": 0}, "concurrency")],
)
async def test_a_limit_that_limits_nothing_or_everything_is_refused(
    api: Api, document: dict[str, Any], field: str
) -> None:
    assert list(fields(problem(await api.put(LIMIT, document), 422, "invalid-request"))) == [field]


async def test_a_key_that_no_task_can_have_is_refused_with_an_example(api: Api) -> None:
    limit = problem(await api.put("/v1/limits/target/https%3A%2F%2Fapi.example", {"rate": 1}), 422, "invalid-request")
    pause = problem(await api.post("/v1/pauses", {"scope": "scene", "key": "orders"}), 422, "invalid-request")

    assert "host:api.example" in fields(limit)["key"]
    assert "orders/charge-card" in fields(pause)["key"]


async def test_a_pause_is_set_shown_and_ended(api: Api) -> None:
    made = (await api.post("/v1/pauses", {"scope": "group", "key": "orders", "reason": "the bank migrates"})).json()
    whole = (await api.post("/v1/pauses", {"scope": "namespace", "until": "2999-01-01T00:00:00Z"})).json()

    assert (await api.get("/v1/pauses")).json()["items"] == [whole, made]
    assert (await api.delete(f"/v1/pauses/{made['id']}")).status_code == 204
    assert (await api.get("/v1/pauses")).json()["items"] == [whole]
    problem(await api.delete(f"/v1/pauses/{made['id']}"), 404, "pause-not-found")
    problem(await api.delete(f"/v1/pauses/{uuid4()}"), 404, "pause-not-found")


async def test_a_held_task_says_who_holds_it_and_why(api: Api) -> None:
    task = await api.report()
    other = await api.report(scene="refund")
    pause = {"scope": "scene", "key": "orders/charge-card", "reason": "the bank migrates"}
    await api.post("/v1/pauses", pause)

    shown = await api.task(task["id"])
    listed = {item["id"]: item["why"] for item in (await api.get("/v1/tasks")).json()["items"]}

    assert shown["status"] == "pending"
    assert shown["why"] == "scene orders/charge-card is paused until somebody ends it: the bank migrates"
    assert listed == {task["id"]: shown["why"], other["id"]: other["why"]}


async def test_a_pause_that_would_be_over_already_is_refused(api: Api) -> None:
    answer = await api.post("/v1/pauses", {"scope": "namespace", "until": "2020-01-01T00:00:00Z"})

    assert "future" in fields(problem(answer, 422, "invalid-request"))["until"]


async def test_what_is_set_on_a_group_goes_with_it(api: Api) -> None:
    await api.post("/v1/groups", {"name": "orders"})
    for path in ("group/orders", "scene/orders/charge-card", "group/orders-2"):
        await api.put(f"/v1/limits/{path}", {"rate": 1})
    await api.post("/v1/pauses", {"scope": "scene", "key": "orders/charge-card"})

    assert (await api.delete("/v1/groups/orders")).status_code == 204

    assert [limit["key"] for limit in (await api.get("/v1/limits")).json()["items"]] == ["orders-2"]
    assert (await api.get("/v1/pauses")).json()["items"] == []


async def test_a_key_of_one_group_sets_what_concerns_it_alone_and_sees_what_holds_it(
    serve: Serve, database: Database
) -> None:
    async with database.begin() as session:
        await create_namespace(session, "default")
        _, key = await create_key(session, name="ci", namespace="default", group="orders")
        _, all_key = await create_key(session, name="ops", namespace="default")
    api = await serve(require_api_key=True)
    orders, everything = api.with_key(key), api.with_key(all_key)

    for scope, name in (("group", "mail"), ("scene", "mail/send"), ("target", "host:api.example")):
        problem(await orders.put(f"/v1/limits/{scope}/{name}", {"rate": 1}), 403, "out-of-scope")
        problem(await orders.post("/v1/pauses", {"scope": scope, "key": name}), 403, "out-of-scope")
    problem(await orders.post("/v1/pauses", {"scope": "namespace"}), 403, "out-of-scope")
    mail = (await everything.post("/v1/pauses", {"scope": "group", "key": "mail"})).json()
    whole = (await everything.post("/v1/pauses", {"scope": "namespace"})).json()
    own = (await orders.post("/v1/pauses", {"scope": "group", "key": "orders"})).json()

    assert own["author"] == "ci"
    assert (await orders.get("/v1/pauses")).json()["items"] == [own, whole]
    problem(await orders.delete(f"/v1/pauses/{mail['id']}"), 404, "pause-not-found")
    problem(await orders.delete(f"/v1/pauses/{whole['id']}"), 403, "out-of-scope")
