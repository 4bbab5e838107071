"""Queries on namespaces, groups and scenes: what owns policies.

The effective policy of a task is `defaults ← namespace ← group ← scene ← task`, each layer giving only the parts that
it changes (`redrive.core.policy.merge`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, func, insert, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from redrive.core.policy import Policy, merge, parse, render
from redrive.core.signature import new_secret
from redrive.store.tables import Group, Namespace, Scene, ScenePolicy

DEFAULT_NAMESPACE = "default"
DEFAULTS: Mapping[str, Any] = render(Policy())


@dataclass(frozen=True, slots=True)
class SceneConfiguration:
    """What a report or a dispatch needs to know of a scene.

    Attributes:
        version: Version of the scene's policy.
        layers: The policy documents of namespace, group and scene, the outermost first.
        group_enabled: Whether the group takes reports.
        scene_enabled: Whether the scene takes reports.
        payload_schema: The JSON Schema of its payloads; empty for none.
        schema_on_report: Whether reports must fit it, too.
    """

    version: int
    layers: tuple[Mapping[str, Any], ...]
    group_enabled: bool = True
    scene_enabled: bool = True
    payload_schema: Mapping[str, Any] = field(default_factory=dict[str, Any])
    schema_on_report: bool = False

    def effective(self, override: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Merge the layers, and what a task overrides, over the defaults.

        Args:
            override: The task's own parts of the policy.

        Returns:
            The whole document.

        Raises:
            InvalidDocument: The merged document is not a policy.
        """
        merged: Mapping[str, Any] = DEFAULTS
        for layer in (*self.layers, override or {}):
            merged = merge(merged, layer)
        return render(parse(merged))


async def find_namespace(session: AsyncSession, name: str) -> Namespace | None:
    """Find a namespace by its name."""
    return (await session.scalars(select(Namespace).where(col(Namespace.name) == name))).one_or_none()


async def lock_namespace(session: AsyncSession, name: str) -> None:
    """Let no other import of the namespace's configuration run until the transaction ends."""
    await session.execute(select(Namespace.name).where(col(Namespace.name) == name).with_for_update())


async def list_namespaces(session: AsyncSession) -> list[Namespace]:
    """List all namespaces by name."""
    return list((await session.scalars(select(Namespace).order_by(col(Namespace.name)))).all())


async def create_namespace(session: AsyncSession, name: str, description: str = "") -> bool:
    """Create a namespace unless it exists; tell whether it was created."""
    statement = upsert(Namespace).values(name=name, description=description).on_conflict_do_nothing()
    return (await session.scalars(statement.returning(col(Namespace.name)))).first() is not None


async def update_namespace(session: AsyncSession, name: str, changes: Mapping[str, Any]) -> bool:
    """Change the given columns of a namespace; tell whether it exists."""
    statement = update(Namespace).where(col(Namespace.name) == name).values(**changes).returning(col(Namespace.name))
    return (await session.scalars(statement)).first() is not None


async def list_groups(session: AsyncSession, namespace: str) -> list[Group]:
    """List the groups of a namespace by name."""
    statement = select(Group).where(col(Group.namespace) == namespace).order_by(col(Group.name))
    return list((await session.scalars(statement)).all())


async def find_group(session: AsyncSession, namespace: str, name: str) -> Group | None:
    """Find a group by its name."""
    statement = select(Group).where(col(Group.namespace) == namespace, col(Group.name) == name)
    return (await session.scalars(statement)).one_or_none()


async def create_group(session: AsyncSession, namespace: str, name: str, description: str = "") -> bool:
    """Create a group with a signing secret of its own unless it exists; tell whether it was created."""
    values = {"namespace": namespace, "name": name, "description": description, "signing_secrets": [new_secret()]}
    statement = upsert(Group).values(**values).on_conflict_do_nothing()
    return (await session.scalars(statement.returning(col(Group.name)))).first() is not None


async def update_group(session: AsyncSession, namespace: str, name: str, changes: Mapping[str, Any]) -> bool:
    """Change the given columns of a group; tell whether it exists."""
    where = (col(Group.namespace) == namespace, col(Group.name) == name)
    statement = update(Group).where(*where).values(**changes).returning(col(Group.name))
    return (await session.scalars(statement)).first() is not None


