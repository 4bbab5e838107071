"""What Redrive says about the shop's tasks, followed through its API."""

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import httpx
from examples.shop.scenario import Attempt, Result, describe

ENDED = frozenset({"succeeded", "dead", "cancelled"})
OVERLAP = timedelta(seconds=2)  # a change becomes visible when its transaction ends, so look back a little
RATE_WINDOW = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Task:
    """What is shown of a task."""

    id: str
    order: str
    scene: str
    status: str
    reason: str | None
    attempts: int
    why: str
    error: str
    next_attempt_at: datetime | None

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """Read a task of the API."""
        due = document["next_attempt_at"]
        return cls(
            id=document["id"],
            order=document["business_key"] or "",
            scene=document["scene"],
            status=document["status"],
            reason=document["dead_reason"],
            attempts=document["attempts"],
            why=document["why"],
            error=_first_line(document["last_error"]),
            next_attempt_at=datetime.fromisoformat(due) if due else None,
        )

    @property
    def ended(self) -> bool:
        """Whether it has come to its end."""
        return self.status in ENDED


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a task."""

    at: datetime
    task: Task


class Board:
    """The shop's tasks, kept up to date by asking only for what has changed.

    Args:
        api: A client for Redrive's API.
    """

    def __init__(self, api: httpx.Client) -> None:
        self._api = api
        self._since = datetime.now(UTC) - OVERLAP
        self._attempts: deque[tuple[datetime, int]] = deque()
        self.tasks: dict[str, Task] = {}
        self.events: deque[Event] = deque(maxlen=100)

    def refresh(self) -> list[Event]:
        """Ask what has changed; return what is new."""
        asked_at = datetime.now(UTC)
        fresh: list[Event] = []
        for document in self._pages("/v1/tasks", {"updated_after": self._since.isoformat(), "sort": "updated_at"}):
            task = Task.read(document)
            known = self.tasks.get(task.id)
            if task == known:
                continue
            self.tasks[task.id] = task
            self._attempts.append((asked_at, max(0, task.attempts - (known.attempts if known else 0))))
            fresh.append(Event(datetime.fromisoformat(document["updated_at"]), task))
        self.events.extend(fresh)
        self._since = asked_at - OVERLAP
        return fresh

    @property
    def states(self) -> Counter[tuple[str, str]]:
        """How many tasks there are by scene and state."""
        return Counter((task.scene, task.status) for task in self.tasks.values())

    @property
    def attempts_per_second(self) -> float:
        """How many attempts ended in each of the last seconds."""
        begin = datetime.now(UTC) - RATE_WINDOW
        while self._attempts and self._attempts[0][0] < begin:
            self._attempts.popleft()
        return sum(number for _, number in self._attempts) / RATE_WINDOW.total_seconds()

    @property
    def next_due(self) -> Task | None:
        """The waiting task whose attempt is due first."""
        due = {task.next_attempt_at: task for task in self.tasks.values() if task.status == "waiting"}
        return min(((at, task) for at, task in due.items() if at), default=(None, None))[1]

    def count_ended(self, keys: set[tuple[str, str]]) -> int:
        """Tell how many tasks with these orders and scenes have ended."""
        return sum(task.ended for task in self.tasks.values() if (task.order, task.scene) in keys)

    def result(self, task: Task) -> Result:
        """Read the attempts of a task."""
        attempts = [
            Attempt(
                number=document["number"],
                due_at=datetime.fromisoformat(document["due_at"]),
                started_at=datetime.fromisoformat(document["started_at"]),
            )
            for document in self._pages(f"/v1/tasks/{task.id}/attempts", {})
        ]
        return Result(task.order, task.scene, task.status, task.reason, attempts)

    def _pages(self, path: str, params: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        cursor: str | None = None
        while True:
            given = {**params, "limit": "500"} | ({"cursor": cursor} if cursor else {})
            page: dict[str, Any] = self._api.get(path, params=given).raise_for_status().json()
            yield from page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return


def _first_line(error: Mapping[str, Any] | None) -> str:
    if error is None:
        return ""
    module, _, name = str(error["type"]).rpartition(".")
    if name.isdecimal():  # `http.410`
        name = f"{module} {name}".upper()
    return f"{name}: {error['message']}".partition("\n")[0]


def phrase(task: Task, now: datetime) -> str:
    """Say in a few words what has just happened to a task."""
    if task.status == "waiting" and task.next_attempt_at:
        wait = max(0.0, (task.next_attempt_at - now).total_seconds())
        return f"attempt {task.attempts + 1} in {wait:.1f} s ({task.error})"
    if task.status == "succeeded":
        return f"succeeded at attempt {task.attempts}"
    if task.status == "dead":
        return f"{describe(task.status, task.reason)} after {task.attempts} attempt(s) ({task.error})"
    return task.status
