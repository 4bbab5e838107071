"""Groups, scenes and their policies, nodes and settings, as a platform engineer uses them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect
from tests.console.conftest import Show
from tests.console.world import World

Picture = Callable[..., None]


@pytest.mark.parametrize(
    ("name", "path", "ready"),
    [
        ("groups", "/groups", "made by its first report"),
        ("group", "/groups/orders", "charge-card"),
        ("scene", "/groups/orders/scenes/charge-card", "Tasks that survive the outage"),
        ("targets", "/targets", "Webhook host"),
        ("nodes", "/nodes", "node-eu-1"),
        ("settings", "/settings", "New namespace"),
    ],
)
def test_each_page_is_seen_well_by_everybody(name: str, path: str, ready: str, world: World, picture: Picture) -> None:
    register(world, "node-eu-1")

    picture(name, path, ready)


def test_the_simulator_answers_while_a_policy_is_typed(show: Show) -> None:
    """Two attempts cannot survive an outage of ten minutes; the form says so before anything is saved."""
    page = show("/groups/orders/scenes/charge-card")
    expect(page.get_by_text("100 %")).to_be_visible()
    page.get_by_label("Attempts at most", exact=True).fill("2")

    expect(page.get_by_text("1,000 would be dead letters")).to_be_visible()


def test_a_saved_policy_is_a_version_that_can_be_rolled_back(show: Show, world: World) -> None:
    world.api.post("/v1/groups/orders/scenes", json={"name": "versions"}).raise_for_status()
    page = show("/groups/orders/scenes/versions")
    page.get_by_label("Attempts at most", exact=True).fill("7")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Version 2 is in force")).to_be_visible()
    page.get_by_role("tab", name="Versions").click()
    page.get_by_role("row", name="2 in force").get_by_role("button", name="Differences").click()
    expect(page.get_by_text("max_attempts: 7")).to_be_visible()
    page.get_by_role("button", name="Roll back").click()
    page.get_by_role("dialog").get_by_role("button", name="Roll back").click()

    expect(page.get_by_text("Version 3 is in force")).to_be_visible()
    scene = "/v1/groups/orders/scenes/versions"
    assert world.api.get(f"{scene}/effective-policy").json()["policy"]["max_attempts"] == 12


def test_a_value_says_which_layer_gave_it_and_is_given_back(show: Show, world: World) -> None:
    world.api.post("/v1/groups/orders/scenes", json={"name": "origins", "policy": {"max_attempts": 4}})
    page = show("/groups/orders/scenes/origins")
    field = page.get_by_label("Attempts at most", exact=True)
    expect(field).to_have_value("4")
    page.get_by_role("button", name="Use what the layers below say: Attempts at most").click()

    expect(field).to_have_value("12")


def test_a_refused_policy_says_which_field(show: Show) -> None:
    page = show("/groups/orders/scenes/charge-card")
    page.get_by_label("Attempts at most", exact=True).fill("0")
    page.get_by_role("button", name="Save").click()

    expect(page.get_by_text(re.compile("This policy would be refused"))).to_be_visible()
    expect(page.get_by_label("Attempts at most", exact=True)).to_have_attribute("aria-invalid", "true")


def test_a_table_of_delays_and_poison_are_typed_as_numbers(show: Show, world: World) -> None:
    """Each refused delay is named; a rule without a number is none, and hides what it would do."""
    world.api.post("/v1/groups/orders/scenes", json={"name": "tables"}).raise_for_status()
    page = show("/groups/orders/scenes/tables")
    page.get_by_label("Backoff").select_option("table of delays")
    page.get_by_label("Table", exact=True).select_option("own delays")
    delays = page.get_by_label("Delays in seconds, the last for all attempts after")
    expect(delays).to_have_value("10, 60, 300, 1800")
    delays.fill("30; 90 600, soon")
    page.get_by_label("Poison after so many like errors in a row", exact=True).fill("3")
    page.get_by_label("A poisoned task", exact=True).select_option("waits for a person")
    page.get_by_role("button", name="Save").click()
    expect(delays).to_have_attribute("aria-invalid", "true")
    delays.fill("30; 90 600")
    page.get_by_role("button", name="Save").click()

    expect(page.get_by_text("Version 2 is in force")).to_be_visible()
    scene = "/v1/groups/orders/scenes/tables"
    policy = world.api.get(f"{scene}/effective-policy").json()["policy"]
    assert policy["backoff"]["levels"] == [30, 90, 600]
    assert policy["poison"] == {"same_fingerprint": 3, "action": "park"}

    page.get_by_label("Poison after so many like errors in a row", exact=True).fill("")
    expect(page.get_by_label("A poisoned task", exact=True)).to_have_count(0)
    page.get_by_role("button", name="Save").click()

    expect(page.get_by_text("Version 3 is in force")).to_be_visible()
    assert world.api.get(f"{scene}/effective-policy").json()["policy"]["poison"] is None


def test_what_failures_mean_is_said_rule_by_rule(show: Show, world: World) -> None:
    """A refused rule says so itself; rules are moved, and those that were there stay as they were."""
    known = {"action": "park", "http_status": [502, "3xx"], "seconds": 300}
    body = {"name": "meanings", "policy": {"classification": [known]}}
    world.api.post("/v1/groups/orders/scenes", json=body).raise_for_status()
    page = show("/groups/orders/scenes/meanings")
    rules = page.get_by_role("group", name="Rules")
    rules.get_by_role("button", name="Add a rule").click()
    second = rules.get_by_role("group", name="Rule 2")
    second.get_by_label("Message (pattern)").fill("(a+)+")
    second.get_by_label("Body at (pointer)").fill("/error/code")
    second.get_by_label("Equals").fill("1.50")
    second.get_by_label("Then").select_option("dead")
    page.get_by_role("button", name="Save").click()
    expect(second.get_by_text("expected a pattern that is quick to match")).to_be_visible()
    second.get_by_label("Message (pattern)").fill("")
    second.get_by_label("HTTP status").fill("4xx")
    second.get_by_role("button", name="Move up").click()
    page.get_by_role("button", name="Save").click()

    expect(page.get_by_text("Version 2 is in force")).to_be_visible()
    policy = world.api.get("/v1/groups/orders/scenes/meanings/effective-policy").json()["policy"]
    said = [{name: part for name, part in rule.items() if part is not None} for rule in policy["classification"]]
    added = {"action": "dead", "http_status": "4xx", "body": {"pointer": "/error/code", "equals": 1.5}}
    assert said == [added, known]


def test_a_scene_is_paused_with_a_reason_and_resumed(show: Show, world: World) -> None:
    page = show("/groups/mail/scenes/send-receipt?tab=settings")
    page.get_by_role("button", name="Pause", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("the provider migrates")
    dialog.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    expect(page.get_by_text("the provider migrates")).to_be_visible()
    pauses = world.api.get("/v1/pauses").json()["items"]
    page.get_by_role("button", name="Resume").click()
    page.get_by_role("dialog").get_by_role("button", name="Resume").click()

    expect(page.get_by_text("Attempts go out as they fall due.")).to_be_visible()
    assert [(pause["scope"], pause["key"]) for pause in pauses] == [("scene", "mail/send-receipt")]


def test_a_scene_says_who_is_told_how_its_tasks_end(show: Show, world: World) -> None:
    called_off: dict[str, Any] = {"url": "https://example.com/called-off", "headers": {}}
    told = {"on_success": "orders.told", "on_cancelled": called_off}
    world.api.post("/v1/groups/orders/scenes", json={"name": "told", "callbacks": told}).raise_for_status()
    page = show("/groups/orders/scenes/told?tab=settings")
    page.get_by_role("group", name="When it succeeds").get_by_label("When it succeeds").select_option("nobody")
    dead = page.get_by_role("group", name="When it is dead")
    dead.get_by_label("When it is dead").select_option("webhook")
    dead.get_by_label("Address (URL)").fill("ftp://example.com")
    dead.get_by_role("button", name="Add a header").click()
    dead.get_by_role("textbox", name="Header", exact=True).fill("x-shop")
    dead.get_by_role("textbox", name="Value", exact=True).fill("7")
    save = page.locator("form").filter(has=dead).get_by_role("button", name="Save")
    save.click()
    expect(dead.get_by_text("expected an absolute http or https URL")).to_be_visible()
    dead.get_by_label("Address (URL)").fill("https://example.com/dead")
    save.click()

    expect(page.get_by_text("Saved")).to_be_visible()
    assert world.api.get("/v1/groups/orders/scenes/told").json()["callbacks"] == {
        "on_cancelled": called_off,
        "on_dead": {"url": "https://example.com/dead", "headers": {"x-shop": "7"}},
    }


def test_a_limit_is_set_and_removed(show: Show, world: World) -> None:
    page = show("/groups/mail?tab=settings")
    page.get_by_role("button", name="Change").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Attempts per second").fill("25")
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_text("25/s")).to_be_visible()
    page.get_by_role("button", name="Change").click()
    page.get_by_role("dialog").get_by_label("Attempts per second").fill("")
    page.get_by_role("dialog").get_by_role("button", name="Remove the limit").click()

    expect(page.get_by_text("No limit of its own")).to_be_visible()
    assert world.api.get("/v1/limits").json()["items"] == []


def test_an_import_shows_what_it_would_change_before_it_does(show: Show, world: World, tmp_path: Path) -> None:
    document = world.api.get("/v1/config").json()
    document["groups"]["imported"] = {"description": "from a file"}
    file = tmp_path / "config.json"
    file.write_text(json.dumps(document))
    page = show("/groups")
    page.get_by_role("button", name="Configuration").click()
    page.get_by_role("menuitem", name="Import").click()
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_role("button", name="Show what would change").click()
    expect(page.get_by_role("dialog").get_by_text("imported", exact=True)).to_be_visible()
    page.get_by_role("button", name="Apply 1 change").click()

    expect(page.get_by_role("table", name="Groups and scenes").get_by_text("imported")).to_be_visible()


def test_draining_the_last_node_says_what_that_means(show: Show, world: World) -> None:
    register(world, "node-last", group="mail")
    page = show("/nodes?q=node-last")
    page.get_by_role("button", name="Drain").click()
    expect(page.get_by_role("dialog")).to_contain_text("the last live node of its group")
    page.get_by_role("dialog").get_by_role("button", name="Drain").click()

    expect(page.get_by_role("table", name="Nodes").get_by_text("Draining")).to_be_visible()


def test_a_key_is_shown_once_and_revoked(show: Show) -> None:
    page = show("/settings?tab=keys")
    page.get_by_role("button", name="New key").click()
    page.get_by_label("What it is for").fill("console test")
    page.get_by_role("button", name="Create").click()
    shown = page.get_by_role("dialog", name="Your new key")
    expect(shown).to_be_visible()
    shown.get_by_role("button", name="I have copied it").click()
    page.get_by_role("row", name=re.compile("console test")).get_by_role("button", name="Revoke").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()

    expect(page.get_by_role("row", name=re.compile("console test"))).to_contain_text("Revoked")


def register(world: World, node: str, group: str = "orders") -> None:
    world.api.post(
        "/v1/nodes/register",
        json={
            "id": node,
            "group": group,
            "url": "http://127.0.0.1:9",
            "labels": {"zone": "eu-west-1a"},
            "version": "2026.5.1",
            "executors": [f"{group}.charge", f"{group}.notify"],
            "capacity": 32,
        },
    ).raise_for_status()


def test_a_breaker_is_opened_by_hand_and_released(show: Show, world: World) -> None:
    key = world.api.get("/v1/breakers").json()["items"][0]["key"]
    page = show(f"/targets?key={key}")
    panel = page.get_by_role("dialog")
    panel.get_by_role("button", name="Open", exact=True).click()
    confirm = page.get_by_role("dialog", name=re.compile("Open the breaker"))
    confirm.get_by_label("Reason").fill("the acquirer asked for it")
    confirm.get_by_role("button", name="Open", exact=True).click()
    expect(panel.get_by_text("Held open").first).to_be_visible()
    held = world.api.get(f"/v1/breakers/{key}").json()["override"]
    panel.get_by_role("button", name="Release").click()
    page.get_by_role("dialog", name=re.compile("Release the breaker")).get_by_role("button", name="Release").click()

    expect(panel.get_by_role("button", name="Open", exact=True)).to_be_visible()
    assert (held["position"], held["reason"]) == ("open", "the acquirer asked for it")
