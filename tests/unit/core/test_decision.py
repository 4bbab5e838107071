import json
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.core.strategies import backoffs, instants, outcomes, policies, positive_seconds, rules, seeds

from redrive.core.conditions import Body, Details
from redrive.core.counters import Counters
from redrive.core.decision import (
    MAX_SNOOZES,
    Clock,
    Decision,
    Die,
    Outcome,
    Retry,
    Succeed,
    Verdict,
    classify,
    count,
    decide,
    evidence,
    looks_inside,
    park_seconds,
    plan,
)
from redrive.core.policy import (
    Backoff,
    ExponentialBackoff,
    FixedBackoff,
    LinearBackoff,
    NoJitter,
    PoisonRule,
    Policy,
    RetryAfterRule,
    Rule,
)
from redrive.core.states import AttemptStatus, DeadReason

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FAILED = Outcome(AttemptStatus.FAILED, error_type="app.errors.TimeoutError")
MINUTE_FIXED = FixedBackoff(delay_seconds=60, jitter=NoJitter())


def answered(status: int) -> Outcome:
    ended = AttemptStatus.SUCCEEDED if 200 <= status < 300 else AttemptStatus.FAILED
    return Outcome(ended, http_status=status)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@st.composite
def clocks(draw: st.DrawFn, now: datetime) -> Clock:
    started = now - timedelta(seconds=draw(st.floats(0, 1e6)))
    deadline = draw(st.none() | st.floats(-1e5, 1e7).map(lambda seconds: now + timedelta(seconds=seconds)))
    return Clock(started, deadline)


