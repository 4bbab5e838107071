"""Strict decoding of JSON documents into frozen dataclasses, and back.

Both sides of the wire use it: the SDK may depend on nothing but httpx, and a workflow must parse its policy without a
heavy import. Unknown fields are refused with the nearest known name, because a misspelt `max_attempt` that is silently
ignored is found on the worst possible day.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import reprlib
import types
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from redrive.core.errors import InvalidDocument

T = TypeVar("T")

MAX_DEPTH: Final = 200
"""Levels of nesting that a document may have. What is deeper overflows the stack of whoever reads it next."""

_LONGEST_NAME: Final = 200


def decode(kind: type[T], document: object, path: str = "") -> T:
    """Read `document` as an instance of the dataclass `kind`.

    Args:
        kind: A dataclass whose fields are JSON scalars, `Literal`s, tuples, mappings, other such dataclasses, or
            unions of dataclasses that differ in their literal `kind` field.
        document: What `json.loads` returned.
        path: The name of the document in messages, such as `policy`.

    Returns:
        The instance. Fields that the document leaves out have their defaults.

    Raises:
        InvalidDocument: A field is unknown, missing, or has the wrong type or an impossible value.
    """
    return cast("T", _decode(kind, document, path))


def encode(value: object) -> Any:
    """Turn a dataclass, or what it is made of, into what `json.dumps` takes.

    Args:
        value: A dataclass instance, mapping, sequence or scalar.

    Returns:
        Dictionaries, lists and scalars. Every field is written, so that a stored document does not change its meaning
        when a default does.

    Raises:
        InvalidDocument: The value is nested deeper than `MAX_DEPTH`, or contains itself.
    """
    return _encode(value, MAX_DEPTH)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Suggest the nearest known name.

    Args:
        name: What came.
        known: The names that exist.

    Returns:
        `, did you mean 'x'?`, or the list of known names when none is near.
    """
    name, names = name[:_LONGEST_NAME], sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.55)
    return f", did you mean {near[0]!r}?" if near else f"; known: {', '.join(names)}"


def require(condition: bool, path: str, problem: str) -> None:
    """Raise `InvalidDocument` unless `condition` holds."""
    if not condition:
        raise InvalidDocument(path, problem)


def _expect(condition: bool, path: str, expected: str, got: object) -> None:
    if not condition:
        raise InvalidDocument(path, f"expected {expected}, got {_shown(got)}")


@lru_cache(maxsize=256)
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _encode(value: object, levels: int) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _encode(getattr(value, field.name), levels - 1) for field in dataclasses.fields(value)}
    if isinstance(value, (Mapping, list, tuple)):
        require(levels > 0, "", f"expected at most {MAX_DEPTH} levels of nesting, got more")
        if isinstance(value, Mapping):
            items = cast("Mapping[object, object]", value).items()
            return {str(key): _encode(item, levels - 1) for key, item in items}
        return [_encode(item, levels - 1) for item in cast("Sequence[object]", value)]
    if isinstance(value, datetime):
        return value.isoformat()
    return value


def _join(path: str, name: str) -> str:
    if len(name) > _LONGEST_NAME:
        name = f"{name[:_LONGEST_NAME]}..."
    return f"{path}.{name}" if path and name else path or name


class _Short(reprlib.Repr):
    """A `repr` whose cost has a bound, whatever the size and depth of the value."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxdict, self.maxlist, self.maxstring = 3, 4, 4, 80

    def repr_int(self, x: int, level: int) -> str:
        # `repr` refuses more than 4,300 digits.
        return super().repr_int(x, level) if x.bit_length() <= 256 else "a number of more than 77 digits"


_SHORT: Final = _Short()


def _shown(value: object) -> str:
    """Show a value in a message, in the words of JSON where they differ from Python's."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    text = _SHORT.repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _decode(kind: Any, value: object, path: str) -> object:
    origin = get_origin(kind)
    if kind is Any or kind is object:
        return value
    if origin in (Union, types.UnionType):
        return _decode_union(get_args(kind), value, path)
    if origin is Literal:
        allowed = get_args(kind)
        _expect(value in allowed, path, _either(allowed), value)
        return value
    if origin is tuple:
        return _decode_tuple(get_args(kind)[0], value, path)
    if origin in (dict, Mapping) or kind in (dict, Mapping):
        return _decode_mapping(kind, value, path)
    if dataclasses.is_dataclass(kind):
        return _decode_dataclass(cast("type", kind), value, path)
    return _decode_scalar(kind, value, path)


