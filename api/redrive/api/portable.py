"""The configuration of a namespace as one document: written, compared, and carried out in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, TypeAlias, cast

from sqlalchemy.ext.asyncio import AsyncSession

from redrive.api.access import Access
from redrive.api.configuration import Configurations, unknown_namespace
from redrive.api.portable_alerts import export_alerts, put_alerts
from redrive.api.problems import FieldProblem
from redrive.api.removal import Place, Removal, delete
from redrive.api.scene_settings import SETTINGS, callback_policy_problems, settings_problems
from redrive.api.schemas.limits import LimitDocument, LimitScope
from redrive.api.schemas.portable import ConfigChange, ConfigDocument, GroupDocument, SceneDocument
from redrive.api.text import check_storable
from redrive.api.validation import invalid, invalid_field
from redrive.core.errors import InvalidDocument
from redrive.core.layers import Difference, compare, effective
from redrive.core.restraints import LimitSetting, check_key
from redrive.store import audit, limits, scenes
from redrive.store.database import Database

_NOTE: Final = "imported"

Kind: TypeAlias = Literal["namespace", "group", "scene", "limit"]


class _DryRun(Exception):
    """Carries the result out of a transaction that must not be committed."""

    def __init__(self, changes: list[ConfigChange]) -> None:
        self.changes = changes


async def export(session: AsyncSession, namespace: str) -> ConfigDocument:
    """Write the configuration of a namespace.

    Args:
        session: Any session.
        namespace: Which one.

    Raises:
        Refusal: There is no such namespace.
    """
    row = await scenes.find_namespace(session, namespace)
    if row is None:
        raise unknown_namespace(namespace)
    configurations = await scenes.load_configurations(session, namespace)
    groups: dict[str, GroupDocument] = {}
    for group in await scenes.list_groups(session, namespace):
        groups[group.name] = GroupDocument(
            description=group.description,
            weight=group.weight,
            auto_create=group.auto_create,
            enabled=group.enabled,
            policy=group.policy,
            scenes={
                scene.name: SceneDocument(
                    description=scene.description,
                    enabled=scene.enabled,
                    policy=dict(configurations[group.name, scene.name].layers[-1]),
                    **{name: getattr(scene, name) for name in SETTINGS},
                )
                for scene in await scenes.list_scenes(session, namespace, group.name)
            },
        )
    limited: dict[LimitScope, dict[str, LimitDocument]] = {}
    for limit in await limits.list_limits(session, namespace):
        facts = LimitDocument(rate=limit.rate, burst=limit.burst, concurrency=limit.concurrency)
        limited.setdefault(cast("LimitScope", limit.scope), {})[limit.key] = facts
    return ConfigDocument(
        version=1,
        namespace=namespace,
        description=row.description,
        auto_create=row.auto_create,
        policy=row.policy,
        callback_policy=row.callback_policy,
        retention=row.retention,
        groups=groups,
        limits=limited,
        alerts=await export_alerts(session, namespace),
    )


def changes_to(present: ConfigDocument, wanted: ConfigDocument, *, prune: bool) -> list[ConfigChange]:
    """Tell what must be done so that a namespace is as a document says, but for its alerts.

    Args:
        present: What is.
        wanted: What is to be; what it leaves out stays, or is a default in what is new.
        prune: Whether groups, scenes and limits that it does not name are to go.

    Returns:
        The changes in the order in which they can be made.
    """
    changes = _changes("namespace", present.namespace or "", _plain(present), _given(wanted))
    for name, group in wanted.groups.items():
        known = present.groups.get(name)
        changes += _changes("group", name, None if known is None else _plain(known), _given(group))
        for scene_name, scene in group.scenes.items():
            known_scene = None if known is None else known.scenes.get(scene_name)
            before = None if known_scene is None else _plain(known_scene)
            changes += _changes("scene", f"{name}/{scene_name}", before, _given(scene))
    for scope, limited in wanted.limits.items():
        for key, limit in limited.items():
            known_limit = present.limits.get(scope, {}).get(key)
            before = None if known_limit is None else known_limit.model_dump()
            changes += _changes("limit", f"{scope} {key}", before, limit.model_dump())
    return changes + (list(_pruned(present, wanted)) if prune else [])


class Portable:
    """Carries documents out.

    Args:
        database: Where the configuration is.
        configurations: What this process remembers of it.
    """

    def __init__(self, database: Database, configurations: Configurations) -> None:
        self._database = database
        self._configurations = configurations

    async def put(self, access: Access, wanted: ConfigDocument, *, dry_run: bool, prune: bool) -> list[ConfigChange]:
        """Make a namespace be as a document says: all of it or nothing.

        Args:
            access: Who asks, and about which namespace.
            wanted: The document.
            dry_run: Do everything, look at it, and take it back.
            prune: Whether groups, scenes, limits and alerts that it does not name are to go.

        Returns:
            What was done.

        Raises:
            Refusal: There is no such namespace, a policy would not be valid, or tasks need what is to go.
        """
        namespace = access.namespace
        if wanted.namespace not in (None, namespace):
            expected = f"expected {namespace!r}, the namespace of this request, got {wanted.namespace!r}"
            raise invalid_field("namespace", f"{expected}: name the other one in the header `Redrive-Namespace`")
        _check_text(wanted)
        _check_limits(wanted)
        going: list[Place] = []
        if prune and not dry_run:
            async with self._database.session() as session:
                present = await export(session, namespace)
            pruned = _pruned(present, wanted)
            going = [_place(namespace, change) for change in pruned if change.kind != "limit"]
        try:
            async with (
                Removal(self._database, self._configurations).held(going),
                self._database.begin() as session,
            ):
                await scenes.lock_namespace(session, namespace)
                present = await export(session, namespace)
                changes = changes_to(present, wanted, prune=prune)
                await _carry_out(session, access, present, changes, wanted)
                session.expire_all()
                await _check(session, namespace)
                changes += await put_alerts(session, access, wanted, prune=prune)
                if changes:
                    facts = {"changes": len(changes), "prune": prune}
                    await audit.record(session, namespace, access.actor, "import", "namespace", namespace, facts)
                if dry_run:
                    raise _DryRun(changes)
        except _DryRun as done:
            return done.changes
        self._configurations.forget(namespace)
        return changes


async def _carry_out(
    session: AsyncSession, access: Access, present: ConfigDocument, changes: list[ConfigChange], wanted: ConfigDocument
) -> None:
    namespace, author = access.namespace, access.author
    below_all = False
    for change in changes:
        place = _place(namespace, change)
        if change.kind == "limit":
            await _put_limit(session, access, change, wanted)
            continue
        policy_differs = any(_is_policy(difference.path) for difference in change.differences)
        if change.action == "delete":
            await delete(session, place, access.actor)
        elif place.group is None:
            await scenes.update_namespace(session, namespace, _given(wanted))
            if policy_differs:
                below_all = True
                note = f"the policy of namespace {namespace} has changed"
                await scenes.renew_policies(session, namespace, None, author, note)
        elif place.scene is None:
            fields = _given(wanted.groups[place.group])
            if change.action == "create":
                await scenes.create_group(session, namespace, place.group)
            if fields:
                await scenes.update_group(session, namespace, place.group, fields)
            if policy_differs and place.group in present.groups and not below_all:
                note = f"the policy of group {place.group} has changed"
                await scenes.renew_policies(session, namespace, place.group, author, note)
        else:
            fields = _given(wanted.groups[place.group].scenes[place.scene])
            await _put_scene(session, place.group, place.scene, access, fields, create=change.action == "create")


async def _put_limit(session: AsyncSession, access: Access, change: ConfigChange, wanted: ConfigDocument) -> None:
    name, _, key = change.name.partition(" ")
    scope = cast("LimitScope", name)
    if change.action == "delete":
        await limits.delete_limit(session, access.namespace, scope, key)
        return
    limit = wanted.limits[scope][key]
    setting = LimitSetting((scope, key), limit.rate, limit.burst, limit.concurrency)
    await limits.put_limit(session, access.namespace, setting, access.author)


async def _put_scene(
    session: AsyncSession, group: str, scene: str, access: Access, fields: dict[str, Any], *, create: bool
) -> None:
    place = (access.namespace, group, scene)
    policy = fields.pop("policy", None)
    if create:
        created = await scenes.create_scene(session, *place, policy, author=access.author, note=_NOTE)
        policy = None if created else policy
    if fields:
        await scenes.update_scene(session, *place, fields)
    if policy is not None:
        known = await scenes.load_configuration(session, *place)
        if known is None or compare(known.layers[-1], policy):
            await scenes.set_policy(session, *place, policy, access.author, _NOTE)


async def _check(session: AsyncSession, namespace: str) -> None:
    """Refuse a configuration in which some policy is not valid, also of what the document does not name."""
    row = await scenes.find_namespace(session, namespace)
    outer = {} if row is None else row.policy
    callback_policy = {} if row is None else row.callback_policy
    problems = [*_problem("", outer), *callback_policy_problems(callback_policy)]
    for group in await scenes.list_groups(session, namespace):
        problems += _problem(f"groups.{group.name}.", outer, group.policy)
    for (group_name, scene), known in (await scenes.load_configurations(session, namespace)).items():
        problems += _problem(f"groups.{group_name}.scenes.{scene}.", *known.layers)
    for row_of_scene in await scenes.list_all_scenes(session, namespace):
        place = f"groups.{row_of_scene.group}.scenes.{row_of_scene.name}"
        found = settings_problems({name: getattr(row_of_scene, name) for name in SETTINGS}, callback_policy)
        problems += [FieldProblem(f"{place}.{problem.field}", problem.message) for problem in found]
    if problems:
        raise invalid(problems)


def _problem(place: str, *layers: Mapping[str, Any]) -> list[FieldProblem]:
    try:
        effective(layers)
    except InvalidDocument as error:
        return [FieldProblem(f"{place}{error.path}", error.problem)]
    return []


def _changes(kind: Kind, name: str, before: dict[str, Any] | None, given: dict[str, Any]) -> list[ConfigChange]:
    if before is None:
        return [ConfigChange(action="create", kind=kind, name=name, differences=_differences({}, given))]
    differences = _differences({field: before[field] for field in given}, given)
    if not differences:
        return []
    return [ConfigChange(action="update", kind=kind, name=name, differences=differences)]


def _differences(before: Mapping[str, Any], given: Mapping[str, Any]) -> list[Difference]:
    """Tell what differs. A schema is one value: in it, unlike in a policy, an empty object may say something."""
    found = list(compare(*({name: side[name] for name in side if name != _SCHEMA} for side in (before, given))))
    old, new = before.get(_SCHEMA) or None, given.get(_SCHEMA) or None
    if old != new:
        action: Literal["add", "change", "remove"] = "add" if old is None else "remove" if new is None else "change"
        found.append(Difference(_SCHEMA, action, old, new))
    return found


def _pruned(present: ConfigDocument, wanted: ConfigDocument) -> Iterable[ConfigChange]:
    for name, group in present.groups.items():
        if name not in wanted.groups:
            yield ConfigChange(action="delete", kind="group", name=name, differences=[])
            continue
        for scene in group.scenes:
            if scene not in wanted.groups[name].scenes:
                yield ConfigChange(action="delete", kind="scene", name=f"{name}/{scene}", differences=[])
    for scope, limited in present.limits.items():
        for key in limited:
            if key not in wanted.limits.get(scope, {}):
                yield ConfigChange(action="delete", kind="limit", name=f"{scope} {key}", differences=[])


def _place(namespace: str, change: ConfigChange) -> Place:
    if change.kind == "namespace":
        return Place(namespace)
    group, _, scene = change.name.partition("/")
    return Place(namespace, group, scene or None)


_OWN: Final = frozenset({"description", "weight", "auto_create", "enabled", "policy", "retention"}) | SETTINGS
_SCHEMA: Final = "payload_schema"


def _plain(document: ConfigDocument | GroupDocument | SceneDocument) -> dict[str, Any]:
    return document.model_dump(include=set(_OWN))


def _given(document: ConfigDocument | GroupDocument | SceneDocument) -> dict[str, Any]:
    return document.model_dump(include=set(_OWN), exclude_unset=True)


def _is_policy(path: str) -> bool:
    return path == "policy" or path.startswith("policy.")


def _check_text(wanted: ConfigDocument) -> None:
    check_storable(wanted.policy, "policy")
    check_storable(wanted.callback_policy, "callback_policy")
    for name, group in wanted.groups.items():
        check_storable(group.policy, f"groups.{name}.policy")
        for scene_name, scene in group.scenes.items():
            for field in ("policy", "callback_policy", _SCHEMA):
                check_storable(getattr(scene, field), f"groups.{name}.scenes.{scene_name}.{field}")
    for name, channel in wanted.alerts.channels.items():
        check_storable(channel.settings, f"alerts.channels.{name}.settings")


def _check_limits(wanted: ConfigDocument) -> None:
    for scope, limited in wanted.limits.items():
        for key in limited:
            try:
                check_key(scope, key)
            except InvalidDocument as error:
                raise invalid_field(f"limits.{scope}", error.problem) from None