class TestStopRules:
    def test_the_last_attempt_that_fails_exhausts_the_task(self) -> None:
        decision = decide(Policy(max_attempts=3), Clock(NOW), 3, FAILED, NOW, Random(0))

        assert decision == Die(DeadReason.EXHAUSTED, "attempt 3 of 3 failed")

    def test_an_attempt_before_the_last_is_followed_by_another(self) -> None:
        policy = Policy(backoff=MINUTE_FIXED, max_attempts=3)

        assert decide(policy, Clock(NOW), 2, FAILED, NOW, Random(0)) == Retry(after(60), 60, 60, "fixed 60 s")

    def test_the_delay_is_that_of_the_coming_attempt(self) -> None:
        policy = Policy(backoff=LinearBackoff(initial_seconds=10, increment_seconds=5, jitter=NoJitter()))

        delays = [decide(policy, Clock(NOW), attempts, FAILED, NOW, Random(0)) for attempts in (0, 1, 2)]

        assert [delay.delay_seconds for delay in delays if isinstance(delay, Retry)] == [10, 15, 20]

    def test_a_maximum_that_was_lowered_below_what_is_spent_exhausts_the_task(self) -> None:
        """The policy may change between two attempts."""
        decision = decide(Policy(max_attempts=2), Clock(NOW), 7, FAILED, NOW, Random(0))

        assert isinstance(decision, Die)
        assert decision.reason is DeadReason.EXHAUSTED

    @pytest.mark.parametrize(("room", "kind"), [(59.999, Die), (60, Retry), (61, Retry)])
    def test_no_attempt_is_planned_past_the_deadline(self, room: float, kind: type) -> None:
        policy = Policy(backoff=MINUTE_FIXED, max_elapsed_seconds=None)

        assert isinstance(plan(policy, Clock(NOW, deadline=after(room)), 1, NOW, Random(0)), kind)

    @pytest.mark.parametrize(("elapsed", "kind"), [(59.999, Die), (60, Retry), (61, Retry)])
    def test_no_attempt_is_planned_past_the_longest_life(self, elapsed: float, kind: type) -> None:
        policy = Policy(backoff=MINUTE_FIXED, max_elapsed_seconds=elapsed)

        assert isinstance(plan(policy, Clock(NOW), 1, NOW, Random(0)), kind)

    def test_the_longest_life_counts_from_the_report_and_not_from_now(self) -> None:
        policy = Policy(backoff=MINUTE_FIXED, max_elapsed_seconds=100)

        decision = plan(policy, Clock(NOW - timedelta(seconds=50)), 2, NOW, Random(0))

        assert isinstance(decision, Die)
        assert decision.reason is DeadReason.EXPIRED

    @pytest.mark.parametrize(
        ("deadline", "elapsed", "limit"),
        [
            (after(10), 20, "deadline"),
            (after(20), 10, "limit of 10 s"),
            (None, 10, "limit of 10 s"),
            (after(10), None, "deadline"),
        ],
    )
    def test_the_earlier_of_deadline_and_longest_life_wins_and_is_named(
        self, deadline: datetime | None, elapsed: float | None, limit: str
    ) -> None:
        policy = Policy(backoff=MINUTE_FIXED, max_elapsed_seconds=elapsed)
        clock = Clock(NOW, deadline)

        decision = plan(policy, clock, 4, NOW, Random(0))

        assert clock.ends_at(policy) == after(10)
        assert decision == Die(
            DeadReason.EXPIRED,
            f"attempt 4 would be due at {after(60).isoformat()}, after the {limit} at {after(10).isoformat()}",
        )

    def test_without_deadline_and_longest_life_there_is_no_end(self) -> None:
        assert Clock(NOW).ends_at(Policy(max_elapsed_seconds=None)) is None

    def test_exhaustion_comes_before_expiry(self) -> None:
        policy = Policy(backoff=MINUTE_FIXED, max_attempts=1, max_elapsed_seconds=1)

        decision = decide(policy, Clock(NOW), 1, FAILED, NOW, Random(0))

        assert isinstance(decision, Die)
        assert decision.reason is DeadReason.EXHAUSTED

    def test_a_task_that_may_not_be_retried_is_rejected_though_it_is_exhausted_too(self) -> None:
        decision = decide(Policy(max_attempts=1), Clock(NOW), 1, answered(404), NOW, Random(0))

        assert isinstance(decision, Die)
        assert decision.reason is DeadReason.REJECTED

    def test_the_client_may_stop_a_task(self) -> None:
        stop = Outcome(AttemptStatus.FAILED, http_status=503, stop=True)

        decision = decide(Policy(), Clock(NOW), 1, stop, NOW, Random(0))

        assert isinstance(decision, Die)
        assert decision.reason is DeadReason.STOPPED

    def test_success_needs_no_attempts_and_no_time(self) -> None:
        clock = Clock(NOW - timedelta(days=9), deadline=NOW - timedelta(days=1))

        assert isinstance(decide(Policy(max_attempts=1), clock, 1, answered(200), NOW, Random(0)), Succeed)

    @given(policies, st.data(), st.integers(1, 20), outcomes, instants, seeds)
    def test_no_retry_is_ever_planned_past_the_end_or_before_now(
        self, policy: Policy, data: st.DataObject, attempts: int, outcome: Outcome, now: datetime, seed: int
    ) -> None:
        clock = data.draw(clocks(now))

        decision = decide(policy, clock, attempts, outcome, now, Random(seed))

        if isinstance(decision, Retry):
            end = clock.ends_at(policy)
            assert end is None or decision.due_at <= end
            assert decision.due_at >= now
            assert decision.delay_seconds >= 0
            assert attempts < policy.max_attempts

    @given(policies, st.data(), st.integers(1, 20), outcomes, instants, seeds)
    def test_the_same_seed_gives_the_same_decision(
        self, policy: Policy, data: st.DataObject, attempts: int, outcome: Outcome, now: datetime, seed: int
    ) -> None:
        clock = data.draw(clocks(now))

        one = decide(policy, clock, attempts, outcome, now, Random(seed))

        assert one == decide(policy, clock, attempts, outcome, now, Random(seed))

    @given(backoffs, st.integers(1, 25), st.none() | positive_seconds, instants, seeds)
    def test_a_life_ends_within_its_attempts_and_its_time(
        self, backoff: Backoff, maximum: int, elapsed: float | None, start: datetime, seed: int
    ) -> None:
        policy = Policy(backoff=backoff, max_attempts=maximum, max_elapsed_seconds=elapsed)
        clock, random, now, previous = Clock(start), Random(seed), start, None
        attempts = 0

        while isinstance(decision := decide(policy, clock, attempts, FAILED, now, random, previous), Retry):
            now, previous = decision.due_at, decision.delay_seconds
            attempts += 1
            assert attempts <= maximum

        assert isinstance(decision, Die)
        assert decision.reason is (DeadReason.EXHAUSTED if attempts == maximum else DeadReason.EXPIRED)
        assert elapsed is None or now <= start + timedelta(seconds=elapsed)


