"""The short message centre over SMPP 3.4, so that a code or a result reaches a real phone.

One transceiver session, kept up by one background task that also reads the delivery receipts. Logs and
errors carry neither numbers nor texts.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from types import TracebackType
from typing import Self

import structlog
from smpp34 import Client, DeliverSmEvent, Disconnected, SmppError, Smsc, Tlv

# The package re-exports these in a way a type checker cannot see.
from smpp34._smpp34 import (
    ESME_RMSGQFUL,
    ESME_RSYSERR,
    ESME_RTHROTTLED,
    TLV_MESSAGE_STATE,
    TLV_RECEIPTED_MESSAGE_ID,
    TLV_USER_MESSAGE_REFERENCE,
)

from activities.ports import ReceiptListener, ReceiptState, Refused, SmsReceipt, Unavailable

log = structlog.get_logger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 30.0
"""Seconds between attempts to bind; doubled after each failure."""

BIND_LIMIT, SUBMIT_LIMIT, UNBIND_LIMIT = 10.0, 10.0, 2.0
ALIVE_CHECK = 1.0

INBOUND_QUEUE = 50_000
"""Receipts the library may hold for us. When it is full it answers with an error that some centres, the
library's own server among them, take as a reason to hang up."""

MAX_PARTS = 255
E164 = re.compile(r"^\+[1-9][0-9]{4,14}$")

LATER = {ESME_RTHROTTLED: "sms_throttled", ESME_RMSGQFUL: "sms_queue_full", ESME_RSYSERR: "sms_system_error"}
"""Answers that mean 'not now' (SMPP 3.4, 5.1.3). Everything else would be answered the same again."""

ESME_RINVDSTADR = 0x0B


class Alphabet(IntEnum):
    """`data_coding` (SMPP 3.4, 5.2.19)."""

    DEFAULT = 0
    UCS2 = 8


class EsmClass(IntEnum):
    """`esm_class` (SMPP 3.4, 5.2.12): what kind of message a PDU carries."""

    PLAIN = 0x00
    RECEIPT = 0x04
    TYPE_MASK = 0x3C
    USER_DATA_HEADER = 0x40


FINAL_STATES = {
    2: ReceiptState.DELIVERED,
    3: ReceiptState.UNDELIVERED,  # expired
    4: ReceiptState.UNDELIVERED,  # deleted
    5: ReceiptState.UNDELIVERED,  # undeliverable
    8: ReceiptState.UNDELIVERED,  # rejected
}
"""`message_state` (SMPP 3.4, 5.2.28). En route, accepted and unknown say nothing about the end."""

FINAL_WORDS = {
    "DELIVRD": ReceiptState.DELIVERED,
    "EXPIRED": ReceiptState.UNDELIVERED,
    "DELETED": ReceiptState.UNDELIVERED,
    "UNDELIV": ReceiptState.UNDELIVERED,
    "REJECTD": ReceiptState.UNDELIVERED,
}
"""The same as words of the classic receipt text (SMPP 3.4, appendix B)."""

RECEIPT_ID = re.compile(r"\bid:(\S+)", re.IGNORECASE)
RECEIPT_WORD = re.compile(r"\bstat:(\w+)", re.IGNORECASE)

SAME_IN_GSM7_AND_ASCII = re.compile(r"""[A-Za-z0-9 \r\n!"#%&'()*+,\-./:;<=>?]*""")


@dataclass(frozen=True)
class Part:
    """One `submit_sm` worth of a text."""

    octets: bytes
    alphabet: Alphabet
    esm_class: EsmClass


