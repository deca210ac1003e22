"""Investigations: who is asked when, whose evidence counts, two people for the result, fifteen days, any sequence."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import casework, investigation, registry
from domain.case import CaseKind, Event, NotTold, Told, fold
from domain.casework import REOPEN_WITHIN, Approve, Claim, DecisionKind, Extend, Merge, Pause, Propose, Reopen, Resume
from domain.casework import Waiting as W
from domain.investigation import (
    RESULT_WORDS,
    TASK_TRANSITIONS,
    TRANSITIONS,
    Close,
    Command,
    InvestigationStatus,
    LookAtClock,
    Opened,
    Party,
    Result,
    State,
    TaskState,
)
from domain.messages import Language, Message, MessageKey, render
from domain.question import (
    Answer,
    Answering,
    Counts,
    Declined,
    DeclineReason,
    Evidence,
    Heard,
    Question,
    QuestionKind,
)
from domain.refusal import Refusal, RefusalCode
from domain.registry import InvestigationPolicy
from store.projection import PROJECTIONS
from tests.domain.test_casework import CHEN, LIN, PAPER, WU, work_commands
from tests.strategies import DAY, HOUR, SECOND, T0, pauses

CASE, OTHER, ORIGIN = "X0123456789AB", "X0123456789AC", "D0123456789AB"
EVENTS = PROJECTIONS[CaseKind.INVESTIGATION].events
FIRST, MOST = timedelta(seconds=30), HOUR
DUE, EVIDENCE_DUE = T0 + 15 * DAY, T0 + 7 * DAY
PARTIES = ("tencent", "china-mobile")
STATEMENT = Evidence(statement=PAPER)
NO = Declined(reason=DeclineReason.LEGAL_HOLD)


def asked_as(party: str) -> str:
    """The id of a party's question."""
    return f"A{PARTIES.index(party):020d}"


def first(language: Language = Language.ZH, opened_from: str | None = ORIGIN) -> Opened:
    parties = tuple(
        Party(code=code, apps=(f"{code}-app",), retry_first=FIRST, retry_at_most=MOST) for code in PARTIES
    )
    return investigation.opened(
        case=CASE,
        opened_from=opened_from,
        masked_number="138****8000",
        text=PAPER,
        parties=parties,
        policy=InvestigationPolicy(),
        at=T0,
        language=language,
    )


def heard(at: timedelta = HOUR, **replies: Answer | str | None) -> Heard:
    """A round: per party (with _ for -) what it said at once, why it could not be reached, or None."""
    questions = []
    for name, reply in replies.items():
        party = name.replace("_", "-")
        failed = isinstance(reply, str)
        questions.append(
            Question(
                id=asked_as(party),
                kind=QuestionKind.EVIDENCE,
                party=party,
                apps=(f"{party}-app",),
                asked_at=T0 + at,
                due_at=EVIDENCE_DUE,
                answer=None if failed else reply,
                answered_at=None if failed or reply is None else T0 + at,
                failure=reply if failed else "",
            )
        )
    return Heard(at=T0 + at, round=f"ask-{at}", questions=tuple(questions))


class Investigation:
    """One investigation driven by hand."""

    def __init__(self, **how: object) -> None:
        self.events: list[Event] = [first(**how)]  # type: ignore[arg-type]
        self.state: State = investigation.evolve(None, self.events[0])

    def fold(self, *events: Event) -> Investigation:
        for event in events:
            self.state = investigation.evolve(self.state, event)
            self.events.append(event)
        return self

    def do(self, command: Command, at: timedelta = HOUR) -> list[str]:
        """A command that is taken; the types of its events."""
        decision = investigation.decide(self.state, command, T0 + at)
        assert not isinstance(decision, Refusal), decision
        self.fold(*decision)
        return [event.type for event in decision]

    def refused(self, command: Command, at: timedelta = HOUR) -> Refusal:
        """A command that is not."""
        decision = investigation.decide(self.state, command, T0 + at)
        assert isinstance(decision, Refusal), decision
        assert decision.sentence and decision.remedy
        return decision

    def answers(self, party: str, answer: Answer = STATEMENT) -> Answering:
        return Answering(question=asked_as(party), party=party, answer=answer)

    def tasks(self) -> dict[str, str]:
        return {party: task.state.value for party, task in self.state.tasks.items()}

    def agenda(self, at: timedelta) -> investigation.Agenda:
        return investigation.agenda(self.state, T0 + at)


