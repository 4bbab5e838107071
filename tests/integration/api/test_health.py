"""Health, readiness, and what happens while something is away."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.integration.api.client import NOBODY, Api, Serve, a_report, execute, open_api, problem

from redrive.cli.stack import EmbeddedPostgres, EmbeddedTemporal
from redrive.store.database import Database


@pytest.fixture
async def homeless(postgres_server: EmbeddedPostgres) -> AsyncIterator[Api]:
    """The API without its database."""
    async with open_api(postgres_server.database_url("gone")) as api:
        yield api


async def test_reports_are_taken_while_temporal_is_away(api: Api) -> None:
    ready = await api.get("/readyz")

    assert ready.status_code == 200
    assert ready.json() == {"status": "ready", "database": "up", "engine": "down"}
    assert (await api.post("/v1/tasks", a_report())).status_code == 201


async def test_readiness_tells_that_temporal_answers(
    serve: Serve, database: Database, temporal_server: EmbeddedTemporal
) -> None:
    api = await serve(temporal_address=temporal_server.address, task_queue="nobody-works-here")

    assert (await api.get("/readyz")).json()["engine"] == "up"


async def test_a_process_without_its_database_lives_and_is_not_ready(homeless: Api) -> None:
    assert (await homeless.get("/healthz")).json() == {"status": "ok"}
    answer = await homeless.get("/readyz")

    problem(answer, 503, "database-unavailable")
    assert int(answer.headers["retry-after"]) > 0


async def test_a_report_that_cannot_be_stored_is_not_acknowledged(homeless: Api) -> None:
    for path, document in (("/v1/tasks", a_report()), ("/v1/tasks/batch", {"tasks": [a_report()]})):
        answer = await homeless.post(path, document)

        assert "nothing was written" in problem(answer, 503, "database-unavailable")["detail"]
        assert int(answer.headers["retry-after"]) > 0
    problem(await homeless.get("/v1/tasks"), 503, "database-unavailable")
    problem(await homeless.get("/v1/tasks", limit=0), 422, "invalid-request")


async def test_an_empty_database_is_not_ready_and_says_what_to_run(empty_database_url: str) -> None:
    async with open_api(empty_database_url, temporal_address=NOBODY) as api:
        assert "redrive migrate" in problem(await api.get("/readyz"), 503, "schema-outdated")["detail"]
        assert "redrive migrate" in problem(await api.get("/v1/tasks"), 503, "schema-outdated")["detail"]


async def test_another_schema_is_not_ready(api: Api, database: Database) -> None:
    await execute(database, "UPDATE alembic_version SET version_num = '9999'")

    assert "9999" in problem(await api.get("/readyz"), 503, "schema-outdated")["detail"]


async def test_what_nobody_expected_is_logged_under_an_id_without_payloads(
    api: Api, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await api.report()
    await execute(database, "ALTER TABLE tasks ADD CONSTRAINT refused CHECK (business_key IS NULL) NOT VALID")

    answer = await api.post("/v1/tasks", a_report(business_key="private-key", args=["private-argument"]))

    detail = problem(answer, 500, "internal-error")["detail"]
    assert detail.rpartition(" ")[2] in caplog.text
    assert "private" not in caplog.text
    assert "constraint" not in answer.text
