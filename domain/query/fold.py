"""What is true afterwards: the fold of a query."""

from __future__ import annotations

from datetime import timedelta
from functools import singledispatch

from domain import casework, question
from domain.case import Event, NotTold, Told, after
from domain.casework import DueMoved, Merged, Resumed, Work
from domain.query.words import TRANSITIONS, Closed, Reported, State, Submitted, Supplemented
from domain.question import Answered, Heard, QuestionsPut


def evolve(state: State | None, event: Event) -> State:
    """The query after one event."""
    if isinstance(event, Submitted):
        fields = {k: v for k, v in dict(event).items() if k not in ("type", "at", "actor")}
        return State(submitted_at=event.at, work=Work(due_at=event.deadline_at), **fields)
    if state is None:
        raise ValueError("a query begins with Submitted")
    change = _change(event, state)
    return state.model_copy(update={"status": after(TRANSITIONS, state.status, event), **change})


@singledispatch
def _change(event: Event, state: State) -> dict[str, object]:
    if not isinstance(event, casework.EVENTS):
        raise TypeError(f"no fold for {type(event).__name__}")
    return {"work": casework.evolve(state.work, event)}


@_change.register
def _(event: Heard, state: State) -> dict[str, object]:
    return {
        "questions": question.evolve(state.questions, event),
        "asked": state.asked + 1,
        "heard_at": event.at,
    }


@_change.register(QuestionsPut)
@_change.register(Answered)
def _(event: QuestionsPut | Answered, state: State) -> dict[str, object]:
    return {"questions": question.evolve(state.questions, event)}


@_change.register
def _(event: Reported, state: State) -> dict[str, object]:
    return {
        "counts": event.counts,
        "silent": event.silent,
        "reported_at": event.at,
        "free_at": event.at + state.policy.one_result_in,
        "late_until": event.at + state.policy.late_window,
        "work": _due(state, None),
    }


@_change.register
def _(event: Supplemented, state: State) -> dict[str, object]:
    return {"counts": event.counts, "silent": event.silent, "supplemented_at": event.at}


@_change.register
def _(event: Told, state: State) -> dict[str, object]:
    return {"delivered": event.delivered, "work": _due(state, None)}


@_change.register
def _(event: NotTold, state: State) -> dict[str, object]:
    return {"delivered": False, "work": _due(state, state.late_until)}


@_change.register
def _(event: Closed, state: State) -> dict[str, object]:
    return {"ended_at": event.at}


@_change.register
def _(event: Merged, state: State) -> dict[str, object]:
    """The other query goes on. One that gave no result holds its number no longer."""
    return {
        "work": casework.evolve(state.work, event),
        "ended_at": event.at,
        "free_at": state.free_at or event.at,
    }


@_change.register
def _(event: Resumed, state: State) -> dict[str, object]:
    stood = event.at - (state.work.paused_at or event.at)
    return {"work": casework.evolve(state.work, event), **_moved(state, stood)}


@_change.register
def _(event: DueMoved, state: State) -> dict[str, object]:
    by = event.due_at - (state.work.due_at or event.due_at)
    return {"work": casework.evolve(state.work, event), **_moved(state, by)}


def _moved(state: State, by: timedelta) -> dict[str, object]:
    """The clock the query is under, moved."""
    if state.late_until is None:
        return {"deadline_at": state.deadline_at + by}
    return {"late_until": state.late_until + by}


def _due(state: State, at: object) -> Work:
    """A case worker's own deadline; none while nothing is theirs to do."""
    return state.work.model_copy(update={"due_at": at})
