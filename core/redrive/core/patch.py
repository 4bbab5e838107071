"""JSON Merge Patch (RFC 7396), and what it means for the payload of a task.

The payload that a patch is applied to is the document `{"args": [...], "kwargs": {...}, "body": ...}`. Lists are
replaced as a whole: the format has no way to name one item of a list, so an argument that is to be patched is best
given by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from redrive.core.documents import MAX_DEPTH, decode, require
from redrive.core.errors import InvalidDocument


@dataclass(frozen=True, slots=True)
class PayloadDocument:
    """The payload of a task as one JSON document.

    Attributes:
        args: Positional arguments.
        kwargs: Named arguments.
        body: A webhook's own body; None when it receives the named arguments.
    """

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    body: Any = None

    def as_json(self) -> dict[str, Any]:
        """Write it as the document that a patch, or a schema, is about."""
        return {"args": list(self.args), "kwargs": dict(self.kwargs), "body": self.body}


def merge_patch(document: Any, patch: Any) -> Any:
    """Apply a JSON Merge Patch.

    Args:
        document: Any JSON value. It is not changed.
        patch: Any JSON value. The members of an object are merged, `null` takes a member away, and everything else
            replaces what was there.

    Returns:
        The patched document. The members that were there keep their order; new ones follow in the order of the patch.

    Raises:
        InvalidDocument: The objects of the patch are nested deeper than `MAX_DEPTH`.
    """
    return _merged(document, patch, MAX_DEPTH)


def patch_payload(payload: PayloadDocument, patch: Mapping[str, Any]) -> PayloadDocument:
    """Apply a JSON Merge Patch to the payload of a task.

    Args:
        payload: The payload. It is not changed.
        patch: A merge patch of `args`, `kwargs` and `body`. A `null` for one of them empties it.

    Returns:
        The patched payload.

    Raises:
        InvalidDocument: The patch is no object, is nested too deep, has members other than these three, or makes
            `args` something else than a list, or `kwargs` something else than an object. Its path begins with
            `payload_patch`.
    """
    path = "payload_patch"
    decode(dict, patch, path)
    try:
        patched = merge_patch(payload.as_json(), patch)
    except InvalidDocument as error:
        raise InvalidDocument(path, error.problem) from None
    return decode(PayloadDocument, patched, path)


def _merged(document: Any, patch: Any, levels: int) -> Any:
    if not isinstance(patch, Mapping):
        return patch
    require(levels > 0, "", f"expected at most {MAX_DEPTH} levels of nesting, got more")
    merged = dict(cast("Mapping[str, Any]", document)) if isinstance(document, Mapping) else {}
    for name, value in cast("Mapping[str, Any]", patch).items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name), value, levels - 1)
    return merged
