"""Policies as resources: simulation, origins, versions, roll-out."""

from __future__ import annotations

from typing import Any

import pytest
from tests.integration.api.client import LONG, Api, execute, fields, problem

from redrive.store.database import Database

SCENE = "/v1/groups/orders/scenes/charge-card"
FIXED: dict[str, Any] = {
    "backoff": {"kind": "fixed", "delay_seconds": 10, "jitter": {"kind": "none"}},
    "max_attempts": 3,
}


@pytest.fixture
async def scene(api: Api) -> Api:
    """The API with one scene."""
    assert (await api.post("/v1/namespaces", {"name": "default"})).status_code in (201, 409)
    assert (await api.post("/v1/groups", {"name": "orders"})).status_code == 201
    answer = await api.post("/v1/groups/orders/scenes", {"name": "charge-card", "policy": {"max_attempts": 5}})
    assert answer.status_code == 201
    return api


async def set_policy(api: Api, policy: dict[str, Any]) -> dict[str, Any]:
    answer = await api.put(f"{SCENE}/policy", {"policy": policy})
    assert answer.status_code == 200, answer.text
    version: dict[str, Any] = answer.json()
    return version


class TestDefaults:
    async def test_they_are_what_a_scene_has_that_says_nothing(self, api: Api) -> None:
        await api.post("/v1/groups", {"name": "orders"})
        await api.post("/v1/groups/orders/scenes", {"name": "charge-card"})
        scene = (await api.get(f"{SCENE}/effective-policy")).json()

        assert (await api.get("/v1/policies/defaults")).json() == {"policy": scene["policy"]}


class TestSimulation:
    async def test_a_policy_is_simulated_without_being_stored(self, api: Api) -> None:
        answer = await api.post("/v1/policies/simulate", {"policy": FIXED, "outage_seconds": 15, "tasks": 100})
        found = answer.json()

        assert answer.status_code == 200, answer.text
        assert [attempt["starts"]["median_seconds"] for attempt in found["attempts"]] == [10, 21, 32]
        assert found["total"]["latest_seconds"] == 33
        assert (found["survival"], found["lost_tasks"], found["lives"], found["share_error"]) == (1, 0, 1, 0)
        assert found["load"]["attempts"] == 200
        assert found["load"]["peak_after_outage"] == {
            "at_seconds": 21, "requests_per_second": 100, "window_seconds": 1, "relative_error": 0,
        }  # fmt: skip
        assert found["policy"]["max_elapsed_seconds"] == 86_400
        assert found["scenario"]["tasks"] == 100

    async def test_the_defaults_are_simulated_when_nothing_is_given(self, api: Api) -> None:
        found = (await api.post("/v1/policies/simulate", {})).json()

        assert len(found["attempts"]) == 12
        assert 0 < found["share_error"] < 0.014

    async def test_a_scene_gives_the_policy_and_the_request_changes_parts_of_it(self, scene: Api) -> None:
        await scene.patch("/v1/groups/orders", {"policy": FIXED})

        of_scene = await scene.post("/v1/policies/simulate", {"group": "orders", "scene": "charge-card"})
        changed = await scene.post(
            "/v1/policies/simulate",
            {"group": "orders", "scene": "charge-card", "policy": {"backoff": {"delay_seconds": 1}}},
        )
        of_group = await scene.post("/v1/policies/simulate", {"group": "orders"})

        assert len(of_scene.json()["attempts"]) == 5
        assert of_scene.json()["attempts"][0]["starts"]["latest_seconds"] == 10
        assert changed.json()["attempts"][0]["starts"]["latest_seconds"] == 1
        assert len(of_group.json()["attempts"]) == 3

    async def test_the_same_seed_gives_the_same_answer(self, api: Api) -> None:
        wish = {"seed": 7, "starts_at": "2026-01-01T00:00:00Z"}

        first, again = [(await api.post("/v1/policies/simulate", wish)).json() for _ in range(2)]
        other = (await api.post("/v1/policies/simulate", {**wish, "seed": 8})).json()

        assert first == again
        assert other["load"] != first["load"]

    async def test_a_bad_policy_is_refused_with_its_field(self, api: Api) -> None:
        answer = await api.post(
            "/v1/policies/simulate", {"policy": {"backoff": {"kind": "fixed", "delay_seconds": -1}}}
        )

        assert "policy.backoff.delay_seconds" in fields(problem(answer, 422, "invalid-request"))

    async def test_a_scene_needs_its_group(self, api: Api) -> None:
        answer = await api.post("/v1/policies/simulate", {"scene": "charge-card"})

        assert "group" in fields(problem(answer, 422, "invalid-request"))

    async def test_an_unknown_scene_is_refused(self, scene: Api) -> None:
        answer = await scene.post("/v1/policies/simulate", {"group": "orders", "scene": "refund"})

        problem(answer, 404, "scene-not-found")


