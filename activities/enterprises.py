"""Enterprises: requests, reminders and withdrawals, in bulk, each by the channel its profile names."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Connection
from temporalio import activity

from activities.contracts import Escalate, GiveNotice, NoticeGiven, NotTold
from activities.outside import outside
from activities.ports import Mailer, PortError, Webhooks
from domain import texts, unbind
from domain.case import CaseKind, root
from domain.registry import Channel, Enterprise, Registry
from domain.sla import SHANGHAI
from store.database import Database
from store.disclosure import Subject, shared, subject
from store.keys import KeyRing
from store.ledger import Append, append, append_steps, step_at
from store.links import Link
from store.projection import load_items, load_state
from store.sent import OfItems, Sent
from store.sent import log as log_sent
from store.vault import NotInVault, Person, get

log = structlog.get_logger()

AT_ONCE = 50
"""Enterprises told at the same time."""

MESSAGE_TYPE: Mapping[unbind.Notice, str] = {
    unbind.Notice.REQUEST: "work_items.requested",
    unbind.Notice.REMINDER: "work_items.reminded",
    unbind.Notice.WITHDRAWAL: "work_items.withdrawn",
}


@dataclass(frozen=True)
class Round:
    """One round of telling enterprises: what about, whose, and where it is recorded."""

    order: GiveNotice
    items: Mapping[str, unbind.Item]
    person: Person
    late_window: timedelta
    at: datetime
    told: ToldTogether
    missed: list[Sent] = field(default_factory=list)
    """Messages that were not taken."""


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
        try:
            round_ = await self._round(order)
        except NotInVault:
            log.error("person_forgotten", case=order.case, notice=order.notice)
            return NoticeGiven(told={}, failed=tuple(NotTold(enterprise=c, code="forgotten") for c in order.items))
        room = asyncio.Semaphore(AT_ONCE)

        async def tell(code: str) -> datetime | NotTold:
            async with room:
                return await self._tell(round_, code)

        async with outside():
            results = await asyncio.gather(*(tell(code) for code in order.items))
        if round_.missed:
            await self._database.write(lambda c: log_sent(c, round_.missed))
        told = {code: at for code, at in zip(order.items, results, strict=True) if isinstance(at, datetime)}
        return NoticeGiven(told=told, failed=tuple(r for r in results if isinstance(r, NotTold)))

    @activity.defn(name="escalate")
    async def escalate(self, order: Escalate) -> unbind.Escalated:
        """See `contracts.escalate`."""
        items = await self._database.read(lambda c: load_items(c, set(order.items)))
        names = [
            (self._registry.enterprise(item.enterprise).name, self._registry.app(item.app).name)
            for item in items.values()
        ]
        title, body = texts.overdue_mail(root(order.case), names)
        async with outside():
            await self._mailer.send(self._desk_mail, title, body, f"{order.case}.{order.step}")
        told = unbind.Escalated(at=activity.info().current_attempt_scheduled_time, items=order.items)
        step = Append(order.case, CaseKind.UNBIND, order.step, (told,))
        (recorded,) = await self._database.write(lambda c: append(c, self._keys, step))
        assert isinstance(recorded, unbind.Escalated)
        return recorded

    async def _round(self, order: GiveNotice) -> Round:
        wanted = {item for items in order.items.values() for item in items}

        def load(connection: Connection) -> Round:
            return Round(
                order=order,
                items=load_items(connection, wanted),
                person=get(connection, self._keys, root(order.case)),
                late_window=load_state(connection, CaseKind.UNBIND, order.case).late_window,
                at=activity.info().current_attempt_scheduled_time,
                told=ToldTogether(self._database, self._keys),
            )

        return await self._database.read(load)

    async def _tell(self, round_: Round, code: str) -> datetime | NotTold:
        """One enterprise: say it, then record it under a step of its own; its trouble is nobody else's."""
        case, notice, ids = round_.order.case, round_.order.notice, round_.order.items[code]
        step = f"{round_.order.round}/{code}"
        if activity.info().attempt > 1 and (at := await self._recorded_at(case, step)):
            return at
        sent = None
        try:
            enterprise = self._registry.enterprise(code)
            items = [round_.items[i] for i in ids]
            sent = _sent(round_, code, items) if enterprise.channel is Channel.PUSH else None
            await self._say[enterprise.channel](round_, enterprise, items)
        except PortError as error:
            log.warning("notice_failed", case=case, enterprise=code, notice=notice, code=error.code)
            failed = NotTold(enterprise=code, code=error.code, retry_after=getattr(error, "retry_after", None))
        except Exception as error:  # noqa: BLE001 - a fault with one enterprise must not stop the others
            log.error("notice_fault", case=case, enterprise=code, notice=notice, error=type(error).__name__)
            failed = NotTold(enterprise=code, code="internal")
        else:
            event = unbind.Noticed(at=round_.at, notice=notice, enterprise=code, items=ids)
            await round_.told.record(Append(case, CaseKind.UNBIND, step, (event,)), sent)
            return round_.at
        if sent:
            round_.missed.append(replace(sent, failure=failed.code))
        return failed

    async def _recorded_at(self, case: str, step: str) -> datetime | None:
        return await self._database.read(lambda c: step_at(c, case, step))

    async def _push(self, round_: Round, enterprise: Enterprise, items: list[unbind.Item]) -> None:
        body = notice_body(round_.order.notice, items, subject(self._keys, enterprise, round_.person))
        await self._webhooks.post(enterprise.code, enterprise.endpoint, _message_id(round_, items), body)

    async def _mail(self, round_: Round, enterprise: Enterprise, items: list[unbind.Item]) -> None:
        """One digest; the link opens as long as answers are taken. The reference is theirs alone: an item's id."""
        until = max(item.due_at for item in items) + round_.late_window
        link = f"{self._public_url}/m/{Link(enterprise.code, round_.order.case, until).sign(self._keys)}"
        lines = [(self._registry.app(i.app).name, f"{i.due_at.astimezone(SHANGHAI):%Y-%m-%d %H:%M}") for i in items]
        whose = subject(self._keys, enterprise, round_.person)
        title, body = texts.enterprise_mail(
            round_.order.notice, items[0].id, whose.number or f"令牌 {whose.token}", lines, link
        )
        await self._mailer.send(enterprise.mail, title, body, _message_id(round_, items))

    async def _publish(self, round_: Round, enterprise: Enterprise, items: list[unbind.Item]) -> None:
        """A pulling enterprise finds its items in the list; being listed is being told."""


