"""A browser, and the real stack with tasks in it. Both start once for all tests of the console."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, ViewportSize, expect, sync_playwright
from tests.console.world import World, populate, serve_provider, until

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images" / "console"
AXE = ROOT / "console" / "node_modules" / "axe-core" / "axe.min.js"
PORTS = ("--port", "0", "--postgres-port", "0", "--temporal-port", "0", "--temporal-ui-port", "0")
DESKTOP, PHONE = ViewportSize(width=1280, height=800), ViewportSize(width=390, height=844)

PATIENCE_MS = 15_000
"""How long a page may take to show what it should: a net below a test that hangs, and far more than it takes."""

expect.set_options(timeout=PATIENCE_MS)

Show = Callable[..., Page]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """`redrive dev` with the built console, and tasks in every state."""
    folder = tmp_path_factory.mktemp("console")
    data = folder / "data"
    with (folder / "dev.out").open("w") as output, serve_provider() as provider:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "redrive.cli", "dev", "--data-dir", str(data), *PORTS],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            until(lambda: _state(data).get("ready") or process.poll() is not None, within=90)
            assert process.poll() is None, (folder / "dev.out").read_text()
            state = _state(data)
            url = state["api_url"]
            settings = {
                "REDRIVE_DATABASE_URL": state["database_url"],
                "REDRIVE_TEMPORAL_ADDRESS": state["temporal_address"],
            }
            with httpx.Client(base_url=url, timeout=30) as api:
                world = World(url, api, provider, settings)
                populate(world)
                yield world
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, or any that `CHROMIUM` names."""
    executable = os.environ.get("CHROMIUM") or "/usr/bin/chromium"
    if not Path(executable).exists():
        pytest.fail(f"there is no browser at {executable}: run `make chromium`, or set CHROMIUM to one")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        )
        yield browser
        browser.close()


@pytest.fixture
def show(world: World, browser: Browser) -> Iterator[Show]:
    """Opens a page of the console: `show("/tasks?q=…", scheme="dark", phone=True, language="zh")`.

    After the test it fails for what the browser complained about: errors of scripts, and of the
    Content-Security-Policy, which lets the console run its own files and nothing else.
    """
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        # A refused request is told by the page itself; the browser tells it once more.
        if message.type == "error" and "Failed to load resource" not in message.text:
            complaints.append(message.text)

    def show(
        path: str, *, scheme: str = "light", phone: bool = False, language: str = "en", server: str | None = None
    ) -> Page:
        context = browser.new_context(
            base_url=server or world.url,
            viewport=PHONE if phone else DESKTOP,
            color_scheme="dark" if scheme == "dark" else "light",
            locale="zh-CN" if language == "zh" else "en-GB",
            timezone_id="Europe/Berlin",
            reduced_motion="reduce",
            device_scale_factor=2,
        )
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("console", hear)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(path)
        page.get_by_role("heading", level=1).wait_for()
        return page

    yield show
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def accessible() -> Callable[[Page], None]:
    """Checks a page with axe: nothing serious or critical."""
    script = AXE.read_text(encoding="utf-8")

    def check(page: Page) -> None:
        # The policy for scripts forbids what is injected into the page; what the debugger evaluates is not of the page.
        page.evaluate(script)
        found: list[dict[str, Any]] = page.evaluate("async () => (await axe.run()).violations")
        serious = [
            f"{violation['id']}: {violation['help']}\n  "
            + "\n  ".join(node["html"][:200] for node in violation["nodes"][:5])
            for violation in found
            if violation["impact"] in {"serious", "critical"}
        ]
        assert not serious, "\n".join(serious)

    return check


@pytest.fixture
def picture(show: Show, accessible: Callable[[Page], None], request: pytest.FixtureRequest) -> Callable[..., None]:
    """Looks at a page in light and dark, wide and on a phone: axe finds nothing, and nothing sticks out sideways.

    With `--pictures` it writes what it sees to docs/images/console.
    """
    write = bool(request.config.getoption("--pictures"))

    def look(
        name: str, path: str, ready: str, prepare: Callable[[Page], None] | None = None, *, server: str | None = None
    ) -> None:
        """Look at one page.

        Args:
            name: What the pictures are called.
            path: The page's address.
            ready: A text that is there when the page is complete.
            prepare: Brings the page to the state that is to be seen.
            server: Address of the console; None for that of the stack.
        """
        for phone in (False, True):
            for scheme in ("light", "dark"):
                page = show(path, scheme=scheme, phone=phone, server=server)
                page.get_by_text(ready).first.wait_for()
                page.evaluate("document.fonts.ready")
                if prepare is not None:
                    prepare(page)
                accessible(page)
                wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
                assert wide <= 0, f"{path} is {wide} px too wide at {page.viewport_size}"
                if write:
                    IMAGES.mkdir(parents=True, exist_ok=True)
                    page.screenshot(path=IMAGES / f"{name}-{'phone-' if phone else ''}{scheme}.png")
                page.close()

    return look


def _state(data: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = json.loads((data / "stack.json").read_text())
    except FileNotFoundError:
        return {}
    return state
