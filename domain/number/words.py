"""The words a number's life is told in: facts carriers report, marks we set, lives, statuses, events and commands.

Carriers report *facts* (activation, cancellation, …), in any order and more than once. What we do with the number
(asking for everything to be unbound, releasing it) leaves *marks*. Facts and marks together are the number's
*timeline*, sorted by when each happened; where the number stands is read from it, so that the order in which
things were reported never matters. A *life* is the time a number is one holder's: a re-issue or a transfer begins
the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from domain import casework
from domain.case import (
    Actor,
    AppCode,
    CarrierCode,
    CaseId,
    EnterpriseCode,
    Event,
    Model,
    NotTold,
    PaperId,
    Told,
    Transitions,
)
from domain.casework import Work
from domain.messages import MessageKey
from domain.refusal import Refusal
from domain.registry import NumberPolicy
from domain.unbind import ItemState

REMIND_WITHIN = timedelta(days=30)
"""A fact older than this is no occasion for a short message: a carrier that reports its past wakes nobody up."""

MOST_ENTRIES = 300
KEPT_ENTRIES = 200
"""A timeline longer than `MOST_ENTRIES` is cut to the newest `KEPT_ENTRIES`; the ledger has them all."""

ANNOUNCE_FIRST, ANNOUNCE_AT_MOST, ANNOUNCE_TRIES = timedelta(minutes=1), timedelta(hours=6), 20
"""An enterprise that cannot be told of a recycled number is tried again for about three days."""


class Fact(StrEnum):
    """What a carrier may report."""

    ACTIVATION = "activation"
    SUSPENSION = "suspension"
    RESUMPTION = "resumption"
    TRANSFER = "transfer"
    CANCELLATION = "cancellation"
    FREEZE = "freeze"
    REISSUE = "reissue"


class Mark(StrEnum):
    """What we did, as far as it decides where a number stands."""

    BATCH_STARTED = "batch_started"
    BATCH_RENEWED = "batch_renewed"
    OVERRIDDEN = "overridden"
    RELEASED = "number_released"


class NumberStatus(StrEnum):
    """Where a number stands. A transferred number is an active one whose next life has begun."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    CANCELLED = "cancelled"
    FROZEN = "frozen"
    BATCH_RENEWED = "batch_renewed"
    """Cancelled, and every app has answered for what hung on it."""
    REISSUED = "reissued"


GONE = frozenset({NumberStatus.CANCELLED, NumberStatus.FROZEN, NumberStatus.BATCH_RENEWED})
"""Nobody's number: between a cancellation and the re-issue."""

REINSTATEMENT = "reinstatement"
"""How a carrier's activation, resumption or suspension of a number cancelled by mistake is read."""

LIVING = tuple(status for status in NumberStatus if status not in GONE)

TRANSITIONS: Transitions[NumberStatus] = {
    (NumberStatus.SUSPENDED, Fact.ACTIVATION): NumberStatus.ACTIVE,
    (NumberStatus.REISSUED, Fact.ACTIVATION): NumberStatus.ACTIVE,
    (NumberStatus.ACTIVE, Fact.SUSPENSION): NumberStatus.SUSPENDED,
    (NumberStatus.REISSUED, Fact.SUSPENSION): NumberStatus.SUSPENDED,
    (NumberStatus.SUSPENDED, Fact.RESUMPTION): NumberStatus.ACTIVE,
    **{(status, Fact.TRANSFER): NumberStatus.ACTIVE for status in LIVING},
    **{(status, Fact.CANCELLATION): NumberStatus.CANCELLED for status in LIVING},
    **{(status, Fact.FREEZE): NumberStatus.FROZEN for status in (*LIVING, NumberStatus.CANCELLED)},
    (NumberStatus.CANCELLED, Mark.BATCH_RENEWED): NumberStatus.BATCH_RENEWED,
    (NumberStatus.FROZEN, Mark.BATCH_RENEWED): NumberStatus.BATCH_RENEWED,
    **{(status, REINSTATEMENT): NumberStatus.ACTIVE for status in NumberStatus if status in GONE},
    **{(status, Fact.REISSUE): NumberStatus.REISSUED for status in NumberStatus},
}
"""Facts and marks, in the order in which they happened. What is not here moves nothing."""

