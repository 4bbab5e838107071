"""`retryable`: run a function, and when it fails, retry it here, report it, or both.

    call ──► success ─────────────────────────────────────► result        (the fast path: one scope, nothing else)
         └─► failure ──► local attempts ──► success ──────► result
                               └─► exhausted ──► report ──► the error, a default, or a fallback

What follows from a failure is written once, as a generator of steps (`_recover`); one driver runs the steps of plain
functions and one awaits those of coroutines.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import logging
import time
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Concatenate, Final, ParamSpec, Protocol, TypeVar, cast, overload

from redrive.core.wire import NodeTarget, WorkerTarget
from redrive.sdk.context import SCOPE, Scope, Snooze, error_wait_seconds, says_stop
from redrive.sdk.ends import EVENTS, callback_document
from redrive.sdk.errors import AccessDenied, ReportError, Unserialisable, UsageError
from redrive.sdk.executor import ExecutorEntry, Registry, entry_of, make_entry
from redrive.sdk.options import BY_ARGUMENTS, MISSING, CallOptions, Options, check_key, make_options, render_key
from redrive.sdk.report import Outgoing, Receipt, Report, prepare, seconds, stable_key, target_document
from redrive.sdk.serialisation import serialiser_named

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")
D_co = TypeVar("D_co", covariant=True)

log = logging.getLogger("redrive.sdk")

_RAISE: Final = object()


class Reporter(Protocol):
    """What a decorated function needs of its client."""

    @property
    def group(self) -> str:
        """The client's own group."""
        ...

    @property
    def target(self) -> NodeTarget | WorkerTarget:
        """Where attempts go unless a report says otherwise."""
        ...

    @property
    def enabled(self) -> bool:
        """Whether anything is retried at all."""
        ...

    @property
    def sleeps(self) -> bool:
        """Whether local waits are real; a test does without."""
        ...

    def hand_over(self, outgoing: Outgoing, *, background: bool, timeout: float | None) -> Receipt:
        """Report, and wait for the outcome unless it goes in the background."""
        ...

    async def ahand_over(self, outgoing: Outgoing, *, background: bool, timeout: float | None) -> Receipt:
        """Report without blocking the event loop."""
        ...

    def keep(self, outgoing: Outgoing, reason: str) -> Receipt:
        """Put a report into the spool."""
        ...


