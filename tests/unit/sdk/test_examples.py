"""Every example runs, reports what it should, and serves the attempt that heals it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.unit.sdk.dispatching import dispatch
from tests.unit.sdk.platform import Platform

EXAMPLES = Path(__file__).parents[3] / "examples"


@contextmanager
def running(name: str, platform: Platform, tmp_path: Path, *args: str) -> Generator[None]:
    environment = {**os.environ, "REDRIVE_URL": platform.url, "REDRIVE_SPOOL": str(tmp_path / "spool.sqlite3")}
    command = [sys.executable, str(EXAMPLES / name), *args]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, env=environment, text=True, **pipes)
    try:
        platform.wait_for(lambda: platform.nodes or process.poll() is not None)
        assert process.poll() is None, process.communicate()[1]
        yield
    finally:
        process.kill()
        process.communicate()


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def run_attempt(platform: Platform) -> Any:
    """Do what the server does with the task: send it to the node."""
    platform.wait_for(lambda: platform.order)
    (node,) = platform.nodes.values()
    (task,) = platform.order
    answer = dispatch(node["url"], task["executor"], args=task["args"], kwargs=task["kwargs"]).json()
    assert answer["status"] == "succeeded", answer
    return answer["result"]


@pytest.mark.parametrize("name", ["fastapi_shop.py", "flask_shop.py"])
def test_web_frameworks(name: str, platform: Platform, tmp_path: Path) -> None:
    pytest.importorskip(name.partition("_")[0])
    port = free_port()
    with running(name, platform, tmp_path, port):
        answer = _post(f"http://127.0.0.1:{port}/orders/o-1")
        assert answer.status_code == 202
        assert "it will be retried" in answer.json()["note"]
        assert run_attempt(platform) == "charged o-1: 9.90"


def test_django_reports_in_its_transaction(platform: Platform, tmp_path: Path) -> None:
    pytest.importorskip("django")
    pytest.importorskip("werkzeug")
    port = free_port()
    with running("django_shop.py", platform, tmp_path, port):
        assert _post(f"http://127.0.0.1:{port}/orders/o-1").status_code == 202
        assert _post(f"http://127.0.0.1:{port}/orders/o-1").status_code == 500, "the order exists: nothing is reported"
        assert run_attempt(platform) == "charged o-1"


@pytest.mark.parametrize(("name", "result"), [("celery_task.py", "charged o-1"), ("script.py", 3)])
def test_workers_and_scripts(name: str, result: object, platform: Platform, tmp_path: Path) -> None:
    if name.startswith("celery"):
        pytest.importorskip("celery")
    with running(name, platform, tmp_path):
        assert run_attempt(platform) == result


def _post(url: str) -> httpx.Response:
    # A node registers before its server listens; the kernel keeps the connection until it does.
    transport = httpx.HTTPTransport(retries=5)
    with httpx.Client(transport=transport) as client:
        return client.post(url)
