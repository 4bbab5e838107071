"""Dead letters over the API: lists, groups by error, what people say about them, exports and purges."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.integration.api.client import Api, Serve, count, execute, fields, problem

from redrive.store import dead_counts
from redrive.store.database import Database


async def die(api: Api, database: Database, message: str = "no answer after 3 s", **report: Any) -> str:
    """Report a task and let it end without success, behind the API's back."""
    task = await api.report(**{"error": {"type": "TimeoutError", "message": message}, **report})
    await kill(database, task["id"])
    return str(task["id"])


async def kill(database: Database, task_id: str) -> None:
    ended = "status = 'dead', dead_reason = 'exhausted', next_attempt_at = NULL, finished_at = clock_timestamp()"
    await execute(database, f"UPDATE tasks SET {ended} WHERE id = :id", id=task_id)


async def ids(api: Api, **params: Any) -> list[str]:
    return [task["id"] for task in (await api.get("/v1/dead-letters", **params)).json()["items"]]


async def groups(api: Api, **params: Any) -> list[dict[str, Any]]:
    answer = await api.get("/v1/dead-letters/groups", **params)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def archived(folder: Path) -> list[Path]:
    return list(folder.glob("default/*.jsonl"))


async def test_dead_letters_are_listed_the_latest_first_and_counted(api: Api, database: Database) -> None:
    first, second = await die(api, database), await die(api, database, scene="refund", metadata={"tenant": "acme"})
    await api.report()

    assert await ids(api) == [second, first]
    assert await ids(api, scene="refund") == [second]
    for params, found in (({}, 2), ({"scene": "refund"}, 1), ({"metadata.tenant": "acme"}, 1), ({"q": "answer"}, 2)):
        assert (await api.get("/v1/dead-letters/count", **params)).json() == {"count": found, "exact": True}
    problem(await api.get("/v1/dead-letters", status="waiting"), 422, "invalid-request")


async def test_groups_show_one_error_as_one(api: Api, database: Database) -> None:
    *_, last = [await die(api, database, f"no answer after {seconds} s") for seconds in range(3)]
    await die(api, database, "card declined", scene="refund", group="shop")

    slow, declined = await groups(api)

    assert (slow["count"], slow["error_type"], slow["message"]) == (3, "TimeoutError", "no answer after <n> s")
    assert (slow["groups"], slow["scenes"]) == (
        ["orders"],
        [{"group": "orders", "scene": "charge-card", "count": 3}],
    )
    assert (slow["sample_task_id"], slow["acknowledged"], slow["rising"]) == (last, False, False)
    assert sum(slow["sparkline"]["counts"]) == 3
    assert len(slow["sparkline"]["counts"]) == 24
    assert [group["fingerprint"] for group in await groups(api, group="shop")] == [declined["fingerprint"]]
    one = (await api.get(f"/v1/dead-letters/groups/{slow['fingerprint']}")).json()
    assert one == slow
    page = (await api.get("/v1/dead-letters/groups", limit=1)).json()
    rest = (await api.get("/v1/dead-letters/groups", limit=1, cursor=page["next_cursor"])).json()
    assert page["items"] + rest["items"] == [slow, declined]
    assert rest["next_cursor"] is None
    problem(await api.get("/v1/dead-letters/groups/0123456789abcdef"), 404, "dead-letter-group-not-found")
    problem(await api.get("/v1/dead-letters/groups/nonsense"), 422, "invalid-request")


async def test_a_death_after_an_acknowledgement_raises_the_error_again(api: Api, database: Database) -> None:
    await die(api, database)
    (group,) = await groups(api)
    path = f"/v1/dead-letters/groups/{group['fingerprint']}"

    seen = (await api.patch(path, {"acknowledged": True, "note": "the provider knows"})).json()
    assert (seen["acknowledged"], seen["rising"], seen["note"]) == (True, False, "the provider knows")
    assert seen["acknowledged_by"]
    assert await groups(api, acknowledged=False) == []

    await die(api, database)
    (raised,) = await groups(api, acknowledged=False)
    assert (raised["acknowledged"], raised["rising"], raised["note"]) == (False, True, "the provider knows")

    await api.patch(path, {"acknowledged": True})
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    muted = (await api.patch(path, {"muted_until": later})).json()
    assert (muted["acknowledged"], datetime.fromisoformat(muted["muted_until"])) == (
        True,
        datetime.fromisoformat(later),
    )
    assert len(await groups(api, muted=True)) == 1
    assert await groups(api, muted=False) == []
    assert (await api.patch(path, {"muted_until": None})).json()["muted_until"] is None
    audit = (await api.get("/v1/audit", subject_kind="dead_letter_group")).json()["items"]
    assert [entry["action"] for entry in audit] == ["change"] * 4
    problem(await api.patch(path, {"acknowleged": True}), 422, "invalid-request")
    problem(await api.patch("/v1/dead-letters/groups/0123456789abcdef", {}), 404, "dead-letter-group-not-found")


async def test_an_export_has_every_dead_letter_and_payloads_only_when_asked(api: Api, database: Database) -> None:
    dead = [await die(api, database, kwargs={"number": number}, metadata={"n": number}) for number in range(3)]

    plain = (await api.get("/v1/dead-letters/export", sort="created_at")).text
    whole = (await api.get("/v1/dead-letters/export", sort="created_at", payload=True)).text

    lines = [json.loads(line) for line in plain.splitlines()]
    assert [line["id"] for line in lines] == dead
    assert not {"args", "kwargs", "body", "callbacks", "trace_context"} & set(lines[0])
    assert [json.loads(line)["kwargs"] for line in whole.splitlines()] == [{"number": number} for number in range(3)]


