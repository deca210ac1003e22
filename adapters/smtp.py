"""The mail server over SMTP: work mails to enterprises that answer by hand, and notices to people."""

from __future__ import annotations

from email.message import EmailMessage
from email.utils import format_datetime, localtime, parseaddr

from aiosmtplib import (
    SMTPAuthenticationError,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientsRefused,
    SMTPResponseException,
    send,
)

from activities.ports import PortError, Refused, Unavailable

PERMANENT = 500
"""Replies from here on mean 'the same again next time' (RFC 5321, 4.2.1)."""


class SmtpMailer:
    """Implements `activities.ports.Mailer`: one connection per mail.

    `start_tls=None` upgrades the connection if the server offers it; `use_tls` speaks TLS from the start.
    """

    def __init__(
        self,
        host: str,
        port: int,
        sender: str,
        username: str | None = None,
        password: str | None = None,
        use_tls: bool = False,
        start_tls: bool | None = None,
        limit: float = 20.0,
    ) -> None:
        self._host = host
        self._port = port
        self._sender = sender
        self._username = username
        self._password = password
        self._use_tls = use_tls
        self._start_tls = start_tls
        self._limit = limit

    async def send(self, to: str, subject: str, text: str, message_id: str) -> None:
        """See `Mailer.send`. `message_id` may come without its angle brackets and without a domain."""
        try:
            mail = self._composed(to, subject, text, message_id)
            await send(
                mail,
                hostname=self._host,
                port=self._port,
                username=self._username,
                password=self._password,
                use_tls=self._use_tls,
                start_tls=self._start_tls,
                timeout=self._limit,
            )
        except (SMTPException, OSError, ValueError) as error:
            raise _as_port_error(error) from None  # the library's texts name the recipient

    def _composed(self, to: str, subject: str, text: str, message_id: str) -> EmailMessage:
        mail = EmailMessage()
        mail["From"] = self._sender
        mail["To"] = to
        mail["Subject"] = subject
        mail["Date"] = format_datetime(localtime())
        mail["Message-ID"] = f"<{self._with_domain(message_id.strip('<>'))}>"
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday replies
        mail.set_content(text)
        return mail

    def _with_domain(self, message_id: str) -> str:
        """RFC 5322 wants `left@right`; filters take a Message-ID without a domain as a sign of spam."""
        domain = parseaddr(self._sender)[1].partition("@")[2]
        return message_id if "@" in message_id or not domain else f"{message_id}@{domain}"


def _as_port_error(error: SMTPException | OSError | ValueError) -> PortError:
    if isinstance(error, SMTPAuthenticationError):  # our password is wrong, not the mail
        return Unavailable("mail_login_failed", "The mail server did not accept our login.")
    if isinstance(error, SMTPRecipientsRefused):
        return _of_reply(max(each.code for each in error.recipients))
    if isinstance(error, SMTPResponseException):
        return _of_reply(error.code)
    if isinstance(error, SMTPNotSupported):
        return Refused("mail_not_supported", "The mail server lacks what this mail needs.")
    if isinstance(error, SMTPException | OSError):
        return Unavailable("mail_unreachable", "No connection to the mail server, or it broke.")
    return Refused("mail_malformed", "The mail has an address or a subject that cannot be sent.")


def _of_reply(code: int) -> PortError:
    if code >= PERMANENT:
        return Refused("mail_refused", f"The mail server refused the mail with reply {code}.")
    return Unavailable("mail_deferred", f"The mail server asked to come back later with reply {code}.")
