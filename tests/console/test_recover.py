"""Dead letters and redrives, as the person on call uses them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, expect
from tests.console.conftest import Show
from tests.console.world import QUICK, World, until

Picture = Callable[..., None]


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


def test_what_a_redrive_cannot_do_is_said_at_its_field(show: Show) -> None:
    page = show("/dead-letters?q=group:orders")
    page.get_by_role("button", name="Redrive all that match").click()
    dialog = page.get_by_role("dialog")
    begin = dialog.get_by_role("button", name=re.compile(r"Redrive \d+ tasks"))
    expect(begin).to_be_enabled()
    dialog.get_by_text("More options").click()
    dialog.get_by_label("Release tasks only").check()
    dialog.get_by_label("Send them to").select_option("a webhook")
    dialog.get_by_label("Change their policy").check()
    rate = dialog.get_by_label("Tasks per second")
    rate.fill("5000")
    expect(rate).to_have_accessible_description(re.compile("at most 1000"))
    rate.fill("10")
    fields = {
        "Time zone": ("Europe/Nowhere", "Europe/Berlin", "an IANA time zone"),
        "URL": ("ftp://pay.example", "https://pay.example", "an absolute http or https URL"),
        "Attempts at most": ("0", "3", "a whole number from 1"),
    }
    for field, (wrong, _, _) in fields.items():
        dialog.get_by_label(field, exact=True).fill(wrong)
    for field, (_, _, message) in fields.items():
        expect(dialog.get_by_label(field, exact=True)).to_have_accessible_description(re.compile(message))
    expect(begin).to_be_disabled()
    for field, (_, right, _) in fields.items():
        dialog.get_by_label(field, exact=True).fill(right)

    expect(begin).to_be_enabled()


def test_a_patch_shows_what_it_does_to_a_task_before_it_does_it_to_all(show: Show, world: World) -> None:
    task = world.report("patched", "refunds", "refund", "gateway/3", QUICK, 930)
    until(lambda: world.status(task) == "dead")
    page = show("/dead-letters?q=group:refunds")
    page.get_by_role("button", name="Redrive all that match").click()
    dialog = page.get_by_role("dialog", name="Redrive 1 task")
    dialog.get_by_text("More options").click()
    dialog.get_by_label("Change their payloads").check()
    patch = dialog.get_by_label("JSON Merge Patch")
    patch.fill('{"kwargs": ')
    expect(dialog.get_by_text("This is not JSON")).to_be_visible()
    expect(dialog.get_by_role("button", name="Redrive 1 task")).to_be_disabled()
    patch.fill('{"kwargs": {"note": "by hand", "express": null}}')
    change = dialog.get_by_role("group", name="The sample’s payload, before and after")
    expect(change.get_by_role("deletion")).to_contain_text(['"express"', '"note": null'])
    expect(change.get_by_role("insertion")).to_contain_text(['"note": "by hand"'])
    dialog.get_by_role("button", name="Redrive 1 task").click()
    expect(page.get_by_text("Completed", exact=True)).to_be_visible(timeout=30_000)
    expect(page.get_by_label("Patch of each payload")).to_contain_text("by hand")
    page.get_by_role("link", name="o-00930").click()
    expect(page.get_by_role("list", name="Revisions").get_by_role("listitem")).to_have_count(2)

    assert world.api.get(f"/v1/tasks/{task}").json()["kwargs"]["note"] == "by hand"
