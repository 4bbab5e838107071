"""The application: routes, errors, and what runs beside the requests."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib.metadata
import logging
from collections.abc import AsyncGenerator, Awaitable, Iterable
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from redrive.api.alerter import Alerter
from redrive.api.body import Edge
from redrive.api.documentation import DESCRIPTION, Application, operation_id
from redrive.api.events import told_to_stop
from redrive.api.failures import method_not_allowed, refusal_of
from redrive.api.guard import Guard
from redrive.api.problems import METHOD_NOT_ALLOWED
from redrive.api.redrive_keeper import RedriveKeeper
from redrive.api.releaser import Releaser
from redrive.api.routers import (
    about,
    alerts,
    attempts,
    audit,
    breakers,
    dead_letters,
    events,
    groups,
    health,
    keys,
    limits,
    metrics,
    namespaces,
    nodes,
    pages,
    pauses,
    policies,
    portable,
    redrives,
    removal,
    scenes,
    stats,
    tasks,
    views,
)
from redrive.api.services import Services, make_services
from redrive.api.starter import Starter
from redrive.api.tallier import Tallier
from redrive.api.waker import Waker
from redrive.store.settings import Settings

_LOG = logging.getLogger(__name__)


def create_app(settings: Settings) -> FastAPI:
    """Make the application. Connections are opened when it starts.

    Args:
        settings: What the operator set.
    """
    services = make_services(settings)

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
        await services.engine.start()
        try:
            with told_to_stop(services.feed.close):
                async with _running(services):
                    yield
        finally:
            await services.probe.close()
            await services.engine.close()
            await services.database.close()

    app = Application(
        title="Redrive",
        version=importlib.metadata.version("redrive"),
        description=DESCRIPTION,
        lifespan=lifespan,
        generate_unique_id_function=operation_id,
        # `pages` has one that needs no files of other sites.
        docs_url=None,
        redoc_url=None,
        # A path with a slash at its end is another path, and a redirect would lose the body of a report.
        redirect_slashes=False,
    )
    app.state.services = services
    app.add_middleware(Edge)
    app.add_middleware(Guard, settings=settings)
    routers = [
        module.router
        for module in (
            tasks,
            redrives,
            attempts,
            dead_letters,
            groups,
            scenes,
            policies,
            portable,
            removal,
            namespaces,
            nodes,
            breakers,
            limits,
            pauses,
            keys,
            audit,
            stats,
            events,
            views,
            about,
            metrics,
            health,
            alerts,
            pages,
        )
    ]
    for router in routers:
        app.include_router(router)
    app.add_exception_handler(HTTPException, _HttpErrors(routers))
    return app


def prepare(app: FastAPI) -> FastAPI:
    """Do before the first request what some request would wait for, and all others with it.

    FastAPI makes its routes when the first request comes, which takes most of a second. And the garbage collector would
    look through them, and all modules, again and again: a tenth of a second or two each time.

    Args:
        app: What this process is going to serve.

    Returns:
        The same.
    """
    nowhere: dict[str, Any] = {"type": "http", "method": "GET", "path": "/-", "root_path": "", "headers": []}
    for route in app.routes:
        route.matches(nowhere)  # makes all routes below it
    gc.collect()
    gc.freeze()
    return app


def app_from_environment() -> FastAPI:
    """Make the application from `REDRIVE_*`: uvicorn's factory, for several processes."""
    return prepare(create_app(Settings()))


@contextlib.asynccontextmanager
async def _running(services: Services) -> AsyncGenerator[None]:
    """Run what works beside the requests."""
    starter = Starter(services.database, services.engine, services.settings, services.restraints)
    waker = Waker(services.database, services.engine)
    releaser = Releaser(services.database, services.engine, services.restraints)
    running = [
        asyncio.create_task(_keep_running("starter", starter.run())),
        asyncio.create_task(_keep_running("waker", waker.run())),
        asyncio.create_task(
            _keep_running("keeper of redrives", RedriveKeeper(services.database, services.engine).run())
        ),
        asyncio.create_task(_keep_running("releaser", releaser.run())),
        asyncio.create_task(_keep_running("admission", services.admission.run())),
        asyncio.create_task(_keep_running("tallier", Tallier(services.database).run())),
        asyncio.create_task(_keep_running("feed", services.feed.run())),
        asyncio.create_task(_keep_running("alerter", Alerter(services.database, services.settings).run())),
        asyncio.create_task(_keep_running("key ring", services.keys.keep_touching())),
    ]
    try:
        yield
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await services.admission.close()


async def _keep_running(name: str, work: Awaitable[None]) -> None:
    """Say so when work ends that never should."""
    try:
        await work
    except asyncio.CancelledError:
        raise
    except Exception:  # noqa: BLE001 - whatever it was, an operator must see it
        _LOG.exception("the %s has failed; restart this process", name)


class _HttpErrors:
    """Answers what Starlette refuses: unknown paths, and methods that a path has not."""

    def __init__(self, routers: Iterable[APIRouter]) -> None:
        self._routes = [route for router in routers for route in router.routes if isinstance(route, APIRoute)]

    async def __call__(self, request: Request, error: Exception) -> Response:
        """Answer with a problem."""
        refusal = refusal_of(error)
        if refusal.kind is METHOD_NOT_ALLOWED:
            # Starlette names the methods of the first route alone.
            path = request.scope["path"]
            methods = {
                method for route in self._routes if route.path_regex.match(path) for method in route.methods or ()
            }
            if methods:
                refusal = method_not_allowed(methods)
        return refusal.response()
