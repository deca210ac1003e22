"""The worker processes of the contenders on Temporal: `python -m bench.worker ours FOLDER`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import uvloop
from temporalio.client import Client
from temporalio.worker import Worker

import worker as product
from activities.carriers import Carriers
from activities.enterprises import Enterprises
from activities.holder import Holder
from activities.records import Records
from adapters.webhooks import HttpCarrierRegistry, HttpWebhooks, PartnerHttp
from bench import bare_flow, ours_flow, textbook_flow
from bench.house import House
from bench.textbook_activities import AppActivities
from runtime import engine, logs
from store.database import Database
from store.signing import SigningKeys


class NoMail:
    """The case desk's mailbox; one mail per part at most, so it is left out of the measurement."""

    async def send(self, to: str, subject: str, text: str, message_id: str) -> None:
        """Drop it."""


def _methods(house: House, database: Database, http: PartnerHttp) -> list[Callable[..., object]]:
    webhooks, registry, keys = HttpWebhooks(http), house.registry, house.keys
    return product.activities_of(
        Records(database, keys, registry),
        Enterprises(database, keys, registry, webhooks, NoMail(), "http://127.0.0.1", "desk@example.org"),
        Carriers(database, keys, registry, HttpCarrierRegistry(http, {}), webhooks),
        Holder(database, keys, None),  # type: ignore[arg-type]  # no short message is sent here
    )


@asynccontextmanager
async def _hands(house: House) -> AsyncIterator[tuple[Database, PartnerHttp]]:
    database = Database(house.database_url)
    http = PartnerHttp(SigningKeys(database, house.keys))
    try:
        yield database, http
    finally:
        await http.close()
        database.close()


async def _ours(stack: AsyncExitStack, client: Client, house: House, sandboxed: bool) -> None:
    database, http = await stack.enter_async_context(_hands(house))
    await stack.enter_async_context(product.build(client, _methods(house, database, http), sandboxed=sandboxed))
    parent = _plain(client, "bench-parent", [ours_flow.Renewal], [])
    await stack.enter_async_context(parent)


async def _textbook(stack: AsyncExitStack, client: Client, house: House) -> None:
    database, http = await stack.enter_async_context(_hands(house))
    hands = product.activities_of(AppActivities(house, database, HttpWebhooks(http)))
    flows = [textbook_flow.AllApps, textbook_flow.OneApp]
    await stack.enter_async_context(_plain(client, "bench-textbook", flows, hands))


async def _bare(stack: AsyncExitStack, client: Client) -> None:
    await stack.enter_async_context(_plain(client, "bench-bare", [bare_flow.Bare], [bare_flow.nothing]))


def _plain(client: Client, queue: str, flows: list[type], hands: list[Callable[..., object]]) -> Worker:
    """The same settings as ours: cache and sandbox."""
    return Worker(
        client,
        task_queue=queue,
        workflows=flows,
        activities=hands,
        workflow_runner=product.runner(True),
        max_cached_workflows=product.CACHED_WORKFLOWS + 100,
    )


async def run(who: str, folder: Path) -> None:
    """Work until told to stop."""
    async with AsyncExitStack() as stack:
        if who == "bare":
            await _bare(stack, await Client.connect(engine_address()))
        else:
            house = House(folder)
            client = await engine.connect(house.keys)
            if who == "textbook":
                await _textbook(stack, client, house)
            else:
                await _ours(stack, client, house, sandboxed=who == "ours")
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        print("ready", flush=True)
        await stop.wait()


def engine_address() -> str:
    """Where the server is, for a client without our converter."""
    return os.environ["TEMPORAL_ADDRESS"]


if __name__ == "__main__":
    logs.configure("bench", "WARNING")
    uvloop.run(run(sys.argv[1], Path(sys.argv[2])))
