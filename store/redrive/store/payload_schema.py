"""Schemas of payloads: JSON Schema 2020-12, about the document `{"args": [...], "kwargs": {...}, "body": ...}`.

Schemas come from whoever may configure a scene, and payloads from whoever may report: so no `$ref` is ever fetched, and
patterns are of the kind that is matched in linear time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import jsonschema_rs

from redrive.core.errors import InvalidDocument
from redrive.core.patch import PayloadDocument

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

MOST_VIOLATIONS: Final = 20
"""What is told of one payload. A list of a thousand wrong items says it by its first ones."""

_VALUE: Final = "the value"


@dataclass(frozen=True, slots=True)
class Violation:
    """One place in which a payload is not as its schema says.

    Attributes:
        path: Where, such as `kwargs.amount`.
        problem: What the schema expects. It never shows the value.
    """

    path: str
    problem: str


def check_schema(schema: Mapping[str, Any], path: str = "payload_schema") -> None:
    """Refuse what is no schema.

    Args:
        schema: A JSON Schema.
        path: Its name in messages.

    Raises:
        InvalidDocument: It is none of draft 2020-12, refers to another document, or has a pattern that cannot be
            matched in linear time.
    """
    dialect = schema.get("$schema", DIALECT)
    if not isinstance(dialect, str) or dialect.removesuffix("#") != DIALECT:
        raise InvalidDocument(f"{path}.$schema", f"expected {DIALECT!r}, the only dialect here, got {dialect!r:.80}")
    try:
        _validator(json.dumps(schema))
    except jsonschema_rs.ValidationError as error:
        place = _join(error.instance_path)
        raise InvalidDocument(f"{path}.{place}" if place else path, f"is no JSON Schema: {error.message}") from None


def violations(schema: Mapping[str, Any], payload: PayloadDocument) -> tuple[Violation, ...]:
    """Tell where a payload is not as a schema says.

    Args:
        schema: A schema that `check_schema` lets pass.
        payload: The payload.

    Returns:
        The first places, at most `MOST_VIOLATIONS`; none when it is as the schema says.
    """
    found: dict[Violation, None] = {}
    for error in _validator(json.dumps(schema)).iter_errors(payload.as_json()):
        found[Violation(_join(error.instance_path), error.message)] = None
        if len(found) == MOST_VIOLATIONS:
            break
    return tuple(found)


@lru_cache(maxsize=256)
def _validator(schema: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(
        json.loads(schema), offline=True, mask=_VALUE, pattern_options=jsonschema_rs.RegexOptions()
    )


def _join(path: Sequence[str | int]) -> str:
    joined = ""
    for part in path:
        joined += f"[{part}]" if isinstance(part, int) else f".{part}" if joined else part
    return joined
