"""Selections as query parameters, and as far as a key may see."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import Depends, Query, Request
from pydantic import AfterValidator, Field

from redrive.api.access import Access
from redrive.api.schemas.base import Instant, Key, Name, Text, storable
from redrive.api.validation import invalid_document
from redrive.core.errors import InvalidDocument
from redrive.core.selection import Selection

_Search = Annotated[str, Field(max_length=200), AfterValidator(storable)] | None
_InstantQuery = Annotated[Instant | None, Query()]
_METADATA: Final = "metadata."

COUNT_SECONDS: Final = 0.1
"""How long a count may take before an estimate has to do: people wait for it."""


def _selection(
    request: Request,
    group: Annotated[Name | None, Query()] = None,
    scene: Annotated[Name | None, Query()] = None,
    kind: Annotated[Literal["task", "callback"] | None, Query(description="Reported tasks, or callbacks.")] = None,
    status: Annotated[
        list[Text], Query(description="One of these; repeat it, or separate by commas.", examples=["waiting,running"])
    ] = [],  # noqa: B006 - FastAPI copies it
    dead_reason: Annotated[list[Text], Query(description="One of these; likewise.")] = [],  # noqa: B006 - likewise
    fingerprint: Annotated[Key | None, Query(description="Fingerprint of the last error.")] = None,
    error: Annotated[_Search, Query(description="Part of the error's class or message.")] = None,
    q: Annotated[_Search, Query(description="Part of a key, the executor, the scene or the error; or the id.")] = None,
    business_key: Annotated[Key | None, Query(description="Exactly this.")] = None,
    idempotency_key: Annotated[Key | None, Query(description="Exactly this.")] = None,
    priority: Annotated[int | None, Query(ge=1, le=5)] = None,
    parent_id: Annotated[UUID | None, Query(description="Callbacks of this task.")] = None,
    ids: Annotated[list[Text], Query(description="One of these; repeat it, or separate by commas.")] = [],  # noqa: B006
    created_after: _InstantQuery = None,
    created_before: _InstantQuery = None,
    updated_after: _InstantQuery = None,
    updated_before: _InstantQuery = None,
    next_after: _InstantQuery = None,
    next_before: _InstantQuery = None,
    finished_after: _InstantQuery = None,
    finished_before: _InstantQuery = None,
) -> Selection:
    """Read a selection. A value of the metadata is asked for by `metadata.<key>=<value>`."""
    try:
        return Selection(
            group=group,
            scene=scene,
            kind=kind,
            status=_parts(status),
            dead_reason=_parts(dead_reason),
            fingerprint=fingerprint,
            error=error or None,
            q=q or None,
            business_key=business_key,
            idempotency_key=idempotency_key,
            priority=priority,
            metadata=_metadata(request),
            parent_id=None if parent_id is None else str(parent_id),
            created_after=created_after,
            created_before=created_before,
            updated_after=updated_after,
            updated_before=updated_before,
            next_after=next_after,
            next_before=next_before,
            finished_after=finished_after,
            finished_before=finished_before,
            ids=_parts(ids),
        )
    except InvalidDocument as error_:
        raise invalid_document(error_) from None


SelectionQuery = Annotated[Selection, Depends(_selection)]
"""A selection by query parameters."""


def narrowed(access: Access, selection: Selection, **changes: Any) -> Selection:
    """Narrow a selection to what a key opens.

    Args:
        access: Who asks.
        selection: What is asked for.
        changes: Fields that the request itself settles, such as `status=("dead",)`.

    Raises:
        Refusal: It asks for a group that the key does not open.
    """
    return dataclasses.replace(selection, group=access.group_filter(selection.group), **changes)


def _parts(given: Iterable[str]) -> tuple[str, ...]:
    """Read a filter that may be repeated and separated by commas."""
    return tuple(dict.fromkeys(part.strip() for text in given for part in text.split(",") if part.strip()))


def _metadata(request: Request) -> dict[str, str]:
    parameters = request.query_params.multi_items()
    return {name.removeprefix(_METADATA): value for name, value in parameters if name.startswith(_METADATA)}
