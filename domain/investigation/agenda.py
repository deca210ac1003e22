"""What is due: everything a clock makes happen to an investigation, computed from its state alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from pydantic import AwareDatetime

from domain import casework
from domain.case import AppCode, Model, PartyCode
from domain.investigation.words import UNDECIDED, InvestigationStatus, State, Task, TaskState


class Agenda(Model):
    """What the workflow has to do now, and when it has to look again (None: when something happens)."""

    ask: Mapping[PartyCode, tuple[AppCode, ...]] = {}
    """Who is asked now, about which apps."""
    look_at_clock: bool = False
    over: bool = False
    wake_at: AwareDatetime | None = None


def agenda(state: State, now: datetime) -> Agenda:
    """Everything due at `now`, and the earliest clock among the rest."""
    if state.ended_at is not None:
        over_at = state.ended_at + casework.REOPEN_WITHIN
        return Agenda(over=over_at <= now, wake_at=over_at)
    if evidence_overdue(state, now) or case_is_overdue(state, now):
        return Agenda(look_at_clock=True)
    waited_for = [task for task in state.tasks.values() if _waited_for(state, task)]
    clocks = [task.ask_at for task in waited_for if task.ask_at] + [state.evidence_due_at] * bool(waited_for)
    if (due_at := _case_clock(state)) is not None:
        clocks.append(due_at)
    return Agenda(
        ask={task.party: task.apps for task in waited_for if task.ask_at and task.ask_at <= now},
        wake_at=min((at for at in clocks if at > now), default=None),
    )


def backoff(task: Task) -> timedelta:
    """How long to wait after one more failure: doubling, from the registry's first to its longest."""
    wait: timedelta = task.retry_first * (1 << min(task.failures, 16))
    return min(wait, task.retry_at_most)


def evidence_overdue(state: State, at: datetime) -> tuple[PartyCode, ...]:
    """Who let the deadline for evidence pass and is not marked yet."""
    if state.evidence_due_at > at:
        return ()
    return tuple(task.party for task in state.tasks.values() if _waited_for(state, task))


def case_is_overdue(state: State, at: datetime) -> bool:
    """Whether the case's own time is up and nobody has said so yet; a clock that stands never is."""
    due_at = _case_clock(state)
    return due_at is not None and due_at <= at


def _case_clock(state: State) -> datetime | None:
    runs = state.status is InvestigationStatus.OPEN and state.work.paused_at is None
    return state.work.due_at if runs else None


def _waited_for(state: State, task: Task) -> bool:
    return state.status in UNDECIDED and task.state is TaskState.ASKED
