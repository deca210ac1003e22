"""Queries: when the result goes out, who is silent, the one supplement, the words — and any sequence of commands."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import casework, query, registry
from domain.case import Actor, ActorKind, CaseKind, Event, LinkKind, NotTold, Told, fold
from domain.casework import Waiting
from domain.messages import Language, MessageKey, render
from domain.proof import Method, Proof
from domain.query import (
    AnswerState,
    AppAnswer,
    Close,
    Command,
    QueryStatus,
    Report,
    State,
    Step,
    Submit,
    Supplement,
    Target,
)
from domain.question import (
    Answer,
    Answering,
    Counts,
    Declined,
    DeclineReason,
    Heard,
    Question,
    QuestionKind,
    QuestionsPut,
)
from domain.refusal import Refusal, RefusalCode
from store.projection import PROJECTIONS
from tests.strategies import ACTIVATED, DAY, HOUR, SECOND, T0, pauses

EVENTS = PROJECTIONS[CaseKind.QUERY].events
CASE, OTHER, DISPUTE = "Q0123456789AB", "Q0000000000ZZ", "D0123456789AB"
PAPER = "P0123456789AB"
MINUTE = timedelta(minutes=1)
WORKER = Actor(kind=ActorKind.CASE_WORKER, code="worker-chen")
SUPERVISOR = Actor(kind=ActorKind.SUPERVISOR, code="supervisor-wu")
PROOF = Proof(
    check="K0123456789AB",
    method=Method.CODE_AND_ID_TAIL,
    carrier="china-mobile",
    activated_at=ACTIVATED,
    verified_at=T0 - MINUTE,
)
REGISTRY = registry.load(
    """
version = "test"
[[carriers]]
code = "china-mobile"
name = "中国移动"
name_en = "China Mobile"
endpoint = "http://c"
results = "http://c/results"
[[carriers]]
code = "china-unicom"
name = "中国联通"
endpoint = "http://u"
results = "http://u/results"
[[carriers]]
code = "virtual"
name = "虚拟"
[[enterprises]]
code = "tencent"
name = "腾讯"
apps = [{ code = "wechat", name = "微信", name_en = "WeChat" }, { code = "qq", name = "QQ" }]
[[enterprises]]
code = "baidu"
name = "百度"
apps = [{ code = "baidu-app", name = "百度", name_en = "Baidu" }]
[[enterprises]]
code = "jd"
name = "京东"
apps = [{ code = "jd-app", name = "京东", name_en = "JD" }]
"""
)
ALL = {"tencent": {"wechat": 2, "qq": 1}, "baidu": {"baidu-app": 0}, "jd": {"jd-app": 0}}


def question_id(party: str) -> str:
    """A party's question."""
    return f"A{sum(party.encode()):020d}"


class Query:
    """One query driven by hand."""

    def __init__(self, target: Target = Target.ACCOUNTS, language: Language = Language.ZH) -> None:
        command = Submit(
            case=CASE,
            channel="mini-program",
            target=target,
            masked_number="138****8000",
            language=language,
            identity=PROOF,
        )
        submitted = query.submit(command, T0, REGISTRY)
        assert not isinstance(submitted, Refusal), submitted
        self.events: list[Event] = [submitted]
        self.state: State = query.evolve(None, submitted)

    def fold(self, *events: Event) -> Query:
        for event in events:
            self.state = query.evolve(self.state, event)
            self.events.append(event)
        return self

    def heard(
        self,
        counts: Mapping[str, Mapping[str, int]],
        failing: tuple[str, ...] = (),
        at: timedelta = SECOND,
        ask: tuple[str, ...] | None = None,
    ) -> Query:
        """A round of asking everybody (or `ask`): these answered, these could not be reached."""
        questions = tuple(
            Question(
                id=question_id(party),
                kind=QuestionKind.COUNTS,
                party=party,
                apps=apps,
                asked_at=T0 + at,
                due_at=self.state.deadline_at,
                answer=Counts(counts=counts[party]) if party in counts else None,
                answered_at=T0 + at if party in counts else None,
                failure="http_503" if party in failing else "",
            )
            for party, apps in self.state.parties.items()
            if ask is None or party in ask
        )
        unsaid = {"answer": None, "answered_at": None, "failure": ""}
        put = tuple(one.model_copy(update=unsaid) for one in questions)
        name = f"ask-{self.state.asked + 1}"
        self.fold(QuestionsPut(at=T0 + at, round=name, questions=put))
        return self.fold(Heard(at=T0 + at, round=name, questions=questions))

    def answer(self, party: str, said: Mapping[str, int], at: timedelta = HOUR) -> list[str]:
        """A party answers later."""
        return self.do(answering(party, said), at)

    def do(self, command: Command, at: timedelta = HOUR) -> list[str]:
        """A command that is taken; the types of its events."""
        decision = query.decide(self.state, command, T0 + at)
        assert not isinstance(decision, Refusal), decision
        self.fold(*decision)
        return [event.type for event in decision]

    def refused(self, command: Command, at: timedelta = HOUR) -> RefusalCode:
        """A command that is not."""
        decision = query.decide(self.state, command, T0 + at)
        assert isinstance(decision, Refusal), decision
        assert decision.sentence and decision.remedy
        return decision.code

    def due(self, at: timedelta) -> query.Agenda:
        return query.agenda(self.state, T0 + at)

    def told(self, delivered: bool | None = True, at: timedelta = HOUR) -> Query:
        return self.fold(Told(at=T0 + at, message="query_result", step="query_result-2", delivered=delivered))

    def not_told(self, at: timedelta = HOUR) -> Query:
        return self.fold(NotTold(at=T0 + at, message="query_result", step="query_result-2", code="undelivered"))

    @property
    def text(self) -> str:
        """The last message."""
        return render(query.messages(self.state)[-1])


