"""Disputes: every rule by example, then command sequences of any kind against what must always hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import casework, dispute, question
from domain.case import Actor, ActorKind, CaseKind, Event, LinkKind, Told, fold
from domain.casework import DecisionKind, Waiting
from domain.dispute import (
    CLAIM_TRANSITIONS,
    EXPLANATIONS,
    OVER,
    Choose,
    Claim,
    ClaimReason,
    ClaimState,
    Conclude,
    DisputeStatus,
    Ground,
    Look,
    Report,
    Settle,
    Settlement,
    State,
    Submit,
    TakeUp,
    Unsolved,
    Wanted,
    Wish,
    Withdraw,
)
from domain.messages import Language, MessageKey, render
from domain.proof import Method, Proof
from domain.question import Account, Answering, DeclineReason, Detail, Heard, OwnCheck, Question, QuestionKind
from domain.refusal import Refusal, RefusalCode
from domain.registry import DisputePolicy
from domain.unbind import Choice, ItemState, Reason
from store.projection import PROJECTIONS
from tests.strategies import ACTIVATED, DAY, HOUR, SECOND, T0, pauses

EVENTS = PROJECTIONS[CaseKind.DISPUTE].events
CASE = "D0123456789AB"
PART, AGAIN = f"{CASE}-unbind-0", f"{CASE}-unbind-1"
INVESTIGATION = "X0123456789AB"
POLICY = DisputePolicy()
PROOF = Proof(
    check="K0123456789AB", method=Method.CODE_AND_ID_TAIL, carrier="carrier", activated_at=ACTIVATED, verified_at=T0
)
PAPER = "P0123456789AB"
CHEN = Actor(kind=ActorKind.CASE_WORKER, code="worker-chen")
LIN = Actor(kind=ActorKind.CASE_WORKER, code="worker-lin")
OWN = Account(ref="own", own=True, label=PAPER)
FORMER = Account(ref="former", own=False)
OWNERS = {"wechat": "tencent", "qq": "tencent", "taobao": "alibaba", "carrier-cards": "carrier"}


def wanted(app: str, **changed: object) -> Wanted:
    return Wanted(
        app=app,
        party=OWNERS[app],
        name=f"应用{app}",
        name_en=app,
        hotline="4006700700",
        reason=ClaimReason.NOT_MINE,
        **changed,  # type: ignore[arg-type]
    )


def submission(*apps: str, **changed: object) -> Submit:
    words = {"case": CASE, "channel": "mini-program", "masked_number": "138****8000", "identity": PROOF}
    return Submit(**{**words, "claims": tuple(wanted(app) for app in apps), **changed})  # type: ignore[arg-type]


def question_id(party: str) -> str:
    return "A" + party.upper().translate(str.maketrans("ILOU-", "11000")).ljust(20, "0")


class Dispute:
    """One dispute driven by hand: every event is folded and kept, and times only go on."""

    def __init__(self, *apps: str, **changed: object) -> None:
        decision = dispute.submit(submission(*(apps or ("wechat",)), **changed), T0, POLICY)
        assert not isinstance(decision, Refusal), decision
        self.events: list[Event] = list(decision)
        self.state = dispute.evolve(None, decision[0])
        self.now = T0

    def fold(self, *events: Event) -> Dispute:
        for event in events:
            self.state = dispute.evolve(self.state, event)
            self.events.append(event)
        return self

    def do(self, command: object, after: timedelta = HOUR) -> list[str]:
        """A command that is taken; the types of its events."""
        self.now += after
        decision = dispute.decide(self.state, command, self.now)  # type: ignore[arg-type]
        assert not isinstance(decision, Refusal), decision
        self.fold(*decision)
        return [event.type for event in decision]

    def refused(self, command: object) -> Refusal:
        """A command that is not."""
        decision = dispute.decide(self.state, command, self.now)  # type: ignore[arg-type]
        assert isinstance(decision, Refusal), decision
        assert decision.sentence and decision.remedy
        return decision

    def claim(self, app: str = "wechat") -> Claim:
        return self.state.claims[app]

    def states(self) -> dict[str, str]:
        return {app: claim.state.value for app, claim in self.state.claims.items()}

    # ── what others do ───────────────────────────────────────────────────────────────────────────────

    def asked(self, **failures: str) -> Dispute:
        """Every party was asked; nobody answered at once."""
        parties: dict[str, tuple[str, ...]] = {}
        for claim in self.state.claims.values():
            parties[claim.party] = (*parties.get(claim.party, ()), claim.app)
        questions = tuple(
            Question(
                id=question_id(party),
                kind=QuestionKind.DETAIL,
                party=party,
                apps=apps,
                asked_at=self.now,
                due_at=T0 + POLICY.detail_within,
                failure=failures.get(party, ""),
            )
            for party, apps in parties.items()
        )
        return self.fold(Heard(at=self.now, round="ask-1", questions=questions))

    def answer(self, party: str, answer: question.Answer) -> list[str]:
        return self.do(Answering(question=question_id(party), party=party, answer=answer))

    def detail(self, *accounts: Account, app: str = "wechat") -> list[str]:
        return self.answer(OWNERS[app], Detail(accounts={app: accounts or (OWN, FORMER)}))

    def choose(self, app: str = "wechat", **wishes: str) -> list[str]:
        wishes = wishes or {"own": "cancel", "former": "unbind"}
        return self.do(Choose(choices={app: {ref: Wish(wish) for ref, wish in wishes.items()}}))

    def report(self, outcome: ItemState, reason: Reason | None = None, part: str = PART) -> list[str]:
        apps = [claim.app for claim in self.state.claims.values() if claim.part == part] or ["wechat"]
        reasons = dict.fromkeys(apps, reason) if reason else {}
        return self.do(Report(part=part, outcomes=dict.fromkeys(apps, outcome), reasons=reasons))

    def told(self) -> list[str]:
        """What is owed is said; the keys, in order."""
        keys = [owed.key for owed in self.state.owed]
        for number, key in enumerate(keys):
            self.fold(Told(at=self.now, message=key.value, step=f"{key.value}-{number}", delivered=True))
        assert self.state.owed == ()
        return [key.value for key in keys]


def asking(*apps: str) -> Dispute:
    return Dispute(*apps).asked()


def choosing() -> Dispute:
    case = asking()
    case.detail()
    return case


def unbinding() -> Dispute:
    case = choosing()
    case.choose()
    return case


def at_hotline() -> Dispute:
    case = unbinding()
    case.report(ItemState.EXEMPT, Reason.LEGAL_HOLD)
    return case


def with_desk() -> Dispute:
    case = at_hotline()
    case.do(Unsolved(app="wechat"))
    return case


def claimed() -> Dispute:
    case = with_desk()
    case.do(casework.Claim(actor=CHEN))
    return case


def proposed(what: DecisionKind) -> Dispute:
    case = claimed()
    case.do(casework.Propose(actor=CHEN, what=what, about="wechat", reason=PAPER))
    return case


def investigating() -> Dispute:
    case = claimed()
    case.do(casework.Link(to=INVESTIGATION, how=LinkKind.LED_TO))
    return case


def silent() -> Dispute:
    case = choosing()
    case.do(Look(), POLICY.citizen_silent_after)
    return case


# ── opening ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_dispute_begins_with_its_claims_and_its_links() -> None:
    case = Dispute("wechat", "taobao", opened_from="C0123456789AB")
    assert case.states() == {"wechat": "asking_detail", "taobao": "asking_detail"}
    assert case.state.policy == POLICY and case.state.work.links == ("C0123456789AB",)
    assert case.told() == ["dispute_opened"]
    query = "Q0123456789AB"
    from_query = Dispute(claims=(wanted("wechat", query=query, counted=2), wanted("qq", query=query)))
    assert from_query.state.work.links == (query,)


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ((), RefusalCode.NOTHING_TO_DISPUTE),
        ((wanted("wechat", counted=0),), RefusalCode.NOTHING_TO_DISPUTE),
        ((wanted("wechat", counted=1), wanted("qq", counted=0)), RefusalCode.NOTHING_TO_DISPUTE),
        ((wanted("wechat"), wanted("wechat")), RefusalCode.MALFORMED),
        (tuple(wanted("wechat") for _ in range(201)), RefusalCode.TOO_MANY_APPS),
    ],
)
def test_what_submit_refuses(claims: tuple[Wanted, ...], code: RefusalCode) -> None:
    refusal = dispute.submit(submission(claims=claims), T0, POLICY)
    assert isinstance(refusal, Refusal) and refusal.code is code and refusal.field == "claims"


def test_no_answer_of_a_query_is_not_zero() -> None:
    """domain.md: no answer is never shown as 0, so it can be disputed."""
    assert Dispute(claims=(wanted("wechat", counted=None),)).states() == {"wechat": "asking_detail"}


def test_a_dispute_begins_with_opened() -> None:
    with pytest.raises(ValueError, match="Opened"):
        dispute.evolve(None, dispute.Closed(at=T0))


# ── the accounts ─────────────────────────────────────────────────────────────────────────────────────


def test_detail_comes_at_once() -> None:
    case = Dispute("wechat", "qq")
    answer = Detail(accounts={"wechat": (OWN,), "qq": ()})
    asked = Question(
        id=question_id("tencent"),
        kind=QuestionKind.DETAIL,
        party="tencent",
        apps=("wechat", "qq"),
        asked_at=T0,
        due_at=T0 + DAY,
        answer=answer,
        answered_at=T0,
    )
    case.fold(Heard(at=T0, round="ask-1", questions=(asked,)))
    assert case.do(Look()) == ["detail_given", "nothing_found"]
    assert case.states() == {"wechat": "choosing", "qq": "done"}
    assert case.claim("qq").outcome is ItemState.NOT_FOUND
    assert case.do(Look()) == []
    assert case.told() == ["dispute_opened", "dispute_choose"]


def test_own_check() -> None:
    """An enterprise may send the citizen through its own identity check first; that is the citizen's turn."""
    case = asking()
    assert case.answer("tencent", OwnCheck(link=PAPER)) == ["party_answered", "own_check_wanted"]
    assert dispute.standing(case.state).waiting is Waiting.CITIZEN
    refusal = case.refused(Choose(choices={"wechat": {"own": Wish.KEEP}}))
    assert refusal.code is RefusalCode.DETAIL_MISSING
    assert case.do(Look(), 3 * DAY) == ["reminded"]
    assert case.detail() == ["party_answered", "detail_given"]
    assert case.claim().reminded == 0
    assert case.told() == ["dispute_opened", "dispute_own_check", "dispute_remind", "dispute_choose"]


