"""PagerDuty, and webhooks signed by Standard Webhooks: receivers that open and close incidents by themselves."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from redrive.activities.channels.chat import post
from redrive.activities.request import Request
from redrive.core.channels import PagerDutySettings, WebhookSettings
from redrive.core.documents import encode
from redrive.core.notices import Notice
from redrive.core.signature import sign

_SUMMARY_CHARACTERS: Final = 1024
"""What PagerDuty takes of a summary."""


def pagerduty_requests(settings: PagerDutySettings, notice: Notice) -> tuple[Request, ...]:
    """Make events for PagerDuty's Events API v2: one opens an incident, and one with the same key closes it.

    A test opens one and closes it again at once, so that it leaves nothing open.
    """
    trigger: dict[str, Any] = {
        "routing_key": settings.routing_key,
        "event_action": "trigger",
        "dedup_key": notice.incident,
        "client": "Redrive",
        "payload": {
            "summary": notice.title[:_SUMMARY_CHARACTERS],
            "source": notice.place,
            "severity": "info" if notice.state == "test" else settings.severity,
            "timestamp": notice.since.isoformat(timespec="milliseconds"),
            "component": notice.where.get("scene") or notice.where.get("target") or "redrive",
            "group": notice.where.get("group") or notice.namespace,
            "class": notice.event,
            "custom_details": dict(notice.lines),
        },
    }
    if notice.url is not None:
        trigger |= {"client_url": notice.url, "links": [{"href": notice.url, "text": "Open in Redrive"}]}
    resolve = {"routing_key": settings.routing_key, "event_action": "resolve", "dedup_key": notice.incident}
    match notice.state:
        case "firing":
            return (post(settings.url, trigger),)
        case "recovered":
            return (post(settings.url, resolve),)
        case "test":
            return post(settings.url, trigger), post(settings.url, resolve)


def webhook_request(settings: WebhookSettings, notice: Notice, message_id: str, now: datetime) -> Request:
    """Make a signed request in the form that Standard Webhooks recommends: `type`, `timestamp`, `data`.

    Args:
        settings: The channel's settings.
        notice: The notice.
        message_id: The same for all attempts of this delivery.
        now: When it is sent.
    """
    document: dict[str, Any] = {
        "type": f"alert.{notice.state}",
        "timestamp": notice.at.isoformat(),
        "data": {**encode(notice), "title": notice.title, "lines": dict(notice.lines)},
    }
    request = post(settings.url, document)
    headers = {**settings.headers, **request.headers, **sign([settings.secret], message_id, now, request.body)}
    return Request("POST", settings.url, headers, request.body)
