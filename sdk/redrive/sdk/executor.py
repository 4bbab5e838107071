"""The functions of this process that attempts can run, by name."""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec, Protocol, TypeVar, cast

from redrive.core.documents import did_you_mean
from redrive.sdk.errors import DuplicateExecutor, SdkError, UnknownExecutor, UsageError
from redrive.sdk.serialisation import Parameters

P = ParamSpec("P")
R = TypeVar("R")

EXECUTOR_ATTRIBUTE = "__redrive_executor__"


@dataclass(frozen=True, slots=True)
class ExecutorEntry:
    """One function under its names.

    Attributes:
        name: The name that reports carry, with its version.
        function: What an attempt calls.
        parameters: How its arguments travel.
        is_async: Whether it must be awaited.
        receiver: Gives the object on which a method is called.
        aliases: Further names that reach it.
        wants: Tells which of its errors are to be retried; None for all.
    """

    name: str
    function: Callable[..., Any]
    parameters: Parameters
    is_async: bool
    receiver: Callable[[], Any] | None = None
    aliases: tuple[str, ...] = ()
    wants: Callable[[BaseException], bool] | None = None

    def call(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Call the function, or make its coroutine."""
        if self.receiver is not None:
            return self.function(self.receiver(), *args, **kwargs)
        return self.function(*args, **kwargs)

    def gives_up(self, error: BaseException) -> bool:
        """Tell whether its decorator excludes an error from being retried. What the SDK itself raises never is."""
        return self.wants is not None and not isinstance(error, SdkError) and not self.wants(error)


class Registry:
    """Executors by name.

    Args:
        parents: Asked in turn for names that are not here.
    """

    def __init__(self, parents: Sequence[Registry] = ()) -> None:
        self._parents = tuple(parents)
        self._entries: dict[str, ExecutorEntry] = {}
        self._lock = threading.Lock()

    def add(self, entry: ExecutorEntry) -> None:
        """Register an executor.

        Raises:
            DuplicateExecutor: Another function has one of its names.
        """
        with self._lock:
            for name in (entry.name, *entry.aliases):
                known = self._entries.get(name)
                if known is not None and not _same_source(known.function, entry.function):
                    raise DuplicateExecutor(
                        f"{_place(entry.function)} and {_place(known.function)} both claim the executor {name!r}: "
                        "give one of them another name, or a version"
                    )
            for name in (entry.name, *entry.aliases):
                self._entries[name] = entry

    def find(self, name: str) -> ExecutorEntry:
        """Find an executor.

        Raises:
            UnknownExecutor: No function has that name in this process.
        """
        entry = self._entries.get(name)
        if entry is not None:
            return entry
        for parent in self._parents:
            if name in parent.names():
                return parent.find(name)
        known = self.names()
        hint = did_you_mean(name, known) if known else "; none is registered: import the modules that define them"
        raise UnknownExecutor(f"no executor is named {name!r} in this process{hint}")

    def names(self) -> list[str]:
        """List all names, aliases included."""
        return sorted({*self._entries, *(name for parent in self._parents for name in parent.names())})


def make_entry(
    function: Callable[..., Any],
    name: str | None,
    *,
    version: int = 1,
    aliases: Sequence[str] = (),
    instance: Callable[[], Any] | None = None,
    needs_receiver: bool = True,
    wants: Callable[[BaseException], bool] | None = None,
) -> ExecutorEntry:
    """Describe a function as an executor, checking what can be checked before the first call.

    Args:
        function: The function.
        name: Its name; None for `module.qualname`.
        version: Above 1, it becomes a part of the name: `charge@2`.
        aliases: Names that it had before.
        instance: Gives the object on which a method runs.
        needs_receiver: Whether a method without `instance` is refused.
        wants: Tells which of its errors are to be retried; None for all.

    Returns:
        The entry, not yet registered.

    Raises:
        UsageError: The function cannot be called by name.
    """
    if not callable(function):
        hint = (
            " (put @classmethod or @staticmethod above it)" if isinstance(function, (classmethod, staticmethod)) else ""
        )
        raise UsageError(f"expected a function, got {type(function).__name__}{hint}")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise UsageError(f"{_place(function)} is a generator: its failure comes after the call; wrap what consumes it")
    if version < 1:
        raise UsageError(f"version: expected 1 or more, got {version}")
    base = name or f"{_module_name(function)}.{function.__qualname__}"
    if not 1 <= len(base) <= 200 or any(not c.isprintable() or c.isspace() for c in base):
        raise UsageError(f"executor name: expected 1 to 200 visible characters, got {base!r}")
    first = next(iter(inspect.signature(function).parameters), None)
    in_class = "." in function.__qualname__ and not function.__qualname__.rpartition(".")[0].endswith("<locals>")
    takes_self = in_class and first == "self"
    takes_class = in_class and first == "cls"
    receiver = instance
    if takes_class and receiver is None:
        receiver = _class_finder(function)
    if takes_self and receiver is None and needs_receiver:
        raise UsageError(
            f"{_place(function)} is a method: say on which object its attempts run, for example "
            "instance=lambda: service, or decorate a function"
        )
    if receiver is not None and not (takes_self or takes_class):
        raise UsageError(f"{_place(function)} is not a method: leave out instance=…")
    return ExecutorEntry(
        name=base if version == 1 else f"{base}@{version}",
        function=function,
        parameters=Parameters(function, skip_first=takes_self or takes_class),
        is_async=inspect.iscoroutinefunction(function),
        receiver=receiver,
        aliases=tuple(aliases),
        wants=wants,
    )


class ExecutorDecorator(Protocol):
    """Registers a function and returns it as it is."""

    def __call__(self, function: Callable[P, R], /) -> Callable[P, R]:
        """Register `function`."""
        ...


def executor_decorator(
    registry: Registry,
    name: str | None,
    *,
    version: int,
    aliases: Sequence[str],
    instance: Callable[[], Any] | None,
) -> ExecutorDecorator:
    """Make the decorator that registers functions in `registry`."""

    def decorate(function: Callable[P, R], /) -> Callable[P, R]:
        entry = make_entry(function, name, version=version, aliases=aliases, instance=instance)
        registry.add(entry)
        cast("Any", function).__redrive_executor__ = entry
        return function

    return decorate


def entry_of(function: object) -> ExecutorEntry | None:
    """Tell under which entry a function was registered; None when it was not."""
    entry = getattr(function, EXECUTOR_ATTRIBUTE, None)
    return entry if isinstance(entry, ExecutorEntry) else None


def _module_name(function: Callable[..., Any]) -> str:
    """Name a function's module as other processes import it: a script is `__main__` only to itself."""
    if function.__module__ != "__main__":
        return function.__module__
    main: Any = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return str(spec.name)
    file = getattr(main, "__file__", None)
    return str(file).replace("\\", "/").rpartition("/")[2].removesuffix(".py") if file else "__main__"


def _class_finder(function: Callable[..., Any]) -> Callable[[], Any]:
    def find() -> Any:
        import importlib  # noqa: PLC0415 - at the first attempt, not before

        found: Any = importlib.import_module(function.__module__)
        for part in function.__qualname__.split(".")[:-1]:
            found = getattr(found, part)
        return found

    return find


def _same_source(one: Callable[..., Any], other: Callable[..., Any]) -> bool:
    """Whether two functions are one definition, loaded twice (module reload, autoreloaders)."""
    if one is other:
        return True
    first, second = getattr(one, "__code__", None), getattr(other, "__code__", None)
    if first is None or second is None:
        return False
    return (first.co_filename, first.co_firstlineno, one.__qualname__) == (
        second.co_filename,
        second.co_firstlineno,
        other.__qualname__,
    )


def _place(function: Any) -> str:
    code = getattr(function, "__code__", None)
    name = f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', repr(function))}"
    return f"{name} ({code.co_filename}:{code.co_firstlineno})" if code is not None else name