class Retryable(Protocol[P, R_co]):
    """A decorated function: called like the function itself."""

    __name__: str
    __qualname__: str

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Run the function, with retries."""
        ...

    @overload
    def __get__(self, instance: None, owner: type | None = None, /) -> Retryable[P, R_co]: ...

    @overload
    def __get__(
        self: Retryable[Concatenate[S, Q], R_co], instance: S, owner: type | None = None, /
    ) -> Callable[Q, R_co]: ...

    @overload
    def __get__(  # under @staticmethod
        self, instance: object, owner: type | None = None, /
    ) -> Retryable[P, R_co]: ...

    @property
    def original(self) -> Callable[P, R_co]:
        """The function as it was: no retries, no reports."""
        ...

    def with_options(self, **options: Any) -> Retryable[P, R_co]:
        """Change options for one call: `charge.with_options(priority=1)(order)`.

        Args:
            **options: See `CallOptions`.

        Returns:
            A function of the same signature.

        Raises:
            UsageError: An option is unknown or impossible.
        """
        ...


class ClassRetryable(Retryable[..., R_co], Protocol[Q, R_co]):
    """A decorated function under `@classmethod`: type checkers bind its class however it is looked up.

    To them, any function whose first parameter takes classes is one, such as `def log(what: object)`. That is why a
    plain call of it is not checked: it must not be refused for what nobody meant.
    """

    def __get__(  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride] - it always binds
        self, instance: object, owner: type | None = None, /
    ) -> Callable[Q, R_co]: ...


class RetryableDecorator(Protocol):
    """Decorates plain and `async` functions and methods, and keeps their signature."""

    @overload
    def __call__(self, function: Callable[Concatenate[type[S], Q], R], /) -> ClassRetryable[Q, R]: ...

    @overload
    def __call__(self, function: Callable[P, R], /) -> Retryable[P, R]: ...

    def __call__(self, function: Callable[..., Any], /) -> Any:
        """Decorate `function`."""
        ...


class DefaultingDecorator(Protocol[D_co]):
    """Decorates as `RetryableDecorator` does; what the functions return may also be a default."""

    @overload
    def __call__(
        self, function: Callable[Concatenate[type[S], Q], Coroutine[Any, Any, R]], /
    ) -> ClassRetryable[Q, Coroutine[Any, Any, R | D_co]]: ...

    @overload
    def __call__(self, function: Callable[Concatenate[type[S], Q], R], /) -> ClassRetryable[Q, R | D_co]: ...

    @overload
    def __call__(
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> Retryable[P, Coroutine[Any, Any, R | D_co]]: ...

    @overload
    def __call__(self, function: Callable[P, R], /) -> Retryable[P, R | D_co]: ...

    def __call__(self, function: Callable[..., Any], /) -> Any:
        """Decorate `function`."""
        ...


def retryable_decorator(
    reporter: Callable[[], Reporter], registry: Registry, scene: str, options: Mapping[str, Any]
) -> RetryableDecorator:
    """Make the decorator.

    Args:
        reporter: Finds the client; asked at the first failure, or at the first call for what must be checked early.
        registry: Where the function becomes an executor.
        scene: Name of the scene.
        options: See `RetryableOptions`.

    Returns:
        The decorator.

    Raises:
        UsageError: An option is unknown or impossible.
    """
    if callable(cast("Any", scene)):
        raise UsageError("retryable needs a scene: write @retryable(scene='charge-card'), with parentheses")
    if not isinstance(cast("Any", scene), str) or not 1 <= len(scene) <= 200:
        raise UsageError(f"scene: expected 1 to 200 characters, got {scene!r}")
    made = make_options(options, scene)

    def decorate(function: Callable[..., Any], /) -> Any:
        if hasattr(function, "__redrive_plan__"):
            raise UsageError(f"{function.__qualname__} is retryable already: leave one of the decorators out")
        entry = make_entry(
            function,
            made.name,
            version=made.version,
            aliases=made.aliases,
            instance=made.instance,
            needs_receiver=made.reports and made.executor is None,
            wants=made.wants,
        )
        check_key(made.idempotency_key, "idempotency_key", entry.parameters, entry.name)
        check_key(made.business_key, "business_key", entry.parameters, entry.name)
        if made.reports and made.executor is None:
            registry.add(entry)
        if not made.reports and any(getattr(made, event) is not None for event in EVENTS):
            raise UsageError(
                f"{entry.name}: mode='only_local' reports nothing, so that {', '.join(EVENTS)} would never be "
                "called: leave them out, or choose another mode"
            )
        callbacks = _callbacks(made, entry, registry)
        name = _executor_name(made, entry, registry)
        plan = _Plan(scene, function, entry, made, reporter, registry, name, callbacks)
        return _wrap(plan)

    return cast("RetryableDecorator", decorate)


@dataclass(slots=True)
class _Plan:
    """Everything about one decorated function."""

    scene: str
    function: Callable[..., Any]
    entry: ExecutorEntry
    options: Options
    reporter: Callable[[], Reporter]
    registry: Registry
    executor: str
    callbacks: Mapping[str, str | dict[str, Any]]
    unchecked: bool = True

    def dump(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        name = self.options.serialiser
        return self.entry.parameters.dump(args, kwargs, serialiser_named(name) if name is not None else None)

    def check_first_call(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Find out at the first call, not at the first failure, that arguments cannot travel or nobody takes them."""
        try:
            self.entry.parameters.bind(args, kwargs)
        except TypeError:
            return  # the function itself raises it, in its own words
        self.dump(args, kwargs)
        self.reporter()
        self.unchecked = False

    def outgoing(
        self,
        reporter: Reporter,
        error: BaseException | None,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        frozen: tuple[list[Any], dict[str, Any]] | None,
    ) -> Outgoing:
        options, parameters = self.options, self.entry.parameters
        positional, named = frozen if frozen is not None else self.dump(args, kwargs)
        life = seconds(options.deadline)
        wait = error_wait_seconds(error) if error is not None else None
        delay = seconds(options.delay)
        report = Report(
            scene=self.scene,
            target=options.target,
            group=options.group,
            idempotency_key=self._by_arguments(reporter, positional, named)
            if options.idempotency_key == BY_ARGUMENTS
            else render_key(options.idempotency_key, parameters, args, kwargs),
            dedupe=options.dedupe,
            business_key=render_key(options.business_key, parameters, args, kwargs),
            delay=max(wait, delay or 0.0) if wait is not None else delay,
            deadline=datetime.now(UTC) + timedelta(seconds=life) if life is not None else None,
            priority=options.priority,
            policy=options.policy,
            error=error
            if error is not None
            else {"type": "redrive.RetryIfResult", "message": "the result said: retry"},
            metadata=options.metadata,
        )
        return prepare(report, reporter.group, reporter.target, self.executor, positional, named, self.callbacks)

    def _by_arguments(self, reporter: Reporter, args: list[Any], kwargs: dict[str, Any]) -> str:
        target = target_document(self.options.target, self.options.group, reporter.group, reporter.target)
        return stable_key(self.scene, self.executor, args, kwargs, target)