def conclude(actor: object = CHEN, about: str = Result.CITIZEN_RIGHT) -> Propose:
    return Propose(actor=actor, what=DecisionKind.CONCLUDE, about=about, reason=PAPER)


def asked() -> Investigation:
    return Investigation().fold(heard(tencent=None, china_mobile=None))


def gathered() -> Investigation:
    case = Investigation().fold(heard(tencent=STATEMENT, china_mobile=NO))
    case.do(Claim(actor=CHEN))
    return case


def overdue() -> Investigation:
    case = gathered()
    case.do(LookAtClock(), 15 * DAY)
    return case


def decided() -> Investigation:
    case = gathered()
    case.do(conclude(), DAY)
    case.do(Approve(actor=LIN), DAY)
    return case


def closed() -> Investigation:
    case = decided()
    case.do(Close(), DAY)
    return case


IN_STATUS = {
    InvestigationStatus.OPEN: asked,
    InvestigationStatus.OVERDUE: overdue,
    InvestigationStatus.DECIDED: decided,
    InvestigationStatus.CLOSED: closed,
}


@pytest.mark.parametrize("status", InvestigationStatus)
def test_every_status_can_be_reached(status: InvestigationStatus) -> None:
    assert IN_STATUS[status]().state.status is status


# ── opening ──────────────────────────────────────────────────────────────────────────────────────────

BOOK = registry.load(
    'version = "1"\n[[carriers]]\ncode = "china-mobile"\nname = "移动"\nendpoint = "http://c"\nresults = "http://r"\n'
    '[[enterprises]]\ncode = "tencent"\nname = "腾讯"\nretry_first = "PT10S"\n'
    'apps = [{ code = "wechat", name = "微信" }, { code = "qq", name = "QQ" }]\n'
)


@pytest.mark.parametrize(
    ("wanted", "apps"),
    [
        ({"tencent": ["qq", "wechat"]}, {"tencent": ("wechat", "qq")}),
        ({"tencent": ["qq", "qq"]}, {"tencent": ("qq",)}),
        ({"tencent": [], "china-mobile": []}, {"tencent": ("wechat", "qq"), "china-mobile": ("china-mobile-cards",)}),
    ],
    ids=["in the registry's order", "once", "all of theirs, carriers too"],
)
def test_who_is_asked(wanted: dict[str, list[str]], apps: dict[str, tuple[str, ...]]) -> None:
    parties = investigation.parties_of(wanted, BOOK)
    assert not isinstance(parties, Refusal)
    assert {party.code: party.apps for party in parties} == apps
    assert all(party.retry_first == timedelta(seconds=10) for party in parties if party.code == "tencent")


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({}, RefusalCode.NO_APPS),
        ({f"party-{n}": [] for n in range(51)}, RefusalCode.TOO_MANY_APPS),
        ({"nobody": []}, RefusalCode.UNKNOWN_APP),
        ({"tencent": ["alipay"]}, RefusalCode.UNKNOWN_APP),
        ({"china-mobile": ["wechat"]}, RefusalCode.UNKNOWN_APP),
    ],
    ids=["nobody", "too many", "unknown", "unknown app", "another's app"],
)
def test_who_cannot_be_asked(wanted: dict[str, list[str]], code: RefusalCode) -> None:
    refusal = investigation.parties_of(wanted, BOOK)
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.field) == (code, "parties")


def test_the_first_event_holds_every_clock() -> None:
    case = Investigation()
    assert (case.state.work.due_at, case.state.evidence_due_at) == (DUE, EVIDENCE_DUE)
    assert case.state.work.links == (ORIGIN,), "it knows where it came from"
    assert case.tasks() == dict.fromkeys(PARTIES, "asked")
    assert case.agenda(timedelta(0)).ask == {"tencent": ("tencent-app",), "china-mobile": ("china-mobile-app",)}
    assert Investigation(opened_from=None).state.work.links == ()


# ── evidence ─────────────────────────────────────────────────────────────────────────────────────────


def test_who_was_reached_is_not_asked_again() -> None:
    case = asked()
    assert case.agenda(HOUR).ask == {}
    assert case.agenda(HOUR).wake_at == EVIDENCE_DUE
    assert case.tasks() == dict.fromkeys(PARTIES, "asked")


