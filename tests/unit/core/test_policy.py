import json
import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.core.strategies import policies

from redrive.core.breaker import BreakerRule
from redrive.core.documents import decode, encode
from redrive.core.errors import InvalidDocument, InvalidPolicy
from redrive.core.policy import (
    MAX_SECONDS,
    CronBackoff,
    DecorrelatedJitter,
    EqualJitter,
    ExponentialBackoff,
    FixedBackoff,
    FullJitter,
    Policy,
    ProportionalJitter,
    RetryAfterRule,
    Rule,
    merge,
    parse,
    render,
)

partial_documents = st.dictionaries(
    st.sampled_from(["max_attempts", "max_elapsed_seconds", "block"]), st.integers(1, 9)
).flatmap(
    lambda rest: st.fixed_dictionaries(
        {},
        optional={
            "backoff": st.one_of(
                st.fixed_dictionaries({"kind": st.sampled_from(["fixed", "linear"]), "max_seconds": st.integers(1, 9)}),
                st.fixed_dictionaries({"max_seconds": st.integers(1, 9)}),
            ),
            "retry_after": st.dictionaries(st.sampled_from(["honour", "max_seconds"]), st.integers(0, 9)),
        },
    ).map(lambda parts: {**rest, **parts})
)


FAULTS: list[tuple[Any, str, str]] = [
    ({"max_attempt": 5}, "policy.max_attempt", "unknown field, did you mean 'max_attempts'?"),
    ({"backof": {}}, "policy.backof", "unknown field, did you mean 'backoff'?"),
    ({"backoff": {}}, "policy.backoff.kind", "is missing"),
    ({"backoff": {"kind": "exponentail"}}, "policy.backoff.kind", "expected one of 'cron', 'delay_levels'"),
    ({"backoff": {"kind": "fixed", "delay": 5}}, "policy.backoff.delay", "did you mean 'delay_seconds'?"),
    ({"backoff": {"kind": "fixed", "jitter": {}}}, "policy.backoff.jitter.kind", "is missing"),
    ({"backoff": "fixed"}, "policy.backoff", "expected an object, got 'fixed'"),
    ({"backoff": None}, "policy.backoff", "expected an object, got null"),
    ({"max_attempts": None}, "policy.max_attempts", "expected a whole number, got null"),
    ({"max_attempts": "5"}, "policy.max_attempts", "expected a whole number, got '5'"),
    ({"max_attempts": True}, "policy.max_attempts", "expected a whole number, got true"),
    ({"max_attempts": 5.0}, "policy.max_attempts", "expected a whole number, got 5.0"),
    ({"max_attempts": 0}, "policy.max_attempts", "expected a whole number from 1 to 1000000, got 0"),
    ({"max_attempts": 10**6 + 1}, "policy.max_attempts", "expected a whole number from 1 to 1000000"),
    ({"max_elapsed_seconds": 0}, "policy.max_elapsed_seconds", "expected seconds above 0"),
    ({"max_elapsed_seconds": False}, "policy.max_elapsed_seconds", "expected a number, got false"),
    ({"max_elapsed_seconds": 10**400}, "policy.max_elapsed_seconds", "expected a number"),
    ({"max_elapsed_seconds": math.nan}, "policy.max_elapsed_seconds", "expected a number, got nan"),
    ({"max_elapsed_seconds": math.inf}, "policy.max_elapsed_seconds", "expected a number, got inf"),
    ({"attempt_timeout_seconds": -math.inf}, "policy.attempt_timeout_seconds", "expected a number, got -inf"),
    ({"attempt_timeout_seconds": 86_401}, "policy.attempt_timeout_seconds", "at most 86400 seconds"),
    ({"retry_after": {"honour": "yes"}}, "policy.retry_after.honour", "expected true or false, got 'yes'"),
    ({"retry_after": {"max_seconds": -1}}, "policy.retry_after.max_seconds", "expected seconds from 0"),
    ({"block": "skip"}, "policy.block", "expected one of 'discard', 'overlay', 'concurrent', 'enqueue'"),
    ({"route": 1}, "policy.route", "expected one of"),
    ({"classification": {}}, "policy.classification", "expected a list, got {}"),
    ({"classification": [{}]}, "policy.classification[0].action", "is missing"),
    ({"classification": [{"action": "dead"}]}, "policy.classification[0]", "expected a condition"),
    (
        {"classification": [{"action": "dead", "error": "E"}, {"action": "die", "error": "E"}]},
        "policy.classification[1].action",
        "expected one of 'retry', 'dead', 'succeed', 'park', 'snooze', got 'die'",
    ),
    ({"classification": [{"action": "dead", "error": ""}]}, "policy.classification[0].error", "empty string"),
    (
        {"classification": [{"action": "dead", "http_status": 99}]},
        "policy.classification[0].http_status",
        "expected a status from 100 to 599 or a class such as '4xx', got 99",
    ),
    (
        {"classification": [{"action": "dead", "http_status": ["4xx", "6xx"]}]},
        "policy.classification[0].http_status",
        "got '6xx'",
    ),
    (
        {"classification": [{"action": "dead", "http_status": [404, None]}]},
        "policy.classification[0].http_status[1]",
        "expected a whole number, got null or expected a string, got null",
    ),
    ({"classification": [{"action": "snooze", "error": "E"}]}, "policy.classification[0].seconds", "is missing"),
    (
        {"classification": [{"action": "dead", "error": "E", "seconds": 5}]},
        "policy.classification[0].seconds",
        "has a meaning with 'snooze' and 'park' only, not with 'dead'",
    ),
    (
        {"classification": [{"action": "dead", "message": "(a+)+"}]},
        "policy.classification[0].message",
        "expected a pattern that is quick to match",
    ),
    (
        {"classification": [{"action": "dead", "message": "a"}] * 21},
        "policy.classification",
        "expected at most 20 rules with `message`, got 21",
    ),
    (
        {"classification": [{"action": "dead", "body": {"pointer": "a", "equals": 1}}]},
        "policy.classification[0].body.pointer",
        "expected a JSON Pointer such as '/error/code'",
    ),
    (
        {"classification": [{"action": "dead", "body": {"pointer": "/a", "equals": {}}}]},
        "policy.classification[0].body.equals",
        "expected a string",
    ),
    ({"poison": {}}, "policy.poison.same_fingerprint", "is missing"),
    ({"poison": {"same_fingerprint": 1}}, "policy.poison.same_fingerprint", "expected a whole number from 2"),
    ({"breaker": {"failure_ratio": 2}}, "policy.breaker.failure_ratio", "expected a number above 0 and up to 1"),
    ({"breaker": {"min": 2}}, "policy.breaker.min", "unknown field, did you mean 'minimum'?"),
    ({"budget": {"floor_per_second": 0}}, "policy.budget.floor_per_second", "expected a number per second"),
    ({"slow_start": {"doubling_seconds": 0}}, "policy.slow_start.doubling_seconds", "expected seconds above 0"),
    ({"quiet_hours": [{"start": "x", "duration_seconds": 5}]}, "policy.quiet_hours[0].start", "expected a cron"),
    (
        {"quiet_hours": [{"start": "0 1 * * *", "duration_seconds": 5}] * 21},
        "policy.quiet_hours",
        "expected at most 20 windows, got 21",
    ),
    ({"retry_after": {"max_throttles": -1}}, "policy.retry_after.max_throttles", "expected a whole number from 0"),
    (
        {"backoff": {"kind": "delay_levels", "levels": [1, "2"]}},
        "policy.backoff.levels[1]",
        "expected a number, got '2'",
    ),
    (
        {"backoff": {"kind": "delay_levels", "levels": [1, -2]}},
        "policy.backoff.levels[1]",
        "expected seconds from 0",
    ),
    (
        {"backoff": {"kind": "delay_levels", "levels": "easy-retry"}},
        "policy.backoff.levels",
        "expected one of 'easy-retry-1.5.0', 'snailjob-2.0.2'",
    ),
    ({"backoff": {"kind": "delay_levels", "levels": []}}, "policy.backoff.levels", "expected 1 to 1000 delays"),
    (
        {"backoff": {"kind": "exponential", "initial_seconds": 60, "max_seconds": 5}},
        "policy.backoff.max_seconds",
        "expected at least initial_seconds (60), got 5.0",
    ),
    (
        {"backoff": {"kind": "exponential", "multiplier": 0.5}},
        "policy.backoff.multiplier",
        "expected a number from 1 to 1000, got 0.5",
    ),
    (
        {"backoff": {"kind": "random", "min_seconds": 61}},
        "policy.backoff.max_seconds",
        "expected at least min_seconds (61)",
    ),
    (
        {"backoff": {"kind": "fixed", "jitter": {"kind": "decorrelated"}}},
        "policy.backoff.jitter.kind",
        "'decorrelated' needs a backoff that grows to a cap",
    ),
    (
        {"backoff": {"kind": "fixed", "jitter": {"kind": "proportional", "ratio": 1.5}}},
        "policy.backoff.jitter.ratio",
        "expected a number above 0 and up to 1, got 1.5",
    ),
    (
        {"backoff": {"kind": "cron", "timezone": "Mars"}},
        "policy.backoff.timezone",
        "expected an IANA time zone",
    ),
    (
        {"backoff": {"kind": "cron", "expression": "x"}},
        "policy.backoff.expression",
        "expected a cron expression",
    ),
    ([], "policy", "expected an object, got []"),
    (None, "policy", "expected an object, got null"),
]


