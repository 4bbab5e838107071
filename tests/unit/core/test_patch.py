from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.core.strategies import json_values

from redrive.core.documents import MAX_DEPTH
from redrive.core.errors import InvalidDocument
from redrive.core.patch import PayloadDocument, merge_patch, patch_payload

json_objects = st.dictionaries(st.text(max_size=12), json_values, max_size=5)


@pytest.mark.parametrize(
    ("document", "patch", "patched"),
    [  # RFC 7396, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_the_examples_of_the_rfc(document: Any, patch: Any, patched: Any) -> None:
    assert merge_patch(document, patch) == patched


@given(json_values, json_values)
def test_a_patch_applied_twice_changes_nothing_more(document: Any, patch: Any) -> None:
    once = merge_patch(document, patch)

    assert merge_patch(once, patch) == once


@given(json_objects, json_objects)
def test_what_a_patch_does_not_name_stays_as_it_was_and_where_it_was(
    document: dict[str, Any], patch: dict[str, Any]
) -> None:
    before = repr(document)

    patched = merge_patch(document, patch)

    assert {name: value for name, value in patched.items() if name not in patch} == {
        name: value for name, value in document.items() if name not in patch
    }
    kept = [name for name in document if patch.get(name, 0) is not None]
    assert list(patched)[: len(kept)] == kept
    assert repr(document) == before


def test_a_payload_is_patched_by_the_names_of_its_parts() -> None:
    payload = PayloadDocument(args=("o-1",), kwargs={"amount": 5, "card": {"number": "4", "token": "t"}}, body={"a": 1})

    patched = patch_payload(
        payload, {"args": ["o-2"], "kwargs": {"card": {"number": "5", "token": None}}, "body": None}
    )

    assert patched == PayloadDocument(args=("o-2",), kwargs={"amount": 5, "card": {"number": "5"}}, body=None)
    assert payload.kwargs["card"] == {"number": "4", "token": "t"}


@pytest.mark.parametrize(
    ("patch", "path", "problem"),
    [
        ({"amount": 6}, "payload_patch.amount", "unknown field"),
        ({"args": {"0": "o-2"}}, "payload_patch.args", "expected a list"),
        ({"kwargs": [1]}, "payload_patch.kwargs", "expected an object"),
        (["kwargs"], "payload_patch", "expected an object"),
    ],
)
def test_what_makes_no_payload_is_refused_with_its_place(patch: Any, path: str, problem: str) -> None:
    with pytest.raises(InvalidDocument) as refused:
        patch_payload(PayloadDocument(), patch)

    assert refused.value.path == path
    assert problem in refused.value.problem


def test_a_patch_that_is_nested_too_deep_is_refused() -> None:
    patch: dict[str, Any] = {}
    for _ in range(MAX_DEPTH + 1):
        patch = {"kwargs": patch}

    with pytest.raises(InvalidDocument, match="levels of nesting"):
        patch_payload(PayloadDocument(), patch)
