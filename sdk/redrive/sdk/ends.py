"""Callbacks: functions that are told how a task ended.

    def give_up(end: TaskEnd, order_id: str) -> None: ...

    @redrive.retryable("charge-card", on_dead=give_up)
    def charge(order_id: str) -> None: ...

The server makes a task of its own for each callback, so that it is retried, too. A callback is an executor whose first
argument is the outcome; the others are those of the call. Or it is a webhook, which gets a signed event.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Concatenate, Final, Literal, TypeAlias, cast

from redrive.core.callbacks import WebhookCallback
from redrive.core.wire import ErrorFacts
from redrive.sdk.errors import UsageError
from redrive.sdk.executor import ExecutorEntry, Registry, entry_of, make_entry

EVENTS: Final = ("on_success", "on_dead", "on_cancelled")


@dataclass(frozen=True, slots=True)
class TaskEnd:
    """How a task ended: the first argument of a callback.

    Attributes:
        task: Id of the task.
        generation: 1 for the report, one more for each replay.
        scene: Name of the scene.
        executor: Name of the executor that was retried.
        business_key: The business key.
        outcome: `succeeded`, `dead` or `cancelled`.
        dead_reason: `exhausted`, `expired`, `rejected` or `stopped`; None unless it is dead.
        attempts: How many attempts its last generation took.
        error: The last error of a task that did not succeed, without its stack; None when it succeeded.
        why: Why it ended, in words, such as who cancelled it.
    """

    task: str
    generation: int
    scene: str
    executor: str | None
    business_key: str | None
    outcome: Literal["succeeded", "dead", "cancelled"]
    dead_reason: str | None = None
    attempts: int = 0
    error: ErrorFacts | None = None
    why: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether the call succeeded in the end."""
        return self.outcome == "succeeded"

    @classmethod
    def __redrive_restore__(cls, document: Any) -> TaskEnd:
        # What a newer server adds is not for this SDK.
        known = {name: value for name, value in dict(document).items() if name in cls.__dataclass_fields__}
        if known.get("error") is not None:
            error: Mapping[str, Any] = known["error"]
            known["error"] = ErrorFacts(str(error["type"]), str(error.get("message") or ""), error.get("stack"))
        return cls(**known)


Callback: TypeAlias = str | Callable[Concatenate[TaskEnd, ...], Any] | WebhookCallback | None
"""Who is told of an end: an executor's name, a function whose first parameter is the `TaskEnd`, or a webhook."""


def callback_document(
    given: Any, option: str, registry: Registry, where: str, call: inspect.Signature | None
) -> str | dict[str, Any]:
    """Write down who is told, registering a function that is no executor yet.

    Args:
        given: The name of an executor, a function, or a webhook.
        option: `on_success`, `on_dead` or `on_cancelled`, for messages.
        registry: Where a function is registered.
        where: What has the callback, for messages.
        call: The parameters of the call, without `self`; None when they are not known here.

    Returns:
        The name of the executor, or the webhook as a document.

    Raises:
        UsageError: It is none of these, or the function cannot take the outcome and the arguments of the call.
    """
    if isinstance(given, WebhookCallback):
        return {"url": given.url, "headers": dict(given.headers)}
    if isinstance(given, str):
        if not 1 <= len(given) <= 200 or not given.isprintable():
            raise UsageError(
                f"{where}: {option}: expected the name of an executor, of 1 to 200 characters, got {given!r}"
            )
        return given
    entry = entry_of(given)
    if entry is None:
        entry = _new_entry(given, option, where)
        _check(entry, option, where, call)
        registry.add(entry)
    else:
        _check(entry, option, where, call)
    entry.parameters.restore_first(TaskEnd)
    return entry.name


def _new_entry(given: Any, option: str, where: str) -> ExecutorEntry:
    name = getattr(given, "__qualname__", None)
    if not callable(given) or name is None or name.rpartition(".")[2] == "<lambda>":
        raise UsageError(
            f"{where}: {option}: expected the name of an executor, or a function with a name that other processes can "
            f"find (def told(end: TaskEnd, …)), got {given!r}"
        )
    function = cast("Callable[..., Any]", given)
    first = next(iter(inspect.signature(function).parameters), None)
    if first in ("self", "cls"):
        raise UsageError(
            f"{where}: {option}={name} is a method: register it with "
            f"@executor('{name}', instance=lambda: …) and pass that name, or give a function"
        )
    return make_entry(function, None)


def _check(entry: ExecutorEntry, option: str, where: str, call: inspect.Signature | None) -> None:
    name = entry.function.__qualname__
    signature = entry.parameters.signature()
    takes = [parameter for parameter in signature.parameters.values() if parameter.kind in _BY_POSITION]
    if not takes:
        raise UsageError(
            f"{where}: {option}={name} takes no argument: its first one is the outcome: "
            f"def {entry.function.__name__}(end: TaskEnd, …)"
        )
    annotation = takes[0].annotation
    shown = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    if annotation is not inspect.Parameter.empty and shown.rpartition(".")[2].strip("'\"") not in _OUTCOMES:
        raise UsageError(
            f"{where}: {option}={name} takes {takes[0].name}: {shown} first, but gets the outcome: put "
            "`end: TaskEnd` (from redrive.sdk) before the arguments of the call"
        )
    if call is None:
        return
    for least in (True, False):
        args, kwargs = _shape(call, least=least)
        try:
            signature.bind(None, *args, **kwargs)
        except TypeError as error:
            shape = ", ".join(["end", *args, *(f"{key}=…" for key in kwargs)])
            raise UsageError(
                f"{where}: {option}={name}: {error}. It is called as {entry.function.__name__}({shape}): give it the "
                "parameters and defaults of the call, or *args and **kwargs"
            ) from None


_BY_POSITION: Final = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.VAR_POSITIONAL,
)
_OUTCOMES: Final = ("TaskEnd", "Any", "object")


def _shape(call: inspect.Signature, *, least: bool) -> tuple[Sequence[str], Mapping[str, str]]:
    """Make the smallest, or the largest, payload that a call can have: see `Parameters.dump`."""
    args: list[str] = []
    kwargs: dict[str, str] = {}
    parameters = list(call.parameters.values())
    spreads = not least and any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters)
    for parameter in parameters:
        if parameter.kind is parameter.VAR_POSITIONAL:
            args += [] if least else [f"*{parameter.name}"]
        elif parameter.kind is parameter.VAR_KEYWORD:
            kwargs.update({} if least else {f"{parameter.name}_of_any_name": "…"})
        elif least and parameter.default is not parameter.empty:
            continue
        elif parameter.kind is parameter.POSITIONAL_ONLY or (
            spreads and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        ):
            args.append(parameter.name)
        else:
            kwargs[parameter.name] = "…"
    return args, kwargs
