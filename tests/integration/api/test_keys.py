"""API keys: what they open, on every route."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from tests.eventually import eventually
from tests.integration.api.client import LONG, Api, Serve, a_report, count, execute, fields, problem

from redrive.api import access
from redrive.store import keys, scenes
from redrive.store.database import Database

NODE = {"id": "n", "group": "orders", "url": "http://10.0.0.7:8000"}


@pytest.fixture
async def guarded(serve: Serve, database: Database) -> Api:
    """The API with keys required."""
    async with database.begin() as session:
        await scenes.create_namespace(session, "staging")
    return await serve(require_api_key=True)


@pytest.fixture
async def root(guarded: Api, database: Database) -> Api:
    """The API by a key for everything."""
    return await by_key(guarded, database)


async def by_key(api: Api, database: Database, **scope: Any) -> Api:
    async with database.begin() as session:
        _, key = await keys.create_key(session, name="a test", **scope)
    return api.with_key(key)


async def test_every_route_of_the_api_needs_a_key(guarded: Api) -> None:
    document = (await guarded.get("/openapi.json")).json()

    for path, operations in document["paths"].items():
        if not path.startswith("/v1/"):
            continue
        filled = re.sub(r"\{\w*id\}", "01a20926-7e35-77ee-9052-a9227050bf40", re.sub(r"\{(?!\w*id\})\w+\}", "x", path))
        for method in operations:
            answer = await guarded.client.request(method.upper(), filled)
            problem(answer, 401, "api-key-required")
            assert answer.headers["www-authenticate"] == "Bearer", (method, path)


async def test_health_and_pages_need_no_key(guarded: Api) -> None:
    for path in ("/healthz", "/readyz", "/", "/openapi.json", "/problems/api-key-required"):
        assert (await guarded.get(path)).status_code == 200


@pytest.mark.parametrize("header", ["Bearer rdv_wrong", "bearer  rdv_wrong ", "Bearer é"])
async def test_a_key_that_is_not_in_force_is_told_from_none(guarded: Api, header: str) -> None:
    answer = await guarded.client.get("/v1/tasks", headers=httpx.Headers([(b"authorization", header.encode())]))

    problem(answer, 401, "api-key-invalid")
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz"])
async def test_another_scheme_is_no_key(guarded: Api, header: str) -> None:
    answer = await guarded.client.get("/v1/tasks", headers={"authorization": header})

    problem(answer, 401, "api-key-required")


async def test_a_key_is_made_shown_once_used_and_revoked(
    root: Api, guarded: Api, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "_TRUST_SECONDS", 0.0)
    made = (await root.post("/v1/keys", {"name": "orders", "namespace": "default", "group": "orders"})).json()

    client = guarded.with_key(made["key"])

    assert made["key"].startswith(made["prefix"])
    assert (await client.get("/v1/tasks")).status_code == 200
    listed = (await root.get("/v1/keys")).text
    assert made["id"] in listed
    assert made["key"] not in listed
    assert await count(database, "api_keys", f"hash = '{made['key']}'") == 0
    assert (await root.delete(f"/v1/keys/{made['id']}")).status_code == 204
    problem(await client.get("/v1/tasks"), 401, "api-key-invalid")
    problem(await root.delete(f"/v1/keys/{made['id']}"), 404, "api-key-not-found")


BAD_KEYS: list[tuple[Any, ...]] = [
    ({}, "name"),
    ({"name": ""}, "name"),
    ({"name": "x", "group": "orders"}, "namespace"),
    ({"name": "x", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
    ({"name": "x", "scope": "all"}, "scope"),
]


async def test_a_bad_key_is_not_made(root: Api, database: Database, subtests: pytest.Subtests) -> None:
    for document, field in BAD_KEYS:
        with subtests.test(document=str(document)[:80], field=str(field)[:80]):
            assert field in fields(problem(await root.post("/v1/keys", document), 422, "invalid-request"))
            assert await count(database, "api_keys") == 1


async def test_a_key_for_an_unknown_namespace_is_not_made(root: Api) -> None:
    problem(await root.post("/v1/keys", {"name": "x", "namespace": "none"}), 404, "namespace-not-found")


async def test_an_expired_key_is_not_in_force(guarded: Api, database: Database) -> None:
    client = await by_key(guarded, database, expires_at=datetime.now(UTC) - timedelta(seconds=1))

    problem(await client.get("/v1/tasks"), 401, "api-key-invalid")


async def test_the_use_of_a_key_is_noted(
    guarded: Api, database: Database, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "_TOUCH_SECONDS", 0.01)
    client = await by_key(await serve(require_api_key=True), database)

    await client.get("/v1/tasks")

    await eventually(lambda: count(database, "api_keys", "last_used_at IS NOT NULL"))


async def test_a_namespace_key_works_in_its_namespace_without_naming_it(guarded: Api, database: Database) -> None:
    client = await by_key(guarded, database, namespace="staging")

    task = (await client.post("/v1/tasks", a_report(policy=LONG))).json()

    assert task["namespace"] == "staging"
    assert (await client.get(f"/v1/tasks/{task['id']}")).status_code == 200
    names = [item["name"] for item in (await client.get("/v1/namespaces")).json()["items"]]
    assert names == ["staging"]


async def test_a_namespace_key_opens_no_other_namespace(guarded: Api, root: Api, database: Database) -> None:
    client = await by_key(guarded, database, namespace="staging")
    task = (await root.post("/v1/tasks", a_report(policy=LONG))).json()

    problem(await client.get("/v1/tasks", namespace="default"), 403, "out-of-scope")
    problem(await client.post("/v1/tasks", a_report(), **{"redrive-namespace": "default"}), 403, "out-of-scope")
    problem(await client.get(f"/v1/tasks/{task['id']}"), 404, "task-not-found")
    problem(await client.get("/v1/namespaces/default"), 404, "namespace-not-found")
    problem(await client.patch("/v1/namespaces/default", {}), 403, "out-of-scope")
    assert (await client.patch("/v1/namespaces/staging", {"description": "ours"})).status_code == 200


@pytest.mark.parametrize("scope", [{"namespace": "default"}, {"namespace": "default", "group": "orders"}])
async def test_only_a_key_for_everything_manages_keys_and_namespaces(
    guarded: Api, database: Database, scope: dict[str, str]
) -> None:
    client = await by_key(guarded, database, **scope)

    problem(await client.get("/v1/keys"), 403, "out-of-scope")
    problem(await client.post("/v1/keys", {"name": "x"}), 403, "out-of-scope")
    problem(await client.delete(f"/v1/keys/{UUID(int=0)}"), 403, "out-of-scope")
    problem(await client.post("/v1/namespaces", {"name": "x"}), 403, "out-of-scope")
    problem(await client.get("/v1/stats/reconciler"), 403, "out-of-scope")


async def test_a_group_key_sees_its_group_and_nothing_else(guarded: Api, root: Api, database: Database) -> None:
    client = await by_key(guarded, database, namespace="default", group="orders")
    own = (await root.post("/v1/tasks", a_report(policy=LONG))).json()
    other = (await root.post("/v1/tasks", a_report(policy=LONG, group="shop"))).json()
    await root.post("/v1/nodes/register", {**NODE, "id": "shop-1", "group": "shop"})

    assert [task["id"] for task in (await client.get("/v1/tasks")).json()["items"]] == [own["id"]]
    assert [group["name"] for group in (await client.get("/v1/groups")).json()["items"]] == ["orders"]
    assert (await client.get("/v1/nodes")).json()["items"] == []
    assert (await client.get("/v1/stats/tasks")).json()["total"] == 1
    for path in ("/v1/tasks", "/v1/nodes", "/v1/stats/tasks"):
        problem(await client.get(path, group="shop"), 403, "out-of-scope")
        assert (await client.get(path, group="orders")).status_code == 200
    task = f"/v1/tasks/{other['id']}"
    requests: list[tuple[str, str, dict[str, Any] | None]] = [
        ("GET", task, None),
        ("GET", f"{task}/attempts", None),
        ("PATCH", task, {"business_key": "mine"}),
        ("DELETE", task, None),
        ("POST", f"{task}/cancel", None),
        ("POST", f"{task}/reschedule", {"delay_seconds": 1}),
        ("GET", "/v1/nodes/shop-1", None),
        ("POST", "/v1/nodes/shop-1/drain", None),
        ("DELETE", "/v1/nodes/shop-1", None),
        ("GET", "/v1/groups/shop", None),
        ("PATCH", "/v1/groups/shop", {"enabled": False}),
        ("GET", "/v1/groups/shop/signing-secrets", None),
        ("POST", "/v1/groups/shop/signing-secrets/rotate", None),
        ("GET", "/v1/groups/shop/scenes", None),
        ("POST", "/v1/groups/shop/scenes", {"name": "x"}),
        ("GET", "/v1/groups/shop/scenes/charge-card", None),
        ("PATCH", "/v1/groups/shop/scenes/charge-card", {"enabled": False}),
        ("PUT", "/v1/groups/shop/scenes/charge-card/policy", {"policy": {}}),
        ("GET", "/v1/groups/shop/scenes/charge-card/policies", None),
        ("GET", "/v1/groups/shop/scenes/charge-card/effective-policy", None),
    ]
    for method, path, document in requests:
        answer = await client.client.request(method, path, json=document)
        assert answer.status_code == 404, (method, path, answer.text)
    assert (await root.get(task)).json() == {**other, "duplicate": False}


async def test_a_group_key_reports_and_registers_for_its_group_alone(guarded: Api, database: Database) -> None:
    client = await by_key(guarded, database, namespace="default", group="orders")

    assert (await client.post("/v1/tasks", a_report(policy=LONG))).status_code == 201
    problem(await client.post("/v1/tasks", a_report(group="shop")), 403, "out-of-scope")
    results = (await client.post("/v1/tasks/batch", {"tasks": [a_report(group="shop"), a_report(policy=LONG)]})).json()
    assert [result["status"] for result in results["results"]] == [422, 201]
    assert results["results"][0]["problem"]["type"] == "/problems/out-of-scope"
    assert (await client.post("/v1/nodes/register", NODE)).status_code == 200
    problem(await client.post("/v1/nodes/register", {**NODE, "group": "shop"}), 403, "out-of-scope")
    problem(await client.post("/v1/nodes/n/heartbeat", {"group": "shop"}), 403, "out-of-scope")
    problem(await client.post("/v1/groups", {"name": "shop"}), 403, "out-of-scope")
    problem(await client.patch("/v1/namespaces/default", {}), 403, "out-of-scope")
    assert await count(database, "groups", "name = 'shop'") == 0


async def test_changes_are_signed_with_the_name_of_the_key(root: Api, database: Database) -> None:
    await root.post("/v1/tasks", a_report(policy=LONG))
    await root.put("/v1/groups/orders/scenes/charge-card/policy", {"policy": {}})

    versions = (await root.get("/v1/groups/orders/scenes/charge-card/policies")).json()["items"]
    assert [version["author"] for version in versions] == ["a test", "a test"]


async def test_keys_are_looked_up_again_after_a_moment_and_not_before(root: Api, database: Database) -> None:
    """A look-up for every report would double its cost."""
    await root.get("/v1/tasks")
    await execute(database, "UPDATE api_keys SET revoked_at = now()")

    assert (await root.get("/v1/tasks")).status_code == 200
