"""What may happen: each command to an unbind request gives events, nothing, or a refusal with its remedy."""

from __future__ import annotations

from datetime import datetime, timedelta

from domain.case import (
    STAFF,
    Actor,
)
from domain.privacy import mask_text
from domain.refusal import Refusal, RefusalCode
from domain.sla import Deadline
from domain.unbind.words import (
    OPEN,
    REASONS,
    WAITING,
    Acknowledge,
    Acknowledged,
    Action,
    Answer,
    Answered,
    Decision,
    Extend,
    Extended,
    Item,
    ItemCommand,
    ItemState,
    Outcome,
    Pause,
    Paused,
    Reason,
    Resume,
    Resumed,
    State,
    UnbindStatus,
    Withdraw,
    Withdrawn,
)


def decide(state: State, command: ItemCommand | Withdraw, at: datetime, clock: Deadline | None = None) -> Decision:
    """Events that follow from a command at time `at`, none if it changes nothing, or why it is refused.

    `clock` is the extended deadline an `Extend` would give, computed by the caller with its calendar.
    """
    if isinstance(command, Withdraw):
        return _withdraw(state, at)
    item = state.items.get(command.item)
    if isinstance(command, Pause | Resume):
        return _stop_or_go(state, item, command, at) if item else refuse_unknown(command.item)
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


def refuse_closed() -> Refusal:
    """The late window is over."""
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
        return refuse_closed()
    return (Acknowledged(at=at, actor=actor, item=item.id),)


def _answer(state: State, item: Item, command: Answer, actor: Actor, at: datetime) -> Decision:
    if item.outcome is command.outcome and item.reason is _reason(command):
        return ()
    for refusal in (
        _withdrawn() if item.state is ItemState.WITHDRAWN else None,
        refuse_closed() if state.header.status is UnbindStatus.CLOSED else None,
        _reason_fits(command),
        _version_fits(item, command),
        _choices_fit(item, command) if item.choices else _boundary_fits(item, command),
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
            late=(item.paused_at or at) >= item.due_at,
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


def _choices_fit(item: Item, command: Answer) -> Refusal | None:
    """Where accounts were chosen one by one, that and not their age is what may be done (domain.md, 'no takeover')."""
    asked_to_cancel = any(choice.action is Action.CANCEL for choice in item.choices)
    if command.outcome is not Outcome.CANCELLED or asked_to_cancel:
        return None
    return Refusal(
        code=RefusalCode.NOT_ASKED_TO_CANCEL,
        field="outcome",
        sentence="Nobody asked for an account to be cancelled: it may be a former holder's.",
        remedy="Unbind the number, leave the account, and answer unbound.",
    )


def _stop_or_go(state: State, item: Item, command: Pause | Resume, at: datetime) -> Decision:
    """A case worker stops the clock or lets it go on; statuses are as they were."""
    if command.actor.kind not in STAFF:
        return Refusal(
            code=RefusalCode.NOT_ALLOWED, sentence="This takes a case worker.", remedy="Call the case desk."
        )
    if isinstance(command, Resume):
        if item.paused_at is None:
            return ()
        stood = at - item.paused_at
        remind_at, due_at = item.remind_at + stood, item.due_at + stood
        return (Resumed(at=at, actor=command.actor, items=(item.id,), remind_at=remind_at, due_at=due_at),)
    if item.paused_at is not None:
        return ()
    if item.state not in WAITING or at >= item.due_at or state.header.status is UnbindStatus.CLOSED:
        return Refusal(
            code=RefusalCode.CLOCK_NOT_RUNNING,
            field="item",
            sentence="No clock runs for this work item: it is answered, withdrawn or overdue.",
            remedy="Nothing needs to be done.",
        )
    return (Paused(at=at, actor=command.actor, items=(item.id,), reason=command.reason),)


def _extend(
    state: State, item: Item, command: Extend, actor: Actor, at: datetime, clock: Deadline | None
) -> Decision:
    reason = mask_text(command.reason)
    if item.extension_reason == reason:
        return ()
    if refusal := may_extend(state, item, command, at):
        return refusal
    if clock is None:
        raise ValueError("an extension is decided with its new clock")
    return (Extended(at=at, actor=actor, item=item.id, clock=clock, reason=reason),)


def may_extend(state: State, item: Item, command: Extend, at: datetime) -> Refusal | None:
    """Why an item's deadline cannot move, to be asked before its new clock is computed; None if it can."""
    if item.state is ItemState.WITHDRAWN:
        return _withdrawn()
    if state.header.status is UnbindStatus.CLOSED:
        return refuse_closed()
    for bad, sentence, remedy in (
        (item.outcome is not None, "The work item is answered.", "Nothing more is due."),
        (item.extension_reason != "", "The work item was extended once.", "Answer it, or call the case desk."),
        (item.paused_at is not None, "The clock of the work item stands.", "Ask again when it goes on."),
        (at >= item.due_at, "The work item is overdue.", "Answer it as soon as you can."),
        (
            not timedelta(0) < command.by <= item.extend_at_most,
            "The extension is longer than your profile allows.",
            f"Ask for at most {item.extend_at_most}.",
        ),
    ):
        if bad:
            return Refusal(code=RefusalCode.EXTENSION_NOT_ALLOWED, field="by", sentence=sentence, remedy=remedy)
    return None


def _withdraw(state: State, at: datetime) -> Decision:
    free = tuple(i.id for i in state.items.values() if i.state in OPEN and i.acknowledged_at is None)
    if not free or state.header.status is UnbindStatus.CLOSED:
        return Refusal(
            code=RefusalCode.TOO_LATE_TO_WITHDRAW,
            sentence="Every enterprise has acknowledged or answered already.",
            remedy="Follow the answers; ask the case desk about one you disagree with.",
        )
    return (Withdrawn(at=at, actor=Actor(kind="holder"), items=free),)