@pytest.mark.parametrize("reason", DeclineReason)
def test_a_party_that_declines_says_why(reason: DeclineReason) -> None:
    case = asking()
    assert case.answer("tencent", question.Declined(reason=reason)) == [
        "party_answered",
        "party_refused",
        "hotline_given",
    ]
    assert case.claim().ground == reason.value and case.claim().outcome is None
    assert case.do(Look()) == []


def test_a_party_that_is_silent_is_overdue_and_its_late_detail_still_counts() -> None:
    case = asking()
    assert case.do(Look(), POLICY.detail_within - SECOND) == []
    assert case.do(Look(), SECOND) == ["unanswered", "hotline_given", "desk_asked"]
    assert case.states() == {"wechat": "with_case_worker"}
    assert case.state.work.due_at == case.now + POLICY.handle_within
    assert case.detail() == ["party_answered", "detail_given"]
    assert case.states() == {"wechat": "choosing"} and case.state.work.due_at is None


def test_an_app_left_out_of_the_detail_has_no_answer() -> None:
    case = asking("wechat", "qq")
    assert "unanswered" in case.detail(app="wechat")
    assert case.states() == {"wechat": "choosing", "qq": "with_case_worker"}


def test_who_could_not_be_reached_is_asked_again_and_nobody_else() -> None:
    case = Dispute("wechat", "taobao")
    assert dict(dispute.agenda(case.state, T0).ask) == {"tencent": ("wechat",), "alibaba": ("taobao",)}
    case.asked(alibaba="http_503")
    agenda = dispute.agenda(case.state, T0)
    assert agenda.ask == {} and agenda.wake_at == T0 + timedelta(minutes=5)
    assert dict(dispute.agenda(case.state, agenda.wake_at).ask) == {"alibaba": ("taobao",)}
    case.answer("alibaba", OwnCheck(link=PAPER))
    assert dispute.agenda(case.state, agenda.wake_at).ask == {}


