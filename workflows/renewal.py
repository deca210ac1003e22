"""`RenewalWorkflow`: from the carrier's request to the holder's summary, and the late answers after it.

eligibility (asked again while the carrier does not know) → unbind requests as children → summary → late window.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Literal

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, ChildWorkflowError, FailureError

with workflow.unsafe.imports_passed_through():
    from activities import contracts
    from activities.contracts import AskEligibility, Tell
    from domain import renewal
    from domain.case import CaseKind, Event
    from domain.casework import Link
    from domain.refusal import Refusal
    from domain.renewal import ENDED, RenewalStatus
    from domain.unbind import ItemState
    from workflows.case import Case
    from workflows.clockwork import OUTSIDE
    from workflows.messages import (
        Act,
        Done,
        RenewalOrder,
        UnbindOrder,
        UnbindReport,
        WithdrawalReply,
        WithdrawalTaken,
    )
    from workflows.unbind import UnbindWorkflow

Who = Literal["holder", "carrier"]


@workflow.defn
class RenewalWorkflow:
    """One renewal of one second-hand number."""

    @workflow.init
    def __init__(self, order: RenewalOrder) -> None:
        self._order = order
        self._case: Case[renewal.State] = Case(
            CaseKind.RENEWAL,
            order.submitted.case,
            renewal.evolve,
            partial(renewal.decide, policy=order.policy),
            renewal.evolve(None, order.submitted),
        )
        self._memory = self._case.memory
        self._reports: dict[str, dict[str, ItemState]] = {}
        self._withdrawn: dict[str, int] = {}
        self._children: dict[str, asyncio.Task[None]] = {}
        self._telling: dict[Who, asyncio.Task[None]] = {}

    # ── the story ────────────────────────────────────────────────────────────────────────────────────

    @workflow.run
    async def run(self, order: RenewalOrder) -> renewal.State:
        """Ask the carrier, ask the enterprises, tell the holder, wait for late answers, close."""
        await self._eligibility()
        if self._state.status not in ENDED:
            await self._ask_enterprises()
            await self._follow()
        else:
            self._tell()
        await asyncio.gather(*self._telling.values())
        await self._decide(renewal.Close())
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._state

    async def _eligibility(self) -> None:
        """Until the carrier says yes or no; 'unknown' waits and asks again, it never means no."""
        while self._state.status in renewal.BEFORE_START:
            await self._decide(await self._ask_carrier())
            again = self._state.ask_again_at
            if again is None:
                return
            try:
                await workflow.wait_condition(lambda: self._state.status in ENDED, timeout=again - workflow.now())
            except TimeoutError:
                continue

    async def _ask_carrier(self) -> renewal.Hear:
        """The carrier's verdict; a carrier out of reach for a week does not know."""
        try:
            return await workflow.execute_activity(
                contracts.ask_eligibility, AskEligibility(case=self._state.case), **OUTSIDE
            )
        except ActivityError:
            return renewal.Hear(verdict=renewal.Verdict.UNKNOWN)

    async def _ask_enterprises(self) -> None:
        state = self._state
        parts = renewal.parts_of(state.case, state.apps)
        await self._decide(renewal.Start(parts=tuple(parts)))
        for part, apps in parts.items():
            child = await workflow.start_child_workflow(
                UnbindWorkflow.run,
                UnbindOrder(
                    case=part,
                    parent=state.case,
                    apps=apps,
                    boundary=state.activated_at,
                    late_window=self._order.policy.late_window,
                ),
                id=part,
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            )
            self._children[part] = asyncio.create_task(self._until_closed(part, child))
            if self._state.withdrawal_asked_at:
                await self._pass_withdrawal_on(part)

    async def _follow(self) -> None:
        """Tell what the reports say whenever they say something new, until every part is closed."""
        while not self._all_closed():
            await workflow.wait_condition(lambda: self._has_news() or self._all_closed())
            await self._tell_news()
        await self._tell_news()

    # ── doors ────────────────────────────────────────────────────────────────────────────────────────

    @workflow.signal
    def report(self, report: UnbindReport) -> None:
        """From an unbind request: nothing is waited for any more, or the last overdue answer came."""
        self._reports[report.case] = dict(report.outcomes)

    @workflow.signal
    def withdrawal(self, reply: WithdrawalReply) -> None:
        """From an unbind request: so many of its work items were withdrawn."""
        self._withdrawn.setdefault(reply.case, reply.withdrawn)

    @workflow.update
    async def act(self, order: Act) -> Done:
        """Case work; see `domain.casework`."""
        return await self._case.take(order.command, order.expected)

    @workflow.signal
    async def linked(self, link: Link) -> None:
        """Another case belongs to this one."""
        await self._case.decide(link)

    @workflow.update
    async def withdraw(self) -> WithdrawalTaken:
        """The holder changes their mind; what an enterprise has acknowledged goes on."""
        asked_before = self._state.withdrawal_asked_at
        refusal = await self._decide(renewal.Withdraw())
        if refusal is None and self._state.status in (RenewalStatus.RUNNING, RenewalStatus.SUMMARY_SENT):
            if not asked_before:
                for part in list(self._children):
                    await self._pass_withdrawal_on(part)
            await workflow.wait_condition(lambda: self._withdrawn.keys() >= set(self._state.parts))
            refusal = None if any(self._withdrawn.values()) else renewal.too_late_to_withdraw()
        return WithdrawalTaken(status=self._state.status, refusal=refusal)

    # ── steps ────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _state(self) -> renewal.State:
        return self._memory.state

    async def _until_closed(self, part: str, child: workflow.ChildWorkflowHandle[Any, UnbindReport]) -> None:
        """A part's last word; one that was ended by force leaves its last report standing."""
        try:
            self._reports[part] = dict((await child).outcomes)
        except ChildWorkflowError:
            workflow.logger.error("an unbind request of this renewal was ended by force")

    async def _pass_withdrawal_on(self, part: str) -> None:
        try:
            await workflow.get_external_workflow_handle_for(UnbindWorkflow.run, part).signal(UnbindWorkflow.withdraw)
        except FailureError:
            self._withdrawn.setdefault(part, 0)  # it is closed: nothing in it can be withdrawn

    def _all_closed(self) -> bool:
        return all(child.done() for child in self._children.values())

    def _merged(self) -> dict[str, ItemState]:
        return {app: state for report in self._reports.values() for app, state in report.items()}

    def _has_news(self) -> bool:
        return len(self._reports) == len(self._state.parts) and self._merged() != dict(self._state.outcomes)

    async def _tell_news(self) -> None:
        if self._has_news():
            await self._decide(renewal.Report(outcomes=self._merged()))
            self._tell()

    def _tell(self) -> None:
        """Holder and carrier, each in order and neither waiting for the other."""
        tell = Tell(case=self._state.case, summary=self._state.summaries, state=self._state)
        for who, contract in TELLING.items():
            before = self._telling.get(who)
            self._telling[who] = asyncio.create_task(self._told(who, contract, tell, before))

    async def _told(
        self,
        who: Who,
        contract: Callable[[Tell], Coroutine[Any, Any, Event]],
        tell: Tell,
        before: asyncio.Task[None] | None,
    ) -> None:
        """What the activity recorded is folded in; after a week of tries the case says nobody was told."""
        if before:
            await before
        try:
            self._memory.happened(await workflow.execute_activity(contract, tell, **OUTSIDE), written=True)
        except ActivityError as error:
            code = error.cause.type if isinstance(error.cause, ApplicationError) else None
            while True:
                not_told = renewal.NotTold(
                    at=workflow.now(), who=who, summary=tell.summary, code=code or "unreachable"
                )
                self._memory.happened(not_told)
                if await self._memory.write():
                    return

    async def _decide(self, command: renewal.Command) -> Refusal | None:
        decision = await self._case.decide(command)
        return decision if isinstance(decision, Refusal) else None


TELLING: dict[Who, Callable[[Tell], Coroutine[Any, Any, Any]]] = {
    "holder": contracts.tell_holder,
    "carrier": contracts.tell_carrier,
}
