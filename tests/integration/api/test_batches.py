"""Batches: one transaction, and a result for each report."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.integration.api.client import LONG, Api, a_report, count, fields, problem

from redrive.store.database import Database


async def report_all(api: Api, *reports: Any) -> dict[str, Any]:
    answer = await api.post("/v1/tasks/batch", {"tasks": reports})
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def test_every_report_has_a_result_and_a_bad_one_spoils_no_other(api: Api, database: Database) -> None:
    answer = await report_all(
        api,
        a_report(idempotency_key="a"),
        5,
        a_report(executr="typo"),
        a_report(idempotency_key="a"),
        a_report(idempotency_key="a", args=["other"]),
        a_report(policy={"max_attempts": 0}),
        a_report(metadata={"nul": "\x00"}),
        a_report(args=["x" * 1_048_576]),
        a_report(group="new", scene="newer"),
    )

    results = answer["results"]
    assert [result["index"] for result in results] == list(range(9))
    assert [result["status"] for result in results] == [201, 422, 422, 200, 409, 422, 422, 413, 201]
    assert (answer["accepted"], answer["duplicates"], answer["rejected"]) == (2, 1, 6)
    assert results[3]["id"] == results[0]["id"]
    assert results[3]["duplicate"] is True
    assert all((result["id"] is None) == (result["problem"] is not None) for result in results)
    assert fields(results[2]["problem"]) == {"executr": "unknown field, did you mean 'executor'?"}
    assert results[4]["problem"]["type"] == "/problems/payload-differs"
    assert results[7]["problem"]["type"] == "/problems/body-too-large"
    assert await count(database) == 2
    assert await count(database, "scenes") == 2


async def test_a_batch_without_a_good_report_writes_nothing(api: Api, database: Database) -> None:
    answer = await report_all(api, a_report(policy={"nonsense": 1}), a_report(executor=None))

    assert answer["rejected"] == 2
    assert await count(database, "groups") == 0


async def test_a_thousand_reports_are_one_batch_and_one_more_is_too_many(api: Api, database: Database) -> None:
    reports = [a_report(policy=LONG, idempotency_key=f"k{number}") for number in range(1000)]

    answer = await report_all(api, *reports)

    assert answer["accepted"] == 1000
    assert await count(database) == 1000
    document = problem(await api.post("/v1/tasks/batch", {"tasks": [*reports, a_report()]}), 422, "invalid-request")
    assert fields(document) == {"tasks": "expected at most 1000 items, got 1001"}


async def test_a_batch_that_is_sent_again_is_all_duplicates(api: Api, database: Database) -> None:
    reports = [a_report(policy=LONG, idempotency_key=f"k{number}") for number in range(50)]
    first = await report_all(api, *reports)

    second = await report_all(api, *reports)

    assert (second["accepted"], second["duplicates"]) == (0, 50)
    assert [result["id"] for result in second["results"]] == [result["id"] for result in first["results"]]
    assert await count(database) == 50


async def test_batches_with_the_same_keys_in_another_order_do_not_lock_each_other_out(
    api: Api, database: Database
) -> None:
    reports = [a_report(policy=LONG, idempotency_key=f"k{number}") for number in range(200)]

    answers = await asyncio.gather(
        *(report_all(api, *(reports if turn % 2 else reversed(reports))) for turn in range(8))
    )

    assert sum(answer["accepted"] for answer in answers) == 200
    assert sum(answer["duplicates"] for answer in answers) == 7 * 200
    assert await count(database) == 200


async def test_a_batch_may_be_larger_than_a_task(api: Api) -> None:
    reports = [a_report(policy=LONG, args=["x" * 900_000]) for _ in range(4)]

    assert (await report_all(api, *reports))["accepted"] == 4


async def test_an_empty_batch_and_one_that_is_no_list_are_refused(api: Api) -> None:
    assert fields(problem(await api.post("/v1/tasks/batch", {"tasks": []}), 422, "invalid-request")) == {
        "tasks": "expected at least 1 items, got 0"
    }
    assert fields(problem(await api.post("/v1/tasks/batch", {"tasks": {}}), 422, "invalid-request")) == {
        "tasks": "expected a list, got {}"
    }
    assert fields(problem(await api.post("/v1/tasks/batch", {"task": []}), 422, "invalid-request")) == {
        "tasks": "is missing",
        "task": "unknown field, did you mean 'tasks'?",
    }


async def test_what_is_no_json_refuses_the_whole_batch(api: Api, database: Database) -> None:
    body = json.dumps({"tasks": [a_report()]}).encode().replace(b'"o-1"', b"NaN")

    problem(await api.send("/v1/tasks/batch", body), 422, "malformed-json")
    assert await count(database) == 0
