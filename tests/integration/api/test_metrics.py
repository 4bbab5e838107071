"""`/metrics`: figures that agree with the lists, in the format that Prometheus reads."""

from __future__ import annotations

import re

from tests.integration.api.client import Api, Serve, problem
from tests.integration.api.test_overview import Fold, fold, live

from redrive.store.database import Database
from redrive.store.keys import create_key

__all__ = ["fold"]

SAMPLE = re.compile(r'^([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\]|\\.)*",?)*)\})? (\S+)$')


async def scraped(api: Api) -> dict[str, dict[str, float]]:
    """Read all samples: by metric, by labels as they are written."""
    answer = await api.get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found: dict[str, dict[str, float]] = {}
    typed: set[str] = set()
    for line in answer.text.splitlines():
        if line.startswith("# TYPE "):
            typed.add(line.split()[2])
        if not line.startswith("#"):
            match = SAMPLE.match(line)
            assert match, line
            assert match[1] in typed, "a metric's type stands before its samples"
            found.setdefault(match[1], {})[match[2] or ""] = float(match[3])
    return found


async def test_the_figures_agree_with_what_is_there(api: Api, database: Database, fold: Fold) -> None:
    await api.report(scene="charge")
    for outcomes in ("fs", "s", "fff"):
        await live(database, outcomes)
    place = 'namespace="default",group="orders",scene="charge"'

    for _ in range(2):
        found = await scraped(api)
        assert found["redrive_tasks"][f'{place},status="succeeded"'] == 2
        assert found["redrive_tasks"][f'{place},status="dead"'] == 1
        assert found["redrive_attempts_total"][f'{place},outcome="failed"'] == 4
        assert found["redrive_attempts_total"][f'{place},outcome="other"'] == 2
        assert 3 < found["redrive_attempt_lag_seconds"]['namespace="default",group="orders",quantile="0.5"'] < 4.2
        assert found["redrive_engine_up"] == {"": 0}
        assert found["redrive_reconciler_repairs_total"] == {"": 0}
        await fold()


async def test_a_key_sees_the_figures_of_what_it_opens(serve: Serve, database: Database) -> None:
    async with database.begin() as session:
        _, key = await create_key(session, name="pay", namespace="default", group="pay")
    anyone = await serve()
    await anyone.report()
    await anyone.report(group="pay", scene="refund")
    api = await serve(require_api_key=True)
    problem(await api.get("/metrics"), 401, "api-key-required")

    tasks = (await scraped(api.with_key(key)))["redrive_tasks"]
    assert tasks == {'namespace="default",group="pay",scene="refund",status="pending"': 1}
