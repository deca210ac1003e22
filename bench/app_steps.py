"""What a design with a workflow per app does for one app: the same signed message and the same ledger rows as ours.

Used by the textbook's activities and by the steps of DBOS, so that only the engines differ.
"""

from __future__ import annotations

from datetime import timedelta

from activities.ports import Webhooks
from bench.house import House
from bench.textbook_models import Step
from domain import unbind
from domain.case import Actor, CaseKind, Event
from domain.unbind import Notice
from store.database import Database
from store.disclosure import shared, subject
from store.ledger import Append, append
from store.vault import get

TYPE = {Notice.REQUEST: "work_items.requested", Notice.REMINDER: "work_items.reminded"}


class AppSteps:
    """One app's effects."""

    def __init__(self, house: House, database: Database, webhooks: Webhooks) -> None:
        self._house = house
        self._database = database
        self._webhooks = webhooks

    async def tell(self, step: Step, notice: Notice) -> None:
        """Post the notice, signed."""
        house, order = self._house, step.order
        (item,) = unbind.open_items(self._opened(step)).values()
        enterprise = house.registry.owner(order.app)
        person = await self._database.read(lambda c: get(c, house.keys, order.parent))
        work = shared(item, subject(house.keys, enterprise, person)).model_dump(mode="json", exclude_none=True)
        body = {"type": TYPE[notice], "data": {"work_items": [work]}}
        await self._webhooks.post(enterprise.code, enterprise.endpoint, f"{notice.value}.{item.id}", body)

    async def told(self, step: Step, notice: Notice) -> None:
        """Record it; with the request, the opening too."""
        opened = self._opened(step)
        (item,) = opened.items
        noticed = unbind.Noticed(at=step.at, notice=notice, enterprise=item.enterprise, items=(item.id,))
        await self._append(step, notice.value, *((opened,) if notice is Notice.REQUEST else ()), noticed)

    async def answered(self, step: Step) -> None:
        """Record the answer."""
        (item,) = self._opened(step).items
        actor = Actor(kind="enterprise", code=item.enterprise)
        assert step.outcome
        answer = unbind.Answered(at=step.at, actor=actor, item=item.id, outcome=step.outcome, version=1)
        await self._append(step, "answer", answer)

    async def overdue(self, step: Step) -> None:
        """Record that nobody answered."""
        (item,) = self._opened(step).items
        await self._append(step, "overdue", unbind.WentOverdue(at=step.at, items=(item.id,)))

    def _opened(self, step: Step) -> unbind.Opened:
        order = step.order
        return self._house.opened(order.case, order.parent, [order.app], step.opened_at, timedelta(days=30))

    async def _append(self, step: Step, name: str, *events: Event) -> None:
        order = Append(step.order.case, CaseKind.UNBIND, name, events)
        await self._database.write(lambda c: append(c, self._house.keys, order))
