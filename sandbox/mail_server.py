"""A mail server for demo and tests: a real SMTP socket that keeps what it gets and can refuse or go away."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from enum import StrEnum
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session


class MailRefusal(StrEnum):
    """How the server turns a recipient away (RFC 5321, 4.2.1)."""

    TEMPORARY = "4xx"
    PERMANENT = "5xx"


REPLIES = {
    MailRefusal.TEMPORARY: "451 4.3.0 try again later",
    MailRefusal.PERMANENT: "550 5.1.1 no such mailbox",
}


@dataclass(frozen=True)
class ReceivedMail:
    """One mail, decoded; `text` without the line break that ends every mail."""

    sender: str
    to: tuple[str, ...]
    subject: str
    text: str
    message_id: str
    received_at: datetime


class SandboxMailServer:
    """`refusing` may be changed at any time; `messages` only grows, doubles included."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0, path: Path | None = None) -> None:
        self.host = host
        self.port = port
        self.refusing: MailRefusal | None = None
        self.messages: list[ReceivedMail] = []
        self._path = path
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Open the socket; with port 0 a free one is chosen and kept."""
        await self.up()

    async def close(self) -> None:
        """Close the socket."""
        await self.down()

    async def up(self) -> None:
        """Listen."""
        if self._server is None:
            self._server = await asyncio.get_running_loop().create_server(self._session, self.host, self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def down(self) -> None:
        """Stop listening: the next connection is refused."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def _session(self) -> SMTP:
        return SMTP(self, hostname="sandbox", ident="sandbox", enable_SMTPUTF8=True)

    # What the library calls, by these names.

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take or refuse a recipient."""
        if self.refusing is not None:
            return REPLIES[self.refusing]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Keep a mail."""
        self._keep(envelope)
        return "250 OK"

    def _keep(self, envelope: Envelope) -> None:
        content = envelope.content
        if not isinstance(content, bytes):
            raise TypeError("the server is set to hand over octets")
        mail = message_from_bytes(content, _class=EmailMessage, policy=default)
        received = ReceivedMail(
            sender=envelope.mail_from or "",
            to=tuple(envelope.rcpt_tos),
            subject=str(mail["Subject"] or ""),
            text=_plain_text(mail),
            message_id=str(mail["Message-ID"] or ""),
            received_at=datetime.now(UTC),
        )
        self.messages.append(received)
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(asdict(received), ensure_ascii=False, default=str) + "\n")


def _plain_text(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    return str(body.get_content()).replace("\r\n", "\n").removesuffix("\n") if body else ""
