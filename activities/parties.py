"""Parties: questions to enterprises and carriers, in bulk; who answers at once is heard at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import structlog
from pydantic import ValidationError
from sqlalchemy import Connection
from temporalio import activity

from activities.contracts import AskParties
from activities.outside import outside
from activities.ports import PortError, Webhooks
from domain.case import root
from domain.question import ANSWERS, Answer, Counts, Heard, Question, QuestionKind, QuestionsPut
from domain.registry import Channel, Registry
from store import papers
from store.answers import Said, SaidAtOnce, take
from store.database import Database
from store.disclosure import Subject, subject
from store.ids import question_id
from store.keys import KeyRing
from store.ledger import Append, append
from store.sent import OfQuestion, Sent
from store.sent import log as log_sent
from store.vault import NotInVault, Person, get

log = structlog.get_logger()

AT_ONCE = 50
"""Parties asked at the same time."""

MESSAGE_TYPE = "questions.asked"
UNREADABLE = "answer_unreadable"


@dataclass(frozen=True)
class _Reply:
    """What came of asking one party: something said, a failure, or nothing yet; and the message, if there was one."""

    said: Said | None = None
    failure: str = ""
    message: Sent | None = None


class Parties:
    """Questions to enterprises, and to carriers as the owners of phone cards."""

    def __init__(self, database: Database, keys: KeyRing, registry: Registry, webhooks: Webhooks) -> None:
        self._database = database
        self._keys = keys
        self._registry = registry
        self._webhooks = webhooks

    @activity.defn(name="ask_parties")
    async def ask_parties(self, order: AskParties) -> Heard:
        """See `contracts.ask_parties`. A second try after a crash asks again, which changes nothing at the party."""
        person, text = await self._database.read(lambda c: self._person_and_text(c, order))
        at: datetime = activity.info().current_attempt_scheduled_time
        put = await self._database.write(lambda c: self._put(c, order, at))
        asked = {question.party: question for question in put.questions}
        room = asyncio.Semaphore(AT_ONCE)

        async def ask(party: str) -> _Reply:
            async with room:
                return await self._ask(order, at, person, text, asked[party])

        async with outside():
            replies = await asyncio.gather(*(ask(party) for party in order.parties))
        return await self._database.write(
            lambda c: self._record(c, order, at, put, dict(zip(order.parties, replies, strict=True)))
        )

    def _put(self, connection: Connection, order: AskParties, at: datetime) -> QuestionsPut:
        """The questions, before anybody is asked: a quick party may answer while a slow one is waited for."""
        questions = tuple(self._question(connection, order, at, party, _Reply()) for party in order.parties)
        put = QuestionsPut(at=at, round=order.round, questions=questions)
        (recorded,) = append(connection, self._keys, Append(order.case, order.kind, f"{order.round}/put", (put,)))
        assert isinstance(recorded, QuestionsPut)
        return recorded

    def _person_and_text(self, connection: Connection, order: AskParties) -> tuple[Person, str | None]:
        """Whom it is about, and what is asked in words, where that was written down."""
        text = papers.get(connection, self._keys, order.case, order.text) if order.text else None
        return get(connection, self._keys, root(order.case)), text

    async def _ask(
        self, order: AskParties, at: datetime, person: Person, text: str | None, asked: Question
    ) -> _Reply:
        """One party; its trouble is nobody else's. Who is not pushed to finds the question in its list."""
        party = asked.party
        enterprise = self._registry.enterprise(party)
        if enterprise.channel is not Channel.PUSH:
            return _Reply()
        sent = Sent(party, f"{asked.id}.{order.round}", MESSAGE_TYPE, OfQuestion(question=asked.id), at)
        whose = subject(self._keys, enterprise, person)
        checked = order.activated_at is not None and enterprise.accepts_proof
        try:
            body = question_body(asked, whose, checked, text)
            reply = await self._webhooks.ask(party, enterprise.endpoint, sent.message_id, body)
            said = SaidAtOnce.model_validate_json(reply or b"{}").to(asked.id)
        except PortError as error:
            log.warning("question_failed", case=order.case, party=party, code=error.code)
            failure = error.code
        except ValidationError:
            log.warning("answer_unreadable", case=order.case, party=party)
            failure = UNREADABLE
        except Exception as error:  # noqa: BLE001 - a fault with one party must not stop the others
            log.error("question_fault", case=order.case, party=party, error=type(error).__name__)
            failure = "internal"
        else:
            return _Reply(said, message=sent)
        return _Reply(failure=failure, message=replace(sent, failure=failure))

    def _record(
        self,
        connection: Connection,
        order: AskParties,
        at: datetime,
        put: QuestionsPut,
        replies: Mapping[str, _Reply],
    ) -> Heard:
        asked_at = {question.party: question.asked_at for question in put.questions}
        questions = tuple(
            self._question(connection, order, at, party, reply).model_copy(update={"asked_at": asked_at[party]})
            for party, reply in replies.items()
        )
        heard = Heard(at=at, round=order.round, questions=questions)
        step = Append(order.case, order.kind, order.round, (heard,))
        (recorded,) = append(connection, self._keys, step)
        assert isinstance(recorded, Heard)
        log_sent(connection, [reply.message for reply in replies.values() if reply.message])
        return recorded

    def _question(
        self, connection: Connection, order: AskParties, at: datetime, party: str, reply: _Reply
    ) -> Question:
        apps, answer, failure = order.parties[party], None, reply.failure
        if reply.said is not None:
            try:
                cards = self._registry.enterprise(party).has_cards
                answer = take(connection, self._keys, order.case, reply.said, order.activated_at, apps, cards)
            except NotInVault:
                failure = "forgotten"
        if answer is not None and not _fits(answer, order.question):
            answer, failure = None, "answer_does_not_fit"
        return Question(
            id=question_id(self._keys, order.case, order.question.value, party),
            kind=order.question,
            party=party,
            apps=apps,
            text=order.text,
            asked_at=at,
            due_at=order.due_at,
            answer=answer,
            answered_at=at if answer is not None else None,
            failure=failure,
        )


def question_body(asked: Question, whose: Subject, identity_checked: bool, text: str | None) -> Mapping[str, Any]:
    """What a party's endpoint gets about a question."""
    one: dict[str, Any] = {
        "id": asked.id,
        "kind": asked.kind.value,
        "apps": list(asked.apps),
        "subject": whose.model_dump(exclude_none=True),
        "due_at": asked.due_at.isoformat(),
        "identity_checked": identity_checked,
    }
    return {"type": MESSAGE_TYPE, "data": {"questions": [one if text is None else {**one, "text": text}]}}


def _fits(answer: Answer, kind: QuestionKind) -> bool:
    """Whether it is an answer to such a question; counts of none of the apps asked about are none."""
    return isinstance(answer, ANSWERS[kind]) and not (isinstance(answer, Counts) and not answer.counts)
