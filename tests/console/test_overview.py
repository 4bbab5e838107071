"""The overview: every figure is there, is right, and leads to the tasks that it counts."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import expect
from tests.console.conftest import Show
from tests.console.world import World


def test_the_counts_lead_to_the_tasks_that_they_count(show: Show, world: World) -> None:
    page = show("/")
    tile = page.get_by_role("region", name="Tasks by state").get_by_role("link", name=re.compile("^Dead"))
    dead = world.api.get("/v1/stats/tasks").json()["counts"]["dead"]
    expect(tile).to_contain_text(str(dead))
    tile.click()

    expect(page).to_have_url(re.compile(r"/tasks\?q=status%3Adead"))
    expect(page.get_by_text(f"{dead} tasks", exact=True)).to_be_visible()


def test_the_worst_scene_comes_first_and_leads_to_its_dead(show: Show, world: World) -> None:
    page = show("/?range=24h")
    row = page.get_by_role("table").get_by_role("row").nth(1)
    expect(row).to_contain_text("charge-card")
    row.get_by_role("link").last.click()

    expect(page.get_by_role("combobox", name="Filter")).to_have_value(
        "group:orders scene:charge-card status:dead finished:<24h"
    )
    expect(page.get_by_role("table", name="Tasks").get_by_text("Dead").first).to_be_visible()


def test_the_range_is_in_the_address(show: Show) -> None:
    page = show("/")
    page.get_by_text("24h", exact=True).click()

    expect(page).to_have_url(re.compile("range=24h"))


def test_an_empty_namespace_says_how_to_begin(show: Show, world: World) -> None:
    world.api.post("/v1/namespaces", json={"name": "fresh"}).raise_for_status()
    page = show("/?namespace=fresh")

    expect(page.get_by_text("Nothing has been reported yet")).to_be_visible()
    expect(page.get_by_label("curl")).to_contain_text("/v1/tasks")


def test_looks(picture: Callable[..., None]) -> None:
    picture("overview", "/", ready="Failing scenes")
