"""The connection to Temporal, and what a Temporal namespace must have before Redrive can use it."""

from __future__ import annotations

import logging
from datetime import timedelta
from functools import cache
from typing import Final

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.common import SearchAttributeKey
from temporalio.envconfig import ClientConfig
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig
from temporalio.service import RPCError, RPCStatusCode

from redrive.core.errors import RedriveError
from redrive.store.settings import Settings

GROUP_ATTRIBUTE: Final = SearchAttributeKey.for_keyword("RedriveGroup")
SCENE_ATTRIBUTE: Final = SearchAttributeKey.for_keyword("RedriveScene")
BUSINESS_KEY_ATTRIBUTE: Final = SearchAttributeKey.for_keyword("RedriveBusinessKey")

# Set at the start only: each change costs Temporal's visibility store some seventy index writes. Whatever changes
# while a task lives is searched in PostgreSQL.
SEARCH_ATTRIBUTES: Final = (GROUP_ATTRIBUTE, SCENE_ATTRIBUTE, BUSINESS_KEY_ATTRIBUTE)

_LOG = logging.getLogger(__name__)


class MissingSearchAttributes(RedriveError):
    """The Temporal namespace lacks search attributes, and this process may not add them."""

    def __init__(self, names: list[str], problem: str) -> None:
        commands = "; ".join(
            f"temporal operator search-attribute create --type Keyword --name {name}" for name in names
        )
        super().__init__(
            f"the Temporal namespace lacks {', '.join(names)} and adding them failed ({problem}). Run: {commands}"
        )


async def connect(settings: Settings, *, lazy: bool = False, metrics_address: str | None = None) -> Client:
    """Connect to Temporal.

    What the settings leave out comes from Temporal's own environment configuration, so that TLS, API keys and
    profiles, and with them Temporal Cloud, work as in every other Temporal program.

    Args:
        settings: Where Temporal is.
        lazy: Whether to put off the connection until the first call. A worker cannot.
        metrics_address: `host:port` where the SDK shows Prometheus what it measures; None shows nothing.

    Returns:
        The client.

    Raises:
        RuntimeError: Temporal does not answer (only when not lazy).
    """
    config = ClientConfig.load_client_connect_config()
    if settings.temporal_address is not None:
        config["target_host"] = settings.temporal_address
    if settings.temporal_namespace is not None:
        config["namespace"] = settings.temporal_namespace
    config.setdefault("target_host", "localhost:7233")
    if metrics_address is None:
        return await Client.connect(**config, lazy=lazy)
    return await Client.connect(**config, lazy=lazy, runtime=_measured(metrics_address))


@cache
def _measured(address: str) -> Runtime:
    """Make the SDK's engine with an exporter: once, since it listens from then on, whether Temporal answers or not."""
    exporter = PrometheusConfig(bind_address=address, durations_as_seconds=True)
    return Runtime(telemetry=TelemetryConfig(metrics=exporter))


async def prepare(settings: Settings) -> None:
    """Give the Temporal namespace the search attributes that workflows are started with. Harmless when they exist.

    Args:
        settings: Where Temporal is.

    Raises:
        MissingSearchAttributes: They are missing and cannot be added from here.
        RuntimeError: Temporal does not answer.
    """
    client = await connect(settings)
    await add_search_attributes(client)


async def add_search_attributes(client: Client) -> None:
    """Add the search attributes that the client's namespace lacks.

    Args:
        client: A connected client.

    Raises:
        MissingSearchAttributes: They cannot be added from here.
    """
    namespace = client.namespace
    try:
        listed = await client.operator_service.list_search_attributes(ListSearchAttributesRequest(namespace=namespace))
        known = set(listed.custom_attributes)
    except RPCError as error:
        if error.status is not RPCStatusCode.UNIMPLEMENTED:
            raise
        known = set[str]()
    missing = [attribute.name for attribute in SEARCH_ATTRIBUTES if attribute.name not in known]
    if not missing:
        return
    kind = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
    request = AddSearchAttributesRequest(namespace=namespace, search_attributes=dict.fromkeys(missing, kind))
    try:
        await client.operator_service.add_search_attributes(request, timeout=timedelta(seconds=10))
    except RPCError as error:
        if error.status is not RPCStatusCode.ALREADY_EXISTS:
            raise MissingSearchAttributes(missing, error.message) from None
    _LOG.info("added search attributes to the Temporal namespace %s: %s", namespace, ", ".join(missing))