class ToldTogether:
    """Records who was told, and the message they were told by: what comes while a write is under way shares the next."""

    def __init__(self, database: Database, keys: KeyRing) -> None:
        self._database = database
        self._keys = keys
        self._waiting: list[tuple[Append, Sent | None]] = []
        self._writing = asyncio.Lock()

    async def record(self, order: Append, sent: Sent | None) -> None:
        """When this returns, the step is in the ledger and the message, if there was one, in the log."""
        self._waiting.append((order, sent))
        async with self._writing:
            if any(order is waiting for waiting, _ in self._waiting):
                together, self._waiting = self._waiting, []
                try:
                    await self._database.write(lambda c: self._write(c, together))
                except BaseException:
                    self._waiting = together + self._waiting  # each of the others tries, and fails, for itself
                    raise

    def _write(self, connection: Connection, together: list[tuple[Append, Sent | None]]) -> None:
        append_steps(connection, self._keys, [order for order, _ in together])
        log_sent(connection, [sent for _, sent in together if sent])


def notice_body(notice: unbind.Notice, items: Iterable[unbind.Item], whose: Subject) -> Mapping[str, Any]:
    """What an enterprise's endpoint gets about its work items."""
    return {
        "type": MESSAGE_TYPE[notice],
        "data": {"work_items": [shared(i, whose).model_dump(mode="json", exclude_none=True) for i in items]},
    }


def _sent(round_: Round, code: str, items: list[unbind.Item]) -> Sent:
    """The message as the log has it."""
    order = round_.order
    about = OfItems(case=order.case, notice=order.notice, items=tuple(item.id for item in items))
    return Sent(code, _message_id(round_, items), MESSAGE_TYPE[order.notice], about, round_.at)


def _message_id(round_: Round, items: list[unbind.Item]) -> str:
    """The same for every try at the same notice, so that a receiver can tell repetitions."""
    return f"{round_.order.notice.value}.{items[0].id}.{int(items[0].remind_at.timestamp())}"
