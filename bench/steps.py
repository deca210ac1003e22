"""Cases per second of a three-step case: `python -m bench.steps WHO FOLDER CASES`, client and worker in one process."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import uvloop
from dbos import DBOS, SetWorkflowID
from temporalio.client import Client
from temporalio.worker import Worker

import worker as product
from activities.records import Records
from bench import bare_flow, steps_flow
from bench.contender import at_most
from bench.dbos_worker import config
from bench.house import House
from bench.worker import engine_address
from domain.case import CaseKind
from runtime import engine, logs
from store.database import Database
from store.ids import new_case_id
from store.ledger import Append, append

AT_ONCE = 64
WARM = 30
QUEUE = "bench-steps"

Case = Callable[[str], Awaitable[object]]


async def _timed(case: Case, count: int) -> None:
    """Warm up, then say how it went."""
    ids = [new_case_id() for _ in range(count + WARM)]
    await at_most(AT_ONCE, [partial(case, one) for one in ids[:WARM]])
    print("ready", flush=True)
    sys.stdin.readline()
    began, cpu = time.monotonic(), time.process_time()
    await at_most(AT_ONCE, [partial(case, one) for one in ids[WARM:]])
    wall = time.monotonic() - began
    print(json.dumps({"wall": wall, "cpu": time.process_time() - cpu}), flush=True)
    sys.stdin.readline()


async def _ours(sandboxed: bool, folder: Path, count: int) -> None:
    house = House(folder)
    client = await engine.connect(house.keys)
    database = Database(house.database_url)
    records = Records(database, house.keys, house.registry)
    async with Worker(
        client,
        task_queue=QUEUE,
        workflows=[steps_flow.Ours],
        activities=[records.record],
        workflow_runner=product.runner(sandboxed),
        max_cached_workflows=product.CACHED_WORKFLOWS,
    ):
        await _timed(partial(_case, client, steps_flow.Ours.run, True), count)
    database.close()


async def _bare(sandboxed: bool, _folder: Path, count: int) -> None:
    client = await Client.connect(engine_address())
    async with Worker(
        client,
        task_queue=QUEUE,
        workflows=[steps_flow.Bare],
        activities=[bare_flow.nothing],
        workflow_runner=product.runner(sandboxed),
        max_cached_workflows=product.CACHED_WORKFLOWS,
    ):
        await _timed(partial(_case, client, steps_flow.Bare.run, False), count)


async def _case(client: Client, run: Callable[..., Awaitable[int]], eager: bool, case: str) -> None:
    await client.execute_workflow(run, case, id=case, task_queue=QUEUE, request_eager_start=eager)


async def _dbos(url: str, folder: Path, count: int) -> None:
    house = House(folder)
    database, keys = Database(house.database_url), house.keys

    @DBOS.step()
    async def record(case: str, number: int, at: str) -> None:
        event = steps_flow.three_steps(case, datetime.fromisoformat(at))[number]
        step = Append(case, CaseKind.RENEWAL, f"decide-{number}", (event,))
        await database.write(lambda c: append(c, keys, step))

    @DBOS.workflow()
    async def three(case: str, at: str) -> None:
        for number in range(3):
            await record(case, number, at)

    async def one(case: str) -> None:
        with SetWorkflowID(case):
            await three(case, datetime.now(UTC).isoformat())

    DBOS(config=config(url))
    DBOS.launch()
    await _timed(one, count)


WHO: dict[str, Callable[[Path, int], Awaitable[None]]] = {
    "ours": partial(_ours, True),
    "ours-unsandboxed": partial(_ours, False),
    "bare": partial(_bare, True),
    "bare-unsandboxed": partial(_bare, False),
}


async def main(who: str, folder: Path, count: int) -> None:
    """Run one contender; anything that is not in the table is the address of DBOS's system database."""
    await (WHO[who](folder, count) if who in WHO else _dbos(who, folder, count))


if __name__ == "__main__":
    logs.configure("bench", "ERROR")
    uvloop.run(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
    os._exit(0)  # DBOS keeps threads that would hold the process
