"""What workflows know of activities: names, inputs, outputs. The bodies are in the classes beside this module.

Each contract is a function without a body; `worker.py --check` compares every one with the method that
implements it. One model in, one model out.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from pydantic import AwareDatetime
from temporalio import activity

from domain import renewal, unbind
from domain.case import AppCode, CaseId, EnterpriseCode, Model, WorkItemId
from domain.sla import Deadline


class RecordUnbind(Model):
    """Events an unbind request decided; `step` makes a second try harmless."""

    case: CaseId
    step: str
    events: tuple[unbind.UnbindEvent, ...]


class RecordRenewal(Model):
    """Events a renewal decided; `step` makes a second try harmless."""

    case: CaseId
    step: str
    events: tuple[renewal.RenewalEvent, ...]


class Recall(Model):
    """Read a case back from the ledger: it holds something the workflow does not remember."""

    case: CaseId


class OpenUnbind(Model):
    """A new unbind request: work item ids and clocks are made here, once."""

    case: CaseId
    parent: CaseId
    apps: tuple[AppCode, ...]
    boundary: AwareDatetime
    late_window: timedelta
    at: AwareDatetime


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


class AskEligibility(Model):
    """Ask the carrier's registry about the number of this case."""

    case: CaseId


class Tell(Model):
    """Tell the holder, or the carrier, how the renewal stands; `summary` counts from 1."""

    case: CaseId
    summary: int
    state: renewal.State


@activity.defn(name="record_unbind")
async def record_unbind(order: RecordUnbind) -> bool:  # type: ignore[empty-body]
    """Append to the ledger, with the read models, in one transaction; False if the step is there with other events."""


@activity.defn(name="record_renewal")
async def record_renewal(order: RecordRenewal) -> bool:  # type: ignore[empty-body]
    """Append to the ledger, with the read models, in one transaction; False if the step is there with other events."""


@activity.defn(name="recall_unbind")
async def recall_unbind(order: Recall) -> unbind.State:  # type: ignore[empty-body]
    """The fold of everything the ledger has of an unbind request."""


@activity.defn(name="recall_renewal")
async def recall_renewal(order: Recall) -> renewal.State:  # type: ignore[empty-body]
    """The fold of everything the ledger has of a renewal."""


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


@activity.defn(name="ask_eligibility")
async def ask_eligibility(order: AskEligibility) -> renewal.Hear:  # type: ignore[empty-body]
    """The carrier's verdict; a carrier that cannot be reached is asked again by Temporal."""


@activity.defn(name="tell_holder")
async def tell_holder(order: Tell) -> renewal.SummarySent:  # type: ignore[empty-body]
    """The summary by short message, recorded; never sent twice."""


@activity.defn(name="tell_carrier")
async def tell_carrier(order: Tell) -> renewal.ResultSent:  # type: ignore[empty-body]
    """The result to the carrier's webhook, signed and recorded."""


ALL = (
    record_unbind,
    record_renewal,
    recall_unbind,
    recall_renewal,
    open_unbind,
    extended_clock,
    give_notice,
    escalate,
    ask_eligibility,
    tell_holder,
    tell_carrier,
)