def test_who_could_not_be_reached_is_asked_again_with_backoff_until_the_deadline() -> None:
    case, at = Investigation(), HOUR
    waits = []
    for _ in range(9):
        case.fold(heard(at, tencent="http_503", china_mobile=None) if not waits else heard(at, tencent="http_503"))
        again = case.agenda(at).wake_at
        assert again is not None
        waits.append(again - (T0 + at))
        assert case.agenda(at).ask == {} == case.agenda(again - T0 - SECOND).ask
        assert case.agenda(again - T0).ask == {"tencent": ("tencent-app",)}
        at = again - T0
    assert waits == [FIRST * 2**n for n in range(7)] + [MOST, MOST]
    assert case.agenda(7 * DAY).look_at_clock
    case.do(LookAtClock(), 7 * DAY)
    assert case.agenda(7 * DAY).ask == {}, "whoever is out of reach for a week is called by a case worker"
    case.fold(heard(8 * DAY, tencent=STATEMENT))
    assert case.tasks()["tencent"] == "answered"


def test_a_party_answers_or_declines_at_once_or_later() -> None:
    case = Investigation().fold(heard(tencent=STATEMENT, china_mobile=None))
    assert case.tasks() == {"tencent": "answered", "china-mobile": "asked"}
    assert case.do(case.answers("china-mobile", NO), DAY) == ["party_answered"]
    assert case.tasks() == {"tencent": "answered", "china-mobile": "declined"}
    assert case.do(case.answers("china-mobile", NO), DAY) == []
    again = case.refused(case.answers("china-mobile", STATEMENT), DAY)
    assert again.code is RefusalCode.ALREADY_ANSWERED


def test_only_evidence_answers_a_question_for_evidence() -> None:
    case = asked()
    refusal = case.refused(case.answers("tencent", Counts(counts={"tencent-app": 1})))
    assert refusal.code is RefusalCode.ANSWER_DOES_NOT_FIT
    foreign = Answering(question=asked_as("tencent"), party="china-mobile", answer=STATEMENT)
    assert case.refused(foreign).code is RefusalCode.UNKNOWN_QUESTION


def test_silence_is_overdue_at_the_deadline_and_late_evidence_still_counts() -> None:
    case = Investigation().fold(heard(tencent=STATEMENT, china_mobile=None))
    assert case.do(LookAtClock(), 7 * DAY - SECOND) == []
    assert case.do(LookAtClock(), 7 * DAY) == ["evidence_overdue"]
    assert case.tasks() == {"tencent": "answered", "china-mobile": "overdue"}
    assert case.do(LookAtClock(), 8 * DAY) == []
    assert case.do(case.answers("china-mobile"), 9 * DAY) == ["party_answered"]
    assert case.tasks()["china-mobile"] == "answered"


def test_asking_again_never_forgets_an_answer() -> None:
    case = Investigation().fold(heard(tencent="http_503", china_mobile=None))
    case.do(case.answers("tencent"), 2 * HOUR)
    case.fold(heard(3 * HOUR, tencent="http_503"))
    assert case.tasks()["tencent"] == "answered"
    assert case.state.questions[asked_as("tencent")].answer == STATEMENT
    assert case.agenda(4 * HOUR).ask == {}


@pytest.mark.parametrize("settled", [decided, closed])
def test_no_evidence_after_the_decision(settled: object) -> None:
    case = Investigation().fold(heard(tencent=STATEMENT, china_mobile=None))
    case.do(LookAtClock(), 7 * DAY)
    case.do(Claim(actor=CHEN))
    case.do(conclude(), 8 * DAY)
    assert case.do(case.answers("china-mobile"), 8 * DAY) == ["party_answered"], "a proposal is no decision"
    case = settled()  # type: ignore[operator]
    case.state = case.state.model_copy(update={"questions": asked().state.questions})
    assert case.refused(case.answers("china-mobile"), 9 * DAY).code is RefusalCode.CASE_CLOSED
    foreign = Answering(question=asked_as("tencent"), party="china-mobile", answer=STATEMENT)
    assert case.refused(foreign).code is RefusalCode.UNKNOWN_QUESTION, "a stranger learns nothing"


def test_the_same_evidence_may_be_said_again_after_the_decision() -> None:
    assert decided().do(asked().answers("tencent"), 9 * DAY) == []


