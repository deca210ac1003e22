"""Unbind requests: every rule by example, then command sequences of any kind against what must always hold."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from domain import sla, unbind
from domain.case import SYSTEM, Actor, ActorKind, CaseKind, Event, fold
from domain.refusal import Refusal, RefusalCode
from domain.sla import Calendar, DayKind, Deadline, SlaPolicy
from domain.unbind import (
    OPEN,
    REASONS,
    WAITING,
    Acknowledge,
    Action,
    Answer,
    Choice,
    Extend,
    Item,
    ItemState,
    Notice,
    Outcome,
    Pause,
    Reason,
    Resume,
    UnbindStatus,
    Withdraw,
)
from store.projection import PROJECTIONS
from tests.strategies import ACTIVATED, DAY, HOUR, SECOND, T0, answers, deadline, item_id, opening, pauses

EVENTS = PROJECTIONS[CaseKind.UNBIND].events
OUTCOMES = frozenset(ItemState(outcome.value) for outcome in Outcome)
FREE = frozenset({ItemState.OVERDUE, ItemState.WITHDRAWN})

ALLOWED: Mapping[ItemState, frozenset[ItemState]] = {
    ItemState.QUEUED: frozenset({ItemState.DELIVERED, ItemState.ACKNOWLEDGED}) | FREE | OUTCOMES,
    ItemState.DELIVERED: frozenset({ItemState.ACKNOWLEDGED}) | FREE | OUTCOMES,
    ItemState.ACKNOWLEDGED: frozenset({ItemState.OVERDUE}) | OUTCOMES,
    ItemState.OVERDUE: frozenset({ItemState.WITHDRAWN}) | OUTCOMES,
    **dict.fromkeys(OUTCOMES, OUTCOMES),
    ItemState.WITHDRAWN: frozenset(),
}
"""domain.md, 'Unbind request': queued → delivered → acknowledged → an outcome, or overdue; a late answer ends that, a
later one amends. An enterprise may see an item before our record of having told it (queued → acknowledged)."""


class Request:
    """One request, driven by hand: every event is folded and kept, and times only go on."""

    def __init__(self, *owners: str, **how: object) -> None:
        self.events: list[Event] = [opening(owners or ("tencent",), **how)]  # type: ignore[arg-type]
        self.state = unbind.evolve(None, self.events[0])

    def item(self, number: int = 0) -> Item:
        return self.state.items[item_id(number)]

    def fold(self, *events: Event) -> None:
        for event in events:
            self.state = unbind.evolve(self.state, event)
            self.events.append(event)

    def do(self, command: unbind.ItemCommand | Withdraw, at: datetime = T0, clock: Deadline | None = None) -> int:
        """A command that is taken; how many events it gave."""
        decision = unbind.decide(self.state, command, at, clock)
        assert not isinstance(decision, Refusal), decision
        self.fold(*decision)
        return len(decision)

    def refused(
        self, command: unbind.ItemCommand | Withdraw, at: datetime = T0, clock: Deadline | None = None
    ) -> Refusal:
        """A command that is not."""
        decision = unbind.decide(self.state, command, at, clock)
        assert isinstance(decision, Refusal), decision
        assert decision.sentence and decision.remedy
        return decision

    def acknowledge(self, number: int = 0, at: datetime = T0) -> int:
        return self.do(Acknowledge(item=item_id(number), enterprise=self.item(number).enterprise), at)

    def answer(self, outcome: Outcome, number: int = 0, at: datetime = T0, **more: object) -> int:
        return self.do(self.answering(outcome, number, **more), at)

    def answering(self, outcome: Outcome, number: int = 0, **more: object) -> Answer:
        return Answer(item=item_id(number), enterprise=self.item(number).enterprise, outcome=outcome, **more)  # type: ignore[arg-type]

    def told(self, notice: Notice, *numbers: int, at: datetime = T0) -> None:
        items = tuple(item_id(n) for n in numbers or (0,))
        self.fold(unbind.Noticed(at=at, notice=notice, enterprise=self.item(*numbers[:1]).enterprise, items=items))

    def missed(self, notice: Notice, at: datetime, number: int = 0, retry_after: float | None = None) -> None:
        item = self.item(number)
        wait = unbind.backoff(item, retry_after)
        self.fold(
            unbind.NoticeFailed(
                at=at,
                notice=notice,
                enterprise=item.enterprise,
                items=(item.id,),
                code="http_503",
                try_after=at + wait,
            )
        )

    def closed(self, at: datetime = T0 + 40 * DAY) -> None:
        self.fold(unbind.Closed(at=at))


# ── acknowledging ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("told", [True, False])
def test_an_item_is_acknowledged_once(told: bool) -> None:
    request = Request()
    if told:
        request.told(Notice.REQUEST)
    assert request.acknowledge(at=T0 + HOUR) == 1
    assert request.item().state is ItemState.ACKNOWLEDGED
    assert request.acknowledge(at=T0 + 2 * HOUR) == 0
    assert request.item().acknowledged_at == T0 + HOUR
    assert request.events[-1].actor.kind is ActorKind.ENTERPRISE


def test_acknowledging_an_overdue_item_leaves_it_overdue() -> None:
    request = Request()
    request.fold(unbind.WentOverdue(at=T0 + 5 * DAY, items=(item_id(0),)))
    assert request.acknowledge(at=T0 + 6 * DAY) == 1
    assert request.item().state is ItemState.OVERDUE


def test_acknowledging_what_is_answered_changes_nothing() -> None:
    request = Request()
    request.answer(Outcome.UNBOUND)
    assert request.acknowledge() == 0
    assert request.item().state is ItemState.UNBOUND


# ── answering ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("outcome", Outcome)
def test_an_outcome_needs_one_of_its_reasons(outcome: Outcome) -> None:
    allowed = REASONS[outcome]
    for reason in Reason:
        request = Request()
        if reason in allowed:
            assert request.answer(outcome, reason=reason) == 1
            assert (request.item().outcome, request.item().reason) == (outcome, reason)
        else:
            refusal = request.refused(request.answering(outcome, reason=reason))
            assert (refusal.code, refusal.field) == (RefusalCode.REASON_DOES_NOT_FIT, "reason")
            assert all(word.value in refusal.remedy for word in allowed)


def test_a_reason_that_is_the_only_one_need_not_be_said() -> None:
    request = Request("alpha", "beta", "gamma")
    request.answer(Outcome.UNBOUND)
    request.answer(Outcome.NOT_FOUND, 1)
    assert (request.item(0).reason, request.item(1).reason) == (None, Reason.NO_BINDING)
    for outcome in (Outcome.KEPT, Outcome.EXEMPT, Outcome.REJECTED):
        refusal = request.refused(request.answering(outcome, 2))
        assert (refusal.code, refusal.field) == (RefusalCode.REASON_REQUIRED, "reason")


def test_the_same_answer_again_changes_nothing() -> None:
    request = Request()
    assert request.answer(Outcome.NOT_FOUND) == 1
    assert request.answer(Outcome.NOT_FOUND, at=T0 + DAY) == 0
    assert request.answer(Outcome.NOT_FOUND, reason=Reason.NO_BINDING) == 0
    request.closed()
    assert request.answer(Outcome.NOT_FOUND, at=T0 + 50 * DAY) == 0


def test_another_answer_must_name_the_version_it_amends() -> None:
    request = Request()
    request.answer(Outcome.UNBOUND)
    refusal = request.refused(request.answering(Outcome.CANCELLED))
    assert (refusal.code, refusal.field) == (RefusalCode.ALREADY_ANSWERED, "amends")
    assert "amends=1" in refusal.remedy
    refusal = request.refused(request.answering(Outcome.CANCELLED, amends=2))
    assert (refusal.code, refusal.field) == (RefusalCode.WRONG_VERSION, "amends")
    assert request.answer(Outcome.CANCELLED, amends=1) == 1
    assert (request.item().state, request.item().version) == (ItemState.CANCELLED, 2)


def test_a_repeated_amendment_changes_nothing_and_an_older_one_is_refused() -> None:
    request = Request()
    request.answer(Outcome.UNBOUND)
    request.answer(Outcome.CANCELLED, amends=1)
    assert request.answer(Outcome.CANCELLED, amends=1) == 0
    request.answer(Outcome.UNBOUND, amends=2)
    assert request.refused(request.answering(Outcome.CANCELLED, amends=1)).code is RefusalCode.WRONG_VERSION
    assert (request.item().outcome, request.item().version) == (Outcome.UNBOUND, 3)


def test_another_reason_is_an_amendment_too() -> None:
    request = Request()
    request.answer(Outcome.EXEMPT, reason=Reason.LEGAL_HOLD)
    changed = request.answering(Outcome.EXEMPT, reason=Reason.FUNDS_REMAIN)
    assert request.refused(changed).code is RefusalCode.ALREADY_ANSWERED
    assert request.answer(Outcome.EXEMPT, reason=Reason.FUNDS_REMAIN, amends=1) == 1
    assert request.item().reason is Reason.FUNDS_REMAIN


@pytest.mark.parametrize(("offset", "late"), [(-SECOND, False), (timedelta(0), True), (SECOND, True)])
def test_late_begins_at_the_deadline_as_overdue_does(offset: timedelta, late: bool) -> None:
    request = Request()
    request.answer(Outcome.UNBOUND, at=request.item().due_at + offset)
    answered = request.events[-1]
    assert isinstance(answered, unbind.Answered)
    assert answered.late is late


def test_a_late_answer_ends_an_overdue_item() -> None:
    request = Request()
    request.fold(unbind.WentOverdue(at=T0 + 5 * DAY, items=(item_id(0),)))
    assert request.item().state is ItemState.OVERDUE
    request.answer(Outcome.UNBOUND, at=T0 + 6 * DAY)
    assert request.item().state is ItemState.UNBOUND
    assert request.item().overdue_at == T0 + 5 * DAY  # still counted against the enterprise


BEFORE, AT, AFTER = ACTIVATED - SECOND, ACTIVATED, ACTIVATED + SECOND


@pytest.mark.parametrize(
    ("bound_at", "outcome", "refusal"),
    [
        (BEFORE, Outcome.UNBOUND, None),
        (BEFORE, Outcome.CANCELLED, None),
        (BEFORE, Outcome.KEPT, RefusalCode.OLDER_THAN_BOUNDARY),
        (BEFORE, Outcome.EXEMPT, None),
        (AT, Outcome.UNBOUND, RefusalCode.NEWER_THAN_BOUNDARY),
        (AT, Outcome.KEPT, None),
        (AFTER, Outcome.UNBOUND, RefusalCode.NEWER_THAN_BOUNDARY),
        (AFTER, Outcome.CANCELLED, RefusalCode.NEWER_THAN_BOUNDARY),
        (AFTER, Outcome.KEPT, None),
        (AFTER, Outcome.REJECTED, None),
    ],
)
def test_renewal_boundary_one_second_before_and_after(
    bound_at: datetime, outcome: Outcome, refusal: RefusalCode | None
) -> None:
    """domain.md, renewal scope: 1 s before the activation: unbind; 1 s after: kept."""
    request = Request()
    reason = {
        Outcome.KEPT: Reason.BOUND_AFTER_BOUNDARY,
        Outcome.EXEMPT: Reason.LEGAL_HOLD,
        Outcome.REJECTED: Reason.OUT_OF_SCOPE,
    }.get(outcome)
    command = request.answering(outcome, reason=reason, bound_at=bound_at)
    if refusal:
        said = request.refused(command)
        assert (said.code, said.field) == (refusal, "bound_at")
    else:
        assert request.do(command) == 1


# ── whose item it is, and until when ─────────────────────────────────────────────────────────────────


def commands(item: str, enterprise: str) -> list[unbind.ItemCommand]:
    return [
        Acknowledge(item=item, enterprise=enterprise),
        Answer(item=item, enterprise=enterprise, outcome=Outcome.UNBOUND),
        Extend(item=item, enterprise=enterprise, by=DAY, reason="busy"),
    ]


@pytest.mark.parametrize("which", range(3))
def test_a_foreign_item_and_an_unknown_one_look_the_same(which: int) -> None:
    request = Request("tencent", "alibaba")
    foreign = request.refused(commands(item_id(1), "tencent")[which])
    unknown = request.refused(commands(item_id(9), "tencent")[which])
    assert foreign.code is unknown.code is RefusalCode.UNKNOWN_WORK_ITEM
    assert foreign.sentence.replace(item_id(1), "") == unknown.sentence.replace(item_id(9), "")
    assert (foreign.remedy, foreign.field) == (unknown.remedy, unknown.field)


@pytest.mark.parametrize("which", range(3))
def test_a_closed_request_takes_nothing(which: int) -> None:
    request = Request()
    request.closed()
    refusal = request.refused(commands(item_id(0), "tencent")[which], T0 + 41 * DAY)
    assert refusal.code is RefusalCode.CASE_CLOSED
    assert request.state.header.status is UnbindStatus.CLOSED
    assert request.state.header.closed_at == T0 + 40 * DAY


@pytest.mark.parametrize("which", range(3))
def test_a_withdrawn_item_takes_nothing(which: int) -> None:
    request = Request()
    request.do(Withdraw())
    assert request.refused(commands(item_id(0), "tencent")[which]).code is RefusalCode.WITHDRAWN


# ── withdrawing ──────────────────────────────────────────────────────────────────────────────────────


def test_what_no_enterprise_has_acknowledged_is_withdrawn() -> None:
    request = Request("alpha", "beta", "gamma", "delta")
    request.told(Notice.REQUEST, 1)
    request.acknowledge(2)
    request.answer(Outcome.UNBOUND, 3)
    assert request.do(Withdraw(), T0 + HOUR) == 1
    assert [request.item(n).state for n in range(4)] == [
        ItemState.WITHDRAWN,
        ItemState.WITHDRAWN,
        ItemState.ACKNOWLEDGED,
        ItemState.UNBOUND,
    ]
    assert request.item(0).withdrawn_at == T0 + HOUR
    assert request.events[-1].actor.kind is ActorKind.HOLDER
    assert request.refused(Withdraw()).code is RefusalCode.TOO_LATE_TO_WITHDRAW


# ── extending ────────────────────────────────────────────────────────────────────────────────────────


def extend(by: timedelta = 2 * DAY, reason: str = "audit") -> Extend:
    return Extend(item=item_id(0), enterprise="tencent", by=by, reason=reason)


def test_a_deadline_moves_once_for_a_reason() -> None:
    request = Request()
    longer = deadline(T0 + 7 * DAY)
    assert request.do(extend(), T0 + DAY, longer) == 1
    assert (request.item().due_at, request.item().remind_at) == (T0 + 7 * DAY, T0 + 6 * DAY)
    assert request.item().extension_reason == "audit"
    assert request.item().state is ItemState.QUEUED
    assert request.do(extend(), T0 + DAY, longer) == 0
    assert request.refused(extend(reason="more"), T0 + DAY, longer).code is RefusalCode.EXTENSION_NOT_ALLOWED


@pytest.mark.parametrize(
    ("by", "taken"),
    [(timedelta(0), False), (-DAY, False), (SECOND, True), (5 * DAY, True), (5 * DAY + SECOND, False)],
)
def test_an_extension_fits_the_profile(by: timedelta, taken: bool) -> None:
    request = Request()
    clock = deadline(T0 + 5 * DAY + max(by, timedelta(0)))
    if taken:
        assert request.do(extend(by), T0, clock) == 1
    else:
        refusal = request.refused(extend(by), T0)  # before anybody computes a clock
        assert (refusal.code, refusal.field) == (RefusalCode.EXTENSION_NOT_ALLOWED, "by")


@pytest.mark.parametrize(("offset", "taken"), [(-SECOND, True), (timedelta(0), False), (SECOND, False)])
def test_an_extension_comes_before_the_deadline(offset: timedelta, taken: bool) -> None:
    request = Request()
    at = request.item().due_at + offset
    if taken:
        assert request.do(extend(), at, deadline(at + 2 * DAY)) == 1
    else:
        assert request.refused(extend(), at, deadline(at + 2 * DAY)).code is RefusalCode.EXTENSION_NOT_ALLOWED


def test_an_answered_item_is_not_extended() -> None:
    request = Request()
    request.answer(Outcome.UNBOUND)
    assert request.refused(extend(), T0, deadline(T0 + 7 * DAY)).code is RefusalCode.EXTENSION_NOT_ALLOWED


def test_an_extension_is_decided_with_its_clock() -> None:
    with pytest.raises(ValueError, match="clock"):
        unbind.decide(Request().state, extend(), T0)


# ── choices: account by account ──────────────────────────────────────────────────────────────────────

UNBIND_ONE, CANCEL_ONE = Choice(ref="a0", action=Action.UNBIND), Choice(ref="a1", action=Action.CANCEL)


def chosen(*choices: Choice) -> Request:
    """A request of a dispute, whose citizen chose for each account."""
    request = Request()
    opened = request.events[0]
    assert isinstance(opened, unbind.Opened)
    items = tuple(item.model_copy(update={"choices": choices}) for item in opened.items)
    request.events = [opened.model_copy(update={"items": items})]
    request.state = unbind.evolve(None, request.events[0])
    return request


@pytest.mark.parametrize("bound_at", [BEFORE, AT, AFTER])
def test_what_was_chosen_is_done_whenever_it_was_bound(bound_at: datetime) -> None:
    assert chosen(UNBIND_ONE).answer(Outcome.UNBOUND, bound_at=bound_at) == 1
    kept = chosen(UNBIND_ONE)
    assert kept.answer(Outcome.KEPT, reason=Reason.HOLDER_CONFIRMED, bound_at=bound_at) == 1


def test_no_takeover() -> None:
    """Nothing is cancelled that nobody asked to cancel (domain.md, 'no takeover')."""
    request = chosen(UNBIND_ONE)
    refusal = request.refused(request.answering(Outcome.CANCELLED))
    assert (refusal.code, refusal.field) == (RefusalCode.NOT_ASKED_TO_CANCEL, "outcome")
    assert chosen(UNBIND_ONE, CANCEL_ONE).answer(Outcome.CANCELLED) == 1
    amending = chosen(UNBIND_ONE)
    amending.answer(Outcome.UNBOUND)
    assert amending.refused(amending.answering(Outcome.CANCELLED, amends=1)).code is RefusalCode.NOT_ASKED_TO_CANCEL
    assert Request().answer(Outcome.CANCELLED) == 1  # a renewal asks for no account in particular


def test_a_ledger_from_before_reads_and_writes_as_before() -> None:
    """Where nothing was chosen, events and rows have not a word more than they had."""
    request = Request()
    opened = request.events[0].model_dump_json(exclude_none=True)
    assert "choices" not in opened and EVENTS.validate_json(opened) == request.events[0]
    row = request.item().model_dump_json(exclude_none=True)
    assert "choices" not in row and "paused" not in row
    with_choices = chosen(UNBIND_ONE, CANCEL_ONE)
    assert EVENTS.validate_json(with_choices.events[0].model_dump_json(exclude_none=True)) == with_choices.events[0]
    assert Item.model_validate_json(with_choices.item().model_dump_json()) == with_choices.item()


# ── clocks that stand ────────────────────────────────────────────────────────────────────────────────

CHEN = Actor(kind=ActorKind.CASE_WORKER, code="worker-chen")
PAPER = "P0123456789AB"


def pause(number: int = 0, actor: Actor = CHEN) -> Pause:
    return Pause(item=item_id(number), actor=actor, reason=PAPER)


def resume(number: int = 0) -> Resume:
    return Resume(item=item_id(number), actor=CHEN)


def test_a_paused_clock_moves_reminder_and_deadline_by_as_long_as_it_stood() -> None:
    request = Request()
    request.told(Notice.REQUEST)
    due, remind = request.item().due_at, request.item().remind_at
    assert request.do(pause(), T0 + DAY) == 1
    assert request.do(pause(), T0 + 2 * DAY) == 0
    assert request.item().state is ItemState.DELIVERED
    agenda = unbind.agenda(request.state, due + 10 * DAY)
    assert (agenda.notices, agenda.overdue, agenda.close, agenda.wake_at) == ({}, (), False, None)
    assert request.do(resume(), T0 + 11 * DAY) == 1
    assert request.do(resume(), T0 + 11 * DAY) == 0
    assert (request.item().due_at, request.item().remind_at) == (due + 10 * DAY, remind + 10 * DAY)
    assert request.item().paused_at is None
    assert due_now(request, remind + 10 * DAY) == {Notice.REMINDER: {"tencent": [0]}}
    assert unbind.agenda(request.state, due + 10 * DAY).overdue == (item_id(0),)


def test_one_clock_stands_and_the_others_run() -> None:
    request = Request("alpha", "beta")
    request.told(Notice.REQUEST, 0)
    request.told(Notice.REQUEST, 1)
    request.do(pause(0), T0 + DAY)
    assert due_now(request, T0 + 4 * DAY) == {Notice.REMINDER: {"beta": [1]}}
    assert unbind.agenda(request.state, T0 + 5 * DAY).overdue == (item_id(1),)


def test_a_request_goes_out_although_its_clock_stands() -> None:
    request = Request()
    request.do(pause())
    assert due_now(request, T0 + HOUR) == {Notice.REQUEST: {"tencent": [0]}}


def test_an_answer_is_taken_while_the_clock_stands_and_is_not_late() -> None:
    request = Request()
    request.do(pause(), T0 + DAY)
    request.answer(Outcome.UNBOUND, at=T0 + 30 * DAY)
    answered = request.events[-1]
    assert isinstance(answered, unbind.Answered) and not answered.late
    assert request.item().paused_at is None and request.do(resume(), T0 + 31 * DAY) == 0


def test_a_paused_item_can_be_withdrawn() -> None:
    request = Request()
    request.do(pause())
    request.do(Withdraw(), T0 + HOUR)
    assert request.item().paused_at is None
    assert unbind.agenda(request.state, T0 + HOUR).close


def test_whose_clock_may_be_paused_by_whom() -> None:
    request = Request()
    enterprise = Actor(kind=ActorKind.ENTERPRISE, code="tencent")
    assert request.refused(pause(actor=enterprise)).code is RefusalCode.NOT_ALLOWED
    assert request.refused(pause(9)).code is RefusalCode.UNKNOWN_WORK_ITEM
    assert request.refused(resume(9)).code is RefusalCode.UNKNOWN_WORK_ITEM
    assert request.refused(pause(), request.item().due_at).code is RefusalCode.CLOCK_NOT_RUNNING
    request.fold(unbind.WentOverdue(at=T0 + 5 * DAY, items=(item_id(0),)))
    assert request.refused(pause(), T0 + 6 * DAY).code is RefusalCode.CLOCK_NOT_RUNNING
    answered = Request()
    answered.answer(Outcome.UNBOUND)
    assert answered.refused(pause()).code is RefusalCode.CLOCK_NOT_RUNNING


def test_a_clock_that_stands_is_not_extended() -> None:
    request = Request()
    request.do(pause())
    assert request.refused(extend(), T0 + HOUR).code is RefusalCode.EXTENSION_NOT_ALLOWED


# ── agenda ───────────────────────────────────────────────────────────────────────────────────────────


def due_now(request: Request, at: datetime) -> dict[Notice, dict[str, list[int]]]:
    """The notices due at a moment: by enterprise, the items' numbers."""
    found = unbind.agenda(request.state, at).notices
    return {n: {who: [int(i[1:]) for i in items] for who, items in by.items()} for n, by in found.items()}


