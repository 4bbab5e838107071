"""`docs/callbacks.md` is held against the code: its documents are taken, and its receiver accepts what we sign."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from redrive.api.schemas.tasks import EditAndRetry
from redrive.core.callbacks import read_callbacks
from redrive.core.signature import new_secret, sign
from redrive.store.callbacks import event_document
from redrive.store.tables import Task

PAGE = (Path(__file__).parents[3] / "docs" / "callbacks.md").read_text()
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def test_its_documents_are_taken() -> None:
    callbacks, _, edit = map(json.loads, blocks("json"))

    assert set(read_callbacks(callbacks["callbacks"])) == {"on_success", "on_dead", "on_cancelled"}
    EditAndRetry.model_validate(edit)


def test_the_event_has_the_shape_that_it_shows() -> None:
    shown: Any = json.loads(blocks("json")[1])
    task = Task(
        id=UUID(int=1), namespace="default", group="orders", scene="charge-card", kind="task", executor="orders.charge",
        status="dead", dead_reason="exhausted", why="", generation=1, attempts=12, max_attempts=12, priority=3,
        target={"kind": "node"}, policy_version=1, error_type="TimeoutError", error_message="", created_at=NOW,
        updated_at=NOW, finished_at=NOW, deadline=None, idempotency_key=None, business_key="o-1", parent_id=None,
        metadata_={}, payload_hash="", policy={}, started_at=NOW,
    )  # fmt: skip

    event = event_document(task)

    assert (event["type"], event["timestamp"]) == (shown["type"], shown["timestamp"])
    assert set(event["data"]["outcome"]) == set(shown["data"]["outcome"])
    assert set(shown["data"]["task"]) <= set(event["data"]["task"])


def test_its_receiver_accepts_what_is_signed_by_any_live_secret() -> None:
    old, new = new_secret(), new_secret()
    body = b'{"type": "task.dead"}'
    names: dict[str, Any] = {"secrets": [old]}
    exec(blocks("python")[0], names)

    headers = sign([new, old], "id", datetime.now(UTC), body)

    assert names["receive"](body, headers) == {"type": "task.dead"}
    assert names["receive"](body + b" ", headers) is None
