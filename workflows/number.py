"""`NumberWorkflow`: one phone number for as long as it exists, one life after another.

What carriers report comes as updates; clocks make the batch unbinding begin and announcements go out again. The
workflow never ends: it is continued as new when its history has grown long.
"""

from __future__ import annotations

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import FailureError, WorkflowAlreadyStartedError

with workflow.unsafe.imports_passed_through():
    from activities import contracts
    from activities.contracts import Announce, LookAtBatch, PlanBatch
    from domain import number
    from domain.case import CaseKind
    from domain.casework import Link
    from domain.messages import Message
    from workflows.case import Case
    from workflows.clockwork import DELIVERY, OWN_DATABASE
    from workflows.memory import Count
    from workflows.messages import (
        Act,
        Done,
        NumberCarried,
        NumberOrder,
        UnbindOrder,
        UnbindReport,
        WithdrawalReply,
    )
    from workflows.unbind import UnbindWorkflow


@workflow.defn
class NumberWorkflow:
    """One number."""

    @workflow.init
    def __init__(self, order: NumberOrder) -> None:
        self._order = order
        carried = order.carried
        self._case: Case[number.State] = Case(
            CaseKind.NUMBER,
            order.first.case,
            number.evolve,
            number.decide,
            carried.state if carried else number.evolve(None, order.first),
            carried.count if carried else Count(),
        )
        self._started: set[str] = set(carried.started) if carried else set()
        self._begun = carried is not None
        self._reminded = self.state.told
        self._look = False

    # ── the story ────────────────────────────────────────────────────────────────────────────────────

    @workflow.run
    async def run(self, order: NumberOrder) -> None:
        """Do what is due, sleep until something is, for ever."""
        if not self._begun:
            await self._case.decide(number.Consider())
            self._begun = True
        while True:
            self._look = False
            agenda = number.agenda(self.state, workflow.now())
            await self._do(agenda)
            self._remind()
            if agenda.busy or self._look:
                continue
            if workflow.info().is_continue_as_new_suggested() and not self.state.reminders:
                await self._continue()
            await self._sleep_until(agenda)

    async def _do(self, agenda: number.Agenda) -> None:
        """Everything that is due; each step is decided in the ledger before the next."""
        if agenda.batch:
            plan = await workflow.execute_local_activity(
                contracts.plan_batch, PlanBatch(case=self._case.id), **OWN_DATABASE
            )
            await self._case.decide(number.StartBatch(apps=plan.apps))
        await self._start_parts()
        for part in agenda.withdraw:
            await self._withdraw(part)
        if agenda.withdraw:
            await self._case.decide(number.Withdrew(parts=agenda.withdraw))
        if agenda.announce:
            await self._announce()
        if agenda.give_up:
            await self._case.decide(number.GiveUp())

    # ── doors: updates from the gateway, signals from unbind requests and other cases ────────────────

    @workflow.update
    async def happened(self, report: number.Report) -> Done:
        """A carrier reports a fact."""
        return await self._take(report)

    @workflow.update
    async def release(self, wish: number.Release) -> Done:
        """The carrier asks whether the number may be re-issued; answers that came a moment ago count."""
        await self._look_at_batch()
        return await self._take(wish)

    @workflow.update
    async def override(self, wish: number.Override) -> Done:
        """A supervisor lets the next release pass."""
        return await self._take(wish)

    @workflow.update
    async def act(self, order: Act) -> Done:
        """Case work."""
        return await self._take(order.command, order.expected)

    @workflow.signal
    async def report(self, report: UnbindReport) -> None:
        """From an unbind request: nothing is waited for any more, or the last overdue answer came."""
        await self._take(number.Hear(outcomes={report.case: report.outcomes}))

    @workflow.signal
    def withdrawal(self, reply: WithdrawalReply) -> None:
        """From an unbind request of a mistaken cancellation: what could be withdrawn was; nobody waits for it."""

    @workflow.signal
    async def linked(self, other: Link) -> None:
        """From another case: it belongs to this one."""
        await self._take(other)

    # ── steps ────────────────────────────────────────────────────────────────────────────────────────

    @property
    def state(self) -> number.State:
        """The number as of the last event."""
        return self._case.state

    async def _take(self, command: number.Command, expected: int | None = None) -> Done:
        """Decide, after what follows from the first fact, and have a look at what is due then."""
        await workflow.wait_condition(lambda: self._begun)
        done = await self._case.take(command, expected)
        self._look = True
        return done

    async def _look_at_batch(self) -> None:
        """An unbind request tells of late answers when the last one came; here every one counts at once."""
        parts = tuple(self.state.life.parts)
        if parts:
            order = LookAtBatch(parts=parts)
            found = await workflow.execute_local_activity(contracts.look_at_batch, order, **OWN_DATABASE)
            await self._case.decide(number.Hear(outcomes=found.outcomes))

    async def _start_parts(self) -> None:
        """Every unbind request of this life that is not under way yet."""
        life = self.state.life
        for part, apps in life.parts.items():
            if part in self._started or life.cancelled_at is None:
                continue
            self._started.add(part)
            try:
                await workflow.start_child_workflow(
                    UnbindWorkflow.run,
                    UnbindOrder(
                        case=part,
                        parent=self._case.id,
                        apps=apps,
                        boundary=life.cancelled_at,
                        late_window=self.state.policy.late_window,
                    ),
                    id=part,
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                )
            except WorkflowAlreadyStartedError:
                workflow.logger.info("this unbind request is under way already")

    async def _withdraw(self, part: str) -> None:
        try:
            await workflow.get_external_workflow_handle_for(UnbindWorkflow.run, part).signal(UnbindWorkflow.withdraw)
        except FailureError:
            workflow.logger.info("this unbind request is closed: nothing in it can be withdrawn")

    async def _announce(self) -> None:
        """One round of telling enterprises; what came of it is in the ledger when this returns."""
        announcement = self.state.announcement
        if announcement is None:
            return
        order = Announce(
            case=self._case.id,
            round=self._case.memory.step("announce"),
            announcement=announcement.number,
            notice=announcement.notice,
            cancelled_at=announcement.cancelled_at,
            to=announcement.waiting,
        )
        announced = await workflow.execute_activity(contracts.announce_number, order, **DELIVERY)
        self._case.memory.happened(announced, written=True)

    def _remind(self) -> None:
        """Each reminder once, in the order in which they fell due."""
        state = self.state
        for message in state.reminders[max(0, self._reminded - state.told) :]:
            self._case.tell(Message(key=message, case=state.case, number=state.masked_number))
            self._reminded += 1

    async def _sleep_until(self, agenda: number.Agenda) -> None:
        """Until the earliest clock, or until somebody has said something."""
        timeout = agenda.wake_at - workflow.now() if agenda.wake_at else None
        try:
            await workflow.wait_condition(self._something_to_do, timeout=timeout)
        except TimeoutError:
            return

    def _something_to_do(self) -> bool:
        return self._look or (workflow.info().is_continue_as_new_suggested() and not self.state.reminders)

    async def _continue(self) -> None:
        """A fresh history with the same state, once every caller has its answer and everything is told."""
        await self._case.all_told()
        await workflow.wait_condition(workflow.all_handlers_finished)
        started = tuple(sorted(self._started & self.state.life.parts.keys()))
        carried = NumberCarried(state=self.state, count=self._case.memory.count, started=started)
        workflow.continue_as_new(self._order.model_copy(update={"carried": carried}))
