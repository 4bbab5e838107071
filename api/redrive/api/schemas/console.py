"""What the console needs beside the resources, on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from redrive.api.schemas.base import Input, Name, Output, Printable, Text

ViewQuery = Annotated[Text, Field(max_length=4_000)]


class ViewCreation(Input):
    """A filter that gets a name."""

    page: Name = Field(examples=["tasks"], description="The page that it belongs to.")
    name: Printable = Field(examples=["Payments that died today"])
    query: ViewQuery = Field(description="The query string of the page's address.", examples=["status=dead"])


class ViewChange(Input):
    """Changes of a view. What is left out stays as it is."""

    name: Printable = ""
    query: ViewQuery = ""


class ViewResource(Output):
    """A filter of a page that somebody gave a name."""

    id: UUID
    page: str
    name: str
    query: str
    author: str | None
    created_at: datetime
    updated_at: datetime


class Suggestion(Output):
    """A word that completes a query."""

    value: str


class About(Output):
    """What runs here."""

    version: str
    database_version: str
    schema_revision: str | None
    engine: Literal["up", "down"]
    engine_version: str | None = Field(description="Temporal's; null while it does not answer.")
    temporal_ui_url: str | None
    temporal_namespace: str
    task_queue: str
    require_api_key: bool
    public_url: str | None


class Me(Output):
    """Who asks, and what the key opens."""

    key_id: UUID | None = Field(description="The key; null where none is required.")
    name: str
    user: str | None = Field(description="Whom the request says it acts for.")
    scope: Literal["everything", "namespace", "group"]
    namespace: str | None = Field(description="The only namespace that the key opens; null for all.")
    group: str | None = Field(description="The only group of it; null for all.")
    require_api_key: bool
