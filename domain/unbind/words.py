"""The words unbind requests are told in: states, outcomes, reasons, work items, events and commands.

A *work item* (工单) is one app of one enterprise; an enterprise's items travel together.
queued → delivered → acknowledged → answered (unbound / cancelled / not found / kept / exempt / rejected)
or overdue or withdrawn. A late answer ends an overdue item; a corrected one *amends* and raises the version.
Nothing here reads a clock: times come with events and commands.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from domain.case import (
    Actor,
    AppCode,
    CaseId,
    EnterpriseCode,
    Event,
    Model,
    PaperId,
    Transitions,
    WorkItemId,
)
from domain.question import AccountRef
from domain.refusal import Refusal
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


OUTCOMES = frozenset(ItemState(outcome.value) for outcome in Outcome)

ITEM_TRANSITIONS: Transitions[ItemState] = {
    (ItemState.QUEUED, "noticed:request"): ItemState.DELIVERED,
    (ItemState.QUEUED, "acknowledged"): ItemState.ACKNOWLEDGED,
    (ItemState.DELIVERED, "acknowledged"): ItemState.ACKNOWLEDGED,
    **{(before, "went_overdue"): ItemState.OVERDUE for before in sorted(WAITING)},
    **{
        (before, "withdrawn"): ItemState.WITHDRAWN
        for before in (ItemState.QUEUED, ItemState.DELIVERED, ItemState.OVERDUE)
    },
    **{
        (before, f"answered:{outcome.value}"): ItemState(outcome.value)
        for before in sorted(OPEN | OUTCOMES)
        for outcome in Outcome
    },
}
"""An answer that is amended goes from one outcome to another."""


class Notice(StrEnum):
    """What an enterprise is told about its items."""

    REQUEST = "request"
    REMINDER = "reminder"
    WITHDRAWAL = "withdrawal"


class Action(StrEnum):
    """What a citizen may have done with one account."""

    UNBIND = "unbind"
    CANCEL = "cancel"


class Choice(Model):
    """One account, by its enterprise's own handle, and what its holder wants done with it."""

    ref: AccountRef
    action: Action


Choices = Annotated[tuple[Choice, ...], Field(exclude_if=lambda choices: not choices)]
"""What was chosen account by account (disputes). Left out where nothing was, as rows from before have it."""


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
    escalated_at: AwareDatetime | None = None
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
    choices: Choices = ()
    paused_at: AwareDatetime | None = None
    """Since when its clock stands, by a case worker's word."""


class UnbindStatus(StrEnum):
    """Where the request as a whole stands."""

    OPEN = "open"
    CLOSED = "closed"


TRANSITIONS: Transitions[UnbindStatus] = {(UnbindStatus.OPEN, "closed"): UnbindStatus.CLOSED}


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
    choices: Choices = ()


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

    @property
    def word(self) -> str:
        """Only the request itself delivers an item."""
        return f"{self.type}:{self.notice.value}"


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

    @property
    def word(self) -> str:
        """The outcome is the state."""
        return f"{self.type}:{self.outcome.value}"


class Extended(Event):
    """The deadline moved, for a reason (延期)."""

    type: Literal["extended"] = "extended"
    item: WorkItemId
    clock: Deadline
    reason: str


class Paused(Event):
    """A case worker stopped the clock, for a reason that stands in a paper."""

    type: Literal["paused"] = "paused"
    items: tuple[WorkItemId, ...]
    reason: PaperId


class Resumed(Event):
    """The clock goes on; reminder and deadline moved by as long as it stood."""

    type: Literal["resumed"] = "resumed"
    items: tuple[WorkItemId, ...]
    remind_at: AwareDatetime
    due_at: AwareDatetime


class WentOverdue(Event):
    """These items passed their deadline without an answer (逾期); they are escalated to a case worker."""

    type: Literal["went_overdue"] = "went_overdue"
    items: tuple[WorkItemId, ...]


class Escalated(Event):
    """The case desk was told about overdue items (升级)."""

    type: Literal["escalated"] = "escalated"
    items: tuple[WorkItemId, ...]


class Withdrawn(Event):
    """The holder withdrew what no enterprise had acknowledged (撤回)."""

    type: Literal["withdrawn"] = "withdrawn"
    items: tuple[WorkItemId, ...]


class Closed(Event):
    """No more answers are taken."""

    type: Literal["closed"] = "closed"


UnbindEvent = Annotated[
    Opened
    | Noticed
    | NoticeFailed
    | Acknowledged
    | Answered
    | Extended
    | Paused
    | Resumed
    | WentOverdue
    | Escalated
    | Withdrawn
    | Closed,
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


class Pause(Model):
    """A case worker stops an item's clock."""

    type: Literal["pause"] = "pause"
    item: WorkItemId
    actor: Actor
    reason: PaperId


class Resume(Model):
    """A case worker lets an item's clock go on."""

    type: Literal["resume"] = "resume"
    item: WorkItemId
    actor: Actor


class Withdraw(Model):
    """The holder withdraws what is not acknowledged yet."""

    type: Literal["withdraw"] = "withdraw"


ItemCommand = Annotated[Acknowledge | Answer | Extend | Pause | Resume, Field(discriminator="type")]
Decision = tuple[Event, ...] | Refusal