# ── choosing ─────────────────────────────────────────────────────────────────────────────────────────


def test_no_takeover() -> None:
    """A new holder may unbind a former holder's account, never see or cancel it (domain.md)."""
    case = choosing()
    for wish in (Wish.CANCEL, Wish.KEEP):
        refusal = case.refused(Choose(choices={"wechat": {"own": Wish.KEEP, "former": wish}}))
        assert refusal.code is RefusalCode.FORMER_HOLDERS
    assert case.choose(own="keep", former="unbind") == ["chosen"]
    (asked,) = case.state.rounds
    assert asked.part == PART and dict(asked.choices) == {"wechat": (Choice(ref="former", action="unbind"),)}


@pytest.mark.parametrize(
    ("choices", "code"),
    [
        ({"taobao": {"own": Wish.KEEP}}, RefusalCode.UNKNOWN_APP),
        ({"wechat": {"own": Wish.KEEP, "other": Wish.KEEP, "former": Wish.UNBIND}}, RefusalCode.UNKNOWN_ACCOUNT),
        ({"wechat": {"own": Wish.KEEP}}, RefusalCode.MALFORMED),
        ({"wechat": {}}, RefusalCode.MALFORMED),
    ],
)
def test_every_account_is_chosen_for_and_none_is_made_up(
    choices: Mapping[str, Mapping[str, Wish]], code: RefusalCode
) -> None:
    case = choosing()
    before = case.state
    assert case.refused(Choose(choices=choices)).code is code
    assert case.state == before


def test_only_keeping_is_done_at_once() -> None:
    case = asking("wechat", "qq")
    case.answer("tencent", Detail(accounts={"wechat": (OWN,), "qq": (OWN,)}))
    both = Choose(choices={"wechat": {"own": Wish.KEEP}, "qq": {"own": Wish.UNBIND}})
    assert case.do(both) == ["all_kept", "chosen"]
    assert case.states() == {"wechat": "done", "qq": "unbinding"}
    assert case.claim().outcome is ItemState.KEPT
    assert case.do(both) == []


