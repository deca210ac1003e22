"""What a page offers to do is what the rules would take: nothing more, and nothing is kept back."""

from __future__ import annotations

from datetime import timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import casework, offers, unbind
from domain.case import Actor, ActorKind, CaseKind
from domain.casework import Decision, Work, WorkCommand
from domain.refusal import Refusal, RefusalCode
from tests.domain.test_casework import CASE, CHEN, DUE, LIN, WU, commands_of, work_commands
from tests.strategies import DAY, HOUR, T0, pauses

BY_WHAT_IS_NAMED = frozenset({RefusalCode.EXTENSION_NOT_ALLOWED, RefusalCode.CANNOT_MERGE})
"""Refusals that depend on what somebody writes into the form."""


@given(st.lists(st.tuples(pauses, work_commands | st.just("close")), max_size=20), st.sampled_from([CHEN, LIN, WU]))
def test_what_is_offered_is_taken_and_what_is_not_is_refused(
    sequence: list[tuple[timedelta, WorkCommand | str]], actor: Actor
) -> None:
    work, closed_at, now = Work(due_at=DUE), None, T0
    for pause, command in sequence:
        now += pause
        if isinstance(command, str):
            closed_at = closed_at or now
            continue
        decision = casework.decide(work, CASE, command, now, closed_at)
        for event in () if isinstance(decision, Refusal) else decision:
            work = casework.evolve(work, event)
            closed_at = now if event.type == "merged" else None if event.type == "reopened" else closed_at

    def takes(command: WorkCommand) -> Decision:
        return casework.decide(work, CASE, command, now, closed_at)

    open_ = {type(one) for one in casework.open_to(actor, CASE, work, takes)}
    for command in commands_of(actor):
        decision = takes(command)
        if type(command) in open_:
            assert not isinstance(decision, Refusal) or decision.code in BY_WHAT_IS_NAMED, command
        elif not isinstance(command, casework.Assign):  # to whom it is already
            assert not casework.changes(decision), command


def test_one_of_every_command_is_tried() -> None:
    tried: set[type] = set()

    def takes(command: WorkCommand) -> Decision:
        tried.add(type(command))
        return ()

    assert casework.open_to(WU, CASE, Work(), takes) == ()
    assert tried == set(casework.COMMANDS) - {casework.Link}, "a link is another case's, not a person's"


@pytest.mark.parametrize(
    "kind", [one for one in ActorKind if one not in (ActorKind.CASE_WORKER, ActorKind.SUPERVISOR)]
)
def test_nobody_else_is_offered_anything(kind: ActorKind) -> None:
    actor = Actor(kind=kind, code="somebody")
    work = Work(due_at=DUE)
    assert not casework.open_to(actor, CASE, work, lambda one: casework.decide(work, CASE, one, T0 + HOUR, None))


def test_every_kind_with_case_work_can_be_asked() -> None:
    assert set(offers.DECIDE) == set(CaseKind) - {CaseKind.UNBIND, CaseKind.IDENTITY}
    assert offers.open_to(CaseKind.UNBIND, None, CHEN, T0) == ()
    assert set(get_args(offers.ItemOffer)) == {unbind.Pause, unbind.Resume}


def test_a_work_items_clock_stops_and_goes_on() -> None:
    item = unbind.Item(
        id="W" + "0" * 20,
        app="wechat",
        enterprise="tencent",
        state=unbind.ItemState.DELIVERED,
        opened_at=T0,
        boundary=T0,
        remind_at=T0 + 4 * DAY,
        due_at=T0 + 5 * DAY,
        calendar="1",
        retry_first=HOUR,
        retry_at_most=DAY,
        extend_at_most=DAY,
    )
    header = unbind.Header(case=f"{CASE}-unbind-0", parent=CASE, opened_at=T0, late_window=DAY)
    paused = item.model_copy(update={"paused_at": T0 + HOUR})
    done = item.model_copy(update={"state": unbind.ItemState.UNBOUND})

    def offered(one: unbind.Item, header: unbind.Header = header) -> list[str]:
        return [offer.type for offer in offers.open_items(header, [one], CHEN, T0 + DAY)]

    assert (offered(item), offered(paused), offered(done)) == (["pause"], ["resume"], [])
    closed = header.model_copy(update={"status": unbind.UnbindStatus.CLOSED})
    assert offered(item, closed) == offered(paused, closed) == []
