"""Alert rules and channels by the API: what is refused, what is shown, and what is told while Temporal is away."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from tests.eventually import eventually
from tests.integration.api.client import Api, Serve, count, execute, fields, problem
from tests.integration.engine.target import Reply, Target, serving

from redrive.api.alerter import Alerter
from redrive.store import alert_notices, keys, scenes
from redrive.store.database import Database
from redrive.store.settings import Settings

SLACK: dict[str, Any] = {
    "name": "ops", "kind": "slack", "settings": {"url": "https://hooks.slack.com/services/T0/B0/s3cret"},
}  # fmt: skip


async def made(api: Api, path: str, document: dict[str, Any]) -> dict[str, Any]:
    answer = await api.post(path, document)
    assert answer.status_code == 201, answer.text
    resource: dict[str, Any] = answer.json()
    return resource


async def channel(api: Api, **changes: Any) -> dict[str, Any]:
    return await made(api, "/v1/alerts/channels", {**SLACK, **changes})


async def rule(api: Api, **changes: Any) -> dict[str, Any]:
    document = {"name": "deaths", "event": "dead_letter", "group_by": ["group", "scene"], **changes}
    return await made(api, "/v1/alerts/rules", document)


async def namespace(api: Api) -> None:
    """Make the namespace `default`, by a first report."""
    await api.report()


async def dies(api: Api, **report: Any) -> None:
    """Report a task that is dead at once: its first attempt would be after its deadline."""
    deadline = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
    task = await api.report(error={"type": "ValueError", "message": "card 4242"}, deadline=deadline, **report)
    assert task["status"] == "dead"


async def events(api: Api, **query: Any) -> list[dict[str, Any]]:
    answer = await api.get("/v1/alerts/events", **query)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def at_least(api: Api, number: int, what: str) -> list[dict[str, Any]]:
    """Wait until so many things were told or held back, and return them."""

    async def there() -> bool:
        return len(await events(api)) >= number

    await eventually(there, what=what)
    return await events(api)


# --- Channels ---------------------------------------------------------------------------------------------------------


async def test_a_secret_goes_in_and_never_comes_out(api: Api, database: Database) -> None:
    await namespace(api)
    made = await channel(api, kind="feishu", settings={"url": "https://open.feishu.cn/hook/t0ken", "secret": "s3cret"})
    path = f"/v1/alerts/channels/{made['id']}"
    shown: dict[str, Any] = {"url": "https://open.feishu.cn/••••", "secret": "••••", "mentions": []}
    assert made["settings"] == shown

    # What was shown can be sent back with changes, and the secrets stay.
    changed = await api.patch(path, {"settings": {**shown, "mentions": ["all"]}})
    assert changed.json()["settings"] == {**shown, "mentions": ["all"]}
    kept = "settings ->> 'secret' = 's3cret' AND settings ->> 'url' LIKE '%t0ken' AND settings -> 'mentions' ? 'all'"
    assert await count(database, "alert_channels", kept) == 1
    await api.patch(path, {"settings": {"secret": "n3w"}})
    assert await count(database, "alert_channels", "settings ->> 'secret' = 'n3w'") == 1

    said = [(await api.get(way)).text for way in (path, "/v1/alerts/channels", "/v1/audit")]
    assert not any(secret in text for text in said for secret in ("s3cret", "n3w", "t0ken"))


async def test_one_secret_header_changes_and_the_others_stay(api: Api, database: Database) -> None:
    await namespace(api)
    settings = {
        "url": "https://a.example",
        "secret": f"whsec_{b64encode(bytes(32)).decode()}",
        "headers": {"X-Token": "t0ken", "X-Team": "a"},
    }
    made = await channel(api, kind="webhook", settings=settings)
    assert made["settings"]["headers"] == {"X-Token": "••••", "X-Team": "••••"}

    changed = {"url": "https://a.example", "headers": {"X-Token": "••••", "X-Team": "b"}}
    await api.patch(f"/v1/alerts/channels/{made['id']}", {"settings": changed})
    kept = """(settings ->> 'headers')::jsonb = '{"X-Token": "t0ken", "X-Team": "b"}'"""
    assert await count(database, "alert_channels", kept) == 1


@pytest.mark.parametrize(
    ("kind", "settings", "field", "says"),
    [
        ("slack", {"url": "ftp://hooks.slack.com/x"}, "settings.url", "expected an absolute http or https URL"),
        ("slack", {"url": "http://169.254.169.254/latest/meta-data"}, "settings.url", "which is link-local"),
        ("slack", {"url": "http://[::ffff:169.254.169.254]/"}, "settings.url", "which is link-local"),
        ("slack", {}, "settings.url", "is missing"),
        ("dingtalk", {"url": "https://a.example", "secrets": "x"}, "settings.secrets", "did you mean 'secret'"),
        ("slack", {"url": "https://a.example", "mentions": ["<!all>"]}, "settings.mentions[0]", "expected an id"),
        ("webhook", {"url": "https://a.example", "secret": "short"}, "settings.secret", "expected 'whsec_'"),
        ("email", {"host": "m", "sender": "a@b.c", "to": []}, "settings.to", "expected 1 to 50 addresses"),
        ("email", {"host": "m", "sender": "a@b.c\nBcc: x@y.z", "to": ["a@b.c"]}, "settings.sender", "one mail address"),
        (
            "email",
            {"host": "m", "sender": "a@b.c", "to": ["a@b.c"], "security": "none", "username": "u", "password": "p"},
            "settings.security",
            "must not travel in the clear",
        ),
    ],
)
async def test_settings_that_cannot_work_are_refused_by_field(
    api: Api, kind: str, settings: dict[str, Any], field: str, says: str
) -> None:
    await namespace(api)
    answer = await api.post("/v1/alerts/channels", {"name": "x", "kind": kind, "settings": settings})
    assert says in fields(problem(answer, 422, "invalid-request"))[field]


async def test_the_test_button_sends_at_once_and_tells_what_came_of_it(api: Api) -> None:
    await namespace(api)
    async with serving(Target()) as server:
        to = await channel(api, settings={"url": f"{server.url}/services/s3cret", "mentions": ["U1"]})
        path = f"/v1/alerts/channels/{to['id']}/test"
        good = (await api.post(path)).json()
        server.say(Reply(404, b"no_team at /services/s3cret"))
        bad = (await api.post(path)).json()
    assert (good["delivered"], good["http_status"], good["error"]) == (True, 200, None)
    assert server.calls[0].json["text"] == "Test of ops: alerts of Redrive arrive here"
    assert (bad["delivered"], bad["http_status"]) == (False, 404)
    assert bad["error"] == "the target answered 404 (no_team at ••••)"
    assert (await api.post(path)).json()["delivered"] is False


# --- Rules ------------------------------------------------------------------------------------------------------------


async def test_a_rule_is_made_changed_muted_and_deleted_and_the_audit_knows(api: Api) -> None:
    await namespace(api)
    to = await channel(api)
    made = await rule(api, channels=[to["id"]], quiet_hours=[{"start": "0 22 * * *", "duration_seconds": 3600}])
    path = f"/v1/alerts/rules/{made['id']}"
    assert (made["state"], made["threshold"], made["threshold_in_force"]) == ("ok", None, 1)
    assert made["quiet_hours"][0]["timezone"] == "UTC"

    changed = (await api.patch(path, {"threshold": 5, "name": "more deaths"})).json()
    assert (changed["threshold"], changed["name"], changed["channels"]) == (5, "more deaths", [to["id"]])
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert (await api.post(f"{path}/mute", {"until": until})).json()["muted_until"] is not None
    assert (await api.post(f"{path}/mute", {"until": None})).json()["muted_until"] is None

    assert (await api.delete(f"/v1/alerts/channels/{to['id']}")).status_code == 204
    assert (await api.get(path)).json()["channels"] == []
    assert (await api.delete(path)).status_code == 204
    problem(await api.get(path), 404, "alert-rule-not-found")
    audit = (await api.get("/v1/audit", subject_kind="alert_rule")).json()["items"]
    assert [entry["action"] for entry in audit] == ["delete", "unmute", "mute", "change", "create"]


async def test_a_rule_that_makes_no_sense_is_refused(api: Api) -> None:
    await namespace(api)
    made = await rule(api)
    base = {"name": "x", "event": "due_lag"}
    for changes, field, says in (
        ({"group_by": ["fingerprint"]}, "group_by", "can be grouped by: group, scene"),
        ({"threshold": -1}, "threshold", "expected a number above 0"),
        ({"channels": [str(uuid4())]}, "channels[0]", "there is no channel"),
        ({"quiet_hours": [{"start": "99 * * * *", "duration_seconds": 60}]}, "quiet_hours[0].start", "cron"),
    ):
        refused = problem(await api.post("/v1/alerts/rules", {**base, **changes}), 422, "invalid-request")
        found = [message for name, message in fields(refused).items() if name.startswith(field.split(".")[0])]
        assert any(says in message for message in found), refused
    problem(await api.post("/v1/alerts/rules", {**base, "name": made["name"]}), 409, "already-exists")
    other = await rule(api, name="other")
    problem(await api.patch(f"/v1/alerts/rules/{other['id']}", {"name": made["name"]}), 409, "already-exists")


async def test_a_key_for_one_group_sees_no_alerts(serve: Serve, database: Database) -> None:
    async with database.begin() as session:
        await scenes.create_namespace(session, "default")
        _, key = await keys.create_key(session, name="orders", namespace="default", group="orders")
    api = (await serve(require_api_key=True)).with_key(key)
    for path in ("/v1/alerts/rules", "/v1/alerts/channels", "/v1/alerts/events"):
        problem(await api.get(path), 403, "out-of-scope")


# --- What is told -----------------------------------------------------------------------------------------------------


async def test_deaths_are_told_once_and_the_history_shows_each_delivery(serve: Serve, database: Database) -> None:
    api = await serve(alerts_seconds=0.05, console_url="https://redrive.example.com")
    await namespace(api)
    to, off = await channel(api), await channel(api, name="off", enabled=False)
    made = await rule(api, channels=[to["id"], off["id"]])
    await dies(api)
    await dies(api)
    (told,) = await at_least(api, 1, "the notice")

    assert (told["rule_id"], told["state"], told["group"], told["scene"]) == (
        made["id"], "firing", "orders", "charge-card",
    )  # fmt: skip
    (delivery,) = told["deliveries"]
    assert (delivery["channel_id"], delivery["status"], delivery["attempts"]) == (to["id"], "pending", 0)
    task = await api.task(delivery["task_id"])
    assert task["target"] == {"kind": "channel", "channel": to["id"]}
    assert task["group"] == "redrive-alerts"
    body = task["body"]
    assert body["url"] == (
        "https://redrive.example.com/dead-letters?namespace=default&q=group%3Aorders+scene%3Acharge-card"
    )
    assert body["facts"]["Most frequent error"] == "ValueError"
    assert not any(word in str(task) for word in ("4242", "s3cret"))
    assert (await api.get(f"/v1/alerts/rules/{made['id']}")).json()["firing"] == [
        {"group": "orders", "scene": "charge-card"}
    ]

    await execute(database, "UPDATE alert_events SET created_at = now() - interval '1 hour'")
    recovered, _ = await at_least(api, 2, "the recovery")
    assert (recovered["state"], recovered["incident"]) == ("recovered", told["incident"])
    assert recovered["summary"] == "Recovered: Dead letters: orders/charge-card"


async def test_ten_thousand_deaths_are_one_notice_and_are_pruned(serve: Serve, database: Database) -> None:
    api = await serve(alerts_seconds=3600)
    await namespace(api)
    made = await rule(api, group_by=["group"], threshold=10_000)
    await execute(
        database,
        'INSERT INTO alert_events (namespace, kind, "group", scene, facts) '
        "SELECT 'default', 'dead_letter', 'orders', 's' || n % 7, "
        "jsonb_build_object('error_type', 'E' || n % 3) FROM generate_series(1, 10000) AS n",
    )
    await execute(database, "UPDATE alert_rules SET due_at = now()")
    alerter = Alerter(database, Settings())
    assert await alerter.round()
    assert not await alerter.round(), "its time has not come again"
    (told,) = await events(api, rule_id=made["id"])
    assert (told["summary"], told["count"]) == ("Firing: Dead letters: orders: 10,000 dead letters", 10_000)

    await execute(database, "UPDATE alert_events SET created_at = now() - interval '3 days'")
    async with database.begin() as session:
        assert await alert_notices.prune(session) == 10_000
    assert await count(database, "alert_events") == 0


async def test_any_number_of_processes_tell_everything_once(serve: Serve, database: Database) -> None:
    api = await serve(alerts_seconds=3600)
    await namespace(api)
    for number in range(6):
        await rule(api, name=f"rule {number}")
    await dies(api)
    await execute(database, "UPDATE alert_rules SET due_at = now(), evaluated_at = NULL")
    alerters = [Alerter(database, Settings()) for _ in range(4)]

    async def work(alerter: Alerter) -> int:
        rounds = 0
        while await alerter.round():
            rounds += 1
        return rounds

    assert sum(await asyncio.gather(*(work(alerter) for alerter in alerters))) == 6
    assert sorted(event["rule_name"] for event in await events(api)) == [f"rule {number}" for number in range(6)]


async def test_what_a_mute_holds_back_is_in_the_history_and_told_afterwards(serve: Serve, database: Database) -> None:
    api = await serve(alerts_seconds=0.05)
    await namespace(api)
    made = await rule(api)
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    await api.post(f"/v1/alerts/rules/{made['id']}/mute", {"until": until})
    await dies(api)
    (held,) = await at_least(api, 1, "the suppressed notice")
    assert (held["state"], held["cause"], held["deliveries"]) == ("suppressed", "mute", [])
    await api.post(f"/v1/alerts/rules/{made['id']}/mute", {"until": None})
    told, _ = await at_least(api, 2, "the notice after the mute")
    assert told["state"] == "firing"
    assert [event["id"] for event in await events(api, state="suppressed")] == [held["id"]]


async def test_one_rule_that_cannot_be_evaluated_does_not_hold_up_the_others(serve: Serve, database: Database) -> None:
    api = await serve(alerts_seconds=0.05)
    await namespace(api)
    broken, _ = await rule(api, name="broken"), await rule(api, name="whole")
    await execute(
        database,
        "UPDATE alert_rules SET rule = '{}', due_at = now() - interval '1 day' WHERE id = :id",
        id=broken["id"],
    )
    await dies(api)
    (told,) = await at_least(api, 1, "the notice of the other rule")
    assert told["rule_name"] == "whole"


async def test_a_node_that_says_nothing_of_its_sdk_is_taken_as_before(api: Api) -> None:
    await namespace(api)
    node = {"id": "n1", "group": "orders", "url": "http://10.0.0.1"}
    assert (await api.post("/v1/nodes/register", node)).status_code == 200
    path = "/v1/nodes/n1/heartbeat"
    assert (await api.post(path, {"group": "orders", "in_flight": 1})).status_code == 200
    said = {"group": "orders", "spool": {"size": 7, "oldest_seconds": 3.5}, "errors": 2}
    assert (await api.post(path, said)).status_code == 200
    shown = (await api.get("/v1/nodes/n1")).json()
    assert (shown["spool_size"], shown["spool_oldest_seconds"], shown["errors"]) == (7, 3.5, 2)
