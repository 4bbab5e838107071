"""What the console needs beside the resources: saved views, completion, who asks, what runs, and the guard."""

from __future__ import annotations

from tests.integration.api.client import Api, Serve, a_report, fields, problem

from redrive.store.database import Database
from redrive.store.keys import create_key


async def test_a_view_is_saved_renamed_and_forgotten(api: Api) -> None:
    view = (await api.post("/v1/views", {"page": "tasks", "name": "Dead today", "query": "status=dead"})).json()
    other = (await api.post("/v1/views", {"page": "tasks", "name": "Parked", "query": "status=parked"})).json()
    problem(await api.post("/v1/views", {"page": "tasks", "name": "Parked", "query": ""}), 409, "already-exists")
    problem(await api.patch(f"/v1/views/{view['id']}", {"name": "Parked"}), 409, "already-exists")
    renamed = await api.patch(f"/v1/views/{view['id']}", {"name": "Died", "query": "status=dead&sort=-finished_at"})

    assert renamed.json()["name"] == "Died"
    assert [item["name"] for item in (await api.get("/v1/views", page="tasks")).json()["items"]] == ["Died", "Parked"]
    assert (await api.get("/v1/views", page="nodes")).json()["items"] == []
    assert (await api.delete(f"/v1/views/{other['id']}")).status_code == 204
    problem(await api.delete(f"/v1/views/{other['id']}"), 404, "view-not-found")
    assert "expected at least one field" in fields(
        problem(await api.patch(f"/v1/views/{view['id']}", {}), 422, "invalid-request")
    ).get("", "expected at least one field")


async def test_views_are_seen_by_a_key_of_a_group_and_changed_by_one_of_the_namespace(
    serve: Serve, database: Database
) -> None:
    async with database.begin() as session:
        _, wide = await create_key(session, name="ops", namespace="default")
        _, narrow = await create_key(session, name="orders", namespace="default", group="orders")
    api = await serve(require_api_key=True)
    made = await api.with_key(wide).post("/v1/views", {"page": "tasks", "name": "Mine", "query": ""})

    assert made.json()["author"] == "ops"
    assert len((await api.with_key(narrow).get("/v1/views")).json()["items"]) == 1
    problem(await api.with_key(narrow).delete(f"/v1/views/{made.json()['id']}"), 403, "out-of-scope")


async def test_a_query_is_completed_from_names_and_from_what_tasks_have(api: Api) -> None:
    for number, kind in enumerate(("Timeout", "Timeout", "ValueError")):
        await api.report(
            args=[number],
            scene=f"scene-{number}",
            error={"type": kind, "message": "m"},
            metadata={"tenant": f"t{number}", "Region": "eu"},
        )
    await api.report(group="pay", executor="pay.refund", scene="refund")

    async def words(**params: object) -> list[str]:
        answer = await api.get("/v1/suggestions", **params)
        assert answer.status_code == 200, answer.text
        return [item["value"] for item in answer.json()["items"]]

    assert await words(field="group", prefix="P") == ["pay"]
    assert await words(field="scene", prefix="scene-") == ["scene-0", "scene-1", "scene-2"]
    assert await words(field="scene", prefix="", group="pay") == ["refund"]
    assert await words(field="error") == ["Timeout", "ValueError"], "the most frequent first"
    assert await words(field="executor", prefix="pay") == ["pay.refund"]
    assert await words(field="metadata", prefix="r") == ["Region"]
    assert await words(field="metadata", key="tenant", prefix="t") == ["t0", "t1", "t2"]
    problem(await api.get("/v1/suggestions", field="payload"), 422, "invalid-request")


async def test_me_tells_what_a_key_opens(serve: Serve, database: Database) -> None:
    async with database.begin() as session:
        row, key = await create_key(session, name="orders", namespace="default", group="orders")
    api = await serve(require_api_key=True)
    problem(await api.get("/v1/me"), 401, "api-key-required")

    assert (await api.with_key(key).get("/v1/me")).json() == {
        "key_id": str(row.id), "name": "orders", "user": None, "scope": "group", "namespace": "default",
        "group": "orders", "require_api_key": True,
    }  # fmt: skip
    nobody = (await (await serve()).get("/v1/me")).json()
    assert (nobody["scope"], nobody["key_id"], nobody["require_api_key"]) == ("everything", None, False)


async def test_about_tells_what_runs(serve: Serve) -> None:
    about = (await (await serve(temporal_ui_url="http://localhost:8233")).get("/v1/about")).json()

    assert about["version"].count(".") == 2
    assert int(about["database_version"].partition(".")[0]) >= 14
    assert about["temporal_ui_url"] == "http://localhost:8233"
    assert (about["engine"], about["engine_version"]) == ("down", None)


async def test_every_answer_tells_browsers_to_be_careful(api: Api) -> None:
    for path in ("/v1/tasks", "/healthz", "/nowhere", "/", "/problems", "/docs", "/openapi.json"):
        headers = (await api.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff", path
        assert headers["x-frame-options"] == "DENY", path
        assert "default-src 'none'" in headers["content-security-policy"], path
        assert "frame-ancestors 'none'" in headers["content-security-policy"], path
    assert (await api.get("/v1/tasks")).headers["cache-control"] == "no-store"


async def test_without_keys_no_foreign_page_gets_through(serve: Serve) -> None:
    api = await serve(public_url="https://redrive.example.com")
    task = (await api.post("/v1/tasks", a_report(delay_seconds=3600))).json()
    path = f"/v1/tasks/{task['id']}/pause"

    problem(await api.client.get("/v1/tasks", headers={"host": "evil.example"}), 403, "foreign-page")
    problem(await api.client.get("/v1/tasks", headers={"host": "localhost.evil.example:8600"}), 403, "foreign-page")
    problem(await api.post(path, None, origin="https://evil.example"), 403, "foreign-page")
    problem(await api.post(path, None, origin="null"), 403, "foreign-page")
    assert (await api.task(task["id"]))["status"] == "pending"
    for host in ("127.0.0.1:8600", "[::1]:8600", "localhost", "redrive.localhost:8600", "redrive.example.com"):
        assert (await api.client.get("/v1/tasks", headers={"host": host})).status_code == 200, host
    assert (await api.post(path, None, origin="http://localhost:5173")).status_code == 200


async def test_with_keys_every_name_of_the_server_will_do(serve: Serve, database: Database) -> None:
    async with database.begin() as session:
        _, key = await create_key(session, name="ops")
    api = (await serve(require_api_key=True)).with_key(key)
    answer = await api.client.get("/v1/tasks", headers={"host": "redrive.internal", "origin": "https://a.example"})

    assert answer.status_code == 200