class TestDefaultClassification:
    @pytest.mark.parametrize(
        ("statuses", "action"),
        [
            ([200, 201, 204, 299], "succeed"),
            ([408, 425, 429], "retry"),
            ([500, 502, 503, 504, 599], "retry"),
            ([400, 401, 403, 404, 409, 410, 422, 451, 499], "dead"),
        ],
    )
    def test_http_answers_follow_the_table_of_the_design(self, statuses: list[int], action: str) -> None:
        assert {status: classify((), answered(status)).action for status in statuses} == dict.fromkeys(statuses, action)

    @given(st.integers(400, 599))
    def test_every_error_status_is_either_dead_or_retried(self, status: int) -> None:
        later = status >= 500 or status in (408, 425, 429)

        assert classify((), answered(status)).action == ("retry" if later else "dead")

    @pytest.mark.parametrize("status", [AttemptStatus.FAILED, AttemptStatus.TIMED_OUT, AttemptStatus.CANCELLED])
    def test_a_failure_without_an_http_answer_is_retried(self, status: AttemptStatus) -> None:
        """A time-out or a refused connection."""
        assert classify((), Outcome(status, error_type="ConnectError")) == Verdict(
            "retry",
            f"default for {status} ConnectError",
        )

    def test_a_node_that_failed_is_retried_though_it_answered_200(self) -> None:
        assert classify((), Outcome(AttemptStatus.FAILED, "KeyError", 200)).action == "retry"


