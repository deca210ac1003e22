"""Local activities: what workflows decide is written here, and what needs a calendar or a key is made here."""

from __future__ import annotations

import structlog
from temporalio import activity

from activities import calendar
from activities.contracts import ExtendedClock, OpenUnbind, RecordRenewal, RecordUnbind
from domain import sla, unbind
from domain.case import CaseKind, Event
from domain.registry import Registry
from store.database import Database
from store.ids import work_item_id
from store.keys import KeyRing
from store.ledger import Append, append

log = structlog.get_logger()

ALARM_FROM = 5
"""Tries after which a write that does not succeed raises an alarm."""


class Records:
    """Everything that touches our own database only."""

    def __init__(self, database: Database, keys: KeyRing, registry: Registry) -> None:
        self._database = database
        self._keys = keys
        self._registry = registry

    @activity.defn(name="record_unbind")
    async def record_unbind(self, order: RecordUnbind) -> None:
        """See `contracts.record_unbind`."""
        await self._append(Append(order.case, CaseKind.UNBIND, order.step, order.events))

    @activity.defn(name="record_renewal")
    async def record_renewal(self, order: RecordRenewal) -> None:
        """See `contracts.record_renewal`."""
        await self._append(Append(order.case, CaseKind.RENEWAL, order.step, order.events))

    @activity.defn(name="open_unbind")
    async def open_unbind(self, order: OpenUnbind) -> unbind.Opened:
        """See `contracts.open_unbind`."""
        opened = unbind.Opened(
            at=order.at,
            case=order.case,
            parent=order.parent,
            boundary=order.boundary,
            late_window=order.late_window,
            items=tuple(self._new_item(order, app) for app in order.apps),
        )
        (recorded,) = await self._append(Append(order.case, CaseKind.UNBIND, "open", (opened,)), decided=False)
        assert isinstance(recorded, unbind.Opened)
        return recorded

    @activity.defn(name="extended_clock")
    async def extended_clock(self, order: ExtendedClock) -> sla.Deadline:
        """See `contracts.extended_clock`."""
        policy = self._registry.enterprise(order.enterprise).sla
        return sla.extended(order.due_at, order.by, policy, calendar.china(order.due_at.year), order.at)

    def _new_item(self, order: OpenUnbind, app: str) -> unbind.NewItem:
        enterprise = self._registry.owner(app)
        return unbind.NewItem(
            id=work_item_id(self._keys, order.case, app),
            app=app,
            enterprise=enterprise.code,
            clock=sla.deadline(order.at, enterprise.sla, calendar.china(order.at.year)),
            retry_first=enterprise.retry_first,
            retry_at_most=enterprise.retry_at_most,
            extend_at_most=enterprise.sla.extend_at_most,
        )

    async def _append(self, order: Append, *, decided: bool = True) -> tuple[Event, ...]:
        attempt = activity.info().attempt
        if attempt >= ALARM_FROM:
            log.error("ledger_not_written", case=order.case, step=order.step, attempt=attempt)
        return await self._database.write(lambda c: append(c, self._keys, order, decided=decided))
