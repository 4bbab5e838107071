"""`redrive tasks`: what it asks the API, what it shows, and how it fails."""

import json
import socket
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from redrive.cli.client import describe_problem
from redrive.cli.stack import free_port

from .conftest import FakeApi, Run

TASK = "01941f29-7c00-7000-8000-000000000001"
OTHER = "01941f29-7c00-7000-8000-000000000002"


def task(id: str = TASK, **fields: Any) -> dict[str, Any]:  # noqa: A002 - the name of the API
    soon = (datetime.now(UTC) + timedelta(minutes=5, seconds=30)).isoformat()
    return {
        "id": id,
        "group": "orders",
        "scene": "charge-card",
        "status": "waiting",
        "dead_reason": None,
        "attempts": 2,
        "max_attempts": 12,
        "next_attempt_at": soon,
        "created_at": "2025-01-01T00:00:00Z",
        "last_error": {"type": "TimeoutError", "message": "no answer", "stack": "Traceback …"},
        "metadata": {},
        **fields,
    }


def test_list_shows_a_line_for_each_task(api: FakeApi, run: Run) -> None:
    api.answer("GET /v1/tasks", {"items": [task(), task(OTHER, status="dead", dead_reason="exhausted")]})

    result = run("tasks", "list")

    assert result.exit_code == 0
    first, second = result.stdout.splitlines()[1:]
    assert TASK in first
    assert "waiting" in first
    assert "2/12" in first
    assert "in 5 min" in first
    assert "TimeoutError: no answer" in first
    assert "dead (exhausted)" in second


def test_list_cuts_a_long_error_and_nothing_else(api: FakeApi, run: Run) -> None:
    api.answer("GET /v1/tasks", {"items": [task(last_error={"type": "HTTPStatusError", "message": "no answer " * 50})]})

    [line] = run("tasks", "list").stdout.splitlines()[1:]

    assert all(part in line for part in (TASK, "waiting", "orders", "charge-card", "2/12", "in 5 min"))
    assert line.endswith("…")


def test_list_passes_filters_key_and_namespace_on(api: FakeApi, run: Run) -> None:
    api.answer("GET /v1/tasks", {"items": [], "next_cursor": None})

    result = run(
        *("tasks", "list", "--group", "orders", "--status", "dead", "--status", "paused", "--dead-reason", "expired"),
        *("-q", "card", "--created-after", "2025-01-31T12:00:00Z", "--sort", "-created_at", "--limit", "5"),
        *("--namespace", "staging", "--api-key", "rdv_secret"),
    )

    assert result.exit_code == 0
    request = api.requests[0]
    assert request.headers["authorization"] == "Bearer rdv_secret"
    assert request.headers["redrive-namespace"] == "staging"
    assert request.query == {
        "group": ["orders"],
        "status": ["dead", "paused"],
        "dead_reason": ["expired"],
        "q": ["card"],
        "created_after": ["2025-01-31T12:00:00Z"],
        "sort": ["-created_at"],
        "limit": ["5"],
    }


def test_without_a_namespace_the_key_decides(api: FakeApi, run: Run) -> None:
    api.answer("GET /v1/tasks", {"items": [], "next_cursor": None})

    assert run("tasks", "list").exit_code == 0
    assert "redrive-namespace" not in api.requests[0].headers
    assert "authorization" not in api.requests[0].headers


def test_list_as_json_is_json_and_nothing_else(api: FakeApi, run: Run) -> None:
    page = {"items": [task()], "next_cursor": "more"}
    api.answer("GET /v1/tasks", page)

    result = run("tasks", "list", "--json")

    assert json.loads(result.stdout) == page
    assert result.stderr == ""


def test_list_says_that_there_is_more(api: FakeApi, run: Run) -> None:
    api.answer("GET /v1/tasks", {"items": [task()], "next_cursor": "more"})

    assert "--cursor more" in run("tasks", "list").stderr


def test_list_all_follows_the_cursors(api: FakeApi, run: Run) -> None:
    api.answer("GET /v1/tasks", {"items": [task()], "next_cursor": "2"}, {"items": [task(OTHER)], "next_cursor": None})

    result = run("tasks", "list", "--all", "--json")

    assert [item["id"] for item in json.loads(result.stdout)["items"]] == [TASK, OTHER]
    assert [request.query.get("cursor") for request in api.requests] == [None, ["2"]]


def test_list_refuses_an_instant_that_is_none(run: Run) -> None:
    result = run("tasks", "list", "--created-after", "yesterday-ish")

    assert result.exit_code == 2
    assert "yesterday-ish" in result.stderr


def test_show_gives_times_relative_and_exact(api: FakeApi, run: Run) -> None:
    api.answer(f"GET /v1/tasks/{TASK}", task())

    result = run("tasks", "show", TASK)

    assert "2025-01-01T00:00:00Z (" in result.stdout
    assert "d ago)" in result.stdout
    assert "Traceback …" in result.stdout


def test_show_as_json_is_the_document(api: FakeApi, run: Run) -> None:
    document = task()
    api.answer(f"GET /v1/tasks/{TASK}", document)

    assert json.loads(run("tasks", "show", TASK, "--json").stdout) == document


