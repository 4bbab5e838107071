from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from tests.unit.sdk.dispatching import cancel, dispatch, uvicorn_server, wsgi_server
from tests.unit.sdk.platform import Platform

from redrive.core.signature import new_secret
from redrive.sdk import (
    Attempt,
    Redrive,
    SdkError,
    Stop,
    UsageError,
    attempt_logger,
    current_attempt,
    retry_after,
    snooze,
    stop,
)
from redrive.sdk._health import ERRORS, health_of
from redrive.sdk._http import Connection
from redrive.sdk.node import Node, NodeFacts
from redrive.sdk.report import Outgoing
from redrive.sdk.spool import Spool


def asgi_alone(client: Redrive) -> AbstractContextManager[str]:
    return uvicorn_server(lambda url: client.asgi(url=url))


def asgi_in_front(client: Redrive) -> AbstractContextManager[str]:
    return uvicorn_server(lambda url: client.asgi(_shop(), url=url))


def asgi_mounted(client: Redrive) -> AbstractContextManager[str]:
    def make(url: str) -> FastAPI:
        app = FastAPI(lifespan=client.lifespan)
        app.mount("/inner", client.asgi(url=f"{url}/inner"))
        return app

    return _Suffixed(uvicorn_server(make), "/inner")


def wsgi(client: Redrive) -> AbstractContextManager[str]:
    return wsgi_server(lambda url: client.wsgi(url=url))


def own_server(client: Redrive) -> AbstractContextManager[str]:
    return client.serve()


class _Suffixed(AbstractContextManager[str]):
    def __init__(self, inner: AbstractContextManager[str], suffix: str) -> None:
        self._inner, self._suffix = inner, suffix

    def __enter__(self) -> str:
        return self._inner.__enter__() + self._suffix

    def __exit__(self, *error: object) -> None:
        self._inner.__exit__(*error)  # type: ignore[arg-type] # passed on as it came


def _shop() -> FastAPI:
    app = FastAPI()

    @app.get("/")
    async def index() -> str:
        return "shop"

    return app


WAYS = [asgi_alone, asgi_in_front, asgi_mounted, wsgi, own_server]


@pytest.fixture(params=WAYS, ids=lambda way: way.__name__)
def node(request: pytest.FixtureRequest, client: Redrive, platform: Platform) -> Iterator[str]:
    """A registered node, by each way in."""
    register(client)
    with request.param(client) as url:
        platform.wait_for(lambda: platform.nodes)
        assert client.node is not None
        assert client.node.wait_registered(10)
        yield url
    client.close()


