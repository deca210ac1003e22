"""Local activities: what workflows decide is written here, and what needs a calendar or a key is made here."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from sqlalchemy import Connection
from temporalio import activity

from activities import calendar
from activities.contracts import CaseOpened, ExtendedClock, OpenCase, OpenUnbind, Recall, Recalled, Record, Standing
from domain import sla, unbind
from domain.case import CaseKind, Event, Model, fold, root
from domain.registry import Registry
from store import vault
from store.database import Database
from store.ids import following_case_id, work_item_id
from store.keys import KeyRing
from store.ledger import Append, append, length, parse, read
from store.projection import PROJECTIONS

log = structlog.get_logger()


class Records:
    """Everything that touches our own database only."""

    def __init__(self, database: Database, keys: KeyRing, registry: Registry) -> None:
        self._database = database
        self._keys = keys
        self._registry = registry

    @activity.defn(name="record")
    async def record(self, order: Record) -> bool:
        """See `contracts.record`."""
        parse_event = PROJECTIONS[order.kind].events.validate_json
        events = tuple(parse_event(event) for event in order.events)
        return await self._append(Append(order.case, order.kind, order.step, events))

    @activity.defn(name="recall")
    async def recall(self, order: Recall) -> Recalled:
        """See `contracts.recall`. From the events, not the read model: of an unbind request that has the header only."""
        rows = await self._database.read(lambda c: read(c, order.case))
        state = fold(FOLDS[order.kind], parse(rows))
        assert state is not None
        return Recalled(state=state.model_dump_json())

    @activity.defn(name="look_at_ledger")
    async def look_at_ledger(self, order: Recall) -> Standing:
        """See `contracts.look_at_ledger`."""
        return Standing(seq=await self._database.read(lambda c: length(c, order.case)))

    @activity.defn(name="open_case")
    async def open_case(self, order: OpenCase) -> CaseOpened:
        """See `contracts.open_case`."""
        case = following_case_id(self._keys, order.kind, order.parent, order.step)
        first = PROJECTIONS[order.kind].events.validate_python({**json.loads(order.first), "case": case})

        def record(connection: Connection) -> Event:
            if not vault.known(connection, case):
                vault.put(connection, self._keys, case, vault.get(connection, self._keys, root(order.parent)))
            (recorded,) = append(connection, self._keys, Append(case, order.kind, "submit", (first,)))
            return recorded

        recorded = await self._database.write(record)
        return CaseOpened(case=case, first=recorded.model_dump_json(exclude_none=True))

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
            choices=order.choices.get(app, ()),
        )

    async def _append(self, order: Append) -> bool:
        """Whether the ledger holds just these events under the step, now or from before."""
        recorded = await self._database.write(lambda c: append(c, self._keys, order))
        if recorded == tuple(order.events):
            return True
        log.warning("recalled_from_ledger", case=order.case, step=order.step)
        return False


FOLDS: Mapping[CaseKind, Callable[[Any, Event], Model]] = {
    **{kind: how.evolve for kind, how in PROJECTIONS.items()},
    CaseKind.UNBIND: unbind.evolve,
}
"""The whole fold of each kind; the read model of an unbind request is cut into header and items."""
