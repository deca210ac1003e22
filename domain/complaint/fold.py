"""What is true afterwards: the fold of a complaint, and what the rest of the house asks of it."""

from __future__ import annotations

from functools import singledispatch

from domain import casework
from domain.case import Event, NotTold, Told, after
from domain.casework import Merged, Reopened, Standing, Waiting, Work
from domain.complaint.words import (
    ENDING_WORDS,
    FOLLOWED,
    TRANSITIONS,
    WAYS,
    Closed,
    Concluded,
    FollowedUp,
    FollowUp,
    News,
    Rerouted,
    Returned,
    State,
    Taken,
)
from domain.messages import MessageKey

NOT_OF_THE_STATE = frozenset({"type", "at", "actor", "due_at"})


def evolve(state: State | None, event: Event) -> State:
    """The complaint after one event."""
    if isinstance(event, Taken):
        return State(
            opened_at=event.at,
            wanted=WAYS[event.kind],
            news=(News(key=MessageKey.COMPLAINT_TAKEN),),
            work=Work(due_at=event.due_at, links=(event.about,) if event.about else ()),
            **{name: value for name, value in dict(event).items() if name not in NOT_OF_THE_STATE},
        )
    if state is None:
        raise ValueError("a complaint begins with Taken")
    change = {"status": after(TRANSITIONS, state.status, event), **_change(event, state)}
    if isinstance(event, casework.EVENTS):
        change["work"] = casework.evolve(state.work, event)
    return state.model_copy(update=change)


@singledispatch
def _change(event: Event, state: State) -> dict[str, object]:
    if isinstance(event, casework.EVENTS):
        return {}
    raise TypeError(f"no fold for {type(event).__name__}")


@_change.register
def _(event: FollowedUp, state: State) -> dict[str, object]:
    """If it was sent another way meanwhile, it still has to go there."""
    follow_ups = (*state.follow_ups, FollowUp(case=event.to, way=event.way))
    return {"follow_ups": follow_ups, "wanted": None if state.wanted is event.way else state.wanted}


@_change.register
def _(event: Rerouted, state: State) -> dict[str, object]:
    return {"wanted": event.way}


@_change.register
def _(event: Concluded, state: State) -> dict[str, object]:
    ended = {"outcome": event.outcome}
    return {
        "follow_ups": tuple(one.model_copy(update=ended) if one.case == event.by else one for one in state.follow_ups)
    }


@_change.register
def _(event: Closed, state: State) -> dict[str, object]:
    last = state.follow_ups[-1].case if state.follow_ups else ""
    said = ENDING_WORDS[event.ending][state.language].format(follow_up=last)
    news = (*state.news, News(key=MessageKey.COMPLAINT_CLOSED, words={"result": said}))
    return {"ending": event.ending, "ended_at": event.at, "wanted": None, "news": news}


@_change.register
def _(event: Merged, state: State) -> dict[str, object]:
    return {"ended_at": event.at, "wanted": None}


@_change.register
def _(event: Reopened, state: State) -> dict[str, object]:
    return {"ending": None, "ended_at": None}


@_change.register(Returned)
@_change.register(Told)
@_change.register(NotTold)
def _(event: Event, state: State) -> dict[str, object]:
    return {}


def standing(state: State) -> Standing:
    """Where a complaint stands in the case workers' queues: theirs when no other case sees to it."""
    followed = state.wanted is not None or state.status in FOLLOWED.values()
    nobodys = state.ended_at is not None or (followed and state.work.proposal is None)
    return Standing(
        status=state.status.value,
        open=state.ended_at is None,
        waiting=Waiting.NOBODY if nobodys else Waiting.CASE_WORKER,
        work=state.work,
    )
