"""`redrive report`: formats, batches, and what it says about refused reports."""

import json
from pathlib import Path
from typing import Any

import pytest

from redrive.cli.documents import Located
from redrive.cli.report import batches

from .conftest import FakeApi, Run

BATCH = "POST /v1/tasks/batch"


def accept(count: int) -> dict[str, Any]:
    results = [{"index": index, "status": 201, "id": f"t{index}", "duplicate": False} for index in range(count)]
    return {"results": results, "accepted": count, "duplicates": 0, "rejected": 0}


@pytest.mark.parametrize(
    "text",
    ['{"scene": 1}\n{"scene": 2}\n', '[{"scene": 1},\n {"scene": 2}]', '{\n "scene": 1\n}\n\n{"scene": 2}'],
    ids=["lines", "array", "pretty"],
)
def test_reads_objects_in_any_of_the_usual_forms(api: FakeApi, run: Run, text: str) -> None:
    api.answer(BATCH, accept(2))

    result = run("report", "-", stdin=text)

    assert result.exit_code == 0
    assert result.stdout == "2 accepted, 0 duplicates, 0 rejected\n"
    assert api.requests[0].document == {"tasks": [{"scene": 1}, {"scene": 2}]}


def test_sends_at_most_a_thousand_at_once(api: FakeApi, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "reports.jsonl"
    file.write_text("".join(f'{{"n": {number}}}\n' for number in range(2500)))
    api.answer(BATCH, accept(1000), accept(1000), accept(500))

    result = run("report", str(file), "--json")

    assert [len(request.document["tasks"]) for request in api.requests] == [1000, 1000, 500]
    summary = json.loads(result.stdout)
    assert summary["accepted"] == 2500
    assert summary["results"][-1]["line"] == 2500


def test_large_payloads_make_smaller_batches() -> None:
    """The API bounds the size of a batch as well as its count."""
    items = [Located(line=line, size=size, document={}) for line, size in enumerate((4, 4, 4, 90, 1), start=1)]

    cut = [[item.line for item in batch] for batch in batches(items, most=10, most_bytes=10)]

    assert cut == [[1, 2], [3], [4], [5]]


def test_names_the_line_of_each_refused_report(api: FakeApi, run: Run) -> None:
    refused = {
        "index": 1,
        "status": 422,
        "id": None,
        "duplicate": False,
        "problem": {"title": "Not valid", "detail": "expected `executor`, got nothing"},
    }
    api.answer(BATCH, {"results": [*accept(1)["results"], refused], "accepted": 1, "duplicates": 0, "rejected": 1})

    result = run("report", "-", stdin='{"n": 1}\n\n\n{"n": 2}\n')

    assert result.exit_code == 1
    assert result.stdout == "1 accepted, 0 duplicates, 1 rejected\n"
    assert result.stderr == "redrive: line 4: Not valid: expected `executor`, got nothing\n"


def test_says_where_to_go_on_after_a_failure_in_the_middle(api: FakeApi, run: Run) -> None:
    api.answer(BATCH, accept(1000))
    api.answer(BATCH, {"title": "Unavailable", "detail": "the database is away"}, status=503)

    result = run("report", "-", stdin='{"n": 1}\n' * 1001)

    assert result.exit_code == 1
    assert "Unavailable: the database is away [1000 reports were handed in before; go on at line 1001]" in result.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"n": 1}\n{"n": \n', "line 3: not JSON"),
        ('{"n": 1}\n7\n', "line 2: expected a JSON object, got 7"),
        ('[{"n": 1}\n{"n": 2}]', "line 2: expected ',' or ']'"),
        ('[{"n": 1}]\n{"n": 2}', "line 2: expected nothing after the array"),
        ('[{"n": 1},', "line 1: not JSON"),
    ],
)
def test_names_the_line_that_cannot_be_read(api: FakeApi, run: Run, text: str, message: str) -> None:
    """Nothing is sent from a file that is broken somewhere: half of it would have to be found and cut off."""
    result = run("report", "-", stdin=text)

    assert result.exit_code == 1
    assert message in result.stderr
    assert api.requests == []


def test_names_a_file_that_is_not_there(run: Run) -> None:
    result = run("report", "/nowhere/reports.json")

    assert result.exit_code == 1
    assert result.stderr == "redrive: /nowhere/reports.json cannot be read: No such file or directory\n"


def test_an_empty_file_is_nothing_to_report(api: FakeApi, run: Run) -> None:
    result = run("report", "-", stdin="\n")

    assert result.stdout == "0 accepted, 0 duplicates, 0 rejected\n"
    assert api.requests == []
