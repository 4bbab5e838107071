from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from tests.unit.sdk.platform import Platform

from redrive.core.wire import ErrorFacts
from redrive.sdk import Redrive, Report, TaskEnd, UsageError, WebhookCallback, register_serialiser, testing
from redrive.sdk.executor import make_entry

told: list[tuple[Any, ...]] = []


class Down(Exception):
    pass


@pytest.fixture(autouse=True)
def _fresh() -> None:
    told.clear()


def thank(end: TaskEnd, order: str, amount: Decimal = Decimal(1)) -> None:
    told.append(("thanks", end, order, amount))


async def apologise(end: TaskEnd, order: str, amount: Decimal = Decimal(1)) -> None:
    told.append(("sorry", end, order, amount))


def charging(client: Redrive, fails: int, **options: Any) -> Callable[..., None]:
    calls: list[str] = []

    @client.retryable("charge", name="charge", mode="only_remote", raise_on_exhausted=False, **options)
    def charge(order: str, amount: Decimal = Decimal(1)) -> None:
        calls.append(order)
        if len(calls) <= fails:
            raise Down("the bank is down")

    return charge


def test_a_report_names_who_is_told_and_the_node_can_run_it(client: Redrive, platform: Platform) -> None:
    charging(client, 9, on_success=thank, on_dead="support.tell")("o-1")

    assert platform.order[0]["callbacks"] == {"on_success": f"{__name__}.thank", "on_dead": "support.tell"}
    assert f"{__name__}.thank" in client.registry.names()


@pytest.mark.parametrize(("fails", "word", "attempts"), [(2, "thanks", 2), (9, "sorry", 3)])
def test_callbacks_get_the_end_and_the_arguments_of_the_call(
    client: Redrive, fails: int, word: str, attempts: int
) -> None:
    charge = charging(client, fails, on_success=thank, on_dead=apologise, business_key="{order}")
    with testing.manual(client, policy={"max_attempts": 3}) as reports:
        charge("o-1", Decimal("9.90"))
        task, callback = reports.drain()

    assert (callback.parent_id, callback.status) == (task.id, "succeeded")
    ((said, end, order, amount),) = told
    assert (said, order, amount) == (word, "o-1", Decimal("9.90"))
    dead = word == "sorry"
    assert end == TaskEnd(
        task=task.id, generation=1, scene="charge", executor="charge", business_key="o-1",
        outcome="dead" if dead else "succeeded", dead_reason="exhausted" if dead else None, attempts=attempts,
        error=ErrorFacts(f"{__name__}.Down", "the bank is down") if dead else None,
    )  # fmt: skip
    assert end.succeeded is not dead


def test_a_webhook_is_told_by_a_signed_event(client: Redrive, platform: Platform) -> None:
    hook = WebhookCallback("https://example.com/hook", {"x-shop": "7"})

    charging(client, 9, on_success=hook, on_cancelled=apologise)("o-1")
    with testing.manual(client, policy={"max_attempts": 1}) as reports:
        client.report("s", executor=make_charge(client), args=["o-1"], on_success=hook)
        task, told_task = reports.drain()

    document = {"url": "https://example.com/hook", "headers": {"x-shop": "7"}}
    assert platform.order[0]["callbacks"] == {"on_success": document, "on_cancelled": f"{__name__}.apologise"}
    assert (task.status, told_task.status, told_task.parent_id) == ("succeeded", "waiting", task.id)
    assert told_task.document["target"] == {"kind": "webhook", "method": "POST", **document}
    assert told_task.document["body"]["type"] == "task.succeeded"


def make_charge(client: Redrive) -> Callable[..., None]:
    @client.executor("paid")
    def paid(order: str) -> None: ...

    return paid


def test_one_call_and_hand_made_reports_can_have_callbacks_of_their_own(client: Redrive, platform: Platform) -> None:
    charge: Any = charging(client, 9)
    charge.with_options(on_dead=apologise)("o-1")
    charge("o-2")
    client.report("s", executor=charge, args=["o-3"], on_success=thank)
    client.report_many([Report(scene="s", executor="elsewhere", on_dead=apologise)])

    apology = {"on_dead": f"{__name__}.apologise"}
    thanks = {"on_success": f"{__name__}.thank"}
    assert [task.get("callbacks") for task in platform.order] == [apology, None, thanks, apology]


