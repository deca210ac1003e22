"""Enterprises: requests, reminders and withdrawals, in bulk, each by the channel its profile names."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta

import structlog
from temporalio import activity

from activities.contracts import Escalate, GiveNotice, NoticeGiven, NotTold
from activities.outside import outside
from activities.ports import Mailer, PortError, Webhooks
from domain import texts, unbind
from domain.case import CaseKind, root
from domain.registry import Channel, Enterprise, Registry
from domain.sla import SHANGHAI
from store.database import Database
from store.disclosure import shared, subject
from store.keys import KeyRing
from store.ledger import Append, append_steps, has_step
from store.links import Link
from store.projection import load_items
from store.vault import Person, get

log = structlog.get_logger()

AT_ONCE = 50
"""Enterprises told at the same time."""

LINK_LIVES = timedelta(days=1)
"""How long after the last deadline a mailed link still opens."""

MESSAGE_TYPE: Mapping[unbind.Notice, str] = {
    unbind.Notice.REQUEST: "work_items.requested",
    unbind.Notice.REMINDER: "work_items.reminded",
    unbind.Notice.WITHDRAWAL: "work_items.withdrawn",
}


class Enterprises:
    """Everything said to enterprises, and to the case desk about them."""

    def __init__(
        self,
        database: Database,
        keys: KeyRing,
        registry: Registry,
        webhooks: Webhooks,
        mailer: Mailer,
        public_url: str,
        desk_mail: str,
    ) -> None:
        self._database = database
        self._keys = keys
        self._registry = registry
        self._webhooks = webhooks
        self._mailer = mailer
        self._public_url = public_url
        self._desk_mail = desk_mail
        self._say = {Channel.PUSH: self._push, Channel.MAIL: self._mail, Channel.PULL: self._publish}

    @activity.defn(name="give_notice")
    async def give_notice(self, order: GiveNotice) -> NoticeGiven:
        """See `contracts.give_notice`. A second try after a crash skips whoever the ledger says was told."""
        at = activity.info().current_attempt_scheduled_time
        wanted = {item for items in order.items.values() for item in items}
        items = await self._database.read(lambda c: load_items(c, wanted))
        person = await self._database.read(lambda c: get(c, self._keys, root(order.case)))
        room = asyncio.Semaphore(AT_ONCE)
        told = ToldTogether(self._database, self._keys)

        async def tell(code: str, ids: tuple[str, ...]) -> NotTold | None:
            async with room:
                return await self._tell(order, code, [items[i] for i in ids], person, at, told)

        async with outside():
            results = await asyncio.gather(*(tell(code, ids) for code, ids in order.items.items()))
        failed = tuple(result for result in results if result)
        missed = {failure.enterprise for failure in failed}
        return NoticeGiven(at=at, told=tuple(c for c in order.items if c not in missed), failed=failed)

    @activity.defn(name="escalate")
    async def escalate(self, order: Escalate) -> None:
        """See `contracts.escalate`."""
        items = await self._database.read(lambda c: load_items(c, set(order.items)))
        names = [
            (self._registry.enterprise(item.enterprise).name, self._registry.app(item.app).name)
            for item in items.values()
        ]
        title, body = texts.overdue_mail(root(order.case), names)
        async with outside():
            await self._mailer.send(self._desk_mail, title, body, f"{order.case}.{order.step}")

    async def _tell(
        self,
        order: GiveNotice,
        code: str,
        items: list[unbind.Item],
        person: Person,
        at: datetime,
        told: ToldTogether,
    ) -> NotTold | None:
        """One enterprise: say it, then record it under a step of its own."""
        step = f"{order.round}/{code}"
        if activity.info().attempt > 1 and await self._is_recorded(order.case, step):
            return None
        enterprise = self._registry.enterprise(code)
        try:
            await self._say[enterprise.channel](order, enterprise, items, person)
        except PortError as error:
            log.warning("notice_failed", case=order.case, enterprise=code, notice=order.notice, code=error.code)
            return NotTold(enterprise=code, code=error.code, retry_after=getattr(error, "retry_after", None))
        event = unbind.Noticed(at=at, notice=order.notice, enterprise=code, items=tuple(i.id for i in items))
        await told.record(Append(order.case, CaseKind.UNBIND, step, (event,)))
        return None

    async def _is_recorded(self, case: str, step: str) -> bool:
        return await self._database.read(lambda c: has_step(c, case, step))

    async def _push(
        self, order: GiveNotice, enterprise: Enterprise, items: list[unbind.Item], person: Person
    ) -> None:
        whose = subject(self._keys, enterprise, person)
        body = {
            "type": MESSAGE_TYPE[order.notice],
            "data": {"work_items": [shared(i, whose).model_dump(mode="json", exclude_none=True) for i in items]},
        }
        await self._webhooks.post(enterprise.code, enterprise.endpoint, _message_id(order, items), body)

    async def _mail(
        self, order: GiveNotice, enterprise: Enterprise, items: list[unbind.Item], person: Person
    ) -> None:
        until = max(item.due_at for item in items) + LINK_LIVES
        link = f"{self._public_url}/m/{Link(enterprise.code, order.case, until).sign(self._keys)}"
        lines = [(self._registry.app(i.app).name, f"{i.due_at.astimezone(SHANGHAI):%Y-%m-%d %H:%M}") for i in items]
        title, body = texts.enterprise_mail(order.notice, root(order.case), person.number.mask(), lines, link)
        await self._mailer.send(enterprise.mail, title, body, _message_id(order, items))

    async def _publish(
        self, order: GiveNotice, enterprise: Enterprise, items: list[unbind.Item], person: Person
    ) -> None:
        """A pulling enterprise finds its items in the list; being listed is being told."""


class ToldTogether:
    """Records who was told: what comes while a write is under way shares the next one."""

    def __init__(self, database: Database, keys: KeyRing) -> None:
        self._database = database
        self._keys = keys
        self._waiting: list[Append] = []
        self._writing = asyncio.Lock()

    async def record(self, order: Append) -> None:
        """When this returns, the step is in the ledger."""
        self._waiting.append(order)
        async with self._writing:
            if any(order is waiting for waiting in self._waiting):
                together, self._waiting = self._waiting, []
                try:
                    await self._database.write(lambda c: append_steps(c, self._keys, together))
                except BaseException:
                    self._waiting = together + self._waiting  # each of the others tries, and fails, for itself
                    raise


def _message_id(order: GiveNotice, items: list[unbind.Item]) -> str:
    """The same for every try at the same notice, so that a receiver can tell repetitions."""
    return f"{order.notice.value}.{items[0].id}.{int(items[0].remind_at.timestamp())}"
