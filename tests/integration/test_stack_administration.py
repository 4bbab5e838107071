"""`redrive migrate` and `redrive keys` against a real database."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from redrive.cli.stack import EmbeddedPostgres, free_port

Redrive = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture
def database_url(postgres: EmbeddedPostgres, request: pytest.FixtureRequest) -> str:
    name = f"cli_{abs(hash(request.node.nodeid))}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')  # pyright: ignore[reportArgumentType, reportCallIssue]
    return postgres.database_url(name)


@pytest.fixture
def redrive(database_url: str) -> Redrive:
    def run(*arguments: str, url: str = database_url) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", "-m", "redrive.cli", *arguments],
            env={**os.environ, "REDRIVE_DATABASE_URL": url},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def tables(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return {row[0] for row in rows}


def test_migrate_goes_up_and_down_again(redrive: Redrive, database_url: str) -> None:
    up = redrive("migrate")

    assert up.returncode == 0, up.stderr
    assert up.stdout.startswith("the database is at ")
    assert "tasks" in tables(database_url)
    assert redrive("migrate").returncode == 0

    down = redrive("migrate", "--revision", "base")
    assert down.returncode == 0, down.stderr
    assert "tasks" not in tables(database_url)


def test_migrate_can_show_its_sql_instead(redrive: Redrive, database_url: str) -> None:
    shown = redrive("migrate", "--sql")

    assert "CREATE TABLE tasks" in shown.stdout
    assert tables(database_url) == set()


def test_migrate_names_a_revision_that_is_not_there(redrive: Redrive) -> None:
    finished = redrive("migrate", "--revision", "nonsense")

    assert finished.returncode == 1
    assert len(finished.stderr.splitlines()) == 1
    assert "nonsense" in finished.stderr


def test_a_database_that_is_away_is_one_line(redrive: Redrive) -> None:
    away = f"postgresql://redrive:secret@127.0.0.1:{free_port()}/redrive"

    for command in (("migrate",), ("keys", "list")):
        finished = redrive(*command, url=away)
        assert finished.returncode == 1
        assert len(finished.stderr.splitlines()) == 1, finished.stderr
        assert "secret" not in finished.stderr


def test_keys_need_the_tables(redrive: Redrive) -> None:
    finished = redrive("keys", "list")

    assert finished.returncode == 1
    assert "redrive migrate" in finished.stderr


def test_a_key_is_made_listed_and_revoked(redrive: Redrive) -> None:
    redrive("migrate")
    made = redrive("keys", "create", "orders service", "--json")
    assert made.returncode == 0, made.stderr
    key = json.loads(made.stdout)
    assert key["namespace"] == "default"
    assert key["key"].startswith(key["prefix"])

    listed = redrive("keys", "list")
    assert key["id"] in listed.stdout
    assert "orders service" in listed.stdout
    assert "in use" in listed.stdout
    assert key["key"] not in listed.stdout

    assert redrive("keys", "revoke", key["id"]).returncode == 0
    again = redrive("keys", "revoke", key["id"])
    assert again.returncode == 1
    assert key["id"] in again.stderr
    assert json.loads(redrive("keys", "list", "--json").stdout)[0]["revoked_at"] is not None


def test_the_key_alone_is_on_standard_output(redrive: Redrive) -> None:
    """So that `KEY=$(redrive keys create …)` works."""
    redrive("migrate")
    made = redrive("keys", "create", "orders service", "--all-namespaces", "--expires-in", "30d")

    assert made.returncode == 0, made.stderr
    assert len(made.stdout.split()) == 1
    assert "all namespaces" in made.stderr


def test_a_key_for_a_namespace_that_is_not_there_is_refused(redrive: Redrive) -> None:
    redrive("migrate")
    refused = redrive("keys", "create", "orders service", "--namespace", "nowhere")

    assert refused.returncode == 1
    assert len(refused.stderr.splitlines()) == 1
    assert "no such namespace" in refused.stderr


def test_paths_of_any_kind_work(tmp_path: Path) -> None:
    """Spaces, quotes and letters beyond ASCII reach PostgreSQL through a command line."""
    with EmbeddedPostgres(tmp_path / "a folder’s name" / "ä") as server, psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
