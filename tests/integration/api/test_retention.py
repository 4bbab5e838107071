"""How long ended tasks are kept, over the API."""

from __future__ import annotations

from pathlib import Path

from tests.integration.api.client import Api, Serve, fields, problem

PATH = "/v1/namespaces/default/retention"
UNSAID = {"succeeded_days": None, "dead_days": None, "cancelled_days": None, "redrive_days": 90, "archive": False}


async def test_tasks_are_kept_until_somebody_says_for_how_long_and_redrives_for_90_days(api: Api) -> None:
    assert (await api.get(PATH)).json() == UNSAID
    week = (await api.put(PATH, {"succeeded_days": 7})).json()

    assert week == {**UNSAID, "succeeded_days": 7}
    assert (await api.get(PATH)).json() == week
    assert (await api.get("/v1/config")).json()["retention"] == week
    assert (await api.put(PATH, {})).json() == UNSAID
    entries = (await api.get("/v1/audit", subject_kind="namespace")).json()["items"]
    assert entries[0]["facts"] == {"retention": UNSAID}
    assert (await api.put(PATH, {"redrive_days": None})).json() == {**UNSAID, "redrive_days": None}
    assert (await api.get("/v1/config")).json()["retention"]["redrive_days"] is None


async def test_what_makes_no_sense_is_refused(api: Api) -> None:
    for document, field in (
        ({"dead_days": 0}, "dead_days"),
        ({"redrive_days": 0}, "redrive_days"),
        ({"dead_day": 1}, "dead_day"),
        ({"archive": 1}, "archive"),
    ):
        assert list(fields(problem(await api.put(PATH, document), 422, "invalid-request"))) == [field]
    wrong = {"version": 1, "retention": {"dead_days": 0}}
    refused = problem(await api.client.put("/v1/config", json=wrong), 422, "invalid-request")
    assert list(fields(refused)) == ["retention.dead_days"]
    problem(await api.put("/v1/namespaces/none/retention", {}), 404, "namespace-not-found")


async def test_an_archive_must_be_there_to_be_wanted(api: Api, serve: Serve, tmp_path: Path) -> None:
    problem(await api.put(PATH, {"dead_days": 30, "archive": True}), 409, "archive-not-set")

    with_archive = await serve(archive_dir=tmp_path)
    assert (await with_archive.put(PATH, {"dead_days": 30, "archive": True})).json()["archive"] is True
