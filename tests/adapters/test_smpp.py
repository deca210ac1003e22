"""The SMPP adapter against the sandbox centre, over real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from smpp34 import DeliverSm, SubmitSmEvent, Tlv
from smpp34._smpp34 import ESME_RTHROTTLED, TLV_MESSAGE_STATE, TLV_RECEIPTED_MESSAGE_ID

from activities.ports import ReceiptState, Refused, SmsReceipt, Unavailable
from adapters.smpp import SmppCentre, parts_of, read_receipt
from sandbox.sms_centre import CentreMode, SandboxSmsCentre
from tests.support import eventually

TO = "+8613800138000"
SHORT = "您的验证码是 482913,5 分钟内有效。"
RECEIPT_TEXT = "id:abc sub:001 dlvrd:001 submit date:2609301000 done date:2609301001 stat:{} err:000 text:"


class Inbox:
    """A receipt listener that keeps what it hears; it can be kept busy, or fail first."""

    def __init__(self) -> None:
        self.receipts: list[SmsReceipt] = []
        self.failures = 0
        self.free = asyncio.Event()
        self.free.set()

    async def hear(self, receipt: SmsReceipt) -> None:
        await self.free.wait()
        if self.failures:
            self.failures -= 1
            raise RuntimeError("the listener is broken")
        self.receipts.append(receipt)


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[SandboxSmsCentre]:
    sandbox = SandboxSmsCentre(path=tmp_path / "sms.jsonl")
    await sandbox.start()
    yield sandbox
    await sandbox.close()


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


def parts_seen(
    centre: SandboxSmsCentre, monkeypatch: pytest.MonkeyPatch, throttled: set[int]
) -> list[tuple[int, int, int]]:
    """Reference, total and number of every part the centre sees; the n-th it sees is throttled."""
    seen: list[tuple[int, int, int]] = []
    take = centre._take

    def counted(event: SubmitSmEvent) -> None:
        reference, total, number = event.short_message[3:6]
        seen.append((reference, total, number))
        if len(seen) in throttled:
            event.reject(ESME_RTHROTTLED)
        else:
            take(event)

    monkeypatch.setattr(centre, "_take", counted)
    return seen


def adapter_for(centre: SandboxSmsCentre, inbox: Inbox) -> SmppCentre:
    return SmppCentre(centre.host, centre.port, "jiebang", "secret", inbox.hear)


@pytest.fixture
async def adapter(centre: SandboxSmsCentre, inbox: Inbox) -> AsyncIterator[SmppCentre]:
    async with adapter_for(centre, inbox) as started:
        yield started


async def test_a_short_chinese_text_arrives_in_one_part(
    centre: SandboxSmsCentre, adapter: SmppCentre, tmp_path: Path
) -> None:
    ids = await adapter.submit(TO, SHORT, 7)

    [message] = centre.messages
    assert (message.text, message.parts, message.reference) == (SHORT, 1, 7)
    assert (message.sender, message.destination) == ("10699000", "8613800138000")
    assert message.message_ids == ids
    assert json.loads((tmp_path / "sms.jsonl").read_text("utf-8"))["text"] == SHORT


async def test_a_long_chinese_text_arrives_whole_with_an_emoji_where_parts_meet(
    centre: SandboxSmsCentre, adapter: SmppCentre
) -> None:
    text = "解" * 66 + "📱" + "绑" * 100  # the emoji is code units 67 and 68

    ids = await adapter.submit(TO, text, 0x1234)

    [message] = centre.messages
    assert (message.text, message.parts, message.reference) == (text, 3, 0x1234)
    assert message.message_ids == ids
    assert len(set(ids)) == 3


async def test_parts_sent_again_after_a_failure_make_one_whole_text(
    centre: SandboxSmsCentre, inbox: Inbox, adapter: SmppCentre
) -> None:
    text = "绑" * 150
    for _ in range(2):
        await adapter.submit(TO, text, 5)
    assert [message.text for message in centre.messages] == [text, text]


async def test_after_a_part_was_throttled_only_the_missing_ones_go_out(
    centre: SandboxSmsCentre, adapter: SmppCentre, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = parts_seen(centre, monkeypatch, throttled={2})
    text = "绑" * 150
    with pytest.raises(Unavailable) as raised:
        await adapter.submit(TO, text, 0x0105)
    assert (raised.value.code, len(raised.value.taken)) == ("sms_throttled", 1)

    rest = await adapter.submit(TO, text, 0x0105, already=1)

    assert seen == [(0x05, 3, 1), (0x05, 3, 2), (0x05, 3, 2), (0x05, 3, 3)]
    [message] = centre.messages
    assert message.text == text and message.message_ids == (*raised.value.taken, *rest)
    assert await adapter.submit(TO, text, 0x0105, already=3) == () and len(seen) == 4


async def test_a_plain_ascii_text_takes_the_default_alphabet(centre: SandboxSmsCentre, adapter: SmppCentre) -> None:
    await adapter.submit(TO, "Code 482913 " * 20, 7)

    assert [(message.text, message.parts) for message in centre.messages] == [("Code 482913 " * 20, 2)]


async def test_receipts_carry_id_state_and_reference(
    centre: SandboxSmsCentre, adapter: SmppCentre, inbox: Inbox
) -> None:
    centre.undeliver(1)
    lost = await adapter.submit(TO, SHORT, 41)
    arrived = await adapter.submit(TO, SHORT, 42)

    await eventually(lambda: len(inbox.receipts) == 2)
    told = {receipt.message_id: (receipt.state, receipt.reference) for receipt in inbox.receipts}
    assert told == {lost[0]: (ReceiptState.UNDELIVERED, 41), arrived[0]: (ReceiptState.DELIVERED, 42)}
    assert centre.mode == CentreMode.NORMAL


async def test_a_listener_that_fails_still_hears_the_next_receipt(adapter: SmppCentre, inbox: Inbox) -> None:
    inbox.failures = 1
    await adapter.submit(TO, SHORT, 1)
    await eventually(lambda: inbox.failures == 0)
    await adapter.submit(TO, SHORT, 2)

    await eventually(lambda: [receipt.reference for receipt in inbox.receipts] == [2])


async def test_throttled_is_worth_another_try(centre: SandboxSmsCentre, adapter: SmppCentre) -> None:
    centre.mode = CentreMode.THROTTLED
    with pytest.raises(Unavailable) as raised:
        await adapter.submit(TO, SHORT, 7)
    assert raised.value.code == "sms_throttled"

    centre.mode = CentreMode.NORMAL
    await adapter.submit(TO, SHORT, 7)
    assert len(centre.messages) == 1


async def test_a_silent_centre_sends_no_receipt(centre: SandboxSmsCentre, adapter: SmppCentre, inbox: Inbox) -> None:
    centre.mode = CentreMode.SILENT
    await adapter.submit(TO, SHORT, 1)
    centre.mode = CentreMode.NORMAL
    await adapter.submit(TO, SHORT, 2)

    await eventually(lambda: inbox.receipts)
    assert [receipt.reference for receipt in inbox.receipts] == [2]


@pytest.mark.parametrize("number", ["13800138000", "+86 138", "", "+8613800138000\n"])
async def test_a_number_that_is_not_e164_is_refused_and_not_repeated(adapter: SmppCentre, number: str) -> None:
    with pytest.raises(Refused) as raised:
        await adapter.submit(number, SHORT, 7)
    assert raised.value.code == "sms_bad_destination"
    assert "138" not in str(raised.value)


async def test_a_centre_that_goes_and_comes_back_is_bound_again(
    centre: SandboxSmsCentre, adapter: SmppCentre
) -> None:
    await adapter.submit(TO, SHORT, 1)
    await centre.down()
    with pytest.raises(Unavailable):
        await adapter.submit(TO, SHORT, 2)

    await centre.up()
    await eventually(lambda: centre.bound == 1)
    await adapter.submit(TO, SHORT, 3)
    assert [message.reference for message in centre.messages] == [1, 3]


async def test_a_centre_that_was_never_there_is_unavailable_and_says_when_to_come_back(
    centre: SandboxSmsCentre, inbox: Inbox
) -> None:
    await centre.down()
    async with adapter_for(centre, inbox) as adapter:
        with pytest.raises(Unavailable) as raised:
            await adapter.submit(TO, SHORT, 1)
    assert raised.value.code == "sms_not_bound"
    assert raised.value.retry_after is not None
    assert 0 < raised.value.retry_after <= 0.2


async def test_receipts_wait_for_the_next_bind(centre: SandboxSmsCentre, inbox: Inbox) -> None:
    centre.receipt_delay = 0.3
    async with adapter_for(centre, inbox) as first:
        await first.submit(TO, SHORT, 9)
    await eventually(lambda: centre.bound == 0)
    assert inbox.receipts == []

    async with adapter_for(centre, inbox):
        await eventually(lambda: inbox.receipts)
    assert [receipt.reference for receipt in inbox.receipts] == [9]


async def test_more_receipts_than_the_listener_can_take_at_once_all_arrive(
    centre: SandboxSmsCentre, adapter: SmppCentre, inbox: Inbox
) -> None:
    """With a small queue the library refuses the next receipt and the session ends."""
    inbox.free.clear()
    many = range(1200)
    await asyncio.gather(*[adapter.submit(TO, SHORT, reference) for reference in many])
    await eventually(lambda: centre.receipts_owed == 0)

    inbox.free.set()
    await eventually(lambda: len(inbox.receipts) == len(many))
    assert {receipt.reference for receipt in inbox.receipts} == set(many)


async def test_closing_leaves_no_session_behind(centre: SandboxSmsCentre, inbox: Inbox) -> None:
    adapter = adapter_for(centre, inbox)
    await adapter.start()
    await adapter.submit(TO, SHORT, 1)
    await adapter.close()

    await eventually(lambda: centre.bound == 0)
    with pytest.raises(Unavailable):
        await adapter.submit(TO, SHORT, 2)


async def test_closing_while_binding_leaves_no_session_behind(centre: SandboxSmsCentre, inbox: Inbox) -> None:
    """The library keeps a bind that was given up half-way, and lets it swallow receipts."""
    for _ in range(5):
        adapter = adapter_for(centre, inbox)
        await adapter.start()
        await asyncio.sleep(0)  # the attempt begins
        await adapter.close()
        await eventually(lambda: centre.bound == 0, limit=1)

    async with adapter_for(centre, inbox) as last:
        await last.submit(TO, SHORT, 3)
        await eventually(lambda: inbox.receipts)


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("", [0]),
        ("a" * 160, [160]),
        ("a" * 161, [6 + 153, 6 + 8]),
        ("解" * 70, [140]),
        ("解" * 71, [6 + 134, 6 + 8]),
        ("📱" * 35, [140]),
        ("📱" * 36, [6 + 132, 6 + 12]),  # 33 pairs a part: the 67th code unit would halve one
        ("price: 5 $", [20]),  # $ is another octet in GSM-7
    ],
)
def test_parts_have_the_sizes_a_phone_expects(text: str, sizes: list[int]) -> None:
    assert [len(part.octets) for part in parts_of(text, 0x0102)] == sizes


def test_a_text_beyond_255_parts_is_refused() -> None:
    with pytest.raises(Refused):
        parts_of("解" * (255 * 67 + 1), 1)


@pytest.mark.parametrize(
    ("text", "tlvs", "state"),
    [
        (RECEIPT_TEXT.format("DELIVRD"), [], ReceiptState.DELIVERED),
        (RECEIPT_TEXT.format("EXPIRED"), [], ReceiptState.UNDELIVERED),
        (RECEIPT_TEXT.format("ENROUTE"), [], None),
        (
            "",
            [Tlv(TLV_RECEIPTED_MESSAGE_ID, b"abc\0"), Tlv(TLV_MESSAGE_STATE, b"\x08")],
            ReceiptState.UNDELIVERED,
        ),
        ("", [Tlv(TLV_RECEIPTED_MESSAGE_ID, b"abc\0"), Tlv(TLV_MESSAGE_STATE, b"\x01")], None),
        ("no receipt at all", [], None),
        ("", [], None),
    ],
)
async def test_receipts_of_other_centres_are_read(text: str, tlvs: list[Tlv], state: ReceiptState | None) -> None:
    """Centres differ: some send TLVs, some only the text, some states on the way."""
    receipt = read_receipt(DeliverSm("8613800138000", "10699000", text.encode(), esm_class=4, tlvs=tlvs))
    assert (receipt and (receipt.message_id, receipt.state, receipt.reference)) == (state and ("abc", state, None))


def test_a_text_from_a_phone_is_no_receipt() -> None:
    assert read_receipt(DeliverSm("8613800138000", "10699000", b"id:1 stat:DELIVRD", esm_class=0)) is None
