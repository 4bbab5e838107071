"""Breakers: seen, held open or closed by hand, and by whom."""

from __future__ import annotations

import pytest
from tests.integration.api.client import Api, Serve, fields, problem

from redrive.store.database import Database
from redrive.store.keys import create_key

HOST = "/v1/breakers/host:api.example:8443"
SCENE = "/v1/breakers/scene:orders/charge-card"


async def test_a_breaker_is_held_open_shown_and_released(api: Api) -> None:
    held = (await api.post(f"{HOST}/open", {"reason": "the bank moves", "until": "2999-01-01T00:00:00Z"})).json()

    assert (held["key"], held["kind"], held["state"]) == ("host:api.example:8443", "host", "closed")
    assert (held["override"]["position"], held["override"]["reason"]) == ("open", "the bank moves")
    assert [event["kind"] for event in held["history"]] == ["override_set"]

    released = (await api.post(f"{HOST}/release", {})).json()
    assert released["override"] is None
    assert released["state"] == "half_open", "the target is probed before everything returns to it"
    assert [event["kind"] for event in released["history"]] == ["override_ended", "override_set"]

    closed = (await api.post(f"{HOST}/close", {"reason": "it is back"})).json()
    assert closed["override"]["position"] == "closed"
    assert closed["ramp_rate"] is not None, "what is parked returns by slow start"
    assert (await api.get(HOST)).json()["history"] == closed["history"]
    entries = (await api.get("/v1/audit", subject_kind="breaker")).json()["items"]
    assert [entry["action"] for entry in entries] == ["close", "release", "open"]


async def test_breakers_are_listed_by_key_in_pages(api: Api) -> None:
    for key in ("host:b.example", "scene:orders/refund", "host:a.example"):
        assert (await api.post(f"/v1/breakers/{key}/open", {})).status_code == 200

    first = (await api.get("/v1/breakers", limit=2)).json()
    rest = (await api.get("/v1/breakers", limit=2, cursor=first["next_cursor"])).json()

    assert [one["key"] for one in first["items"]] == ["host:a.example", "host:b.example"]
    assert [one["key"] for one in rest["items"]] == ["scene:orders/refund"]
    assert rest["next_cursor"] is None
    problem(await api.get("/v1/breakers", cursor="bm9uZQ"), 422, "invalid-request")


async def test_what_no_target_can_be_called_is_refused_with_an_example(api: Api) -> None:
    for method, path in (("GET", ""), ("POST", "/open")):
        answer = await api.client.request(method, f"/v1/breakers/orders{path}", json={} if path else None)
        assert "host:api.example" in fields(problem(answer, 422, "invalid-request"))["key"]
    problem(await api.get(HOST), 404, "breaker-not-found")
    late = await api.post(f"{HOST}/open", {"until": "2001-01-01T00:00:00Z"})
    assert "until" in fields(problem(late, 422, "invalid-request"))


@pytest.mark.parametrize("path", [HOST, f"{HOST}/open", "/v1/breakers/scene:mail/send"])
async def test_a_key_for_a_group_opens_the_breakers_of_its_scenes_alone(
    serve: Serve, database: Database, path: str
) -> None:
    async with database.begin() as session:
        _, key = await create_key(session, name="ci", namespace="default", group="orders")
        _, all_key = await create_key(session, name="ops", namespace="default")
    api = await serve(require_api_key=True)
    orders, everything = api.with_key(key), api.with_key(all_key)
    for target in (HOST, SCENE, "/v1/breakers/scene:mail/send"):
        assert (await everything.post(f"{target}/open", {})).status_code == 200

    answer = await (orders.post(path, {}) if path.endswith("open") else orders.get(path))

    problem(answer, 403, "out-of-scope")
    assert [one["key"] for one in (await orders.get("/v1/breakers")).json()["items"]] == ["scene:orders/charge-card"]
