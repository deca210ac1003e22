"""What goes into workflows and comes out of them. Passed through the sandbox: models are slow to make anew."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from pydantic import AwareDatetime, Field

from domain import casework, renewal, unbind
from domain.case import AppCode, CaseId, Model, WorkItemId
from domain.refusal import Refusal
from domain.registry import RenewalPolicy
from domain.renewal import RenewalStatus
from domain.unbind import ItemState
from workflows.memory import Count

MOST_COMMANDS = 500
"""Commands in one update: a whole part of a renewal answered at once."""


class Carried(Model):
    """What an unbind request takes along when it continues as new."""

    state: unbind.State
    count: Count
    reports: int
    reported: Mapping[AppCode, ItemState]


class UnbindOrder(Model):
    """What an unbind request starts from; `carried` is set when it continues as new."""

    case: CaseId
    parent: CaseId
    apps: tuple[AppCode, ...]
    boundary: AwareDatetime
    late_window: timedelta
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


class UnbindReport(Model):
    """How a part stands: every app's state."""

    case: CaseId
    outcomes: Mapping[AppCode, ItemState]


class WithdrawalReply(Model):
    """How many work items of a part were withdrawn."""

    case: CaseId
    withdrawn: int


class Done(Model):
    """What became of a command: where the case stands now, or why it was refused; `changed` is false for a repetition."""

    status: str
    changed: bool = False
    refusal: Refusal | None = None


class Act(Model):
    """Case work on a case: one command of a case worker, a supervisor, or another case's workflow."""

    command: casework.WorkCommand


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
