"""Starts what the demo needs, each as a process of its own: `redrive dev`, the provider, and the shop."""

import json
import os
import random
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from redrive.cli.stack import ManagedProcess, StackError
from redrive.cli.stack.cancel import Cancel
from redrive.cli.stack.errors import DataFolderError
from redrive.cli.stack.ports import LOOPBACK, ensure_free, is_free
from redrive.cli.stack.process import stop_orphan
from redrive.cli.stack.program import answers_ok
from redrive.cli.stack.state import DataFolder, stop_orphans

ROOT = Path(__file__).parents[2]
MARK = "demo.json"  # says that a folder is a demo's own, and which processes it has


def check_folder(path: Path) -> None:
    """Refuse a folder with somebody else's data: a demo begins by emptying its folder.

    Raises:
        DataFolderError: The folder has other things in it, or is no folder.
    """
    try:
        names = {entry.name for entry in path.iterdir()} if path.exists() else set[str]()
    except OSError as error:
        raise DataFolderError(f"the data folder {path} cannot be used: {error.strerror}") from error
    if names - {"lock"} and MARK not in names:
        raise DataFolderError(
            f"the data folder {path} has other data than a demo's, which would be deleted; "
            "choose an empty or a new folder with --data-dir"
        )


class Stage:
    """The processes of the demo.

    Args:
        folder: The data folder, locked by the caller.
        port: Port of the API and the console: None for the usual one when it is free, 0 for any.
    """

    def __init__(self, folder: DataFolder, port: int | None) -> None:
        self.folder = folder
        if port:
            ensure_free(port, what="the API", option="--port")
        usual = port != 0  # a demo that was given no port of its own must not take those of others
        self._ports = {
            "port": port or _port(8600, usual=usual),
            "postgres-port": _port(8632, usual=usual),
            "temporal-port": _port(7233, usual=usual),
            "temporal-ui-port": _port(8233, usual=usual),
        }
        self.api_url = f"http://{LOOPBACK}:{self._ports['port']}"
        self.temporal_ui_url = f"http://{LOOPBACK}:{self._ports['temporal-ui-port']}"
        self._shop_port, self._provider_port = _free_port(), _free_port()
        self.shop_url = f"http://{LOOPBACK}:{self._shop_port}"
        self.provider_url = f"http://{LOOPBACK}:{self._provider_port}"
        self._stack = self._process("redrive dev", ["-P", "-m", "redrive.cli", "dev", *self._stack_options()])
        self._provider = self._process("provider", _uvicorn("examples.shop.provider:app", self._provider_port))
        self._shop = self._process(
            "shop",
            _uvicorn("examples.shop.shop:app", self._shop_port),
            REDRIVE_URL=self.api_url,
            REDRIVE_SPOOL=str(self.folder.path / "spool.sqlite3"),
            SHOP_URL=self.shop_url,
            PROVIDER_URL=self.provider_url,
        )
        self._processes = (self._stack, self._provider, self._shop)

    def start(self, cancel: Cancel) -> None:
        """Empty the folder, start everything, and return when the first order can be taken.

        Raises:
            StackError: Something cannot be started.
        """
        self._clear()
        for process in self._processes:
            process.start()
            self._record()
        self._stack.wait_until(lambda: answers_ok(self._ports["port"], "/readyz"), timeout=120, cancel=cancel)
        self._provider.wait_until(lambda: answers_ok(self._provider_port, "/books"), timeout=60, cancel=cancel)
        self._shop.wait_until(lambda: answers_ok(self._shop_port, "/ledger"), timeout=60, cancel=cancel)
        self._shop.wait_until(self._shop_is_registered, timeout=60, cancel=cancel)

    def check(self) -> None:
        """Say so when a process has ended that should run.

        Raises:
            StackError: Which one, and its last words.
        """
        for process in self._processes:
            if not process.running:
                raise StackError(f"{process.name} ended with code {process.returncode}: {process.last_words()}")

    def stop(self) -> None:
        """Stop everything: the shop first, which finishes what it has begun."""
        self._shop.stop()
        self._provider.request_stop()
        self._stack.stop()
        self._provider.stop()

    def kill(self) -> None:
        """End everything now."""
        for process in self._processes:
            process.kill()

    def remove_data(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder.path, ignore_errors=True)

    @property
    def _stack_folder(self) -> Path:
        return self.folder.path / "stack"

    def _stack_options(self) -> list[str]:
        ports = [part for name, port in self._ports.items() for part in (f"--{name}", str(port))]
        return ["--data-dir", str(self._stack_folder), *ports]

    def _process(self, name: str, arguments: list[str], **environment: str) -> ManagedProcess:
        return ManagedProcess(
            name,
            [sys.executable, *arguments],
            log=self.folder.path / f"{name.replace(' ', '-')}.log",
            env={**_environment(), **environment, "PYTHONUNBUFFERED": "1"},
            grace_seconds=20.0,
        )

    def _shop_is_registered(self) -> bool:
        answer = httpx.get(f"{self.api_url}/v1/nodes", params={"group": "shop"}, trust_env=False)
        return answer.is_success and bool(answer.json()["items"])

    def _clear(self) -> None:
        """Stop what a killed demo left behind, also what the kernel is just stopping, and delete its data."""
        mark = self.folder.path / MARK
        for pid, argv in _recorded(mark):
            stop_orphan(pid, argv, grace_seconds=20.0)
        with DataFolder(self._stack_folder) as stack:
            stop_orphans(stack.path)
        mark.write_text("{}")
        for entry in self.folder.path.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name not in ("lock", MARK):
                entry.unlink()

    def _record(self) -> None:
        """Write down which processes run, for the next demo, should this one be killed."""
        running = {process.name: {"pid": process.pid, "argv": process.argv} for process in self._processes}
        (self.folder.path / MARK).write_text(json.dumps(running, indent=2))


def _port(usual_port: int, *, usual: bool) -> int:
    return usual_port if usual and is_free(usual_port) else _free_port()


def _free_port() -> int:
    """Return a free port that stays free until its server has started: systems give others to outgoing connections."""
    return next(port for port in iter(lambda: random.randrange(20_000, 32_000), None) if is_free(port))


def _uvicorn(app: str, port: int) -> list[str]:
    options = ["--app-dir", str(ROOT), "--no-access-log", "--timeout-graceful-shutdown", "3"]
    return ["-m", "uvicorn", app, "--host", LOOPBACK, "--port", str(port), *options]


def _environment() -> Mapping[str, str]:
    """Return this process's environment without what a person set for a Redrive of their own.

    A proxy that it names cannot reach this machine's own loopback.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("REDRIVE_")}
    direct = ",".join(filter(None, [os.environ.get("NO_PROXY") or os.environ.get("no_proxy"), LOOPBACK]))
    return {**kept, "NO_PROXY": direct, "no_proxy": direct}


def _recorded(mark: Path) -> list[tuple[int, list[str]]]:
    try:
        document: dict[str, Any] = json.loads(mark.read_text())
        return [(int(entry["pid"]), list(entry["argv"])) for entry in document.values() if entry["pid"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []
