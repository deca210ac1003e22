"""`UnbindWorkflow`: when the work items of one case are delivered, reminded of, overdue and closed.

What may happen is decided by `domain.unbind`; this gives it time and messages. One workflow holds all work
items of a request: one bulk activity per round of delivery, one timer for the earliest clock, answers as updates.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from pydantic import AwareDatetime, Field
from temporalio import workflow
from temporalio.exceptions import ActivityError, FailureError

with workflow.unsafe.imports_passed_through():
    from activities import contracts
    from activities.contracts import Escalate, ExtendedClock, GiveNotice, NoticeGiven, OpenUnbind, RecordUnbind
    from domain import unbind
    from domain.case import AppCode, CaseId, Event, Model, WorkItemId
    from domain.refusal import Refusal
    from domain.sla import Deadline
    from domain.unbind import ItemState, Notice
    from workflows.clockwork import DELIVERY, OUTSIDE, OWN_DATABASE
    from workflows.memory import Memory

MOST_COMMANDS = 500
"""Commands in one update: a whole part of a renewal answered at once."""


class UnbindOrder(Model):
    """What an unbind request starts from; `carried` is set when it continues as new."""

    case: CaseId
    parent: CaseId
    apps: tuple[AppCode, ...]
    boundary: AwareDatetime
    late_window: timedelta
    tell_parent: bool = True
    carried: unbind.State | None = None
    steps: int = 0
    reported: Mapping[AppCode, ItemState] = {}


class Batch(Model):
    """Commands of one or many enterprises that arrived together."""

    commands: tuple[unbind.ItemCommand, ...] = Field(min_length=1, max_length=MOST_COMMANDS)


class Taken(Model):
    """What became of one command: the item as it is now, or the refusal; `changed` is false for a repetition."""

    item: WorkItemId
    state: ItemState | None = None
    version: int = 0
    changed: bool = False
    refusal: Refusal | None = None


class BatchTaken(Model):
    """One entry per command, in the batch's order."""

    taken: tuple[Taken, ...]


class UnbindReport(Model):
    """How a part stands: every app's state."""

    case: CaseId
    outcomes: Mapping[AppCode, ItemState]


