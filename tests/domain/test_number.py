"""Numbers: facts in any order, what follows from them, the batch, the release, any sequence of commands."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import casework, number
from domain.case import Actor, ActorKind, CaseKind, Event, NotTold, Told, fold
from domain.casework import Waiting
from domain.messages import TEXTS, Language, Message, MessageKey, render
from domain.number import (
    GONE,
    MOST_ENTRIES,
    Command,
    Fact,
    Hear,
    Mark,
    Notice,
    NumberStatus,
    Release,
    Report,
    StartBatch,
    State,
)
from domain.refusal import Refusal, RefusalCode
from domain.registry import NumberPolicy
from domain.unbind import ItemState
from store.projection import PROJECTIONS
from tests.strategies import DAY, HOUR, SECOND, T0

EVENTS = PROJECTIONS[CaseKind.NUMBER].events
POLICY = NumberPolicy()
CASE = "N0123456789AB"
PART = f"{CASE}-unbind-0"
CARRIER, OTHER = "china-mobile", "china-telecom"
APPS = ("wechat", "qq", "taobao")
SUPERVISOR = Actor(kind=ActorKind.SUPERVISOR, code="wu")
WORKER = Actor(kind=ActorKind.CASE_WORKER, code="chen")
PAPER = "P0123456789AB"
FREEZE = timedelta(days=90)


def event_id(number_: int) -> str:
    letters = "".join("ABCDEFGHIJ"[int(digit)] for digit in str(number_))
    return letters.rjust(26, "Z")


def fact(what: Fact | str, at: timedelta, id_: int = 0, carrier: str = CARRIER) -> Report:
    """A fact that happened so long after T0; its id follows from it unless one is given."""
    what = Fact(what)
    id_ = id_ or 1 + int(at.total_seconds()) * 10 + list(Fact).index(what) + (5 if carrier == OTHER else 0)
    return Report(carrier=carrier, event=event_id(id_), fact=what, occurred_at=T0 + at)


class Number:
    """One number driven by hand."""

    def __init__(self, first: Report | None = None, at: datetime | None = None) -> None:
        first = first or fact(Fact.ACTIVATION, timedelta(0))
        self.now = at or max(T0, first.occurred_at)
        decision = number.open_number(CASE, "138****8000", first, self.now, POLICY)
        assert not isinstance(decision, Refusal), decision
        self.events: list[Event] = list(decision)
        self.state: State = number.evolve(None, decision[0])
        self.first = self.do(number.Consider())

    def fold(self, *events: Event) -> Number:
        for event in events:
            self.state = number.evolve(self.state, event)
            self.events.append(event)
        return self

    def at(self, when: timedelta) -> Number:
        """The clock goes on to so long after T0."""
        self.now = T0 + when
        return self

    def do(self, command: Command) -> list[str]:
        """A command that is taken; the types of its events."""
        decision = number.decide(self.state, command, self.now)
        assert not isinstance(decision, Refusal), decision
        self.fold(*decision)
        return [event.type for event in decision]

    def hear(self, what: Fact | str, at: timedelta, **more: object) -> list[str]:
        """A fact, reported when it happens or later."""
        self.now = max(self.now, T0 + at)
        return self.do(fact(what, at, **more))  # type: ignore[arg-type]

    def refused(self, command: Command) -> Refusal:
        decision = number.decide(self.state, command, self.now)
        assert isinstance(decision, Refusal), decision
        assert decision.sentence and decision.remedy
        return decision

    def answer(self, **outcomes: ItemState) -> list[str]:
        """How the first batch stands; what is not named is delivered."""
        stands = dict.fromkeys(APPS, ItemState.DELIVERED) | outcomes
        return self.do(Hear(outcomes={PART: stands}))

    @property
    def status(self) -> NumberStatus:
        return self.state.status


def active() -> Number:
    return Number()


def cancelled() -> Number:
    case = active()
    case.hear(Fact.CANCELLATION, 10 * DAY)
    return case


def asked() -> Number:
    case = cancelled().at(17 * DAY)
    case.do(StartBatch(apps=APPS))
    return case


def renewed() -> Number:
    case = asked().at(20 * DAY)
    case.answer(wechat=ItemState.UNBOUND, qq=ItemState.KEPT, taobao=ItemState.NOT_FOUND)
    return case


def released() -> Number:
    case = renewed().at(100 * DAY)
    case.do(Release(carrier=CARRIER))
    return case


# ── what carriers report ─────────────────────────────────────────────────────────────────────────────


def test_a_life() -> None:
    case = active()
    seen = [case.status]
    for what, day in (("suspension", 5), ("resumption", 6), ("suspension", 9), ("cancellation", 10), ("freeze", 11)):
        case.hear(what, day * DAY)
        seen.append(case.status)
    assert [s.value for s in seen] == ["active", "suspended", "active", "suspended", "cancelled", "frozen"]
    life = case.state.life
    assert (life.life, life.activated_at, life.cancelled_at) == (1, T0, T0 + 10 * DAY)
    case.at(17 * DAY).do(StartBatch(apps=APPS))
    case.answer(wechat=ItemState.UNBOUND, qq=ItemState.KEPT, taobao=ItemState.NOT_FOUND)
    assert case.status is NumberStatus.BATCH_RENEWED
    case.at(100 * DAY).do(Release(carrier=CARRIER))
    assert case.hear("reissue", 101 * DAY) == ["reported", "reminder_due"]
    life = case.state.life
    assert (life.life, life.status, life.activated_at, life.early) == (2, "reissued", T0 + 101 * DAY, False)
    assert (life.cancelled_at, life.released_at, life.parts) == (None, None, {})
    assert case.hear("activation", 102 * DAY) == ["reported", "reminder_due"], "the contract begins now"
    life = case.state.life
    assert (life.life, life.status, life.activated_at) == (2, "active", T0 + 102 * DAY)


LIFE = [
    fact(Fact.ACTIVATION, timedelta(0)),
    fact(Fact.SUSPENSION, 5 * DAY),
    fact(Fact.RESUMPTION, 6 * DAY),
    fact(Fact.TRANSFER, 8 * DAY),
    fact(Fact.SUSPENSION, 9 * DAY),
    fact(Fact.CANCELLATION, 10 * DAY),
    fact(Fact.FREEZE, 11 * DAY),
    fact(Fact.REISSUE, 110 * DAY),
    fact(Fact.ACTIVATION, 112 * DAY),
]


def told(reports: Sequence[Report]) -> Number:
    """Everything reported in this order, long after it happened."""
    case = Number(reports[0], at=T0 + 200 * DAY)
    for one in reports[1:]:
        case.do(one)
    return case


@given(st.permutations(LIFE), st.lists(st.sampled_from(LIFE), max_size=8), st.randoms())
def test_any_order_any_number_of_times(order: list[Report], again: list[Report], chance: object) -> None:
    reports = list(order)
    for one in again:
        reports.insert(chance.randint(0, len(reports)), one)  # type: ignore[attr-defined]
    case, plain = told(reports), told(LIFE)
    assert case.state.timeline == plain.state.timeline
    assert case.state.life == plain.state.life
    assert [e.type for e in case.events].count("reported") == len(LIFE) - 1
    assert (case.status, case.state.life.life) == (NumberStatus.ACTIVE, 3)


facts = st.builds(
    lambda what, hours, carrier: fact(what, hours * HOUR, carrier=carrier),
    st.sampled_from(Fact),
    st.integers(0, 24 * 120),
    st.sampled_from([CARRIER, CARRIER, CARRIER, OTHER]),
)


@given(st.lists(facts, min_size=1, max_size=12, unique_by=lambda one: one.event), st.randoms())
def test_contradicting_facts_in_any_order_say_the_same(reports: list[Report], chance: object) -> None:
    shuffled = list(reports)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = told(reports), told(shuffled)
    assert one.state.timeline == other.state.timeline
    assert one.state.life == other.state.life


@given(st.lists(facts, min_size=1, max_size=12, unique_by=lambda one: one.event), facts)
def test_an_older_fact_never_undoes_the_newest(reports: list[Report], late: Report) -> None:
    """If the newest fact is the number's own carrier's, it says where the number stands, whatever comes late."""
    own = [one for one in reports if one.carrier == CARRIER]
    newest = max(own, key=lambda one: one.occurred_at, default=None)
    if newest is None or late.carrier == OTHER or late.occurred_at >= newest.occurred_at:
        return
    if late.event in {one.event for one in own}:
        return
    case = told(own)
    before = case.status
    case.do(late)
    assert (case.status in GONE) == (before in GONE)


def test_the_same_event_again_changes_nothing_and_other_content_is_refused() -> None:
    case = active()
    suspension = fact(Fact.SUSPENSION, DAY)
    case.at(DAY).do(suspension)
    assert case.do(suspension) == []
    assert case.do(fact(Fact.ACTIVATION, timedelta(0))) == [], "the one that opened the case too"
    for changed in ({"fact": Fact.RESUMPTION}, {"occurred_at": T0 + DAY + SECOND}, {"carrier": OTHER}):
        refusal = case.refused(suspension.model_copy(update=changed))
        assert (refusal.code, refusal.field) == (RefusalCode.KEY_REUSED, "event_id")


@pytest.mark.parametrize("when", [timedelta(seconds=61), -50 * 365 * DAY], ids=["in the future", "before 1990"])
def test_impossible_times_are_refused(when: timedelta) -> None:
    report = fact(Fact.SUSPENSION, timedelta(0), id_=7).model_copy(update={"occurred_at": T0 + when})
    opening = number.open_number(CASE, "138****8000", report, T0, POLICY)
    for refusal in (opening, active().refused(report)):
        assert isinstance(refusal, Refusal)
        assert (refusal.code, refusal.field) == (RefusalCode.MALFORMED, "occurred_at")


def test_a_clock_a_minute_ahead_is_let_pass() -> None:
    assert active().do(fact(Fact.SUSPENSION, timedelta(seconds=60))) == ["reported"]


@given(
    st.permutations([Fact.REISSUE, Fact.ACTIVATION, Fact.SUSPENSION, Fact.RESUMPTION, Fact.CANCELLATION, Fact.FREEZE])
)
def test_facts_of_one_moment_are_read_in_the_order_of_a_life(order: list[Fact]) -> None:
    """Many carriers' clocks count days; ids say nothing about the order."""
    case = active()
    for n, what in enumerate(order):
        case.hear(what, 3 * DAY, id_=7000 + n)
    assert (case.status, case.state.life.life) == (NumberStatus.FROZEN, 2)
    assert (case.state.life.activated_at, case.state.life.assumed) == (T0 + 3 * DAY, False)


