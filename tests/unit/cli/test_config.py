"""`redrive config`: what it asks the API, what it shows, what it never does unasked, and its exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest

from .conftest import FakeApi, Run

GET, PUT = "GET /v1/config", "PUT /v1/config"
DOCUMENT: dict[str, Any] = {
    "version": 1,
    "namespace": "default",
    "groups": {"orders": {"policy": {"max_attempts": 5}, "scenes": {"charge-card": {"description": "straße: ja"}}}},
}
CHANGES: list[dict[str, Any]] = [
    {"action": "update", "kind": "scene", "name": "orders/charge-card", "differences": [
        {"path": "policy.max_attempts", "action": "change", "before": 5, "after": 6},
        {"path": "policy.route", "action": "remove", "before": "first", "after": None},
    ]},
    {"action": "create", "kind": "group", "name": "mail", "differences": [
        {"path": "enabled", "action": "add", "before": None, "after": True},
    ]},
    {"action": "delete", "kind": "scene", "name": "orders/refund", "differences": []},
]  # fmt: skip
NOTHING: dict[str, Any] = {"dry_run": True, "changes": []}
LOOKED: dict[str, Any] = {"dry_run": True, "changes": CHANGES}
DONE: dict[str, Any] = {"dry_run": False, "changes": CHANGES}
SHOWN = """\
~ scene orders/charge-card
    policy.max_attempts: 5 → 6
    policy.route: "first" is removed
+ group mail
    enabled: true
- scene orders/refund
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "redrive.json"
    path.write_text(json.dumps(DOCUMENT))
    return str(path)


def test_export_writes_what_can_be_read_again(api: FakeApi, run: Run) -> None:
    api.answer(GET, DOCUMENT)
    api.answer(PUT, NOTHING)

    for notation in ("yaml", "json"):
        exported = run("config", "export", "--format", notation)
        assert exported.exit_code == 0, exported.stderr
        assert "straße: ja" in exported.stdout
        assert run("config", "diff", "-", stdin=exported.stdout).exit_code == 0

    assert [request.document for request in api.requests if request.method == "PUT"] == [DOCUMENT, DOCUMENT]


def test_diff_shows_the_changes_and_exits_1(api: FakeApi, run: Run, file: str) -> None:
    api.answer(PUT, LOOKED)

    result = run("config", "diff", file, "--prune")

    assert result.exit_code == 1
    assert result.stdout == SHOWN
    (request,) = api.requests
    assert request.query == {"dry_run": ["true"], "prune": ["true"]}
    assert request.document == DOCUMENT


def test_diff_exits_0_when_nothing_differs(api: FakeApi, run: Run, file: str) -> None:
    api.answer(PUT, NOTHING)

    result = run("config", "diff", file)

    assert result.exit_code == 0
    assert result.stdout == "nothing to change\n"


def test_diff_exits_2_when_it_cannot_tell(run: Run, file: str) -> None:
    """As diff(1) does: 1 means that there are differences, and a script must not take trouble for them."""
    result = run("config", "diff", file)

    assert result.exit_code == 2
    assert "Not found" in result.stderr


def test_apply_asks_nobody_when_nobody_is_there(api: FakeApi, run: Run, file: str) -> None:
    api.answer(PUT, LOOKED)

    result = run("config", "apply", file)

    assert result.exit_code == 1
    assert "--yes" in result.stderr
    assert [request.query["dry_run"] for request in api.requests] == [["true"]]


def test_apply_shows_and_makes_the_changes(api: FakeApi, run: Run, file: str) -> None:
    api.answer(PUT, LOOKED, DONE)

    result = run("config", "apply", file, "--yes", "--prune")

    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{SHOWN}3 changes made\n"
    assert [request.query for request in api.requests] == [
        {"dry_run": ["true"], "prune": ["true"]},
        {"prune": ["true"]},
    ]


def test_apply_with_nothing_to_change_changes_nothing(api: FakeApi, run: Run, file: str) -> None:
    api.answer(PUT, NOTHING)

    result = run("config", "apply", file)

    assert (result.exit_code, result.stdout) == (0, "nothing to change\n")
    assert len(api.requests) == 1


def test_a_dry_run_only_looks(api: FakeApi, run: Run, file: str) -> None:
    api.answer(PUT, LOOKED)

    result = run("config", "apply", file, "--dry-run", "--json")

    assert result.exit_code == 0
    assert json.loads(result.stdout) == LOOKED
    assert len(api.requests) == 1


@pytest.mark.parametrize("command", ["diff", "apply"])
def test_a_document_that_the_api_refuses_exits_2_and_names_the_field(
    api: FakeApi, run: Run, file: str, command: str
) -> None:
    field = "groups.orders.scenes.charge-card.policy.backoff.max_seconds"
    api.answer(
        PUT,
        {
            "type": "/problems/invalid-request",
            "title": "The request has invalid fields",
            "status": 422,
            "detail": f"{field}: expected at least initial_seconds (5), got 1.0",
            "errors": [{"field": field, "message": "expected at least initial_seconds (5), got 1.0"}],
        },
        status=422,
    )

    result = run("config", command, file)

    assert result.exit_code == 2
    assert file in result.stderr
    assert field in result.stderr


@pytest.mark.parametrize("text", ["groups: [", "just text", '{"groups": }'])
def test_a_file_that_is_no_document_exits_2(api: FakeApi, run: Run, text: str) -> None:
    result = run("config", "apply", "-", stdin=text)

    assert result.exit_code == 2
    assert "standard input" in result.stderr
    assert api.requests == []


def test_settings_of_channels_take_secrets_from_the_environment(
    api: FakeApi, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "redrive.yaml"
    path.write_text(
        "policy: {note: '${env:SLACK_TOKEN}'}\n"
        "alerts:\n"
        "  channels:\n"
        "    ops:\n"
        "      kind: slack\n"
        "      settings: {url: 'https://hooks.slack.com/${env:SLACK_TOKEN}', mentions: ['${env:ON_CALL}', here]}\n"
    )
    api.answer(PUT, NOTHING)
    monkeypatch.setenv("SLACK_TOKEN", "T0/B0/s3cret")

    missing = run("config", "diff", str(path))
    monkeypatch.setenv("ON_CALL", "U024BE7LH")
    found = run("config", "diff", str(path))

    assert missing.exit_code == 2
    assert "alerts.channels.ops.settings.mentions[0]: the environment has no ON_CALL" in missing.stderr
    assert found.exit_code == 0
    (request,) = api.requests
    assert request.document["policy"] == {"note": "${env:SLACK_TOKEN}"}, "nothing but channels is filled in"
    assert request.document["alerts"]["channels"]["ops"]["settings"] == {
        "url": "https://hooks.slack.com/T0/B0/s3cret",
        "mentions": ["U024BE7LH", "here"],
    }


def test_a_changed_secret_is_told_and_not_shown(api: FakeApi, run: Run, file: str) -> None:
    difference = {"path": "settings.secret", "action": "change", "before": "••••", "after": "••••"}
    change = {"action": "update", "kind": "alert_channel", "name": "ops", "differences": [difference]}
    api.answer(PUT, {"dry_run": True, "changes": [change]})

    result = run("config", "diff", file)

    assert result.stdout == '~ alert_channel ops\n    settings.secret: "••••" → another secret\n'
