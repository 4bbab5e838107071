"""A selection: which tasks are meant, as data.

One form serves everything that is about many tasks: lists, counts, exports, purges and redrives. It travels as query
parameters or as a JSON document, is kept with what was started by it, and the store turns it into conditions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from redrive.core.documents import did_you_mean, require
from redrive.core.states import DeadReason, TaskStatus

MAX_IDS: Final = 10_000
"""Ids that a selection may name. More are meant by a filter, or by several selections."""

MAX_METADATA: Final = 10
"""Metadata keys that a selection may ask for."""

_LONGEST_TEXT: Final = 255
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")
_RANGES: Final = ("created", "updated", "next", "finished")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which tasks of a namespace are meant. All that is given must hold; what is left out narrows nothing.

    Attributes:
        group: Their group.
        scene: Their scene.
        kind: `task` for reported ones, `callback` for messages about the end of another.
        status: One of these.
        dead_reason: One of these.
        fingerprint: Fingerprint of their last error.
        error: Part of the last error's class or message, in any case.
        q: Part of a key, the executor, the scene or the error, in any case; or the id.
        business_key: Exactly this.
        idempotency_key: Exactly this.
        priority: Exactly this, from 1 to 5.
        metadata: Values that the metadata have at their top level, as text: `{"tenant": "a", "retries": "3"}`.
        parent_id: Callbacks of this task.
        created_after: Reported from here on.
        created_before: Reported before this.
        updated_after: Last changed from here on.
        updated_before: Last changed before this.
        next_after: Next attempt due from here on.
        next_before: Next attempt due before this.
        finished_after: Ended from here on.
        finished_before: Ended before this.
        ids: One of these.
    """

    group: str | None = None
    scene: str | None = None
    kind: Literal["task", "callback"] | None = None
    status: tuple[str, ...] = ()
    dead_reason: tuple[str, ...] = ()
    fingerprint: str | None = None
    error: str | None = None
    q: str | None = None
    business_key: str | None = None
    idempotency_key: str | None = None
    priority: int | None = None
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    parent_id: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    updated_after: datetime | None = None
    updated_before: datetime | None = None
    next_after: datetime | None = None
    next_before: datetime | None = None
    finished_after: datetime | None = None
    finished_before: datetime | None = None
    ids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_choices("status", self.status, [status.value for status in TaskStatus])
        _check_choices("dead_reason", self.dead_reason, [reason.value for reason in DeadReason])
        for name in ("group", "scene", "fingerprint", "error", "q", "business_key", "idempotency_key"):
            _check_text(name, getattr(self, name))
        if self.priority is not None:
            require(1 <= self.priority <= 5, "priority", f"expected 1 to 5, got {self.priority}")
        require(
            len(self.metadata) <= MAX_METADATA,
            "metadata",
            f"expected at most {MAX_METADATA} keys, got {len(self.metadata)}",
        )
        for key, value in self.metadata.items():
            _check_text(f"metadata.{key[:40]}", key)
            _check_text(f"metadata.{key[:40]}", value, shortest=0)
        for name in _RANGES:
            _check_range(f"{name}_after", getattr(self, f"{name}_after"), getattr(self, f"{name}_before"))
        if self.parent_id is not None:
            _check_id("parent_id", self.parent_id)
        require(len(self.ids) <= MAX_IDS, "ids", f"expected at most {MAX_IDS} ids, got {len(self.ids)}; use a filter")
        for index, task_id in enumerate(self.ids):
            _check_id(f"ids[{index}]", task_id)

    def is_empty(self) -> bool:
        """Tell whether nothing narrows it, so that it means every task of the namespace."""
        return self == Selection()


def _check_choices(name: str, given: Iterable[str], known: list[str]) -> None:
    for choice in given:
        require(choice in known, name, f"unknown value {choice[:80]!r}{did_you_mean(choice, known)}")


def _check_text(name: str, text: str | None, *, shortest: int = 1) -> None:
    if text is None:
        return
    expected = f"expected {shortest} to {_LONGEST_TEXT} characters, got {len(text)}"
    require(shortest <= len(text) <= _LONGEST_TEXT, name, expected)
    require(_UNSTORABLE.search(text) is None, name, "expected valid Unicode without NUL, got something else")


def _check_range(name: str, after: datetime | None, before: datetime | None) -> None:
    if after is not None and before is not None:
        problem = f"expected an instant before {before.isoformat()}, where the range ends, got {after.isoformat()}"
        require(after < before, name, problem)


def _check_id(name: str, text: str) -> None:
    try:
        UUID(text)
    except ValueError:
        require(condition=False, path=name, problem=f"expected a UUID, got {text[:80]!r}")
