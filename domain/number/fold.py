"""What is true afterwards: the fold of a number, and what the rest of the house asks of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import singledispatch

from pydantic import AwareDatetime

from domain import casework
from domain.case import AppCode, Event, NotTold, Told
from domain.casework import Standing, Waiting
from domain.number.timeline import placed
from domain.number.words import (
    ANNOUNCE_AT_MOST,
    ANNOUNCE_FIRST,
    Announced,
    Announcement,
    BatchRenewed,
    BatchReported,
    BatchStarted,
    BatchWithdrawn,
    FactEntry,
    Life,
    Mark,
    MarkEntry,
    NotAnnounced,
    Notice,
    Opened,
    Overridden,
    Recycled,
    Reinstated,
    ReissuedEarly,
    Released,
    ReminderDue,
    Reported,
    State,
)
from domain.unbind import OPEN, ItemState

UNANSWERED = OPEN | {ItemState.WITHDRAWN}


def evolve(state: State | None, event: Event) -> State:
    """The number after one event."""
    if isinstance(event, Opened):
        state = State(
            case=event.case,
            masked_number=event.masked_number,
            policy=event.policy,
            opened_at=event.at,
            timeline=(),
            life=Life(),
        )
        return state.model_copy(update=placed(state, entry_of(event)))
    if state is None:
        raise ValueError("a number begins with Opened")
    if isinstance(event, casework.EVENTS):
        return state.model_copy(update={"work": casework.evolve(state.work, event), **_alarm(event)})
    return state.model_copy(update={**_change(event, state), "considered": True})


def _alarm(event: Event) -> dict[str, object]:
    """A number that was handed up wants looking at, whoever has it; a note says that somebody did."""
    if isinstance(event, casework.HandedUp):
        return {"alarmed_at": event.at}
    return {"alarmed_at": None} if isinstance(event, casework.Noted) else {}


def entry_of(event: Opened | Reported) -> FactEntry:
    """A reported fact as it stands in the timeline."""
    return FactEntry(at=event.occurred_at, fact=event.fact, carrier=event.actor.code, event=event.event)


@singledispatch
def _change(event: Event, state: State) -> dict[str, object]:
    raise TypeError(f"no fold for {type(event).__name__}")


@_change.register
def _(event: Reported, state: State) -> dict[str, object]:
    return _moved(state, placed(state, entry_of(event)))


@_change.register
def _(event: Recycled, state: State) -> dict[str, object]:
    return _announcing(event, state, Notice.RECYCLED)


@_change.register
def _(event: Reinstated, state: State) -> dict[str, object]:
    """The requests that are withdrawn say nothing about a later cancellation."""
    void = {
        "timeline": tuple(e for e in state.timeline if not (isinstance(e, MarkEntry) and e.parts and _any(e, event)))
    }
    return {**_announcing(event, state, Notice.REINSTATED), **void, "withdrawing": (*state.withdrawing, *event.parts)}


@_change.register
def _(event: Announced, state: State) -> dict[str, object]:
    now = state.announcement
    if now is None or now.number != event.number:
        return {}
    known = event.failed if now.waiting is None else now.waiting
    waiting = tuple(code for code in known if code not in event.told)
    if not waiting:
        return {"announcement": None}
    pause = min(ANNOUNCE_FIRST * (1 << min(now.tries, 16)), ANNOUNCE_AT_MOST)
    again = {"waiting": waiting, "tries": now.tries + 1, "try_after": event.at + pause}
    return {"announcement": now.model_copy(update=again)}


@_change.register
def _(event: NotAnnounced, state: State) -> dict[str, object]:
    now = state.announcement
    return {"announcement": None} if now and now.number == event.number else {}


@_change.register
def _(event: ReminderDue, state: State) -> dict[str, object]:
    return {"reminders": (*state.reminders, event.message)}


@_change.register(Told)
@_change.register(NotTold)
def _(event: Told | NotTold, state: State) -> dict[str, object]:
    """Messages are sent in the order in which they fell due; one that is heard of twice counts once."""
    if event.step == state.last_told:
        return {}
    return {"reminders": state.reminders[1:], "told": state.told + 1, "last_told": event.step}


@_change.register
def _(event: ReissuedEarly, state: State) -> dict[str, object]:
    return {"alarmed_at": event.at}


@_change.register
def _(event: BatchStarted, state: State) -> dict[str, object]:
    mark = MarkEntry(at=event.at, mark=Mark.BATCH_STARTED, parts=event.parts)
    return {**_moved(state, placed(state, mark)), "parts": state.parts + len(event.parts)}


@_change.register
def _(event: BatchReported, state: State) -> dict[str, object]:
    return {"outcomes": {**state.outcomes, **event.outcomes}}


@_change.register
def _(event: BatchRenewed, state: State) -> dict[str, object]:
    return placed(state, MarkEntry(at=event.at, mark=Mark.BATCH_RENEWED))


@_change.register
def _(event: BatchWithdrawn, state: State) -> dict[str, object]:
    return {"withdrawing": tuple(part for part in state.withdrawing if part not in event.parts)}


@_change.register
def _(event: Overridden, state: State) -> dict[str, object]:
    return placed(state, MarkEntry(at=event.at, mark=Mark.OVERRIDDEN))


@_change.register
def _(event: Released, state: State) -> dict[str, object]:
    return placed(state, MarkEntry(at=event.at, mark=Mark.RELEASED))


def _moved(state: State, change: dict[str, object]) -> dict[str, object]:
    """With the outcomes of another life's requests forgotten: the ledger has them."""
    life = change.get("life", state.life)
    assert isinstance(life, Life)
    return {**change, "outcomes": state.outcomes if life.parts == state.life.parts else {}}


def _announcing(event: Recycled | Reinstated, state: State, notice: Notice) -> dict[str, object]:
    """What enterprises hear last is what counts: an announcement still under way is overtaken."""
    number = state.announcements + 1
    announcement = Announcement(number=number, notice=notice, cancelled_at=event.cancelled_at, try_after=event.at)
    return {"announcements": number, "announcement": announcement}


def _any(entry: MarkEntry, event: Reinstated) -> bool:
    return any(part in event.parts for part in entry.parts)


# ── what the rest of the house asks ──────────────────────────────────────────────────────────────────


def freeze_ends(state: State) -> AwareDatetime | None:
    """From when on a cancelled number may be released."""
    life = state.life
    return life.cancelled_at + state.policy.freeze if life.gone and life.cancelled_at else None


def unreported(life: Life, outcomes: Mapping[AppCode, ItemState]) -> int | None:
    """How many apps have not answered for what hung on the number; None before they were asked."""
    if life.batch_at is None:
        return None
    return sum(outcomes.get(app, ItemState.QUEUED) in UNANSWERED for part in life.parts.values() for app in part)


def standing(state: State) -> Standing:
    """A number is in the case workers' queues while somebody has it, or something about it wants looking at."""
    waits = bool(unreported(state.life, state.outcomes))
    waiting = Waiting.CASE_WORKER if state.alarmed_at else Waiting.PARTY if waits else Waiting.NOBODY
    wanted = state.alarmed_at is not None or state.work.assignee != "" or state.work.paused_at is not None
    return Standing(status=state.status.value, open=wanted, waiting=waiting, work=state.work)
