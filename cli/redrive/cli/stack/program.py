"""One of Redrive's own processes as a member of the stack."""

import http.client
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from redrive.cli.stack.cancel import Cancel
from redrive.cli.stack.ports import LOOPBACK
from redrive.cli.stack.process import ManagedProcess


class Program:
    """A `redrive …` command that runs as a child process.

    Args:
        name: What it is called in messages; its log has the same name.
        arguments: The arguments of the `redrive` command.
        log: Its log file; None to write where the parent writes.
        environment: The whole environment; the parent's when omitted.
        ready: Tells whether it does its work yet; by default it does from the start.
        grace_seconds: How long a graceful stop may take.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        *,
        log: Path | None,
        environment: Mapping[str, str] | None = None,
        ready: Callable[[], bool] = lambda: True,
        grace_seconds: float = 10.0,
    ) -> None:
        self.name = name
        self._ready = ready
        self._process = ManagedProcess(
            name,
            # -P: the folder in which the person stands must not be searched for modules.
            [sys.executable, "-P", "-m", "redrive.cli", *arguments],
            log=log,
            env={**(os.environ if environment is None else environment), "PYTHONUNBUFFERED": "1"},
            grace_seconds=grace_seconds,
        )

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid

    @property
    def argv(self) -> tuple[str, ...]:
        """The command line."""
        return self._process.argv

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self._process.running

    @property
    def returncode(self) -> int | None:
        """How the last run ended."""
        return self._process.returncode

    @property
    def log(self) -> Path | None:
        """Its log file."""
        return self._process.log

    def launch(self) -> None:
        """Start it and return at once."""
        self._process.start()

    def wait_ready(self, cancel: Cancel | None = None, timeout: float = 60.0) -> None:
        """Wait until it does its work."""
        self._process.wait_until(self._ready, timeout=timeout, cancel=cancel)

    def run(self, cancel: Cancel | None = None, timeout: float = 300.0) -> None:
        """Start it and wait until it has ended with code 0.

        Raises:
            StackError: It ended with another code, or not in time.
        """
        self._process.start()
        self._process.wait_until(lambda: self._process.returncode == 0, timeout=timeout, cancel=cancel)

    def request_stop(self) -> None:
        """Ask it to stop and return at once."""
        self._process.request_stop()

    def stop(self) -> None:
        """Stop it; it is gone when this returns."""
        self._process.stop()

    def kill(self) -> None:
        """End it now."""
        self._process.kill()


def answers_ok(port: int, path: str, host: str = LOOPBACK) -> bool:
    """Tell whether an HTTP server answers a GET with 200."""
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
