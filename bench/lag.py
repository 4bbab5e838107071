"""Due-time lag: from the instant at which an attempt is due to the instant at which it starts."""

from __future__ import annotations

import time

import httpx
import psycopg

from bench.stack import running, wait_until, webhook_task
from bench.table import markdown


def measure(rate: float = 20, seconds: float = 30) -> str:
    """Report single tasks at an even rate, each due a second later and again 50 ms after its first failure.

    Args:
        rate: Attempts per second.
        seconds: How long.

    Returns:
        A Markdown table.
    """
    with running() as stack, httpx.Client(base_url=stack.api) as client:
        count = int(rate * seconds / 2)
        for warm_up in (True, False):
            began = time.monotonic()
            for index in range(20 if warm_up else count):
                pause = began + index * 2 / rate - time.monotonic()
                if pause > 0:
                    time.sleep(pause)
                scene = "warm-up" if warm_up else "lag"
                client.post("/v1/tasks", json=webhook_task(stack, 2, scene=scene, delay_seconds=1)).raise_for_status()
            wait_until(lambda: not stack.count("pending", "waiting", "running", "parked"), 60)
        with psycopg.connect(stack.postgres.url) as connection:
            row = connection.execute(
                """
                SELECT count(*), percentile_cont(ARRAY[0.5, 0.9, 0.99, 1.0]) WITHIN GROUP (
                    ORDER BY extract(epoch FROM started_at - due_at) * 1000
                ) FROM attempts WHERE scene = 'lag'
                """
            ).fetchone()
    assert row is not None
    attempts, lags = row
    return markdown(
        ["attempts", "rate", "p50", "p90", "p99", "max"],
        [[attempts, f"{rate:g}/s", *(f"{lag:.0f} ms" for lag in lags)]],
    )
