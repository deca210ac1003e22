"""The holder: one summary by short message, handed over once, sent again only when a receipt says undelivered."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.contracts import Tell, TellCitizen
from activities.outside import outside
from activities.ports import ReceiptState, SmsCentre, SmsReceipt, Unavailable
from domain import messages, renewal, texts
from domain.case import CaseKind, Told
from store import messages as sms
from store.database import Database
from store.ids import sms_reference
from store.keys import KeyRing
from store.ledger import Append, append
from store.messages import MessageState
from store.vault import get

log = structlog.get_logger()

POLL_SECONDS = 0.2
RECEIPT_SECONDS = 60.0
"""How long a receipt is waited for before the summary counts as sent, delivery unknown."""

PROOF_SECONDS = 10.0
"""How long a message that may have left before a crash is given to prove it by its receipt."""

MOST_TRIES = 3
AGAIN_AFTER = timedelta(hours=1)
"""A message that was not delivered is sent again at most twice, an hour apart; then the case says so."""

MAY_HAVE_LEFT = frozenset({"sms_timeout", "sms_connection_lost"})
"""The codes with which the SMS adapter says that a message was handed over but the centre's answer never came."""


class Holder:
    """Everything said to the holder."""

    def __init__(self, database: Database, keys: KeyRing, centre: SmsCentre) -> None:
        self._database = database
        self._keys = keys
        self._centre = centre

    @activity.defn(name="tell_holder")
    async def tell_holder(self, order: Tell) -> renewal.SummarySent:
        """See `contracts.tell_holder`."""
        step = f"summary-{order.summary}"
        text = texts.renewal_message(order.state, renewal.tally(order.state.outcomes.values()), order.summary)
        delivered = await self._say(order.case, step, text)
        sent = renewal.SummarySent(
            at=activity.info().current_attempt_scheduled_time, summary=order.summary, delivered=delivered
        )
        recorded = Append(order.case, CaseKind.RENEWAL, step, (sent,))
        (event,) = await self._database.write(lambda c: append(c, self._keys, recorded))
        assert isinstance(event, renewal.SummarySent)
        return event

    @activity.defn(name="tell_citizen")
    async def tell_citizen(self, order: TellCitizen) -> Told:
        """See `contracts.tell_citizen`."""
        delivered = await self._say(order.case, order.step, messages.render(order.message))
        at = activity.info().current_attempt_scheduled_time
        told = Told(at=at, message=order.message.key.value, step=order.step, delivered=delivered)
        recorded = Append(order.case, order.kind, order.step, (told,))
        (event,) = await self._database.write(lambda c: append(c, self._keys, recorded))
        assert isinstance(event, Told)
        return event

    async def _say(self, case: str, step: str, text: str) -> bool | None:
        """Hand one text over and wait for its receipt: True delivered, None when nobody says."""
        async with outside():
            await self._hand_over_once(case, step, text)
            return await self._receipt(case, step)

    async def receipt(self, receipt: SmsReceipt) -> None:
        """A delivery receipt from the SMS centre; whoever waits for it finds it in the database."""
        delivered = receipt.state is ReceiptState.DELIVERED
        known = await self._database.write(
            lambda c: sms.receipt(c, receipt.message_id, receipt.reference, delivered, receipt.at)
        )
        if not known:
            log.warning("receipt_of_unknown_message")

    async def _hand_over_once(self, case: str, step: str, text: str) -> None:
        """Intent, hand-over, ids: what has left is not sent again, and after a crash in between receipts tell.

        The text of a retry is the same, since it is made from the same order; so its parts fit the ones before.
        """
        reference = sms_reference(case, step)
        known = await self._state(case, step)
        if known in sms.ON_ITS_WAY:
            return
        if known is MessageState.INTENDED:
            await self._proof(case, step)
        at: datetime = activity.info().current_attempt_scheduled_time
        person = await self._database.read(lambda c: get(c, self._keys, case))
        already = await self._database.write(lambda c: sms.intend_rest(c, case, step, reference, at))
        try:
            ids = await self._centre.submit(person.number.e164, text, reference, already)
        except Unavailable as error:
            taken, may_have_left = error.taken, error.code in MAY_HAVE_LEFT
            await self._database.write(lambda c: sms.broke_off(c, case, step, taken, may_have_left=may_have_left))
            raise
        await self._database.write(lambda c: sms.submitted(c, case, step, ids))

    async def _proof(self, case: str, step: str) -> None:
        """Wait until receipts tell how much of the message has left: until they come and no more come at once."""
        seen = 0
        for _ in range(int(PROOF_SECONDS / POLL_SECONDS)):
            proven = await self._database.read(lambda c: sms.left_us(c, case, step))
            if proven and proven == seen:
                return
            seen = proven
            await asyncio.sleep(POLL_SECONDS)

    async def _receipt(self, case: str, step: str) -> bool | None:
        """True when delivered, None when nobody says; raises for another try when undelivered."""
        for _ in range(int(RECEIPT_SECONDS / POLL_SECONDS)):
            known = await self._state(case, step)
            if known is MessageState.DELIVERED:
                return True
            if known is MessageState.UNDELIVERED:
                tries = await self._database.read(lambda c: sms.tries(c, case, step))
                raise ApplicationError(
                    "the short message was not delivered",
                    type="undelivered",
                    non_retryable=tries >= MOST_TRIES,
                    next_retry_delay=AGAIN_AFTER,
                )
            await asyncio.sleep(POLL_SECONDS)
        return None

    async def _state(self, case: str, step: str) -> MessageState | None:
        return await self._database.read(lambda c: sms.state(c, case, step))