@workflow.defn
class UnbindWorkflow:
    """One unbind request over up to some hundred work items."""

    @workflow.init
    def __init__(self, order: UnbindOrder) -> None:
        self._order = order
        self._memory = Memory(unbind.evolve, self._write, order.carried, order.steps)
        self._waiting = 0
        self._open = 0
        self._look = False
        self._reported = dict(order.reported)
        if order.carried is not None:
            self._count()

    # ── the story ────────────────────────────────────────────────────────────────────────────────────

    @workflow.run
    async def run(self, order: UnbindOrder) -> UnbindReport:
        """Open, ask, remind, wait for the last answer, close."""
        if not self._memory.opened:
            self._memory.happened(await self._opening(), written=True)
            self._count()
        while not (agenda := unbind.agenda(self.state, workflow.now())).close:
            self._look = False
            if agenda.overdue or agenda.notices:
                await self._mark_overdue(agenda.overdue)
                for notice, items in agenda.notices.items():
                    await self._give(notice, items)
                continue
            await self._report()
            if workflow.info().is_continue_as_new_suggested():
                await self._continue()
            await self._sleep_until(agenda)
        self._happened(unbind.Closed(at=workflow.now()))
        await self._memory.write()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._standing()

    # ── doors: updates from the gateway, a signal from the parent ────────────────────────────────────

    @workflow.update
    async def take(self, batch: Batch) -> BatchTaken:
        """Acknowledgements, answers, amendments and extensions; each is decided on its own."""
        await workflow.wait_condition(lambda: self._memory.opened)
        clocks = [await self._clock(c) if isinstance(c, unbind.Extend) else None for c in batch.commands]
        taken = tuple(self._take(command, clock) for command, clock in zip(batch.commands, clocks, strict=True))
        await self._memory.write()
        return BatchTaken(taken=taken)

    @workflow.signal
    async def withdraw(self) -> None:
        """From the parent, which has checked and recorded the holder's wish."""
        await workflow.wait_condition(lambda: self._memory.opened)
        decision = unbind.decide(self.state, unbind.Withdraw(), workflow.now())
        if not isinstance(decision, Refusal):
            self._happened(*decision)
            await self._memory.write()
        self._look = True

    # ── steps ────────────────────────────────────────────────────────────────────────────────────────

    @property
    def state(self) -> unbind.State:
        """The request; there is one from the opening on."""
        return self._memory.state

    async def _opening(self) -> unbind.Opened:
        order = self._order
        return await workflow.execute_local_activity(
            contracts.open_unbind,
            OpenUnbind(
                case=order.case,
                parent=order.parent,
                apps=order.apps,
                boundary=order.boundary,
                late_window=order.late_window,
                at=workflow.now(),
            ),
            **OWN_DATABASE,
        )

    async def _clock(self, command: unbind.Extend) -> Deadline | None:
        item = self.state.items.get(command.item)
        if item is None or unbind.may_extend(self.state, item, command, workflow.now()):
            return None
        return await workflow.execute_local_activity(
            contracts.extended_clock,
            ExtendedClock(enterprise=item.enterprise, due_at=item.due_at, by=command.by, at=workflow.now()),
            **OWN_DATABASE,
        )

    def _take(self, command: unbind.ItemCommand, clock: Deadline | None) -> Taken:
        decision = unbind.decide(self.state, command, workflow.now(), clock)
        if isinstance(decision, Refusal):
            return Taken(item=command.item, refusal=decision)
        self._happened(*decision)
        item = self.state.items[command.item]
        return Taken(item=item.id, state=item.state, version=item.version, changed=bool(decision))

    async def _mark_overdue(self, overdue: tuple[str, ...]) -> None:
        """Record the breach at once; the mail to the desk may take as long as it takes."""
        if not overdue:
            return
        self._happened(unbind.WentOverdue(at=workflow.now(), items=overdue))
        await self._memory.write()
        try:
            await workflow.execute_activity(
                contracts.escalate,
                Escalate(case=self._order.case, step=self._memory.step("escalate"), items=overdue),
                **OUTSIDE,
            )
        except ActivityError:
            workflow.logger.error("overdue items could not be mailed to the desk; they are in its queue")

    async def _give(self, notice: Notice, items: Mapping[str, tuple[str, ...]]) -> None:
        """One round of delivery: what was told is in the ledger already, what failed is decided here."""
        given: NoticeGiven = await workflow.execute_activity(
            contracts.give_notice,
            GiveNotice(case=self._order.case, round=self._memory.step(notice.value), notice=notice, items=items),
            **DELIVERY,
        )
        for enterprise in given.told:
            self._happened(
                unbind.Noticed(at=given.at, notice=notice, enterprise=enterprise, items=items[enterprise]),
                written=True,
            )
        now = workflow.now()
        for failure in given.failed:
            first = self.state.items[items[failure.enterprise][0]]
            self._happened(
                unbind.NoticeFailed(
                    at=now,
                    notice=notice,
                    enterprise=failure.enterprise,
                    items=items[failure.enterprise],
                    code=failure.code,
                    try_after=now + unbind.backoff(first, failure.retry_after),
                )
            )
        await self._memory.write()

    async def _report(self) -> None:
        """Tell the parent when nothing is waited for any more, and again when the last overdue answer came."""
        outcomes = dict(self._standing().outcomes)
        if self._waiting or outcomes == self._reported or (self._reported and self._open):
            return
        self._reported = outcomes
        if not self._order.tell_parent:
            return
        parent = workflow.get_external_workflow_handle(self._order.parent)
        try:
            await parent.signal("report", self._standing())
        except FailureError:
            workflow.logger.error("the renewal of this unbind request is gone; its report stays in the ledger")

    async def _sleep_until(self, agenda: unbind.Agenda) -> None:
        """Until the earliest clock, or until an answer or a withdrawal makes a look worth while."""
        try:
            await workflow.wait_condition(self._something_to_do, timeout=agenda.wake_at - workflow.now())
        except TimeoutError:
            return

    def _something_to_do(self) -> bool:
        return self._look or workflow.info().is_continue_as_new_suggested()

    async def _continue(self) -> None:
        """A fresh history with the same state, once every caller has its answer."""
        await workflow.wait_condition(workflow.all_handlers_finished)
        carried = self._order.model_copy(
            update={"carried": self.state, "steps": self._memory.steps, "reported": self._reported}
        )
        workflow.continue_as_new(carried)

    # ── memory ───────────────────────────────────────────────────────────────────────────────────────

    def _happened(self, *events: Event, written: bool = False) -> None:
        """Remember events, and keep count of who is waited for."""
        for event in events:
            before = {key: self.state.items[key].state for key in unbind.touched(event)}
            self._memory.happened(event, written=written)
            for key, old in before.items():
                new = self.state.items[key].state
                self._waiting += (new in unbind.WAITING) - (old in unbind.WAITING)
                self._open += (new in unbind.OPEN) - (old in unbind.OPEN)
        if not self._waiting and (not self._reported or not self._open):
            self._look = True

    async def _write(self, step: str, events: tuple[Event, ...]) -> None:
        order = RecordUnbind(case=self._order.case, step=step, events=events)
        await workflow.execute_local_activity(contracts.record_unbind, order, **OWN_DATABASE)

    def _count(self) -> None:
        items = self.state.items.values()
        self._waiting = sum(item.state in unbind.WAITING for item in items)
        self._open = sum(item.state in unbind.OPEN for item in items)

    def _standing(self) -> UnbindReport:
        outcomes = {item.app: item.state for item in self.state.items.values()}
        return UnbindReport(case=self._order.case, outcomes=outcomes)
