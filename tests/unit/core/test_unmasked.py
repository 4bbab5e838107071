"""Secrets of channels: what was shown comes back as it was, whatever it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redrive.core.channels import (
    KINDS,
    MASK,
    ChannelKind,
    ChannelSettings,
    differing_secrets,
    masked,
    parse_settings,
    render_settings,
    unmasked,
)
from redrive.core.errors import InvalidDocument

TOKENS = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=4, max_size=12)
HEADERS = st.dictionaries(TOKENS.map(lambda token: f"x-{token}"), TOKENS, max_size=3)
WHSEC = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"


@st.composite
def settings(draw: st.DrawFn) -> tuple[ChannelKind, ChannelSettings]:
    """Draw a kind of channel and settings that it can have."""
    kind = draw(st.sampled_from(tuple(KINDS)))
    url = f"https://{draw(TOKENS)}.example/{draw(TOKENS)}?key={draw(TOKENS)}"
    document: dict[str, object] = {"url": url}
    if kind in ("dingtalk", "feishu", "lark"):
        document["secret"] = draw(st.none() | TOKENS)
    elif kind == "webhook":
        document |= {"secret": WHSEC, "headers": draw(HEADERS)}
    elif kind == "pagerduty":
        document = {"routing_key": draw(TOKENS)}
    elif kind == "email":
        user = draw(st.none() | TOKENS)
        document = {"host": "smtp.example", "sender": "a@b.example", "to": ["c@d.example"], "username": user}
        document["password"] = None if user is None else draw(TOKENS)
    return kind, parse_settings(kind, document)


@given(settings())
def test_what_was_shown_can_be_sent_back_and_a_secret_can_be_left_out(
    drawn: tuple[ChannelKind, ChannelSettings],
) -> None:
    kind, before = drawn
    shown = masked(before)
    secrets = {name for name, value in render_settings(before).items() if value != shown[name]}

    assert unmasked(kind, shown, before) == before
    assert unmasked(kind, {name: shown[name] for name in shown if name not in secrets}, before) == before
    assert differing_secrets(before, before) == []


@given(settings())
def test_a_mask_is_never_taken_for_a_secret(drawn: tuple[ChannelKind, ChannelSettings]) -> None:
    kind, before = drawn
    shown = masked(before)
    if MASK in str(shown):
        with pytest.raises(InvalidDocument, match="neither given nor stored"):
            unmasked(kind, shown, None)
    else:
        assert unmasked(kind, shown, None) == before
