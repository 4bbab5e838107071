"""Workflows that a released version has begun go on under this one: every recorded history replays."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, WorkflowRunner
from tests.replay import record_redrives
from tests.replay.record import FOLDER, SHAPES

from redrive.workflows.bulk_redrive import BulkRedrive
from redrive.workflows.retry_task import RetryTask
from redrive.workflows.worker import sandboxed_runner

HISTORIES = sorted((Path(__file__).parent / "histories").glob("*/*.json"))
RUNNERS = {"sandboxed": sandboxed_runner, "unsandboxed": UnsandboxedWorkflowRunner}


def read(path: Path) -> str:
    return path.read_text()


async def replay(text: str, runner: WorkflowRunner) -> None:
    history = WorkflowHistory.from_json("redrive/default/01900000-0000-7000-8000-000000000000/1", text)
    await Replayer(workflows=[RetryTask, BulkRedrive], workflow_runner=runner).replay_workflow(history)


@pytest.mark.parametrize("runner", sorted(RUNNERS))
@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: f"{path.parent.name}-{path.stem}")
async def test_a_recorded_history_replays(path: Path, runner: str) -> None:
    await replay(read(path), RUNNERS[runner]())


def test_each_shape_is_recorded() -> None:
    """Missing ones are made by `python -m tests.replay.record`."""
    recorded = {path.stem for path in FOLDER.glob("*.json")}

    assert recorded == {*SHAPES, "continued_first", "continued_last"}


@pytest.mark.parametrize(
    ("shape", "kind", "reason"),
    [
        ("parked_and_woken", "unavailable", None),
        ("parked_by_a_breaker", "parked", "breaker"),
        ("parked_by_a_pause", "parked", "pause"),
        ("deferred_by_a_limit", "deferred", "limit"),
        ("deferred_by_a_budget", "deferred", "budget"),
    ],
)
def test_a_history_holds_what_its_name_says(shape: str, kind: str, reason: str | None) -> None:
    """Shapes depend on how quickly workers tell each other what they saw: a recording may have missed its moment."""
    assert (kind, reason) in {
        (result.get("kind"), result.get("parked_for") or result.get("slot")) for result in results(shape)
    }


def results(shape: str) -> Iterator[dict[str, Any]]:
    """What the remote activities of a history have answered."""
    for event in json.loads(read(FOLDER / f"{shape}.json"))["events"]:
        completed = event.get("activityTaskCompletedEventAttributes")
        if completed is not None:
            yield json.loads(base64.b64decode(completed["result"]["payloads"][0]["data"]))


def test_each_shape_of_a_redrive_is_recorded() -> None:
    """Missing ones are made by `python -m tests.replay.record_redrives`."""
    recorded = {path.stem for path in record_redrives.FOLDER.glob("*.json")}

    assert recorded == {*record_redrives.SHAPES, *record_redrives.CONTINUED}


async def test_code_that_does_not_fit_is_found() -> None:
    """The proof is worth something: a history in which another activity was called does not replay."""
    document = json.loads(read(FOLDER / "success.json"))
    for event in document["events"]:
        scheduled = event.get("activityTaskScheduledEventAttributes")
        if scheduled is not None:
            scheduled["activityType"]["name"] = "another"

    with pytest.raises(Exception, match="Nondeterminism"):
        await replay(json.dumps(document), sandboxed_runner())
