"""Every channel against a server that looks at what it received, to the byte where there is a signature."""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
import json
import shutil
import ssl
import subprocess
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from standardwebhooks import Webhook
from tests.integration.engine.target import Reply, Target, serving

from redrive.activities.notify import Notifier
from redrive.core.channels import CHANNEL_KINDS, MASK
from redrive.core.notices import Notice
from redrive.core.states import AttemptStatus
from redrive.store.attempts import Finish
from redrive.store.database import Database, new_id
from redrive.store.tables import AlertChannel
from redrive.workflows.worker import target_client

NOW = datetime(2029, 12, 31, 12, tzinfo=UTC)  # 1893412800
SINCE = datetime(2029, 12, 31, 11, 55, tzinfo=UTC)
URL = "https://redrive.example.com/dead-letters?namespace=default&group=orders"

FIRING = Notice(
    id="0196f000-0000-7000-8000-000000000001",
    state="firing",
    rule="Payments die",
    event="dead_letter",
    namespace="default",
    incident="c0ffee",
    since=SINCE,
    at=NOW,
    value=12,
    threshold=10,
    window_seconds=300,
    where={"group": "orders", "scene": "charge-card"},
    facts={"Most frequent error": "shop.<b>CardError"},
    url=URL,
)
RECOVERED = replace(FIRING, state="recovered", value=0, facts={})
TEST = replace(FIRING, state="test", where={}, facts={})

TITLE = "Firing: Dead letters: orders/charge-card: 12 dead letters"
LINES = {
    "Rule": "Payments die",
    "Namespace": "default",
    "Group": "orders",
    "Scene": "charge-card",
    "Measured": "12 dead letters in 5 min, threshold 10",
    "Since": "2029-12-31 11:55:00 UTC",
    "Most frequent error": "shop.‹b›CardError",
}


@pytest.fixture
async def server() -> AsyncIterator[Target]:
    async with serving(Target()) as target:
        yield target


@pytest.fixture
async def notifier() -> AsyncIterator[Notifier]:
    """A notifier whose clock stands still, and which needs no database to send."""
    async with target_client(4) as http:
        yield Notifier(Database("postgresql://nobody@127.0.0.1:1/none"), http, lambda: NOW)


def channel(kind: str, **settings: Any) -> AlertChannel:
    return AlertChannel(id=new_id(), namespace="default", name="ops", kind=kind, settings=settings)


def bot(*replies: Mapping[str, Any]) -> list[Reply]:
    return [Reply(body=json.dumps(reply).encode()) for reply in replies]


async def told(notifier: Notifier, to: AlertChannel, notice: Notice = FIRING) -> Finish:
    finish = await notifier.send(to, notice, "message-1")
    assert finish.status is AttemptStatus.SUCCEEDED, finish
    return finish


# --- DingTalk ---------------------------------------------------------------------------------------------------------


async def test_dingtalk_gets_markdown_signed_in_the_query(notifier: Notifier, server: Target) -> None:
    server.say(*bot({"errcode": 0, "errmsg": "ok"}))
    mentions = ["13800138000", "manager1", "all"]
    url = f"{server.url}/robot/send?access_token=t0ken"
    await told(notifier, channel("dingtalk", url=url, secret="SECtest-secret", mentions=mentions))

    # printf '1893412800000\nSECtest-secret' | openssl dgst -sha256 -hmac SECtest-secret -binary | base64
    sign = "N1jG7XUTverb71QAenx3MStd0ckPAgHP1p6mqw6Ddtg%3D"
    (call,) = server.calls
    assert call.query == f"access_token=t0ken&timestamp=1893412800000&sign={sign}"
    assert (call.method, call.path) == ("POST", "/robot/send")
    bullets = "\n\n".join(f"- **{name}**: {value}" for name, value in LINES.items())
    assert call.json == {
        "msgtype": "markdown",
        "markdown": {
            "title": TITLE,
            "text": f"### {TITLE}\n\n{bullets}\n\n@13800138000 @manager1\n\n[Open in Redrive]({URL})",
        },
        "at": {"atMobiles": ["13800138000"], "atUserIds": ["manager1"], "isAtAll": True},
    }