def test_a_transfer_begins_a_life_without_a_gap() -> None:
    case = active()
    assert case.hear(Fact.TRANSFER, 4 * DAY) == ["reported", "reminder_due"]
    life = case.state.life
    assert (life.life, life.status, life.activated_at, life.early) == (2, "active", T0 + 4 * DAY, False)
    assert case.state.reminders[-1] is MessageKey.NUMBER_TRANSFER


def test_what_is_not_their_number_is_recorded_and_moves_nothing() -> None:
    case = active()
    assert case.hear(Fact.CANCELLATION, DAY, carrier=OTHER) == ["reported"]
    assert (case.status, case.state.life.carrier) == (NumberStatus.ACTIVE, CARRIER)


def test_a_ported_number_goes_on_with_its_new_carrier() -> None:
    case = active()
    assert case.hear(Fact.ACTIVATION, DAY, carrier=OTHER) == ["reported"], "the same holder is not reminded again"
    assert (case.state.life.carrier, case.state.life.activated_at, case.state.life.life) == (OTHER, T0, 1)
    case.hear(Fact.CANCELLATION, 2 * DAY)
    assert case.status is NumberStatus.ACTIVE, "the old carrier's books are not the number's"


def test_a_freeze_without_a_cancellation_counts_as_one_until_that_is_reported() -> None:
    case = active()
    assert case.hear(Fact.FREEZE, 5 * DAY) == ["reported", "recycled", "reminder_due"]
    assert (case.status, case.state.life.cancelled_at) == (NumberStatus.FROZEN, T0 + 5 * DAY)
    assert case.hear(Fact.CANCELLATION, 6 * DAY) == ["reported", "recycled"], "enterprises hear the true time"
    assert (case.status, case.state.life.cancelled_at) == (NumberStatus.FROZEN, T0 + 6 * DAY)
    case.hear(Fact.CANCELLATION, 8 * DAY)
    assert case.state.life.cancelled_at == T0 + 6 * DAY, "a number is cancelled once"


