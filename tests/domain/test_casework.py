"""Case work: who may do what, the clock that stands and moves, two people for a decision, any sequence of commands."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from domain import casework
from domain.case import SYSTEM, Actor, ActorKind, Event, LinkKind, Model
from domain.casework import (
    EXTEND_AT_MOST,
    REOPEN_WITHIN,
    Approve,
    Assign,
    Claim,
    DecisionKind,
    Extend,
    HandUp,
    Link,
    Merge,
    Note,
    Pause,
    Propose,
    Reject,
    Release,
    Reopen,
    Resume,
    Work,
    WorkCommand,
    WorkEvent,
)
from domain.refusal import Refusal, RefusalCode
from tests.strategies import DAY, HOUR, SECOND, T0, pauses

CASE, OTHER, ELSEWHERE = "D0123456789AB", "D0123456789AC", "Q0123456789AB"
PAPER, ATTACHMENT = "P0123456789AB", "P0123456789AC"
DUE = T0 + 15 * DAY

CHEN = Actor(kind=ActorKind.CASE_WORKER, code="worker-chen")
LIN = Actor(kind=ActorKind.CASE_WORKER, code="worker-lin")
WU = Actor(kind=ActorKind.SUPERVISOR, code="supervisor-wu")
NOT_STAFF = [
    Actor(kind=kind, code="somebody")
    for kind in ActorKind
    if kind not in (ActorKind.CASE_WORKER, ActorKind.SUPERVISOR)
]
NAMELESS = [CHEN.model_copy(update={"code": code}) for code in ("", "Chen", "陈", "c", "worker-chen\n", "x" * 41)]


class Desk:
    """One case's work side, driven by hand."""

    def __init__(self, due_at: datetime | None = DUE) -> None:
        self.work = Work(due_at=due_at)
        self.events: list[Event] = []
        self.closed_at: datetime | None = None

    def do(self, command: WorkCommand, at: timedelta = HOUR) -> list[str]:
        """A command that is taken; the types of its events."""
        decision = casework.decide(self.work, CASE, command, T0 + at, self.closed_at)
        assert not isinstance(decision, Refusal), decision
        for event in decision:
            self.work = casework.evolve(self.work, event)
        self.events.extend(decision)
        return [event.type for event in decision]

    def refused(self, command: WorkCommand, at: timedelta = HOUR) -> RefusalCode:
        """A command that is not."""
        decision = casework.decide(self.work, CASE, command, T0 + at, self.closed_at)
        assert isinstance(decision, Refusal), decision
        assert decision.sentence and decision.remedy
        return decision.code


def propose(actor: Actor = CHEN, about: str = "wechat") -> Propose:
    return Propose(actor=actor, what=DecisionKind.REFUSE, about=about, reason=PAPER)


def commands_of(actor: Actor) -> list[WorkCommand]:
    """One of each command of a person."""
    return [
        Claim(actor=actor),
        Release(actor=actor),
        Assign(actor=actor, to="worker-lin"),
        Note(actor=actor, note=PAPER),
        Pause(actor=actor, reason=PAPER),
        Resume(actor=actor),
        Extend(actor=actor, by=DAY, reason=PAPER),
        HandUp(actor=actor, reason=PAPER),
        Merge(actor=actor, into=OTHER),
        Reopen(actor=actor, reason=PAPER),
        propose(actor),
        Approve(actor=actor),
        Reject(actor=actor),
    ]


def claimed(by: Actor = CHEN) -> Desk:
    desk = Desk()
    desk.do(Claim(actor=by))
    return desk


def proposed() -> Desk:
    desk = claimed()
    desk.do(propose())
    return desk


# ── who may ──────────────────────────────────────────────────────────────────────────────────────────


def test_every_command_is_tried_here() -> None:
    tried = {type(command) for command in commands_of(CHEN)} | {Link}
    assert tried == set(casework.COMMANDS)


@pytest.mark.parametrize("actor", [*NOT_STAFF, *NAMELESS], ids=repr)
def test_case_work_takes_a_case_worker_with_a_code(actor: Actor) -> None:
    desk = Desk()
    for command in commands_of(actor):
        assert desk.refused(command) is RefusalCode.NOT_ALLOWED


