"""Checks that the parts of a policy share: each names the field at fault, what was expected and what came."""

from __future__ import annotations

from typing import Final

from redrive.core.errors import InvalidPolicy

MAX_SECONDS: Final = 366 * 86_400.0
"""No delay, time-out or elapsed limit may be longer than this: one leap year, in seconds."""


def expect(condition: bool, name: str, expected: str, got: object) -> None:
    """Refuse a value.

    Raises:
        InvalidPolicy: `condition` does not hold.
    """
    if not condition:
        raise InvalidPolicy(name, f"expected {expected}, got {got!r}")


def expect_seconds(name: str, value: float, *, above_zero: bool = False) -> None:
    """Refuse what is no duration, in seconds.

    Raises:
        InvalidPolicy: The value is negative, not a number, longer than `MAX_SECONDS`, or 0 where that has no meaning.
    """
    low = "above 0" if above_zero else "from 0"
    fits = 0 <= value <= MAX_SECONDS and not (above_zero and value == 0)
    expect(fits, name, f"seconds {low} to {MAX_SECONDS:.0f}", value)


def expect_share(name: str, value: float) -> None:
    """Refuse what is no share of a whole.

    Raises:
        InvalidPolicy: The value is not above 0 and up to 1.
    """
    expect(0 < value <= 1, name, "a number above 0 and up to 1", value)
