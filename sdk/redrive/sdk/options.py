"""The options of `retryable`, checked when a function is decorated."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias, TypedDict, cast

from redrive.core.documents import decode, did_you_mean
from redrive.core.errors import InvalidDocument
from redrive.core.policy import Backoff, EqualJitter, ExponentialBackoff, Policy
from redrive.core.wire import NodeTarget, WorkerTarget
from redrive.sdk.ends import Callback
from redrive.sdk.errors import UsageError
from redrive.sdk.report import Executor, Seconds, seconds
from redrive.sdk.serialisation import Parameters, serialiser_named

Mode: TypeAlias = Literal["only_local", "only_remote", "local_remote"]
Errors: TypeAlias = type[BaseException] | tuple[type[BaseException], ...]
BY_ARGUMENTS: Final = "{*}"
"""As `idempotency_key`: a stable hash of scene, executor and arguments. The same call makes one task at a time."""

Key: TypeAlias = str | Callable[..., str | None]


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()
"""Says that no value was given, where None is a value."""


class SharedOptions(TypedDict, total=False):
    """What decorations and calls may say, apart from what changes the type that is returned."""

    mode: Mode
    include: Errors
    exclude: Errors
    retry_if_result: Callable[[Any], bool] | None
    local_attempts: int
    local_backoff: Backoff | Mapping[str, Any]
    idempotency_key: Key | None
    dedupe: Seconds | None
    business_key: Key | None
    fallback: Callable[..., Any] | None
    background: bool
    timeout: Seconds | None
    force_report: bool
    delay: Seconds | None
    deadline: Seconds | None
    priority: int | None
    policy: Policy | Mapping[str, Any] | None
    snapshot: bool
    propagation: Literal["join", "separate"]
    serialiser: str | None
    target: NodeTarget | WorkerTarget | None
    group: str | None
    metadata: Mapping[str, Any]
    on_success: Callback
    on_dead: Callback
    on_cancelled: Callback


class CallOptions(SharedOptions, total=False):
    """What one call may change: `charge.with_options(priority=1)(order)`."""

    raise_on_exhausted: bool
    default: Any


class DecorationOptions(SharedOptions, total=False):
    """What a decoration may say, apart from what changes the type that is returned."""

    name: str | None
    version: int
    aliases: Sequence[str]
    executor: Executor
    instance: Callable[[], Any] | None


class RetryableOptions(CallOptions, DecorationOptions, total=False):
    """What a decoration may say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How the failures of one function are handled.

    Attributes:
        mode: `only_local`: retry in this process. `only_remote`: report at the first failure. `local_remote`: retry
            here, report when that is exhausted.
        include: Classes of errors that are retried.
        exclude: Classes of errors that are not, unless `include` names the error or one of its bases more closely.
        retry_if_result: Tells of a returned value whether it is a failure.
        local_attempts: How often the function runs in this process at most, the call itself included.
        local_backoff: Waits between them: a backoff, or its JSON form.
        idempotency_key: Failures with one key make one task: a format string over the arguments
            (`"charge:{order_id}"`), a callable that takes them, or `BY_ARGUMENTS` for a stable hash of scene, executor
            and arguments. None to make a task of each failure.
        dedupe: How long after its end a task keeps its key, in seconds: 0 for not at all, so that a call that fails
            again later is retried again; None for as long as the server keeps the task.
        business_key: What people search for, given in the same way.
        raise_on_exhausted: Whether the error is raised once it was handed over; None is returned otherwise.
        default: Returned then in place of the error.
        fallback: Called then, with the same arguments.
        background: Whether the report goes out within the window while the call returns at once. Such a report lives
            in memory for that long.
        timeout: The longest wait for the server, in seconds; then the report goes to the spool.
        force_report: Whether to report even inside a dispatched attempt.
        delay: Wait before the first remote attempt, in seconds.
        deadline: Time after the call at which the task is worthless, in seconds.
        priority: 1 (first) to 5 (last).
        policy: Parts of the scene's policy to override.
        snapshot: Whether the arguments are written down on entry, so that what the function does to them is not
            carried into the retry.
        propagation: `join` the outermost retryable call, or be a `separate` one.
        serialiser: Name of a registered serialiser.
        target: Where attempts go; None for the client's own: its `task_queue` if it has one, else a node of the group.
        group: The group that runs the attempts.
        metadata: Anything that is to be shown with the task.
        on_success: Told when the task succeeds: a function, the name of an executor, or a `WebhookCallback`. The
            first argument of an executor is a `TaskEnd`, the others are those of the call.
        on_dead: Told when the task ends without success, in the same way.
        on_cancelled: Told when somebody calls the task off, in the same way.
        name: Name of the executor; `module.qualname` when left out.
        version: Above 1, it becomes a part of that name.
        aliases: Names that the executor had before.
        executor: What runs on retry in place of the function: an executor's name, or a function.
        instance: Gives the object on which a method's attempts run.
    """

    mode: Mode = "local_remote"
    include: Errors = ()
    exclude: Errors = ()
    retry_if_result: Callable[[Any], bool] | None = None
    local_attempts: int = 3
    local_backoff: Backoff | Mapping[str, Any] = field(
        default_factory=lambda: ExponentialBackoff(initial_seconds=0.1, max_seconds=2, jitter=EqualJitter())
    )
    idempotency_key: Key | None = BY_ARGUMENTS
    dedupe: Seconds | None = 0
    business_key: Key | None = None
    raise_on_exhausted: bool = True
    default: Any = MISSING
    fallback: Callable[..., Any] | None = None
    background: bool = False
    timeout: Seconds | None = None
    force_report: bool = False
    delay: Seconds | None = None
    deadline: Seconds | None = None
    priority: int | None = None
    policy: Policy | Mapping[str, Any] | None = None
    snapshot: bool = False
    propagation: Literal["join", "separate"] = "join"
    serialiser: str | None = None
    target: NodeTarget | WorkerTarget | None = None
    group: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    on_success: Callback = None
    on_dead: Callback = None
    on_cancelled: Callback = None
    name: str | None = None
    version: int = 1
    aliases: Sequence[str] = ()
    executor: Executor = None
    instance: Callable[[], Any] | None = None

    @property
    def retries_locally(self) -> bool:
        """Whether failures are retried in this process."""
        return self.mode != "only_remote" and self.local_attempts > 1

    @property
    def reports(self) -> bool:
        """Whether failures are reported."""
        return self.mode != "only_local"

    @property
    def backoff(self) -> Backoff:
        """The waits between local attempts."""
        return cast("Backoff", self.local_backoff)  # `make_options` has parsed a mapping

    def wants(self, error: BaseException) -> bool:
        """Whether an error is to be retried.

        Args:
            error: What the function raised.

        Returns:
            With both lists, the class that is nearer to the error's own decides; without any, all errors are.
        """
        if not self.include and not self.exclude:
            return True
        included, excluded = _distance(error, self.include), _distance(error, self.exclude)
        if excluded is None:
            return included is not None or not self.include
        return included is not None and included < excluded


def make_options(options: Mapping[str, Any], where: str, base: Options | None = None) -> Options:
    """Read options, refusing unknown ones and impossible values.

    Args:
        options: What was given.
        where: Name of the function in messages.
        base: Options that hold for what was not given.

    Returns:
        The options.

    Raises:
        UsageError: An option is unknown or impossible.
    """
    known = {item.name for item in dataclasses.fields(Options)}
    for name in options:
        if name not in known:
            raise UsageError(f"retryable({where}) has no option {name!r}{did_you_mean(name, known)}")
    made = dataclasses.replace(base or Options(), **options)
    _check(made, where)
    if isinstance(made.local_backoff, Mapping):
        try:
            backoff = decode(Policy, {"backoff": made.local_backoff}).backoff
        except InvalidDocument as error:
            raise UsageError(f"{where}: local_{error}") from None
        made = dataclasses.replace(made, local_backoff=backoff)
    return made


def render_key(key: Key | None, parameters: Parameters, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str | None:
    """Make a key from the arguments of a call.

    Args:
        key: A format string or a callable.
        parameters: The function's parameters.
        args: Positional arguments of the call.
        kwargs: Named arguments of the call.

    Returns:
        The key; None when there is none.
    """
    if key is None:
        return None
    if isinstance(key, str):
        return key.format(**parameters.bind(args, kwargs))
    made = key(*args, **kwargs)
    return None if made is None else str(made)


def check_key(key: Key | None, option: str, parameters: Parameters, where: str) -> None:
    """Refuse a format string that names no parameter.

    Raises:
        UsageError: A field of the format string is no parameter.
    """
    if not isinstance(key, str) or key == BY_ARGUMENTS:
        return
    known = parameters.names() + (["self", "cls"] if parameters.skip_first else [])
    import string  # noqa: PLC0415 - not every application has such keys

    try:
        fields = [name for _, name, _, _ in string.Formatter().parse(key) if name is not None]
    except ValueError as error:
        raise UsageError(f"{where}: {option}={key!r} is no format string: {error}") from None
    for name in fields:
        root = name.partition(".")[0].partition("[")[0]
        if root not in known:
            raise UsageError(
                f"{where}: {option}={key!r} names {root!r}, which is no parameter{did_you_mean(root, known)}"
            )


def _check(options: Options, where: str) -> None:
    def expect(condition: bool, name: str, expected: str) -> None:
        if not condition:
            raise UsageError(f"{where}: {name}: expected {expected}, got {getattr(options, name)!r}")

    modes = ("only_local", "only_remote", "local_remote")
    expect(options.mode in modes, "mode", f"one of {', '.join(map(repr, modes))}")
    expect(options.propagation in ("join", "separate"), "propagation", "'join' or 'separate'")
    for name in ("include", "exclude"):
        given: Any = getattr(options, name)
        classes: Sequence[Any] = [*given] if isinstance(given, tuple) else [given]
        are_errors = all(isinstance(item, type) and issubclass(item, BaseException) for item in classes)
        expect(are_errors, name, "an exception class or a tuple of them")
    whole = type(options.local_attempts) is int
    expect(whole and options.local_attempts >= 1, "local_attempts", "a whole number from 1, the call itself included")
    expect(options.priority is None or options.priority in range(1, 6), "priority", "1 (first) to 5 (last), or None")
    both = options.default is not MISSING and options.fallback is not None
    expect(not both, "fallback", "either `default` or `fallback`, not both")
    for name in ("fallback", "retry_if_result"):
        expect(getattr(options, name) is None or callable(getattr(options, name)), name, "a function")
    kept = seconds(options.dedupe)
    expect(kept is None or kept >= 0, "dedupe", "seconds from 0, or None for as long as the task is kept")
    if options.serialiser is not None:
        serialiser_named(options.serialiser)
    if isinstance(options.policy, Mapping):
        try:
            decode(Policy, options.policy, "policy")
        except InvalidDocument as error:
            raise UsageError(f"{where}: {error}") from None
        except ImportError:
            pass  # a cron backoff needs croniter, which only the server has; the server checks it


def _distance(error: BaseException, classes: Errors) -> int | None:
    """How many steps lie between an error's class and the nearest of `classes`; None when none is a base of it."""
    wanted = classes if isinstance(classes, tuple) else (classes,)
    order = type(error).__mro__
    return min((order.index(kind) for kind in wanted if kind in order), default=None)