class Gate:
    """Lets a test see that an attempt runs, and decide when it goes on."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.go = threading.Event()
        self.seen: list[Attempt] = []


gate = Gate()


@pytest.fixture(autouse=True)
def _fresh_gate() -> None:
    gate.entered.clear()
    gate.go.clear()
    gate.seen.clear()


def register(client: Redrive) -> None:
    log = attempt_logger("shop")

    @client.executor("charge", aliases=["pay"])
    def charge(order: str, amount: Decimal) -> dict[str, object]:
        log.warning("charging %s", order)
        attempt = current_attempt()
        assert attempt is not None
        gate.seen.append(attempt)
        return {"order": order, "amount": amount, "type": type(amount).__name__}

    @client.executor("acharge")
    async def acharge(order: str) -> str:
        await asyncio.sleep(0)
        attempt = current_attempt()
        assert attempt is not None
        return f"{order} {attempt.number}/{attempt.max_attempts}"

    @client.executor("fails")
    def fails(how: str) -> object:
        if how == "stop":
            raise stop("card is closed")
        if how == "returned stop":
            return Stop("closed")
        if how == "later":
            raise retry_after(timedelta(minutes=1))
        if how == "snooze":
            raise snooze(5)
        if how == "http":
            request = httpx.Request("GET", "http://bank")
            response = httpx.Response(503, headers={"retry-after": "7"}, request=request)
            raise httpx.HTTPStatusError("busy", request=request, response=response)
        if how == "http stop":
            request = httpx.Request("GET", "http://bank")
            response = httpx.Response(503, headers={"redrive-stop": "true"}, request=request)
            raise httpx.HTTPStatusError("closed", request=request, response=response)
        if how == "exit":
            raise SystemExit(3)
        raise ValueError(how)

    @client.executor("waits")
    def waits() -> str:
        attempt = current_attempt()
        assert attempt is not None
        gate.seen.append(attempt)
        gate.entered.set()
        while not gate.go.wait(0.005):
            attempt.check()
        return "done"

    @client.executor("awaits")
    async def awaits() -> str:
        attempt = current_attempt()
        assert attempt is not None
        gate.seen.append(attempt)
        gate.entered.set()
        try:
            while not gate.go.is_set():  # noqa: ASYNC110 - the test opens the gate from another thread
                await asyncio.sleep(0.005)
        except asyncio.CancelledError:
            gate.go.set()
            raise
        return "done"


def test_an_attempt_gets_its_types_back_and_its_log_travels(node: str) -> None:
    answer = dispatch(node, "charge", kwargs={"order": "o-1", "amount": "5.00"}, attempt=2, max_attempts=3).json()

    assert answer["status"] == "succeeded"
    amount = {"$type": "decimal", "value": "5.00"}
    assert answer["result"] == {"order": "o-1", "amount": amount, "type": "Decimal"}
    assert [(line["level"], line["message"]) for line in answer["logs"]] == [("WARNING", "charging o-1")]
    assert (gate.seen[0].number, gate.seen[0].is_last, gate.seen[0].task) == (2, False, "t-1")
    assert dispatch(node, "pay", args=["o-1", "5"]).json()["status"] == "succeeded"
    answer = dispatch(node, "acharge", args=["o-2"], attempt=3, max_attempts=3).json()
    assert (answer["status"], answer["result"]) == ("succeeded", "o-2 3/3")


@pytest.mark.parametrize(
    ("how", "status", "wait"),
    [("bug", "failed", None), ("stop", "stop", None), ("returned stop", "stop", None), ("later", "failed", 60),
     ("snooze", "snooze", 5), ("http", "failed", 7), ("http stop", "stop", None), ("exit", "failed", None)],
)  # fmt: skip
def test_a_failure_says_what_is_to_follow(node: str, how: str, status: str, wait: float | None) -> None:
    answer = dispatch(node, "fails", args=[how]).json()

    assert (answer["status"], answer["retry_after_seconds"]) == (status, wait)
    assert answer["error"]["message"]


class Declined(LookupError):
    """The bank will not pay, however often it is asked."""


@pytest.mark.parametrize(
    ("how", "status", "bases"),
    [
        ("declined", "stop", ["LookupError"]),
        ("late", "failed", ["OSError"]),
        ("other", "stop", ["ArithmeticError"]),
        ("snooze", "snooze", ["redrive.sdk.context.Verdict", "redrive.sdk.errors.SdkError"]),
    ],
)
def test_what_a_decorator_excludes_is_not_retried_by_an_attempt_either(
    client: Redrive, how: str, status: str, bases: list[str]
) -> None:
    @client.retryable(scene="s", name="pay", include=(OSError, LookupError), exclude=Declined)
    def pay(how: str) -> None:
        if how == "snooze":
            raise snooze(1)
        raise {"declined": Declined, "late": TimeoutError, "other": ZeroDivisionError}[how](how)

    with client.serve() as url:
        assert client.node is not None
        assert client.node.wait_registered(10)
        answer = dispatch(url, "pay", args=[how]).json()
        unknown = dispatch(url, "pay", args=[how, "one too many"]).json()
    client.close()

    assert (answer["status"], answer["error"]["bases"][: len(bases)]) == (status, bases)
    assert unknown["status"] == "failed", "what the function never saw is no error of its own"


def test_what_cannot_run_here_fails_and_says_why(node: str) -> None:
    answer = dispatch(node, "chargee").json()
    assert (answer["status"], answer["error"]["type"]) == ("failed", "redrive.sdk.errors.UnknownExecutor")
    assert "did you mean 'charge'" in answer["error"]["message"]

    answer = dispatch(node, "charge", kwargs={"order": "o-1"}).json()
    assert (answer["status"], answer["error"]["type"]) == ("failed", "redrive.sdk.errors.Unrestorable")
    assert dispatch(node, "charge", attempt="first").status_code == 422


def test_only_signed_dispatches_are_run(node: str, client: Redrive, platform: Platform) -> None:
    assert dispatch(node, "charge", secret=new_secret(), args=["o-1", "5"]).status_code == 401
    assert httpx.post(f"{node}/redrive/v1/execute", json={}).status_code == 401
    assert httpx.post(f"{node}/redrive/v1/cancel", json={}).status_code == 401
    assert gate.seen == []
    assert httpx.get(f"{node}/redrive/v1/execute").status_code == 405

    fresh = new_secret()
    platform.secrets = [fresh]
    beats = len(platform.beats)
    platform.wait_for(lambda: len(platform.beats) > beats + 1)
    assert dispatch(node, "charge", secret=fresh, args=["o-1", "5"]).json()["status"] == "succeeded"


@pytest.mark.parametrize("executor", ["waits", "awaits"])
def test_the_server_can_cancel_an_attempt(node: str, executor: str) -> None:
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(dispatch, node, executor)
        assert gate.entered.wait(10)
        assert dispatch(node, executor).status_code == 409
        assert cancel(node).json() == {"cancelled": True}

        result = answer.result().json()
    assert (result["status"], result["error"]["type"]) == ("failed", "redrive.sdk.errors.AttemptCancelled")
    assert gate.seen[0].cancelled
    assert cancel(node).json() == {"cancelled": False}


@pytest.mark.parametrize("executor", ["waits", "awaits"])
def test_an_attempt_ends_at_its_deadline(node: str, executor: str) -> None:
    deadline = (datetime.now(UTC) + timedelta(seconds=0.3)).isoformat()
    answer = dispatch(node, executor, deadline=deadline).json()

    assert (answer["status"], answer["error"]["type"]) == ("failed", "redrive.sdk.errors.DeadlineExceeded")
    assert gate.seen[0].cancelled


@pytest.mark.parametrize("way", [asgi_alone, asgi_in_front, asgi_mounted, own_server], ids=lambda way: way.__name__)
@pytest.mark.parametrize("executor", ["waits", "awaits"])
def test_a_dropped_connection_means_cancel(
    client: Redrive, way: Callable[[Redrive], AbstractContextManager[str]], executor: str
) -> None:
    register(client)
    with way(client) as node:
        assert client.node is not None
        assert client.node.wait_registered(10)
        with pytest.raises(httpx.ReadTimeout):
            dispatch(node, executor, timeout=0.5)
        assert gate.entered.is_set()
        assert gate.seen[0].cancel_flag.wait(10)
        if executor == "awaits":
            assert gate.go.wait(10), "the coroutine saw CancelledError"


def test_running_attempts_finish_while_the_node_drains(client: Redrive, platform: Platform) -> None:
    register(client)
    with ThreadPoolExecutor() as pool:
        with client.serve() as node:
            platform.wait_for(lambda: platform.nodes)
            assert client.node is not None
            assert client.node.wait_registered(10)
            answer = pool.submit(dispatch, node, "waits")
            assert gate.entered.wait(10)
            stopping = pool.submit(client.stop_node)
            platform.wait_for(lambda: platform.drained)
            late = dispatch(node, "charge", args=["o-1", "5"], attempt=2)
            assert (late.status_code, late.headers["retry-after"]) == (503, "1")
            gate.go.set()
            stopping.result(10)
        assert answer.result().json()["result"] == "done"


def test_attempts_beyond_the_capacity_wait_for_a_place(platform: Platform, tmp_path: Path) -> None:
    with Redrive(platform.url, group="orders", spool=tmp_path / "s.sqlite3", capacity=1) as client:
        register(client)
        with client.serve() as node, ThreadPoolExecutor() as pool:
            assert client.node is not None
            assert client.node.wait_registered(10)
            first = pool.submit(dispatch, node, "waits")
            assert gate.entered.wait(10)
            second = pool.submit(dispatch, node, "acharge", args=["o-1"], attempt=2)
            platform.wait_for(lambda: platform.beats and platform.beats[-1]["in_flight"] == 2)
            assert not second.done()
            gate.go.set()
            assert first.result().json()["status"] == second.result().json()["status"] == "succeeded"
        assert platform.nodes.popitem()[1]["capacity"] == 1


def test_a_node_says_who_it_is_and_registers_again_when_it_is_forgotten(platform: Platform, tmp_path: Path) -> None:
    options: dict[str, Any] = {"labels": {"zone": "a"}, "version": "1.2", "spool": tmp_path / "s.sqlite3"}
    with Redrive(platform.url, group="orders", **options) as client:
        register(client)
        with client.serve() as node:
            platform.wait_for(lambda: platform.nodes)
            facts = next(iter(platform.nodes.values()))
            assert (facts["group"], facts["url"], facts["version"]) == ("orders", node, "1.2")
            assert facts["labels"]["zone"] == "a"
            assert {"acharge", "awaits", "charge", "fails", "pay", "waits"} <= set(facts["executors"])

            platform.nodes.clear()
            platform.wait_for(lambda: platform.nodes)
            client.executor("late")(_late)
            platform.wait_for(lambda: "late" in next(iter(platform.nodes.values()))["executors"])


def _late() -> None: ...


def test_a_node_registers_once_the_server_is_there(platform: Platform, client: Redrive) -> None:
    platform.stop()
    with client.serve() as node:
        assert httpx.post(f"{node}/redrive/v1/execute", json={}).status_code == 503
        platform.start()
        platform.wait_for(lambda: platform.nodes)


def test_an_application_keeps_its_own_paths(client: Redrive) -> None:
    with uvicorn_server(lambda url: client.asgi(_shop(), url=url)) as url:
        assert httpx.get(f"{url}/").json() == "shop"
        assert httpx.post(f"{url}/redrive/v1/other").status_code == 404
    with asgi_alone(client) as url:
        assert "redrive/v1/execute" in httpx.get(f"{url}/").json()["detail"]


def test_a_node_needs_an_address(client: Redrive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REDRIVE_NODE_URL", raising=False)
    with pytest.raises(UsageError, match="REDRIVE_NODE_URL"):
        client.wsgi()


def test_a_taken_port_is_told(client: Redrive) -> None:
    with client.serve() as url:
        port = int(url.rpartition(":")[2])
        with pytest.raises(SdkError, match="cannot listen on"), client.serve(port=port):
            pass


def test_forked_workers_register_for_themselves(platform: Platform, tmp_path: Path) -> None:
    """What gunicorn does with a preloaded application."""
    body = """
