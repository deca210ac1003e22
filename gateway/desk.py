"""The answer desk: what enterprises say reaches the workflow in as few updates as possible.

Commands for one case that arrive while an update is under way travel together in the next one; one update at a
time per case keeps far below the server's limit of ten and keeps each enterprise's order.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection, select
from temporalio.client import Client, WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.service import RPCError, RPCStatusCode

from domain import unbind
from domain.case import CaseKind
from store.database import Database
from store.projection import PROJECTIONS
from store.tables import cases, work_items
from workflows.messages import MOST_COMMANDS, Batch, Taken, WithdrawalTaken
from workflows.renewal import RenewalWorkflow
from workflows.unbind import UnbindWorkflow

log = structlog.get_logger()
T = TypeVar("T")

MOST_WAITING = 5000
"""Commands of one case that may wait; more are turned away for now."""

MOST_WAITING_IN_ALL = 50_000
"""Commands of all cases that may wait."""

MOST_UPDATES = 64
"""Updates under way at once: a slow engine must not have all requests wait for it, so that nobody can even read."""

UPDATE_SECONDS = 20.0
"""How long an update may take before the caller is asked to repeat it."""


NOT_TAKEN = (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError, WorkflowUpdateFailedError)
"""An update that may or may not have arrived, or that its workflow gave up: a repetition is safe."""


class EngineBusy(Exception):
    """The engine or its worker does not answer now; the same request may be repeated safely."""


class CaseEnded(Exception):
    """The workflow of this case has ended."""


@dataclass
class _Waiting:
    command: unbind.ItemCommand
    done: asyncio.Future[Taken]


class AnswerDesk:
    """Takes item commands and withdrawals to their workflows."""

    def __init__(self, client: Client, database: Database) -> None:
        self._client = client
        self._database = database
        self._waiting: dict[str, deque[_Waiting]] = defaultdict(deque)
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._waiting_in_all = 0
        self._batches = asyncio.Semaphore(MOST_UPDATES)
        self._updates = 0

    async def take(self, commands: Sequence[unbind.ItemCommand]) -> list[Taken | EngineBusy]:
        """What became of each command, in order; EngineBusy for those that have to be repeated."""
        of_case = await self._database.read(lambda c: _cases(c, {command.item for command in commands}))
        results = [self._queue(of_case.get(command.item), command) for command in commands]
        return [
            one if isinstance(one, Taken) else EngineBusy()
            for one in await asyncio.gather(*results, return_exceptions=True)
        ]

    async def withdraw(self, case: str) -> WithdrawalTaken:
        """The holder's withdrawal. Raises EngineBusy, CaseEnded."""
        handle = self._client.get_workflow_handle_for(RenewalWorkflow.run, case)
        try:
            async with self._update(), asyncio.timeout(UPDATE_SECONDS):
                return await handle.execute_update(RenewalWorkflow.withdraw)
        except RPCError as error:
            if await self._has_ended(case, error):
                raise CaseEnded from None
            raise EngineBusy from None
        except NOT_TAKEN as error:
            log.warning("withdrawal_not_taken", case=case, error=type(error).__name__)
            raise EngineBusy from None

    async def say(self, case: str, update: str, order: Any, form: type[T]) -> T:
        """One update to a case's workflow, by its name; the workflow's answer. Raises EngineBusy, CaseEnded."""
        handle = self._client.get_workflow_handle(case)
        try:
            async with self._update(), asyncio.timeout(UPDATE_SECONDS):
                said: T = await handle.execute_update(update, order, result_type=form)
                return said
        except RPCError as error:
            if await self._has_ended(case, error):
                raise CaseEnded from None
            raise EngineBusy from None
        except NOT_TAKEN as error:
            log.warning("update_not_taken", case=case, update=update, error=type(error).__name__)
            raise EngineBusy from None

    def _queue(self, case: str | None, command: unbind.ItemCommand) -> asyncio.Future[Taken]:
        done: asyncio.Future[Taken] = asyncio.get_running_loop().create_future()
        if case is None:
            done.set_result(Taken(item=command.item, refusal=unbind.refuse_unknown(command.item)))
            return done
        if self._waiting_in_all >= MOST_WAITING_IN_ALL or len(self._waiting[case]) >= MOST_WAITING:
            done.set_exception(EngineBusy())
            return done
        self._waiting_in_all += 1
        done.add_done_callback(self._answered)
        self._waiting[case].append(_Waiting(command, done))
        if case not in self._busy:
            self._busy[case] = asyncio.create_task(self._drain(case))
        return done

    def _answered(self, _done: asyncio.Future[Taken]) -> None:
        self._waiting_in_all -= 1

    @asynccontextmanager
    async def _update(self) -> AsyncIterator[None]:
        """One of the updates that may be under way at once. Raises EngineBusy."""
        if self._updates >= MOST_UPDATES:
            raise EngineBusy
        self._updates += 1
        try:
            yield
        finally:
            self._updates -= 1

    async def _drain(self, case: str) -> None:
        """Send what waits for a case, a batch at a time, until nothing does."""
        queue = self._waiting[case]
        try:
            while queue:
                batch = [queue.popleft() for _ in range(min(len(queue), MOST_COMMANDS))]
                try:
                    await self._send(case, batch)
                except Exception as error:  # noqa: BLE001 - the next batch may fare better
                    log.error("update_failed", case=case, error=type(error).__name__)
                finally:
                    _give_up(batch)
        finally:
            del self._busy[case], self._waiting[case]
            _give_up(queue)

    async def _send(self, case: str, batch: list[_Waiting]) -> None:
        """One update; who has no answer after it has to ask again."""
        commands = Batch(commands=tuple(waiting.command for waiting in batch))
        handle = self._client.get_workflow_handle_for(UnbindWorkflow.run, case)
        try:
            async with self._batches, asyncio.timeout(UPDATE_SECONDS):
                taken = (await handle.execute_update(UnbindWorkflow.take, commands)).taken
        except RPCError as error:
            if not await self._has_ended(case, error):
                return
            taken = tuple(Taken(item=w.command.item, refusal=unbind.refuse_closed()) for w in batch)
        except NOT_TAKEN as error:
            log.warning("update_not_taken", case=case, error=type(error).__name__)
            return
        for waiting, one in zip(batch, taken, strict=True):
            if not waiting.done.done():
                waiting.done.set_result(one)

    async def _has_ended(self, case: str, error: RPCError) -> bool:
        """Whether the engine does not know a case because it is over; a lost workflow is a fault of ours."""
        if error.status is not RPCStatusCode.NOT_FOUND:
            log.warning("engine_busy", case=case, status=error.status.name)
            return False
        ended = await self._database.read(lambda c: _over(c, case))
        if not ended:
            log.error("workflow_lost", case=case)
        return ended


def _give_up(left: Iterable[_Waiting]) -> None:
    """Nobody is left without an answer."""
    for waiting in left:
        if not waiting.done.done():
            waiting.done.set_exception(EngineBusy())


def _over(connection: Connection, case: str) -> bool:
    """Whether a case's workflow may be gone: by its own word for when it ended."""
    row = connection.execute(select(cases.c.kind, cases.c.data).where(cases.c.case_id == case)).one_or_none()
    if row is None:
        return False
    state = PROJECTIONS[CaseKind(row.kind)].head.model_validate_json(row.data)
    return (getattr(state, "ended_at", None) or getattr(state, "closed_at", None)) is not None


def _cases(connection: Connection, items: set[str]) -> dict[str, str]:
    found = select(work_items.c.item_id, work_items.c.case_id).where(work_items.c.item_id.in_(items))
    return {row.item_id: row.case_id for row in connection.execute(found)}
