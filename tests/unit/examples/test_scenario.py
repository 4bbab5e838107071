"""The demo's judge: it must accept what is right, and name what is wrong."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest
from examples.shop.scenario import (
    CARDS,
    CHARGE,
    MAILBOXES,
    PARCEL,
    POLICIES,
    PRODUCTS,
    RECEIPT,
    Attempt,
    Evidence,
    Order,
    Result,
    check,
    make_orders,
)

from redrive.core.policy import parse

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PAID = Order("o-1", product="book", card="flaky-3", email="ann@example.com")
REFUSED = Order("o-2", product="book", card="closed-2", email="ann@example.com")
BROKEN = Order("o-3", product="gift-card", card="good", email="ann@example.com")
UNTROUBLED = Order("o-4", product="lamp", card="good", email="nobody@example.com")
ORDERS = (PAID, REFUSED, BROKEN, UNTROUBLED)


def attempts(count: int) -> list[Attempt]:
    return [
        Attempt(number, NOW + timedelta(seconds=number), NOW + timedelta(seconds=number, milliseconds=20))
        for number in range(1, count + 1)
    ]


def perfect(orders: Sequence[Order]) -> Evidence:
    """Everybody's books when all went as it should."""
    paid = [order.id for order in orders if order.is_paid]
    done = [
        (order.id, scene)
        for order in orders
        for scene, outcome in order.expected().items()
        if outcome.status == "succeeded"
    ]
    return Evidence(
        results=[
            Result(order.id, scene, outcome.status, outcome.reason, attempts(outcome.attempts))
            for order in orders
            for scene, outcome in order.expected().items()
        ],
        ledger={order: f"ch-{order}" for order in paid},
        charges=[(order, f"ch-{order}") for order in paid],
        mails=[order for order, scene in done if scene == RECEIPT],
        parcels=[order for order, scene in done if scene == PARCEL],
    )


def spoil(evidence: Evidence, order: str, scene: str, **changes: Any) -> Evidence:
    """Change what became of one task."""
    results = [
        replace(result, **changes) if (result.order, result.scene) == (order, scene) else result
        for result in evidence.results
    ]
    return replace(evidence, results=results)


def test_accepts_what_is_right() -> None:
    assert check(ORDERS, perfect(ORDERS)) == []


def test_accepts_more_attempts_within_the_policy() -> None:
    most = POLICIES[CHARGE]["max_attempts"]

    assert check(ORDERS, spoil(perfect(ORDERS), "o-1", CHARGE, attempts=attempts(most))) == []


@pytest.mark.parametrize(
    ("order", "scene", "changes", "named"),
    [
        ("o-1", CHARGE, {"status": "dead", "reason": "exhausted"}, "expected succeeded, got dead (exhausted)"),
        ("o-1", CHARGE, {"status": "waiting"}, "expected succeeded, got waiting"),
        ("o-2", CHARGE, {"reason": "exhausted"}, "expected dead (stopped), got dead (exhausted)"),
        ("o-3", CHARGE, {"status": "succeeded", "reason": None}, "expected dead (exhausted), got succeeded"),
        ("o-3", CHARGE, {"attempts": attempts(5)}, "expected 6 to 6 attempts, got 5"),
        ("o-1", CHARGE, {"attempts": attempts(7)}, "expected 2 to 6 attempts, got 7"),
        ("o-1", CHARGE, {"attempts": attempts(1)}, "expected 2 to 6 attempts, got 1"),
        ("o-1", CHARGE, {"attempts": attempts(3)[1:]}, "numbered from 1 without a gap, got [2, 3]"),
    ],
)
def test_names_a_task_that_ended_otherwise(order: str, scene: str, changes: dict[str, Any], named: str) -> None:
    [line] = check(ORDERS, spoil(perfect(ORDERS), order, scene, **changes))

    assert line.startswith(f"{order} {scene}: ")
    assert named in line


def test_names_an_attempt_that_was_early() -> None:
    early = [Attempt(1, NOW, NOW - timedelta(milliseconds=3)), *attempts(2)[1:]]

    assert check(ORDERS, spoil(perfect(ORDERS), "o-1", CHARGE, attempts=early)) == [
        "o-1 charge-card: attempt 1 started 3.0 ms before it was due"
    ]


def test_names_a_missing_task_and_one_too_many() -> None:
    evidence = perfect(ORDERS)
    first, *rest = evidence.results

    assert check(ORDERS, replace(evidence, results=rest)) == ["o-1 charge-card: expected 1 task(s), found 0"]
    assert check(ORDERS, replace(evidence, results=[first, *evidence.results])) == [
        "o-1 charge-card: expected 1 task(s), found 2"
    ]
    assert check(ORDERS, replace(evidence, results=[*evidence.results, replace(first, order="o-9")])) == [
        "o-9 charge-card: expected 0 task(s), found 1"
    ]


def test_names_a_customer_who_paid_twice_and_one_who_should_not_have_paid() -> None:
    evidence = perfect(ORDERS)

    assert check(ORDERS, replace(evidence, charges=[*evidence.charges, ("o-1", "ch-9")])) == [
        "o-1: expected 1 charge(s), the provider took money 2 time(s)"
    ]
    assert check(ORDERS, replace(evidence, charges=[*evidence.charges, ("o-2", "ch-9")])) == [
        "o-2: expected 0 charge(s), the provider took money 1 time(s)"
    ]


def test_names_a_ledger_that_differs_from_the_providers() -> None:
    evidence = perfect(ORDERS)
    ledger = dict(evidence.ledger)

    assert check(ORDERS, replace(evidence, ledger={**ledger, "o-1": "ch-9"})) == [
        "o-1: the provider has ch-o-1, the shop's ledger has ch-9"
    ]
    assert check(ORDERS, replace(evidence, ledger={**ledger, "o-2": "ch-9"})) == [
        "o-2: never paid, but in the shop's ledger as ch-9"
    ]


def test_names_a_delivery_that_is_missing_or_should_not_be() -> None:
    evidence = perfect(ORDERS)

    [missing] = check(ORDERS, replace(evidence, parcels=["o-4"]))
    [wrong] = check(ORDERS, replace(evidence, mails=[*evidence.mails, "o-4"]))

    assert missing == "o-1 notify-warehouse: expected it to be done, and it was not"
    assert wrong == "o-4 send-receipt: expected it to be left undone, and it was not"


def test_names_a_call_that_ignored_retry_after() -> None:
    [line] = check(ORDERS, replace(perfect(ORDERS), impatient=["charge o-1"]))

    assert line.startswith("charge o-1: ")


def test_forty_orders_meet_everything_and_need_more_than_fifty_tasks() -> None:
    orders = list(islice(make_orders(), 40))
    ends = {(outcome.status, outcome.reason) for order in orders for outcome in order.expected().values()}

    assert {order.card for order in orders} == set(CARDS)
    assert {order.product for order in orders} == set(PRODUCTS)
    assert {order.email for order in orders} == set(MAILBOXES)
    assert sum(len(order.expected()) for order in orders) >= 50
    assert ends == {("succeeded", None), ("dead", "exhausted"), ("dead", "rejected"), ("dead", "stopped")}
    assert check(orders, perfect(orders)) == []


@pytest.mark.parametrize("scene", POLICIES)
def test_policies_are_valid_and_allow_what_is_expected(scene: str) -> None:
    policy = parse(POLICIES[scene])
    needed = [
        outcome.attempts for order in islice(make_orders(), 140) if (outcome := order.expected().get(scene)) is not None
    ]

    assert max(needed) <= policy.max_attempts
