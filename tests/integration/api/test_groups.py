"""Namespaces, groups and scenes, and the layers of their policies."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.integration.api.client import Api, a_report, execute, fields, problem

from redrive.store.database import Database


async def create(api: Api, path: str, document: dict[str, Any]) -> dict[str, Any]:
    answer = await api.post(path, document)
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"{path}/{document['name']}"
    made: dict[str, Any] = answer.json()
    assert (await api.get(f"{path}/{document['name']}")).json() == made
    return made


async def test_the_default_namespace_is_there_from_the_start(api: Api) -> None:
    assert [item["name"] for item in (await api.get("/v1/namespaces")).json()["items"]] == ["default"]


async def test_namespaces_are_made_changed_and_listed(api: Api) -> None:
    await create(api, "/v1/namespaces", {"name": "staging", "policy": {"max_attempts": 3}, "auto_create": False})

    changed = (await api.patch("/v1/namespaces/staging", {"description": "for tests"})).json()

    assert (changed["description"], changed["policy"], changed["auto_create"]) == (
        "for tests",
        {"max_attempts": 3},
        False,
    )
    assert [item["name"] for item in (await api.get("/v1/namespaces")).json()["items"]] == ["default", "staging"]
    problem(await api.post("/v1/namespaces", {"name": "staging"}), 409, "already-exists")


async def test_groups_are_made_changed_and_listed_without_their_secrets(api: Api) -> None:
    made = await create(api, "/v1/groups", {"name": "orders", "policy": {"max_attempts": 3}})

    changed = (await api.patch("/v1/groups/orders", {"enabled": False, "weight": 2.5})).json()

    assert "signing_secrets" not in made
    assert (made["weight"], changed) == (1, {**made, "enabled": False, "weight": 2.5})
    for weight in (0, 1001):
        problem(await api.patch("/v1/groups/orders", {"weight": weight}), 422, "invalid-request")
    assert (await api.get("/v1/groups")).json()["items"] == [changed]
    problem(await api.post("/v1/groups", {"name": "orders"}), 409, "already-exists")


async def test_scenes_are_made_changed_and_listed(api: Api) -> None:
    await create(api, "/v1/groups", {"name": "orders"})
    made = await create(api, "/v1/groups/orders/scenes", {"name": "charge", "policy": {"max_attempts": 3}})

    changed = (await api.patch("/v1/groups/orders/scenes/charge", {"description": "cards"})).json()

    assert changed == {**made, "description": "cards"}
    assert (await api.get("/v1/groups/orders/scenes")).json()["items"] == [changed]
    problem(await api.post("/v1/groups/orders/scenes", {"name": "charge"}), 409, "already-exists")


UNKNOWN = [
    ("/v1/namespaces/none", "namespace-not-found"),
    ("/v1/groups/none", "group-not-found"),
    ("/v1/groups/none/scenes", "group-not-found"),
    ("/v1/groups/none/signing-secrets", "group-not-found"),
    ("/v1/groups/orders/scenes/none", "scene-not-found"),
    ("/v1/groups/orders/scenes/none/policies", "scene-not-found"),
    ("/v1/groups/orders/scenes/none/effective-policy", "scene-not-found"),
]


async def test_unknown_names_say_how_to_make_them(api: Api, subtests: pytest.Subtests) -> None:
    await create(api, "/v1/groups", {"name": "orders"})

    for path, kind in UNKNOWN:
        with subtests.test(path=path):
            assert "POST /v1/" in problem(await api.get(path), 404, kind)["detail"]


async def test_unknown_names_cannot_be_changed(api: Api) -> None:
    await create(api, "/v1/groups", {"name": "orders"})

    problem(await api.patch("/v1/namespaces/none", {}), 404, "namespace-not-found")
    problem(await api.patch("/v1/groups/none", {}), 404, "group-not-found")
    problem(await api.post("/v1/groups/none/scenes", {"name": "x"}), 404, "group-not-found")
    problem(await api.post("/v1/groups/none/signing-secrets/rotate"), 404, "group-not-found")
    problem(await api.patch("/v1/groups/orders/scenes/none", {}), 404, "scene-not-found")
    problem(await api.put("/v1/groups/orders/scenes/none/policy", {"policy": {}}), 404, "scene-not-found")
    problem(await api.post("/v1/groups?namespace=none", {"name": "x"}), 404, "namespace-not-found")


async def test_every_version_of_a_policy_is_kept(api: Api) -> None:
    await create(api, "/v1/groups", {"name": "orders"})
    await create(api, "/v1/groups/orders/scenes", {"name": "charge", "policy": {"max_attempts": 3}})

    answer = await api.put(
        "/v1/groups/orders/scenes/charge/policy", {"policy": {"max_attempts": 4}, "note": "the bank is slow"}
    )

    assert (answer.status_code, answer.json()["version"], answer.json()["note"]) == (200, 2, "the bank is slow")
    versions = (await api.get("/v1/groups/orders/scenes/charge/policies")).json()["items"]
    assert [(item["version"], item["policy"]) for item in versions] == [
        (2, {"max_attempts": 4}),
        (1, {"max_attempts": 3}),
    ]
    effective = (await api.get("/v1/groups/orders/scenes/charge/effective-policy")).json()
    assert (effective["version"], effective["policy"]["max_attempts"]) == (2, 4)
    assert (await api.get("/v1/groups/orders/scenes/charge")).json()["policy_version"] == 2


async def test_a_changed_layer_gives_every_scene_above_it_a_new_version(api: Api) -> None:
    """Live tasks look at the version alone: this is how they learn of it."""
    for group, scene in (("orders", "charge"), ("orders", "refund"), ("shop", "ship")):
        await api.report(group=group, scene=scene)

    await api.patch("/v1/groups/orders", {"policy": {"max_attempts": 3}})
    await api.patch("/v1/namespaces/default", {"policy": {"attempt_timeout_seconds": 5}})
    await api.patch("/v1/namespaces/default", {"description": "no policy in it"})

    async def effective(group: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = (await api.get(f"/v1/groups/{group}/scenes/{name}/effective-policy")).json()
        return found

    assert [(await effective(*name))["version"] for name in (("orders", "charge"), ("orders", "refund"))] == [3, 3]
    assert (await effective("shop", "ship"))["version"] == 2
    policy = (await effective("orders", "charge"))["policy"]
    assert (policy["max_attempts"], policy["attempt_timeout_seconds"]) == (3, 5)
    newest = (await api.get("/v1/groups/orders/scenes/charge/policies")).json()["items"][0]
    assert (newest["policy"], newest["note"]) == ({}, "the policy of namespace default has changed")


async def test_a_layer_that_would_break_a_scene_is_refused(api: Api) -> None:
    await create(api, "/v1/groups", {"name": "orders"})
    policy = {"backoff": {"initial_seconds": 100}}
    await create(api, "/v1/groups/orders/scenes", {"name": "charge", "policy": policy})
    lower = {"policy": {"backoff": {"max_seconds": 50}}}

    for path in ("/v1/groups/orders", "/v1/namespaces/default"):
        document = problem(await api.patch(path, lower), 422, "invalid-request")
        assert "scene 'charge'" in fields(document)["policy.backoff.max_seconds"]
    assert (await api.get("/v1/groups/orders")).json()["policy"] == {}
    assert (await api.get("/v1/groups/orders/scenes/charge")).json()["policy_version"] == 1


BAD_DOCUMENTS: list[tuple[Any, ...]] = [
    ("POST", "/v1/namespaces", {"name": "a/b"}, "name"),
    ("POST", "/v1/namespaces", {"name": "a", "policy": {"x": 1}}, "policy.x"),
    ("POST", "/v1/groups", {}, "name"),
    ("POST", "/v1/groups", {"name": "a", "policy": {"max_attempts": -1}}, "policy.max_attempts"),
    ("POST", "/v1/groups", {"name": "a", "description": "\x00"}, "description"),
    ("PATCH", "/v1/groups/orders", {"enabled": "yes"}, "enabled"),
    ("PATCH", "/v1/groups/orders", {"enabled": None}, "enabled"),
    ("PATCH", "/v1/groups/orders", {"name": "other"}, "name"),
    ("PATCH", "/v1/groups/orders", {"signing_secrets": []}, "signing_secrets"),
    ("POST", "/v1/groups/orders/scenes", {"name": "x", "policy": {"backoff": 5}}, "policy.backoff"),
    ("PUT", "/v1/groups/orders/scenes/charge/policy", {}, "policy"),
    ("PUT", "/v1/groups/orders/scenes/charge/policy", {"policy": {"block": "maybe"}}, "policy.block"),
    ("PUT", "/v1/groups/orders/scenes/charge/policy", {"policy": {}, "note": "x" * 1001}, "note"),
]


async def test_bad_documents_are_named_and_change_nothing(api: Api, subtests: pytest.Subtests) -> None:
    for method, path, document, field in BAD_DOCUMENTS:
        with subtests.test(
            method=str(method)[:80], path=str(path)[:80], document=str(document)[:80], field=str(field)[:80]
        ):
            await api.post("/v1/tasks", a_report(scene="charge"))
            before = (await api.get("/v1/groups")).json()

            answer = await api.client.request(method, path, json=document)

            assert field in fields(problem(answer, 422, "invalid-request"))
            assert (await api.get("/v1/groups")).json() == before


async def test_rotating_keeps_the_two_newest_secrets(api: Api) -> None:
    await create(api, "/v1/groups", {"name": "orders"})
    path = "/v1/groups/orders/signing-secrets"
    first = (await api.get(path)).json()["signing_secrets"]

    second = (await api.post(f"{path}/rotate")).json()["signing_secrets"]
    third = (await api.post(f"{path}/rotate")).json()["signing_secrets"]

    assert len(first) == 1
    assert first[0].startswith("whsec_")
    assert second[1:] == first
    assert third[1:] == second[:1]
    assert (await api.get(path)).json()["signing_secrets"] == third


async def test_the_secret_before_ends_by_itself_or_at_once(api: Api, database: Database) -> None:
    await api.post("/v1/groups", {"name": "orders"})
    path = "/v1/groups/orders/signing-secrets"
    (first,) = (await api.get(path)).json()["signing_secrets"]

    rotated = (await api.post(f"{path}/rotate", {"keep_previous_seconds": 3600})).json()
    second = rotated["signing_secrets"][0]
    ended = (await api.post(f"{path}/end-previous")).json()
    alone = (await api.post(f"{path}/rotate", {"keep_previous_seconds": 0})).json()
    await api.post(f"{path}/rotate")
    await execute(database, "UPDATE groups SET previous_secret_until = now()")
    late = (await api.get(path)).json()

    assert rotated["signing_secrets"] == [second, first]
    until = datetime.fromisoformat(rotated["previous_until"]) - datetime.now(UTC)
    assert timedelta(minutes=30) < until <= timedelta(hours=1)
    assert ended == {"signing_secrets": [second], "previous_until": None}
    assert len(alone["signing_secrets"]) == len(late["signing_secrets"]) == 1
    assert second not in alone["signing_secrets"]
    told = fields(problem(await api.post(f"{path}/rotate", {"keep_previous_seconds": -1}), 422, "invalid-request"))
    assert "keep_previous_seconds" in told


BAD_SETTINGS: list[tuple[Any, ...]] = [
    ({"callbacks": {"on_done": "x"}}, "callbacks.on_done", "unknown field"),
    ({"callbacks": {"on_dead": ""}}, "callbacks.on_dead", "expected the name of an executor"),
    ({"callbacks": {"on_dead": {"url": "ftp://x"}}}, "callbacks.on_dead.url", "expected an absolute http or https URL"),
    (
        {"callbacks": {"on_dead": {"url": "http://x/", "headers": {"webhook-id": "1"}}}},
        "callbacks.on_dead.headers",
        "is set by Redrive",
    ),
    ({"callback_policy": {"max_attempts": 0}}, "callback_policy.max_attempts", "expected"),
    ({"payload_schema": {"type": "objekt"}}, "payload_schema.type", "is no JSON Schema"),
    ({"payload_schema": {"$ref": "https://example.com/x"}}, "payload_schema", "Retrieval is disabled"),
    ({"payload_schema": {"$schema": "http://json-schema.org/draft-07/schema#"}}, "payload_schema.$schema", "2020-12"),
    ({"payload_schema": {"pattern": "(?=a)"}}, "payload_schema.pattern", "regex"),
    ({"payload_schema": {"const": "\x00"}}, "payload_schema", "cannot be stored"),
]


async def test_a_scene_is_not_set_to_what_cannot_be_in_force(api: Api, subtests: pytest.Subtests) -> None:
    await api.post("/v1/groups", {"name": "orders"})
    await api.post("/v1/groups/orders/scenes", {"name": "s"})
    scene = (await api.get("/v1/groups/orders/scenes/s")).json()
    for settings, field, expected in BAD_SETTINGS:
        with subtests.test(settings=str(settings)):
            patched = fields(problem(await api.patch("/v1/groups/orders/scenes/s", settings), 422, "invalid-request"))
            made = await api.post("/v1/groups/orders/scenes", {"name": "t", **settings})

            assert expected in patched[field]
            assert fields(problem(made, 422, "invalid-request")) == patched
    assert (await api.get("/v1/groups/orders/scenes/s")).json() == scene
