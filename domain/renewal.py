"""Second-hand number renewal (二次号码焕新): one ask by the holder, every app answered for, one answer back.

submitted → (waiting for data) → running → summary sent → closed; or refused; or withdrawn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from functools import singledispatch
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from domain.case import Actor, AppCode, CarrierCode, CaseId, Event, Model
from domain.privacy import mask_text
from domain.refusal import Refusal, RefusalCode
from domain.registry import RenewalPolicy
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
    ended_at: AwareDatetime | None = None


# ── events ───────────────────────────────────────────────────────────────────────────────────────────


class Submitted(Event):
    """The carrier handed the holder's wish over."""

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
    | Closed,
    Field(discriminator="type"),
]

# ── commands ─────────────────────────────────────────────────────────────────────────────────────────


class Submit(Model):
    """What the carrier's system asks for, already masked: the number itself is in the vault."""

    case: CaseId
    carrier: CarrierCode
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


Command = Submit | Hear | Start | Report | Withdraw | Close
Decision = tuple[Event, ...] | Refusal


def submit(command: Submit, at: datetime, policy: RenewalPolicy) -> Decision:
    """Open a renewal, or say what is wrong with the request."""
    refusals = (
        (
            not command.apps,
            RefusalCode.NO_APPS,
            "apps",
            "The renewal names no app.",
            "Name at least one, or leave apps out to ask all.",
        ),
        (
            len(command.apps) > MOST_APPS,
            RefusalCode.TOO_MANY_APPS,
            "apps",
            f"The renewal names {len(command.apps)} apps.",
            f"Name at most {MOST_APPS}.",
        ),
        (
            command.activated_at > at,
            RefusalCode.ACTIVATION_IN_FUTURE,
            "activated_at",
            "The activation lies in the future.",
            "Send the time the current holder's contract began.",
        ),
        (
            command.identity.checked_at > at + timedelta(minutes=1),
            RefusalCode.IDENTITY_NOT_PROVEN,
            "identity.checked_at",
            "The identity check lies in the future.",
            "Check the holder's identity and the clock, then send the renewal again.",
        ),
        (
            at - command.identity.checked_at > policy.identity_valid,
            RefusalCode.IDENTITY_NOT_PROVEN,
            "identity.checked_at",
            f"The identity check is older than {policy.identity_valid}.",
            "Check the holder's identity again, then send the renewal again.",
        ),
    )
    for wrong, code, field, sentence, remedy in refusals:
        if wrong:
            return Refusal(code=code, field=field, sentence=sentence, remedy=remedy)
    carrier = Actor(kind="carrier", code=command.carrier)
    proof = command.identity.model_copy(update={"checked_by": mask_text(command.identity.checked_by)})
    return (Submitted(at=at, actor=carrier, **{**dict(command), "identity": proof}),)


def decide(state: State, command: Command, at: datetime, policy: RenewalPolicy) -> Decision:
    """Events that follow from a command, none if it changes nothing, or why it is refused."""
    match command:
        case Submit():
            return ()
        case Hear():
            return _hear(state, command, at, policy)
        case Start():
            if state.status not in BEFORE_START or not state.eligible:
                return ()
            return (Started(at=at, parts=command.parts),)
        case Report():
            return _report(state, command, at)
        case Withdraw():
            return _withdraw(state, at)
        case Close():
            return () if state.status is not RenewalStatus.SUMMARY_SENT else (Closed(at=at),)


BEFORE_START = frozenset({RenewalStatus.SUBMITTED, RenewalStatus.WAITING_FOR_DATA})


def _hear(state: State, command: Hear, at: datetime, policy: RenewalPolicy) -> Decision:
    if state.status not in BEFORE_START:
        return ()
    carrier = Actor(kind="carrier", code=state.carrier)
    answered = EligibilityAnswered(at=at, actor=carrier, verdict=command.verdict, reason=command.reason)
    if command.verdict is Verdict.YES:
        return (answered,)
    if command.verdict is Verdict.NO:
        return (answered, Refused(at=at, reason=command.reason or NotEligible.NO_ANSWER))
    if at - state.submitted_at >= policy.give_up_after:
        return (answered, Refused(at=at, reason=NotEligible.NO_ANSWER))
    return (answered.model_copy(update={"ask_again_at": at + policy.ask_again}),)


