"""`stack.json`: where a running stack can be found, and which processes it has left when it was killed."""

import fcntl
import json
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from redrive.cli.stack import postgres
from redrive.cli.stack.errors import DataFolderError
from redrive.cli.stack.process import stop_orphan

FILE = "stack.json"


@dataclass(frozen=True, slots=True)
class RunningProcess:
    """A process of the stack.

    Attributes:
        pid: Its id.
        argv: Its command line, by which it is recognised: ids are reused.
    """

    pid: int
    argv: Sequence[str]


@dataclass(frozen=True, slots=True)
class StackState:
    """What `stack.json` says.

    Attributes:
        pid: The `redrive dev` process.
        ready: Whether the API has answered that it is ready.
        api_url: Address of the API and the console.
        docs_url: Address of the API's documentation.
        database_url: Address of the database, with its password.
        temporal_address: Where Temporal is, `host:port`.
        temporal_ui_url: Address of Temporal's Web UI, when it is known.
        data_dir: The data folder.
        logs_dir: The folder with a log for each process.
        processes: The child processes by name.
    """

    pid: int
    ready: bool
    api_url: str
    docs_url: str
    database_url: str
    temporal_address: str
    temporal_ui_url: str | None
    data_dir: str
    logs_dir: str
    processes: Mapping[str, RunningProcess] = field(default_factory=dict[str, RunningProcess])


def write_state(state: StackState) -> None:
    """Replace `stack.json` in one step; a reader sees the old one or the new one. It holds the password."""
    path = Path(state.data_dir) / FILE
    fresh = path.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(asdict(state), file, indent=2)
        file.write("\n")
    fresh.replace(path)


def remove_state(data_dir: Path) -> None:
    """Remove `stack.json`, which says that nothing runs."""
    (data_dir / FILE).unlink(missing_ok=True)


def stop_orphans(data_dir: Path) -> list[str]:
    """Stop what a killed `redrive dev` left behind in this folder, and return the names.

    The caller must hold the folder's lock, so that these can be nobody else's.
    """
    try:
        document: dict[str, Any] = json.loads((data_dir / FILE).read_text())
        recorded = {name: (int(entry["pid"]), list(entry["argv"])) for name, entry in document["processes"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []
    found = [
        name
        for name, (pid, argv) in reversed(recorded.items())
        if stop_orphan(pid, argv, stop_signals=_stop_signals(name))
    ]
    remove_state(data_dir)
    return found


def _stop_signals(name: str) -> Sequence[signal.Signals]:
    return postgres.STOP_SIGNALS if name == postgres.EmbeddedPostgres.name else (signal.SIGTERM,)


class DataFolder:
    """A data folder that one `redrive dev` owns as long as it lives.

    The lock is the kernel's, so that it ends with the process however that ends.

    Args:
        path: The folder; made when missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._descriptor: int | None = None

    @property
    def logs(self) -> Path:
        """The folder with a log for each process."""
        return self.path / "logs"

    def __enter__(self) -> Self:
        try:
            # Payloads are private. A root parent's PostgreSQL runs as another account, which may have to pass through.
            self.path.mkdir(parents=True, exist_ok=True, mode=0o711 if os.geteuid() == 0 else 0o700)
            self._descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise DataFolderError(f"the data folder {self.path} cannot be used: {error.strerror}") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.read(self._descriptor, 20).decode(errors="replace").strip()
            os.close(self._descriptor)
            raise DataFolderError(
                f"the data folder {self.path} is in use by a running `redrive dev` (process {owner or 'unknown'}); "
                f"stop that one, or choose another folder with --data-dir"
            ) from None
        os.truncate(self._descriptor, 0)
        os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