EventId = Annotated[str, StringConstraints(pattern=r"^[A-Z2-7]{26}$")]
"""A keyed digest of a carrier's own event id, which may say anything."""


class FactEntry(Model):
    """A carrier's fact in the timeline."""

    at: AwareDatetime
    fact: Fact
    carrier: CarrierCode
    event: EventId


class MarkEntry(Model):
    """A mark of ours in the timeline; `parts` are the unbind requests that began with it."""

    at: AwareDatetime
    mark: Mark
    parts: Mapping[CaseId, tuple[AppCode, ...]] = {}


Entry = FactEntry | MarkEntry


class Life(Model):
    """Where a number stands: as of one entry of its timeline."""

    life: int = 1
    status: NumberStatus = NumberStatus.ACTIVE
    carrier: str = ""
    """Whose number it is; empty before the first fact."""
    activated_at: AwareDatetime | None = None
    """When the holder's contract began; None where no carrier has said so."""
    cancelled_at: AwareDatetime | None = None
    assumed: bool = False
    """The time of the cancellation is that of a freeze: the cancellation itself was not reported yet."""
    frozen_at: AwareDatetime | None = None
    recycled_at: AwareDatetime | None = None
    """When the number was cancelled before this life began."""
    batch_at: AwareDatetime | None = None
    parts: Mapping[CaseId, tuple[AppCode, ...]] = {}
    """The unbind requests over everything that hung on the cancelled number, with their apps."""
    overridden: bool = False
    released_at: AwareDatetime | None = None
    early: bool = False
    """This life began without a release."""
    unconfirmed: bool = False
    """This life began with the activation of a released number; its re-issue is still to be reported."""

    @property
    def gone(self) -> bool:
        """Whether the number is cancelled and not somebody's again."""
        return self.status in GONE

    @property
    def ended_at(self) -> AwareDatetime | None:
        """The cancellation that enterprises have to know of."""
        return self.cancelled_at if self.gone else self.recycled_at


class Notice(StrEnum):
    """What enterprises are told about a number."""

    RECYCLED = "recycled"
    REINSTATED = "reinstated"
    """The cancellation they were told of was a mistake: the number is its former holder's."""


class Announcement(Model):
    """What enterprises are being told; `waiting` are those that could not be, None before the first round."""

    number: int
    notice: Notice
    cancelled_at: AwareDatetime
    waiting: tuple[EnterpriseCode, ...] | None = None
    tries: int = 0
    try_after: AwareDatetime


class State(Model):
    """One number. `life` is what the timeline says; `base` what its forgotten part said, up to `since`."""

    case: CaseId
    masked_number: str
    policy: NumberPolicy
    opened_at: AwareDatetime
    timeline: tuple[Entry, ...]
    life: Life
    base: Life = Life()
    since: AwareDatetime | None = None
    considered: bool = False
    """Whether something has followed from the first fact."""
    parts: int = 0
    """Unbind requests so far, of all lives; the next one's id."""
    outcomes: Mapping[AppCode, ItemState] = {}
    """What is known of this life's unbind requests, app by app."""
    withdrawing: tuple[CaseId, ...] = ()
    """Unbind requests of a cancellation that was a mistake, still to be withdrawn."""
    announcements: int = 0
    announcement: Announcement | None = None
    reminders: tuple[MessageKey, ...] = ()
    """Short messages still to be sent; `told` of them have been dealt with, the last one in the step `last_told`."""
    told: int = 0
    last_told: str = ""
    alarmed_at: AwareDatetime | None = None
    """A case worker has to look at it: it was re-issued early, or handed up. A note answers the alarm."""
    work: Work = Work()
    ended_at: AwareDatetime | None = None
    """Never: a number lives on."""

    @property
    def status(self) -> NumberStatus:
        """Where the number stands."""
        return self.life.status


# ── events ───────────────────────────────────────────────────────────────────────────────────────────


class _Fact(Event):
    event: EventId
    fact: Fact
    occurred_at: AwareDatetime


class Opened(_Fact):
    """A number's first fact; the policy of that day goes with it."""

    type: Literal["opened"] = "opened"
    case: CaseId
    masked_number: str
    policy: NumberPolicy


class Reported(_Fact):
    """Another fact."""

    type: Literal["reported"] = "reported"


class Recycled(Event):
    """The number is nobody's: enterprises are told, and it stands in their list from here on."""

    type: Literal["recycled"] = "recycled"
    life: int
    cancelled_at: AwareDatetime


