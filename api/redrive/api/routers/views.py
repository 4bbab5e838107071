"""`/v1/views`: filters of the console's pages that somebody gave a name."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response

from redrive.api.configuration import unknown_namespace
from redrive.api.dependencies import AccessDep, SessionDep, TransactionDep
from redrive.api.documentation import problems
from redrive.api.problems import ALREADY_EXISTS, VIEW_NOT_FOUND, Refusal
from redrive.api.routing import Route
from redrive.api.schemas.base import Listed, Name
from redrive.api.schemas.console import ViewChange, ViewCreation, ViewResource
from redrive.api.validation import invalid_field
from redrive.store import scenes, views
from redrive.store.tables import SavedView

router = APIRouter(prefix="/v1/views", tags=["views"], route_class=Route)

ViewId = Annotated[UUID, Path(description="Id of the view.")]


@router.get("", responses=problems())
async def list_views(
    access: AccessDep,
    session: SessionDep,
    page: Annotated[Name | None, Query(description="Only those of this page.")] = None,
) -> Listed[ViewResource]:
    """List the saved views of the namespace by page and name."""
    found = await views.list_views(session, access.namespace, page)
    return Listed[ViewResource](items=[_resource(view) for view in found])


@router.post("", status_code=201, responses=problems(404, 409, 413, 415))
async def create_view(
    creation: ViewCreation, access: AccessDep, session: TransactionDep, response: Response
) -> ViewResource:
    """Save a view for everybody in the namespace. This needs a key for the whole namespace."""
    access.require_namespace()
    if await scenes.find_namespace(session, access.namespace) is None:
        raise unknown_namespace(access.namespace)
    view = await views.create_view(session, access.namespace, **creation.model_dump(), author=access.author)
    if view is None:
        raise _taken(creation.name)
    response.headers["Location"] = f"/v1/views/{view.id}"
    return _resource(view)


@router.patch("/{view_id}", responses=problems(404, 409, 413, 415))
async def change_view(view_id: ViewId, change: ViewChange, access: AccessDep, session: TransactionDep) -> ViewResource:
    """Rename a view, or change its filter."""
    access.require_namespace()
    changes = change.model_dump(exclude_unset=True)
    if not changes:
        raise invalid_field("", "expected at least one field to change, got none")
    if await views.find_view(session, access.namespace, view_id) is None:
        raise _unknown(view_id)
    if not await views.change_view(session, view_id, changes):
        raise _taken(change.name)
    session.expire_all()
    view = await views.find_view(session, access.namespace, view_id)
    if view is None:
        raise _unknown(view_id)
    return _resource(view)


@router.delete("/{view_id}", status_code=204, response_class=Response, responses=problems(404))
async def delete_view(view_id: ViewId, access: AccessDep, session: TransactionDep) -> None:
    """Forget a view."""
    access.require_namespace()
    if not await views.delete_view(session, access.namespace, view_id):
        raise _unknown(view_id)


def _taken(name: str) -> Refusal:
    return Refusal(ALREADY_EXISTS, f"the page has a view {name!r}: PATCH it, or choose another name")


def _unknown(view_id: UUID) -> Refusal:
    return Refusal(VIEW_NOT_FOUND, f"there is no view {view_id}: GET /v1/views lists them")


def _resource(view: SavedView) -> ViewResource:
    return ViewResource.model_validate(view.model_dump(exclude={"namespace"}))
