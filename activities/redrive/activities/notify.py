"""Sending notices: one attempt at one channel, for the delivery's task and for the test button alike."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, assert_never
from uuid import UUID

import httpx

from redrive.activities.channels.chat import (
    dingtalk_request,
    feishu_request,
    read_bot_answer,
    slack_request,
    teams_request,
    wecom_request,
)
from redrive.activities.channels.incidents import pagerduty_requests, webhook_request
from redrive.activities.channels.mail import mail_of, send_mail
from redrive.activities.request import Answer, Request, failed_without_answer, read_webhook_answer
from redrive.core.channels import (
    ChannelSettings,
    DingTalkSettings,
    EmailSettings,
    FeishuSettings,
    PagerDutySettings,
    SlackSettings,
    TeamsSettings,
    WebhookSettings,
    WeComSettings,
    parse_settings,
    redact,
)
from redrive.core.documents import decode
from redrive.core.errors import InvalidDocument
from redrive.core.notices import Notice
from redrive.core.states import AttemptStatus
from redrive.core.wire import MAX_RESPONSE_BYTES
from redrive.store import alert_notices, alerts
from redrive.store.attempts import Finish
from redrive.store.database import Database
from redrive.store.tables import AlertChannel

MAIL_SECONDS: Final = 10.0
"""How long a mail server may take for one answer."""

_BOT_CODES: Final[dict[type[ChannelSettings], Sequence[str]]] = {
    DingTalkSettings: ("errcode",),
    WeComSettings: ("errcode",),
    FeishuSettings: ("code", "StatusCode"),
}


class Notifier:
    """Sends notices to channels.

    Args:
        database: Channels and notices.
        http: Client for the channels; it must not follow redirects.
        clock: The wall clock, which signatures are made by.
    """

    def __init__(
        self, database: Database, http: httpx.AsyncClient, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._database = database
        self._http = http
        self._clock = clock

    async def deliver(self, namespace: str, channel_id: UUID, document: object, message_id: str) -> Finish:
        """Run one attempt of a delivery.

        What has become pointless is not sent and counts as delivered: nobody wants to hear that something fires after
        being told that it is over, and a pager would open a second incident.

        Args:
            namespace: Where.
            channel_id: The channel.
            document: The notice, as JSON.
            message_id: The same for all attempts of this delivery.
        """
        notice = decode(Notice, document, "notice")
        async with self._database.session() as session:
            channel = await alerts.find_channel(session, namespace, channel_id)
            over = notice.state == "firing" and await alert_notices.is_over(session, UUID(notice.id), notice.incident)
        if over:
            return Finish(AttemptStatus.SUCCEEDED, response="not sent: it was over before it could be told")
        if channel is None or not channel.enabled:
            why = "the channel was deleted" if channel is None else "the channel is switched off"
            return replace(failed_without_answer(AttemptStatus.FAILED, "redrive.NoChannel", why), stop=True)
        return await self.send(channel, notice, message_id)

    async def send(self, channel: AlertChannel, notice: Notice, message_id: str) -> Finish:
        """Send a notice now.

        Args:
            channel: Where to.
            notice: What.
            message_id: The same for all attempts to send this.

        Returns:
            How it ended, without any of the channel's secrets.
        """
        try:
            settings = parse_settings(channel.kind, channel.settings)  # type: ignore[arg-type]  # a column of texts
        except InvalidDocument as error:
            return replace(failed_without_answer(AttemptStatus.FAILED, "redrive.InvalidChannel", str(error)), stop=True)
        try:
            finish = await self._send(settings, notice, message_id)
        except httpx.HTTPError as error:
            late = isinstance(error, httpx.TimeoutException)
            name = f"httpx.{type(error).__name__}"
            status = AttemptStatus.TIMED_OUT if late else AttemptStatus.FAILED
            finish = failed_without_answer(status, name, str(error) or name)
        return replace(
            finish,
            response=None if finish.response is None else redact(finish.response, settings),
            error_message=None if finish.error_message is None else redact(finish.error_message, settings),
        )

    async def _send(self, settings: ChannelSettings, notice: Notice, message_id: str) -> Finish:
        if isinstance(settings, EmailSettings):
            mail = mail_of(settings, notice, message_id)
            return await asyncio.to_thread(send_mail, settings, mail, MAIL_SECONDS)
        finish = Finish(AttemptStatus.SUCCEEDED)
        codes = _BOT_CODES.get(type(settings))
        for request in _requests(settings, notice, message_id, self._clock()):
            answer = await self._exchange(request)
            now = self._clock()
            finish = read_webhook_answer(answer, now) if codes is None else read_bot_answer(answer, codes, now)
            if finish.status is not AttemptStatus.SUCCEEDED:
                break
        return finish

    async def _exchange(self, request: Request) -> Answer:
        async with self._http.stream(
            request.method, request.url, headers=request.headers, content=request.body
        ) as response:
            body = b""
            with contextlib.suppress(httpx.ReadError):  # the status is what counts
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) >= MAX_RESPONSE_BYTES:
                        break
            return Answer(response.status_code, response.headers, body[:MAX_RESPONSE_BYTES])


def _requests(settings: ChannelSettings, notice: Notice, message_id: str, now: datetime) -> tuple[Request, ...]:
    match settings:
        case DingTalkSettings():
            return (dingtalk_request(settings, notice, now),)
        case WeComSettings():
            return (wecom_request(settings, notice),)
        case FeishuSettings():
            return (feishu_request(settings, notice, now),)
        case SlackSettings():
            return (slack_request(settings, notice),)
        case TeamsSettings():
            return (teams_request(settings, notice),)
        case PagerDutySettings():
            return pagerduty_requests(settings, notice)
        case WebhookSettings():
            return (webhook_request(settings, notice, message_id, now),)
        case EmailSettings():
            raise TypeError("mail is not sent by HTTP")
        case _ as never:
            assert_never(never)
