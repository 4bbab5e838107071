"""Channels: by which way a notice reaches people, and what each way needs to know.

What gives access is a secret: signing secrets and passwords, and the addresses of chat bots, whose last part is all
that a sender must know. Secrets go in and never come out: `masked` shows that they are there, and `unmasked` takes the
mask for “as it was”.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from email.headerregistry import Address
from ipaddress import ip_address
from typing import Any, ClassVar, Final, Literal, TypeAlias, cast, get_args
from urllib.parse import urlsplit

from redrive.core.documents import decode, encode
from redrive.core.errors import InvalidDocument
from redrive.core.signature import InvalidSecret, sign_key
from redrive.core.wire import check_headers, check_url

MASK: Final = "••••"
"""Stands for a secret wherever it is shown."""

ChannelKind: TypeAlias = Literal[
    "email", "dingtalk", "wecom", "feishu", "lark", "slack", "teams", "pagerduty", "webhook"
]

_ABSENT: Final = (
    "is a secret that is neither given nor stored here: give it; a file for `redrive config apply` may say "
    "'${env:NAME}' in its place"
)

_FORBID: Final = {"extra": "forbid"}
_MOST: Final = 50
_SECRET: Final = {"secret": True}


def _secret(default: Any = ...) -> Any:
    return field(metadata=_SECRET) if default is ... else field(default=default, metadata=_SECRET)


@dataclass(frozen=True, slots=True)
class EmailSettings:
    """E-mail by SMTP.

    Attributes:
        host: Name or address of the mail server.
        sender: Address that the mail comes from.
        to: Addresses that it goes to.
        port: 587 with `starttls`, 465 with `tls`, 25 with `none`, as a rule.
        security: `starttls` and `tls` check the server's certificate; `none` is for a server on the same machine.
        username: For the log-in; None for none.
        password: For the log-in.
    """

    __pydantic_config__: ClassVar = _FORBID
    host: str
    sender: str
    to: tuple[str, ...]
    port: int = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str | None = None
    password: str | None = _secret(None)

    def __post_init__(self) -> None:
        check_url(f"http://{self.host}:{self.port}/", "host")
        _reachable(self.host, "host")
        _expect(1 <= self.port <= 65_535, "port", f"expected 1 to 65535, got {self.port}")
        _mail_address(self.sender, "sender")
        _expect(1 <= len(self.to) <= _MOST, "to", f"expected 1 to {_MOST} addresses, got {len(self.to)}")
        for index, address in enumerate(self.to):
            _mail_address(address, f"to[{index}]")
        pair = (self.username is None) == (self.password is None)
        _expect(pair, "password", "expected a password together with a username, or neither")
        _expect(
            self.username is None or self.security != "none" or _is_loopback(self.host),
            "security", "expected 'starttls' or 'tls': a password must not travel in the clear",
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class DingTalkSettings:
    """A DingTalk group robot.

    Attributes:
        url: Its webhook address, with the access token.
        secret: Its signing secret (`SEC…`); None when it checks keywords or addresses instead.
        mentions: Whom to call when something fires: mobile numbers, user ids, or `all`.
    """

    __pydantic_config__: ClassVar = _FORBID
    url: str = _secret()
    secret: str | None = _secret(None)
    mentions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _bot(self.url, self.secret, self.mentions)


@dataclass(frozen=True, slots=True)
class WeComSettings:
    """A WeCom (企业微信) group robot.

    Attributes:
        url: Its webhook address, with the key.
        mentions: Whom to call when something fires: mobile numbers, user ids, or `all`.
    """

    __pydantic_config__: ClassVar = _FORBID
    url: str = _secret()
    mentions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _bot(self.url, None, self.mentions)


@dataclass(frozen=True, slots=True)
class FeishuSettings:
    """A custom bot of Feishu, or of Lark, which is the same under another address.

    Attributes:
        url: Its webhook address.
        secret: Its signing secret; None when it checks keywords or addresses instead.
        mentions: Whom to call when something fires: open ids (`ou_…`), user ids, or `all`.
    """

    __pydantic_config__: ClassVar = _FORBID
    url: str = _secret()
    secret: str | None = _secret(None)
    mentions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _bot(self.url, self.secret, self.mentions)


@dataclass(frozen=True, slots=True)
class SlackSettings:
    """An incoming webhook of Slack.

    Attributes:
        url: Its address.
        mentions: Whom to call when something fires: member ids (`U…`), user groups (`S…`), `here`, `channel` or `all`.
    """

    __pydantic_config__: ClassVar = _FORBID
    url: str = _secret()
    mentions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _bot(self.url, None, self.mentions)


@dataclass(frozen=True, slots=True)
class TeamsSettings:
    """A Teams workflow “Post to a channel when a webhook request is received”.

    Attributes:
        url: Its address.
        mentions: Whom to call when something fires: user principal names or Microsoft Entra object ids.
    """

    __pydantic_config__: ClassVar = _FORBID
    url: str = _secret()
    mentions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _bot(self.url, None, self.mentions)


@dataclass(frozen=True, slots=True)
class PagerDutySettings:
    """A PagerDuty service, by its Events API v2.

    Attributes:
        routing_key: Its integration key.
        severity: How bad it is.
        url: Where events go; `https://events.eu.pagerduty.com/v2/enqueue` for accounts in the EU.
    """

    __pydantic_config__: ClassVar = _FORBID
    routing_key: str = _secret()
    severity: Literal["critical", "error", "warning", "info"] = "error"
    url: str = "https://events.pagerduty.com/v2/enqueue"

    def __post_init__(self) -> None:
        _token(self.routing_key, "routing_key")
        _address(self.url)


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """Any address, signed by Standard Webhooks.

    Attributes:
        url: The address. Put what is secret into `headers`: this is shown.
        secret: Signing secret: `whsec_` and the base64 of 24 to 64 bytes.
        headers: Headers to add.
    """

    __pydantic_config__: ClassVar = _FORBID
    url: str
    secret: str = _secret()
    headers: Mapping[str, str] = field(default_factory=dict[str, str], metadata=_SECRET)

    def __post_init__(self) -> None:
        _address(self.url)
        check_headers(self.headers)
        try:
            sign_key(self.secret)
        except InvalidSecret:
            example = "head -c 32 /dev/urandom | base64"
            problem = f"expected 'whsec_' and the base64 of 24 to 64 bytes, such as 'whsec_' and `{example}`"
            raise InvalidDocument("secret", problem) from None


ChannelSettings: TypeAlias = (
    EmailSettings
    | DingTalkSettings
    | WeComSettings
    | FeishuSettings
    | SlackSettings
    | TeamsSettings
    | PagerDutySettings
    | WebhookSettings
)

KINDS: Final[Mapping[ChannelKind, type[ChannelSettings]]] = {
    "email": EmailSettings,
    "dingtalk": DingTalkSettings,
    "wecom": WeComSettings,
    "feishu": FeishuSettings,
    "lark": FeishuSettings,
    "slack": SlackSettings,
    "teams": TeamsSettings,
    "pagerduty": PagerDutySettings,
    "webhook": WebhookSettings,
}

CHANNEL_KINDS: Final[tuple[ChannelKind, ...]] = get_args(ChannelKind)


def parse_settings(kind: ChannelKind, document: object, path: str = "settings") -> ChannelSettings:
    """Read the settings of a channel.

    Args:
        kind: Which kind of channel.
        document: The JSON object.
        path: Its name in messages.

    Raises:
        InvalidDocument: They are not what this kind needs.
    """
    return decode(KINDS[kind], document, path)


def render_settings(settings: ChannelSettings) -> dict[str, Any]:
    """Write settings as a JSON object, secrets included: for the store alone."""
    return cast("dict[str, Any]", encode(settings))


def masked(settings: ChannelSettings) -> dict[str, Any]:
    """Write settings for people, who see that there is a secret, and the host of an address.

    Args:
        settings: The settings.
    """
    document = render_settings(settings)
    return {name: _mask(name, value) if name in _secrets(settings) else value for name, value in document.items()}


def unmasked(kind: ChannelKind, document: Mapping[str, Any], before: ChannelSettings | None) -> ChannelSettings:
    """Read changed settings, in which a masked secret, or one that is left out, stays as it was.

    Args:
        kind: Which kind of channel.
        document: The new settings.
        before: The present ones; None when there are none of this kind.

    Raises:
        InvalidDocument: They are not what this kind needs, or a secret is neither given nor there.
    """
    known = {} if before is None else render_settings(before)
    shown = {} if before is None else masked(before)
    given = dict(document)
    for one in fields(KINDS[kind]):
        name = one.name
        if not one.metadata.get("secret"):
            continue
        if name in given:
            given[name] = _unmasked(given[name], shown.get(name), known.get(name))
        elif name in known:
            given[name] = known[name]
        is_missing = name not in given and one.default is MISSING and one.default_factory is MISSING
        _expect(not is_missing and not _is_empty(given.get(name)), f"settings.{name}", _ABSENT)
    return parse_settings(kind, given)


def differing_secrets(before: ChannelSettings, after: ChannelSettings) -> list[str]:
    """Tell which secrets of two settings differ although they are shown alike.

    Args:
        before: Some settings.
        after: Others of the same kind.
    """
    old, new = render_settings(before), render_settings(after)
    shown_before, shown_after = masked(before), masked(after)
    return sorted(
        name for name in _secrets(after) if old[name] != new[name] and shown_before[name] == shown_after[name]
    )


def secret_texts(settings: ChannelSettings) -> list[str]:
    """List what must appear in no message, the longest first."""
    document = render_settings(settings)
    found: list[str] = []
    for name in _secrets(settings):
        value = document[name]
        if name == "url":
            parts = urlsplit(str(value))
            found += [str(value), parts.path, parts.query]
        else:
            found += list(cast("dict[str, str]", value).values()) if isinstance(value, dict) else [value or ""]
    return sorted((text for text in found if len(text) > 3), key=len, reverse=True)


def redact(text: str, settings: ChannelSettings) -> str:
    """Replace the secrets of a channel in a text that goes to people or into a log.

    Args:
        text: For example what a channel answered, which may quote its own address.
        settings: The channel's settings.
    """
    for secret in secret_texts(settings):
        text = text.replace(secret, MASK)
    return text


def _secrets(settings: ChannelSettings) -> set[str]:
    return {field.name for field in fields(settings) if field.metadata.get("secret")}


def _unmasked(value: Any, shown: Any, known: Any) -> Any:
    if value == shown:
        return known
    if not isinstance(value, dict) or not isinstance(known, dict):
        return cast("Any", value)
    headers = cast("dict[str, Any]", known)
    entries = cast("dict[str, Any]", value).items()
    return {key: headers.get(key, entry) if entry == MASK else entry for key, entry in entries}


def _is_empty(value: Any) -> bool:
    """Tell whether something stands in the place of a secret: a mask, or a variable that nobody has filled in."""
    texts = cast("dict[str, Any]", value).values() if isinstance(value, dict) else [value]
    return any(isinstance(text, str) and (MASK in text or "${env:" in text) for text in texts)


def _mask(name: str, value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, dict):
        return dict.fromkeys(cast("dict[str, Any]", value), MASK)
    if name == "url":
        parts = urlsplit(str(value))
        return f"{parts.scheme}://{parts.netloc}/{MASK}"
    return MASK


def _bot(url: str, secret: str | None, mentions: tuple[str, ...]) -> None:
    _address(url)
    if secret is not None:
        _token(secret, "secret")
    _expect(len(mentions) <= _MOST, "mentions", f"expected at most {_MOST}, got {len(mentions)}")
    for index, mention in enumerate(mentions):
        # They become part of a message's markup.
        fits = 1 <= len(mention) <= 200 and mention.isprintable() and not set(mention) & set("<>&\"' |")
        _expect(fits, f"mentions[{index}]", "expected an id without spaces, quotes or angle brackets")


def _token(value: str, name: str) -> None:
    fits = 1 <= len(value) <= 500 and value.isascii() and value.isprintable() and " " not in value and MASK not in value
    _expect(fits, name, "expected 1 to 500 printable ASCII characters without spaces")


def _address(url: str) -> None:
    check_url(url, "url")
    _reachable(urlsplit(url).hostname or "", "url")


def _reachable(host: str, name: str) -> None:
    """Refuse the addresses at which clouds hand out credentials to whoever asks from inside."""
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return
    mapped = getattr(address, "ipv4_mapped", None) or address
    refused = mapped.is_link_local or mapped.is_multicast or mapped.is_unspecified
    _expect(not refused, name, f"expected the address of a server, got {host}, which is link-local or no host at all")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _mail_address(text: str, name: str) -> None:
    try:
        fits = "@" in text and Address(addr_spec=text).addr_spec == text and text.isascii() and text.isprintable()
    except (ValueError, IndexError):
        fits = False
    _expect(fits and len(text) <= 254, name, "expected one mail address such as 'ops@example.com'")


def _expect(condition: bool, name: str, problem: str) -> None:
    if not condition:
        raise InvalidDocument(name, problem)
