import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.core.strategies import json_values

from redrive.core.documents import MAX_DEPTH, decode, did_you_mean, encode
from redrive.core.errors import InvalidDocument
from redrive.core.policy import Policy, parse
from redrive.core.wire import ErrorFacts, ExecuteAnswer, ExecuteRequest


@dataclass(frozen=True)
class Inner:
    value: int = 0


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner | None = None
    many: tuple[Inner, ...] = ()
    by_name: Mapping[str, Inner] = field(default_factory=dict[str, Inner])
    number: float = 0.0
    flag: bool = False
    at: datetime | None = None
    mode: Literal["a", 1] = "a"
    anything: Any = None
    either: int | str | tuple[int, ...] = 0


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


def refusal(document: Any, path: str = "") -> InvalidDocument:
    with pytest.raises(InvalidDocument) as refused:
        decode(Outer, document, path)
    return refused.value


class TestDecode:
    def test_a_whole_document_is_read(self) -> None:
        document = {
            "name": "n",
            "inner": {"value": 1},
            "many": [{"value": 2}, {}],
            "by_name": {"x": {"value": 3}},
            "number": 4,
            "flag": True,
            "at": "2026-01-31T12:00:00Z",
            "mode": 1,
            "anything": {"deep": [None]},
            "either": [5],
        }

        assert decode(Outer, document) == Outer(
            name="n",
            inner=Inner(1),
            many=(Inner(2), Inner(0)),
            by_name={"x": Inner(3)},
            number=4.0,
            flag=True,
            at=datetime(2026, 1, 31, 12, tzinfo=UTC),
            mode=1,
            anything={"deep": [None]},
            either=(5,),
        )

    @pytest.mark.parametrize(
        ("part", "path", "problem"),
        [
            ({"nam": 1}, "doc.nam", "unknown field, did you mean 'name'?"),
            ({"zzz": 1}, "doc.zzz", "unknown field; known: anything, at, by_name, either"),
            ({"name": None}, "doc.name", "expected a string, got null"),
            ({"inner": {"valu": 1}}, "doc.inner.valu", "unknown field, did you mean 'value'?"),
            ({"inner": {"value": "1"}}, "doc.inner.value", "expected a whole number, got '1'"),
            ({"inner": 5}, "doc.inner", "expected an object, got 5"),
            ({"many": {}}, "doc.many", "expected a list, got {}"),
            ({"many": [{}, {"value": None}]}, "doc.many[1].value", "expected a whole number, got null"),
            ({"many": [None]}, "doc.many[0]", "expected an object, got null"),
            ({"by_name": []}, "doc.by_name", "expected an object, got []"),
            ({"by_name": {"x": {"value": []}}}, "doc.by_name.x.value", "expected a whole number, got []"),
            ({"by_name": {5: {}}}, "doc.by_name", "expected names that are strings, got 5"),
            ({5: 1}, "doc", "expected names that are strings, got 5"),
            ({"flag": 1}, "doc.flag", "expected true or false, got 1"),
            ({"mode": 2}, "doc.mode", "expected one of 'a', 1, got 2"),
            ({"either": {}}, "doc.either", "expected a whole number, got {} or expected a string, got {}"),
            ({"either": [1, "2"]}, "doc.either[1]", "expected a whole number, got '2'"),
            ({"at": 5}, "doc.at", "expected an ISO 8601 instant with a zone"),
            ({"at": "yesterday"}, "doc.at", "expected an ISO 8601 instant with a zone"),
            ({"at": "2026-01-31T12:00:00"}, "doc.at", "expected an ISO 8601 instant with a zone"),
            ({"at": "0001-01-01T00:00:00+14:00"}, "doc.at", "expected an ISO 8601 instant with a zone"),
        ],
    )
    def test_a_fault_is_answered_with_its_place_and_what_was_expected(
        self, part: dict[Any, Any], path: str, problem: str
    ) -> None:
        refused = refusal({"name": "n", **part}, "doc")

        assert refused.path == path
        assert problem in refused.problem

    def test_a_missing_field_is_named(self) -> None:
        assert str(refusal({}, "doc")) == "doc.name: is missing"

    def test_without_a_path_the_field_stands_alone(self) -> None:
        assert str(refusal({})) == "name: is missing"

    @pytest.mark.parametrize(
        "value", [float("nan"), float("inf"), float("-inf"), 10**400, -(10**5000), True, "1"], ids=range(7)
    )
    def test_only_finite_numbers_are_numbers(self, value: object) -> None:
        """JSON as Python reads it has NaN, Infinity, 1e999 and whole numbers of any length."""
        refused = refusal({"name": "n", "number": value})

        assert refused.path == "number"
        assert refused.problem.startswith("expected a number, got ")

    @pytest.mark.parametrize(
        "value",
        ["x" * 10**6, list(range(10**5)), {str(i): i for i in range(10**5)}, nested(900)],
        ids=["string", "list", "object", "deep"],
    )
    def test_a_message_stays_short_whatever_came(self, value: object) -> None:
        assert len(str(refusal({"name": "n", "number": value}))) < 200

    def test_a_message_stays_short_whatever_the_name(self) -> None:
        assert len(str(refusal({"name": "n", "x" * 10**6: 1}))) < 500

    @pytest.mark.parametrize("value", [nested(900), {"backoff": nested(900)}, {"classification": nested(900)}])
    def test_a_deep_document_is_refused_and_not_a_crash(self, value: Any) -> None:
        with pytest.raises(InvalidDocument):
            parse(value)

    @given(json_values)
    def test_no_json_can_break_it(self, value: Any) -> None:
        try:
            policy = parse(value)
        except InvalidDocument:
            return
        assert isinstance(policy, Policy)

    @given(st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1)), st.integers(-14 * 60, 14 * 60))  # noqa: DTZ001
    def test_an_instant_is_the_same_in_every_zone_and_comes_out_in_utc(self, wall: datetime, minutes: int) -> None:
        instant = wall.replace(tzinfo=timezone(timedelta(minutes=minutes)))

        outer = decode(Outer, {"name": "n", "at": instant.isoformat()})

        assert outer.at == instant
        assert outer.at is not None
        assert outer.at.tzinfo is UTC

    def test_an_instance_is_taken_as_it_is(self) -> None:
        outer = Outer("n")

        assert decode(Outer, outer) is outer


