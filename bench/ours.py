"""Ours, driven as the gateway does: the real answer desk, the real workflow, everything on."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from temporalio.client import Client

from bench.contender import Contender, Kept, TooLate, Watch
from bench.house import BOUNDARY, House, due_at, new_case
from bench.meter import Meter
from bench.ours_flow import Renewal, RenewalOrder
from bench.plan import Answers, Run
from bench.temporal import kept_of
from domain.renewal import parts_of
from domain.unbind import Answer, Outcome
from gateway.desk import AnswerDesk
from store.database import Database
from store.ids import work_item_id

BEFORE_CLOSE = timedelta(seconds=0.4)


class Ours(Contender):
    """One unbind workflow per part of a renewal."""

    def __init__(self, run: Run, client: Client, house: House) -> None:
        super().__init__(run)
        self._client = client
        self._house = house
        self._database = Database(house.database_url)
        self._desk = AnswerDesk(client, self._database)
        self._watch = Watch(house, self._database)

    async def open(self, apps: int) -> None:
        """See Contender."""
        await self._watch.start()
        self._case = new_case(self._database, self._house)
        chosen = self._house.apps[:apps]
        self._parts = parts_of(self._case, chosen)
        self._items = [
            (work_item_id(self._house.keys, part, app), self._house.registry.owner(app).code)
            for part, own in self._parts.items()
            for app in own
        ]
        late = timedelta(seconds=self.run.timing.late_window)
        order = RenewalOrder(case=self._case, apps=chosen, boundary=BOUNDARY, late_window=late)
        self._parent = await self._client.start_workflow(Renewal.run, order, id=self._case, task_queue="bench-parent")

    async def delivered(self) -> None:
        """See Contender."""
        await self._watch.until(lambda now: now.get("delivered", 0) == len(self._items))

    async def answer(self, number: int) -> None:
        """See Contender."""
        await self._answer([number])

    async def answer_all(self, apps: int) -> None:
        """Each answer comes to the desk on its own; what waits together it sends together."""
        await asyncio.gather(*(self._answer([number]) for number in range(apps)))

    async def _answer(self, numbers: list[int]) -> None:
        items = [self._items[number] for number in numbers]
        taken = await self._desk.take(
            [Answer(item=item, enterprise=code, outcome=Outcome.UNBOUND) for item, code in items]
        )
        if not all(getattr(one, "changed", False) for one in taken):
            raise TooLate(f"{self.run.name}: {taken}")

    async def overdue(self, apps: int) -> None:
        """See Contender."""
        await self._watch.until(lambda now: now.get("overdue", 0) == apps)

    async def ended(self, meter: Meter) -> None:
        """The case stays open for late answers; until just before it closes the meter rests."""
        due = await self._database.read(due_at)
        close = due + timedelta(seconds=self.run.timing.late_window) - BEFORE_CLOSE
        if self.run.answers is not Answers.NOBODY and datetime.now(UTC) > due:
            raise TooLate(self.run.name)
        rest = (close - datetime.now(UTC)).total_seconds()
        if rest > 0:
            await meter.quiet()
            meter.pause()
            await asyncio.sleep((close - datetime.now(UTC)).total_seconds())
            meter.start()
        await self._parent.result()

    async def kept(self) -> Kept:
        """See Contender."""
        return await kept_of(self._client, [self._case, *self._parts])

    async def forget(self) -> None:
        """See Contender."""
        for workflow_id in (self._case, *self._parts):
            await self._client.get_workflow_handle(workflow_id).terminate()

    def close(self) -> None:
        """See Contender."""
        self._database.close()