def test_a_request_goes_out_at_once_by_enterprise() -> None:
    request = Request("alpha", "beta", "alpha")
    assert due_now(request, T0) == {Notice.REQUEST: {"alpha": [0, 2], "beta": [1]}}


def test_the_life_of_a_silent_item() -> None:
    """request → reminder → overdue → late window → close, each at its moment and not a second before."""
    request = Request()
    request.told(Notice.REQUEST, at=T0)
    due = request.item().due_at
    agenda = unbind.agenda(request.state, T0 + SECOND)
    assert (agenda.notices, agenda.overdue, agenda.close, agenda.wake_at) == ({}, (), False, due - DAY)

    assert due_now(request, due - DAY - SECOND) == {}
    assert due_now(request, due - DAY) == {Notice.REMINDER: {"tencent": [0]}}
    request.told(Notice.REMINDER, at=due - DAY)
    agenda = unbind.agenda(request.state, due - DAY)
    assert (agenda.notices, agenda.overdue, agenda.wake_at) == ({}, (), due)

    assert unbind.agenda(request.state, due - SECOND).overdue == ()
    assert unbind.agenda(request.state, due).overdue == (item_id(0),)
    request.fold(unbind.WentOverdue(at=due, items=(item_id(0),)))
    agenda = unbind.agenda(request.state, due)
    assert (agenda.notices, agenda.overdue, agenda.close, agenda.wake_at) == ({}, (), False, due + 30 * DAY)

    assert not unbind.agenda(request.state, due + 30 * DAY - SECOND).close
    assert unbind.agenda(request.state, due + 30 * DAY).close


