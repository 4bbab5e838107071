"""Nodes on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from redrive.api.schemas.base import Input, Name, NodeId, Note, Output, Printable, Text
from redrive.core.wire import HEARTBEAT_SECONDS, NODE_LEASE_SECONDS, check_url

Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
NodeStatus = Literal["live", "draining", "lost"]


def _callable(url: str) -> str:
    check_url(url, "")
    return url


class NodeRegistration(Input):
    """A client process that takes attempts."""

    id: NodeId = Field(description="Its id, unique among all nodes, for example host name and process id.")
    group: Name
    url: Annotated[str, AfterValidator(_callable)] = Field(
        description="Where it takes attempts: `/redrive/v1/execute` is added.", examples=["http://10.0.0.7:8000"]
    )
    labels: dict[Text, Text] = Field(default={}, description="Anything that helps people.")
    version: Note | None = Field(default=None, description="Version of its code.")
    executors: Annotated[list[Printable], Field(max_length=10_000)] = Field(
        default=[], description="Names of the functions that it runs."
    )
    capacity: Count | None = Field(default=None, description="The most attempts at once; null for no limit.")


class Lease(Output):
    """What a node is told when it registers."""

    id: str
    lease_seconds: float = Field(default=NODE_LEASE_SECONDS, description="It counts as live for so long.")
    heartbeat_seconds: float = Field(default=HEARTBEAT_SECONDS, description="How often it is to send a heartbeat.")
    signing_secrets: list[str] = Field(description="Requests to it are signed with one of these.")


class SpoolState(Input):
    """The reports that wait on a client's disk."""

    size: Count = Field(default=0, description="How many they are.")
    oldest_seconds: Annotated[float, Field(ge=0, le=1e12)] | None = Field(
        default=None, description="How long the first of them has waited."
    )


class Heartbeat(Input):
    """A sign of life."""

    group: Name
    in_flight: Count = Field(default=0, description="Attempts that it is running.")
    spool: SpoolState | None = Field(default=None, description="Its spool; left out when nothing waits.")
    errors: Annotated[int, Field(ge=0, le=2**53)] | None = Field(
        default=None, description="Errors that its SDK has met since it started. Alert rules can be about new ones."
    )


class HeartbeatAnswer(Output):
    """What a node is told at each heartbeat."""

    status: Literal["live", "draining"]
    signing_secrets: list[str]


class NodeResource(Output):
    """A node."""

    id: str
    namespace: str
    group: str
    url: str
    status: NodeStatus = Field(description="`lost` when its last heartbeat is older than its lease.")
    labels: dict[str, str]
    version: str | None
    executors: list[str]
    capacity: int | None
    in_flight: int
    spool_size: int = Field(description="Reports that wait on its disk.")
    spool_oldest_seconds: float | None = Field(description="How long the first of them has waited.")
    errors: int = Field(description="Errors that its SDK has met since it started.")
    registered_at: datetime
    last_heartbeat_at: datetime