# ── the decision ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("about", ["", "guilty", "CITIZEN_RIGHT", "wechat"])
def test_only_a_result_can_be_proposed(about: str) -> None:
    refusal = gathered().refused(conclude(about=about))
    assert (refusal.code, refusal.field) == (RefusalCode.MALFORMED, "about")
    assert all(result.value in refusal.remedy for result in Result)


@pytest.mark.parametrize("what", [DecisionKind.REFUSE, DecisionKind.OVERRIDE])
def test_an_investigation_is_only_concluded(what: DecisionKind) -> None:
    refusal = gathered().refused(Propose(actor=CHEN, what=what, about=Result.CITIZEN_RIGHT, reason=PAPER))
    assert (refusal.code, refusal.field) == (RefusalCode.MALFORMED, "decision")


def test_nothing_is_decided_before_the_evidence_is_there_or_overdue() -> None:
    case = Investigation().fold(heard(tencent=None, china_mobile=None))
    case.do(Claim(actor=CHEN))
    refusal = case.refused(conclude())
    assert refusal.code is RefusalCode.NOT_YOUR_TURN
    assert "tencent" in refusal.sentence and "china-mobile" in refusal.sentence
    case.do(case.answers("tencent"))
    refusal = case.refused(conclude())
    assert "china-mobile" in refusal.sentence and "tencent" not in refusal.sentence
    case.do(LookAtClock(), 7 * DAY)
    assert case.do(conclude(), 7 * DAY) == ["proposed"]


def test_case_works_own_reasons_come_first() -> None:
    case = asked()
    assert case.refused(conclude(about="guilty")).code is RefusalCode.NOT_CLAIMED
    assert closed().refused(conclude(about="guilty")).code is RefusalCode.CASE_CLOSED


@pytest.mark.parametrize("result", Result)
@pytest.mark.parametrize("in_time", [gathered, overdue])
def test_two_people_state_the_result(result: Result, in_time: object) -> None:
    case = in_time()  # type: ignore[operator]
    assert case.do(conclude(about=result), 16 * DAY) == ["proposed"]
    assert case.refused(Approve(actor=CHEN), 16 * DAY).code is RefusalCode.SAME_PERSON
    assert case.do(Approve(actor=WU), 16 * DAY) == ["approved", "decided"]
    assert (case.state.status, case.state.result) == (InvestigationStatus.DECIDED, result)
    assert case.state.news[-1].key is MessageKey.INVESTIGATION_DECIDED
    assert case.refused(Extend(actor=WU, by=DAY, reason=PAPER), 16 * DAY).code is RefusalCode.CASE_CLOSED
    assert case.do(Close(), 16 * DAY) == ["closed"]
    assert (case.state.status, case.state.ended_at) == (InvestigationStatus.CLOSED, T0 + 16 * DAY)
    assert case.do(Close(), 16 * DAY) == []


@pytest.mark.parametrize("status", sorted(set(InvestigationStatus) - {InvestigationStatus.DECIDED}))
def test_only_a_decided_one_is_closed(status: InvestigationStatus) -> None:
    assert IN_STATUS[status]().do(Close()) == []


# ── fifteen days ─────────────────────────────────────────────────────────────────────────────────────


def test_the_appeal_is_told_once_at_day_fifteen() -> None:
    case = gathered()
    assert case.do(LookAtClock(), 15 * DAY - SECOND) == []
    assert case.agenda(15 * DAY - SECOND).wake_at == DUE
    assert case.do(LookAtClock(), 15 * DAY) == ["went_overdue"]
    assert investigation.standing(case.state).status == "overdue"
    assert [news.key for news in case.state.news][1:] == [MessageKey.INVESTIGATION_APPEAL]
    assert case.do(LookAtClock(), 16 * DAY) == []
    case.do(Extend(actor=CHEN, by=3 * DAY, reason=PAPER), 16 * DAY)
    assert case.state.status is InvestigationStatus.OPEN
    assert case.do(LookAtClock(), 18 * DAY) == ["went_overdue"]
    assert len(case.state.news) == 2, "once is enough"
    assert case.state.overdue_at == DUE