@pytest.mark.parametrize("late_window", [timedelta(0), 30 * DAY])
def test_nothing_closes_before_it_is_overdue(late_window: timedelta) -> None:
    """A worker that was away for the whole late window still says who never answered, before it closes."""
    request = Request(late_window=late_window)
    request.told(Notice.REQUEST)
    request.told(Notice.REMINDER, at=T0 + 4 * DAY)
    agenda = unbind.agenda(request.state, T0 + 5 * DAY + late_window)
    assert agenda.overdue == (item_id(0),)
    assert not agenda.close


def test_what_is_overdue_is_not_reminded_of_any_more() -> None:
    """The reminder says 'soon due'; after the deadline that is not true."""
    request = Request()
    request.told(Notice.REQUEST)
    agenda = unbind.agenda(request.state, T0 + 6 * DAY)
    assert agenda.overdue == (item_id(0),)
    assert Notice.REMINDER not in agenda.notices


@pytest.mark.parametrize("state", ["acknowledged", "answered"])
def test_who_is_reminded(state: str) -> None:
    request = Request()
    request.told(Notice.REQUEST)
    request.acknowledge() if state == "acknowledged" else request.answer(Outcome.UNBOUND)
    expected = {Notice.REMINDER: {"tencent": [0]}} if state == "acknowledged" else {}
    assert due_now(request, T0 + 4 * DAY) == expected


