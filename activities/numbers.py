"""Numbers: which apps a batch asks, how its requests stand, and telling enterprises about recycled numbers in bulk."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Connection
from temporalio import activity

from activities.contracts import Announce, BatchPlan, BatchStanding, LookAtBatch, PlanBatch
from activities.outside import outside
from activities.ports import PortError, Webhooks
from domain import number
from domain.case import CaseKind
from domain.number import Notice
from domain.registry import Channel, Registry
from store.database import Database
from store.keys import KeyRing
from store.ledger import Append, append
from store.numbers import outcomes_of
from store.sent import OfNumber, Sent
from store.sent import log as log_sent
from store.vault import NotInVault, Person, get

log = structlog.get_logger()

AT_ONCE = 50
"""Enterprises told at the same time."""

MESSAGE_TYPE = {Notice.RECYCLED: "numbers.recycled", Notice.REINSTATED: "numbers.reinstated"}


class Numbers:
    """What a number's life needs of the registry, the ledger and the enterprises."""

    def __init__(self, database: Database, keys: KeyRing, registry: Registry, webhooks: Webhooks) -> None:
        self._database = database
        self._keys = keys
        self._registry = registry
        self._webhooks = webhooks

    @activity.defn(name="plan_batch")
    async def plan_batch(self, order: PlanBatch) -> BatchPlan:
        """See `contracts.plan_batch`."""
        return BatchPlan(apps=self._registry.app_codes)

    @activity.defn(name="look_at_batch")
    async def look_at_batch(self, order: LookAtBatch) -> BatchStanding:
        """See `contracts.look_at_batch`."""
        return BatchStanding(outcomes=await self._database.read(lambda c: outcomes_of(c, order.parts)))

    @activity.defn(name="announce_number")
    async def announce_number(self, order: Announce) -> number.Announced:
        """See `contracts.announce_number`. A second try after a crash says the same again, under the same ids."""
        at: datetime = activity.info().current_attempt_scheduled_time
        try:
            person = await self._database.read(lambda c: get(c, self._keys, order.case))
        except NotInVault:
            log.error("person_forgotten", case=order.case)
            return await self._database.write(lambda c: self._record(c, order, at, []))
        room = asyncio.Semaphore(AT_ONCE)

        async def tell(code: str) -> Sent:
            async with room:
                return await self._tell(order, at, person, code)

        codes = self._pushed() if order.to is None else order.to
        async with outside():
            messages = await asyncio.gather(*(tell(code) for code in codes))
        return await self._database.write(lambda c: self._record(c, order, at, messages))

    def _pushed(self) -> tuple[str, ...]:
        return tuple(one.code for one in self._registry.enterprises if one.channel is Channel.PUSH)

    async def _tell(self, order: Announce, at: datetime, person: Person, code: str) -> Sent:
        """One enterprise, and what came of it. Its trouble is nobody else's."""
        about = OfNumber(
            case=order.case,
            announcement=order.announcement,
            notice=order.notice,
            cancelled_at=order.cancelled_at,
        )
        sent = Sent(code, self._message_id(order, code), MESSAGE_TYPE[order.notice], about, at)
        try:
            enterprise = self._registry.enterprise(code)
            body = announcement_body(about, self._keys.enterprise_token(code, person.number.e164))
            await self._webhooks.post(code, enterprise.endpoint, sent.message_id, body)
        except PortError as error:
            log.warning("announcement_failed", case=order.case, enterprise=code, code=error.code)
            return replace(sent, failure=error.code)
        except Exception as error:  # noqa: BLE001 - a fault with one enterprise must not stop the others
            log.error("announcement_fault", case=order.case, enterprise=code, error=type(error).__name__)
            return replace(sent, failure="internal")
        return sent

    def _record(
        self, connection: Connection, order: Announce, at: datetime, messages: Sequence[Sent]
    ) -> number.Announced:
        announced = number.Announced(
            at=at,
            number=order.announcement,
            told=tuple(one.partner for one in messages if not one.failure),
            failed={one.partner: one.failure for one in messages if one.failure},
        )
        step = Append(order.case, CaseKind.NUMBER, order.round, (announced,))
        (recorded,) = append(connection, self._keys, step)
        assert isinstance(recorded, number.Announced)
        log_sent(connection, messages)
        return recorded

    def _message_id(self, order: Announce, code: str) -> str:
        """The same for every try, and another one for every enterprise, so that two cannot tell they heard the same."""
        return f"number.{self._keys.token('announcement', f'{order.case}/{order.announcement}/{code}')[:26]}"


def announcement_body(about: OfNumber, token: str) -> Mapping[str, Any]:
    """What an enterprise's endpoint gets about a number; the token is its own."""
    one = {"token": token, "cancelled_at": about.cancelled_at.isoformat()}
    return {"type": MESSAGE_TYPE[about.notice], "data": {"numbers": [one]}}