class TestRules:
    def test_the_last_rule_that_matches_wins(self) -> None:
        """So a later rule refines an earlier one, as in the example of the design."""
        rules = (
            Rule(action="dead", error="ValueError"),
            Rule(action="dead", http_status="4xx"),
            Rule(action="retry", http_status=(408, 425, 429)),
        )

        assert [classify(rules, answered(status)).action for status in (400, 429, 408, 404)] == [
            "dead",
            "retry",
            "retry",
            "dead",
        ]

    @given(st.lists(rules(), min_size=1, max_size=6), outcomes)
    def test_a_rule_decides_unless_a_later_one_matches(self, given_rules: list[Rule], outcome: Outcome) -> None:
        alone = [rule for rule in given_rules if classify((rule,), outcome).why.startswith("rule ")]

        verdict = classify(tuple(given_rules), outcome)

        assert verdict.action == (alone[-1].action if alone else classify((), outcome).action)
        assert verdict.why.startswith("rule " if alone else "default ")

    @pytest.mark.parametrize(
        ("pattern", "error_type", "matches"),
        [
            ("TimeoutError", "TimeoutError", True),
            ("TimeoutError", "app.errors.TimeoutError", True),
            ("app.errors.TimeoutError", "app.errors.TimeoutError", True),
            ("app.errors.TimeoutError", "TimeoutError", False),
            ("app.errors.TimeoutError", "other.errors.TimeoutError", False),
            ("errors.TimeoutError", "app.errors.TimeoutError", False),
            ("Timeout", "TimeoutError", False),
            ("timeouterror", "TimeoutError", False),
            ("Error", "TimeoutError", False),
            ("Time*", "TimeoutError", True),
            ("Time*", "app.errors.TimeoutError", True),
            ("app.errors.*", "app.errors.TimeoutError", True),
            ("app.errors.*", "app.errorsmith.TimeoutError", False),
            ("errors.*", "app.errors.TimeoutError", False),
            ("*", "TimeoutError", True),
            ("*", None, False),
            ("TimeoutError", None, False),
        ],
    )
    def test_an_error_is_named_with_or_without_its_module_or_by_a_prefix(
        self, pattern: str, error_type: str | None, matches: bool
    ) -> None:
        rule = Rule(action="dead", error=pattern)

        action = classify((rule,), Outcome(AttemptStatus.FAILED, error_type)).action

        assert action == ("dead" if matches else "retry")

    @pytest.mark.parametrize(
        ("condition", "status", "matches"),
        [
            (503, 503, True),
            (503, 502, False),
            ("5xx", 599, True),
            ("5xx", 499, False),
            ((502, 504), 504, True),
            ((502, "4xx"), 418, True),
            ((502, "4xx"), 503, False),
            ("5xx", None, False),
        ],
    )
    def test_a_status_is_named_alone_by_class_or_in_a_list(
        self, condition: int | str | tuple[int | str, ...], status: int | None, matches: bool
    ) -> None:
        rule = Rule(action="succeed", http_status=condition)

        action = classify((rule,), Outcome(AttemptStatus.FAILED, http_status=status)).action

        assert (action == "succeed") == matches

    @pytest.mark.parametrize(("error", "status", "matches"), [("E", 500, True), ("E", 404, False), ("F", 500, False)])
    def test_all_conditions_of_a_rule_must_hold(self, error: str, status: int, matches: bool) -> None:
        rule = Rule(action="succeed", error="E", http_status=500)

        action = classify((rule,), Outcome(AttemptStatus.FAILED, error, status)).action

        assert (action == "succeed") == matches

    def test_a_rule_may_turn_a_failure_into_success(self) -> None:
        """A second charge that is refused with 409 was charged the first time."""
        policy = Policy(classification=(Rule(action="succeed", http_status=409),))

        assert decide(policy, Clock(NOW), 1, answered(409), NOW, Random(0)) == Succeed(
            "rule http_status=409 → succeed matched failed HTTP 409"
        )

    def test_the_reason_names_the_rule_and_what_it_matched(self) -> None:
        rule = Rule(action="dead", error="Time*", http_status=(500, "4xx"))

        assert classify((rule,), Outcome(AttemptStatus.TIMED_OUT, "TimeoutError", 418)) == Verdict(
            "dead",
            "rule error=Time* and http_status=(500, '4xx') → dead matched timed_out TimeoutError HTTP 418",
        )


