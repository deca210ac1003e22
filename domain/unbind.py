"""Unbind requests (解绑): what may happen to the work items of one case, and when something is due.

A *work item* (工单) is one app of one enterprise; an enterprise's items travel together.
queued → delivered → acknowledged → answered (unbound / cancelled / not found / kept / exempt / rejected)
or overdue or withdrawn. A late answer ends an overdue item; a corrected one *amends* and raises the version.
Nothing here reads a clock: times come with events and commands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from functools import singledispatch
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from domain.case import (
    Actor,
    AppCode,
    CaseId,
    EnterpriseCode,
    Event,
    Model,
    WorkItemId,
)
from domain.refusal import Refusal, RefusalCode
from domain.sla import Deadline

# ── words ────────────────────────────────────────────────────────────────────────────────────────────


class ItemState(StrEnum):
    """Where a work item stands (domain.md, 'Unbind request')."""

    QUEUED = "queued"
    DELIVERED = "delivered"
    ACKNOWLEDGED = "acknowledged"
    OVERDUE = "overdue"
    UNBOUND = "unbound"
    CANCELLED = "cancelled"
    NOT_FOUND = "not_found"
    KEPT = "kept"
    EXEMPT = "exempt"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


class Outcome(StrEnum):
    """What an enterprise may answer (反馈)."""

    UNBOUND = "unbound"
    CANCELLED = "cancelled"
    NOT_FOUND = "not_found"
    KEPT = "kept"
    EXEMPT = "exempt"
    REJECTED = "rejected"


class Reason(StrEnum):
    """Why an enterprise answered as it did."""

    NO_BINDING = "no_binding"
    BOUND_AFTER_BOUNDARY = "bound_after_boundary"
    HOLDER_CONFIRMED = "holder_confirmed"
    LEGAL_HOLD = "legal_hold"
    UNDER_INVESTIGATION = "under_investigation"
    FUNDS_REMAIN = "funds_remain"
    TOKEN_UNKNOWN = "token_unknown"  # noqa: S105 - a reason's name, not a secret
    OUT_OF_SCOPE = "out_of_scope"
    DATA_INCOMPLETE = "data_incomplete"


REASONS: Mapping[Outcome, frozenset[Reason]] = {
    Outcome.UNBOUND: frozenset(),
    Outcome.CANCELLED: frozenset(),
    Outcome.NOT_FOUND: frozenset({Reason.NO_BINDING}),
    Outcome.KEPT: frozenset({Reason.BOUND_AFTER_BOUNDARY, Reason.HOLDER_CONFIRMED}),
    Outcome.EXEMPT: frozenset({Reason.LEGAL_HOLD, Reason.UNDER_INVESTIGATION, Reason.FUNDS_REMAIN}),
    Outcome.REJECTED: frozenset({Reason.TOKEN_UNKNOWN, Reason.OUT_OF_SCOPE, Reason.DATA_INCOMPLETE}),
}
"""The reasons each outcome may carry; an outcome with more than one needs the enterprise to say which."""

WAITING = frozenset({ItemState.QUEUED, ItemState.DELIVERED, ItemState.ACKNOWLEDGED})
OPEN = WAITING | {ItemState.OVERDUE}
"""Items an enterprise still owes an answer for."""


class Notice(StrEnum):
    """What an enterprise is told about its items."""

    REQUEST = "request"
    REMINDER = "reminder"
    WITHDRAWAL = "withdrawal"


class Item(Model):
    """One work item: everything its row, its page and its enterprise need to know."""

    id: WorkItemId
    app: AppCode
    enterprise: EnterpriseCode
    state: ItemState = ItemState.QUEUED
    opened_at: AwareDatetime
    boundary: AwareDatetime
    remind_at: AwareDatetime
    due_at: AwareDatetime
    calendar: str
    retry_first: timedelta
    retry_at_most: timedelta
    extend_at_most: timedelta
    delivered_at: AwareDatetime | None = None
    acknowledged_at: AwareDatetime | None = None
    reminded_at: AwareDatetime | None = None
    overdue_at: AwareDatetime | None = None
    answered_at: AwareDatetime | None = None
    withdrawn_at: AwareDatetime | None = None
    withdrawal_told_at: AwareDatetime | None = None
    try_after: AwareDatetime | None = None
    failures: int = 0
    last_failure: str = ""
    outcome: Outcome | None = None
    reason: Reason | None = None
    version: int = 0
    extension_reason: str = ""


class UnbindStatus(StrEnum):
    """Where the request as a whole stands."""

    OPEN = "open"
    CLOSED = "closed"


class Header(Model):
    """The request as a whole, without its items."""

    case: CaseId
    parent: CaseId
    status: UnbindStatus = UnbindStatus.OPEN
    opened_at: AwareDatetime
    late_window: timedelta
    closed_at: AwareDatetime | None = None


class State(Model):
    """A whole unbind request: the header and one entry per work item."""

    header: Header
    items: Mapping[WorkItemId, Item]


# ── events ───────────────────────────────────────────────────────────────────────────────────────────


class NewItem(Model):
    """What opening knows of one work item."""

    id: WorkItemId
    app: AppCode
    enterprise: EnterpriseCode
    clock: Deadline
    retry_first: timedelta
    retry_at_most: timedelta
    extend_at_most: timedelta


class Opened(Event):
    """The request was opened and every clock computed (rule 7: once, with the calendar's version)."""

    type: Literal["opened"] = "opened"
    case: CaseId
    parent: CaseId
    boundary: AwareDatetime
    late_window: timedelta
    items: tuple[NewItem, ...]


class Noticed(Event):
    """An enterprise was told: the request itself, a reminder, or a withdrawal."""

    type: Literal["noticed"] = "noticed"
    notice: Notice
    enterprise: EnterpriseCode
    items: tuple[WorkItemId, ...]


class NoticeFailed(Event):
    """An enterprise could not be told; it is tried again after `try_after`."""

    type: Literal["notice_failed"] = "notice_failed"
    notice: Notice
    enterprise: EnterpriseCode
    items: tuple[WorkItemId, ...]
    code: str
    try_after: AwareDatetime


class Acknowledged(Event):
    """The enterprise accepted the work item (受理)."""

    type: Literal["acknowledged"] = "acknowledged"
    item: WorkItemId


class Answered(Event):
    """The enterprise answered; `version` 1 is the first answer, more are amendments (更正)."""

    type: Literal["answered"] = "answered"
    item: WorkItemId
    outcome: Outcome
    reason: Reason | None = None
    version: int
    late: bool = False


class Extended(Event):
    """The deadline moved, for a reason (延期)."""

    type: Literal["extended"] = "extended"
    item: WorkItemId
    clock: Deadline
    reason: str


class WentOverdue(Event):
    """These items passed their deadline without an answer (逾期); they are escalated to a case worker."""

    type: Literal["went_overdue"] = "went_overdue"
    items: tuple[WorkItemId, ...]


class Withdrawn(Event):
    """The holder withdrew what no enterprise had acknowledged (撤回)."""

    type: Literal["withdrawn"] = "withdrawn"
    items: tuple[WorkItemId, ...]


class Closed(Event):
    """No more answers are taken."""

    type: Literal["closed"] = "closed"


UnbindEvent = Annotated[
    Opened | Noticed | NoticeFailed | Acknowledged | Answered | Extended | WentOverdue | Withdrawn | Closed,
    Field(discriminator="type"),
]

# ── commands ─────────────────────────────────────────────────────────────────────────────────────────


class Acknowledge(Model):
    """An enterprise accepts one work item."""

    type: Literal["acknowledge"] = "acknowledge"
    item: WorkItemId
    enterprise: EnterpriseCode


class Answer(Model):
    """An enterprise answers one work item, or amends the answer whose version it names."""

    type: Literal["answer"] = "answer"
    item: WorkItemId
    enterprise: EnterpriseCode
    outcome: Outcome
    reason: Reason | None = None
    bound_at: AwareDatetime | None = None
    amends: int | None = None


class Extend(Model):
    """An enterprise asks for more time, with a reason."""

    type: Literal["extend"] = "extend"
    item: WorkItemId
    enterprise: EnterpriseCode
    by: timedelta
    reason: str = Field(min_length=1, max_length=500)


class Withdraw(Model):
    """The holder withdraws what is not acknowledged yet."""

    type: Literal["withdraw"] = "withdraw"


ItemCommand = Annotated[Acknowledge | Answer | Extend, Field(discriminator="type")]
Decision = tuple[Event, ...] | Refusal

# ── decide: may it happen? ───────────────────────────────────────────────────────────────────────────


def decide(state: State, command: ItemCommand | Withdraw, at: datetime, clock: Deadline | None = None) -> Decision:
    """Events that follow from a command at time `at`, none if it changes nothing, or why it is refused.

    `clock` is the extended deadline an `Extend` would give, computed by the caller with its calendar.
    """
    if isinstance(command, Withdraw):
        return _withdraw(state, at)
    item = state.items.get(command.item)
    if item is None or item.enterprise != command.enterprise:
        return refuse_unknown(command.item)
    actor = Actor(kind="enterprise", code=command.enterprise)
    match command:
        case Acknowledge():
            return _acknowledge(state, item, actor, at)
        case Answer():
            return _answer(state, item, command, actor, at)
        case Extend():
            return _extend(state, item, command, actor, at, clock)


def refuse_unknown(item: str) -> Refusal:
    """The same words whether the item does not exist or is another enterprise's."""
    return Refusal(
        code=RefusalCode.UNKNOWN_WORK_ITEM,
        field="item",
        sentence=f"There is no work item {item[:40]} of yours.",
        remedy="List your open work items with GET /v1/work-items.",
    )


def _closed() -> Refusal:
    return Refusal(
        code=RefusalCode.CASE_CLOSED,
        field="item",
        sentence="The case is closed and takes no more answers.",
        remedy="Call the case desk if the recorded outcome is wrong.",
    )


def _withdrawn() -> Refusal:
    return Refusal(
        code=RefusalCode.WITHDRAWN,
        field="item",
        sentence="The holder has withdrawn this work item.",
        remedy="Nothing needs to be done; if the account is unbound already, call the case desk.",
    )


def _acknowledge(state: State, item: Item, actor: Actor, at: datetime) -> Decision:
    if item.state is ItemState.WITHDRAWN:
        return _withdrawn()
    if item.acknowledged_at is not None or item.outcome is not None:
        return ()
    if state.header.status is UnbindStatus.CLOSED:
        return _closed()
    return (Acknowledged(at=at, actor=actor, item=item.id),)


def _answer(state: State, item: Item, command: Answer, actor: Actor, at: datetime) -> Decision:
    if item.outcome is command.outcome and item.reason is _reason(command):
        return ()
    for refusal in (
        _withdrawn() if item.state is ItemState.WITHDRAWN else None,
        _closed() if state.header.status is UnbindStatus.CLOSED else None,
        _reason_fits(command),
        _version_fits(item, command),
        _boundary_fits(item, command),
    ):
        if refusal:
            return refusal
    return (
        Answered(
            at=at,
            actor=actor,
            item=item.id,
            outcome=command.outcome,
            reason=_reason(command),
            version=item.version + 1,
            late=at > item.due_at,
        ),
    )


def _reason(command: Answer) -> Reason | None:
    """The reason given, or the only one the outcome can have."""
    allowed = REASONS[command.outcome]
    return command.reason or (next(iter(allowed)) if len(allowed) == 1 else None)


def _reason_fits(command: Answer) -> Refusal | None:
    allowed = REASONS[command.outcome]
    words = ", ".join(sorted(allowed)) or "none"
    reason = _reason(command)
    if reason is None and allowed:
        return Refusal(
            code=RefusalCode.REASON_REQUIRED,
            field="reason",
            sentence=f"The outcome {command.outcome.value} needs a reason.",
            remedy=f"Give one of: {words}.",
        )
    if reason is not None and reason not in allowed:
        return Refusal(
            code=RefusalCode.REASON_DOES_NOT_FIT,
            field="reason",
            sentence=f"The reason {reason.value} does not fit the outcome {command.outcome.value}.",
            remedy=f"Reasons for {command.outcome.value}: {words}.",
        )
    return None


def _version_fits(item: Item, command: Answer) -> Refusal | None:
    if item.outcome is None or command.amends == item.version:
        return None
    current = f"version {item.version} ({item.outcome.value})"
    if command.amends is None:
        return Refusal(
            code=RefusalCode.ALREADY_ANSWERED,
            field="amends",
            sentence=f"This work item is answered: {current}.",
            remedy=f"To correct it, send the new answer with amends={item.version}.",
        )
    return Refusal(
        code=RefusalCode.WRONG_VERSION,
        field="amends",
        sentence=f"You amend version {command.amends}; the current one is {current}.",
        remedy=f"Look at the current answer, then send amends={item.version}.",
    )


REMOVES = frozenset({Outcome.UNBOUND, Outcome.CANCELLED})


def _boundary_fits(item: Item, command: Answer) -> Refusal | None:
    """Renewal scope: only bindings older than the current holder's activation are touched (S4)."""
    if command.bound_at is None:
        return None
    older = command.bound_at < item.boundary
    if command.outcome is Outcome.KEPT and older:
        return Refusal(
            code=RefusalCode.OLDER_THAN_BOUNDARY,
            field="bound_at",
            sentence="This binding is older than the number's activation, so it is the former holder's.",
            remedy="Unbind it, or answer exempt or rejected with a reason.",
        )
    if command.outcome in REMOVES and not older:
        return Refusal(
            code=RefusalCode.NEWER_THAN_BOUNDARY,
            field="bound_at",
            sentence="This binding is not older than the number's activation, so it is the current holder's own.",
            remedy="Leave it in place and answer kept.",
        )
    return None


def _extend(
    state: State, item: Item, command: Extend, actor: Actor, at: datetime, clock: Deadline | None
) -> Decision:
    if item.state is ItemState.WITHDRAWN:
        return _withdrawn()
    if state.header.status is UnbindStatus.CLOSED:
        return _closed()
    if item.extension_reason == command.reason:
        return ()
    for bad, sentence, remedy in (
        (item.outcome is not None, "The work item is answered.", "Nothing more is due."),
        (item.extension_reason != "", "The work item was extended once.", "Answer it, or call the case desk."),
        (at >= item.due_at, "The work item is overdue.", "Answer it as soon as you can."),
        (
            not timedelta(0) < command.by <= item.extend_at_most,
            "The extension is longer than your profile allows.",
            f"Ask for at most {item.extend_at_most}.",
        ),
    ):
        if bad:
            return Refusal(code=RefusalCode.EXTENSION_NOT_ALLOWED, field="by", sentence=sentence, remedy=remedy)
    if clock is None:
        raise ValueError("an extension is decided with its new clock")
    return (Extended(at=at, actor=actor, item=item.id, clock=clock, reason=command.reason),)


def _withdraw(state: State, at: datetime) -> Decision:
    free = tuple(i.id for i in state.items.values() if i.state in (ItemState.QUEUED, ItemState.DELIVERED))
    if not free:
        return Refusal(
            code=RefusalCode.TOO_LATE_TO_WITHDRAW,
            sentence="Every enterprise has acknowledged or answered already.",
            remedy="Follow the answers; ask the case desk about one you disagree with.",
        )
    return (Withdrawn(at=at, actor=Actor(kind="holder"), items=free),)


# ── evolve: what is true after it happened ───────────────────────────────────────────────────────────
# `evolve_header` and `evolve_item` are the fold, cut so that a read model loads only the rows an event touches.


def touched(event: Event) -> tuple[str, ...]:
    """The work items an event changes."""
    match event:
        case Opened():
            return tuple(new.id for new in event.items)
        case Noticed() | NoticeFailed() | WentOverdue() | Withdrawn():
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
        return header.model_copy(update={"status": UnbindStatus.CLOSED, "closed_at": event.at})
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
        )
        for new in event.items
    }


