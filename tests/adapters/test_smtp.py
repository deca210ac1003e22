"""The mail adapter against the sandbox server, over real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from activities.ports import Refused, Unavailable
from adapters.smtp import SmtpMailer
from sandbox.mail_server import MailRefusal, SandboxMailServer

FROM = "no-reply@jiebang.example"
TO = "worker@enterprise.example"
SUBJECT = "解绑请求:待处理 12 项,请在 2026-10-13 前答复,谢谢您的配合与支持"
TEXT = "您好:\n\n请处理以下解绑请求 📱。\n.\n以点开头的一行"
MESSAGE_ID = "<case-7f3a.1@jiebang.example>"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[SandboxMailServer]:
    sandbox = SandboxMailServer(path=tmp_path / "mail.jsonl")
    await sandbox.start()
    yield sandbox
    await sandbox.close()


@pytest.fixture
def mailer(server: SandboxMailServer) -> SmtpMailer:
    return SmtpMailer(server.host, server.port, FROM)


async def test_a_chinese_mail_arrives_as_written(
    server: SandboxMailServer, mailer: SmtpMailer, tmp_path: Path
) -> None:
    await mailer.send(TO, SUBJECT, TEXT, MESSAGE_ID)

    [mail] = server.messages
    assert (mail.subject, mail.text, mail.message_id) == (SUBJECT, TEXT, MESSAGE_ID)
    assert (mail.sender, mail.to) == (FROM, (TO,))
    assert json.loads((tmp_path / "mail.jsonl").read_text("utf-8"))["subject"] == SUBJECT


async def test_a_retry_has_the_same_message_id(server: SandboxMailServer, mailer: SmtpMailer) -> None:
    for message_id in (MESSAGE_ID, MESSAGE_ID.strip("<>")):
        await mailer.send(TO, SUBJECT, TEXT, message_id)
    assert [mail.message_id for mail in server.messages] == [MESSAGE_ID, MESSAGE_ID]


async def test_a_message_id_gets_the_sender_s_domain(server: SandboxMailServer) -> None:
    for sender in (FROM, f"解绑 <{FROM}>"):
        await SmtpMailer(server.host, server.port, sender).send(TO, SUBJECT, TEXT, "case-7f3a.1")
    assert [mail.message_id for mail in server.messages] == [MESSAGE_ID, MESSAGE_ID]


@pytest.mark.parametrize(
    ("refusing", "expected", "code"),
    [
        (MailRefusal.TEMPORARY, Unavailable, "mail_deferred"),
        (MailRefusal.PERMANENT, Refused, "mail_refused"),
    ],
)
async def test_a_refusal_is_told_without_the_recipient(
    server: SandboxMailServer,
    mailer: SmtpMailer,
    refusing: MailRefusal,
    expected: type[Unavailable | Refused],
    code: str,
) -> None:
    server.refusing = refusing
    with pytest.raises(expected) as raised:
        await mailer.send(TO, SUBJECT, TEXT, MESSAGE_ID)
    assert raised.value.code == code
    assert "enterprise" not in str(raised.value)
    assert raised.value.__cause__ is None

    server.refusing = None
    await mailer.send(TO, SUBJECT, TEXT, MESSAGE_ID)
    assert len(server.messages) == 1


async def test_a_server_that_is_down_is_unavailable_until_it_is_up(
    server: SandboxMailServer, mailer: SmtpMailer
) -> None:
    await server.down()
    with pytest.raises(Unavailable) as raised:
        await mailer.send(TO, SUBJECT, TEXT, MESSAGE_ID)
    assert raised.value.code == "mail_unreachable"

    await server.up()
    await mailer.send(TO, SUBJECT, TEXT, MESSAGE_ID)
    assert len(server.messages) == 1


async def test_a_server_that_says_nothing_is_unavailable() -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as silent:
        mailer = SmtpMailer("127.0.0.1", silent.sockets[0].getsockname()[1], FROM, limit=0.1)
        with pytest.raises(Unavailable):
            await mailer.send(TO, SUBJECT, TEXT, MESSAGE_ID)


async def test_an_address_with_a_line_break_is_refused(server: SandboxMailServer, mailer: SmtpMailer) -> None:
    with pytest.raises(Refused) as raised:
        await mailer.send("a@b.example\r\nBcc: c@d.example", SUBJECT, TEXT, MESSAGE_ID)
    assert raised.value.code == "mail_malformed"
    assert server.messages == []