async def list_scenes(session: AsyncSession, namespace: str, group: str) -> list[Scene]:
    """List the scenes of a group by name."""
    where = (col(Scene.namespace) == namespace, col(Scene.group) == group)
    return list((await session.scalars(select(Scene).where(*where).order_by(col(Scene.name)))).all())


async def list_all_scenes(session: AsyncSession, namespace: str) -> list[Scene]:
    """List the scenes of a namespace by group and name."""
    statement = select(Scene).where(col(Scene.namespace) == namespace).order_by(col(Scene.group), col(Scene.name))
    return list((await session.scalars(statement)).all())


async def find_scene(session: AsyncSession, namespace: str, group: str, name: str) -> Scene | None:
    """Find a scene by its name."""
    where = (col(Scene.namespace) == namespace, col(Scene.group) == group, col(Scene.name) == name)
    return (await session.scalars(select(Scene).where(*where))).one_or_none()


async def create_scene(
    session: AsyncSession,
    namespace: str,
    group: str,
    name: str,
    policy: Mapping[str, Any] | None = None,
    description: str = "",
    author: str | None = None,
    note: str = "",
) -> bool:
    """Create a scene with version 1 of its policy unless it exists; tell whether it was created."""
    values = {"namespace": namespace, "group": group, "name": name, "description": description}
    statement = upsert(Scene).values(**values).on_conflict_do_nothing()
    created = (await session.scalars(statement.returning(col(Scene.name)))).first() is not None
    if created:
        await _add_version(session, namespace, group, name, 1, policy or {}, author, note)
    return created


async def update_scene(
    session: AsyncSession, namespace: str, group: str, name: str, changes: Mapping[str, Any]
) -> bool:
    """Change the given columns of a scene; tell whether it exists."""
    where = (col(Scene.namespace) == namespace, col(Scene.group) == group, col(Scene.name) == name)
    statement = update(Scene).where(*where).values(**changes).returning(col(Scene.name))
    return (await session.scalars(statement)).first() is not None


async def set_policy(
    session: AsyncSession,
    namespace: str,
    group: str,
    scene: str,
    policy: Mapping[str, Any],
    author: str | None = None,
    note: str = "",
) -> int | None:
    """Add the next version of a scene's policy and put it in force.

    Args:
        session: A transaction.
        namespace: Its namespace.
        group: Its group.
        scene: Its name.
        policy: The parts that the scene changes.
        author: Who changed it.
        note: Why.

    Returns:
        The new version; None when there is no such scene.
    """
    where = (col(Scene.namespace) == namespace, col(Scene.group) == group, col(Scene.name) == scene)
    statement = update(Scene).where(*where).values(policy_version=Scene.policy_version + 1)
    version = (await session.scalars(statement.returning(col(Scene.policy_version)))).one_or_none()
    if version is not None:
        await _add_version(session, namespace, group, scene, version, policy, author, note)
    return version


async def renew_policies(
    session: AsyncSession, namespace: str, group: str | None, author: str | None, note: str
) -> int:
    """Give scenes a new version of the same policy, because a layer below it has changed.

    Live tasks look at the version alone: without a new one they would never learn of the change.

    Args:
        session: A transaction.
        namespace: Their namespace.
        group: Their group; None for all.
        author: Who changed the layer.
        note: What was changed.

    Returns:
        How many scenes there are.
    """
    statement = text(
        """
        WITH renewed AS (
            UPDATE scenes SET policy_version = policy_version + 1
            WHERE namespace = :namespace AND (CAST(:group AS text) IS NULL OR "group" = :group)
            RETURNING namespace, "group", name, policy_version
        )
        INSERT INTO scene_policies (namespace, "group", scene, version, policy, author, note)
        SELECT old.namespace, old."group", old.scene, renewed.policy_version, old.policy, :author, :note
        FROM renewed JOIN scene_policies AS old ON old.namespace = renewed.namespace
            AND old."group" = renewed."group" AND old.scene = renewed.name AND old.version = renewed.policy_version - 1
        RETURNING scene
        """
    )
    values = {"namespace": namespace, "group": group, "author": author, "note": note}
    return len((await session.execute(statement, values)).all())