def answering(party: str, said: Mapping[str, int]) -> Answering:
    return Answering(question=question_id(party), party=party, answer=Counts(counts=said))


def complete() -> Query:
    """Everybody has answered."""
    case = Query().heard(ALL)
    assert case.do(Report(), SECOND) == ["reported"]
    return case


def partial() -> Query:
    """The 48 hours are over; Baidu and JD are silent, one of them out of reach."""
    case = Query().heard({"tencent": ALL["tencent"]}, failing=("jd",))
    assert case.do(Report(), 2 * DAY) == ["reported"]
    return case


# ── asking ───────────────────────────────────────────────────────────────────────────────────────────


def test_accounts_asks_every_enterprise_once_about_all_its_apps() -> None:
    state = Query().state
    assert state.parties == {"tencent": ("wechat", "qq"), "baidu": ("baidu-app",), "jd": ("jd-app",)}
    assert [one.name for one in Query(language=Language.EN).state.apps] == ["WeChat", "QQ", "Baidu", "JD"]
    assert (state.submitted_at, state.deadline_at, state.work.due_at) == (T0, T0 + 2 * DAY, T0 + 2 * DAY)


def test_cards_asks_every_carrier_that_takes_part() -> None:
    state = Query(Target.CARDS).state
    assert state.parties == {"china-mobile": ("china-mobile-cards",), "china-unicom": ("china-unicom-cards",)}
    assert [one.name for one in state.apps] == ["中国移动", "中国联通"]


def test_nobody_to_ask_is_a_refusal() -> None:
    nobody = registry.Registry(version="empty", enterprises=())
    command = Submit(
        case=CASE, channel="c1", target=Target.CARDS, masked_number="x", language=Language.ZH, identity=PROOF
    )
    refusal = query.submit(command, T0, nobody)
    assert isinstance(refusal, Refusal) and refusal.code is RefusalCode.NO_APPS


def test_only_who_could_not_be_reached_is_asked_again_and_less_and_less_often() -> None:
    case = Query()
    assert case.due(timedelta(0)).ask == ("tencent", "baidu", "jd")
    case.heard({"tencent": ALL["tencent"]}, failing=("jd",), at=timedelta(0))
    at, waits = timedelta(0), []
    for _ in range(10):
        agenda = case.due(at)
        assert not agenda.ask and agenda.wake_at
        waits.append(agenda.wake_at - (T0 + at))
        assert case.due(at + waits[-1] - SECOND).ask == ()
        at += waits[-1]
        assert case.due(at).ask == ("jd",), "Baidu was reached: it answers through its door"
        case.heard({}, failing=("jd",), at=at, ask=("jd",))
    assert waits == [MINUTE * 2**n for n in range(7)] + [2 * HOUR] * 3
    assert case.state.questions[question_id("jd")].asked_at == T0, "a question is as old as its first asking"


