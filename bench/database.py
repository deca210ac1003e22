"""The ledger's path to the database: our one writer with group commit against a transaction per append.

The design's figures for aiosqlite are older: it is not among our dependencies, so it is not measured here.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from sqlalchemy import Engine, create_engine, text

from bench.contender import at_most
from bench.house import House, build
from bench.measure import Servers
from bench.meter import cpu_of
from bench.plan import Timing
from domain import unbind
from domain.case import CaseKind
from domain.unbind import Notice
from store import schema
from store.database import Database, create
from store.ids import new_case_id
from store.ledger import Append, append

APPS = 50
APPENDS = 800
BACKEND_ENDS = 0.3
"""A PostgreSQL process is counted once it has ended and its parent has noticed."""

WAITING = 64
"""Appends under way at the same time, as when many workers' activities write."""


@dataclass
class Appends:
    """Appends (an event, its seal, the case's row and a work item's row) on one path."""

    database: str
    path: str
    per_second: float
    cpu_ms: float
    server_cpu_ms: float


def _orders(house: House, case: str) -> list[Append]:
    at = datetime(2026, 11, 21, tzinfo=UTC)
    opened = house.opened(case, case, house.apps, at, timedelta(days=30))
    noticed = [
        unbind.Noticed(at=at, notice=Notice.REMINDER, enterprise=item.enterprise, items=(item.id,))
        for item in opened.items
    ]
    told = [Append(case, CaseKind.UNBIND, f"{number}", (noticed[number % APPS],)) for number in range(APPENDS)]
    return [Append(case, CaseKind.UNBIND, "open", (opened,)), *told]


async def _grouped(url: str, house: House) -> None:
    database = Database(url)
    first, *rest = _orders(house, new_case_id())
    write = partial(_write, database, house)
    await write(first)
    await at_most(WAITING, [partial(write, order) for order in rest])
    database.close()


async def _write(database: Database, house: House, order: Append) -> None:
    await database.write(lambda c: append(c, house.keys, order))


async def _each(url: str, house: House) -> None:
    engine = create(url, writes=True)
    for order in _orders(house, new_case_id()):
        with engine.begin() as connection:
            append(connection, house.keys, order)
    engine.dispose()


async def _each_on_threads(url: str, house: House) -> None:
    engine: Engine = create(url, writes=True)
    first, *rest = _orders(house, new_case_id())

    def write(order: Append) -> None:
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(7310)"))
            append(connection, house.keys, order)

    write(first)
    await at_most(8, [partial(asyncio.to_thread, write, order) for order in rest])
    engine.dispose()


PATHS = {
    "one writer thread, group commit (ours)": _grouped,
    "one thread, a transaction per append": _each,
    "eight threads, a transaction per append": _each_on_threads,
}


async def measure(servers: Servers) -> list[dict[str, object]]:
    """Every path on both databases."""
    house = build(servers.folder / "database", APPS, Timing(3600, 0, 1), servers.partner_port)
    with create_engine(_driver(servers.postgres_uri), isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("CREATE DATABASE ledger"))
    postgres = servers.postgres_uri.replace("/postgres?", "/ledger?")
    schema.upgrade(_driver(postgres))
    addresses = {"SQLite": (house.database_url, None), "PostgreSQL": (_driver(postgres), servers.postgres_pid)}
    return [
        asdict(await _timed(name, path, url, pid, house)) for name, (url, pid) in addresses.items() for path in PATHS
    ]


async def _timed(name: str, path: str, url: str, pid: int | None, house: House) -> Appends:
    server = cpu_of(pid) if pid else 0.0
    began, cpu = time.monotonic(), time.process_time()
    await PATHS[path](url, house)
    wall, spent = time.monotonic() - began, time.process_time() - cpu
    await asyncio.sleep(BACKEND_ENDS)
    served = cpu_of(pid) - server if pid else 0.0
    return Appends(name, path, APPENDS / wall, spent / APPENDS * 1000, served / APPENDS * 1000)


def _driver(uri: str) -> str:
    return uri.replace("postgresql:", "postgresql+psycopg:")
