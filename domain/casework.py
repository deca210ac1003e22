"""Case work (坐席): what case workers and supervisors do with any case, decided in one place for all kinds.

A kind embeds `Work` in its state, hands these commands to `decide` and these events to `evolve`; what a decision by
two people means for the case itself (`Approved`) is the kind's own business. Words a person writes (notes, reasons)
are papers in the vault: events carry their ids.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from functools import singledispatch
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from domain.case import (
    STAFF,
    Actor,
    ActorKind,
    CaseId,
    Event,
    Linked,
    LinkKind,
    Model,
    PaperId,
    kind_of,
)
from domain.refusal import Refusal, RefusalCode

REOPEN_WITHIN = timedelta(days=30)
"""A closed case can be reopened as long as its personal data is kept (domain.md, privacy)."""

EXTEND_AT_MOST = timedelta(days=15)
WORKER_CODE = r"^[a-z][a-z0-9-]{1,39}$"
WorkerCode = Annotated[str, Field(pattern=WORKER_CODE)]
_WORKER = re.compile(WORKER_CODE)


class Waiting(StrEnum):
    """Whose turn it is."""

    CASE_WORKER = "case_worker"
    CITIZEN = "citizen"
    PARTY = "party"
    CARRIER = "carrier"
    NOBODY = "nobody"


class DecisionKind(StrEnum):
    """What takes two people."""

    REFUSE = "refuse"
    """Refuse the citizen's wish."""
    OVERRIDE = "override"
    """Set aside what an enterprise answered: the citizen is right."""
    CONCLUDE = "conclude"
    """State the result of an investigation."""


class Proposal(Model):
    """A decision one person has made and another has to approve. `about` is an app's code, or empty for the case."""

    what: DecisionKind
    about: str = ""
    reason: PaperId
    by: WorkerCode
    at: AwareDatetime


class Work(Model):
    """The case worker's side of a case."""

    due_at: AwareDatetime | None = None
    assignee: str = ""
    paused_at: AwareDatetime | None = None
    escalated_at: AwareDatetime | None = None
    merged_into: CaseId | None = None
    proposal: Proposal | None = None
    links: tuple[CaseId, ...] = ()
    notes: int = 0
    extended: int = 0


class Standing(Model):
    """Where a case stands for the case workers' queues; every kind with case work can say it of its state."""

    status: str
    open: bool
    waiting: Waiting
    work: Work


# ── events ───────────────────────────────────────────────────────────────────────────────────────────


class Claimed(Event):
    """A case worker took the case on."""

    type: Literal["claimed"] = "claimed"
    assignee: WorkerCode


class Released(Event):
    """Nobody has the case any more."""

    type: Literal["released"] = "released"


class Noted(Event):
    """A note, with attachments by reference."""

    type: Literal["noted"] = "noted"
    note: PaperId
    attachments: tuple[PaperId, ...] = ()


class Paused(Event):
    """The case's clock stands."""

    type: Literal["paused"] = "paused"
    reason: PaperId


class Resumed(Event):
    """The case's clock goes on; the deadline moved by as long as it stood."""

    type: Literal["resumed"] = "resumed"
    due_at: AwareDatetime | None = None


class DueMoved(Event):
    """The case's deadline was extended, for a reason (延期)."""

    type: Literal["due_moved"] = "due_moved"
    due_at: AwareDatetime
    reason: PaperId


class HandedUp(Event):
    """Escalated to a supervisor (升级)."""

    type: Literal["handed_up"] = "handed_up"
    reason: PaperId


class Merged(Event):
    """The case says the same as another; that one goes on."""

    type: Literal["merged"] = "merged"
    into: CaseId


class Reopened(Event):
    """A closed case goes on."""

    type: Literal["reopened"] = "reopened"
    reason: PaperId
    due_at: AwareDatetime | None = None


class Proposed(Event):
    """One person decided; another has to approve."""

    type: Literal["proposed"] = "proposed"
    what: DecisionKind
    about: str = ""
    reason: PaperId


class Approved(Event):
    """A second person approved the decision: it stands."""

    type: Literal["approved"] = "approved"
    what: DecisionKind
    about: str = ""
    reason: PaperId
    decided_by: WorkerCode


class Rejected(Event):
    """A second person did not approve the decision: it is void."""

    type: Literal["rejected"] = "rejected"
    what: DecisionKind
    about: str = ""


WorkEvent = (
    Claimed
    | Released
    | Noted
    | Paused
    | Resumed
    | DueMoved
    | HandedUp
    | Merged
    | Reopened
    | Proposed
    | Approved
    | Rejected
    | Linked
)

# ── commands ─────────────────────────────────────────────────────────────────────────────────────────


class _Command(Model):
    actor: Actor


class Claim(_Command):
    """Take the case on."""

    type: Literal["claim"] = "claim"


