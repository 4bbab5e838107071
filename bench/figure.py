"""Line charts as SVG, small enough to be read in a diff, legible on a light and on a dark page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

_WIDTH: Final = 720
_HEIGHT: Final = 260
_LEFT: Final = 48
_RIGHT: Final = 12
_TOP: Final = 40
_BOTTOM: Final = 34
_COLOURS: Final = ("#2563eb", "#ea580c", "#16a34a", "#9333ea")


@dataclass(frozen=True, slots=True)
class Line:
    """One line: a value for each second from 0.

    Attributes:
        name: Its name.
        values: The values.
    """

    name: str
    values: Sequence[float]


def chart(title: str, lines: Sequence[Line], *, limit: float, limit_name: str, shaded: float = 0) -> str:
    """Draw values per second.

    Args:
        title: What is shown.
        lines: The lines.
        limit: A value that is drawn as a dashed line across.
        limit_name: Its name.
        shaded: Up to which second the ground is shaded; 0 for not at all.

    Returns:
        An SVG document.
    """
    seconds = max(1, *(len(line.values) - 1 for line in lines))
    top = _nice(max(limit, *(max(line.values, default=0) for line in lines)))
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def x(second: float) -> float:
        return round(_LEFT + width * second / seconds, 1)

    def y(value: float) -> float:
        return round(_TOP + height * (1 - value / top), 1)

    attributes = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" font-size="12" font-family="sans-serif"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {attributes}><title>{escape(title)}</title>',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" rx="6" fill="#fff"/>',
        f'<text x="{_LEFT}" y="18" fill="#111" font-weight="600">{escape(title)}: requests per second</text>',
    ]
    if shaded:
        parts.append(f'<rect x="{_LEFT}" y="{_TOP}" width="{x(shaded) - _LEFT:g}" height="{height}" fill="#fee2e2"/>')
    for step in range(5):
        value = top * step / 4
        parts.append(
            f'<path d="M{_LEFT} {y(value):g}H{_WIDTH - _RIGHT}" stroke="#e5e7eb"/>'
            f'<text x="{_LEFT - 6}" y="{y(value) + 4:g}" text-anchor="end" fill="#555">{value:g}</text>'
        )
    parts += [
        f'<text x="{x(second):g}" y="{_HEIGHT - 14}" text-anchor="middle" fill="#555">{second} s</text>'
        for second in range(0, seconds + 1, max(1, int(_nice(seconds / 6))))
    ]
    parts.append(f'<path d="M{_LEFT} {y(limit):g}H{_WIDTH - _RIGHT}" stroke="#111" stroke-dasharray="5 4"/>')
    for colour, line in zip(_COLOURS, lines, strict=False):
        points = " ".join(f"{x(second):g},{y(value):g}" for second, value in enumerate(line.values))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
    legend = [(limit_name, "#111"), *zip((line.name for line in lines), _COLOURS, strict=False)]
    for place, (name, colour) in enumerate(legend):
        left = _LEFT + 130 * place
        parts.append(
            f'<path d="M{left} 30h18" stroke="{colour}" stroke-width="2"/>'
            f'<text x="{left + 24}" y="34" fill="#333">{escape(name)}</text>'
        )
    return "\n".join([*parts, "</svg>", ""])


def _nice(value: float) -> float:
    """Round up to 1, 2 or 5 times a power of ten."""
    if value <= 0:
        return 1
    power = 10 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if value <= step * power)