class TestRetryAfter:
    def test_it_raises_a_shorter_delay(self) -> None:
        policy = Policy(backoff=MINUTE_FIXED)

        decision = plan(policy, Clock(NOW), 1, NOW, Random(0), retry_after_seconds=120)

        assert decision == Retry(
            after(120), 120, 60, "fixed 60 s; the target's Retry-After of 120 s raised it to 120 s"
        )

    def test_it_never_lowers_a_longer_delay(self) -> None:
        policy = Policy(backoff=MINUTE_FIXED)

        assert plan(policy, Clock(NOW), 1, NOW, Random(0), retry_after_seconds=5) == plan(
            policy, Clock(NOW), 1, NOW, Random(0)
        )

    @given(backoffs, st.integers(1, 50), st.floats(), seeds)
    def test_whatever_is_asked_the_delay_is_raised_to_it_or_left_alone(
        self, backoff: Backoff, number: int, asked: float, seed: int
    ) -> None:
        """Also when it is negative, not a number, or infinite."""
        policy = Policy(backoff=backoff, max_elapsed_seconds=None)

        bare = plan(policy, Clock(NOW), number, NOW, Random(seed))
        raised = plan(policy, Clock(NOW), number, NOW, Random(seed), retry_after_seconds=asked)

        assert isinstance(bare, Retry)
        assert isinstance(raised, Retry)
        wanted = min(asked, policy.retry_after.max_seconds)
        if wanted > bare.delay_seconds:
            assert wanted <= raised.delay_seconds <= wanted * 1.1
        else:
            assert raised == bare

    def test_it_is_bounded_by_the_policy_and_the_reason_says_so(self) -> None:
        policy = Policy(backoff=MINUTE_FIXED, retry_after=RetryAfterRule(max_seconds=3000), max_elapsed_seconds=None)

        decision = plan(policy, Clock(NOW), 1, NOW, Random(0), retry_after_seconds=2_592_000)

        assert isinstance(decision, Retry)
        assert decision.delay_seconds == 3000
        assert "Retry-After of 2592000 s (bounded by 3000 s) raised it to 3000 s" in decision.why

    def test_it_is_ignored_when_the_policy_says_so(self) -> None:
        policy = Policy(backoff=MINUTE_FIXED, retry_after=RetryAfterRule(honour=False))

        decision = plan(policy, Clock(NOW), 1, NOW, Random(0), retry_after_seconds=500)

        assert decision == Retry(after(60), 60, 60, "fixed 60 s")

    def test_tasks_that_met_the_same_answer_do_not_return_at_the_same_moment(self) -> None:
        policy = Policy(backoff=LinearBackoff(initial_seconds=1), max_elapsed_seconds=None)

        decisions = [plan(policy, Clock(NOW), 1, NOW, Random(seed), retry_after_seconds=1000) for seed in range(200)]

        delays = [decision.delay_seconds for decision in decisions if isinstance(decision, Retry)]
        assert len(set(delays)) == 200
        assert 1000 <= min(delays) < 1010
        assert 1090 < max(delays) <= 1100

    @pytest.mark.parametrize("seed", range(20))
    def test_the_spread_alone_never_expires_a_task(self, seed: int) -> None:
        """What the target asked for fits before the deadline; only the tenth on top does not."""
        policy = Policy(backoff=LinearBackoff(initial_seconds=1))

        decision = plan(policy, Clock(NOW, deadline=after(1001)), 1, NOW, Random(seed), retry_after_seconds=1000)

        assert isinstance(decision, Retry)
        assert after(1000) <= decision.due_at <= after(1001)

    def test_a_wish_beyond_the_deadline_expires_the_task(self) -> None:
        policy = Policy(backoff=ExponentialBackoff(initial_seconds=1))

        decision = plan(policy, Clock(NOW, deadline=after(600)), 1, NOW, Random(0), retry_after_seconds=3600)

        assert isinstance(decision, Die)
        assert decision.reason is DeadReason.EXPIRED


