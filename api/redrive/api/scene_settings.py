"""What a scene says beside its policy: who is told how its tasks end, and what their payloads must look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from redrive.api.problems import FieldProblem
from redrive.api.text import is_storable_document
from redrive.api.validation import invalid
from redrive.core.errors import InvalidDocument
from redrive.core.patch import PayloadDocument
from redrive.store import scenes
from redrive.store.payload_schema import check_schema, violations
from redrive.store.scenes import SceneConfiguration

SETTINGS: Final = frozenset({"callbacks", "callback_policy", "payload_schema", "schema_on_report"})
"""What a scene has beside its policy, its description and its switch."""


def settings_problems(fields: Mapping[str, Any], callback_policy: Mapping[str, Any]) -> list[FieldProblem]:
    """Tell what is wrong with the settings of a scene.

    Args:
        fields: Those that are given, by name.
        callback_policy: The namespace's parts of the policy of callbacks.
    """
    problems: list[FieldProblem] = []
    if fields.get("callback_policy"):
        problems += callback_policy_problems(callback_policy, fields["callback_policy"])
    schema = fields.get("payload_schema")
    if schema:
        if not is_storable_document(schema):
            expected = "expected valid Unicode without NUL, got text that cannot be stored"
            problems.append(FieldProblem("payload_schema", expected))
        else:
            try:
                check_schema(schema)
            except InvalidDocument as error:
                problems.append(FieldProblem(error.path, error.problem))
    return problems


def callback_policy_problems(*layers: Mapping[str, Any]) -> list[FieldProblem]:
    """Tell what is wrong with the policy of callbacks.

    Args:
        layers: What the namespace gives, and perhaps what the scene gives.
    """
    if not all(map(is_storable_document, layers)):
        return [FieldProblem("callback_policy", "expected valid Unicode without NUL, got text that cannot be stored")]
    try:
        SceneConfiguration(1, layers).effective()
    except InvalidDocument as error:
        return [FieldProblem(f"callback_{error.path}", error.problem)]
    return []


def check_settings(fields: Mapping[str, Any], callback_policy: Mapping[str, Any]) -> None:
    """Refuse settings of a scene that cannot be in force.

    Args:
        fields: Those that are given, by name.
        callback_policy: The namespace's parts of the policy of callbacks.

    Raises:
        Refusal: They cannot.
    """
    problems = settings_problems(fields, callback_policy)
    if problems:
        raise invalid(problems)


async def check_namespace_callback_policy(session: AsyncSession, namespace: str, policy: Mapping[str, Any]) -> None:
    """Refuse a namespace's policy of callbacks that is none, or that does not fit a scene's.

    Args:
        session: Any session.
        namespace: The namespace.
        policy: Its parts.

    Raises:
        Refusal: It is none.
    """
    problems = callback_policy_problems(policy)
    for scene in [] if problems else await scenes.list_all_scenes(session, namespace):
        for problem in callback_policy_problems(policy, scene.callback_policy):
            what = f"scene {scene.name!r} of group {scene.group!r} would no longer have a valid policy for callbacks"
            problems.append(FieldProblem(problem.field, f"{what}: {problem.message}; change that first"))
    if problems:
        raise invalid(problems)


def check_payload_schema(schema: Mapping[str, Any], args: Sequence[Any], kwargs: Mapping[str, Any], body: Any) -> None:
    """Refuse a payload that is not as its scene wants it.

    Args:
        schema: The scene's schema; an empty one lets everything pass.
        args: Positional arguments.
        kwargs: Named arguments.
        body: A webhook's own body.

    Raises:
        Refusal: It is not, field by field.
    """
    if not schema:
        return
    found = violations(schema, PayloadDocument(tuple(args), kwargs, body))
    if found:
        raise invalid(
            [FieldProblem(violation.path, f"{violation.problem} (the scene's schema)") for violation in found]
        )
