"""A worker before it polls anything: what it needs, and what reports say of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.unit.sdk.platform import Platform

from redrive.core.wire import NodeTarget, WebhookTarget, WorkerTarget
from redrive.sdk import Redrive, UsageError

QUEUE = {"kind": "worker", "task_queue": "orders-retries"}


def client_of(platform: Platform, **options: Any) -> Redrive:
    return Redrive(platform.url, group="orders", spool=False, **options)


@pytest.mark.parametrize(
    ("given", "travels"),
    [
        (None, QUEUE),
        ({"kind": "worker"}, QUEUE),
        ({"kind": "worker", "task_queue": "others"}, {"kind": "worker", "task_queue": "others"}),
        (WorkerTarget("others"), {"kind": "worker", "task_queue": "others"}),
        (NodeTarget(), {"kind": "node"}),
        (WebhookTarget("https://example.com"), {
            "kind": "webhook", "url": "https://example.com", "method": "POST", "headers": {},
        }),
    ],
)  # fmt: skip
def test_a_clients_task_queue_is_where_its_reports_go(platform: Platform, given: Any, travels: dict[str, Any]) -> None:
    with client_of(platform, task_queue="orders-retries") as client:
        client.report("charge-card", executor="orders.charge", target=given)

    assert platform.order[0]["target"] == travels


def test_a_decorated_function_reports_to_the_task_queue(platform: Platform) -> None:
    with client_of(platform, task_queue="orders-retries") as client:

        @client.retryable("charge-card", mode="only_remote", raise_on_exhausted=False)
        def charge() -> None:
            raise TimeoutError

        charge()
        charge.with_options(target=NodeTarget())()

    assert [task["target"] for task in platform.order] == [QUEUE, {"kind": "node"}]


def test_a_report_for_another_group_does_not_go_to_the_clients_own_queue(platform: Platform) -> None:
    with client_of(platform, task_queue="orders-retries") as client:
        client.report("send-mail", executor="mail.send", group="mail")

    assert platform.order[0]["target"] == {"kind": "node"}


def test_a_worker_needs_a_task_queue_that_can_be_one(platform: Platform) -> None:
    with client_of(platform) as client:
        with pytest.raises(UsageError, match="pass task_queue='orders-retries'"):
            client.worker()
        assert client.worker("orders-retries").task_queue == "orders-retries"
        with pytest.raises(UsageError, match="expected 1 to 200 characters, got 201"):
            client.worker("q" * 201)


def test_a_worker_runs_once_at_a_time(platform: Platform) -> None:
    with client_of(platform, task_queue="orders-retries") as client:
        worker = client.worker(address="127.0.0.1:1")
        with worker, pytest.raises(UsageError, match="runs already"), worker:
            pass


def test_the_extra_is_named_by_one_line_when_it_is_missing(tmp_path: Path) -> None:
    code = """
import sys
sys.modules["temporalio"] = None
from redrive.sdk import Redrive
Redrive("http://127.0.0.1:1", group="orders", task_queue="orders-retries", spool=False).worker()
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)

    assert result.stderr.strip().splitlines()[-1] == (
        "ModuleNotFoundError: taking attempts from a Temporal task queue needs temporalio: "
        "pip install 'redrive[worker]'"
    )
    assert "During handling" not in result.stderr