class Release(_Command):
    """Give the case back to the queue."""

    type: Literal["release"] = "release"


class Assign(_Command):
    """A supervisor gives the case to somebody."""

    type: Literal["assign"] = "assign"
    to: WorkerCode


class Note(_Command):
    """Write something down."""

    type: Literal["note"] = "note"
    note: PaperId
    attachments: tuple[PaperId, ...] = ()


class Pause(_Command):
    """Stop the clock."""

    type: Literal["pause"] = "pause"
    reason: PaperId


class Resume(_Command):
    """Let the clock go on."""

    type: Literal["resume"] = "resume"


class Extend(_Command):
    """Move the deadline."""

    type: Literal["extend"] = "extend"
    by: timedelta
    reason: PaperId


class HandUp(_Command):
    """Escalate to a supervisor."""

    type: Literal["hand_up"] = "hand_up"
    reason: PaperId


class Merge(_Command):
    """Close this case in favour of one that says the same."""

    type: Literal["merge"] = "merge"
    into: CaseId


class Reopen(_Command):
    """Let a closed case go on."""

    type: Literal["reopen"] = "reopen"
    reason: PaperId


class Propose(_Command):
    """Decide; takes effect when somebody else approves."""

    type: Literal["propose"] = "propose"
    what: DecisionKind
    about: str = ""
    reason: PaperId


class Approve(_Command):
    """Approve what another person decided."""

    type: Literal["approve"] = "approve"


class Reject(_Command):
    """Turn down what another person decided."""

    type: Literal["reject"] = "reject"


class Link(Model):
    """Another case says that it belongs to this one (from its workflow, not from a person)."""

    type: Literal["link"] = "link"
    to: CaseId
    how: LinkKind


WorkCommand = Annotated[
    Claim
    | Release
    | Assign
    | Note
    | Pause
    | Resume
    | Extend
    | HandUp
    | Merge
    | Reopen
    | Propose
    | Approve
    | Reject
    | Link,
    Field(discriminator="type"),
]
COMMANDS = (
    Claim,
    Release,
    Assign,
    Note,
    Pause,
    Resume,
    Extend,
    HandUp,
    Merge,
    Reopen,
    Propose,
    Approve,
    Reject,
    Link,
)
EVENTS = (
    Claimed,
    Released,
    Noted,
    Paused,
    Resumed,
    DueMoved,
    HandedUp,
    Merged,
    Reopened,
    Proposed,
    Approved,
    Rejected,
    Linked,
)
Decision = tuple[Event, ...] | Refusal


# ── rules ────────────────────────────────────────────────────────────────────────────────────────────


def decide(work: Work, case: CaseId, command: WorkCommand, at: datetime, closed_at: datetime | None) -> Decision:
    """Events that follow from a command of case work, none if it changes nothing, or why it is refused.

    `closed_at` is when the case was closed, None while it is open. Notes are taken at any time; a closed case takes
    nothing else but `Reopen`. A kind that knows of reasons against a `Propose` looks at them first.
    """
    if isinstance(command, Link):
        known = command.to == case or command.to in work.links
        return () if known else (Linked(at=at, to=command.to, how=command.how),)
    if refusal := staff_only(command.actor):
        return refusal
    if isinstance(command, Note):
        return (Noted(at=at, actor=command.actor, note=command.note, attachments=command.attachments),)
    if isinstance(command, Reopen):
        return _reopen(command, at, closed_at)
    if closed_at is not None:
        return _refuse(RefusalCode.CASE_CLOSED, "The case is closed.", "Reopen it first.")
    return _decide(command, work, case, at)


def staff_only(actor: Actor) -> Refusal | None:
    """Nobody but a case worker or a supervisor, known by a code that fits the ledger."""
    if actor.kind in STAFF and _WORKER.fullmatch(actor.code):
        return None
    return _refuse(RefusalCode.NOT_ALLOWED, "This takes a case worker.", "Ask the case desk.")


@singledispatch
def _decide(command: WorkCommand, work: Work, case: CaseId, at: datetime) -> Decision:
    raise TypeError(f"no rule for {type(command).__name__}")


@_decide.register
def _(command: Claim, work: Work, case: CaseId, at: datetime) -> Decision:
    me = command.actor.code
    if work.assignee == me:
        return ()
    if work.assignee:
        return _refuse(
            RefusalCode.CLAIMED_BY_ANOTHER,
            f"{work.assignee} has this case.",
            "Ask them to release it, or a supervisor to assign it to you.",
        )
    return (Claimed(at=at, actor=command.actor, assignee=me),)


@_decide.register
def _(command: Release, work: Work, case: CaseId, at: datetime) -> Decision:
    if not work.assignee:
        return ()
    if work.assignee != command.actor.code and command.actor.kind is not ActorKind.SUPERVISOR:
        return _refuse(
            RefusalCode.CLAIMED_BY_ANOTHER, f"{work.assignee} has this case.", "Only they or a supervisor release it."
        )
    return (Released(at=at, actor=command.actor),)


