"""Questions: an answer counts once, asking again forgets nothing, and the order in which rounds end does not matter."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import question
from domain.case import ActorKind
from domain.question import (
    ANSWERS,
    Account,
    Answer,
    Answered,
    Answering,
    Counts,
    Declined,
    DeclineReason,
    Detail,
    Evidence,
    Heard,
    OwnCheck,
    Question,
    QuestionKind,
    Questions,
)
from domain.refusal import Refusal, RefusalCode
from tests.strategies import HOUR, SECOND, T0

ID, OTHER = "A" + "0" * 20, "A" + "1" * 20
PAPER, PAPER_2 = "P000000000000", "P000000000001"
FITTING: dict[QuestionKind, list[Answer]] = {
    QuestionKind.COUNTS: [Counts(counts={"app-a": 1}), Counts(counts={"app-a": 2})],
    QuestionKind.DETAIL: [
        OwnCheck(link=PAPER),
        Detail(accounts={"app-a": (Account(ref="a1", own=True, label=PAPER),)}),
        Declined(reason=DeclineReason.NO_ACCOUNT),
    ],
    QuestionKind.EVIDENCE: [Evidence(statement=PAPER), Declined(reason=DeclineReason.LEGAL_HOLD)],
}
EVERY = [answer for answers in FITTING.values() for answer in answers]


def asked(
    kind: QuestionKind = QuestionKind.COUNTS,
    answer: Answer | None = None,
    failure: str = "",
    at: datetime = T0,
    key: str = ID,
) -> Question:
    """A question to party-a."""
    return Question(
        id=key,
        kind=kind,
        party="party-a",
        apps=("app-a", "app-b"),
        asked_at=at,
        due_at=T0 + HOUR,
        answer=answer,
        answered_at=at if answer else None,
        failure=failure,
    )


def heard(*questions: Question, at: datetime = T0) -> Heard:
    return Heard(at=at, round="ask-1", questions=questions)


def answering(answer: Answer, party: str = "party-a", key: str = ID) -> Answering:
    return Answering(question=key, party=party, answer=answer)


def refused(questions: Questions, command: Answering) -> Refusal:
    decision = question.decide(questions, command, T0)
    assert isinstance(decision, Refusal) and decision.sentence and decision.remedy
    return decision


@pytest.mark.parametrize("kind", QuestionKind)
@pytest.mark.parametrize("answer", EVERY, ids=lambda one: one.type)
def test_which_answers_fit_which_question(kind: QuestionKind, answer: Answer) -> None:
    questions = {ID: asked(kind)}
    if not isinstance(answer, ANSWERS[kind]):
        assert refused(questions, answering(answer)).code is RefusalCode.ANSWER_DOES_NOT_FIT
        return
    decision = question.decide(questions, answering(answer), T0 + SECOND)
    assert not isinstance(decision, Refusal)
    (event,) = decision
    assert isinstance(event, Answered)
    assert (event.actor.kind, event.actor.code, event.at) == (ActorKind.ENTERPRISE, "party-a", T0 + SECOND)
    after = question.evolve(questions, event)[ID]
    assert (after.answer, after.answered_at, after.asked_at) == (answer, T0 + SECOND, T0)
    assert after.open is isinstance(answer, OwnCheck), "an own check is only the way to an answer"


def test_unknown_and_foreign_are_refused_in_the_same_words() -> None:
    questions = {ID: asked()}
    foreign = refused(questions, answering(FITTING[QuestionKind.COUNTS][0], party="party-b"))
    unknown = refused({}, answering(FITTING[QuestionKind.COUNTS][0], party="party-b"))
    assert foreign == unknown and foreign.code is RefusalCode.UNKNOWN_QUESTION


@pytest.mark.parametrize("kind", QuestionKind)
def test_the_same_again_is_nothing_and_another_is_refused(kind: QuestionKind) -> None:
    *_, first, last = FITTING[kind]
    questions = {ID: asked(kind, last)}
    assert question.decide(questions, answering(last), T0) == ()
    assert refused(questions, answering(first)).code is RefusalCode.ALREADY_ANSWERED


def test_an_own_check_is_followed_by_the_detail() -> None:
    check, detail, declined = FITTING[QuestionKind.DETAIL]
    questions: Questions = {ID: asked(QuestionKind.DETAIL, check)}
    for answer in (OwnCheck(link=PAPER_2), detail, declined):
        assert isinstance(question.decide(questions, answering(answer), T0), tuple)
    assert question.decide(questions, answering(check), T0) == ()
    questions = question.evolve(questions, Answered(at=T0 + SECOND, question=ID, answer=detail))
    assert refused(questions, answering(check)).code is RefusalCode.ALREADY_ANSWERED


def test_asking_again_forgets_no_answer_and_no_first_time() -> None:
    one, two = FITTING[QuestionKind.COUNTS]
    questions = question.evolve({}, heard(asked(failure="http_503"), asked(key=OTHER)))
    assert set(questions) == {ID, OTHER} and questions[ID].failure
    questions = question.evolve(questions, Answered(at=T0 + SECOND, question=ID, answer=one))
    again = heard(asked(answer=two, at=T0 + HOUR), at=T0 + HOUR)
    assert question.evolve(questions, again) == questions, "who has answered is not heard anew"
    later = question.evolve(questions, heard(asked(key=OTHER, answer=two, at=T0 + HOUR), at=T0 + HOUR))
    assert later[OTHER].answer == two and later[OTHER].asked_at == T0
    assert question.evolve(questions, heard()) == questions


@given(st.lists(st.sampled_from(EVERY), max_size=8), st.sampled_from(QuestionKind), st.booleans())
def test_the_first_full_answer_stands_whoever_asks_again(
    said: list[Answer], kind: QuestionKind, asked_again: bool
) -> None:
    """Whatever a party says, and however often it is asked again: the first answer that closes the question stays."""
    questions: Questions = question.evolve({}, heard(asked(kind, failure="http_503")))
    full: Answer | None = None
    for n, answer in enumerate(said, 1):
        at = T0 + n * SECOND
        decision = question.decide(questions, answering(answer), at)
        if isinstance(decision, Refusal):
            assert full is not None or not isinstance(answer, ANSWERS[kind])
        else:
            for event in decision:
                assert isinstance(event, Answered)
                questions = question.evolve(questions, event)
                full = full or (None if isinstance(answer, OwnCheck) else answer)
        if asked_again:
            questions = question.evolve(questions, heard(asked(kind, failure="http_503", at=at), at=at))
            if full is None:
                assert questions[ID].open
        assert full is None or questions[ID].answer == full
        assert questions[ID].asked_at == T0
        assert (questions[ID].answer is None) == (questions[ID].answered_at is None)


def test_a_round_and_an_answer_may_end_in_either_order() -> None:
    """The ledger may have the round first and the workflow the answer: both hold the same answer."""
    one, two = FITTING[QuestionKind.COUNTS]
    before = question.evolve({}, heard(asked(failure="http_503")))
    late = Answered(at=T0 + timedelta(minutes=2), question=ID, answer=one)
    for again in (heard(asked(failure="http_500")), heard(asked(answer=two))):
        ledger = question.evolve(question.evolve(before, again), late)
        workflow = question.evolve(question.evolve(before, late), again)
        assert ledger[ID].answer == workflow[ID].answer == one
        assert ledger[ID].open == workflow[ID].open