def test_who_answers_meanwhile_is_not_asked_again() -> None:
    case = Query().heard({"tencent": ALL["tencent"]}, failing=("jd",))
    assert case.answer("jd", {"jd-app": 3}, at=SECOND) == ["party_answered"]
    assert not case.due(MINUTE * 5).ask and case.due(MINUTE * 5).wake_at == T0 + 2 * DAY
    case.heard({"jd": {"jd-app": 9}}, at=MINUTE, ask=("jd",))
    assert query.counted(case.state)["jd-app"] == 3, "asking again forgets no answer"


def test_nobody_is_called_silent_who_was_never_asked() -> None:
    """As after a stop of two days: first ask, then report."""
    case = Query()
    assert case.due(3 * DAY).ask and case.do(Report(), 3 * DAY) == []
    case.heard(ALL, at=3 * DAY)
    assert case.do(Report(), 3 * DAY) == ["reported"] and not case.state.silent


# ── the result ───────────────────────────────────────────────────────────────────────────────────────


def test_result_goes_out_the_moment_all_have_answered() -> None:
    case = Query().heard({"tencent": ALL["tencent"], "baidu": ALL["baidu"]})
    assert case.do(Report(), HOUR) == [] and case.due(HOUR).command is None
    case.answer("jd", {"jd-app": 0})
    assert case.due(HOUR).command == Report()
    assert case.do(Report()) == ["reported"]
    assert dict(case.state.counts) == {"wechat": 2, "qq": 1, "baidu-app": 0, "jd-app": 0}
    assert case.state.silent == () and case.state.free_at == T0 + HOUR + DAY


def test_at_48_hours_to_the_second_what_is_there_goes_out() -> None:
    case = Query().heard({"tencent": ALL["tencent"]}, failing=("jd",))
    assert case.do(Report(), 2 * DAY - SECOND) == []
    assert case.due(2 * DAY).command == Report()
    assert case.do(Report(), 2 * DAY) == ["reported"]
    assert case.state.silent == ("baidu-app", "jd-app")
    assert "baidu-app" not in case.state.counts, "no answer is never zero"
    assert not case.due(2 * DAY + HOUR).ask, "nobody is called after the deadline"


def test_an_app_its_enterprise_left_out_has_no_answer() -> None:
    case = Query().heard({**ALL, "tencent": {"wechat": 2}})
    case.do(Report())
    assert case.state.silent == ("qq",) and query.answers(case.state)["qq"].state is AnswerState.NO_REPLY
    assert query.next_step(case.state.model_copy(update={"status": QueryStatus.RESULT_SENT})).step is Step.CLOSE


def test_answers_as_people_see_them() -> None:
    case = Query()
    assert {one.state for one in query.answers(case.state).values()} == {AnswerState.PENDING}
    case.heard({"tencent": {"wechat": 2, "qq": 0}}, failing=("jd",))
    assert query.answers(case.state) == {
        "wechat": AppAnswer(state=AnswerState.COUNTED, count=2),
        "qq": AppAnswer(state=AnswerState.COUNTED, count=0),
        "baidu-app": AppAnswer(state=AnswerState.PENDING),
        "jd-app": AppAnswer(state=AnswerState.UNREACHABLE),
    }
    case.do(Report(), 2 * DAY)
    assert query.answers(case.state)["jd-app"] == AppAnswer(state=AnswerState.NO_REPLY)


def test_told_undelivered_closed() -> None:
    case = complete()
    assert case.state.status is QueryStatus.REPORTED and case.state.work.due_at is None
    assert query.standing(case.state).waiting is Waiting.NOBODY
    assert case.do(Close(), 30 * DAY) == [], "not before the citizen was told, or could not be"
    case.not_told()
    standing = query.standing(case.state)
    assert (standing.status, standing.waiting) == ("undelivered", Waiting.CASE_WORKER)
    assert standing.work.due_at == T0 + SECOND + 7 * DAY and case.state.delivered is False
    assert case.do(Close(), 7 * DAY) == []
    assert case.do(Close(), 7 * DAY + SECOND) == ["closed"]
    assert case.state.ended_at == T0 + 7 * DAY + SECOND and not query.standing(case.state).open


# ── the supplement ───────────────────────────────────────────────────────────────────────────────────


