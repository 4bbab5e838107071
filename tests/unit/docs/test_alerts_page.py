"""The page on alerts: its examples are accepted, and its table says what is in force."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from redrive.api.schemas.portable import ConfigDocument
from redrive.core.alerting import CONDITIONS, AlertRule
from redrive.core.channels import CHANNEL_KINDS, parse_settings
from redrive.core.documents import decode

PAGE = (Path(__file__).parents[3] / "docs" / "alerts.md").read_text(encoding="utf-8")
BLOCKS: list[dict[str, Any]] = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
EXAMPLES = [block for block in BLOCKS if "name" in block]
FILES = [block for block in BLOCKS if "name" not in block]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: str(example["name"]))
def test_every_example_is_accepted(example: dict[str, Any]) -> None:
    if "kind" in example:
        parse_settings(example["kind"], example["settings"])
    else:
        decode(AlertRule, {name: value for name, value in example.items() if name not in ("name", "channels")})


def test_the_example_of_a_file_is_accepted() -> None:
    (file,) = FILES
    alerts = ConfigDocument.model_validate(file).alerts
    for channel in alerts.channels.values():
        parse_settings(channel.kind, channel.settings)
    for rule in alerts.rules.values():
        decode(AlertRule, rule.model_dump(exclude_unset=True, exclude={"channels"}))
        assert set(rule.channels) <= set(alerts.channels)


def test_the_table_of_events_says_what_is_in_force() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| `")
    ]
    told = {row[0].strip("`"): row[2:] for row in rows if len(row) == 5}
    assert told == {
        event: [f"{one.threshold:g}", f"{one.window_seconds:g} s", ", ".join(one.dimensions)]
        for event, one in CONDITIONS.items()
    }


def test_every_channel_is_described() -> None:
    described = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`[^|]+) \|", PAGE, re.MULTILINE))))
    assert set(CHANNEL_KINDS) <= described
