"""`docs/policies.md` is held against the code: its examples run, and its tables have the defaults and bounds."""

from __future__ import annotations

import dataclasses
import doctest
import importlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from redrive.api.schemas.portable import ConfigDocument
from redrive.cli.app import app
from redrive.core.breaker import BreakerRule
from redrive.core.budget import BudgetRule
from redrive.core.conditions import Body
from redrive.core.documents import decode
from redrive.core.errors import InvalidDocument
from redrive.core.layers import effective
from redrive.core.policy import (
    CronBackoff,
    DelayLevelsBackoff,
    ExponentialBackoff,
    FixedBackoff,
    LinearBackoff,
    PoisonRule,
    Policy,
    RandomBackoff,
    RetryAfterRule,
    Rule,
)
from redrive.core.quiet import QuietWindow
from redrive.core.ramp import RampRule

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "policies.md").read_text(encoding="utf-8")

# Each class whose fields the tables name, with what it needs beside the field in question.
KINDS: dict[str, tuple[type, dict[str, Any]]] = {
    "": (Policy, {}),
    "retry_after": (RetryAfterRule, {}),
    "poison": (PoisonRule, {"same_fingerprint": 2}),
    "breaker": (BreakerRule, {}),
    "budget": (BudgetRule, {}),
    "slow_start": (RampRule, {}),
    "quiet_hours[]": (QuietWindow, {"start": "0 22 * * *", "duration_seconds": 60}),
    "classification[]": (Rule, {"action": "snooze", "error": "E", "seconds": 1}),
    "classification[].body": (Body, {"pointer": "", "equals": None}),
    "fixed": (FixedBackoff, {}),
    "linear": (LinearBackoff, {}),
    "exponential": (ExponentialBackoff, {}),
    "delay_levels": (DelayLevelsBackoff, {}),
    "random": (RandomBackoff, {}),
    "cron": (CronBackoff, {}),
}
ELSEWHERE = {"kind", "jitter"}
EXPANDED = {("", "retry_after"), ("classification[]", "body")}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def rows() -> dict[tuple[str, str], tuple[str, str]]:
    """Read the tables of fields: default and bounds by class and field."""
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for name, default, bounds, _ in re.findall(r"^\| `([^`]+)` \| (.*?) \| (.*?) ?\| (.*?) \|$", PAGE, re.MULTILINE):
        owner, _, field = str(name).rpartition(".")
        found[owner, field] = (default, bounds)
    return found


def make(owner: str, field: str, value: Any) -> None:
    kind, needs = KINDS[owner]
    decode(kind, {**needs, field: value})


@pytest.mark.parametrize("text", blocks("json"))
def test_every_policy_is_valid(text: str) -> None:
    effective([json.loads(text)])


def test_every_python_example_gives_what_it_shows() -> None:
    parser = doctest.DocTestParser()
    example = parser.get_doctest("".join(blocks("python")), {}, "policies.md", "docs/policies.md", 0)
    report: list[str] = []

    results = doctest.DocTestRunner().run(example, out=report.append)

    assert results.attempted >= 10
    assert results.failed == 0, "".join(report)


@pytest.mark.parametrize("text", blocks("console"))
def test_every_command_writes_what_it_shows(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    command, _, shown = text.partition("\n")

    result = CliRunner().invoke(app, command.removeprefix("$ redrive ").split())

    assert result.exit_code == 0, result.stderr
    assert [line.rstrip() for line in result.stdout.splitlines()] == shown.splitlines()


@pytest.mark.parametrize("text", blocks("yaml"))
def test_every_configuration_is_valid(text: str) -> None:
    document = ConfigDocument.model_validate(importlib.import_module("yaml").safe_load(text))

    for group in document.groups.values():
        for scene in group.scenes.values():
            effective([document.policy, group.policy, scene.policy])


def test_the_tables_have_every_field_and_no_other() -> None:
    expected = {
        (owner, field.name)
        for owner, (kind, _) in KINDS.items()
        for field in dataclasses.fields(kind)
        if field.name not in ELSEWHERE
    }

    assert set(rows()) == expected - EXPANDED


@pytest.mark.parametrize(("owner", "field"), sorted(rows()))
def test_the_default_is_that_of_the_code(owner: str, field: str) -> None:
    (known,) = (each for each in dataclasses.fields(KINDS[owner][0]) if each.name == field)
    default: Any = known.default
    if known.default_factory is not dataclasses.MISSING:
        default = known.default_factory()
    if field == "backoff":
        default = default.kind
    words = {None: "null", True: "true", False: "false", (): "none", "": "empty", dataclasses.MISSING: "required"}

    shown = rows()[owner, field][0]

    if isinstance(default, (int, float)) and not isinstance(default, bool):
        assert shown == f"{default:g}"
    else:
        assert shown.strip("`") == words.get(default, default)


@pytest.mark.parametrize(
    ("owner", "field", "low", "high"),
    [
        (owner, field, match["low"], match["high"])
        for (owner, field), (_, bounds) in sorted(rows().items())
        if (match := re.match(r"(?P<low>(?:above )?[\d.]+) … (?P<high>[\d.]+)", bounds))
    ],
)
def test_the_bounds_are_those_of_the_code(owner: str, field: str, low: str, high: str) -> None:
    least, most = _number(low.removeprefix("above ")), _number(high)

    make(owner, field, most)
    for outside in (least - 1, most + 1):
        with pytest.raises(InvalidDocument):
            make(owner, field, outside)
    if low.startswith("above"):
        with pytest.raises(InvalidDocument):
            make(owner, field, least)
    else:
        make(owner, field, least)


def _number(text: str) -> int | float:
    return float(text) if "." in text else int(text)


@pytest.mark.parametrize("kind", [kind for kind, (owner, _) in KINDS.items() if owner.__name__.endswith("Backoff")])
def test_the_table_of_kinds_has_each_of_them_with_its_default_jitter(kind: str) -> None:
    (jitter,) = re.findall(rf"^\| `{kind}` \| .* \| (.*?) \|$", PAGE, re.MULTILINE)

    default = KINDS[kind][0]().jitter

    assert jitter.startswith(default.kind)