def test_late_answers_travel_together_in_one_supplement() -> None:
    case = partial().told(at=2 * DAY)
    assert query.standing(case.state).waiting is Waiting.PARTY
    assert case.answer("jd", {"jd-app": 1}, at=3 * DAY) == ["party_answered"]
    assert case.do(Supplement(), 3 * DAY) == [], "Baidu may still come"
    case.answer("baidu", {"baidu-app": 0}, at=4 * DAY)
    assert case.due(4 * DAY).command == Supplement()
    assert case.do(Supplement(), 4 * DAY) == ["supplemented"] and case.state.silent == ()
    assert case.state.status is QueryStatus.REPORTED, "a message is on its way"
    assert case.do(Supplement(), 4 * DAY) == []
    case.told(at=4 * DAY)
    assert query.next_step(case.state).step is Step.CLOSE
    assert case.state.free_at == T0 + 3 * DAY, "the supplement takes nobody's slot"
    assert case.do(Close(), 9 * DAY) == ["closed"]


def test_supplement_at_the_end_of_the_late_window_names_who_is_still_silent() -> None:
    case = partial().told(at=2 * DAY)
    case.answer("jd", {"jd-app": 1}, at=3 * DAY)
    assert case.due(9 * DAY - SECOND).command is None and case.due(3 * DAY).wake_at == T0 + 9 * DAY
    assert case.due(9 * DAY).command == Supplement()
    case.do(Supplement(), 9 * DAY)
    assert case.state.silent == ("baidu-app",) and case.do(Close(), 9 * DAY) == []
    assert case.refused(answering("baidu", {"baidu-app": 5}), 9 * DAY) is RefusalCode.CASE_CLOSED
    case.heard({"baidu": {"baidu-app": 5}}, at=9 * DAY, ask=("baidu",))
    case.told(at=9 * DAY)
    assert case.due(9 * DAY).command == Close(), "exactly one supplement, whatever comes after it"
    assert case.do(Close(), 9 * DAY) == ["closed"]


def test_no_news_no_supplement() -> None:
    case = partial().told(at=2 * DAY)
    assert case.due(9 * DAY).command == Close()
    assert case.do(Supplement(), 9 * DAY) == []
    assert case.do(Close(), 9 * DAY) == ["closed"]
    assert [m.key for m in query.messages(case.state)] == [MessageKey.QUERY_RESULT]


def test_a_supplement_that_gets_through_tells_who_could_not_be_told() -> None:
    case = partial().not_told(at=2 * DAY)
    case.answer("jd", {"jd-app": 1}, at=3 * DAY)
    case.answer("baidu", {"baidu-app": 1}, at=3 * DAY)
    case.do(Supplement(), 3 * DAY)
    case.told(at=3 * DAY)
    assert case.state.status is QueryStatus.RESULT_SENT and case.state.work.due_at is None


# ── parties that contradict, repeat, or answer what is not asked ─────────────────────────────────────


def test_an_answer_counts_once() -> None:
    case = Query().heard({"tencent": ALL["tencent"]})
    assert case.answer("jd", {"jd-app": 1}) == ["party_answered"]
    assert case.answer("jd", {"jd-app": 1}) == []
    assert case.refused(answering("jd", {"jd-app": 2})) is RefusalCode.ALREADY_ANSWERED
    assert query.counted(case.state)["jd-app"] == 1
    foreign = answering("jd", {"jd-app": 1}).model_copy(update={"party": "baidu"})
    unknown = foreign.model_copy(update={"question": "A" + "0" * 20})
    assert case.refused(foreign) is case.refused(unknown) is RefusalCode.UNKNOWN_QUESTION
    declined: Answer = Declined(reason=DeclineReason.NO_ACCOUNT)
    assert (
        case.refused(Answering(question=question_id("baidu"), party="baidu", answer=declined))
        is RefusalCode.ANSWER_DOES_NOT_FIT
    )


def test_a_closed_query_takes_no_answer() -> None:
    case = partial().told(at=2 * DAY)
    case.do(Close(), 9 * DAY)
    assert case.refused(answering("jd", {"jd-app": 1}), 10 * DAY) is RefusalCode.CASE_CLOSED
    assert case.answer("tencent", ALL["tencent"], at=10 * DAY) == [], "a repetition is no news"


# ── case work ────────────────────────────────────────────────────────────────────────────────────────


