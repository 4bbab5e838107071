"""Who buys what, what must become of it, and whether it did."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Any

CHARGE, PARCEL, RECEIPT = "charge-card", "notify-warehouse", "send-receipt"
SCENES = (CHARGE, PARCEL, RECEIPT)

# What fails here is chosen by the order, so most attempts fail although the provider is up: a breaker would take it for
# down. A Retry-After still holds back all calls to the warehouse, which then return within seconds.
TARGET: Mapping[str, Any] = {
    "breaker": {"enabled": False},
    "slow_start": {"first_per_second": 20, "doubling_seconds": 1},
}
POLICIES: Mapping[str, Mapping[str, Any]] = {
    CHARGE: {
        **TARGET,
        "backoff": {"kind": "exponential", "initial_seconds": 0.5, "max_seconds": 4, "jitter": {"kind": "equal"}},
        "max_attempts": 6,
        "attempt_timeout_seconds": 5,
    },
    PARCEL: {
        **TARGET,
        "backoff": {"kind": "fixed", "delay_seconds": 0.5},
        "max_attempts": 4,
        "attempt_timeout_seconds": 5,
    },
    RECEIPT: {
        **TARGET,
        "backoff": {"kind": "linear", "initial_seconds": 0.5, "increment_seconds": 0.5},
        "max_attempts": 4,
        "attempt_timeout_seconds": 5,
    },
}
"""Seconds instead of minutes, because somebody is watching."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a task must end.

    Attributes:
        status: Its last state.
        reason: Why it is dead.
        attempts: The fewest attempts that it can take; the most are those that the policy allows.
    """

    status: str
    reason: str | None = None
    attempts: int = 1


REJECTED = Outcome("dead", "rejected", 1)
STOPPED = Outcome("dead", "stopped", 1)
BUG = Outcome("dead", "exhausted", POLICIES[CHARGE]["max_attempts"])

# The shop itself asks twice before it reports, or once when it was told to come back later.
CARDS: Mapping[str, Outcome | None] = {
    "good": None,  # paid at once: there is nothing to retry
    "flaky-3": Outcome("succeeded", attempts=2),
    "slow-3": Outcome("succeeded", attempts=2),
    "outage": Outcome("succeeded", attempts=1),
    "busy": Outcome("succeeded", attempts=1),
    "flaky-5": Outcome("succeeded", attempts=4),
    "closed-2": STOPPED,
}
PRODUCTS: Mapping[str, Outcome | None] = {
    "book": Outcome("succeeded", attempts=1),
    "lamp": Outcome("succeeded", attempts=2),
    "poster": REJECTED,
    "chair": Outcome("succeeded", attempts=1),
    "gift-card": None,  # its charge never succeeds, so there is never a parcel
}
MAILBOXES: Mapping[str, Outcome] = {
    "ann@example.com": Outcome("succeeded", attempts=1),
    "greylisted@example.com": Outcome("succeeded", attempts=2),
    "bob@example.com": Outcome("succeeded", attempts=1),
    "nobody@example.com": STOPPED,
}


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody buys, with a card and a mailbox that decide what goes wrong."""

    id: str
    product: str
    card: str
    email: str
    amount: str = "19.90"

    @property
    def is_paid(self) -> bool:
        """Whether the payment succeeds in the end."""
        return self.product != "gift-card" and not self.card.startswith("closed")

    def expected(self) -> dict[str, Outcome]:
        """Tell which tasks this order makes, by scene, and how they must end."""
        charge = BUG if self.product == "gift-card" else CARDS[self.card]
        parcel = PRODUCTS[self.product]
        tasks = {CHARGE: charge} if charge else {}
        if self.is_paid and parcel:
            tasks |= {PARCEL: parcel, RECEIPT: MAILBOXES[self.email]}
        return tasks


def make_orders(first: int = 1) -> Iterator[Order]:
    """Make orders without end, in which every card meets every product and every mailbox."""
    cards, products, mailboxes = list(CARDS), list(PRODUCTS), list(MAILBOXES)
    for number in count(first):
        yield Order(
            id=f"o-{number:03}",
            card=cards[number % len(cards)],
            product=products[number % len(products)],
            email=mailboxes[number % len(mailboxes)],
        )


