"""Parties: questions to enterprises and carriers, in bulk; who answers at once is heard at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
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
from domain.question import ANSWERS, Heard, Question
from domain.registry import Channel, Registry
from store.answers import Said, SaidAtOnce, take
from store.database import Database
from store.disclosure import subject
from store.ids import question_id
from store.keys import KeyRing
from store.ledger import Append, append
from store.vault import NotInVault, Person, get

log = structlog.get_logger()

AT_ONCE = 50
"""Parties asked at the same time."""


@dataclass(frozen=True)
class _Reply:
    """What came of asking one party: something said, a failure, or nothing yet."""

    said: Said | None = None
    failure: str = ""


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
        person = await self._database.read(lambda c: get(c, self._keys, root(order.case)))
        room = asyncio.Semaphore(AT_ONCE)

        async def ask(party: str) -> _Reply:
            async with room:
                return await self._ask(order, person, party)

        async with outside():
            replies = await asyncio.gather(*(ask(party) for party in order.parties))
        at: datetime = activity.info().current_attempt_scheduled_time
        return await self._database.write(
            lambda c: self._record(c, order, at, dict(zip(order.parties, replies, strict=True)))
        )

    async def _ask(self, order: AskParties, person: Person, party: str) -> _Reply:
        """One party; its trouble is nobody else's. Who is not pushed to finds the question in its list."""
        enterprise = self._registry.enterprise(party)
        if enterprise.channel is not Channel.PUSH:
            return _Reply()
        question = question_id(self._keys, order.case, order.question.value, party)
        body: dict[str, Any] = {
            "type": "questions.asked",
            "data": {
                "questions": [
                    {
                        "id": question,
                        "kind": order.question.value,
                        "apps": list(order.parties[party]),
                        "subject": subject(self._keys, enterprise, person).model_dump(exclude_none=True),
                        "due_at": order.due_at.isoformat(),
                        "identity_checked": order.activated_at is not None and enterprise.accepts_proof,
                    }
                ]
            },
        }
        try:
            answer = await self._webhooks.ask(party, enterprise.endpoint, f"{question}.{order.round}", body)
            said = SaidAtOnce.model_validate_json(answer or b"{}")
        except PortError as error:
            log.warning("question_failed", case=order.case, party=party, code=error.code)
            return _Reply(failure=error.code)
        except ValidationError:
            log.warning("answer_unreadable", case=order.case, party=party)
            return _Reply(failure="answer_unreadable")
        except Exception as error:  # noqa: BLE001 - a fault with one party must not stop the others
            log.error("question_fault", case=order.case, party=party, error=type(error).__name__)
            return _Reply(failure="internal")
        return _Reply(next((one.answer for one in said.answers if one.question == question), None))

    def _record(
        self, connection: Connection, order: AskParties, at: datetime, replies: Mapping[str, _Reply]
    ) -> Heard:
        heard = Heard(
            at=at,
            round=order.round,
            questions=tuple(self._question(connection, order, at, party, reply) for party, reply in replies.items()),
        )
        step = Append(order.case, order.kind, order.round, (heard,))
        (recorded,) = append(connection, self._keys, step)
        assert isinstance(recorded, Heard)
        return recorded

    def _question(
        self, connection: Connection, order: AskParties, at: datetime, party: str, reply: _Reply
    ) -> Question:
        apps, answer, failure = order.parties[party], None, reply.failure
        if reply.said is not None:
            try:
                answer = take(connection, self._keys, order.case, reply.said, order.activated_at, apps)
            except NotInVault:
                failure = "forgotten"
        if answer is not None and not isinstance(answer, ANSWERS[order.question]):
            answer, failure = None, "answer_does_not_fit"
        return Question(
            id=question_id(self._keys, order.case, order.question.value, party),
            kind=order.question,
            party=party,
            apps=apps,
            asked_at=at,
            due_at=order.due_at,
            answer=answer,
            answered_at=at if answer is not None else None,
            failure=failure,
        )