def test_a_pause_stops_the_48_hours_but_holds_back_no_result() -> None:
    case = Query().heard({"tencent": ALL["tencent"]}, failing=("jd",))
    case.do(casework.Pause(actor=WORKER, reason=PAPER), DAY)
    assert case.do(Report(), 3 * DAY) == []
    assert query.next_step(case.state) == query.Next(step=Step.RESULT, at=None)
    case.do(casework.Resume(actor=WORKER), 3 * DAY)
    assert case.state.deadline_at == T0 + 4 * DAY
    assert case.do(Report(), 4 * DAY - SECOND) == []
    case.do(casework.Pause(actor=WORKER, reason=PAPER), 3 * DAY)
    case.answer("jd", {"jd-app": 1}), case.answer("baidu", {"baidu-app": 1})
    assert case.do(Report(), 5 * DAY) == ["reported"]
    assert case.due(60 * DAY).command is None and case.due(60 * DAY).wake_at is None


def test_a_pause_in_the_late_window_moves_its_end() -> None:
    case = partial().told(at=2 * DAY)
    case.do(casework.Pause(actor=WORKER, reason=PAPER), 3 * DAY)
    case.do(casework.Resume(actor=WORKER), 13 * DAY)
    assert case.due(13 * DAY).wake_at == T0 + 19 * DAY
    assert case.do(Close(), 19 * DAY) == ["closed"]


def test_an_extension_moves_the_deadline() -> None:
    case = Query().heard({"tencent": ALL["tencent"]}, failing=("jd",))
    case.do(casework.Extend(actor=WORKER, by=DAY, reason=PAPER))
    assert case.do(Report(), 3 * DAY - SECOND) == [] and case.do(Report(), 3 * DAY) == ["reported"]
    assert case.refused(casework.Extend(actor=SUPERVISOR, by=DAY, reason=PAPER)) is RefusalCode.EXTENSION_NOT_ALLOWED
    case.not_told(at=3 * DAY)
    case.do(casework.Extend(actor=SUPERVISOR, by=DAY, reason=PAPER))
    assert case.do(Close(), 10 * DAY) == [] and case.do(Close(), 11 * DAY) == ["closed"]


def test_merging_frees_the_number_at_once_only_where_no_result_was_given() -> None:
    case = Query().heard({})
    assert case.do(casework.Merge(actor=WORKER, into=OTHER)) == ["linked", "merged"]
    assert case.state.status is QueryStatus.CLOSED and case.state.free_at == case.state.ended_at == T0 + HOUR
    case = complete()
    case.do(casework.Merge(actor=WORKER, into=OTHER))
    assert case.state.free_at == T0 + SECOND + DAY


def test_what_case_workers_do_not_do_with_a_query() -> None:
    case = complete()
    case.do(casework.Claim(actor=WORKER))
    propose = casework.Propose(actor=WORKER, what=casework.DecisionKind.REFUSE, reason=PAPER)
    assert case.refused(propose) is RefusalCode.NOT_ALLOWED
    case.told().do(Close(), 8 * DAY)
    assert case.refused(casework.Reopen(actor=WORKER, reason=PAPER), 9 * DAY) is RefusalCode.TOO_LATE_TO_REOPEN
    assert case.do(casework.Note(actor=WORKER, note=PAPER), 9 * DAY) == ["noted"]
    assert case.do(casework.Link(to=DISPUTE, how=LinkKind.LED_TO), 9 * DAY) == ["linked"]


# ── the slot ─────────────────────────────────────────────────────────────────────────────────────────


def test_slot_refusals_say_when() -> None:
    running = query.refuse_slot(Target.ACCOUNTS, None)
    assert running.code is RefusalCode.QUERY_RUNNING
    wait = query.refuse_slot(Target.CARDS, T0 + timedelta(microseconds=1))
    assert wait.code is RefusalCode.ONE_RESULT_A_DAY
    assert "2026-09-01 10:00:01 (Beijing)" in wait.remedy, "never a moment too early"


# ── the words ────────────────────────────────────────────────────────────────────────────────────────

PARTIAL = {"tencent": {"wechat": 2, "qq": 1}, "baidu": {"baidu-app": 0}}
NONE = {"tencent": {"wechat": 0, "qq": 0}, "baidu": {"baidu-app": 0}}
CARDS = {"china-mobile": {"china-mobile-cards": 2}}


