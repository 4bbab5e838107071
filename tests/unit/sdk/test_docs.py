"""The code in the pages about the SDK is Python, and imports what exists."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

from redrive.sdk.options import Options

PAGES = sorted((Path(__file__).parents[3] / "docs" / "sdk").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_parses_and_imports_what_exists(page: Path) -> None:
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("redrive."):
                module = import_module(node.module or "")
                for name in node.names:
                    assert hasattr(module, name.name), f"{page.name}: {node.module}.{name.name}"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "retryable":
                for keyword in node.keywords:
                    assert keyword.arg in Options.__dataclass_fields__


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((\w+\.md)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} → {target}"
