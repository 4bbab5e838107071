"""The whole of Redrive on one machine: what `redrive dev` starts, in which order, and how the parts find each other."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from redrive.cli.stack.cancel import Cancel
from redrive.cli.stack.ports import LOOPBACK, ensure_free, free_port
from redrive.cli.stack.postgres import EmbeddedPostgres
from redrive.cli.stack.program import Program, answers_ok
from redrive.cli.stack.state import DataFolder, RunningProcess, StackState, remove_state, stop_orphans, write_state
from redrive.cli.stack.supervisor import Service, Supervisor
from redrive.cli.stack.temporal import EmbeddedTemporal


@dataclass(frozen=True, slots=True)
class DevelopmentOptions:
    """What can be chosen about a development stack.

    Attributes:
        port: Port of the API and the console; 0 for any free one, like the other ports.
        postgres_port: Port of the embedded PostgreSQL.
        temporal_port: Port of the embedded Temporal.
        temporal_ui_port: Port of its Web UI.
        database_url: A PostgreSQL to use instead of the embedded one.
        temporal_address: A Temporal to use instead of the embedded one.
        workers: Number of worker processes.
        require_api_key: Whether the API asks for keys.
    """

    port: int = 8600
    postgres_port: int = 8632
    temporal_port: int = 7233
    temporal_ui_port: int = 8233
    database_url: str | None = None
    temporal_address: str | None = None
    workers: int = 1
    require_api_key: bool = False


class DevelopmentStack:
    """PostgreSQL, Temporal, the migrations, the API and the workers.

    Args:
        folder: The data folder, owned by the caller.
        options: What was chosen.
        report: Receives a line when something happens that a person should see.
    """

    def __init__(self, folder: DataFolder, options: DevelopmentOptions, report: Callable[[str], None]) -> None:
        self.folder = folder
        self._options = options
        self._report = report
        self._port = options.port
        self._ready = False
        self._supervisor = Supervisor(report, self._write_state)
        self._migration: Program | None = None
        self._postgres = None if options.database_url else EmbeddedPostgres(folder.path, options.postgres_port)
        self._temporal = (
            None
            if options.temporal_address
            else EmbeddedTemporal(folder.path, options.temporal_port, options.temporal_ui_port)
        )

    @property
    def state(self) -> StackState:
        """Where the parts are and which processes run."""
        api_url = f"http://{LOOPBACK}:{self._port}"
        return StackState(
            pid=os.getpid(),
            ready=self._ready,
            api_url=api_url,
            docs_url=f"{api_url}/docs",
            database_url=self._database_url(),
            temporal_address=self._temporal_address(),
            temporal_ui_url=self._temporal.ui_url if self._temporal else None,
            data_dir=str(self.folder.path),
            logs_dir=str(self.folder.logs),
            processes={
                service.name: RunningProcess(service.pid, service.argv)
                for service in self._supervisor.services
                if service.pid is not None
            },
        )

    @property
    def shown_database_url(self) -> str:
        """The address of the database without its password."""
        return without_password(self._database_url())

    @property
    def password_file(self) -> Path | None:
        """The file with the password of the embedded PostgreSQL."""
        return self._postgres.password_file if self._postgres else None

    @property
    def logs(self) -> dict[str, Path]:
        """The log of each part by its name."""
        return {service.name: service.log for service in self._supervisor.services if service.log is not None}

    def start(self, cancel: Cancel) -> None:
        """Start everything and return when the API is ready.

        Raises:
            StackError: Something cannot be started; call `stop` also then.
        """
        for name in stop_orphans(self.folder.path):
            self._report(f"stopped {name}, which an earlier run had left behind")
        self._check_ports()
        servers: list[Service] = [server for server in (self._postgres, self._temporal) if server is not None]
        self._supervisor.start(servers, cancel)
        self._migrate(cancel)
        self._port = self._port or free_port()
        self._supervisor.start([self._api(), *self._workers()], cancel)
        self._ready = True
        self._write_state()

    def watch(self, cancel: Cancel) -> None:
        """Keep everything running until the cancellation."""
        self._supervisor.watch(cancel)

    def stop(self) -> None:
        """Stop everything: Redrive's own processes first, then Temporal and PostgreSQL."""
        if self._migration is not None:
            self._migration.stop()
        self._supervisor.stop()
        remove_state(self.folder.path)

    def kill(self) -> None:
        """End everything now."""
        if self._migration is not None:
            self._migration.kill()
        self._supervisor.kill()

    def _check_ports(self) -> None:
        """Refuse taken ports before anything is started."""
        ensure_free(self._options.port, what="the API", option="--port")
        if self._postgres is not None:
            ensure_free(self._options.postgres_port, what="PostgreSQL", option="--postgres-port")
        if self._temporal is not None:
            ensure_free(self._options.temporal_port, what="Temporal", option="--temporal-port")
            ensure_free(self._options.temporal_ui_port, what="the Temporal Web UI", option="--temporal-ui-port")

    def _migrate(self, cancel: Cancel) -> None:
        """Bring the database up to date, in a process of its own: what it loads would stay in this one.

        Temporal is left to the worker, which prepares it anyway: loading its client here would cost a second.
        """
        log = self.folder.logs / "migrate.log"
        self._migration = Program("migrate", ["migrate", "--skip-temporal"], log=log, environment=self._environment())
        self._migration.run(cancel)
        self._migration = None

    def _api(self) -> Program:
        return Program(
            "api",
            ["api", "--host", LOOPBACK, "--port", str(self._port)],
            log=self.folder.logs / "api.log",
            environment=self._environment(),
            ready=lambda: answers_ok(self._port, "/readyz"),
        )

    def _workers(self) -> list[Program]:
        return [
            Program(name, ["worker"], log=self.folder.logs / f"{name}.log", environment=self._environment())
            for name in (f"worker-{number}" for number in range(1, self._options.workers + 1))
        ]

    def _environment(self) -> Mapping[str, str]:
        """Return the environment of Redrive's own processes: the parent's, with what this stack decides."""
        environment = {
            # A person who presses Ctrl-C waits for this; what is cut off is repeated at the next start.
            "REDRIVE_SHUTDOWN_SECONDS": "5",
            **os.environ,
            "REDRIVE_DATABASE_URL": self._database_url(),
            "REDRIVE_TEMPORAL_ADDRESS": self._temporal_address(),
            "REDRIVE_HOST": LOOPBACK,
            "REDRIVE_PORT": str(self._port),
            "REDRIVE_PUBLIC_URL": f"http://{LOOPBACK}:{self._port}",
            "REDRIVE_REQUIRE_API_KEY": str(self._options.require_api_key).lower(),
        }
        if self._temporal is None:
            return environment
        # Temporal's own variables and profiles are for another server: its keys and certificates do not fit this one.
        return {name: value for name, value in environment.items() if not name.startswith("TEMPORAL_")} | {
            "TEMPORAL_CONFIG_FILE": os.devnull,
            "REDRIVE_TEMPORAL_NAMESPACE": "default",
            "REDRIVE_TEMPORAL_UI_URL": self._temporal.ui_url or "",
        }

    def _database_url(self) -> str:
        return self._options.database_url or (self._postgres.url if self._postgres else "")

    def _temporal_address(self) -> str:
        return self._options.temporal_address or (self._temporal.address if self._temporal else "")

    def _write_state(self) -> None:
        write_state(self.state)


def without_password(url: str) -> str:
    """Return a database address as it may be shown."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    user = f"{parts.username}@" if parts.username else ""
    port = f":{parts.port}" if parts.port else ""
    return urlunsplit(parts._replace(netloc=f"{user}{parts.hostname or ''}{port}"))