class TestEncode:
    @given(json_values)
    def test_json_comes_out_as_it_went_in(self, value: Any) -> None:
        assert repr(encode(value)) == repr(value)

    def test_every_field_is_written_in_the_types_of_json(self) -> None:
        document = encode(Outer("n", Inner(1), (Inner(2),), {"x": Inner(3)}, at=datetime(2026, 1, 31, tzinfo=UTC)))

        assert json.loads(json.dumps(document)) == document
        assert document == {
            "name": "n",
            "inner": {"value": 1},
            "many": [{"value": 2}],
            "by_name": {"x": {"value": 3}},
            "number": 0.0,
            "flag": False,
            "at": "2026-01-31T00:00:00+00:00",
            "mode": "a",
            "anything": None,
            "either": 0,
        }

    def test_the_deepest_allowed_document_is_written(self) -> None:
        assert encode(nested(MAX_DEPTH)) == nested(MAX_DEPTH)

    @pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 900])
    def test_a_deeper_document_is_refused(self, depth: int) -> None:
        with pytest.raises(InvalidDocument, match=f"expected at most {MAX_DEPTH} levels of nesting"):
            encode(nested(depth))

    def test_a_document_that_contains_itself_is_refused(self) -> None:
        loop: list[Any] = []
        loop.append(loop)

        with pytest.raises(InvalidDocument, match="levels of nesting"):
            encode({"args": loop})


class TestNodeProtocol:
    facts = st.builds(ErrorFacts, type=st.text(), message=st.text(), stack=st.none() | st.text())
    payloads = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
        max_leaves=8,
    )

    @given(
        st.builds(
            ExecuteRequest,
            args=st.lists(payloads, max_size=3).map(tuple),
            kwargs=st.dictionaries(st.text(), payloads, max_size=3),
            deadline=st.none() | st.datetimes(timezones=st.just(UTC)),
            last_error=st.none() | facts,
        )
    )
    def test_a_request_survives_json(self, request_: ExecuteRequest) -> None:
        assert decode(ExecuteRequest, json.loads(json.dumps(encode(request_)))) == request_

    @given(
        st.builds(
            ExecuteAnswer,
            result=payloads,
            error=st.none() | facts,
            retry_after_seconds=st.none() | st.floats(allow_nan=False, allow_infinity=False),
        )
    )
    def test_an_answer_survives_json(self, answer: ExecuteAnswer) -> None:
        assert decode(ExecuteAnswer, json.loads(json.dumps(encode(answer)))) == answer

    def test_an_answer_of_another_status_is_refused(self) -> None:
        with pytest.raises(InvalidDocument, match=r"status: expected one of 'succeeded', 'failed', .*, got 'ok'"):
            decode(ExecuteAnswer, {"status": "ok"})


def test_the_nearest_name_is_suggested() -> None:
    assert did_you_mean("colour", ["color", "size"]) == ", did you mean 'color'?"


def test_all_names_are_listed_when_none_is_near() -> None:
    assert did_you_mean("zzz", ["size", "color"]) == "; known: color, size"