async def list_policies(session: AsyncSession, namespace: str, group: str, scene: str) -> list[ScenePolicy]:
    """List all versions of a scene's policy, the newest first."""
    where = (
        col(ScenePolicy.namespace) == namespace,
        col(ScenePolicy.group) == group,
        col(ScenePolicy.scene) == scene,
    )
    statement = select(ScenePolicy).where(*where).order_by(col(ScenePolicy.version).desc())
    return list((await session.scalars(statement)).all())


async def find_policy(
    session: AsyncSession, namespace: str, group: str, scene: str, version: int
) -> ScenePolicy | None:
    """Find one version of a scene's policy."""
    where = (
        col(ScenePolicy.namespace) == namespace,
        col(ScenePolicy.group) == group,
        col(ScenePolicy.scene) == scene,
        col(ScenePolicy.version) == version,
    )
    return (await session.scalars(select(ScenePolicy).where(*where))).one_or_none()


_CONFIGURATION = """
    SELECT scenes."group", scenes.name, scenes.policy_version AS version, namespaces.policy AS of_namespace,
        groups.policy AS of_group, scene_policies.policy AS of_scene, groups.enabled AS group_enabled,
        scenes.enabled AS scene_enabled, scenes.payload_schema, scenes.schema_on_report
    FROM scenes
    JOIN groups ON groups.namespace = scenes.namespace AND groups.name = scenes."group"
    JOIN namespaces ON namespaces.name = scenes.namespace
    JOIN scene_policies ON scene_policies.namespace = scenes.namespace AND scene_policies."group" = scenes."group"
        AND scene_policies.scene = scenes.name AND scene_policies.version = scenes.policy_version
    WHERE scenes.namespace = :namespace
"""


async def load_configuration(
    session: AsyncSession, namespace: str, group: str, scene: str
) -> SceneConfiguration | None:
    """Load all layers of a scene's policy; None when namespace, group or scene is unknown."""
    statement = text(f'{_CONFIGURATION} AND scenes."group" = :group AND scenes.name = :scene')
    row = (await session.execute(statement, {"namespace": namespace, "group": group, "scene": scene})).one_or_none()
    return None if row is None else _configuration(row)


async def load_configurations(
    session: AsyncSession, namespace: str, group: str | None = None
) -> dict[tuple[str, str], SceneConfiguration]:
    """Load the layers of all scenes of a namespace, or of one group of it, by group and scene."""
    statement = text(f'{_CONFIGURATION} AND (CAST(:group AS text) IS NULL OR scenes."group" = :group)')
    rows = (await session.execute(statement, {"namespace": namespace, "group": group})).all()
    return {(row.group, row.name): _configuration(row) for row in rows}


async def load_versions(
    session: AsyncSession, names: Sequence[tuple[str, str, str]]
) -> dict[tuple[str, str, str], int]:
    """Load the versions of scenes' policies, by namespace, group and scene."""
    statement = text(
        """
        SELECT namespace, "group", name, policy_version FROM scenes JOIN unnest(
            CAST(:namespaces AS text[]), CAST(:groups AS text[]), CAST(:names AS text[])
        ) AS wanted(namespace, "group", name) USING (namespace, "group", name)
        """
    )
    values = {
        "namespaces": [namespace for namespace, _, _ in names],
        "groups": [group for _, group, _ in names],
        "names": [name for _, _, name in names],
    }
    rows = await session.execute(statement, values)
    return {(row.namespace, row.group, row.name): row.policy_version for row in rows}


def _configuration(row: Row[Any]) -> SceneConfiguration:
    layers = (row.of_namespace, row.of_group, row.of_scene)
    return SceneConfiguration(
        row.version, layers, row.group_enabled, row.scene_enabled, row.payload_schema, row.schema_on_report
    )


async def count_scenes(session: AsyncSession, namespace: str) -> dict[str, int]:
    """Count the scenes of each group of a namespace."""
    statement = select(Scene.group, func.count()).where(col(Scene.namespace) == namespace).group_by(col(Scene.group))
    return dict((await session.execute(statement)).all())


async def _add_version(
    session: AsyncSession,
    namespace: str,
    group: str,
    scene: str,
    version: int,
    policy: Mapping[str, Any],
    author: str | None,
    note: str,
) -> None:
    await session.execute(
        insert(ScenePolicy).values(
            namespace=namespace,
            group=group,
            scene=scene,
            version=version,
            policy=dict(policy),
            author=author,
            note=note,
        )
    )
