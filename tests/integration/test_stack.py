"""The two embedded servers: real starts, stops and kills, and data that survives them."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from temporalio.client import Client, WorkflowHandle

from redrive.cli.stack import EmbeddedPostgres, EmbeddedTemporal, PortTakenError
from redrive.cli.stack.ports import is_listening
from redrive.cli.stack.process import command_line


def wait_for(condition: Callable[[], bool], timeout: float = 15.0) -> None:
    """Wait for another process to do its part; fail when it does not."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def temporal(tmp_path: Path) -> Iterator[EmbeddedTemporal]:
    server = EmbeddedTemporal(tmp_path, ui_port=None)
    server.start()
    yield server
    server.stop()


def write(server: EmbeddedPostgres, number: int) -> None:
    with psycopg.connect(server.url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (number int)")
        connection.execute("INSERT INTO kept VALUES (%s)", (number,))


def read(server: EmbeddedPostgres) -> list[int]:
    with psycopg.connect(server.url) as connection:
        return [row[0] for row in connection.execute("SELECT number FROM kept ORDER BY number")]


class TestEmbeddedPostgres:
    def test_keeps_its_data_over_a_stop_and_a_kill(self, postgres: EmbeddedPostgres) -> None:
        """Acknowledged rows are on disk: an orderly stop and `kill -9` are the same to a reader."""
        write(postgres, 1)
        postgres.stop()
        assert not postgres.running
        postgres.start()
        write(postgres, 2)
        postgres.kill()
        assert not postgres.running
        postgres.start()

        assert read(postgres) == [1, 2]

    def test_asks_for_the_password(self, postgres: EmbeddedPostgres) -> None:
        """Other accounts of the machine can reach the port, and must not read payloads."""
        assert postgres.password_file.stat().st_mode & 0o077 == 0
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(postgres.masked_url, password="wrong", connect_timeout=5)

    def test_is_durable_and_speaks_utf8(self, postgres: EmbeddedPostgres) -> None:
        names = ("fsync", "synchronous_commit", "server_encoding", "listen_addresses")
        with psycopg.connect(postgres.url) as connection:
            rows = connection.execute("SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", (list(names),))
            values = dict(rows.fetchall())

        assert values == {
            "fsync": "on",
            "synchronous_commit": "on",
            "server_encoding": "UTF8",
            "listen_addresses": "127.0.0.1",
        }

    def test_starts_although_its_lock_names_a_process_that_is_not_postgresql(self, postgres: EmbeddedPostgres) -> None:
        """Process ids are reused: after a reboot the recorded one may belong to anybody."""
        write(postgres, 1)
        lock = postgres.data_dir / "postgres" / "postmaster.pid"
        content = lock.read_text().splitlines()
        postgres.kill()
        lock.write_text("\n".join([str(os.getpid()), *content[1:]]))
        postgres.start()

        assert read(postgres) == [1]

    def test_takes_over_from_a_server_that_was_left_behind(self, postgres: EmbeddedPostgres) -> None:
        """Where the kernel cannot end orphans, the next start does."""
        write(postgres, 1)
        successor = EmbeddedPostgres(postgres.data_dir)
        try:
            successor.start()

            assert not postgres.running
            assert read(successor) == [1]
        finally:
            successor.stop()

    def test_names_the_port_that_is_taken(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            with pytest.raises(PortTakenError, match=rf"{port} for PostgreSQL is taken.*--postgres-port"):
                EmbeddedPostgres(tmp_path, port=port).start()

    def test_can_start_again_after_initdb_was_interrupted(self, tmp_path: Path) -> None:
        """A half-made cluster must not be taken for a cluster."""
        (tmp_path / "postgres.new").mkdir()
        (tmp_path / "postgres.new" / "PG_VERSION").write_text("18\n")

        with EmbeddedPostgres(tmp_path) as server:
            write(server, 1)
            assert read(server) == [1]


class TestEmbeddedTemporal:
    async def test_keeps_workflows_over_a_stop_and_a_kill(self, temporal: EmbeddedTemporal) -> None:
        client = await Client.connect(temporal.address)
        await client.start_workflow("Waiting", id="first", task_queue="nobody")
        temporal.kill()
        temporal.start()
        client = await Client.connect(temporal.address)
        await client.start_workflow("Waiting", id="second", task_queue="nobody")
        temporal.stop()
        assert not temporal.running
        temporal.start()

        client = await Client.connect(temporal.address)
        handles: list[WorkflowHandle[object, object]] = [
            client.get_workflow_handle(name) for name in ("first", "second")
        ]
        assert [(await handle.describe()).id for handle in handles] == ["first", "second"]

    def test_serves_its_web_ui(self, tmp_path: Path) -> None:
        with EmbeddedTemporal(tmp_path) as server:
            assert server.ui_url is not None
            assert server.ui_port is not None
            wait_for(lambda: is_listening(server.ui_port or 0))

    def test_names_the_port_that_is_taken(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            with pytest.raises(PortTakenError, match=rf"{port} for Temporal is taken.*--temporal-port"):
                EmbeddedTemporal(tmp_path, port=port).start()


@pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is a Linux feature")
def test_servers_die_with_a_killed_parent(tmp_path: Path) -> None:
    """Orphans would hold ports and data files against the next start."""
    script = textwrap.dedent(f"""
        import signal
        from redrive.cli.stack import EmbeddedPostgres, EmbeddedTemporal
        servers = [EmbeddedPostgres({str(tmp_path)!r}), EmbeddedTemporal({str(tmp_path)!r}, ui_port=None)]
        for server in servers:
            server.start()
        print(*(server.pid for server in servers), flush=True)
        signal.pause()
    """)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        parent.send_signal(signal.SIGKILL)
        parent.wait()

    wait_for(lambda: all(command_line(pid) is None for pid in pids))