def test_a_long_timeline_is_cut_and_an_ancient_fact_moves_nothing() -> None:
    case = active()
    for n in range(2 * MOST_ENTRIES):
        case.hear(Fact.SUSPENSION if n % 2 else Fact.RESUMPTION, (n + 1) * HOUR)
    assert len(case.state.timeline) <= MOST_ENTRIES
    assert (case.state.life.activated_at, case.status) == (T0, NumberStatus.SUSPENDED)
    assert case.do(fact(Fact.CANCELLATION, timedelta(minutes=5))) == ["reported"]
    assert case.status is NumberStatus.SUSPENDED


# ── telling enterprises and holders ──────────────────────────────────────────────────────────────────


def test_reminders_at_opening_transfer_and_cancellation() -> None:
    case = active()
    assert case.first == ["reminder_due"]
    case.hear(Fact.TRANSFER, DAY)
    case.hear(Fact.CANCELLATION, 2 * DAY)
    keys = (MessageKey.NUMBER_OPENED, MessageKey.NUMBER_TRANSFER, MessageKey.NUMBER_CANCELLED)
    assert case.state.reminders == keys
    case.fold(Told(at=case.now, message="number_opened", step="number_opened-1"))
    case.fold(Told(at=case.now, message="number_opened", step="number_opened-1"))
    case.fold(NotTold(at=case.now, message="number_transfer", step="number_transfer-2", code="x"))
    assert case.state.reminders == keys[2:] and case.state.told == 2