def test_a_registered_function_keeps_its_name_and_aliases(client: Redrive, platform: Platform) -> None:
    @client.executor("support.tell", aliases=["support.shout"])
    def tell(end: TaskEnd, *args: Any, **kwargs: Any) -> None: ...

    charging(client, 9, on_dead=tell)("o-1")

    assert platform.order[0]["callbacks"] == {"on_dead": "support.tell"}
    assert {"support.tell", "support.shout"} <= set(client.registry.names())


def test_an_end_is_restored_without_an_annotation_and_with_what_a_newer_server_adds(client: Redrive) -> None:
    def tell(end: Any, order: str, amount: Any = None) -> None:
        told.append((end, order))

    tell.__annotations__.clear()
    charging(client, 9, on_dead=tell)
    entry = client.registry.find(f"{__name__}.{tell.__qualname__}")
    outcome = {
        "task": "t", "generation": 2, "scene": "s", "executor": "e", "business_key": None, "outcome": "dead",
        "dead_reason": "stopped", "attempts": 1, "error": {"type": "E", "message": "m", "code": 7}, "mood": "bad",
    }  # fmt: skip
    args, kwargs = entry.parameters.load([outcome], {"order": "o-1"})
    entry.call(args, kwargs)

    assert told == [(TaskEnd("t", 2, "s", "e", None, "dead", "stopped", 1, ErrorFacts("E", "m")), "o-1")]


def test_a_payload_of_a_serialiser_comes_after_the_end() -> None:
    class Words:
        name = "words-of-ends"

        def dump(self, args: Any, kwargs: Any) -> Any:
            return " ".join(args)

        def load(self, document: Any) -> Any:
            return document.split(), {}

    register_serialiser(Words())
    entry = make_entry(thank, None)
    entry.parameters.restore_first(TaskEnd)
    outcome = {
        "task": "t", "generation": 1, "scene": "s", "executor": "e", "business_key": None, "outcome": "succeeded",
    }  # fmt: skip
    args, kwargs = entry.parameters.load([outcome], {"$serialiser": "words-of-ends", "$payload": "o-1 5"})

    assert (args[0].succeeded, args[1:], kwargs) == (True, ["o-1", "5"], {})


class Service:
    def tell(self, end: TaskEnd, order: str, amount: Decimal) -> None: ...


def nothing() -> None: ...
def no_end(order: str, amount: Decimal = Decimal(1)) -> None: ...
def too_few(end: TaskEnd, order: str) -> None: ...
def other_name(end: TaskEnd, order_id: str, amount: Decimal = Decimal(1)) -> None: ...
def no_default(end: TaskEnd, order: str, amount: Decimal) -> None: ...
def clash(order: TaskEnd, amount: Decimal = Decimal(1)) -> None: ...


@pytest.mark.parametrize(
    ("callback", "message"),
    [
        (7, "on_dead: expected the name of an executor, or a function with a name"),
        ("", "name of an executor, of 1 to 200 characters"),
        (lambda: None, "that other processes can find"),
        (Service.tell, r"is a method: register it with @executor\('Service.tell', instance="),
        (nothing, "its first one is the outcome: def nothing"),
        (no_end, "takes order: str first, but gets the outcome: put `end: TaskEnd`"),
        (too_few, r"unexpected keyword argument 'amount'. It is called as too_few\(end, order=…, amount=…\)"),
        (other_name, "missing a required argument: 'order_id'"),
        (no_default, r"missing a required argument: 'amount'. It is called as no_default\(end, order=…\)"),
        (clash, "multiple values for argument 'order'"),
    ],
)
def test_a_callback_that_cannot_take_the_call_is_refused_at_decoration(
    client: Redrive, callback: Any, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        charging(client, 9, on_dead=callback)


def test_a_function_that_never_reports_has_no_callbacks(client: Redrive) -> None:
    with pytest.raises(UsageError, match="only_local' reports nothing"):
        client.retryable("s", mode="only_local", on_success=thank)(nothing)


def test_positional_and_variadic_calls_find_callbacks_of_their_shape(client: Redrive) -> None:
    def call(first: str, /, second: int, *rest: int, flag: bool = False, **more: str) -> None: ...
    def fits(end: TaskEnd, /, *args: object, **kwargs: object) -> None: ...
    def lacks(end: TaskEnd, first: str, second: int) -> None: ...

    client.retryable("s", on_dead=fits)(call)
    with pytest.raises(UsageError, match="too many positional arguments"):
        client.retryable("s", on_dead=lacks)(call)