@dataclass(frozen=True, slots=True)
class Attempt:
    """When an attempt was due, and when it ran."""

    number: int
    due_at: datetime
    started_at: datetime

    @property
    def lag_seconds(self) -> float:
        """How much later than planned it started."""
        return (self.started_at - self.due_at).total_seconds()


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one task."""

    order: str
    scene: str
    status: str
    reason: str | None
    attempts: Sequence[Attempt]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What everybody's books say at the end.

    Attributes:
        results: Redrive's tasks.
        ledger: The shop's: charge by order.
        charges: The provider's: order and charge, once for each time that money was taken.
        mails: The orders for which a receipt was sent.
        parcels: The orders for which a parcel was sent.
        impatient: The calls that came before the provider's `Retry-After` was over.
    """

    results: Sequence[Result]
    ledger: Mapping[str, str]
    charges: Sequence[tuple[str, str]]
    mails: Sequence[str]
    parcels: Sequence[str]
    impatient: Sequence[str] = ()


def check(orders: Sequence[Order], evidence: Evidence) -> list[str]:
    """Compare what happened with what should have happened; return one line for each difference."""
    return [
        *_check_tasks(orders, evidence.results),
        *_check_due_times(evidence.results),
        *_check_money(orders, evidence),
        *_check_deliveries(orders, evidence),
        *(f"{call}: was asked for again before the provider's Retry-After was over" for call in evidence.impatient),
    ]


def _check_tasks(orders: Sequence[Order], results: Sequence[Result]) -> Iterator[str]:
    """Every order has the tasks that it should have, one of each, and each of them ended as it should."""
    expected = {(order.id, scene): outcome for order in orders for scene, outcome in order.expected().items()}
    found = Counter((result.order, result.scene) for result in results)
    for order, scene in sorted(expected.keys() | found.keys()):
        wanted = 1 if (order, scene) in expected else 0
        if found[order, scene] != wanted:
            yield f"{order} {scene}: expected {wanted} task(s), found {found[order, scene]}"
    for result in results:
        outcome = expected.get((result.order, result.scene))
        if outcome is not None:
            yield from _check_end(result, outcome)


def _check_end(result: Result, outcome: Outcome) -> Iterator[str]:
    name = f"{result.order} {result.scene}"
    if (result.status, result.reason) != (outcome.status, outcome.reason):
        yield (
            f"{name}: expected {describe(outcome.status, outcome.reason)}, got {describe(result.status, result.reason)}"
        )
    most = POLICIES[result.scene]["max_attempts"]
    if not outcome.attempts <= len(result.attempts) <= most:
        yield f"{name}: expected {outcome.attempts} to {most} attempts, got {len(result.attempts)}"
    numbers = [attempt.number for attempt in result.attempts]
    if numbers != list(range(1, len(numbers) + 1)):
        yield f"{name}: expected attempts numbered from 1 without a gap, got {numbers}"


def _check_due_times(results: Sequence[Result]) -> Iterator[str]:
    """No attempt starts before it is due."""
    for result in results:
        for attempt in result.attempts:
            if attempt.lag_seconds < 0:
                early = f"{-attempt.lag_seconds * 1000:.1f} ms before it was due"
                yield f"{result.order} {result.scene}: attempt {attempt.number} started {early}"


def _check_money(orders: Sequence[Order], evidence: Evidence) -> Iterator[str]:
    """Every paid order was charged once, though the provider was asked many times; nobody else was charged."""
    for order in orders:
        charges = [charge for charged, charge in evidence.charges if charged == order.id]
        if len(charges) != int(order.is_paid):
            yield f"{order.id}: expected {int(order.is_paid)} charge(s), the provider took money {len(charges)} time(s)"
        elif charges and evidence.ledger.get(order.id) != charges[0]:
            yield f"{order.id}: the provider has {charges[0]}, the shop's ledger has {evidence.ledger.get(order.id)}"
        if not order.is_paid and order.id in evidence.ledger:
            yield f"{order.id}: never paid, but in the shop's ledger as {evidence.ledger[order.id]}"


def _check_deliveries(orders: Sequence[Order], evidence: Evidence) -> Iterator[str]:
    """A receipt and a parcel for everyone who should have them, and for nobody else."""
    for scene, done in ((RECEIPT, evidence.mails), (PARCEL, evidence.parcels)):
        for order in orders:
            outcome = order.expected().get(scene)
            wanted = outcome is not None and outcome.status == "succeeded"
            if (order.id in done) != wanted:
                yield f"{order.id} {scene}: expected it to be {'done' if wanted else 'left undone'}, and it was not"


def describe(status: str, reason: str | None) -> str:
    """Name an end state."""
    return f"{status} ({reason})" if reason else status