def test_a_carrier_that_reports_its_past_wakes_nobody_up() -> None:
    case = Number(fact(Fact.ACTIVATION, timedelta(0)), at=T0 + 31 * DAY)
    assert case.first == []


@pytest.mark.parametrize("key", [k for k in MessageKey if k.value.startswith("number_")])
def test_texts(key: MessageKey) -> None:
    texts = {lang: render(Message(key=key, case=CASE, number="138****8000", language=lang)) for lang in Language}
    assert set(TEXTS[key]) == set(Language)
    assert all(CASE in text and "138****8000" in text for text in texts.values())
    assert len(texts[Language.ZH]) <= 70 and texts[Language.ZH].startswith("【解绑】")
    assert len(texts[Language.EN]) <= 160


def test_a_cancellation_is_announced_until_everybody_was_told() -> None:
    case = cancelled()
    news = case.state.announcement
    assert news is not None and (news.notice, news.cancelled_at) == (Notice.RECYCLED, T0 + 10 * DAY)
    assert number.agenda(case.state, case.now).announce
    case.fold(number.Announced(at=case.now, number=1, told=("aa", "bb"), failed={"cc": "http_503", "dd": "http_503"}))
    agenda = number.agenda(case.state, case.now)
    assert not agenda.announce and agenda.wake_at == case.now + timedelta(minutes=1)
    assert case.state.announcement and case.state.announcement.waiting == ("cc", "dd")
    case.fold(number.Announced(at=case.now, number=1, told=("cc",), failed={"dd": "http_503"}))
    case.fold(number.Announced(at=case.now, number=1, told=("dd",)))
    assert case.state.announcement is None


def test_who_cannot_be_told_is_on_record_after_days() -> None:
    case, rounds = cancelled(), 0
    start = case.now
    while (agenda := number.agenda(case.state, case.now)) and not agenda.give_up:
        if agenda.announce:
            rounds += 1
            case.fold(number.Announced(at=case.now, number=1, failed={"dd": "http_503"}))
        else:
            assert agenda.wake_at is not None
            case.now = agenda.wake_at
    assert rounds == number.ANNOUNCE_TRIES and 2 * DAY < case.now - start < 4 * DAY
    assert case.do(number.GiveUp()) == ["not_announced"]
    assert case.state.announcement is None and case.do(number.GiveUp()) == []


