import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redrive.core.breaker import (
    Admit,
    Breaker,
    BreakerRule,
    Closed,
    HalfOpen,
    Open,
    Override,
    Park,
    Probe,
    admit,
    hold,
    parse_breaker,
    release,
    render_breaker,
    return_probe,
    send_probe,
    settle_probe,
    step,
)
from redrive.core.documents import decode, encode
from redrive.core.errors import InvalidPolicy
from redrive.core.window import Window

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
RULE = BreakerRule()
DOWN = Open(NOW, NOW + timedelta(seconds=30), 1, "20 of 20 attempts failed within 60 s")


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def seen(succeeded: int, failed: int, at: datetime = NOW) -> Window:
    return Window().add(at, succeeded=succeeded, failed=failed)


def stepped(breaker: Breaker, now: datetime, window: Window | None = None, rule: BreakerRule = RULE) -> Breaker:
    return step(breaker, window or Window(), now, rule)[0]


def kinds(breaker: Breaker, now: datetime, window: Window | None = None, rule: BreakerRule = RULE) -> list[str]:
    return [event.kind for event in step(breaker, window or Window(), now, rule)[1]]


def probed(breaker: Breaker, now: datetime, *, succeeded: bool) -> Breaker:
    """Send one probe and let it end at once."""
    probe = admit(breaker, now)
    assert isinstance(probe, Probe)
    return stepped(settle_probe(send_probe(breaker, probe, now), probe, succeeded=succeeded), now)


class TestOpening:
    @pytest.mark.parametrize(
        ("succeeded", "failed", "opens"),
        [(0, 19, False), (0, 20, True), (10, 10, True), (11, 10, False), (10, 9, False), (500, 499, False)],
    )
    def test_it_opens_at_half_of_at_least_twenty(self, succeeded: int, failed: int, opens: bool) -> None:
        breaker = stepped(Breaker(), NOW, seen(succeeded, failed))

        assert isinstance(breaker.state, Open if opens else Closed)

    def test_failures_of_more_than_a_minute_ago_do_not_count(self) -> None:
        window = seen(0, 15, after(-60)).merge(seen(0, 15))

        assert stepped(Breaker(), NOW, window) == Breaker()

    def test_it_says_why_it_opened_and_for_how_long(self) -> None:
        _, events = step(Breaker(), seen(5, 15), NOW, RULE)

        assert [(event.kind, event.why) for event in events] == [
            ("opened", "15 of 20 attempts failed within 60 s: open for 30 s")
        ]

    def test_while_it_is_open_everything_is_parked_until_the_probes(self) -> None:
        breaker = stepped(Breaker(), NOW, seen(0, 20))

        assert admit(breaker, after(29)) == Park(after(30), "the breaker is open: 20 of 20 attempts failed within 60 s")

    def test_a_rule_that_is_switched_off_never_opens_and_closes_what_is_open(self) -> None:
        off = BreakerRule(enabled=False)

        assert stepped(Breaker(), NOW, seen(0, 1000), off) == Breaker()
        assert stepped(Breaker(DOWN), after(1), None, off) == Breaker(Closed(after(1)))

    @given(st.integers(0, 60), st.integers(0, 60))
    def test_a_step_is_repeated_without_effect(self, succeeded: int, failed: int) -> None:
        once = stepped(Breaker(), NOW, seen(succeeded, failed))

        assert step(once, seen(succeeded, failed), NOW, RULE) == (once, ())


