"""A case's memory inside its workflow: the folded state, and the events that still have to reach the ledger.

Deciding is instant and happens in one place; writing is a local activity. Several handlers may decide while one
write is under way: whatever came meanwhile travels in the next one, in the order it was decided.

A worker that dies between a write and the end of its workflow task leaves a write the workflow does not remember.
The next write has the same number, so the ledger answers with what it holds: then the case is recalled from the
ledger, what was decided on the outdated state is dropped, and whoever decided it decides again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain.case import Event, Model

S = TypeVar("S")


class Count(Model):
    """How many writes and other steps a case has had; goes along when a workflow continues as new."""

    writes: int = 0
    steps: int = 0


class Memory(Generic[S]):
    """State and unwritten events of one case."""

    def __init__(
        self,
        evolve: Callable[[S | None, Event], S],
        write: Callable[[str, tuple[Event, ...]], Awaitable[bool]],
        recall: Callable[[], Awaitable[S]],
        state: S | None = None,
        count: Count = Count(),  # noqa: B008 - a frozen value
    ) -> None:
        """`write` tells whether the ledger holds just these events under the name; `recall` reads the case back."""
        self._evolve = evolve
        self._write = write
        self._recall = recall
        self._state = state
        self._writes = count.writes
        self._steps = count.steps
        self._unwritten: list[Event] = []
        self._decided = 0
        self._written = 0
        self._recalled = 0
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

    @property
    def count(self) -> Count:
        """What a continued workflow has to go on from."""
        return Count(writes=self._writes, steps=self._steps)

    @property
    def mark(self) -> tuple[int, int]:
        """Another one whenever something was decided, or recalled from the ledger."""
        return self._decided, self._recalled

    def happened(self, *events: Event, written: bool = False) -> None:
        """Fold events into the state; those an activity has not written already wait for `write`."""
        for event in events:
            self._state = self._evolve(self._state, event)
        if not written:
            self._unwritten.extend(events)
            self._decided += len(events)

    async def write(self) -> bool:
        """When this returns True, everything decided so far is in the ledger, in the order it was decided.

        False: the ledger knew better; the state is what it says, and the caller has to decide again.
        """
        recalled, mark = self._recalled, self._decided
        async with self._writing:
            if self._recalled != recalled:
                return False
            if self._written >= mark:
                return True
            events, self._unwritten = tuple(self._unwritten), []
            self._writes += 1
            if await self._write(f"decide-{self._writes}", events):
                self._written += len(events)
                return True
            self._state = await self._recall()
            self._unwritten, self._written = [], self._decided
            self._recalled += 1
            return False

    def step(self, what: str) -> str:
        """A name no other step of this case has."""
        self._steps += 1
        return f"{what}-{self._steps}"
