"""The figures of the overview: each gateway counts them by itself, from its start on, and holds what came of it.

Counting takes too long for a request. Nothing is shared between gateways and nothing kept beyond their end: whoever
looks is told as of when the figures are.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from datetime import UTC, datetime
from typing import Any, TypeVar

import structlog

from store.database import Database
from store.overview import Counted, count

log = structlog.get_logger()
T = TypeVar("T")

EVERY_SECONDS = 15.0
REST = 40
"""Counting that takes long is done more seldom: it rests so many times as long as it took."""

MOST_MADE = 100


class Held:
    """What was counted last, and what was made of it since: overviews and charts, by what they are of."""

    def __init__(self) -> None:
        self.counted: Counted | None = None
        self._made: dict[Hashable, Any] = {}

    async def count(self, database: Database) -> None:
        """Count now."""
        self.counted = await database.read(lambda c: count(c, datetime.now(UTC)))
        self._made = {}

    async def keep(self, database: Database) -> None:
        """Count again and again; what goes wrong is logged and tried at the next turn."""
        while True:
            began = time.monotonic()
            try:
                await self.count(database)
            except Exception as error:  # noqa: BLE001 - it outlives everything it meets
                log.error("overview_failed", error=type(error).__name__)
            await asyncio.sleep(max(EVERY_SECONDS, REST * (time.monotonic() - began)))

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What was made of this count before, or is made now."""
        if key not in self._made:
            if len(self._made) >= MOST_MADE:
                del self._made[next(iter(self._made))]
            self._made[key] = make()
        made: T = self._made[key]
        return made
