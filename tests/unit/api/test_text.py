"""Text that PostgreSQL can hold, and JSON as RFC 8259 means it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redrive.api.problems import Refusal
from redrive.api.strict_json import parse
from redrive.api.text import check_storable, is_storable, replace_unstorable

ANY_TEXT = st.text(st.characters(exclude_categories=()))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
)


def has_bad_text(document: Any) -> bool:
    """Say the same in the simplest way."""
    if isinstance(document, str):
        return "\0" in document or any("\ud800" <= character <= "\udfff" for character in document)
    if isinstance(document, dict):
        return any(has_bad_text(part) for pair in cast("Mapping[str, Any]", document).items() for part in pair)
    return isinstance(document, list) and any(has_bad_text(part) for part in cast("Sequence[Any]", document))


@given(JSON)
def test_a_document_is_refused_if_and_only_if_some_text_in_it_cannot_be_stored(document: Any) -> None:
    bad = has_bad_text(document)

    try:
        check_storable(document, "field")
        refused = False
    except Refusal:
        refused = True

    assert refused == bad


def test_text_that_only_looks_like_an_escaped_nul_is_stored() -> None:
    check_storable({"a": "\\u0000"}, "field")


@given(ANY_TEXT, st.integers(64, 500))
def test_replaced_text_can_be_stored_and_is_short_enough(text: str, longest: int) -> None:
    replaced = replace_unstorable(text * 5, longest)

    assert is_storable(replaced)
    assert len(replaced.encode()) <= longest


@given(st.text(max_size=20))
def test_good_text_is_left_as_it_is(text: str) -> None:
    if is_storable(text):
        assert replace_unstorable(text, 1000) == text


@given(JSON)
def test_whatever_json_python_writes_is_read(document: Any) -> None:
    assert parse(json.dumps(document).encode()) == document


@pytest.mark.parametrize("levels", [1, 150, 208])
def test_nesting_up_to_the_limit_is_read(levels: int) -> None:
    assert parse(b"[" * levels + b"]" * levels)[:1] in ([], [[]]) or levels > 1


@pytest.mark.parametrize("levels", [209, 990, 50_000])
def test_nesting_beyond_the_limit_is_refused_and_overflows_nothing(levels: int) -> None:
    with pytest.raises(Refusal, match="levels of nesting"):
        parse(b"[" * levels + b"1" + b"]" * levels)
