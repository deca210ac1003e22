"""What is true afterwards: the fold of a renewal, and what the rest of the house asks of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import singledispatch

from domain import casework
from domain.case import Event, after
from domain.casework import Standing, Waiting
from domain.renewal.words import (
    ENDED,
    PART,
    TRANSITIONS,
    Closed,
    EligibilityAnswered,
    NotTold,
    Refused,
    RenewalStatus,
    Reported,
    ResultSent,
    Started,
    State,
    Submitted,
    SummarySent,
    Verdict,
    WithdrawalAsked,
    Withdrawn,
)
from domain.unbind import ItemState


def evolve(state: State | None, event: Event) -> State:
    """The renewal after one event."""
    if isinstance(event, Submitted):
        fields = {k: v for k, v in dict(event).items() if k not in ("type", "at", "actor")}
        return State(submitted_at=event.at, **fields)
    if state is None:
        raise ValueError("a renewal begins with Submitted")
    if isinstance(event, casework.EVENTS):
        return state.model_copy(update={"work": casework.evolve(state.work, event)})
    return state.model_copy(update={"status": after(TRANSITIONS, state.status, event), **_change(event, state)})


@singledispatch
def _change(event: Event, state: State) -> dict[str, object]:
    raise TypeError(f"no fold for {type(event).__name__}")


@_change.register
def _(event: EligibilityAnswered, state: State) -> dict[str, object]:
    eligible = event.verdict is Verdict.YES
    return {"asked": state.asked + 1, "eligible": eligible, "ask_again_at": event.ask_again_at}


@_change.register
def _(event: Started, state: State) -> dict[str, object]:
    return {"parts": event.parts, "ask_again_at": None}


@_change.register
def _(event: Reported, state: State) -> dict[str, object]:
    return {"outcomes": event.outcomes, "summaries": state.summaries + 1}


@_change.register
def _(event: NotTold, state: State) -> dict[str, object]:
    return {"not_told": True}


@_change.register(SummarySent)
@_change.register(ResultSent)
def _(event: Event, state: State) -> dict[str, object]:
    return {}


@_change.register
def _(event: WithdrawalAsked, state: State) -> dict[str, object]:
    return {"withdrawal_asked_at": event.at}


@_change.register
def _(event: Withdrawn, state: State) -> dict[str, object]:
    return {
        "summaries": max(state.summaries, 1),
        "ended_at": event.at,
        "ask_again_at": None,
    }


@_change.register
def _(event: Refused, state: State) -> dict[str, object]:
    return {
        "summaries": 1,
        "reason": event.reason.value,
        "ended_at": event.at,
        "ask_again_at": None,
    }


@_change.register
def _(event: Closed, state: State) -> dict[str, object]:
    return {"ended_at": event.at}


def standing(state: State) -> Standing:
    """Where a renewal stands in the case workers' queues: theirs once something is overdue or somebody was not told."""
    overdue = ItemState.OVERDUE in state.outcomes.values()
    waiting = {
        RenewalStatus.SUBMITTED: Waiting.CARRIER,
        RenewalStatus.WAITING_FOR_DATA: Waiting.CARRIER,
        RenewalStatus.RUNNING: Waiting.PARTY,
        RenewalStatus.SUMMARY_SENT: Waiting.CASE_WORKER if overdue or state.not_told else Waiting.NOBODY,
    }.get(state.status, Waiting.NOBODY)
    return Standing(status=state.status.value, open=state.status not in ENDED, waiting=waiting, work=state.work)


def parts_of(case: str, apps: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """The unbind requests of a renewal: evenly cut, at most `PART` apps each, ids below the renewal's own."""
    count = -(-len(apps) // PART)
    size = -(-len(apps) // count)
    return {f"{case}-unbind-{n}": apps[n * size : (n + 1) * size] for n in range(count)}


def frees_number(status: RenewalStatus) -> bool:
    """Whether another renewal of the same number may begin: one *running* renewal per number."""
    return status in ENDED or status is RenewalStatus.SUMMARY_SENT


def tally(outcomes: Iterable[ItemState]) -> dict[ItemState, int]:
    """How many apps ended where."""
    return dict(Counter(outcomes))
