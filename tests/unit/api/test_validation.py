"""What pydantic finds is said in our words."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from redrive.api.problems import KINDS, FieldProblem, Refusal
from redrive.api.schemas.base import Instant
from redrive.api.schemas.tasks import TaskReport
from redrive.api.validation import field_problems, invalid, shown


def problems_of(kind: Any, value: Any) -> list[FieldProblem]:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(value)
    return field_problems(caught.value.errors(), kind)


def test_an_unknown_field_of_a_nested_object_gets_the_nearest_name_of_that_object() -> None:
    report = {"group": "g", "scene": "s", "error": {"type": "E", "mesage": "m"}}

    assert problems_of(TaskReport, report) == [FieldProblem("error.mesage", "unknown field, did you mean 'message'?")]


def test_what_came_is_shown_in_the_words_of_json_and_cut() -> None:
    assert shown(None) == "null"
    assert shown(True) == "true"
    assert shown("x" * 200) == '"' + "x" * 76 + "..."
    assert shown(10**5000) == "a value that cannot be shown"


@pytest.mark.parametrize(
    "value",
    ["2026-01-31T12:00:00Z", "2026-01-31T13:00:00+01:00", "2026-01-31T13:00:00 01:00", "2026-01-31T12:00:00.000+00:00"],
)
def test_instants_of_any_zone_become_utc(value: str) -> None:
    """The third is what arrives when nobody encoded the plus in a query."""
    instant: Any = TypeAdapter(Instant).validate_python(value)

    assert instant.isoformat() == "2026-01-31T12:00:00+00:00"


@pytest.mark.parametrize(
    "value", [5, 1.5, None, True, "", "2026", "2026-01-31", "12:00", "2026-01-31T12:00:00", [], "x" * 99]
)
def test_what_is_no_instant_with_a_zone_is_refused(value: Any) -> None:
    (problem,) = problems_of(Instant, value)

    assert "an ISO 8601 instant with a zone" in problem.message


def test_a_refusal_says_the_first_problem_and_how_many_more_there_are() -> None:
    refusal = invalid([FieldProblem("a", "is missing"), FieldProblem("b", "is missing")])

    assert refusal.detail == "a: is missing; and 1 more"
    assert refusal.document()["errors"][1] == {"field": "b", "message": "is missing"}


def test_a_refusal_can_be_written_whatever_it_quotes() -> None:
    refusal = invalid([FieldProblem("a", "got \ud800 and \x00")])

    assert isinstance(refusal, Refusal)
    assert bytes(refusal.response().body).isascii()


def test_every_kind_of_problem_says_what_to_do() -> None:
    for name, kind in KINDS.items():
        assert kind.name == name
        assert kind.type == f"/problems/{name}"
        assert 400 <= kind.status < 600
        assert len(kind.advice) > 20
