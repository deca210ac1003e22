"""The textbook, driven with the cheapest message there is: a signal per answer."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial

from temporalio.client import Client

from bench.contender import Contender, Kept, Watch, at_most
from bench.house import House, new_case
from bench.meter import Meter
from bench.plan import Answers, Run
from bench.temporal import kept_of
from bench.textbook_flow import AllApps, OneApp
from bench.textbook_models import AppOrder, RenewalOrder
from domain.unbind import Outcome
from store.database import Database
from store.ids import new_case_id

MOST_CHILDREN = 1000
"""Per parent: the server refuses more than 2,000 pending ones."""

SIGNALS_AT_ONCE = 50


def orders_of(run: Run, house: House, database: Database, apps: int) -> tuple[AppOrder, ...]:
    """One order per app; the clocks matter only where nobody answers."""
    case = new_case(database, house)
    timing = run.timing
    within = timing.answer_within if run.answers is Answers.NOBODY else 3600.0
    return tuple(
        AppOrder(
            case=new_case_id(),
            parent=case,
            app=app,
            remind_after=timedelta(seconds=within - timing.remind_before),
            then_overdue_after=timedelta(seconds=timing.remind_before),
        )
        for app in house.apps[:apps]
    )


class Textbook(Contender):
    """A child workflow per app."""

    def __init__(self, run: Run, client: Client, house: House) -> None:
        super().__init__(run)
        self._client = client
        self._house = house
        self._database = Database(house.database_url)
        self._watch = Watch(house, self._database)

    async def open(self, apps: int) -> None:
        """See Contender."""
        await self._watch.start()
        self._orders = orders_of(self.run, self._house, self._database, apps)
        groups = [self._orders[n : n + MOST_CHILDREN] for n in range(0, apps, MOST_CHILDREN)]
        self._parents = [
            await self._client.start_workflow(
                AllApps.run,
                RenewalOrder(apps=group),
                id=f"{group[0].parent}-{place}",
                task_queue="bench-textbook",
            )
            for place, group in enumerate(groups)
        ]

    async def delivered(self) -> None:
        """See Contender."""
        await self._watch.until(lambda now: now.get("delivered", 0) == len(self._orders))

    async def answer(self, number: int) -> None:
        """The child completes when the answer is recorded."""
        await self._signal(number)
        await self._client.get_workflow_handle(self._orders[number].case).result()

    async def answer_all(self, apps: int) -> None:
        """See Contender."""
        await at_most(SIGNALS_AT_ONCE, [partial(self._signal, number) for number in range(apps)])
        await self._watch.until(lambda now: now.get("unbound", 0) == apps)

    async def _signal(self, number: int) -> None:
        handle = self._client.get_workflow_handle_for(OneApp.run, self._orders[number].case)
        await handle.signal(OneApp.answer, Outcome.UNBOUND)

    async def overdue(self, apps: int) -> None:
        """See Contender."""
        await self._watch.until(lambda now: now.get("overdue", 0) == apps)

    async def ended(self, meter: Meter) -> None:
        """See Contender."""
        await asyncio.gather(*(parent.result() for parent in self._parents))

    async def kept(self) -> Kept:
        """See Contender."""
        return await kept_of(self._client, [*(p.id for p in self._parents), *(o.case for o in self._orders)])

    def close(self) -> None:
        """See Contender."""
        self._database.close()
