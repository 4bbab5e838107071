"""Namespaces, groups and scenes go, unless tasks still need them."""

from __future__ import annotations

import pytest
from tests.integration.api.client import Api, Serve, count, execute, problem

from redrive.store.database import Database
from redrive.store.keys import create_key
from redrive.store.scenes import create_namespace

GROUP = "/v1/groups/orders"
SCENE = f"{GROUP}/scenes/charge-card"


async def test_a_scene_goes_with_its_policies(api: Api, database: Database) -> None:
    await api.post("/v1/groups", {"name": "orders"})
    await api.post(f"{GROUP}/scenes", {"name": "charge-card"})

    answer = await api.delete(SCENE)

    assert answer.status_code == 204, answer.text
    problem(await api.get(SCENE), 404, "scene-not-found")
    assert await count(database, "scene_policies") == 0


@pytest.mark.parametrize("path", [SCENE, GROUP, "/v1/namespaces/default"])
async def test_what_open_tasks_need_stays_and_goes_on_taking_reports(api: Api, database: Database, path: str) -> None:
    await api.report()

    document = problem(await api.delete(path), 409, "in-use")

    assert "1 task" in document["detail"]
    assert (await api.get(path)).status_code == 200
    assert await count(database, "scenes", "enabled") == 1
    assert await count(database, "groups", "enabled") == 1


async def test_ended_tasks_stay_when_their_group_goes(api: Api, database: Database) -> None:
    task = await api.report()
    await api.post(f"/v1/tasks/{task['id']}/cancel", {})

    answer = await api.delete(GROUP)

    assert answer.status_code == 204, answer.text
    assert (await api.task(task["id"]))["status"] == "cancelled"
    assert await count(database, "scenes") == 0


async def test_a_task_that_comes_at_the_last_moment_keeps_its_scene(api: Api, database: Database) -> None:
    """Another process may take a report after the first look: the second look finds it, and all is as before."""
    task = await api.report()
    await api.post(f"/v1/tasks/{task['id']}/cancel", {})
    await execute(
        database,
        """
        CREATE FUNCTION revive() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            UPDATE tasks SET status = 'waiting', finished_at = NULL; RETURN NEW;
        END $$
        """,
    )
    await execute(
        database,
        "CREATE TRIGGER late AFTER UPDATE ON scenes FOR EACH ROW WHEN (NOT NEW.enabled) EXECUTE FUNCTION revive()",
    )

    problem(await api.delete(SCENE), 409, "in-use")

    assert (await api.get(SCENE)).json()["enabled"] is True


async def test_a_namespace_goes_with_all_that_is_in_it(api: Api, database: Database) -> None:
    await api.post("/v1/namespaces", {"name": "staging"})
    await api.client.post("/v1/groups", json={"name": "orders"}, params={"namespace": "staging"})
    async with database.begin() as session:
        await create_key(session, name="ci", namespace="staging")

    answer = await api.delete("/v1/namespaces/staging")

    assert answer.status_code == 204, answer.text
    problem(await api.get("/v1/namespaces/staging"), 404, "namespace-not-found")
    assert await count(database, "api_keys") == 0


async def test_what_does_not_exist_cannot_be_deleted(api: Api) -> None:
    problem(await api.delete("/v1/namespaces/nowhere"), 404, "namespace-not-found")
    problem(await api.delete("/v1/groups/nowhere"), 404, "group-not-found")
    problem(await api.delete(SCENE), 404, "group-not-found")


async def test_a_key_of_a_namespace_does_not_delete_namespaces(serve: Serve, database: Database) -> None:
    async with database.begin() as session:
        await create_namespace(session, "staging")
        _, key = await create_key(session, name="ci", namespace="staging")
    api = (await serve(require_api_key=True)).with_key(key)

    problem(await api.delete("/v1/namespaces/staging"), 403, "out-of-scope")
