"""`redrive config` and `redrive policy` against the real API: both sides mean the same by every field."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from tests.integration.api.client import NOBODY
from typer.testing import CliRunner, Result

from redrive.api.app import create_app
from redrive.cli.app import app
from redrive.store.settings import Settings

CONFIG = """\
groups:
  orders:
    policy: {attempt_timeout_seconds: 10}
    scenes:
      charge-card:
        description: Charges a customer's card
        policy:
          max_attempts: 4
          backoff: {kind: fixed, delay_seconds: 60, jitter: {kind: none}}
"""


@contextlib.contextmanager
def serving(settings: Settings) -> Generator[str]:
    """Serve the API on a port of its own, in a thread: the command is a client like any other."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        server = uvicorn.Server(uvicorn.Config(create_app(settings), log_level="critical"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        # The socket listens already, so a request that comes early waits for the server.
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(timeout=20)


@pytest.fixture
def url(database_url: str) -> Iterator[str]:
    """The address of an API that has the namespace `default`."""
    with serving(Settings(database_url=database_url, require_api_key=False, temporal_address=NOBODY)) as address:
        yield address


@pytest.fixture
def run(url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the `redrive` command in this process."""
    monkeypatch.setenv("REDRIVE_URL", url)
    for name in ("REDRIVE_API_KEY", "REDRIVE_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)

    def command(*arguments: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(app, list(arguments), input=stdin)

    return command


def test_a_file_is_applied_exported_and_then_the_same(run: Any, tmp_path: Path) -> None:
    file = tmp_path / "redrive.yaml"
    file.write_text(CONFIG)

    before = run("config", "diff", str(file))
    applied = run("config", "apply", str(file), "--yes")
    after = run("config", "diff", str(file))
    exported = run("config", "export")
    again = run("config", "apply", "-", "--prune", stdin=exported.stdout)

    assert before.exit_code == 1, before.stderr
    assert "+ scene orders/charge-card" in before.stdout
    assert applied.exit_code == 0, applied.stderr
    assert "2 changes made" in applied.stdout
    assert (after.exit_code, after.stdout) == (0, "nothing to change\n")
    assert (again.exit_code, again.stdout) == (0, "nothing to change\n"), again.stderr


def test_a_bad_policy_in_a_file_exits_2_with_its_field(run: Any) -> None:
    result = run("config", "apply", "-", "--yes", stdin=CONFIG.replace("delay_seconds: 60", "delay_seconds: -1"))

    assert result.exit_code == 2
    assert "groups.orders.scenes.charge-card.policy.backoff.delay_seconds" in result.stderr


def test_a_scene_is_simulated_as_a_file_is(run: Any) -> None:
    assert run("config", "apply", "-", "--yes", stdin=CONFIG).exit_code == 0

    of_scene = run("policy", "simulate", "--group", "orders", "--scene", "charge-card", "--outage", "90s", "--json")
    of_file = run(
        "policy", "simulate", "-", "--outage", "90s", "--json", stdin=json.dumps(json.loads(of_scene.stdout)["policy"])
    )
    shown = run("policy", "simulate", "--group", "orders", "--scene", "charge-card", "--attempt", "0s")

    there, here = json.loads(of_scene.stdout), json.loads(of_file.stdout)
    for found in (there, here):
        del found["scenario"]["starts_at"]
    assert there == here
    assert shown.exit_code == 0, shown.stderr
    assert "Every task survives an outage of up to 4 min." in shown.stdout