def refusal(document: Any) -> InvalidDocument:
    with pytest.raises(InvalidDocument) as refused:
        parse(document)
    return refused.value


class TestDocuments:
    @given(policies)
    def test_a_policy_survives_json(self, policy: Policy) -> None:
        assert parse(json.loads(json.dumps(render(policy), allow_nan=False))) == policy

    @given(policies)
    def test_every_field_is_written(self, policy: Policy) -> None:
        """A stored policy must not change its meaning when a default does."""
        document = render(policy)

        assert render(parse(document)) == document
        assert set(document) == {field.name for field in fields(Policy)}

    def test_the_empty_document_is_the_default_policy(self) -> None:
        assert parse({}) == Policy()

    def test_the_defaults_are_those_of_the_design(self) -> None:
        assert render(Policy()) == {
            "backoff": {
                "kind": "exponential",
                "initial_seconds": 5,
                "multiplier": 2,
                "max_seconds": 3600,
                "jitter": {"kind": "full"},
            },
            "max_attempts": 12,
            "max_elapsed_seconds": 86_400,
            "attempt_timeout_seconds": 30,
            "classification": [],
            "retry_after": {"honour": True, "max_seconds": 86_400, "spends_attempt": True, "max_throttles": 50},
            "block": "discard",
            "route": "round_robin",
            "poison": None,
            "breaker": None,
            "budget": None,
            "slow_start": None,
            "quiet_hours": [],
        }

    def test_the_example_of_the_design_is_a_policy(self) -> None:
        policy = parse(
            {
                "backoff": {
                    "kind": "exponential",
                    "initial_seconds": 5,
                    "multiplier": 2,
                    "max_seconds": 3600,
                    "jitter": {"kind": "full"},
                },
                "classification": [
                    {"error": "ValueError", "action": "dead"},
                    {"http_status": "4xx", "action": "dead"},
                    {"http_status": [408, 425, 429], "action": "retry"},
                ],
            }
        )

        assert policy.classification[2] == Rule(action="retry", http_status=(408, 425, 429))

    @pytest.mark.parametrize(("document", "path", "problem"), FAULTS)
    def test_a_fault_is_answered_with_its_place_and_what_was_expected(
        self, document: object, path: str, problem: str
    ) -> None:
        refused = refusal(document)

        assert refused.path == path
        assert problem in refused.problem
        assert str(refused) == f"{path}: {refused.problem}"

    def test_a_policy_of_an_earlier_version_is_read_with_the_defaults_of_what_it_lacks(self) -> None:
        """As it stands in the rows and workflows of tasks that were reported before."""
        stored = {
            "max_attempts": 5,
            "classification": [{"action": "dead", "error": None, "http_status": [404]}],
            "retry_after": {"honour": False, "max_seconds": 60},
            "block": "discard",
            "route": "first",
        }

        assert parse(stored) == Policy(
            max_attempts=5,
            classification=(Rule("dead", http_status=(404,)),),
            retry_after=RetryAfterRule(honour=False, max_seconds=60),
            route="first",
        )

    def test_an_empty_list_of_statuses_is_refused(self) -> None:
        """It would match every outcome, also success."""
        refused = refusal({"classification": [{"action": "dead", "http_status": []}]})

        assert refused.path == "policy.classification[0].http_status"

    def test_no_limit_in_time_is_written_as_null(self) -> None:
        assert parse({"max_elapsed_seconds": None}).max_elapsed_seconds is None

    @pytest.mark.parametrize("jitter", [FullJitter(), EqualJitter(), DecorrelatedJitter()])
    def test_cron_refuses_jitter_that_could_come_early(
        self, jitter: FullJitter | EqualJitter | DecorrelatedJitter
    ) -> None:
        with pytest.raises(InvalidPolicy, match="expected 'none' or 'proportional' with a cron backoff"):
            CronBackoff(jitter=jitter)

    @pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, MAX_SECONDS * 1.001])
    def test_impossible_seconds_are_refused_also_from_python(self, value: float) -> None:
        with pytest.raises(InvalidPolicy):
            FixedBackoff(delay_seconds=value)
        with pytest.raises(InvalidPolicy):
            ExponentialBackoff(max_seconds=value)
        with pytest.raises(InvalidPolicy):
            Policy(attempt_timeout_seconds=value)

    def test_jitter_of_no_share_is_refused(self) -> None:
        with pytest.raises(InvalidPolicy):
            ProportionalJitter(ratio=0)