def test_all_kept_ends_the_dispute() -> None:
    case = asking()
    case.detail(OWN)
    assert case.choose(own="keep") == ["all_kept", "closed"]
    assert case.state.ended_at == case.now
    assert dispute.ending(case.state) is dispute.Ending.SOLVED


def test_choosing_out_of_turn() -> None:
    case = unbinding()
    assert case.choose() == []  # the same once more
    other = Choose(choices={"wechat": {"own": Wish.KEEP, "former": Wish.UNBIND}})
    assert case.refused(other).code is RefusalCode.NOT_YOUR_TURN
    assert asking().refused(other).code is RefusalCode.DETAIL_MISSING


# ── what the enterprises answer ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("outcome", [ItemState.UNBOUND, ItemState.CANCELLED, ItemState.NOT_FOUND, ItemState.KEPT])
def test_done(outcome: ItemState) -> None:
    case = unbinding()
    assert case.report(outcome) == ["solved", "closed"]
    assert case.states() == {"wechat": "done"} and case.claim().outcome is outcome
    assert case.report(outcome) == []
    assert case.told() == ["dispute_opened", "dispute_choose", "dispute_closed"]


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (ItemState.EXEMPT, Reason.LEGAL_HOLD),
        (ItemState.EXEMPT, Reason.FUNDS_REMAIN),
        (ItemState.REJECTED, Reason.DATA_INCOMPLETE),
    ],
)
def test_exempt(outcome: ItemState, reason: Reason) -> None:
    """A refusal is told with its reason, its law and a remedy, and points to the hotline."""
    case = unbinding()
    case.told()
    assert case.report(outcome, reason) == ["party_refused", "hotline_given"]
    assert case.states() == {"wechat": "hotline"} and case.claim().ground == reason.value
    assert dispute.standing(case.state).waiting is Waiting.CITIZEN
    why = dispute.explanation(case.claim(), Language.ZH)
    assert why is not None and why.law and why.remedy
    (owed,) = case.state.owed
    text = render(dispute.message(case.state, owed))
    assert why.short in text and "4006700700" in text and CASE in text
    assert case.report(outcome, reason) == []


def test_a_refusal_taken_back_is_done() -> None:
    case = at_hotline()
    assert case.report(ItemState.UNBOUND) == ["solved", "closed"]
    assert case.claim().ground is None


def test_overdue_and_late_success() -> None:
    case = unbinding()
    case.told()
    assert case.report(ItemState.OVERDUE) == ["unanswered", "hotline_given", "desk_asked"]
    assert case.told() == ["dispute_hotline"]
    assert dispute.standing(case.state).waiting is Waiting.CASE_WORKER
    assert case.report(ItemState.OVERDUE) == []
    assert case.report(ItemState.UNBOUND) == ["solved", "closed"]
    assert case.states() == {"wechat": "done"}


def test_overdue_and_late_refusal_is_told_and_stays_with_the_case_worker() -> None:
    case = unbinding()
    case.report(ItemState.OVERDUE)
    case.told()
    assert case.report(ItemState.REJECTED, Reason.OUT_OF_SCOPE) == ["party_refused"]
    assert case.states() == {"wechat": "with_case_worker"}
    assert case.told() == ["dispute_refused"]


def test_one_result_is_not_held_back_by_another() -> None:
    case = asking("wechat", "taobao")
    case.detail(OWN)
    case.answer("alibaba", Detail(accounts={"taobao": (OWN,)}))
    case.do(Choose(choices={app: {"own": Wish.UNBIND} for app in ("wechat", "taobao")}))
    outcomes = {"wechat": ItemState.UNBOUND, "taobao": ItemState.DELIVERED}
    assert case.do(Report(part=PART, outcomes=outcomes)) == ["solved"]
    assert case.states() == {"wechat": "done", "taobao": "unbinding"}


def test_an_enterprise_that_takes_its_word_back_opens_the_dispute_again() -> None:
    case = unbinding()
    case.report(ItemState.UNBOUND)
    assert case.report(ItemState.REJECTED, Reason.TOKEN_UNKNOWN) == [
        "reopened_by_amendment",
        "party_refused",
        "hotline_given",
    ]
    assert case.state.status is DisputeStatus.OPEN and case.state.ended_at is None


# ── hotline, case worker, two people ─────────────────────────────────────────────────────────────────


def test_silence_at_the_hotline_means_solved_there() -> None:
    case = at_hotline()
    assert case.do(Look(), POLICY.citizen_silent_after - SECOND) == []
    assert case.do(Look(), SECOND) == ["lapsed", "closed"]
    assert dispute.tally(case.state) == {"refused": 1}


