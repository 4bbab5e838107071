from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from redrive.core.quota import LONGEST_TURN_SECONDS, Book, Granted, Later, Wish, settle
from redrive.core.restraints import LimitSetting, ScopeKey

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
GROUP: ScopeKey = ("group", "orders")
SCENE: ScopeKey = ("scene", "orders/charge")


def book(
    key: ScopeKey = GROUP,
    *,
    rate: float | None = None,
    concurrency: int | None = None,
    running: int = 0,
    average: float | None = None,
) -> Book:
    return Book(LimitSetting(key, rate, 1, concurrency), average_seconds=average, running=running)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_what_no_limit_holds_may_run() -> None:
    assert settle({}, [Wish((GROUP,)), Wish(())], NOW) == ([Granted(), Granted()], {})


def test_by_its_rate_each_attempt_is_given_the_instant_of_its_own_slot() -> None:
    answers, _ = settle({GROUP: book(rate=2)}, [Wish((GROUP,))] * 3, NOW)

    why = "group orders is limited to 2 attempts per second"
    assert answers == [Granted(), Later(after(0.5), why), Later(after(1), why)]


def test_who_comes_at_its_slot_takes_no_other() -> None:
    _, books = settle({GROUP: book(rate=2)}, [Wish((GROUP,))] * 3, NOW)

    answers, again = settle(books, [Wish((GROUP,), has_slot=True)], after(0.5))

    assert answers == [Granted()]
    assert again == books


def test_of_several_rates_the_latest_slot_counts() -> None:
    books = {GROUP: book(rate=10), SCENE: book(SCENE, rate=1)}

    answers, _ = settle(books, [Wish((GROUP, SCENE))] * 2, NOW)

    assert answers[1] == Later(after(1), "scene orders/charge is limited to 1 attempts per second")


@given(
    st.integers(1, 5),
    st.integers(0, 7),
    st.lists(st.booleans(), min_size=1, max_size=12),
    st.floats(0.001, 500) | st.none(),
)
def test_permits_are_never_more_than_allowed_and_turns_never_far(
    permits: int, running: int, wishes: list[bool], average: float | None
) -> None:
    books = {GROUP: book(concurrency=permits, running=running, average=average)}

    answers, after_all = settle(books, [Wish((GROUP,), has_slot) for has_slot in wishes], NOW)

    granted = sum(isinstance(answer, Granted) for answer in answers)
    assert granted == min(len(wishes), max(0, permits - running))
    assert after_all[GROUP].running == running + granted
    turns = [answer.at for answer in answers if isinstance(answer, Later)]
    assert all(NOW < turn <= after(LONGEST_TURN_SECONDS) for turn in turns)


def test_whoever_finds_no_permit_takes_none_of_another_limit() -> None:
    books = {GROUP: book(concurrency=5), SCENE: book(SCENE, concurrency=1, running=1)}

    (answer,), after_all = settle(books, [Wish((GROUP, SCENE))], NOW)

    assert isinstance(answer, Later)
    assert "orders/charge" in answer.why
    assert after_all[GROUP].running == 0


def test_a_backlog_asks_for_permits_at_the_pace_at_which_they_come_free() -> None:
    """Ten permits of 2 s come free five times a second; ten thousand who wait ask not much oftener than that."""
    books = {GROUP: book(concurrency=10, running=10, average=2)}

    answers, _ = settle(books, [Wish((GROUP,))] * 200, NOW)

    turns = [answer.at for answer in answers if isinstance(answer, Later)]
    assert sum(turn <= after(10) for turn in turns) == 62  # 10 s × 5 per second × 1.25
