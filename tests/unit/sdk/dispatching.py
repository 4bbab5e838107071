"""What the server does to a node: signed requests over real sockets."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import httpx
import uvicorn
from tests.unit.sdk.platform import SECRET

from redrive.core.signature import sign


def dispatch(url: str, executor: str, *, secret: str = SECRET, timeout: float = 30, **fields: Any) -> httpx.Response:
    body = json.dumps(
        {"task": "t-1", "generation": 1, "attempt": 1, "scene": "s", "executor": executor, **fields}
    ).encode()
    headers = sign([secret], "t-1", datetime.now(UTC), body)
    return httpx.post(f"{url}/redrive/v1/execute", content=body, headers=headers, timeout=timeout)


def cancel(url: str, **fields: Any) -> httpx.Response:
    body = json.dumps({"task": "t-1", "generation": 1, "attempt": 1, **fields}).encode()
    return httpx.post(f"{url}/redrive/v1/cancel", content=body, headers=sign([SECRET], "c", datetime.now(UTC), body))


@contextmanager
def uvicorn_server(make_app: Callable[[str], Any]) -> Generator[str]:
    """Run an ASGI application, made for the port that it will listen on."""
    config = uvicorn.Config(None, host="127.0.0.1", port=0, log_level="warning", lifespan="on")  # type: ignore[arg-type]
    listening = config.bind_socket()
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    config.app = make_app(url)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    waiting = threading.Event()
    for _ in range(2_000):
        if server.started:
            break
        waiting.wait(0.005)
    assert server.started
    try:
        yield url
    finally:
        server.should_exit = True
        thread.join(30)
        listening.close()


class _ThreadingServer(ThreadingMixIn, WSGIServer):
    daemon_threads = True


@contextmanager
def wsgi_server(make_app: Callable[[str], Any]) -> Generator[str]:
    class Quiet(WSGIRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    server = make_server("127.0.0.1", 0, None, _ThreadingServer, Quiet)  # type: ignore[arg-type]
    url = f"http://127.0.0.1:{server.server_port}"
    server.set_app(make_app(url))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield url
    finally:
        server.shutdown()
        thread.join(30)
        server.server_close()
