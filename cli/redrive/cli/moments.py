"""Points in time as people write and read them."""

import re
from datetime import UTC, datetime, timedelta

import typer

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[smhdw])")
_EXPECTED = "expected an instant such as 2025-01-31T12:00:00Z, or '2h ago', or 'in 10m', got {!r}"


def parse_duration(text: str) -> timedelta:
    """Read a duration such as `90s`, `10m`, `2h`, `1.5d` or `1w`.

    Raises:
        typer.BadParameter: It is none.
    """
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None:
        raise typer.BadParameter(f"expected a duration such as 90s, 10m, 2h, 1.5d or 1w, got {text!r}")
    return timedelta(seconds=float(match["number"]) * _UNITS[match["unit"]])


def parse_instant(text: str, now: datetime) -> datetime:
    """Read an instant: ISO 8601, `2h ago` or `in 10m`. One without a zone is in the zone of this machine.

    Args:
        text: What was typed.
        now: The current time, for the relative forms.

    Raises:
        typer.BadParameter: It is none.
    """
    words = text.strip().lower()
    try:
        if words.endswith(" ago"):
            return now - parse_duration(words.removesuffix("ago"))
        if words.startswith("in "):
            return now + parse_duration(words.removeprefix("in"))
        return datetime.fromisoformat(text.strip()).astimezone(UTC)
    except (ValueError, OverflowError, typer.BadParameter):
        raise typer.BadParameter(_EXPECTED.format(text)) from None


def relative(instant: datetime, now: datetime) -> str:
    """Say how far away an instant is, in the largest unit that gives at least one: `3 h ago`, `in 20 s`."""
    seconds = round((instant - now).total_seconds())
    if seconds == 0:
        return "now"
    size = abs(seconds)
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        if size >= length:
            amount = f"{size // length} {unit}"
            return f"in {amount}" if seconds > 0 else f"{amount} ago"
    raise AssertionError("one second is always at least one second")


def iso(instant: datetime) -> str:
    """Write an instant as the API does."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
