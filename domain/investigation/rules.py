"""What may happen to an investigation: each command gives events, nothing, or a refusal with its remedy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from domain import casework, question
from domain.case import SYSTEM, Actor, CaseId, PaperId, PartyCode
from domain.casework import Approved, DecisionKind, Propose, Reopened, WorkCommand
from domain.investigation.agenda import case_is_overdue, evidence_overdue
from domain.investigation.words import (
    MOST_PARTIES,
    UNDECIDED,
    Close,
    Closed,
    Command,
    Decided,
    Decision,
    EvidenceOverdue,
    InvestigationStatus,
    LookAtClock,
    Opened,
    Party,
    Result,
    State,
    TaskState,
    WentOverdue,
)
from domain.messages import Language
from domain.refusal import Refusal, RefusalCode
from domain.registry import InvestigationPolicy, Registry


def parties_of(wanted: Mapping[PartyCode, Sequence[str]], registry: Registry) -> tuple[Party, ...] | Refusal:
    """Who is to be asked, as the registry knows them: each party about apps of its own, all of them if none is named."""
    if not 0 < len(wanted) <= MOST_PARTIES:
        return Refusal(
            code=RefusalCode.NO_APPS if not wanted else RefusalCode.TOO_MANY_APPS,
            field="parties",
            sentence=f"The investigation names {len(wanted)} parties to ask.",
            remedy=f"Name at least one enterprise or carrier, at most {MOST_PARTIES}.",
        )
    parties = []
    for code, apps in wanted.items():
        try:
            owner = registry.enterprise(code)
        except KeyError:
            return _unknown(f"Nobody is registered as {code}.")
        theirs = {app.code for app in owner.apps}
        if foreign := sorted(set(apps) - theirs):
            return _unknown(f"{foreign[0]} is not an app of {code}.")
        about = tuple(app.code for app in owner.apps if not apps or app.code in apps)
        parties.append(Party(code=code, apps=about, retry_first=owner.retry_first, retry_at_most=owner.retry_at_most))
    return tuple(parties)


def opened(
    *,
    case: CaseId,
    opened_from: CaseId | None,
    masked_number: str,
    text: PaperId,
    text_for_parties: bool = False,
    parties: tuple[Party, ...],
    policy: InvestigationPolicy,
    at: datetime,
    language: Language = Language.ZH,
    actor: Actor = SYSTEM,
) -> Opened:
    """The first event: every clock is computed here, once."""
    return Opened(
        at=at,
        actor=actor,
        case=case,
        opened_from=opened_from,
        masked_number=masked_number,
        language=language,
        text=text,
        text_for_parties=text_for_parties,
        parties=parties,
        policy=policy,
        due_at=at + policy.answer_within,
        evidence_due_at=at + policy.evidence_within,
    )


def decide(state: State, command: Command, at: datetime) -> Decision:
    """Events that follow from a command, none if it changes nothing, or why it is refused."""
    match command:
        case question.Answering():
            return _answer(state, command, at)
        case LookAtClock():
            return _look_at_clock(state, at)
        case Close():
            return (Closed(at=at),) if state.status is InvestigationStatus.DECIDED else ()
        case _:
            return _work(state, command, at)


def _answer(state: State, command: question.Answering, at: datetime) -> Decision:
    """Evidence counts until the decision, however late."""
    decision = question.decide(state.questions, command, at)
    return _too_late() if state.status not in UNDECIDED and decision and isinstance(decision, tuple) else decision


def _look_at_clock(state: State, at: datetime) -> Decision:
    silent = evidence_overdue(state, at)
    return (
        *((EvidenceOverdue(at=at, parties=silent),) if silent else ()),
        *((WentOverdue(at=at),) if case_is_overdue(state, at) else ()),
    )


def _work(state: State, command: WorkCommand, at: datetime) -> Decision:
    """Case work as everywhere; a decision of two people is the result, a reopened case has its whole time again."""
    decision = casework.decide(state.work, state.case, command, at, state.decided_at or state.ended_at)
    if isinstance(decision, Refusal):
        return decision
    if isinstance(command, Propose):
        return _may_propose(state, command) or decision
    match decision:
        case (Approved() as approved,):
            return (approved, Decided(at=at, actor=approved.actor, result=Result(approved.about)))
        case (Reopened() as reopened,):
            return (reopened.model_copy(update={"due_at": at + state.policy.answer_within}),)
    return decision


def _may_propose(state: State, command: Propose) -> Refusal | None:
    """Why this cannot be stated, or not yet: the evidence comes first."""
    results = ", ".join(Result)
    missing = sorted(task.party for task in state.tasks.values() if task.state is TaskState.ASKED)
    for wrong, code, field, sentence, remedy in (
        (
            command.what is not DecisionKind.CONCLUDE,
            RefusalCode.MALFORMED,
            "decision",
            f"An investigation has a result; there is nothing to {command.what.value}.",
            f"Propose {DecisionKind.CONCLUDE.value}.",
        ),
        (
            command.about not in list(Result),
            RefusalCode.MALFORMED,
            "about",
            "This is no result of an investigation.",
            f"Results are: {results}.",
        ),
        (
            bool(missing),
            RefusalCode.NOT_YOUR_TURN,
            "",
            f"Evidence is still to come from {', '.join(missing)}.",
            "Wait for their answers or their deadlines, then decide.",
        ),
    ):
        if wrong:
            return Refusal(code=code, field=field, sentence=sentence, remedy=remedy)
    return None


def _unknown(sentence: str) -> Refusal:
    return Refusal(
        code=RefusalCode.UNKNOWN_APP,
        field="parties",
        sentence=sentence,
        remedy="Use enterprises and carriers with their own apps, as GET /v1/apps lists them.",
    )


def _too_late() -> Refusal:
    return Refusal(
        code=RefusalCode.CASE_CLOSED,
        field="question",
        sentence="The investigation is decided and takes no more evidence.",
        remedy="Call the case desk if the recorded result is wrong.",
    )