def _wrap(plan: _Plan) -> Callable[..., Any]:
    wrapper = _wrap_async(plan) if plan.entry.is_async else _wrap_sync(plan)

    def with_options(**options: Any) -> Callable[..., Any]:
        allowed = CallOptions.__annotations__
        for name in options:
            if name not in allowed and name in Options.__dataclass_fields__:
                raise UsageError(f"{plan.entry.name}: {name} belongs to the decorator: it cannot differ between calls")
        made = make_options(options, plan.entry.name, plan.options)
        check_key(made.idempotency_key, "idempotency_key", plan.entry.parameters, plan.entry.name)
        check_key(made.business_key, "business_key", plan.entry.parameters, plan.entry.name)
        callbacks = _callbacks(made, plan.entry, plan.registry)
        return _wrap(dataclasses.replace(plan, options=made, callbacks=callbacks, unchecked=True))

    attributes = cast("Any", wrapper)
    attributes.original = plan.function
    attributes.with_options = with_options
    attributes.__redrive_plan__ = plan
    attributes.__redrive_executor__ = plan.entry
    return wrapper


def _wrap_sync(plan: _Plan) -> Callable[..., Any]:
    function, options = plan.function, plan.options
    current, enter, leave = SCOPE.get, SCOPE.set, SCOPE.reset
    retry_if_result, snapshot, checks = options.retry_if_result, options.snapshot, options.reports

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        outer = current()
        if outer is not None and outer.active and _joins(options, outer):
            return function(*args, **kwargs)
        if checks and plan.unchecked:
            plan.check_first_call(args, kwargs)
        frozen = plan.dump(args, kwargs) if snapshot else None
        scope = Scope() if outer is None else _inner_scope(outer)
        token = enter(scope)
        try:
            result = function(*args, **kwargs)
            if retry_if_result is None or not retry_if_result(result):
                return result
            settled = _drive(_recover(plan, scope, None, result, args, kwargs, frozen))
        except Exception as error:
            settled = _drive(_recover(plan, scope, error, None, args, kwargs, frozen))
            if settled is _RAISE:
                raise
        finally:
            scope.active = False
            leave(token)
        return settled

    return call


