"""What routes ask for, as annotated aliases."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Header, Path, Query, Request
from fastapi.security import HTTPBearer
from pydantic import AfterValidator, Field
from sqlalchemy.ext.asyncio import AsyncSession

from redrive.api.access import Access, make_access
from redrive.api.schemas.base import Name, storable
from redrive.api.services import Services

_bearer = HTTPBearer(
    auto_error=False, scheme_name="ApiKey", description="An API key. `redrive dev` on loopback needs none."
)


def services(request: Request) -> Services:
    """Give the services of this process."""
    found: Services = request.app.state.services
    return found


ServicesDep = Annotated[Services, Depends(services)]


async def access(
    request: Request,
    services: ServicesDep,
    _documented: Annotated[Any, Depends(_bearer)],
    redrive_namespace: Annotated[Name | None, Header(description="The namespace; `default` when left out.")] = None,
    namespace: Annotated[Name | None, Query(description="The namespace, in place of the header.")] = None,
    redrive_actor: Annotated[str | None, Header(description="Who acts, for the audit; percent-encoded.")] = None,
) -> Access:
    """Settle who asks, and about which namespace."""
    scope = await services.keys.scope(request.headers.get("authorization"))
    return make_access(scope, redrive_namespace, namespace, redrive_actor)


AccessDep = Annotated[Access, Depends(access)]


async def statements(services: ServicesDep) -> AsyncGenerator[AsyncSession]:
    """Open a session in which each statement is its own transaction."""
    async with services.database.session() as session:
        yield session


async def transaction(services: ServicesDep) -> AsyncGenerator[AsyncSession]:
    """Open a transaction that ends before the answer is sent: what is answered is on disk."""
    async with services.database.begin() as session:
        yield session


SessionDep = Annotated[AsyncSession, Depends(statements, scope="function")]
TransactionDep = Annotated[AsyncSession, Depends(transaction, scope="function")]

TaskId = Annotated[UUID, Path(description="Id of the task.")]
GroupName = Annotated[Name, Path(description="Name of the group.")]
SceneName = Annotated[Name, Path(description="Name of the scene.")]
Limit = Annotated[int, Query(ge=1, le=500, description="The most items of one page.")]
Cursor = Annotated[
    Annotated[str, Field(max_length=2000), AfterValidator(storable)] | None,
    Query(description="Where the page begins: `next_cursor` of the page before."),
]
