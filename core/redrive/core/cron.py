"""Cron expressions in a time zone.

croniter is imported only here and only when a cron backoff is used: the SDK and most workflows never need it.

Around a change of the clocks (crontab(5), Vixie cron): a time that does not exist on the day the clocks go forward is
run at the first moment after the gap; a time that happens twice runs at its first occurrence.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from redrive.core.documents import did_you_mean
from redrive.core.errors import InvalidPolicy

_SEARCH_YEARS: Final = 8  # the longest gap of a valid expression: 29 February around a century that is no leap year


def check_timezone(name: str) -> None:
    """Refuse a time zone that does not exist.

    Raises:
        InvalidPolicy: No IANA zone has that name.
    """
    try:
        _zone(name)
    except (KeyError, ValueError, OSError):
        known = available_timezones()
        raise InvalidPolicy(
            "timezone",
            f"expected an IANA time zone such as 'Europe/Berlin', got {name!r}"
            + (did_you_mean(name, known) if known and _has_near(name, known) else ""),
        ) from None


def check_expression(expression: str) -> None:
    """Refuse an expression that croniter cannot read, or that names no time at all.

    Raises:
        InvalidPolicy: The expression has no meaning.
    """
    _require_valid(expression)


def next_time(expression: str, timezone: str, after: datetime) -> datetime:
    """Find the next time that `expression` names.

    Args:
        expression: Five fields, or six with seconds last.
        timezone: IANA name of the zone in which the fields are read.
        after: An aware instant; the result is later.

    Returns:
        The instant, in UTC.

    Raises:
        InvalidPolicy: The expression or the zone has no meaning.
    """
    from croniter import croniter  # noqa: PLC0415 - see the module's docstring

    check_timezone(timezone)
    _require_valid(expression)
    zone = _zone(timezone)
    # croniter walks over naive local times, where every expression is plain arithmetic; the zone is applied to its
    # answer, so that gaps and repeated hours follow one rule: ours.
    local = after.astimezone(zone).replace(tzinfo=None)
    # A repeated hour shows the same local times twice. Starting one step back and skipping what is not later keeps
    # each named time at its first occurrence only.
    walk = croniter(expression, local - timedelta(hours=3), ret_type=datetime, max_years_between_matches=_SEARCH_YEARS)
    while True:
        named: datetime = walk.get_next(datetime)
        instant = _resolve(named, zone)
        if instant > after:
            return instant


def _resolve(named: datetime, zone: ZoneInfo) -> datetime:
    """Turn a local wall time into an instant: first occurrence when repeated, end of the gap when it does not exist."""
    instant = named.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == named:
        return instant
    # In a gap, fold=0 reads the time with the offset from before the change, fold=1 with the one after it. The change
    # lies between the two readings; its instant is where the offset switches.
    low = named.replace(tzinfo=zone, fold=1).astimezone(UTC)
    high = instant
    before = low.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) / 2
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high.replace(microsecond=0)


@lru_cache(maxsize=256)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _has_near(name: str, known: set[str]) -> bool:
    return "did you mean" in did_you_mean(name, known)


@lru_cache(maxsize=1024)
def _problem(expression: str) -> str | None:
    from croniter import croniter  # noqa: PLC0415 - see the module's docstring

    fields = len(expression.split())
    if fields not in (5, 6):
        return f"expected five fields, or six with seconds last, got {fields}"
    try:
        walk = croniter(
            expression,
            datetime(2024, 1, 1),  # noqa: DTZ001 - croniter walks over local times
            ret_type=datetime,
            max_years_between_matches=_SEARCH_YEARS,
        )
        walk.get_next(datetime)
    except (ValueError, KeyError, ArithmeticError) as error:
        return str(error) or type(error).__name__
    return None


def _require_valid(expression: str) -> None:
    problem = _problem(expression)
    if problem is not None:
        raise InvalidPolicy(
            "expression", f"expected a cron expression such as '*/5 * * * *', got {expression!r}: {problem}"
        )
