"""Renewals: what is refused, what the carrier's answer means, withdrawal in every status, any sequence of commands."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import renewal
from domain.case import ActorKind, CaseKind, Event, fold
from domain.refusal import Refusal, RefusalCode
from domain.registry import RenewalPolicy
from domain.renewal import (
    MOST_APPS,
    PART,
    Close,
    Command,
    Hear,
    NotEligible,
    RenewalStatus,
    Report,
    Start,
    State,
    Submit,
    Verdict,
    Withdraw,
)
from domain.unbind import ItemState
from store.projection import PROJECTIONS
from tests.strategies import CASE, DAY, ENDED, HOUR, SECOND, T0, pauses, submission

EVENTS = PROJECTIONS[CaseKind.RENEWAL].events
POLICY = RenewalPolicy()
PARTS = (f"{CASE}-unbind-0",)
DONE = {"app-0": ItemState.UNBOUND, "app-1": ItemState.KEPT, "app-2": ItemState.OVERDUE}
LATER = {**DONE, "app-2": ItemState.UNBOUND}
ALL_WITHDRAWN = dict.fromkeys(DONE, ItemState.WITHDRAWN)


class Renewal:
    """One renewal driven by hand."""

    def __init__(self, **how: object) -> None:
        decision = renewal.submit(submission(**how), T0, POLICY)  # type: ignore[arg-type]
        assert not isinstance(decision, Refusal), decision
        self.events: list[Event] = []
        self.state: State = renewal.evolve(None, decision[0])
        self.events.extend(decision)

    def fold(self, *events: Event) -> Renewal:
        for event in events:
            self.state = renewal.evolve(self.state, event)
            self.events.append(event)
        return self

    def do(self, command: Command, at: timedelta = HOUR) -> list[str]:
        """A command that is taken; the types of its events."""
        decision = renewal.decide(self.state, command, T0 + at, POLICY)
        assert not isinstance(decision, Refusal), decision
        self.fold(*decision)
        return [event.type for event in decision]

    def refused(self, command: Command, at: timedelta = HOUR) -> Refusal:
        """A command that is not."""
        decision = renewal.decide(self.state, command, T0 + at, POLICY)
        assert isinstance(decision, Refusal), decision
        assert decision.sentence and decision.remedy
        return decision


def sent(number: int = 1) -> Event:
    return renewal.SummarySent(at=T0 + DAY, summary=number)


def submitted() -> Renewal:
    return Renewal()


def waiting() -> Renewal:
    case = Renewal()
    case.do(Hear(verdict=Verdict.UNKNOWN))
    return case


def running() -> Renewal:
    case = Renewal()
    case.do(Hear(verdict=Verdict.YES))
    case.do(Start(parts=PARTS))
    return case


def summary_sent() -> Renewal:
    case = running()
    case.do(Report(outcomes=DONE))
    return case.fold(sent())


def closed() -> Renewal:
    case = summary_sent()
    case.do(Close())
    return case


def refused() -> Renewal:
    case = Renewal()
    case.do(Hear(verdict=Verdict.NO, reason=NotEligible.HOLDER_MISMATCH))
    return case


def withdrawn() -> Renewal:
    case = Renewal()
    case.do(Withdraw())
    return case


IN_STATUS = {
    RenewalStatus.SUBMITTED: submitted,
    RenewalStatus.WAITING_FOR_DATA: waiting,
    RenewalStatus.RUNNING: running,
    RenewalStatus.SUMMARY_SENT: summary_sent,
    RenewalStatus.CLOSED: closed,
    RenewalStatus.REFUSED: refused,
    RenewalStatus.WITHDRAWN: withdrawn,
}
COMMANDS: list[Command] = [
    submission(),
    Hear(verdict=Verdict.YES),
    Hear(verdict=Verdict.NO, reason=NotEligible.NOT_ACTIVE),
    Hear(verdict=Verdict.UNKNOWN),
    Start(parts=PARTS),
    Report(outcomes=DONE),
    Report(outcomes=LATER),
    Report(outcomes=ALL_WITHDRAWN),
    Withdraw(),
    Close(),
]


@pytest.mark.parametrize("status", RenewalStatus)
def test_every_status_can_be_reached(status: RenewalStatus) -> None:
    assert IN_STATUS[status]().state.status is status


# ── submit ───────────────────────────────────────────────────────────────────────────────────────────


def submit(**changed: object) -> renewal.Decision:
    return renewal.submit(submission().model_copy(update=changed), T0, POLICY)


def checked(at: object) -> dict[str, object]:
    return {"identity": submission().identity.model_copy(update={"checked_at": at})}


def apps(count: int) -> tuple[str, ...]:
    return tuple(f"app-{n}" for n in range(count))


@pytest.mark.parametrize(
    ("changed", "code", "field"),
    [
        ({"apps": ()}, RefusalCode.NO_APPS, "apps"),
        ({"apps": apps(MOST_APPS + 1)}, RefusalCode.TOO_MANY_APPS, "apps"),
        ({"activated_at": T0 + SECOND}, RefusalCode.ACTIVATION_IN_FUTURE, "activated_at"),
        (checked(T0 - DAY - SECOND), RefusalCode.IDENTITY_NOT_PROVEN, "identity.checked_at"),
        (checked(T0 + timedelta(seconds=61)), RefusalCode.IDENTITY_NOT_PROVEN, "identity.checked_at"),
    ],
    ids=["no apps", "too many", "activated later", "stale identity", "identity in the future"],
)
def test_what_submit_refuses(changed: dict[str, object], code: RefusalCode, field: str) -> None:
    refusal = submit(**changed)
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.field) == (code, field)
    assert refusal.sentence and refusal.remedy


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"apps": apps(1)},
        {"apps": apps(MOST_APPS)},
        {"activated_at": T0},
        checked(T0 - DAY),
        checked(T0),
        checked(T0 + timedelta(seconds=60)),
        {"channel": "mini-program"},
    ],
    ids=["plain", "one app", "most apps", "activated now", "identity a day old", "now", "clocks apart", "a channel"],
)
def test_what_submit_takes(changed: dict[str, object]) -> None:
    decision = submit(**changed)
    assert not isinstance(decision, Refusal)
    (event,) = decision
    assert isinstance(event, renewal.Submitted)
    by = "channel:mini-program" if "channel" in changed else "carrier:china-mobile"
    assert (event.at, str(event.actor)) == (T0, by)
    state = renewal.evolve(None, event)
    command = submission().model_copy(update=changed)
    assert (state.status, state.submitted_at) == (RenewalStatus.SUBMITTED, T0)
    kept = Submit.model_fields.keys() - {"channel"}
    assert {name: getattr(state, name) for name in kept} == command.model_dump(include=kept) | {
        "identity": command.identity
    }


# ── eligibility ──────────────────────────────────────────────────────────────────────────────────────


def test_yes_goes_on() -> None:
    case = Renewal()
    assert case.do(Hear(verdict=Verdict.YES)) == ["eligibility_answered"]
    assert (case.state.status, case.state.ask_again_at) == (RenewalStatus.SUBMITTED, None)
    assert case.events[-1].actor.kind is ActorKind.CARRIER
    assert case.do(Start(parts=PARTS)) == ["started"]
    assert (case.state.status, case.state.parts) == (RenewalStatus.RUNNING, PARTS)


@pytest.mark.parametrize("reason", NotEligible)
def test_no_is_refused_with_its_reason(reason: NotEligible) -> None:
    case = Renewal()
    assert case.do(Hear(verdict=Verdict.NO, reason=reason)) == ["eligibility_answered", "refused"]
    assert case.state.status is RenewalStatus.REFUSED
    assert case.state.reason == reason.value
    assert case.state.ended_at == T0 + HOUR


def test_unknown_waits_and_asks_again() -> None:
    case = Renewal()
    for turn in range(1, 4):
        assert case.do(Hear(verdict=Verdict.UNKNOWN), turn * DAY) == ["eligibility_answered"]
        assert case.state.status is RenewalStatus.WAITING_FOR_DATA
        assert case.state.ask_again_at == T0 + turn * DAY + POLICY.ask_again
        assert case.state.asked == turn
    case.do(Hear(verdict=Verdict.YES), 4 * DAY)
    assert case.state.ask_again_at is None
    case.do(Start(parts=PARTS), 4 * DAY)
    assert case.state.status is RenewalStatus.RUNNING


@pytest.mark.parametrize(("after", "gives_up"), [(30 * DAY - SECOND, False), (30 * DAY, True)])
def test_unknown_gives_up_after_a_month_and_says_so(after: timedelta, gives_up: bool) -> None:
    """Unknown is never 'no': the reason is that nobody answered."""
    case = Renewal()
    case.do(Hear(verdict=Verdict.UNKNOWN), after)
    if gives_up:
        assert (case.state.status, case.state.reason) == (RenewalStatus.REFUSED, NotEligible.NO_ANSWER.value)
        assert case.state.ask_again_at is None
    else:
        assert case.state.status is RenewalStatus.WAITING_FOR_DATA


# ── withdrawal ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("status", "events"),
    [
        (RenewalStatus.SUBMITTED, ["withdrawal_asked", "withdrawn"]),
        (RenewalStatus.WAITING_FOR_DATA, ["withdrawal_asked", "withdrawn"]),
        (RenewalStatus.RUNNING, ["withdrawal_asked"]),
        (RenewalStatus.SUMMARY_SENT, None),
        (RenewalStatus.CLOSED, None),
        (RenewalStatus.REFUSED, None),
        (RenewalStatus.WITHDRAWN, []),
    ],
)
def test_withdrawal_in_every_status(status: RenewalStatus, events: list[str] | None) -> None:
    case = IN_STATUS[status]()
    if events is None:
        assert case.refused(Withdraw()).code is RefusalCode.TOO_LATE_TO_WITHDRAW
        return
    assert case.do(Withdraw()) == events
    assert case.do(Withdraw()) == []
    if events:
        assert case.state.withdrawal_asked_at == T0 + HOUR
    if "withdrawn" in events:
        assert (case.state.status, case.state.ended_at) == (RenewalStatus.WITHDRAWN, T0 + HOUR)
        assert case.state.ask_again_at is None
        assert case.do(Start(parts=PARTS)) == []


def test_a_withdrawal_that_every_enterprise_hears_in_time_ends_the_renewal() -> None:
    case = running()
    case.do(Withdraw())
    assert case.do(Report(outcomes=ALL_WITHDRAWN)) == ["reported", "withdrawn"]
    assert case.state.status is RenewalStatus.WITHDRAWN
    assert dict(case.state.outcomes) == ALL_WITHDRAWN


def test_a_withdrawal_that_comes_too_late_for_one_app_goes_on_to_a_summary() -> None:
    case = running()
    case.do(Withdraw())
    assert case.do(Report(outcomes={**ALL_WITHDRAWN, "app-0": ItemState.UNBOUND})) == ["reported"]
    assert case.fold(sent()).state.status is RenewalStatus.SUMMARY_SENT


# ── report and supplement ────────────────────────────────────────────────────────────────────────────


def test_a_report_then_the_summary_then_a_supplement() -> None:
    case = running()
    assert case.do(Report(outcomes=DONE)) == ["reported"]
    assert case.state.status is RenewalStatus.RUNNING  # until the holder is told
    assert case.do(Report(outcomes=DONE)) == []
    assert case.fold(sent()).state.summaries == 1
    assert case.state.status is RenewalStatus.SUMMARY_SENT
    assert case.do(Report(outcomes=DONE)) == []
    assert case.do(Report(outcomes=LATER)) == ["reported"]
    assert dict(case.state.outcomes) == LATER
    assert case.fold(sent(2)).state.summaries == 2
    assert case.do(Close()) == ["closed"]
    assert (case.state.status, case.state.ended_at) == (RenewalStatus.CLOSED, T0 + HOUR)


@pytest.mark.parametrize("who", ["holder", "carrier"])
def test_a_renewal_that_could_not_be_told_goes_on(who: str) -> None:
    case = running()
    case.do(Report(outcomes=DONE))
    case.fold(renewal.NotTold(at=T0 + DAY, who=who, summary=1, code="sms_timeout"))  # type: ignore[arg-type]
    assert case.state.status is RenewalStatus.SUMMARY_SENT
    assert case.do(Close()) == ["closed"]


@pytest.mark.parametrize(
    "first",
    [
        [renewal.SummarySent(at=T0, summary=1), renewal.ResultSent(at=T0, summary=1)],
        [renewal.SummarySent(at=T0, summary=1), renewal.NotTold(at=T0, who="carrier", summary=1, code="x")],
        [renewal.NotTold(at=T0, who="holder", summary=1, code="x"), renewal.ResultSent(at=T0, summary=1)],
    ],
    ids=["both told", "only the holder", "only the carrier"],
)
def test_the_number_of_a_summary_is_used_once(first: list[Event]) -> None:
    """It names the ledger's step and the carrier's message: used again, the supplement is taken for a repetition."""
    case = running()
    case.do(Report(outcomes=DONE))
    assert case.state.summaries == 1
    case.fold(*first)
    case.do(Report(outcomes=LATER))
    assert case.state.summaries == 2


@pytest.mark.parametrize("end", [refused, withdrawn])
def test_an_end_before_the_start_is_told_once(end: Callable[[], Renewal]) -> None:
    assert end().state.summaries == 1


@pytest.mark.parametrize(
    "status", [s for s in RenewalStatus if s not in (RenewalStatus.RUNNING, RenewalStatus.SUMMARY_SENT)]
)
def test_a_report_out_of_season_changes_nothing(status: RenewalStatus) -> None:
    assert IN_STATUS[status]().do(Report(outcomes=DONE)) == []


@pytest.mark.parametrize("status", [s for s in RenewalStatus if s is not RenewalStatus.SUMMARY_SENT])
def test_only_a_summarised_renewal_closes(status: RenewalStatus) -> None:
    assert IN_STATUS[status]().do(Close()) == []


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: type(c).__name__)
@pytest.mark.parametrize("status", ENDED)
def test_nothing_happens_after_the_end(status: RenewalStatus, command: Command) -> None:
    case = IN_STATUS[status]()
    decision = renewal.decide(case.state, command, T0 + 40 * DAY, POLICY)
    assert isinstance(decision, Refusal) or decision == ()


@pytest.mark.parametrize(
    "told",
    [sent(), renewal.ResultSent(at=T0, summary=1), renewal.NotTold(at=T0, who="holder", summary=1, code="x")],
    ids=lambda e: e.type,
)
@pytest.mark.parametrize("status", ENDED)
def test_telling_does_not_open_what_has_ended(status: RenewalStatus, told: Event) -> None:
    case = IN_STATUS[status]()
    ended_at = case.state.ended_at
    assert case.fold(told).state.status is status
    assert case.state.ended_at == ended_at


@pytest.mark.parametrize("told", [sent(), renewal.ResultSent(at=T0, summary=1)], ids=lambda e: e.type)
def test_what_an_activity_records_commutes_with_a_withdrawal(told: Event) -> None:
    state = running().state
    asked = renewal.WithdrawalAsked(at=T0 + DAY)
    assert renewal.evolve(renewal.evolve(state, told), asked) == renewal.evolve(renewal.evolve(state, asked), told)


# ── what the rest of the house asks ──────────────────────────────────────────────────────────────────


@given(st.integers(1, MOST_APPS))
def test_parts_hold_every_app_once_and_are_even(count: int) -> None:
    wanted = apps(count)
    parts = renewal.parts_of(CASE, wanted)
    assert [app for part in parts.values() for app in part] == list(wanted)
    sizes = [len(part) for part in parts.values()]
    assert max(sizes) <= PART and min(sizes) > 0
    assert max(sizes) - min(sizes) < len(sizes) or len(sizes) == 1
    assert len(sizes) == -(-count // PART)
    assert list(parts) == [f"{CASE}-unbind-{n}" for n in range(len(sizes))]
    Start(parts=tuple(parts))  # every id is a case id


@pytest.mark.parametrize(("count", "sizes"), [(1, [1]), (400, [400]), (401, [201, 200]), (2000, [400] * 5)])
def test_parts(count: int, sizes: list[int]) -> None:
    assert [len(part) for part in renewal.parts_of(CASE, apps(count)).values()] == sizes


@pytest.mark.parametrize("status", RenewalStatus)
def test_a_number_is_free_when_nothing_is_waited_for(status: RenewalStatus) -> None:
    free = status in (*ENDED, RenewalStatus.SUMMARY_SENT)
    assert renewal.frees_number(status) is free


def test_tally() -> None:
    assert renewal.tally(LATER.values()) == {ItemState.UNBOUND: 2, ItemState.KEPT: 1}


def test_a_renewal_begins_with_its_submission() -> None:
    with pytest.raises(ValueError, match="Submitted"):
        renewal.evolve(None, renewal.Closed(at=T0))


# ── any sequence ─────────────────────────────────────────────────────────────────────────────────────

ALLOWED = {
    RenewalStatus.SUBMITTED: {
        RenewalStatus.WAITING_FOR_DATA,
        RenewalStatus.RUNNING,
        RenewalStatus.REFUSED,
        RenewalStatus.WITHDRAWN,
    },
    RenewalStatus.WAITING_FOR_DATA: {RenewalStatus.RUNNING, RenewalStatus.REFUSED, RenewalStatus.WITHDRAWN},
    RenewalStatus.RUNNING: {RenewalStatus.SUMMARY_SENT, RenewalStatus.WITHDRAWN},
    RenewalStatus.SUMMARY_SENT: {RenewalStatus.CLOSED, RenewalStatus.WITHDRAWN},
    **{status: set() for status in ENDED},
}

states = st.sampled_from(ItemState)
outcomes = st.one_of(
    st.sampled_from([DONE, LATER, ALL_WITHDRAWN]), st.fixed_dictionaries(dict.fromkeys(DONE, states))
)
commands = st.one_of(st.sampled_from(COMMANDS), st.builds(Report, outcomes=outcomes))
steps = st.lists(st.tuples(pauses, commands | st.sampled_from(["tell", "cannot tell"])), max_size=25)


@given(steps)
def test_any_sequence(sequence: list[tuple[timedelta, Command | str]]) -> None:
    case, now = Renewal(), T0
    for pause, step in sequence:
        now += pause
        before = case.state
        if isinstance(step, str):
            if before.status is RenewalStatus.SUBMITTED or not before.outcomes:
                continue
            number = before.summaries
            told = renewal.SummarySent(at=now, summary=number)
            untold = renewal.NotTold(at=now, who="holder", summary=number, code="down")
            decision: renewal.Decision = (told if step == "tell" else untold,)
        else:
            decision = renewal.decide(before, step, now, POLICY)
            if isinstance(decision, Refusal):
                assert decision.sentence and decision.remedy
                continue
            assert before.status not in ENDED or decision == ()
        case.fold(*decision)
        after = case.state
        assert after.status is before.status or after.status in ALLOWED[before.status]
        assert (after.ended_at is not None) == (after.status in ENDED)
        assert after.status is not RenewalStatus.REFUSED or after.reason
        assert after.ask_again_at is None or after.status is RenewalStatus.WAITING_FOR_DATA
        assert after.summaries >= before.summaries
        if isinstance(step, Report | Withdraw | Close):
            assert renewal.decide(after, step, now, POLICY) == () or isinstance(
                renewal.decide(after, step, now, POLICY), Refusal
            )
    stored = [EVENTS.validate_json(event.model_dump_json(exclude_none=True)) for event in case.events]
    assert stored == case.events
    assert fold(renewal.evolve, stored) == case.state
    assert State.model_validate_json(case.state.model_dump_json(exclude_none=True)) == case.state
