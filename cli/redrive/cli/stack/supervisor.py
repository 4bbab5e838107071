"""Keeps a set of processes alive, and stops them in the reverse order of their start.

A process that ends while it should run is started again, at first nearly at once and then after longer and longer
pauses, so that `kill -9` of any part heals by itself and a part that cannot run does not keep a core busy.
"""

import signal
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from redrive.cli.stack.cancel import Cancel
from redrive.cli.stack.errors import StackError

_POLL_SECONDS = 0.2
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 10.0
# A process that ran for so long was well, so that its end is a new trouble and not the old one.
_SETTLED_SECONDS = 30.0


class Service(Protocol):
    """What the supervisor needs to know of a process."""

    @property
    def name(self) -> str:
        """What it is called in messages."""
        ...

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        ...

    @property
    def argv(self) -> tuple[str, ...]:
        """Its command line."""
        ...

    @property
    def running(self) -> bool:
        """Whether it runs."""
        ...

    @property
    def log(self) -> Path | None:
        """Its log file."""
        ...

    @property
    def returncode(self) -> int | None:
        """How the last run ended."""
        ...

    def launch(self) -> None:
        """Start it and return at once."""
        ...

    def wait_ready(self, cancel: Cancel | None = None, timeout: float = 60.0) -> None:
        """Wait until it does its work."""
        ...

    def request_stop(self) -> None:
        """Ask it to stop and return at once."""
        ...

    def stop(self) -> None:
        """Stop it; it is gone when this returns."""
        ...

    def kill(self) -> None:
        """End it now."""
        ...


def restart_pause(failures: int) -> float:
    """Return the seconds before a process is started again after its nth end in a row."""
    return min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2.0 ** min(max(failures - 1, 0), 16))


def describe_end(returncode: int | None) -> str:
    """Say in words how a process ended."""
    if returncode is None:
        return "ended"
    if returncode >= 0:
        return f"ended with code {returncode}"
    try:
        return f"was ended by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"was ended by signal {-returncode}"


@dataclass(slots=True)
class _Member:
    service: Service
    started_at: float
    failures: int = 0
    restart_at: float | None = None


class Supervisor:
    """Starts services in stages, restarts those that end, and stops them in reverse.

    Args:
        report: Receives one line for each restart.
        changed: Called after a process was started, so that its new id can be written down.
    """

    def __init__(self, report: Callable[[str], None], changed: Callable[[], None] = lambda: None) -> None:
        self._report = report
        self._changed = changed
        self._stages: list[list[_Member]] = []

    @property
    def services(self) -> list[Service]:
        """All services, in the order of their start."""
        return [member.service for stage in self._stages for member in stage]

    def start(self, services: Sequence[Service], cancel: Cancel) -> None:
        """Start a stage: all of its services side by side, then wait until each is ready.

        Raises:
            StackError: One of them cannot be started. What was started is stopped by `stop`, also then.
        """
        stage: list[_Member] = []
        self._stages.append(stage)
        for service in services:
            stage.append(_Member(service, started_at=time.monotonic()))
            service.launch()
            self._changed()
        for service in services:
            service.wait_ready(cancel)

    def watch(self, cancel: Cancel) -> None:
        """Restart what ends, until `cancel` is set."""
        while not cancel.wait(_POLL_SECONDS):
            self.check(time.monotonic())

    def check(self, now: float) -> None:
        """Look at every service once, and restart those whose pause is over.

        Args:
            now: The monotonic time.
        """
        for stage in self._stages:
            for member in stage:
                if not member.service.running:
                    self._heal(member, now)

    def stop(self) -> None:
        """Stop everything in the reverse order of the start; what belongs to one stage stops side by side."""
        with ExitStack() as stack:
            # An exit stack goes on to the next stage when one of them cannot be stopped.
            for stage in self._stages:
                for member in stage:
                    stack.callback(member.service.stop)
                for member in stage:
                    stack.callback(member.service.request_stop)

    def kill(self) -> None:
        """End everything now."""
        for service in reversed(self.services):
            service.kill()

    def _heal(self, member: _Member, now: float) -> None:
        service = member.service
        if member.restart_at is None:
            settled = now - member.started_at >= _SETTLED_SECONDS
            member.failures = 1 if settled else member.failures + 1
            pause = restart_pause(member.failures)
            member.restart_at = now + pause
            place = "" if service.log is None else f" (log: {service.log})"
            self._report(f"{service.name} {describe_end(service.returncode)}; starting it again in {pause:g} s{place}")
        if now < member.restart_at:
            return
        member.restart_at = None
        member.started_at = now
        try:
            service.launch()
        except StackError as error:
            self._report(f"{service.name}: {error}")
        else:
            self._changed()
