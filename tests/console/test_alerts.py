"""Channels, rules and the history of alerts: set up by an engineer, read by the person on call."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, expect
from tests.console.conftest import Show
from tests.console.world import QUICK, World, until

Picture = Callable[..., None]

SECRET = "whsec_" + "c2VjcmV0IG9mIGEgdGVzdCwgMzIgYnl0ZXMgbG9uZyE="


def make_channel(world: World, name: str, **settings: Any) -> str:
    document = {"url": f"{world.provider.url}/ok", "secret": SECRET, **settings}
    made = world.api.post("/v1/alerts/channels", json={"name": name, "kind": "webhook", "settings": document})
    found: str = made.raise_for_status().json()["id"]
    return found


def make_rule(world: World, name: str, **fields: Any) -> None:
    world.api.post("/v1/alerts/rules", json={"name": name, "event": "dead_letter", **fields}).raise_for_status()


def find(world: World, what: str, name: str) -> dict[str, Any]:
    """Read a channel or a rule by its name."""
    items: list[dict[str, Any]] = world.api.get(f"/v1/alerts/{what}").raise_for_status().json()["items"]
    return next(item for item in items if item["name"] == name)


def open_channel_form(page: Page) -> None:
    page.get_by_role("button", name="New channel").click()
    expect(page.get_by_role("dialog").get_by_label("Mail server")).to_be_visible()


def open_rule_form(page: Page) -> None:
    page.get_by_role("button", name="New rule").click()
    expect(page.get_by_role("dialog").get_by_text("when a task dies within 5 minutes")).to_be_visible()


def test_alerts_are_seen_well_by_everybody(world: World, picture: Picture) -> None:
    channel = make_channel(world, "the on-call")
    make_rule(world, "Nobody takes it", event="no_live_node", channels=[channel], group_by=["group"])

    picture("alerts", "/alerts", "the on-call")
    picture("alert-rule", "/alerts", "the on-call", open_rule_form)
    picture("alert-channels", "/alerts?tab=channels", "the on-call")
    picture("alert-channel", "/alerts?tab=channels", "the on-call", open_channel_form)


def test_a_death_is_told_by_a_channel_and_a_rule_that_were_made_in_the_forms(show: Show, world: World) -> None:
    page = show("/alerts?tab=channels")
    page.get_by_role("button", name="New channel").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Kind").select_option("webhook")
    dialog.get_by_label("Name", exact=True).fill("billing desk")
    dialog.get_by_label("Address", exact=True).fill("ftp://desk.example.com")
    dialog.get_by_role("button", name="Make one").click()
    dialog.get_by_role("button", name="Save").click()
    # What the server refuses stands where it was typed.
    address = dialog.get_by_label("Address", exact=True)
    expect(address).to_have_accessible_description(re.compile("expected an absolute http or https URL"))
    address.fill(f"{world.provider.url}/ok")
    dialog.get_by_role("button", name="Save").click()
    row = page.get_by_role("row", name="billing desk")
    row.get_by_role("button", name="Test").click()
    expect(row.get_by_text("Delivered in")).to_be_visible()

    page.get_by_role("tab", name="Rules").click()
    page.get_by_role("button", name="New rule").click()
    dialog.get_by_label("Name", exact=True).fill("Refunds die")
    dialog.get_by_label("Groups", exact=True).fill("payouts")
    dialog.get_by_label("Groups", exact=True).press("Enter")
    dialog.get_by_label("billing desk").check()
    dialog.get_by_label("Told again every", exact=True).fill("4")
    dialog.get_by_label("Unit of Told again every").select_option("h")
    expect(dialog.get_by_text("Tells billing desk when a task dies within 5 minutes in payouts")).to_be_visible()
    expect(dialog.get_by_text("While it lasts, it is told again every 4 hours.")).to_be_visible()
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_be_hidden()
    assert find(world, "rules", "Refunds die")["repeat_seconds"] == 14_400

    task = world.report("refund", "payouts", "pay-back", "declined", QUICK, 1)
    until(lambda: world.status(task) == "dead")
    page.get_by_role("link", name="Refunds die").click()
    told = page.get_by_role("row", name="payouts / pay-back")
    expect(told.get_by_text("billing desk: arrived")).to_be_visible(timeout=30_000)
    told.get_by_role("link", name="Show").click()

    expect(page.get_by_role("heading", level=1, name="Dead letters")).to_be_visible()
    expect(page.get_by_role("link", name="http.422")).to_be_visible()


def test_a_stored_secret_is_kept_when_a_channel_changes(show: Show, world: World) -> None:
    make_channel(world, "gatehouse", headers={"X-Token": "t0ken"})
    page = show("/alerts?tab=channels")
    page.get_by_role("row", name="gatehouse").get_by_role("button", name="Change").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("Stored; leave it empty to keep it.")).to_be_visible()
    expect(dialog.get_by_label("Headers (optional)")).to_have_value("X-Token: ••••")
    dialog.get_by_label("Name", exact=True).fill("night watch")
    dialog.get_by_role("button", name="Save").click()
    row = page.get_by_role("row", name="night watch")
    row.get_by_role("button", name="Test").click()
    # It is signed by the secret that was stored, or there would be none to sign it by.
    expect(row.get_by_text("Delivered in")).to_be_visible()
    row.get_by_label("Enabled: night watch").click(force=True)

    expect(row.get_by_label("Enabled: night watch")).not_to_be_checked()
    until(lambda: not find(world, "channels", "night watch")["enabled"])


def test_the_form_asks_for_what_means_something_for_the_event(show: Show) -> None:
    page = show("/alerts")
    page.get_by_role("button", name="New rule").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Scenes", exact=True)).to_be_visible()
    dialog.get_by_label("About").select_option("failure_rate")
    dialog.get_by_label("At least", exact=True).fill("25")
    expect(dialog.get_by_text("when 25 % or more of at least 20 attempts fail within 5 minutes")).to_be_visible()
    dialog.get_by_label("About").select_option("sdk_error")
    expect(dialog.get_by_text("when an error happens inside client SDKs within 5 minutes")).to_be_visible()

    expect(dialog.get_by_label("Scenes", exact=True)).to_be_hidden()
    expect(dialog.get_by_label("Of at least so many attempts")).to_be_hidden()


def test_a_rule_is_muted_and_deleted(show: Show, world: World) -> None:
    make_rule(world, "Too loud", threshold=1000)
    page = show("/alerts")
    row = page.get_by_role("row", name="Too loud")
    row.get_by_role("button", name="Mute").click()
    page.get_by_role("menuitem", name="For 8 hours").click()
    expect(row.get_by_text("Muted until")).to_be_visible()
    row.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()

    expect(row).to_be_hidden()
