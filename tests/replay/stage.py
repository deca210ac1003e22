"""A stage on which one thing happens at a time, so that a scene always leads to the same commands in the same order.

Workflows decide what to do from what they hear and in which order they hear it. On the stage nobody speaks before
everything has come to rest, no clock runs on before that, and activities run one after another in the order in which
they were scheduled.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from temporalio import activity, client, worker
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHistory
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import WorkflowEnvironment

from runtime import engine
from store import schema
from store.database import Database
from tests.house import House, binary, saved_ring

PATIENCE = 30.0
"""Seconds for everything to come to rest, on a busy machine."""

LOOK_AGAIN = 0.01

ENDS = {
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED: lambda e: (
        e.child_workflow_execution_started_event_attributes.initiated_event_id
    ),
    EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED: lambda e: (
        e.start_child_workflow_execution_failed_event_attributes.initiated_event_id
    ),
    EventType.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED: lambda e: (
        e.external_workflow_execution_signaled_event_attributes.initiated_event_id
    ),
    EventType.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED: lambda e: (
        e.signal_external_workflow_execution_failed_event_attributes.initiated_event_id
    ),
    EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED: lambda e: (
        e.activity_task_completed_event_attributes.scheduled_event_id
    ),
    EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED: lambda e: e.activity_task_failed_event_attributes.scheduled_event_id,
    EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT: lambda e: (
        e.activity_task_timed_out_event_attributes.scheduled_event_id
    ),
    EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED: lambda e: (
        e.activity_task_canceled_event_attributes.scheduled_event_id
    ),
}
TASK_OPEN = {
    EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED: True,
    EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED: True,
    EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED: True,
    EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT: True,
    EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED: False,
}
OVER = frozenset(
    {
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW,
    }
)


Deed = tuple[str, int]
"""One activity: its workflow's id, and its number there."""


@dataclass(frozen=True)
class Seen:
    """What is under way in the whole house."""

    busy: frozenset[str]
    """Workflows with a task, a signal or the start of a child under way."""
    deeds: frozenset[Deed]
    """Activities that are scheduled and not over."""
    lengths: Mapping[str, int]


class Turns(client.Interceptor, worker.Interceptor):
    """Lets one thing happen at a time: between the scene and the server, and around every activity."""

    def __init__(self) -> None:
        self.client: Client | None = None
        self._workflows: dict[str, int] = {}
        """Every workflow there is, in the order in which they began."""
        self._doing: Deed | None = None
        self._resting: set[Deed] = set()
        """Activities between two tries."""

    # ── who asks ─────────────────────────────────────────────────────────────────────────────────────

    def intercept_client(self, next: client.OutboundInterceptor) -> client.OutboundInterceptor:
        """The scene's side."""
        return _Speaking(next, self)

    def intercept_activity(self, next: worker.ActivityInboundInterceptor) -> worker.ActivityInboundInterceptor:
        """The worker's side."""
        return _Doing(next, self)

    def begins(self, workflow: str) -> None:
        """There is one more workflow."""
        self._workflows.setdefault(workflow, len(self._workflows))

    async def still(self) -> None:
        """When nothing moves any more but clocks."""
        before = None
        async for seen in self._looking("everything to come to rest"):
            rests = not seen.busy and seen.deeds <= self._resting
            if rests and seen == before:
                return
            before = seen if rests else None

    @asynccontextmanager
    async def turn(self, info: activity.Info) -> AsyncIterator[None]:
        """An activity's turn: when no workflow has anything to do and nothing scheduled before it is left."""
        deed = (info.workflow_id or "", int(info.activity_id))
        self._resting.discard(deed)
        async for seen in self._looking(f"the turn of {info.activity_type}"):
            if deed not in seen.deeds:
                break  # its workflow is over
            if not seen.busy and self._doing is None and deed == self._first(seen.deeds - self._resting):
                break
            activity.heartbeat()
        self._doing = deed
        try:
            yield
        except BaseException as error:
            if not (isinstance(error, ApplicationError) and error.non_retryable):
                self._resting.add(deed)
            raise
        finally:
            self._doing = None

    # ── what can be seen ─────────────────────────────────────────────────────────────────────────────

    def _first(self, deeds: Iterable[Deed]) -> Deed | None:
        return min(deeds, key=lambda deed: (self._workflows[deed[0]], deed[1]), default=None)

    async def _looking(self, for_what: str) -> AsyncIterator[Seen]:
        clock = asyncio.get_running_loop().time
        end = clock() + PATIENCE
        while clock() < end:
            yield (seen := await self._look())
            await asyncio.sleep(LOOK_AGAIN)
        raise AssertionError(f"after {PATIENCE} s still waiting for {for_what}: {seen}; resting: {self._resting}")

    async def _look(self) -> Seen:
        assert self.client is not None
        busy: set[str] = set()
        deeds: set[Deed] = set()
        lengths: dict[str, int] = {}
        todo = list(self._workflows)
        for workflow in todo:
            try:
                history = await self.client.get_workflow_handle(workflow).fetch_history()
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise
                busy.add(workflow)
                continue
            under_way = _under_way(history)
            lengths[workflow] = len(history.events)
            busy.update([workflow] if under_way.busy else ())
            deeds.update((workflow, number) for number in under_way.activities)
            for child in under_way.children:
                if child not in self._workflows:
                    self.begins(child)
                    todo.append(child)
        return Seen(frozenset(busy), frozenset(deeds), lengths)


