"""The policies of scenes as they are now, as far as this process knows."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeAlias

from redrive.core.errors import InvalidDocument
from redrive.core.policy import Policy, parse
from redrive.store import scenes
from redrive.store.database import Database

SceneName: TypeAlias = tuple[str, str, str]
"""Namespace, group and scene."""

REFRESH_SECONDS: Final = 2.0
"""How long a changed policy may go unnoticed by what depends on its target."""

_IDLE_SECONDS: Final = 60.0


class ScenePolicies:
    """Remembers the policies of the scenes in use.

    Args:
        database: Where they are.
        clock: A monotonic clock, in seconds.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._known: dict[SceneName, tuple[int, Policy]] = {}
        self._used: dict[SceneName, float] = {}
        self._refreshed = clock()

    async def of(self, namespace: str, group: str, scene: str) -> Policy:
        """Tell the policy of a scene; the defaults where there is none that holds together.

        Args:
            namespace: Its namespace.
            group: Its group.
            scene: Its name.
        """
        name = (namespace, group, scene)
        self._used[name] = self._clock()
        known = self._known.get(name)
        if known is None:
            async with self._database.session() as session:
                configuration = await scenes.load_configuration(session, namespace, group, scene)
            known = self._known[name] = (0, Policy()) if configuration is None else _read(configuration)
        return known[1]

    async def refresh(self) -> None:
        """Forget the policies that have changed, if it is time to look, and those that are no longer in use."""
        now = self._clock()
        if now < self._refreshed + REFRESH_SECONDS:
            return
        self._refreshed = now
        for name in [name for name, used in self._used.items() if used < now - _IDLE_SECONDS]:
            del self._used[name]
            self._known.pop(name, None)
        if not self._known:
            return
        async with self._database.session() as session:
            versions = await scenes.load_versions(session, list(self._known))
        for name, (version, _) in list(self._known.items()):
            if versions.get(name, 0) != version:
                del self._known[name]


def _read(configuration: scenes.SceneConfiguration) -> tuple[int, Policy]:
    try:
        return configuration.version, parse(configuration.effective())
    except InvalidDocument:
        # A layer above may have changed so that the parts do not fit. Then tasks keep what they have.
        return configuration.version, Policy()