class Reinstated(Event):
    """The cancellation was a mistake: enterprises are told, and what was asked of them is withdrawn."""

    type: Literal["reinstated"] = "reinstated"
    life: int
    cancelled_at: AwareDatetime
    parts: tuple[CaseId, ...] = ()


class Announced(Event):
    """One round of telling the enterprises that are pushed to: who was told, and who could not be, with why."""

    type: Literal["announced"] = "announced"
    number: int
    told: tuple[EnterpriseCode, ...] = ()
    failed: Mapping[EnterpriseCode, str] = {}


class NotAnnounced(Event):
    """These enterprises could not be told for days; they find it in their list."""

    type: Literal["not_announced"] = "not_announced"
    number: int
    enterprises: tuple[EnterpriseCode, ...]


class ReminderDue(Event):
    """The number's holder is to be reminded of unbinding."""

    type: Literal["reminder_due"] = "reminder_due"
    message: MessageKey


class ReissuedEarly(Event):
    """The number is somebody's again although it was not released: a case worker has to look at it."""

    type: Literal["reissued_early"] = "reissued_early"
    occurred_at: AwareDatetime


class BatchStarted(Event):
    """Everything that was bound before the cancellation is to be unbound, in these requests."""

    type: Literal["batch_started"] = "batch_started"
    life: int
    boundary: AwareDatetime
    parts: Mapping[CaseId, tuple[AppCode, ...]]


class BatchReported(Event):
    """How apps stand, as far as it changed."""

    type: Literal["batch_reported"] = "batch_reported"
    outcomes: Mapping[AppCode, ItemState]


class BatchRenewed(Event):
    """Every app has answered."""

    type: Literal["batch_renewed"] = "batch_renewed"


class BatchWithdrawn(Event):
    """The requests of a mistaken cancellation were told to withdraw what no enterprise had acknowledged."""

    type: Literal["batch_withdrawn"] = "batch_withdrawn"
    parts: tuple[CaseId, ...]


class Overridden(Event):
    """A supervisor lets the number be released all the same."""

    type: Literal["overridden"] = "overridden"
    reason: PaperId


class Released(Event):
    """The number may be re-issued. What stands in the ledger up to here is what its certificate says."""

    type: Literal["number_released"] = "number_released"
    life: int
    cancelled_at: AwareDatetime
    overridden: bool
    unreported: int


NumberEvent = Annotated[
    Opened
    | Reported
    | Recycled
    | Reinstated
    | Announced
    | NotAnnounced
    | ReminderDue
    | ReissuedEarly
    | BatchStarted
    | BatchReported
    | BatchRenewed
    | BatchWithdrawn
    | Overridden
    | Released
    | Told
    | NotTold
    | casework.WorkEvent,
    Field(discriminator="type"),
]


# ── commands ─────────────────────────────────────────────────────────────────────────────────────────


class Report(Model):
    """A carrier reports a fact."""

    type: Literal["report"] = "report"
    carrier: CarrierCode
    event: EventId
    fact: Fact
    occurred_at: AwareDatetime


class Consider(Model):
    """Decide what follows from the first fact, before any other is heard."""

    type: Literal["consider"] = "consider"


class StartBatch(Model):
    """Ask for everything to be unbound; these are today's apps."""

    type: Literal["start_batch"] = "start_batch"
    apps: tuple[AppCode, ...]


class Hear(Model):
    """How unbind requests stand."""

    type: Literal["hear"] = "hear"
    outcomes: Mapping[CaseId, Mapping[AppCode, ItemState]]


class Withdrew(Model):
    """These unbind requests were told to withdraw."""

    type: Literal["withdrew"] = "withdrew"
    parts: tuple[CaseId, ...]


class GiveUp(Model):
    """Enough tries of an announcement."""

    type: Literal["give_up"] = "give_up"


class Release(Model):
    """The carrier asks whether the number may be re-issued."""

    type: Literal["release"] = "release"
    carrier: CarrierCode


class Override(Model):
    """A supervisor lets the next release pass."""

    type: Literal["override"] = "override"
    actor: Actor
    reason: PaperId


Command = Report | Consider | StartBatch | Hear | Withdrew | GiveUp | Release | Override | casework.WorkCommand
Decision = tuple[Event, ...] | Refusal
