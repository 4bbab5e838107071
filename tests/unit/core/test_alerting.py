"""Alert rules: what is told, what is held back, and that no told firing stays without its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redrive.core.alerting import CONDITIONS, EVENTS, Alarm, AlertRule, Key, Reading, Step, evaluate
from redrive.core.documents import decode
from redrive.core.errors import InvalidDocument
from redrive.core.quiet import QuietWindow

T0 = datetime(2030, 1, 7, 12, tzinfo=UTC)
CHARGE: Key = (("group", "orders"), ("scene", "charge"))
REFUND: Key = (("group", "orders"), ("scene", "refund"))


class Watch:
    """Evaluates a rule round by round and keeps what was told."""

    def __init__(self, rule: AlertRule) -> None:
        self.rule = rule
        self.alarms: Mapping[Key, Alarm] = {}
        self.steps: list[tuple[datetime, Step]] = []

    def at(self, seconds: float, *keys: Key, muted_until: datetime | None = None) -> list[str]:
        now = T0 + timedelta(seconds=seconds)
        hour_ago = now - timedelta(hours=1)
        lately = sum(step.state == "firing" and at > hour_ago for at, step in self.steps)
        readings = [Reading(key, 5) for key in keys]
        found = evaluate(self.rule, self.alarms, readings, now, muted_until=muted_until, told_lately=lately)
        self.alarms = found.alarms
        self.steps += [(now, step) for step in found.steps]
        return [step.cause or step.state for step in found.steps]


def rule(**fields: Any) -> AlertRule:
    values: dict[str, Any] = {"event": "dead_letter", "group_by": ("group", "scene"), **fields}
    return AlertRule(**values)


def test_a_firing_is_told_once_and_so_is_its_end() -> None:
    watch = Watch(rule())
    assert watch.at(0, CHARGE) == ["firing"]
    assert watch.at(5, CHARGE) == []
    assert watch.at(10) == ["recovered"]
    assert watch.at(15) == []
    assert watch.steps[1][1].since == T0


def test_groups_have_alarms_of_their_own() -> None:
    watch = Watch(rule())
    assert watch.at(0, CHARGE) == ["firing"]
    assert watch.at(5, CHARGE, REFUND) == ["firing"]
    assert watch.at(10, REFUND) == ["recovered"]
    assert [step.key for _, step in watch.steps] == [CHARGE, REFUND, CHARGE]


def test_a_flapping_alarm_is_told_again_only_when_it_has_cooled_down_and_still_fires() -> None:
    watch = Watch(rule(cool_down_seconds=900))
    watch.at(0, CHARGE)
    watch.at(60)
    assert watch.at(120, CHARGE) == ["cool_down"]
    assert watch.at(125, CHARGE) == []
    assert watch.at(900, CHARGE) == ["firing"]


def test_what_is_muted_is_told_afterwards_if_it_is_still_true() -> None:
    watch = Watch(rule())
    until = T0 + timedelta(seconds=100)
    assert watch.at(0, CHARGE, REFUND, muted_until=until) == ["mute", "mute"]
    assert watch.at(50, CHARGE, muted_until=until) == []
    assert watch.at(100, CHARGE, muted_until=until) == ["firing"]


def test_a_recovery_waits_for_the_end_of_quiet_hours() -> None:
    quiet = QuietWindow("0 13 * * *", 3600)
    watch = Watch(rule(quiet_hours=(quiet,)))
    assert watch.at(0, CHARGE) == ["firing"]
    assert watch.at(3700) == []  # ended at one, in quiet hours
    assert watch.at(3800, REFUND) == ["quiet_hours"]
    assert watch.at(7200, REFUND) == ["firing", "recovered"]


def test_what_comes_back_before_its_recovery_was_told_is_the_same_incident() -> None:
    watch = Watch(rule(cool_down_seconds=0))
    watch.at(0, CHARGE)
    until = T0 + timedelta(seconds=100)
    assert watch.at(50, muted_until=until) == []
    assert watch.at(100, CHARGE, muted_until=until) == []
    assert watch.at(150) == ["recovered"]
    assert watch.steps[-1][1].since == T0


def test_the_rate_limit_is_for_the_rule_and_the_last_notice_says_so() -> None:
    watch = Watch(rule(rate_limit_per_hour=2))
    keys: list[Key] = [(("scene", str(number)),) for number in range(4)]
    assert watch.at(0, *keys) == ["firing", "firing", "rate_limit", "rate_limit"]
    assert [step.last for _, step in watch.steps if step.state == "firing"] == [False, True]
    assert watch.at(3600, *keys) == ["firing", "firing"]


def test_an_alarm_that_goes_on_can_be_told_again() -> None:
    watch = Watch(rule(repeat_seconds=3600))
    watch.at(0, CHARGE)
    assert watch.at(3599, CHARGE) == []
    assert watch.at(3600, CHARGE) == ["firing"]
    assert watch.steps[-1][1].again
    assert watch.steps[-1][1].since == T0


def test_what_lasts_must_have_lasted_for_the_window_before_it_fires() -> None:
    watch = Watch(AlertRule("waiting", window_seconds=60))
    assert watch.at(0, CHARGE) == []
    assert watch.at(30) == []
    assert watch.at(50, CHARGE) == []
    assert watch.at(105, CHARGE) == []
    assert watch.at(110, CHARGE) == ["firing"]
    assert watch.steps[0][1].since == T0 + timedelta(seconds=50)
    assert watch.at(120) == ["recovered"]


def test_without_recovery_the_end_is_not_told() -> None:
    watch = Watch(rule(recovery=False, cool_down_seconds=0))
    watch.at(0, CHARGE)
    assert watch.at(10) == []
    assert watch.alarms == {}
    assert watch.at(20, CHARGE) == ["firing"]


@st.composite
def _stories(draw: st.DrawFn) -> tuple[AlertRule, list[tuple[float, tuple[Key, ...], bool]]]:
    made = rule(
        cool_down_seconds=draw(st.sampled_from([0, 30, 900])),
        repeat_seconds=draw(st.sampled_from([None, 60, 600])),
        recovery=draw(st.booleans()),
        rate_limit_per_hour=draw(st.sampled_from([None, 1, 3])),
    )
    rounds = draw(
        st.lists(
            st.tuples(
                st.integers(1, 400),
                st.sets(st.sampled_from([CHARGE, REFUND])).map(lambda keys: tuple(sorted(keys))),
                st.booleans(),
            ),
            max_size=40,
        )
    )
    return made, [(float(gap), keys, muted) for gap, keys, muted in rounds]


@given(_stories())
def test_whatever_happens_nobody_is_flooded_and_no_incident_stays_open(
    story: tuple[AlertRule, list[tuple[float, tuple[Key, ...], bool]]],
) -> None:
    made, rounds = story
    watch, at = Watch(made), 0.0
    for gap, keys, muted in rounds:
        at += gap
        moment = T0 + timedelta(seconds=at)
        until = moment + timedelta(seconds=1) if muted else None
        told = watch.at(at, *keys, muted_until=until)
        assert not (muted and {"firing", "recovered"} & set(told))
        assert watch.at(at, *keys, muted_until=until) == [], "the same round again tells nothing more"
    watch.at(at + 4000)  # all is well, and nothing holds anything back

    for key in (CHARGE, REFUND):
        own = [(when, step) for when, step in watch.steps if step.key == key and step.state != "suppressed"]
        believed = False
        last_told: datetime | None = None
        for when, step in own:
            if step.state == "recovered":
                assert believed, "an end is told only of what was told"
                believed = False
                continue
            if step.again:
                assert last_told is not None
                assert made.repeat_seconds is not None
                assert when >= last_told + timedelta(seconds=made.repeat_seconds)
            elif last_told is not None:
                assert when >= last_told + timedelta(seconds=made.cool_down_seconds)
            believed, last_told = True, when
        assert not (believed and made.recovery), "a told firing has an end"
    assert watch.alarms == {}, "what is over and cooled down is forgotten"
    firings = [when for when, step in watch.steps if step.state == "firing"]
    for when in firings if made.rate_limit_per_hour is not None else ():
        within = [other for other in firings if when - timedelta(hours=1) < other <= when]
        assert len(within) <= (made.rate_limit_per_hour or 0)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"event": "due_lag", "group_by": ["fingerprint"]}, r"group_by: 'due_lag' can be grouped by: group, scene"),
        ({"event": "failure_rate", "threshold": 50}, r"threshold: expected a share above 0 and up to 1, got 50"),
        ({"event": "dead_letter", "threshold": 0}, r"threshold: expected a number above 0, got 0"),
        ({"event": "dead_letter", "window_seconds": 90_000}, r"window_seconds: expected seconds from 10 to 86400"),
        ({"event": "dead_leter"}, r"event: expected one of 'dead_letter'"),
        ({"event": "waiting", "cooldown": 5}, r"unknown field, did you mean 'cool_down_seconds'"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_with_what_does(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidDocument, match=problem):
        decode(AlertRule, fields)


def test_every_event_has_a_condition_that_its_rule_can_use() -> None:
    for event in EVENTS:
        made = AlertRule(event, group_by=CONDITIONS[event].dimensions)
        assert made.limit > 0
        assert replace(made, threshold=0.5).limit == 0.5
