"""`redrive dead` and `redrive tasks import`: what they ask the API, what they show, and how they fail."""

import json
from pathlib import Path
from typing import Any

import pytest

from .conftest import FakeApi, Run

FINGERPRINT = "0123456789abcdef"
GROUPS = "GET /v1/dead-letters/groups"
PURGE = "POST /v1/dead-letters/purge"


def group(**fields: Any) -> dict[str, Any]:
    return {
        "fingerprint": FINGERPRINT,
        "error_type": "TimeoutError",
        "message": "no answer after <n> s",
        "groups": ["orders"],
        "scenes": [{"group": "orders", "scene": name, "count": 1} for name in ("charge", "refund", "mail")],
        "count": 41234,
        "first_seen": "2026-01-01T00:00:00Z",
        "last_seen": "2026-01-02T00:00:00Z",
        "sparkline": {"from": "2026-01-01T00:00:00Z", "bucket_seconds": 3600, "counts": [0, 1, 8] * 8},
        "sample_task_id": None,
        "acknowledged": False,
        "rising": True,
        "muted_until": None,
        "note": "",
        **fields,
    }


def test_groups_show_what_is_wrong_where_and_how_often(api: FakeApi, run: Run) -> None:
    api.answer(GROUPS, {"items": [group()], "next_cursor": None, "exact": False})

    result = run("dead", "groups", "--scene", "charge", "--new", "--where", "metadata.tenant=acme")

    assert result.exit_code == 0
    [line] = result.stdout.splitlines()[1:]
    for part in (FINGERPRINT, "41,234", "rising", "orders/charge, orders/refund and 1 more", "TimeoutError: no answer"):
        assert part in line
    assert "only the newest" in result.stderr
    asked = api.requests[0].query
    assert (asked["scene"], asked["acknowledged"], asked["metadata.tenant"]) == (["charge"], ["false"], ["acme"])


def test_list_asks_for_the_range_of_time_that_is_meant(api: FakeApi, run: Run) -> None:
    api.answer("GET /v1/dead-letters", {"items": [], "next_cursor": None})

    assert run("dead", "list", "--since", "2026-01-01T00:00:00Z", "--json").exit_code == 0
    assert api.requests[0].query["finished_after"][0].startswith("2026-01-01T00:00:00")


def test_show_brings_a_sample_with_its_attempts(api: FakeApi, run: Run) -> None:
    api.answer(f"GET /v1/dead-letters/groups/{FINGERPRINT}", group(sample_task_id="t-1"))
    api.answer("GET /v1/tasks/t-1", {"id": "t-1", "status": "dead", "dead_reason": "exhausted"})
    api.answer("GET /v1/tasks/t-1/attempts", {"items": [{"generation": 1, "number": 7, "status": "failed"}]})

    shown = run("dead", "show", FINGERPRINT)
    document = json.loads(run("dead", "show", FINGERPRINT, "--json").stdout)

    assert "exhausted" in shown.stdout
    assert (document["sample"]["id"], document["sample_attempts"][0]["number"]) == ("t-1", 7)


def test_an_export_is_written_as_it_comes(api: FakeApi, run: Run, tmp_path: Path) -> None:
    api.answer("GET /v1/dead-letters/count", {"count": 2, "exact": True})
    api.answer("GET /v1/dead-letters/export", '{"id": "1"}\n{"id": "ä"}\n')
    file = tmp_path / "dead.jsonl"

    assert run("dead", "export", str(file), "--payload", "--group", "orders").exit_code == 0
    assert file.read_text(encoding="utf-8") == '{"id": "1"}\n{"id": "ä"}\n'
    asked = api.requests[-1].query
    assert (asked["payload"], asked["format"], asked["group"]) == (["true"], ["jsonl"], ["orders"])
    assert run("dead", "export").stdout == '{"id": "1"}\n{"id": "ä"}\n'
    failed = run("dead", "export", str(tmp_path / "none" / "x"))
    assert (failed.exit_code, len(failed.stderr.splitlines())) == (1, 1)


