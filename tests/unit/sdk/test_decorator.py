from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import pytest
from tests.unit.sdk.platform import Platform

from redrive.core.policy import FixedBackoff, NoJitter
from redrive.sdk import (
    BY_ARGUMENTS,
    Redrive,
    RetryAfter,
    Stop,
    Unserialisable,
    UsageError,
    carry,
    retry_after,
    stop,
)
from redrive.sdk.context import SCOPE, Attempt, Scope
from redrive.sdk.decorator import RetryableDecorator

NOW = FixedBackoff(delay_seconds=0, jitter=NoJitter())


class Down(Exception):
    pass


class Down2(Down):
    pass


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Make a function retryable, and call it: the same behaviour is asked of plain and async functions."""

    def make(client: Redrive, body: Callable[..., Any], **options: Any) -> Callable[..., Any]:
        options = {"local_backoff": NOW, **options}
        retryable = cast("RetryableDecorator", client.retryable("charge", name="charge", **options))
        if request.param == "sync":

            @retryable
            def charge(order: str, amount: int = 1) -> Any:
                return body(order, amount)

            return charge

        @retryable
        async def acharge(order: str, amount: int = 1) -> Any:
            await asyncio.sleep(0)
            return body(order, amount)

        return lambda *args, **kwargs: asyncio.run(acharge(*args, **kwargs))

    return make


class Failing:
    def __init__(self, times: int, error: type[Exception] | Exception) -> None:
        self.calls: list[str] = []
        self._times, self._error = times, error

    def __call__(self, order: str, amount: int) -> str:
        self.calls.append(order)
        if len(self.calls) <= self._times:
            raise self._error
        return f"{order} after {len(self.calls)}"


def failing(times: int = 1_000, error: type[Exception] | Exception = Down) -> Failing:
    return Failing(times, error)


def test_a_call_that_succeeds_reports_nothing(call: Any, client: Redrive, platform: Platform) -> None:
    assert call(client, failing(0))("o-1") == "o-1 after 1"
    assert platform.requests == []


def test_local_attempts_heal_a_short_failure(call: Any, client: Redrive, platform: Platform) -> None:
    assert call(client, failing(2), local_attempts=3)("o-1") == "o-1 after 3"
    assert platform.order == []


def test_the_report_says_what_failed_and_the_error_says_what_became_of_it(
    call: Any, client: Redrive, platform: Platform
) -> None:
    body = failing(error=Down("bank is down"))
    with pytest.raises(Down, match="bank is down") as caught:
        call(client, body, local_attempts=2, business_key="{order}", priority=2, policy={"max_attempts": 5})("o-1")

    (task,) = platform.order
    assert len(body.calls) == 2
    assert (task["scene"], task["executor"], task["kwargs"]) == ("charge", "charge", {"order": "o-1"})
    assert (task["business_key"], task["priority"], task["policy"]) == ("o-1", 2, {"max_attempts": 5})
    assert task["error"]["type"] == f"{__name__}.Down"
    assert task["error"]["message"] == "bank is down"
    assert "in __call__" in task["error"]["stack"]
    assert caught.value.__notes__ == [f"Redrive: accepted as task {task['id']}; it will be retried"]


@pytest.mark.parametrize(
    ("mode", "calls", "reports"), [("only_local", 3, 0), ("only_remote", 1, 1), ("local_remote", 3, 1)]
)
def test_modes(call: Any, client: Redrive, platform: Platform, mode: str, calls: int, reports: int) -> None:
    body = failing()
    with pytest.raises(Down):
        call(client, body, mode=mode)("o-1")

    assert (len(body.calls), len(platform.order)) == (calls, reports)


@pytest.mark.parametrize(
    ("include", "exclude", "retried"),
    [((), (), True), (Down, (), True), (ValueError, (), False), ((), Down, False), ((), ValueError, True),
     (Down2, Down, True), (Down, Down2, False), ((ValueError, Down), (), True), (Down, Down, False)],
)  # fmt: skip
def test_the_nearest_class_decides_whether_an_error_is_retried(
    call: Any, client: Redrive, platform: Platform, include: Any, exclude: Any, retried: bool
) -> None:
    with pytest.raises(Down2):
        call(client, failing(error=Down2), include=include, exclude=exclude)("o-1")

    assert bool(platform.order) is retried


def test_a_result_can_be_a_failure(call: Any, client: Redrive, platform: Platform) -> None:
    results = iter(["pending", "pending", "pending"])

    def pending(order: str, amount: int) -> str:
        return next(results)

    result = call(client, pending, retry_if_result="pending".__eq__)("o-1")

    assert result == "pending"
    assert platform.order[0]["error"]["type"] == "redrive.RetryIfResult"


def test_a_handed_over_failure_can_give_a_default_or_a_fallback(call: Any, client: Redrive, platform: Platform) -> None:
    assert call(client, failing(), default="later")("o-1") == "later"
    client.registry = type(client.registry)()
    assert call(client, failing(), fallback="{} queued".format)("o-2") == "o-2 queued"
    client.registry = type(client.registry)()
    assert call(client, failing(), raise_on_exhausted=False)("o-3") is None


def test_a_failure_that_was_not_handed_over_is_raised_whatever_the_default(platform: Platform) -> None:
    platform.stop()
    with Redrive(platform.url, group="orders", spool=False) as client:

        @client.retryable("charge", mode="only_remote", default="later")
        def charge() -> str:
            raise Down

        with pytest.raises(Down) as caught:
            charge()

        assert "could not be reported" in caught.value.__notes__[0]


def test_stop_means_no_retry_and_retry_after_delays_the_first_attempt(
    call: Any, client: Redrive, platform: Platform
) -> None:
    with pytest.raises(Stop, match="card is closed"):
        call(client, failing(error=stop("card is closed")))("o-1")
    assert platform.order == []

    client.registry = type(client.registry)()
    body = failing(error=retry_after(40))
    with pytest.raises(RetryAfter):
        call(client, body)("o-1")
    assert platform.order[0]["delay_seconds"] == 40
    assert len(body.calls) == 1, "a wait that long belongs to the server"


def test_a_deadline_is_counted_from_the_failure(call: Any, client: Redrive, platform: Platform) -> None:
    before = datetime.now(UTC)
    with pytest.raises(Down):
        call(client, failing(), deadline=timedelta(hours=1), delay=5)("o-1")

    deadline = datetime.fromisoformat(platform.order[0]["deadline"])
    assert before + timedelta(hours=1) <= deadline <= datetime.now(UTC) + timedelta(hours=1)
    assert platform.order[0]["delay_seconds"] == 5


def test_failures_of_one_call_make_one_task_unless_a_key_says_otherwise(client: Redrive, platform: Platform) -> None:
    def fail(order: str, amount: int) -> None:
        raise Down

    def by_hand(order: str, amount: int) -> str:
        return f"{order}/{amount}"

    plain = client.retryable("plain", mode="only_remote", name="plain")(fail)
    same = client.retryable("plain", mode="only_remote", name="plain", idempotency_key=BY_ARGUMENTS)(fail)
    each = client.retryable("each", mode="only_remote", name="each", idempotency_key=None)(fail)
    by_format = client.retryable("fmt", mode="only_remote", name="fmt", idempotency_key="charge:{order}")(fail)
    by_function = client.retryable("fn", mode="only_remote", name="fn", idempotency_key=by_hand)(fail)
    for function in (plain, same, each, by_format, by_function):
        for calling in (lambda f=function: f("o-1", 5), lambda f=function: f(amount=5, order="o-1")):
            with pytest.raises(Down):
                calling()
    with pytest.raises(Down):
        plain("o-1", 6)

    assert [task["scene"] for task in platform.order] == ["plain", "each", "each", "fmt", "fn", "plain"]
    assert [task.get("idempotency_key") for task in platform.order[1:5]] == [None, None, "charge:o-1", "o-1/5"]
    assert len(platform.order[0]["idempotency_key"]) == 64
    assert len({task["report_id"] for task in platform.order}) == 6


def test_a_call_that_fails_again_after_its_task_has_ended_makes_a_new_one(
    call: Any, client: Redrive, platform: Platform
) -> None:
    charge = call(client, failing(), mode="only_remote")
    notes: list[str] = []
    for end in (False, True, False):
        with pytest.raises(Down) as caught:
            charge("o-1")
        notes.append(caught.value.__notes__[-1])
        if end:
            platform.end(platform.order[0])

    first, second = platform.order
    assert first["idempotency_key"] == second["idempotency_key"]
    assert first["dedupe_seconds"] == second["dedupe_seconds"] == 0
    assert [note.split()[1] for note in notes] == ["accepted", "duplicate", "accepted"]
    assert second["id"] in notes[2]


@pytest.mark.parametrize(("dedupe", "sent"), [(None, None), (60, 60), (timedelta(hours=1), 3600), (0, 0)])
def test_a_key_can_outlive_its_task(client: Redrive, platform: Platform, dedupe: Any, sent: float | None) -> None:
    @client.retryable("charge", mode="only_remote", dedupe=dedupe)
    def charge(order: str) -> None:
        raise Down

    with pytest.raises(Down):
        charge("o-1")

    assert platform.order[0].get("dedupe_seconds") == sent


def test_a_snapshot_keeps_arguments_as_they_were(client: Redrive, platform: Platform) -> None:
    def spoil(items: list[int]) -> None:
        items.clear()
        raise Down

    for name, snapshot in (("kept", True), ("spoilt", False)):
        with pytest.raises(Down):
            client.retryable(name, mode="only_remote", name=name, snapshot=snapshot)(spoil)([1, 2])

    assert [task["kwargs"]["items"] for task in platform.order] == [[1, 2], []]


def test_inner_calls_join_the_outermost_unless_they_are_separate(client: Redrive, platform: Platform) -> None:
    calls: list[str] = []

    @client.retryable("inner", local_attempts=5, local_backoff=NOW)
    def inner() -> None:
        calls.append("inner")
        raise Down

    @client.retryable("separate", mode="only_remote", propagation="separate", raise_on_exhausted=False)
    def separate() -> None:
        raise Down

    @client.retryable("outer", local_attempts=2, local_backoff=NOW)
    def outer() -> None:
        separate()
        inner()

    with pytest.raises(Down):
        outer()

    assert calls == ["inner", "inner"]
    assert [task["scene"] for task in platform.order] == ["separate", "outer"], "the same call is one task"


async def test_tasks_join_while_the_outermost_runs_and_not_after_it(client: Redrive, platform: Platform) -> None:
    go = asyncio.Event()

    @client.retryable("inner", mode="only_remote")
    async def inner() -> None:
        raise Down

    async def late() -> None:
        await go.wait()
        await inner()

    @client.retryable("outer", mode="only_remote")
    async def outer() -> asyncio.Task[None]:
        done = await asyncio.gather(inner(), inner(), return_exceptions=True)
        assert all(isinstance(item, Down) for item in done)
        return asyncio.create_task(late())

    task = await outer()
    assert platform.order == []
    go.set()
    with pytest.raises(Down):
        await task
    assert [item["scene"] for item in platform.order] == ["inner"]


def test_threads_are_separate_unless_the_context_is_carried(client: Redrive, platform: Platform) -> None:
    @client.retryable("inner", mode="only_remote", raise_on_exhausted=False)
    def inner(way: str) -> None:
        raise Down(way)

    def quiet() -> None:
        with pytest.raises(Down):
            inner("carried")

    @client.retryable("outer", mode="only_remote")
    def outer() -> None:
        for work in (lambda: inner("plain"), carry(quiet)):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()

    outer()

    assert [task["kwargs"]["way"] for task in platform.order] == ["plain"]


def test_no_retry_is_opened_inside_a_dispatched_attempt(client: Redrive, platform: Platform) -> None:
    calls: list[int] = []

    def fail() -> None:
        calls.append(1)
        raise Down

    plain = client.retryable("plain", name="plain", local_backoff=NOW)(fail)
    forced = client.retryable("forced", name="forced", local_backoff=NOW, force_report=True)(fail)
    token = SCOPE.set(Scope(Attempt("t", 1, 1, "s", "e")))
    try:
        for function in (plain, forced):
            with pytest.raises(Down):
                function()
    finally:
        SCOPE.reset(token)

    assert len(calls) == 2
    assert [task["scene"] for task in platform.order] == ["forced"]


def test_methods_run_on_an_instance_and_classmethods_on_their_class(client: Redrive, platform: Platform) -> None:
    class Shop:
        @client.retryable("method", mode="only_remote", instance=lambda: shop, business_key="{order}")
        def method(self, order: str) -> None:
            raise Down

        @classmethod
        @client.retryable("classmethod", mode="only_remote")
        def of_class(cls, order: str) -> None:
            assert cls.__name__ == "Shop"
            raise Down

        @staticmethod
        @client.retryable("static", mode="only_remote")
        def static(order: str) -> None:
            raise Down

    shop = Shop()
    for function in (shop.method, Shop.of_class, Shop.static):
        with pytest.raises(Down):
            function("o-1")

    assert [task["kwargs"] for task in platform.order] == [{"order": "o-1"}] * 3


def test_one_call_can_have_options_of_its_own(client: Redrive, platform: Platform) -> None:
    @client.retryable("charge", mode="only_remote")
    def charge(order: str) -> None:
        raise Down

    with pytest.raises(Down):
        charge.with_options(priority=1, idempotency_key="k-{order}")("o-1")
    with pytest.raises(Down):
        charge.original("o-2")

    assert [(task["priority"], task["idempotency_key"]) for task in platform.order] == [(1, "k-o-1")]
    with pytest.raises(UsageError, match="belongs to the decorator"):
        charge.with_options(version=2)


def test_a_background_report_does_not_keep_the_caller(client: Redrive, platform: Platform) -> None:
    @client.retryable("charge", mode="only_remote", background=True)
    def charge(order: str) -> None:
        raise Down

    for number in range(3):
        with pytest.raises(Down):
            charge(f"o-{number}")
    assert client.flush()

    assert len(platform.order) == 3
    assert [path for path, _ in platform.requests] == ["/v1/tasks/batch"]


def test_the_signature_stays(client: Redrive) -> None:
    @client.retryable("a")
    def plain(order: str, *, amount: Decimal = Decimal(1)) -> str:
        """Charge."""
        return order

    @client.retryable("b")
    async def awaited(order: str) -> str:
        return order

    assert str(inspect.signature(plain)) == "(order: 'str', *, amount: 'Decimal' = Decimal('1')) -> 'str'"
    assert (plain.__name__, plain.__doc__) == ("plain", "Charge.")
    assert inspect.iscoroutinefunction(awaited)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"local_attempt": 3}, "did you mean 'local_attempts'"),
        ({"mode": "local"}, "expected one of 'only_local'"),
        ({"local_attempts": 0}, "expected a whole number from 1"),
        ({"include": "ValueError"}, "expected an exception class"),
        ({"business_key": "{ordr}"}, "did you mean 'order'"),
        ({"business_key": "{order"}, "is no format string"),
        ({"policy": {"max_attempt": 5}}, "did you mean 'max_attempts'"),
        ({"policy": {"max_attempts": 0}}, "policy.max_attempts: expected a whole number"),
        ({"local_backoff": {"kind": "linaer"}}, "local_backoff.kind"),
        ({"default": 1, "fallback": print}, "either `default` or `fallback`"),
        ({"priority": 9}, r"1 \(first\) to 5"),
        ({"dedupe": -1}, "dedupe: expected seconds from 0"),
        ({"serialiser": "pickle"}, "no serialiser is named 'pickle'"),
        ({"name": "two words"}, "visible characters"),
        ({"version": 0}, "expected 1 or more"),
        ({"instance": print}, "is not a method"),
    ],
)
def test_wrong_options_fail_at_decoration_and_say_how_to_mend_them(
    client: Redrive, options: dict[str, Any], message: str
) -> None:
    def charge(order: str) -> None: ...

    with pytest.raises(UsageError, match=message):
        client.retryable("charge", **options)(charge)


def test_wrong_functions_fail_at_decoration(client: Redrive) -> None:
    def numbers() -> Any:
        yield 1

    class Shop:
        def method(self) -> None: ...

    def one() -> None: ...
    def two() -> None: ...

    with pytest.raises(UsageError, match="with parentheses"):
        client.retryable(one)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="is a generator"):
        client.retryable("s")(numbers)
    with pytest.raises(UsageError, match="instance="):
        client.retryable("s")(Shop.method)
    client.retryable("s", name="x")(one)
    with pytest.raises(UsageError, match="both claim the executor 'x'"):
        client.executor("x")(two)
    with pytest.raises(UsageError, match="retryable already"):
        client.retryable("s")(client.retryable("s", name="y")(two))


def test_arguments_that_cannot_travel_are_found_at_the_first_call(client: Redrive) -> None:
    called: list[object] = []

    @client.retryable("charge")
    def charge(socket: object) -> None:
        called.append(socket)

    with pytest.raises(Unserialisable, match="Pass an id"):
        charge(threading.Lock())
    assert called == []


def test_another_function_can_run_on_retry(client: Redrive, platform: Platform) -> None:
    @client.executor("orders.repair")
    def repair(order: str) -> None: ...

    @client.retryable("charge", mode="only_remote", executor=repair)
    def charge(order: str) -> None:
        raise Down

    with pytest.raises(Down):
        charge("o-1")

    assert platform.order[0]["executor"] == "orders.repair"
