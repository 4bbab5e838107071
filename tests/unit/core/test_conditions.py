import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.core.strategies import json_values

from redrive.core.conditions import Body, Details, check_pattern, matches
from redrive.core.errors import InvalidPolicy

QUICK = [
    "timeout",
    r"^HTTP 5\d\d$",
    "(?i)deadlock detected",
    "connection (reset|refused|aborted)",
    r"relation \"\w+\" does not exist",
    r"(?P<code>[A-Z]{2}\d{3,5})",
    r"duplicate key.*constraint",
    r"[^\]\[(]+\)",
    r"[]a]",
    r"a{,3}b{2}c{x}",
    r"(?:foo)*",
    r"(?<!not )found(?! here)",
    r"(: \d+)?$",
    "a+?b",
    "a*+b",
    r"a.*b|c.*d|e.*f|g.*h",
    "(?s:a.b)",
    r"\(a+\)+",
]

SLOW = [
    "(a+)+$",
    "(a*)*b",
    "(?:a|a)*b",
    "(?:a|ab)+c",
    "(?:(?:a)+){2}",
    "(a?){50}a{50}",
    "a?" * 60 + "a",
    "(a|a)" * 30,
    ".*" * 20 + "x",
    ".*a.*b.*c.*d",
    r"(\w+)\1",
    "(?P<x>a)(?P=x)",
    "(a)(?(1)b|c)",
    "(?x) a b",
    "(?#what)a",
    "a{1001}",
    "a{99999999999}",
    "[a-z&&[aeiou]]",
    "[[a]",
    "",
    "a" * 201,
]

NOT_PATTERNS = ["(", ")", "a)(", "[a", "*", "a**", "(?P<1>a)", "\\", "(?<=a+)b", "(?i", "a{3,2}", "(?z)a"]


class TestPatterns:
    @pytest.mark.parametrize("pattern", QUICK)
    def test_a_pattern_that_is_quick_is_accepted(self, pattern: str) -> None:
        check_pattern(pattern)

    @pytest.mark.parametrize("pattern", SLOW)
    def test_a_pattern_that_may_be_slow_is_refused(self, pattern: str) -> None:
        with pytest.raises(InvalidPolicy) as refused:
            check_pattern(pattern)

        assert refused.value.path == "message"

    @pytest.mark.parametrize("pattern", NOT_PATTERNS)
    def test_what_is_no_pattern_is_refused(self, pattern: str) -> None:
        with pytest.raises(InvalidPolicy, match="expected a pattern"):
            check_pattern(pattern)
        assert not matches(pattern, "anything")

    def test_the_refusal_says_what_to_do(self) -> None:
        with pytest.raises(InvalidPolicy, match="a group that is repeated must contain no quantifier"):
            check_pattern("(a+)+")
        with pytest.raises(InvalidPolicy, match="make several rules of it"):
            check_pattern(".*a.*b.*c")

    @given(
        st.text(alphabet="ab.*+?|(){},[]^\\1-2:=!<$", max_size=25), st.sampled_from(["a", "ab", "b", "aab", "(", "1"])
    )
    def test_no_pattern_that_is_accepted_holds_the_process(self, pattern: str, unit: str) -> None:
        """Bounded in steps; a second is what a busy machine may take for them."""
        try:
            check_pattern(pattern)
        except InvalidPolicy:
            return
        begun = time.process_time()

        matches(pattern, unit * 2000)

        assert time.process_time() - begun < 1

    @pytest.mark.parametrize(
        "pattern", [".*a.*b", "[ab]*c?[ab]*d", r"\w+\s*z", "(a|b|c)(a|b|c)(a|b|c).*z", "(?:a|b).*[a-z]*x"]
    )
    def test_the_worst_that_is_accepted_is_quick_enough(self, pattern: str) -> None:
        begun = time.process_time()

        matches(pattern, "ab" * 5000)

        assert time.process_time() - begun < 1

    def test_what_is_searched_is_the_beginning_of_the_message(self) -> None:
        assert matches("x", "a" * 999 + "x")
        assert not matches("x", "a" * 1000 + "x")
        assert matches(".*a.*x", "a" * 299 + "x")
        assert not matches(".*a.*x", "a" * 300 + "x")

    def test_without_a_message_nothing_matches(self) -> None:
        assert not matches(".*", None)


DOCUMENT: dict[str, Any] = {
    "": 0, "a": {"b": [10, {"c": True}]}, "a/b": 1, "m~n": 2, "0": "zero", "none": None, "one": 1.0,
}  # fmt: skip


class TestBodies:
    @pytest.mark.parametrize(
        ("pointer", "equals", "holds"),
        [
            ("/", 0, True),
            ("/a/b/0", 10, True),
            ("/a/b/1/c", True, True),
            ("/a/b/1/c", 1, False),
            ("/a/b/2", 10, False),
            ("/a/b/-", 10, False),
            ("/a/b/00", 10, False),
            ("/a/b/x", 10, False),
            ("/a~1b", 1, True),
            ("/m~0n", 2, True),
            ("/0", "zero", True),
            ("/none", None, True),
            ("/missing", None, False),
            ("/none/x", None, False),
            ("/one", 1, True),
            ("/one", True, False),
            ("/a", None, False),
        ],
    )
    def test_a_pointer_leads_to_a_value(self, pointer: str, equals: str | bool | int | None, holds: bool) -> None:
        """RFC 6901; 1 and true are not the same in JSON."""
        assert Body(pointer, equals).holds(DOCUMENT) == holds

    def test_the_empty_pointer_is_the_whole_body(self) -> None:
        assert Body("", "busy").holds(Details(body='"busy"').document())

    @pytest.mark.parametrize("body", [None, "", "busy", "{", "[" * 100_000, "\0"])
    def test_what_is_no_json_equals_nothing(self, body: str | None) -> None:
        document = Details(body=body).document()

        assert not any(Body("", value).holds(document) for value in (None, False, 0, ""))

    @pytest.mark.parametrize("pointer", ["a", "/a~", "/a~2", "/" * 201])
    def test_what_is_no_pointer_is_refused(self, pointer: str) -> None:
        with pytest.raises(InvalidPolicy, match="expected a JSON Pointer"):
            Body(pointer, 1)

    @given(json_values, st.text(max_size=10).map(lambda text: "/" + text.replace("~", "~0").replace("/", "~1")))
    def test_any_body_can_be_asked(self, document: object, pointer: str) -> None:
        body = json.dumps(document)

        assert isinstance(Body(pointer, "x").holds(Details(body=body).document()), bool)
