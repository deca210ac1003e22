"""`InvestigationWorkflow`: evidence from several parties by a deadline, a result stated by two people, fifteen days.

ask every party (those out of reach again and again) → evidence or silence → decision → the citizen and the case it
was opened from are told → closed, and alive as long as it may be reopened.
"""

from __future__ import annotations

from collections.abc import Mapping

from temporalio import workflow
from temporalio.exceptions import FailureError

with workflow.unsafe.imports_passed_through():
    from activities import contracts
    from activities.contracts import AskParties, Record
    from domain import investigation
    from domain.case import CaseKind, Linked, LinkKind, kind_of
    from domain.casework import Link
    from domain.investigation import InvestigationStatus, State
    from domain.messages import Message
    from domain.question import Answering, QuestionKind
    from workflows.case import Case
    from workflows.clockwork import OWN_DATABASE
    from workflows.messages import Act, Conclusion, Done, InvestigationOrder

REPORTED_TO = frozenset({CaseKind.DISPUTE, CaseKind.COMPLAINT})
"""The kinds that wait for the result of an investigation opened from them."""

NO_LINKS = frozenset({CaseKind.UNBIND, CaseKind.IDENTITY})
"""The kinds that are not told of cases that follow from them: they have no case work."""


@workflow.defn
class InvestigationWorkflow:
    """One investigation."""

    @workflow.init
    def __init__(self, order: InvestigationOrder) -> None:
        first = order.first
        self._case: Case[State] = Case(
            CaseKind.INVESTIGATION,
            first.case,
            investigation.evolve,
            investigation.decide,
            investigation.evolve(None, first),
        )
        self._told = 0
        self._merger_reported = False

    # ── the story ────────────────────────────────────────────────────────────────────────────────────

    @workflow.run
    async def run(self, order: InvestigationOrder) -> State:
        """Tell where it came from, ask, wait, tell the result, and wait until it can no longer be reopened."""
        if order.first.opened_from is not None:
            await link(order.first.opened_from, Link(to=order.first.case, how=LinkKind.LED_TO))
        while True:
            if not await self._case.memory.write():
                continue
            state = self._state
            agenda = investigation.agenda(state, workflow.now())
            if agenda.over:
                break
            self._tell_news()
            if agenda.look_at_clock:
                await self._case.decide(investigation.LookAtClock())
            elif agenda.ask:
                await self._ask(agenda.ask)
            elif state.status is InvestigationStatus.DECIDED:
                await self._conclude(state)
            else:
                await self._report_merger(state)
                await self._until_something_happens(state, agenda)
        await self._case.all_told()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._state

    # ── doors ────────────────────────────────────────────────────────────────────────────────────────

    @workflow.update
    async def act(self, order: Act) -> Done:
        """Case work, the decision by two people included."""
        return await self._case.take(order.command, order.expected)

    @workflow.update
    async def answer(self, command: Answering) -> Done:
        """A party's evidence."""
        return await self._case.take(command)

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

    async def _ask(self, parties: Mapping[str, tuple[str, ...]]) -> None:
        """One round; who could not be reached is asked again after a while."""
        await self._case.ask(
            AskParties(
                case=self._case.id,
                kind=CaseKind.INVESTIGATION,
                round=self._case.memory.step("ask"),
                question=QuestionKind.EVIDENCE,
                parties=parties,
                due_at=self._state.evidence_due_at,
                text=self._state.text if self._state.text_for_parties else None,
            )
        )

    async def _conclude(self, state: State) -> None:
        """The result to whoever waits for it. Closed once the citizen is told, whose number is needed for that."""
        assert state.result is not None
        await self._report(state, state.result.value)
        await self._case.all_told()
        if self._state.decided_at == state.decided_at:
            await self._case.decide(investigation.Close())

    async def _report_merger(self, state: State) -> None:
        """The case it was opened from must not wait for ever for a result that is stated elsewhere."""
        merged = state.work.merged_into is not None
        if merged and not self._merger_reported:
            await self._report(state, investigation.MERGED)
        self._merger_reported = merged

    async def _report(self, state: State, outcome: str) -> None:
        origin = state.opened_from
        if origin is None or kind_of(origin) not in REPORTED_TO:
            return
        try:
            await workflow.get_external_workflow_handle(origin).signal(
                "concluded", Conclusion(case=state.case, outcome=outcome)
            )
        except FailureError:
            workflow.logger.warning(
                "the case this investigation was opened from has ended; the result is in the ledger"
            )

    async def _until_something_happens(self, seen: State, agenda: investigation.Agenda) -> None:
        timeout = agenda.wake_at - workflow.now() if agenda.wake_at else None
        try:
            await workflow.wait_condition(lambda: self._state is not seen, timeout=timeout)
        except TimeoutError:
            return


async def link(case: str, how: Link) -> None:
    """Let another case know that one belongs to it: by its workflow, or in the ledger once that has ended."""
    kind = kind_of(case)
    if kind in NO_LINKS:
        return
    try:
        await workflow.get_external_workflow_handle(case).signal("linked", how)
    except FailureError:
        linked = Linked(at=workflow.now(), to=how.to, how=how.how).model_dump_json(exclude_none=True)
        order = Record(case=case, kind=kind, step=f"linked-{how.to}", events=(linked,))
        await workflow.execute_local_activity(contracts.record, order, **OWN_DATABASE)