def test_an_extension_reminds_again() -> None:
    request = Request()
    request.told(Notice.REQUEST)
    request.told(Notice.REMINDER, at=T0 + 4 * DAY)
    request.do(extend(), T0 + 4 * DAY + HOUR, deadline(T0 + 7 * DAY))
    assert due_now(request, T0 + 6 * DAY - SECOND) == {}
    assert due_now(request, T0 + 6 * DAY) == {Notice.REMINDER: {"tencent": [0]}}


def test_a_failed_notice_is_tried_again_after_its_wait_and_not_for_the_others() -> None:
    request = Request("alpha", "beta")
    request.told(Notice.REQUEST, 1)
    request.missed(Notice.REQUEST, T0)
    item = request.item(0)
    assert (item.failures, item.last_failure, item.try_after) == (1, "http_503", T0 + timedelta(seconds=30))
    assert due_now(request, T0 + timedelta(seconds=29)) == {}
    assert unbind.agenda(request.state, T0 + SECOND).wake_at == T0 + timedelta(seconds=30)
    assert due_now(request, T0 + timedelta(seconds=30)) == {Notice.REQUEST: {"alpha": [0]}}
    request.told(Notice.REQUEST, 0, at=T0 + timedelta(seconds=30))
    item = request.item(0)
    assert (item.failures, item.last_failure, item.try_after) == (0, "", None)


