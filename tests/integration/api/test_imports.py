"""Imports: files of reports, of exported dead letters, and logs in which the SDK left reports."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.integration.api.client import LONG, Api, Serve, a_report, count, execute, problem
from tests.integration.api.test_dead_letters import die

from redrive.api.importing import read_line
from redrive.core.wire import LOST_REPORT
from redrive.sdk import Redrive, Unavailable
from redrive.sdk.lost import LostReports
from redrive.store.database import Database


async def send(api: Api, *lines: Any, **params: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Import lines; documents are written as JSON."""
    body = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    answer = await post(api, body.encode(), **params)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    *results, sums = [json.loads(line) for line in answer.text.splitlines()]
    return results, sums


async def post(api: Api, body: bytes, **params: Any) -> httpx.Response:
    headers = {"content-type": "application/x-ndjson"}
    return await api.client.post("/v1/tasks/import", content=body, params=params, headers=headers)


async def test_each_line_has_a_result_and_a_bad_one_spoils_no_other(api: Api) -> None:
    good = a_report(idempotency_key="i-1", policy=LONG)

    results, sums = await send(api, good, {**good, "scene": ""}, "{not json", "", good, "and so on")

    assert [(result["line"], result["status"]) for result in results] == [(1, 201), (2, 422), (3, 422), (5, 200)]
    assert results[0]["id"] == results[3]["id"]
    assert results[1]["problem"]["errors"][0]["field"] == "scene"
    assert sums == {"lines": 6, "accepted": 1, "duplicates": 1, "rejected": 2, "skipped": 2}


async def test_what_was_purged_comes_back_as_it_was_and_only_once(api: Api, database: Database) -> None:
    dead = await die(
        api, database, "late", kwargs={"amount": 7}, idempotency_key="k", metadata={"a": 1}, callbacks={"on_dead": "x"}
    )
    before = await api.task(dead)
    exported = (await api.get("/v1/dead-letters/export", payload=True)).text.splitlines()
    there, _sums = await send(api, *exported)
    await api.post("/v1/dead-letters/purge", {"selection": {"status": ["dead"]}})

    (back,), _sums = await send(api, *exported)
    (again,), _sums = await send(api, *exported)

    assert (there[0]["status"], there[0]["id"]) == (200, dead), "it had not gone"
    assert (back["status"], again["status"], again["id"]) == (201, 200, back["id"])
    after = await api.task(back["id"])
    same = (
        "status",
        "dead_reason",
        "kwargs",
        "args",
        "idempotency_key",
        "metadata",
        "callbacks",
        "last_error",
        "policy",
    )
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    assert (after["created_at"], after["finished_at"]) == (before["created_at"], before["finished_at"])
    assert await count(database, where="kind = 'callback'") == 0, "its end was told before"
    assert (await api.get("/v1/dead-letters/groups")).json()["items"][0]["count"] == 1


async def test_dead_letters_are_retried_when_that_is_asked_for(api: Api, database: Database) -> None:
    await die(api, database, policy=LONG)
    exported = (await api.get("/v1/dead-letters/export", payload=True)).text
    await execute(database, "DELETE FROM tasks")

    (result,), _sums = await send(api, exported, dead_letters="retry")

    assert (await api.task(result["id"]))["status"] == "pending"


async def test_an_export_without_payloads_is_refused_in_words(api: Api, database: Database) -> None:
    await die(api, database)
    exported = (await api.get("/v1/dead-letters/export")).text
    await execute(database, "DELETE FROM tasks")

    (result,), _sums = await send(api, exported)

    assert "payload=true" in result["problem"]["detail"]
    assert await count(database) == 0


async def test_reports_are_found_in_logs_of_any_form(api: Api) -> None:
    reports = [json.dumps(a_report(report_id=f"r-{number}", policy=LONG)) for number in range(3)]

    results, sums = await send(
        api,
        "2026-03-04 12:00:00 INFO orders: started {with braces}",
        f"2026-03-04 12:00:01 CRITICAL redrive.sdk: {LOST_REPORT} {reports[0]}",
        f"Mar  4 12:00:01 host app[7]: {LOST_REPORT} {reports[1]} (orders/worker.py:7)",
        json.dumps({"level": "critical", "message": f"{LOST_REPORT} {reports[2]}", "logger": "redrive.sdk"}),
        json.dumps({"level": "info", "message": "all is well"}),
        f"CRITICAL {LOST_REPORT} {reports[0][:20]}",
    )

    assert [(result["line"], result["status"]) for result in results] == [(2, 201), (3, 201), (4, 201), (6, 422)]
    assert "cut" in results[3]["problem"]["detail"]
    assert sums["skipped"] == 2


async def test_what_the_sdk_could_bring_nowhere_is_imported_from_where_it_left_it(
    api: Api, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    spool = tmp_path / "file" / "spool.sqlite3"  # cannot be made
    caplog.set_level(logging.CRITICAL, "redrive.sdk")
    caplog.handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))

    def lose(to: LostReports, args: list[str], key: str | None = None) -> None:
        with (
            Redrive("http://127.0.0.1:9", group="orders", spool=spool, lost_reports=to, timeout=1) as client,
            pytest.raises(Unavailable),
        ):
            client.report("charge-card", executor="orders.charge", policy=LONG, args=args, idempotency_key=key)

    lines: list[str] = []
    for to in ("log", tmp_path / "new" / "lost", lines.append):
        await asyncio.to_thread(lose, to, ["o\n-é-\u2028"], str(to))
        await asyncio.to_thread(lose, to, ["o-2"])
    left = (tmp_path / "new" / "lost").read_text()

    results, sums = await send(api, caplog.text, left, "".join(f"{line}\n" for line in lines))

    assert sums["accepted"] + sums["duplicates"] == 6, results
    first = await api.task(next(result for result in results if result["status"] == 201)["id"])
    assert (first["args"], first["kwargs"], first["group"]) == (["o\n-é-\u2028"], {}, "orders")
    again, sums = await send(api, left)
    assert (len(again), sums["duplicates"]) == (2, 2), "a file may be imported twice"


async def test_a_long_file_is_worked_off_in_batches(api: Api, database: Database) -> None:
    lines = [a_report(report_id=f"r-{number}", policy=LONG) for number in range(1203)]

    results, sums = await send(api, *lines)

    assert [result["line"] for result in results] == list(range(1, 1204))
    assert (sums["accepted"], await count(database)) == (1203, 1203)


async def test_a_line_that_is_too_long_is_refused_and_the_next_one_is_taken(api: Api) -> None:
    results, sums = await send(api, '{"scene": "' + "x" * 9_000_000 + '"}', a_report(policy=LONG))

    assert [result["status"] for result in results] == [413, 201]
    assert sums["lines"] == 2


async def test_a_key_for_a_group_imports_into_that_group_alone(serve: Serve, api: Api) -> None:
    guarded = await serve(require_api_key=True)
    key = (await api.post("/v1/keys", {"name": "orders", "namespace": "default", "group": "orders"})).json()["key"]

    results, _sums = await send(guarded.with_key(key), a_report(policy=LONG), a_report(policy=LONG, group="shop"))

    assert [result["status"] for result in results] == [201, 403]
    problem(await post(guarded, b"{}"), 401, "api-key-required")


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_no_line_whatsoever_breaks_the_reader(raw: bytes) -> None:
    for text in (raw, b'{"scene": ' + raw, LOST_REPORT.encode() + raw):
        line = read_line(1, text.replace(b"\n", b""), "keep")
        assert line is None or line.number == 1