async def test_a_recovery_calls_nobody(notifier: Notifier, server: Target) -> None:
    server.say(*bot({"errcode": 0}))
    await told(notifier, channel("dingtalk", url=f"{server.url}/robot", mentions=["all"]), RECOVERED)
    document = server.calls[0].json
    assert document["at"] == {"atMobiles": [], "atUserIds": [], "isAtAll": False}
    assert document["markdown"]["title"] == "Recovered: Dead letters: orders/charge-card"


# --- WeCom ------------------------------------------------------------------------------------------------------------


async def test_wecom_gets_markdown_and_text_when_somebody_is_called(notifier: Notifier, server: Target) -> None:
    server.say(*bot({"errcode": 0}))
    url = f"{server.url}/cgi-bin/webhook/send?key=k"
    await told(notifier, channel("wecom", url=url))
    await told(notifier, channel("wecom", url=url, mentions=["all", "13800138000", "zhang"]))

    plain, calling = (call.json for call in server.calls)
    quoted = "\n".join(f"> {name}: {value}" for name, value in LINES.items())
    content = f"**{TITLE}**\n{quoted}\n[Open in Redrive]({URL})"
    assert plain == {"msgtype": "markdown", "markdown": {"content": content}}
    listed = "\n".join(f"{name}: {value}" for name, value in LINES.items())
    assert calling == {
        "msgtype": "text",
        "text": {
            "content": f"{TITLE}\n{listed}\n{URL}",
            "mentioned_list": ["@all", "zhang"],
            "mentioned_mobile_list": ["13800138000"],
        },
    }


async def test_a_long_message_is_cut_to_the_bytes_that_wecom_takes(notifier: Notifier, server: Target) -> None:
    server.say(*bot({"errcode": 0}))
    wordy = replace(FIRING, facts={f"fact {number}": "重" * 190 for number in range(20)})
    await told(notifier, channel("wecom", url=f"{server.url}/send"), wordy)
    await told(notifier, channel("wecom", url=f"{server.url}/send", mentions=["all"]), wordy)
    markdown, text = (call.json for call in server.calls)
    assert 4000 < len(markdown["markdown"]["content"].encode()) <= 4096
    assert 2000 < len(text["text"]["content"].encode()) <= 2048


# --- Feishu and Lark --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "answer"), [("feishu", {"code": 0}), ("lark", {"StatusCode": 0})])
async def test_feishu_and_lark_get_a_card_signed_in_the_body(
    notifier: Notifier, server: Target, kind: str, answer: dict[str, Any]
) -> None:
    server.say(*bot(answer))
    url = f"{server.url}/open-apis/bot/v2/hook/abc"
    await told(notifier, channel(kind, url=url, secret="feishu-secret", mentions=["ou_1", "all"]))

    lines = "\n".join(f"**{name}**: {value}" for name, value in LINES.items())
    button = {
        "tag": "button",
        "text": {"tag": "plain_text", "content": "Open in Redrive"},
        "type": "primary",
        "url": URL,
    }
    assert server.calls[0].json == {
        "timestamp": "1893412800",
        # printf '' | openssl dgst -sha256 -hmac "$(printf '1893412800\nfeishu-secret')" -binary | base64
        "sign": "gd/w9JrQuDsw7zTRtlDd7VtD506wdycAjzaRMRG+A2M=",
        "msg_type": "interactive",
        "card": {
            "config": {"wide_screen_mode": True},
            "header": {"title": {"tag": "plain_text", "content": TITLE}, "template": "red"},
            "elements": [
                {"tag": "markdown", "content": f"{lines}\n<at id=ou_1></at><at id=all></at>"},
                {"tag": "action", "actions": [button]},
            ],
        },
    }


# --- Slack and Teams --------------------------------------------------------------------------------------------------


