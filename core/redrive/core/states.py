"""The states of tasks and attempts, and the only transitions between them.

`TRANSITIONS` is the one table: the CHECK constraint, the compare-and-set updates and the diagram in the documentation
are made from it or compared with it by a test.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class TaskStatus(StrEnum):
    """Where a task stands in its life."""

    PENDING = "pending"
    """Accepted and on disk; its workflow has not started yet."""
    WAITING = "waiting"
    """A timer runs until the next attempt."""
    RUNNING = "running"
    """An attempt is in flight."""
    PAUSED = "paused"
    """A person holds it."""
    PARKED = "parked"
    """Its target is known to be away; no attempt is spent."""
    SUCCEEDED = "succeeded"
    DEAD = "dead"
    CANCELLED = "cancelled"


class AttemptStatus(StrEnum):
    """Where one attempt stands."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"


class DeadReason(StrEnum):
    """Why a task ended without success."""

    EXHAUSTED = "exhausted"
    """The last allowed attempt failed."""
    EXPIRED = "expired"
    """The deadline or the longest allowed time would pass before the next attempt."""
    REJECTED = "rejected"
    """The failure is of a kind that retrying cannot cure."""
    STOPPED = "stopped"
    """The client said that it must not be retried."""


class ParkedFor(StrEnum):
    """What a parked task waits for."""

    NO_NODE = "no_node"
    """Nobody is there to take it."""
    BREAKER = "breaker"
    """Its target is taken to be down, or returns by slow start."""
    PUSHBACK = "pushback"
    """Its target asked to be left alone for a while."""
    PAUSE = "pause"
    """A person paused its namespace, group, scene or target."""
    LIMIT = "limit"
    """As many attempts run as a limit allows."""
    RULE = "rule"
    """A classification rule parked it."""
    POISON = "poison"
    """It fails in the same way each time, and waits for a person."""


TRANSITIONS: Final[Mapping[TaskStatus, frozenset[TaskStatus]]] = MappingProxyType(
    {
        # A fast workflow may overtake the starter's own mark, so `pending` leads to all that `waiting` leads to.
        TaskStatus.PENDING: frozenset(
            {
                TaskStatus.WAITING,
                TaskStatus.RUNNING,
                TaskStatus.PAUSED,
                TaskStatus.PARKED,
                TaskStatus.DEAD,
                TaskStatus.CANCELLED,
            }
        ),
        TaskStatus.WAITING: frozenset(
            {
                TaskStatus.PENDING,  # the reconciler starts a lost workflow again
                TaskStatus.RUNNING,
                TaskStatus.PAUSED,
                TaskStatus.PARKED,
                TaskStatus.DEAD,
                TaskStatus.CANCELLED,
            }
        ),
        TaskStatus.RUNNING: frozenset(
            {
                TaskStatus.PENDING,
                TaskStatus.WAITING,
                TaskStatus.PAUSED,
                TaskStatus.PARKED,
                TaskStatus.SUCCEEDED,
                TaskStatus.DEAD,
                TaskStatus.CANCELLED,
            }
        ),
        TaskStatus.PAUSED: frozenset(
            {
                TaskStatus.PENDING,
                TaskStatus.WAITING,
                TaskStatus.RUNNING,
                TaskStatus.PARKED,
                TaskStatus.DEAD,
                TaskStatus.CANCELLED,
            }
        ),
        TaskStatus.PARKED: frozenset(
            {
                TaskStatus.PENDING,
                TaskStatus.WAITING,
                TaskStatus.RUNNING,
                TaskStatus.PAUSED,
                TaskStatus.DEAD,
                TaskStatus.CANCELLED,
            }
        ),
        # The end of a generation. Only a replay, which begins the next generation, leads out of it.
        TaskStatus.SUCCEEDED: frozenset(),
        TaskStatus.DEAD: frozenset({TaskStatus.PENDING}),
        TaskStatus.CANCELLED: frozenset({TaskStatus.PENDING}),
    }
)

TERMINAL: Final[frozenset[TaskStatus]] = frozenset({TaskStatus.SUCCEEDED, TaskStatus.DEAD, TaskStatus.CANCELLED})
OPEN: Final[frozenset[TaskStatus]] = frozenset(TaskStatus) - TERMINAL
REPLAYABLE: Final[frozenset[TaskStatus]] = frozenset({TaskStatus.DEAD, TaskStatus.CANCELLED})


def sources_of(target: TaskStatus) -> frozenset[TaskStatus]:
    """Tell from which states a task may come to `target`: the `old` side of a compare-and-set.

    Args:
        target: The state that a task is to have.

    Returns:
        All states whose row in `TRANSITIONS` names `target`.
    """
    return frozenset(source for source, targets in TRANSITIONS.items() if target in targets)


def state_diagram() -> str:
    """Draw `TRANSITIONS` as a Mermaid state diagram, in a stable order.

    Returns:
        The text of the diagram, one line per transition, without a code fence.
    """
    order = list(TaskStatus)
    lines = ["stateDiagram-v2", f"    [*] --> {TaskStatus.PENDING}"]
    lines += [
        f"    {source} --> {target}" for source in order for target in sorted(TRANSITIONS[source], key=order.index)
    ]
    lines += [f"    {status} --> [*]" for status in order if status in TERMINAL]
    return "\n".join(lines)
