"""What goes into workflows and comes out of them. Passed through the sandbox: models are slow to make anew."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from pydantic import AwareDatetime, Field

from domain import casework, complaint, dispute, identity, investigation, number, query, renewal, unbind
from domain.case import AppCode, CaseId, Model, PartyCode, WorkItemId
from domain.refusal import Refusal
from domain.registry import RenewalPolicy
from domain.renewal import RenewalStatus
from domain.unbind import ItemState
from workflows.memory import Count

MOST_COMMANDS = 500
"""Commands in one update: a whole part of a renewal answered at once."""


class UnbindReport(Model):
    """How a part stands: every app's state, and why where its enterprise said why."""

    case: CaseId
    outcomes: Mapping[AppCode, ItemState]
    reasons: Mapping[AppCode, unbind.Reason] = {}
    closed: bool = False
    """Nothing more is taken; said only where every answer is reported."""


class Carried(Model):
    """What an unbind request takes along when it continues as new."""

    state: unbind.State
    count: Count
    reports: int
    reported: Mapping[AppCode, ItemState]
    reasons: Mapping[AppCode, unbind.Reason] = {}


class UnbindOrder(Model):
    """What an unbind request starts from; `carried` is set when it continues as new.

    `choices` says account by account what is wanted. With `report_each` the parent hears of every answer when it
    comes, not first when nothing is waited for any more.
    """

    case: CaseId
    parent: CaseId
    apps: tuple[AppCode, ...]
    boundary: AwareDatetime
    late_window: timedelta
    choices: Mapping[AppCode, tuple[unbind.Choice, ...]] = {}
    report_each: bool = False
    carried: Carried | None = None


class Batch(Model):
    """Commands of one or many enterprises that arrived together."""

    commands: tuple[unbind.ItemCommand, ...] = Field(min_length=1, max_length=MOST_COMMANDS)


class Taken(Model):
    """What became of one command: the item as it is now, or the refusal; `changed` is false for a repetition."""

    item: WorkItemId
    state: ItemState | None = None
    version: int = 0
    changed: bool = False
    refusal: Refusal | None = None


class BatchTaken(Model):
    """One entry per command, in the batch's order."""

    taken: tuple[Taken, ...]


class WithdrawalReply(Model):
    """How many work items of a part were withdrawn, and of which apps."""

    case: CaseId
    withdrawn: int
    apps: tuple[AppCode, ...] = ()


class Done(Model):
    """What became of a command: where the case stands now, or why it was refused; `changed` is false for a repetition."""

    status: str
    changed: bool = False
    refusal: Refusal | None = None


class IdentityOrder(Model):
    """An identity check starts from its first event, which the gateway has recorded."""

    first: identity.Opened


class TryCode(Model):
    """A code as the citizen entered it: its keyed digest for every serial that may have been sent, from the first on."""

    digests: tuple[str, ...] = Field(min_length=1, max_length=9)


class QueryOrder(Model):
    """A query starts from its first event, which the gateway has recorded."""

    first: query.Submitted


class Act(Model):
    """Case work on a case: one command of a case worker, a supervisor, or another case's workflow.

    `expected`: how many events the case had when whoever acts looked at it; with more, the command is refused.
    """

    command: casework.WorkCommand
    expected: int | None = None


class Conclusion(Model):
    """A case that followed from this one has ended: how, in one of its kind's own words."""

    case: CaseId
    outcome: str


class RenewalOrder(Model):
    """A renewal starts from its first event, which the gateway has recorded, and the policy of that day."""

    submitted: renewal.Submitted
    policy: RenewalPolicy


class WithdrawalTaken(Model):
    """Where the renewal stands after a withdrawal, or why it was refused."""

    status: RenewalStatus
    refusal: Refusal | None = None


class InvestigationOrder(Model):
    """An investigation starts from its first event, which is recorded already."""

    first: investigation.Opened


class NumberCarried(Model):
    """What a number takes along when its workflow continues as new; `started` are its unbind requests under way."""

    state: number.State
    count: Count
    started: tuple[CaseId, ...]


class NumberOrder(Model):
    """A number starts from its first event, which the gateway has recorded."""

    first: number.Opened
    carried: NumberCarried | None = None


class DisputeCarried(Model):
    """What a dispute takes along when it continues as new: how much of what its state says is done already."""

    state: dispute.State
    count: Count
    begun: int
    closed: tuple[CaseId, ...]
    told: int
    concluded: AwareDatetime | None


class DisputeOrder(Model):
    """A dispute starts from its first event, which is recorded already."""

    first: dispute.Opened
    carried: DisputeCarried | None = None


class RedeliveryOrder(Model):
    """A replay: the messages it has to send a partner again are marked with its name in their log."""

    partner: PartyCode
    replay: str


class ComplaintOrder(Model):
    """A complaint starts from its first event, which the gateway has recorded."""

    first: complaint.Taken
