from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from redrive.sdk import Conflict, Redrive, UsageError, current_attempt, retryable, snooze, stop, testing
from redrive.sdk.testing import Faults, InjectedFault, fail, http, ok, timeout


class Bank:
    def __init__(self) -> None:
        self.faults = Faults()
        self.charged: list[str] = []

    def charge(self, order: str) -> None:
        self.faults.check()
        self.charged.append(order)


bank = Bank()


@retryable("charge-card", mode="only_remote", name="testing.charge", business_key="{order}")
def charge(order: str) -> str:
    bank.charge(order)
    return order


@retryable("acharge-card", local_attempts=2, name="testing.acharge", policy={"max_attempts": 3})
async def acharge(order: str) -> str:
    bank.charge(order)
    return order


@pytest.fixture(autouse=True)
def _fresh() -> None:
    bank.faults = Faults()
    bank.charged.clear()


def test_manual_collects_until_it_is_drained() -> None:
    bank.faults = Faults(fail(3))
    with testing.manual() as reports:
        with pytest.raises(InjectedFault):
            charge("o-1")

        task = reports.assert_reported("charge-card", kwargs={"order": "o-1"}, business_key="o-1", error=InjectedFault)
        assert (task.status, bank.charged) == ("waiting", [])
        reports.drain(attempts=1)
        assert (task.status, len(task.tried)) == ("waiting", 1)
        reports.drain()

    assert (task.status, [tried.number for tried in task.tried], bank.charged) == ("succeeded", [1, 2, 3], ["o-1"])
    assert task.tried[0].after_seconds < task.tried[1].after_seconds
    assert "exponential" in task.tried[1].why


def test_a_hopeless_task_dies_as_its_policy_says() -> None:
    bank.faults = Faults(fail(100))
    with testing.manual(policy={"max_attempts": 4}) as reports:
        with pytest.raises(InjectedFault):
            charge("o-1")
        (task,) = reports.drain()

    assert (task.status, task.dead_reason, len(task.tried)) == ("dead", "exhausted", 4)


async def test_inline_runs_attempts_at_once_on_the_loop_of_the_test() -> None:
    bank.faults = Faults(fail(2), timeout(2))
    with testing.inline() as reports, pytest.raises(InjectedFault):
        await acharge("o-1")

    assert [(task.status, len(task.tried)) for task in reports.tasks] == [("succeeded", 3)]


def test_inline_without_a_loop(redrive_inline: testing.Reports) -> None:
    bank.faults = Faults(fail(1))
    with pytest.raises(InjectedFault):
        charge("o-1")
    assert redrive_inline.tasks[0].status == "succeeded"


def test_disabled_leaves_functions_bare(redrive_disabled: None) -> None:
    bank.faults = Faults(fail(1))
    with pytest.raises(InjectedFault) as caught:
        charge("o-1")
    assert not hasattr(caught.value, "__notes__")
    assert bank.faults.calls == 1


def test_verdicts_are_obeyed(redrive_reports: testing.Reports, tmp_path: Path) -> None:
    with Redrive("http://127.0.0.1:1", group="g", spool=tmp_path / "s") as client:

        @client.executor("moody")
        def moody(mood: str) -> None:
            attempt = current_attempt()
            assert attempt is not None
            if mood == "stop":
                raise stop("no")
            if len(moods) < 3:
                moods.append(attempt.number)
                raise snooze(60)

        moods: list[int] = []
        with testing.manual(client) as reports:
            client.report("s", executor=moody, args=["stop"])
            client.report("s", executor=moody, args=["snooze"], delay=5)
            stopped, snoozed = reports.drain()

    assert (stopped.status, stopped.dead_reason) == ("dead", "stopped")
    assert (snoozed.status, moods) == ("succeeded", [1, 1, 1])
    assert [tried.after_seconds for tried in snoozed.tried] == [5, 65, 125, 185]
    redrive_reports.assert_nothing_reported()


def test_a_task_runs_the_function_of_the_client_that_reported_it() -> None:
    ran: list[str] = []
    first, second = (Redrive("http://127.0.0.1:1", group=group, spool=False) for group in ("first", "second"))
    for client in (first, second):

        def run(group: str = client.group) -> None:
            ran.append(group)

        client.executor("of-both")(run)

    with testing.manual() as reports:
        second.report("s", executor="of-both")
        first.report("s", executor="of-both")
        reports.drain()

    assert ran == ["second", "first"]


def test_assertions_show_what_was_reported_instead(redrive_reports: testing.Reports) -> None:
    bank.faults = Faults(fail(1))
    with pytest.raises(InjectedFault):
        charge("o-1")

    with pytest.raises(AssertionError, match=r"business_key='o-2' once or more, found 0(.|\n)*business_key='o-1'"):
        redrive_reports.assert_reported("charge-card", business_key="o-2")
    with pytest.raises(AssertionError, match="2 times, found 1"):
        redrive_reports.assert_reported("charge-card", count=2)
    with pytest.raises(AssertionError, match="expected no report"):
        redrive_reports.assert_nothing_reported()


async def test_a_running_loop_must_await(redrive_reports: testing.Reports) -> None:
    with pytest.raises(UsageError, match="adrain"):
        redrive_reports.drain()
    assert await redrive_reports.adrain() == []


def test_keys_behave_as_on_the_server(tmp_path: Path) -> None:
    with Redrive("http://127.0.0.1:1", group="g", spool=False) as client, testing.manual(client) as reports:

        def report(argument: int, scene: str = "s", **options: Any) -> str:
            return client.report(scene, executor="e", args=[argument], idempotency_key="k", **options).status

        assert [report(1), report(1), report(2, "other scene")] == ["accepted", "duplicate", "accepted"]
        with pytest.raises(Conflict):
            report(2)
        reports.tasks[0].status = "dead"
        assert [report(2, dedupe=60), report(2)] == ["accepted", "duplicate"]
        reports.tasks[-1].status = "succeeded"
        assert report(2) == "duplicate", "it keeps its key for a minute, and no minute passes in a test"


async def test_faults_stand_in_front_of_functions_and_transports() -> None:
    faults = Faults(ok(), http(503, retry_after=30), fail(error=KeyError))
    wrapped = faults.wrap(lambda: "fine")
    assert wrapped() == "fine"
    with pytest.raises(httpx.HTTPStatusError) as caught:
        wrapped()
    assert caught.value.response.headers["retry-after"] == "30"
    with pytest.raises(KeyError):
        wrapped()
    assert (wrapped(), faults.calls) == ("fine", 4)

    async def awaited() -> str:
        return "fine"

    faults = Faults(timeout())
    with pytest.raises(TimeoutError):
        await faults.wrap(awaited)()
    transport = Faults(http(429, stop=True), timeout()).transport(httpx.MockTransport(lambda _: httpx.Response(200)))
    async with httpx.AsyncClient(transport=transport) as client:
        assert (await client.get("http://bank")).headers["redrive-stop"] == "true"
        with pytest.raises(httpx.ReadTimeout):
            await client.get("http://bank")
        assert (await client.get("http://bank")).status_code == 200
