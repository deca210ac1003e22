"""Talking to the outside world from an activity: heartbeats while it is slow, and its errors in Temporal's words.

A killed worker is noticed in seconds by its missing heartbeat; `Unavailable` is tried again, `Refused` is not.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.ports import PortError, Unavailable

EVERY_SECONDS = 2.0


@asynccontextmanager
async def outside() -> AsyncIterator[None]:
    """Beat until the block ends; raise its port errors as ApplicationError, with the wait the party asked for."""

    async def beat() -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(EVERY_SECONDS)

    task = asyncio.create_task(beat())
    try:
        yield
    except PortError as error:
        wait = getattr(error, "retry_after", None)
        raise ApplicationError(
            str(error),
            type=error.code,
            non_retryable=not isinstance(error, Unavailable),
            next_retry_delay=timedelta(seconds=wait) if wait else None,
        ) from None
    finally:
        task.cancel()
