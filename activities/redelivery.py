"""Redelivery: messages a partner missed, made afresh from today's state and sent again under their own ids.

Every body is made by the function that made it the first time; what it was about may be gone by now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from pydantic import ValidationError
from sqlalchemy import Connection
from temporalio import activity
from temporalio.exceptions import TemporalError

from activities.carriers import result_body
from activities.contracts import Redeliver, Redelivered
from activities.enterprises import notice_body
from activities.numbers import announcement_body
from activities.outside import outside
from activities.parties import UNREADABLE, question_body
from activities.ports import PortError, Refused, Unavailable, Webhooks
from domain import question
from domain.case import CaseKind, root
from domain.question import Answering
from domain.refusal import Refusal
from domain.registry import Channel, Enterprise, Registry
from store import papers, sent
from store.answers import Said, SaidAtOnce, take
from store.database import Database
from store.disclosure import subject
from store.keys import KeyRing
from store.projection import load_items, load_state
from store.sent import About, Again, OfItems, OfNumber, OfQuestion, OfRenewal, Waiting
from store.vault import NotInVault, get
from store.views import ListedQuestion, question_of

log = structlog.get_logger()

PAGE = 200
"""Messages made at a time."""

AT_ONCE = 8
"""Messages sent to one partner at the same time."""

UPDATE_SECONDS = 20.0
"""How long a case may take to take an answer."""

GONE = "gone"
FORGOTTEN = "forgotten"
NOT_ASKED = "no_longer_asked"
OVERTAKEN = "overtaken"
NOT_PUSHED = "not_pushed_to"

NOT_SENT: Mapping[str, str] = {
    GONE: "what it was about is not there any more",
    FORGOTTEN: "the person's data is deleted",
    NOT_ASKED: "the question is answered, or its case is over",
    OVERTAKEN: "a later message about the same number has followed",
    NOT_PUSHED: "you are not pushed to any more",
}
"""Why a message has nothing to say any more."""


class Nothing(Exception):
    """There is nothing to be said any more; `code` tells why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class Letter:
    """A message ready to be sent, and the question it puts, if it does."""

    url: str
    body: Mapping[str, Any]
    asks: ListedQuestion | None = None


