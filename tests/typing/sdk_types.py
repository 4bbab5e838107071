"""What type checkers make of the SDK: checked, never run.

A line with `type: ignore` must be an error: the checkers are told to complain about one that is not needed.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from decimal import Decimal
from typing import Any, Literal, assert_type

from redrive.sdk import (
    Receipt,
    Redrive,
    Report,
    ReportError,
    TaskEnd,
    WebhookCallback,
    carry,
    current_attempt,
    executor,
    outgoing_headers,
    retryable,
    stop,
)
from redrive.sdk.decorator import Retryable

client = Redrive("http://127.0.0.1:8600", group="orders")


@retryable(scene="charge", mode="only_remote", business_key="{order}", local_attempts=2)
def charge(order: str, amount: Decimal = Decimal(1)) -> int:
    return int(amount)


@client.retryable("acharge", idempotency_key="k-{order}")
async def acharge(order: str) -> str:
    return order


@executor("orders.repair", version=2, aliases=["repair"])
def repair(order: str) -> None: ...


def make_shop() -> Shop:
    return Shop()


class Shop:
    @client.retryable("method", instance=make_shop)
    def method(self, order: str) -> int:
        return len(order)

    @client.retryable("amethod", instance=make_shop)
    async def amethod(self, order: str) -> int:
        return len(order)

    @classmethod
    @client.retryable("of-class")
    def of_class(cls, order: str) -> int:
        return len(order)

    @classmethod
    @client.retryable("aof-class", default=None)
    async def aof_class(cls, order: str) -> int:
        return len(order)

    @staticmethod
    @client.retryable("static")
    def static(order: str) -> int:
        return len(order)


@retryable(scene="default", default="later")
def later(order: str) -> int:
    return len(order)


@client.retryable("adefault", default=None, mode="only_remote")
async def alater(order: str) -> int:
    return len(order)


@client.retryable("quiet", raise_on_exhausted=False)
def quiet(order: str) -> int:
    return len(order)


def told(end: TaskEnd, order: str) -> None:
    assert_type(end.outcome, Literal["succeeded", "dead", "cancelled"])


@client.retryable(
    "with-callbacks",
    on_success=told,
    on_dead="orders.dead",
    on_cancelled=WebhookCallback("https://example.com/hook"),
    dedupe=60,
    idempotency_key=None,
)
def tells(order: str) -> int:
    return len(order)


@client.retryable("anything")
def anything(what: object, count: int = 1) -> int:
    return count


@client.retryable("any-arguments", default=None)
def any_arguments(*args: Any, **kwargs: Any) -> int:
    return len(args) + len(kwargs)


async def passes() -> None:
    assert_type(anything(1, count=2), int)
    assert_type(anything(what="it"), int)
    assert_type(any_arguments(), int | None)
    assert_type(any_arguments(1, a=2), int | None)
    assert_type(later("o-1"), int | str)
    assert_type(await alater("o-1"), int | None)
    assert_type(quiet("o-1"), int | None)
    assert_type(tells("o-1"), int)
    assert_type(Shop.method(Shop(), "o-1"), int)
    assert_type(Shop.method.original(Shop(), "o-1"), int)
    assert_type(Shop().of_class("o-1"), int)
    assert_type(await Shop.aof_class("o-1"), int | None)
    assert_type(Shop.static("o-1"), int)
    assert_type(client.report("s", executor=charge, on_dead=told, dedupe=None), Receipt)
    assert_type(charge("o-1"), int)
    assert_type(charge("o-1", amount=Decimal(2)), int)
    assert_type(charge.with_options(priority=1)("o-1"), int)
    assert_type(charge.original("o-1"), int)
    assert_type(await acharge("o-1"), str)
    assert_type(repair("o-1"), None)
    assert_type(Shop().method("o-1"), int)
    assert_type(await Shop().amethod("o-1"), int)
    assert_type(Shop.of_class("o-1"), int)
    assert_type(client.report("s", executor=charge, kwargs={"order": "o-1"}, delay=2.5), Receipt)
    assert_type(await client.areport("s", executor="orders.charge", args=["o-1"]), Receipt)
    assert_type(client.report_many([Report(scene="s", executor=repair)]), list[Receipt | ReportError])
    callback: Callable[[str], int] = charge
    task: Callable[[str], Coroutine[Any, Any, str]] = acharge
    kept: Retryable[[str], Coroutine[Any, Any, str]] = acharge
    assert_type(carry(charge)("o-1"), int)
    attempt = current_attempt()
    assert attempt is None or attempt.number
    assert dict(outgoing_headers())
    print(callback, task, kept)
    raise stop("done")


async def fails() -> None:
    charge(1)  # type: ignore[arg-type]
    charge()  # type: ignore[call-arg]
    charge("o-1", price=1)  # type: ignore[call-arg]
    await acharge(1)  # type: ignore[arg-type]
    repair(1)  # type: ignore[arg-type]
    Shop().method(1)  # type: ignore[arg-type]
    Shop().method()  # type: ignore[call-arg]
    charge.original(1)  # type: ignore[arg-type]
    client.report("s", executr="e")  # type: ignore[call-arg]
    client.report("s", priority="high")  # type: ignore[arg-type]
    client.retryable("s", mode="remote")  # type: ignore[call-overload]
    client.retryable("s", local_attempt=3)  # type: ignore[call-overload]
    Shop().of_class(1)  # type: ignore[arg-type]
    Shop.static(1)  # type: ignore[arg-type]
    later("o-1").upper()  # type: ignore[union-attr]
    client.retryable("s", on_dead=make_shop)  # type: ignore[arg-type]
    client.report("s", on_dead=repair)  # type: ignore[arg-type]
    retryable(charge)  # type: ignore[call-overload]
