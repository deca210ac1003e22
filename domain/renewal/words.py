"""The words a renewal is told in: statuses, verdicts, events and commands."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from domain import casework
from domain.case import AppCode, CarrierCode, CaseId, Event, Model, PartyCode, Transitions
from domain.refusal import Refusal
from domain.unbind import ItemState

MOST_APPS = 2000
"""A renewal over more apps is a mistake: the whole country has some 220 in the scheme (S4: 200+)."""

PART = 400
"""Work items per unbind request: a workflow takes 2,000 updates in all, and an item may need several."""


class RenewalStatus(StrEnum):
    """Where a renewal stands."""

    SUBMITTED = "submitted"
    WAITING_FOR_DATA = "waiting_for_data"
    RUNNING = "running"
    SUMMARY_SENT = "summary_sent"
    CLOSED = "closed"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


TRANSITIONS: Transitions[RenewalStatus] = {
    (RenewalStatus.SUBMITTED, "eligibility_answered:unknown"): RenewalStatus.WAITING_FOR_DATA,
    **{
        (status, "started"): RenewalStatus.RUNNING
        for status in (RenewalStatus.SUBMITTED, RenewalStatus.WAITING_FOR_DATA)
    },
    **{
        (status, "refused"): RenewalStatus.REFUSED
        for status in (RenewalStatus.SUBMITTED, RenewalStatus.WAITING_FOR_DATA)
    },
    **{
        (status, "withdrawn"): RenewalStatus.WITHDRAWN
        for status in (
            RenewalStatus.SUBMITTED,
            RenewalStatus.WAITING_FOR_DATA,
            RenewalStatus.RUNNING,
            RenewalStatus.SUMMARY_SENT,
        )
    },
    (RenewalStatus.RUNNING, "summary_sent"): RenewalStatus.SUMMARY_SENT,
    (RenewalStatus.RUNNING, "not_told"): RenewalStatus.SUMMARY_SENT,
    (RenewalStatus.SUMMARY_SENT, "closed"): RenewalStatus.CLOSED,
}


ENDED = frozenset({RenewalStatus.CLOSED, RenewalStatus.REFUSED, RenewalStatus.WITHDRAWN})


class Verdict(StrEnum):
    """A carrier's answer to 'is this a re-issued number of this holder?'. Unknown is never 'no'."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class NotEligible(StrEnum):
    """Why a carrier said no."""

    NEVER_CANCELLED = "never_cancelled"
    NOT_ACTIVE = "not_active"
    HOLDER_MISMATCH = "holder_mismatch"
    ACTIVATION_MISMATCH = "activation_mismatch"
    NO_ANSWER = "no_answer"


class CheckMethod(StrEnum):
    """How the carrier checked who is asking."""

    CODE_AND_ID_TAIL = "code_and_id_tail"
    FACE = "face"
    COUNTER = "counter"


class IdentityProof(Model):
    """The identity check (身份核验) the carrier attests: who checked, how, when."""

    checked_by: str = Field(min_length=1, max_length=80)
    method: CheckMethod
    checked_at: AwareDatetime


class State(Model):
    """One renewal."""

    case: CaseId
    carrier: CarrierCode
    masked_number: str
    activated_at: AwareDatetime
    apps: tuple[AppCode, ...]
    identity: IdentityProof
    submitted_at: AwareDatetime
    status: RenewalStatus = RenewalStatus.SUBMITTED
    reason: str = ""
    asked: int = 0
    eligible: bool = False
    ask_again_at: AwareDatetime | None = None
    parts: tuple[CaseId, ...] = ()
    outcomes: Mapping[AppCode, ItemState] = {}
    summaries: int = 0
    """How many times there was something to tell; each has its number, whoever could be told of it."""
    withdrawal_asked_at: AwareDatetime | None = None
    not_told: bool = False
    ended_at: AwareDatetime | None = None
    work: casework.Work = casework.Work()


class Submitted(Event):
    """The holder's wish is here: their carrier handed it over, or they came through a channel, as the actor says."""

    type: Literal["submitted"] = "submitted"
    case: CaseId
    carrier: CarrierCode
    masked_number: str
    activated_at: AwareDatetime
    apps: tuple[AppCode, ...]
    identity: IdentityProof


class EligibilityAnswered(Event):
    """The carrier's registry answered; for unknown it is asked again at `ask_again_at`."""

    type: Literal["eligibility_answered"] = "eligibility_answered"
    verdict: Verdict
    reason: NotEligible | None = None
    ask_again_at: AwareDatetime | None = None

    @property
    def word(self) -> str:
        """Only 'unknown' waits."""
        return f"{self.type}:{self.verdict.value}"


class Started(Event):
    """The enterprises are being asked, in these unbind requests."""

    type: Literal["started"] = "started"
    parts: tuple[CaseId, ...]


class Reported(Event):
    """Every app has an outcome or is overdue, or late answers changed some: what the holder is told next."""

    type: Literal["reported"] = "reported"
    outcomes: Mapping[AppCode, ItemState]


class SummarySent(Event):
    """The short message with the summary (or, after the first, a supplement) was handed to the SMS centre."""

    type: Literal["summary_sent"] = "summary_sent"
    summary: int
    delivered: bool | None = None


class ResultSent(Event):
    """The signed result reached the carrier's webhook."""

    type: Literal["result_sent"] = "result_sent"
    summary: int


class NotTold(Event):
    """The holder or the carrier could not be told although tried for days: a case worker has to."""

    type: Literal["not_told"] = "not_told"
    who: Literal["holder", "carrier"]
    summary: int
    code: str


class WithdrawalAsked(Event):
    """The holder asked to withdraw."""

    type: Literal["withdrawal_asked"] = "withdrawal_asked"


class Withdrawn(Event):
    """Nothing was acknowledged yet: the whole renewal is withdrawn."""

    type: Literal["withdrawn"] = "withdrawn"


class Refused(Event):
    """The renewal cannot be done, with the reason."""

    type: Literal["refused"] = "refused"
    reason: NotEligible


class Closed(Event):
    """Late answers are over; nothing changes any more."""

    type: Literal["closed"] = "closed"


RenewalEvent = Annotated[
    Submitted
    | EligibilityAnswered
    | Started
    | Reported
    | SummarySent
    | ResultSent
    | NotTold
    | WithdrawalAsked
    | Withdrawn
    | Refused
    | Closed
    | casework.WorkEvent,
    Field(discriminator="type"),
]


class Submit(Model):
    """What is asked for, already masked: the number itself is in the vault. `channel`: which one the holder came
    through; without one their carrier hands it in."""

    case: CaseId
    carrier: CarrierCode
    channel: PartyCode | None = None
    masked_number: str
    activated_at: AwareDatetime
    apps: tuple[AppCode, ...]
    identity: IdentityProof


class Hear(Model):
    """The carrier's registry answers the eligibility question; a no says why."""

    verdict: Verdict
    reason: NotEligible | None = None

    @model_validator(mode="after")
    def _no_says_why(self) -> Self:
        if self.verdict is Verdict.NO and self.reason is None:
            raise ValueError("a no needs a reason")
        return self


class Start(Model):
    """The enterprises are to be asked, in these unbind requests."""

    parts: tuple[CaseId, ...]


class Report(Model):
    """The unbind requests stand like this."""

    outcomes: Mapping[AppCode, ItemState]


class Withdraw(Model):
    """The holder changes their mind (撤回)."""


class Close(Model):
    """The late window is over."""


Command = Submit | Hear | Start | Report | Withdraw | Close | casework.WorkCommand
Decision = tuple[Event, ...] | Refusal
