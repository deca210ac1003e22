"""`RenewalWorkflow`: from the carrier's request to the holder's summary, and the late answers after it.

eligibility (asked again while the carrier does not know) → unbind requests as children → summary → late window.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities import contracts
    from activities.contracts import AskEligibility, RecordRenewal, Tell
    from domain import renewal
    from domain.case import Event, Model
    from domain.refusal import Refusal
    from domain.registry import RenewalPolicy
    from domain.renewal import ENDED, RenewalStatus
    from domain.unbind import ItemState
    from workflows.clockwork import OUTSIDE, OWN_DATABASE
    from workflows.memory import Memory
    from workflows.unbind import UnbindOrder, UnbindReport, UnbindWorkflow


class RenewalOrder(Model):
    """A renewal starts from its first event, which the gateway has recorded, and the policy of that day."""

    submitted: renewal.Submitted
    policy: RenewalPolicy


class WithdrawalTaken(Model):
    """Where the renewal stands after a withdrawal, or why it was refused."""

    status: RenewalStatus
    refusal: Refusal | None = None


@workflow.defn
class RenewalWorkflow:
    """One renewal of one second-hand number."""

    @workflow.init
    def __init__(self, order: RenewalOrder) -> None:
        self._order = order
        self._memory = Memory(renewal.evolve, self._write, renewal.evolve(None, order.submitted))
        self._reports: dict[str, dict[str, ItemState]] = {}
        self._children: list[asyncio.Task[UnbindReport]] = []

    # ── the story ────────────────────────────────────────────────────────────────────────────────────

    @workflow.run
    async def run(self, order: RenewalOrder) -> renewal.State:
        """Ask the carrier, ask the enterprises, tell the holder, wait for late answers, close."""
        await self._eligibility()
        if self._state.status not in ENDED:
            await self._ask_enterprises()
            await self._follow()
        else:
            await self._tell()
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
            self._children.append(asyncio.create_task(_result(child)))
        if self._state.withdrawal_asked_at:
            await self._pass_withdrawal_on()

    async def _follow(self) -> None:
        """Tell what the reports say whenever they say something new, until every part is closed."""
        while not all(child.done() for child in self._children):
            await workflow.wait_condition(lambda: self._has_news() or all(child.done() for child in self._children))
            await self._tell_news()
        for child in self._children:
            report = await child
            self._reports[report.case] = dict(report.outcomes)
        await self._tell_news()

    # ── doors ────────────────────────────────────────────────────────────────────────────────────────

    @workflow.signal
    def report(self, report: UnbindReport) -> None:
        """From an unbind request: nothing is waited for any more, or a late answer came."""
        self._reports[report.case] = dict(report.outcomes)

    @workflow.update
    async def withdraw(self) -> WithdrawalTaken:
        """The holder changes their mind; what an enterprise has acknowledged goes on."""
        asked_before = self._state.withdrawal_asked_at
        refusal = await self._decide(renewal.Withdraw())
        if refusal is None and not asked_before:
            await self._pass_withdrawal_on()
        return WithdrawalTaken(status=self._state.status, refusal=refusal)

    @property
    def _state(self) -> renewal.State:
        return self._memory.state

    # ── steps ────────────────────────────────────────────────────────────────────────────────────────

    async def _pass_withdrawal_on(self) -> None:
        started = self._state.parts[: len(self._children)]
        for part in started:
            await workflow.get_external_workflow_handle_for(UnbindWorkflow.run, part).signal(UnbindWorkflow.withdraw)

    def _merged(self) -> dict[str, ItemState]:
        return {app: state for report in self._reports.values() for app, state in report.items()}

    def _has_news(self) -> bool:
        return len(self._reports) == len(self._state.parts) and self._merged() != dict(self._state.outcomes)

    async def _tell_news(self) -> None:
        if self._has_news():
            await self._decide(renewal.Report(outcomes=self._merged()))
            await self._tell()

    async def _tell(self) -> None:
        """Holder and carrier, side by side: neither waits for the other."""
        tell = Tell(case=self._state.case, summary=self._state.summaries, state=self._state)
        await asyncio.gather(
            self._told("holder", tell, workflow.execute_activity(contracts.tell_holder, tell, **OUTSIDE)),
            self._told("carrier", tell, workflow.execute_activity(contracts.tell_carrier, tell, **OUTSIDE)),
        )
        await self._memory.write()

    async def _told(self, who: Any, tell: Tell, telling: Coroutine[Any, Any, Event]) -> None:
        """What the activity recorded is folded in; after a week of tries the case says nobody was told."""
        try:
            self._memory.happened(await telling, written=True)
        except ActivityError as error:
            code = getattr(error.cause, "type", None) or "unreachable"
            self._memory.happened(renewal.NotTold(at=workflow.now(), who=who, summary=tell.summary, code=code))

    # ── memory ───────────────────────────────────────────────────────────────────────────────────────

    async def _decide(self, command: renewal.Command) -> Refusal | None:
        decision = renewal.decide(self._state, command, workflow.now(), self._order.policy)
        if isinstance(decision, Refusal):
            return decision
        self._memory.happened(*decision)
        await self._memory.write()
        return None

    async def _write(self, step: str, events: tuple[Event, ...]) -> None:
        order = RecordRenewal(case=self._state.case, step=step, events=events)
        await workflow.execute_local_activity(contracts.record_renewal, order, **OWN_DATABASE)


async def _result(child: workflow.ChildWorkflowHandle[Any, UnbindReport]) -> UnbindReport:
    return await child
