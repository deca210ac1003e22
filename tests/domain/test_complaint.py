"""Complaints: where each goes, what closes it, another way, any sequence."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import complaint, dispute, investigation
from domain.case import ActorKind, CaseKind, Event, LinkKind, NotTold, Told, fold, kind_of
from domain.casework import REOPEN_WITHIN, Approve, Claim, DecisionKind, Link, Merge, Propose, Reopen, Waiting
from domain.complaint import (
    NO_ANSWER,
    TRANSITIONS,
    WAYS,
    Command,
    ComplaintKind,
    ComplaintStatus,
    Conclude,
    Ending,
    Follow,
    Route,
    State,
    Take,
    Taken,
    Way,
)
from domain.dispute import ClaimReason
from domain.messages import Language, Message, MessageKey, render
from domain.proof import Method, Proof
from domain.refusal import Refusal, RefusalCode
from store.projection import PROJECTIONS
from tests.domain.test_casework import CHEN, LIN, NAMELESS, NOT_STAFF, PAPER, work_commands
from tests.domain.test_investigation import BOOK
from tests.strategies import DAY, HOUR, SECOND, T0, pauses

CASE, OTHER, ABOUT = "C0123456789AB", "C0123456789AC", "R0123456789AB"
DISPUTE, SECOND_DISPUTE = "D0123456789AB", "D0123456789AC"
INVESTIGATION = "X0123456789AB"
EVENTS = PROJECTIONS[CaseKind.COMPLAINT].events
PROOF = Proof(
    check="K0123456789AB",
    method=Method.CODE_AND_ID_TAIL,
    carrier="china-mobile",
    activated_at=T0 - 60 * DAY,
    verified_at=T0,
)


def take(kind: ComplaintKind = ComplaintKind.STILL_BOUND, **changed: object) -> complaint.Decision:
    words: dict[str, object] = {
        "case": CASE,
        "channel": "mini-program",
        "masked_number": "138****8000",
        "language": Language.ZH,
        "kind": kind,
        "about": ABOUT,
        "text": PAPER,
        "identity": PROOF,
        "apps": ("wechat", "china-mobile-cards", "qq"),
    }
    return complaint.take(Take(**{**words, **changed}), T0, BOOK)  # type: ignore[arg-type]


class Complaint:
    """One complaint driven by hand."""

    def __init__(self, kind: ComplaintKind = ComplaintKind.STILL_BOUND, **how: object) -> None:
        decision = take(kind, **how)
        assert not isinstance(decision, Refusal), decision
        self.events: list[Event] = [*decision]
        self.state: State = complaint.evolve(None, decision[0])

    def fold(self, *events: Event) -> Complaint:
        for event in events:
            self.state = complaint.evolve(self.state, event)
            self.events.append(event)
        return self

    def do(self, command: Command, at: timedelta = HOUR) -> list[str]:
        """A command that is taken; the types of its events."""
        decision = complaint.decide(self.state, command, T0 + at)
        assert not isinstance(decision, Refusal), decision
        self.fold(*decision)
        return [event.type for event in decision]

    def refused(self, command: Command, at: timedelta = HOUR) -> Refusal:
        """A command that is not."""
        decision = complaint.decide(self.state, command, T0 + at)
        assert isinstance(decision, Refusal), decision
        assert decision.sentence and decision.remedy
        return decision

    def agenda(self, at: timedelta = HOUR) -> complaint.Agenda:
        return complaint.agenda(self.state, T0 + at)


def route(way: Way, actor: object = CHEN) -> Route:
    return Route(actor=actor, way=way, reason=PAPER)


def refuse(what: DecisionKind = DecisionKind.REFUSE) -> Propose:
    return Propose(actor=CHEN, what=what, reason=PAPER)


def in_dispute() -> Complaint:
    case = Complaint()
    case.do(Follow(to=DISPUTE, way=Way.DISPUTE))
    return case


def in_investigation() -> Complaint:
    case = Complaint(ComplaintKind.NOT_DONE)
    case.do(Follow(to=INVESTIGATION, way=Way.INVESTIGATION))
    return case


def closed() -> Complaint:
    case = in_dispute()
    case.do(Conclude(by=DISPUTE, outcome="solved"), DAY)
    return case


IN_STATUS = {
    ComplaintStatus.TAKEN: Complaint,
    ComplaintStatus.IN_DISPUTE: in_dispute,
    ComplaintStatus.IN_INVESTIGATION: in_investigation,
    ComplaintStatus.CLOSED: closed,
}


@pytest.mark.parametrize("status", ComplaintStatus)
def test_every_status_can_be_reached(status: ComplaintStatus) -> None:
    assert IN_STATUS[status]().state.status is status


# ── taking ───────────────────────────────────────────────────────────────────────────────────────────


def test_the_first_event_has_all_its_follow_ups_need() -> None:
    case = Complaint()
    (taken,) = case.events
    assert isinstance(taken, Taken)
    assert (taken.actor.kind, taken.actor.code) == (ActorKind.CHANNEL, "mini-program")
    assert taken.due_at == T0 + 15 * DAY == case.state.work.due_at
    assert case.state.apps == ("wechat", "china-mobile-cards", "qq")
    assert {party.code: party.apps for party in taken.parties} == {
        "tencent": ("wechat", "qq"),
        "china-mobile": ("china-mobile-cards",),
    }
    assert [(claim.party, claim.name, claim.reason) for claim in taken.claims] == [
        ("tencent", "微信", ClaimReason.ASKED_BEFORE),
        ("china-mobile", "移动电话卡", ClaimReason.ASKED_BEFORE),
        ("tencent", "QQ", ClaimReason.ASKED_BEFORE),
    ]
    assert case.state.work.links == (ABOUT,)
    assert Complaint(about=None).state.work.links == ()
    assert Complaint(apps=("qq", "qq")).state.apps == ("qq",)


@pytest.mark.parametrize(
    ("apps", "code"),
    [
        ((), RefusalCode.NO_APPS),
        (tuple(f"app-{n}" for n in range(51)), RefusalCode.TOO_MANY_APPS),
        (("wechat", "no-such-app"), RefusalCode.UNKNOWN_APP),
    ],
)
def test_what_cannot_be_complained_of(apps: tuple[str, ...], code: RefusalCode) -> None:
    refusal = take(apps=apps)
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.field) == (code, "apps")


# ── where it goes ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("kind", "way"),
    [
        (ComplaintKind.STILL_BOUND, Way.DISPUTE),
        (ComplaintKind.NOT_DONE, Way.INVESTIGATION),
        (ComplaintKind.WRONG_ACCOUNT, Way.INVESTIGATION),
    ],
)
def test_where_each_goes(kind: ComplaintKind, way: Way) -> None:
    case = Complaint(kind)
    assert WAYS[kind] is way is case.agenda().follow_up
    to = {Way.DISPUTE: DISPUTE, Way.INVESTIGATION: INVESTIGATION}[way]
    assert case.do(Follow(to=to, way=way)) == ["followed_up", "linked"]
    assert (case.agenda().follow_up, case.state.work.links) == (None, (ABOUT, to))
    linked = case.events[-1]
    assert linked.how is LinkKind.LED_TO  # type: ignore[attr-defined]
    assert case.do(Follow(to=to, way=way)) == []
    assert case.do(Link(to=to, how=LinkKind.LED_TO)) == [], "the follow-up says so too"


def test_a_dispute_that_follows_rests_on_the_same_proof() -> None:
    first = complaint.follow_up(Complaint(language=Language.EN).state, Way.DISPUTE, T0 + HOUR)
    assert isinstance(first, dispute.Opened)
    assert (first.opened_from, first.identity, first.channel) == (CASE, PROOF, "mini-program")
    assert (first.at, first.language) == (T0 + HOUR, Language.EN)
    assert {claim.reason for claim in first.claims} == {ClaimReason.ASKED_BEFORE}
    state = dispute.evolve(None, first.model_copy(update={"case": DISPUTE}))
    assert set(state.claims) == {"wechat", "qq", "china-mobile-cards"}


def test_an_investigation_that_follows_asks_the_apps_parties_and_keeps_the_citizens_words_to_itself() -> None:
    first = complaint.follow_up(Complaint().state, Way.INVESTIGATION, T0 + HOUR)
    assert isinstance(first, investigation.Opened)
    assert (first.opened_from, first.text, first.text_for_parties) == (CASE, PAPER, False)
    assert first.due_at == T0 + HOUR + 15 * DAY
    assert {party.code for party in first.parties} == {"tencent", "china-mobile"}


# ── what closes it ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("outcome", sorted({*dispute.Ending, *investigation.Result} - NO_ANSWER))
def test_closed_by_what_comes_of_its_follow_up(outcome: str) -> None:
    case = in_dispute()
    assert case.do(Conclude(by=DISPUTE, outcome=outcome), DAY) == ["concluded", "closed"]
    state = case.state
    assert (state.status, state.ending, state.ended_at) == (ComplaintStatus.CLOSED, Ending.CONCLUDED, T0 + DAY)
    assert state.follow_ups[0].outcome == outcome
    assert case.do(Conclude(by=DISPUTE, outcome=outcome), DAY) == []


def test_a_case_that_is_no_follow_up_concludes_nothing() -> None:
    assert in_dispute().do(Conclude(by=INVESTIGATION, outcome="citizen_right")) == []
    assert Complaint().do(Conclude(by=DISPUTE, outcome="solved")) == []


@pytest.mark.parametrize("outcome", sorted(NO_ANSWER))
def test_a_follow_up_that_went_on_elsewhere_gives_it_back(outcome: str) -> None:
    case = in_investigation()
    assert case.do(Conclude(by=INVESTIGATION, outcome=outcome)) == ["concluded", "returned"]
    assert case.state.status is ComplaintStatus.TAKEN
    assert complaint.standing(case.state).waiting is Waiting.CASE_WORKER
    assert case.agenda().follow_up is None, "a person has to say where it goes now"
    assert case.do(Conclude(by=INVESTIGATION, outcome="citizen_right")) == ["concluded", "closed"], "it was reopened"


def test_a_follow_up_that_ends_again_changes_nothing_in_a_closed_complaint() -> None:
    case = closed()
    assert case.do(Conclude(by=DISPUTE, outcome="not_solved"), 2 * DAY) == ["concluded"]
    assert (case.state.ended_at, case.state.follow_ups[0].outcome) == (T0 + DAY, "not_solved")


def test_two_people_refuse_it() -> None:
    case = in_dispute()
    case.do(Claim(actor=CHEN))
    assert case.do(refuse()) == ["proposed"]
    assert complaint.standing(case.state).waiting is Waiting.CASE_WORKER
    assert case.refused(Approve(actor=CHEN)).code is RefusalCode.SAME_PERSON
    assert case.do(Approve(actor=LIN)) == ["approved", "closed"]
    assert (case.state.ending, case.events[-1].actor) == (Ending.REFUSED, LIN)


def test_refused_before_it_went_anywhere() -> None:
    case = Complaint()
    case.do(Claim(actor=CHEN))
    case.do(refuse())
    case.do(Approve(actor=LIN))
    assert (case.state.status, case.state.wanted) == (ComplaintStatus.CLOSED, None)
    case.do(Reopen(actor=LIN, reason=PAPER), DAY)
    assert case.agenda(DAY).follow_up is None, "a person has to say where it goes now"


@pytest.mark.parametrize("what", [DecisionKind.OVERRIDE, DecisionKind.CONCLUDE])
def test_nothing_else_is_decided_of_a_complaint(what: DecisionKind) -> None:
    case = in_dispute()
    assert case.refused(refuse(what)).code is RefusalCode.NOT_CLAIMED, "case work's own reasons come first"
    case.do(Claim(actor=CHEN))
    refusal = case.refused(refuse(what))
    assert (refusal.code, refusal.field) == (RefusalCode.MALFORMED, "decision")


# ── another way ──────────────────────────────────────────────────────────────────────────────────────


def test_sent_another_way() -> None:
    case = in_dispute()
    assert case.do(route(Way.DISPUTE)) == [], "it is there already"
    assert case.do(route(Way.INVESTIGATION)) == ["rerouted"]
    assert (case.state.status, case.agenda().follow_up) == (ComplaintStatus.IN_DISPUTE, Way.INVESTIGATION)
    assert case.do(route(Way.INVESTIGATION)) == []
    case.do(Follow(to=INVESTIGATION, way=Way.INVESTIGATION))
    assert case.state.status is ComplaintStatus.IN_INVESTIGATION
    assert case.do(Conclude(by=DISPUTE, outcome="solved")) == ["concluded"], "another one sees to it now"
    assert case.do(Conclude(by=INVESTIGATION, outcome="citizen_right")) == ["concluded", "closed"]


def test_what_ends_while_it_is_sent_another_way_does_not_close_it() -> None:
    case = in_dispute()
    case.do(route(Way.INVESTIGATION))
    assert case.do(Conclude(by=DISPUTE, outcome="not_solved")) == ["concluded"]
    assert case.agenda().follow_up is Way.INVESTIGATION


def test_sent_another_way_while_the_follow_up_is_being_opened() -> None:
    case = Complaint()
    assert case.do(route(Way.INVESTIGATION)) == ["rerouted"]
    case.do(Follow(to=DISPUTE, way=Way.DISPUTE))
    assert case.agenda().follow_up is Way.INVESTIGATION, "it still has to go there"
    assert case.do(route(Way.DISPUTE)) == ["rerouted"], "or back"


@pytest.mark.parametrize("actor", [*NOT_STAFF, *NAMELESS], ids=repr)
def test_only_case_workers_send_it_another_way(actor: object) -> None:
    assert in_dispute().refused(route(Way.INVESTIGATION, actor)).code is RefusalCode.NOT_ALLOWED


def test_a_closed_one_goes_nowhere() -> None:
    assert closed().refused(route(Way.INVESTIGATION)).code is RefusalCode.CASE_CLOSED
    late = Complaint()
    late.do(Merge(actor=CHEN, into=OTHER))
    assert late.agenda().follow_up is None
    assert late.do(Follow(to=DISPUTE, way=Way.DISPUTE)) == ["followed_up", "linked"], "opened just before"
    assert late.state.status is ComplaintStatus.CLOSED


# ── closed and open again ────────────────────────────────────────────────────────────────────────────


def test_a_reopened_one_is_a_case_workers() -> None:
    case = closed()
    assert case.do(Reopen(actor=LIN, reason=PAPER), 20 * DAY) == ["reopened"]
    state = case.state
    assert (state.status, state.ending, state.ended_at) == (ComplaintStatus.TAKEN, None, None)
    assert state.work.due_at == T0 + 35 * DAY
    assert complaint.standing(state).waiting is Waiting.CASE_WORKER
    assert case.do(route(Way.DISPUTE), 20 * DAY) == ["rerouted"]
    case.do(Follow(to=SECOND_DISPUTE, way=Way.DISPUTE), 20 * DAY)
    assert case.do(Conclude(by=DISPUTE, outcome="x"), 21 * DAY) == ["concluded"]
    assert case.do(Conclude(by=SECOND_DISPUTE, outcome="solved"), 22 * DAY) == ["concluded", "closed"]
    assert [news.key for news in case.state.news].count(MessageKey.COMPLAINT_CLOSED) == 2


def test_over_when_it_can_no_longer_be_reopened() -> None:
    case, end = closed(), DAY + REOPEN_WITHIN
    assert not case.agenda(end - SECOND).over
    assert case.agenda(end - SECOND).wake_at == T0 + end
    assert case.agenda(end).over
    assert case.refused(Reopen(actor=LIN, reason=PAPER), end).code is RefusalCode.TOO_LATE_TO_REOPEN
    assert in_dispute().agenda(400 * DAY) == complaint.Agenda()


@pytest.mark.parametrize(
    ("make", "open_", "waiting"),
    [
        (Complaint, True, Waiting.NOBODY),
        (in_dispute, True, Waiting.NOBODY),
        (in_investigation, True, Waiting.NOBODY),
        (closed, False, Waiting.NOBODY),
    ],
)
def test_whose_turn_it_is(make: object, open_: bool, waiting: Waiting) -> None:
    state = make().state  # type: ignore[operator]
    found = complaint.standing(state)
    assert (found.open, found.waiting, found.status) == (open_, waiting, state.status.value)


def test_it_begins_with_being_taken() -> None:
    with pytest.raises(ValueError, match="Taken"):
        complaint.evolve(None, complaint.Returned(at=T0))
    with pytest.raises(TypeError, match="Event"):
        complaint.evolve(Complaint().state, Event(type="strange", at=T0))


# ── what the citizen reads ───────────────────────────────────────────────────────────────────────────


def refused() -> Complaint:
    case = Complaint(language=Language.EN)
    case.do(Claim(actor=CHEN))
    case.do(refuse())
    case.do(Approve(actor=LIN))
    return case


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("make", [closed, refused])
def test_every_text_can_be_read(language: Language, make: object) -> None:
    events = make().events  # type: ignore[operator]
    state = fold(complaint.evolve, [events[0].model_copy(update={"language": language}), *events[1:]])
    assert state is not None
    said = [render(Message(key=one.key, case=CASE, words=one.words, language=language)) for one in state.news]
    assert len(said) == 2
    assert all(CASE in text for text in said)
    assert (DISPUTE in said[1]) == (state.ending is Ending.CONCLUDED)
    if language is Language.ZH:
        assert all(text.startswith("【解绑】") and len(text) <= 70 for text in said), [len(text) for text in said]
    else:
        assert all(text.isascii() and len(text) <= 160 for text in said), [len(text) for text in said]


# ── any sequence ─────────────────────────────────────────────────────────────────────────────────────

cases = st.sampled_from([DISPUTE, SECOND_DISPUTE, INVESTIGATION])
commands = st.one_of(
    cases.map(lambda case: Follow(to=case, way=Way(kind_of(case).value))),
    st.builds(route, st.sampled_from(Way), st.sampled_from([CHEN, LIN])),
    st.builds(Conclude, by=cases, outcome=st.sampled_from(["solved", "citizen_right", investigation.MERGED])),
    st.builds(refuse, st.sampled_from(DecisionKind)),
    st.just(Approve(actor=LIN)),
    st.just(Merge(actor=CHEN, into=OTHER)),
    work_commands,
)
steps = st.lists(st.tuples(pauses, commands | st.just("tell")), max_size=30)


@given(st.sampled_from(ComplaintKind), steps)
def test_any_sequence(kind: ComplaintKind, sequence: list[tuple[timedelta, Command | str]]) -> None:
    case, at = Complaint(kind), timedelta(0)
    for pause, step in sequence:
        at += pause
        before = case.state
        if isinstance(step, str):
            told = Told(at=T0 + at, message="m", step="s")
            decision: complaint.Decision = (told, NotTold(at=T0 + at, message="m", step="s", code="down"))
        else:
            decision = complaint.decide(before, step, T0 + at)
        if isinstance(decision, Refusal):
            assert decision.sentence and decision.remedy
            continue
        case.fold(*decision)
        check(before, case.state, decision)
        if isinstance(step, Follow | Route | Conclude):
            assert complaint.decide(case.state, step, T0 + at) == (), "again changes nothing"
    stored = [EVENTS.validate_json(event.model_dump_json(exclude_none=True)) for event in case.events]
    assert stored == case.events
    assert fold(complaint.evolve, stored) == case.state
    assert State.model_validate_json(case.state.model_dump_json(exclude_none=True)) == case.state


def check(before: State, after: State, happened: tuple[Event, ...]) -> None:
    """What is so after every step, whatever it was."""
    if after.status is not before.status:
        assert any(TRANSITIONS.get((before.status, event.word)) is after.status for event in happened)
    ended = after.status is ComplaintStatus.CLOSED
    assert (after.ended_at is not None) == ended
    assert (after.ending is not None) <= ended
    assert after.wanted is None or not ended, "a closed complaint goes nowhere"
    assert len({one.case for one in after.follow_ups}) == len(after.follow_ups)
    assert {one.case for one in after.follow_ups} <= set(after.work.links), "every follow-up is linked"
    assert after.news[: len(before.news)] == before.news, "what was told stays told"
    if any(event.type == "closed" for event in happened):
        assert len(after.news) == len(before.news) + 1
        assert after.ending is Ending.REFUSED or after.follow_ups[-1].outcome
