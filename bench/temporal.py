"""History events and bytes, as the server counts them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from temporalio.client import Client

from bench.contender import Kept


async def kept_of(client: Client, workflow_ids: Iterable[str]) -> Kept:
    """Summed over these workflows."""
    total = Kept()
    room = asyncio.Semaphore(20)

    async def add(workflow_id: str) -> None:
        async with room:
            found = await client.get_workflow_handle(workflow_id).describe()
        total.workflows += 1
        total.events += found.history_length
        total.size += found.raw_description.workflow_execution_info.history_size_bytes

    await asyncio.gather(*(add(workflow_id) for workflow_id in workflow_ids))
    return total
