"""`redrive redrive`: what it shows before it starts anything, what it asks the API, and how it follows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .conftest import FakeApi, Run

ID = "01941f29-7c00-7000-8000-00000000000a"
PREVIEW = {
    "count": 40_000, "matched": 40_000, "estimate_seconds": 4_030.0, "first_due": "2020-01-01T00:00:00Z",
    "last_due": "2020-01-01T01:07:10Z", "by_scene": [{"group": "orders", "scene": "charge-card", "count": 40_000}],
    "by_error": [{"fingerprint": "f", "error_type": "TimeoutError", "message": "no answer", "count": 39_000}],
    "warnings": ["12 of them wait in another redrive"],
}  # fmt: skip


def redrive(status: str = "running", **counts: int) -> dict[str, Any]:
    zero = dict.fromkeys(("waiting", "in_flight", "succeeded", "dead", "skipped", "failed"), 0)
    counts = {**zero, **counts}
    done = counts["succeeded"] + counts["dead"] + counts["skipped"] + counts["failed"]
    total = done + counts["waiting"] + counts["in_flight"]
    return {
        "id": ID, "action": "replay", "status": status, "why": "10 tasks per second", "rate_now": 10.0,
        "counts": {**counts, "done": done, "total": total}, "reason": None, "author": "ada",
        "created_at": "2025-01-01T00:00:00Z", "started_at": None, "finished_at": None, "estimate_finished_at": None,
    }  # fmt: skip


def test_a_dry_run_shows_numbers_and_starts_nothing(api: FakeApi, run: Run) -> None:
    api.answer("POST /v1/redrives", PREVIEW)

    result = run("redrive", "start", "--group", "orders", "--error", "Timeout", "--rate", "10", "--dry-run")

    assert result.exit_code == 0
    assert "replay 40,000 tasks" in result.stdout
    assert "orders/charge-card" in result.stdout
    assert "TimeoutError: no answer" in result.stdout
    assert "note: 12 of them wait in another redrive" in result.stdout
    [request] = api.requests
    assert request.document == {
        "action": "replay",
        "selection": {"group": "orders", "error": "Timeout"},
        "rate_per_second": 10.0,
        "dry_run": True,
    }


def test_without_a_terminal_it_starts_only_with_yes(api: FakeApi, run: Run) -> None:
    api.answer("POST /v1/redrives", PREVIEW)

    result = run("redrive", "start", "--group", "orders")

    assert result.exit_code == 1
    assert "give --yes to start it" in result.stderr
    assert "replay 40,000 tasks" in result.stderr
    assert len(api.requests) == 1


def test_everything_that_is_given_is_asked_for(api: FakeApi, run: Run, tmp_path: Path) -> None:
    api.answer("POST /v1/redrives", redrive())
    patch = tmp_path / "patch.json"
    patch.write_text('{"kwargs": {"currency": "EUR"}}')

    result = run(
        "redrive", "start", "--yes", "--id", "a", "--id", "b", "--metadata", "tenant=x", "--no-ramp", "--concurrency",
        "5", "--window", "22:00-06:00", "--timezone", "Europe/Berlin", "--max-items", "9", "--order", "newest",
        "--payload-patch", str(patch), "--keep-counters", "--stop-ratio", "0.3", "--reason", "back", "--json",
    )  # fmt: skip

    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["id"] == ID
    assert api.requests[0].document == {
        "action": "replay",
        "selection": {"metadata": {"tenant": "x"}, "ids": ["a", "b"]},
        "ramp": None,
        "concurrency": 5,
        "window": {"start": "22:00", "end": "06:00", "timezone": "Europe/Berlin"},
        "max_items": 9,
        "order": "newest",
        "payload_patch": {"kwargs": {"currency": "EUR"}},
        "counters": "keep",
        "stop": {"ratio": 0.3},
        "reason": "back",
    }


def test_waiting_ends_with_code_1_when_not_all_succeeded(api: FakeApi, run: Run) -> None:
    api.answer("POST /v1/redrives", redrive("waiting", waiting=2))
    api.answer(f"GET /v1/redrives/{ID}", redrive("completed", succeeded=1, dead=1))

    result = run("redrive", "start", "--yes", "--group", "orders", "--wait")

    assert result.exit_code == 1
    assert "2 of 2 done: 1 succeeded, 1 dead again" in result.stdout


def test_list_and_show_tell_how_far_it_is(api: FakeApi, run: Run) -> None:
    api.answer("GET /v1/redrives", {"items": [redrive(waiting=6, succeeded=4)], "next_cursor": None})
    api.answer(f"GET /v1/redrives/{ID}", redrive(waiting=6, succeeded=4))
    item = {
        "position": 1, "task_id": "t", "outcome": "skipped", "generation": None, "why": "its deadline was yesterday",
        "started_at": None, "finished_at": None,
    }  # fmt: skip
    api.answer(f"GET /v1/redrives/{ID}/items", {"items": [item], "next_cursor": None})

    listed, shown = run("redrive", "list").stdout, run("redrive", "show", ID, "--items").stdout

    assert all(part in listed for part in (ID, "replay", "running", "4/10", "4 succeeded, 6 waiting"))
    assert "4 of 10 done" in shown
    assert "its deadline was yesterday" in shown


def test_pause_resume_abort_and_change_ask_for_just_that(api: FakeApi, run: Run) -> None:
    for action in ("pause", "resume", "abort"):
        api.answer(f"POST /v1/redrives/{ID}/{action}", redrive())
        assert run("redrive", action, ID, "--reason", "why").exit_code == 0
    api.answer(f"PATCH /v1/redrives/{ID}", redrive())

    assert run("redrive", "change", ID, "--rate", "2").exit_code == 0
    assert run("redrive", "change", ID).exit_code == 2
    assert run("redrive", "show", "../tasks").exit_code == 1
    assert [request.document for request in api.requests] == [{"reason": "why"}] * 3 + [{"rate_per_second": 2.0}]