class TestOrigins:
    async def test_each_value_names_the_layer_that_gave_it(self, scene: Api) -> None:
        await scene.patch("/v1/namespaces/default", {"policy": {"attempt_timeout_seconds": 7, "max_attempts": 9}})
        await scene.patch("/v1/groups/orders", {"policy": {"backoff": {"initial_seconds": 2}}})

        found = (await scene.get(f"{SCENE}/effective-policy")).json()

        by_path = {setting["path"]: (setting["value"], setting["origin"]) for setting in found["settings"]}
        assert by_path["attempt_timeout_seconds"] == (7, "namespace")
        assert by_path["backoff.initial_seconds"] == (2, "group")
        assert by_path["max_attempts"] == (5, "scene")
        assert by_path["backoff.multiplier"] == (2, "default")
        assert found["policy"]["backoff"]["initial_seconds"] == 2

    async def test_a_task_shows_its_own_layer_and_the_version_that_it_has(self, scene: Api) -> None:
        task = await scene.report(policy={**LONG, "attempt_timeout_seconds": 3})
        await set_policy(scene, {"max_attempts": 8})

        found = (await scene.get(f"/v1/tasks/{task['id']}/effective-policy")).json()

        by_path = {setting["path"]: (setting["value"], setting["origin"]) for setting in found["settings"]}
        assert by_path["attempt_timeout_seconds"] == (3, "task")
        assert by_path["max_attempts"] == (8, "scene")
        assert (found["version"], found["task_version"]) == (2, 1)


class TestVersions:
    async def test_a_version_can_be_read(self, scene: Api) -> None:
        await set_policy(scene, {"max_attempts": 6})

        assert (await scene.get(f"{SCENE}/policies/1")).json()["policy"] == {"max_attempts": 5}
        assert (await scene.get(f"{SCENE}/policies/2")).json()["policy"] == {"max_attempts": 6}

    async def test_an_unknown_version_is_not_found(self, scene: Api) -> None:
        problem(await scene.get(f"{SCENE}/policies/7"), 404, "policy-version-not-found")
        problem(await scene.get(f"{SCENE}/policies/diff", to=7), 404, "policy-version-not-found")
        problem(await scene.post(f"{SCENE}/policy/rollback", {"version": 7}), 404, "policy-version-not-found")

    async def test_versions_are_compared(self, scene: Api) -> None:
        await set_policy(scene, {"max_attempts": 6, "route": "first"})
        await set_policy(scene, {"route": "first"})

        last = (await scene.get(f"{SCENE}/policies/diff")).json()
        both = (await scene.get(f"{SCENE}/policies/diff", **{"from": 1, "to": 2})).json()

        assert (last["from_version"], last["to_version"]) == (2, 3)
        assert last["changes"] == [{"path": "max_attempts", "action": "remove", "before": 6, "after": None}]
        assert [(change["path"], change["action"], change["after"]) for change in both["changes"]] == [
            ("max_attempts", "change", 6),
            ("route", "add", "first"),
        ]

    async def test_a_rollback_is_a_new_version_with_the_old_content(self, scene: Api) -> None:
        await set_policy(scene, {"max_attempts": 6})

        answer = await scene.post(f"{SCENE}/policy/rollback", {"version": 1})

        assert answer.status_code == 200, answer.text
        assert (answer.json()["version"], answer.json()["policy"]) == (3, {"max_attempts": 5})
        assert "version 1" in answer.json()["note"]
        assert (await scene.get(SCENE)).json()["policy_version"] == 3

    async def test_a_rollback_that_changes_nothing_makes_no_version(self, scene: Api) -> None:
        answers = [await scene.post(f"{SCENE}/policy/rollback", {"version": 1}) for _ in range(2)]

        assert [answer.json()["version"] for answer in answers] == [1, 1]

    async def test_a_rollback_to_what_no_longer_fits_is_refused(self, scene: Api) -> None:
        await set_policy(scene, {"backoff": {"max_seconds": 60}})
        await set_policy(scene, {})
        await scene.patch("/v1/groups/orders", {"policy": {"backoff": {"initial_seconds": 600}}})

        answer = await scene.post(f"{SCENE}/policy/rollback", {"version": 2})

        assert "policy.backoff.max_seconds" in fields(problem(answer, 422, "invalid-request"))

    async def test_a_layer_that_changes_gives_the_scenes_below_a_new_version(self, scene: Api) -> None:
        """Live tasks compare versions: without a new one they would never hear of the group's policy."""
        await scene.patch("/v1/groups/orders", {"policy": {"route": "first"}})
        await scene.patch("/v1/namespaces/default", {"policy": {"route": "last"}})

        newest, middle, first = (await scene.get(f"{SCENE}/policies")).json()["items"]

        assert newest["policy"] == middle["policy"] == first["policy"] == {"max_attempts": 5}
        assert "namespace default" in newest["note"]
        assert "group orders" in middle["note"]


