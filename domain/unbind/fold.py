"""What is true afterwards: the fold of an unbind request, cut so that a read model loads only what an event touches."""

from __future__ import annotations

from functools import singledispatch

from domain.case import (
    Event,
    after,
)
from domain.unbind.words import (
    ITEM_TRANSITIONS,
    TRANSITIONS,
    Acknowledged,
    Answered,
    Closed,
    Escalated,
    Extended,
    Header,
    Item,
    Notice,
    Noticed,
    NoticeFailed,
    Opened,
    Paused,
    Resumed,
    State,
    WentOverdue,
    Withdrawn,
)

# `evolve_header` and `evolve_item` are the fold, cut so that a read model loads only the rows an event touches.


def touched(event: Event) -> tuple[str, ...]:
    """The work items an event changes."""
    match event:
        case Opened():
            return tuple(new.id for new in event.items)
        case Noticed() | NoticeFailed() | Paused() | Resumed() | WentOverdue() | Escalated() | Withdrawn():
            return event.items
        case Acknowledged() | Answered() | Extended():
            return (event.item,)
        case _:
            return ()


def evolve(state: State | None, event: Event) -> State:
    """The whole fold: the header and every touched item."""
    header = evolve_header(state.header if state else None, event)
    if isinstance(event, Opened):
        return State.model_construct(header=header, items=open_items(event))
    if state is None:
        raise ValueError("an unbind request begins with Opened")
    changed = {key: evolve_item(state.items[key], event) for key in touched(event)}
    return State.model_construct(header=header, items={**state.items, **changed})


def evolve_header(header: Header | None, event: Event) -> Header:
    """The header after one event."""
    if isinstance(event, Opened):
        return Header(case=event.case, parent=event.parent, opened_at=event.at, late_window=event.late_window)
    if header is None:
        raise ValueError("an unbind request begins with Opened")
    if isinstance(event, Closed):
        return header.model_copy(update={"status": after(TRANSITIONS, header.status, event), "closed_at": event.at})
    return header


def open_items(event: Opened) -> dict[str, Item]:
    """The items an opening creates."""
    return {
        new.id: Item(
            id=new.id,
            app=new.app,
            enterprise=new.enterprise,
            opened_at=event.at,
            boundary=event.boundary,
            remind_at=new.clock.remind_at,
            due_at=new.clock.due_at,
            calendar=new.clock.calendar,
            retry_first=new.retry_first,
            retry_at_most=new.retry_at_most,
            extend_at_most=new.extend_at_most,
            choices=new.choices,
        )
        for new in event.items
    }


@singledispatch
def _change(event: Event, item: Item) -> dict[str, object]:
    raise TypeError(f"no fold for {type(event).__name__}")


def evolve_item(item: Item, event: Event) -> Item:
    """One item after one event that touches it."""
    state = after(ITEM_TRANSITIONS, item.state, event)
    return item.model_copy(update={"state": state, **_change(event, item)})


TOLD_AT = {
    Notice.REQUEST: "delivered_at",
    Notice.REMINDER: "reminded_at",
    Notice.WITHDRAWAL: "withdrawal_told_at",
}


@_change.register
def _(event: Noticed, item: Item) -> dict[str, object]:
    return {TOLD_AT[event.notice]: event.at, "failures": 0, "last_failure": "", "try_after": None}


@_change.register
def _(event: NoticeFailed, item: Item) -> dict[str, object]:
    return {"failures": item.failures + 1, "last_failure": event.code, "try_after": event.try_after}


@_change.register
def _(event: Acknowledged, item: Item) -> dict[str, object]:
    return {"acknowledged_at": event.at}


@_change.register
def _(event: Answered, item: Item) -> dict[str, object]:
    return {
        "outcome": event.outcome,
        "reason": event.reason,
        "version": event.version,
        "answered_at": event.at,
        "paused_at": None,
    }


@_change.register
def _(event: Extended, item: Item) -> dict[str, object]:
    return {
        "remind_at": event.clock.remind_at,
        "due_at": event.clock.due_at,
        "calendar": event.clock.calendar,
        "extension_reason": event.reason,
    }


@_change.register
def _(event: Paused, item: Item) -> dict[str, object]:
    return {"paused_at": event.at}


@_change.register
def _(event: Resumed, item: Item) -> dict[str, object]:
    return {"paused_at": None, "remind_at": event.remind_at, "due_at": event.due_at}


@_change.register
def _(event: WentOverdue, item: Item) -> dict[str, object]:
    return {"overdue_at": event.at}


@_change.register
def _(event: Escalated, item: Item) -> dict[str, object]:
    return {"escalated_at": event.at}


@_change.register
def _(event: Withdrawn, item: Item) -> dict[str, object]:
    return {
        "withdrawn_at": event.at,
        "failures": 0,
        "try_after": None,
        "paused_at": None,
    }
