"""What only the real server does: histories that end and are continued, children that are ended by force."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from temporalio.testing import WorkflowEnvironment

from domain.renewal import RenewalStatus
from runtime import engine
from store.database import Database
from store.keys import KeyRing
from tests.house import House, binary
from tests.support import eventually

SOON = ["--dynamic-config-value", "limit.historyCount.suggestContinueAsNew=40"]


@asynccontextmanager
async def real_server(database: Database, keys: KeyRing, *extra: str) -> AsyncIterator[House]:
    """The house on the real server, with options of its own."""
    server = await WorkflowEnvironment.start_local(
        dev_server_existing_path=binary("temporal"),
        dev_server_extra_args=extra,
        dev_server_log_level="error",
        data_converter=engine.data_converter(keys),
    )
    async with server:
        house = House(server.client, database, keys)
        async with house.working():
            yield house


async def test_amendments_beyond_one_history(database: Database, keys: KeyRing) -> None:
    async with real_server(database, keys, *SOON) as house:
        case = (await house.renew(apps=["push-0-app", "push-1-app"])).id
        await eventually(lambda: "noticed" in house.events(f"{case}-unbind-0"))
        first = (await house.part(case).describe()).run_id
        await house.answer(case, "push-0", "unbound")
        for version in range(1, 25):
            outcome = "unbound" if version % 2 == 0 else "cancelled"
            taken = await house.answer(case, "push-0", outcome, amends=version)
            assert taken.version == version + 1, taken
        assert (await house.part(case).describe()).run_id != first, "the history was renewed"
        assert (await house.answer(case, "push-1", "unbound")).state == "unbound"
        await eventually(lambda: len(house.centre.texts) == 1)
        assert house.events(f"{case}-unbind-0").count("answered") == 26
        assert house.events(f"{case}-unbind-0").count("opened") == 1
        house.verify()


async def test_a_part_ended_by_force_does_not_end_the_renewal(database: Database, keys: KeyRing) -> None:
    async with real_server(database, keys) as house:
        case = (renewal := await house.renew(apps=["push-0-app"])).id
        await eventually(lambda: "noticed" in house.events(f"{case}-unbind-0"))
        await house.answer(case, "push-0", "unbound")
        await eventually(lambda: house.status(case) is RenewalStatus.SUMMARY_SENT)
        await house.part(case).terminate("the test ends it")
        assert (await house.ended(renewal)).status is RenewalStatus.CLOSED