class TestProbes:
    def test_one_probe_then_two_then_four_and_it_closes(self) -> None:
        breaker, sizes = Breaker(DOWN), list[int]()
        now = after(30)
        while not isinstance(breaker.state, Closed):
            sent = list[Probe]()
            while isinstance(probe := admit(breaker, now), Probe):
                breaker = send_probe(breaker, probe, now)
                sent.append(probe)
            for probe in sent:
                breaker = settle_probe(breaker, probe, succeeded=True)
            sizes.append(len(sent))
            breaker = stepped(breaker, now)

        assert sizes == [1, 2, 4]
        assert breaker == Breaker(Closed(now, 1))

    def test_a_probe_that_fails_opens_it_for_twice_as_long(self) -> None:
        breaker = probed(Breaker(DOWN), after(30), succeeded=False)

        assert breaker.state == Open(NOW, after(90), 2, "1 of 1 probes in round 1 failed")

    @pytest.mark.parametrize(("failures", "closes"), [(0, True), (1, True), (2, True), (3, False), (4, False)])
    def test_it_closes_when_the_last_round_fails_no_more_than_opened_it(self, failures: int, closes: bool) -> None:
        """A target that fails three times in ten is up, and must not be locked out by an unlucky probe."""
        breaker = Breaker(HalfOpen(NOW, 1, round=3))

        for number in range(4):
            breaker = probed(breaker, after(32), succeeded=number >= failures)
            if isinstance(breaker.state, Open):
                break

        assert isinstance(breaker.state, Closed if closes else Open)

    def test_a_round_in_which_all_probes_fail_opens_it_whatever_may_fail(self) -> None:
        lenient = BreakerRule(failure_ratio=1)

        assert [lenient.may_fail(probes) for probes in (1, 2, 4)] == [0, 1, 3]
        assert [RULE.may_fail(probes) for probes in (1, 2, 4, 8)] == [0, 1, 2, 4]

    def test_what_comes_beside_the_probes_is_parked(self) -> None:
        probe = admit(Breaker(DOWN), after(30))
        assert isinstance(probe, Probe)

        breaker = send_probe(Breaker(DOWN), probe, after(30))

        assert admit(breaker, after(31)) == Park(
            after(90), "the breaker is half-open: round 1 has its 1 probes under way"
        )

    def test_a_probe_that_never_ends_is_replaced_after_a_minute(self) -> None:
        probe = admit(Breaker(DOWN), after(30))
        assert isinstance(probe, Probe)
        breaker = send_probe(Breaker(DOWN), probe, after(30))

        assert kinds(breaker, after(89)) == []
        assert kinds(breaker, after(90)) == ["probe_lost"]
        assert admit(breaker, after(90)) == probe == admit(stepped(breaker, after(90)), after(90))

    def test_a_probe_that_ends_after_it_was_given_up_still_counts(self) -> None:
        probe = admit(Breaker(DOWN), after(30))
        assert isinstance(probe, Probe)
        breaker = stepped(send_probe(Breaker(DOWN), probe, after(30)), after(90))

        breaker = stepped(settle_probe(breaker, probe, succeeded=True), after(91))

        assert isinstance(breaker.state, HalfOpen)
        assert breaker.state.round == 2

    def test_a_probe_of_an_earlier_opening_changes_nothing(self) -> None:
        breaker = probed(Breaker(DOWN), after(30), succeeded=False)
        breaker = stepped(breaker, after(90))

        assert settle_probe(breaker, Probe(1, 1), succeeded=True) == breaker
        assert settle_probe(Breaker(), Probe(1, 1), succeeded=False) == Breaker()

    def test_a_probe_that_did_not_run_is_given_back(self) -> None:
        half_open = stepped(Breaker(DOWN), after(30))
        probe = admit(half_open, after(30))
        assert isinstance(probe, Probe)

        breaker = return_probe(send_probe(half_open, probe, after(30)), probe)

        assert admit(breaker, after(30)) == probe

    def test_a_probe_that_was_not_offered_cannot_be_sent(self) -> None:
        with pytest.raises(ValueError, match="expected the breaker that gave"):
            send_probe(Breaker(), Probe(1, 1), NOW)
        with pytest.raises(ValueError, match="expected the breaker that gave"):
            send_probe(Breaker(DOWN), Probe(1, 1), after(29))
        with pytest.raises(ValueError, match="expected the breaker that gave"):
            send_probe(Breaker(HalfOpen(NOW, 1, sent=1, sent_at=NOW)), Probe(1, 1), after(1))


