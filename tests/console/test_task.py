"""One task: where it stands and why, what every attempt was, and what can be done."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Locator, Page, expect
from tests.console.conftest import Show
from tests.console.world import SLOW, World, until


def waiting(world: World, number: int) -> str:
    """A task that waits for its next attempt."""
    task = world.report("hands", "hands", "by-hand", "busy", SLOW, number)
    until(lambda: world.status(task) == "waiting")
    return task


def panel(page: Page, heading: str) -> Locator:
    """A part of the page by its heading."""
    return page.locator("section").filter(has=page.get_by_role("heading", name=heading, exact=True))


def test_tells_each_attempt_with_its_answer_and_why_the_next_was_when_it_was(show: Show, world: World) -> None:
    task = next(
        known
        for known in world.tasks["dead"]
        if world.api.get(f"/v1/tasks/{known}").json()["dead_reason"] == "exhausted"
    )
    page = show(f"/tasks/{task}")
    expect(page.get_by_text("Died after")).to_be_visible()
    attempts = panel(page, "Attempts")
    expect(attempts.get_by_role("button", name="Attempt")).to_have_count(
        world.api.get(f"/v1/tasks/{task}").json()["attempts"]
    )
    expect(attempts.get_by_label("Body of the answer")).to_contain_text('"error"')
    expect(attempts.get_by_text("proportional jitter").first).to_be_visible()
    expect(panel(page, "Effective policy").get_by_role("row", name="max_attempts")).to_contain_text("this task")
    expect(panel(page, "Payload")).to_contain_text("BOOK-")


def test_counts_down_and_retries_now(show: Show, world: World) -> None:
    task = waiting(world, 800)
    page = show(f"/tasks/{task}")
    expect(page.get_by_text("Attempt 1 of 12").first).to_be_visible()
    expect(page.get_by_role("timer").first).to_be_visible()
    page.get_by_role("button", name="Retry now").click()
    dialog = page.get_by_role("dialog", name="Run the next attempt now?")
    expect(dialog).to_contain_text("Attempt 1 of 12 begins at once")
    dialog.get_by_label("Reason").fill("the provider is back")
    dialog.get_by_role("button", name="Retry now").click()

    expect(page.get_by_text("Attempt 2 of 12").first).to_be_visible()
    expect(page.get_by_text("HTTP 503").first).to_be_visible()
    expect(panel(page, "By hand")).to_contain_text("the provider is back")


def test_pauses_resumes_reschedules_and_cancels(show: Show, world: World) -> None:
    page = show(f"/tasks/{waiting(world, 801)}")
    for button, state in (("Pause", "Paused"), ("Resume", "Waiting")):
        page.get_by_role("button", name=button).click()
        page.get_by_role("dialog").get_by_role("button", name=button).click()
        expect(page.get_by_role("main").get_by_text(state, exact=True).first).to_be_visible()
    page.get_by_role("button", name="More actions").click()
    page.get_by_role("menuitem", name="Reschedule").click()
    page.get_by_role("dialog").get_by_role("button", name="6h", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Reschedule").click()
    expect(page.get_by_role("timer").first).to_contain_text("5h 59m")
    page.get_by_role("button", name="More actions").click()
    page.get_by_role("menuitem", name="Cancel").click()
    expect(page.get_by_role("dialog")).to_contain_text("12 attempts will not be made")
    page.get_by_role("dialog").get_by_role("button", name="Cancel").last.click()

    expect(page.get_by_role("main").get_by_text("Cancelled", exact=True).first).to_be_visible()


def test_edits_the_payload_and_tries_again(show: Show, world: World) -> None:
    task = waiting(world, 802)
    page = show(f"/tasks/{task}")
    page.get_by_role("button", name="Edit and retry").click()
    dialog = page.get_by_role("dialog", name="Edit and retry")
    field = dialog.get_by_label("Named arguments")
    field.fill('{"order": ')
    expect(dialog.get_by_text("This is not JSON")).to_be_visible()
    expect(dialog.get_by_role("button", name="Save and retry")).to_be_disabled()
    field.fill('{"order": "o-corrected"}')
    dialog.get_by_role("button", name="Save and retry").click()

    expect(panel(page, "Payload")).to_contain_text("o-corrected")
    expect(panel(page, "Payload")).to_contain_text("revision 2")
    until(lambda: world.api.get(f"/v1/tasks/{task}").json()["attempts"] == 1)


def test_sends_one_task_elsewhere_by_a_policy_of_its_own(show: Show, world: World) -> None:
    """The dialog begins with where the task goes and with what its scene says, and tells what the server refuses."""
    task = waiting(world, 805)
    page = show(f"/tasks/{task}")
    page.get_by_role("button", name="Edit and retry").click()
    dialog = page.get_by_role("dialog", name="Edit and retry")
    dialog.get_by_label("Send it to").select_option("a webhook")
    address = dialog.get_by_label("URL")
    expect(address).to_have_value(re.compile(r"^http://127\.0\.0\.1:\d+/"))
    address.fill("ftp://example.com")
    attempts = dialog.get_by_label("Attempts at most", exact=True)
    attempts.fill("3")
    dialog.get_by_role("button", name="Save and retry").click()
    expect(address).to_have_attribute("aria-invalid", "true")
    address.fill(f"{world.provider.url}/busy/elsewhere")
    dialog.get_by_role("button", name="Save and retry").click()

    expect(page.get_by_text("Attempt 2 of 3").first).to_be_visible()
    found = world.api.get(f"/v1/tasks/{task}").json()
    assert found["target"]["url"] == f"{world.provider.url}/busy/elsewhere"


def test_each_revision_of_the_payload_tells_who_changed_what_and_which_attempt_had_it(show: Show, world: World) -> None:
    task = waiting(world, 804)
    for number, change in enumerate(({"amount": {"currency": "USD"}}, {"express": None}), start=1):
        edit = {"payload_patch": {"kwargs": change}, "reason": f"edit {number}"}
        world.api.post(f"/v1/tasks/{task}/edit-and-retry", json=edit).raise_for_status()
        until(lambda number=number: world.api.get(f"/v1/tasks/{task}").json()["attempts"] == number)
        until(lambda: world.status(task) == "waiting")
    page = show(f"/tasks/{task}")
    revisions = page.get_by_role("list", name="Revisions").get_by_role("listitem")
    expect(revisions).to_contain_text([re.compile("revision 3.*edit 2"), "edit 1", "as it was reported"])
    revisions.nth(1).get_by_role("button").click()
    expect(revisions.nth(1).get_by_role("deletion")).to_contain_text('"currency": "EUR"')
    expect(revisions.nth(1).get_by_role("insertion")).to_contain_text('"currency": "USD"')
    attempt = page.get_by_role("listitem").filter(has=page.get_by_role("button", name=re.compile("^Attempt 1")))
    attempt.get_by_role("button", name=re.compile("^Attempt 1")).click()

    expect(attempt).to_contain_text("revision 2")


def test_what_the_server_refuses_is_said_in_the_dialog(show: Show, world: World) -> None:
    task = waiting(world, 803)
    page = show(f"/tasks/{task}")
    # Somebody else deletes the task, and the page has not heard of it yet.
    page.route("**/v1/events*", lambda route: route.abort())
    page.reload()
    page.get_by_role("button", name="Retry now").click()
    world.api.post(f"/v1/tasks/{task}/cancel", json={}).raise_for_status()
    world.api.delete(f"/v1/tasks/{task}").raise_for_status()
    page.get_by_role("dialog").get_by_role("button", name="Retry now").click()

    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("The task does not exist")


def test_a_task_that_does_not_exist_is_said_to_be_missing(show: Show) -> None:
    page = show("/tasks/01890a5d-ac96-774b-bcce-b302099a8057")

    expect(page.get_by_role("alert")).to_contain_text("The task does not exist")


def test_looks(picture: Callable[..., None], world: World) -> None:
    picture("task", f"/tasks/{world.tasks['dead'][0]}", ready="Effective policy")
