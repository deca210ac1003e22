"""`ComplaintWorkflow`: a complaint goes on as a dispute or an investigation, and is closed by what comes of that.

taken → the follow-up opened and started → its conclusion → closed, and alive as long as it may be reopened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain import complaint, dispute, investigation
    from domain.case import CaseKind, Event, LinkKind
    from domain.casework import Link
    from domain.complaint import State, Way
    from domain.messages import Message
    from workflows.case import Case
    from workflows.dispute import DisputeWorkflow
    from workflows.investigation import InvestigationWorkflow, link
    from workflows.messages import Act, ComplaintOrder, Conclusion, DisputeOrder, Done, InvestigationOrder

FOLLOW_UPS: Mapping[Way, tuple[Any, Callable[[str], Any]]] = {
    Way.DISPUTE: (
        DisputeWorkflow.run,
        lambda first: DisputeOrder(first=dispute.Opened.model_validate_json(first)),
    ),
    Way.INVESTIGATION: (
        InvestigationWorkflow.run,
        lambda first: InvestigationOrder(first=investigation.Opened.model_validate_json(first)),
    ),
}
"""What a follow-up runs as, and its order from its first event as it was recorded."""


@workflow.defn
class ComplaintWorkflow:
    """One complaint of one citizen."""

    @workflow.init
    def __init__(self, order: ComplaintOrder) -> None:
        first = order.first
        self._case: Case[State] = Case(
            CaseKind.COMPLAINT, first.case, complaint.evolve, complaint.decide, complaint.evolve(None, first)
        )
        self._told = 0
        self._concluded: list[Conclusion] = []

    # ── the story ────────────────────────────────────────────────────────────────────────────────────

    @workflow.run
    async def run(self, order: ComplaintOrder) -> State:
        """Tell what it is about, send it on, hear what came of it, and wait until it can no longer be reopened."""
        if order.first.about is not None:
            await link(order.first.about, Link(to=order.first.case, how=LinkKind.LED_TO))
        while True:
            if not await self._case.memory.write():
                continue
            state = self._state
            agenda = complaint.agenda(state, workflow.now())
            if agenda.over:
                break
            self._tell_news()
            if agenda.follow_up is not None:
                await self._follow_up(state, agenda.follow_up)
            elif self._concluded:
                one = self._concluded.pop(0)
                await self._case.decide(complaint.Conclude(by=one.case, outcome=one.outcome))
            else:
                await self._until_something_happens(state, agenda)
        await self._case.all_told()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._state

    # ── doors ────────────────────────────────────────────────────────────────────────────────────────

    @workflow.update
    async def act(self, order: Act) -> Done:
        """Case work, the refusal by two people included."""
        return await self._case.take(order.command, order.expected)

    @workflow.update
    async def route(self, command: complaint.Route) -> Done:
        """A case worker sends it another way."""
        return await self._case.take(command)

    @workflow.signal
    def concluded(self, conclusion: Conclusion) -> None:
        """From a follow-up: it has ended. Taken up when the follow-up is known here, which may be a moment later."""
        self._concluded.append(conclusion)

    @workflow.signal
    async def linked(self, other: Link) -> None:
        """From another case: it belongs to this one."""
        await self._case.decide(other)

    # ── steps ────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _state(self) -> State:
        return self._case.state

    def _tell_news(self) -> None:
        """Whatever the citizen does not know yet."""
        for news in self._state.news[self._told :]:
            self._case.tell(
                Message(
                    key=news.key,
                    case=self._case.id,
                    number=self._state.masked_number,
                    words=news.words,
                    language=self._state.language,
                )
            )
        self._told = len(self._state.news)

    async def _follow_up(self, state: State, way: Way) -> None:
        """Open it, start it, remember it. Its reference follows from its place here: a second try opens the same."""
        run, order = FOLLOW_UPS[way]
        first: Event = complaint.follow_up(state, way, workflow.now())
        opened = await self._case.follow_up(way.kind, f"follow-up-{len(state.follow_ups) + 1}", first)
        await workflow.start_child_workflow(
            run,
            order(opened.first),
            id=opened.case,
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
        )
        await self._case.decide(complaint.Follow(to=opened.case, way=way))

    async def _until_something_happens(self, seen: State, agenda: complaint.Agenda) -> None:
        timeout = agenda.wake_at - workflow.now() if agenda.wake_at else None
        try:
            await workflow.wait_condition(lambda: self._state is not seen or bool(self._concluded), timeout=timeout)
        except TimeoutError:
            return