def parts_of(text: str, reference: int) -> list[Part]:
    """Split a text for transport: one part if it fits, else parts with a concatenation header.

    The header's number comes from `reference`, so the parts of a retry join those of the first try on the phone,
    or replace them.
    """
    if SAME_IN_GSM7_AND_ASCII.fullmatch(text):
        alphabet, encoding, alone, together = Alphabet.DEFAULT, "ascii", 160, 153
    else:
        alphabet, encoding, alone, together = Alphabet.UCS2, "utf-16-be", 140, 134
    characters = [character.encode(encoding) for character in text]
    whole = b"".join(characters)
    if len(whole) <= alone:
        return [Part(whole, alphabet, EsmClass.PLAIN)]

    pieces = [b""]
    for character in characters:  # never half of a surrogate pair
        if len(pieces[-1]) + len(character) > together:
            pieces.append(b"")
        pieces[-1] += character
    if len(pieces) > MAX_PARTS:
        raise Refused("sms_too_long", "The text needs more parts than a short message can have.")
    header = bytes((5, 0, 3, reference & 0xFF, len(pieces)))
    return [
        Part(header + bytes((number,)) + piece, alphabet, EsmClass.USER_DATA_HEADER)
        for number, piece in enumerate(pieces, start=1)
    ]


def read_receipt(event: DeliverSmEvent) -> SmsReceipt | None:
    """The final state a `deliver_sm` tells; None for a text from a phone or a state in between.

    The time is that of arrival: `done date` in the text has minutes only and no time zone.
    """
    if event.esm_class & EsmClass.TYPE_MASK != EsmClass.RECEIPT:
        return None
    tlvs = {tlv.tag: tlv for tlv in event.tlvs}
    text = event.short_message.decode("ascii", errors="replace")
    message_id = _receipted_id(tlvs, text)
    state = _final_state(tlvs, text)
    if not message_id or state is None:
        return None
    reference = tlvs.get(TLV_USER_MESSAGE_REFERENCE)
    return SmsReceipt(message_id, state, datetime.now(UTC), reference.as_int() if reference else None)


def _receipted_id(tlvs: dict[int, Tlv], text: str) -> str | None:
    if tlv := tlvs.get(TLV_RECEIPTED_MESSAGE_ID):
        return tlv.value.rstrip(b"\0").decode("ascii", errors="replace")
    found = RECEIPT_ID.search(text)
    return found[1] if found else None


def _final_state(tlvs: dict[int, Tlv], text: str) -> ReceiptState | None:
    if tlv := tlvs.get(TLV_MESSAGE_STATE):
        number = tlv.as_int()
        return FINAL_STATES.get(number) if number is not None else None
    found = RECEIPT_WORD.search(text)
    return FINAL_WORDS.get(found[1].upper()) if found else None