@pytest.mark.parametrize("what", [Fact.ACTIVATION, Fact.RESUMPTION, Fact.SUSPENSION])
def test_a_mistaken_cancellation_is_undone_before_the_batch(what: Fact) -> None:
    case = cancelled()
    assert case.hear(what, 17 * DAY - SECOND) == ["reported", "reinstated"]
    life = case.state.life
    assert (life.life, life.cancelled_at, life.activated_at) == (1, None, T0)
    assert case.status is (NumberStatus.SUSPENDED if what is Fact.SUSPENSION else NumberStatus.ACTIVE)
    assert case.state.announcement and case.state.announcement.notice is Notice.REINSTATED
    assert case.state.alarmed_at is None
    assert number.agenda(case.state, T0 + 40 * DAY).batch is False


@pytest.mark.parametrize(
    ("what", "when", "carrier"),
    [
        (Fact.ACTIVATION, 17 * DAY, CARRIER),
        (Fact.ACTIVATION, 12 * DAY, OTHER),
        (Fact.TRANSFER, 12 * DAY, CARRIER),
        (Fact.REISSUE, 12 * DAY, CARRIER),
        (Fact.REISSUE, 12 * DAY, OTHER),
    ],
)
def test_anything_else_of_a_cancelled_number_is_an_early_reissue(what: Fact, when: timedelta, carrier: str) -> None:
    case = cancelled()
    events = case.hear(what, when, carrier=carrier)
    assert "reissued_early" in events and "reinstated" not in events
    life = case.state.life
    assert (life.life, life.early, life.carrier) == (2, True, carrier)
    standing = number.standing(case.state)
    assert (standing.open, standing.waiting) == (True, Waiting.CASE_WORKER)
    case.do(casework.Note(actor=WORKER, note=PAPER))
    standing = number.standing(case.state)
    assert (standing.open, standing.waiting) == (False, Waiting.NOBODY)


def test_the_activation_of_a_released_number_is_its_reissue() -> None:
    case = released()
    assert case.hear(Fact.ACTIVATION, 101 * DAY) == ["reported", "reminder_due"]
    assert (case.state.life.life, case.status, case.state.life.early) == (2, NumberStatus.ACTIVE, False)
    assert case.hear(Fact.REISSUE, 101 * DAY + HOUR) == ["reported"], "said afterwards, it is the same one"
    assert (case.state.life.life, case.state.alarmed_at) == (2, None)
    assert "reissued_early" in case.hear(Fact.REISSUE, 102 * DAY), "but not a second time"


def test_a_mistake_that_comes_to_light_after_the_batch_began_withdraws_it() -> None:
    case = asked()
    assert case.do(fact(Fact.ACTIVATION, 12 * DAY)) == ["reported", "reinstated"]
    assert number.agenda(case.state, case.now).withdraw == (PART,)
    assert case.do(number.Withdrew(parts=(PART,))) == ["batch_withdrawn"]
    assert number.agenda(case.state, case.now).withdraw == ()
    case.do(fact(Fact.CANCELLATION, 13 * DAY))
    assert case.state.life.batch_at is None, "what was withdrawn does not count for the next cancellation"
    assert case.at(20 * DAY).do(StartBatch(apps=APPS)) == ["batch_started"]
    assert list(case.state.life.parts) == [f"{CASE}-unbind-1"]


# ── the batch ────────────────────────────────────────────────────────────────────────────────────────


def test_the_batch_begins_seven_days_after_the_cancellation_whatever_else_is_reported() -> None:
    case = cancelled()
    case.hear(Fact.FREEZE, 15 * DAY)
    agenda = number.agenda(case.state, T0 + 17 * DAY - SECOND)
    assert (agenda.batch, agenda.wake_at) == (False, T0 + 17 * DAY)
    assert case.at(17 * DAY - SECOND).do(StartBatch(apps=APPS)) == []
    assert case.at(17 * DAY).do(StartBatch(apps=APPS)) == ["batch_started"]
    started = case.events[-1]
    assert isinstance(started, number.BatchStarted)
    assert (started.boundary, dict(started.parts)) == (T0 + 10 * DAY, {PART: APPS})
    assert case.do(StartBatch(apps=APPS)) == []


