from datetime import UTC, datetime, timedelta

import pytest

from redrive.core.errors import InvalidDocument
from redrive.core.restraints import LimitSetting, Pause, Place, Restraints, Scope, ScopeKey, check_key

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
PLACE = Place("orders", "charge-card", "host:api.example")
KEYS: tuple[ScopeKey, ...] = (
    ("namespace", ""),
    ("group", "orders"),
    ("scene", "orders/charge-card"),
    ("target", "host:api.example"),
)
OTHER: ScopeKey = ("group", "mail")


@pytest.mark.parametrize("key", KEYS)
def test_a_task_is_held_by_a_pause_of_each_of_its_scopes(key: ScopeKey) -> None:
    pause = Pause(key)

    assert Restraints({key: [pause]}).pause_of(PLACE, NOW) is pause
    assert Restraints({OTHER: [pause]}).pause_of(PLACE, NOW) is None


def test_of_several_pauses_the_one_counts_that_lasts_longest() -> None:
    ended, short, long = (Pause(("group", "orders"), NOW + timedelta(minutes=minutes)) for minutes in (0, 1, 5))
    endless = Pause(("namespace", ""))

    timed = Restraints({("group", "orders"): [ended, long, short]})
    with_endless = Restraints({("group", "orders"): [long], ("namespace", ""): [endless]})

    assert timed.pause_of(PLACE, NOW) is long
    assert timed.pause_of(PLACE, NOW + timedelta(minutes=5)) is None, "a pause has ended at its end"
    assert with_endless.pause_of(PLACE, NOW) is endless


def test_a_pause_says_who_holds_what_and_why() -> None:
    pause = Pause(("scene", "orders/charge-card"), NOW, "the bank migrates", "ada")

    assert pause.why == f"scene orders/charge-card is paused by ada until {NOW.isoformat()}: the bank migrates"


def test_a_task_is_under_the_limits_of_its_scopes_alone() -> None:
    target, group, other = (LimitSetting(key, 1) for key in (KEYS[3], KEYS[1], OTHER))

    found = Restraints(limits={one.key: one for one in (target, group, other)}).limits_of(PLACE)

    assert found == (group, target)


@pytest.mark.parametrize(
    ("scope", "key"),
    [*KEYS, ("target", "host:api.example:8443"), ("target", "host:[::1]:80"), ("target", "scene:orders/charge-card")],
)
def test_keys_that_tasks_have_are_accepted(scope: Scope, key: str) -> None:
    check_key(scope, key)


@pytest.mark.parametrize(
    ("scope", "key"),
    [
        ("namespace", "default"),
        ("group", ""),
        ("group", "orders/charge-card"),
        ("scene", "charge-card"),
        ("scene", "orders/charge/card"),
        ("target", "https://api.example/charge"),
        ("target", "host:API.example"),
        ("target", "api.example"),
    ],
)
def test_a_key_that_no_task_can_have_is_refused_with_an_example(scope: Scope, key: str) -> None:
    with pytest.raises(InvalidDocument, match=r"expected .*got"):
        check_key(scope, key)
