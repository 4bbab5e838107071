"""Cron expressions in a time zone.

croniter is imported only here and only when a cron backoff is used: the SDK and most workflows never need it.

Around a change of the clocks the rules are those of crontab(5) (Vixie cron), by what the expression is:

- A fixed time, such as `30 2 * * *`, is run once a day. When it does not exist on the day the clocks go forward, it is
  run at the first moment after the gap; when it happens twice, at its first occurrence.
- An interval, that is an expression whose minute or hour begins with `*`, such as `*/5 * * * *`, follows the clock on
  the wall: it goes on through the repeated hour and does nothing about an hour that does not exist. Were it treated as
  a fixed time, it would stand still for an hour every autumn.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from redrive.core.documents import did_you_mean
from redrive.core.errors import InvalidPolicy

_SEARCH_YEARS: Final = 50
"""Longer than the longest gap of a meaningful expression: 29 February on a certain weekday, 40 years around 2100."""

_LONGEST: Final = 500
"""Characters; five fields with all their values written out fit."""

_TICK: Final = timedelta(microseconds=1)

# Names that zoneinfo finds but that mean something else on each machine, or count leap seconds.
_LOCAL_ZONE: Final = re.compile(r"localtime\Z|posixrules\Z|right/|posix/", re.IGNORECASE)

# croniter widens `5-5` to the whole field: every minute instead of minute 5.
_ONE_VALUE_RANGE: Final = re.compile(r"(?<!\w)(\w+)-\1(?:/\d+)?(?!\w)", re.IGNORECASE)


def check_timezone(name: str) -> None:
    """Refuse a time zone that does not exist, or that is another one on each machine.

    Raises:
        InvalidPolicy: No IANA zone has that name.
    """
    try:
        known = not _LOCAL_ZONE.match(name) and bool(_zone(name))
    except (KeyError, ValueError, OSError):
        known = False
    if known:
        return
    expected = f"expected an IANA time zone such as 'Europe/Berlin', got {name[:80]!r}"
    suggestion = did_you_mean(name, available_timezones() - {"localtime"})
    raise InvalidPolicy("timezone", expected + (suggestion if "did you mean" in suggestion else ""))


def check_expression(expression: str, field: str = "expression") -> None:
    """Refuse an expression that croniter cannot read, that names no time at all, or that is random.

    Where croniter is not installed, as beside the SDK, only the number of fields is checked; the server does the rest.

    Args:
        expression: Five fields, or six with seconds last.
        field: Its name in messages.

    Raises:
        InvalidPolicy: The expression has no meaning.
    """
    problem = _problem(expression)
    if problem is not None:
        shown = expression if len(expression) <= 80 else f"{expression[:77]}..."
        raise InvalidPolicy(field, f"expected a cron expression such as '*/5 * * * *', got {shown!r}: {problem[:200]}")


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
    check_timezone(timezone)
    check_expression(expression)
    zone = _zone(timezone)
    if not _is_interval(expression):
        # Wall times and the instants they stand for rise together, so nothing before the wall time of `after` counts.
        resolved = (_resolve(named, zone) for named in _walk(expression, _wall(after, zone)))
        return next(instant for instant in resolved if instant > after)
    first = _next_on_wall(expression, zone, _wall(after, zone), after + _TICK)
    back = _goes_back(after, zone)
    if back is None or first < back:
        return first
    return _next_on_wall(expression, zone, _wall(back, zone) - _TICK, back)


def on_wall_after(start: datetime, seconds: float, timezone: str) -> datetime:
    """Tell when the clock on the wall has gone on by `seconds`.

    That is what people mean by “from ten at night for eight hours”: six in the morning, also in the night in which the
    clocks change. A wall time that does not exist is taken to be at the end of the gap; of one that happens twice, the
    first after `start` counts.

    Args:
        start: An aware instant.
        seconds: By how much, in seconds; above 0.
        timezone: IANA name of the zone of the wall.

    Returns:
        The instant, in UTC, later than `start`.
    """
    zone = _zone(timezone)
    named = _wall(start, zone) + timedelta(seconds=seconds)
    first = _resolve(named, zone)
    return first if first > start else _instant(named, zone, 1)


def _is_interval(expression: str) -> bool:
    minute, hour, *_ = expression.split()
    return minute.startswith("*") or hour.startswith("*")


def _walk(expression: str, wall: datetime) -> Iterator[datetime]:
    """Give the wall times after `wall` that the expression names.

    croniter sees naive times, where every expression is plain arithmetic; the zone is applied to its answers, so that
    gaps and repeated hours follow our rules and not those of its version.
    """
    from croniter import croniter  # noqa: PLC0415 - see the module's docstring

    walk = croniter(_plain(expression), wall, ret_type=datetime, max_years_between_matches=_SEARCH_YEARS)
    while True:
        yield walk.get_next(datetime)


def _plain(expression: str) -> str:
    return _ONE_VALUE_RANGE.sub(r"\1", expression.strip())


def _wall(instant: datetime, zone: ZoneInfo) -> datetime:
    return instant.astimezone(zone).replace(tzinfo=None)


def _next_on_wall(expression: str, zone: ZoneInfo, wall: datetime, earliest: datetime) -> datetime:
    """Find the first instant from `earliest` on whose wall time is named and later than `wall`."""
    return next(
        instant
        for named in _walk(expression, wall)
        for fold in (0, 1)
        if (instant := _instant(named, zone, fold)) >= earliest and _wall(instant, zone) == named
    )


def _goes_back(after: datetime, zone: ZoneInfo) -> datetime | None:
    """Tell when the clocks go back, if the wall time of `after` is to come a second time; else None."""
    again = _instant(_wall(after, zone), zone, 1)
    if again <= after or _wall(again, zone) != _wall(after, zone):
        return None
    return _change(after, again, zone)


def _resolve(named: datetime, zone: ZoneInfo) -> datetime:
    """Turn a wall time into an instant: first occurrence when repeated, end of the gap when it does not exist."""
    instant = _instant(named, zone, 0)
    if _wall(instant, zone) == named:
        return instant
    # In a gap, fold 0 reads the time with the offset from before the change, fold 1 with the one after it; the change
    # lies between the two readings.
    return _change(_instant(named, zone, 1), instant, zone)


def _instant(named: datetime, zone: ZoneInfo, fold: int) -> datetime:
    return named.replace(tzinfo=zone, fold=fold).astimezone(UTC)


def _change(low: datetime, high: datetime, zone: ZoneInfo) -> datetime:
    """Find the change of offset after `low` and not after `high`; changes happen on whole seconds."""
    before = low.astimezone(zone).utcoffset()
    early, late = math.floor(low.timestamp()), math.ceil(high.timestamp())
    while late - early > 1:
        middle = (early + late) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == before:
            early = middle
        else:
            late = middle
    return datetime.fromtimestamp(late, UTC)


@lru_cache(maxsize=256)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


@lru_cache(maxsize=1024)
def _problem(expression: str) -> str | None:
    if len(expression) > _LONGEST:
        return f"expected at most {_LONGEST} characters, got {len(expression)}"
    fields = expression.split()
    if len(fields) not in (5, 6):
        return f"expected five fields, or six with seconds last, got {len(fields)}"
    if any(field[0] in "rRhH" for field in fields):
        return "`R` and `H` are not supported: a retry must be planned the same way each time it is computed"
    try:
        next(_walk(expression, datetime(2024, 1, 1)))  # noqa: DTZ001 - croniter walks over wall times
    except ModuleNotFoundError:
        return None
    except (ValueError, KeyError, ArithmeticError) as error:
        return str(error) or type(error).__name__
    return None