class TestRulesThatLookInside:
    """Message and body are known in the dispatch activity only."""

    LOCKED = Rule(action="retry", message=r"(?i)lock(ed| timeout)")
    BUSY = Rule(action="park", body=Body("/error/code", "busy"))
    REFUSED = answered(409)

    @pytest.mark.parametrize(
        ("message", "action"), [("row is LOCKED by 7", "retry"), ("row is gone", "dead"), ("", "dead"), (None, "dead")]
    )
    def test_a_pattern_matches_anywhere_in_the_message(self, message: str | None, action: str) -> None:
        assert classify((self.LOCKED,), self.REFUSED, Details(message)).action == action

    @pytest.mark.parametrize(
        ("body", "action"),
        [
            ('{"error": {"code": "busy"}}', "park"),
            ('{"error": {"code": "gone"}}', "dead"),
            ('{"error": "busy"}', "dead"),
            ("busy", "dead"),
            (None, "dead"),
        ],
    )
    def test_a_body_is_asked_for_one_value(self, body: str | None, action: str) -> None:
        assert classify((self.BUSY,), self.REFUSED, Details(body=body)).action == action

    def test_where_nothing_is_known_they_do_not_match(self) -> None:
        assert classify((self.LOCKED, self.BUSY), self.REFUSED) == classify((), self.REFUSED)

    @given(st.text(min_size=12), st.text(min_size=12))
    def test_the_verdict_shows_nothing_of_message_and_body(self, message: str, value: str) -> None:
        """It enters the workflow's history."""
        rules = (Rule(action="retry", message="."), Rule(action="dead", message="(?s)."))

        verdict = classify(rules, self.REFUSED, Details(message, json.dumps({"secret": value})))

        assert message not in verdict.why
        assert value not in verdict.why

    def test_all_conditions_must_hold_here_too(self) -> None:
        rule = Rule(action="succeed", http_status=409, message="already", body=Body("/paid", True))

        known = Details("already charged", '{"paid": true}')

        assert classify((rule,), self.REFUSED, known).action == "succeed"
        assert classify((rule,), answered(410), known).action == "dead"
        assert classify((rule,), self.REFUSED, Details("already charged", '{"paid": 1}')).action == "dead"

    def test_it_is_known_beforehand_whether_rules_look_inside(self) -> None:
        outside = (Rule(action="dead", error="E"), Rule(action="retry", http_status=409))

        assert not looks_inside(outside)
        assert looks_inside((*outside, self.LOCKED))
        assert looks_inside((*outside, self.BUSY))


class TestBasesOfErrors:
    @pytest.mark.parametrize(
        ("pattern", "action"),
        [("OSError", "dead"), ("builtins.OSError", "dead"), ("OS*", "dead"), ("IOError", "retry"), ("Conn*", "dead")],
    )
    def test_a_rule_for_a_class_holds_for_its_subclasses(self, pattern: str, action: str) -> None:
        outcome = Outcome(
            AttemptStatus.FAILED,
            "redis.ConnectionError",
            error_bases=("builtins.ConnectionError", "builtins.OSError", "builtins.Exception"),
        )

        assert classify((Rule(action="dead", error=pattern),), outcome).action == action


class TestSnoozeAndPark:
    POLICY = Policy(backoff=MINUTE_FIXED, max_attempts=1)

    def decide(self, verdict: Verdict, counters: Counters | None = None, policy: Policy = POLICY) -> Decision:
        return decide(policy, Clock(NOW), 1, FAILED, NOW, Random(0), verdict=verdict, counters=counters)

    def test_a_snooze_waits_as_long_as_the_rule_says(self) -> None:
        """Also on the last attempt, which it does not spend."""
        assert self.decide(Verdict("snooze", "rule", 90)) == Retry(
            after(90), 90, 90, "rule: snoozed for 90 s", "snooze"
        )

    def test_a_snooze_past_the_end_expires_the_task(self) -> None:
        decision = self.decide(Verdict("snooze", "rule", 86_401))

        assert isinstance(decision, Die)
        assert decision.reason is DeadReason.EXPIRED

    def test_a_task_that_only_snoozes_fails_in_the_end(self) -> None:
        believed = self.decide(Verdict("snooze", "rule", 90), Counters(snoozes_in_row=MAX_SNOOZES - 1))
        tired = self.decide(Verdict("snooze", "rule", 90), Counters(snoozes_in_row=MAX_SNOOZES))

        assert isinstance(believed, Retry)
        assert tired == Die(DeadReason.EXHAUSTED, "attempt 1 of 1 failed")

    def test_a_park_looks_again_when_the_rule_says(self) -> None:
        assert self.decide(Verdict("park", "rule", 90)) == Retry(after(90), 90, 90, "rule: parked", "park")

    @given(st.integers(0, 2000), seeds)
    def test_else_it_looks_again_later_and_later_up_to_ten_minutes(self, parks: int, seed: int) -> None:
        longest = min(600, 30 * 2 ** min(parks, 20))

        assert longest / 2 <= park_seconds(parks, Random(seed)) <= longest

    def test_parking_never_leads_past_the_end(self) -> None:
        policy = Policy(max_elapsed_seconds=45)

        decision = self.decide(Verdict("park", "rule", 90), policy=policy)

        assert isinstance(decision, Retry)
        assert decision.due_at == after(45)

    def test_a_stop_by_the_client_goes_before_both(self) -> None:
        stopped = Outcome(AttemptStatus.FAILED, stop=True)

        decision = decide(self.POLICY, Clock(NOW), 1, stopped, NOW, Random(0), verdict=Verdict("park", "rule"))

        assert isinstance(decision, Die)
        assert decision.reason is DeadReason.STOPPED

    def test_rules_give_their_seconds_to_the_verdict(self) -> None:
        rule = Rule(action="snooze", http_status=423, seconds=7)

        assert classify((rule,), answered(423)).seconds == 7

    def test_a_verdict_from_elsewhere_goes_before_the_rules(self) -> None:
        policy = Policy(classification=(Rule(action="dead", http_status="5xx"),))

        assert decide(policy, Clock(NOW), 1, answered(500), NOW, Random(0), verdict=Verdict("succeed", "x")) == Succeed(
            "x"
        )