async def test_slack_gets_blocks_and_calls_people_in_its_own_way(notifier: Notifier, server: Target) -> None:
    server.say(Reply(body=b"ok"))
    mentions = ["U024BE7LH", "S0614TZR7", "here"]
    await told(notifier, channel("slack", url=f"{server.url}/services/T/B/x", mentions=mentions))

    document = server.calls[0].json
    assert document["text"] == f"<@U024BE7LH> <!subteam^S0614TZR7> <!here> {TITLE}"
    (attachment,) = document["attachments"]
    assert attachment["color"] == "#d92d20"
    title, facts, actions = attachment["blocks"]
    assert title == {"type": "section", "text": {"type": "mrkdwn", "text": f"*{TITLE}*"}}
    assert facts["text"]["text"] == "\n".join(f"*{name}*: {value}" for name, value in LINES.items())
    button = {"type": "button", "text": {"type": "plain_text", "text": "Open in Redrive"}, "url": URL}
    assert actions == {"type": "actions", "elements": [button]}


async def test_teams_gets_an_adaptive_card_in_the_envelope_of_its_workflow(notifier: Notifier, server: Target) -> None:
    server.say(Reply(202, b""))
    await told(notifier, channel("teams", url=f"{server.url}/workflows/1", mentions=["ann@example.com"]))

    (attachment,) = server.calls[0].json["attachments"]
    assert server.calls[0].json["type"] == "message"
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    heading, facts, called = card["body"]
    assert (heading["text"], heading["color"]) == (TITLE, "Attention")
    assert {fact["title"]: fact["value"] for fact in facts["facts"]} == LINES
    assert called["text"] == "<at>ann@example.com</at>"
    mentioned = {"id": "ann@example.com", "name": "ann@example.com"}
    entity = {"type": "mention", "text": "<at>ann@example.com</at>", "mentioned": mentioned}
    assert card["msteams"] == {"entities": [entity]}
    assert card["actions"] == [{"type": "Action.OpenUrl", "title": "Open in Redrive", "url": URL}]


# --- PagerDuty and webhooks -------------------------------------------------------------------------------------------


async def test_pagerduty_opens_an_incident_and_closes_it_by_the_same_key(notifier: Notifier, server: Target) -> None:
    server.say(Reply(202, b'{"status":"success"}'))
    pager = channel("pagerduty", routing_key="R0UTE", url=f"{server.url}/v2/enqueue", severity="critical")
    await told(notifier, pager)
    await told(notifier, pager, RECOVERED)
    await told(notifier, pager, replace(TEST, incident="test-1"))

    trigger, resolve, opened, closed = (call.json for call in server.calls)
    assert trigger == {
        "routing_key": "R0UTE",
        "event_action": "trigger",
        "dedup_key": "c0ffee",
        "client": "Redrive",
        "client_url": URL,
        "links": [{"href": URL, "text": "Open in Redrive"}],
        "payload": {
            "summary": TITLE,
            "source": "orders/charge-card",
            "severity": "critical",
            "timestamp": "2029-12-31T11:55:00.000+00:00",
            "component": "charge-card",
            "group": "orders",
            "class": "dead_letter",
            "custom_details": LINES,
        },
    }
    assert resolve == {"routing_key": "R0UTE", "event_action": "resolve", "dedup_key": "c0ffee"}
    assert (opened["event_action"], closed["event_action"]) == ("trigger", "resolve")
    assert opened["dedup_key"] == closed["dedup_key"] == "test-1"


async def test_a_webhook_is_signed_as_standard_webhooks_verify_it(server: Target) -> None:
    secret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
    async with target_client(1) as http:  # the reference implementation looks at its own clock
        notifier = Notifier(Database("postgresql://nobody@127.0.0.1:1/none"), http)
        to = channel("webhook", url=f"{server.url}/hook", secret=secret, headers={"x-team": "payments"})
        await told(notifier, to)

    (call,) = server.calls
    document = Webhook(secret).verify(call.body, dict(call.headers))
    assert (call.headers["webhook-id"], call.headers["x-team"]) == ("message-1", "payments")
    assert document["type"] == "alert.firing"
    data = document["data"]
    assert (data["title"], data["incident"], data["value"], data["url"]) == (TITLE, "c0ffee", 12, URL)
    assert data["where"] == {"group": "orders", "scene": "charge-card"}
    assert data["lines"] == LINES


