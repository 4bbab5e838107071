"""The code in the pages about the SDK runs, against a stand-in of the server."""

from __future__ import annotations

import ast
import logging
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine
from sqlmodel import Field, Session, SQLModel, create_engine
from tests.unit.sdk.dispatching import dispatch
from tests.unit.sdk.platform import SECRET, Platform

from redrive.sdk import Redrive, testing
from redrive.sdk.options import Options

PAGES = sorted((Path(__file__).parents[3] / "docs" / "sdk").glob("*.md"))
NEEDS_TEMPORAL = {"worker.md"}


def blocks(page: str) -> list[str]:
    text = next(path for path in PAGES if path.name == page).read_text()
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def _down(order: str, amount: Decimal) -> str:
    raise ConnectionError("the bank is down")


def _up(order: str, amount: Decimal) -> None: ...


def _yes(*about: object) -> bool:
    return True


def _no(*about: object) -> bool:
    return False


def _pages(order: str) -> list[int]:
    return [1, 2]


class Page:
    """Runs the blocks of a page one after the other, as a reader would, and keeps what they define."""

    def __init__(self, platform: Platform, client: Redrive) -> None:
        self.names: dict[str, Any] = {"redrive": client, "__name__": "orders"}
        self._platform = platform

    def run(self, page: str, **names: Any) -> Any:
        self.names.update(names)
        for block in blocks(page):
            code = block.replace("http://127.0.0.1:8600", self._platform.url)
            exec(compile(code.replace("http://redrive:8600", self._platform.url), page, "exec"), self.names)
        return SimpleNamespace(**self.names)


@pytest.fixture
def page(platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    monkeypatch.setenv("REDRIVE_SPOOL", str(tmp_path / "of-the-page.sqlite3"))
    client = Redrive(platform.url, group="orders", spool=tmp_path / "spool.sqlite3", signing_secrets=[SECRET])
    page = Page(platform, client)
    yield page
    client.close()
    redrive: Redrive = page.names["redrive"]
    redrive.close()


def test_every_page_with_code_is_run_here() -> None:
    run = {"attempts.md", "index.md", "options.md", "reporting.md", "storms.md", "testing.md"}
    assert {path.name for path in PAGES if blocks(path.name)} == run | NEEDS_TEMPORAL


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_options_in_code_exist(path: Path) -> None:
    for block in blocks(path.name):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "retryable":
                for keyword in node.keywords:
                    assert keyword.arg in Options.__dataclass_fields__


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((\w+\.md)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} → {target}"


def test_the_first_page(page: Page, platform: Platform) -> None:
    bank = SimpleNamespace(charge=_down)
    told = page.run("index.md", bank=bank)

    with pytest.raises(ConnectionError, match="down"):
        told.charge("o-1", Decimal("9.90"))

    assert [task["business_key"] for task in platform.order] == ["o-1"]


@pytest.mark.parametrize(
    ("world", "status"),
    [
        ({}, "succeeded"),
        ({"card_closed": _yes}, "stop"),
        ({"bank_open": _no}, "snooze"),
        ({"busy": _yes}, "failed"),
    ],
    ids=["succeeds", "stops", "snoozes", "waits"],
)
def test_running_attempts(page: Page, platform: Platform, world: dict[str, Any], status: str) -> None:
    usual: dict[str, Any] = {
        "card_closed": _no,
        "bank_open": _yes,
        "busy": _no,
        "pages": _pages,
    }
    told = page.run("attempts.md", **{**usual, **world})

    with told.redrive.serve() as url:
        assert dispatch(url, "shop.charge", args=["o-1"], max_attempts=3).json()["status"] == status


def test_modes_and_options(page: Page, platform: Platform) -> None:
    told = page.run("options.md", log=logging.getLogger("orders"))
    told.charge("o-1")
    told.send("a@example.com")

    assert platform.order == []
    assert "orders.give_up" in told.redrive.registry.names()


class Order(SQLModel, table=True):
    __tablename__: Any = "docs_order"
    id: str = Field(primary_key=True)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = create_engine(f"sqlite:///{tmp_path / 'orders.sqlite3'}")
    Order.metadata.tables["docs_order"].create(engine)
    yield engine
    engine.dispose()


def test_reporting(page: Page, platform: Platform, engine: Engine) -> None:
    page.run(
        "reporting.md",
        engine=engine,
        Session=Session,
        order=Order(id="o-7"),
        serve=lambda: platform.wait_for(lambda: len(platform.order) == 4),
    )

    executors = ["orders.charge", "mail.send", "mail.send", "orders.charge"]
    assert [task["executor"] for task in platform.order] == executors
    assert platform.order[-1]["args"] == ["o-7"]


def test_storms(page: Page) -> None:
    told = page.run("storms.md", app=FastAPI())

    told.client.close()
    told.hooked.close()
    told.session.close()


def test_testing(page: Page, monkeypatch: pytest.MonkeyPatch, redrive_reports: testing.Reports) -> None:
    bank = SimpleNamespace(charge=_up)

    @page.names["redrive"].retryable("charge-card", name="orders.charge", business_key="{order_id}")
    def charge(order_id: str, amount: Decimal) -> None:
        bank.charge(order_id, amount)

    told = page.run("testing.md", bank=bank, charge=charge, Decimal=Decimal)
    test: Callable[..., None] = told.test_a_charge_is_retried_until_the_bank_is_back
    test(monkeypatch, redrive_reports)
