"""The list of tasks: one line filters it, it fetches as one scrolls, and it never jumps."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote

from playwright.sync_api import Page, expect
from tests.console.conftest import Show
from tests.console.world import SLOW, World, until


def rows(page: Page) -> list[str]:
    """The texts of the rows that are shown."""
    page.get_by_role("table", name="Tasks").get_by_role("row").nth(1).wait_for()
    return page.get_by_role("table", name="Tasks").get_by_role("row").all_inner_texts()[1:]


def test_completes_what_is_typed_and_keeps_it_in_the_address(show: Show, world: World) -> None:
    page = show("/tasks")
    page.keyboard.press("/")
    bar = page.get_by_role("combobox", name="Filter")
    bar.press_sequentially("sta")
    page.get_by_role("option", name=re.compile("^status:")).click()
    page.get_by_role("option", name="dead", exact=True).click()
    bar.press_sequentially("scene:notify-warehouse")
    bar.press("Enter")

    expect(page).to_have_url(re.compile(r"q=status%3Adead(\+|%20)scene%3Anotify-warehouse"))
    expect(page.get_by_text("5 tasks", exact=True)).to_be_visible()
    assert all("Dead" in row and "notify-warehouse" in row for row in rows(page))


def test_scenes_groups_and_errors_are_completed_by_keys(show: Show) -> None:
    page = show("/tasks")
    bar = page.get_by_role("combobox", name="Filter")
    bar.press_sequentially("group:mail scene:")
    expect(page.get_by_role("option")).to_have_text(["send-receipt"])
    bar.press_sequentially("se")
    bar.press("Tab")
    expect(bar).to_have_value("group:mail scene:send-receipt ")
    bar.press_sequentially("error:http")
    option = page.get_by_role("option", name="http.503", exact=True)
    expect(option).to_be_visible()
    bar.press("ArrowDown")
    expect(option).to_have_attribute("aria-selected", "true")
    bar.press("Enter")
    expect(page).to_have_url(re.compile(r"error%3Ahttp\.503"))
    bar.press_sequentially("meta.rel")
    bar.press("Escape")
    expect(page.get_by_role("listbox")).to_be_hidden()
    bar.press("ArrowDown")
    page.get_by_role("option", name="meta.release:").click()
    page.get_by_role("option", name="2026.5", exact=True).click()

    expect(bar).to_have_value("group:mail scene:send-receipt error:http.503 meta.release:2026.5 ")


def test_says_what_is_wrong_with_a_filter(show: Show) -> None:
    page = show(f"/tasks?q={quote('status:deaf')}")

    expect(page.get_by_role("alert")).to_contain_text("status is one of pending, waiting")


def test_a_state_filters_by_a_click_and_back_brings_the_rest_back(show: Show) -> None:
    page = show("/tasks")
    before = len(rows(page))
    page.get_by_role("group", name="Status").get_by_role("button", name=re.compile("Paused")).click()
    expect(page).to_have_url(re.compile("status%3Apaused"))
    expect(page.get_by_text("2 tasks", exact=True)).to_be_visible()
    page.go_back()

    expect(page.get_by_role("table", name="Tasks").get_by_role("row")).to_have_count(before + 1)


def test_keys_move_and_open(show: Show) -> None:
    page = show(f"/tasks?q={quote('status:dead')}&sort=created_at")
    rows(page)
    for key in ("j", "j", "k", "Enter"):
        page.keyboard.press(key)

    expect(page).to_have_url(re.compile(r"/tasks/[0-9a-f-]{36}"))
    expect(page.get_by_text("Died after")).to_be_visible()


def test_new_tasks_wait_for_a_click_and_known_ones_change_in_place(show: Show, world: World) -> None:
    mine = [world.report("live", "live", "watched", "busy", SLOW, number) for number in range(900, 903)]
    page = show(f"/tasks?q={quote('scene:watched')}")
    expect(page.get_by_text("3 tasks", exact=True)).to_be_visible()
    keys = [row.split("\n")[2] for row in rows(page)]
    world.api.post(f"/v1/tasks/{mine[1]}/pause", json={}).raise_for_status()
    expect(page.get_by_role("table", name="Tasks").get_by_text("Paused")).to_be_visible()
    world.report("live", "live", "watched", "busy", SLOW, 903)
    pill = page.get_by_role("button", name="1 new")
    expect(pill).to_be_visible()
    assert [row.split("\n")[2] for row in rows(page)] == keys
    pill.click()

    expect(page.get_by_text("4 tasks", exact=True)).to_be_visible()
    expect(pill).to_be_hidden()


def test_hidden_columns_stay_hidden(show: Show) -> None:
    page = show("/tasks")
    rows(page)
    page.get_by_role("button", name="Columns").click()
    page.get_by_role("menuitemcheckbox", name="Priority").click()
    expect(page.get_by_role("columnheader", name="Priority")).to_be_visible()
    page.reload()

    expect(page.get_by_role("columnheader", name="Priority")).to_be_visible()


def test_looks(picture: Callable[..., None]) -> None:
    picture("tasks", "/tasks", ready="charge-card")


def test_what_is_done_to_many_is_counted_first_and_becomes_a_redrive(show: Show, world: World) -> None:
    for number in range(950, 954):
        world.report("bulk", "bulk", "many", "busy", SLOW, number)
    page = show(f"/tasks?q={quote('scene:many')}")
    expect(page.get_by_text("4 tasks", exact=True)).to_be_visible()
    page.get_by_role("checkbox", name="Mark all rows shown").check()
    page.get_by_role("toolbar", name="4 rows marked").get_by_role("button", name="Pause").click()
    dialog = page.get_by_role("dialog", name="Pause 4 tasks")
    expect(dialog).to_contain_text("bulk / many")
    dialog.get_by_label("Reason").fill("stocktaking")
    dialog.get_by_role("button", name="Pause 4 tasks").click()
    expect(page).to_have_url(re.compile(r"/redrives/[0-9a-f-]{36}"))

    until(lambda: world.api.get("/v1/tasks/count?scene=many&status=paused").json()["count"] == 4)


def test_the_policy_of_many_is_changed_by_fields(show: Show, world: World) -> None:
    tasks = [world.report("bulk", "bulk", "patient", "busy", SLOW, number) for number in range(960, 963)]
    until(lambda: all(world.status(task) == "waiting" for task in tasks))
    page = show(f"/tasks?q={quote('scene:patient')}")
    page.get_by_role("checkbox", name="Mark all rows shown").check()
    page.get_by_role("toolbar", name="3 rows marked").get_by_role("button", name="More actions").click()
    page.get_by_role("menuitem", name="Change policy").click()
    dialog = page.get_by_role("dialog", name="Change the policy of 3 tasks")
    change = dialog.get_by_role("button", name="Change the policy of 3 tasks")
    expect(change).to_be_disabled()
    dialog.get_by_label("Attempts at most").fill("20")
    change.click()
    expect(page.get_by_text("Completed", exact=True)).to_be_visible(timeout=30_000)

    assert {world.api.get(f"/v1/tasks/{task}").json()["max_attempts"] for task in tasks} == {20}


def test_a_saved_view_brings_filter_and_order_back(show: Show) -> None:
    page = show(f"/tasks?q={quote('status:dead scene:charge-card')}&sort=-attempts")
    page.get_by_role("button", name="Views").click()
    page.get_by_role("menuitem", name="Save this view").click()
    page.get_by_role("dialog").get_by_label("Name").fill("Dead payments")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.goto("/tasks")
    page.get_by_role("button", name="Views").click()
    page.get_by_role("menuitem", name="Dead payments").click()

    expect(page.get_by_role("combobox", name="Filter")).to_have_value("status:dead scene:charge-card")
    expect(page).to_have_url(re.compile("sort=-attempts"))