async def test_an_export_goes_over_many_pages(api: Api, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redrive.api.exporting.PAGE", 2)
    dead = [await die(api, database) for _ in range(5)]

    lines = (await api.get("/v1/dead-letters/export")).text.splitlines()

    assert [json.loads(line)["id"] for line in lines] == dead[::-1]


async def test_a_csv_export_cannot_run_in_a_spreadsheet(api: Api, database: Database) -> None:
    await die(api, database, '=HYPERLINK("http://evil", "click")\nme', business_key='o-1, "x"')

    answer = await api.get("/v1/dead-letters/export", format="csv", payload=True)

    assert answer.headers["content-type"].startswith("text/csv")
    (row,) = csv.DictReader(io.StringIO(answer.text))
    assert row["error_message"] == '\'=HYPERLINK("http://evil", "click")\nme'
    assert (row["business_key"], row["attempts"], json.loads(row["args"])) == ('o-1, "x"', "0", ["o-1"])


async def test_a_purge_deletes_what_it_says_and_nothing_else(api: Api, database: Database) -> None:
    dead = [await die(api, database) for _ in range(3)]
    await die(api, database, scene="refund")
    alive = (await api.report())["id"]
    selection = {"selection": {"scene": "charge-card"}, "reason": "the provider refunded them"}

    dry = (await api.post("/v1/dead-letters/purge", {**selection, "dry_run": True})).json()
    assert (dry["count"], dry["exact"], dry["done"]) == (3, True, False)
    assert await count(database) == 5
    part = (await api.post("/v1/dead-letters/purge", {**selection, "limit": 2})).json()
    rest = (await api.post("/v1/dead-letters/purge", {**selection, "limit": 2})).json()

    assert (part["count"], part["done"], rest["count"], rest["done"]) == (2, False, 1, True)
    assert not set(dead) & set(await ids(api))
    assert (await api.task(alive))["status"] == "pending"
    assert await count(database, "payloads") == 2
    (group,) = await groups(api)
    assert [scene["scene"] for scene in group["scenes"]] == ["refund"]
    entry = (await api.get("/v1/audit", subject_kind="dead_letters")).json()["items"][0]
    assert (entry["facts"]["count"], entry["reason"]) == (1, "the provider refunded them")


async def test_what_dies_after_the_count_is_left_by_whoever_sends_its_instant_back(
    api: Api, database: Database
) -> None:
    for _ in range(3):
        await die(api, database)
    wanted: dict[str, Any] = {"selection": {"status": ["dead"]}, "limit": 2}
    counted = (await api.post("/v1/dead-letters/purge", {**wanted, "dry_run": True})).json()
    later = await die(api, database)
    wanted["selection"]["finished_before"] = counted["finished_before"]

    answers = [(await api.post("/v1/dead-letters/purge", wanted)).json() for _ in range(2)]

    assert counted["count"] == 3
    assert [(answer["count"], answer["done"]) for answer in answers] == [(2, False), (1, True)]
    assert {answer["finished_before"] for answer in answers} == {counted["finished_before"]}
    assert await ids(api) == [later]


async def test_a_purge_of_everything_must_say_so(api: Api, database: Database) -> None:
    await die(api, database)

    nothing: list[dict[str, Any]] = [{}, {"ids": []}]
    for selection in nothing:
        refused = problem(await api.post("/v1/dead-letters/purge", {"selection": selection}), 422, "invalid-request")
        assert "means all" in fields(refused)["selection"]
    problem(await api.post("/v1/dead-letters/purge", {"selection": {"status": ["waiting"]}}), 422, "invalid-request")
    problem(
        await api.post("/v1/dead-letters/purge", {"selection": {"scene": "charge-card"}, "archive": True}),
        409,
        "archive-not-set",
    )
    assert await count(database) == 1
    assert (await api.post("/v1/dead-letters/purge", {"selection": {"status": ["dead"]}})).json()["count"] == 1


async def test_what_is_purged_into_the_archive_is_there_with_its_payload(
    serve: Serve, database: Database, tmp_path: Path
) -> None:
    api = await serve(archive_dir=tmp_path)
    dead = await die(api, database, kwargs={"amount": 7})

    await api.post("/v1/dead-letters/purge", {"selection": {"ids": [dead]}, "archive": True})

    (file,) = archived(tmp_path)
    (line,) = [json.loads(line) for line in file.read_text().splitlines()]
    assert (line["id"], line["kwargs"], line["status"], line["history"]) == (dead, {"amount": 7}, "dead", [])
    assert file.stat().st_mode & 0o077 == 0, "payloads are private"
    assert await count(database) == 0


async def test_a_key_for_a_group_sees_and_purges_that_group_alone(serve: Serve, database: Database) -> None:
    api, guarded = await serve(require_api_key=False), await serve(require_api_key=True)
    mine, other = await die(api, database), await die(api, database, group="shop")
    key = (await api.post("/v1/keys", {"name": "orders", "namespace": "default", "group": "orders"})).json()["key"]
    async with database.begin() as session:
        await dead_counts.fold(session)
    scoped = guarded.with_key(key)

    assert await ids(scoped) == [mine]
    (group,) = await groups(scoped)
    assert (group["count"], group["groups"]) == (1, ["orders"])
    assert mine in (await scoped.get("/v1/dead-letters/export")).text
    assert other not in (await scoped.get("/v1/dead-letters/export")).text
    problem(await scoped.patch(f"/v1/dead-letters/groups/{group['fingerprint']}", {"note": "x"}), 403, "out-of-scope")
    problem(await scoped.post("/v1/dead-letters/purge", {"selection": {"group": "shop"}}), 403, "out-of-scope")
    assert (await scoped.post("/v1/dead-letters/purge", {"selection": {"status": ["dead"]}})).json()["count"] == 1
    assert await ids(api) == [other]