def test_waits_double_up_to_the_longest() -> None:
    request, at, waits = Request(), T0, []
    for _ in range(30):
        request.missed(Notice.REQUEST, at)
        waits.append((request.item().try_after or at) - at)
        at += waits[-1]
    assert waits[:4] == [timedelta(seconds=30), timedelta(minutes=1), timedelta(minutes=2), timedelta(minutes=4)]
    assert all(a <= b for a, b in pairwise(waits))
    assert waits[-1] == request.item().retry_at_most


@pytest.mark.parametrize(("asked", "wait"), [(None, 30), (5, 30), (90, 90), (7200, 7200)])
def test_an_enterprise_may_ask_to_be_left_alone_longer(asked: float | None, wait: int) -> None:
    assert unbind.backoff(Request().item(), asked) == timedelta(seconds=wait)


def test_an_undelivered_item_goes_overdue_and_is_still_tried() -> None:
    request = Request()
    request.missed(Notice.REQUEST, T0 + 5 * DAY - SECOND)
    request.fold(unbind.WentOverdue(at=T0 + 5 * DAY, items=(item_id(0),)))
    assert due_now(request, T0 + 6 * DAY) == {Notice.REQUEST: {"tencent": [0]}}


def test_a_withdrawal_is_told_to_whom_the_request_was() -> None:
    request = Request("alpha", "beta")
    request.told(Notice.REQUEST, 0)
    request.do(Withdraw(), T0 + HOUR)
    assert due_now(request, T0 + HOUR) == {Notice.WITHDRAWAL: {"alpha": [0]}}
    assert not unbind.agenda(request.state, T0 + HOUR).close
    request.told(Notice.WITHDRAWAL, 0, at=T0 + HOUR)
    agenda = unbind.agenda(request.state, T0 + HOUR)
    assert agenda.notices == {}
    assert agenda.close  # nothing is owed any more


