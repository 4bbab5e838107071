from __future__ import annotations

import asyncio
import json
import logging
import signal
import sqlite3
import subprocess
import sys
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tests.unit.sdk.platform import Platform

from redrive.core.wire import LOST_REPORT
from redrive.sdk import (
    AccessDenied,
    Conflict,
    NotConfigured,
    Receipt,
    Redrive,
    Rejected,
    Report,
    ReportError,
    Unavailable,
    UsageError,
    Window,
)
from redrive.sdk.spool import Spool

HEADER = """
import sys
from redrive.sdk import Redrive, Report, Window
client = Redrive(sys.argv[1], group="orders", spool=sys.argv[2], timeout=5)
"""


def script(body: str, *args: object, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-c", HEADER + body, *map(str, args)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def finish(process: subprocess.Popen[str], code: int = 0) -> tuple[str, str]:
    out, error = process.communicate(timeout=60)
    assert process.returncode == code, error
    return out, error


def test_a_report_carries_everything_and_is_acknowledged(client: Redrive, platform: Platform) -> None:
    receipt = client.report(
        "charge-card", executor="orders.charge", args=["o-1"], kwargs={"amount": 5}, business_key="o-1", delay=2.5,
        error=ValueError("no"), metadata={"shop": 7},
    )  # fmt: skip

    (task,) = platform.order
    assert (receipt.status, receipt.id) == ("accepted", task["id"])
    assert task["group"] == "orders"
    assert (task["args"], task["kwargs"], task["target"]) == (["o-1"], {"amount": 5}, {"kind": "node"})
    assert (task["delay_seconds"], task["error"]["type"], task["metadata"]["shop"]) == (2.5, "ValueError", 7)
    assert platform.requests[0][1]["redrive-namespace"] == "default"
    assert "authorization" not in platform.requests[0][1]


def test_the_key_and_the_namespace_travel_in_headers(platform: Platform, tmp_path: Path) -> None:
    options: dict[str, Any] = {"group": "g", "namespace": "test", "api_key": "k-1", "spool": tmp_path / "s.sqlite3"}
    with Redrive(platform.url, **options) as client:
        client.report("s", executor="e")

    headers = platform.requests[0][1]
    assert (headers["authorization"], headers["redrive-namespace"]) == ("Bearer k-1", "test")


async def test_the_same_key_makes_one_task(client: Redrive, platform: Platform) -> None:
    first = await client.areport("s", executor="e", args=[1], idempotency_key="k")
    second = await client.areport("s", executor="e", args=[1], idempotency_key="k")

    assert (first.status, second.status) == ("accepted", "duplicate")
    assert first.id == second.id
    with pytest.raises(Conflict, match="other payload"):
        await client.areport("s", executor="e", args=[2], idempotency_key="k")
    platform.end(platform.order[0])
    assert (await client.areport("s", executor="e", args=[2], idempotency_key="k")).status == "accepted"


def test_reports_without_a_key_are_tasks_of_their_own_and_each_has_a_name(client: Redrive, platform: Platform) -> None:
    receipts = [client.report("s", executor="e", metadata={"shop": 7}) for _ in range(2)]

    assert [receipt.idempotency_key for receipt in receipts] == [None, None]
    assert [receipt.report_id for receipt in receipts] == [task["report_id"] for task in platform.order]
    assert len({receipt.report_id for receipt in receipts}) == 2
    assert all("idempotency_key" not in task and "dedupe_seconds" not in task for task in platform.order)
    assert platform.order[0]["metadata"] == {"shop": 7}


@pytest.mark.parametrize("key", [None, "k"])
def test_a_report_that_is_sent_again_after_its_task_has_ended_makes_no_second_one(
    client: Redrive, platform: Platform, tmp_path: Path, key: str | None
) -> None:
    platform.stop()
    client.report("s", executor="e", idempotency_key=key)
    spool = Spool(tmp_path / "spool.sqlite3")
    (kept,) = spool.first(10, 1_000_000)
    spool.close()
    platform.start()
    (first,) = client.post([kept.outgoing])
    platform.end(platform.order[0])
    (second,) = client.post([kept.outgoing])

    assert isinstance(first, Receipt)
    assert isinstance(second, Receipt)
    assert second == Receipt("duplicate", key, first.id, first.report_id)
    assert len(platform.order) == 1


def test_a_refusal_names_the_field(client: Redrive) -> None:
    with pytest.raises(Rejected, match=r"policy.max_attempts: expected 1 or more") as caught:
        client.report("refused", executor="e")
    assert caught.value.status == 422


def test_many_reports_take_few_requests_and_one_bad_one_keeps_none_back(client: Redrive, platform: Platform) -> None:
    reports = [Report(scene="refused" if n == 7 else "s", executor="e", args=[n]) for n in range(2_500)]
    outcomes = client.report_many(reports)

    assert [n for n, outcome in enumerate(outcomes) if isinstance(outcome, ReportError)] == [7]
    assert [task["args"][0] for task in platform.order] == [n for n in range(2_500) if n != 7]
    assert len(platform.requests) <= 30


async def test_concurrent_async_reports_share_requests(client: Redrive, platform: Platform) -> None:
    receipts = await asyncio.gather(*(client.areport("s", executor="e", args=[n]) for n in range(200)))

    assert {receipt.status for receipt in receipts} == {"accepted"}
    assert sorted(task["args"][0] for task in platform.order) == list(range(200))
    assert len(platform.requests) < 200
    assert len(await client.areport_many([Report(scene="s", executor="e") for _ in range(3)])) == 3


def test_a_wrong_key_is_told_to_the_caller(client: Redrive, platform: Platform) -> None:
    platform.answer = lambda path, body: (401, {"title": "Unauthorized", "status": 401, "detail": "unknown key"})
    with pytest.raises(AccessDenied, match=r"unknown key.*api_key"):
        client.report("s", executor="e")


@pytest.mark.parametrize("background", [False, True])
def test_a_wrong_key_loses_no_failure_of_a_decorated_function(
    client: Redrive, platform: Platform, background: bool
) -> None:
    known = False
    platform.answer = lambda path, body: None if known else (401, {"title": "Unauthorized", "status": 401})

    @client.retryable("charge", mode="only_remote", background=background)
    def charge() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        charge()
    assert client.flush()
    assert client.spooled == 1

    known = True
    platform.wait_for(lambda: platform.order)


@pytest.mark.parametrize("status", [500, 503, 429])
def test_an_answer_that_says_later_puts_the_report_on_the_disk(
    client: Redrive, platform: Platform, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    down = True
    platform.answer = lambda path, body: (status, {}) if down else None
    assert client.report("s", executor="e", args=["secret"]).status == "spooled"
    assert client.spooled == 1

    down = False
    platform.wait_for(lambda: platform.order)
    assert platform.order[0]["args"] == ["secret"]
    assert "secret" not in caplog.text


def test_without_a_spool_the_caller_hears_that_the_server_is_away(platform: Platform) -> None:
    platform.stop()
    with Redrive(platform.url, group="g", spool=False) as client, pytest.raises(Unavailable, match="ConnectError"):
        client.report("s", executor="e")


def test_a_slow_server_costs_the_time_out_and_the_report_arrives_once(client: Redrive, platform: Platform) -> None:
    release = threading.Event()

    def slow(path: str, body: Any) -> None:
        release.wait(30)

    platform.answer = slow
    receipt = client.report("s", executor="e", timeout=0.05)
    assert receipt.status == "spooled"

    release.set()
    platform.wait_for(lambda: len(platform.requests) >= 2)
    assert len(platform.order) == 1


def test_a_full_disk_is_told_to_the_caller(platform: Platform, tmp_path: Path) -> None:
    platform.stop()
    (tmp_path / "file").touch()
    with (
        Redrive(platform.url, group="g", spool=tmp_path / "file" / "spool.sqlite3") as client,
        pytest.raises(Unavailable, match=r"and the spool .* failed"),
    ):
        client.report("s", executor="e")


def test_a_report_that_nothing_takes_is_logged_without_its_payload(
    platform: Platform, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    platform.stop()
    (tmp_path / "file").touch()
    with Redrive(platform.url, group="g", spool=tmp_path / "file" / "spool.sqlite3") as client:
        client.report("charge-card", executor="e", args=["4111-1111"], business_key="o-1", background=True)
        client.flush()

    lost = [record.getMessage() for record in caplog.records if record.levelno == logging.CRITICAL]
    assert len(lost) == 1
    assert "a report was lost (scene 'charge-card', executor 'e', business_key 'o-1'" in lost[0]
    assert "4111-1111" not in caplog.text


def test_a_background_report_that_is_refused_goes_where_lost_reports_go(platform: Platform, tmp_path: Path) -> None:
    lines: list[str] = []
    with Redrive(platform.url, group="g", spool=tmp_path / "s", lost_reports=lines.append) as client:
        client.report("refused", executor="e", args=["x"], background=True)
        client.flush()

    (line,) = lines
    word, document = line.split(" ", 1)
    assert (word, json.loads(document)["args"]) == (LOST_REPORT, ["x"])


def test_a_last_resort_that_fails_hides_nothing(platform: Platform, caplog: pytest.LogCaptureFixture) -> None:
    def full(line: str) -> None:
        raise OSError("no space left on device")

    platform.stop()
    with Redrive(platform.url, group="g", spool=False, lost_reports=full) as client, pytest.raises(Unavailable):
        client.report("s", executor="e", args=["4111-1111"])

    assert "lost_reports failed: OSError('no space left on device')" in caplog.text
    assert "4111-1111" not in caplog.text


def test_a_last_resort_is_checked_at_once() -> None:
    with pytest.raises(UsageError, match=r"lost_reports: expected 'log', a pathlib\.Path"):
        Redrive("http://127.0.0.1:1", group="g", lost_reports="/var/log/lost")  # type: ignore[arg-type]


def test_order_is_kept_and_a_refused_report_is_set_aside(client: Redrive, platform: Platform) -> None:
    port = platform.port
    platform.stop()
    for number in range(50):
        client.report("refused" if number == 20 else "s", executor="e", args=[number])
    assert client.spooled == 50

    platform.port = port
    platform.start()
    platform.wait_for(lambda: len(platform.order) == 49)
    assert [task["args"][0] for task in platform.order] == [n for n in range(50) if n != 20]
    assert client.flush()
    _until(lambda: client.spooled == 0)
    assert client.set_aside == 1


def test_reports_of_a_killed_process_arrive_exactly_once_after_its_restart(platform: Platform, tmp_path: Path) -> None:
    """1,000 failures while the server is away, kill -9, restart: everything arrives, nothing twice."""
    port, spool = platform.port, tmp_path / "spool.sqlite3"
    platform.stop()
    report = """
for number in range(1000):
    assert client.report("s", executor="e", args=[number]).status == "spooled"
print("reported", flush=True)
import time; time.sleep(60)
"""
    process = script(report, platform.url, spool)
    assert process.stdout is not None
    assert process.stdout.readline() == "reported\n"
    process.kill()
    process.communicate()

    platform.port = port
    platform.start()
    again = script("import time; time.sleep(60)", platform.url, spool)
    platform.wait_for(lambda: len(platform.order) == 1_000)
    again.terminate()
    again.communicate()
    assert [task["args"][0] for task in platform.order] == list(range(1_000))


def test_two_processes_share_one_spool_and_one_ships_at_a_time(platform: Platform, tmp_path: Path) -> None:
    port, spool = platform.port, tmp_path / "spool.sqlite3"
    platform.stop()
    report = """
for number in range(200):
    client.report("s", executor="e", args=[sys.argv[3], number])
print("reported", flush=True)
import time; time.sleep(60)
"""
    processes = [script(report, platform.url, spool, name) for name in "ab"]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "reported\n"

    platform.port = port
    platform.start()
    platform.wait_for(lambda: len(platform.order) == 400)
    for process in processes:
        process.kill()
        process.communicate()
    for name in "ab":
        assert [task["args"][1] for task in platform.order if task["args"][0] == name] == list(range(200))
    sent = [path for path, _ in platform.requests]
    assert len(sent) == 1, "one batch took them all: the other process did not send them again"


def test_background_reports_leave_at_exit_without_a_warning(platform: Platform, tmp_path: Path) -> None:
    body = 'for n in range(10): client.report("s", executor="e", args=[n], background=True)'
    _, error = finish(script(body, platform.url, tmp_path / "spool.sqlite3"))

    assert error == ""
    assert [task["args"] for task in platform.order] == [[n] for n in range(10)]


def test_sigterm_loses_nothing(platform: Platform, tmp_path: Path) -> None:
    body = """
client = Redrive(sys.argv[1], group="orders", spool=sys.argv[2], window=Window(seconds=3600))
for n in range(10): client.report("s", executor="e", args=[n], background=True)
print("queued", flush=True)
import time; time.sleep(60)
"""
    process = script(body, platform.url, tmp_path / "spool.sqlite3")
    assert process.stdout is not None
    assert process.stdout.readline() == "queued\n"
    assert platform.order == []
    process.terminate()

    finish(process, -signal.SIGTERM)
    assert [task["args"] for task in platform.order] == [[n] for n in range(10)]


def test_a_forked_child_reports_for_itself_and_repeats_nothing(platform: Platform, tmp_path: Path) -> None:
    body = """
import os, warnings
client.report("s", executor="e", args=["parent"])
client.report("s", executor="e", args=["queued"], background=True)
warnings.simplefilter("ignore")  # that a process with threads forks is what is tested
child = os.fork()
client.report("s", executor="e", args=["child" if child == 0 else "parent again"])
if child:
    assert os.waitpid(child, 0)[1] == 0
"""
    _, error = finish(script(body, platform.url, tmp_path / "spool.sqlite3"))

    assert error == ""
    assert sorted(task["args"][0] for task in platform.order) == ["child", "parent", "parent again", "queued"]


def test_no_thread_and_no_connection_before_they_are_needed(platform: Platform, tmp_path: Path) -> None:
    body = """
import threading
@client.retryable("s")
def works(): return 1
for _ in range(3): works()
assert threading.active_count() == 1
assert "httpx" not in sys.modules and "sqlite3" not in sys.modules
"""
    finish(script(body, platform.url, tmp_path / "spool.sqlite3"))
    assert platform.requests == []
    assert list(tmp_path.iterdir()) == []


def test_a_script_names_its_functions_as_an_import_would(tmp_path: Path) -> None:
    body = """
from redrive.sdk import Redrive
client = Redrive("http://127.0.0.1:1", group="g", spool=False)
@client.executor()
def charge(): pass
print(client.registry.names())
"""
    (tmp_path / "shop_jobs.py").write_text(body)
    for command in (["shop_jobs.py"], ["-m", "shop_jobs"]):
        done = subprocess.run([sys.executable, *command], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert done.stdout == "['shop_jobs.charge']\n"


def test_memory_is_bounded_by_the_window(platform: Platform, tmp_path: Path) -> None:
    window = Window(count=1_000, seconds=3600, capacity=5)
    with Redrive(platform.url, group="g", spool=tmp_path / "spool.sqlite3", window=window) as client:
        statuses = [client.report("s", executor="e", args=[n], background=True).status for n in range(8)]

    assert statuses[:5] == ["queued"] * 5
    assert set(statuses[5:]) <= {"spooled", "queued"}
    platform.wait_for(lambda: len(platform.order) >= 5)


def test_the_spool_is_private_and_keeps_no_report_twice(tmp_path: Path, client: Redrive, platform: Platform) -> None:
    platform.stop()
    client.report("s", executor="e")
    path = tmp_path / "spool.sqlite3"
    assert path.stat().st_mode & 0o077 == 0

    spool = Spool(path)
    kept = spool.first(10, 1_000_000)
    spool.append([kept[0].outgoing])
    assert spool.count() == 1
    spool.close()


def test_a_batch_that_is_too_large_for_a_proxy_is_split(client: Redrive, platform: Platform) -> None:
    platform.answer = lambda path, body: (413, {}) if len(body.get("tasks", ())) > 10 else None
    outcomes = client.report_many([Report(scene="s", executor="e", args=[n]) for n in range(64)])

    assert not [outcome for outcome in outcomes if isinstance(outcome, ReportError)]
    assert len(platform.order) == 64


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"executr": "e"}, "did you mean 'executor'"),
        ({"executor": print}, "decorated with @executor"),
        ({"executor": "e", "args": [object()]}, r"args\[0\].*cannot travel"),
        ({"executor": "e", "args": ["x" * 2_000_000]}, "store the large part"),
        ({"executor": "e", "idempotency_key": "k", "dedupe": -1}, "dedupe: expected 0 seconds or more"),
        ({"executor": "e", "deadline": datetime(2026, 1, 1)}, "expected an aware datetime"),  # noqa: DTZ001
    ],
)
def test_an_impossible_report_says_how_to_mend_it(client: Redrive, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        client.report("s", **options)


def test_a_client_needs_an_address_and_a_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REDRIVE_URL", raising=False)
    with pytest.raises(NotConfigured, match="REDRIVE_URL"):
        Redrive(group="g")
    with pytest.raises(NotConfigured, match="REDRIVE_GROUP"):
        Redrive("http://127.0.0.1:1")
    with pytest.raises(UsageError, match="expected an address"):
        Redrive("localhost:8600", group="g")


def test_payloads_are_not_logged(client: Redrive, platform: Platform, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "redrive")
    platform.stop()
    client.report("s", executor="e", args=["4111-1111"], error=ValueError("declined"))

    assert "away" in caplog.text
    assert "4111-1111" not in caplog.text


def test_a_broken_spool_file_does_not_stop_reports(platform: Platform, tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite3"
    path.write_bytes(b"this is no database" * 100)
    with Redrive(platform.url, group="g", spool=path) as client:
        assert client.report("s", executor="e").status == "accepted"
    with pytest.raises(sqlite3.DatabaseError):
        Spool(path).count()


def _until(condition: Any) -> None:
    waiting = threading.Event()
    for _ in range(1_000):
        if condition():
            return
        waiting.wait(0.01)
    raise AssertionError("the condition did not come true")
