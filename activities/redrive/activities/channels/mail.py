"""E-mail by SMTP, with the standard library: it needs nothing that `smtplib` has not."""

from __future__ import annotations

import html
import smtplib
import ssl
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Final

from redrive.core.channels import EmailSettings
from redrive.core.fingerprint import fingerprint
from redrive.core.notices import Notice
from redrive.core.states import AttemptStatus
from redrive.store.attempts import Finish

_PERMANENT: Final = 500
"""From this code on, the mail server says that the same mail will be refused again (RFC 5321, section 4.2.1)."""


def mail_of(settings: EmailSettings, notice: Notice, message_id: str) -> EmailMessage:
    """Write a mail. Mails of one incident are a thread, since the recovery refers to the firing.

    Args:
        settings: The channel's settings.
        notice: The notice.
        message_id: The same for all attempts of this delivery, so that a mail that comes twice is seen once.
    """
    mail = EmailMessage(policy=SMTP)
    host = settings.sender.rpartition("@")[2]
    mail["Subject"] = f"[Redrive] {notice.title}"
    mail["From"] = settings.sender
    mail["To"] = ", ".join(settings.to)
    mail["Date"] = format_datetime(notice.at)
    mail["Message-ID"] = f"<{message_id}@{host}>"
    mail["References"] = f"<{notice.incident}@{host}>"
    # No holiday reply, and no loop with another robot (RFC 3834).
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(f"{notice.title}\n\n{notice.text}\n")
    rows = "".join(
        f'<tr><td style="padding-right:1em">{html.escape(name)}</td><td>{html.escape(value)}</td></tr>'
        for name, value in notice.lines
    )
    link = "" if notice.url is None else f'<p><a href="{html.escape(notice.url)}">Open in Redrive</a></p>'
    mail.add_alternative(f"<h3>{html.escape(notice.title)}</h3><table>{rows}</table>{link}", subtype="html")
    return mail


def send_mail(settings: EmailSettings, mail: EmailMessage, timeout_seconds: float) -> Finish:
    """Hand a mail to the server. Blocks; to be run in a thread.

    Args:
        settings: The channel's settings.
        mail: The mail.
        timeout_seconds: The longest that one answer of the server may take, in seconds.

    Returns:
        How it ended. It counts as delivered when the server took it for at least one recipient.
    """
    try:
        with _connected(settings, timeout_seconds) as server:
            if settings.username is not None:
                server.login(settings.username, settings.password or "")
            refused = server.send_message(mail, settings.sender, list(settings.to))
    except smtplib.SMTPRecipientsRefused as error:
        worst = min(code for code, _ in error.recipients.values())
        return _failed("smtp.RecipientsRefused", f"no recipient was taken: {_recipients(error.recipients)}", worst)
    except smtplib.SMTPResponseException as error:
        said = error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
        return _failed(
            f"smtp.{error.smtp_code}", f"the mail server answered {error.smtp_code}: {said}", error.smtp_code
        )
    except smtplib.SMTPException as error:
        return _failed(f"smtp.{type(error).__name__}", str(error))
    except ssl.SSLCertVerificationError as error:
        message = (
            f"the certificate of {settings.host} is not trusted: {error.verify_message}. Have it signed for that name "
            "by an authority which this machine knows, or set SSL_CERT_FILE, for every API and worker process, to a "
            "PEM file with the authority's certificate"
        )
        return _failed("smtp.SSLCertVerificationError", message)
    except ssl.SSLError as error:
        message = (
            f"no TLS with {settings.host}:{settings.port} ({error.reason}): `tls` speaks it from the first byte, on "
            "port 465 as a rule, and `starttls` after the greeting, on port 587"
        )
        return _failed("smtp.SSLError", message)
    except TimeoutError:
        return _failed("smtp.Timeout", f"no answer within {timeout_seconds:g} s", status=AttemptStatus.TIMED_OUT)
    except OSError as error:
        return _failed(f"smtp.{type(error).__name__}", error.strerror or str(error))
    note = f"taken, except for {_recipients(refused)}" if refused else "taken"
    return Finish(AttemptStatus.SUCCEEDED, response=note)


def _connected(settings: EmailSettings, timeout_seconds: float) -> smtplib.SMTP:
    context = ssl.create_default_context()
    if settings.security == "tls":
        return smtplib.SMTP_SSL(settings.host, settings.port, timeout=timeout_seconds, context=context)
    server = smtplib.SMTP(settings.host, settings.port, timeout=timeout_seconds)
    if settings.security == "starttls":
        try:
            server.starttls(context=context)
        except BaseException:
            server.close()
            raise
    return server


def _recipients(refused: dict[str, tuple[int, bytes]]) -> str:
    return ", ".join(f"{address} ({code} {said.decode(errors='replace')})" for address, (code, said) in refused.items())


def _failed(
    error_type: str, message: str, code: int | None = None, status: AttemptStatus = AttemptStatus.FAILED
) -> Finish:
    return Finish(
        status,
        error_type=error_type,
        error_message=message[:1000],
        fingerprint=fingerprint(error_type, message),
        stop=code is not None and code >= _PERMANENT,
    )
