"""Contender (c), DBOS: a workflow per app that waits in `recv`, as a small team would write it.

`python -m bench.dbos_worker FOLDER SYSTEM_DATABASE_URL`; then one line of orders on standard input per renewal.
Given every advantage: our own group-commit writer for its rows, WAL for its SQLite, no encryption of what it stores.
"""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import uvloop
from dbos import DBOS, DBOSConfig, SetWorkflowID
from sqlalchemy import Engine, create_engine, event

from adapters.webhooks import HttpWebhooks, PartnerHttp
from bench.app_steps import AppSteps
from bench.house import House
from bench.textbook_models import AppOrder, RenewalOrder, Step
from domain.unbind import Notice, Outcome
from runtime import logs
from store.database import Database
from store.signing import SigningKeys

POLL_SECONDS = 0.05
"""How often it looks for messages on SQLite; the default of 1 s would make it wait most of the time."""

hands: AppSteps


@DBOS.step()
async def deliver(step: dict[str, object]) -> None:
    """Tell the enterprise."""
    await hands.tell(Step.model_validate(step), Notice.REQUEST)


@DBOS.step()
async def record_delivered(step: dict[str, object]) -> None:
    """Write that down."""
    await hands.told(Step.model_validate(step), Notice.REQUEST)


@DBOS.step()
async def remind(step: dict[str, object]) -> None:
    """Tell it again."""
    await hands.tell(Step.model_validate(step), Notice.REMINDER)


@DBOS.step()
async def record_reminded(step: dict[str, object]) -> None:
    """Write that down."""
    await hands.told(Step.model_validate(step), Notice.REMINDER)


@DBOS.step()
async def record_answer(step: dict[str, object]) -> None:
    """Write the answer down."""
    await hands.answered(Step.model_validate(step))


@DBOS.step()
async def record_overdue(step: dict[str, object]) -> None:
    """Write its absence down."""
    await hands.overdue(Step.model_validate(step))


@DBOS.workflow()
async def one_app(order: dict[str, object], opened_at: str) -> None:
    """Deliver, wait, record."""
    known = AppOrder.model_validate(order)
    step = {"order": order, "opened_at": opened_at, "at": opened_at}
    await deliver(step)
    await record_delivered(step)
    answer = await DBOS.recv_async("answer", timeout_seconds=known.remind_after.total_seconds())
    if answer is None:
        await remind(step)
        await record_reminded(step)
        answer = await DBOS.recv_async("answer", timeout_seconds=known.then_overdue_after.total_seconds())
    if answer is None:
        await record_overdue(step)
    else:
        await record_answer({**step, "outcome": Outcome(answer).value})


async def renewal(orders: RenewalOrder) -> None:
    """Start a workflow per app and wait for all."""
    now = datetime.now(UTC).isoformat()

    async def start(order: AppOrder) -> asyncio.Future[None]:
        with SetWorkflowID(order.case):
            handle = await DBOS.start_workflow_async(one_app, order.model_dump(mode="json"), now)
        return handle.get_result()

    await asyncio.gather(*[await start(order) for order in orders.apps])


def system_engine(url: str) -> Engine | None:
    """SQLite as DBOS opens it, but with a write-ahead log and no wait for the disk at each commit, like ours."""
    if not url.startswith("sqlite"):
        return None
    engine = create_engine(url, pool_size=20, max_overflow=0, pool_timeout=30)

    @event.listens_for(engine, "connect")
    def _connected(connection, _record) -> None:  # type: ignore[no-untyped-def]
        connection.isolation_level = "IMMEDIATE"
        for pragma in ("busy_timeout=30000", "foreign_keys=ON", "journal_mode=WAL", "synchronous=NORMAL"):
            connection.execute(f"PRAGMA {pragma}")

    return engine


def config(url: str) -> DBOSConfig:
    """Its settings, the same wherever it competes."""
    engine = system_engine(url)
    known: DBOSConfig = {
        "name": "bench",
        "log_level": "ERROR",
        "notification_listener_polling_interval_sec": POLL_SECONDS,
    }
    if engine:
        known["system_database_engine"] = engine
    else:
        known["system_database_url"] = url
    return known


async def run(folder: Path, url: str) -> None:
    """Serve standard input until it ends."""
    global hands
    house = House(folder)
    database = Database(house.database_url)
    http = PartnerHttp(SigningKeys(database, house.keys))
    hands = AppSteps(house, database, HttpWebhooks(http))
    DBOS(config=config(url))
    DBOS.launch()
    print("ready", flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        await renewal(RenewalOrder.model_validate_json(line))
        print("done", flush=True)
    database.close()
    os._exit(0)  # its threads would hold the process


if __name__ == "__main__":
    logs.configure("bench", "ERROR")
    uvloop.run(run(Path(sys.argv[1]), sys.argv[2]))
