"""Selections: which tasks are meant, as a document."""

from __future__ import annotations

import json
from datetime import UTC
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redrive.core.documents import decode, encode
from redrive.core.errors import InvalidDocument
from redrive.core.selection import MAX_IDS, Selection
from redrive.core.states import DeadReason, TaskStatus

INSTANTS = st.datetimes(timezones=st.just(UTC))
WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=20)


@st.composite
def selections(draw: st.DrawFn) -> Selection:
    ranges: dict[str, Any] = {}
    for name in ("created", "updated", "next", "finished"):
        earlier, later = sorted(draw(st.lists(INSTANTS, min_size=2, max_size=2, unique=True)))
        ranges |= draw(st.sampled_from([{}, {f"{name}_after": earlier, f"{name}_before": later}]))
    return Selection(
        group=draw(st.none() | WORDS),
        kind=draw(st.sampled_from([None, "task", "callback"])),
        status=tuple(draw(st.sets(st.sampled_from([status.value for status in TaskStatus])))),
        dead_reason=tuple(draw(st.sets(st.sampled_from([reason.value for reason in DeadReason])))),
        error=draw(st.none() | WORDS),
        priority=draw(st.none() | st.integers(1, 5)),
        metadata=draw(st.dictionaries(WORDS, WORDS, max_size=3)),
        ids=tuple(str(task_id) for task_id in draw(st.lists(st.uuids(), max_size=3))),
        **ranges,
    )


@given(selections())
def test_a_selection_is_the_same_after_it_was_kept_as_a_document(selection: Selection) -> None:
    assert decode(Selection, json.loads(json.dumps(encode(selection)))) == selection


@given(selections())
def test_only_what_narrows_nothing_is_empty(selection: Selection) -> None:
    narrows = any(value not in (None, [], {}) for value in encode(selection).values())

    assert selection.is_empty() is not narrows


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"status": ["wating"]}, "status: unknown value 'wating', did you mean 'waiting'?"),
        ({"staus": ["dead"]}, "staus: unknown field, did you mean 'status'?"),
        ({"dead_reason": ["broken"]}, "dead_reason: unknown value 'broken'"),
        ({"group": ""}, "group: expected 1 to 255 characters, got 0"),
        ({"priority": 0}, "priority: expected 1 to 5, got 0"),
        ({"metadata": {"a": 1}}, "metadata.a: expected a string, got 1"),
        ({"metadata": {"a": "\x00"}}, "metadata.a: expected valid Unicode without NUL"),
        ({"ids": ["x"]}, "ids[0]: expected a UUID, got 'x'"),
        ({"ids": ["x"] * (MAX_IDS + 1)}, "ids: expected at most 10000 ids, got 10001; use a filter"),
        ({"created_after": "2026-01-01"}, "created_after: expected an ISO 8601 instant"),
        (
            {"next_after": "2026-01-02T00:00:00Z", "next_before": "2026-01-02T00:00:00Z"},
            "next_after: expected an instant before 2026-01-02T00:00:00+00:00",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_in_words(document: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidDocument) as refused:
        decode(Selection, document)

    assert str(refused.value).startswith(message)