@_decide.register
def _(command: Assign, work: Work, case: CaseId, at: datetime) -> Decision:
    if command.actor.kind is not ActorKind.SUPERVISOR:
        return _refuse(RefusalCode.NOT_ALLOWED, "Only a supervisor assigns cases.", "Claim it, or ask a supervisor.")
    if work.assignee == command.to:
        return ()
    return (Claimed(at=at, actor=command.actor, assignee=command.to),)


@_decide.register
def _(command: Pause, work: Work, case: CaseId, at: datetime) -> Decision:
    if work.paused_at is not None:
        return _refuse(RefusalCode.PAUSED, "The case is paused already.", "Resume it first.")
    return (Paused(at=at, actor=command.actor, reason=command.reason),)


@_decide.register
def _(command: Resume, work: Work, case: CaseId, at: datetime) -> Decision:
    if work.paused_at is None:
        return _refuse(RefusalCode.NOT_PAUSED, "The case is not paused.", "Nothing needs to be done.")
    due_at = work.due_at + (at - work.paused_at) if work.due_at else None
    return (Resumed(at=at, actor=command.actor, due_at=due_at),)


@_decide.register
def _(command: Extend, work: Work, case: CaseId, at: datetime) -> Decision:
    if work.due_at is None:
        return _refuse(RefusalCode.EXTENSION_NOT_ALLOWED, "The case has no deadline now.", "Nothing is due.", "by")
    if work.paused_at is not None:
        return _refuse(RefusalCode.PAUSED, "The case is paused, its clock stands.", "Resume it first.")
    if not timedelta(0) < command.by <= EXTEND_AT_MOST:
        return _refuse(
            RefusalCode.EXTENSION_NOT_ALLOWED,
            f"An extension is at most {EXTEND_AT_MOST.days} days.",
            "Ask for less, or pause the case while it waits for somebody.",
            "by",
        )
    if work.extended and command.actor.kind is not ActorKind.SUPERVISOR:
        return _refuse(
            RefusalCode.EXTENSION_NOT_ALLOWED,
            "The case was extended once.",
            "Ask a supervisor to extend it again.",
            "by",
        )
    due_at = work.due_at + command.by
    if due_at <= at:
        return _refuse(
            RefusalCode.EXTENSION_NOT_ALLOWED,
            "The case would still be overdue.",
            "Ask for more, or finish the case.",
            "by",
        )
    return (DueMoved(at=at, actor=command.actor, due_at=due_at, reason=command.reason),)


@_decide.register
def _(command: HandUp, work: Work, case: CaseId, at: datetime) -> Decision:
    return () if work.escalated_at else (HandedUp(at=at, actor=command.actor, reason=command.reason),)


@_decide.register
def _(command: Merge, work: Work, case: CaseId, at: datetime) -> Decision:
    if command.into == case or kind_of(command.into) is not kind_of(case):
        return _refuse(
            RefusalCode.CANNOT_MERGE,
            f"{case} cannot be merged into {command.into}.",
            "Name another case of the same kind.",
            "into",
        )
    return (
        Linked(at=at, actor=command.actor, to=command.into, how=LinkKind.MERGED_INTO),
        Merged(at=at, actor=command.actor, into=command.into),
    )


@_decide.register
def _(command: Propose, work: Work, case: CaseId, at: datetime) -> Decision:
    if work.proposal is not None:
        return _refuse(
            RefusalCode.DECISION_PENDING, "A decision waits for approval.", "Have it approved or rejected first."
        )
    if work.assignee != command.actor.code:
        return _refuse(RefusalCode.NOT_CLAIMED, "You do not have this case.", "Claim it first.")
    what, about = command.what, command.about
    return (Proposed(at=at, actor=command.actor, what=what, about=about, reason=command.reason),)


@_decide.register(Approve)
@_decide.register(Reject)
def _(command: Approve | Reject, work: Work, case: CaseId, at: datetime) -> Decision:
    """Decider and approver are two people (domain.md, 'decision by two people')."""
    proposal = work.proposal
    if proposal is None:
        return _refuse(RefusalCode.NOTHING_PROPOSED, "No decision waits for approval.", "Propose one first.")
    if proposal.by == command.actor.code:
        return _refuse(
            RefusalCode.SAME_PERSON, "You made this decision yourself.", "Somebody else has to approve or reject it."
        )
    what, about = proposal.what, proposal.about
    if isinstance(command, Reject):
        return (Rejected(at=at, actor=command.actor, what=what, about=about),)
    reason, by = proposal.reason, proposal.by
    return (Approved(at=at, actor=command.actor, what=what, about=about, reason=reason, decided_by=by),)


