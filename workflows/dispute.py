"""`DisputeWorkflow`: every claim of a citizen carried to its end, however many hands it goes through.

Ask all parties at once for the accounts → the citizen chooses → one unbind request per round of choices → done; or
refused or overdue, the hotline, a case worker, an investigation. Closed when every claim is over, and alive as long as
it may be reopened. What is due is the domain's to say; all that has to be done is done by the state alone, so that what
was recalled from the ledger after a crash is done as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ChildWorkflowError, FailureError

with workflow.unsafe.imports_passed_through():
    from activities.contracts import AskParties
    from domain import casework, dispute, question
    from domain.case import CaseKind, LinkKind
    from domain.dispute import ClaimState, State
    from domain.question import QuestionKind
    from domain.unbind import ItemState
    from workflows.case import Case
    from workflows.investigation import link
    from workflows.memory import Count
    from workflows.messages import (
        Act,
        Conclusion,
        DisputeCarried,
        DisputeOrder,
        Done,
        UnbindOrder,
        UnbindReport,
        WithdrawalReply,
    )
    from workflows.unbind import UnbindWorkflow


@workflow.defn
class DisputeWorkflow:
    """One dispute of one citizen."""

    @workflow.init
    def __init__(self, order: DisputeOrder) -> None:
        self._order = order
        carried = order.carried
        self._case: Case[State] = Case(
            CaseKind.DISPUTE,
            order.first.case,
            dispute.evolve,
            dispute.decide,
            carried.state if carried else dispute.evolve(None, order.first),
            carried.count if carried else Count(),
        )
        self._begun = carried.begun if carried else 0
        self._inherited = self._begun
        """Unbind requests of an earlier run: only they themselves can say when they are closed."""
        self._closed = dict.fromkeys(carried.closed) if carried else {}
        self._children: dict[str, asyncio.Task[None]] = {}
        self._told = carried.told if carried else 0
        self._concluded: datetime | None = carried.concluded if carried else None
        self._asking: asyncio.Task[None] | None = None
        self._passed_on: dict[str, bool] = {}
        """The unbind requests that were asked to withdraw, and whether they have replied."""

    # ── the story ────────────────────────────────────────────────────────────────────────────────────

    @workflow.run
    async def run(self, order: DisputeOrder) -> Done:
        """Do what the state says is to be done, then wait for the earliest clock or for somebody's word."""
        if order.carried is None:
            for other in self._state.work.links:
                await link(other, casework.Link(to=self._case.id, how=LinkKind.LED_TO))
        while True:
            await self._case.decide(dispute.Look())
            state = self._state
            if not await self._case.memory.write():
                continue  # nothing is done that is not in the ledger
            agenda = dispute.agenda(state, workflow.now())
            if agenda.over and len(self._closed) == len(state.rounds):
                break
            self._ask(agenda)
            self._tell(state)
            await self._begin(state)
            await self._conclude(state)
            if workflow.info().is_continue_as_new_suggested():
                await self._continue()
            await self._until_something_happens(state, agenda)
        await self._case.all_told()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return Done(status=self._case.status)

    # ── doors: the citizen ───────────────────────────────────────────────────────────────────────────

    @workflow.update
    async def choose(self, command: dispute.Choose) -> Done:
        """Unbind, cancel or keep, account by account."""
        return await self._case.take(command)

    @workflow.update
    async def unsolved(self, command: dispute.Unsolved) -> Done:
        """The hotline did not solve it."""
        return await self._case.take(command)

    @workflow.update
    async def take_up(self, command: dispute.TakeUp) -> Done:
        """Go on with a closed dispute."""
        return await self._case.take(command)

    @workflow.update
    async def withdraw(self, command: dispute.Withdraw) -> Done:
        """The citizen changes their mind; what an enterprise has acknowledged goes on."""
        done = await self._case.take(command)
        if done.refusal:
            return done
        parts = list(dict.fromkeys(c.part for c in self._state.claims_in(ClaimState.UNBINDING) if c.part))
        for part in parts:
            if part not in self._passed_on:
                self._passed_on[part] = False
                await self._pass_withdrawal_on(part)
        await workflow.wait_condition(lambda: all(self._passed_on[part] for part in parts))
        refusal = None if self._state.claims_in(ClaimState.WITHDRAWN) else dispute.too_late_to_withdraw()
        return Done(status=self._case.status, changed=done.changed and refusal is None, refusal=refusal)

    # ── doors: case workers, parties, other cases ────────────────────────────────────────────────────

    @workflow.update
    async def act(self, order: Act) -> Done:
        """Case work, the decision by two people included."""
        return await self._case.take(order.command, order.expected)

    @workflow.update
    async def settle(self, command: dispute.Settle) -> Done:
        """A case worker has solved a claim by telephone."""
        return await self._case.take(command)

    @workflow.update
    async def answer(self, command: question.Answering) -> Done:
        """A party's word on the accounts."""
        return await self._case.take(command)

    @workflow.signal
    async def report(self, report: UnbindReport) -> None:
        """From an unbind request: something was answered or is overdue, or it is closed."""
        await self._case.decide(dispute.Report(part=report.case, outcomes=report.outcomes, reasons=report.reasons))
        if report.closed and report.case in [one.part for one in self._state.rounds[: self._inherited]]:
            self._closed[report.case] = None

    @workflow.signal
    async def withdrawal(self, reply: WithdrawalReply) -> None:
        """From an unbind request: these of its work items were withdrawn."""
        outcomes = dict.fromkeys(reply.apps, ItemState.WITHDRAWN)
        await self._case.decide(dispute.Report(part=reply.case, outcomes=outcomes))
        self._passed_on[reply.case] = True

    @workflow.signal
    async def concluded(self, conclusion: Conclusion) -> None:
        """From an investigation that followed from this case: its result."""
        await self._case.decide(dispute.Conclude(investigation=conclusion.case, outcome=conclusion.outcome))

    @workflow.signal
    async def linked(self, other: casework.Link) -> None:
        """From another case: it belongs to this one."""
        await self._case.decide(other)

    # ── steps ────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _state(self) -> State:
        return self._case.state

    def _ask(self, agenda: dispute.Agenda) -> None:
        """One round of questions, beside everything else."""
        if agenda.ask and self._asking is None:
            self._asking = asyncio.create_task(self._asked(agenda.ask, agenda.ask_due_at))

    async def _asked(self, parties: Mapping[str, tuple[str, ...]], due_at: datetime) -> None:
        try:
            await self._case.ask(
                AskParties(
                    case=self._case.id,
                    kind=CaseKind.DISPUTE,
                    round=self._case.memory.step("ask"),
                    question=QuestionKind.DETAIL,
                    parties=parties,
                    due_at=due_at,
                    activated_at=self._state.identity.activated_at,
                )
            )
        finally:
            self._asking = None

    def _tell(self, state: State) -> None:
        """Whatever the citizen does not know yet, in order."""
        for owed in state.owed:
            if owed.number >= self._told:
                self._told = owed.number + 1
                self._case.tell(dispute.message(state, owed))

    async def _begin(self, state: State) -> None:
        """One unbind request per round of choices; it reports every answer when it comes."""
        for one in state.rounds[self._begun :]:
            child = await workflow.start_child_workflow(
                UnbindWorkflow.run,
                UnbindOrder(
                    case=one.part,
                    parent=state.case,
                    apps=tuple(one.choices),
                    boundary=state.identity.activated_at,
                    late_window=state.policy.late_window,
                    choices=one.choices,
                    report_each=True,
                ),
                id=one.part,
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            )
            self._begun += 1
            self._children[one.part] = asyncio.create_task(self._until_closed(one.part, child))

    async def _until_closed(self, part: str, child: workflow.ChildWorkflowHandle[Any, UnbindReport]) -> None:
        try:
            await child
        except ChildWorkflowError:
            workflow.logger.error("an unbind request of this dispute was ended by force")
        self._closed[part] = None

    async def _pass_withdrawal_on(self, part: str) -> None:
        """To the unbind request, once there is one: the citizen may be quicker than its start."""
        parts = [one.part for one in self._state.rounds]
        await workflow.wait_condition(lambda: part in parts[: self._begun])
        try:
            await workflow.get_external_workflow_handle_for(UnbindWorkflow.run, part).signal(UnbindWorkflow.withdraw)
        except FailureError:
            self._passed_on[part] = True  # it is closed: nothing in it can be withdrawn

    async def _conclude(self, state: State) -> None:
        """How it ended, to the case it was opened from; once per end."""
        if state.ended_at == self._concluded or state.opened_from is None:
            return
        self._concluded = state.ended_at
        if state.ended_at is None:
            return
        conclusion = Conclusion(case=state.case, outcome=dispute.ending(state).value)
        try:
            await workflow.get_external_workflow_handle(state.opened_from).signal("concluded", conclusion)
        except FailureError:
            workflow.logger.warning("the case this dispute was opened from has ended; how it went is in the ledger")

    async def _continue(self) -> None:
        """A fresh history with the same state, once everybody has an answer."""
        await self._case.all_told()
        await workflow.wait_condition(lambda: self._asking is None and workflow.all_handlers_finished())
        carried = DisputeCarried(
            state=self._state,
            count=self._case.memory.count,
            begun=self._begun,
            closed=tuple(self._closed),
            told=self._told,
            concluded=self._concluded,
        )
        workflow.continue_as_new(self._order.model_copy(update={"carried": carried}))

    async def _until_something_happens(self, seen: State, agenda: dispute.Agenda) -> None:
        """A closed dispute outlives its unbind requests: an enterprise may still take its word back."""
        timeout = agenda.wake_at - workflow.now() if agenda.wake_at and not agenda.over else None
        closed = len(self._closed)
        try:
            await workflow.wait_condition(
                lambda: (
                    self._state is not seen
                    or len(self._closed) != closed
                    or workflow.info().is_continue_as_new_suggested()
                ),
                timeout=timeout,
            )
        except TimeoutError:
            return
