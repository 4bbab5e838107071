"""Where values of a policy come from, and what differs between documents."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.core.strategies import policies

from redrive.core.errors import InvalidDocument
from redrive.core.layers import DEFAULTS, LAYERS, compare, effective, explain
from redrive.core.policy import Policy, render

documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2),
    lambda children: st.dictionaries(st.text("abc", min_size=1, max_size=2), children, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.text("abc", min_size=1, max_size=2), documents, max_size=4)


def origins(**layers: dict[str, Any]) -> dict[str, str]:
    return {setting.path: setting.origin for setting in explain(*(layers.get(name, {}) for name in LAYERS))}


def test_without_layers_everything_is_a_default() -> None:
    settings = explain()

    assert {setting.origin for setting in settings} == {"default"}
    assert {setting.path: setting.value for setting in settings}["backoff.initial_seconds"] == 5


def test_the_innermost_layer_that_gives_a_value_is_its_origin() -> None:
    found = origins(
        namespace={"max_attempts": 20, "attempt_timeout_seconds": 10},
        group={"backoff": {"initial_seconds": 1}},
        scene={"max_attempts": 3, "backoff": {"max_seconds": 60}},
        task={"retry_after": {"honour": False}},
    )

    assert found["max_attempts"] == "scene"
    assert found["attempt_timeout_seconds"] == "namespace"
    assert found["backoff.initial_seconds"] == "group"
    assert found["backoff.max_seconds"] == "scene"
    assert found["backoff.multiplier"] == "default"
    assert found["retry_after.honour"] == "task"
    assert found["retry_after.max_seconds"] == "default"


def test_a_backoff_of_another_kind_forgets_what_was_set_for_the_old_one() -> None:
    found = origins(
        namespace={"backoff": {"max_seconds": 60}},
        scene={"backoff": {"kind": "linear", "initial_seconds": 2}},
    )

    assert found["backoff.kind"] == "scene"
    assert found["backoff.initial_seconds"] == "scene"
    assert found["backoff.max_seconds"] == "default"


def test_a_backoff_that_repeats_its_kind_keeps_the_values_below() -> None:
    found = origins(
        group={"backoff": {"max_seconds": 60}},
        scene={"backoff": {"kind": "exponential", "initial_seconds": 2}},
    )

    assert found["backoff.max_seconds"] == "group"


def test_a_value_that_repeats_the_default_has_the_layer_as_its_origin() -> None:
    assert origins(scene={"max_attempts": 12})["max_attempts"] == "scene"


def test_rules_are_one_value() -> None:
    rules = [{"error": "ValueError", "action": "dead"}]

    (setting,) = (setting for setting in explain({}, {"classification": rules}) if setting.path == "classification")

    assert setting.origin == "group"
    assert len(setting.value) == 1


def test_layers_that_are_no_policy_together_are_refused() -> None:
    with pytest.raises(InvalidDocument, match="max_seconds"):
        explain({}, {"backoff": {"max_seconds": 10}}, {"backoff": {"initial_seconds": 60}})


@given(policies)
def test_settings_are_exactly_the_effective_policy(policy: Policy) -> None:
    layer = render(policy)

    settings = explain({"max_attempts": 1}, {}, layer)

    assert {setting.path: setting.value for setting in settings} == {
        difference.path: difference.after for difference in compare({}, effective([layer]))
    }
    assert {setting.origin for setting in settings} == {"scene"}


def test_differences_say_what_was_added_changed_and_removed() -> None:
    found = compare(
        {"max_attempts": 5, "backoff": {"kind": "fixed", "delay_seconds": 1}},
        {"max_attempts": 6, "backoff": {"kind": "fixed", "jitter": {"kind": "none"}}},
    )

    assert [(difference.action, difference.path, difference.before, difference.after) for difference in found] == [
        ("remove", "backoff.delay_seconds", 1, None),
        ("add", "backoff.jitter.kind", None, "none"),
        ("change", "max_attempts", 5, 6),
    ]


def test_true_is_not_one() -> None:
    assert len(compare({"enabled": True}, {"enabled": 1})) == 1


@given(objects)
def test_a_document_does_not_differ_from_itself(document: dict[str, Any]) -> None:
    assert compare(document, document) == ()


@given(objects, objects)
def test_differences_are_the_same_the_other_way_round(one: dict[str, Any], other: dict[str, Any]) -> None:
    opposite = {"add": "remove", "remove": "add", "change": "change"}

    there = {(difference.path, difference.action) for difference in compare(one, other)}
    back = {(difference.path, opposite[difference.action]) for difference in compare(other, one)}

    assert there == back


def test_the_defaults_are_those_of_the_policy() -> None:
    assert dict(DEFAULTS) == effective([])


def test_an_empty_object_says_nothing() -> None:
    assert compare({"policy": {}}, {}) == ()
