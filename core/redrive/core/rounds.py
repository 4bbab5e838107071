"""How many tasks a starter takes at a time.

A task that is reported while a round is under way waits for the rest of it, and for its own. So a round is to be short
where Temporal is slow or busy, and may be large where it is fast.
"""

from __future__ import annotations

from typing import Final

ROUND_SECONDS: Final = 0.2
"""How long a round should take: what a newcomer waits for at most is two of them."""

SMALLEST: Final = 4
"""Below this, starting side by side would gain nothing any more."""


def next_size(started: int, seconds: float, limit: int) -> int:
    """Tell how many tasks to take in the next round.

    Args:
        started: Tasks of the round before.
        seconds: How long it took, in seconds.
        limit: The most starts in flight.

    Returns:
        What the round before would have managed in `ROUND_SECONDS`, at most twice as many as it had; never more than
        `limit`, and no less than `SMALLEST` unless the limit is.
    """
    managed = started * min(2.0, ROUND_SECONDS / max(seconds, 1e-9))
    return min(limit, max(SMALLEST, round(managed)))
