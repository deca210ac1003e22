"""Temporal for workflow tests: the time-skipping server, fresh for every test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from temporalio.testing import WorkflowEnvironment

from runtime import engine
from store.database import Database
from store.keys import KeyRing
from tests.house import House, binary


@pytest.fixture
async def skipping(keys: KeyRing) -> AsyncIterator[WorkflowEnvironment]:
    """A server whose clock runs ahead while nothing happens."""
    environment = await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=binary("temporal-test-server"), data_converter=engine.data_converter(keys)
    )
    async with environment:
        yield environment


@pytest.fixture
def house(skipping: WorkflowEnvironment, database: Database, keys: KeyRing) -> House:
    """The house on that server; change its fakes before `working()`."""
    return House(skipping.client, database, keys)
