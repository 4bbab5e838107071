"""How long background reports wait for company."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Window:
    """How long background reports may wait for company.

    Attributes:
        count: Send when so many wait.
        seconds: Send when the oldest has waited so long, in seconds.
        capacity: The most that may wait in memory; what comes then goes to the spool.
    """

    count: int = 100
    seconds: float = 1.0
    capacity: int = 10_000