class Redelivery:
    """Sends partners again what they missed."""

    def __init__(self, database: Database, keys: KeyRing, registry: Registry, webhooks: Webhooks) -> None:
        self._database = database
        self._keys = keys
        self._registry = registry
        self._webhooks = webhooks
        self._makers: Mapping[type[Any], Callable[[Connection, str, Any], Letter]] = {
            OfRenewal: self._result,
            OfItems: self._notice,
            OfQuestion: self._question,
            OfNumber: self._announcement,
        }

    @activity.defn(name="redeliver")
    async def redeliver(self, order: Redeliver) -> Redelivered:
        """See `contracts.redeliver`. A page of which nothing got through ends the pass: the partner is down, and the
        next pass begins with what was not tried in this one."""
        began: datetime = activity.info().current_attempt_scheduled_time
        wait = 0.0
        async with outside():
            while page := await self._database.read(lambda c: sent.waiting(c, order.replay, began, PAGE)):
                away = await self._send(order, began, page)
                wait = max([wait, *(error.retry_after or 0 for error in away)])
                if len(away) == PAGE:
                    break
        count = sent.unmark if order.last else sent.left
        return Redelivered(left=await self._database.write(lambda c: count(c, order.replay)), retry_after=wait)

    async def _send(self, order: Redeliver, began: datetime, page: list[Waiting]) -> list[Unavailable]:
        """A page of messages, and what came of each into the log; why some are left."""
        room = asyncio.Semaphore(AT_ONCE)
        letters = await self._database.read(lambda c: [self._letter(c, order.partner, one.about) for one in page])

        async def send(one: Waiting, letter: Letter | Nothing) -> tuple[Again, Unavailable | None]:
            async with room:
                return await self._send_one(order, one.message_id, letter)

        tried = await asyncio.gather(*(send(*pair) for pair in zip(page, letters, strict=True)))
        outcomes = [again for again, _ in tried]
        await self._database.write(lambda c: sent.replayed(c, order.partner, order.replay, began, outcomes))
        return [error for _, error in tried if error is not None]

    async def _send_one(
        self, order: Redeliver, message_id: str, letter: Letter | Nothing
    ) -> tuple[Again, Unavailable | None]:
        """One message; its trouble is no other's."""
        if isinstance(letter, Nothing):
            return Again(message_id, failure=letter.code, sent=False), None
        try:
            if letter.asks is None:
                await self._webhooks.post(order.partner, letter.url, message_id, letter.body)
            else:
                reply = await self._webhooks.ask(order.partner, letter.url, message_id, letter.body)
                await self._hear(letter.asks, reply)
        except Unavailable as error:
            log.warning("replay_failed", partner=order.partner, code=error.code)
            return Again(message_id, failure=error.code, waits=True), error
        except PortError as error:
            log.warning("replay_refused", partner=order.partner, code=error.code)
            return Again(message_id, failure=error.code), None
        except Exception as error:  # noqa: BLE001 - a fault with one message must not stop the others
            log.error("replay_fault", partner=order.partner, error=type(error).__name__)
            return Again(message_id, failure="internal"), None
        return Again(message_id), None

    # ── what a partner replies to a question ─────────────────────────────────────────────────────────

    async def _hear(self, asked: ListedQuestion, reply: bytes) -> None:
        """Take an answer that came at once to its case, as if it had come through the party's door."""
        try:
            said = SaidAtOnce.model_validate_json(reply or b"{}").to(asked.question.id)
        except ValidationError:
            raise Refused(UNREADABLE, "the answer does not fit the protocol") from None
        if said is None:
            return
        try:
            command = await self._database.write(lambda c: self._put_away(c, asked, said))
        except NotInVault:
            raise Refused(FORGOTTEN, "the person is forgotten") from None
        case = activity.client().get_workflow_handle(asked.case)
        try:
            async with asyncio.timeout(UPDATE_SECONDS):
                await case.execute_update("answer", command)
        except (TemporalError, TimeoutError) as error:
            raise Unavailable("engine_busy", f"the case did not take the answer ({type(error).__name__})") from None

    def _put_away(self, connection: Connection, asked: ListedQuestion, said: Said) -> Answering:
        one = asked.question
        cards = self._registry.enterprise(one.party).has_cards
        answer = take(connection, self._keys, asked.case, said, asked.activated_at, one.apps, cards)
        command = Answering(question=one.id, party=one.party, answer=answer)
        decision = question.decide({one.id: one}, command, datetime.now(UTC))
        if isinstance(decision, Refusal):
            raise Refused(decision.code.value, decision.sentence)
        return command

    # ── one maker per type of message ────────────────────────────────────────────────────────────────

    def _letter(self, connection: Connection, partner: str, about: About) -> Letter | Nothing:
        try:
            return self._makers[type(about)](connection, partner, about)
        except Nothing as nothing:
            return nothing
        except NotInVault:
            return Nothing(FORGOTTEN)
        except KeyError:
            return Nothing(GONE)

    def _result(self, connection: Connection, partner: str, about: OfRenewal) -> Letter:
        state = load_state(connection, CaseKind.RENEWAL, about.case)
        return Letter(self._registry.carrier(partner).results, result_body(state))

    def _notice(self, connection: Connection, partner: str, about: OfItems) -> Letter:
        enterprise = self._pushed(partner)
        items = load_items(connection, set(about.items))
        whose = subject(self._keys, enterprise, get(connection, self._keys, root(about.case)))
        return Letter(enterprise.endpoint, notice_body(about.notice, [items[item] for item in about.items], whose))

    def _question(self, connection: Connection, partner: str, about: OfQuestion) -> Letter:
        enterprise = self._pushed(partner)
        asked = question_of(connection, partner, about.question)
        if asked is None or not asked.wanted or not asked.question.open:
            raise Nothing(NOT_ASKED if asked else GONE)
        whose = subject(self._keys, enterprise, get(connection, self._keys, root(asked.case)))
        checked = asked.activated_at is not None and enterprise.accepts_proof
        paper = asked.question.text
        text = papers.get(connection, self._keys, asked.case, paper) if paper else None
        return Letter(enterprise.endpoint, question_body(asked.question, whose, checked, text), asked)

    def _announcement(self, connection: Connection, partner: str, about: OfNumber) -> Letter:
        """What enterprises hear last is what counts: an announcement that another has followed is not said again."""
        enterprise = self._pushed(partner)
        if load_state(connection, CaseKind.NUMBER, about.case).announcements != about.announcement:
            raise Nothing(OVERTAKEN)
        person = get(connection, self._keys, about.case)
        token = self._keys.enterprise_token(partner, person.number.e164)
        return Letter(enterprise.endpoint, announcement_body(about, token))

    def _pushed(self, partner: str) -> Enterprise:
        enterprise = self._registry.enterprise(partner)
        if enterprise.channel is not Channel.PUSH:
            raise Nothing(NOT_PUSHED)
        return enterprise