@pytest.mark.parametrize(("target", "language", "counts", "text"), [
    (Target.ACCOUNTS, Language.ZH, ALL,
     "【解绑】您的号码138****8000共查到3个互联网账号：微信2、QQ1。另有2个应用没有账号。编号Q0123456789AB。"),
    (Target.ACCOUNTS, Language.ZH, PARTIAL,
     "【解绑】您的号码138****8000共查到3个互联网账号：微信2、QQ1。另有1个应用没有账号。未反馈：京东。编号Q0123456789AB。"),
    (Target.ACCOUNTS, Language.ZH, NONE,
     "【解绑】您的号码138****8000未查到互联网账号（3个应用已反馈）。未反馈：京东。编号Q0123456789AB。"),
    (Target.ACCOUNTS, Language.ZH, {},
     "【解绑】您的号码138****8000暂无应用反馈。未反馈：微信、QQ、百度、京东。编号Q0123456789AB。"),
    (Target.CARDS, Language.ZH, CARDS,
     "【解绑】您的号码138****8000机主名下共查到2张电话卡：中国移动2。未反馈：中国联通。编号Q0123456789AB。"),
    (Target.ACCOUNTS, Language.EN, PARTIAL,
     "[Jiebang] Number 138****8000: internet accounts found: 3 (WeChat 2, QQ 1). Apps without any: 1. "
     "No reply yet: JD. Reference Q0123456789AB."),
    (Target.ACCOUNTS, Language.EN, NONE,
     "[Jiebang] Number 138****8000: no internet accounts found (3 apps replied). No reply yet: JD. "
     "Reference Q0123456789AB."),
    (Target.CARDS, Language.EN, CARDS,
     "[Jiebang] Number 138****8000: phone cards under the holder's ID: 2 (China Mobile 2). No reply yet: 中国联通. "
     "Reference Q0123456789AB."),
])  # fmt: skip
def test_golden_result(target: Target, language: Language, counts: dict[str, dict[str, int]], text: str) -> None:
    case = Query(target, language).heard(counts)
    case.do(Report(), 2 * DAY)
    assert case.text == text


def test_golden_supplement() -> None:
    case = partial().told(at=2 * DAY)
    case.answer("jd", {"jd-app": 1}, at=3 * DAY)
    case.answer("baidu", {"baidu-app": 0}, at=3 * DAY)
    case.do(Supplement(), 3 * DAY)
    assert [m.key for m in query.messages(case.state)] == [MessageKey.QUERY_RESULT, MessageKey.QUERY_SUPPLEMENT]
    assert case.text == (
        "【解绑】结果更新：您的号码138****8000共查到4个互联网账号：微信2、QQ1、京东1。另有1个应用没有账号。"
        "编号Q0123456789AB。"
    )


def test_long_lists_are_cut() -> None:
    apps = tuple(query.Asked(app=f"app-{n}", party=f"party-{n}", name=f"应用{n}") for n in range(60))
    state = Query().state.model_copy(
        update={
            "apps": apps,
            "counts": {f"app-{n}": 1 for n in range(21)} | {f"app-{n}": 0 for n in range(21, 49)},
            "silent": tuple(f"app-{n}" for n in range(49, 60)),
        }
    )
    text = query.result(state)
    assert "应用19 1等21个。" in text and "应用20" not in text
    assert "另有28个应用没有账号。" in text and "应用58等11个。" in text and "应用59" not in text
    exactly = state.model_copy(
        update={"counts": {f"app-{n}": 1 for n in range(20)}, "silent": tuple(f"app-{n}" for n in range(49, 59))}
    )
    assert "等" not in query.result(exactly)


# ── any sequence ─────────────────────────────────────────────────────────────────────────────────────

