"""Strict decoding of JSON documents into frozen dataclasses, and back.

Both sides of the wire use it: the SDK may depend on nothing but httpx, and a workflow must parse its policy without a
heavy import. Unknown fields are refused with the nearest known name, because a misspelt `max_attempt` that is silently
ignored is found on the worst possible day.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from redrive.core.errors import InvalidDocument

T = TypeVar("T")


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
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: encode(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in cast("Mapping[object, object]", value).items()}
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in cast("Sequence[object]", value)]
    if isinstance(value, datetime):
        return value.isoformat()
    return value


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Suggest the nearest known name.

    Args:
        name: What came.
        known: The names that exist.

    Returns:
        `, did you mean 'x'?`, or the list of known names when none is near.
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    return f", did you mean {near[0]!r}?" if near else f"; known: {', '.join(names)}"


def require(condition: bool, path: str, problem: str) -> None:
    """Raise `InvalidDocument` unless `condition` holds."""
    if not condition:
        raise InvalidDocument(path, problem)


@lru_cache(maxsize=256)
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path and name else path or name


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _decode(kind: Any, value: object, path: str) -> object:
    origin = get_origin(kind)
    if kind is Any or kind is object:
        return value
    if origin in (Union, types.UnionType):
        return _decode_union(get_args(kind), value, path)
    if origin is Literal:
        allowed = get_args(kind)
        require(value in allowed, path, f"expected {_either(allowed)}, got {_shown(value)}")
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
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        require(is_number and math.isfinite(cast("float", value)), path, f"expected a number, got {_shown(value)}")
        return float(cast("float", value))
    if kind is int:
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        require(is_whole, path, f"expected a whole number, got {_shown(value)}")
        return value
    if kind is bool:
        require(isinstance(value, bool), path, f"expected true or false, got {_shown(value)}")
        return value
    if kind is str:
        require(isinstance(value, str), path, f"expected a string, got {_shown(value)}")
        return value
    if kind is type(None):
        require(value is None, path, f"expected null, got {_shown(value)}")
        return value
    if kind is datetime:
        return _decode_instant(value, path)
    raise TypeError(f"documents cannot hold {kind!r}")


def _decode_instant(value: object, path: str) -> datetime:
    expected = f"expected an ISO 8601 instant with a zone such as '2026-01-31T12:00:00Z', got {_shown(value)}"
    if isinstance(value, datetime):
        instant = value
    else:
        require(isinstance(value, str), path, expected)
        try:
            instant = datetime.fromisoformat(cast("str", value))
        except ValueError:
            raise InvalidDocument(path, expected) from None
    require(instant.tzinfo is not None, path, expected)
    return instant


def _decode_tuple(kind: Any, value: object, path: str) -> tuple[object, ...]:
    require(isinstance(value, (list, tuple)), path, f"expected a list, got {_shown(value)}")
    items = cast("Sequence[object]", value)
    return tuple(_decode(kind, item, f"{path}[{index}]") for index, item in enumerate(items))


def _decode_mapping(kind: Any, value: object, path: str) -> dict[str, object]:
    require(isinstance(value, Mapping), path, f"expected an object, got {_shown(value)}")
    arguments = get_args(kind)
    item_kind = arguments[1] if arguments else Any
    items = cast("Mapping[str, object]", value).items()
    return {key: _decode(item_kind, item, _join(path, key)) for key, item in items}


def _decode_union(kinds: Sequence[Any], value: object, path: str) -> object:
    if value is None and type(None) in kinds:
        return None
    tagged = {_tag(cast("type", kind)): kind for kind in kinds if dataclasses.is_dataclass(kind)}
    if tagged and isinstance(value, Mapping):
        document = cast("Mapping[str, object]", value)
        require("kind" in document, _join(path, "kind"), f"is missing; expected {_either(sorted(tagged))}")
        tag = document["kind"]
        require(
            isinstance(tag, str) and tag in tagged,
            _join(path, "kind"),
            f"expected {_either(sorted(tagged))}, got {_shown(tag)}",
        )
        return _decode(tagged[cast("str", tag)], document, path)
    problems: list[str] = []
    for kind in kinds:
        if kind is type(None):
            continue
        try:
            return _decode(kind, value, path)
        except InvalidDocument as error:
            problems.append(error.problem)
    raise InvalidDocument(path, " or ".join(dict.fromkeys(problems)))


@lru_cache(maxsize=64)
def _tag(kind: type) -> str:
    return cast("str", get_args(_hints(kind)["kind"])[0])


def _decode_dataclass(kind: type, value: object, path: str) -> object:
    if isinstance(value, kind):
        return value
    require(isinstance(value, Mapping), path, f"expected an object, got {_shown(value)}")
    document = cast("Mapping[str, object]", value)
    fields = {field.name: field for field in dataclasses.fields(kind) if field.init}
    for name in document:
        require(name in fields, _join(path, name), f"unknown field{did_you_mean(name, fields)}")
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
