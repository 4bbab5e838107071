"""The audit: every change by a person leaves one entry, in the same transaction."""

from __future__ import annotations

from typing import Any

from tests.integration.api.client import LONG, Api, Serve, count, fields, problem

from redrive.store.database import Database
from redrive.store.keys import create_key


async def entries(api: Api, **filters: Any) -> list[dict[str, Any]]:
    answer = await api.get("/v1/audit", **filters)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def test_a_task_tells_who_did_what_to_it_and_why(api: Api, database: Database) -> None:
    task = await api.report()
    path = f"/v1/tasks/{task['id']}"
    ann = api.with_key(None)
    ann.client.headers["redrive-actor"] = "Ann%20%E9%99%88"
    await ann.post(f"{path}/pause", {"reason": "the provider is down"})
    await ann.post(f"{path}/resume")
    await ann.patch(path, {"kwargs": {"amount": 6}, "reason": "wrong amount"})
    problem(await ann.post(f"{path}/resume"), 409, "wrong-state")
    await ann.post(f"{path}/cancel")
    await ann.delete(path)

    found = await entries(api, subject_kind="task", subject_id=task["id"])
    assert [entry["action"] for entry in found] == ["delete", "cancel", "change", "resume", "pause"]
    assert {entry["actor"] for entry in found} == {"Ann 陈"}
    assert found[-1]["reason"] == "the provider is down"
    assert found[2]["facts"]["fields"] == ["kwargs"], "an entry never holds payloads"
    assert await count(database, "audit_entries") == 5, "what was refused leaves no entry"


async def test_the_configuration_tells_who_changed_it(serve: Serve, database: Database) -> None:
    async with database.begin() as session:
        _, key = await create_key(session, name="ops")
        _, narrow = await create_key(session, name="of pay", namespace="default", group="pay")
    open_api = await serve(require_api_key=True)
    api = open_api.with_key(key)
    await api.post("/v1/groups", {"name": "orders"})
    await api.patch("/v1/groups/orders", {"description": "shop"})
    await api.post("/v1/groups/orders/signing-secrets/rotate")
    await api.post("/v1/groups/orders/scenes", {"name": "charge"})
    await api.put("/v1/groups/orders/scenes/charge/policy", {"policy": LONG, "note": "slower"})
    await api.post("/v1/groups/orders/scenes/charge/policy/rollback", {"version": 1})
    await api.post("/v1/groups", {"name": "pay"})
    await api.put("/v1/config", {"version": 1, "groups": {"pay": {"description": "of money"}}})
    made = await api.post("/v1/keys", {"name": "temporary", "namespace": "default", "group": "pay"})
    await api.delete(f"/v1/keys/{made.json()['id']}")

    found = await entries(api)
    assert [(entry["action"], entry["subject_kind"]) for entry in found] == [
        ("revoke", "key"),
        ("create", "key"),
        ("import", "namespace"),
        ("create", "group"),
        ("roll_back_policy", "scene"),
        ("set_policy", "scene"),
        ("create", "scene"),
        ("rotate_signing_secrets", "group"),
        ("change", "group"),
        ("create", "group"),
    ]
    assert {entry["actor"] for entry in found} == {"ops"}
    assert found[5]["facts"] == {"version": 2}
    assert found[5]["reason"] == "slower"
    assert "whsec_" not in (await api.get("/v1/audit")).text
    assert {entry["group"] for entry in await entries(open_api.with_key(narrow))} == {"pay"}


async def test_a_user_is_named_beside_the_key_and_never_in_its_place(serve: Serve, database: Database) -> None:
    async with database.begin() as session:
        _, key = await create_key(session, name="console")
    api = (await serve(require_api_key=True)).with_key(key)
    api.client.headers["redrive-actor"] = "Bob"
    await api.post("/v1/groups", {"name": "orders"})

    assert [entry["actor"] for entry in await entries(api, actor="Bob (console)")] == ["Bob (console)"]
    api.client.headers["redrive-actor"] = "%FF"
    refused = problem(await api.post("/v1/groups", {"name": "pay"}), 422, "invalid-request")
    assert "percent-encoded" in fields(refused)["Redrive-Actor"]


async def test_pages_of_the_audit_join_without_a_gap(api: Api) -> None:
    for name in ("a", "b", "c"):
        await api.post("/v1/groups", {"name": name})
    first = (await api.get("/v1/audit", limit=2)).json()
    second = (await api.get("/v1/audit", limit=2, cursor=first["next_cursor"])).json()

    assert [entry["subject_id"] for entry in first["items"] + second["items"]] == ["c", "b", "a"]
    assert second["next_cursor"] is None
    problem(await api.get("/v1/audit", cursor="WzBd"), 422, "invalid-request")
