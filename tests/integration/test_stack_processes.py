"""`redrive worker` and `redrive api` as an operator runs them: replicas, signals, exit codes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from redrive.cli.stack import EmbeddedPostgres, EmbeddedTemporal, free_port
from redrive.cli.stack.process import command_line
from redrive.cli.stack.program import answers_ok

Start = Callable[..., "subprocess.Popen[bytes]"]

PATIENCE = 60.0
"""Far more than anything here takes, also beside other tests, in seconds."""


def wait_for(condition: Callable[[], bool], timeout: float = PATIENCE) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("servers")
    with EmbeddedPostgres(folder) as postgres, EmbeddedTemporal(folder, ui_port=None) as temporal:
        variables = {
            **os.environ,
            "REDRIVE_DATABASE_URL": postgres.url,
            "REDRIVE_TEMPORAL_ADDRESS": temporal.address,
            "REDRIVE_SHUTDOWN_SECONDS": "3",
        }
        subprocess.run([sys.executable, "-P", "-m", "redrive.cli", "migrate"], env=variables, check=True)
        yield variables


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def start(environment: dict[str, str], log: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> "subprocess.Popen[bytes]":
        with log.open("ab") as file:
            command = [sys.executable, "-P", "-m", "redrive.cli", *arguments]
            started.append(subprocess.Popen(command, env=environment, stdout=file, stderr=file, start_new_session=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_worker_stops_gracefully(start: Start, log: Path) -> None:
    worker = start("worker")
    wait_for(lambda: "polls the task queue" in log.read_text())
    worker.send_signal(signal.SIGTERM)

    assert worker.wait(PATIENCE) == 0, log.read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="children are listed in /proc")
def test_several_workers_are_kept_alive_and_stop_together(start: Start, log: Path) -> None:
    parent = start("worker", "--processes", "2")
    wait_for(lambda: log.read_text().count("polls the task queue") == 2)
    first, second = children(parent.pid)
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: log.read_text().count("polls the task queue") == 3)

    assert "was ended by SIGKILL; starting it again" in log.read_text()
    running = children(parent.pid)
    assert first not in running
    assert second in running
    parent.send_signal(signal.SIGTERM)
    assert parent.wait(PATIENCE) == 0
    assert all(command_line(pid) is None for pid in running)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_api_stops_gracefully(start: Start, log: Path, workers: str) -> None:
    port = free_port()
    api = start("api", "--port", str(port), "--workers", workers)
    wait_for(lambda: answers_ok(port, "/readyz"))
    api.send_signal(signal.SIGTERM)

    assert api.wait(PATIENCE) == 0, log.read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_during_the_start_is_obeyed(start: Start, number: signal.Signals) -> None:
    api = start("api", "--port", str(free_port()))
    api.send_signal(number)

    assert api.wait(PATIENCE) in {0, 1, 130, -number}
