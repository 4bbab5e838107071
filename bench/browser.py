"""The console's pages in Chromium: when each is usable, and how much JavaScript its first visit transfers.

Each visit is the first of its browser profile, so that nothing is cached. A page is usable when its rows or figures are
there and nothing of it is still being loaded; the time is Chromium's, from the begin of the navigation.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import httpx
from playwright.sync_api import Browser, Response, sync_playwright

from bench.stack import answers, wait_until
from bench.table import markdown
from redrive.cli.stack import ManagedProcess, free_port

_VISITS = 5
_USABLE_MS = 1000
_SCRIPT_KB = 350

# Rows of a table, or of a list; pages of which the generated tasks make no rows are complete without.
_CELL, _ITEM, _ANY = "main [role=cell]", "main li", "main h1"
_USABLE = """rows => document.querySelector("main h1") && document.querySelector(rows)
    && !document.querySelector("[role=status][aria-label=Loading]") && performance.now()"""
_SCRIPT_BYTES = """performance.getEntriesByType("resource").filter(({ name }) => name.endsWith(".js"))
    .reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0)"""


def measure_pages(database_url: str, folder: Path, rows: int) -> str:
    """Visit the pages of the console.

    Args:
        database_url: A database with tasks, as `bench.console` makes them.
        folder: Where the API's log goes.
        rows: How many tasks there are.

    Returns:
        A Markdown table.

    Raises:
        RuntimeError: A script came uncompressed, or a browser may not keep it.
    """
    with _api(database_url, folder) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM") or "/usr/bin/chromium",
            args=["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else [],
        )
        table = [_visit(browser, address, title, *page) for title, page in _pages(address).items()]
        browser.close()
    heads = ["usable, median", f"worst of {_VISITS}", f"≤ {_USABLE_MS:,} ms", "JavaScript", f"≤ {_SCRIPT_KB} kB"]
    return markdown([f"page on {rows:,} tasks", *heads], table)


def _visit(browser: Browser, address: str, title: str, path: str, rows: str) -> list[str]:
    times: list[float] = []
    size = 0
    for _ in range(_VISITS):
        # The policy for scripts would forbid what asks whether the page is usable.
        context = browser.new_context(base_url=address, locale="en-GB", bypass_csp=True)
        page = context.new_page()
        page.on("response", _check)
        page.goto(path)
        times.append(page.wait_for_function(_USABLE, arg=rows, polling="raf", timeout=60_000).json_value())
        size = max(size, page.evaluate(_SCRIPT_BYTES))
        context.close()
    worst, kilobytes = max(times), size / 1000
    return [
        title,
        f"{median(times):.0f} ms",
        f"{worst:.0f} ms",
        "yes" if worst <= _USABLE_MS else "**no**",
        f"{kilobytes:.0f} kB",
        "yes" if kilobytes <= _SCRIPT_KB else "**no**",
    ]


def _check(response: Response) -> None:
    """Insist that what the build has packed comes packed, and stays with the browser."""
    if "/assets/" not in response.url or not response.url.endswith((".js", ".css")):
        return
    packed = response.headers.get("content-encoding") in ("br", "gzip")
    if not packed or "immutable" not in response.headers.get("cache-control", ""):
        raise RuntimeError(f"expected {response.url} to be compressed and immutable, got {response.headers}")


def _pages(address: str) -> dict[str, tuple[str, str]]:
    """Give the address of each page, and what of it must be there."""
    with httpx.Client(base_url=address, timeout=60) as api:
        task = _first(api, "/v1/tasks", status="dead")
        error = _first(api, "/v1/dead-letters/groups")
    group, scene = task["group"], task["scene"]
    return {
        "overview": ("/", _ANY),
        "overview of 7d": ("/?range=7d", _ANY),
        "tasks": ("/tasks", _CELL),
        "waiting tasks": ("/tasks?q=status:waiting", _CELL),
        "tasks of a group": (f"/tasks?q=group:{group}", _CELL),
        "tasks by attempts": ("/tasks?sort=-attempts", _CELL),
        "a task": (f"/tasks/{task['id']}", _ANY),
        "dead letters by error": ("/dead-letters", _ITEM),
        "an error": (f"/dead-letters/{error['fingerprint']}", _ANY),
        "redrives": ("/redrives", _ANY),
        "groups": ("/groups", _CELL),
        "a group": (f"/groups/{group}", _ANY),
        "a scene": (f"/groups/{group}/scenes/{scene}", _ANY),
        "targets": ("/targets", _ANY),
        "nodes": ("/nodes", _ANY),
        "alerts": ("/alerts", _ANY),
        "settings": ("/settings", _ANY),
    }


def _first(api: httpx.Client, path: str, **query: str) -> dict[str, Any]:
    found: dict[str, Any] = api.get(path, params={"limit": "1", **query}).raise_for_status().json()["items"][0]
    return found


@contextmanager
def _api(database_url: str, folder: Path) -> Generator[str]:
    """Serve a database by `redrive api`, without Temporal."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    environment = {
        **os.environ,
        "REDRIVE_DATABASE_URL": database_url,
        "REDRIVE_TEMPORAL_ADDRESS": "127.0.0.1:1",
        "REDRIVE_REQUIRE_API_KEY": "false",
    }
    arguments = [sys.executable, "-m", "redrive.cli", "api", "--port", str(port)]
    process = ManagedProcess("api", arguments, log=folder / "api.log", env=environment)
    process.start()
    try:
        # Not `/readyz`, which waits for Temporal.
        wait_until(lambda: answers(f"{address}/healthz"), 60)
        yield address
    finally:
        process.stop()