def test_many_apps_are_cut_into_parts_and_no_app_is_an_answered_batch() -> None:
    case = cancelled().at(17 * DAY)
    many = tuple(f"app-{n}" for n in range(900))
    case.do(StartBatch(apps=many))
    assert [len(part) for part in case.state.life.parts.values()] == [300, 300, 300]
    assert case.state.parts == 3
    empty = cancelled().at(17 * DAY)
    assert empty.do(StartBatch(apps=())) == ["batch_started", "batch_renewed"]


def test_batch_renewed_when_the_last_overdue_answer_came() -> None:
    case = asked().at(22 * DAY)
    left = {"wechat": ItemState.UNBOUND, "qq": ItemState.OVERDUE, "taobao": ItemState.EXEMPT}
    assert case.answer(**left) == ["batch_reported"]
    assert number.unreported(case.state.life, case.state.outcomes) == 1
    assert case.answer(**left) == []
    assert case.answer(**{**left, "qq": ItemState.KEPT}) == ["batch_reported", "batch_renewed"]
    assert case.status is NumberStatus.BATCH_RENEWED
    assert case.answer(**{**left, "qq": ItemState.UNBOUND}) == ["batch_reported"], "an amendment"
    assert case.do(Hear(outcomes={f"{CASE}-unbind-7": {"qq": ItemState.KEPT}})) == [], "no part of this life"


# ── the release ──────────────────────────────────────────────────────────────────────────────────────


def test_day_89_and_day_90_to_the_second() -> None:
    case = renewed()
    case.now = T0 + 10 * DAY + FREEZE - SECOND
    refusal = case.refused(Release(carrier=CARRIER))
    assert refusal.code is RefusalCode.FREEZE_NOT_OVER and "2026-12-10 10:00:00" in refusal.sentence
    case.now += SECOND
    assert case.do(Release(carrier=CARRIER)) == ["number_released"]
    assert case.do(Release(carrier=CARRIER)) == [], "once"


def test_unreported_apps_hold_the_release_back() -> None:
    case = asked()
    case.answer(wechat=ItemState.UNBOUND, qq=ItemState.OVERDUE)
    refusal = case.at(101 * DAY).refused(Release(carrier=CARRIER))
    assert refusal.code is RefusalCode.ITEMS_UNREPORTED and refusal.sentence.startswith("2 of 3 apps")
    late = cancelled().at(101 * DAY).refused(Release(carrier=CARRIER))
    assert late.code is RefusalCode.ITEMS_UNREPORTED, "nobody was asked yet"


def test_a_supervisors_override_lets_the_next_release_pass_and_no_other() -> None:
    case = cancelled().at(12 * DAY)
    assert case.refused(number.Override(actor=WORKER, reason=PAPER)).code is RefusalCode.NOT_ALLOWED
    assert case.do(number.Override(actor=SUPERVISOR, reason=PAPER)) == ["overridden"]
    assert case.do(number.Override(actor=SUPERVISOR, reason=PAPER)) == []
    overridden = case.events[-1]
    assert isinstance(overridden, number.Overridden)
    assert (overridden.actor, overridden.reason) == (SUPERVISOR, PAPER)
    case.do(Release(carrier=CARRIER))
    released = case.events[-1]
    assert isinstance(released, number.Released) and released.overridden
    case.hear(Fact.REISSUE, 13 * DAY)
    assert case.state.alarmed_at is None
    case.hear(Fact.CANCELLATION, 14 * DAY)
    assert case.refused(Release(carrier=CARRIER)).code is RefusalCode.FREEZE_NOT_OVER


@pytest.mark.parametrize("make", [active, released])
def test_an_override_needs_something_to_override(make: object) -> None:
    case = make()  # type: ignore[operator]
    if case.status in GONE:
        assert case.do(number.Override(actor=SUPERVISOR, reason=PAPER)) == []
    else:
        refusal = case.refused(number.Override(actor=SUPERVISOR, reason=PAPER))
        assert refusal.code is RefusalCode.NOT_FROZEN