@dataclass(frozen=True)
class _UnderWay:
    """What one workflow has begun and not ended; its children ever."""

    busy: bool
    activities: tuple[int, ...]
    children: tuple[str, ...]


def _under_way(history: WorkflowHistory) -> _UnderWay:
    children: list[str] = []
    others: set[int] = set()
    activities: dict[int, int] = {}
    task = True
    for event in history.events:
        kind = event.event_type
        if kind in OVER:
            return _UnderWay(False, (), tuple(children))
        if kind in TASK_OPEN:
            task = TASK_OPEN[kind]
        elif kind == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            activities[event.event_id] = int(event.activity_task_scheduled_event_attributes.activity_id)
        elif kind == EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED:
            children.append(event.start_child_workflow_execution_initiated_event_attributes.workflow_id)
            others.add(event.event_id)
        elif kind == EventType.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED:
            others.add(event.event_id)
        elif kind in ENDS:
            begun = ENDS[kind](event)
            activities.pop(begun, None)
            others.discard(begun)
    return _UnderWay(task or bool(others), tuple(activities.values()), tuple(children))


class _Speaking(client.OutboundInterceptor):
    """Whoever says something to a workflow waits until everything rests."""

    def __init__(self, next: client.OutboundInterceptor, turns: Turns) -> None:
        super().__init__(next)
        self._turns = turns

    async def start_workflow(self, input: client.StartWorkflowInput) -> Any:
        await self._turns.still()
        self._turns.begins(input.id)
        return await super().start_workflow(input)

    async def signal_workflow(self, input: client.SignalWorkflowInput) -> None:
        await self._turns.still()
        await super().signal_workflow(input)

    async def start_workflow_update(self, input: client.StartWorkflowUpdateInput) -> Any:
        await self._turns.still()
        return await super().start_workflow_update(input)


class _Doing(worker.ActivityInboundInterceptor):
    """An activity waits for its turn; a local one is part of a workflow's task."""

    def __init__(self, next: worker.ActivityInboundInterceptor, turns: Turns) -> None:
        super().__init__(next)
        self._turns = turns

    async def execute_activity(self, input: worker.ExecuteActivityInput) -> Any:
        info = activity.info()
        if info.is_local:
            return await super().execute_activity(input)
        async with self._turns.turn(info):
            return await super().execute_activity(input)


@dataclass
class Stage:
    """The house, and the server's clock. Stands in for the server where a test's helper takes one."""

    house: House
    server: WorkflowEnvironment
    turns: Turns

    async def still(self) -> None:
        """When nothing moves any more but clocks."""
        await self.turns.still()

    async def sleep(self, time: timedelta) -> None:
        """Let the clock run on by so much."""
        await self.turns.still()
        await self.server.sleep(time)
        await self.turns.still()

    async def get_current_time(self) -> datetime:
        """The server's time."""
        return await self.server.get_current_time()

    async def run(self, case: str) -> str:
        """Which run of a workflow goes on."""
        return (await self.house.client.get_workflow_handle(case).describe()).run_id or ""

    async def history(self, case: str, run: str | None = None) -> WorkflowHistory:
        """What a workflow has done, once everything has come to rest."""
        await self.turns.still()
        return await self.house.client.get_workflow_handle(case, run_id=run).fetch_history()


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[Stage]:
    """A fresh stage on a server whose clock can be run ahead."""
    turns = Turns()
    server = await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=binary("temporal-test-server"),
        data_converter=engine.data_converter(saved_ring()),
        interceptors=[turns],
    )
    async with server, _furnished(server, turns, folder) as built:
        yield built


@asynccontextmanager
async def real_stage(folder: Path, long: int) -> AsyncIterator[Stage]:
    """A fresh stage on the real server, whose clock is everybody's; it wants histories shorter than `long` events."""
    turns = Turns()
    server = await WorkflowEnvironment.start_local(
        dev_server_existing_path=binary("temporal"),
        dev_server_extra_args=["--dynamic-config-value", f"limit.historyCount.suggestContinueAsNew={long}"],
        dev_server_log_level="error",
        data_converter=engine.data_converter(saved_ring()),
        interceptors=[turns],
    )
    async with server, _furnished(server, turns, folder) as built:
        yield built


@asynccontextmanager
async def _furnished(server: WorkflowEnvironment, turns: Turns, folder: Path) -> AsyncIterator[Stage]:
    url = f"sqlite:///{folder}/stage.db"
    schema.upgrade(url)
    database = Database(url)
    turns.client = server.client
    house = House(server.client, database, saved_ring())
    try:
        yield Stage(house, server, turns)
    finally:
        database.close()