def test_claim_and_release() -> None:
    desk = claimed()
    assert (desk.work.assignee, desk.do(Claim(actor=CHEN))) == ("worker-chen", [])
    assert desk.refused(Claim(actor=LIN)) is RefusalCode.CLAIMED_BY_ANOTHER
    assert desk.refused(Release(actor=LIN)) is RefusalCode.CLAIMED_BY_ANOTHER
    assert desk.do(Release(actor=CHEN)) == ["released"]
    assert (desk.work.assignee, desk.do(Release(actor=LIN))) == ("", [])
    desk.do(Claim(actor=LIN))
    assert desk.do(Release(actor=WU)) == ["released"], "a supervisor takes a case from anybody"


def test_only_a_supervisor_assigns() -> None:
    desk = claimed()
    assert desk.refused(Assign(actor=CHEN, to="worker-lin")) is RefusalCode.NOT_ALLOWED
    assert desk.do(Assign(actor=WU, to="worker-lin")) == ["claimed"]
    assert (desk.work.assignee, desk.events[-1].actor) == ("worker-lin", WU)
    assert desk.do(Assign(actor=WU, to="worker-lin")) == []


def test_notes_are_taken_at_any_time() -> None:
    desk = Desk()
    desk.closed_at = T0
    assert desk.do(Note(actor=LIN, note=PAPER, attachments=(ATTACHMENT,))) == ["noted"]
    assert desk.do(Note(actor=LIN, note=PAPER)) == ["noted"], "the same words twice are two notes"
    assert desk.work.notes == 2


def test_escalated_once() -> None:
    desk = Desk()
    assert desk.do(HandUp(actor=CHEN, reason=PAPER)) == ["handed_up"]
    assert desk.work.escalated_at == T0 + HOUR
    assert desk.do(HandUp(actor=LIN, reason=PAPER)) == []


# ── the clock ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("stood", [timedelta(0), SECOND, 3 * DAY, 40 * DAY], ids=str)
def test_the_deadline_moves_by_as_long_as_the_clock_stood(stood: timedelta) -> None:
    desk = Desk()
    assert desk.refused(Resume(actor=CHEN)) is RefusalCode.NOT_PAUSED
    assert desk.do(Pause(actor=CHEN, reason=PAPER), 2 * DAY) == ["paused"]
    assert desk.work.paused_at == T0 + 2 * DAY
    assert desk.refused(Pause(actor=LIN, reason=PAPER), 2 * DAY) is RefusalCode.PAUSED
    assert desk.refused(Extend(actor=CHEN, by=DAY, reason=PAPER), 2 * DAY) is RefusalCode.PAUSED
    assert desk.do(Resume(actor=LIN), 2 * DAY + stood) == ["resumed"]
    assert (desk.work.paused_at, desk.work.due_at) == (None, DUE + stood)


def test_a_case_without_a_deadline_can_be_paused_but_not_extended() -> None:
    desk = Desk(due_at=None)
    assert desk.refused(Extend(actor=WU, by=DAY, reason=PAPER)) is RefusalCode.EXTENSION_NOT_ALLOWED
    desk.do(Pause(actor=CHEN, reason=PAPER))
    desk.do(Resume(actor=CHEN), DAY)
    assert desk.work.due_at is None


def test_a_case_worker_extends_once_a_supervisor_again() -> None:
    desk = Desk()
    assert desk.do(Extend(actor=CHEN, by=EXTEND_AT_MOST, reason=PAPER)) == ["due_moved"]
    assert (desk.work.due_at, desk.work.extended) == (DUE + EXTEND_AT_MOST, 1)
    assert desk.refused(Extend(actor=CHEN, by=DAY, reason=PAPER)) is RefusalCode.EXTENSION_NOT_ALLOWED
    assert desk.do(Extend(actor=WU, by=DAY, reason=PAPER)) == ["due_moved"]
    assert desk.work.due_at == DUE + EXTEND_AT_MOST + DAY


@pytest.mark.parametrize("by", [-DAY, timedelta(0), EXTEND_AT_MOST + SECOND], ids=str)
def test_an_extension_has_bounds(by: timedelta) -> None:
    assert Desk().refused(Extend(actor=WU, by=by, reason=PAPER)) is RefusalCode.EXTENSION_NOT_ALLOWED


