"""The README's example is a program that works."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from redrive.sdk.testing import manual

README = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")


async def test_the_example_reports_a_call_that_fails() -> None:
    source = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert source is not None
    names: dict[str, Any] = {"__name__": "shop"}
    exec(compile(source[1], "shop.py", "exec"), names)

    with manual() as reports:
        transport = httpx.ASGITransport(names["shop"], raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            answer = await client.post("/orders/o-1")

        assert answer.status_code == 500
        reports.assert_reported(scene="charge-card")


def test_running_code_comes_within_the_first_forty_lines() -> None:
    lines = README.splitlines()

    assert "```python" in lines[:40]
    assert "$ redrive dev" in "\n".join(lines[:45])


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#:]+)\)", README))))
def test_a_link_leads_to_a_file(link: str) -> None:
    assert (Path(__file__).parents[3] / link).is_file()
