"""Small drawings for the terminal, and durations for people."""

import math
from collections.abc import Sequence

_BARS = "▁▂▃▄▅▆▇█"


def duration(seconds: float) -> str:
    """Write a duration in the unit that suits it: `250 ms`, `4.5 s`, `12 min`, `1.7 h`, `3 d`."""
    if 0 < seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    for unit, length, up_to in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172_800)):
        if seconds < up_to:
            return f"{_short(seconds / length)} {unit}"
    return f"{_short(seconds / 86_400)} d"


def bars(values: Sequence[float]) -> str:
    """Draw a bar for each value; one that is not zero is always seen."""
    top = max(values, default=0)
    if top <= 0:
        return " " * len(values)
    steps = len(_BARS)
    return "".join(" " if value <= 0 else _BARS[max(math.ceil(value / top * steps) - 1, 0)] for value in values)


def marker(at: float, upto: float, width: int, text: str) -> str:
    """Point at a place below a drawing, with a word beside it.

    Args:
        at: The place.
        upto: The place of the right edge.
        width: Width of the drawing, in characters.
        text: The word.
    """
    column = min(int(at / upto * width), max(width - 1, 0)) if upto > 0 else 0
    return f"{' ' * column}▲ {text}"


def band(earliest: float, median: float, latest: float, upto: float, width: int) -> str:
    """Draw when something happens on an axis of the logarithm of time: a line for the bounds, a dot for the median.

    Args:
        earliest: In seconds.
        median: In seconds.
        latest: In seconds.
        upto: The right edge, in seconds.
        width: Width of the drawing, in characters.
    """

    def column(seconds: float) -> int:
        return round(math.log1p(seconds) / math.log1p(upto) * (width - 1)) if upto > 0 else 0

    first, middle, last = column(earliest), column(median), column(latest)
    line = [" "] * width
    line[first : last + 1] = ["─"] * (last + 1 - first)
    line[middle] = "●"
    return "".join(line).rstrip()


def _short(number: float) -> str:
    return f"{number:.0f}" if number >= 100 else f"{number:.1f}".removesuffix(".0")
