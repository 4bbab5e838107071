"""Alerts in the document of a namespace's configuration: by name, without secrets, all or nothing."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import httpx
import pytest
from tests.integration.api.client import Api, count, fields, problem

from redrive.store import alerts
from redrive.store.database import Database

SLACK: dict[str, Any] = {
    "kind": "slack",
    "settings": {"url": "https://hooks.slack.com/services/T0/B0/s3cret", "mentions": ["here"]},
}
HOOK: dict[str, Any] = {
    "kind": "webhook",
    "settings": {
        "url": "https://ops.example/hook",
        "secret": "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz",
        "headers": {"x-key": "k3y", "x-team": "t3am"},
    },
    "enabled": False,
}
QUIET = {"start": "0 3 * * SUN", "duration_seconds": 3600}
DEATHS: dict[str, Any] = {
    "event": "dead_letter",
    "groups": ["orders"],
    "threshold": 10,
    "group_by": ["group", "scene"],
    "quiet_hours": [QUIET],
    "channels": ["ops", "hook"],
}
ALERTS: dict[str, Any] = {
    "channels": {"ops": SLACK, "hook": HOOK},
    "rules": {"deaths": DEATHS, "lag": {"event": "due_lag", "enabled": False}},
}


@pytest.fixture
async def told(api: Api) -> Api:
    """The API with channels and rules from a document."""
    await api.post("/v1/namespaces", {"name": "default"})
    answer = await put(api, ALERTS)
    assert answer.status_code == 200, answer.text
    return api


async def put(api: Api, document: Any, **params: str) -> httpx.Response:
    return await api.client.put("/v1/config", json={"alerts": document}, params=params)


async def exported(api: Api) -> dict[str, Any]:
    found: dict[str, Any] = (await api.get("/v1/config")).json()["alerts"]
    return found


async def stored(database: Database) -> dict[str, Any]:
    """Give the settings of the channels as they are in the database."""
    async with database.session() as session:
        return {row.name: row.settings for row in await alerts.list_channels(session, "default")}


async def ids(api: Api, what: str) -> dict[str, str]:
    return {item["name"]: item["id"] for item in (await api.get(f"/v1/alerts/{what}")).json()["items"]}


def names(answer: httpx.Response) -> list[tuple[str, str, str]]:
    assert answer.status_code == 200, answer.text
    return [(change["action"], change["kind"], change["name"]) for change in answer.json()["changes"]]


async def test_what_was_imported_is_exported_without_secrets(told: Api) -> None:
    document = await exported(told)

    assert document["channels"] == {
        "hook": {
            "kind": "webhook",
            "settings": {
                "url": "https://ops.example/hook",
                "secret": "••••",
                "headers": {"x-key": "••••", "x-team": "••••"},
            },
            "enabled": False,
        },
        "ops": {
            "kind": "slack",
            "settings": {"url": "https://hooks.slack.com/••••", "mentions": ["here"]},
            "enabled": True,
        },
    }
    assert list(document["rules"]) == ["deaths", "lag"]
    assert document["rules"]["deaths"]["channels"] == ["ops", "hook"]
    assert document["rules"]["deaths"]["quiet_hours"] == [{**QUIET, "timezone": "UTC", "reason": ""}]
    assert document["rules"]["lag"]["enabled"] is False
    text = (await told.get("/v1/config")).text
    assert not any(secret in text for secret in ("s3cret", "k3y", "t3am", "MDEyMzQ"))


async def test_the_import_of_an_export_changes_nothing_and_keeps_secrets(told: Api, database: Database) -> None:
    before, channels = await stored(database), await ids(told, "channels")

    assert names(await put(told, await exported(told), prune="true")) == []
    assert names(await put(told, ALERTS, prune="true")) == []

    assert await stored(database) == before
    assert await ids(told, "channels") == channels


async def test_an_export_makes_the_same_elsewhere_once_secrets_are_given(told: Api, database: Database) -> None:
    document = await exported(told)
    await told.post("/v1/namespaces", {"name": "staging"})
    staging = told.with_key(None, "staging")

    refused = fields(problem(await put(staging, document), 422, "invalid-request"))
    assert list(refused) == ["alerts.channels.hook.settings.secret"]
    assert "${env:NAME}" in refused["alerts.channels.hook.settings.secret"]
    assert await count(database, "alert_channels", "namespace = 'staging'") == 0
    document["channels"] = {"ops": SLACK, "hook": {**HOOK, "enabled": True}}
    await put(staging, document)

    assert (await exported(staging))["rules"] == (await exported(told))["rules"]


async def test_a_secret_that_is_given_replaces_the_one_that_is_stored_and_is_not_shown(
    told: Api, database: Database
) -> None:
    url = "https://hooks.slack.com/services/T0/B0/an0ther"
    wanted = {"channels": {"ops": {"kind": "slack", "settings": {"url": url, "mentions": ["channel"]}}}}

    answer = await put(told, wanted)

    assert answer.json()["changes"][0]["differences"] == [
        {"path": "settings.mentions", "action": "change", "before": ["here"], "after": ["channel"]},
        {
            "path": "settings.url",
            "action": "change",
            "before": "https://hooks.slack.com/••••",
            "after": "https://hooks.slack.com/••••",
        },
    ]
    assert (await stored(database))["ops"]["url"] == url


async def test_one_header_is_changed_and_the_others_stay_as_they_are(told: Api, database: Database) -> None:
    document = await exported(told)
    document["channels"]["hook"]["settings"]["headers"]["x-key"] = "n3w"

    await put(told, document)

    assert (await stored(database))["hook"]["headers"] == {"x-key": "n3w", "x-team": "t3am"}


@pytest.mark.parametrize("secret", ["••••", "${env:HOOK_SECRET}", None])
async def test_a_new_channel_needs_its_secrets(told: Api, secret: str | None) -> None:
    settings = {"url": "https://new.example/hook"} | ({} if secret is None else {"secret": secret})

    answer = await put(told, {"channels": {"new": {"kind": "webhook", "settings": settings}}})

    assert list(fields(problem(answer, 422, "invalid-request"))) == ["alerts.channels.new.settings.secret"]


async def test_a_channel_of_another_kind_needs_secrets_of_its_own(told: Api, database: Database) -> None:
    """The address of one vendor's bot must not go to another's under the same name."""
    refused = await put(told, {"channels": {"ops": {"kind": "teams", "settings": {}}}})
    assert list(fields(problem(refused, 422, "invalid-request"))) == ["alerts.channels.ops.settings.url"]

    before = await ids(told, "channels")
    url = "https://example.webhook.office.com/x"
    await put(told, {"channels": {"ops": {"kind": "teams", "settings": {"url": url}}}})

    assert (await stored(database))["ops"] == {"url": url, "mentions": []}
    assert await ids(told, "channels") == before


async def test_a_rule_that_names_an_unknown_channel_stops_all_of_it(told: Api) -> None:
    before = await exported(told)
    wanted = {"channels": {"mail": {**SLACK}}, "rules": {"deaths": {**DEATHS, "channels": ["mail", "nobody"]}}}

    told_why = fields(problem(await put(told, wanted), 422, "invalid-request"))

    assert list(told_why) == ["alerts.rules.deaths.channels[1]"]
    assert "'nobody'" in told_why["alerts.rules.deaths.channels[1]"]
    assert await exported(told) == before


async def test_a_rule_may_not_name_a_channel_that_is_pruned_with_the_same_document(told: Api) -> None:
    wanted = {"channels": {"ops": SLACK}, "rules": {"deaths": DEATHS}}

    refused = await put(told, wanted, prune="true")

    assert list(fields(problem(refused, 422, "invalid-request"))) == ["alerts.rules.deaths.channels[1]"]


async def test_rules_are_changed_in_place_and_what_is_left_out_stays(told: Api) -> None:
    before = await ids(told, "rules")

    answer = await put(told, {"rules": {"deaths": {"event": "dead_letter", "threshold": 20, "channels": ["hook"]}}})

    assert answer.json()["changes"] == [
        {
            "action": "update",
            "kind": "alert_rule",
            "name": "deaths",
            "differences": [
                {"path": "channels", "action": "change", "before": ["ops", "hook"], "after": ["hook"]},
                {"path": "threshold", "action": "change", "before": 10, "after": 20},
            ],
        }
    ]
    rule = (await told.get(f"/v1/alerts/rules/{before['deaths']}")).json()
    assert (rule["threshold"], rule["groups"], rule["group_by"]) == (20, ["orders"], ["group", "scene"])
    assert [UUID(one) for one in rule["channels"]] == [UUID((await ids(told, "channels"))["hook"])]


async def test_a_rule_that_makes_no_sense_is_named(told: Api) -> None:
    answer = await put(told, {"rules": {"odd": {"event": "waiting", "group_by": ["fingerprint"]}}})

    assert list(fields(problem(answer, 422, "invalid-request"))) == ["alerts.rules.odd.group_by"]


async def test_prune_deletes_what_the_document_does_not_name_in_the_parts_that_it_has(told: Api) -> None:
    before = await exported(told)
    assert names(await told.client.put("/v1/config", json={}, params={"prune": "true"})) == []
    assert await exported(told) == before

    wanted = {"channels": {"hook": HOOK}}
    looked = await put(told, wanted, prune="true", dry_run="true")
    assert await exported(told) == before
    done = await put(told, wanted, prune="true")

    assert names(looked) == names(done) == [("delete", "alert_channel", "ops")]
    after = await exported(told)
    assert (list(after["channels"]), list(after["rules"])) == (["hook"], ["deaths", "lag"])
    assert after["rules"]["deaths"]["channels"] == ["hook"]
    assert names(await put(told, {"rules": {}}, prune="true")) == [
        ("delete", "alert_rule", "deaths"),
        ("delete", "alert_rule", "lag"),
    ]


async def test_what_fails_elsewhere_in_the_document_takes_the_alerts_back(told: Api) -> None:
    before = await exported(told)
    wanted = {"alerts": {"rules": {"new": {"event": "waiting"}}}, "policy": {"backoff": {"max_seconds": 0.5}}}

    problem(await told.client.put("/v1/config", json=wanted), 422, "invalid-request")

    assert await exported(told) == before
