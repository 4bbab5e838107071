"""The command as a whole: quick help, a clear line when something is missing, exit codes of bad configuration."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from redrive.cli.configuration import describe
from redrive.cli.logs import JsonFormatter
from redrive.cli.stack.development import without_password
from redrive.cli.stack.process import is_same_command
from redrive.cli.stack.state import DataFolder, stop_orphans

from .conftest import Run

WAITING = "import sys; print(flush=True); sys.stdin.read()"


def await_start(process: subprocess.Popen[bytes]) -> None:
    """Wait for the first line: a process that was just started has no command line for an instant."""
    assert process.stdout is not None
    process.stdout.readline()


def redrive(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "redrive.cli", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_loads_nothing_of_the_server() -> None:
    """A command that answers slowly feels broken."""
    heavy = ("sqlalchemy", "sqlmodel", "temporalio", "fastapi", "uvicorn", "psycopg", "alembic", "pydantic")
    script = f"""
import sys
from typer.testing import CliRunner
from redrive.cli.app import app
assert CliRunner().invoke(app, ["--help"]).exit_code == 0
print([name for name in {heavy!r} if name in sys.modules])
"""
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert finished.stdout == "[]\n", finished.stderr


def test_a_missing_extra_is_one_line(tmp_path: Path) -> None:
    """`pip install redrive` is the SDK alone, and brings the command along."""
    script = """
import sys
sys.modules["typer"] = None
from redrive.cli import main
main()
"""
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert finished.returncode == 1
    assert finished.stderr.splitlines() == [
        "redrive: typer is not installed; the command needs the server: pip install 'redrive[server]'"
    ]


def test_bad_configuration_is_one_line_for_each_variable() -> None:
    finished = redrive("migrate", REDRIVE_PORT="eighty", REDRIVE_LOG_FORMAT="xml")

    assert finished.returncode == 2
    lines = finished.stderr.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("redrive: REDRIVE_PORT: ")
    assert lines[1].startswith("redrive: REDRIVE_LOG_FORMAT: ")


def test_a_line_about_configuration_names_the_variable_and_not_the_value() -> None:
    assert describe(("database_url",), "Value error, expected a URL") == "REDRIVE_DATABASE_URL: expected a URL"
    assert describe((), "Value error, REDRIVE_HOST needs keys") == "REDRIVE_HOST needs keys"


def test_a_taken_port_is_one_line_and_exit_code_2(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        result = run("api", "--port", port)

    assert result.exit_code == 2
    assert result.stderr == (
        f"redrive: port {port} for the API is taken; stop the program that uses it, "
        f"or choose another with --port or REDRIVE_PORT\n"
    )


def test_a_data_folder_in_use_is_named_with_its_owner(run: Run, tmp_path: Path) -> None:
    """Two stacks on one folder would destroy each other's data."""
    with DataFolder(tmp_path):
        result = run("dev", "--data-dir", str(tmp_path))

    assert result.exit_code == 2
    assert f"{tmp_path} is in use by a running `redrive dev` (process {os.getpid()})" in result.stderr
    assert "--data-dir" in result.stderr


def test_a_data_folder_is_free_again_when_its_owner_is_gone(tmp_path: Path) -> None:
    for _ in range(2):
        with DataFolder(tmp_path):
            assert (tmp_path / "lock").read_text() == str(os.getpid())


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:secret@db:5432/redrive?sslmode=require", "postgresql://me@db:5432/redrive?sslmode=require"),
        ("postgresql://me@db/redrive", "postgresql://me@db/redrive"),
    ],
)
def test_a_shown_address_has_no_password(url: str, shown: str) -> None:
    assert without_password(url) == shown


def test_a_process_is_recognised_by_its_arguments() -> None:
    """Ids are reused: a recorded id alone must not get a stranger killed."""
    argv = [sys.executable, "-c", WAITING]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        await_start(process)
        assert is_same_command(process.pid, argv)
        assert not is_same_command(process.pid, [sys.executable, "-c", "import os"])
        process.communicate()

    assert not is_same_command(process.pid, argv)


def test_what_a_killed_stack_left_behind_is_stopped(tmp_path: Path) -> None:
    """Where the kernel does not end orphans, the next start does; strangers with a reused id are left alone."""
    argv = [sys.executable, "-c", WAITING]
    with (
        subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as orphan,
        subprocess.Popen([*argv, "stranger"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as stranger,
    ):
        await_start(orphan)
        await_start(stranger)
        # A process that ended stays visible until its parent has asked how; a real orphan's parent does so at once.
        reaper = threading.Thread(target=orphan.wait)
        reaper.start()
        processes = {"api": {"pid": orphan.pid, "argv": argv}, "worker-1": {"pid": stranger.pid, "argv": argv}}
        (tmp_path / "stack.json").write_text(json.dumps({"processes": processes}))

        assert stop_orphans(tmp_path) == ["api"]
        reaper.join()
        assert orphan.returncode == -signal.SIGTERM
        assert stranger.poll() is None
        assert not (tmp_path / "stack.json").exists()
        stranger.communicate()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"processes": {"api": {}}}', '{"processes": 3}'])
def test_a_broken_stack_file_is_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "stack.json").write_text(content)

    assert stop_orphans(tmp_path) == []


def test_json_logs_carry_what_was_given_as_extra() -> None:
    record = logging.makeLogRecord({"name": "redrive", "levelname": "INFO", "msg": "started %s", "args": ("it",)})
    record.task = "t-1"

    document = json.loads(JsonFormatter().format(record))

    assert document["message"] == "started it"
    assert document["level"] == "info"
    assert document["task"] == "t-1"
    assert "args" not in document
