"""Standard Webhooks signatures (https://www.standardwebhooks.com, specification 1.0.0).

The signed text is `<id>.<timestamp>.<body>`; the signature is HMAC-SHA256 in base64 behind `v1,`. Several secrets may
be live at once, so that one can be replaced without a gap.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from redrive.core.errors import RedriveError

ID_HEADER: Final = "webhook-id"
TIMESTAMP_HEADER: Final = "webhook-timestamp"
SIGNATURE_HEADER: Final = "webhook-signature"

TOLERANCE_SECONDS: Final = 300.0
"""How far a timestamp may be from the receiver's clock."""

_PREFIX: Final = "whsec_"


class InvalidSignature(RedriveError):
    """A request is not signed by any of the known secrets, or not recently."""


class InvalidSecret(RedriveError, ValueError):
    """A signing secret must be `whsec_` and the base64 of 24 to 64 bytes."""

    def __init__(self) -> None:
        super().__init__(self.__class__.__doc__)


def new_secret() -> str:
    """Make a signing secret of 32 random bytes."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def sign(secret_list: Sequence[str], message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """Make the three headers of a signed request.

    Args:
        secret_list: The live secrets, the preferred one first.
        message_id: Stable over all attempts of one message.
        at: Instant of this attempt.
        body: The exact bytes to be sent.

    Returns:
        `webhook-id`, `webhook-timestamp` and `webhook-signature`, which has one entry per secret.

    Raises:
        InvalidSecret: A secret is malformed.
    """
    timestamp = str(int(at.timestamp()))
    signatures = [f"v1,{_digest(secret, message_id, timestamp, body)}" for secret in secret_list]
    return {ID_HEADER: message_id, TIMESTAMP_HEADER: timestamp, SIGNATURE_HEADER: " ".join(signatures)}


def verify(secret_list: Sequence[str], headers: Mapping[str, str], body: bytes, now: datetime) -> None:
    """Check a signed request.

    Args:
        secret_list: The secrets that are accepted.
        headers: The request's headers, names in lower case.
        body: The exact bytes that came.
        now: The receiver's clock.

    Raises:
        InvalidSignature: A header is missing, the timestamp is more than five minutes off, or no signature fits.
        InvalidSecret: A secret is malformed.
    """
    try:
        message_id, timestamp, given = headers[ID_HEADER], headers[TIMESTAMP_HEADER], headers[SIGNATURE_HEADER]
    except KeyError as error:
        raise InvalidSignature(f"the header {error.args[0]} is missing") from None
    if not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 12:
        raise InvalidSignature(f"expected webhook-timestamp in whole seconds, got {timestamp[:40]!r}")
    if abs(now.timestamp() - int(timestamp)) > TOLERANCE_SECONDS:
        raise InvalidSignature("webhook-timestamp is more than five minutes away from this clock")
    if not (message_id.isascii() and given.isascii()):
        raise InvalidSignature("expected webhook-id and webhook-signature in ASCII")
    offered = [part.removeprefix("v1,") for part in given.split(" ") if part.startswith("v1,")]
    for secret in secret_list:
        expected = _digest(secret, message_id, timestamp, body).encode()
        if any(hmac.compare_digest(expected, signature.encode()) for signature in offered):
            return
    raise InvalidSignature("no signature was made with a known secret")


def _digest(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    signed = f"{message_id}.{timestamp}.".encode() + body
    return base64.b64encode(hmac.new(sign_key(secret), signed, hashlib.sha256).digest()).decode()


def sign_key(secret: str) -> bytes:
    """Give the key that a signing secret stands for.

    Raises:
        InvalidSecret: The secret is malformed.
    """
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidSecret from None
    if not 24 <= len(key) <= 64:
        raise InvalidSecret
    return key
