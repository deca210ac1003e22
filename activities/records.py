"""Local activities: what workflows decide is written here, and what needs a calendar or a key is made here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog
from temporalio import activity

from activities import calendar
from activities.contracts import ExtendedClock, OpenUnbind, Recall, RecordRenewal, RecordUnbind
from domain import renewal, sla, unbind
from domain.case import CaseKind, Event, fold
from domain.registry import Registry
from store.database import Database
from store.ids import work_item_id
from store.keys import KeyRing
from store.ledger import Append, append, parse, read

log = structlog.get_logger()


class Records:
    """Everything that touches our own database only."""

    def __init__(self, database: Database, keys: KeyRing, registry: Registry) -> None:
        self._database = database
        self._keys = keys
        self._registry = registry

    @activity.defn(name="record_unbind")
    async def record_unbind(self, order: RecordUnbind) -> bool:
        """See `contracts.record_unbind`."""
        return await self._append(Append(order.case, CaseKind.UNBIND, order.step, order.events))

    @activity.defn(name="record_renewal")
    async def record_renewal(self, order: RecordRenewal) -> bool:
        """See `contracts.record_renewal`."""
        return await self._append(Append(order.case, CaseKind.RENEWAL, order.step, order.events))

    @activity.defn(name="recall_unbind")
    async def recall_unbind(self, order: Recall) -> unbind.State:
        """See `contracts.recall_unbind`."""
        state = await self._recall(order.case, unbind.evolve)
        assert isinstance(state, unbind.State)
        return state

    @activity.defn(name="recall_renewal")
    async def recall_renewal(self, order: Recall) -> renewal.State:
        """See `contracts.recall_renewal`."""
        state = await self._recall(order.case, renewal.evolve)
        assert isinstance(state, renewal.State)
        return state

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
        step = Append(order.case, CaseKind.UNBIND, "open", (opened,))
        (recorded,) = await self._database.write(lambda c: append(c, self._keys, step))
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

    async def _append(self, order: Append) -> bool:
        """Whether the ledger holds just these events under the step, now or from before."""
        recorded = await self._database.write(lambda c: append(c, self._keys, order))
        if recorded == tuple(order.events):
            return True
        log.warning("recalled_from_ledger", case=order.case, step=order.step)
        return False

    async def _recall(self, case: str, evolve: Callable[[Any, Event], object]) -> object:
        rows = await self._database.read(lambda c: read(c, case))
        return fold(evolve, parse(rows))