def test_a_pause_moves_the_deadline() -> None:
    case = gathered()
    case.do(Pause(actor=CHEN, reason=PAPER), 10 * DAY)
    assert case.do(LookAtClock(), 30 * DAY) == [], "the clock stands"
    assert case.agenda(30 * DAY).wake_at is None
    case.do(Resume(actor=CHEN), 30 * DAY)
    assert case.agenda(30 * DAY).wake_at == DUE + 20 * DAY
    assert case.do(LookAtClock(), 35 * DAY - SECOND) == []
    assert case.do(LookAtClock(), 35 * DAY) == ["went_overdue"]


def test_evidence_is_due_however_the_case_stands() -> None:
    case = asked()
    case.do(Pause(actor=CHEN, reason=PAPER))
    assert case.do(LookAtClock(), 7 * DAY) == ["evidence_overdue"]


# ── closed and open again ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("done", [decided, closed])
def test_reopened_with_its_whole_time_again(done: object) -> None:
    case = done()  # type: ignore[operator]
    assert case.do(Reopen(actor=LIN, reason=PAPER), 20 * DAY) == ["reopened"]
    state = case.state
    assert (state.status, state.result, state.decided_at, state.ended_at) == (
        InvestigationStatus.OPEN,
        None,
        None,
        None,
    )
    assert state.work.due_at == T0 + 35 * DAY
    assert case.do(LookAtClock(), 20 * DAY) == []
    case.do(conclude(about=Result.INCONCLUSIVE), 21 * DAY)
    case.do(Approve(actor=LIN), 21 * DAY)
    assert [news.key for news in state.news] + [MessageKey.INVESTIGATION_DECIDED] == [n.key for n in case.state.news]


def test_a_reopened_one_that_is_late_again_says_so_again() -> None:
    case = overdue()
    case.do(conclude(), 16 * DAY)
    case.do(Approve(actor=LIN), 16 * DAY)
    case.do(Reopen(actor=LIN, reason=PAPER), 17 * DAY)
    assert case.state.overdue_at is None
    case.do(LookAtClock(), 32 * DAY)
    assert case.state.news[-1].key is MessageKey.INVESTIGATION_APPEAL


def test_a_merged_one_is_closed_and_may_be_reopened() -> None:
    case = asked()
    assert case.do(Merge(actor=CHEN, into=OTHER)) == ["linked", "merged"]
    assert (case.state.status, case.state.ended_at) == (InvestigationStatus.CLOSED, T0 + HOUR)
    assert case.agenda(8 * DAY).look_at_clock is False
    assert case.do(LookAtClock(), 8 * DAY) == []
    assert case.agenda(HOUR).wake_at == T0 + HOUR + REOPEN_WITHIN
    case.do(Reopen(actor=CHEN, reason=PAPER), 2 * DAY)
    assert case.tasks() == dict.fromkeys(PARTIES, "asked")


def test_over_when_it_can_no_longer_be_reopened() -> None:
    case = closed()
    end = DAY + REOPEN_WITHIN
    assert not case.agenda(end - SECOND).over
    case.do(Reopen(actor=LIN, reason=PAPER), end - SECOND)
    case = closed()
    assert case.agenda(end).over
    assert case.refused(Reopen(actor=LIN, reason=PAPER), end).code is RefusalCode.TOO_LATE_TO_REOPEN


@pytest.mark.parametrize(
    ("make", "open_", "waiting"),
    [
        (Investigation, True, W.PARTY),
        (asked, True, W.PARTY),
        (gathered, True, W.CASE_WORKER),
        (overdue, True, W.CASE_WORKER),
        (decided, True, W.NOBODY),
        (closed, False, W.NOBODY),
    ],
)
def test_whose_turn_it_is(make: object, open_: bool, waiting: W) -> None:
    state = make().state  # type: ignore[operator]
    found = investigation.standing(state)
    assert (found.open, found.waiting, found.status) == (open_, waiting, state.status.value)


def test_it_begins_with_its_opening() -> None:
    with pytest.raises(ValueError, match="Opened"):
        investigation.evolve(None, investigation.Closed(at=T0))
    with pytest.raises(TypeError, match="Event"):
        investigation.evolve(asked().state, Event(type="strange", at=T0))


