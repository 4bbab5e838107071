"""JSON as it comes in from files and goes out to pipes."""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from redrive.cli.failure import CommandError

_SPACE = re.compile(r"\s*")


@dataclass(frozen=True, slots=True)
class Located:
    """A JSON object and where it begins.

    Attributes:
        line: The number of its first line, from 1.
        size: Its length in bytes.
        document: The object.
    """

    line: int
    size: int
    document: dict[str, Any]


def as_object(value: object) -> dict[str, Any] | None:
    """Return a JSON object as such; None for any other value."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def write_json(document: Any) -> None:
    """Write a document to standard output as plain JSON."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def read_objects(text: str) -> list[Located]:
    """Read a JSON object, an array of objects, or objects one after the other (JSON lines).

    Raises:
        CommandError: The text is none of these; the message names the line.
    """
    text = text.removeprefix("\ufeff")
    start = _skip_space(text, 0)
    values = _array(text, start + 1) if text.startswith("[", start) else _sequence(text, start)
    return list(values)


def _sequence(text: str, position: int) -> Iterator[Located]:
    while position < len(text):
        located, position = _object(text, position)
        yield located
        position = _skip_space(text, position)


def _array(text: str, position: int) -> Iterator[Located]:
    position = _skip_space(text, position)
    while not text.startswith("]", position):
        located, position = _object(text, position)
        yield located
        position = _skip_space(text, position)
        if text.startswith(",", position):
            position = _skip_space(text, position + 1)
        elif not text.startswith("]", position):
            raise CommandError(f"line {_line(text, position)}: expected ',' or ']' after an item of the array")
    rest = _skip_space(text, position + 1)
    if rest < len(text):
        raise CommandError(f"line {_line(text, rest)}: expected nothing after the array")


def _object(text: str, position: int) -> tuple[Located, int]:
    line = _line(text, position)
    try:
        value, end = json.JSONDecoder().raw_decode(text, position)
    except json.JSONDecodeError as error:
        raise CommandError(f"line {error.lineno}: not JSON: {error.msg}") from error
    document = as_object(value)
    if document is None:
        raise CommandError(f"line {line}: expected a JSON object, got {json.dumps(value)[:40]}")
    return Located(line, len(text[position:end].encode()), document), end


def _skip_space(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    return found.end() if found else position


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1
