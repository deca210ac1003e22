"""A case's memory inside its workflow: the folded state, and the events that still have to reach the ledger.

Deciding is instant and happens in one place; writing is a local activity. Several handlers may decide while one
write is under way: whatever came meanwhile travels in the next one, in the order it was decided.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain.case import Event

S = TypeVar("S")


class Memory(Generic[S]):
    """State and unwritten events of one case; `steps` names every write, so that a repeated one is recognised."""

    def __init__(
        self,
        evolve: Callable[[S | None, Event], S],
        write: Callable[[str, tuple[Event, ...]], Awaitable[None]],
        state: S | None = None,
        steps: int = 0,
    ) -> None:
        self._evolve = evolve
        self._write = write
        self._state = state
        self.steps = steps
        self._unwritten: list[Event] = []
        self._decided = 0
        self._written = 0
        self._writing = asyncio.Lock()

    @property
    def opened(self) -> bool:
        """Whether the case has its first event."""
        return self._state is not None

    @property
    def state(self) -> S:
        """The case as of the last event."""
        if self._state is None:
            raise RuntimeError("the case is not open yet")
        return self._state

    def happened(self, *events: Event, written: bool = False) -> None:
        """Fold events into the state; those an activity has not written already wait for `write`."""
        for event in events:
            self._state = self._evolve(self._state, event)
        if not written:
            self._unwritten.extend(events)
            self._decided += len(events)

    async def write(self) -> None:
        """When this returns, everything decided so far is in the ledger, in the order it was decided."""
        mark = self._decided
        async with self._writing:
            if self._written >= mark:
                return
            events, self._unwritten = tuple(self._unwritten), []
            await self._write(self.step("decide"), events)
            self._written += len(events)

    def step(self, what: str) -> str:
        """A name no other step of this case has."""
        self.steps += 1
        return f"{what}-{self.steps}"