class TestPoison:
    POISON = Policy(poison=PoisonRule(3), max_attempts=100, max_elapsed_seconds=None)
    SAME = Outcome(AttemptStatus.FAILED, "KeyError", fingerprint="cafe")

    def test_the_same_failure_three_times_in_a_row_rejects_the_task(self) -> None:
        counters, decisions = Counters(), list[Decision]()
        for attempt in (1, 2, 3):
            decision = decide(self.POISON, Clock(NOW), attempt, self.SAME, NOW, Random(0), counters=counters)
            counters = count(counters, decision, self.SAME)
            decisions.append(decision)

        assert [type(decision) for decision in decisions] == [Retry, Retry, Die]
        assert decisions[-1] == Die(DeadReason.REJECTED, "poison: it failed 3 times in a row with the fingerprint cafe")

    @pytest.mark.parametrize("fingerprint", ["beef", None])
    def test_another_failure_between_begins_anew(self, fingerprint: str | None) -> None:
        counters = Counters(failures=2, fingerprint="cafe", repeats=2)
        other = Outcome(AttemptStatus.FAILED, "OSError", fingerprint=fingerprint)

        decision = decide(self.POISON, Clock(NOW), 3, other, NOW, Random(0), counters=counters)

        assert isinstance(decision, Retry)
        assert count(counters, decision, other).repeated("cafe") == 1

    def test_it_may_be_parked_for_a_person_instead(self) -> None:
        policy = Policy(poison=PoisonRule(2, "park"))

        decision = decide(
            policy, Clock(NOW), 2, self.SAME, NOW, Random(0), counters=Counters(1, fingerprint="cafe", repeats=1)
        )

        assert isinstance(decision, Retry)
        assert (decision.kind, decision.due_at) == ("park", after(86_400))

    def test_it_is_off_unless_asked_for_and_without_counters(self) -> None:
        counters = Counters(50, fingerprint="cafe", repeats=50)

        off = decide(Policy(max_attempts=100), Clock(NOW), 51, self.SAME, NOW, Random(0), counters=counters)
        blind = decide(self.POISON, Clock(NOW), 51, self.SAME, NOW, Random(0))

        assert isinstance(off, Retry)
        assert isinstance(blind, Retry)