def _reopen(command: Reopen, at: datetime, closed_at: datetime | None) -> Decision:
    if closed_at is None:
        return _refuse(RefusalCode.NOT_CLOSED, "The case is open.", "Nothing needs to be done.")
    if at - closed_at >= REOPEN_WITHIN:
        return _refuse(
            RefusalCode.TOO_LATE_TO_REOPEN,
            f"The case was closed more than {REOPEN_WITHIN.days} days ago.",
            "Open a new one that names it.",
        )
    return (Reopened(at=at, actor=command.actor, reason=command.reason),)


def _refuse(code: RefusalCode, sentence: str, remedy: str, field: str = "") -> Refusal:
    return Refusal(code=code, sentence=sentence, remedy=remedy, field=field)


# ── what may be done now ─────────────────────────────────────────────────────────────────────────────

SOME_PAPER = "P" + 12 * "0"
SOMEBODY = ("somebody", "somebody-else")
SOME_CASE = (12 * "0", 12 * "1")
"""What stands for what a person would write or name; the second where the first is the one there is."""


def open_to(
    actor: Actor,
    case: CaseId,
    work: Work,
    takes: Callable[[WorkCommand], Decision],
    abouts: Iterable[str] = ("",),
) -> tuple[WorkCommand, ...]:
    """One of every command somebody could give now: what the kind's own rules (`takes`) do not refuse, and what changes
    something. Of decisions one for each of `abouts` that may be decided. Names and papers in them mean nothing."""
    return tuple(command for command in _one_of_each(actor, case, work, abouts) if changes(takes(command)))


def changes(decision: Decision) -> bool:
    """Whether a command is taken, and does something."""
    return not isinstance(decision, Refusal) and bool(decision)


def _one_of_each(actor: Actor, case: CaseId, work: Work, abouts: Iterable[str]) -> Iterator[WorkCommand]:
    somebody = next(code for code in SOMEBODY if code != work.assignee)
    another = next(one for reference in SOME_CASE if (one := case[:1] + reference) != case)
    reason = SOME_PAPER
    yield from (
        Approve(actor=actor),
        Reject(actor=actor),
        Claim(actor=actor),
        Resume(actor=actor),
        Reopen(actor=actor, reason=reason),
    )
    yield from (
        Propose(actor=actor, what=what, about=about, reason=reason) for about in abouts for what in DecisionKind
    )
    yield from (
        Note(actor=actor, note=reason),
        Pause(actor=actor, reason=reason),
        Extend(actor=actor, by=EXTEND_AT_MOST, reason=reason),
        HandUp(actor=actor, reason=reason),
        Assign(actor=actor, to=somebody),
        Merge(actor=actor, into=another),
        Release(actor=actor),
    )


# ── fold ─────────────────────────────────────────────────────────────────────────────────────────────


def evolve(work: Work, event: Event) -> Work:
    """The case worker's side after one of `EVENTS`."""
    return work.model_copy(update=_change(event, work))


@singledispatch
def _change(event: Event, work: Work) -> dict[str, object]:
    raise TypeError(f"no fold for {type(event).__name__}")


@_change.register
def _(event: Claimed, work: Work) -> dict[str, object]:
    return {"assignee": event.assignee}


@_change.register
def _(event: Released, work: Work) -> dict[str, object]:
    return {"assignee": ""}


@_change.register
def _(event: Noted, work: Work) -> dict[str, object]:
    return {"notes": work.notes + 1}


@_change.register
def _(event: Paused, work: Work) -> dict[str, object]:
    return {"paused_at": event.at}


@_change.register
def _(event: Resumed, work: Work) -> dict[str, object]:
    return {"paused_at": None, "due_at": event.due_at}


@_change.register
def _(event: DueMoved, work: Work) -> dict[str, object]:
    return {"due_at": event.due_at, "extended": work.extended + 1}


@_change.register
def _(event: HandedUp, work: Work) -> dict[str, object]:
    return {"escalated_at": event.at}


@_change.register
def _(event: Merged, work: Work) -> dict[str, object]:
    return {"merged_into": event.into, "proposal": None}


@_change.register
def _(event: Reopened, work: Work) -> dict[str, object]:
    again = {"merged_into": None, "paused_at": None, "escalated_at": None, "proposal": None}
    return {**again, "due_at": event.due_at or work.due_at}


@_change.register
def _(event: Proposed, work: Work) -> dict[str, object]:
    by = event.actor.code
    return {"proposal": Proposal(what=event.what, about=event.about, reason=event.reason, by=by, at=event.at)}


@_change.register(Approved)
@_change.register(Rejected)
def _(event: Approved | Rejected, work: Work) -> dict[str, object]:
    return {"proposal": None}


@_change.register
def _(event: Linked, work: Work) -> dict[str, object]:
    return {} if event.to in work.links else {"links": (*work.links, event.to)}