def test_attempts_say_why_the_next_one_runs_when_it_runs(api: FakeApi, run: Run) -> None:
    attempt = {
        "generation": 1,
        "number": 1,
        "status": "failed",
        "started_at": "2025-01-01T00:00:00Z",
        "finished_at": "2025-01-01T00:00:01.500000Z",
        "error": {"type": "TimeoutError", "message": "no answer"},
        "why": "exponential: 5 s after attempt 1",
        "trigger": "timer",
        "node_id": "node-7",
    }
    api.answer(f"GET /v1/tasks/{TASK}/attempts", {"items": [attempt], "next_cursor": None})

    result = run("tasks", "attempts", TASK)

    assert "1.500 s" in result.stdout
    assert "node-7" in result.stdout
    assert "exponential: 5 s after attempt 1" in result.stdout


@pytest.mark.parametrize("action", ["retry", "pause", "resume", "cancel"])
def test_actions_are_posted_for_each_id(api: FakeApi, run: Run, action: str) -> None:
    for name in (TASK, OTHER):
        api.answer(f"POST /v1/tasks/{name}/{action}", task(name))

    result = run("tasks", action, TASK, OTHER, "--json")

    assert result.exit_code == 0
    assert [document["id"] for document in json.loads(result.stdout)] == [TASK, OTHER]


def test_ids_can_come_from_a_pipe(api: FakeApi, run: Run) -> None:
    for name in (TASK, OTHER):
        api.answer(f"POST /v1/tasks/{name}/retry", task(name))

    result = run("tasks", "retry", "-", stdin=f"{TASK}\n{OTHER}\n")

    assert result.exit_code == 0
    assert [request.path for request in api.requests] == [f"/v1/tasks/{name}/retry" for name in (TASK, OTHER)]


def test_a_refusal_is_one_line_and_does_not_keep_the_others_from_being_done(api: FakeApi, run: Run) -> None:
    problem = {
        "type": "https://redrive.dev/problems/not-allowed",
        "title": "Not allowed",
        "status": 409,
        "detail": "the task is dead; replay it instead",
        "errors": [{"field": "status", "message": "expected waiting"}],
    }
    api.answer(f"POST /v1/tasks/{TASK}/pause", problem, status=409)
    api.answer(f"POST /v1/tasks/{OTHER}/pause", task(OTHER, status="paused"))

    result = run("tasks", "pause", TASK, OTHER)

    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        f"redrive: {TASK}: Not allowed: the task is dead; replay it instead (status: expected waiting)"
    ]
    assert OTHER in result.stdout


def test_a_field_that_the_detail_names_is_not_named_twice() -> None:
    problem = {"title": "Not valid", "detail": "a: is missing", "errors": [{"field": "a", "message": "is missing"}]}

    assert describe_problem(problem) == "Not valid: a: is missing"


def test_reschedule_sends_an_instant_or_a_delay(api: FakeApi, run: Run) -> None:
    api.answer(f"POST /v1/tasks/{TASK}/reschedule", task())

    assert run("tasks", "reschedule", TASK, "--at", "2030-01-01T00:00:00Z").exit_code == 0
    assert run("tasks", "reschedule", TASK, "--in", "10m", "--reason", "deployment").exit_code == 0
    assert [request.document for request in api.requests] == [
        {"at": "2030-01-01T00:00:00Z"},
        {"delay_seconds": 600.0, "reason": "deployment"},
    ]


def test_reschedule_needs_one_time(run: Run) -> None:
    assert run("tasks", "reschedule", TASK).exit_code == 2
    assert run("tasks", "reschedule", TASK, "--in", "5m", "--at", "2030-01-01T00:00:00Z").exit_code == 2


def test_an_id_never_leads_to_another_path(api: FakeApi, run: Run) -> None:
    result = run("tasks", "cancel", "../namespaces/default")

    assert result.exit_code == 1
    assert "expected the id of a task" in result.stderr
    assert api.requests == []


def test_a_server_that_is_away_is_named_with_what_to_start(run: Run) -> None:
    result = run("tasks", "list", "--url", f"http://127.0.0.1:{free_port()}")

    assert result.exit_code == 1
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert "cannot reach Redrive at http://127.0.0.1:" in result.stderr
    assert "redrive dev" in result.stderr


def test_a_proxy_is_not_asked_for_this_machine(api: FakeApi, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    api.answer("GET /v1/tasks", {"items": [], "next_cursor": None})

    assert run("tasks", "list").exit_code == 0


def test_a_server_that_hangs_up_is_one_line(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        server.close()
        result = run("tasks", "list", "--url", f"http://127.0.0.1:{port}")

    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1


def test_a_server_that_is_not_redrive_is_recognised(api: FakeApi, run: Run) -> None:
    api.answer("GET /v1/tasks", "<html>welcome</html>")
    assert "does not answer like Redrive" in run("tasks", "list").stderr

    api.answers.clear()
    api.answer("GET /v1/tasks", "<html>not here</html>", status=404)
    assert "answered 404 Not Found, and not like Redrive" in run("tasks", "list").stderr