class TestGrowth:
    def test_the_time_open_doubles_up_to_ten_minutes(self) -> None:
        assert [RULE.open_for(opens) for opens in range(1, 8)] == [30, 60, 120, 240, 480, 600, 600]

    @given(st.integers(1, 10**9), st.floats(1, 1000), st.floats(0.001, 1e6))
    def test_it_never_shrinks_and_never_exceeds_its_limit(self, opens: int, growth: float, first: float) -> None:
        rule = BreakerRule(growth=growth, open_seconds=first, max_open_seconds=1e7)

        assert first <= rule.open_for(opens) <= rule.open_for(opens + 1) <= 1e7

    def test_a_target_that_fails_again_at_once_has_not_recovered(self) -> None:
        closed = Breaker(Closed(NOW, opens=2))

        soon = stepped(closed, after(20), seen(0, 20, after(10)))
        late = stepped(closed, after(200), seen(0, 20, after(199)))

        assert isinstance(soon.state, Open)
        assert isinstance(late.state, Open)
        assert (soon.state.opens, late.state.opens) == (3, 1)

    def test_the_failures_that_opened_it_do_not_open_it_again(self) -> None:
        assert stepped(Breaker(Closed(NOW, 1)), after(1), seen(0, 500, after(-5))) == Breaker(Closed(NOW, 1))


class TestHold:
    def test_held_open_it_parks_whatever_the_target_does(self) -> None:
        breaker, events = hold(Breaker(), Override("open", "ada", "maintenance", after(60)), NOW)

        assert [event.why for event in events] == ["ada holds it open: maintenance"]
        assert admit(breaker, after(59)) == Park(after(60), "ada opened the breaker: maintenance")
        assert step(breaker, seen(500, 0), after(59), RULE) == (breaker, ())

    def test_without_an_end_it_parks_until_a_person_ends_it(self) -> None:
        breaker, _ = hold(Breaker(), Override("open", "ada"), NOW)

        assert admit(breaker, after(10**6)) == Park(None, "ada opened the breaker")

    def test_held_closed_it_admits_whatever_the_target_does(self) -> None:
        breaker, _ = hold(Breaker(DOWN), Override("closed", "ada", until=after(60)), NOW)

        assert admit(breaker, after(1)) == Admit()
        assert stepped(breaker, after(1), seen(0, 500)) == breaker

    def test_after_a_hold_open_the_target_is_probed_first(self) -> None:
        """Everything that waited would otherwise return at once, to a target that nobody has tried."""
        breaker, _ = hold(Breaker(), Override("open", "ada", until=after(60)), NOW)

        assert admit(breaker, after(60)) == Probe(1, 1)
        assert kinds(breaker, after(60)) == ["override_ended"]
        assert stepped(breaker, after(60)).state == HalfOpen(after(60), 1)

    def test_after_a_hold_closed_it_judges_by_what_comes_from_then_on(self) -> None:
        breaker, _ = hold(Breaker(DOWN), Override("closed", "ada", until=after(60)), NOW)

        assert stepped(breaker, after(61), seen(0, 500, after(59))) == Breaker(Closed(after(60)))

    def test_a_person_may_end_a_hold_early(self) -> None:
        held, _ = hold(Breaker(), Override("open", "ada", until=after(600)), NOW)

        breaker, events = release(held, "bob", after(10))

        assert breaker == Breaker(HalfOpen(after(10), 1))
        assert [event.why for event in events] == ["bob ended the hold"]
        assert release(Breaker(), "bob", NOW) == (Breaker(), ())

    def test_a_probe_may_follow_the_end_of_a_hold_before_anyone_has_stepped(self) -> None:
        held, _ = hold(Breaker(), Override("open", "ada", until=after(60)), NOW)

        breaker = send_probe(held, Probe(1, 1), after(60))

        assert breaker == Breaker(HalfOpen(after(60), 1, sent=1, sent_at=after(60)))


