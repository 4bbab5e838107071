"""Who is told how a task ended.

A callback is an executor of the task's group, or a webhook. A report may name one for each kind of end; what it does
not name is taken from its scene.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, TypeAlias, cast

from redrive.core.documents import decode, encode
from redrive.core.errors import InvalidDocument
from redrive.core.states import TaskStatus
from redrive.core.wire import WebhookTarget

MAX_EXECUTOR: Final = 255
"""The longest name of an executor, in characters."""


@dataclass(frozen=True, slots=True)
class WebhookCallback:
    """Any HTTP URL, which is told by a signed POST.

    Attributes:
        url: Absolute `http` or `https` URL without user information.
        headers: Headers to add. Those that Redrive or HTTP itself sets cannot be given.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    url: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        self.target()

    def target(self) -> WebhookTarget:
        """Make the target of the task that tells it."""
        return WebhookTarget(self.url, "POST", self.headers)


Callback: TypeAlias = str | WebhookCallback
"""The name of an executor, or a webhook."""


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Who is told of each kind of end.

    An executor's first argument is the outcome, and the others are those of the task. A webhook is told of the task
    without its payload.

    Attributes:
        on_success: Told that it succeeded.
        on_dead: Told that it ended without success, and why.
        on_cancelled: Told that somebody, or a rule, called it off.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    on_success: Callback | None = None
    on_dead: Callback | None = None
    on_cancelled: Callback | None = None

    def __post_init__(self) -> None:
        for name in EVENTS.values():
            told = getattr(self, name)
            if isinstance(told, str) and not (1 <= len(told) <= MAX_EXECUTOR and told.isprintable()):
                expected = f"expected the name of an executor of 1 to {MAX_EXECUTOR} printable characters"
                raise InvalidDocument(name, f"{expected}, got {told!r:.80}")


EVENTS: Final[Mapping[TaskStatus, str]] = {
    TaskStatus.SUCCEEDED: "on_success",
    TaskStatus.DEAD: "on_dead",
    TaskStatus.CANCELLED: "on_cancelled",
}
"""Which callback follows which end."""


def read_callbacks(document: object, path: str = "") -> dict[str, Any]:
    """Check a document that says who is told.

    Args:
        document: A `Callbacks` as JSON, of which any part may be left out.
        path: Its name in messages.

    Returns:
        The parts that it gives, complete. A `null` is kept: it means nobody, also where the scene names somebody.

    Raises:
        InvalidDocument: It is none.
    """
    read = decode(Callbacks, document, path)
    given = set(cast("Mapping[str, Any]", document)) if isinstance(document, Mapping) else set[str]()
    return {name: part for name, part in encode(read).items() if name in given}


def told_of(status: TaskStatus, scene: Mapping[str, Any], task: Mapping[str, Any] | None) -> Callback | None:
    """Tell who is told of an end.

    Args:
        status: How the task ended.
        scene: What `read_callbacks` made of its scene's callbacks.
        task: And of its own.

    Returns:
        The executor or the webhook; None when nobody is told, or the task has not ended.
    """
    event = EVENTS.get(status)
    named: Any = {**scene, **(task or {})}.get(event) if event is not None else None
    return named if named is None or isinstance(named, str) else decode(WebhookCallback, named)
