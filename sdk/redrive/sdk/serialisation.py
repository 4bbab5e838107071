"""Arguments as JSON, and back into the types that a function's annotations name.

A value whose parameter is annotated travels in its plain form (`Decimal("5.00")` as `"5.00"`), which reads well in the
console and in other languages. Where the annotation cannot bring the type back (`Any`, a union, no annotation), scalar
types travel with a tag (`{"$type": "decimal", "value": "5.00"}`), and classes are refused: silently turning a model
into a dictionary would break the retry, hours later and out of sight. Nothing is ever unpickled or imported by name.
"""

from __future__ import annotations

import base64
import dataclasses
import enum
import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, Protocol, TypeGuard, Union, cast, get_args, get_origin, get_type_hints
from uuid import UUID

from redrive.sdk.errors import Unrestorable, Unserialisable, UsageError

_TAG: Final = "$type"
_SERIALISER: Final = "$serialiser"
_PAYLOAD: Final = "$payload"


class Serialiser(Protocol):
    """Turns the arguments of a call into one JSON document, and back.

    Register one with `register_serialiser`; its name travels with the task, so that changing the default does not
    break tasks that wait.
    """

    name: str

    def dump(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Turn arguments into what `json.dumps` takes."""
        ...

    def load(self, document: Any) -> tuple[Sequence[Any], Mapping[str, Any]]:
        """Turn what `dump` gave back into arguments."""
        ...


_serialisers: dict[str, Serialiser] = {}


def register_serialiser(serialiser: Serialiser) -> None:
    """Make a serialiser known by its name, for reports and for attempts.

    Args:
        serialiser: An object with `name`, `dump` and `load`.

    Raises:
        UsageError: Another serialiser has that name.

    Example:
        ```python
        class Words:
            name = "words"

            def dump(self, args, kwargs):
                return " ".join(args)

            def load(self, document):
                return document.split(), {}


        register_serialiser(Words())
        ```
    """
    known = _serialisers.setdefault(serialiser.name, serialiser)
    if known is not serialiser:
        raise UsageError(f"a serialiser named {serialiser.name!r} is registered already: give this one another name")


def serialiser_named(name: str) -> Serialiser:
    """Find a registered serialiser.

    Args:
        name: Its name.

    Returns:
        The serialiser.

    Raises:
        UsageError: None has that name.
    """
    try:
        return _serialisers[name]
    except KeyError:
        known = ", ".join(sorted(_serialisers)) or "none"
        raise UsageError(f"no serialiser is named {name!r} (registered: {known}): call register_serialiser") from None


class Parameters:
    """What is known about a function's parameters: their order, their annotations, and which one is `self`.

    Args:
        function: The function whose calls are reported.
        skip_first: Whether the first parameter (`self` or `cls`) stays out of the payload.
    """

    def __init__(self, function: Callable[..., Any], *, skip_first: bool = False) -> None:
        self.function = function
        self.skip_first = skip_first
        self._signature = inspect.signature(function)
        self._hints: dict[str, Any] | None = None
        self._first: type | None = None

    def names(self) -> list[str]:
        """List the parameters of the payload."""
        return list(self._signature.parameters)[1 if self.skip_first else 0 :]

    def signature(self) -> inspect.Signature:
        """Tell the signature of the payload: without `self` and `cls`."""
        parameters = list(self._signature.parameters.values())
        return self._signature.replace(parameters=parameters[1:] if self.skip_first else parameters)

    def restore_first(self, kind: type) -> None:
        """Restore the first parameter as `kind`, also when it has no annotation or one that cannot be resolved."""
        self._first = kind

    def annotation(self, name: str) -> Any:
        """Tell a parameter's annotation; `Any` when it has none or cannot be resolved."""
        if self._hints is None:
            # Resolved at the first failure, not at decoration: a forward reference may name what comes later.
            try:
                self._hints = get_type_hints(self.function, include_extras=False)
            except Exception:  # noqa: BLE001 - annotations may raise anything; tags and checks cover their absence
                self._hints = {}
        if self._first is not None and name == next(iter(self.names()), None):
            return self._first
        return self._hints.get(name, Any)

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Bind arguments to names, with defaults, for keys and messages.

        Raises:
            TypeError: The call does not fit the signature.
        """
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return dict(bound.arguments)

    def dump(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], serialiser: Serialiser | None = None
    ) -> tuple[list[Any], dict[str, Any]]:
        """Turn the arguments of a call into JSON.

        Args:
            args: Positional arguments, `self` included when there is one.
            kwargs: Named arguments.
            serialiser: Used in place of the annotations.

        Returns:
            Positional and named arguments for the report. What can be named is named: a call by position and one by
            name give the same payload, and the console shows names.

        Raises:
            Unserialisable: An argument cannot travel.
        """
        if serialiser is not None:
            document = serialiser.dump(args[1:] if self.skip_first else args, kwargs)
            return [], {_SERIALISER: serialiser.name, _PAYLOAD: document}
        bound = self._signature.bind(*args, **kwargs)
        positional: list[Any] = []
        named: dict[str, Any] = {}
        parameters = list(self._signature.parameters.values())[1 if self.skip_first else 0 :]
        variadic = any(p.kind is p.VAR_POSITIONAL and bound.arguments.get(p.name) for p in parameters)
        for parameter in parameters:
            name = parameter.name
            if name not in bound.arguments:
                continue
            value, hint = bound.arguments[name], self.annotation(name)
            where = f"{self.function.__qualname__}({name})"
            if parameter.kind is parameter.VAR_POSITIONAL:
                positional += [dump(item, hint, f"{where}[{index}]") for index, item in enumerate(value)]
            elif parameter.kind is parameter.VAR_KEYWORD:
                named.update({key: dump(item, hint, f"{where}[{key!r}]") for key, item in value.items()})
            elif parameter.kind is parameter.POSITIONAL_ONLY or (
                variadic and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
            ):
                positional.append(dump(value, hint, where))
            else:
                named[name] = dump(value, hint, where)
        return positional, named

    def load(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Turn the payload of an attempt into arguments.

        Args:
            args: Positional arguments as JSON.
            kwargs: Named arguments as JSON.

        Returns:
            Arguments for the function, without `self`.

        Raises:
            Unrestorable: They do not fit the signature or its annotations.
        """
        if _SERIALISER in kwargs:
            try:
                serialiser = serialiser_named(kwargs[_SERIALISER])
            except UsageError as error:
                raise Unrestorable(str(error)) from None
            restored, named = serialiser.load(kwargs.get(_PAYLOAD))
            # In front of the payload comes what the server adds: the outcome, for a callback.
            hints = [(name, self.annotation(name)) for name in self.names()]
            added = [load(item, hint, name) for item, (name, hint) in zip(args, hints, strict=False)]
            return [*added, *restored], dict(named)
        if self.skip_first:
            args = (None, *args)
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise Unrestorable(
                f"the task's arguments do not fit {self.function.__qualname__}{self._signature}: {error}. "
                "Keep the old signature under the old executor name, and give the new one a version"
            ) from None
        for index, (name, value) in enumerate(bound.arguments.items()):
            if index == 0 and self.skip_first:
                continue
            hint, where = self.annotation(name), f"{self.function.__qualname__}({name})"
            kind = self._signature.parameters[name].kind
            if kind is inspect.Parameter.VAR_POSITIONAL:
                bound.arguments[name] = tuple(load(item, hint, where) for item in value)
            elif kind is inspect.Parameter.VAR_KEYWORD:
                bound.arguments[name] = {key: load(item, hint, where) for key, item in value.items()}
            else:
                bound.arguments[name] = load(value, hint, where)
        return list(bound.args[1:] if self.skip_first else bound.args), bound.kwargs


def dump(value: Any, annotation: Any = Any, where: str = "value") -> Any:
    """Turn one value into what `json.dumps` takes.

    Args:
        value: The value.
        annotation: The type that will bring it back; `Any` when there is none.
        where: Its name in messages.

    Returns:
        A JSON document.

    Raises:
        Unserialisable: The value cannot travel, or could not be brought back.

    Example:
        ```python
        assert dump(Decimal("5.00"), Decimal) == "5.00"
        assert dump(Decimal("5.00")) == {"$type": "decimal", "value": "5.00"}
        ```
    """
    annotation = _unwrap(annotation)
    if value is None or type(value) in (bool, str, int):
        return value
    if type(value) is float:
        if not math.isfinite(value):
            raise Unserialisable(f"{where}: JSON has no {value}; pass a string or None instead")
        return value
    members = _members(annotation)
    if members is not None:
        # One class besides None can be restored without a tag; of several, the value must say which it is.
        rich = [member for member in members if member is not type(None)]
        annotation = rich[0] if len(rich) == 1 else _matching(rich, value)
    return _dump_rich(value, annotation, where)


def load(value: Any, annotation: Any = Any, where: str = "value") -> Any:
    """Bring a value back into the type that an annotation names.

    Args:
        value: The JSON document.
        annotation: The type; `Any` accepts the document as it is, apart from tags.
        where: Its name in messages.

    Returns:
        The value.

    Raises:
        Unrestorable: The document does not fit the annotation.

    Example:
        ```python
        assert load("5.00", Decimal) == Decimal("5.00")
        assert load(["2026-01-31"], list[date]) == [date(2026, 1, 31)]
        ```
    """
    try:
        return _load(value, _unwrap(annotation), where)
    except Unrestorable:
        raise
    except Exception as error:  # constructors and validators of users' classes raise anything
        shown = getattr(annotation, "__name__", annotation)
        raise Unrestorable(f"{where}: expected {shown}: {type(error).__name__}: {error}") from error


_SCALARS: Final[dict[type, tuple[str, Callable[[Any], Any], Callable[[Any], Any]]]] = {
    # datetime before date: a datetime is a date, too.
    datetime: ("datetime", lambda v: v.isoformat(), datetime.fromisoformat),
    date: ("date", lambda v: v.isoformat(), date.fromisoformat),
    time: ("time", lambda v: v.isoformat(), time.fromisoformat),
    timedelta: ("timedelta", lambda v: v.total_seconds(), lambda v: timedelta(seconds=v)),
    Decimal: ("decimal", str, Decimal),
    UUID: ("uuid", str, UUID),
    bytes: ("bytes", lambda v: base64.b64encode(v).decode(), lambda v: base64.b64decode(v, validate=True)),
}
_BY_TAG: Final = {name: restore for name, _, restore in _SCALARS.values()}
_CONTAINERS: Final[dict[type, str]] = {set: "set", frozenset: "frozenset", tuple: "tuple"}


def _unwrap(annotation: Any) -> Any:
    while get_origin(annotation) is typing.Annotated or isinstance(annotation, typing.NewType):
        annotation = annotation.__supertype__ if isinstance(annotation, typing.NewType) else get_args(annotation)[0]
    if isinstance(annotation, typing.TypeVar):
        return annotation.__bound__ or Any
    return annotation


def _members(annotation: Any) -> list[Any] | None:
    if get_origin(annotation) in (Union, types.UnionType):
        return [_unwrap(member) for member in get_args(annotation)]
    return None


def _matching(members: list[Any], value: Any) -> Any:
    """Of several classes, choose the value's own when it carries fields: restoring tries each and checks them."""
    for member in members:
        if isinstance(member, type) and type(value) is member and (_is_model(member) or _is_record(member)):
            return member
    return Any


def _is_class(kind: Any) -> TypeGuard[type[Any]]:
    return isinstance(kind, type) and kind is not Any  # which is a class since Python 3.11


def _is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def _is_list(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _is_mapping(value: Any) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(value, Mapping)


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and hasattr(kind, "model_validate") and hasattr(kind, "model_dump")


def _is_record(kind: Any) -> bool:
    return isinstance(kind, type) and dataclasses.is_dataclass(kind)


def _dump_rich(value: Any, annotation: Any, where: str) -> Any:
    free = not _is_class(annotation) and get_origin(annotation) is None
    origin = get_origin(annotation) or annotation
    if isinstance(value, enum.Enum):
        if free:
            raise _unannotated(value, where)
        return dump(value.value, Any, where)
    if _is_model(type(value)):
        if type(value) is not origin:  # also for a base class: it would not bring the rest of the fields back
            raise _unannotated(value, where)
        return value.model_dump(mode="json")
    if _is_record(type(value)):
        if type(value) is not origin:
            raise _unannotated(value, where)
        hints = _record_hints(type(value))
        return {
            field.name: dump(getattr(value, field.name), hints.get(field.name, Any), f"{where}.{field.name}")
            for field in dataclasses.fields(value)
            if field.init
        }
    if isinstance(value, (str, int)):  # subclasses, such as a StrEnum's plain cousins
        return str(value) if isinstance(value, str) else int(value)
    for kind, (name, plain, _) in _SCALARS.items():
        if isinstance(value, kind):
            return plain(value) if origin is kind else {_TAG: name, "value": plain(value)}
    if _is_mapping(value):
        return _dump_mapping(value, annotation, where)
    if isinstance(value, (list, tuple, set, frozenset)):
        return _dump_items(cast("Sequence[Any]", value), annotation, where)
    raise Unserialisable(
        f"{where}: {type(value).__module__}.{type(value).__qualname__} cannot travel as JSON. Pass an id and look the "
        "object up on retry, use a dataclass or a pydantic model, or name a serialiser with serialiser=…"
    )


def _unannotated(value: object, where: str) -> Unserialisable:
    kind = type(value)
    return Unserialisable(
        f"{where}: got a {kind.__module__}.{kind.__qualname__}, which the annotation would not bring back. "
        f"Annotate the parameter with {kind.__qualname__}"
    )


def _dump_mapping(value: Mapping[Any, Any], annotation: Any, where: str) -> dict[str, Any]:
    arguments = get_args(annotation)
    key_hint, item_hint = arguments if len(arguments) == 2 else (Any, Any)
    hints = _record_hints(annotation) if typing.is_typeddict(annotation) else {}
    document: dict[str, Any] = {}
    for key, item in value.items():
        name = key if isinstance(key, str) else dump(key, key_hint, f"{where} key")
        if not isinstance(name, str):
            if key_hint is Any:
                raise Unserialisable(
                    f"{where}: JSON objects have string keys, got {type(key).__name__}; annotate the parameter, "
                    f"for example dict[{type(key).__name__}, …]"
                )
            name = str(name)
        document[name] = dump(item, hints.get(name, item_hint), f"{where}[{name!r}]")
    if _TAG in document:
        raise Unserialisable(f"{where}: the key {_TAG!r} is Redrive's own; rename it")
    return document


def _dump_items(value: Sequence[Any], annotation: Any, where: str) -> Any:
    arguments = get_args(annotation)
    origin = get_origin(annotation) or annotation
    if origin is tuple and arguments and arguments[-1] is not Ellipsis:
        hints = list(arguments)
    else:
        hints = [arguments[0] if arguments else Any] * len(value)
    items = [dump(item, hint, f"{where}[{index}]") for index, (item, hint) in enumerate(zip(value, hints, strict=True))]
    if isinstance(value, (set, frozenset)):
        items = sorted(items, key=repr)  # the same set gives the same payload, and so the same idempotency key
    name = _CONTAINERS.get(type(value))
    plain = name is None or (_is_class(origin) and origin not in (object, list))
    return items if plain else {_TAG: name, "value": items}


def _record_hints(kind: Any) -> dict[str, Any]:
    try:
        return get_type_hints(kind)
    except Exception:  # noqa: BLE001 - as in `Parameters.annotation`
        return {}


def _load(value: Any, annotation: Any, where: str) -> Any:
    if _is_object(value) and _TAG in value:
        return _untag(value, where)
    members = _members(annotation)
    if members is not None:
        return _load_union(value, members, where)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is typing.Literal:
        return next((item for item in arguments if item == value or getattr(item, "value", item) == value), value)
    kind = origin or annotation
    if not _is_class(kind) or kind is object:
        return _load_free(value, where)
    container: type[Any] = kind  # a name that type checkers do not narrow
    if issubclass(kind, enum.Enum):
        return kind(value)
    if hasattr(kind, "__redrive_restore__"):
        return cast("Any", kind).__redrive_restore__(value)
    if _is_model(kind):
        return kind.model_validate(value)
    if kind in _SCALARS:
        return _SCALARS[kind][2](value)
    if typing.is_typeddict(annotation) and _is_object(value):
        hints = _record_hints(annotation)
        return {key: _load(item, _unwrap(hints.get(key, Any)), f"{where}[{key!r}]") for key, item in value.items()}
    if _is_record(kind):
        return _load_record(kind, value, where)
    if issubclass(kind, Mapping):
        return _load_mapping(value, arguments, where)
    if issubclass(kind, (list, tuple, set, frozenset, Sequence, typing.AbstractSet)) and kind is not str:
        return _load_items(container, value, arguments, where)
    return _load_plain(kind, value, where)


def _load_plain(kind: type, value: Any, where: str) -> Any:
    if kind is float and type(value) is int:
        return float(value)
    if isinstance(value, kind) and not (kind in (int, float) and isinstance(value, bool)):
        return value
    if kind in (str, int, float, bool, type(None)):
        raise Unrestorable(f"{where}: expected {kind.__name__}, got {type(value).__name__}")
    if kind in (int, str) or issubclass(kind, (str, int)):
        return kind(value)
    raise Unrestorable(f"{where}: JSON holds no {kind.__qualname__}; name the serialiser that made the task")


def _load_free(value: Any, where: str) -> Any:
    if _is_object(value):
        return {key: _load(item, Any, f"{where}[{key!r}]") for key, item in value.items()}
    if _is_list(value):
        return [_load(item, Any, where) for item in value]
    return value


def _load_union(value: Any, members: list[Any], where: str) -> Any:
    if value is None and type(None) in members:
        return None
    rich = [member for member in members if member is not type(None)]
    exact = [member for member in rich if member in (bool, int, float, str) and type(value) is member]
    problems: list[str] = []
    for member in exact + [member for member in rich if member not in exact]:
        try:
            return _load(value, member, where)
        except Exception as error:  # noqa: BLE001 - the next member may fit
            problems.append(str(error))
    raise Unrestorable(f"{where}: no member of the union fits: {'; '.join(problems)}")


def _load_record(kind: type, value: Any, where: str) -> Any:
    if not _is_object(value):
        raise Unrestorable(f"{where}: expected an object for {kind.__qualname__}, got {type(value).__name__}")
    hints = _record_hints(kind)
    return kind(**{key: _load(item, _unwrap(hints.get(key, Any)), f"{where}.{key}") for key, item in value.items()})


def _load_mapping(value: Any, arguments: tuple[Any, ...], where: str) -> Any:
    if not _is_object(value):
        raise Unrestorable(f"{where}: expected an object, got {type(value).__name__}")
    key_hint, item_hint = (_unwrap(item) for item in arguments) if len(arguments) == 2 else (Any, Any)
    return {_load_key(key, key_hint, where): _load(item, item_hint, f"{where}[{key!r}]") for key, item in value.items()}


def _load_key(key: str, hint: Any, where: str) -> Any:
    if hint in (int, float):
        return hint(key)
    return _load(key, hint, f"{where} key")


def _load_items(kind: type, value: Any, arguments: tuple[Any, ...], where: str) -> Any:
    if not _is_list(value):
        raise Unrestorable(f"{where}: expected a list, got {type(value).__name__}")
    items: list[Any] = value
    if issubclass(kind, tuple) and arguments and arguments[-1] is not Ellipsis:
        if len(items) != len(arguments):
            raise Unrestorable(f"{where}: expected {len(arguments)} items, got {len(items)}")
        return tuple(_load(item, _unwrap(hint), where) for item, hint in zip(items, arguments, strict=True))
    hint = _unwrap(arguments[0]) if arguments else Any
    restored = [_load(item, hint, f"{where}[{index}]") for index, item in enumerate(items)]
    if issubclass(kind, tuple):
        return tuple(restored)
    if issubclass(kind, frozenset):
        return frozenset(restored)
    return set(restored) if issubclass(kind, typing.AbstractSet) else restored


def _untag(value: dict[str, Any], where: str) -> Any:
    tag, inner = value[_TAG], cast("Any", value.get("value"))
    if tag in _BY_TAG:
        return _BY_TAG[tag](inner)
    for container, name in _CONTAINERS.items():
        if name == tag:
            return container(_load(item, Any, where) for item in inner)
    raise Unrestorable(f"{where}: unknown tag {tag!r}; this node is older than the one that reported the task")
