"""The frame of every page: where one can go, by mouse, by keys and on a phone; how it looks and speaks."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect
from tests.console.conftest import Show
from tests.console.world import World


def test_every_page_is_reached_by_two_keys(show: Show) -> None:
    page = show("/")
    for key, heading in (
        ("t", "Tasks"),
        ("d", "Dead letters"),
        ("r", "Redrives"),
        ("g", "Groups"),
        ("n", "Nodes"),
        ("o", "Overview"),
    ):
        page.keyboard.press("g")
        page.keyboard.press(key)
        expect(page.get_by_role("heading", level=1)).to_contain_text(heading)


def test_the_palette_leads_to_a_task_by_its_id(show: Show, world: World) -> None:
    page, task = show("/"), world.tasks["dead"][0]
    page.keyboard.press("ControlOrMeta+k")
    page.get_by_role("combobox", name="Search").fill(task)
    page.keyboard.press("Enter")

    expect(page).to_have_url(re.compile(f"/tasks/{task}"))


def test_the_palette_leads_to_a_group_and_to_a_scenes_tasks(show: Show) -> None:
    page = show("/")
    for begun, entry, address in (
        ("ord", "orders", "/groups/orders$"),
        ("char", "Tasks of charge-card", "charge-card"),
    ):
        page.keyboard.press("ControlOrMeta+k")
        page.get_by_role("combobox", name="Search").fill(begun)
        page.get_by_role("option", name=entry, exact=True).click()

        expect(page).to_have_url(re.compile(address))


def test_the_namespace_stays_in_the_address_from_page_to_page(show: Show, world: World) -> None:
    world.api.post("/v1/namespaces", json={"name": "staging"}).raise_for_status()
    page = show("/tasks")
    page.get_by_role("button", name="Namespace default").click()
    page.get_by_role("menuitem", name="staging").click()
    expect(page).to_have_url(re.compile("namespace=staging"))
    page.get_by_role("link", name="Nodes").click()

    expect(page).to_have_url(re.compile(r"/nodes\?namespace=staging"))


def test_it_speaks_chinese_and_remembers_it(show: Show) -> None:
    page = show("/", language="zh")
    expect(page.get_by_role("heading", level=1)).to_have_text("概览")
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    _choose(page, "外观", "English")
    page.reload()

    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")


def test_dark_is_kept_against_the_system(show: Show) -> None:
    page = show("/", scheme="light")
    _choose(page, "Appearance", "Dark")
    page.reload()

    expect(page.locator("html")).to_have_attribute("data-mantine-color-scheme", "dark")


def test_a_phone_has_tabs_and_a_menu(show: Show) -> None:
    page = show("/", phone=True)
    page.get_by_role("navigation").get_by_role("link", name="Tasks").click()
    expect(page).to_have_url(re.compile("/tasks"))
    page.get_by_role("button", name="More").click()
    page.get_by_role("dialog").get_by_role("link", name="Alerts").click()

    expect(page).to_have_url(re.compile("/alerts"))


def _choose(page: Page, menu: str, item: str) -> None:
    page.get_by_role("button", name=re.compile(menu)).click()
    page.get_by_role("menuitem", name=item).click()
