"""What workflows know of activities: names, inputs, outputs. The bodies are in the classes beside this module.

Each contract is a function without a body; `worker.py --check` compares every one with the method that
implements it. One model in, one model out.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from pydantic import AwareDatetime
from temporalio import activity

from domain import identity, number, renewal, unbind
from domain.case import AppCode, CaseId, CaseKind, EnterpriseCode, Model, PaperId, PartyCode, Told, WorkItemId
from domain.messages import Message
from domain.question import Heard, QuestionKind
from domain.sla import Deadline


class Record(Model):
    """Events a case decided, each as JSON; `step` makes a second try harmless."""

    case: CaseId
    kind: CaseKind
    step: str
    events: tuple[str, ...]


class Recall(Model):
    """Read a case back from the ledger: it holds something the workflow does not remember."""

    case: CaseId
    kind: CaseKind


class Recalled(Model):
    """A case's state as JSON."""

    state: str


class Standing(Model):
    """How many events the ledger has of a case."""

    seq: int


class OpenCase(Model):
    """A case that follows from another: same person, own reference. `first` is its first event as JSON, in which
    `case` is filled in; `step` names it within the parent, so that a second try opens the same case."""

    parent: CaseId
    kind: CaseKind
    step: str
    first: str


class CaseOpened(Model):
    """The new case and its first event as JSON."""

    case: CaseId
    first: str


class OpenUnbind(Model):
    """A new unbind request: work item ids and clocks are made here, once."""

    case: CaseId
    parent: CaseId
    apps: tuple[AppCode, ...]
    boundary: AwareDatetime
    late_window: timedelta
    at: AwareDatetime
    choices: Mapping[AppCode, tuple[unbind.Choice, ...]] = {}


class ExtendedClock(Model):
    """The clock of an item whose enterprise asks for `by` more."""

    enterprise: EnterpriseCode
    due_at: AwareDatetime
    by: timedelta
    at: AwareDatetime


class GiveNotice(Model):
    """Tell these enterprises about these work items, all at once; `round` names the attempt in the ledger."""

    case: CaseId
    round: str
    notice: unbind.Notice
    items: Mapping[EnterpriseCode, tuple[WorkItemId, ...]]


class NotTold(Model):
    """An enterprise that could not be told, and how long it asked to be left alone (seconds)."""

    enterprise: EnterpriseCode
    code: str
    retry_after: float | None = None


class NoticeGiven(Model):
    """Which enterprises were told (and when, as the ledger has it already) and which were not."""

    told: Mapping[EnterpriseCode, AwareDatetime]
    failed: tuple[NotTold, ...]


class Escalate(Model):
    """Tell the case desk about overdue items."""

    case: CaseId
    step: str
    items: tuple[WorkItemId, ...]


class AskParties(Model):
    """Put a question to enterprises or carriers, all at once; `round` names the attempt in the ledger.

    `activated_at` is when the citizen's contract began: accounts bound before it are a former holder's. `text` is the
    question in words, a paper of this case.
    """

    case: CaseId
    kind: CaseKind
    round: str
    question: QuestionKind
    parties: Mapping[PartyCode, tuple[AppCode, ...]]
    due_at: AwareDatetime
    activated_at: AwareDatetime | None = None
    text: PaperId | None = None


class TellCitizen(Model):
    """Tell a case's citizen something by short message; `step` names it in the ledger."""

    case: CaseId
    kind: CaseKind
    step: str
    message: Message


class SendCode(Model):
    """Make a code of an identity check and send it; after `give_up_at` a centre out of reach is not tried again."""

    case: CaseId
    serial: int
    give_up_at: AwareDatetime


class CodeHandled(Model):
    """A code counts from `sent` on; `not_sent` if the SMS centre did not take it."""

    sent: identity.CodeSent
    not_sent: identity.CodeNotSent | None = None


class JudgeCode(Model):
    """Is this the keyed digest of the check's last code?"""

    case: CaseId
    digest: str


class ConfirmHolder(Model):
    """Ask the carriers whose number this is; after `give_up_at` those out of reach are not asked again."""

    case: CaseId
    give_up_at: AwareDatetime


class Confirmed(Model):
    """What came of it."""

    outcome: identity.Outcome


class ForgetCode(Model):
    """The check is over."""

    case: CaseId


class PlanBatch(Model):
    """Which apps are to be asked to unbind a cancelled number."""

    case: CaseId


class BatchPlan(Model):
    """Every app of today's registry."""

    apps: tuple[AppCode, ...]


class LookAtBatch(Model):
    """How do these unbind requests stand?"""

    parts: tuple[CaseId, ...]


class BatchStanding(Model):
    """Every app's state, by the read model; a request that has not begun is not in it."""

    outcomes: Mapping[CaseId, Mapping[AppCode, unbind.ItemState]]


class Announce(Model):
    """Tell enterprises that a number was recycled, or is its former holder's again; `to` None: all that are pushed to."""

    case: CaseId
    round: str
    announcement: int
    notice: number.Notice
    cancelled_at: AwareDatetime
    to: tuple[EnterpriseCode, ...] | None = None