# ── what the citizen reads ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("result", Result)
def test_every_text_can_be_read(language: Language, result: Result) -> None:
    case = Investigation(language=language).fold(heard(tencent=STATEMENT, china_mobile=NO))
    case.do(Claim(actor=CHEN))
    case.do(LookAtClock(), 15 * DAY)
    case.do(conclude(about=result), 15 * DAY)
    case.do(Approve(actor=LIN), 15 * DAY)
    said = [render(Message(key=one.key, case=CASE, words=one.words, language=language)) for one in case.state.news]
    assert len(said) == 3
    assert all(CASE in text for text in said)
    assert RESULT_WORDS[result][language] in said[2]
    assert "2026-09-16" in said[0]
    assert "30" in said[1], "the regulator answers an appeal in 30 days"
    if language is Language.ZH:
        assert all(text.startswith("【解绑】") and len(text) <= 70 for text in said), [len(text) for text in said]
    else:
        assert all(text.isascii() and len(text) <= 160 for text in said), [len(text) for text in said]


# ── any sequence ─────────────────────────────────────────────────────────────────────────────────────

replies = st.sampled_from([None, "http_503", STATEMENT, NO])
rounds = st.dictionaries(st.sampled_from(["tencent", "china_mobile"]), replies, min_size=1)
said = st.builds(
    Answering,
    question=st.sampled_from([*map(asked_as, PARTIES), "A" + "9" * 20]),
    party=st.sampled_from(PARTIES),
    answer=st.sampled_from([STATEMENT, NO, Counts(counts={})]),
)
people = st.sampled_from([CHEN, LIN, WU])
merging = st.just(Merge(actor=CHEN, into=OTHER))
concluding = st.builds(conclude, people, st.sampled_from([*Result, "guilty"]))
commands = st.one_of(
    st.just(LookAtClock()),
    st.just(Close()),
    said,
    concluding,
    people.map(lambda a: Approve(actor=a)),
    merging,
    work_commands,
)
steps = st.lists(st.tuples(pauses, commands | rounds | st.just("tell")), max_size=30)


@given(steps)
def test_any_sequence(sequence: list[tuple[timedelta, Command | dict[str, Answer | str | None] | str]]) -> None:
    case, at = Investigation(), timedelta(0)
    for pause, step in sequence:
        at += pause
        before = case.state
        if isinstance(step, str):
            told: tuple[Event, ...] = (Told(at=T0 + at, message="m", step="s"),)
            decision: investigation.Decision = (*told, NotTold(at=T0 + at, message="m", step="s", code="down"))
        elif isinstance(step, dict):
            decision = (heard(at, **step),)
        else:
            decision = investigation.decide(before, step, T0 + at)
        if isinstance(decision, Refusal):
            assert decision.sentence and decision.remedy
            continue
        case.fold(*decision)
        check(before, case.state, {event.type: event for event in decision})
        agenda = case.agenda(at)
        if isinstance(step, LookAtClock):
            assert investigation.decide(case.state, step, T0 + at) == ()
            assert not agenda.look_at_clock
        assert agenda.wake_at is None or agenda.wake_at > T0 + at or agenda.over
        due = investigation.decide(case.state, LookAtClock(), T0 + at)
        assert bool(due) == agenda.look_at_clock
    stored = [EVENTS.validate_json(event.model_dump_json(exclude_none=True)) for event in case.events]
    assert stored == case.events
    assert fold(investigation.evolve, stored) == case.state
    assert State.model_validate_json(case.state.model_dump_json(exclude_none=True)) == case.state


def check(before: State, after: State, happened: dict[str, Event]) -> None:
    """What is so after every step, whatever it was."""
    if after.status is not before.status:
        assert any(TRANSITIONS.get((before.status, event.word)) is after.status for event in happened.values())
    for party, task in after.tasks.items():
        old = before.tasks[party].state
        assert task.state is old or task.state in {
            to for (status, _), to in TASK_TRANSITIONS.items() if status is old
        }
        known = after.questions.get(task.question) if task.question else None
        answered = task.state in (TaskState.ANSWERED, TaskState.DECLINED)
        assert answered == (known is not None and known.answer is not None)
    assert (after.ended_at is not None) == (after.status is InvestigationStatus.CLOSED)
    assert (after.result is not None) == (after.decided_at is not None)
    assert (after.result is not None) == (
        after.status is InvestigationStatus.DECIDED or (after.ended_at is not None and not after.work.merged_into)
    )
    assert after.news[: len(before.news)] == before.news, "what was told stays told"
    if "decided" in happened:
        approved = happened["approved"]
        assert isinstance(approved, casework.Approved)
        assert approved.actor.code != approved.decided_by
        assert all(task.state is not TaskState.ASKED for task in before.tasks.values())
