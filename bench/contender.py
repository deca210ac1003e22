"""What the measurement asks of every contender, and the part that is the same for all with a domain."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from bench.house import House, standing
from bench.meter import Meter
from bench.plan import Run
from store.database import Database

LOOK_EVERY = 0.02
PATIENCE = 240.0


class TooLate(RuntimeError):
    """The deadline passed before the last answer: reminders went out that the run is not about."""


@dataclass
class Kept:
    """What the engine keeps of a run: history events and bytes, or rows and bytes where it has no histories."""

    events: int = 0
    size: int = 0
    workflows: int = 0


class Contender(ABC):
    """One design, driven from outside."""

    def __init__(self, run: Run) -> None:
        self.run = run

    @abstractmethod
    async def open(self, apps: int) -> None:
        """Start the renewal over the first `apps` apps."""

    @abstractmethod
    async def delivered(self) -> None:
        """Wait until every app's enterprise was told."""

    @abstractmethod
    async def answer(self, number: int) -> None:
        """Answer one app; returns when the answer is recorded."""

    @abstractmethod
    async def answer_all(self, apps: int) -> None:
        """Answer all as they would arrive together; returns when all are recorded."""

    @abstractmethod
    async def overdue(self, apps: int) -> None:
        """Wait until all are recorded as overdue."""

    @abstractmethod
    async def ended(self, meter: Meter) -> None:
        """Wait until every workflow has completed; idle waiting for a clock is not metered."""

    @abstractmethod
    async def kept(self) -> Kept:
        """What the engine holds of it now."""

    async def forget(self) -> None:  # noqa: B027 - most have nothing to end
        """End what a warm-up left running."""

    def close(self) -> None:  # noqa: B027 - the bare minimum has none
        """Let go of the database."""


@dataclass
class Watch:
    """Looks into the read models until the items stand as hoped for; earlier items (a warm-up's) do not count."""

    house: House
    database: Database
    before: dict[str, int] = field(default_factory=dict)

    async def start(self) -> None:
        """From now on."""
        self.before = await self.database.read(standing)

    async def until(self, enough: Callable[[dict[str, int]], bool]) -> None:
        """Wait."""

        def look(connection: Connection) -> dict[str, int]:
            now = standing(connection)
            return {state: count - self.before.get(state, 0) for state, count in now.items()}

        end = time.monotonic() + PATIENCE
        while not enough(found := await self.database.read(look)):
            if time.monotonic() > end:
                raise TimeoutError(f"after {PATIENCE:.0f} s the items stand {found}")
            await asyncio.sleep(LOOK_EVERY)


async def at_most(limit: int, jobs: Sequence[Callable[[], Awaitable[None]]]) -> None:
    """All jobs, so many at a time."""
    room = asyncio.Semaphore(limit)

    async def one(job: Callable[[], Awaitable[None]]) -> None:
        async with room:
            await job()

    await asyncio.gather(*(one(job) for job in jobs))