def test_unsolved_goes_to_a_case_worker() -> None:
    case = at_hotline()
    assert case.do(Unsolved(app="wechat")) == ["desk_asked"]
    assert case.do(Unsolved(app="wechat")) == []
    assert case.state.work.due_at == case.now - HOUR + POLICY.handle_within
    assert case.refused(Unsolved(app="qq")).code is RefusalCode.UNKNOWN_APP
    assert choosing().refused(Unsolved(app="wechat")).code is RefusalCode.NOT_YOUR_TURN


def test_a_case_worker_settles_by_telephone() -> None:
    case = with_desk()
    settle = Settle(actor=CHEN, app="wechat", settlement=Settlement.SOLVED, reason=PAPER)
    assert case.refused(settle).code is RefusalCode.NOT_CLAIMED
    case.do(casework.Claim(actor=CHEN))
    for alone in (Settlement.REFUSED, Settlement.IN_FAVOUR, Settlement.INVESTIGATED):
        refusal = case.refused(settle.model_copy(update={"settlement": alone}))
        assert refusal.code is RefusalCode.NOT_ALLOWED
    citizen = settle.model_copy(update={"actor": Actor(kind=ActorKind.CITIZEN)})
    assert case.refused(citizen).code is RefusalCode.NOT_ALLOWED
    assert case.do(settle) == ["settled", "closed"]
    assert case.do(settle) == []
    assert dispute.tally(case.state) == {"solved": 1}


def test_two_people_refuse() -> None:
    case = proposed(DecisionKind.REFUSE)
    assert case.refused(casework.Approve(actor=CHEN)).code is RefusalCode.SAME_PERSON
    assert case.do(casework.Approve(actor=LIN)) == ["approved", "settled", "closed"]
    assert case.claim().settlement is Settlement.REFUSED
    assert dispute.ending(case.state) is dispute.Ending.NOT_SOLVED


def test_two_people_override_and_the_enterprise_is_asked_again() -> None:
    case = proposed(DecisionKind.OVERRIDE)
    assert case.do(casework.Approve(actor=LIN)) == ["approved", "unbinding_again"]
    assert case.states() == {"wechat": "unbinding"}
    assert [one.part for one in case.state.rounds] == [PART, AGAIN]
    assert case.state.rounds[0].choices == case.state.rounds[1].choices
    assert case.report(ItemState.UNBOUND, part=PART) == [], "what the old request says counts no more"
    assert case.report(ItemState.CANCELLED, part=AGAIN) == ["solved", "closed"]


def test_override_without_a_choice_is_settled_in_favour() -> None:
    case = asking()
    case.answer("tencent", question.Declined(reason=DeclineReason.OUT_OF_SCOPE))
    case.do(Unsolved(app="wechat"))
    case.do(casework.Claim(actor=CHEN))
    case.do(casework.Propose(actor=CHEN, what=DecisionKind.OVERRIDE, about="wechat", reason=PAPER))
    assert case.do(casework.Approve(actor=LIN)) == ["approved", "settled", "closed"]
    assert case.claim().settlement is Settlement.IN_FAVOUR


def test_what_cannot_be_proposed() -> None:
    def propose(about: str, what: DecisionKind = DecisionKind.REFUSE) -> casework.Propose:
        return casework.Propose(actor=CHEN, what=what, about=about, reason=PAPER)

    case = claimed()
    assert case.refused(propose("wechat", DecisionKind.CONCLUDE)).code is RefusalCode.NOT_ALLOWED
    assert case.refused(propose("")).code is RefusalCode.UNKNOWN_APP
    assert at_hotline().refused(propose("wechat")).code is RefusalCode.NOT_YOUR_TURN


def test_a_decision_that_comes_too_late_changes_no_claim() -> None:
    case = unbinding()
    case.report(ItemState.OVERDUE)
    case.do(casework.Claim(actor=CHEN))
    case.do(casework.Propose(actor=CHEN, what=DecisionKind.REFUSE, about="wechat", reason=PAPER))
    case.report(ItemState.UNBOUND)
    assert case.state.status is DisputeStatus.CLOSED and case.state.work.proposal is None


def test_an_investigation_settles_what_led_to_it() -> None:
    case = investigating()
    assert case.states() == {"wechat": "investigating"}
    assert dispute.standing(case.state).waiting is Waiting.PARTY
    assert case.do(Conclude(investigation="X9999999999AB", outcome="citizen_right")) == []
    assert case.do(Conclude(investigation=INVESTIGATION, outcome="citizen_right")) == ["settled", "closed"]
    assert (case.claim().settlement, case.claim().conclusion) == (Settlement.INVESTIGATED, "citizen_right")


def test_an_investigation_that_goes_on_in_another_gives_the_claims_back() -> None:
    case = investigating()
    assert case.do(Conclude(investigation=INVESTIGATION, outcome="merged")) == ["desk_asked"]
    assert case.states() == {"wechat": "with_case_worker"}