class SmppCentre:
    """Implements `activities.ports.SmsCentre`.

    `start` returns at once; while nobody is bound, `submit` raises `Unavailable`. Receipts are read from
    `start` on, whether or not anything is submitted.
    """

    def __init__(
        self,
        host: str,
        port: int,
        system_id: str,
        password: str,
        on_receipt: ReceiptListener,
        sender: str = "10699000",
        tls: bool = False,
    ) -> None:
        self._host = host
        self._port = port
        self._system_id = system_id
        self._password = password
        self._on_receipt = on_receipt
        self._sender = sender
        self._tls = tls
        self._session: Smsc | None = None
        self._settled = asyncio.Event()  # unset while an attempt to bind is under way
        self._settled.set()
        self._next_attempt = 0.0
        self._keeper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Begin to bind, and to read receipts, in the background."""
        if self._keeper is None:
            self._settled.clear()
            self._keeper = asyncio.create_task(self._keep_bound(), name="sms-centre")

    async def close(self) -> None:
        """Unbind and stop."""
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
            self._keeper = None
            self._settled.set()

    async def submit(self, to: str, text: str, reference: int, already: int = 0) -> tuple[str, ...]:
        """See `SmsCentre.submit`. Parts go one after the other, so what is missing after a failure is the end."""
        if not E164.fullmatch(to):
            raise Refused("sms_bad_destination", "The destination is not an E.164 number.")
        try:
            parts = parts_of(text, reference)
        except UnicodeEncodeError:
            raise Refused("sms_not_encodable", "The text cannot be encoded.") from None
        taken: list[str] = []
        for part in parts[already:]:
            try:
                taken.append(await self._submit_part(part, to, reference))
            except Unavailable as error:
                error.taken = tuple(taken)
                raise
        return tuple(taken)

    async def _submit_part(self, part: Part, to: str, reference: int) -> str:
        session = await self._bound_session()
        try:
            async with asyncio.timeout(SUBMIT_LIMIT):
                answer = await session.submit_sm(
                    to.removeprefix("+"),
                    part.octets,
                    source_addr=self._sender,
                    dest_addr_ton=1,
                    dest_addr_npi=1,
                    esm_class=part.esm_class,
                    data_coding=part.alphabet,
                    registered_delivery=1,
                    tlvs=[Tlv(TLV_USER_MESSAGE_REFERENCE, reference.to_bytes(2, "big"))],
                )
        except TimeoutError:
            raise Unavailable("sms_timeout", "The SMS centre did not answer in time.") from None
        except SmppError:
            raise Unavailable("sms_connection_lost", "The connection to the SMS centre broke.") from None
        status = answer.command_status
        if status in LATER:
            raise Unavailable(LATER[status], "The SMS centre takes no message now.")
        if status == ESME_RINVDSTADR:
            raise Refused("sms_bad_destination", "The SMS centre does not know the destination.")
        if not answer.is_success or not answer.message_id:
            raise Refused("sms_refused", f"The SMS centre refused the message with status 0x{status:08X}.")
        return answer.message_id

    async def _bound_session(self) -> Smsc:
        await self._settled.wait()
        if self._session is None:
            pause = max(0.0, self._next_attempt - asyncio.get_running_loop().time())
            raise Unavailable("sms_not_bound", "No session with the SMS centre.", retry_after=pause or None)
        return self._session

    async def _keep_bound(self) -> None:
        """Bind, read receipts until the session ends, pause, again; for ever."""
        clock = asyncio.get_running_loop().time
        pause = FIRST_PAUSE
        while True:
            began = clock()
            try:
                await self._one_session()
                log.warning("sms_session_ended")
            except Exception as error:  # noqa: BLE001  whatever it was, the next session may do better
                log.warning("sms_session_failed", error=type(error).__name__)
            if clock() - began > LONGEST_PAUSE:
                pause = FIRST_PAUSE
            self._next_attempt = clock() + pause
            self._settled.set()
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _one_session(self) -> None:
        self._settled.clear()
        client = Client(
            self._host,
            self._port,
            self._system_id,
            self._password,
            tls=self._tls,
            inbound_capacity=INBOUND_QUEUE,
        )
        binding = asyncio.ensure_future(client.connect())
        try:
            async with asyncio.timeout(BIND_LIMIT):
                self._session = await asyncio.shield(binding)
            self._settled.set()
            log.info("sms_session_bound")
            await self._read_receipts(client, self._session)
        finally:
            self._session = None
            await _leave(client, binding)

    async def _read_receipts(self, client: Client, session: Smsc) -> None:
        """Until the session ends.

        `Disconnected` is lost when the library's queue is full, so silence is checked too; `next` is never
        cancelled on the way, since that could lose an event already acknowledged to the centre.
        """
        event = asyncio.ensure_future(session.next())
        try:
            while True:
                await asyncio.wait({event}, timeout=ALIVE_CHECK)
                if not event.done():
                    if not await client.is_alive():
                        return
                    continue
                received = event.result()
                if isinstance(received, Disconnected):
                    return
                await self._pass_on(received)
                event = asyncio.ensure_future(session.next())
        finally:
            event.cancel()

    async def _pass_on(self, event: DeliverSmEvent) -> None:
        """Tell the listener. It may fail for one receipt without ending the others."""
        try:
            receipt = read_receipt(event)
            if receipt is None:
                log.info("sms_inbound_ignored", esm_class=event.esm_class)
            else:
                await self._on_receipt(receipt)
        except Exception as error:  # noqa: BLE001  its text may hold personal data, so only its type is logged
            log.error("sms_receipt_not_taken", error=type(error).__name__)


async def _leave(client: Client, binding: asyncio.Future[Smsc]) -> None:
    """Unbind, if need be after waiting for the bind.

    A bind given up half-way, or a session stopped without an unbind, stays open in the library and
    acknowledges receipts that nobody reads.
    """
    with suppress(TimeoutError, SmppError):
        async with asyncio.timeout(UNBIND_LIMIT):
            session = await binding
            await session.unbind()
    await client.stop()
