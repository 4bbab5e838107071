"""Changing the layers of policies, so that nothing below a layer breaks and everything below learns of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from redrive.api.access import Access
from redrive.api.problems import FieldProblem
from redrive.api.text import check_storable
from redrive.api.validation import invalid, invalid_document
from redrive.core.errors import InvalidDocument
from redrive.store import scenes
from redrive.store.scenes import SceneConfiguration


def check_layers(layers: Sequence[Mapping[str, Any]]) -> None:
    """Refuse layers that are no policy once merged.

    Args:
        layers: The outermost first; the last one is what the request gives.

    Raises:
        Refusal: They are not.
    """
    check_storable(layers[-1], "policy")
    try:
        SceneConfiguration(1, tuple(layers)).effective()
    except InvalidDocument as error:
        raise invalid_document(error) from None


async def change_namespace_policy(session: AsyncSession, access: Access, name: str, policy: Mapping[str, Any]) -> None:
    """Check a namespace's new policy against all below it, and let live tasks learn of it.

    Args:
        session: The transaction that changes the row.
        access: Who changes it.
        name: The namespace.
        policy: Its parts of the policy.
    """
    check_layers([policy])
    for group in await scenes.list_groups(session, name):
        _check_below(f"group {group.name!r}", (policy, group.policy))
    for (group_name, scene), known in (await scenes.load_configurations(session, name)).items():
        _check_below(f"scene {scene!r} of group {group_name!r}", (policy, *known.layers[1:]))
    await scenes.renew_policies(session, name, None, access.author, f"the policy of namespace {name} has changed")


async def change_group_policy(
    session: AsyncSession, access: Access, group: str, outer: Mapping[str, Any], policy: Mapping[str, Any]
) -> None:
    """Check a group's new policy against its scenes, and let live tasks learn of it.

    Args:
        session: The transaction that changes the row.
        access: Who changes it.
        group: The group.
        outer: Its namespace's parts of the policy.
        policy: Its own.
    """
    check_layers([outer, policy])
    for (_, scene), known in (await scenes.load_configurations(session, access.namespace, group)).items():
        _check_below(f"scene {scene!r}", (outer, policy, *known.layers[2:]))
    await scenes.renew_policies(
        session, access.namespace, group, access.author, f"the policy of group {group} has changed"
    )


def _check_below(what: str, layers: tuple[Mapping[str, Any], ...]) -> None:
    try:
        SceneConfiguration(1, layers).effective()
    except InvalidDocument as error:
        problem = f"{what} would no longer have a valid policy: {error.problem}; change that first"
        raise invalid([FieldProblem(error.path, problem)]) from None