# --- What goes wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "answer", "stop"),
    [
        ("dingtalk", {"errcode": 310000, "errmsg": "sign not match"}, True),
        ("dingtalk", {"errcode": 130101, "errmsg": "send too fast"}, False),
        ("wecom", {"errcode": 93000, "errmsg": "invalid webhook url"}, True),
        ("wecom", {"errcode": 45009, "errmsg": "api freq out of limit"}, False),
        ("feishu", {"code": 19021, "msg": "sign match fail or timestamp is not within one hour"}, True),
        ("feishu", {"code": 11232, "msg": "frequency limited"}, False),
        ("feishu", {"hello": "I am a proxy"}, False),
    ],
)
async def test_a_bot_that_refuses_with_200_has_not_taken_it(
    notifier: Notifier, server: Target, kind: str, answer: dict[str, Any], stop: bool
) -> None:
    server.say(*bot(answer))
    finish = await notifier.send(channel(kind, url=f"{server.url}/hook"), FIRING, "message-1")
    assert (finish.status, finish.error_type) == (AttemptStatus.FAILED, "redrive.ChannelRefused")
    assert finish.stop is stop, "what no retry cures must not be retried"
    assert str(answer.get("errmsg") or answer.get("msg") or "no reason") in (finish.error_message or "")


async def test_a_busy_channel_says_when_it_may_be_asked_again(notifier: Notifier, server: Target) -> None:
    server.say(Reply(429, b"rate_limited", {"retry-after": "30"}))
    finish = await notifier.send(channel("slack", url=f"{server.url}/hook"), FIRING, "message-1")
    assert (finish.status, finish.http_status, finish.retry_after_seconds) == (AttemptStatus.FAILED, 429, 30)


async def test_a_channel_that_is_away_is_a_failure_and_no_exception(notifier: Notifier) -> None:
    finish = await notifier.send(channel("slack", url="http://127.0.0.1:1/secret-path"), FIRING, "message-1")
    assert (finish.status, finish.error_type) == (AttemptStatus.FAILED, "httpx.ConnectError")
    assert "secret-path" not in str(finish)


@pytest.mark.parametrize("kind", [kind for kind in CHANNEL_KINDS if kind != "email"])
async def test_no_answer_can_bring_a_secret_into_the_ledger(notifier: Notifier, server: Target, kind: str) -> None:
    url = f"{server.url}/hook/t0p-secret-path?key=t0p-secret-key"
    settings: dict[str, Any] = {"url": url}
    if kind in ("dingtalk", "feishu", "lark"):
        settings["secret"] = "t0p-secret-sign"
    if kind == "pagerduty":
        settings = {"url": f"{server.url}/v2", "routing_key": "t0p-secret-route"}
    if kind == "webhook":
        settings = {
            "url": f"{server.url}/x",
            "secret": f"whsec_{'QUFB' * 8}",
            "headers": {"x-key": "t0p-secret-header"},
        }
    echo = json.dumps({"errcode": 1, "code": 1, "errmsg": f"refused {json.dumps(settings)}", **settings}).encode()
    for status in (200, 400):
        server.say(Reply(status, echo))
        finish = await notifier.send(channel(kind, **settings), FIRING, "message-1")
        assert finish.response is not None
        assert MASK in finish.response
        assert "t0p-secret" not in str(finish)
        assert "QUFBQUFB" not in str(finish)


# --- E-mail -----------------------------------------------------------------------------------------------------------