class TestThrottles:
    FREE = Policy(retry_after=RetryAfterRule(spends_attempt=False, max_throttles=2), max_attempts=1)
    ASKED = Outcome(AttemptStatus.FAILED, http_status=429, retry_after_seconds=100)

    def kind(self, policy: Policy, outcome: Outcome, counters: Counters | None) -> str:
        decision = decide(policy, Clock(NOW), 1, outcome, NOW, Random(0), counters=counters)
        return decision.kind if isinstance(decision, Retry) else "dead"

    def test_by_default_it_is_a_failure_as_any_other(self) -> None:
        assert self.kind(Policy(max_attempts=1), self.ASKED, Counters()) == "dead"

    def test_where_the_policy_says_so_it_is_not_spent(self) -> None:
        decision = decide(self.FREE, Clock(NOW), 1, self.ASKED, NOW, Random(0), counters=Counters())

        assert isinstance(decision, Retry)
        assert decision.kind == "throttle"
        assert after(100) <= decision.due_at <= after(110)

    @pytest.mark.parametrize(
        ("outcome", "counters"),
        [
            (ASKED, Counters(throttles=2)),
            (ASKED, None),
            (Outcome(AttemptStatus.FAILED, http_status=429), Counters()),
            (Outcome(AttemptStatus.FAILED, http_status=500, retry_after_seconds=100), Counters()),
        ],
    )
    def test_only_a_wish_of_a_busy_target_and_only_so_often(self, outcome: Outcome, counters: Counters | None) -> None:
        assert self.kind(self.FREE, outcome, counters) == "dead"


class TestEvidence:
    @pytest.mark.parametrize(
        ("outcome", "expected"),
        [
            (answered(200), "succeeded"),
            (answered(500), "failed"),
            (answered(503), "failed"),
            (answered(429), "failed"),
            (Outcome(AttemptStatus.TIMED_OUT, "redrive.Timeout"), "failed"),
            (Outcome(AttemptStatus.FAILED, "httpx.ConnectError"), "failed"),
            (Outcome(AttemptStatus.FAILED, "app.PaymentDown", 200), "failed"),
            (answered(400), None),
            (answered(404), None),
            (Outcome(AttemptStatus.FAILED, "app.PaymentDown", 200, stop=True), None),
        ],
    )
    def test_only_what_another_attempt_may_cure_speaks_against_a_target(
        self, outcome: Outcome, expected: str | None
    ) -> None:
        assert evidence(outcome, classify((), outcome).action) == expected

    @pytest.mark.parametrize("status", [400, 404, 409, 422])
    def test_a_refusal_that_is_retried_by_a_rule_still_does_not(self, status: int) -> None:
        """Retrying 404 until a record appears must not open the breaker."""
        assert evidence(answered(status), "retry") is None

    def test_a_rule_has_its_say(self) -> None:
        assert evidence(answered(500), "dead") is None
        assert evidence(answered(500), "snooze") is None
        assert evidence(answered(500), "park") == "failed"
        assert evidence(answered(409), "succeed") == "succeeded"


class TestCounters:
    @given(policies, st.lists(outcomes, max_size=30), seeds)
    def test_only_failures_count_against_the_maximum(self, policy: Policy, ends: list[Outcome], seed: int) -> None:
        """However often it is snoozed, parked and throttled between."""
        counters, random = Counters(), Random(seed)
        for outcome in ends:
            decision = decide(policy, Clock(NOW), counters.failures + 1, outcome, NOW, random, counters=counters)
            after_it = count(counters, decision, outcome)
            if not isinstance(decision, Retry):
                break
            assert (after_it.failures > counters.failures) == (decision.kind == "failure")
            assert after_it.failures < policy.max_attempts
            counters = after_it

    @given(policies, outcomes, seeds, instants)
    def test_who_passes_neither_verdict_nor_counters_gets_what_the_rules_say(
        self, policy: Policy, outcome: Outcome, seed: int, now: datetime
    ) -> None:
        """The meaning of the call that recorded histories hold."""
        bare = decide(policy, Clock(now), 1, outcome, now, Random(seed))

        assert bare == decide(
            policy, Clock(now), 1, outcome, now, Random(seed), verdict=classify(policy.classification, outcome)
        )
