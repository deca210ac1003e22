"""Identity checks: the code's limits to the second, what carriers may say, what a proof is good for, any sequence."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import identity
from domain.case import Actor, ActorKind, CaseKind, Event, fold
from domain.identity import (
    ENDED,
    TRANSITIONS,
    Attest,
    Command,
    Cool,
    Due,
    Expire,
    Follow,
    Hear,
    HolderVerdict,
    IdentityStatus,
    Resend,
    Spend,
    State,
    Try,
)
from domain.messages import TEXTS, Language, MessageKey
from domain.proof import Method, Purpose
from domain.refusal import Refusal, RefusalCode
from domain.registry import IdentityPolicy, load
from store.projection import PROJECTIONS
from tests.strategies import ACTIVATED, DAY, HOUR, SECOND, T0

EVENTS = PROJECTIONS[CaseKind.IDENTITY].events
POLICY = IdentityPolicy()
MINUTE = timedelta(minutes=1)
CHECK, CASE, OTHER = "K0123456789AB", "Q0123456789AB", "Q0000000000ZZ"
CHANNEL = Actor(kind=ActorKind.CHANNEL, code="mini-program")
WORKER = Actor(kind=ActorKind.CASE_WORKER, code="worker-chen")
SUPERVISOR = Actor(kind=ActorKind.SUPERVISOR, code="supervisor-wu")
TENCENT = Actor(kind=ActorKind.ENTERPRISE, code="tencent")
BAIDU = Actor(kind=ActorKind.ENTERPRISE, code="baidu")
CARRIER = "china-mobile"
MATCH = Hear(answers={CARRIER: HolderVerdict.MATCH}, activated_at={CARRIER: ACTIVATED}, everybody=True)
NO_MATCH = Hear(answers={CARRIER: HolderVerdict.MISMATCH}, everybody=True)
NOBODY = Hear(answers={}, everybody=False, give_up=True)


def wish(**changed: object) -> identity.Open:
    plain = identity.Open(
        case=CHECK, channel="mini-program", number="138****8000", purpose=Purpose.QUERY, actor=CHANNEL
    )
    return plain.model_copy(update=changed)


class Check:
    """One check driven by hand."""

    def __init__(self, **changed: object) -> None:
        first = identity.open_check(wish(**changed), T0, POLICY)
        assert isinstance(first, identity.Opened), first
        self.events: list[Event] = [first]
        self.state: State = identity.evolve(None, first)

    def fold(self, *events: Event) -> Check:
        for event in events:
            self.state = identity.evolve(self.state, event)
            self.events.append(event)
        return self

    def do(self, command: Command, at: timedelta = SECOND) -> list[str]:
        """A command that is taken; the types of its events."""
        decision = identity.decide(self.state, command, T0 + at)
        assert not isinstance(decision, Refusal), decision
        self.fold(*decision)
        return [event.type for event in decision]

    def refused(self, command: Command, at: timedelta = SECOND) -> RefusalCode:
        """A command that is not."""
        decision = identity.decide(self.state, command, T0 + at)
        assert isinstance(decision, Refusal), decision
        assert decision.sentence and decision.remedy
        return decision.code


def sent(at: timedelta = timedelta(0), serial: int = 1) -> Event:
    return identity.CodeSent(at=T0 + at, serial=serial)


def opened() -> Check:
    return Check()


def code_sent(**how: object) -> Check:
    return Check(**how).fold(sent())


def confirming(**how: object) -> Check:
    check = code_sent(**how)
    check.do(Try(right=True))
    return check


def after(*commands: Command, **how: object) -> Check:
    check = confirming(**how)
    for command in commands:
        check.do(command)
    return check


def verified(**how: object) -> Check:
    return after(MATCH, **how)


def locked() -> Check:
    check = code_sent()
    for _ in range(POLICY.tries):
        check.do(Try(right=False))
    return check


def expired() -> Check:
    check = code_sent()
    check.do(Expire(), 5 * MINUTE)
    return check


def attested(matched: bool = True, **how: object) -> Check:
    check = Check(**{"method": Method.COUNTER, **how})
    check.do(Attest(actor=WORKER, matched=matched))
    return check


IN_STATUS: dict[IdentityStatus, Callable[[], Check]] = {
    IdentityStatus.OPENED: opened,
    IdentityStatus.CODE_SENT: code_sent,
    IdentityStatus.CONFIRMING: confirming,
    IdentityStatus.VERIFIED: verified,
    IdentityStatus.EXPIRED: expired,
    IdentityStatus.LOCKED: locked,
    IdentityStatus.NOT_ATTESTED: lambda: attested(matched=False),
    IdentityStatus.MISMATCH: lambda: after(NO_MATCH),
    IdentityStatus.COOLING_DOWN: lambda: after(Cool(free_at=T0 + HOUR)),
    IdentityStatus.CANCELLED_NUMBER: lambda: after(Hear(answers={CARRIER: HolderVerdict.CANCELLED}, everybody=True)),
    IdentityStatus.UNCONFIRMED: lambda: after(NOBODY),
}


@pytest.mark.parametrize("status", IdentityStatus)
def test_every_status_can_be_reached(status: IdentityStatus) -> None:
    state = IN_STATUS[status]().state
    assert state.status is status
    assert (state.ended_at is not None) == (status in ENDED)
    assert (identity.due(state) is None) == (status in ENDED)


# ── opening ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("method", "attester"),
    [(Method.ENTERPRISE, None), (Method.COUNTER, "tencent"), (Method.CODE_AND_ID_TAIL, "tencent")],
)
def test_only_an_enterprises_check_names_one(method: Method, attester: str | None) -> None:
    refusal = identity.open_check(wish(method=method, attester=attester), T0, POLICY)
    assert isinstance(refusal, Refusal) and (refusal.code, refusal.field) == (RefusalCode.MALFORMED, "enterprise")


def test_a_code_is_due_at_once_and_waits_five_minutes() -> None:
    state = opened().state
    assert (identity.due(state), state.expires_at) == (Due.SEND, T0 + 5 * MINUTE)
    state = Check(method=Method.COUNTER).state
    assert (identity.due(state), state.expires_at) == (Due.WAIT, T0 + DAY)


def test_a_check_keeps_the_policy_it_was_opened_under() -> None:
    first = identity.open_check(wish(), T0, IdentityPolicy(tries=1, code_valid=MINUTE))
    assert isinstance(first, identity.Opened)
    check = Check()
    check.state = identity.evolve(None, first)
    check.fold(sent())
    assert check.refused(Try(right=True), MINUTE) is RefusalCode.CODE_EXPIRED
    assert check.do(Try(right=False)) == ["wrong_code", "locked"]


# ── the code ─────────────────────────────────────────────────────────────────────────────────────────


def test_five_wrong_codes_lock() -> None:
    check = code_sent()
    said = []
    for _ in range(5):
        decision = identity.decide(check.state, Try(right=False), T0 + SECOND)
        refusal = identity.told(decision)
        assert refusal and not isinstance(decision, Refusal)
        said.append((refusal.code, refusal.sentence))
        check.fold(*decision)
    assert [code for code, _ in said] == [RefusalCode.WRONG_CODE] * 4 + [RefusalCode.LOCKED]
    assert [said[0][1].split("; ")[1][:-1], said[3][1].split("; ")[1][:-1]] == ["4 tries are left", "1 try is left"]
    assert check.refused(Try(right=True)) is RefusalCode.LOCKED
    assert check.state.tries_left == 0


def test_the_right_code_is_used_once() -> None:
    check = code_sent()
    assert check.do(Try(right=True)) == ["code_accepted"]
    assert identity.due(check.state) is Due.CONFIRM
    assert check.refused(Try(right=True)) is RefusalCode.CODE_USED
    check.do(MATCH)
    assert check.refused(Try(right=True)) is check.refused(Try(right=False)) is RefusalCode.CODE_USED


@pytest.mark.parametrize(("at", "good"), [(5 * MINUTE - SECOND, True), (5 * MINUTE, False)])
def test_a_code_is_good_for_five_minutes(at: timedelta, good: bool) -> None:
    check = code_sent()
    assert check.do(Expire(), at) == ([] if good else ["expired"])
    if good:
        assert check.do(Try(right=True), at) == ["code_accepted"]
    else:
        assert check.refused(Try(right=True), at) is check.refused(Resend(), at) is RefusalCode.CODE_EXPIRED
        assert code_sent().refused(Try(right=True), at) is RefusalCode.CODE_EXPIRED, "the timer may come late"


def test_no_code_is_taken_before_one_is_sent() -> None:
    assert opened().refused(Try(right=False)) is RefusalCode.NOT_YOUR_TURN
    assert opened().refused(Resend()) is RefusalCode.WAIT_BEFORE_SENDING
    assert opened().do(Resend(), MINUTE) == [], "one is on its way"


def test_a_minute_between_codes_and_three_at_most() -> None:
    check = code_sent()
    refusal = identity.decide(check.state, Resend(), T0 + MINUTE - SECOND / 2)
    assert isinstance(refusal, Refusal) and "in 1 s" in refusal.sentence
    for serial in (2, 3):
        at = (serial - 1) * MINUTE
        assert check.refused(Resend(), at - SECOND) is RefusalCode.WAIT_BEFORE_SENDING
        assert check.do(Resend(), at) == ["code_asked"]
        assert identity.due(check.state) is Due.SEND
        assert check.refused(Resend(), at) is RefusalCode.WAIT_BEFORE_SENDING, "also while it is being sent"
        check.fold(sent(at, serial))
        assert (check.state.sent, check.state.expires_at) == (serial, T0 + at + 5 * MINUTE)
    assert check.refused(Resend(), 3 * MINUTE) is RefusalCode.TOO_MANY_CODES
    assert check.do(Try(right=False), 6 * MINUTE) == ["wrong_code"]
    assert check.do(Expire(), 7 * MINUTE) == ["expired"]


def test_wrong_codes_count_across_sends() -> None:
    check = code_sent()
    for _ in range(4):
        check.do(Try(right=False))
    check.do(Resend(), MINUTE)
    check.fold(sent(MINUTE, 2))
    assert check.do(Try(right=False), MINUTE) == ["wrong_code", "locked"]


def test_what_the_centre_says_is_not_told() -> None:
    plain, refused = code_sent(), code_sent()
    refused.fold(identity.CodeNotSent(at=T0, serial=1, code="sms_bad_destination"))
    assert refused.state == plain.state


def test_what_the_activity_records_commutes_with_a_try() -> None:
    check = code_sent()
    check.do(Resend(), MINUTE)
    for events in (
        [identity.WrongCode(at=T0 + MINUTE, left=4)],
        [identity.CodeAccepted(at=T0 + MINUTE, serial=1)],
        [identity.Locked(at=T0 + MINUTE)],
    ):
        here = fold_on(check.state, sent(MINUTE, 2), *events)
        there = fold_on(check.state, *events, sent(MINUTE, 2))
        assert here == there


def fold_on(state: State, *events: Event) -> State:
    for event in events:
        state = identity.evolve(state, event)
    return state


@pytest.mark.parametrize("language", Language)
def test_text_of_the_code(language: Language) -> None:
    text = TEXTS[MessageKey.CODE][language].format(code="123456", minutes=5, case=CHECK)
    assert "123456" in text and CHECK in text and "5" in text
    if language is Language.ZH:
        assert text.startswith("【解绑】") and len(text) <= 70 and "切勿告诉任何人" in text
    else:
        assert text.isascii() and len(text) <= 160


# ── other methods ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("how", "may", "may_not"),
    [
        ({"method": Method.COUNTER}, (WORKER, SUPERVISOR), (TENCENT, CHANNEL)),
        ({"method": Method.ENTERPRISE, "attester": "tencent"}, (TENCENT,), (BAIDU, WORKER, SUPERVISOR, CHANNEL)),
        ({"method": Method.CODE_AND_ID_TAIL}, (), (WORKER, SUPERVISOR, TENCENT, CHANNEL)),
    ],
    ids=["counter", "enterprise", "code"],
)
def test_who_attests(how: dict[str, object], may: tuple[Actor, ...], may_not: tuple[Actor, ...]) -> None:
    for actor in may:
        check = Check(**how)
        assert check.do(Attest(actor=actor, matched=True)) == ["attested"]
        assert (check.state.status, check.events[-1].actor) == (IdentityStatus.CONFIRMING, actor)
        assert check.do(Attest(actor=actor, matched=True)) == []
        assert check.refused(Attest(actor=actor, matched=False)) is RefusalCode.ALREADY_ANSWERED
        check.do(MATCH)
        assert identity.proof(check.state).method is how["method"]
    for actor in may_not:
        for matched in (True, False):
            assert Check(**how).refused(Attest(actor=actor, matched=matched)) is RefusalCode.NOT_ALLOWED


def test_attested_in_time() -> None:
    check = Check(method=Method.COUNTER)
    assert check.refused(Attest(actor=WORKER, matched=True), DAY) is RefusalCode.CASE_CLOSED
    assert check.refused(Try(right=True)) is check.refused(Resend()) is RefusalCode.NOT_ALLOWED
    assert check.do(Expire(), DAY) == ["expired"]
    assert check.refused(Attest(actor=WORKER, matched=True), DAY) is RefusalCode.CASE_CLOSED


def test_not_attested_stays_so() -> None:
    check = attested(matched=False)
    assert check.do(Attest(actor=WORKER, matched=False)) == []
    assert check.refused(Attest(actor=WORKER, matched=True)) is RefusalCode.ALREADY_ANSWERED


# ── the carriers ─────────────────────────────────────────────────────────────────────────────────────

M, X, C, N = HolderVerdict.MATCH, HolderVerdict.MISMATCH, HolderVerdict.CANCELLED, HolderVerdict.NOT_OURS


@pytest.mark.parametrize(
    ("said", "everybody", "events"),
    [
        ((M,), True, ["verified"]),
        ((N, X, C, M), True, ["verified"]),
        ((M,), False, ["verified"]),
        ((X, C), True, ["number_cancelled"]),
        ((C,), False, ["number_cancelled"]),
        ((N, X), True, ["mismatched"]),
        ((X,), False, ["mismatched"]),
        ((N, N), True, ["mismatched"]),
        ((N,), False, []),
        ((), False, []),
        ((), True, []),
    ],
)
def test_what_the_carriers_say(said: tuple[HolderVerdict, ...], everybody: bool, events: list[str]) -> None:
    codes = [f"carrier-{n}" for n in range(len(said))]
    since = {code: ACTIVATED for code, verdict in zip(codes, said, strict=True) if verdict is M}
    hear = Hear(answers=dict(zip(codes, said, strict=True)), activated_at=since, everybody=everybody)
    check = confirming()
    assert check.do(hear) == events
    if not events:
        assert check.do(hear.model_copy(update={"give_up": True})) == ["unconfirmed"]
        assert check.state.free_at is None
    assert check.do(MATCH, 2 * SECOND) == [], "the first word counts"


def test_only_who_held_the_phone_costs_24_hours() -> None:
    assert after(NO_MATCH).state.free_at == T0 + SECOND + 24 * HOUR
    check = attested()
    check.do(NO_MATCH)
    assert (check.state.status, check.state.free_at) == (IdentityStatus.MISMATCH, None)


def test_the_cool_down_to_the_second() -> None:
    free_at = T0 + HOUR
    check = confirming()
    assert check.do(Cool(free_at=free_at), HOUR) == []
    assert check.do(Cool(free_at=free_at), HOUR - SECOND) == ["cooling_down"]
    assert check.state.free_at == free_at


def test_every_outcome_has_a_reason_and_a_remedy() -> None:
    registry = load(
        """
        version = "t"
        [[carriers]]
        code = "china-mobile"
        name = "中国移动"
        hotline = "10086"
        [[carriers]]
        code = "other"
        name = "某"
        [[enterprises]]
        code = "tencent"
        name = "腾讯"
        apps = [{ code = "wechat", name = "微信" }]
        """
    )
    expected = {
        IdentityStatus.EXPIRED: RefusalCode.CODE_EXPIRED,
        IdentityStatus.LOCKED: RefusalCode.LOCKED,
        IdentityStatus.NOT_ATTESTED: RefusalCode.NOT_VERIFIED,
        IdentityStatus.MISMATCH: RefusalCode.MISMATCH,
        IdentityStatus.COOLING_DOWN: RefusalCode.COOLING_DOWN,
        IdentityStatus.CANCELLED_NUMBER: RefusalCode.CANCELLED_NUMBER,
        IdentityStatus.UNCONFIRMED: RefusalCode.UNCONFIRMED,
    }
    for status, make in IN_STATUS.items():
        refusal = identity.outcome(make().state, registry)
        assert (refusal.code if refusal else None) is expected.get(status), status
        if status is IdentityStatus.CANCELLED_NUMBER:
            assert refusal and refusal.remedy == "Call your carrier: 中国移动 10086."
        if status is IdentityStatus.MISMATCH:
            assert refusal and "2026-09-02 10:00:01 (Beijing)" in refusal.remedy


# ── the proof ────────────────────────────────────────────────────────────────────────────────────────

SPEND = Spend(by=CASE, purpose=Purpose.QUERY)


def test_a_proof_says_what_the_carrier_said() -> None:
    proof = identity.proof(verified().state)
    assert (proof.check, proof.carrier, proof.activated_at) == (CHECK, CARRIER, ACTIVATED)
    assert (proof.method, proof.verified_at) == (Method.CODE_AND_ID_TAIL, T0 + SECOND)
    with pytest.raises(ValueError, match="verified"):
        identity.proof(confirming().state)


def test_a_proof_opens_one_case() -> None:
    check = verified()
    assert check.do(SPEND) == ["proof_spent"]
    assert check.do(SPEND) == []
    assert check.do(SPEND, DAY) == [], "the same case again, however late"
    assert check.refused(Spend(by=OTHER, purpose=Purpose.QUERY)) is RefusalCode.PROOF_USED
    assert check.state.status is IdentityStatus.VERIFIED


@pytest.mark.parametrize("purpose", [p for p in Purpose if p is not Purpose.QUERY])
def test_a_proof_is_for_its_purpose(purpose: Purpose) -> None:
    assert verified().refused(Spend(by=CASE, purpose=purpose)) is RefusalCode.WRONG_PURPOSE


@pytest.mark.parametrize("status", [s for s in IdentityStatus if s is not IdentityStatus.VERIFIED])
def test_only_a_verified_check_proves_anything(status: IdentityStatus) -> None:
    check = IN_STATUS[status]()
    assert check.refused(SPEND) is check.refused(Follow(case=CASE)) is RefusalCode.NOT_VERIFIED


def test_ten_minutes_to_open_a_case() -> None:
    start = SECOND  # when it was verified
    assert verified().do(SPEND, start + 10 * MINUTE - SECOND) == ["proof_spent"]
    assert verified().refused(SPEND, start + 10 * MINUTE) is RefusalCode.PROOF_EXPIRED


def test_thirty_minutes_to_follow_the_case_it_opened() -> None:
    check = verified()
    assert check.refused(Follow(case=CASE)) is RefusalCode.WRONG_PURPOSE
    check.do(SPEND)
    assert check.do(Follow(case=CASE), SECOND + 30 * MINUTE - SECOND) == []
    assert check.refused(Follow(case=OTHER)) is RefusalCode.PROOF_USED
    assert check.refused(Follow(case=CASE), SECOND + 30 * MINUTE) is RefusalCode.PROOF_EXPIRED


def test_a_check_for_following_is_spent_on_the_case_at_first_use() -> None:
    check = verified(purpose=Purpose.FOLLOW)
    assert check.refused(SPEND) is RefusalCode.WRONG_PURPOSE
    assert check.do(Follow(case=CASE), 20 * MINUTE) == ["proof_spent"]
    assert check.do(Follow(case=CASE), 29 * MINUTE) == []
    assert check.refused(Follow(case=OTHER), 21 * MINUTE) is RefusalCode.PROOF_USED


# ── any sequence of commands ─────────────────────────────────────────────────────────────────────────

hears = st.builds(
    lambda said, everybody, give_up: Hear(
        answers=dict(enumerate_codes(said)),
        activated_at={code: ACTIVATED for code, verdict in enumerate_codes(said) if verdict is M},
        everybody=everybody,
        give_up=give_up,
    ),
    st.lists(st.sampled_from(HolderVerdict), max_size=3),
    st.booleans(),
    st.booleans(),
)


def enumerate_codes(said: list[HolderVerdict]) -> list[tuple[str, HolderVerdict]]:
    return [(f"carrier-{n}", verdict) for n, verdict in enumerate(said)]


actors = st.sampled_from([WORKER, SUPERVISOR, TENCENT, BAIDU, CHANNEL])
commands = st.one_of(
    st.builds(Try, right=st.booleans()),
    st.just(Resend()),
    st.builds(Attest, actor=actors, matched=st.booleans()),
    hears,
    st.builds(Cool, free_at=st.sampled_from([T0, T0 + DAY])),
    st.just(Expire()),
    st.builds(Spend, by=st.sampled_from([CASE, OTHER]), purpose=st.sampled_from(Purpose)),
    st.builds(Follow, case=st.sampled_from([CASE, OTHER])),
    st.just("send"),
)
waits = st.sampled_from([timedelta(0), SECOND, MINUTE - SECOND, MINUTE, 5 * MINUTE, 10 * MINUTE])
openings = st.sampled_from(
    [
        {},
        {"purpose": Purpose.FOLLOW},
        {"method": Method.COUNTER},
        {"method": Method.ENTERPRISE, "attester": "tencent"},
    ]
)


@given(openings, st.lists(st.tuples(waits, commands), max_size=25))
def test_any_sequence_of_commands(how: dict[str, object], steps: list[tuple[timedelta, Command | str]]) -> None:
    check = Check(**how)
    now = T0
    for wait, command in steps:
        now += wait
        before = check.state
        if command == "send":
            if identity.due(before) is Due.SEND:
                check.fold(identity.CodeSent(at=now, serial=before.asked))
            continue
        decision = identity.decide(before, command, now)
        if isinstance(decision, Refusal):
            assert decision.sentence and decision.remedy
            continue
        check.fold(*decision)
        holds(before, check.state, decision, now)
    assert check.state == fold(identity.evolve, check.events)
    assert [EVENTS.validate_json(EVENTS.dump_json(event)) for event in check.events] == check.events
    counted(check.events)


def holds(before: State, state: State, decision: tuple[Event, ...], now: datetime) -> None:
    """What no command may break."""
    if before.status in ENDED:
        assert state.status is before.status and state.ended_at == before.ended_at
        assert {event.type for event in decision} <= {"proof_spent"}
    assert (state.ended_at is not None) == (state.status in ENDED)
    assert 0 <= state.tries <= POLICY.tries and state.asked <= POLICY.sends
    assert (state.tries == POLICY.tries) == (state.status is IdentityStatus.LOCKED)
    assert (state.verified_at is not None) == (state.status is IdentityStatus.VERIFIED)
    assert state.spent_by is None or state.status is IdentityStatus.VERIFIED
    assert before.spent_by in (None, state.spent_by), "a proof never changes its case"
    if state.status is not before.status:
        assert (before.status, state.status) in {(old, new) for (old, _), new in TRANSITIONS.items()}
    if state.free_at is not None and state.status is IdentityStatus.MISMATCH:
        assert state.method is Method.CODE_AND_ID_TAIL
    if any(event.type == "code_accepted" for event in decision):
        assert now < before.expires_at and before.sent > 0


def counted(events: list[Event]) -> None:
    """How often each may happen."""
    types = [event.type for event in events]
    for once in ("opened", "code_accepted", "attested", "verified", "locked", "expired", "proof_spent"):
        assert types.count(once) <= 1
    if "verified" in types:
        assert "code_accepted" in types or "attested" in types
    sends = [event.at for event in events if event.type == "code_asked"]
    assert all(later - earlier >= MINUTE for earlier, later in itertools.pairwise(sends))
