"""The links of notices, against the routes of the console and the words of its query bar."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from redrive.core.alerting import CONDITIONS, Key, Watched
from redrive.core.notices import console_link

CONSOLE = Path(__file__).parents[3] / "console/src"
ROUTES = re.findall(r'path: "/([^"]*)"', (CONSOLE / "app/routes.ts").read_text(encoding="utf-8"))
FIELDS = re.findall(r'\{ name: "(\w+)", label: t\.', (CONSOLE / "tasks/selection.ts").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("event", "key", "page", "search"),
    [
        ("dead_letter", (), "dead-letters", {}),
        ("dead_letter", (("group", "a"), ("scene", "b")), "dead-letters", {"q": "group:a scene:b"}),
        ("dead_letter", (("group", "a"), ("fingerprint", "0123456789abcdef")), "dead-letters/0123456789abcdef", {}),
        ("exhausted", (("scene", "send mail"),), "dead-letters", {"q": 'scene:"send mail" reason:exhausted'}),
        ("waiting", (("group", "orders"),), "tasks", {"q": "group:orders status:pending,waiting"}),
        ("failure_rate", (("group", 'a "b" \\'),), "tasks", {"q": 'group:"a \\"b\\" \\\\"'}),
        ("no_live_node", (("group", "orders"),), "nodes", {"q": "orders"}),
        ("sdk_error", (("group", "orders"), ("node", "orders-7f")), "nodes", {"q": "orders-7f"}),
        ("breaker_open", (("target", "host:pay.example.com"),), "targets", {"key": "host:pay.example.com"}),
        ("breaker_open", (("target", "scene:orders/charge-card"),), "targets", {"key": "scene:orders/charge-card"}),
        ("redrive_stopped", (), "redrives", {}),
    ],
)  # fmt: skip
def test_a_link_leads_to_a_page_of_the_console(event: Watched, key: Key, page: str, search: dict[str, str]) -> None:
    link = console_link("https://redrive.example.com/", "payments & co", event, key)

    assert link is not None
    address = urlsplit(link)
    assert address.path == f"/{page}"
    asked = {name: value for name, (value,) in parse_qs(address.query).items()}
    assert asked == {"namespace": "payments & co", **search}


@pytest.mark.parametrize("event", CONDITIONS)
def test_every_link_is_one_that_the_console_knows(event: Watched) -> None:
    for dimension in ("", *CONDITIONS[event].dimensions):
        for value in ("x", "scene:x/x"):
            link = urlsplit(console_link("http://console", "default", event, ((dimension, value),)) or "")
            steps = link.path.removeprefix("/").split("/")
            known = [route.split("/") for route in ROUTES]
            assert any(
                len(route) == len(steps) and all(a.startswith("$") or a == b for a, b in zip(route, steps, strict=True))
                for route in known
            ), link.path
            if steps != ["nodes"]:
                terms = "".join(parse_qs(link.query).get("q", [])).split()
                assert {term.split(":")[0] for term in terms} <= set(FIELDS)


def test_a_redrive_that_stopped_is_linked_to() -> None:
    link = console_link("http://console", "default", "redrive_stopped", (), {"Redrive": "0192", "Why": "5 of 8 failed"})
    assert link == "http://console/redrives/0192?namespace=default"


def test_without_an_address_of_the_console_there_is_no_link() -> None:
    assert console_link(None, "default", "dead_letter", ()) is None
