"""Quiet hours: times in which no attempt runs, such as the nightly maintenance of a target.

A window begins whenever a cron expression says, in a time zone, and lasts for a while on the clock on the wall: from
ten at night for eight hours ends at six in the morning, also when the clocks change in between. When a beginning does
not exist or happens twice is settled by the rules of `redrive.core.cron`.

Where quiet hours end, everything that waited would run at once; whoever carries this out lets it return by slow start
(`redrive.core.ramp`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Final

from redrive.core.checks import expect
from redrive.core.cron import check_expression, check_timezone, next_time, on_wall_after

_FORBID: Final = {"extra": "forbid"}

_LONGEST: Final = 7 * 86_400.0
"""Seconds. What is quiet for longer is paused, by a person and with a reason."""

_SHIFT: Final = timedelta(hours=3)
"""By how much the clocks may be put back during a window; two hours is the most that there has been."""

_LOOKS_BACK: Final = (timedelta(minutes=1), timedelta(hours=1), timedelta(days=1))
_CHAIN: Final = 50
"""How many windows that follow one another without a gap are joined; after that the answer is a time to ask again."""


@dataclass(frozen=True, slots=True)
class QuietWindow:
    """One window of quiet hours.

    Attributes:
        start: When it begins: a cron expression of five fields, or six with seconds last.
        duration_seconds: How long it lasts on the clock on the wall, in seconds; from 1 second up to a week.
        timezone: IANA name of the zone of that clock.
        reason: Why, for people.
    """

    __pydantic_config__: ClassVar = _FORBID
    start: str
    duration_seconds: float
    timezone: str = "UTC"
    reason: str = ""

    def __post_init__(self) -> None:
        check_timezone(self.timezone)
        check_expression(self.start, "start")
        fits = 1 <= self.duration_seconds <= _LONGEST
        expect(fits, "duration_seconds", f"seconds from 1 to {_LONGEST:.0f} (a week)", self.duration_seconds)
        expect(len(self.reason) <= 500, "reason", "at most 500 characters", len(self.reason))


def quiet_until(windows: Sequence[QuietWindow], now: datetime) -> datetime | None:
    """Tell until when no attempt may run.

    Windows that overlap, or of which one begins where another ends, count as one.

    Args:
        windows: The quiet hours.
        now: When.

    Returns:
        The end of the quiet hours, later than `now`; None when it is not quiet now. When windows follow one another
        without an end, it is a moment at which to ask again.
    """
    until: datetime | None = None
    for _ in range(_CHAIN):
        end = _latest(_end(window, until or now) for window in windows)
        if end is None:
            break
        until = end
    return until


def _latest(ends: Iterable[datetime | None]) -> datetime | None:
    return max((end for end in ends if end is not None), default=None)


def _end(window: QuietWindow, now: datetime) -> datetime | None:
    """Tell when the window ends that holds `now`; None when none does."""
    start = _last_start(window, now)
    if start is None:
        return None
    end = on_wall_after(start, window.duration_seconds, window.timezone)
    return end if end > now else None


def _last_start(window: QuietWindow, now: datetime) -> datetime | None:
    """Find the last beginning up to `now` that can still matter.

    The last one also ends last. Since cron is only walked forward, short spans are looked at first: an expression that
    begins every minute is not walked through a whole day.
    """
    whole = timedelta(seconds=window.duration_seconds) + _SHIFT
    for back in (*(back for back in _LOOKS_BACK if back < whole), whole):
        found: datetime | None = None
        start = next_time(window.start, window.timezone, now - back)
        while start <= now:
            found = start
            start = next_time(window.start, window.timezone, start)
        if found is not None:
            return found
    return None
