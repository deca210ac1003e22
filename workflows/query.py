"""`QueryWorkflow`: from the citizen's question to the result, and the late answers after it.

Everybody is asked at once → those that could not be reached again → the result, when all have answered or at 48 hours
→ at most one supplement → closed. When what is due is the domain's to say (`query.agenda`); this waits and does it.
"""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.contracts import AskParties
    from domain import casework, query, question
    from domain.case import CaseKind, LinkKind
    from domain.query import QueryStatus
    from domain.question import QuestionKind
    from workflows.case import Case
    from workflows.messages import Act, Conclusion, Done, QueryOrder


@workflow.defn
class QueryWorkflow:
    """One query for the accounts of a number, or the cards under an ID."""

    @workflow.init
    def __init__(self, order: QueryOrder) -> None:
        first = order.first
        self._case: Case[query.State] = Case(
            CaseKind.QUERY, first.case, query.evolve, query.decide, query.evolve(None, first)
        )
        self._told = 0

    # ── the story ────────────────────────────────────────────────────────────────────────────────────

    @workflow.run
    async def run(self, order: QueryOrder) -> Done:
        """Ask, report, tell, take late answers, close."""
        while not self._over():
            self._tell_news()
            agenda = query.agenda(self._state, workflow.now())
            if agenda.ask:
                await self._ask(agenda.ask)
            elif agenda.command:
                await self._case.decide(agenda.command)
            else:
                await self._sleep(agenda)
        await self._case.all_told()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return Done(status=self._case.status)

    # ── doors ────────────────────────────────────────────────────────────────────────────────────────

    @workflow.update
    async def answer(self, command: question.Answering) -> Done:
        """A party answers, through its door."""
        return await self._case.take(command)

    @workflow.update
    async def act(self, order: Act) -> Done:
        """Case work."""
        return await self._case.take(order.command, order.expected)

    @workflow.signal
    async def linked(self, link: casework.Link) -> None:
        """Another case belongs to this one."""
        await self._case.decide(link)

    @workflow.signal
    async def concluded(self, conclusion: Conclusion) -> None:
        """A case that was opened from this one has ended: remember that it belongs here."""
        await self._case.decide(casework.Link(to=conclusion.case, how=LinkKind.LED_TO))

    # ── steps ────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _state(self) -> query.State:
        return self._case.state

    def _over(self) -> bool:
        return self._state.status is QueryStatus.CLOSED

    async def _ask(self, parties: tuple[str, ...]) -> None:
        state = self._state
        await self._case.ask(
            AskParties(
                case=state.case,
                kind=CaseKind.QUERY,
                round=self._case.memory.step("ask"),
                question=QuestionKind.COUNTS,
                parties={party: state.parties[party] for party in parties},
                due_at=state.deadline_at,
                activated_at=state.identity.activated_at,
            )
        )

    def _tell_news(self) -> None:
        """By the state alone: what was recalled from the ledger after a crash has to be told as well."""
        for message in query.messages(self._state)[self._told :]:
            self._case.tell(message)
            self._told += 1

    async def _sleep(self, agenda: query.Agenda) -> None:
        """Until the earliest clock, or until something happened that changes what is due."""
        timeout = agenda.wake_at - workflow.now() if agenda.wake_at else None
        try:
            await workflow.wait_condition(
                lambda: self._over() or query.agenda(self._state, workflow.now()) != agenda, timeout=timeout
            )
        except TimeoutError:
            return