def test_a_request_nobody_was_told_of_closes_when_it_is_withdrawn() -> None:
    request = Request("alpha", "beta")
    request.do(Withdraw(), T0 + HOUR)
    agenda = unbind.agenda(request.state, T0 + HOUR)
    assert (agenda.notices, agenda.close) == ({}, True)


def test_a_withdrawal_crossing_the_request_is_told_afterwards() -> None:
    request = Request()
    request.do(Withdraw(), T0 + SECOND)
    request.told(Notice.REQUEST, at=T0)
    assert request.item().state is ItemState.WITHDRAWN
    assert due_now(request, T0 + SECOND) == {Notice.WITHDRAWAL: {"tencent": [0]}}


def test_a_failed_withdrawal_notice_is_tried_again() -> None:
    request = Request()
    request.told(Notice.REQUEST)
    request.do(Withdraw(), T0 + HOUR)
    request.missed(Notice.WITHDRAWAL, T0 + HOUR)
    assert due_now(request, T0 + HOUR) == {}
    agenda = unbind.agenda(request.state, T0 + HOUR)
    assert (agenda.close, agenda.wake_at) == (False, T0 + HOUR + timedelta(seconds=30))
    assert due_now(request, agenda.wake_at) == {Notice.WITHDRAWAL: {"tencent": [0]}}


def test_settled_and_tally() -> None:
    request = Request("alpha", "beta", "gamma")
    request.answer(Outcome.UNBOUND, 0)
    request.do(Withdraw())
    assert unbind.settled(request.state)
    assert unbind.tally(request.state.items.values()) == {ItemState.UNBOUND: 1, ItemState.WITHDRAWN: 2}
    assert not unbind.settled(Request().state)


@pytest.mark.parametrize("event", [unbind.Closed(at=T0), unbind.Withdrawn(at=T0, items=())])
def test_a_request_begins_with_its_opening(event: Event) -> None:
    with pytest.raises(ValueError, match="Opened"):
        unbind.evolve(None, event)


# ── races: what an activity records while updates are decided ────────────────────────────────────────


def _queued() -> Request:
    return Request()


def _failing() -> Request:
    request = Request()
    request.missed(Notice.REQUEST, T0)
    return request


def _delivered() -> Request:
    request = Request()
    request.told(Notice.REQUEST, at=T0)
    request.missed(Notice.REMINDER, T0 + 4 * DAY)
    return request