class MailServer:
    """An SMTP server that keeps what it takes."""

    def __init__(self) -> None:
        self.port = 0
        self.mails: list[tuple[Envelope, EmailMessage]] = []
        self.logins: list[tuple[bytes, bytes]] = []
        self.over_tls: list[bool] = []
        self.refuse: dict[str, str] = {}

    def authenticate(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        login = cast("LoginPassword", data)
        self.logins.append((login.login, login.password))
        return AuthResult(success=login.password == b"correct", handled=False)

    async def handle_RCPT(  # noqa: N802 - the name that aiosmtpd looks for
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - likewise
        assert server.transport is not None
        content = cast("bytes", envelope.content)
        mail = email.message_from_bytes(content, policy=email.policy.default)
        self.mails.append((envelope, mail))
        self.over_tls.append(server.transport.get_extra_info("sslcontext") is not None)
        return "250 OK"

    def settings(self, **changes: Any) -> dict[str, Any]:
        return {
            "host": "127.0.0.1", "port": self.port, "security": "none", "sender": "redrive@example.com",
            "to": ["ops@example.com", "lead@example.com"], **changes,
        }  # fmt: skip


@contextlib.asynccontextmanager
async def _receiving(
    mail_server: MailServer, implicit_tls: ssl.SSLContext | None = None, **options: Any
) -> AsyncGenerator[MailServer]:
    listening = await asyncio.get_running_loop().create_server(
        lambda: SMTP(mail_server, hostname="mail.test", **options), "127.0.0.1", 0, ssl=implicit_tls
    )
    mail_server.port = listening.sockets[0].getsockname()[1]
    try:
        yield mail_server
    finally:
        listening.close()


async def test_a_mail_has_both_forms_and_its_recovery_is_in_the_same_thread(notifier: Notifier) -> None:
    async with _receiving(MailServer()) as server:
        await told(notifier, channel("email", **server.settings()))
        await told(notifier, channel("email", **server.settings()), RECOVERED)

    (envelope, mail), (_, recovery) = server.mails
    assert (envelope.mail_from, envelope.rcpt_tos) == ("redrive@example.com", ["ops@example.com", "lead@example.com"])
    assert mail["Subject"] == f"[Redrive] {TITLE}"
    assert (mail["From"], mail["To"]) == ("redrive@example.com", "ops@example.com, lead@example.com")
    assert (mail["Message-ID"], mail["Auto-Submitted"]) == ("<message-1@example.com>", "auto-generated")
    assert mail["References"] == recovery["References"] == "<c0ffee@example.com>"
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert html is not None
    listed = "\n".join(f"{name}: {value}" for name, value in LINES.items())
    assert plain.get_content().replace("\r\n", "\n") == f"{TITLE}\n\n{listed}\n{URL}\n"
    assert URL.replace("&", "&amp;") in html.get_content()


async def test_mail_logs_in_and_a_wrong_password_is_not_tried_again(notifier: Notifier) -> None:
    server = MailServer()
    options: dict[str, Any] = {"authenticator": server.authenticate, "auth_require_tls": False}
    async with _receiving(server, **options):
        await told(notifier, channel("email", **server.settings(username="redrive", password="correct")))
        wrong = channel("email", **server.settings(username="redrive", password="wr0ng-secret"))
        finish = await notifier.send(wrong, FIRING, "message-2")
    assert server.logins[0] == (b"redrive", b"correct")
    assert (finish.status, finish.error_type, finish.stop) == (AttemptStatus.FAILED, "smtp.535", True)
    assert "wr0ng-secret" not in str(finish)


async def test_a_refused_recipient_is_told_and_all_of_them_are_a_failure(notifier: Notifier) -> None:
    async with _receiving(MailServer()) as server:
        server.refuse = {"lead@example.com": "550 no such user"}
        finish = await told(notifier, channel("email", **server.settings()))
        assert finish.response == "taken, except for lead@example.com (550 no such user)"

        server.refuse = {"ops@example.com": "451 try later", "lead@example.com": "550 no such user"}
        some = await notifier.send(channel("email", **server.settings()), FIRING, "message-1")
        server.refuse["ops@example.com"] = "550 no such user"
        none = await notifier.send(channel("email", **server.settings()), FIRING, "message-1")
    assert (some.status, some.stop) == (AttemptStatus.FAILED, False)
    assert (none.status, none.stop) == (AttemptStatus.FAILED, True)


async def test_mail_over_a_server_without_tls_is_refused_unless_that_is_wanted(notifier: Notifier) -> None:
    async with _receiving(MailServer()) as server:
        finish = await notifier.send(channel("email", **server.settings(security="starttls")), FIRING, "message-1")
    assert (finish.status, finish.error_type) == (AttemptStatus.FAILED, "smtp.SMTPNotSupportedError")
    assert server.mails == []


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1 that is its own authority, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("the command `openssl`, which makes the mail server's certificate, is not installed")
    folder = tmp_path_factory.mktemp("certificate")
    command = [
        openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=mail.test",
        "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "keyUsage=critical,digitalSignature,keyCertSign",
        "-out", str(folder / "certificate.pem"), "-keyout", str(folder / "key.pem"),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    return folder / "certificate.pem", folder / "key.pem"


@pytest.fixture
def server_tls(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    """What the mail server needs to speak TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    return context


@contextlib.asynccontextmanager
async def _over_tls(server: MailServer, security: str, context: ssl.SSLContext) -> AsyncGenerator[MailServer]:
    """Receive as servers on the internet do: no mail and no log-in without TLS."""
    if security == "tls":
        # All of it is encrypted; aiosmtpd only knows of the TLS that it has begun itself.
        receiving = _receiving(server, context, authenticator=server.authenticate, auth_require_tls=False)
    else:
        receiving = _receiving(server, tls_context=context, require_starttls=True, authenticator=server.authenticate)
    async with receiving:
        yield server


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_mail_goes_over_tls_to_a_server_whose_authority_is_known(
    notifier: Notifier,
    certificate: tuple[Path, Path],
    server_tls: ssl.SSLContext,
    security: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    async with _over_tls(MailServer(), security, server_tls) as server:
        to = channel("email", **server.settings(security=security, username="redrive", password="correct"))
        await told(notifier, to)

    assert server.over_tls == [True]
    assert server.logins == [(b"redrive", b"correct")]


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_certificate_that_nobody_vouches_for_is_refused_before_the_password_is_sent(
    notifier: Notifier, server_tls: ssl.SSLContext, security: str
) -> None:
    async with _over_tls(MailServer(), security, server_tls) as server:
        to = channel("email", **server.settings(security=security, username="redrive", password="correct"))
        finish = await notifier.send(to, FIRING, "message-1")

    assert (finish.status, finish.error_type) == (AttemptStatus.FAILED, "smtp.SSLCertVerificationError")
    assert finish.stop is False, "it is delivered once the certificate is mended"
    assert "certificate of 127.0.0.1 is not trusted: self" in str(finish.error_message)
    assert "SSL_CERT_FILE" in str(finish.error_message)
    assert (server.mails, server.logins) == ([], [])


async def test_a_certificate_for_another_name_is_refused(
    notifier: Notifier,
    certificate: tuple[Path, Path],
    server_tls: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    async with _over_tls(MailServer(), "starttls", server_tls) as server:
        to = channel("email", **server.settings(security="starttls", host="localhost"))
        finish = await notifier.send(to, FIRING, "message-1")

    assert "certificate of localhost is not trusted: Hostname mismatch" in str(finish.error_message)
    assert server.mails == []


async def test_a_password_is_not_sent_when_the_server_takes_tls_away(notifier: Notifier) -> None:
    """As somebody in between would who wants to read it."""
    server = MailServer()
    async with _receiving(server, authenticator=server.authenticate, auth_require_tls=False):
        to = channel("email", **server.settings(security="starttls", username="redrive", password="correct"))
        finish = await notifier.send(to, FIRING, "message-1")

    assert finish.error_type == "smtp.SMTPNotSupportedError"
    assert (server.mails, server.logins) == ([], [])


async def test_tls_at_the_wrong_port_says_which_ports_there_are(notifier: Notifier) -> None:
    async with _receiving(MailServer()) as server:
        finish = await notifier.send(channel("email", **server.settings(security="tls")), FIRING, "message-1")

    assert finish.error_type == "smtp.SSLError"
    assert "`starttls` after the greeting, on port 587" in str(finish.error_message)
