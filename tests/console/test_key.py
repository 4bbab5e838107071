"""A server that asks for an API key: what a person sees before it is given, and how long it holds."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect
from tests.console.conftest import Show
from tests.console.world import World, until

from redrive.cli.stack import free_port

Picture = Callable[..., None]


@dataclass
class Guarded:
    """An API that asks for keys, and one that it knows."""

    url: str
    key: str


@pytest.fixture(scope="module")
def guarded(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """One more API process of the same stack, which asks for a key."""
    port, output = free_port(), tmp_path_factory.mktemp("guarded") / "api.out"
    url = f"http://127.0.0.1:{port}"
    with output.open("w") as log, httpx.Client(base_url=url, timeout=5) as client:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "redrive.cli", "api", "--port", str(port)],
            env={**os.environ, **world.settings, "REDRIVE_REQUIRE_API_KEY": "true"},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            until(lambda: process.poll() is not None or answers(client), within=90)
            assert process.poll() is None, output.read_text()
            key: str = world.api.post("/v1/keys", json={"name": "console"}).raise_for_status().json()["key"]
            yield Guarded(url, key)
        finally:
            process.terminate()
            process.wait(30)


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").is_success
    except httpx.HTTPError:
        return False


def key_field(page: Page) -> Locator:
    return page.get_by_role("textbox", name="API key")


def give(page: Page, key: str, *, remember: bool = False) -> None:
    key_field(page).fill(key)
    page.get_by_label("Remember it in this browser").set_checked(remember)
    page.get_by_role("button", name="Continue").click()


def another_tab(page: Page, path: str) -> Page:
    tab = page.context.new_page()
    tab.goto(path)
    return tab


def test_the_screen_is_seen_well_by_everybody(guarded: Guarded, picture: Picture) -> None:
    picture("key", "/tasks", "This server asks for an API key.", server=guarded.url)


def test_a_key_is_asked_for_refused_accepted_and_forgotten(show: Show, guarded: Guarded) -> None:
    page = show("/tasks?q=scene:charge-card", server=guarded.url)
    give(page, "rdk_wrong")
    expect(page.get_by_text("The server does not know this key")).to_be_visible()
    expect(key_field(page)).to_have_attribute("aria-invalid", "true")
    give(page, guarded.key)
    # The page that was asked for, and what it has.
    expect(page.get_by_role("heading", level=1, name="Tasks")).to_be_visible()
    expect(page.get_by_text("charge-card").first).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", level=1, name="Tasks")).to_be_visible()
    # It was given to this tab alone.
    expect(key_field(another_tab(page, "/tasks"))).to_be_visible()
    page.get_by_role("button", name="Appearance, Language").click()
    page.get_by_role("menuitem", name="Forget the API key").click()
    expect(page.get_by_text("This server asks for an API key.")).to_be_visible()
    page.reload()

    expect(key_field(page)).to_have_value("")
    expect(page.get_by_text("The server does not know this key")).to_be_hidden()


def test_a_key_that_the_browser_remembers_holds_in_each_tab(show: Show, guarded: Guarded) -> None:
    page = show("/tasks", server=guarded.url)
    give(page, guarded.key, remember=True)
    expect(page.get_by_role("heading", level=1, name="Tasks")).to_be_visible()

    expect(another_tab(page, "/nodes").get_by_role("heading", level=1, name="Nodes")).to_be_visible()
