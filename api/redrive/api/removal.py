"""Taking scenes, groups and namespaces away, without losing a report.

Every API process remembers for a second that a scene exists, and takes reports for it without asking again. A scene
that is deleted under a report would leave a task that nothing can carry out. So what is to go takes no reports first;
then, after every process has noticed, the tasks are counted once more, and only then it goes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from redrive.api.configuration import Configurations
from redrive.api.problems import IN_USE, Refusal
from redrive.store import audit, removal, scenes
from redrive.store.database import Database

SETTLE_SECONDS: Final = 2.0
"""What `configuration` remembers holds for 1 s; a report that has just looked has as long again to be written."""


@dataclass(frozen=True, slots=True)
class Place:
    """What is to go: a scene, a group, or a whole namespace."""

    namespace: str
    group: str | None = None
    scene: str | None = None

    def __str__(self) -> str:
        """Name it for a person."""
        if self.scene is not None:
            return f"scene {self.scene!r} of group {self.group!r}"
        return f"namespace {self.namespace!r}" if self.group is None else f"group {self.group!r}"


class Removal:
    """Takes things away.

    Args:
        database: Where they are.
        configurations: What this process remembers of them.
    """

    def __init__(self, database: Database, configurations: Configurations) -> None:
        self._database = database
        self._configurations = configurations

    async def remove(self, place: Place, actor: str) -> None:
        """Take a scene, a group or a namespace away with all that is in it.

        Args:
            place: What is to go. It exists.
            actor: Who wants it.

        Raises:
            Refusal: Tasks that have not ended still need it.
        """
        async with self.held([place]), self._database.begin() as session:
            await delete(session, place, actor)
        self._configurations.forget(place.namespace)

    @contextlib.asynccontextmanager
    async def held(self, places: Sequence[Place]) -> AsyncGenerator[None]:
        """Let places take no reports, and wait until that holds everywhere.

        When the block fails, they take reports again as before. A process that is killed meanwhile leaves them
        switched off, which everybody can see and undo.

        Args:
            places: What is to go.

        Raises:
            Refusal: Tasks that have not ended still need one of them.
        """
        if not places:
            yield
            return
        async with self._database.begin() as session:
            for place in places:
                await check_unused(session, place)
            off = [
                (place.namespace, *found)
                for place in places
                for found in await removal.switch_off(session, place.namespace, place.group, place.scene)
            ]
        try:
            await asyncio.sleep(SETTLE_SECONDS)
            yield
        except BaseException:
            async with self._database.begin() as session:
                for namespace, group, scene in off:
                    if scene is None:
                        await scenes.update_group(session, namespace, group, {"enabled": True})
                    else:
                        await scenes.update_scene(session, namespace, group, scene, {"enabled": True})
            raise


async def delete(session: AsyncSession, place: Place, actor: str) -> None:
    """Delete a place that has been held.

    Args:
        session: A transaction.
        place: What is to go.
        actor: Who wants it.

    Raises:
        Refusal: Tasks that have not ended still need it.
    """
    await check_unused(session, place)
    if place.group is None:
        await removal.delete_namespace(session, place.namespace)
    elif place.scene is None:
        await removal.delete_group(session, place.namespace, place.group)
    else:
        await removal.delete_scene(session, place.namespace, place.group, place.scene)
    kind = "namespace" if place.group is None else "group" if place.scene is None else "scene"
    name = "/".join(part for part in (place.group, place.scene) if part is not None) or place.namespace
    await audit.record(session, place.namespace, actor, "delete", kind, name, group=place.group)


async def check_unused(session: AsyncSession, place: Place) -> None:
    """Refuse to take away what tasks that have not ended still need.

    Raises:
        Refusal: There are some.
    """
    tasks = await removal.count_open(session, place.namespace, place.group, place.scene)
    if tasks:
        needs = "task that has not ended needs" if tasks == 1 else "tasks that have not ended need"
        raise Refusal(IN_USE, f"{tasks} {needs} {place}: cancel them or wait for their end, then delete it")
