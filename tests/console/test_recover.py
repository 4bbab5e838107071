"""Dead letters, redrives and alerts, as the person on call uses them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, expect
from tests.console.conftest import Show
from tests.console.world import QUICK, World, until

Picture = Callable[..., None]

SECRET = "whsec_" + "c2VjcmV0IG9mIGEgdGVzdCwgMzIgYnl0ZXMgbG9uZyE="


def open_redrive_dialog(page: Page) -> None:
    page.get_by_role("button", name="Redrive", exact=True).click()
    expect(page.get_by_role("dialog").get_by_text("By scene")).to_be_visible()


def test_dead_letters_are_seen_well_by_everybody(world: World, picture: Picture) -> None:
    groups: list[dict[str, Any]] = world.api.get("/v1/dead-letters/groups").raise_for_status().json()["items"]

    picture("dead-letters", "/dead-letters", "http.422")
    picture("dead-letter", f"/dead-letters/{groups[0]['fingerprint']}", "Latest sample")
    picture("redrive-dialog", f"/dead-letters/{groups[0]['fingerprint']}", "Latest sample", open_redrive_dialog)


def test_an_acknowledged_error_is_told_apart_until_it_is_taken_back(show: Show) -> None:
    page = show("/dead-letters")
    row = page.get_by_role("listitem").filter(has=page.get_by_role("link", name="http.500"))
    row.get_by_role("button", name="Acknowledge").click()
    expect(row.get_by_text("Acknowledged", exact=True)).to_be_visible()
    row.get_by_role("button", name="Take back").click()

    expect(row.get_by_role("button", name="Acknowledge")).to_be_visible()


def test_what_died_is_redriven_after_the_provider_has_recovered(show: Show, world: World, picture: Picture) -> None:
    """Counted first, paused and resumed on the way, and followed to its end."""
    tasks = [world.report("recovering", "billing", "invoice", "gateway/3", QUICK, n) for n in range(900, 912)]
    until(lambda: all(world.status(task) == "dead" for task in tasks))
    page = show("/dead-letters?q=group:billing")
    page.get_by_role("button", name="Redrive all that match").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Tasks per second", exact=True).fill("0.5")
    dialog.get_by_label("Begin slowly").uncheck()
    dialog.get_by_label("Reason").fill("the acquirer is back")
    expect(dialog.get_by_text("12 tasks", exact=True)).to_be_visible()
    dialog.get_by_role("button", name="Redrive 12 tasks").click()
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("dialog").get_by_role("button", name="Pause").click()
    expect(page.get_by_text("Paused", exact=True)).to_be_visible()
    picture("redrive", page.url.removeprefix(world.url), "Outcomes")
    picture("redrives", "/redrives", "billing")
    page.get_by_role("button", name="Change rate").click()
    page.get_by_role("dialog").get_by_label("Tasks per second").fill("100")
    page.get_by_role("dialog").get_by_role("button", name="Change rate").click()
    page.get_by_role("button", name="Resume").click()
    page.get_by_role("dialog").get_by_role("button", name="Resume").click()

    expect(page.get_by_text("12 of 12 tasks done")).to_be_visible(timeout=30_000)
    expect(page.get_by_text("Completed", exact=True)).to_be_visible(timeout=30_000)
    assert {world.status(task) for task in tasks} == {"succeeded"}


def test_a_channel_is_tested_and_a_rule_is_muted(show: Show, world: World, picture: Picture) -> None:
    channel = {"name": "on call", "kind": "webhook", "settings": {"url": f"{world.provider.url}/ok", "secret": SECRET}}
    made: dict[str, Any] = world.api.post("/v1/alerts/channels", json=channel).raise_for_status().json()
    rule = {"name": "Payments die", "event": "dead_letter", "channels": [made["id"]], "threshold": 1000}
    world.api.post("/v1/alerts/rules", json=rule).raise_for_status()
    picture("alerts", "/alerts", "on call")
    page = show("/alerts?tab=channels")
    page.get_by_role("button", name="Test", exact=True).click()
    expect(page.get_by_text("Delivered in")).to_be_visible()
    page.get_by_role("tab", name="Rules").click()
    page.get_by_role("button", name="Mute 1 h").click()

    expect(page.get_by_text("Muted", exact=True)).to_be_visible()
