"""Nodes: register, heartbeat, drain, and what becomes of those that fall silent."""

from __future__ import annotations

from typing import Any

import pytest
from tests.integration.api.client import Api, Serve, count, execute, fields, problem

from redrive.store.database import Database

NODE: dict[str, Any] = {
    "id": "host-1",
    "group": "orders",
    "url": "http://10.0.0.7:8000",
    "labels": {"zone": "a"},
    "version": "1.2",
    "executors": ["orders.charge"],
    "capacity": 10,
}


async def status(api: Api, node: str = "host-1") -> str:
    found: str = (await api.get(f"/v1/nodes/{node}")).json()["status"]
    return found


async def test_a_node_registers_and_learns_its_lease_and_the_secrets_of_its_group(api: Api) -> None:
    answer = await api.post("/v1/nodes/register", NODE)

    secrets = (await api.get("/v1/groups/orders/signing-secrets")).json()["signing_secrets"]
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "id": "host-1", "lease_seconds": 30.0, "heartbeat_seconds": 10.0, "signing_secrets": secrets,
    }  # fmt: skip
    node = (await api.get("/v1/nodes/host-1")).json()
    assert {name: node[name] for name in NODE} == NODE
    assert (node["status"], node["in_flight"]) == ("live", 0)
    assert (await api.get("/v1/nodes")).json()["items"] == [node]


async def test_a_heartbeat_tells_what_it_runs_and_learns_rotated_secrets(api: Api) -> None:
    await api.post("/v1/nodes/register", NODE)
    rotated = (await api.post("/v1/groups/orders/signing-secrets/rotate")).json()["signing_secrets"]

    answer = await api.post("/v1/nodes/host-1/heartbeat", {"group": "orders", "in_flight": 3})

    assert answer.json() == {"status": "live", "signing_secrets": rotated}
    assert (await api.get("/v1/nodes/host-1")).json()["in_flight"] == 3


async def test_a_silent_node_is_lost_until_its_next_heartbeat(api: Api, database: Database) -> None:
    await api.post("/v1/nodes/register", NODE)
    await execute(database, "UPDATE nodes SET last_heartbeat_at = now() - interval '31 seconds'")

    assert await status(api) == "lost"
    await api.post("/v1/nodes/host-1/heartbeat", {"group": "orders"})
    assert await status(api) == "live"


async def test_a_draining_node_stays_so_until_it_registers_again(api: Api) -> None:
    await api.post("/v1/nodes/register", NODE)

    drained = await api.post("/v1/nodes/host-1/drain")
    heartbeat = await api.post("/v1/nodes/host-1/heartbeat", {"group": "orders"})

    assert drained.json()["status"] == heartbeat.json()["status"] == await status(api) == "draining"
    await api.post("/v1/nodes/register", NODE)
    assert await status(api) == "live"


async def test_an_unknown_node_is_told_to_register(api: Api) -> None:
    for method, path in (("POST", "/heartbeat"), ("POST", "/drain"), ("GET", ""), ("DELETE", "")):
        document = {"group": "orders"} if path == "/heartbeat" else None
        answer = await api.client.request(method, f"/v1/nodes/host-1{path}", json=document)
        assert "register" in problem(answer, 404, "node-not-found")["detail"]


async def test_a_deleted_node_is_gone(api: Api) -> None:
    await api.post("/v1/nodes/register", NODE)

    assert (await api.delete("/v1/nodes/host-1")).status_code == 204
    problem(await api.post("/v1/nodes/host-1/heartbeat", {"group": "orders"}), 404, "node-not-found")


async def test_a_node_cannot_take_the_id_of_another_groups_node(api: Api) -> None:
    await api.post("/v1/nodes/register", NODE)

    problem(await api.post("/v1/nodes/register", {**NODE, "group": "shop"}), 409, "already-exists")
    problem(await api.post("/v1/nodes/host-1/heartbeat", {"group": "shop"}), 404, "node-not-found")
    assert (await api.get("/v1/nodes/host-1")).json()["group"] == "orders"


async def test_nodes_are_listed_by_group(api: Api) -> None:
    await api.post("/v1/nodes/register", NODE)
    await api.post("/v1/nodes/register", {**NODE, "id": "host-2", "group": "shop"})

    assert [node["id"] for node in (await api.get("/v1/nodes", group="shop")).json()["items"]] == ["host-2"]


async def test_a_group_is_not_made_by_a_node_where_reports_make_none(serve: Serve, database: Database) -> None:
    api = await serve(auto_create=False)

    problem(await api.post("/v1/nodes/register", NODE), 422, "unknown-group")
    assert await count(database, "nodes") + await count(database, "groups") == 0


BAD_REGISTRATIONS: list[tuple[Any, ...]] = [
    ({"id": "a/b"}, "id"),
    ({"id": ""}, "id"),
    ({"url": "host:8000"}, "url"),
    ({"url": "http://user@host"}, "url"),
    ({"group": ".."}, "group"),
    ({"labels": {"a": 1}}, "labels.a"),
    ({"labels": {"a": "\x00"}}, "labels.a"),
    ({"executors": [""]}, "executors[0]"),
    ({"capacity": -1}, "capacity"),
    ({"capacity": 2**31}, "capacity"),
    ({"versoin": "1"}, "versoin"),
]


async def test_a_bad_registration_is_named(api: Api, database: Database, subtests: pytest.Subtests) -> None:
    for change, field in BAD_REGISTRATIONS:
        with subtests.test(change=str(change)[:80], field=str(field)[:80]):
            answer = await api.post("/v1/nodes/register", {**NODE, **change})

            assert field in fields(problem(answer, 422, "invalid-request"))
            assert await count(database, "nodes") + await count(database, "groups") == 0
