"""What the console is shown with: a service that fails in several ways, and tasks in every state, by real attempts."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

QUICK = {"backoff": {"kind": "fixed", "delay_seconds": 0.2}, "max_attempts": 3, "attempt_timeout_seconds": 5}
SLOW = {"backoff": {"kind": "exponential", "initial_seconds": 900, "max_seconds": 7200}, "max_attempts": 12}

ERRORS = {
    "gateway": (502, {"type": "GatewayTimeout", "message": "upstream acquirer did not answer within 5 s"}),
    "busy": (503, {"type": "ServiceUnavailable", "message": "connection pool exhausted (32 of 32 in use)"}),
    "declined": (422, {"type": "CardDeclined", "message": "card ending 4242 was declined: insufficient_funds"}),
    "bug": (500, {"type": "KeyError", "message": "'shipping_address'"}),
}


@dataclass
class Provider:
    """An HTTP service whose answers follow from the path: `/<behaviour>/<failures before success>`."""

    url: str
    calls: dict[str, int] = field(default_factory=dict[str, int])
    down: bool = False

    def answer(self, path: str, task: str) -> tuple[int, dict[str, Any]]:
        """Decide about one request."""
        if self.down:
            return ERRORS["busy"]
        _, behaviour, failures, *_rest = [*path.split("/"), "0"]
        self.calls[task] = seen = self.calls.get(task, 0) + 1
        if behaviour == "ok" or (failures.isdigit() and 0 < int(failures) < seen):
            return 200, {"ok": True, "charge": f"ch_{task[-8:]}"}
        return ERRORS[behaviour]


@contextmanager
def serve_provider() -> Generator[Provider]:
    """Run the service."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            status, document = provider.answer(self.path, self.headers.get("Redrive-Task", ""))
            body = json.dumps(document if status == 200 else {"error": document}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider = Provider(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@dataclass
class World:
    """The stack, and what was reported to it.

    Attributes:
        url: The API and the console.
        api: A client of the API.
        provider: What the tasks call.
        settings: What another process of Redrive needs in its environment to join the stack.
        tasks: Ids of reported tasks by what must become of them.
    """

    url: str
    api: httpx.Client
    provider: Provider
    settings: dict[str, str] = field(default_factory=dict[str, str])
    tasks: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    def report(
        self, role: str, group: str, scene: str, path: str, policy: dict[str, Any], number: int, **more: Any
    ) -> str:
        """Report one failed call, as a client would."""
        answer = self.api.post(
            "/v1/tasks",
            json={
                "group": group,
                "scene": scene,
                "target": {"kind": "webhook", "url": f"{self.provider.url}/{path}"},
                "kwargs": {
                    "order": f"o-{number:05d}",
                    "amount": {"value": 1299 + 37 * number, "currency": "EUR"},
                    "lines": [{"sku": f"BOOK-{number % 7}", "quantity": 1 + number % 3}],
                    "express": number % 4 == 0,
                    "note": None,
                },
                "business_key": f"o-{number:05d}",
                "idempotency_key": f"{scene}:o-{number:05d}:{role}",
                "policy": policy,
                "metadata": {"region": ("eu-west", "us-east")[number % 2], "release": "2026.5"},
                "error": {
                    "type": "TimeoutError",
                    "message": "the call took longer than 2 s",
                    "stack": 'Traceback (most recent call last):\n  File "/srv/shop/payment.py", line 88, in charge\n'
                    '    response = client.post("/charges", json=body, timeout=2)\n'
                    '  File "/srv/venv/lib/python3.13/site-packages/httpx/_client.py", line 1144, in post\n'
                    "    return self.request(\nTimeoutError: the call took longer than 2 s",
                },
                **more,
            },
        ).raise_for_status()
        task: str = answer.json()["id"]
        self.tasks.setdefault(role, []).append(task)
        return task

    def status(self, task: str) -> str:
        """Ask for a task's state."""
        status: str = self.api.get(f"/v1/tasks/{task}").raise_for_status().json()["status"]
        return status


def populate(world: World) -> None:
    """Report tasks until there are some in every state; returns when all that end have ended."""
    # Most of them fail on purpose. A breaker would take the provider for down, and park what is to die.
    world.api.patch("/v1/namespaces/default", json={"policy": {"breaker": {"enabled": False}}}).raise_for_status()
    draw = random.Random(7)
    number = 100
    plan = [
        ("succeeded", "orders", "charge-card", "gateway/1", QUICK, 9),
        ("succeeded", "orders", "charge-card", "ok", QUICK, 8),
        ("succeeded", "orders", "notify-warehouse", "busy/2", QUICK, 6),
        ("succeeded", "mail", "send-receipt", "ok", QUICK, 7),
        ("dead", "orders", "charge-card", "gateway", QUICK, 7),
        ("dead", "orders", "charge-card", "declined", QUICK, 4),
        ("dead", "orders", "notify-warehouse", "bug", QUICK, 5),
        ("dead", "mail", "send-receipt", "busy", {**QUICK, "max_attempts": 2}, 3),
        ("waiting", "orders", "charge-card", "gateway", SLOW, 5),
        ("waiting", "mail", "send-receipt", "busy", SLOW, 4),
        ("paused", "orders", "notify-warehouse", "busy", SLOW, 2),
        ("cancelled", "mail", "send-receipt", "busy", SLOW, 2),
    ]
    jobs = [
        (role, group, scene, path, policy) for role, group, scene, path, policy, times in plan for _ in range(times)
    ]
    draw.shuffle(jobs)
    for role, group, scene, path, policy in jobs:
        number += 1
        world.report(role, group, scene, path, policy, number, priority=draw.choice([2, 3, 3, 3, 4]))
    for role, operation in (("paused", "pause"), ("cancelled", "cancel")):
        for task in world.tasks[role]:
            until(lambda task=task: world.status(task) == "waiting")
            reason = {"reason": "the warehouse is being stocktaken" if role == "paused" else "ordered twice"}
            path = f"/v1/tasks/{task}/{operation}"
            # On a machine with much to do the engine may not answer in time, which is said with a 503: ask once more.
            until(lambda path=path, reason=reason: world.api.post(path, json=reason).status_code != 503)
    for role, tasks in world.tasks.items():
        for task in tasks:
            until(lambda task=task, role=role: world.status(task) == role, within=60)


def until(condition: Callable[[], object], within: float = 30.0) -> None:
    """Ask until the answer is true.

    Args:
        condition: What is asked.
        within: The longest wait, in seconds: far more than it ever takes.
    """
    limit = time.monotonic() + within
    while not condition():
        assert time.monotonic() < limit, f"it did not come true within {within:g} s"
        time.sleep(0.05)
