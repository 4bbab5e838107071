"""Points in time as people write and read them."""

from datetime import UTC, datetime, timedelta

import pytest
import typer

from redrive.cli.moments import parse_duration, parse_instant, relative

NOW = datetime(2025, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), ("2h", 7200), ("1.5d", 129600), (" 1W ", 604800)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "h", "-1h", "1y", "1h30m"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="expected a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2025-01-31T13:00:00+01:00", NOW),
        ("2025-01-31T12:00:00Z", NOW),
        ("2h ago", NOW - timedelta(hours=2)),
        ("in 10m", NOW + timedelta(minutes=10)),
    ],
)
def test_instants(text: str, instant: datetime) -> None:
    assert parse_instant(text, NOW) == instant


@pytest.mark.parametrize("text", ["", "now-ish", "ago", "in", "999999999999w ago", "2025-13-01"])
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="expected an instant"):
        parse_instant(text, NOW)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "now"), (0.4, "now"), (59, "in 59 s"), (-61, "1 min ago"), (7199, "in 1 h"), (-90000, "1 d ago")],
)
def test_relative_uses_the_largest_unit_that_fits(seconds: float, words: str) -> None:
    assert relative(NOW + timedelta(seconds=seconds), NOW) == words