@pytest.mark.parametrize(("after", "taken"), [(-SECOND, True), (timedelta(0), False), (5 * DAY, False)], ids=str)
def test_an_extension_never_ends_in_the_past(after: timedelta, taken: bool) -> None:
    more = Extend(actor=CHEN, by=2 * DAY, reason=PAPER)
    desk, at = Desk(), 15 * DAY + 2 * DAY + after
    if taken:
        desk.do(more, at)
        assert desk.work.due_at == DUE + 2 * DAY
    else:
        assert desk.refused(more, at) is RefusalCode.EXTENSION_NOT_ALLOWED


# ── two people ───────────────────────────────────────────────────────────────────────────────────────


def test_who_decides_has_the_case() -> None:
    assert Desk().refused(propose()) is RefusalCode.NOT_CLAIMED
    assert claimed(LIN).refused(propose(CHEN)) is RefusalCode.NOT_CLAIMED
    assert claimed(LIN).refused(propose(WU)) is RefusalCode.NOT_CLAIMED, "not even a supervisor"
    desk = proposed()
    assert desk.work.proposal is not None
    assert (desk.work.proposal.by, desk.work.proposal.at) == ("worker-chen", T0 + HOUR)
    assert desk.refused(propose()) is RefusalCode.DECISION_PENDING


@pytest.mark.parametrize("command", [Approve, Reject])
def test_nobody_approves_their_own_decision(command: type[Approve] | type[Reject]) -> None:
    assert claimed().refused(command(actor=CHEN)) is RefusalCode.NOTHING_PROPOSED
    desk = proposed()
    assert desk.refused(command(actor=CHEN)) is RefusalCode.SAME_PERSON
    as_supervisor = Actor(kind=ActorKind.SUPERVISOR, code="worker-chen")
    assert desk.refused(command(actor=as_supervisor)) is RefusalCode.SAME_PERSON, "in whatever role"
    desk.do(Assign(actor=WU, to="worker-lin"))
    assert desk.refused(command(actor=CHEN)) is RefusalCode.SAME_PERSON, "whoever has the case by now"


@pytest.mark.parametrize("second", [LIN, WU], ids=str)
def test_a_second_person_approves(second: Actor) -> None:
    desk = proposed()
    assert desk.do(Approve(actor=second)) == ["approved"]
    approved = desk.events[-1]
    assert isinstance(approved, casework.Approved)
    assert (approved.decided_by, approved.actor, approved.about) == ("worker-chen", second, "wechat")
    assert desk.work.proposal is None
    assert desk.refused(Approve(actor=WU)) is RefusalCode.NOTHING_PROPOSED


def test_a_rejected_decision_is_void_and_may_be_made_again() -> None:
    desk = proposed()
    assert desk.do(Reject(actor=LIN)) == ["rejected"]
    assert desk.work.proposal is None
    assert desk.do(propose(about="qq")) == ["proposed"]


# ── merging, linking, closing ────────────────────────────────────────────────────────────────────────


def test_merged_into_another_of_its_kind() -> None:
    desk = proposed()
    assert desk.do(Merge(actor=CHEN, into=OTHER)) == ["linked", "merged"]
    assert (desk.work.merged_into, desk.work.links, desk.work.proposal) == (OTHER, (OTHER,), None)


@pytest.mark.parametrize("into", [CASE, ELSEWHERE, f"{OTHER}-unbind-0"])
def test_not_merged_into_itself_or_another_kind(into: str) -> None:
    assert Desk().refused(Merge(actor=CHEN, into=into)) is RefusalCode.CANNOT_MERGE


def test_linked_once_and_never_to_itself() -> None:
    desk = Desk()
    desk.closed_at = T0
    assert desk.do(Link(to=ELSEWHERE, how=LinkKind.LED_TO)) == ["linked"], "a closed case may be linked"
    assert desk.events[-1].actor == SYSTEM
    assert desk.do(Link(to=ELSEWHERE, how=LinkKind.OPENED_FROM)) == []
    assert desk.do(Link(to=CASE, how=LinkKind.LED_TO)) == []
    assert desk.work.links == (ELSEWHERE,)


def test_a_closed_case_takes_notes_and_reopening_only() -> None:
    desk = proposed()
    desk.closed_at = T0
    for command in commands_of(LIN):
        if not isinstance(command, Note | Reopen):
            assert desk.refused(command) is RefusalCode.CASE_CLOSED


def test_an_open_case_is_not_reopened() -> None:
    assert Desk().refused(Reopen(actor=CHEN, reason=PAPER)) is RefusalCode.NOT_CLOSED


