"""Where each value of a policy comes from, and what differs between two documents.

A policy is `defaults ← namespace ← group ← scene ← task` (`redrive.core.policy.merge`). When an attempt runs at a
surprising time, the question is not what the merged document says but who said so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, cast

from redrive.core.policy import Policy, merge, parse, render

Origin: TypeAlias = Literal["default", "namespace", "group", "scene", "task"]

LAYERS: Final[tuple[Origin, ...]] = ("namespace", "group", "scene", "task")
"""What may give parts of a policy, the outermost first."""

DEFAULTS: Final[Mapping[str, Any]] = render(Policy())
"""The policy of a scene for which nobody has set anything."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One value of an effective policy.

    Attributes:
        path: Where it stands, such as `backoff.jitter.kind`; a list is one value.
        value: The value.
        origin: The innermost layer that gave it; `default` when none did.
    """

    path: str
    value: Any
    origin: Origin


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that differs between two documents.

    Attributes:
        path: Where it stands.
        action: What the second document does with it.
        before: The value in the first document; None when it is not in it.
        after: The value in the second document; None when it is not in it.
    """

    path: str
    action: Literal["add", "change", "remove"]
    before: Any = None
    after: Any = None


@dataclass(frozen=True, slots=True, eq=False)
class _Given:
    """A value and who gave it. Two are equal when their values are, since `merge` compares kinds."""

    value: Any
    origin: Origin

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Given) and self.value == other.value

    __hash__ = None  # type: ignore[assignment]


def effective(layers: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Merge layers over the defaults.

    Args:
        layers: Parts of a policy, the outermost first.

    Returns:
        The whole document.

    Raises:
        InvalidDocument: It is not a policy.
    """
    merged = DEFAULTS
    for layer in layers:
        merged = merge(merged, layer)
    return render(parse(merged))


def explain(*layers: Mapping[str, Any]) -> tuple[Setting, ...]:
    """Tell each value of the effective policy, and which layer gave it.

    A value that a layer left out of something that it replaced is a default: `{"backoff": {"kind": "cron"}}` replaces
    the whole backoff, and `timezone` is then that of a cron backoff without one.

    Args:
        layers: The parts that namespace, group, scene and task give; inner ones may be left out.

    Returns:
        The values in the order of the document.

    Raises:
        InvalidDocument: The merged document is not a policy.
    """
    marked = _mark(DEFAULTS, "default")
    for origin, layer in zip(LAYERS, layers, strict=False):
        marked = merge(marked, _mark(layer, origin))
    given = dict(_leaves(marked))
    document = effective(layers)
    settings: list[Setting] = []
    for path, value in _leaves(document):
        found = given.get(path)
        settings.append(Setting(path, value, found.origin if isinstance(found, _Given) else "default"))
    return tuple(settings)


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Tell the values in which two documents differ.

    Args:
        before: A JSON object.
        after: Another one.

    Returns:
        The differences by path; none when the documents say the same. A list is one value, and an empty object says
        nothing.
    """
    old, new = dict(_leaves(before)), dict(_leaves(after))
    differences: list[Difference] = []
    for path in dict.fromkeys([*old, *new]):
        if path not in old:
            differences.append(Difference(path, "add", after=new[path]))
        elif path not in new:
            differences.append(Difference(path, "remove", before=old[path]))
        elif not _same(old[path], new[path]):
            differences.append(Difference(path, "change", old[path], new[path]))
    return tuple(sorted(differences, key=lambda difference: difference.path))


def _mark(document: Mapping[str, Any], origin: Origin) -> dict[str, Any]:
    return {
        name: _mark(cast("Mapping[str, Any]", value), origin) if isinstance(value, Mapping) else _Given(value, origin)
        for name, value in document.items()
    }


def _leaves(document: Mapping[str, Any], path: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in document.items():
        place = f"{path}.{name}" if path else name
        if isinstance(value, Mapping):
            yield from _leaves(cast("Mapping[str, Any]", value), place)
        else:
            yield place, value


def _same(one: object, other: object) -> bool:
    # JSON's true is not its 1, though Python's is.
    return isinstance(one, bool) == isinstance(other, bool) and one == other
