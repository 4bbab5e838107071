"""Text that PostgreSQL can hold: valid Unicode without NUL."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from redrive.api.problems import FieldProblem
from redrive.api.validation import invalid, invalid_field

_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")
_REPLACEMENT: Final = "�"


def is_storable(text: str) -> bool:
    """Tell whether a text column can hold `text`."""
    return _UNSTORABLE.search(text) is None


def replace_unstorable(text: str, longest: int) -> str:
    """Make a text storable, and cut it in the middle when it is too long: both ends of a stack say most.

    Args:
        text: Any text.
        longest: The most bytes to keep, as UTF-8.
    """
    clean = _UNSTORABLE.sub(_REPLACEMENT, text)
    if len(clean) * 4 <= longest or len(clean.encode()) <= longest:
        return clean
    encoded, half = clean.encode(), (longest - 16) // 2
    head, tail = encoded[:half].decode(errors="ignore"), encoded[-half:].decode(errors="ignore")
    return f"{head}\n… cut …\n{tail}"


def is_storable_document(document: object) -> bool:
    """Tell whether a jsonb column can hold a JSON document."""
    if not document:
        return True
    # Looking at the whole as one text is quick; only when something may be wrong each part is looked at.
    written = json.dumps(document, ensure_ascii=False)
    if "\\u0000" not in written and is_storable(written):
        return True
    return all(is_storable(text) for text in _texts(document))


def check_storable(document: object, path: str) -> None:
    """Refuse a document that a jsonb column cannot hold.

    Args:
        document: A JSON document.
        path: Its name in messages.

    Raises:
        Refusal: Some text in it cannot be stored.
    """
    if not is_storable_document(document):
        raise invalid_field(path, "expected valid Unicode without NUL, got text that cannot be stored")


def check_unicode(fields: Mapping[str, Any]) -> None:
    """Refuse payloads that are no valid Unicode: they could be stored, but not sent. NUL they may have.

    Args:
        fields: The documents by their names in messages.

    Raises:
        Refusal: Some text in one has half of a surrogate pair.
    """
    broken = [name for name, value in fields.items() if not is_storable(json.dumps(value, ensure_ascii=False))]
    if broken:
        raise invalid([FieldProblem(name, "expected valid Unicode, got half of a surrogate pair") for name in broken])


def _texts(document: object) -> list[str]:
    found: list[str] = []
    stack: list[object] = [document]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            found.append(item)
        elif isinstance(item, dict):
            entries = cast("dict[str, Any]", item)
            found.extend(entries)
            stack.extend(entries.values())
        elif isinstance(item, list):
            stack.extend(cast("Sequence[Any]", item))
    return found