@pytest.mark.parametrize(("after", "taken"), [(REOPEN_WITHIN - SECOND, True), (REOPEN_WITHIN, False)], ids=str)
def test_reopened_within_thirty_days(after: timedelta, taken: bool) -> None:
    desk = Desk()
    desk.closed_at = T0
    if taken:
        assert desk.do(Reopen(actor=LIN, reason=PAPER), after) == ["reopened"]
    else:
        assert desk.refused(Reopen(actor=LIN, reason=PAPER), after) is RefusalCode.TOO_LATE_TO_REOPEN


def test_a_reopened_case_starts_afresh() -> None:
    desk = proposed()
    desk.do(Pause(actor=CHEN, reason=PAPER))
    desk.do(HandUp(actor=CHEN, reason=PAPER))
    desk.closed_at = T0 + DAY
    desk.do(Reopen(actor=LIN, reason=PAPER), 2 * DAY)
    work = desk.work
    assert (work.paused_at, work.escalated_at, work.proposal, work.merged_into) == (None, None, None, None)
    assert (work.assignee, work.due_at) == ("worker-chen", DUE), "whose it was and when it was due"
    later = casework.Reopened(at=T0, actor=LIN, reason=PAPER, due_at=DUE + DAY)
    assert casework.evolve(work, later).due_at == DUE + DAY, "unless the kind gives it more time"


def test_a_strange_command_or_event_is_a_bug() -> None:
    class Strange(Model):
        actor: Actor = CHEN

    with pytest.raises(TypeError, match="Strange"):
        casework.decide(Work(), CASE, Strange(), T0, None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Event"):
        casework.evolve(Work(), Event(type="strange", at=T0))


# ── any sequence ─────────────────────────────────────────────────────────────────────────────────────

EVENTS: TypeAdapter[Event] = TypeAdapter(WorkEvent)
COMMAND: TypeAdapter[WorkCommand] = TypeAdapter(casework.WorkCommand)
staff = st.sampled_from([CHEN, LIN, WU])
work_commands = st.one_of(
    staff.flatmap(lambda actor: st.sampled_from(commands_of(actor))),
    st.builds(Extend, actor=staff, by=st.timedeltas(-DAY, 20 * DAY), reason=st.just(PAPER)),
    st.builds(Link, to=st.sampled_from([CASE, OTHER, ELSEWHERE]), how=st.sampled_from(LinkKind)),
)
"""Anything people or other cases may do."""


@given(st.lists(st.tuples(pauses, work_commands | st.just("close")), max_size=30))
def test_any_sequence(sequence: list[tuple[timedelta, WorkCommand | str]]) -> None:
    start = Work(due_at=DUE)
    work, closed_at, now, events = start, None, T0, list[Event]()
    for pause, command in sequence:
        now += pause
        if isinstance(command, str):
            closed_at = closed_at or now
            continue
        decision = casework.decide(work, CASE, command, now, closed_at)
        if isinstance(decision, Refusal):
            assert decision.sentence and decision.remedy
            continue
        before = work
        for event in decision:
            work = casework.evolve(work, event)
        events.extend(decision)
        kinds = {event.type for event in decision}
        assert closed_at is None or kinds <= {"noted", "reopened", "linked"}
        assert ("proposed" in kinds) <= (before.assignee == getattr(command, "actor", CHEN).code)
        if approved := [event for event in decision if isinstance(event, casework.Approved)]:
            assert before.proposal and approved[0].decided_by == before.proposal.by != approved[0].actor.code
        if "due_moved" in kinds:
            assert before.due_at and work.due_at and work.due_at > max(now, before.due_at)
        if "resumed" in kinds:
            assert before.due_at and work.due_at and work.due_at >= before.due_at
        if "merged" in kinds:
            closed_at = now
        if "reopened" in kinds:
            assert closed_at and now - closed_at < REOPEN_WITHIN
            closed_at = None
        assert CASE not in work.links and len(set(work.links)) == len(work.links)
        assert work.due_at is not None
        assert COMMAND.validate_json(command.model_dump_json()) == command
    stored = [EVENTS.validate_json(event.model_dump_json(exclude_none=True)) for event in events]
    assert stored == events
    for event in stored:
        start = casework.evolve(start, event)
    assert start == work
    assert Work.model_validate_json(work.model_dump_json(exclude_none=True)) == work
