"""`redrive secrets …` against a server that answers like the API."""

from tests.unit.cli.conftest import FakeApi, Run

PATH = "/v1/groups/orders/signing-secrets"


def test_secrets_are_shown_rotated_and_ended(api: FakeApi, run: Run) -> None:
    api.answer(f"GET {PATH}", {"signing_secrets": ["whsec_a"], "previous_until": None})
    api.answer(
        f"POST {PATH}/rotate", {"signing_secrets": ["whsec_b", "whsec_a"], "previous_until": "2026-01-31T12:00:00Z"}
    )
    api.answer(f"POST {PATH}/end-previous", {"signing_secrets": ["whsec_b"], "previous_until": None})

    shown = run("secrets", "show", "orders")
    rotated = run("secrets", "rotate", "orders", "--keep", "2h")
    ended = run("secrets", "end-previous", "orders")

    assert shown.stdout == "whsec_a\n"
    assert rotated.stdout == "whsec_b\nwhsec_a\n"
    assert "ends at 2026-01-31T12:00:00Z" in rotated.stderr
    assert api.requests[1].document == {"keep_previous_seconds": 7200}
    assert ended.stdout == "whsec_b\n"


def test_an_unknown_group_is_one_line(api: FakeApi, run: Run) -> None:
    gone = run("secrets", "show", "orders")

    assert gone.exit_code == 1
    assert gone.stderr.count("\n") == 1
