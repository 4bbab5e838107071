"""The `Retry-After` header (RFC 9110, section 10.2.3).

A date is measured from the answer's own `Date` header when there is one, so that a target whose clock is wrong still
asks for the wait that it meant.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

_SECONDS: Final = re.compile(r"\d+\Z", re.ASCII)
_LONGEST: Final = 1e12
"""Seconds; 31,000 years. A longer wish is well-formed too, and must stay a number that JSON can hold."""


def parse_retry_after(value: str | None, now: datetime, date: str | None = None) -> float | None:
    """Read a `Retry-After` value in either form.

    Args:
        value: The header: whole seconds, or an HTTP-date in any of the three forms of RFC 9110, section 5.6.7.
        now: When the answer arrived.
        date: The answer's `Date` header.

    Returns:
        Seconds to wait, at least 0; None when the header is missing or malformed, which means that it is ignored.
    """
    if value is None:
        return None
    text = value.strip()
    if _SECONDS.match(text):
        return min(float(text), _LONGEST)
    until = _http_date(text)
    if until is None:
        return None
    start = _http_date(date.strip()) if date else None
    return max(0.0, (until - (start or now)).total_seconds())


def _http_date(text: str) -> datetime | None:
    try:
        parsed = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    try:
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (OverflowError, ValueError):
        return None
