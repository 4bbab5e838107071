"""`redrive alerts …`: names in place of ids, and an exit code that a script can use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.unit.cli.conftest import FakeApi, Run

CHANNEL: dict[str, Any] = {
    "id": "0196f000-0000-7000-8000-000000000001",
    "name": "ops",
    "kind": "slack",
    "settings": {"url": "https://hooks.slack.com/••••", "mentions": []},
    "enabled": True,
}
RULE: dict[str, Any] = {
    "id": "0196f000-0000-7000-8000-000000000002",
    "name": "deaths",
    "event": "dead_letter",
    "threshold_in_force": 1,
    "window_in_force_seconds": 300,
    "group_by": ["group"],
    "channels": [CHANNEL["id"]],
    "enabled": True,
    "firing": [{"group": "orders"}],
    "muted_until": None,
}


def test_a_rule_in_a_file_names_its_channels(api: FakeApi, run: Run, tmp_path: Path) -> None:
    api.answer("GET /v1/alerts/channels", {"items": [CHANNEL]})
    api.answer("POST /v1/alerts/rules", RULE, status=201)
    file = tmp_path / "rule.yaml"
    file.write_text("name: deaths\nevent: dead_letter\nchannels: [ops]\n")

    result = run("alerts", "rules", "create", str(file))
    assert result.exit_code == 0, result.output
    assert api.requests[-1].document == {"name": "deaths", "event": "dead_letter", "channels": [CHANNEL["id"]]}
    assert "firing (1)" in result.stdout

    file.write_text("channels: [opps]\n")
    result = run("alerts", "rules", "create", str(file))
    assert result.exit_code == 1
    assert "there is no channel 'opps'; there is: 'ops'" in result.stderr


def test_a_test_that_fails_is_an_error_of_the_command(api: FakeApi, run: Run) -> None:
    api.answer("GET /v1/alerts/channels", {"items": [CHANNEL]})
    path = f"POST /v1/alerts/channels/{CHANNEL['id']}/test"
    good = {"delivered": True, "http_status": 200, "error": None, "seconds": 0.21}
    api.answer(path, good, {**good, "delivered": False, "error": "the target answered 404"})

    assert run("alerts", "test", "ops").stdout == "ops took it within 0.2 s\n"
    result = run("alerts", "test", CHANNEL["id"])
    assert (result.exit_code, result.stderr) == (1, "redrive: ops did not take it: the target answered 404\n")


def test_a_mute_needs_one_end(api: FakeApi, run: Run) -> None:
    api.answer("GET /v1/alerts/rules", {"items": [RULE]})
    api.answer(f"POST /v1/alerts/rules/{RULE['id']}/mute", RULE)
    assert run("alerts", "rules", "mute", "deaths").exit_code == 2
    assert run("alerts", "rules", "mute", "deaths", "--off").exit_code == 0
    assert api.requests[-1].document == {"until": None}
    assert run("alerts", "rules", "mute", "deaths", "--for", "2h").exit_code == 0
    assert api.requests[-1].document["until"] > "20"


def test_the_history_shows_how_each_delivery_stands(api: FakeApi, run: Run) -> None:
    event: dict[str, Any] = {
        "created_at": "2026-01-01T00:00:00Z",
        "state": "suppressed",
        "cause": "mute",
        "rule_name": "deaths",
        "summary": "Firing: Dead letters: orders: 3 dead letters",
        "deliveries": [],
    }
    failed = {"status": "dead", "error": "http.404: no such room"}
    delivered = {**event, "state": "firing", "cause": None, "deliveries": [failed]}
    api.answer("GET /v1/alerts/events", {"items": [event, delivered]})
    shown = run("alerts", "events", "--state", "firing").stdout
    assert api.requests[-1].query == {"state": ["firing"], "limit": ["50"]}
    assert "suppressed (mute)" in shown
    assert "dead: http.404: no such room" in shown
    assert json.loads(run("alerts", "events", "--json").stdout) == [event, delivered]
