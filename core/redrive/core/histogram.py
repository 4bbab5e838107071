"""A histogram of durations whose buckets grow by the fourth root of two, and quantiles of it.

Bucket `k` holds durations up to `2^(k/4)` ms and above the bound before; bucket 0 holds all up to 1 ms, the last one
all that are longer. A quantile read from it is up to 19 % too high (the ratio of two bounds, `2^(1/4)`), at any scale.
Histograms add up, which quantiles do not; that is why they are what is stored.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

LAST_BUCKET: Final = 120
"""Holds all durations above 2^(119/4) ms, which is ten days."""


def bucket_of(seconds: float) -> int:
    """Tell the bucket of a duration.

    Args:
        seconds: The duration; a negative one counts as none.
    """
    milliseconds = max(seconds * 1000.0, 1.0)
    return min(LAST_BUCKET, math.ceil(4 * math.log2(milliseconds)))


def bound_seconds(bucket: int) -> float:
    """Tell the longest duration of a bucket, in seconds."""
    return float(2.0 ** (bucket / 4) / 1000.0)


def quantile_seconds(counts: Mapping[int, int], share: float) -> float | None:
    """Read a quantile: the bound below which at least a share of the durations lie.

    Args:
        counts: How many durations each bucket holds.
        share: Between 0 and 1; 0.5 asks for the median.

    Returns:
        Seconds; None when there are no durations.
    """
    total = sum(counts.values())
    if total <= 0:
        return None
    wanted, seen = max(1, math.ceil(total * share)), 0
    for bucket in sorted(counts):
        seen += counts[bucket]
        if seen >= wanted:
            return bound_seconds(bucket)
    return bound_seconds(max(counts))