def _acknowledged() -> Request:
    request = _delivered()
    request.acknowledge(at=T0 + HOUR)
    return request


def _overdue() -> Request:
    request = _failing()
    request.fold(unbind.WentOverdue(at=T0 + 5 * DAY, items=(item_id(0),)))
    return request


def _answered() -> Request:
    request = _delivered()
    request.answer(Outcome.UNBOUND, at=T0 + HOUR)
    return request


LATER = T0 + 5 * DAY - HOUR
RACING: list[Event] = [
    unbind.Acknowledged(at=LATER, item=item_id(0)),
    *(unbind.Answered(at=LATER, item=item_id(0), outcome=outcome, version=9) for outcome in Outcome),
    unbind.Extended(at=LATER, item=item_id(0), clock=deadline(T0 + 9 * DAY), reason="audit"),
    unbind.Withdrawn(at=LATER, items=(item_id(0),)),
    unbind.WentOverdue(at=LATER, items=(item_id(0),)),
    unbind.Paused(at=LATER, items=(item_id(0),), reason=PAPER),
    unbind.Resumed(at=LATER, items=(item_id(0),), remind_at=T0 + 8 * DAY, due_at=T0 + 9 * DAY),
]


@pytest.mark.parametrize("notice", Notice)
@pytest.mark.parametrize("event", RACING, ids=lambda e: f"{e.type}-{getattr(e, 'outcome', '')}")
@pytest.mark.parametrize("begin", [_queued, _failing, _delivered, _acknowledged, _overdue, _answered])
def test_a_notice_commutes_with_what_may_race_with_it(begin: object, event: Event, notice: Notice) -> None:
    """The activity writes Noticed to the ledger when it happens; the workflow folds it in when it hears of it."""
    state = begin().state  # type: ignore[operator]
    noticed = unbind.Noticed(at=LATER - SECOND, notice=notice, enterprise="tencent", items=(item_id(0),))
    one = unbind.evolve(unbind.evolve(state, noticed), event)
    other = unbind.evolve(unbind.evolve(state, event), noticed)
    assert one == other


# ── any sequence ─────────────────────────────────────────────────────────────────────────────────────

OWNERS = ("alpha", "beta", "alpha")
POLICY = SlaPolicy(days=DayKind.CALENDAR)
PLAIN = Calendar(version="plain", holidays=frozenset(), worked_weekends=frozenset())

items = st.tuples(
    st.sampled_from([item_id(n) for n in range(len(OWNERS) + 1)]), st.sampled_from(["alpha", "beta", "gamma"])
)
own_items = st.sampled_from([(item_id(n), owner) for n, owner in enumerate(OWNERS)])


