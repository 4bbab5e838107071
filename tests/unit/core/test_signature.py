import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from tests.unit.core.strategies import instants

from redrive.core.signature import (
    ID_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    InvalidSecret,
    InvalidSignature,
    new_secret,
    sign,
    verify,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OLD, NEW, OTHER = (f"whsec_{base64.b64encode(bytes([number]) * 32).decode()}" for number in (1, 2, 3))
BODY = b'{"amount": 5}'

secrets = st.binary(min_size=24, max_size=64).map(lambda key: f"whsec_{base64.b64encode(key).decode()}")
ids = st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)


class TestReference:
    """The reference implementation of Standard Webhooks."""

    @given(secrets, ids, instants, st.text())
    def test_our_signature_is_theirs(self, secret: str, message_id: str, at: datetime, text: str) -> None:
        headers = sign([secret], message_id, at, text.encode())

        assert headers[SIGNATURE_HEADER] == Webhook(secret).sign(message_id, at, text)

    @given(ids, st.text())
    def test_they_accept_what_we_sign(self, message_id: str, text: str) -> None:
        secret, body = new_secret(), text.encode()

        headers = sign([OTHER, secret], message_id, datetime.now(UTC), body)

        Webhook(secret).verify(body, headers, json_parse=False)
        with pytest.raises(WebhookVerificationError):
            Webhook(NEW).verify(body, headers, json_parse=False)

    @given(secrets, ids, instants, st.text())
    def test_we_accept_what_they_sign(self, secret: str, message_id: str, at: datetime, text: str) -> None:
        headers = {
            ID_HEADER: message_id,
            TIMESTAMP_HEADER: str(int(at.timestamp())),
            SIGNATURE_HEADER: Webhook(secret).sign(message_id, at, text),
        }

        verify([secret], headers, text.encode(), at)

    def test_the_example_of_the_specification(self) -> None:
        """Fixed values, so that both implementations cannot be wrong in the same way."""
        secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
        at = datetime.fromtimestamp(1614265330, UTC)

        headers = sign([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", at, b'{"test": 2432232314}')

        assert headers == {
            "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "webhook-timestamp": "1614265330",
            "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        }


class TestRotation:
    @pytest.mark.parametrize("known", [[OLD], [NEW], [OTHER, NEW]])
    def test_a_request_signed_with_both_secrets_is_accepted_with_either(self, known: list[str]) -> None:
        headers = sign([NEW, OLD], "m", NOW, BODY)

        verify(known, headers, BODY, NOW)

    @pytest.mark.parametrize("signed_with", [OLD, NEW])
    def test_a_receiver_that_knows_both_secrets_accepts_either(self, signed_with: str) -> None:
        verify([NEW, OLD], sign([signed_with], "m", NOW, BODY), BODY, NOW)

    def test_the_preferred_secret_signs_first(self) -> None:
        first, second = sign([NEW, OLD], "m", NOW, BODY)[SIGNATURE_HEADER].split(" ")

        assert first == sign([NEW], "m", NOW, BODY)[SIGNATURE_HEADER]
        assert second == sign([OLD], "m", NOW, BODY)[SIGNATURE_HEADER]

    def test_a_secret_that_was_taken_away_is_not_accepted(self) -> None:
        with pytest.raises(InvalidSignature, match="no signature was made with a known secret"):
            verify([NEW], sign([OLD], "m", NOW, BODY), BODY, NOW)

    def test_nothing_is_accepted_without_secrets(self) -> None:
        with pytest.raises(InvalidSignature):
            verify([], sign([OLD], "m", NOW, BODY), BODY, NOW)


class TestTampering:
    @given(st.binary(max_size=50), st.integers(0, 49), st.integers(1, 255))
    def test_a_changed_body_is_refused(self, body: bytes, position: int, change: int) -> None:
        headers = sign([OLD], "m", NOW, body)
        position %= len(body) + 1
        changed = body[:position] + bytes([change]) + body[position:]

        verify([OLD], headers, body, NOW)
        with pytest.raises(InvalidSignature):
            verify([OLD], headers, changed, NOW)

    @pytest.mark.parametrize(
        ("header", "value"),
        [
            (ID_HEADER, "n"),
            (ID_HEADER, ""),
            (ID_HEADER, "\udcff"),
            (TIMESTAMP_HEADER, str(int(NOW.timestamp()) + 1)),
            (SIGNATURE_HEADER, ""),
            (SIGNATURE_HEADER, "v1,"),
            (SIGNATURE_HEADER, "v1"),
            (SIGNATURE_HEADER, "v1,AAAA"),
            (SIGNATURE_HEADER, "v1,\xff\udcff"),
            (SIGNATURE_HEADER, "v1,v1,"),
            (SIGNATURE_HEADER, " " * 10_000),
        ],
    )
    def test_a_changed_header_is_refused(self, header: str, value: str) -> None:
        with pytest.raises(InvalidSignature):
            verify([OLD], {**sign([OLD], "m", NOW, BODY), header: value}, BODY, NOW)

    def test_a_signature_of_another_version_does_not_count(self) -> None:
        headers = sign([OLD], "m", NOW, BODY)
        headers[SIGNATURE_HEADER] = headers[SIGNATURE_HEADER].replace("v1,", "v1a,")

        with pytest.raises(InvalidSignature):
            verify([OLD], headers, BODY, NOW)

    def test_signatures_of_other_versions_beside_ours_do_no_harm(self) -> None:
        headers = sign([OLD], "m", NOW, BODY)
        headers[SIGNATURE_HEADER] = f"v2,xyz v1a,{'A' * 86}== {headers[SIGNATURE_HEADER]}"

        verify([OLD], headers, BODY, NOW)

    @pytest.mark.parametrize("header", [ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER])
    def test_a_missing_header_is_named(self, header: str) -> None:
        headers = sign([OLD], "m", NOW, BODY)
        del headers[header]

        with pytest.raises(InvalidSignature, match=f"the header {header} is missing"):
            verify([OLD], headers, BODY, NOW)

    @given(st.text(), st.text(), st.text())
    def test_no_header_can_break_it(self, message_id: str, timestamp: str, signature: str) -> None:
        headers = {ID_HEADER: message_id, TIMESTAMP_HEADER: timestamp, SIGNATURE_HEADER: f"v1,{signature}"}
        fresh = {**headers, TIMESTAMP_HEADER: str(int(NOW.timestamp()))}

        for given_headers in (headers, fresh):
            with pytest.raises(InvalidSignature):
                verify([OLD], given_headers, BODY, NOW)


class TestTime:
    @pytest.mark.parametrize("seconds", [-300, -1, 0, 1, 300])
    def test_a_timestamp_within_five_minutes_is_accepted(self, seconds: int) -> None:
        verify([OLD], sign([OLD], "m", NOW, BODY), BODY, NOW + timedelta(seconds=seconds))

    @pytest.mark.parametrize("seconds", [-3600, -301, 301, 3600])
    def test_a_timestamp_further_away_is_refused_in_both_directions(self, seconds: int) -> None:
        """A request that was recorded may not be sent again later."""
        with pytest.raises(InvalidSignature, match="more than five minutes"):
            verify([OLD], sign([OLD], "m", NOW, BODY), BODY, NOW + timedelta(seconds=seconds))

    @pytest.mark.parametrize("timestamp", ["", "soon", "1.5", "-1", "+1", " 1", "1e9", "٣", "nan", "9" * 5000])
    def test_a_timestamp_is_whole_seconds(self, timestamp: str) -> None:
        headers = {**sign([OLD], "m", NOW, BODY), TIMESTAMP_HEADER: timestamp}

        with pytest.raises(InvalidSignature, match="expected webhook-timestamp in whole seconds"):
            verify([OLD], headers, BODY, NOW)


class TestSecrets:
    def test_a_new_secret_is_one_that_can_sign_and_never_the_same(self) -> None:
        one, other = new_secret(), new_secret()

        assert one != other
        assert one.startswith("whsec_")
        verify([one], sign([one], "m", NOW, BODY), BODY, NOW)

    def test_the_prefix_may_be_left_out(self) -> None:
        bare = OLD.removeprefix("whsec_")

        assert sign([bare], "m", NOW, BODY) == sign([OLD], "m", NOW, BODY)

    @pytest.mark.parametrize(
        "secret",
        [
            "",
            "whsec_",
            "whsec_secret",
            "whsec_!!!!",
            "whsec_é",
            "whsec_\udcff",
            OLD + "\n",
            OLD[:-1],
            OLD.replace("whsec_", "WHSEC_"),
            "whsec_" + base64.b64encode(b"x" * 23).decode(),
            "whsec_" + base64.b64encode(b"x" * 65).decode(),
        ],
    )
    def test_a_malformed_secret_is_refused_without_being_shown(self, secret: str) -> None:
        headers = sign([OLD], "m", NOW, BODY)

        with pytest.raises(InvalidSecret, match="must be `whsec_` and the base64 of 24 to 64 bytes") as signing:
            sign([secret], "m", NOW, BODY)
        with pytest.raises(InvalidSecret):
            verify([secret], headers, BODY, NOW)

        assert len(secret) < 10 or secret not in str(signing.value)
