"""Whatever comes, the answer says what to do, and nothing is written."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.integration.api.client import LONG, Api, a_report, count, fields, problem

from redrive.store.database import Database

WEBHOOK = {"executor": None, "args": None, "kwargs": None}


BAD_FIELDS: list[tuple[Any, ...]] = [
    ({"executr": "x"}, "executr", "did you mean 'executor'"),
    ({"group": None}, "group", "is missing"),
    ({"group": "a/b"}, "group", "letters, digits"),
    ({"scene": ""}, "scene", "letters, digits"),
    ({"scene": ".."}, "scene", "not beginning with '.'"),
    ({"scene": "x" * 101}, "scene", "letters, digits"),
    ({"group": 5}, "group", "expected a string, got 5"),
    ({"executor": None}, "executor", "a node needs the name of the function"),
    ({"executor": "a\nb"}, "executor", "printable"),
    ({"executor": "x" * 256}, "executor", "at most 255 characters, got 256"),
    ({"args": {}}, "args", "expected a list, got {}"),
    ({"kwargs": []}, "kwargs", "expected an object, got []"),
    ({"body": 5}, "body", "only a webhook has a body"),
    ({"priority": 0}, "priority", "at least 1, got 0"),
    ({"priority": 6}, "priority", "at most 5, got 6"),
    ({"priority": "3"}, "priority", 'expected a whole number, got "3"'),
    ({"priority": True}, "priority", "expected a whole number, got true"),
    ({"delay_seconds": -1}, "delay_seconds", "at least 0"),
    ({"delay_seconds": 1e12}, "delay_seconds", "at most 31622400"),
    ({"delay_seconds": 10**400}, "delay_seconds", "expected a number"),
    ({"deadline": "2020-01-01T00:00:00Z"}, "deadline", "an instant in the future"),
    ({"deadline": "2040-01-01T00:00:00"}, "deadline", "with a zone"),
    ({"deadline": "0001-01-01T00:00:00+14:00"}, "deadline", "with a zone"),
    ({"deadline": "tomorrow"}, "deadline", "ISO 8601"),
    ({"deadline": 1893456000}, "deadline", "ISO 8601"),
    ({"idempotency_key": ""}, "idempotency_key", "at least 1 characters"),
    ({"idempotency_key": "x" * 256}, "idempotency_key", "at most 255 characters"),
    ({"idempotency_key": "a\x00"}, "idempotency_key", "without NUL"),
    ({"business_key": "\x00"}, "business_key", "without NUL"),
    ({"metadata": {"a": {"\x00": 1}}}, "metadata", "without NUL"),
    ({"metadata": 5}, "metadata", "expected an object"),
    ({"trace_context": {"a": 5}}, "trace_context.a", "expected a string"),
    ({"error": {"message": "no type"}}, "error.type", "is missing"),
    ({"error": {"type": "E", "stak": ""}}, "error.stak", "did you mean 'stack'"),
    ({"target": {"kind": "pigeon"}}, "target.kind", "expected one of 'node', 'webhook', 'worker'"),
    ({"target": {}}, "target.kind", "is missing"),
    ({"target": []}, "target", "expected an object"),
    ({"target": {"kind": "node", "url": "x"}}, "target.url", "unknown field"),
    ({"target": {"kind": "worker"}}, "target.task_queue", "is missing"),
    ({"target": {"kind": "worker", "task_queue": "a\x00"}}, "target", "without NUL"),
    ({**WEBHOOK, "target": {"kind": "webhook", "url": "ftp://x"}}, "target.url", "absolute http or https URL"),
    ({**WEBHOOK, "target": {"kind": "webhook", "url": "http://u:p@x"}}, "target.url", "credentials into `headers`"),
    ({"executor": None, "target": {"kind": "webhook", "url": "http://x"}}, "args", "no positional arguments"),
    (
        {**WEBHOOK, "kwargs": {"a": 1}, "body": 1, "target": {"kind": "webhook", "url": "http://x"}},
        "body",
        "either `kwargs` or `body`",
    ),
    ({"policy": 5}, "policy", "expected an object, got 5"),
    ({"policy": {"max_attempt": 5}}, "policy.max_attempt", "did you mean 'max_attempts'"),
    ({"policy": {"max_attempts": 0}}, "policy.max_attempts", "from 1 to"),
    ({"policy": {"max_attempts": -3}}, "policy.max_attempts", "from 1 to"),
    ({"policy": {"backoff": {"initial_seconds": 9, "max_seconds": 1}}}, "policy.backoff.max_seconds", "at least"),
    (
        {"policy": {"backoff": {"kind": "random", "min_seconds": 9, "max_seconds": 1}}},
        "policy.backoff.max_seconds",
        "at least",
    ),
    (
        {"policy": {"backoff": {"kind": "cron", "expression": "nonsense"}}},
        "policy.backoff.expression",
        "cron expression",
    ),
    (
        {"policy": {"backoff": {"kind": "cron", "timezone": "Mars/Base"}}},
        "policy.backoff.timezone",
        "IANA time zone",
    ),
    ({"policy": {"classification": [{"error": "E"}]}}, "policy.classification[0].action", "is missing"),
    ({"policy": {"classification": [{"error": "\x00", "action": "dead"}]}}, "policy", "without NUL"),
]


async def test_a_report_with_a_bad_field_names_it(api: Api, database: Database, subtests: pytest.Subtests) -> None:
    for changes, field, message in BAD_FIELDS:
        with subtests.test(changes=str(changes)[:80], field=str(field)[:80], message=str(message)[:80]):
            answer = await api.post("/v1/tasks", a_report(**changes))

            found = fields(problem(answer, 422, "invalid-request"))
            assert field in found, found
            assert message in found[field]
            assert await count(database) == 0
            assert await count(database, "groups") == 0


async def test_all_bad_fields_are_named_at_once(api: Api) -> None:
    document = problem(await api.post("/v1/tasks", {"group": 1, "priority": 9, "x": 1}), 422, "invalid-request")

    assert set(fields(document)) == {"group", "scene", "priority", "x"}
    assert document["detail"].endswith("and 3 more")


NOT_JSON: list[tuple[Any, ...]] = [
    (b"{", "line 1, column 2"),
    (b"\xff\xfe", "expected UTF-8"),
    (b'{"a": NaN}', "got NaN"),
    (b'{"a": -Infinity}', "got -Infinity"),
    (b'{"a": 1e400}', "fit a double"),
    (b'{"a": ' + b"1" * 5000 + b"}", "4,300 digits"),
    (b'{"a": ' + b"[" * 250 + b"]" * 250 + b"}", "200 levels"),
    (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "200 levels"),
    (b'{"a": ' + b'{"a":' * 100_000, "200 levels"),
]

NOT_JSON_PATHS: list[Any] = ["/v1/tasks", "/v1/tasks/batch", "/v1/groups", "/v1/nodes/register"]


async def test_what_is_not_json_is_refused(api: Api, subtests: pytest.Subtests) -> None:
    for body, words in NOT_JSON:
        for path in NOT_JSON_PATHS:
            with subtests.test(body=str(body)[:80], words=str(words)[:80], path=str(path)[:80]):
                assert words in problem(await api.send(path, body), 422, "malformed-json")["detail"]


async def test_arguments_of_two_hundred_levels_are_taken(api: Api) -> None:
    """As deep as the SDK writes."""
    deep: Any = []
    for _ in range(199):
        deep = [deep]

    task = await api.report(args=deep)

    assert (await api.task(task["id"]))["args"] == deep


async def test_half_a_surrogate_pair_is_refused_wherever_it_stands(api: Api, database: Database) -> None:
    for field in ("args", "kwargs", "metadata", "idempotency_key", "policy"):
        value = {"args": ["\ud800"], "idempotency_key": "\ud800"}.get(field, {"x": "\udfff"})
        body = json.dumps(a_report(**{field: value})).encode()

        problem(await api.send("/v1/tasks", body), 422, "invalid-request")
    assert await count(database) == 0


@pytest.mark.parametrize("document", [[], 5, "x", None])
async def test_a_body_that_is_no_object_is_refused(api: Api, document: Any) -> None:
    problem(await api.send("/v1/tasks", json.dumps(document).encode()), 422, "invalid-request")


async def test_a_missing_body_is_refused(api: Api) -> None:
    problem(await api.post("/v1/tasks"), 422, "invalid-request")


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_a_body_that_does_not_say_it_is_json_is_refused(api: Api, media_type: str, database: Database) -> None:
    """A browser sends such bodies to any server on the machine without asking."""
    answer = await api.send("/v1/tasks", json.dumps(a_report()).encode(), content_type=media_type)

    problem(answer, 415, "unsupported-media-type")
    assert await count(database) == 0


async def test_a_body_over_the_limit_is_refused_with_and_without_its_length(api: Api, database: Database) -> None:
    large = json.dumps(a_report(args=["x" * 1_100_000])).encode()

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(large), 65_536):
            yield large[start : start + 65_536]

    by_length = await api.send("/v1/tasks", large)
    streamed = await api.client.post("/v1/tasks", content=pieces(), headers={"content-type": "application/json"})
    packed = await api.send("/v1/tasks", gzip.compress(large), content_encoding="gzip")

    for answer in (by_length, streamed, packed):
        assert "1048576" in problem(answer, 413, "body-too-large")["detail"]
    assert await count(database) == 0


async def test_a_body_just_below_the_limit_is_taken(api: Api) -> None:
    empty = len(json.dumps(a_report(policy=LONG, args=[""])).encode())
    body = json.dumps(a_report(policy=LONG, args=["x" * (1_048_576 - empty)])).encode()

    assert len(body) == 1_048_576
    assert (await api.send("/v1/tasks", body)).status_code == 201


async def test_a_gzip_body_is_unpacked(api: Api) -> None:
    packed = gzip.compress(json.dumps(a_report(policy=LONG)).encode())

    assert (await api.send("/v1/tasks", packed, content_encoding="gzip")).status_code == 201


async def test_other_encodings_and_broken_gzip_are_refused(api: Api) -> None:
    body = json.dumps(a_report()).encode()

    problem(await api.send("/v1/tasks", body, content_encoding="br"), 415, "unsupported-encoding")
    problem(await api.send("/v1/tasks", body, content_encoding="gzip"), 422, "malformed-json")
    problem(await api.send("/v1/tasks", gzip.compress(body)[:-12], content_encoding="gzip"), 422, "malformed-json")


async def test_unknown_paths_and_methods_are_problems(api: Api) -> None:
    problem(await api.get("/v1/nothing"), 404, "not-found")
    problem(await api.get("/v1/tasks/"), 404, "not-found")
    answer = await api.put("/v1/tasks", {})

    assert problem(answer, 405, "method-not-allowed")["detail"].startswith("expected GET, POST")
    assert answer.headers["allow"] == "GET, POST"


BAD_FILTERS: list[tuple[Any, ...]] = [
    ({"limit": 0}, "limit"),
    ({"limit": 501}, "limit"),
    ({"limit": "many"}, "limit"),
    ({"cursor": "abc"}, "cursor"),
    ({"cursor": "W10"}, "cursor"),
    ({"cursor": "\x00"}, "cursor"),
    ({"sort": "name"}, "sort"),
    ({"status": "wating"}, "status"),
    ({"priority": 6}, "priority"),
    ({"parent_id": "none"}, "parent_id"),
    ({"ids": "none"}, "ids[0]"),
    ({"metadata.tenant": "\x00"}, "metadata.tenant"),
    ({"finished_after": "2026-01-02T00:00:00Z", "finished_before": "2026-01-01T00:00:00Z"}, "finished_after"),
    ({"dead_reason": "tired"}, "dead_reason"),
    ({"created_after": "yesterday"}, "created_after"),
    ({"next_before": "2026-01-01"}, "next_before"),
    ({"q": "\x00"}, "q"),
    ({"error": "x" * 201}, "error"),
    ({"group": "a b"}, "group"),
    ({"business_key": ""}, "business_key"),
    ({"namespace": "a/b"}, "namespace"),
]


async def test_bad_filters_are_named(api: Api, subtests: pytest.Subtests) -> None:
    for params, field in BAD_FILTERS:
        with subtests.test(params=str(params)[:80], field=str(field)[:80]):
            assert list(fields(problem(await api.get("/v1/tasks", **params), 422, "invalid-request"))) == [field]


async def test_ids_that_are_none_and_ids_that_are_unknown_are_told_apart(api: Api) -> None:
    problem(await api.get("/v1/tasks/nonsense"), 422, "invalid-request")
    for method, path in (("GET", ""), ("GET", "/attempts"), ("DELETE", ""), ("POST", "/retry"), ("POST", "/pause")):
        answer = await api.client.request(method, f"/v1/tasks/01a20926-7e35-77ee-9052-a9227050bf40{path}")
        problem(answer, 404, "task-not-found")


async def test_the_task_queue_of_redrives_own_workers_is_no_target(api: Api, database: Database) -> None:
    """Nobody on it would take the attempt, and it would be offered for ever."""
    answer = await api.post("/v1/tasks", a_report(target={"kind": "worker", "task_queue": "redrive"}))

    assert "target.task_queue" in fields(problem(answer, 422, "invalid-request"))
    assert await count(database) == 0
