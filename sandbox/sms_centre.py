"""A short message centre for demo and tests: a real SMPP 3.4 socket, no phones behind it.

It does what centres do to their customers: takes messages, sends receipts late, throttles, keeps quiet,
goes away.
Any system id and password may bind: the library gives a server no say in that.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import uuid4

import structlog
from smpp34 import Esme, Server, SmppError, SubmitSmEvent, Tlv, Unbound

# The package re-exports these in a way a type checker cannot see.
from smpp34._smpp34 import (
    ESME_RTHROTTLED,
    TLV_MESSAGE_STATE,
    TLV_RECEIPTED_MESSAGE_ID,
    TLV_USER_MESSAGE_REFERENCE,
)

log = structlog.get_logger(__name__)

UDH_INDICATOR = 0x40
RECEIPT = 0x04
UCS2 = 8
CLOSE_LIMIT = 5.0
RETRY_PAUSE = 0.1


class CentreMode(StrEnum):
    """How the centre behaves towards its customers."""

    NORMAL = "normal"
    THROTTLED = "throttled"
    UNDELIVERED = "undelivered"
    SILENT = "silent"


@dataclass(frozen=True)
class ReceivedSms:
    """One text as a phone would show it, its parts put together again. `destination` has no `+`, as sent."""

    sender: str
    destination: str
    text: str
    reference: int | None
    received_at: datetime
    parts: int
    message_ids: tuple[str, ...]


@dataclass(frozen=True)
class _Outcome:
    """What a receipt will tell about one part."""

    message_id: str
    sender: str
    destination: str
    reference: int | None
    delivered: bool


@dataclass
class _Assembly:
    """Parts of one text that have come so far: number -> (message id, octets)."""

    total: int
    parts: dict[int, tuple[str, bytes]] = field(default_factory=dict)


class SandboxSmsCentre:
    """`mode`, `undelivered_left` and `receipt_delay` may be changed at any time; `messages` only grows."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        path: Path | None = None,
        receipt_delay: float = 0.0,
    ) -> None:
        self.host = host
        self.port = port
        self.mode = CentreMode.NORMAL
        self.undelivered_left: int | None = None
        """How many more texts fail in mode `UNDELIVERED` before it is `NORMAL` again; None: all."""
        self.receipt_delay = receipt_delay
        self.messages: list[ReceivedSms] = []
        self._path = path
        self._assemblies: dict[tuple[str, str, int, int], _Assembly] = {}
        self._server: Server | None = None
        self._sessions: dict[str, Esme] = {}
        self._receiver_here = asyncio.Event()
        self._nobody_here = asyncio.Event()
        self._nobody_here.set()
        self._pump: asyncio.Task[None] | None = None
        self._receipts: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Open the socket; with port 0 a free one is chosen and kept."""
        if self.port == 0:
            self.port = _free_port(self.host)
        await self.up()

    async def close(self) -> None:
        """Close the socket and forget the receipts not sent yet."""
        for task in list(self._receipts):
            await _ended(task)
        await self.down()

    async def up(self) -> None:
        """Listen. The library lets go of the port a moment after `down`, so this tries for a while."""
        if self._server is not None:
            return
        async with asyncio.timeout(CLOSE_LIMIT):
            while True:
                server = Server(self.host, self.port, system_id="SANDBOX", inbound_capacity=10_000)
                try:
                    await server.start()
                    break
                except SmppError:
                    await asyncio.sleep(0.02)
        self._server = server
        self._pump = asyncio.create_task(self._serve(server), name="sandbox-sms-centre")

    async def down(self) -> None:
        """Stop listening and end every session. The library's `stop` alone leaves sessions open."""
        if self._server is None or self._pump is None:
            return
        server, self._server = self._server, None
        await server.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_LIMIT):
                for esme in list(self._sessions.values()):
                    await esme.unbind()
                await self._nobody_here.wait()
        await _ended(self._pump)
        self._sessions.clear()
        self._sessions_changed()

    @property
    def bound(self) -> int:
        """How many sessions are open."""
        return len(self._sessions)

    @property
    def receipts_owed(self) -> int:
        """How many receipts are promised and not handed over yet."""
        return len(self._receipts)

    def undeliver(self, count: int) -> None:
        """Let the next `count` texts end undelivered."""
        self.mode = CentreMode.UNDELIVERED
        self.undelivered_left = count

    async def _serve(self, server: Server) -> None:
        while True:
            event = await server.next()
            if isinstance(event, SubmitSmEvent):
                self._take(event)
                continue
            if isinstance(event, Unbound):
                self._sessions.pop(event.session_id, None)
            else:
                self._sessions[event.session_id] = event
            self._sessions_changed()
            if isinstance(event, Esme) and self._server is not server:  # bound while we went down
                await event.unbind()

    def _sessions_changed(self) -> None:
        _set(self._nobody_here, not self._sessions)
        _set(self._receiver_here, self._receiver() is not None)

    def _take(self, event: SubmitSmEvent) -> None:
        """Answer one `submit_sm`; a broken one is answered with a system error, and the centre lives on."""
        if self.mode == CentreMode.THROTTLED:
            event.reject(ESME_RTHROTTLED)
            return
        message_id = uuid4().hex
        try:
            message = self._assembled(event, message_id)
        except (ValueError, IndexError) as error:
            log.warning("sandbox_sms_unreadable", error=type(error).__name__)
            event.reject()
            return
        if message is not None:
            self._keep(message)
            self._promise_receipts(message)
        event.accept(message_id)

    def _assembled(self, event: SubmitSmEvent, message_id: str) -> ReceivedSms | None:
        """The whole text, once its last part is here."""
        if not event.esm_class & UDH_INDICATOR:
            return _message(event, [(message_id, event.short_message)])
        header_end = event.short_message[0] + 1
        reference, total, number = event.short_message[3:header_end]
        key = (event.source_addr, event.destination_addr, reference, total)
        assembly = self._assemblies.setdefault(key, _Assembly(total))
        assembly.parts[number] = (message_id, event.short_message[header_end:])
        if len(assembly.parts) < total:
            return None
        del self._assemblies[key]
        return _message(event, [assembly.parts[number] for number in sorted(assembly.parts)])

    def _keep(self, message: ReceivedSms) -> None:
        self.messages.append(message)
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(asdict(message), ensure_ascii=False, default=str) + "\n")

    def _promise_receipts(self, message: ReceivedSms) -> None:
        """One receipt per part, since every part was submitted with a request for one."""
        if self.mode == CentreMode.SILENT:
            return
        delivered = self._reaches_phone()
        for message_id in message.message_ids:
            outcome = _Outcome(
                message_id, message.sender, message.destination, message.reference, delivered=delivered
            )
            self._in_background(self._send_receipt(outcome, self.receipt_delay))

    def _reaches_phone(self) -> bool:
        if self.mode != CentreMode.UNDELIVERED:
            return True
        if self.undelivered_left is not None:
            self.undelivered_left -= 1
            if self.undelivered_left <= 0:
                self.mode, self.undelivered_left = CentreMode.NORMAL, None
        return False

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._receipts.add(task)
        task.add_done_callback(self._receipts.discard)

    async def _send_receipt(self, outcome: _Outcome, delay: float) -> None:
        """After the delay, to whoever is bound then; again until somebody takes it."""
        await asyncio.sleep(delay)
        while True:
            await self._receiver_here.wait()
            receiver = self._receiver()
            if receiver is not None and await _handed_over(receiver, outcome):
                return
            await asyncio.sleep(RETRY_PAUSE)

    def _receiver(self) -> Esme | None:
        return next((esme for esme in self._sessions.values() if esme.can_receive), None)