class AskEligibility(Model):
    """Ask the carrier's registry about the number of this case."""

    case: CaseId


class Tell(Model):
    """Tell the holder, or the carrier, how the renewal stands; `summary` counts from 1."""

    case: CaseId
    summary: int
    state: renewal.State


class Redeliver(Model):
    """One pass of a replay over the messages it has still to send a partner; what the `last` one cannot get to it is
    left."""

    partner: PartyCode
    replay: str
    last: bool


class Redelivered(Model):
    """How many messages are left for another pass, and how long the partner asked to be left alone (seconds)."""

    left: int
    retry_after: float


@activity.defn(name="record")
async def record(order: Record) -> bool:  # type: ignore[empty-body]
    """Append to the ledger, with the read models, in one transaction; False if the step is there with other events."""


@activity.defn(name="recall")
async def recall(order: Recall) -> Recalled:  # type: ignore[empty-body]
    """The fold of everything the ledger has of a case."""


@activity.defn(name="look_at_ledger")
async def look_at_ledger(order: Recall) -> Standing:  # type: ignore[empty-body]
    """Where a case stands in the ledger now."""


@activity.defn(name="open_case")
async def open_case(order: OpenCase) -> CaseOpened:  # type: ignore[empty-body]
    """Record the first event of a case that follows from another, and take the person over."""


@activity.defn(name="open_unbind")
async def open_unbind(order: OpenUnbind) -> unbind.Opened:  # type: ignore[empty-body]
    """Make work item ids and clocks, record and return the opening."""


@activity.defn(name="extended_clock")
async def extended_clock(order: ExtendedClock) -> Deadline:  # type: ignore[empty-body]
    """The deadline after an extension, by the enterprise's policy and today's calendar."""


@activity.defn(name="give_notice")
async def give_notice(order: GiveNotice) -> NoticeGiven:  # type: ignore[empty-body]
    """One attempt per enterprise, many at once; successes are recorded, failures returned."""


@activity.defn(name="escalate")
async def escalate(order: Escalate) -> unbind.Escalated:  # type: ignore[empty-body]
    """One mail to the case desk for all items that went overdue together, recorded."""


@activity.defn(name="ask_parties")
async def ask_parties(order: AskParties) -> Heard:  # type: ignore[empty-body]
    """One attempt per party, many at once; answers, failures and who will answer later, recorded."""


@activity.defn(name="tell_citizen")
async def tell_citizen(order: TellCitizen) -> Told:  # type: ignore[empty-body]
    """A short message, handed over once and recorded; sent again only when a receipt says undelivered."""


@activity.defn(name="send_code")
async def send_code(order: SendCode) -> CodeHandled:  # type: ignore[empty-body]
    """A fresh code by short message, only its keyed digest kept and recorded; a second try makes another code."""


@activity.defn(name="judge_code")
async def judge_code(order: JudgeCode) -> bool:  # type: ignore[empty-body]
    """Whether the code is right, compared in constant time."""


@activity.defn(name="confirm_holder")
async def confirm_holder(order: ConfirmHolder) -> Confirmed:  # type: ignore[empty-body]
    """The carriers' verdict on number and ID tail, or the cool-down that keeps them from being asked; recorded."""


@activity.defn(name="forget_code")
async def forget_code(order: ForgetCode) -> None:
    """Delete what is left of the check's code."""


@activity.defn(name="plan_batch")
async def plan_batch(order: PlanBatch) -> BatchPlan:  # type: ignore[empty-body]
    """What a batch unbinding covers, looked up when it begins."""


@activity.defn(name="look_at_batch")
async def look_at_batch(order: LookAtBatch) -> BatchStanding:  # type: ignore[empty-body]
    """The latest answers, so that one that came a moment ago counts at the release."""


@activity.defn(name="announce_number")
async def announce_number(order: Announce) -> number.Announced:  # type: ignore[empty-body]
    """One attempt per enterprise, many at once; who was told and who could not be, recorded."""


@activity.defn(name="ask_eligibility")
async def ask_eligibility(order: AskEligibility) -> renewal.Hear:  # type: ignore[empty-body]
    """The carrier's verdict; a carrier that cannot be reached is asked again by Temporal."""


@activity.defn(name="tell_holder")
async def tell_holder(order: Tell) -> renewal.SummarySent:  # type: ignore[empty-body]
    """The summary by short message, recorded; never sent twice."""


@activity.defn(name="tell_carrier")
async def tell_carrier(order: Tell) -> renewal.ResultSent:  # type: ignore[empty-body]
    """The result to the carrier's webhook, signed and recorded."""


@activity.defn(name="redeliver")
async def redeliver(order: Redeliver) -> Redelivered:  # type: ignore[empty-body]
    """One attempt per message, some at once; what came of each is in the log."""


ALL = (
    record,
    recall,
    look_at_ledger,
    open_case,
    ask_parties,
    tell_citizen,
    open_unbind,
    extended_clock,
    give_notice,
    escalate,
    send_code,
    judge_code,
    confirm_holder,
    forget_code,
    plan_batch,
    look_at_batch,
    announce_number,
    ask_eligibility,
    tell_holder,
    tell_carrier,
    redeliver,
)
