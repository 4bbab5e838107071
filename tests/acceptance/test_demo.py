"""`make demo`: it ends as it should, cleans up after itself, and forgives whatever happened to the run before."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread

import pytest

from redrive.cli.stack.process import is_same_command

pytestmark = pytest.mark.timeout(300)  # the whole stack starts more than once, on machines that do other things, too

ROOT = Path(__file__).parents[2]
LINE_SECONDS = 120.0


class Demo:
    """A running demo whose output can be waited for."""

    def __init__(self, data_dir: Path, *arguments: str) -> None:
        self.lines: list[str] = []
        self._queue: SimpleQueue[str | None] = SimpleQueue()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "examples.shop", "--port", "0", "--data-dir", str(data_dir), *arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, pattern: str) -> str:
        """Wait for a line."""
        while (line := self._next()) is not None:
            if re.search(pattern, line):
                return line
        raise AssertionError(f"the demo ended without {pattern!r}:\n{self.output}")

    def wait(self) -> int:
        """Wait for the end."""
        while self._next() is not None:
            pass
        return self.process.wait(LINE_SECONDS)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(30)
        self.process.kill()
        self.process.wait()
        self._reader.join(10)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._queue.put(line.rstrip("\n"))
        self._queue.put(None)

    def _next(self) -> str | None:
        try:
            line = self._queue.get(timeout=LINE_SECONDS)
        except Empty:
            raise AssertionError(f"the demo said nothing for {LINE_SECONDS:.0f} s:\n{self.output}") from None
        if line is not None:
            self.lines.append(line)
        return line


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "demo"


@pytest.fixture
def start(data_dir: Path) -> Iterator[Callable[..., Demo]]:
    started: list[Demo] = []

    def start(*arguments: str) -> Demo:
        started.append(Demo(data_dir, *arguments))
        return started[-1]

    yield start
    for demo in started:
        demo.close()


def processes(data_dir: Path) -> list[tuple[int, list[str]]]:
    """List the processes that a running demo has, and those of its stack, by id and command line."""
    documents = [json.loads((data_dir / name).read_text()) for name in ("demo.json", "stack/stack.json")]
    entries = [*documents[0].values(), *documents[1]["processes"].values()]
    return [(entry["pid"], entry["argv"]) for entry in entries]


def test_runs_to_its_end_also_after_a_run_that_was_killed(start: Callable[..., Demo], data_dir: Path) -> None:
    killed = start()
    killed.wait_for(r" orders after .* (waiting|dead)")
    left_behind = processes(data_dir)
    killed.process.kill()
    killed.wait()

    demo = start("--once")

    assert demo.wait() == 0, demo.output
    assert "Everything ended as it should." in demo.output
    assert "40 orders in" in demo.output
    assert re.search(r"^Console +http://127.0.0.1:\d+$", demo.output, re.MULTILINE)
    assert re.search(r"^Temporal UI +http://127.0.0.1:\d+$", demo.output, re.MULTILINE)
    [row] = [line.split() for line in demo.lines if line.split()[:1] == ["all"]]
    succeeded, exhausted, rejected, stopped, tasks, attempts = map(int, row[1:])
    assert min(succeeded, exhausted, rejected, stopped) > 0
    assert succeeded + exhausted + rejected + stopped == tasks >= 50
    assert attempts > tasks
    assert not data_dir.exists()
    assert len(left_behind) == 7
    assert not any(is_same_command(pid, argv) for pid, argv in left_behind)


def test_goes_on_until_it_is_interrupted(start: Callable[..., Demo], data_dir: Path) -> None:
    demo = start("--orders", "6", "--keep")
    demo.wait_for("Everything ended as it should")
    demo.wait_for("Ctrl-C stops everything")
    demo.wait_for(r"^\S+ [78] orders after")
    second = start("--once")
    assert second.wait() == 2
    assert "is in use" in second.output

    started = processes(data_dir)
    demo.process.send_signal(signal.SIGINT)

    assert demo.wait() == 0, demo.output
    assert (data_dir / "stack" / "logs").is_dir()
    assert len(started) == 7
    assert not any(is_same_command(pid, argv) for pid, argv in started)
