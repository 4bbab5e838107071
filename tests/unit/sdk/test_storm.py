from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import requests
from fastapi import FastAPI, HTTPException
from tests.unit.sdk.dispatching import uvicorn_server, wsgi_server
from tests.unit.sdk.platform import Platform

from redrive.sdk import DeadlineExceeded, Redrive
from redrive.sdk.context import SCOPE, Attempt, Scope
from redrive.sdk.storm import (
    AsgiStormGuard,
    AsyncStormTransport,
    StormTransport,
    WsgiStormGuard,
    answer_stop,
    aon_request,
    on_request,
    storm_adapter,
)


@contextmanager
def attempt(deadline: datetime | None = None) -> Generator[None]:
    token = SCOPE.set(Scope(Attempt("t", 1, 3, "s", "e", deadline=deadline), deadline))
    try:
        yield
    finally:
        SCOPE.reset(token)


def in_(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


@pytest.fixture(params=["asgi", "wsgi"])
def service(request: pytest.FixtureRequest, client: Redrive) -> Iterator[str]:
    """A service whose one path fails, and says whether it would have retried."""

    @client.retryable("inner", mode="only_remote")
    def charge() -> None:
        raise RuntimeError("down")

    def work(stop: bool) -> None:
        if stop:
            answer_stop()
        charge()

    if request.param == "asgi":
        app = FastAPI()
        app.add_middleware(AsgiStormGuard)

        @app.get("/")
        async def index(stop: bool = False) -> str:
            try:
                work(stop)
            except RuntimeError as error:
                raise HTTPException(503) from error
            return "ok"

        with uvicorn_server(lambda url: app) as url:
            yield url
        return

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        try:
            work("stop=true" in environ["QUERY_STRING"])
        except RuntimeError:
            start_response("503 Down", [("content-length", "0")])
        return [b""]

    with wsgi_server(lambda url: WsgiStormGuard(application)) as url:
        yield url


def test_inside_a_retry_no_retry_is_opened(service: str, platform: Platform) -> None:
    assert httpx.get(service).status_code == 503
    assert len(platform.order) == 1
    assert httpx.get(service, headers={"Redrive-Attempt": "2"}).status_code == 503
    assert httpx.get(service, headers={"Redrive-Deadline": in_(60)}).status_code == 503
    assert len(platform.order) == 1


def test_work_past_its_deadline_is_refused(service: str, platform: Platform) -> None:
    answer = httpx.get(service, headers={"Redrive-Deadline": in_(-1)})

    assert (answer.status_code, answer.headers["redrive-stop"]) == (504, "true")
    assert platform.order == []
    assert httpx.get(service, headers={"Redrive-Deadline": "tomorrow"}).status_code == 503


def test_a_service_can_say_stop(service: str) -> None:
    assert "redrive-stop" not in httpx.get(service).headers
    assert httpx.get(f"{service}/?stop=true").headers["redrive-stop"] == "true"


def seen(request: httpx.Request) -> httpx.Response:
    names = ("redrive-attempt", "redrive-deadline")
    found = {name: request.headers[name] for name in names if name in request.headers}
    return httpx.Response(200, json={"headers": found, "timeout": request.extensions["timeout"]})


def ways() -> dict[str, Any]:
    async def by_async(**options: Any) -> httpx.Response:
        async with httpx.AsyncClient(**options) as client:
            return await client.get("http://bank")

    return {
        "transport": lambda: httpx.Client(transport=StormTransport(httpx.MockTransport(seen))).get("http://bank"),
        "async transport": lambda: asyncio.run(by_async(transport=AsyncStormTransport(httpx.MockTransport(seen)))),
        "hook": lambda: httpx.Client(transport=httpx.MockTransport(seen), event_hooks={"request": [on_request]}).get(
            "http://bank"
        ),
        "async hook": lambda: asyncio.run(
            by_async(transport=httpx.MockTransport(seen), event_hooks={"request": [aon_request]})
        ),
    }


@pytest.mark.parametrize("way", ["transport", "async transport", "hook", "async hook"])
def test_a_request_inside_an_attempt_says_so_and_keeps_to_its_time(way: str) -> None:
    call = ways()[way]
    assert call().json() == {"headers": {}, "timeout": {"connect": 5, "read": 5, "write": 5, "pool": 5}}

    deadline = datetime.now(UTC) + timedelta(seconds=2)
    with attempt(deadline):
        told = call().json()
    assert told["headers"] == {"redrive-attempt": "3", "redrive-deadline": deadline.isoformat()}
    assert 0 < told["timeout"]["read"] <= 2

    with attempt(datetime.now(UTC) - timedelta(seconds=1)), pytest.raises(DeadlineExceeded):
        call()


def test_requests_does_the_same(service: str) -> None:
    with requests.Session() as session:
        session.mount("http://", storm_adapter())
        with attempt(datetime.now(UTC) + timedelta(seconds=20)):
            answer = session.get(service, timeout=(3, None))
            assert answer.request.headers["redrive-attempt"] == "3"
        with attempt(datetime.now(UTC) - timedelta(seconds=1)), pytest.raises(DeadlineExceeded):
            session.get(service)


def test_a_stop_from_a_service_ends_the_retries_of_its_caller(client: Redrive, platform: Platform) -> None:
    calls: list[int] = []

    def bank(request: httpx.Request) -> httpx.Response:
        calls.append(1)
        return httpx.Response(503, headers={"redrive-stop": "true"})

    http = httpx.Client(transport=StormTransport(httpx.MockTransport(bank)))

    @client.retryable("charge", local_attempts=5)
    def charge() -> None:
        if http.get("http://bank").status_code == 503:
            raise RuntimeError("the bank is down")

    with pytest.raises(RuntimeError):
        charge()
    assert calls == [1]
    assert platform.order == []
