"""An outage from its first failure to the last redriven task, as the person on call lives through it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect
from tests.console.conftest import Show
from tests.console.world import World, serve_provider

QUICK = {"kind": "fixed", "delay_seconds": 0.2, "jitter": {"kind": "none"}}
GUARDED = {
    "backoff": QUICK,
    "max_attempts": 12,
    "breaker": {"minimum": 4, "window_seconds": 30, "open_seconds": 2, "growth": 1, "rounds": 1},
    "slow_start": {"first_per_second": 20},
}
UNGUARDED = {"backoff": QUICK, "max_attempts": 2, "breaker": {"enabled": False}}
CHARGES, RECEIPTS = 6, 5
SOON = 30_000
"""Far more than it takes, in milliseconds."""

Visit = Callable[[str], Page]


@pytest.fixture
def bank(world: World) -> Iterator[World]:
    """A provider that is down, in a namespace of its own: one of its scenes has a breaker."""
    world.api.post("/v1/namespaces", json={"name": "outage"}).raise_for_status()
    headers = {"Redrive-Namespace": "outage"}
    with serve_provider() as provider, httpx.Client(base_url=world.url, headers=headers, timeout=30) as api:
        api.post("/v1/groups", json={"name": "shop"}).raise_for_status()
        scene: dict[str, Any] = {"name": "charge", "policy": GUARDED}
        api.post("/v1/groups/shop/scenes", json=scene).raise_for_status()
        provider.down = True
        yield World(world.url, api, provider)


@pytest.fixture
def mailer(bank: World) -> Iterator[World]:
    """Another provider that is down. Its scene has no breaker: what is sent to it dies."""
    with serve_provider() as provider:
        scene: dict[str, Any] = {"name": "receipt", "policy": UNGUARDED}
        bank.api.post("/v1/groups/shop/scenes", json=scene).raise_for_status()
        provider.down = True
        yield World(bank.url, bank.api, provider)


@pytest.fixture
def visit(show: Show) -> Visit:
    """Goes from page to page in one tab, within the namespace of the story."""
    page = show("/?namespace=outage")

    def visit(path: str) -> Page:
        page.goto(f"{path}{'&' if '?' in path else '?'}namespace=outage")
        page.get_by_role("heading", level=1).wait_for()
        return page

    return visit


def test_an_outage_is_seen_survived_and_cleared_up(visit: Visit, bank: World, mailer: World) -> None:
    """Outage, breaker, parked tasks, dead letters; then recovery, and a redrive of what died."""
    host = bank.provider.url.removeprefix("http://")
    for number in range(CHARGES):
        bank.report("charge", "shop", "charge", "ok", {}, number)
    for number in range(RECEIPTS):
        mailer.report("receipt", "shop", "receipt", "ok", {}, number)

    page = visit("/targets")
    row = page.get_by_role("row").filter(has_text=host)
    expect(row.get_by_text("Open", exact=True)).to_be_visible(timeout=SOON)
    page = visit("/")
    expect(page.get_by_role("listitem").filter(has_text="Breakers open")).to_contain_text("1", timeout=SOON)

    page = visit("/tasks?q=scene:charge")
    expect(status_tab(page, "Parked", CHARGES)).to_be_visible(timeout=SOON)
    page.get_by_role("table", name="Tasks").get_by_role("link").first.click()
    expect(page.get_by_text("the breaker of its target is open").first).to_be_visible(timeout=SOON)

    page = visit("/dead-letters")
    error = page.get_by_role("listitem").filter(has=page.get_by_role("link", name="http.503"))
    expect(error).to_contain_text("shop / receipt", timeout=SOON)
    expect(error.get_by_text(str(RECEIPTS), exact=True)).to_be_visible(timeout=SOON)

    bank.provider.down = mailer.provider.down = False
    page = visit("/targets")
    expect(row.get_by_text("Closed", exact=True)).to_be_visible(timeout=SOON)
    page = visit("/tasks?q=scene:charge")
    expect(status_tab(page, "Succeeded", CHARGES)).to_be_visible(timeout=SOON)

    page = visit("/dead-letters")
    error.get_by_role("link", name="http.503").click()
    page.get_by_role("button", name="Redrive", exact=True).click()
    dialog = page.get_by_role("dialog", name=f"Redrive {RECEIPTS} tasks")
    expect(dialog.get_by_role("region", name="What will happen")).to_contain_text("shop / receipt", timeout=SOON)
    dialog.get_by_label("Begin slowly").uncheck()
    dialog.get_by_label("Reason").fill("the mail provider is back")
    dialog.get_by_role("button", name=f"Redrive {RECEIPTS} tasks").click()
    expect(page.get_by_text(f"{RECEIPTS} of {RECEIPTS} tasks done")).to_be_visible(timeout=SOON)
    expect(page.get_by_text("Completed", exact=True)).to_be_visible(timeout=SOON)
    expect(page.get_by_role("table", name="Tasks").get_by_text("Succeeded", exact=True)).to_have_count(RECEIPTS)

    page = visit("/")
    expect(page.get_by_role("listitem").filter(has_text="Breakers open")).to_contain_text("none", timeout=SOON)
    states = page.get_by_role("region", name="Tasks by state")
    for state, count in (("Dead", 0), ("Parked", 0), ("Succeeded", CHARGES + RECEIPTS)):
        expect(states.get_by_role("link", name=f"{state} {count}")).to_be_visible(timeout=SOON)


def status_tab(page: Page, state: str, count: int) -> Locator:
    """The filter for a state, with how many of all that match are in it."""
    return page.get_by_role("group", name="Status").get_by_role("button", name=f"{state} {count}", exact=True)