def _free_port(host: str) -> int:
    """The library cannot tell which port it got for 0."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def _set(event: asyncio.Event, value: bool) -> None:
    if value:
        event.set()
    else:
        event.clear()


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def _message(event: SubmitSmEvent, parts: list[tuple[str, bytes]]) -> ReceivedSms:
    encoding = "utf-16-be" if event.data_coding == UCS2 else "ascii"
    references = [tlv.as_int() for tlv in event.tlvs if tlv.tag == TLV_USER_MESSAGE_REFERENCE]
    return ReceivedSms(
        sender=event.source_addr,
        destination=event.destination_addr,
        text="".join(octets.decode(encoding) for _, octets in parts),  # a phone reads each part by itself
        reference=references[0] if references else None,
        received_at=datetime.now(UTC),
        parts=len(parts),
        message_ids=tuple(message_id for message_id, _ in parts),
    )


async def _handed_over(esme: Esme, outcome: _Outcome) -> bool:
    """Send one receipt, as TLVs and as the classic text (SMPP 3.4, appendix B)."""
    word, state = ("DELIVRD", 2) if outcome.delivered else ("UNDELIV", 5)
    done = datetime.now(UTC).strftime("%y%m%d%H%M")
    text = (
        f"id:{outcome.message_id} sub:001 dlvrd:{outcome.delivered:03d} "
        f"submit date:{done} done date:{done} stat:{word} err:000 text:"
    )
    tlvs = [
        Tlv(TLV_RECEIPTED_MESSAGE_ID, outcome.message_id.encode() + b"\0"),
        Tlv(TLV_MESSAGE_STATE, bytes((state,))),
    ]
    if outcome.reference is not None:
        tlvs.append(Tlv(TLV_USER_MESSAGE_REFERENCE, outcome.reference.to_bytes(2, "big")))
    try:
        answer = await esme.deliver_sm(
            outcome.sender,
            text.encode(),
            source_addr=outcome.destination,
            source_addr_ton=1,
            source_addr_npi=1,
            esm_class=RECEIPT,
            tlvs=tlvs,
        )
    except SmppError:
        return False
    return answer.is_success