@singledispatch
def _change(event: Event, item: Item) -> dict[str, object]:
    raise TypeError(f"no fold for {type(event).__name__}")


def evolve_item(item: Item, event: Event) -> Item:
    """One item after one event that touches it."""
    return item.model_copy(update=_change(event, item))


TOLD_AT = {
    Notice.REQUEST: "delivered_at",
    Notice.REMINDER: "reminded_at",
    Notice.WITHDRAWAL: "withdrawal_told_at",
}


@_change.register
def _(event: Noticed, item: Item) -> dict[str, object]:
    change: dict[str, object] = {
        TOLD_AT[event.notice]: event.at,
        "failures": 0,
        "last_failure": "",
        "try_after": None,
    }
    if event.notice is Notice.REQUEST and item.state is ItemState.QUEUED:
        change["state"] = ItemState.DELIVERED
    return change


@_change.register
def _(event: NoticeFailed, item: Item) -> dict[str, object]:
    return {"failures": item.failures + 1, "last_failure": event.code, "try_after": event.try_after}


@_change.register
def _(event: Acknowledged, item: Item) -> dict[str, object]:
    change: dict[str, object] = {"acknowledged_at": event.at}
    if item.state in WAITING:
        change["state"] = ItemState.ACKNOWLEDGED
    return change