def test_a_purge_asks_first_and_goes_on_until_nothing_is_left(api: FakeApi, run: Run) -> None:
    cut = "2026-01-01T00:00:00Z"
    api.answer(PURGE, {"count": 7001, "exact": True, "finished_before": cut, "done": False})
    assert run("dead", "purge", "--scene", "charge", stdin="n\n").exit_code == 1
    assert len(api.requests) == 1

    api.answers[PURGE] = []
    answers = ((7001, False), (5000, False), (2001, True))
    api.answer(PURGE, *({"count": n, "exact": True, "finished_before": cut, "done": done} for n, done in answers))
    result = run("dead", "purge", "--scene", "charge", "--where", "priority=2", "--yes", "--reason", "refunded")

    assert result.stdout == "7001 dead letters deleted\n"
    sent = [request.document for request in api.requests[1:]]
    assert [document.get("dry_run", False) for document in sent] == [True, False, False]
    selection = sent[1]["selection"]
    assert (selection["scene"], selection["priority"], selection["status"]) == ("charge", 2, ["dead"])
    assert [document["selection"].get("finished_before") for document in sent] == [None, cut, cut]


def test_a_purge_of_everything_must_be_said(api: FakeApi, run: Run) -> None:
    assert run("dead", "purge", "--yes").exit_code == 2
    assert api.requests == []


@pytest.mark.parametrize(
    ("arguments", "change"),
    [
        (("ack",), {"acknowledged": True}),
        (("ack", "--undo"), {"acknowledged": False}),
        (("ack", "--note", "known"), {"acknowledged": True, "note": "known"}),
        (("mute", "--until", "2026-01-01T00:00:00Z"), {"muted_until": "2026-01-01T00:00:00Z"}),
        (("mute", "--undo"), {"muted_until": None}),
    ],
)
def test_what_is_said_of_an_error_is_sent(
    api: FakeApi, run: Run, arguments: tuple[str, ...], change: dict[str, Any]
) -> None:
    api.answer(f"PATCH /v1/dead-letters/groups/{FINGERPRINT}", group(acknowledged=True, rising=False))

    result = run("dead", arguments[0], FINGERPRINT, *arguments[1:])

    assert result.exit_code == 0, result.output
    assert api.requests[0].document == change
    assert "seen" in result.stdout
    assert run("dead", arguments[0], "../keys").exit_code == 1


def test_an_import_sends_the_file_and_tells_what_was_refused(api: FakeApi, run: Run, tmp_path: Path) -> None:
    problem = {"title": "The request has invalid fields", "detail": "scene: is missing"}
    results = [{"line": 1, "status": 201, "id": "t-1"}, {"line": 2, "status": 422, "id": None, "problem": problem}]
    sums = {"lines": 3, "accepted": 1, "duplicates": 0, "rejected": 1, "skipped": 1}
    api.answer("POST /v1/tasks/import", "".join(json.dumps(line) + "\n" for line in [*results, sums]))
    file = tmp_path / "tasks.jsonl"
    file.write_text('{"scene": "a"}\n{}\n')

    result = run("tasks", "import", str(file), "--retry")
    document = json.loads(run("tasks", "import", "-", "--json", stdin="{}").stdout)

    assert result.exit_code == 1
    assert "1 accepted, 0 known already, 1 refused" in result.stdout
    assert "line 2: The request has invalid fields: scene: is missing" in result.stderr
    assert (api.requests[0].document, api.requests[0].query) == ('{"scene": "a"}\n{}\n', {"dead_letters": ["retry"]})
    assert (document["accepted"], document["results"]) == (1, results)


def test_an_import_that_breaks_off_is_no_success(api: FakeApi, run: Run) -> None:
    api.answer("POST /v1/tasks/import", '{"line": 1, "status": 201, "id": "t-1"}\n')

    result = run("tasks", "import", "-", stdin="{}")

    assert result.exit_code == 1
    assert "import the file again" in result.stderr