def _report(state: State, command: Report, at: datetime) -> Decision:
    if state.status not in (RenewalStatus.RUNNING, RenewalStatus.SUMMARY_SENT):
        return ()
    if dict(command.outcomes) == dict(state.outcomes):
        return ()
    reported = Reported(at=at, outcomes=command.outcomes)
    if set(command.outcomes.values()) == {ItemState.WITHDRAWN}:
        return (reported, Withdrawn(at=at))
    return (reported,)


def _withdraw(state: State, at: datetime) -> Decision:
    if state.status is RenewalStatus.WITHDRAWN or state.withdrawal_asked_at:
        return ()
    asked = WithdrawalAsked(at=at, actor=Actor(kind="holder"))
    if state.status in BEFORE_START:
        return (asked, Withdrawn(at=at))
    if state.status is RenewalStatus.RUNNING:
        return (asked,)
    return too_late_to_withdraw()


def too_late_to_withdraw() -> Refusal:
    """Every enterprise has acknowledged or answered, or the renewal is over."""
    return Refusal(
        code=RefusalCode.TOO_LATE_TO_WITHDRAW,
        sentence="Every enterprise has acknowledged or answered already.",
        remedy="Follow the answers; ask the case desk about one you disagree with.",
    )


# ── evolve ───────────────────────────────────────────────────────────────────────────────────────────


def evolve(state: State | None, event: Event) -> State:
    """The renewal after one event."""
    if isinstance(event, Submitted):
        fields = {k: v for k, v in dict(event).items() if k not in ("type", "at", "actor")}
        return State(submitted_at=event.at, **fields)
    if state is None:
        raise ValueError("a renewal begins with Submitted")
    return state.model_copy(update=_change(event, state))


@singledispatch
def _change(event: Event, state: State) -> dict[str, object]:
    raise TypeError(f"no fold for {type(event).__name__}")


@_change.register
def _(event: EligibilityAnswered, state: State) -> dict[str, object]:
    waits = event.verdict is Verdict.UNKNOWN
    return {
        "asked": state.asked + 1,
        "eligible": event.verdict is Verdict.YES,
        "ask_again_at": event.ask_again_at,
        "status": RenewalStatus.WAITING_FOR_DATA if waits else state.status,
    }


@_change.register
def _(event: Started, state: State) -> dict[str, object]:
    return {"status": RenewalStatus.RUNNING, "parts": event.parts, "ask_again_at": None}


@_change.register
def _(event: Reported, state: State) -> dict[str, object]:
    return {"outcomes": event.outcomes, "summaries": state.summaries + 1}


@_change.register
def _(event: SummarySent, state: State) -> dict[str, object]:
    running = state.status is RenewalStatus.RUNNING
    return {"status": RenewalStatus.SUMMARY_SENT} if running else {}


@_change.register
def _(event: ResultSent, state: State) -> dict[str, object]:
    return {}


@_change.register
def _(event: NotTold, state: State) -> dict[str, object]:
    running = state.status is RenewalStatus.RUNNING
    return {"status": RenewalStatus.SUMMARY_SENT} if running else {}


@_change.register
def _(event: WithdrawalAsked, state: State) -> dict[str, object]:
    return {"withdrawal_asked_at": event.at}


@_change.register
def _(event: Withdrawn, state: State) -> dict[str, object]:
    return {
        "status": RenewalStatus.WITHDRAWN,
        "summaries": max(state.summaries, 1),
        "ended_at": event.at,
        "ask_again_at": None,
    }


@_change.register
def _(event: Refused, state: State) -> dict[str, object]:
    return {
        "status": RenewalStatus.REFUSED,
        "summaries": 1,
        "reason": event.reason.value,
        "ended_at": event.at,
        "ask_again_at": None,
    }


@_change.register
def _(event: Closed, state: State) -> dict[str, object]:
    return {"status": RenewalStatus.CLOSED, "ended_at": event.at}


# ── what the rest of the house asks of a renewal ─────────────────────────────────────────────────────


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
