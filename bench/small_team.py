"""DBOS, driven by its own client: a message per app, in one transaction where they arrive together."""

from __future__ import annotations

import asyncio
from pathlib import Path

from dbos import DBOSClient, SendMessage
from sqlalchemy import Engine, create_engine, text

from bench.contender import Contender, Kept, Watch
from bench.dbos_worker import system_engine
from bench.house import House
from bench.meter import Meter
from bench.parts import Part
from bench.plan import Run
from bench.textbook import orders_of
from bench.textbook_models import RenewalOrder
from store.database import Database

KEPT = ("workflow_status", "operation_outputs", "notifications")


class SmallTeam(Contender):
    """A workflow per app, waiting in `recv`."""

    def __init__(self, run: Run, house: House, worker: Part, url: str) -> None:
        super().__init__(run)
        self._house = house
        self._worker = worker
        self._database = Database(house.database_url)
        self._watch = Watch(house, self._database)
        self._url = url
        engine = system_engine(url)
        self._client = DBOSClient(system_database_engine=engine) if engine else DBOSClient(system_database_url=url)
        self._postgres = engine is None
        self._engine: Engine = engine or create_engine(url.replace("postgresql:", "postgresql+psycopg:"))

    async def open(self, apps: int) -> None:
        """See Contender."""
        self._before = self._kept()
        await self._watch.start()
        self._orders = orders_of(self.run, self._house, self._database, apps)
        self._worker.tell(RenewalOrder(apps=self._orders).model_dump_json())

    async def delivered(self) -> None:
        """See Contender."""
        await self._watch.until(lambda now: now.get("delivered", 0) == len(self._orders))

    async def answer(self, number: int) -> None:
        """Returns when the row is there: the items of other numbers may come in between."""
        case = self._orders[number].case
        await self._client.send_async(case, "unbound", "answer")
        await self._recorded(case)

    async def _recorded(self, case: str) -> None:
        def look(connection) -> bool:  # type: ignore[no-untyped-def]
            query = text("SELECT 1 FROM work_items WHERE case_id = :case AND state = 'unbound'")
            return connection.execute(query, {"case": case}).first() is not None

        while not await self._database.read(look):
            await asyncio.sleep(0.003)

    async def answer_all(self, apps: int) -> None:
        """See Contender."""
        messages = [SendMessage(order.case, "unbound", "answer") for order in self._orders]
        await self._client.send_bulk_async(messages)
        await self._watch.until(lambda now: now.get("unbound", 0) == apps)

    async def overdue(self, apps: int) -> None:
        """See Contender."""
        await self._watch.until(lambda now: now.get("overdue", 0) == apps)

    async def ended(self, meter: Meter) -> None:
        """The worker says so."""
        assert await asyncio.to_thread(self._worker.hear) == "done"

    async def kept(self) -> Kept:
        """Rows and bytes of its system database; it keeps steps, not a history."""
        now = self._kept()
        return Kept(now.events - self._before.events, now.size - self._before.size, len(self._orders))

    def _kept(self) -> Kept:
        schema = "dbos." if self._postgres else ""
        with self._engine.connect() as connection:
            rows = sum(connection.execute(text(f"SELECT count(*) FROM {schema}{t}")).scalar_one() for t in KEPT)
            size = (
                connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one()
                if self._postgres
                else self._file_size()
            )
        return Kept(rows, size)

    def _file_size(self) -> int:
        path = self._url.removeprefix("sqlite:///")
        return sum(
            p.stat().st_size for p in Path(path).parent.glob(Path(path).name + "*") if not p.name.endswith("shm")
        )

    async def forget(self) -> None:
        """The warm-up has completed; take its word for it."""
        await self.ended(Meter({}))

    def close(self) -> None:
        """See Contender."""
        self._client.destroy()
        self._engine.dispose()
        self._database.close()