class TestALife:
    @given(st.lists(st.tuples(st.floats(0.1, 40), st.booleans(), st.integers(0, 3)), max_size=80))
    def test_probes_never_exceed_their_round_and_nothing_else_passes(
        self, script: list[tuple[float, bool, int]]
    ) -> None:
        """Whatever the target does, and however late probes end."""
        breaker, now, under_way = Breaker(DOWN), NOW, list[tuple[datetime, Probe]]()
        for seconds, works, ends in script:
            now += timedelta(seconds=seconds)
            breaker = stepped(breaker, now)
            for _, probe in under_way[:ends]:
                breaker = stepped(settle_probe(breaker, probe, succeeded=works), now)
            under_way = under_way[ends:]
            while isinstance(answer := admit(breaker, now), Probe):
                breaker = send_probe(breaker, answer, now)
                under_way.append((now, answer))
            state = breaker.state
            if isinstance(state, HalfOpen):
                young = [
                    probe
                    for sent_at, probe in under_way
                    if probe == Probe(state.opens, state.round) and now < sent_at + timedelta(seconds=60)
                ]
                assert len(young) <= state.allowed
            assert isinstance(answer, Admit) == isinstance(state, Closed)

    @given(st.integers(0, 4000))
    def test_an_outage_costs_few_probes_and_ends_soon_after_the_target_is_back(self, outage: int) -> None:
        breaker, now, spent = Breaker(DOWN), NOW, 0
        while not isinstance(breaker.state, Closed):
            if isinstance(admit(breaker, now), Probe):
                up = now >= after(outage)
                breaker = probed(breaker, now, succeeded=up)
                spent += not up
            now += timedelta(seconds=1)

        assert spent <= 5 + outage / 600
        assert (now - after(outage)).total_seconds() <= min(outage + 30, 600) + 10


class TestDocuments:
    @pytest.mark.parametrize(
        "breaker",
        [
            Breaker(),
            Breaker(Closed(NOW, 3)),
            Breaker(DOWN),
            Breaker(HalfOpen(NOW, 2, 3, 4, 2, 0, NOW)),
            Breaker(DOWN, Override("closed", "ada", "known", NOW)),
        ],
    )
    def test_a_breaker_survives_json(self, breaker: Breaker) -> None:
        assert parse_breaker(json.loads(json.dumps(render_breaker(breaker)))) == breaker

    def test_a_rule_survives_json_and_all_of_it_is_optional(self) -> None:
        assert decode(BreakerRule, encode(RULE)) == RULE == decode(BreakerRule, {})

    @pytest.mark.parametrize(
        ("document", "path"),
        [
            ({"failure_ratio": 0}, "failure_ratio"),
            ({"failure_ratio": 1.1}, "failure_ratio"),
            ({"minimum": 0}, "minimum"),
            ({"window_seconds": 0.5}, "window_seconds"),
            ({"open_seconds": 0}, "open_seconds"),
            ({"open_seconds": 700}, "max_open_seconds"),
            ({"growth": 0.5}, "growth"),
            ({"rounds": 0}, "rounds"),
            ({"rounds": 11}, "rounds"),
            ({"probe_seconds": 0}, "probe_seconds"),
        ],
    )
    def test_an_impossible_rule_is_refused(self, document: dict[str, Any], path: str) -> None:
        with pytest.raises(InvalidPolicy) as refused:
            decode(BreakerRule, document)

        assert refused.value.path == path


def test_rounds_double() -> None:
    sizes = [HalfOpen(NOW, 1, number).allowed for number in range(1, 6)]

    assert all(later == 2 * earlier for earlier, later in pairwise(sizes))
