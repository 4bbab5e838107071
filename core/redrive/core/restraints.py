"""Limits and pauses: what holds attempts back by the will of a person, and for which tasks.

Both are set on a scope: a whole namespace (pauses alone), a group, a scene, or a target, which is what an outage takes
away as a whole (`redrive.core.health.target_key`). A task is under all of its four scopes at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, TypeAlias

from redrive.core.errors import InvalidDocument

Scope: TypeAlias = Literal["namespace", "group", "scene", "target"]
ScopeKey: TypeAlias = tuple[Scope, str]
"""A scope and the name in it: `("group", "orders")`, `("scene", "orders/charge")`, `("target", "host:api.example")`."""

_NAME: Final = r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}"
_FORMS: Final[Mapping[Scope, tuple[re.Pattern[str], str]]] = {
    "namespace": (re.compile(""), "nothing: the namespace is that of the request"),
    "group": (re.compile(_NAME), "the name of a group, such as 'orders'"),
    "scene": (re.compile(f"{_NAME}/{_NAME}"), "a group and a scene, such as 'orders/charge-card'"),
    "target": (
        re.compile(rf"host:[a-z0-9._:\[\]-]{{1,255}}|scene:{_NAME}/{_NAME}"),
        "'host:' and a host in lower case, such as 'host:api.example:8443', or 'scene:' and a group and a scene",
    ),
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a task is, as far as limits and pauses ask.

    Attributes:
        group: Its group.
        scene: Its scene.
        target: The key of its target.
    """

    group: str
    scene: str
    target: str

    @property
    def keys(self) -> tuple[ScopeKey, ...]:
        """The scopes that it is under, the widest first."""
        return (
            ("namespace", ""),
            ("group", self.group),
            ("scene", f"{self.group}/{self.scene}"),
            ("target", self.target),
        )


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing of a scope runs while this lasts.

    Attributes:
        key: The scope.
        until: When it ends by itself; None when a person must end it.
        reason: Why, in the words of who set it.
        author: Who set it.
    """

    key: ScopeKey
    until: datetime | None = None
    reason: str = ""
    author: str | None = None

    def lasts(self, now: datetime) -> bool:
        """Tell whether it still holds."""
        return self.until is None or now < self.until

    @property
    def why(self) -> str:
        """The pause in one line, for whoever asks why a task waits."""
        by = "" if self.author is None else f" by {self.author}"
        end = "until somebody ends it" if self.until is None else f"until {self.until.isoformat()}"
        reason = f": {self.reason}" if self.reason else ""
        return f"{described(self.key)} is paused{by} {end}{reason}"


@dataclass(frozen=True, slots=True)
class LimitSetting:
    """How often, and how many at a time, something of a scope may run.

    Attributes:
        key: The scope.
        rate: Attempts per second; None for no limit.
        burst: How many may come at once after a quiet time.
        concurrency: Attempts at a time; None for no limit.
    """

    key: ScopeKey
    rate: float | None = None
    burst: int = 1
    concurrency: int | None = None


@dataclass(frozen=True, slots=True)
class Restraints:
    """All limits and pauses of one namespace.

    Attributes:
        pauses: By scope; several people may have paused the same.
        limits: By scope.
    """

    pauses: Mapping[ScopeKey, Sequence[Pause]] = field(default_factory=dict[ScopeKey, Sequence[Pause]])
    limits: Mapping[ScopeKey, LimitSetting] = field(default_factory=dict[ScopeKey, LimitSetting])

    def pause_of(self, place: Place, now: datetime) -> Pause | None:
        """Tell which pause holds a task; of several the one that lasts longest. None when it may run.

        Args:
            place: Where the task is.
            now: When.
        """
        lasting = [pause for key in place.keys for pause in self.pauses.get(key, ()) if pause.lasts(now)]
        endless = next((pause for pause in lasting if pause.until is None), None)
        return endless or max(lasting, key=lambda pause: pause.until or now, default=None)

    def limits_of(self, place: Place) -> tuple[LimitSetting, ...]:
        """Tell which limits a task is under, the widest scope first."""
        return tuple(self.limits[key] for key in place.keys if key in self.limits)


NO_RESTRAINTS: Final = Restraints()


def check_key(scope: Scope, key: str) -> None:
    """Refuse a key that its scope cannot have.

    Raises:
        InvalidDocument: It cannot; the message shows what such a key looks like.
    """
    pattern, expected = _FORMS[scope]
    if pattern.fullmatch(key) is None:
        raise InvalidDocument("key", f"expected {expected}; got {key!r}")


def group_of(scope: Scope, key: str) -> str | None:
    """Tell the group that a scope lies in; None when it may reach beyond one group."""
    return key.partition("/")[0] if scope in ("group", "scene") else None


def described(key: ScopeKey) -> str:
    """Name a scope for a person."""
    scope, name = key
    return "the whole namespace" if scope == "namespace" else f"{scope} {name}"