def _wrap_async(plan: _Plan) -> Callable[..., Any]:
    function, options = plan.function, plan.options
    current, enter, leave = SCOPE.get, SCOPE.set, SCOPE.reset
    retry_if_result, snapshot, checks = options.retry_if_result, options.snapshot, options.reports

    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        outer = current()
        if outer is not None and outer.active and _joins(options, outer):
            return await function(*args, **kwargs)
        if checks and plan.unchecked:
            plan.check_first_call(args, kwargs)
        frozen = plan.dump(args, kwargs) if snapshot else None
        scope = Scope() if outer is None else _inner_scope(outer)
        token = enter(scope)
        try:
            result = await function(*args, **kwargs)
            if retry_if_result is None or not retry_if_result(result):
                return result
            settled = await _adrive(_recover(plan, scope, None, result, args, kwargs, frozen))
        except Exception as error:
            settled = await _adrive(_recover(plan, scope, error, None, args, kwargs, frozen))
            if settled is _RAISE:
                raise
        finally:
            scope.active = False
            leave(token)
        return settled

    return call


def _joins(options: Options, outer: Scope) -> bool:
    """Whether a call inside a scope is left to it: what is outside sees the error and retries the whole."""
    if outer.attempt is not None or outer.guarded:
        return not options.force_report
    return options.propagation == "join"


def _inner_scope(outer: Scope) -> Scope:
    if not outer.active:
        return Scope()
    return Scope(outer.attempt, outer.deadline, guarded=outer.guarded)


