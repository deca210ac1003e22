"""One case inside its workflow: its memory, the way to decide, and what every kind does alike.

A workflow holds a `Case` and adds time and messages; what may happen is decided by its domain module.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities import contracts
    from activities.contracts import AskParties, CaseOpened, OpenCase, Recall, Record, TellCitizen
    from domain.case import CaseKind, Event, Model, NotTold
    from domain.messages import Message
    from domain.question import Answering, Heard
    from domain.refusal import Refusal, changed_meanwhile
    from workflows.clockwork import DELIVERY, OUTSIDE, OWN_DATABASE
    from workflows.memory import Count, Memory
    from workflows.messages import Done

S = TypeVar("S", bound=Model)
Decide = Callable[[Any, Any, Any], tuple[Event, ...] | Refusal]


class Case(Generic[S]):
    """State, decisions and ledger of one case."""

    def __init__(
        self,
        kind: CaseKind,
        case: str,
        evolve: Callable[[S | None, Event], S],
        decide: Decide,
        state: S | None = None,
        count: Count = Count(),  # noqa: B008 - a frozen value
    ) -> None:
        """`decide` takes state, command and time; `state` is there from the first event on, or when continued."""
        self.kind = kind
        self.id = case
        self.memory: Memory[S] = Memory(evolve, self._write, self._recall, state, count)
        self._decide = decide
        self._asking = 0
        self._comparing = asyncio.Lock()
        self._telling: asyncio.Task[None] | None = None

    @property
    def state(self) -> S:
        """The case as of the last event."""
        return self.memory.state

    async def decide(self, command: Any) -> tuple[Event, ...] | Refusal:
        """What followed from a command, in the ledger when this returns; or why it was refused."""
        while True:
            if (decision := await self._decided(command)) is not None:
                return decision

    async def decide_if_unchanged(self, command: Any, expected: int) -> tuple[Event, ...] | Refusal:
        """The same, if the ledger has just so many events of the case; of two who saw the same ones, one comes first."""
        async with self._comparing:
            look = Recall(case=self.id, kind=self.kind)
            while True:
                mark = self.memory.mark
                if not await self.memory.write():
                    continue
                found = await workflow.execute_local_activity(contracts.look_at_ledger, look, **OWN_DATABASE)
                if mark != self.memory.mark:
                    continue  # something was decided while we looked
                if found.seq != expected:
                    return changed_meanwhile()
                if (decision := await self._decided(command)) is not None:
                    return decision

    async def _decided(self, command: Any) -> tuple[Event, ...] | Refusal | None:
        """What follows as things stand; None if the ledger knew better."""
        decision = self._decide(self.state, command, workflow.now())
        if isinstance(decision, Refusal):
            return decision
        self.memory.happened(*decision)
        return decision if await self.memory.write() else None

    async def take(self, command: Any, expected: int | None = None) -> Done:
        """The same, as the answer of an update.

        A party may find its question, and answer, while the round that asked it is still waiting for slower ones.
        """
        if isinstance(command, Answering):
            await workflow.wait_condition(lambda: not self._asking)
        if expected is None:
            decision = await self.decide(command)
        else:
            decision = await self.decide_if_unchanged(command, expected)
        refusal = decision if isinstance(decision, Refusal) else None
        return Done(status=self.status, changed=bool(decision) and refusal is None, refusal=refusal)

    @property
    def status(self) -> str:
        """Where the case stands, as a word."""
        return str(self.state.status.value)  # type: ignore[attr-defined]

    async def follow_up(self, kind: CaseKind, step: str, first: Event) -> CaseOpened:
        """Record the first event of a case that follows from this one; its workflow is the caller's to start."""
        order = OpenCase(parent=self.id, kind=kind, step=step, first=first.model_dump_json(exclude_none=True))
        return await workflow.execute_local_activity(contracts.open_case, order, **OWN_DATABASE)

    async def ask(self, order: AskParties) -> Heard:
        """One round of questions; what was heard is in the ledger and the state when this returns."""
        self._asking += 1
        try:
            heard: Heard = await workflow.execute_activity(contracts.ask_parties, order, **DELIVERY)
            self.memory.happened(heard, written=True)
        finally:
            self._asking -= 1
        return heard

    def tell(self, message: Message) -> None:
        """Tell the citizen, beside everything else and after what they were told before."""
        step = self.memory.step(message.key.value)
        self._telling = asyncio.create_task(self._told(message, step, self._telling))

    async def all_told(self) -> None:
        """When nothing is left to be told."""
        while self._telling is not None:
            last = self._telling
            await last
            if last is self._telling:
                self._telling = None

    async def _told(self, message: Message, step: str, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await before
        order = TellCitizen(case=self.id, kind=self.kind, step=step, message=message)
        try:
            told = await workflow.execute_activity(contracts.tell_citizen, order, **OUTSIDE)
            self.memory.happened(told, written=True)
        except ActivityError as error:
            code = error.cause.type if isinstance(error.cause, ApplicationError) else None
            while True:
                self.memory.happened(
                    NotTold(at=workflow.now(), message=message.key.value, step=step, code=code or "unreachable")
                )
                if await self.memory.write():
                    return

    async def _write(self, step: str, events: tuple[Event, ...]) -> bool:
        order = Record(
            case=self.id,
            kind=self.kind,
            step=step,
            events=tuple(e.model_dump_json(exclude_none=True) for e in events),
        )
        return await workflow.execute_local_activity(contracts.record, order, **OWN_DATABASE)

    async def _recall(self) -> S:
        order = Recall(case=self.id, kind=self.kind)
        recalled = await workflow.execute_local_activity(contracts.recall, order, **OWN_DATABASE)
        return type(self.state).model_validate_json(recalled.state)
