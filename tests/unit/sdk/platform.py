"""A stand-in for the server: the HTTP contract of reports and nodes over real sockets, kept in memory.

It can go away and come back on the same port, and answer with an error that a test chooses.
"""

from __future__ import annotations

import contextlib
import json
import threading
import uuid
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "whsec_" + "QUJD" * 8


class Platform:
    def __init__(self) -> None:
        self.keys: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.reports: dict[str, dict[str, Any]] = {}
        self.order: list[dict[str, Any]] = []
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.nodes: dict[str, dict[str, Any]] = {}
        self.beats: list[dict[str, Any]] = []
        self.is_old = False
        """Whether it knows only the first fields of a heartbeat."""
        self.drained: list[str] = []
        self.secrets = [SECRET]
        self.answer: Callable[[str, Any], tuple[int, dict[str, Any]] | None] = lambda path, body: None
        self.changed = threading.Condition()
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._server = _Server(("127.0.0.1", self.port), _handler(self))
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        server, self._server = self._server, None
        if server is not None and self._thread is not None:
            server.shutdown()
            self._thread.join()
            server.close_connections()
            server.server_close()

    def end(self, task: dict[str, Any]) -> None:
        """Let a task end: what becomes of its key is what its report asked for."""
        if task.get("dedupe_seconds") == 0:
            self.keys = {key: known for key, known in self.keys.items() if known is not task}

    def wait_for(self, condition: Callable[[], object], timeout: float = 30.0) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, timeout), "the platform did not see what it should have seen"

    def handle(self, path: str, headers: dict[str, str], body: Any) -> tuple[int, dict[str, Any]]:
        with self.changed:
            self.requests.append((path, headers))
            try:
                chosen = self.answer(path, body)
                if chosen is not None:
                    return chosen
                return self._route(path, body)
            finally:
                self.changed.notify_all()

    def _route(self, path: str, body: Any) -> tuple[int, dict[str, Any]]:
        if path == "/v1/tasks":
            return self._report(body)
        if path == "/v1/tasks/batch":
            results: list[dict[str, Any]] = []
            for index, item in enumerate(body["tasks"]):
                status, document = self._report(item)
                problem = document if status >= 400 else None
                duplicate = bool(document.get("duplicate"))
                results.append(
                    {
                        "index": index,
                        "status": status,
                        "id": document.get("id"),
                        "duplicate": duplicate,
                        "problem": problem,
                    }
                )
            return 200, {"results": results}
        if path == "/v1/nodes/register":
            self.nodes[body["id"]] = body
            return 200, {
                "id": body["id"],
                "lease_seconds": 30,
                "heartbeat_seconds": 0.2,
                "signing_secrets": self.secrets,
            }
        node, _, what = path.removeprefix("/v1/nodes/").partition("/")
        if node not in self.nodes:
            return 404, {"title": "Not found", "status": 404, "detail": f"no node {node}"}
        if what == "drain":
            self.drained.append(node)
        elif self.is_old and body.keys() - {"group", "in_flight"}:
            return 422, {"title": "Invalid", "status": 422, "detail": "unknown field"}
        else:
            self.beats.append(body)
        return 200, {"status": "live", "signing_secrets": self.secrets}

    def _report(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if body["scene"] == "refused":
            errors = [{"field": "policy.max_attempts", "message": "expected 1 or more"}]
            return 422, {"title": "Invalid", "status": 422, "detail": "no", "errors": errors}
        key = (body["group"], body["scene"], body.get("idempotency_key") or f"report {body['report_id']}")
        known = self.reports.get(body["report_id"]) or self.keys.get(key)
        payload = (body.get("args"), body.get("kwargs"))
        if known is not None:
            if (known.get("args"), known.get("kwargs")) != payload:
                return 409, {"title": "Conflict", "status": 409, "detail": "other payload"}
            return 200, {"id": known["id"], "duplicate": True}
        task = {**body, "id": str(uuid.uuid4())}
        self.keys[key] = self.reports[body["report_id"]] = task
        self.order.append(task)
        return 201, {"id": task["id"], "duplicate": False}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, *args: Any) -> None:
        self.open: set[Any] = set()
        super().__init__(*args)

    def close_connections(self) -> None:
        for connection in list(self.open):
            with contextlib.suppress(OSError):
                connection.shutdown(2)


def _handler(platform: Platform) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            self.server.open.add(self.connection)  # type: ignore[attr-defined]

        def finish(self) -> None:
            self.server.open.discard(self.connection)  # type: ignore[attr-defined]
            super().finish()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])) or b"{}")
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, document = platform.handle(self.path, headers, body)
            content = json.dumps(document).encode()
            self.send_response(status)
            for name in ("retry-after",):
                if name in document:
                    self.send_header(name, str(document[name]))
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    return Handler