class AnySequence(RuleBasedStateMachine):
    """The workflow and its activity, interleaved at will: `ledger` in the order written, `live` in the order heard."""

    @initialize(late_window=st.sampled_from([HOUR, 30 * DAY]))
    def open(self, late_window: timedelta) -> None:
        opened = opening(OWNERS, late_window=late_window)
        self.now = T0
        self.ledger: list[Event] = [opened]
        self.live = unbind.evolve(None, opened)
        self.told: list[Event] = []  # recorded by the activity, not yet heard of by the workflow
        self.telling: dict[str, tuple[str, ...]] = {}
        self.notice = Notice.REQUEST
        self.missed: list[tuple[str, ...]] = []

    def happened(self, *events: Event) -> None:
        for event in events:
            before = self.live
            self.live = unbind.evolve(before, event)
            self.check(before, event)
        self.ledger.extend(events)

    def check(self, before: unbind.State, event: Event) -> None:
        touched = unbind.touched(event)
        for key, item in before.items.items():
            new = self.live.items[key]
            assert key in touched or new == item
            assert new.state is item.state or new.state in ALLOWED[item.state], (event, item.state, new.state)

    def send(self, command: unbind.ItemCommand | Withdraw) -> None:
        clock = None
        if isinstance(command, Extend) and command.item in self.live.items:
            clock = sla.extended(self.live.items[command.item].due_at, command.by, POLICY, PLAIN, self.now)
        decision = unbind.decide(self.live, command, self.now, clock)
        if isinstance(decision, Refusal):
            assert decision.sentence and decision.remedy
            return
        self.happened(*decision)
        assert self.live.header.status is UnbindStatus.OPEN or not decision
        if isinstance(command, Acknowledge | Answer | Extend):
            assert self.live.items[command.item].enterprise == command.enterprise
            assert unbind.decide(self.live, command, self.now, clock) == ()

    @rule(pause=pauses)
    def wait(self, pause: timedelta) -> None:
        self.now += pause

    @rule(offset=st.sampled_from([-SECOND, timedelta(0), SECOND]))
    def wait_for_the_clock(self, offset: timedelta) -> None:
        wake_at = unbind.agenda(self.live, self.now).wake_at
        self.now = max(self.now, (wake_at or self.now) + offset)

    @rule(command=st.builds(lambda i: Acknowledge(item=i[0], enterprise=i[1]), items | own_items))
    def acknowledge(self, command: Acknowledge) -> None:
        self.send(command)

    @rule(command=answers(items) | answers(own_items))
    def answer(self, command: Answer) -> None:
        self.send(command)

    @rule(owned=own_items, outcome=st.sampled_from([Outcome.UNBOUND, Outcome.CANCELLED, Outcome.NOT_FOUND]))
    def answer_as_one_should(self, owned: tuple[str, str], outcome: Outcome) -> None:
        version = self.live.items[owned[0]].version
        self.send(Answer(item=owned[0], enterprise=owned[1], outcome=outcome, amends=version or None))

    @rule(
        command=st.builds(
            lambda i, by, reason: Extend(item=i[0], enterprise=i[1], by=by, reason=reason),
            items | own_items,
            st.timedeltas(-DAY, 7 * DAY),
            st.sampled_from(["audit", "holiday"]),
        )
    )
    def extend(self, command: Extend) -> None:
        self.send(command)

    @rule()
    def withdraw(self) -> None:
        self.send(Withdraw())

    @rule(number=st.integers(0, len(OWNERS)), go=st.booleans())
    def stop_or_go(self, number: int, go: bool) -> None:
        before = {key: item.due_at - self.now for key, item in self.live.items.items() if item.paused_at}
        self.send(resume(number) if go else pause(number))
        for key, item in self.live.items.items():
            if key in before and not item.paused_at:
                assert item.due_at - self.now >= before[key], "no time is lost"

    @precondition(lambda self: not self.telling and self.live.header.status is UnbindStatus.OPEN)
    @rule()
    def look(self) -> None:
        """What the workflow's loop does: breaches, then one round of notices, or the close."""
        agenda = unbind.agenda(self.live, self.now)
        if agenda.overdue:
            self.happened(unbind.WentOverdue(at=self.now, items=agenda.overdue))
        elif agenda.close:
            self.happened(unbind.Closed(at=self.now))
        elif agenda.notices:
            self.notice, by_enterprise = next(iter(agenda.notices.items()))
            self.telling, self.told, self.missed = dict(by_enterprise), [], []

    @precondition(lambda self: self.telling)
    @rule(works=st.booleans(), retry_after=st.none() | st.floats(0, 7200))
    def tell_one(self, works: bool, retry_after: float | None) -> None:
        """The activity reaches one enterprise, or does not; after the last the workflow hears of all."""
        enterprise, which = self.telling.popitem()
        if works:
            told = unbind.Noticed(at=self.now, notice=self.notice, enterprise=enterprise, items=which)
            self.ledger.append(told)
            self.told.append(told)
        else:
            self.missed.append(which)
        if self.telling:
            return
        for event in self.told:
            before = self.live
            self.live = unbind.evolve(before, event)
            self.check(before, event)
        self.told = []
        for which in self.missed:
            item = self.live.items[which[0]]
            wait = unbind.backoff(item, retry_after)
            assert timedelta(0) < wait <= max(item.retry_at_most, timedelta(seconds=retry_after or 0))
            self.happened(
                unbind.NoticeFailed(
                    at=self.now,
                    notice=self.notice,
                    enterprise=item.enterprise,
                    items=which,
                    code="down",
                    try_after=self.now + wait,
                )
            )

    @invariant()
    def the_ledger_says_what_is_live(self) -> None:
        heard = self.live
        for event in self.told:
            heard = unbind.evolve(heard, event)
        assert fold(unbind.evolve, self.ledger) == heard

    @invariant()
    def versions_count_up(self) -> None:
        for key, item in self.live.items.items():
            versions = [e.version for e in self.ledger if isinstance(e, unbind.Answered) and e.item == key]
            assert versions == list(range(1, item.version + 1))

    @invariant()
    def items_make_sense(self) -> None:
        for item in self.live.items.values():
            assert (item.outcome is not None) == (item.state in OUTCOMES) == (item.answered_at is not None)
            assert (item.withdrawn_at is not None) == (item.state is ItemState.WITHDRAWN)
            if item.state is ItemState.WITHDRAWN:
                assert item.acknowledged_at is None and item.outcome is None
            if item.state is ItemState.OVERDUE:
                assert item.overdue_at is not None
            assert item.paused_at is None or item.state in WAITING
            if item.state is ItemState.ACKNOWLEDGED:
                assert item.acknowledged_at is not None
            if item.outcome:
                assert (item.reason in REASONS[item.outcome]) if REASONS[item.outcome] else item.reason is None

    @invariant()
    def the_next_look_is_neither_too_early_nor_too_late(self) -> None:
        if self.telling or self.live.header.status is UnbindStatus.CLOSED:
            return
        agenda = unbind.agenda(self.live, self.now)
        if agenda.overdue or agenda.notices or agenda.close:
            return
        if agenda.wake_at is None:
            assert any(item.paused_at for item in self.live.items.values())
            return
        assert agenda.wake_at > self.now
        before = unbind.agenda(self.live, agenda.wake_at - timedelta(microseconds=1))
        assert not (before.overdue or before.notices or before.close)
        then = unbind.agenda(self.live, agenda.wake_at)
        assert then.overdue or then.notices or then.close

    def teardown(self) -> None:
        """Every event comes back from the ledger's JSON as it was."""
        for event in getattr(self, "ledger", []):
            assert EVENTS.validate_json(event.model_dump_json(exclude_none=True)) == event
            assert event.actor == SYSTEM or event.actor.kind in ACTORS


ACTORS = (ActorKind.ENTERPRISE, ActorKind.HOLDER, ActorKind.CASE_WORKER)
TestAnySequence = AnySequence.TestCase


def test_the_states_are_all_in_the_table() -> None:
    assert set(ALLOWED) == set(ItemState)
    assert WAITING | {ItemState.OVERDUE} == OPEN
