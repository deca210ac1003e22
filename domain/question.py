"""Questions to parties (enterprises and carriers): how many accounts, which accounts, what evidence.

A question goes out in bulk; a party answers at once, later through its door, or never. What a party says about a
person (a masked account, a link to its own check, a statement) is put away as a *paper* before it becomes an answer
here: events carry paper ids, never words.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from domain.case import Actor, ActorKind, AppCode, Event, Model, PaperId, PartyCode, QuestionId
from domain.refusal import Refusal, RefusalCode


class QuestionKind(StrEnum):
    """What a party is asked."""

    COUNTS = "counts"
    """How many accounts (or cards) per app."""
    DETAIL = "detail"
    """Which accounts, masked, for the citizen's eyes only."""
    EVIDENCE = "evidence"
    """What the party's books say; for an investigation."""


AccountRef = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,40}$")]
"""An enterprise's own opaque handle of an account; never a name or a number."""


class Account(Model):
    """One account a party found. `own` is false for one bound before the citizen's contract began, or of unknown age:
    such an account is never shown and can only be unbound (domain.md, 'no takeover')."""

    ref: AccountRef
    own: bool
    label: PaperId | None = None


class DeclineReason(StrEnum):
    """Why a party gives no detail or evidence."""

    IDENTITY_NOT_ACCEPTED = "identity_not_accepted"
    NO_ACCOUNT = "no_account"
    LEGAL_HOLD = "legal_hold"
    UNDER_INVESTIGATION = "under_investigation"
    OUT_OF_SCOPE = "out_of_scope"


class Counts(Model):
    """So many accounts per app; an app that is not named has no answer, which is never zero."""

    type: Literal["counts"] = "counts"
    counts: Mapping[AppCode, Annotated[int, Field(ge=0, le=10_000)]]


class OwnCheck(Model):
    """The party wants the citizen to pass its own identity check first; the link is a paper."""

    type: Literal["own_check"] = "own_check"
    link: PaperId


class Detail(Model):
    """The accounts, per app."""

    type: Literal["detail"] = "detail"
    accounts: Mapping[AppCode, tuple[Account, ...]]


class Evidence(Model):
    """A statement, and attachments by reference."""

    type: Literal["evidence"] = "evidence"
    statement: PaperId
    attachments: tuple[PaperId, ...] = ()


class Declined(Model):
    """No, for a reason."""

    type: Literal["declined"] = "declined"
    reason: DeclineReason


Answer = Annotated[Counts | OwnCheck | Detail | Evidence | Declined, Field(discriminator="type")]

ANSWERS: Mapping[QuestionKind, tuple[type[Model], ...]] = {
    QuestionKind.COUNTS: (Counts,),
    QuestionKind.DETAIL: (OwnCheck, Detail, Declined),
    QuestionKind.EVIDENCE: (Evidence, Declined),
}
"""Which answers fit which question."""


class Question(Model):
    """One party's question as the case knows it. `answer` stays None while nothing came; a failure is no answer."""

    id: QuestionId
    kind: QuestionKind
    party: PartyCode
    apps: tuple[AppCode, ...]
    text: PaperId | None = None
    """What is asked in words; for evidence."""
    asked_at: AwareDatetime
    due_at: AwareDatetime
    answer: Answer | None = None
    answered_at: AwareDatetime | None = None
    failure: str = ""

    @property
    def open(self) -> bool:
        """Whether an answer is still wanted; a party's own check is only the way to one."""
        return self.answer is None or isinstance(self.answer, OwnCheck)


class QuestionsPut(Event):
    """These parties are about to be asked: from here on they find the question in their list, and may answer it."""

    type: Literal["questions_put"] = "questions_put"
    round: str
    questions: tuple[Question, ...]


class Heard(Event):
    """One round of asking: who answered at once, who has not, and who could not be reached (still to answer)."""

    type: Literal["heard"] = "heard"
    round: str
    questions: tuple[Question, ...]


class Answered(Event):
    """A party answered later, through its door. Its own word for the answer's time is not asked for."""

    type: Literal["party_answered"] = "party_answered"
    question: QuestionId
    answer: Answer


class Answering(Model):
    """Command: a party answers its question."""

    type: Literal["answering"] = "answering"
    question: QuestionId
    party: PartyCode
    answer: Answer


Questions = Mapping[QuestionId, Question]


def evolve(questions: Questions, event: QuestionsPut | Heard | Answered) -> Questions:
    """The questions after an event. Asking again never forgets an answer."""
    if isinstance(event, Answered):
        one = questions[event.question]
        return {**questions, one.id: one.model_copy(update={"answer": event.answer, "answered_at": event.at})}
    fresh = {q.id: q for q in event.questions if q.id not in questions or questions[q.id].open}
    kept = {i: q.model_copy(update={"asked_at": questions[i].asked_at}) for i, q in fresh.items() if i in questions}
    return {**questions, **fresh, **kept}


def decide(questions: Questions, command: Answering, at: AwareDatetime) -> tuple[Event, ...] | Refusal:
    """Take a party's answer: the same one again changes nothing, another one is refused."""
    known = questions.get(command.question)
    if known is None or known.party != command.party:
        return refuse_unknown(command.question)
    if known.answer == command.answer:
        return ()
    if not known.open:
        return Refusal(
            code=RefusalCode.ALREADY_ANSWERED,
            field="question",
            sentence="This question is answered.",
            remedy="Call the case desk if the recorded answer is wrong.",
        )
    if not isinstance(command.answer, ANSWERS[known.kind]):
        return Refusal(
            code=RefusalCode.ANSWER_DOES_NOT_FIT,
            field="answer",
            sentence=f"This answer does not fit a question for {known.kind.value}.",
            remedy="See docs/enterprise-protocol.md for what each kind of question takes.",
        )
    actor = Actor(kind=ActorKind.ENTERPRISE, code=command.party)
    return (Answered(at=at, actor=actor, question=known.id, answer=command.answer),)


def refuse_unknown(question: str) -> Refusal:
    """The same words whether the question does not exist or is another party's."""
    return Refusal(
        code=RefusalCode.UNKNOWN_QUESTION,
        field="question",
        sentence=f"There is no question {question[:40]} to you.",
        remedy="List your open questions with GET /v1/questions.",
    )