@_change.register
def _(event: Answered, item: Item) -> dict[str, object]:
    return {
        "state": ItemState(event.outcome.value),
        "outcome": event.outcome,
        "reason": event.reason,
        "version": event.version,
        "answered_at": event.at,
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
def _(event: WentOverdue, item: Item) -> dict[str, object]:
    return {"state": ItemState.OVERDUE, "overdue_at": event.at}


@_change.register
def _(event: Withdrawn, item: Item) -> dict[str, object]:
    return {"state": ItemState.WITHDRAWN, "withdrawn_at": event.at, "failures": 0, "try_after": None}


# ── agenda: what is due? ─────────────────────────────────────────────────────────────────────────────


class Agenda(Model):
    """What the workflow has to do now, and when it has to look again."""

    notices: Mapping[Notice, Mapping[EnterpriseCode, tuple[WorkItemId, ...]]]
    overdue: tuple[WorkItemId, ...]
    close: bool
    wake_at: AwareDatetime


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
    if not reminded and item.state in WAITING:
        return Notice.REMINDER, max(item.remind_at, item.try_after or item.remind_at)
    return None


def agenda(state: State, now: datetime) -> Agenda:
    """Everything due at `now`, and the earliest clock among the rest."""
    notices: dict[Notice, dict[str, tuple[str, ...]]] = {}
    overdue: list[str] = []
    clocks: list[datetime] = []
    for item in state.items.values():
        if item.state in WAITING:
            (overdue.append(item.id) if item.due_at <= now else clocks.append(item.due_at))
        due_notice = next_notice(item)
        if due_notice is None:
            continue
        notice, when = due_notice
        if when > now:
            clocks.append(when)
            continue
        of_enterprise = notices.setdefault(notice, {})
        of_enterprise[item.enterprise] = (*of_enterprise.get(item.enterprise, ()), item.id)
    closes = closes_at(state)
    return Agenda.model_construct(
        notices=notices,
        overdue=tuple(overdue),
        close=closes <= now,
        wake_at=min([closes, *clocks]),
    )


def closes_at(state: State) -> datetime:
    """When the last answer is taken: the late window after the last deadline; at once if all is withdrawn and told."""
    owed = [i.due_at for i in state.items.values() if i.state is not ItemState.WITHDRAWN]
    if not owed:
        told = [i.withdrawal_told_at or i.due_at for i in state.items.values() if i.delivered_at]
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
