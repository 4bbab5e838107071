"""Dispatch as Temporal runs it: more than once when it must, and with nothing to be seen by others."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

import httpx
import pytest
import standardwebhooks
from temporalio.testing import ActivityEnvironment
from tests.integration.engine.harness import GROUP, NAMESPACE, NODE, Platform, webhook
from tests.integration.engine.target import Reply, Target, answer

from redrive.activities.admission import Admission
from redrive.activities.directory import NodeDirectory
from redrive.activities.dispatch import Dispatcher
from redrive.core.messages import DispatchCommand, DispatchResult
from redrive.core.states import AttemptStatus
from redrive.store import attempts, scenes, tasks
from redrive.store.attempts import Finish
from redrive.workflows.worker import target_client

SECRET = "a-secret-that-must-stay-in-the-database"


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with target_client(10) as client:
        yield client


@pytest.fixture
def dispatcher(idle: Platform, http: httpx.AsyncClient) -> Dispatcher:
    return Dispatcher(idle.database, http, NodeDirectory(idle.database, Random(1)), Admission(idle.database))


def command(task_id: UUID, **changes: object) -> DispatchCommand:
    """Ask for the first attempt of a task."""
    first = DispatchCommand(
        namespace=NAMESPACE,
        group=GROUP,
        task_id=str(task_id),
        generation=1,
        number=1,
        attempts=1,
        version=10,
        due_at=datetime.now(UTC).isoformat(),
        trigger="timer",
        timeout_seconds=5,
        ends_at=None,
        max_attempts=3,
        route="first",
        policy_version=1,
    )
    return replace(first, **changes)  # type: ignore[arg-type]


async def run(dispatcher: Dispatcher, asked: DispatchCommand) -> DispatchResult:
    return await ActivityEnvironment().run(dispatcher.dispatch, asked)


async def deliver(platform: Platform, asked: DispatchCommand) -> int:
    """Begin a delivery, as a worker does that is lost right after it."""
    async with platform.database.session() as session:
        delivery = await tasks.start_attempt(session, asked, has_node=True, node_id="n", url=None)
    assert delivery is not None
    assert delivery.number is not None
    return delivery.number


async def finish(platform: Platform, asked: DispatchCommand, delivery: int, status: AttemptStatus) -> bool:
    async with platform.database.session() as session:
        return await attempts.finish_attempt(session, asked, delivery, Finish(status, http_status=200))


async def test_an_outcome_that_is_stored_is_told_again_and_not_sent_again(
    idle: Platform, target: Target, dispatcher: Dispatcher
) -> None:
    target.say(Reply(503, headers={"retry-after": "9", "redrive-stop": "true"}))
    asked = command(await idle.report(webhook(target.url)))
    first = await run(dispatcher, asked)
    second = await run(dispatcher, asked)

    assert first == second
    assert (first.http_status, first.retry_after_seconds, first.stop) == (503, 9, True)
    assert len(target.calls) == 1


async def test_a_lost_delivery_is_made_again_under_the_same_number(
    idle: Platform, target: Target, dispatcher: Dispatcher
) -> None:
    task_id = await idle.report(webhook(target.url))
    await deliver(idle, command(task_id))
    result = await run(dispatcher, command(task_id))

    (attempt,) = await idle.ledger(task_id)
    assert (result.status, attempt.number, attempt.deliveries) == ("succeeded", 1, 2)
    assert target.calls[0].headers["redrive-attempt"] == "1"


async def test_the_result_of_a_superseded_delivery_is_refused(idle: Platform, target: Target) -> None:
    asked = command(await idle.report(webhook(target.url)))
    first, second = await deliver(idle, asked), await deliver(idle, asked)

    assert await finish(idle, asked, first, AttemptStatus.FAILED) is False
    assert await finish(idle, asked, second, AttemptStatus.SUCCEEDED) is True
    assert await finish(idle, asked, second, AttemptStatus.FAILED) is False


async def test_an_outcome_that_is_stored_counts_although_the_time_is_over(
    idle: Platform, target: Target, dispatcher: Dispatcher
) -> None:
    asked = command(await idle.report(webhook(target.url)))
    await finish(idle, asked, await deliver(idle, asked), AttemptStatus.SUCCEEDED)
    result = await run(dispatcher, replace(asked, ends_at=datetime.now(UTC).isoformat()))

    assert (result.kind, result.status) == ("finished", "succeeded")


async def test_a_lost_attempt_whose_time_is_over_is_timed_out(
    idle: Platform, target: Target, dispatcher: Dispatcher
) -> None:
    asked = command(await idle.report(webhook(target.url)))
    await deliver(idle, asked)
    result = await run(dispatcher, replace(asked, ends_at=datetime.now(UTC).isoformat()))

    (attempt,) = await idle.ledger(UUID(asked.task_id))
    assert (result.kind, result.status, attempt.status) == ("finished", "timed_out", "timed_out")
    assert target.calls == []


@pytest.mark.parametrize("with_node", [True, False])
async def test_a_lost_attempt_that_nobody_takes_again_is_timed_out(
    idle: Platform, target: Target, dispatcher: Dispatcher, *, with_node: bool
) -> None:
    """It may have run, so it is spent; and its late result must find nothing to change."""
    target.say(Reply(503))
    if with_node:
        await idle.register(target.url)
    asked = command(await idle.report(NODE))
    lost = await deliver(idle, asked)
    result = await run(dispatcher, asked)

    (attempt,) = await idle.ledger(UUID(asked.task_id))
    assert (result.kind, result.status, attempt.error_type) == ("finished", "timed_out", "redrive.WorkerLost")
    assert await finish(idle, asked, lost, AttemptStatus.SUCCEEDED) is False


async def test_an_attempt_whose_time_is_over_is_not_sent(
    idle: Platform, target: Target, dispatcher: Dispatcher
) -> None:
    task_id = await idle.report(webhook(target.url))
    result = await run(dispatcher, command(task_id, ends_at=datetime.now(UTC).isoformat()))

    assert (result.kind, target.calls, await idle.ledger(task_id)) == ("late", [], [])


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE tasks SET status = 'cancelled', finished_at = now()",
        "UPDATE tasks SET generation = 2",
        "UPDATE tasks SET mirror_version = 11",
        "UPDATE tasks SET status = 'paused'",
        "DELETE FROM tasks",
    ],
)
async def test_an_attempt_of_a_task_that_has_moved_on_is_superseded(
    idle: Platform, target: Target, dispatcher: Dispatcher, change: str
) -> None:
    task_id = await idle.report(webhook(target.url))
    await idle.execute(change)
    result = await run(dispatcher, command(task_id))

    assert (result.kind, target.calls) == ("superseded", [])


async def test_a_task_paused_before_its_start_is_not_parked_by_a_workflow_that_knows_nothing_of_it(
    idle: Platform, dispatcher: Dispatcher
) -> None:
    task_id = await idle.report(NODE)
    await idle.execute("UPDATE tasks SET status = 'paused'")
    result = await run(dispatcher, command(task_id))

    assert result.kind == "superseded"


async def test_a_webhook_is_signed_so_that_the_reference_implementation_accepts_it(
    idle: Platform, target: Target, dispatcher: Dispatcher
) -> None:
    async with idle.database.session() as session:
        group = await scenes.find_group(session, NAMESPACE, GROUP)
    assert group is not None
    task_id = await idle.report(webhook(target.url), kwargs={"amount": "5 €"})
    await run(dispatcher, command(task_id))

    call = target.calls[0]
    verified = standardwebhooks.Webhook(group.signing_secrets[0]).verify(call.body, dict(call.headers))
    assert verified == {"amount": "5 €"}
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(group.signing_secrets[0]).verify(call.body + b" ", dict(call.headers))


async def test_a_request_says_which_attempt_of_which_task_it_is(
    idle: Platform, target: Target, dispatcher: Dispatcher
) -> None:
    trace = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "a=b"}
    given = webhook(target.url, method="PUT", headers={"x-shop": "7"})
    task_id = await idle.report(given, trace_context=trace)
    ends_at = datetime.now(UTC) + timedelta(seconds=3)
    await run(dispatcher, command(task_id, ends_at=ends_at.isoformat()))

    (call,) = target.calls
    assert call.method == "PUT"
    expected = {
        "idempotency-key": str(task_id),
        "webhook-id": str(task_id),
        "redrive-task": str(task_id),
        "redrive-generation": "1",
        "redrive-attempt": "1",
        "redrive-max-attempts": "3",
        "redrive-deadline": ends_at.isoformat(),
        "x-shop": "7",
        **trace,
    }
    assert {name: call.headers.get(name) for name in expected} == expected


async def test_a_webhook_can_have_a_body_of_its_own(idle: Platform, target: Target, dispatcher: Dispatcher) -> None:
    task_id = await idle.report(webhook(target.url), body=[1, {"b": 2.0, "a": None}])
    await run(dispatcher, command(task_id))

    assert target.calls[0].body == b'[1,{"b":2.0,"a":null}]'


async def test_cookies_of_one_answer_do_not_travel_with_the_next_request(
    idle: Platform, target: Target, dispatcher: Dispatcher
) -> None:
    target.say(Reply(200, headers={"set-cookie": "session=of-another-tenant; Path=/"}))
    for _ in range(2):
        await run(dispatcher, command(await idle.report(webhook(target.url))))

    assert [call.headers.get("cookie") for call in target.calls] == [None, None]


async def test_an_address_that_no_client_accepts_fails_the_attempt(
    idle: Platform, target: Target, dispatcher: Dispatcher
) -> None:
    task_id = await idle.report(webhook("http://xn--a"))
    result = await run(dispatcher, command(task_id))

    assert (result.kind, result.status) == ("finished", "failed")


async def test_a_long_answer_is_cut(idle: Platform, target: Target, dispatcher: Dispatcher) -> None:
    target.say(Reply(200, b"\0" + "é".encode() * 50_000))
    task_id = await idle.report(webhook(target.url))
    await run(dispatcher, command(task_id))

    (attempt,) = await idle.ledger(task_id)
    assert attempt.response is not None
    assert len(attempt.response) <= 20_000


@pytest.mark.parametrize("kind", ["webhook", "node"])
async def test_payloads_never_enter_temporal(platform: Platform, target: Target, kind: str) -> None:
    """Neither arguments nor answers nor errors: whoever may read Temporal may not read them."""
    error = {"type": "app.Error", "message": SECRET, "stack": SECRET}
    body = json.dumps({"secret": SECRET}).encode()
    if kind == "node":
        await platform.register(target.url)
        target.say(answer("failed", error=error, result=SECRET), answer(result=SECRET))
    else:
        target.say(Reply(500, body), Reply(200, body))
    task_id = await platform.report(
        NODE if kind == "node" else webhook(target.url, headers={"x-token": SECRET}),
        args=[SECRET],
        kwargs={"card": SECRET},
        body=None if kind == "node" else {"card": SECRET},
        error_message=SECRET,
        error_stack=SECRET,
        metadata={"note": SECRET},
    )
    task = await platform.ends(task_id)

    history = (await platform.handle(task_id).fetch_history()).to_json()
    assert task.status == "succeeded"
    assert task.attempts == 2
    assert SECRET not in history
    # Payloads are base64 in there.
    decoded = b"".join(map(base64.b64decode, re.findall(r'"data": ?"([^"]*)"', history)))
    assert str(task_id).encode() in decoded
    assert SECRET.encode() not in decoded