def test_another_link_changes_no_claim() -> None:
    case = claimed()
    assert case.do(casework.Link(to="C0123456789AB", how=LinkKind.LED_TO)) == ["linked"]
    assert case.do(casework.Link(to=INVESTIGATION, how=LinkKind.OPENED_FROM)) == ["linked"]


# ── silence, withdrawal, reopening, merging, pausing ─────────────────────────────────────────────────


def test_a_silent_citizen_is_reminded_twice_then_given_up() -> None:
    case = choosing()
    assert case.do(Look(), 3 * DAY - SECOND) == []
    assert case.do(Look(), SECOND) == ["reminded"]
    assert case.do(Look(), SECOND) == []
    assert case.do(Look(), 4 * DAY) == ["reminded"]
    assert case.do(Look(), 7 * DAY - SECOND) == ["lapsed", "closed"]
    assert case.told()[-1] == "dispute_silent"
    assert case.told() == []


def test_reminders_missed_while_nobody_was_there_are_one() -> None:
    case = choosing()
    assert case.do(Look(), 8 * DAY) == ["reminded"]
    assert case.claim().reminded == 2


def test_a_silent_citizen_may_go_on_within_thirty_days() -> None:
    case = silent()
    closed_at = case.now
    assert case.do(TakeUp(), 30 * DAY - SECOND) == ["reopened_by_citizen", "detail_given"]
    assert case.claim().since == closed_at + 30 * DAY - SECOND, "a new turn"
    assert case.do(TakeUp()) == []
    case = silent()
    case.now += 30 * DAY
    assert case.refused(TakeUp()).code is RefusalCode.TOO_LATE_TO_REOPEN


def test_a_case_worker_reopens() -> None:
    case = silent()
    assert case.do(casework.Reopen(actor=CHEN, reason=PAPER)) == ["reopened", "detail_given"]
    case = unbinding()
    case.report(ItemState.UNBOUND)
    assert case.do(casework.Reopen(actor=CHEN, reason=PAPER)) == ["reopened", "desk_asked"]
    assert case.states() == {"wechat": "with_case_worker"} and case.state.ended_at is None


def test_what_goes_on_goes_on_where_it_was() -> None:
    case = asking("wechat", "taobao", "carrier-cards")
    case.answer("tencent", OwnCheck(link=PAPER))
    case.answer("alibaba", Detail(accounts={"taobao": (OWN,)}))
    case.do(Withdraw())
    assert case.state.status is DisputeStatus.WITHDRAWN
    case.do(TakeUp())
    assert case.states() == {"wechat": "own_check", "taobao": "choosing", "carrier-cards": "asking_detail"}
    case = at_hotline()
    case.do(Look(), 14 * DAY)
    case.do(TakeUp())
    assert case.states() == {"wechat": "hotline"}


def test_detail_that_came_after_the_close_is_there_when_it_goes_on() -> None:
    case = asking()
    case.answer("tencent", OwnCheck(link=PAPER))
    case.do(Look(), 14 * DAY)
    assert case.detail() == ["party_answered"]
    assert case.do(TakeUp()) == ["reopened_by_citizen", "detail_given"]


def test_withdrawal_before_acknowledgement() -> None:
    case = asking("wechat", "taobao")
    case.detail(OWN)
    case.choose(own="unbind")
    assert case.do(Withdraw()) == ["withdrawal_asked", "claims_withdrawn"]
    assert case.states() == {"wechat": "unbinding", "taobao": "withdrawn"}
    assert case.do(Withdraw()) == []
    assert case.report(ItemState.WITHDRAWN) == ["claims_withdrawn", "withdrawn"]
    assert case.state.status is DisputeStatus.WITHDRAWN
    assert dispute.ending(case.state) is dispute.Ending.WITHDRAWN
    assert case.do(Withdraw()) == []


def test_withdrawal_too_late() -> None:
    assert investigating().refused(Withdraw()).code is RefusalCode.TOO_LATE_TO_WITHDRAW
    case = unbinding()
    case.do(Withdraw())
    assert case.report(ItemState.UNBOUND) == ["solved", "closed"]
    assert case.refused(Withdraw()).code is RefusalCode.TOO_LATE_TO_WITHDRAW


def test_merging_ends_the_claims_without_a_word_and_reopening_brings_them_back() -> None:
    case = claimed()
    case.told()
    merge = casework.Merge(actor=CHEN, into="D9999999999AB")
    assert case.do(merge) == ["linked", "merged", "lapsed"]
    assert case.state.status is DisputeStatus.CLOSED and case.state.owed == ()
    assert case.refused(TakeUp()).code is RefusalCode.CASE_CLOSED
    assert case.do(casework.Reopen(actor=CHEN, reason=PAPER)) == ["reopened", "hotline_given"]


