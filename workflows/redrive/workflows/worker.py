"""The worker process: wires activities and workflows to Temporal, and keeps mirror and engine in agreement."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from http.cookiejar import CookieJar, DefaultCookiePolicy
from random import SystemRandom

import httpx
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from redrive.activities.admission import Admission
from redrive.activities.archive import Archive, Remover
from redrive.activities.bulk import Redriver
from redrive.activities.directory import NodeDirectory
from redrive.activities.dispatch import CONNECT_SECONDS, Dispatcher
from redrive.activities.record import Recorder
from redrive.store.database import Database, open_database
from redrive.store.settings import Settings
from redrive.workflows.bulk_redrive import BulkRedrive
from redrive.workflows.engine import add_search_attributes, connect
from redrive.workflows.janitor import Janitor
from redrive.workflows.reconciler import Reconciler
from redrive.workflows.retry_task import RetryTask

BUILD_ID = "redrive-1"
"""Stable over releases: the default, a hash of all loaded modules, costs an index write for each running workflow after
each release. Changes of workflow code are guarded by patches and replayed histories instead."""

_LOG = logging.getLogger(__name__)


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Run a worker process until it is told to stop.

    Args:
        settings: Where everything is.
        stop: Set it to stop: polling ends at once, attempts in flight may finish.
    """
    client = await _connected(settings, stop)
    if client is None:
        return
    database = open_database(settings, "redrive-worker")
    try:
        async with serving(client, database, settings):
            _LOG.info("worker polls the task queue %s", settings.task_queue)
            await stop.wait()
            _LOG.info("worker stops; attempts in flight have %.0f s to finish", settings.shutdown_seconds)
    finally:
        await database.close()


@asynccontextmanager
async def serving(
    client: Client,
    database: Database,
    settings: Settings,
    *,
    runner: WorkflowRunner | None = None,
    http: httpx.AsyncClient | None = None,
) -> AsyncGenerator[None]:
    """Serve Redrive's task queue while the block runs.

    Args:
        client: A connected client.
        database: Ledger and mirror.
        settings: Task queue, concurrency and time-outs.
        runner: How workflow code is run; unsandboxed when not given, which costs half the CPU per start. Tests run
            sandboxed, to catch what is not deterministic.
        http: Client for the targets; one that fits the settings is made when not given.
    """
    concurrency = settings.worker_concurrency
    own_http = http or target_client(concurrency)
    admission = Admission(database)
    dispatcher = Dispatcher(database, own_http, NodeDirectory(database, SystemRandom()), admission)
    worker = Worker(
        client,
        task_queue=settings.task_queue,
        workflows=[RetryTask, BulkRedrive],
        activities=[
            dispatcher.dispatch,
            dispatcher.close,
            Recorder(database).record,
            Redriver(database, client).look,
        ],
        workflow_runner=runner or UnsandboxedWorkflowRunner(),
        build_id=BUILD_ID,
        max_concurrent_activities=concurrency,
        max_concurrent_local_activities=concurrency,
        max_cached_workflows=2000,
        # An attempt is cancelled through its heartbeats; the SDK would hold most of them back otherwise.
        max_heartbeat_throttle_interval=timedelta(seconds=1),
        default_heartbeat_throttle_interval=timedelta(seconds=1),
        graceful_shutdown_timeout=timedelta(seconds=settings.shutdown_seconds),
    )
    janitor = Janitor(database, Remover(database, Archive(settings.archive_dir)))
    beside = [
        asyncio.create_task(Reconciler(client, database).run(settings.reconcile_seconds)),
        asyncio.create_task(admission.run()),
        asyncio.create_task(janitor.run()),
    ]
    try:
        async with worker:
            yield
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        await admission.close()
        if http is None:
            await own_http.aclose()


def sandboxed_runner() -> WorkflowRunner:
    """Make the runner that catches workflow code which is not deterministic.

    A cron backoff loads croniter when it is first met; like the rest of `core` it only computes.
    """
    restrictions = SandboxRestrictions.default.with_passthrough_modules("redrive.core", "croniter", "zoneinfo")
    return SandboxedWorkflowRunner(restrictions=restrictions)


def target_client(concurrency: int) -> httpx.AsyncClient:
    """Make the client by which targets are called.

    Redirects are not followed: a target that has moved is a fact for its owner, and a redirect could lead a signed
    request anywhere. The environment's proxies are ignored, because nodes are addressed directly.

    Args:
        concurrency: Requests in flight.
    """
    return httpx.AsyncClient(
        # What a target sets as a cookie in one task's answer must not travel with another task's request.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        follow_redirects=False,
        trust_env=False,
        # The attempt's own time-out is the limit; only connecting has a shorter one.
        timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),
        # Below the 5 s after which many servers close an idle connection, or a request would be sent into the void.
        limits=httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency, keepalive_expiry=4),
    )


async def _connected(settings: Settings, stop: asyncio.Event) -> Client | None:
    """Connect to Temporal, however long it takes to come up; None when told to stop before that."""
    wait = 0.5
    while not stop.is_set():
        try:
            client = await connect(settings, metrics_address=settings.worker_metrics_address)
            await add_search_attributes(client)
        except (RuntimeError, RPCError) as error:
            _LOG.warning("Temporal does not answer, next try in %.1f s: %s", wait, error)
            try:
                await asyncio.wait_for(stop.wait(), wait)
            except TimeoutError:
                wait = min(wait * 2, 10)
        else:
            return client
    return None