class TestMerge:
    BASE: Mapping[str, Any] = render(Policy(max_attempts=7, classification=(Rule(action="dead", error="E"),)))

    def test_what_the_override_leaves_out_stays(self) -> None:
        assert merge(self.BASE, {"max_attempts": 3}) == {**self.BASE, "max_attempts": 3}

    def test_a_backoff_of_the_same_kind_is_merged_field_by_field(self) -> None:
        policy = parse(merge(self.BASE, {"backoff": {"max_seconds": 60}}))

        assert policy.backoff == ExponentialBackoff(max_seconds=60)

    def test_naming_the_same_kind_again_is_the_same_as_leaving_it_out(self) -> None:
        named = merge(self.BASE, {"backoff": {"kind": "exponential", "max_seconds": 60}})

        assert named == merge(self.BASE, {"backoff": {"max_seconds": 60}})

    def test_a_backoff_of_another_kind_replaces_the_old_one(self) -> None:
        """Fields of the old kind have no meaning in the new one."""
        policy = parse(merge(self.BASE, {"backoff": {"kind": "fixed", "delay_seconds": 3}}))

        assert policy.backoff == FixedBackoff(delay_seconds=3)

    def test_jitter_is_replaced_as_a_whole(self) -> None:
        policy = parse(merge(self.BASE, {"backoff": {"jitter": {"kind": "proportional"}}}))

        assert policy.backoff == ExponentialBackoff(jitter=ProportionalJitter())

    def test_retry_after_is_merged_field_by_field(self) -> None:
        policy = parse(merge(self.BASE, {"retry_after": {"honour": False}}))

        assert policy.retry_after == RetryAfterRule(honour=False)

    def test_the_rules_of_the_target_are_merged_field_by_field(self) -> None:
        once = merge(self.BASE, {"breaker": {"minimum": 5}, "budget": {"ratio": 0.5}})

        policy = parse(merge(once, {"breaker": {"enabled": False}, "budget": None}))

        assert (policy.breaker, policy.budget) == (BreakerRule(enabled=False, minimum=5), None)

    def test_rules_are_replaced_and_not_added(self) -> None:
        assert parse(merge(self.BASE, {"classification": []})).classification == ()

    def test_null_replaces_a_limit(self) -> None:
        assert parse(merge(self.BASE, {"max_elapsed_seconds": None})).max_elapsed_seconds is None

    def test_a_misspelt_override_is_found_by_parse(self) -> None:
        merged = merge(self.BASE, {"backoff": {"max_second": 60}})

        assert refusal(merged).path == "policy.backoff.max_second"

    @given(policies, policies)
    def test_a_whole_policy_as_override_wins_entirely(self, base: Policy, override: Policy) -> None:
        assert parse(merge(render(base), render(override))) == override

    @given(partial_documents, partial_documents)
    def test_merging_changes_neither_document(self, base: dict[str, Any], override: dict[str, Any]) -> None:
        before = json.dumps([base, override])

        merge(base, override)

        assert json.dumps([base, override]) == before

    @given(partial_documents, partial_documents)
    def test_merging_the_same_override_twice_changes_nothing_more(
        self, base: dict[str, Any], override: dict[str, Any]
    ) -> None:
        once = merge(base, override)

        assert merge(once, override) == once

    @given(partial_documents)
    def test_an_empty_document_is_neutral_on_both_sides(self, document: dict[str, Any]) -> None:
        assert merge(document, {}) == document
        assert merge({}, document) == document


def test_encode_and_decode_are_inverse_for_each_part() -> None:
    for part in (FixedBackoff(), ExponentialBackoff(), Rule(action="retry", http_status="5xx"), ProportionalJitter()):
        assert decode(type(part), encode(part)) == part