import os, sys, time, warnings
from redrive.sdk import Redrive
warnings.simplefilter("ignore")
client = Redrive(sys.argv[1], group="orders", spool=sys.argv[2])
client.wsgi(url="http://127.0.0.1:1")
client.node.wait_registered(30)
child = os.fork()
if child == 0:
    client.node.wait_registered(30)
    os._exit(0)
os.waitpid(child, 0)
"""
    command = [sys.executable, "-c", body, platform.url, str(tmp_path / "s.sqlite3")]
    done = subprocess.run(command, timeout=60, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(platform.nodes) == 2


def test_the_log_of_an_attempt_is_bounded(client: Redrive) -> None:
    log = attempt_logger(logging.getLogger("chatty"))
    log.logger.propagate = False

    @client.executor("chatty")
    def chatty(length: int) -> None:
        for number in range(1_000):
            log.error("%d %s", number, "x" * length)

    with client.serve() as node:
        assert client.node is not None
        assert client.node.wait_registered(10)
        many = dispatch(node, "chatty", args=[1]).json()["logs"]
        long = dispatch(node, "chatty", args=[5_000], attempt=2).json()["logs"]

    assert len(many) == 200
    assert "dropped" in many[-1]["message"]
    assert sum(len(line["message"]) for line in long) <= 32_000


@pytest.mark.parametrize("is_old", [False, True])
def test_heartbeats_tell_of_the_spool_and_of_errors(platform: Platform, tmp_path: Path, is_old: bool) -> None:
    platform.is_old = is_old
    spool = Spool(tmp_path / "health.sqlite3")
    spool.append([Outgoing('{"scene": "a"}', "key", "report-1")])
    connection = Connection(platform.url, "default", None, 5)
    node = Node(
        connection,
        NodeFacts("orders", "http://10.0.0.1", 1),
        list,
        lambda: 0,
        health=health_of(spool),
    )
    before = ERRORS.value
    logging.getLogger("redrive.sdk").error("something broke in the SDK")
    node.start()
    try:
        platform.wait_for(lambda: len(platform.beats) >= 2)
    finally:
        node.stop()
        connection.close()
        spool.close()
    beat = platform.beats[-1]
    if is_old:
        assert beat == {"group": "orders", "in_flight": 0}, "a server that knows no more still hears the heart"
    else:
        assert beat["errors"] == before + 1
        assert beat["spool"]["size"] == 1
        assert 0 <= beat["spool"]["oldest_seconds"] < 60
