"""The configuration of a namespace as one document: exported, compared, imported."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.integration.api.client import Api, Serve, count, fields, problem

from redrive.store.database import Database
from redrive.store.keys import create_key
from redrive.store.scenes import create_namespace

PLAIN: dict[str, Any] = {"callbacks": {}, "callback_policy": {}, "payload_schema": {}, "schema_on_report": False}
"""What a scene says when it says nothing beside its policy."""

DOCUMENT: dict[str, Any] = {
    "version": 1,
    "namespace": "default",
    "description": "the shop",
    "auto_create": False,
    "policy": {"max_attempts": 20},
    "callback_policy": {"max_attempts": 30},
    "groups": {
        "orders": {
            "description": "orders",
            "weight": 2.5,
            "auto_create": True,
            "enabled": True,
            "policy": {"backoff": {"initial_seconds": 2}},
            "scenes": {
                "charge-card": {
                    "description": "",
                    "enabled": True,
                    "policy": {"max_attempts": 5},
                    "callbacks": {
                        "on_dead": {"url": "https://example.com/hook", "headers": {"x-shop": "7"}},
                        "on_cancelled": "orders.called-off",
                    },
                    "callback_policy": {"backoff": {"initial_seconds": 1}},
                    "payload_schema": {"properties": {"kwargs": {"required": ["amount"], "properties": {"x": {}}}}},
                    "schema_on_report": True,
                },
                "refund": {"description": "slow", "enabled": False, "policy": {}, **PLAIN},
            },
        },
        "mail": {"description": "", "weight": 1.0, "auto_create": True, "enabled": True, "policy": {}, "scenes": {}},
    },
    "retention": {"succeeded_days": 7, "dead_days": 90, "cancelled_days": None, "redrive_days": 30, "archive": True},
    "limits": {
        "scene": {"orders/charge-card": {"rate": 50.0, "burst": 5, "concurrency": None}},
        "target": {"host:api.example:8443": {"rate": None, "burst": 1, "concurrency": 10}},
    },
    "alerts": {"channels": {}, "rules": {}},
}


@pytest.fixture
async def shop(api: Api) -> Api:
    """The API with the document carried out."""
    await api.post("/v1/namespaces", {"name": "default"})
    answer = await put(api, DOCUMENT)
    assert answer.status_code == 200, answer.text
    return api


async def put(api: Api, document: Any, **params: str) -> httpx.Response:
    return await api.client.put("/v1/config", json=document, params=params)


def names(answer: httpx.Response) -> list[tuple[str, str, str]]:
    assert answer.status_code == 200, answer.text
    return [(change["action"], change["kind"], change["name"]) for change in answer.json()["changes"]]


async def test_what_was_imported_is_exported(shop: Api) -> None:
    assert (await shop.get("/v1/config")).json() == DOCUMENT


async def test_the_import_of_an_export_changes_nothing(shop: Api) -> None:
    answer = await put(shop, (await shop.get("/v1/config")).json(), prune="true")

    assert answer.json() == {"dry_run": False, "changes": []}
    scene = (await shop.get("/v1/groups/orders/scenes/charge-card")).json()
    assert scene["policy_version"] == 1


async def test_changes_are_listed_with_their_values(shop: Api) -> None:
    wanted = {
        "groups": {
            "orders": {"scenes": {"charge-card": {"policy": {"max_attempts": 6}}, "capture": {}}},
            "search": {"policy": {"route": "first"}},
        }
    }

    answer = await put(shop, wanted)

    assert names(answer) == [
        ("update", "scene", "orders/charge-card"),
        ("create", "scene", "orders/capture"),
        ("create", "group", "search"),
    ]
    assert answer.json()["changes"][0]["differences"] == [
        {"path": "policy.max_attempts", "action": "change", "before": 5, "after": 6}
    ]


async def test_a_schema_is_one_value_that_differs_also_by_what_is_empty(shop: Api) -> None:
    schema = DOCUMENT["groups"]["orders"]["scenes"]["charge-card"]["payload_schema"]
    wider: dict[str, Any] = {"properties": {"kwargs": {"required": ["amount"], "properties": {"x": {}, "y": {}}}}}

    wanted: dict[str, Any] = {"groups": {"orders": {"scenes": {"charge-card": {"payload_schema": wider}}}}}
    answer = await put(shop, wanted)

    assert answer.json()["changes"][0]["differences"] == [
        {"path": "payload_schema", "action": "change", "before": schema, "after": wider}
    ]
    assert (await put(shop, wanted)).json()["changes"] == []


async def test_settings_of_scenes_are_checked_with_all_that_they_stand_on(shop: Api) -> None:
    bad = {
        "callback_policy": {"backoff": {"max_seconds": 0.5}},
        "groups": {"orders": {"scenes": {"refund": {"payload_schema": {"pattern": "("}}}}},
    }

    told = fields(problem(await put(shop, bad), 422, "invalid-request"))

    assert set(told) == {
        "callback_policy.backoff.max_seconds",
        "groups.orders.scenes.charge-card.callback_policy.backoff.max_seconds",
        "groups.orders.scenes.refund.payload_schema.pattern",
    }
    assert (await shop.get("/v1/config")).json() == DOCUMENT


async def test_what_a_document_leaves_out_stays(shop: Api) -> None:
    await put(shop, {"groups": {"orders": {"description": "other"}}})

    expected = {**DOCUMENT, "groups": {**DOCUMENT["groups"]}}
    expected["groups"]["orders"] = {**DOCUMENT["groups"]["orders"], "description": "other"}
    assert (await shop.get("/v1/config")).json() == expected


async def test_a_dry_run_tells_the_same_and_changes_nothing(shop: Api) -> None:
    wanted: dict[str, Any] = {"description": "new", "groups": {"orders": {"scenes": {"capture": {}}}}}

    looked = await put(shop, wanted, dry_run="true", prune="true")
    unchanged = (await shop.get("/v1/config")).json()
    done = await put(shop, wanted, prune="true")

    assert unchanged == DOCUMENT
    assert looked.json()["dry_run"] is True
    assert names(looked) == names(done)
    assert set(names(done)) == {
        ("update", "namespace", "default"),
        ("create", "scene", "orders/capture"),
        ("delete", "scene", "orders/charge-card"),
        ("delete", "scene", "orders/refund"),
        ("delete", "group", "mail"),
        ("delete", "limit", "scene orders/charge-card"),
        ("delete", "limit", "target host:api.example:8443"),
    }


async def test_nothing_is_deleted_without_prune(shop: Api) -> None:
    assert names(await put(shop, {"groups": {}})) == []


async def test_limits_are_set_changed_and_pruned_like_the_rest(shop: Api) -> None:
    wanted = {"groups": DOCUMENT["groups"], "limits": {"scene": {"orders/charge-card": {"rate": 50, "burst": 9}}}}

    answer = await put(shop, wanted, prune="true")

    assert names(answer) == [
        ("update", "limit", "scene orders/charge-card"),
        ("delete", "limit", "target host:api.example:8443"),
    ]
    assert answer.json()["changes"][0]["differences"] == [
        {"path": "burst", "action": "change", "before": 5, "after": 9}
    ]
    assert (await shop.get("/v1/config")).json()["limits"] == {
        "scene": {"orders/charge-card": {"rate": 50, "burst": 9, "concurrency": None}}
    }


async def test_a_limit_of_a_scope_that_nothing_can_be_under_is_refused(shop: Api) -> None:
    answer = await put(shop, {"limits": {"scene": {"charge-card": {"rate": 1}}}})

    assert "orders/charge-card" in fields(problem(answer, 422, "invalid-request"))["limits.scene"]


async def test_prune_takes_away_what_is_not_named(shop: Api) -> None:
    await put(shop, {"groups": {"orders": {"scenes": {"charge-card": {}}}}}, prune="true")

    found = (await shop.get("/v1/config")).json()
    assert {group: list(found["groups"][group]["scenes"]) for group in found["groups"]} == {"orders": ["charge-card"]}


async def test_prune_leaves_everything_as_it_is_when_tasks_need_some_of_it(shop: Api) -> None:
    await shop.report()

    document = problem(await put(shop, {"description": "new", "groups": {}}, prune="true"), 409, "in-use")

    assert "orders" in document["detail"]
    assert (await shop.get("/v1/config")).json() == DOCUMENT


async def test_a_policy_that_is_not_valid_stops_all_of_it_and_is_named(shop: Api) -> None:
    wanted = {
        "description": "new",
        "groups": {"orders": {"scenes": {"charge-card": {"policy": {"backoff": {"max_seconds": 1}}}}}},
    }

    answer = await put(shop, wanted)

    assert list(fields(problem(answer, 422, "invalid-request"))) == [
        "groups.orders.scenes.charge-card.policy.backoff.max_seconds"
    ]
    assert (await shop.get("/v1/config")).json() == DOCUMENT


async def test_a_layer_that_breaks_a_scene_which_the_document_does_not_name_is_refused(shop: Api) -> None:
    await put(shop, {"groups": {"orders": {"scenes": {"refund": {"policy": {"backoff": {"max_seconds": 60}}}}}}})

    answer = await put(shop, {"groups": {"orders": {"policy": {"backoff": {"initial_seconds": 600}}}}})

    assert list(fields(problem(answer, 422, "invalid-request"))) == [
        "groups.orders.scenes.refund.policy.backoff.max_seconds"
    ]


async def test_a_misspelt_field_is_named_with_the_nearest_one(shop: Api) -> None:
    answer = await put(shop, {"groups": {"orders": {"scens": {}}}})

    problems = fields(problem(answer, 422, "invalid-request"))
    assert "did you mean 'scenes'?" in problems["groups.orders.scens"]


async def test_a_document_of_another_namespace_is_refused(shop: Api) -> None:
    answer = await put(shop, {"namespace": "staging"})

    assert "namespace" in fields(problem(answer, 422, "invalid-request"))


async def test_live_tasks_hear_of_a_changed_layer(shop: Api) -> None:
    """A scene below a layer that changed has a new version with its own content unchanged."""
    await put(shop, {"groups": {"orders": {"policy": {"route": "first"}}}})

    newest = (await shop.get("/v1/groups/orders/scenes/charge-card/policies")).json()["items"][0]
    assert (newest["version"], newest["policy"]) == (2, {"max_attempts": 5})
    assert "group orders" in newest["note"]


async def test_secrets_are_not_in_it(shop: Api) -> None:
    secrets = (await shop.get("/v1/groups/orders/signing-secrets")).json()["signing_secrets"]

    exported = (await shop.get("/v1/config")).text

    assert secrets[0] not in exported
    await put(shop, DOCUMENT, prune="true")
    assert (await shop.get("/v1/groups/orders/signing-secrets")).json()["signing_secrets"] == secrets


async def test_an_unknown_namespace_is_not_made(api: Api, database: Database) -> None:
    answer = await api.client.put("/v1/config", json={}, params={"namespace": "nowhere"})

    problem(answer, 404, "namespace-not-found")
    assert await count(database, "namespaces", "name = 'nowhere'") == 0


async def test_a_key_of_one_group_opens_neither(serve: Serve, database: Database) -> None:
    async with database.begin() as session:
        await create_namespace(session, "default")
        _, key = await create_key(session, name="ci", namespace="default", group="orders")
    api = (await serve(require_api_key=True)).with_key(key)

    problem(await api.get("/v1/config"), 403, "out-of-scope")
    problem(await put(api, {}), 403, "out-of-scope")