class _Step(Protocol):
    def run(self) -> Any: ...

    async def arun(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class _Sleep:
    seconds: float

    def run(self) -> None:
        time.sleep(self.seconds)

    async def arun(self) -> None:
        import asyncio  # noqa: PLC0415 - who awaits has loaded it; who does not should not

        await asyncio.sleep(self.seconds)


@dataclass(frozen=True, slots=True)
class _Call:
    function: Callable[..., Any]
    args: Sequence[Any]
    kwargs: Mapping[str, Any]

    def run(self) -> Any:
        return self.function(*self.args, **self.kwargs)

    async def arun(self) -> Any:
        result = self.function(*self.args, **self.kwargs)
        return await result if inspect.isawaitable(result) else result


@dataclass(frozen=True, slots=True)
class _HandOver:
    reporter: Reporter
    outgoing: Outgoing
    background: bool
    timeout: float | None

    def run(self) -> Receipt:
        return self.reporter.hand_over(self.outgoing, background=self.background, timeout=self.timeout)

    async def arun(self) -> Receipt:
        return await self.reporter.ahand_over(self.outgoing, background=self.background, timeout=self.timeout)


def _drive(flow: Generator[_Step, Any, Any]) -> Any:
    try:
        step = next(flow)
        while True:
            try:
                value = step.run()
            except Exception as error:  # noqa: BLE001 - the flow decides what an error means
                step = flow.throw(error)
            else:
                step = flow.send(value)
    except StopIteration as end:
        return end.value


async def _adrive(flow: Generator[_Step, Any, Any]) -> Any:
    try:
        step = next(flow)
        while True:
            try:
                value = await step.arun()
            except Exception as error:  # noqa: BLE001 - the flow decides what an error means
                step = flow.throw(error)
            else:
                step = flow.send(value)
    except StopIteration as end:
        return end.value


def _recover(
    plan: _Plan,
    scope: Scope,
    error: Exception | None,
    result: Any,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    frozen: tuple[list[Any], dict[str, Any]] | None,
) -> Generator[_Step, Any, Any]:
    """Follow a failure: an error, or a result that the rule refuses.

    Returns:
        What the call returns, or `_RAISE` to raise the first error as it is.
    """
    options = plan.options
    first = error
    reporter = plan.reporter()
    if not reporter.enabled or (error is not None and (scope.stop or not _retries(options, error))):
        return _RAISE if error is not None else result
    inside = scope.attempt is not None or scope.guarded  # only with force_report: no local attempts there
    if options.retries_locally and not inside:
        for number in range(2, options.local_attempts + 1):
            wait = _local_wait(options, scope, number, error)
            if wait is None:
                break
            if reporter.sleeps:
                yield _Sleep(wait)
            scope.local_attempt = number
            try:
                result = yield _Call(plan.function, args, kwargs)
            except Exception as again:  # noqa: BLE001 - any error of the function is a failed attempt
                error = again
                if scope.stop or not _retries(options, again):
                    return _raise(first, again)
                continue
            if options.retry_if_result is None or not options.retry_if_result(result):
                return result
            error = None
    handed_over = True
    if options.reports:
        receipt = yield from _report(plan, reporter, error, args, kwargs, frozen)
        handed_over = receipt is not None
        if error is not None:
            error.add_note(_note(receipt))
    if handed_over:
        if options.fallback is not None:
            return (yield _Call(options.fallback, args, kwargs))
        if options.default is not MISSING:
            return options.default
        if not options.raise_on_exhausted:
            return None
    return _raise(first, error) if error is not None else result


def _report(
    plan: _Plan,
    reporter: Reporter,
    error: Exception | None,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    frozen: tuple[list[Any], dict[str, Any]] | None,
) -> Generator[_Step, Any, Receipt | None]:
    try:
        outgoing = plan.outgoing(reporter, error, args, kwargs, frozen)
        options = plan.options
        handing = _HandOver(reporter, outgoing, background=options.background, timeout=seconds(options.timeout))
        try:
            receipt: Receipt = yield handing
        except AccessDenied as problem:
            # A key that is wrong today is no reason to lose what failed today.
            log.error("redrive: %s", problem)
            receipt = reporter.keep(outgoing, str(problem))
    except (ReportError, Unserialisable) as problem:
        log.error("redrive: a failure of %s was not reported: %s", plan.entry.name, problem)
    except Exception as problem:  # noqa: BLE001 - a key function that fails must not replace the application's error
        log.error("redrive: a failure of %s was not reported: %s: %s", plan.entry.name, type(problem).__name__, problem)
    else:
        return receipt
    return None


def _retries(options: Options, error: BaseException) -> bool:
    return not says_stop(error) and options.wants(error)


def _local_wait(options: Options, scope: Scope, number: int, error: BaseException | None) -> float | None:
    """Tell how long to wait here; None when waiting belongs to the server, or would be in vain."""
    from random import Random  # noqa: PLC0415 - at the first failure, not before

    from redrive.core.backoff import next_delay  # noqa: PLC0415 - as above

    wait = next_delay(options.backoff, number - 1, datetime.now(UTC), Random()).seconds  # noqa: S311 - spreads waits
    asked = error_wait_seconds(error) if error is not None else None
    if isinstance(error, Snooze) or (asked is not None and asked > max(wait, 1.0)):
        return None if options.reports else max(wait, asked or 0.0)
    if scope.deadline is not None and datetime.now(UTC) + timedelta(seconds=wait) >= scope.deadline:
        return None
    return max(wait, asked or 0.0)


def _raise(first: Exception | None, error: Exception) -> Any:
    if error is first:
        return _RAISE
    raise error


def _note(receipt: Receipt | None) -> str:
    if receipt is None:
        return "Redrive: this failure could not be reported, so it will not be retried; see the log"
    if receipt.id is not None:
        return f"Redrive: {receipt.status} as task {receipt.id}; it will be retried"
    return f"Redrive: {receipt.status} as report {receipt.report_id}; it will be retried"


def _callbacks(options: Options, entry: ExecutorEntry, registry: Registry) -> dict[str, str | dict[str, Any]]:
    # A serialiser may bring arguments back in another shape: then only the call itself shows whether they fit.
    call = entry.parameters.signature() if options.serialiser is None else None
    given = {event: getattr(options, event) for event in EVENTS}
    return {
        event: callback_document(callback, event, registry, entry.name, call)
        for event, callback in given.items()
        if callback is not None
    }


def _executor_name(options: Options, entry: ExecutorEntry, registry: Registry) -> str:
    """Tell the name that reports carry, registering a function that was given in place of a name."""
    chosen = options.executor
    if chosen is None:
        return entry.name
    if isinstance(chosen, str):
        return chosen
    known = entry_of(chosen)
    if known is None:
        known = make_entry(cast("Callable[..., Any]", chosen), None)
        registry.add(known)
    return known.name