def test_paused_clock() -> None:
    case = choosing()
    case.do(casework.Pause(actor=CHEN, reason=PAPER), DAY)
    assert dispute.agenda(case.state, case.now).wake_at is None
    assert case.do(Look(), 20 * DAY) == []
    case.do(casework.Resume(actor=CHEN), timedelta(0))
    assert case.do(Look(), 2 * DAY - SECOND) == []
    assert case.do(Look(), SECOND) == ["reminded"]
    assert case.do(Look(), 11 * DAY) == ["lapsed", "closed"]


def test_a_turn_that_began_while_paused_is_not_shortened() -> None:
    case = asking()
    case.do(casework.Pause(actor=CHEN, reason=PAPER), DAY)
    case.detail()
    case.do(casework.Resume(actor=CHEN), 10 * DAY)
    assert case.claim().since == case.now


def test_a_card_dispute_is_a_claim_like_any_other() -> None:
    case = asking("carrier-cards")
    case.detail(OWN, app="carrier-cards")
    case.choose("carrier-cards", own="cancel")
    assert dict(case.state.rounds[0].choices) == {"carrier-cards": (Choice(ref="own", action="cancel"),)}


# ── what the citizen reads ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("ground", Ground)
@pytest.mark.parametrize("language", Language)
def test_every_refusal_is_explained(ground: Ground, language: Language) -> None:
    why = EXPLANATIONS[ground][language]
    assert why.short and why.reason and why.law and why.remedy


def test_every_reason_of_an_enterprise_has_a_ground() -> None:
    from domain.dispute.grounds import of_decline, of_reason

    refusing = [r for o in ("exempt", "rejected") for r in dispute_reasons(o)]
    assert all(of_reason(reason) == reason.value for reason in refusing)
    assert all(of_decline(reason) == reason.value for reason in DeclineReason)


def dispute_reasons(outcome: str) -> list[Reason]:
    from domain.unbind import REASONS, Outcome

    return sorted(REASONS[Outcome(outcome)])


KEYS = [key for key in MessageKey if key.value.startswith("dispute_")]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("language", Language)
def test_every_message_fits_one_short_message(key: MessageKey, language: Language) -> None:
    """Seventy characters of UCS-2, with the words a usual case has; English may take two of 153."""
    claims = (wanted("wechat").model_copy(update={"name": "微信", "name_en": "WeChat"}),)
    case = Dispute(claims=claims, language=language)
    case.asked().detail()
    case.choose()
    case.report(ItemState.REJECTED, Reason.DATA_INCOMPLETE)
    text = render(dispute.message(case.state, dispute.Owed(number=9, key=key, apps=("wechat",))))
    assert CASE in text and "{" not in text
    assert len(text) <= (70 if language is Language.ZH else 200), text


def test_many_apps_are_counted_not_listed() -> None:
    case = Dispute("wechat", "qq", "taobao")
    assert dispute.message(case.state, case.state.owed[0]).words["apps"] == "应用wechat、应用qq等3项"
    case = Dispute("wechat", "qq", "taobao", language=Language.EN)
    assert dispute.message(case.state, case.state.owed[0]).words["apps"] == "wechat, qq and 1 more"


def test_what_comes_next_is_said_for_every_state() -> None:
    for state in ClaimState:
        assert all(dispute.NEXT[state][language] for language in Language)


# ── any sequence ─────────────────────────────────────────────────────────────────────────────────────

APPS = ("wechat", "qq", "taobao")
ACCOUNTS = [(), (OWN,), (FORMER,), (OWN, FORMER)]
details = st.dictionaries(st.sampled_from(APPS), st.sampled_from(ACCOUNTS), max_size=2)
party_answers = st.one_of(
    st.just(OwnCheck(link=PAPER)),
    st.builds(question.Declined, reason=st.sampled_from(DeclineReason)),
    details.map(lambda accounts: Detail(accounts=accounts)),
)
wishes = st.dictionaries(st.sampled_from(["own", "former", "other"]), st.sampled_from(Wish), max_size=2)
staff = st.sampled_from([CHEN, LIN])
apps = st.sampled_from(APPS)
commands = st.one_of(
    st.builds(
        lambda party, answer: Answering(question=question_id(party), party=party, answer=answer),
        st.sampled_from(["tencent", "alibaba"]),
        party_answers,
    ),
    st.builds(Choose, choices=st.dictionaries(apps, wishes, min_size=1, max_size=2)),
    st.builds(
        Choose,
        choices=st.dictionaries(
            apps, st.sampled_from([{"own": Wish.CANCEL, "former": Wish.UNBIND}, {"own": Wish.KEEP}]), min_size=1
        ),
    ),
    st.builds(
        Report,
        part=st.sampled_from([PART, AGAIN]),
        outcomes=st.dictionaries(apps, st.sampled_from(ItemState), min_size=1),
        reasons=st.dictionaries(apps, st.sampled_from([Reason.LEGAL_HOLD, Reason.OUT_OF_SCOPE])),
    ),
    st.builds(Unsolved, app=apps),
    st.sampled_from([Withdraw(), TakeUp(), Look(), Look()]),
    st.builds(Settle, actor=staff, app=apps, settlement=st.sampled_from(Settlement), reason=st.just(PAPER)),
    st.builds(casework.Claim, actor=staff),
    st.builds(casework.Release, actor=staff),
    st.builds(casework.Pause, actor=staff, reason=st.just(PAPER)),
    st.builds(casework.Resume, actor=staff),
    st.builds(casework.Propose, actor=staff, what=st.sampled_from(DecisionKind), about=apps, reason=st.just(PAPER)),
    st.builds(casework.Approve, actor=staff),
    st.builds(casework.Reject, actor=staff),
    st.builds(casework.Reopen, actor=staff, reason=st.just(PAPER)),
    st.builds(casework.Merge, actor=staff, into=st.just("D9999999999AB")),
    st.builds(casework.Link, to=st.just(INVESTIGATION), how=st.just(LinkKind.LED_TO)),
    st.builds(Conclude, investigation=st.just(INVESTIGATION), outcome=st.sampled_from(["citizen_right", "merged"])),
)
steps = st.lists(st.tuples(pauses, commands | st.sampled_from(["tell", "wait"])), max_size=40)


