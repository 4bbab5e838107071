"""Shows what other processes write to their logs."""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

_POLL_SECONDS = 0.2


class LogFollower:
    """Passes on each new line of some logs, from a thread of its own.

    Args:
        logs: The logs by name, asked for anew each time, because parts are added while a stack starts.
        show: Receives the name and the line.
    """

    def __init__(self, logs: Callable[[], Mapping[str, Path]], show: Callable[[str, str], None]) -> None:
        self._logs = logs
        self._show = show
        self._offsets: dict[Path, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log follower", daemon=True)

    def start(self, known: Mapping[str, Path]) -> None:
        """Begin with what is written from now on; these logs may hold lines of earlier runs."""
        self._offsets = {path: path.stat().st_size for path in known.values() if path.exists()}
        self._thread.start()

    def stop(self) -> None:
        """Show what is left and end."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(_POLL_SECONDS):
            self._pass_on()
        self._pass_on()

    def _pass_on(self) -> None:
        for name, path in self._logs().items():
            for line in self._new_lines(path):
                self._show(name, line)

    def _new_lines(self, path: Path) -> list[str]:
        """Return the complete lines since the last time; a log that became shorter was replaced."""
        if not path.exists():
            return []
        offset = self._offsets.get(path, 0)
        if path.stat().st_size < offset:
            offset = 0
        with path.open("rb") as file:
            file.seek(offset)
            complete, newline, _ = file.read().rpartition(b"\n")
        self._offsets[path] = offset + len(complete) + len(newline)
        return complete.decode(errors="replace").splitlines()
