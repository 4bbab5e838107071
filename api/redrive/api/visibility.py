"""Finding what a request is about, as far as its key may see it."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from redrive.api.access import Access
from redrive.api.problems import GROUP_NOT_FOUND, SCENE_NOT_FOUND, TASK_NOT_FOUND, Refusal
from redrive.store import scenes, tasks
from redrive.store.tables import Group, Scene, Task


async def find_visible_task(session: AsyncSession, access: Access, task_id: UUID, *, lock: bool = False) -> Task:
    """Find a task.

    Args:
        session: A transaction, when the row is to be locked.
        access: Who asks.
        task_id: Its id.
        lock: Whether to hold the row until the transaction ends.

    Raises:
        Refusal: There is none that the key may see.
    """
    task = await tasks.find_task(session, access.namespace, task_id, lock=lock)
    if task is None or not access.sees(task.group):
        detail = f"there is no task {task_id} in namespace {access.namespace!r}: check the id and the namespace"
        raise Refusal(TASK_NOT_FOUND, detail)
    return task


async def find_visible_group(session: AsyncSession, access: Access, name: str) -> Group:
    """Find a group.

    Raises:
        Refusal: There is none that the key may see.
    """
    group = await scenes.find_group(session, access.namespace, name) if access.sees(name) else None
    if group is None:
        raise no_such_group(access, name)
    return group


async def find_visible_scene(session: AsyncSession, access: Access, group: str, name: str) -> Scene:
    """Find a scene.

    Raises:
        Refusal: There is none that the key may see.
    """
    await find_visible_group(session, access, group)
    scene = await scenes.find_scene(session, access.namespace, group, name)
    if scene is None:
        raise no_such_scene(group, name)
    return scene


def no_such_group(access: Access, name: str) -> Refusal:
    """Make the refusal of a group that does not exist."""
    detail = f"there is no group {name!r} in namespace {access.namespace!r}: make it with POST /v1/groups"
    return Refusal(GROUP_NOT_FOUND, detail)


def no_such_scene(group: str, name: str) -> Refusal:
    """Make the refusal of a scene that does not exist."""
    detail = f"there is no scene {name!r} in group {group!r}: make it with POST /v1/groups/{group}/scenes"
    return Refusal(SCENE_NOT_FOUND, detail)
