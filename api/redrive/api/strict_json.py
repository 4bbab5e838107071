"""Reading JSON as RFC 8259 means it: no NaN, no Infinity, no number that becomes one, no nesting without end."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, Final, NoReturn, cast

from redrive.api.problems import MALFORMED_JSON, Refusal
from redrive.core.documents import MAX_DEPTH

# A document holds arguments of MAX_DEPTH levels a few levels down.
_LEVELS: Final = MAX_DEPTH + 8


def parse(body: bytes) -> Any:
    """Read a request's body.

    Args:
        body: The bytes as they came.

    Returns:
        The document.

    Raises:
        Refusal: It is not JSON, or not JSON that can be kept.
    """
    try:
        document: Any = json.loads(body.decode(), parse_constant=_refuse_constant, parse_float=_finite)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise Refusal(MALFORMED_JSON, f"expected JSON, got something else at {place}: {error.msg}") from None
    except UnicodeDecodeError as error:
        raise Refusal(MALFORMED_JSON, f"expected UTF-8, got other bytes at position {error.start}") from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError:  # more digits than Python turns into a number
        raise Refusal(MALFORMED_JSON, "expected numbers of at most 4,300 digits, got a longer one") from None
    if _is_deeper(document, _LEVELS):
        raise _too_deep()
    return document


def _refuse_constant(name: str) -> NoReturn:
    raise Refusal(MALFORMED_JSON, f"expected JSON, got {name}, which JSON does not have; send null or a string instead")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        shown = text if len(text) <= 40 else f"{text[:37]}..."
        raise Refusal(MALFORMED_JSON, f"expected numbers that fit a double, got {shown}; send it as a string")
    return number


def _too_deep() -> Refusal:
    return Refusal(MALFORMED_JSON, f"expected at most {MAX_DEPTH} levels of nesting, got more")


def _is_deeper(document: Any, levels: int) -> bool:
    """Tell whether a document has more levels, looking at one level after the other: recursion is what we avoid."""
    level: list[Any] = [document]
    for _ in range(levels):
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(cast("dict[str, Any]", item).values())
            elif isinstance(item, list):
                below.extend(cast("Sequence[Any]", item))
        if not below:
            return False
        level = below
    return True
