"""`UnbindWorkflow`: when the work items of one case are delivered, reminded of, overdue and closed.

What may happen is decided by `domain.unbind`; this gives it time and messages. One workflow holds all work
items of a request: one bulk activity per round of delivery, one timer for the earliest clock, answers as updates.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from temporalio import workflow
from temporalio.exceptions import ActivityError, FailureError

with workflow.unsafe.imports_passed_through():
    from activities import contracts
    from activities.contracts import (
        Escalate,
        ExtendedClock,
        GiveNotice,
        NoticeGiven,
        OpenUnbind,
    )
    from domain import unbind
    from domain.case import CaseKind, Event
    from domain.refusal import Refusal
    from domain.sla import Deadline
    from domain.unbind import ItemState, Notice
    from workflows.case import Case
    from workflows.clockwork import DELIVERY, OUTSIDE, OWN_DATABASE
    from workflows.memory import Count
    from workflows.messages import Batch, BatchTaken, Carried, Taken, UnbindOrder, UnbindReport, WithdrawalReply

MOST_REPORTS = 2
"""Reports before the close: when nothing is waited for, and when the last overdue answer came."""

MOST_REPORTS_EACH = 10
"""Reports per work item where every answer is reported: an enterprise that goes on changing its mind is not."""


@workflow.defn
class UnbindWorkflow:
    """One unbind request over up to some hundred work items."""

    @workflow.init
    def __init__(self, order: UnbindOrder) -> None:
        self._order = order
        carried = order.carried
        self._case: Case[unbind.State] = Case(
            CaseKind.UNBIND,
            order.case,
            unbind.evolve,
            unbind.decide,
            carried.state if carried else None,
            carried.count if carried else Count(),
        )
        self._memory = self._case.memory
        self._reports = carried.reports if carried else 0
        self._reported: dict[str, ItemState] = dict(carried.reported) if carried else {}
        self._reasons: dict[str, unbind.Reason] = dict(carried.reasons) if carried else {}
        self._escalating: asyncio.Task[None] | None = None
        self._waiting = 0
        self._open = 0
        self._look = False
        if carried:
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
            self._escalate()
            await self._report()
            if workflow.info().is_continue_as_new_suggested():
                await self._continue()
            await self._sleep_until(agenda)
        await self._close()
        return self._standing()

    # ── doors: updates from the gateway, a signal from the parent ────────────────────────────────────

    @workflow.update
    async def take(self, batch: Batch) -> BatchTaken:
        """Acknowledgements, answers, amendments, extensions, clocks stopped; each is decided on its own."""
        await workflow.wait_condition(lambda: self._memory.opened)
        clocks = [await self._clock(c) if isinstance(c, unbind.Extend) else None for c in batch.commands]
        while True:
            taken = tuple(self._take(command, clock) for command, clock in zip(batch.commands, clocks, strict=True))
            if await self._written():
                return BatchTaken(taken=taken)

    @workflow.signal
    async def withdraw(self) -> None:
        """From the parent, which has recorded the holder's wish and waits for the reply."""
        await workflow.wait_condition(lambda: self._memory.opened)
        while True:
            decision = unbind.decide(self.state, unbind.Withdraw(), workflow.now())
            withdrawn = () if isinstance(decision, Refusal) else decision
            self._happened(*withdrawn)
            if await self._written():
                break
        self._look = True
        apps = tuple(self.state.items[key].app for event in withdrawn for key in unbind.touched(event))
        await self._tell_parent("withdrawal", WithdrawalReply(case=self._order.case, withdrawn=len(apps), apps=apps))

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
                choices=order.choices,
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
        """Record the breach at once; the agenda is looked at again whatever the ledger says."""
        if overdue:
            self._happened(unbind.WentOverdue(at=workflow.now(), items=overdue))
            await self._written()

    async def _give(self, notice: Notice, items: Mapping[str, tuple[str, ...]]) -> None:
        """One round of delivery: what was told is in the ledger already, what failed is decided here."""
        given: NoticeGiven = await workflow.execute_activity(
            contracts.give_notice,
            GiveNotice(case=self._order.case, round=self._memory.step(notice.value), notice=notice, items=items),
            **DELIVERY,
        )
        for enterprise, at in given.told.items():
            self._happened(
                unbind.Noticed(at=at, notice=notice, enterprise=enterprise, items=items[enterprise]), written=True
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
        await self._written()

    def _escalate(self) -> None:
        """Tell the case desk about overdue items, beside everything else: nobody waits for a mail server."""
        items = unbind.to_escalate(self.state)
        if items and self._escalating is None:
            self._escalating = asyncio.create_task(self._escalated(items))

    async def _escalated(self, items: tuple[str, ...]) -> None:
        order = Escalate(case=self._order.case, step=self._memory.step("escalate"), items=items)
        try:
            self._happened(await workflow.execute_activity(contracts.escalate, order, **OUTSIDE), written=True)
        except ActivityError:
            workflow.logger.error("the case desk could not be told of overdue items for a week")
            return
        self._escalating = None
        self._look = True

    async def _report(self) -> None:
        """Tell the parent when nothing is waited for any more, and again when the last overdue answer came."""
        standing = self._standing()
        if not self._news(standing):
            return
        self._reports += 1
        self._reported, self._reasons = dict(standing.outcomes), dict(standing.reasons)
        await self._tell_parent("report", standing)

    def _news(self, standing: UnbindReport) -> bool:
        """Whether the parent has to hear how it stands."""
        if self._order.report_each:
            known = (_settled(self._reported), self._reasons)
            changed = (_settled(standing.outcomes), dict(standing.reasons)) != known
            return changed and self._reports < MOST_REPORTS_EACH * len(standing.outcomes)
        if self._waiting or dict(standing.outcomes) == self._reported:
            return False
        return not self._reports or not (self._open or self._reports >= MOST_REPORTS)

    async def _tell_parent(self, signal: str, message: UnbindReport | WithdrawalReply) -> None:
        try:
            await workflow.get_external_workflow_handle(self._order.parent).signal(signal, message)
        except FailureError:
            workflow.logger.error("the parent of this unbind request is gone; what it missed is in the ledger")

    async def _sleep_until(self, agenda: unbind.Agenda) -> None:
        """Until the earliest clock, or until an answer or a withdrawal makes a look worth while."""
        timeout = agenda.wake_at - workflow.now() if agenda.wake_at else None
        try:
            await workflow.wait_condition(self._something_to_do, timeout=timeout)
        except TimeoutError:
            return

    def _something_to_do(self) -> bool:
        return self._look or workflow.info().is_continue_as_new_suggested()

    async def _continue(self) -> None:
        """A fresh history with the same state, once every caller has its answer."""
        await workflow.wait_condition(workflow.all_handlers_finished)
        if self._escalating is not None:
            self._escalating.cancel()
        carried = Carried(
            state=self.state,
            count=self._memory.count,
            reports=self._reports,
            reported=self._reported,
            reasons=self._reasons,
        )
        workflow.continue_as_new(self._order.model_copy(update={"carried": carried}))

    async def _close(self) -> None:
        if self._escalating is not None:
            self._escalating.cancel()
        while self.state.header.status is unbind.UnbindStatus.OPEN:
            self._happened(unbind.Closed(at=workflow.now()))
            await self._written()
        if self._order.report_each:
            await self._tell_parent("report", self._standing().model_copy(update={"closed": True}))
        await workflow.wait_condition(workflow.all_handlers_finished)

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
            if self._order.report_each or isinstance(event, unbind.Paused | unbind.Resumed):
                self._look = True
        if not self._waiting and self._reports < MOST_REPORTS and (not self._reports or not self._open):
            self._look = True

    async def _written(self) -> bool:
        """See `Memory.write`; after a recall everything is looked at afresh."""
        if await self._memory.write():
            return True
        self._count()
        self._look = True
        return False

    def _count(self) -> None:
        items = self.state.items.values()
        self._waiting = sum(item.state in unbind.WAITING for item in items)
        self._open = sum(item.state in unbind.OPEN for item in items)

    def _standing(self) -> UnbindReport:
        outcomes = {item.app: item.state for item in self.state.items.values()}
        reasons = {item.app: item.reason for item in self.state.items.values() if item.reason}
        return UnbindReport(case=self._order.case, outcomes=outcomes, reasons=reasons)


def _settled(outcomes: Mapping[str, ItemState]) -> dict[str, ItemState]:
    """The apps nobody waits for any more."""
    return {app: state for app, state in outcomes.items() if state not in unbind.WAITING}
