"""The tutorial shows code that runs: every block of Python in it stands in the shop as it is."""

import json
import re
from pathlib import Path

import pytest

from redrive.core.policy import parse

ROOT = Path(__file__).parents[3]
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text()
SHOP = (ROOT / "examples" / "shop" / "shop.py").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TUTORIAL, re.MULTILINE | re.DOTALL)
PYTHON = [block for language, block in BLOCKS if language == "python"]


@pytest.mark.parametrize("block", PYTHON, ids=[block.strip().splitlines()[0] for block in PYTHON])
def test_python_stands_in_the_shop(block: str) -> None:
    assert block in SHOP


def test_the_policy_is_valid() -> None:
    [document] = re.findall(r"-d '\n(\{.*?\n\})'", TUTORIAL, re.DOTALL)

    policy = parse(json.loads(document)["policy"])

    assert policy.max_attempts == 8


def test_links_lead_to_files() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", TUTORIAL)

    assert links
    assert all((ROOT / "docs" / link).exists() for link in links)
