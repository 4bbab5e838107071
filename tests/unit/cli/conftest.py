"""A small, real HTTP server that answers like Redrive's API and remembers what it was asked."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from typer.testing import CliRunner, Result

from redrive.cli.app import app


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    document: Any


@dataclass
class FakeApi:
    """Answers come from `answers` by method and path; each entry is used up unless it is the last."""

    url: str = ""
    requests: list[Request] = field(default_factory=list[Request])
    answers: dict[str, list[tuple[int, Any]]] = field(default_factory=dict[str, list[tuple[int, Any]]])

    def answer(self, route: str, *documents: Any, status: int = 200) -> None:
        self.answers.setdefault(route, []).extend((status, document) for document in documents)

    def reply(self, request: Request) -> tuple[int, Any]:
        self.requests.append(request)
        queue = self.answers.get(f"{request.method} {request.path}")
        if not queue:
            return 404, {"type": "about:blank", "title": "Not found", "status": 404, "detail": "there is no such task"}
        return queue.pop(0) if len(queue) > 1 else queue[0]


@pytest.fixture
def api() -> Iterator[FakeApi]:
    fake = FakeApi()

    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Transfer-Encoding") == "chunked":
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            status, document = fake.reply(
                Request(
                    self.command,
                    parts.path,
                    parse_qs(parts.query),
                    {name.lower(): value for name, value in self.headers.items()},
                    body.decode() if "ndjson" in self.headers.get("Content-Type", "") else json.loads(body or "null"),
                )
            )
            content = document.encode() if isinstance(document, str) else json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815 - the names that http.server looks for

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the base class
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield fake
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def run(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> "Run":
    monkeypatch.setenv("REDRIVE_URL", api.url)
    for name in ("REDRIVE_API_KEY", "REDRIVE_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)
    return Run()


class Run:
    """Runs the `redrive` command in this process."""

    def __call__(self, *arguments: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(app, list(arguments), input=stdin)
