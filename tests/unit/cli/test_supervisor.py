"""The supervisor: the order of starts and stops, and how it restarts what ends."""

from pathlib import Path

import pytest

from redrive.cli.stack.cancel import Cancel, SignalFlag
from redrive.cli.stack.errors import PortTakenError
from redrive.cli.stack.supervisor import Supervisor, describe_end, restart_pause


class FakeService:
    """A service without a process, that writes down what is done to it."""

    argv = ("fake",)
    log: Path | None = None
    returncode: int | None = None
    pid: int | None = None

    def __init__(self, name: str, journal: list[str]) -> None:
        self.name = name
        self.running = False
        self.refusal: PortTakenError | None = None
        self._journal = journal

    def launch(self) -> None:
        self._journal.append(f"launch {self.name}")
        if self.refusal is not None:
            raise self.refusal
        self.running = True

    def wait_ready(self, cancel: Cancel | None = None, timeout: float = 60.0) -> None:
        self._journal.append(f"wait {self.name}")

    def request_stop(self) -> None:
        self._journal.append(f"ask {self.name}")

    def stop(self) -> None:
        self._journal.append(f"stop {self.name}")
        self.running = False

    def kill(self) -> None:
        self._journal.append(f"kill {self.name}")
        self.running = False


@pytest.fixture
def journal() -> list[str]:
    return []


def test_stages_start_in_order_and_stop_in_reverse(journal: list[str]) -> None:
    """What depends on a server stops before it; what belongs together starts and stops side by side."""
    supervisor = Supervisor(report=journal.append)
    supervisor.start([FakeService("postgres", journal), FakeService("temporal", journal)], SignalFlag())
    supervisor.start([FakeService("api", journal)], SignalFlag())
    supervisor.stop()

    assert journal == [
        *("launch postgres", "launch temporal", "wait postgres", "wait temporal", "launch api", "wait api"),
        *("ask api", "stop api", "ask temporal", "ask postgres", "stop temporal", "stop postgres"),
    ]


def test_a_service_that_ended_starts_again_after_a_pause(journal: list[str]) -> None:
    supervisor = Supervisor(report=journal.append)
    service = FakeService("api", journal)
    supervisor.start([service], SignalFlag())
    journal.clear()
    service.running, service.returncode = False, -9

    supervisor.check(now=1000.0)
    assert journal == ["api was ended by SIGKILL; starting it again in 0.2 s"]
    supervisor.check(now=1000.1)
    assert not service.running
    supervisor.check(now=1000.3)
    assert service.running


def test_pauses_grow_while_it_keeps_ending_and_shrink_when_it_was_well(journal: list[str]) -> None:
    supervisor = Supervisor(report=journal.append)
    service = FakeService("api", journal)
    supervisor.start([service], SignalFlag())
    service.returncode = 1
    now = 1_000_000.0
    pauses: list[str] = []
    for ran_for in (60.0, 1.0, 1.0, 60.0):
        now += ran_for
        service.running = False
        supervisor.check(now)
        pauses.append(journal[-1])
        now += 10.0
        supervisor.check(now)

    assert [line.rpartition("in ")[2] for line in pauses] == ["0.2 s", "0.4 s", "0.8 s", "0.2 s"]


def test_a_start_that_fails_is_reported_and_tried_again(journal: list[str]) -> None:
    """Another program may have taken the port in the meantime; it may also go away again."""
    supervisor = Supervisor(report=journal.append)
    service = FakeService("api", journal)
    supervisor.start([service], SignalFlag())
    service.running = False
    service.refusal = PortTakenError("port 8600 is taken")
    supervisor.check(now=1000.0)
    supervisor.check(now=1001.0)
    assert "api: port 8600 is taken" in journal
    service.refusal = None
    supervisor.check(now=1002.0)
    supervisor.check(now=1003.0)

    assert service.running


def test_pauses_are_bounded() -> None:
    assert [restart_pause(failures) for failures in (0, 1, 2, 3)] == [0.2, 0.2, 0.4, 0.8]
    assert restart_pause(10_000) == 10.0


@pytest.mark.parametrize(
    ("code", "words"),
    [(None, "ended"), (3, "ended with code 3"), (-15, "was ended by SIGTERM"), (-250, "was ended by signal 250")],
)
def test_an_end_is_described_in_words(code: int | None, words: str) -> None:
    assert describe_end(code) == words
