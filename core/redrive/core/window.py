"""How a target has answered lately: successes and failures, in buckets of one second.

A window is a small value: at most one bucket per second, and only for seconds in which something happened. Workers
count in memory and add what they have to the target's row from time to time; since adding is commutative and
associative, it does not matter who adds first, nor how often each one does.

One second is the resolution everywhere: a window of 60 s covers the current second and the 59 before it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias

from redrive.core.errors import InvalidDocument

Bucket: TypeAlias = tuple[int, int, int]
"""A second since 1970, and how many attempts succeeded and failed in it."""

_PARTS: Final = 3


@dataclass(frozen=True, slots=True)
class Totals:
    """What a window adds up to.

    Attributes:
        succeeded: Attempts that succeeded.
        failed: Attempts that failed in a way that counts.
    """

    succeeded: int = 0
    failed: int = 0

    @property
    def count(self) -> int:
        """All of them."""
        return self.succeeded + self.failed

    @property
    def failure_ratio(self) -> float:
        """The share that failed, from 0 to 1; 0 when there was none at all."""
        return self.failed / self.count if self.count else 0.0


@dataclass(frozen=True, slots=True)
class Window:
    """Outcomes by second.

    Attributes:
        buckets: In the order of time, one per second in which something happened.
    """

    buckets: tuple[Bucket, ...] = ()

    def add(self, at: datetime, *, succeeded: int = 0, failed: int = 0) -> Window:
        """Count outcomes.

        Args:
            at: When the attempts ended.
            succeeded: How many succeeded.
            failed: How many failed.

        Returns:
            A new window.
        """
        return self.merge(Window(((second_of(at), succeeded, failed),)))

    def merge(self, other: Window) -> Window:
        """Add what another worker counted.

        Returns:
            A new window. Nothing is forgotten; `trim` does that.
        """
        sums: dict[int, Bucket] = {}
        for second, succeeded, failed in (*self.buckets, *other.buckets):
            _, before_ok, before_failed = sums.get(second, (second, 0, 0))
            sums[second] = (second, before_ok + succeeded, before_failed + failed)
        return Window(tuple(sums[second] for second in sorted(sums) if any(sums[second][1:])))

    def trim(self, now: datetime, seconds: float) -> Window:
        """Forget what is older than `seconds`.

        What is further ahead than that goes too: it comes from a worker whose clock is wrong, and would otherwise
        stay for as long as the clock is ahead.

        Returns:
            A new window of at most `2 × seconds` buckets.
        """
        first, last = _first(now, seconds), second_of(now) + math.ceil(seconds)
        return Window(tuple(bucket for bucket in self.buckets if first <= bucket[0] <= last))

    def totals(self, now: datetime, seconds: float, since: datetime | None = None) -> Totals:
        """Add up the last `seconds`.

        Args:
            now: The end of the window. Buckets slightly ahead of it count: another worker's clock may be.
            seconds: Length of the window, in seconds.
            since: Count nothing before this instant or in its second; None for no such limit.
        """
        first = _first(now, seconds)
        if since is not None:
            first = max(first, second_of(since) + 1)
        counted = [bucket for bucket in self.buckets if bucket[0] >= first]
        return Totals(sum(bucket[1] for bucket in counted), sum(bucket[2] for bucket in counted))

    def render(self) -> list[list[int]]:
        """Write it as JSON: `[[second, succeeded, failed], …]`."""
        return [list(bucket) for bucket in self.buckets]


def parse_window(document: Sequence[Sequence[int]], path: str = "window") -> Window:
    """Read what `Window.render` wrote.

    Args:
        document: A list of `[second, succeeded, failed]`.
        path: Its name in messages.

    Raises:
        InvalidDocument: It has another form.
    """
    return Window().merge(Window(tuple(_bucket(item, f"{path}[{index}]") for index, item in enumerate(document))))


def merge_all(windows: Iterable[Window]) -> Window:
    """Add up what several workers counted."""
    return Window().merge(Window(tuple(bucket for window in windows for bucket in window.buckets)))


def second_of(at: datetime) -> int:
    """Tell the bucket of an instant: whole seconds since 1970."""
    return math.floor(at.timestamp())


def _first(now: datetime, seconds: float) -> int:
    return second_of(now) - math.ceil(seconds) + 1


def _bucket(item: Sequence[int], path: str) -> Bucket:
    numbers = [number for number in item if type(number) is int]
    if len(numbers) != len(item) or len(numbers) != _PARTS or min(numbers[1:]) < 0:
        raise InvalidDocument(path, f"expected [second, succeeded, failed] with counts from 0, got {list(item)!r}")
    return numbers[0], numbers[1], numbers[2]