def _either(allowed: Sequence[object]) -> str:
    shown = [repr(item) for item in allowed]
    return shown[0] if len(shown) == 1 else f"one of {', '.join(shown)}"


def _decode_scalar(kind: Any, value: object, path: str) -> object:
    if kind is float:
        number = _finite(value)
        _expect(number is not None, path, "a number", value)
        return number
    if kind is int:
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        _expect(is_whole, path, "a whole number", value)
        return value
    if kind is bool:
        _expect(isinstance(value, bool), path, "true or false", value)
        return value
    if kind is str:
        _expect(isinstance(value, str), path, "a string", value)
        return value
    if kind is type(None):
        _expect(value is None, path, "null", value)
        return value
    if kind is datetime:
        return _decode_instant(value, path)
    raise TypeError(f"documents cannot hold {kind!r}")


def _finite(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:  # JSON sets no limit to a whole number
        return None
    return number if math.isfinite(number) else None


def _decode_instant(value: object, path: str) -> datetime:
    instant = _instant(value)
    _expect(instant is not None, path, "an ISO 8601 instant with a zone such as '2026-01-31T12:00:00Z'", value)
    return cast("datetime", instant)


def _instant(value: object) -> datetime | None:
    try:
        instant = datetime.fromisoformat(value) if isinstance(value, str) else value
        # OverflowError: the first and the last hours of the calendar, in a zone far from UTC.
        return instant.astimezone(UTC) if isinstance(instant, datetime) and instant.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def _decode_tuple(kind: Any, value: object, path: str) -> tuple[object, ...]:
    _expect(isinstance(value, (list, tuple)), path, "a list", value)
    items = cast("Sequence[object]", value)
    return tuple(_decode(kind, item, f"{path}[{index}]") for index, item in enumerate(items))


def _decode_mapping(kind: Any, value: object, path: str) -> dict[str, object]:
    _expect(isinstance(value, Mapping), path, "an object", value)
    arguments = get_args(kind)
    item_kind = arguments[1] if arguments else Any
    document = _named(cast("Mapping[object, object]", value), path)
    return {key: _decode(item_kind, item, _join(path, key)) for key, item in document.items()}


def _named(value: Mapping[object, object], path: str) -> Mapping[str, object]:
    for name in value:
        _expect(isinstance(name, str), path, "names that are strings", name)
    return cast("Mapping[str, object]", value)


def _decode_union(kinds: Sequence[Any], value: object, path: str) -> object:
    if value is None and type(None) in kinds:
        return None
    tagged = {name: kind for kind in kinds if (name := _tag(kind)) is not None}
    if tagged and isinstance(value, Mapping):
        document = cast("Mapping[str, object]", value)
        if "kind" not in document:
            raise InvalidDocument(_join(path, "kind"), f"is missing; expected {_either(sorted(tagged))}")
        tag = document["kind"]
        known = isinstance(tag, str) and tag in tagged
        _expect(known, _join(path, "kind"), _either(sorted(tagged)), tag)
        return _decode(tagged[cast("str", tag)], document, path)
    problems: dict[str, None] = {}
    for kind in kinds:
        if kind is type(None):
            continue
        try:
            return _decode(kind, value, path)
        except InvalidDocument as error:
            if error.path != path:
                raise  # the value has the form of this alternative; only something inside it is wrong
            problems[error.problem] = None
    raise InvalidDocument(path, " or ".join(problems))


@lru_cache(maxsize=64)
def _tag(kind: Any) -> str | None:
    """Tell the value of a dataclass's literal `kind` field; None when it has none."""
    hint = _hints(cast("type", kind)).get("kind") if dataclasses.is_dataclass(kind) else None
    return cast("str", get_args(hint)[0]) if get_origin(hint) is Literal else None


def _decode_dataclass(kind: type, value: object, path: str) -> object:
    if isinstance(value, kind):
        return value
    _expect(isinstance(value, Mapping), path, "an object", value)
    document = _named(cast("Mapping[object, object]", value), path)
    fields = {field.name: field for field in dataclasses.fields(kind) if field.init}
    for name in document:
        if name not in fields:
            raise InvalidDocument(_join(path, name), f"unknown field{did_you_mean(name, fields)}")
    hints = _hints(kind)
    arguments: dict[str, object] = {}
    for name, field in fields.items():
        if name in document:
            arguments[name] = _decode(hints[name], document[name], _join(path, name))
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise InvalidDocument(_join(path, name), "is missing")
    try:
        return kind(**arguments)
    except InvalidDocument as error:
        raise type(error)(_join(path, error.path), error.problem) from None
