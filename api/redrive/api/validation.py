"""What pydantic finds, in words that say what was expected and what came."""

from __future__ import annotations

import json
import types
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Union, cast, get_args, get_origin

from pydantic import BaseModel

from redrive.api.problems import INVALID_REQUEST, FieldProblem, Refusal
from redrive.core.documents import did_you_mean
from redrive.core.errors import InvalidDocument

_KINDS: Final[Mapping[str, str]] = {
    "string_type": "a string",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a smaller whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "list_type": "a list",
    "uuid_parsing": "a UUID",
    "uuid_type": "a UUID",
}

PATTERNS: Final[dict[str, str]] = {}
"""What the patterns of our types mean, in words; each type adds its own."""


def invalid(errors: Sequence[FieldProblem]) -> Refusal:
    """Make one refusal of all that is wrong with the fields of a request."""
    first = errors[0]
    more = f"; and {len(errors) - 1} more" if len(errors) > 1 else ""
    return Refusal(
        INVALID_REQUEST, f"{first.field}: {first.message}{more}" if first.field else f"{first.message}{more}", errors
    )


def invalid_field(field: str, message: str) -> Refusal:
    """Make a refusal of one field."""
    return invalid([FieldProblem(field, message)])


def invalid_document(error: InvalidDocument, path: str = "") -> Refusal:
    """Make a refusal of what the core says about a document."""
    return invalid([_from_core(error, path)])


def field_problems(errors: Iterable[Mapping[str, Any]], model: Any = None) -> list[FieldProblem]:
    """Put what pydantic found into our words.

    Args:
        errors: Its errors.
        model: The model of the body, whose field names are suggested for an unknown one.

    Returns:
        One problem for each field at fault, without what only repeats it.
    """
    return list(dict.fromkeys(_problem(error, model) for error in errors))


def _problem(error: Mapping[str, Any], model: Any) -> FieldProblem:
    location: tuple[int | str, ...] = error["loc"]
    inside_body = location[:1] == ("body",)
    path = location[1:] if location and location[0] in ("body", "query", "path", "header") else location
    context: Mapping[str, Any] = error.get("ctx") or {}
    cause = context.get("error")
    if isinstance(cause, InvalidDocument):
        return _from_core(cause, _join(path))
    if error["type"] == "missing" and inside_body and not path:
        return FieldProblem("", "expected a JSON body, got none")
    if error["type"] == "extra_forbidden":
        return FieldProblem(_join(path), f"unknown field{did_you_mean(str(path[-1]), _names(model, path[:-1]))}")
    return FieldProblem(_join(path), _message(error, context, cause))


def _message(error: Mapping[str, Any], context: Mapping[str, Any], cause: object) -> str:
    kind, value = error["type"], error.get("input")
    if kind == "missing":
        return "is missing"
    if isinstance(cause, ValueError):
        return str(cause)
    expected = _KINDS.get(kind)
    if expected is not None:
        return f"expected {expected}, got {shown(value)}"
    match kind:
        case "literal_error" | "enum":
            return f"expected {context['expected']}, got {shown(value)}"
        case "greater_than_equal":
            return f"expected at least {context['ge']}, got {shown(value)}"
        case "less_than_equal":
            return f"expected at most {context['le']}, got {shown(value)}"
        case "string_too_long":
            return f"expected at most {context['max_length']} characters, got {len(str(value))}"
        case "string_too_short":
            return f"expected at least {context['min_length']} characters, got {len(str(value))}"
        case "too_long":
            return f"expected at most {context['max_length']} items, got {context['actual_length']}"
        case "too_short":
            return f"expected at least {context['min_length']} items, got {context['actual_length']}"
        case "string_pattern_mismatch":
            words = PATTERNS.get(context["pattern"], f"a match of {context['pattern']}")
            return f"expected {words}, got {shown(value)}"
        case _:
            return str(error["msg"])


def shown(value: object) -> str:
    """Show a value in a message in the words of JSON, cut to what one can read."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):
        return "a value that cannot be shown"
    return text if len(text) <= 80 else f"{text[:77]}..."


def _from_core(error: InvalidDocument, path: str) -> FieldProblem:
    separator = "." if path and error.path and not error.path.startswith("[") else ""
    return FieldProblem(f"{path}{separator}{error.path}", error.problem)


def _join(path: Sequence[int | str]) -> str:
    joined = ""
    for part in path:
        if isinstance(part, int):
            joined += f"[{part}]"
        else:
            joined += f".{part}" if joined else part
    return joined


def _names(model: Any, path: Sequence[int | str]) -> list[str]:
    """Tell the field names of the model at a place in the body's model."""
    for part in path:
        if get_origin(model) is dict:
            model = get_args(model)[1]
        elif isinstance(part, str):
            field = model.model_fields.get(part) if _is_model(model) else None
            model = None if field is None else field.annotation
        if get_origin(model) in (Union, types.UnionType, list):
            arguments = [argument for argument in get_args(model) if argument is not type(None)]
            model = arguments[0] if arguments else None
    return list(cast("type[BaseModel]", model).model_fields) if _is_model(model) else []


def _is_model(model: object) -> bool:
    return isinstance(model, type) and issubclass(model, BaseModel)
