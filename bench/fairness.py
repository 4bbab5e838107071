"""Fairness between groups: how long a task of one group waits while 5,000 of another are due.

The crowd falls due all at once; then the other group reports single tasks that are due at once, and each is timed from
its report to the start of its attempt. The starter takes groups in turns, and Temporal's task queue gives each group
its turn by its fairness key.
"""

from __future__ import annotations

import statistics
import time

import httpx
import psycopg

from bench.stack import report_many, running, wait_until, webhook_task
from bench.table import markdown


def measure(crowd: int = 5000, tasks: int = 30) -> str:
    """Let one group crowd the queue, and time the tasks of another.

    Args:
        crowd: Due tasks of the one group.
        tasks: Tasks of the other, one a second.

    Returns:
        A Markdown table.
    """
    with running() as stack, httpx.Client(base_url=stack.api) as client:
        waits = [("alone", _timed(stack.postgres.url, client, webhook_task(stack, 1), "alone", tasks))]
        report_many(client, [webhook_task(stack, 1, group="crowd", scene="crowd") for _ in range(crowd)])
        # Until the crowd is in the engine's own queue, and not only in the starter's.
        wait_until(lambda: stack.count("waiting", "running", "succeeded") > 100, 120)
        waits.append(
            (f"beside {crowd} due tasks", _timed(stack.postgres.url, client, webhook_task(stack, 1), "beside", tasks))
        )
        left = stack.count("pending", "waiting", "running")
    if not left:
        raise RuntimeError("the crowd was gone before the other group's tasks had run: enlarge it")
    return markdown(
        ["the other group's tasks", "tasks", "p50", "p90", "max", "goal"],
        [
            [name, len(found), f"{_at(found, 0.5)} ms", f"{_at(found, 0.9)} ms", f"{max(found):.0f} ms", "< 2,000 ms"]
            for name, found in waits
        ],
    )


def _timed(url: str, client: httpx.Client, task: dict[str, object], scene: str, tasks: int) -> list[float]:
    for _ in range(tasks):
        client.post("/v1/tasks", json={**task, "group": "other", "scene": scene}, timeout=30).raise_for_status()
        time.sleep(1)

    def ended() -> list[float]:
        with psycopg.connect(url) as connection:
            rows = connection.execute(
                """
                SELECT extract(epoch FROM attempts.started_at - tasks.created_at)::float8 * 1000
                FROM attempts JOIN tasks ON tasks.id = attempts.task_id WHERE tasks.scene = %s AND number = 1
                """,
                [scene],
            ).fetchall()
        return [row[0] for row in rows]

    wait_until(lambda: len(ended()) == tasks, 300, every=0.2)
    return ended()


def _at(values: list[float], share: float) -> str:
    return f"{statistics.quantiles(values, n=100, method='inclusive')[round(share * 100) - 1]:.0f}"
