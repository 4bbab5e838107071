"""Bringing a scene's policy to the tasks that live already.

A new version takes effect at the next attempt of every live task by itself. This is for those who cannot wait for it:
each waiting task is told at once and plans its next attempt anew. It goes page by page, and whatever stops it may be
followed by the same call again: a task that has the policy in force is not looked at twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from redrive.api.engine import Engine, EngineUnavailable, UpdateRefused, WorkflowGone
from redrive.api.problems import ENGINE_UNAVAILABLE, Refusal
from redrive.core.errors import InvalidDocument
from redrive.core.messages import UPDATE_CHANGE_POLICY, ChangePolicy
from redrive.store import rollout
from redrive.store.database import Database
from redrive.store.rollout import Behind
from redrive.store.scenes import SceneConfiguration

_AT_ONCE: Final = 16
"""Updates in flight. A worker serves each with one workflow task; more would only wait there."""

_RETRY_AFTER: Final = {"Retry-After": "2"}


@dataclass(frozen=True, slots=True)
class Kept:
    """A task that keeps the policy that it has.

    Attributes:
        id: Its id.
        reason: Why.
    """

    id: UUID
    reason: str


@dataclass(frozen=True, slots=True)
class Applied:
    """What one page came to.

    Attributes:
        changed: How many tasks have the policy in force now.
        kept: Those that do not, with the reason.
        last: The last id of the page when more may follow; None at the end.
    """

    changed: int
    kept: tuple[Kept, ...]
    last: UUID | None


class Rollout:
    """Changes the policy of live tasks.

    Args:
        database: Where tasks are.
        engine: Where their workflows are.
    """

    def __init__(self, database: Database, engine: Engine) -> None:
        self._database = database
        self._engine = engine

    async def apply(
        self, scene: tuple[str, str, str], configuration: SceneConfiguration, *, after: UUID | None, limit: int
    ) -> Applied:
        """Change one page of tasks to the policy in force.

        Args:
            scene: Namespace, group and name of the scene.
            configuration: What is in force.
            after: Begin behind this id.
            limit: The most tasks.

        Raises:
            Refusal: Temporal is needed and away. What was changed before stays changed.
        """
        async with self._database.session() as session:
            page = await rollout.list_behind(session, *scene, configuration.version, after=after, limit=limit)
        room = asyncio.Semaphore(_AT_ONCE)

        async def change(task: Behind) -> Kept | None:
            async with room:
                return await self._change(scene[0], task, configuration)

        try:
            async with asyncio.TaskGroup() as group:
                running = [group.create_task(change(task)) for task in page]
        except BaseExceptionGroup as failed:
            # One that failed has ended the others; what the first says is what there is to say.
            error = failed.exceptions[0]
            if isinstance(error, EngineUnavailable):
                detail = f"{error}. Tasks that were changed before stay changed: repeat the request"
                raise Refusal(ENGINE_UNAVAILABLE, detail, headers=_RETRY_AFTER) from None
            raise error from None
        kept = tuple(found for task in running if (found := task.result()) is not None)
        return Applied(len(page) - len(kept), kept, page[-1].id if len(page) == limit else None)

    async def _change(self, namespace: str, task: Behind, configuration: SceneConfiguration) -> Kept | None:
        try:
            policy = configuration.effective(task.policy_override)
        except InvalidDocument as error:
            return Kept(task.id, f"its own parts no longer fit the scene's policy: {error}")
        if task.unstarted:
            return await self._change_row(task, policy, configuration.version)
        argument = ChangePolicy(policy, configuration.version)
        try:
            await self._engine.update(namespace, str(task.id), task.generation, UPDATE_CHANGE_POLICY, argument)
        except UpdateRefused as error:
            return Kept(task.id, str(error))
        except WorkflowGone:
            return Kept(task.id, "its workflow does not run: it has just ended, or the reconciler will start it again")
        return None

    async def _change_row(self, task: Behind, policy: Mapping[str, Any], version: int) -> Kept | None:
        async with self._database.session() as session:
            changed = await rollout.set_unstarted_policy(session, task.id, task.generation, policy, version)
        return None if changed else Kept(task.id, "its workflow is just being started: repeat the request")
