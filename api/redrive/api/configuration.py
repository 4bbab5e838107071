"""What a report needs to know of its scene, remembered for about a second.

A process that takes thousands of reports a second asks the database for each scene once a second; a changed policy is
in force everywhere a second after it was put there.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from redrive.api.problems import DISABLED, NAMESPACE_NOT_FOUND, UNKNOWN_GROUP, UNKNOWN_SCENE, Refusal
from redrive.api.text import check_storable
from redrive.core.policy import Policy, parse
from redrive.store import scenes
from redrive.store.database import Database
from redrive.store.scenes import SceneConfiguration

SceneName = tuple[str, str]
"""Group and scene."""

_TRUST_SECONDS: Final = 1.0
_MOST_REMEMBERED: Final = 10_000
_MOST_OVERRIDES: Final = 256


@dataclass(frozen=True, slots=True)
class Effective:
    """A policy that is in force, as it is stored and as it is used."""

    document: dict[str, Any]
    policy: Policy


@dataclass(slots=True)
class KnownScene:
    """A scene's configuration, and the policies that were made from it.

    Attributes:
        configuration: Its layers.
        exists: Whether the scene is in the database; one that is not is made by its first report.
        until: How long this holds.
    """

    configuration: SceneConfiguration
    exists: bool
    until: float
    _effective: dict[str, Effective] = field(default_factory=dict[str, Effective])

    def effective(self, override: Mapping[str, Any] | None) -> Effective:
        """Merge the layers with a task's own parts.

        Args:
            override: The task's own parts.

        Raises:
            InvalidDocument: The result is not a policy.
            Refusal: It holds text that cannot be stored.
        """
        key = json.dumps(override, sort_keys=True) if override else ""
        known = self._effective.get(key)
        if known is None:
            document = self.configuration.effective(override)
            check_storable(document, "policy")
            known = Effective(document, parse(document))
            if len(self._effective) >= _MOST_OVERRIDES:
                self._effective.clear()
            self._effective[key] = known
        return known


class Configurations:
    """Finds the configuration of scenes.

    Args:
        database: Where they are.
        auto_create: Whether unknown groups and scenes may be made by a report.
    """

    def __init__(self, database: Database, *, auto_create: bool) -> None:
        self._database = database
        self._auto_create = auto_create
        self._known: dict[tuple[str, str, str], KnownScene] = {}

    async def find(self, namespace: str, names: Iterable[SceneName]) -> dict[SceneName, KnownScene | Refusal]:
        """Find the configuration of each scene that takes reports, or the reason why it takes none.

        Args:
            namespace: Their namespace.
            names: The scenes.

        Raises:
            Refusal: The namespace is unknown.
        """
        found: dict[SceneName, KnownScene | Refusal] = {}
        unknown: list[SceneName] = []
        now = time.monotonic()
        for name in dict.fromkeys(names):
            known = self._known.get((namespace, *name))
            if known is not None and known.until > now:
                found[name] = _if_enabled(known, name)
            else:
                unknown.append(name)
        if unknown:
            async with self._database.session() as session:
                for name in unknown:
                    found[name] = await self._load(session, namespace, name, now + _TRUST_SECONDS)
        return found

    async def ensure_group(self, session: AsyncSession, namespace: str, name: str) -> None:
        """Make a group unless it exists, under the rule that holds for reports.

        Args:
            session: A transaction.
            namespace: Its namespace.
            name: Its name.

        Raises:
            Refusal: The namespace is unknown, or the group is and may not be made.
        """
        if await scenes.find_group(session, namespace, name) is not None:
            return
        owner = await scenes.find_namespace(session, namespace)
        if owner is None:
            raise unknown_namespace(namespace)
        if not (self._auto_create and owner.auto_create):
            raise unknown_group(name)
        await scenes.create_group(session, namespace, name, "made by its first node")

    def forget(self, namespace: str) -> None:
        """Forget what is known of a namespace, because something in it was changed here."""
        for key in [key for key in self._known if key[0] == namespace]:
            del self._known[key]

    async def _load(self, session: AsyncSession, namespace: str, name: SceneName, until: float) -> KnownScene | Refusal:
        configuration = await scenes.load_configuration(session, namespace, *name)
        if configuration is None:
            return await self._imagine(session, namespace, name, until)
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        known = self._known[namespace, *name] = KnownScene(configuration, True, until)
        return _if_enabled(known, name)

    async def _imagine(
        self, session: AsyncSession, namespace: str, name: SceneName, until: float
    ) -> KnownScene | Refusal:
        """Tell the configuration that a scene would have if its first report made it."""
        group_name, scene_name = name
        owner = await scenes.find_namespace(session, namespace)
        if owner is None:
            raise unknown_namespace(namespace)
        group = await scenes.find_group(session, namespace, group_name)
        if group is None:
            if not (self._auto_create and owner.auto_create):
                return unknown_group(group_name)
            return KnownScene(SceneConfiguration(1, (owner.policy, {}, {})), False, until)
        if not (self._auto_create and owner.auto_create and group.auto_create):
            detail = f"scene {scene_name!r} is not in group {group_name!r}, and reports do not make scenes here"
            return Refusal(UNKNOWN_SCENE, f"{detail}: make it with POST /v1/groups/{group_name}/scenes")
        configuration = SceneConfiguration(1, (owner.policy, group.policy, {}), group.enabled)
        return _if_enabled(KnownScene(configuration, False, until), name)


def unknown_namespace(namespace: str) -> Refusal:
    """Make the refusal of a namespace that does not exist."""
    return Refusal(
        NAMESPACE_NOT_FOUND, f"there is no namespace {namespace!r}: make it with POST /v1/namespaces, or correct it"
    )


def unknown_group(group: str) -> Refusal:
    """Make the refusal of a group that does not exist and is not made by who mentions it."""
    detail = f"group {group!r} does not exist, and reports do not make groups here: make it with POST /v1/groups"
    return Refusal(UNKNOWN_GROUP, detail)


def _if_enabled(known: KnownScene, name: SceneName) -> KnownScene | Refusal:
    group, scene = name
    if not known.configuration.group_enabled:
        detail = f'group {group!r} is switched off: PATCH /v1/groups/{group} with {{"enabled": true}} to take reports'
        return Refusal(DISABLED, detail)
    if not known.configuration.scene_enabled:
        detail = f'scene {scene!r} is switched off: PATCH /v1/groups/{group}/scenes/{scene} with {{"enabled": true}}'
        return Refusal(DISABLED, detail)
    return known
