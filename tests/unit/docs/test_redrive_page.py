"""`docs/redrive.md` is held against the code: its requests are taken, its commands exist, its tables have it all."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from redrive.api.schemas.redrives import RedriveRequest
from redrive.cli.app import app
from redrive.core.bulk import ALLOWED, Action, Options, Outcome, StopRule, check_options
from redrive.core.documents import decode

PAGE = (Path(__file__).parents[3] / "docs" / "redrive.md").read_text()
REQUESTS: list[dict[str, Any]] = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
COMMANDS = re.findall(r"^\$ redrive (redrive .*)$", PAGE, re.MULTILINE)


def test_each_request_is_taken() -> None:
    assert len(REQUESTS) == 4
    for document in REQUESTS:
        request = RedriveRequest.model_validate_json(json.dumps(document))
        names = {field.name for field in fields(Options)} & request.model_fields_set
        action: Action = request.action
        check_options(action, decode(Options, {name: getattr(request, name) for name in names}))


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_is_understood(command: str) -> None:
    """Up to the connection: nobody listens where it is sent."""
    environment = {"REDRIVE_URL": "http://127.0.0.1:1"}
    result = CliRunner().invoke(app, shlex.split(command), env=environment)

    assert (result.exit_code, "127.0.0.1:1" in result.stderr) == (1, True)


def test_the_table_of_options_has_each_with_its_default() -> None:
    part = PAGE.partition("<!-- options: begin -->")[2].partition("<!-- options: end -->")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", part, re.MULTILINE))
    named = Options()

    assert set(rows) == {field.name for field in fields(Options)} - {"policy", "target", "payload_patch"}
    for name in ("rate_per_second", "concurrency", "order", "counters"):
        assert rows[name] == f"`{getattr(named, name)}`"
    assert decode(StopRule, json.loads(rows["stop"].strip("`"))) == named.stop


def test_the_tables_of_outcomes_and_actions_are_complete() -> None:
    first = " ".join(re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", PAGE, re.MULTILINE))

    assert all(f"`{outcome}`" in first for outcome in Outcome)
    assert all(f"`{action}`" in first for action in ALLOWED)
