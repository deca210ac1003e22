"""What is due: everything a clock makes happen to an unbind request, computed from its state alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from pydantic import AwareDatetime

from domain.case import (
    EnterpriseCode,
    Model,
    WorkItemId,
)
from domain.unbind.words import (
    OPEN,
    WAITING,
    Item,
    ItemState,
    Notice,
    State,
)

WITHDRAWAL_TRIED = timedelta(days=7)
"""How long an enterprise that cannot be reached is told of a withdrawal; its answers are refused anyway."""


class Agenda(Model):
    """What the workflow has to do now, and when it has to look again."""

    notices: Mapping[Notice, Mapping[EnterpriseCode, tuple[WorkItemId, ...]]]
    overdue: tuple[WorkItemId, ...]
    close: bool
    wake_at: AwareDatetime | None
    """None while every clock stands: only a message makes another look worth while."""


def next_notice(item: Item) -> tuple[Notice, datetime] | None:
    """The next thing to tell an item's enterprise, and the earliest time for it."""
    if item.state is ItemState.WITHDRAWN:
        if item.delivered_at is None or item.withdrawal_told_at is not None:
            return None
        return Notice.WITHDRAWAL, item.try_after or item.opened_at
    if item.state not in OPEN:
        return None
    if item.delivered_at is None and item.acknowledged_at is None:
        return Notice.REQUEST, item.try_after or item.opened_at
    reminded = item.reminded_at is not None and item.reminded_at >= item.remind_at
    if not reminded and item.state in WAITING and item.paused_at is None:
        return Notice.REMINDER, max(item.remind_at, item.try_after or item.remind_at)
    return None


def agenda(state: State, now: datetime) -> Agenda:
    """Everything due at `now`, and the earliest clock among the rest."""
    notices: dict[Notice, dict[str, tuple[str, ...]]] = {}
    overdue: list[str] = []
    clocks: list[datetime] = []
    for item in state.items.values():
        if item.state in WAITING and item.paused_at is None:
            (overdue.append(item.id) if item.due_at <= now else clocks.append(item.due_at))
        due_notice = next_notice(item)
        if due_notice is None:
            continue
        notice, when = due_notice
        if notice is Notice.REMINDER and item.due_at <= now:
            continue
        if when > now:
            clocks.append(when)
            continue
        of_enterprise = notices.setdefault(notice, {})
        of_enterprise[item.enterprise] = (*of_enterprise.get(item.enterprise, ()), item.id)
    closes = closes_at(state)
    return Agenda.model_construct(
        notices=notices,
        overdue=tuple(overdue),
        close=closes is not None and closes <= now and not overdue,
        wake_at=min(clocks if closes is None else [closes, *clocks], default=None),
    )


def to_escalate(state: State) -> tuple[WorkItemId, ...]:
    """Overdue items the case desk does not know of yet."""
    return tuple(i.id for i in state.items.values() if i.state is ItemState.OVERDUE and i.escalated_at is None)


def closes_at(state: State) -> datetime | None:
    """When the last answer is taken: the late window after the last deadline; at once if all is withdrawn and told.

    None while a clock stands.
    """
    if any(i.paused_at for i in state.items.values()):
        return None
    owed = [i.due_at for i in state.items.values() if i.state is not ItemState.WITHDRAWN]
    if not owed:
        told = [
            i.withdrawal_told_at or (i.withdrawn_at or i.due_at) + WITHDRAWAL_TRIED
            for i in state.items.values()
            if i.delivered_at
        ]
        return max([state.header.opened_at, *told])
    return max(owed) + state.header.late_window


def backoff(item: Item, retry_after: float | None = None) -> timedelta:
    """How long to wait after the next failure: doubling from the registry's first to its longest."""
    wait: timedelta = item.retry_first * (1 << min(item.failures, 16))
    asked = timedelta(seconds=retry_after) if retry_after else timedelta(0)
    return min(max(wait, asked), max(item.retry_at_most, asked))


def settled(state: State) -> bool:
    """Nothing is waited for any more: every item is answered, withdrawn or overdue."""
    return all(item.state not in WAITING for item in state.items.values())


def tally(items: Iterable[Item]) -> dict[ItemState, int]:
    """How many items stand where."""
    return dict(Counter(item.state for item in items))
