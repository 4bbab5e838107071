"""What a generation of a task has been through, each kind counted apart.

Only failures are spent: they alone count against `max_attempts`, and they alone move the backoff. A task that was
snoozed, throttled, parked or interrupted a hundred times has failed not once (as in River, `JobSnooze`, and in Oban).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, assert_never

Movement: TypeAlias = Literal["failure", "throttle", "snooze", "park", "interruption"]


@dataclass(frozen=True, slots=True)
class Counters:
    """The counters of one generation.

    Attributes:
        failures: Attempts that failed and are spent. With the one that succeeds, they are the attempts of a task.
        snoozes: Attempts after which the client, or a rule, said: too early.
        parks: Times that it had to wait for its target, with or without an attempt.
        throttles: Attempts that the target put off with 429 or 503 and `Retry-After`, where those are not spent.
        interruptions: Attempts whose worker was shut down or lost under them; they are delivered again.
        snoozes_in_row: Snoozes since the last attempt that was none.
        parks_in_row: Parks since the last attempt that ended.
        fingerprint: What the last failure was.
        repeats: How many failures in a row have had that fingerprint.
    """

    failures: int = 0
    snoozes: int = 0
    parks: int = 0
    throttles: int = 0
    interruptions: int = 0
    snoozes_in_row: int = 0
    parks_in_row: int = 0
    fingerprint: str | None = None
    repeats: int = 0

    def repeated(self, fingerprint: str | None) -> int:
        """Tell how many failures in a row would have this fingerprint, with one more; 0 for one without."""
        if fingerprint is None:
            return 0
        return self.repeats + 1 if fingerprint == self.fingerprint else 1

    def count(self, movement: Movement, fingerprint: str | None = None) -> Counters:
        """Count one event.

        Args:
            movement: What happened.
            fingerprint: What the failure was.

        Returns:
            New counters, of which exactly one of the five kinds is one higher.
        """
        match movement:
            case "failure":
                return replace(
                    self,
                    failures=self.failures + 1,
                    snoozes_in_row=0,
                    parks_in_row=0,
                    fingerprint=fingerprint,
                    repeats=self.repeated(fingerprint),
                )
            case "throttle":
                return replace(self, throttles=self.throttles + 1, snoozes_in_row=0, parks_in_row=0)
            case "snooze":
                return replace(self, snoozes=self.snoozes + 1, snoozes_in_row=self.snoozes_in_row + 1, parks_in_row=0)
            case "park":
                return replace(self, parks=self.parks + 1, parks_in_row=self.parks_in_row + 1)
            case "interruption":
                return replace(self, interruptions=self.interruptions + 1)
            case _ as never:
                assert_never(never)
