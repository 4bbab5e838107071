"""What a webhook's answer says of the attempt."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redrive.activities.request import Answer, read_webhook_answer

NOW = datetime(2026, 1, 1, tzinfo=UTC)
json_documents = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["error", "message", "detail"]) | st.text(), inner),
)


def message(body: bytes, status: int = 502) -> str | None:
    return read_webhook_answer(Answer(status, {}, body), NOW).error_message


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"type": "about:blank", "title": "Bad Gateway", "detail": "the acquirer is silent"}, "the acquirer is silent"),
        ({"title": "Bad Gateway"}, "Bad Gateway"),
        ({"error": {"type": "Timeout", "message": "no answer\n  in 5 s"}}, "no answer in 5 s"),
        ({"error": "invalid_grant", "error_description": "the token has expired"}, "the token has expired"),
        ({"error": "invalid_grant"}, "invalid_grant"),
        ({"message": "pool exhausted", "error": "Service Unavailable"}, "pool exhausted"),
    ],
)
def test_what_the_answer_says_is_part_of_the_error(document: object, said: str) -> None:
    assert message(json.dumps(document).encode()) == f"the target answered 502: {said}"


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"error": null}', b'{"message": " "}', b"\xff", b"[" * 20_000]
)
def test_an_answer_that_says_nothing_leaves_the_status(body: bytes) -> None:
    assert message(body) == "the target answered 502"


def test_errors_of_one_status_are_told_apart_but_not_by_their_numbers() -> None:
    def named(text: str) -> str | None:
        return read_webhook_answer(Answer(500, {}, json.dumps({"detail": text}).encode()), NOW).fingerprint

    assert named("order 7 is locked") == named("order 8 is locked")
    assert named("order 7 is locked") != named("the pool is exhausted")


@given(json_documents.map(lambda document: json.dumps(document).encode()) | st.binary())
def test_no_answer_breaks_it(body: bytes) -> None:
    finish = read_webhook_answer(Answer(500, {}, body), NOW)

    assert finish.error_message is not None
    assert finish.error_message.startswith("the target answered 500")
    assert len(finish.error_message) < 600
    assert "\0" not in finish.error_message
