"""`redrive limits` and `redrive pauses`: what they ask the API, and what they show."""

from datetime import UTC, datetime, timedelta
from typing import Any

from .conftest import FakeApi, Run

LIMIT: dict[str, Any] = {
    "scope": "scene",
    "key": "orders/charge-card",
    "rate": 50,
    "burst": 5,
    "concurrency": None,
    "next_slot_at": None,
    "average_seconds": None,
    "author": "ada",
    "updated_at": "2026-01-01T12:00:00Z",
}
PAUSE: dict[str, Any] = {
    "id": "0198c0de-0000-7000-8000-000000000000",
    "scope": "group",
    "key": "orders",
    "reason": "the bank migrates",
    "author": None,
    "created_at": "2026-01-01T12:00:00Z",
    "until": None,
}


def test_a_limit_is_set_with_what_was_given_and_shown(api: FakeApi, run: Run) -> None:
    api.answer("PUT /v1/limits/scene/orders/charge-card", LIMIT)

    result = run("limits", "set", "scene", "orders/charge-card", "--rate", "50", "--burst", "5")

    assert result.exit_code == 0, result.stderr
    assert api.requests[0].document == {"rate": 50, "burst": 5}
    assert result.stdout.splitlines()[1].split()[:4] == ["scene", "orders/charge-card", "50", "5"]


def test_limits_are_listed_and_deleted(api: FakeApi, run: Run) -> None:
    api.answer("GET /v1/limits", {"items": [LIMIT]}, {"items": []})
    api.answer("DELETE /v1/limits/target/host%3Aapi.example", None, status=204)

    assert "orders/charge-card" in run("limits", "list").stdout
    assert run("limits", "list").stdout == "no limits\n"
    assert run("limits", "delete", "target", "host:api.example").exit_code == 0


def test_a_pause_begins_with_its_reason_and_its_end(api: FakeApi, run: Run) -> None:
    api.answer("POST /v1/pauses", PAUSE)

    result = run("pauses", "start", "group", "orders", "--reason", "the bank migrates", "--for", "2h")

    assert result.exit_code == 0, result.stderr
    document = api.requests[0].document
    assert (document["scope"], document["key"], document["reason"]) == ("group", "orders", "the bank migrates")
    remaining = datetime.fromisoformat(document["until"]) - datetime.now(UTC)
    assert timedelta(hours=1, minutes=59) < remaining <= timedelta(hours=2)
    assert PAUSE["id"] in result.stdout


def test_pauses_are_listed_and_ended(api: FakeApi, run: Run) -> None:
    api.answer("GET /v1/pauses", {"items": [PAUSE]})
    api.answer(f"DELETE /v1/pauses/{PAUSE['id']}", None, status=204)

    assert "the bank migrates" in run("pauses", "list").stdout
    assert run("pauses", "end", PAUSE["id"]).exit_code == 0
    assert api.requests[-1].method == "DELETE"


def test_an_unknown_pause_is_one_line_on_stderr(run: Run) -> None:
    result = run("pauses", "end", PAUSE["id"])

    assert result.exit_code == 1
    assert "Not found" in result.stderr
