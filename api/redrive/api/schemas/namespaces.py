"""Namespaces on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from redrive.api.schemas.base import Input, Name, Note, Output, PolicyParts


class NamespaceResource(Output):
    """An isolation unit: a tenant or an environment."""

    name: str
    description: str
    policy: dict[str, Any] = Field(description="Parts of the policy for all its groups.")
    callback_policy: dict[str, Any] = Field(description="Parts of the policy of its callbacks.")
    auto_create: bool = Field(description="Whether reports make groups and scenes.")
    created_at: datetime


class NamespaceCreation(Input):
    """A new namespace."""

    name: Name = Field(examples=["staging"])
    description: Note = ""
    policy: PolicyParts = Field(default={}, description="Parts of the policy for all its groups.")
    callback_policy: PolicyParts = Field(default={}, description="Parts of the policy of all callbacks in it.")
    auto_create: bool = True


class NamespaceChange(Input):
    """Changes of a namespace. What is left out stays as it is."""

    description: Note = ""
    policy: PolicyParts = Field(default={}, description="In place of the present parts.")
    callback_policy: PolicyParts = Field(default={}, description="Parts of the policy of all callbacks in it.")
    auto_create: bool = True
