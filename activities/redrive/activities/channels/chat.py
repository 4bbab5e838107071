"""Chat bots: DingTalk, WeCom, Feishu and Lark, Slack, Microsoft Teams."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, cast
from urllib.parse import quote_plus

from redrive.activities.request import USER_AGENT, Answer, Request, read_webhook_answer
from redrive.core.channels import DingTalkSettings, FeishuSettings, SlackSettings, TeamsSettings, WeComSettings
from redrive.core.fingerprint import fingerprint
from redrive.core.notices import Notice
from redrive.core.states import AttemptStatus
from redrive.store.attempts import Finish

_OPEN: Final = "Open in Redrive"
_EVERYONE: Final = "all"

_WECOM_TEXT_BYTES: Final = 2048
_WECOM_MARKDOWN_BYTES: Final = 4096

_BUSY: Final = frozenset({-1, 45009, 45033, 90018, 130101, 410100, 11232, 11233})
"""Codes by which a vendor asks for patience: its system is busy, or a bot has sent too much (DingTalk and WeCom: at
most 20 messages a minute; Feishu: at most 5 a second). All others are mistakes of a setting, which no retry cures."""


# --- DingTalk ---------------------------------------------------------------------------------------------------------


def dingtalk_sign(secret: str, now: datetime) -> tuple[str, str]:
    r"""Sign as a DingTalk robot asks (“Customize the security settings of a robot”).

    The key is the secret, and the text is `<timestamp in milliseconds>\n<secret>`.

    Args:
        secret: The robot's secret.
        now: When it is sent; DingTalk takes what is at most an hour old.

    Returns:
        The timestamp, and the signature in base64, both for the query.
    """
    timestamp = str(int(now.timestamp() * 1000))
    return timestamp, _hmac(secret.encode(), f"{timestamp}\n{secret}".encode())


def dingtalk_request(settings: DingTalkSettings, notice: Notice, now: datetime) -> Request:
    """Make a message of a DingTalk robot: markdown, with `at` for whom it calls."""
    url = settings.url
    if settings.secret is not None:
        timestamp, sign = dingtalk_sign(settings.secret, now)
        url = f"{url}{'&' if '?' in url else '?'}timestamp={timestamp}&sign={quote_plus(sign)}"
    called = _called(notice, settings.mentions)
    names = [name for name in called if name != _EVERYONE]
    mobiles = [name for name in names if _is_mobile(name)]
    users = [name for name in names if not _is_mobile(name)]
    # DingTalk highlights only whom the text names as well.
    lines = [f"### {notice.title}", *_bullets(notice), *([" ".join(f"@{name}" for name in names)] if names else [])]
    document = {
        "msgtype": "markdown",
        "markdown": {"title": notice.title, "text": "\n\n".join([*lines, *_markdown_link(notice)])},
        "at": {"atMobiles": mobiles, "atUserIds": users, "isAtAll": _EVERYONE in called},
    }
    return post(url, document)


# --- WeCom ------------------------------------------------------------------------------------------------------------


def wecom_request(settings: WeComSettings, notice: Notice) -> Request:
    """Make a message of a WeCom robot: markdown, or plain text when it calls somebody, since only that can call all."""
    called = _called(notice, settings.mentions)
    if not called:
        lines = [f"**{notice.title}**", *(f"> {name}: {value}" for name, value in notice.lines)]
        content = "\n".join([*lines, *_markdown_link(notice)])
        document: dict[str, Any] = {
            "msgtype": "markdown",
            "markdown": {"content": _cut(content, _WECOM_MARKDOWN_BYTES)},
        }
        return post(settings.url, document)
    names = ["@all" if name == _EVERYONE else name for name in called]
    text = {
        "content": _cut(f"{notice.title}\n{notice.text}", _WECOM_TEXT_BYTES),
        "mentioned_list": [name for name in names if not _is_mobile(name)],
        "mentioned_mobile_list": [name for name in names if _is_mobile(name)],
    }
    return post(settings.url, {"msgtype": "text", "text": text})


# --- Feishu and Lark --------------------------------------------------------------------------------------------------


def feishu_sign(secret: str, now: datetime) -> tuple[str, str]:
    r"""Sign as a custom bot of Feishu asks (“Use bots in groups”, signature verification).

    The key is `<timestamp in seconds>\n<secret>`, and the text is empty.

    Args:
        secret: The bot's secret.
        now: When it is sent; Feishu takes what is at most an hour old.

    Returns:
        The timestamp, and the signature in base64, both for the body.
    """
    timestamp = str(int(now.timestamp()))
    return timestamp, _hmac(f"{timestamp}\n{secret}".encode(), b"")


def feishu_request(settings: FeishuSettings, notice: Notice, now: datetime) -> Request:
    """Make a message of a Feishu or Lark bot: an interactive card."""
    called = "".join(f"<at id={name}></at>" for name in _called(notice, settings.mentions))
    lines = [f"**{name}**: {value}" for name, value in notice.lines]
    elements: list[dict[str, Any]] = [
        {"tag": "markdown", "content": "\n".join([*lines, *([called] if called else [])])}
    ]
    if notice.url is not None:
        label = {"tag": "plain_text", "content": _OPEN}
        button = {"tag": "button", "text": label, "type": "primary", "url": notice.url}
        elements.append({"tag": "action", "actions": [button]})
    header = {
        "title": {"tag": "plain_text", "content": notice.title},
        "template": _by_state(notice, firing="red", recovered="green", test="blue"),
    }
    card = {"config": {"wide_screen_mode": True}, "header": header, "elements": elements}
    document: dict[str, Any] = {"msg_type": "interactive", "card": card}
    if settings.secret is not None:
        timestamp, sign = feishu_sign(settings.secret, now)
        document = {"timestamp": timestamp, "sign": sign, **document}
    return post(settings.url, document)


# --- Slack ------------------------------------------------------------------------------------------------------------


def slack_request(settings: SlackSettings, notice: Notice) -> Request:
    """Make a message of a Slack incoming webhook: blocks behind a coloured bar."""
    called = " ".join(_slack_mention(name) for name in _called(notice, settings.mentions))
    title = _slack(notice.title)
    fields = "\n".join(f"*{_slack(name)}*: {_slack(value)}" for name, value in notice.lines)
    blocks: list[dict[str, Any]] = [
        {"type": "section", "text": {"type": "mrkdwn", "text": f"*{title}*"}},
        {"type": "section", "text": {"type": "mrkdwn", "text": fields}},
    ]
    if notice.url is not None:
        button = {"type": "button", "text": {"type": "plain_text", "text": _OPEN}, "url": notice.url}
        blocks.append({"type": "actions", "elements": [button]})
    colour = _by_state(notice, firing="#d92d20", recovered="#079455", test="#1570ef")
    # `text` is what a phone shows before it is unlocked; calling people works from there.
    document = {"text": f"{called} {title}".strip(), "attachments": [{"color": colour, "blocks": blocks}]}
    return post(settings.url, document)


# --- Microsoft Teams --------------------------------------------------------------------------------------------------


def teams_request(settings: TeamsSettings, notice: Notice) -> Request:
    """Make a message of a Teams workflow: an Adaptive Card in the envelope that its trigger takes."""
    called = _called(notice, settings.mentions)
    colour = _by_state(notice, firing="Attention", recovered="Good", test="Accent")
    body: list[dict[str, Any]] = [
        {
            "type": "TextBlock",
            "text": notice.title,
            "size": "Medium",
            "weight": "Bolder",
            "wrap": True,
            "color": colour,
        },
        {"type": "FactSet", "facts": [{"title": name, "value": value} for name, value in notice.lines]},
    ]
    if called:
        body.append({"type": "TextBlock", "text": " ".join(f"<at>{name}</at>" for name in called), "wrap": True})
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
    }
    if notice.url is not None:
        card["actions"] = [{"type": "Action.OpenUrl", "title": _OPEN, "url": notice.url}]
    if called:
        entities = [
            {"type": "mention", "text": f"<at>{name}</at>", "mentioned": {"id": name, "name": name}} for name in called
        ]
        card["msteams"] = {"entities": entities}
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return post(settings.url, {"type": "message", "attachments": [attachment]})


# --- All of them ------------------------------------------------------------------------------------------------------


def read_bot_answer(answer: Answer, code_names: Sequence[str], now: datetime) -> Finish:
    """Tell how a delivery ended by the answer of a bot that says 200 also when it refuses.

    Args:
        answer: The answer.
        code_names: Fields of its body of which one is 0 when the message was taken.
        now: When it came.
    """
    finish = read_webhook_answer(answer, now)
    if finish.status is not AttemptStatus.SUCCEEDED:
        return finish
    try:
        parsed: object = json.loads(answer.body)
    except ValueError:
        parsed = None
    document = cast("dict[str, Any]", parsed) if isinstance(parsed, dict) else {}
    code: object = next((document[name] for name in code_names if name in document), None)
    if code == 0:
        return finish
    reason = document.get("errmsg") or document.get("msg") or document.get("StatusMessage") or "no reason given"
    message = f"the bot answered {answer.status} with the code {code}: {reason}"
    return replace(
        finish,
        status=AttemptStatus.FAILED,
        error_type="redrive.ChannelRefused",
        error_message=message[:1000],
        fingerprint=fingerprint("redrive.ChannelRefused", f"code {code}"),
        stop=code is not None and code not in _BUSY,
    )


def post(url: str, document: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Request:
    """Make a request that posts JSON."""
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    given = {"content-type": "application/json; charset=utf-8", "user-agent": USER_AGENT, **(headers or {})}
    return Request("POST", url, given, body)


def _hmac(key: bytes, text: bytes) -> str:
    return base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()


def _called(notice: Notice, mentions: Sequence[str]) -> list[str]:
    """Tell whom a notice calls: nobody is called because something is over, or for a test."""
    return list(dict.fromkeys(mentions)) if notice.state == "firing" else []


def _by_state(notice: Notice, *, firing: str, recovered: str, test: str) -> str:
    return {"firing": firing, "recovered": recovered, "test": test}[notice.state]


def _is_mobile(name: str) -> bool:
    return name.removeprefix("+").replace("-", "").isdigit()


def _bullets(notice: Notice) -> list[str]:
    return [f"- **{name}**: {value}" for name, value in notice.lines]


def _markdown_link(notice: Notice) -> list[str]:
    return [] if notice.url is None else [f"[{_OPEN}]({notice.url})"]


def _cut(text: str, size: int) -> str:
    """Shorten a text to so many bytes."""
    encoded = text.encode()
    return text if len(encoded) <= size else f"{encoded[: size - 3].decode(errors='ignore')}…"


def _slack(text: str) -> str:
    """Escape what Slack takes for control characters (“Formatting text for app surfaces”)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _slack_mention(name: str) -> str:
    if name in ("here", "channel", "everyone", _EVERYONE):
        return f"<!{'channel' if name == _EVERYONE else name}>"
    return f"<!subteam^{name}>" if name.startswith("S") else f"<@{name}>"
