"""One child process: how it starts, how it ends, and how it is found again.

A supervisor can be killed with `kill -9`, and its children must not outlive it: they would hold ports and data files
against the next start. On Linux the kernel sends each child a signal when its parent dies (`setpriv --pdeathsig`, which
costs 2 ms and, unlike `preexec_fn`, is safe in a process with threads). Elsewhere, and for the instant before that is
armed, the next start finds orphans by process id and command line, see `stop_orphan`.
"""

import contextlib
import functools
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from redrive.cli.stack.cancel import Cancel
from redrive.cli.stack.errors import StackError, StartCancelledError
from redrive.cli.stack.identity import Identity

_POLL_SECONDS = 0.02
_KILL_SECONDS = 5.0
_LOG_LIMIT_BYTES = 20 * 1024 * 1024


class ManagedProcess:
    """A child process in a session of its own, with its output in a log file.

    The session of its own keeps a Ctrl-C in the terminal from reaching the child directly, so that the parent decides
    the order in which things stop. Start it from a thread that lives as long as the process shall: Linux takes the end
    of the starting *thread* for the death of the parent.

    Args:
        name: What the process is called in messages.
        argv: The program and its arguments.
        log: The file that receives standard output and standard error, appended to; None for the parent's own.
        env: The environment; the parent's when omitted.
        identity: The account to run as; the parent's when omitted.
        stop_signals: Sent one after the other by `stop`, each followed by a part of the grace period.
        grace_seconds: How long `stop` waits after each signal before it goes on to the next, and at last to SIGKILL.
        death_signal: What the process receives when its parent dies (Linux).
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        log: Path | None,
        env: Mapping[str, str] | None = None,
        identity: Identity | None = None,
        stop_signals: Sequence[signal.Signals] = (signal.SIGTERM,),
        grace_seconds: float = 10.0,
        death_signal: signal.Signals = signal.SIGKILL,
    ) -> None:
        self.name = name
        self.argv = tuple(argv)
        self.log = log
        self._env = None if env is None else dict(env)
        self._identity = identity or Identity()
        self._stop_signals = tuple(stop_signals)
        self._grace_seconds = grace_seconds
        self._death_signal = death_signal
        self._process: subprocess.Popen[bytes] | None = None
        self._log_offset = 0
        self._swept = False
        self._stop_requested = False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """The process id while the process runs."""
        return self._process.pid if self._process is not None and self.running else None

    @property
    def running(self) -> bool:
        """Whether the process was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def returncode(self) -> int | None:
        """How the last run ended: an exit code, or minus the number of the signal that ended it."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Start the process and return at once.

        Raises:
            StackError: The program cannot be executed.
        """
        if self.running:
            return
        descriptor = None if self.log is None else _open_log(self.log)
        try:
            self._log_offset = 0 if descriptor is None else os.fstat(descriptor).st_size
            # The kernel forgets the parent-death signal when the account changes, so it is armed after that.
            self._process = subprocess.Popen(  # noqa: S603 - our own command line, no shell
                [*self._identity.prefix, *_pdeathsig_prefix(self._death_signal), *self.argv],
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=None if descriptor is None else subprocess.STDOUT,
                env=self._env,
                start_new_session=True,
                umask=0o077,
                user=self._identity.user,
                group=self._identity.group,
                extra_groups=self._identity.extra_groups,
            )
        except OSError as error:
            raise StackError(f"{self.name} cannot be started: {error}") from error
        finally:
            if descriptor is not None:
                os.close(descriptor)
        self._swept = False
        self._stop_requested = False

    def wait_until(self, ready: Callable[[], bool], *, timeout: float, cancel: Cancel | None = None) -> None:
        """Wait until `ready()` holds.

        Args:
            ready: A quick question that tells whether the process answers yet.
            timeout: Seconds until the wait is given up.
            cancel: Ends the wait early when it is set.

        Raises:
            StartCancelledError: `cancel` was set.
            StackError: The process ended first, or the time is over.
        """
        deadline = time.monotonic() + timeout
        cancel = cancel or threading.Event()
        while not ready():
            if not self.running and not ready():
                raise StackError(f"{self.name} ended with code {self.returncode} while it started: {self.last_words()}")
            if time.monotonic() > deadline:
                raise StackError(f"{self.name} was not ready after {timeout:.0f} s; see {self._place}")
            if cancel.wait(_POLL_SECONDS):
                raise StartCancelledError(f"{self.name} was stopped while it started")

    def wait(self, timeout: float) -> bool:
        """Wait for the process to end and tell whether it did."""
        if self._process is None:
            return True
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        return True

    def request_stop(self) -> None:
        """Send the first stop signal and return at once, so that several processes can stop side by side."""
        self.send(self._stop_signals[0])
        self._stop_requested = True

    def stop(self) -> None:
        """Stop the process, gently at first; it is gone when this returns."""
        for index, number in enumerate(self._stop_signals):
            # To some programs a second signal means: do not finish what you are doing.
            if index > 0 or not self._stop_requested:
                self.send(number)
            if self.wait(self._grace_seconds):
                break
        self.kill()

    def kill(self) -> None:
        """End the process and what it started in its session, now."""
        if self._process is None or self._swept:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            # The session leader may be gone while its children are not, so the group is always signalled.
            os.killpg(self._process.pid, signal.SIGKILL)
        # Once the leader is reaped its id may come to belong to somebody else, so the group is signalled once per run.
        self._swept = self.wait(_KILL_SECONDS)

    @property
    def _place(self) -> str:
        return "its output above" if self.log is None else f"its log, {self.log}"

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process, if it runs."""
        if self._process is not None and self.running:
            self._process.send_signal(number)

    def last_words(self) -> str:
        """Return the most telling line that the current run wrote to its log."""
        lines = self.output().splitlines()
        telling = [line for line in lines if any(word in line for word in ("FATAL", "Error", "error"))]
        chosen = (telling or [line for line in lines if line.strip()])[-1:]
        return chosen[0].strip() if chosen else f"see {self._place}"

    def output(self) -> str:
        """Return what the current run wrote to its log."""
        if self.log is None:
            return ""
        with contextlib.suppress(FileNotFoundError), self.log.open("rb") as file:
            file.seek(self._log_offset)
            return file.read().decode(errors="replace")
        return ""


def command_line(pid: int) -> str | None:
    """Return the command line of a live process, or None when there is no such process."""
    cmdline = Path(f"/proc/{pid}/cmdline")
    try:
        if Path("/proc/self").exists():
            return cmdline.read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace") or None
    except OSError:
        return None
    finished = subprocess.run(  # noqa: S603 - a fixed command and a number
        ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return finished.stdout.strip() or None


def is_same_command(pid: int, argv: Sequence[str]) -> bool:
    """Tell whether a live process was started with these arguments.

    Process ids are reused, so a recorded id alone proves nothing. The path of the program is left out of the
    comparison: the Python of macOS replaces it by the one inside its application bundle.
    """
    line = command_line(pid)
    return line is not None and len(argv) > 1 and line.endswith(" ".join(argv[1:]))


def stop_orphan(
    pid: int,
    argv: Sequence[str],
    *,
    stop_signals: Sequence[signal.Signals] = (signal.SIGTERM,),
    grace_seconds: float = 5.0,
) -> bool:
    """Stop a process that an earlier, killed parent left behind.

    Args:
        pid: The recorded process id.
        argv: The recorded command line; a process with another one is left alone.
        stop_signals: Sent one after the other; SIGKILL follows.
        grace_seconds: How long to wait after each signal.

    Returns:
        Whether such a process was found.
    """
    if not is_same_command(pid, argv):
        return False
    for number in (*stop_signals, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + grace_seconds
        while time.monotonic() < deadline:
            if not is_same_command(pid, argv):
                return True
            threading.Event().wait(_POLL_SECONDS)
    raise StackError(f"process {pid} of an earlier run cannot be stopped; end it by hand (kill -9 {pid})")


@functools.cache
def _pdeathsig_program() -> str | None:
    """Return the `setpriv` that can arm the parent-death signal; busybox has one that cannot."""
    program = shutil.which("setpriv") if sys.platform == "linux" else None
    if program is None:
        return None
    finished = subprocess.run(  # noqa: S603 - the program was just looked up
        [program, "--pdeathsig=KILL", "true"], capture_output=True, check=False
    )
    return program if finished.returncode == 0 else None


def _pdeathsig_prefix(number: signal.Signals) -> list[str]:
    program = _pdeathsig_program()
    return [] if program is None else [program, f"--pdeathsig={number.name.removeprefix('SIG')}"]


def _open_log(path: Path) -> int:
    """Open a log for appending; a large one from earlier runs is set aside first."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.exists() and path.stat().st_size > _LOG_LIMIT_BYTES:
        path.replace(path.with_suffix(".old.log"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