def test_only_its_own_carrier_releases_a_cancelled_number() -> None:
    assert renewed().at(101 * DAY).refused(Release(carrier=OTHER)).code is RefusalCode.UNKNOWN_NUMBER
    assert active().refused(Release(carrier=CARRIER)).code is RefusalCode.NOT_FROZEN


# ── case work ────────────────────────────────────────────────────────────────────────────────────────


def test_case_work_on_a_number() -> None:
    case = active()
    assert not number.standing(case.state).open, "numbers do not fill the queues"
    case.do(casework.Claim(actor=WORKER))
    assert number.standing(case.state).open
    case.do(casework.Release(actor=WORKER))
    case.do(casework.HandUp(actor=WORKER, reason=PAPER))
    standing = number.standing(case.state)
    assert (standing.open, standing.waiting) == (True, Waiting.CASE_WORKER)
    case.do(casework.Note(actor=SUPERVISOR, note=PAPER))
    assert not number.standing(case.state).open
    proposal = casework.Propose(actor=WORKER, what=casework.DecisionKind.REFUSE, reason=PAPER)
    assert case.refused(proposal).code is RefusalCode.NOT_ALLOWED
    merge = casework.Merge(actor=WORKER, into="N0000000000AB")
    assert case.refused(merge).code is RefusalCode.CANNOT_MERGE


def test_a_number_begins_with_its_opening() -> None:
    with pytest.raises(ValueError, match="Opened"):
        number.evolve(None, number.BatchRenewed(at=T0))


# ── any sequence ─────────────────────────────────────────────────────────────────────────────────────

outcomes = st.dictionaries(st.sampled_from(APPS), st.sampled_from(ItemState), max_size=3)
commands = st.one_of(
    facts,
    facts,
    st.just(StartBatch(apps=APPS)),
    st.builds(lambda n, said: Hear(outcomes={f"{CASE}-unbind-{n}": said}), st.integers(0, 2), outcomes),
    st.builds(Release, carrier=st.sampled_from([CARRIER, OTHER])),
    st.builds(number.Override, actor=st.sampled_from([SUPERVISOR, WORKER]), reason=st.just(PAPER)),
    st.just(number.Withdrew(parts=(PART,))),
    st.just(number.GiveUp()),
    st.just(casework.Claim(actor=WORKER)),
    st.just(casework.Note(actor=WORKER, note=PAPER)),
)
pauses = st.sampled_from([timedelta(0), HOUR, DAY, 7 * DAY, 30 * DAY])


@given(facts, st.lists(st.tuples(pauses, commands), max_size=25))
def test_any_sequence(first: Report, sequence: list[tuple[timedelta, Command]]) -> None:
    case = Number(first, at=T0 + 120 * DAY)
    for pause, command in sequence:
        case.now += pause
        before = case.state
        decision = number.decide(before, command, case.now)
        if isinstance(decision, Refusal):
            assert decision.sentence and decision.remedy
            continue
        case.fold(*decision)
        life = case.state.life
        assert life.gone == (life.cancelled_at is not None)
        assert life.gone or not (life.parts or life.released_at or life.overridden)
        assert case.state.outcomes.keys() <= {app for apps in life.parts.values() for app in apps}
        assert case.state.ended_at is None
        if life.status is NumberStatus.BATCH_RENEWED:
            assert life.batch_at is not None
        for event in decision:
            if isinstance(event, number.Released):
                assert before.life.overridden or (
                    case.now >= event.cancelled_at + FREEZE and number.unreported(before.life, before.outcomes) == 0
                )
        if not isinstance(command, casework.Note):
            again = number.decide(case.state, command, case.now)
            assert again == () or isinstance(again, Refusal)
    stored = [EVENTS.validate_json(event.model_dump_json(exclude_none=True)) for event in case.events]
    assert stored == case.events
    assert fold(number.evolve, stored) == case.state
    assert State.model_validate_json(case.state.model_dump_json(exclude_none=True)) == case.state


def test_every_status_and_word_is_in_the_table() -> None:
    words = {word for _, word in number.TRANSITIONS}
    assert words >= set(Fact) | {Mark.BATCH_RENEWED, "reinstatement"}
    assert set(number.TRANSITIONS.values()) == set(NumberStatus)