PARTIES = st.sampled_from(["tencent", "baidu", "jd", "nobody"])
SAID = st.dictionaries(st.sampled_from(["wechat", "qq", "baidu-app", "jd-app"]), st.integers(0, 3), max_size=4)
STAFF = st.sampled_from([WORKER, SUPERVISOR, Actor(kind=ActorKind.CITIZEN)])
WORK = st.one_of(
    st.builds(casework.Claim, actor=STAFF),
    st.builds(casework.Release, actor=STAFF),
    st.builds(casework.Pause, actor=STAFF, reason=st.just(PAPER)),
    st.builds(casework.Resume, actor=STAFF),
    st.builds(casework.Extend, actor=STAFF, by=st.sampled_from([HOUR, DAY, 30 * DAY]), reason=st.just(PAPER)),
    st.builds(casework.Note, actor=STAFF, note=st.just(PAPER)),
    st.builds(casework.HandUp, actor=STAFF, reason=st.just(PAPER)),
    st.builds(casework.Propose, actor=STAFF, what=st.sampled_from(casework.DecisionKind), reason=st.just(PAPER)),
    st.builds(casework.Merge, actor=STAFF, into=st.sampled_from([CASE, OTHER])),
    st.builds(casework.Reopen, actor=STAFF, reason=st.just(PAPER)),
    st.builds(casework.Link, to=st.just(DISPUTE), how=st.just(LinkKind.LED_TO)),
)
DEEDS = st.one_of(
    st.tuples(
        st.just("ask"),
        st.dictionaries(PARTIES, SAID, max_size=3),
        st.lists(PARTIES, max_size=3, unique=True),
    ),
    st.tuples(st.just("command"), st.builds(answering, PARTIES, SAID)),
    st.tuples(st.just("command"), st.sampled_from([Report(), Supplement(), Close()])),
    st.tuples(st.just("command"), WORK),
    st.tuples(st.just("told"), st.sampled_from([True, None])),
    st.tuples(st.just("not_told")),
    st.tuples(st.just("agenda")),
)


@given(st.lists(st.tuples(pauses, DEEDS), max_size=25), st.sampled_from(Target))
def test_any_sequence_keeps_the_promises(deeds: list[tuple[timedelta, tuple[object, ...]]], target: Target) -> None:
    case, at, sent = Query(target), timedelta(0), 0
    for pause, (deed, *words) in deeds:
        at += pause
        before = case.state
        match deed:
            case "ask" if before.status is QueryStatus.ASKING:
                counts, failing = words
                case.heard(counts, tuple(failing), at, query.to_ask(before))  # type: ignore[arg-type]
            case "command":
                (command,) = words
                decision = query.decide(before, command, T0 + at)  # type: ignore[arg-type]
                if isinstance(decision, Refusal):
                    assert decision.sentence and decision.remedy
                else:
                    case.fold(*decision)
            case "told" | "not_told" if sent < len(query.messages(before)):
                sent += 1
                case.told(words[0], at) if deed == "told" else case.not_told(at)  # type: ignore[arg-type]
            case "agenda":
                _work_off(case, at)
        _promises(before, case, T0 + at)
    parsed = [EVENTS.validate_json(event.model_dump_json(exclude_none=True)) for event in case.events]
    assert fold(query.evolve, parsed) == case.state
    assert State.model_validate_json(case.state.model_dump_json(exclude_none=True)) == case.state


def _work_off(case: Query, at: timedelta) -> None:
    """What the workflow does: every command on the agenda brings the case on, so that it never turns in a circle."""
    while (command := case.due(at).command) is not None:
        assert case.do(command, at)


def _promises(before: State, case: Query, now: datetime) -> None:
    state, types = case.state, [event.type for event in case.events]
    assert types.count("reported") <= 1 and types.count("supplemented") <= 1 and types.count("closed") <= 1
    if state.reported_at is not None:
        apps = [one.app for one in state.apps]
        assert sorted([*state.counts, *state.silent]) == sorted(apps), "every app is told of, in one way"
        assert set(state.counts) <= set(query.counted(state)), "nothing is told that nobody said"
        assert state.free_at is not None and state.free_at >= state.reported_at + DAY
    if before.reported_at is None and state.reported_at is not None:
        assert query.settled(before) or now >= before.deadline_at
    for key, one in before.questions.items():
        if not one.open:
            assert state.questions[key].answer == one.answer, "an answer stands"
    assert (state.ended_at is not None) == (state.status is QueryStatus.CLOSED)
    if before.status is QueryStatus.CLOSED:
        assert state.status is QueryStatus.CLOSED and state.ended_at == before.ended_at
    agenda = query.agenda(state, now)
    assert agenda.wake_at is None or agenda.wake_at > now
    if state.status is QueryStatus.CLOSED:
        assert agenda == query.Agenda()
    standing = query.standing(state)
    assert standing.open == (state.status is not QueryStatus.CLOSED) and standing.status == state.status
    assert (standing.waiting is Waiting.CASE_WORKER) == (state.status is QueryStatus.UNDELIVERED)
    json = state.model_dump_json()
    assert "13800138000" not in json