def holds(state: State, now: datetime) -> None:
    """What is true of a dispute at any time after it was looked at."""
    over = all(claim.state in OVER for claim in state.claims.values())
    assert (state.status is not DisputeStatus.OPEN) == over == (state.ended_at is not None)
    assert state.work.due_at is None or any(c.state is ClaimState.WITH_CASE_WORKER for c in state.claims.values())
    for claim in state.claims.values():
        assert claim.state not in (ClaimState.REFUSED, ClaimState.OVERDUE), "both lead on in the same breath"
        assert claim.since <= now
        if claim.state is ClaimState.CHOOSING:
            assert state.accounts_of(claim)
        if claim.state is ClaimState.UNBINDING:
            assert claim.part in [one.part for one in state.rounds]
        if claim.state is ClaimState.SETTLED:
            assert claim.settlement is not None
        if claim.state is ClaimState.INVESTIGATING:
            assert claim.investigation in state.work.links
        former = {one.ref for one in state.accounts_of(claim) or () if not one.own}
        assert all(claim.choices.get(ref, Wish.UNBIND) is Wish.UNBIND for ref in former), "no takeover"
    for one in state.rounds:
        assert all(one.choices.values())
    assert [one.part for one in state.rounds] == [f"{CASE}-unbind-{n}" for n in range(len(state.rounds))]
    numbers = [owed.number for owed in state.owed]
    assert numbers == sorted(set(numbers)) and all(number < state.messages for number in numbers)
    waiting = dispute.standing(state).waiting
    assert (waiting is Waiting.NOBODY) == over


def three() -> Dispute:
    """One claim each chooses, is with an enterprise, and has not been answered."""
    case = asking(*APPS)
    case.answer("tencent", Detail(accounts={"wechat": (OWN, FORMER), "qq": (OWN,)}))
    case.choose()
    return case


STARTS = [lambda: asking(*APPS), three, choosing, unbinding, at_hotline, claimed, investigating, silent]


@given(st.sampled_from(STARTS), steps)
def test_any_sequence(start: Callable[[], Dispute], sequence: list[tuple[timedelta, object]]) -> None:
    case = start()
    for pause, step in sequence:
        case.now += pause
        if step == "tell":
            case.told()
            continue
        if step == "wait":
            wake_at = dispute.agenda(case.state, case.now).wake_at
            case.now = max(case.now, wake_at) if wake_at else case.now
            step = Look()
        before = case.state
        decision = dispute.decide(before, step, case.now)  # type: ignore[arg-type]
        if isinstance(decision, Refusal):
            assert decision.sentence and decision.remedy
            continue
        for event in decision:
            was = case.state
            case.fold(event)
            for app, claim in case.state.claims.items():
                old = was.claims[app].state
                assert claim.state is old or CLAIM_TRANSITIONS[(old, event.type)] is claim.state
        holds(case.state, case.now)
        if isinstance(step, Choose | Look | Report | Withdraw | TakeUp | Unsolved | Settle | Conclude | Answering):
            again = dispute.decide(case.state, step, case.now)
            assert isinstance(again, Refusal) or again == (), "a repetition changes nothing"
        if case.state.ended_at is None:
            case.do(Look(), timedelta(0))
            holds(case.state, case.now)
            agenda = dispute.agenda(case.state, case.now)
            assert agenda.wake_at is None or agenda.wake_at > case.now
    stored = [EVENTS.validate_json(event.model_dump_json(exclude_none=True)) for event in case.events]
    assert stored == case.events
    assert fold(dispute.evolve, stored) == case.state
    assert State.model_validate_json(case.state.model_dump_json(exclude_none=True)) == case.state