class TestRollOut:
    async def test_a_dry_run_counts_the_tasks_that_are_behind(self, scene: Api) -> None:
        for _ in range(3):
            await scene.report()
        await set_policy(scene, {"max_attempts": 8})
        await scene.report()

        found = (await scene.post(f"{SCENE}/policy/apply", {"dry_run": True})).json()

        assert found == {
            "version": 2, "behind": {"pending": 3}, "total": 3, "changed": 0, "kept": [], "next_cursor": None,
        }  # fmt: skip

    async def test_pending_tasks_are_changed_in_their_rows_page_by_page(self, scene: Api) -> None:
        tasks = [await scene.report() for _ in range(3)]
        await set_policy(scene, {"max_attempts": 8})

        first = (await scene.post(f"{SCENE}/policy/apply", {"limit": 2})).json()
        rest = (await scene.post(f"{SCENE}/policy/apply", {"limit": 2, "cursor": first["next_cursor"]})).json()
        again = (await scene.post(f"{SCENE}/policy/apply", {})).json()

        assert (first["changed"], rest["changed"], again["changed"]) == (2, 1, 0)
        assert (first["total"], rest["total"], again["total"]) == (3, 1, 0)
        assert rest["next_cursor"] is None
        for task in tasks:
            changed = await scene.task(task["id"])
            assert (changed["max_attempts"], changed["policy_version"]) == (8, 2)
            assert changed["policy"]["backoff"]["delay_seconds"] == 3600, "what the task itself says stays"

    async def test_a_task_whose_own_parts_no_longer_fit_is_kept_and_named(self, scene: Api) -> None:
        task = await scene.report(policy={"backoff": {"max_seconds": 60}})
        await set_policy(scene, {"backoff": {"initial_seconds": 600}})

        found = (await scene.post(f"{SCENE}/policy/apply", {})).json()

        assert found["changed"] == 0
        assert [kept["id"] for kept in found["kept"]] == [task["id"]]
        assert "no longer fit" in found["kept"][0]["reason"]

    async def test_tasks_with_a_workflow_need_temporal(self, scene: Api, database: Database) -> None:
        await scene.report()
        await execute(database, "UPDATE tasks SET status = 'waiting'")
        await set_policy(scene, {"max_attempts": 8})

        answer = await scene.post(f"{SCENE}/policy/apply", {})

        assert "repeat" in problem(answer, 503, "engine-unavailable")["detail"]
