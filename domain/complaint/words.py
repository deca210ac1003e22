"""The words a complaint is told in: statuses, what people complain of, where it goes, events and commands.

A complaint (投诉) is never worked on itself: it goes on as a dispute or an investigation, its *follow-up*, and is
closed by what comes of that. taken → in dispute or in investigation → closed; a closed one may be reopened.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from domain import casework, dispute, investigation
from domain.case import Actor, AppCode, CaseId, CaseKind, Event, Model, NotTold, PaperId, PartyCode, Told, Transitions
from domain.casework import Work
from domain.messages import Language, MessageKey
from domain.proof import Proof
from domain.refusal import Refusal
from domain.registry import DisputePolicy, InvestigationPolicy


class ComplaintStatus(StrEnum):
    """Where a complaint stands."""

    TAKEN = "taken"
    IN_DISPUTE = "in_dispute"
    IN_INVESTIGATION = "in_investigation"
    CLOSED = "closed"


class Way(StrEnum):
    """Where a complaint goes."""

    DISPUTE = "dispute"
    INVESTIGATION = "investigation"

    @property
    def kind(self) -> CaseKind:
        """The kind of case it goes on as."""
        return CaseKind(self.value)


OPEN = frozenset(ComplaintStatus) - {ComplaintStatus.CLOSED}
FOLLOWED = {Way.DISPUTE: ComplaintStatus.IN_DISPUTE, Way.INVESTIGATION: ComplaintStatus.IN_INVESTIGATION}

TRANSITIONS: Transitions[ComplaintStatus] = {
    **{(before, f"followed_up:{way.value}"): then for before in sorted(OPEN) for way, then in FOLLOWED.items()},
    **{(before, "returned"): ComplaintStatus.TAKEN for before in sorted(FOLLOWED.values())},
    **{(before, end): ComplaintStatus.CLOSED for before in sorted(OPEN) for end in ("closed", "merged")},
    (ComplaintStatus.CLOSED, "reopened"): ComplaintStatus.TAKEN,
}


class ComplaintKind(StrEnum):
    """What people complain of (issue 3, part 8)."""

    WRONG_ACCOUNT = "wrong_account"
    """You unbound the wrong account."""
    STILL_BOUND = "still_bound"
    """It is still bound."""
    NOT_DONE = "not_done"
    """The enterprise says done, and it is not."""


WAYS: Mapping[ComplaintKind, Way] = {
    ComplaintKind.WRONG_ACCOUNT: Way.INVESTIGATION,
    ComplaintKind.STILL_BOUND: Way.DISPUTE,
    ComplaintKind.NOT_DONE: Way.INVESTIGATION,
}
"""Where each goes: the citizen's word against nobody's is disputed, against an enterprise's it is investigated."""


class Ending(StrEnum):
    """How a complaint ends."""

    CONCLUDED = "concluded"
    """By what came of its follow-up."""
    REFUSED = "refused"
    """By two people."""


ENDING_WORDS: Mapping[Ending, Mapping[Language, str]] = {
    Ending.CONCLUDED: {Language.ZH: "请见{follow_up}的结果", Language.EN: "see the result of {follow_up}"},
    Ending.REFUSED: {Language.ZH: "经复核未予支持", Language.EN: "after review it was not upheld"},
}
"""How the citizen reads it."""


NO_ANSWER = frozenset({investigation.MERGED, dispute.Ending.MERGED.value})
"""Outcomes that say nothing to the complaint: the follow-up goes on in another case, which does not report here."""


class FollowUp(Model):
    """A case this complaint goes on as; `outcome` in its kind's own word once it has ended."""

    case: CaseId
    way: Way
    outcome: str = ""


class News(Model):
    """Something the citizen has to be told."""

    key: MessageKey
    words: Mapping[str, str] = {}


class State(Model):
    """One complaint."""

    case: CaseId
    channel: PartyCode
    masked_number: str
    language: Language
    kind: ComplaintKind
    about: CaseId | None = None
    text: PaperId
    identity: Proof
    claims: tuple[dispute.Wanted, ...]
    parties: tuple[investigation.Party, ...]
    dispute_policy: DisputePolicy
    investigation_policy: InvestigationPolicy
    opened_at: AwareDatetime
    status: ComplaintStatus = ComplaintStatus.TAKEN
    wanted: Way | None = None
    """Where it has yet to go."""
    follow_ups: tuple[FollowUp, ...] = ()
    news: tuple[News, ...]
    ending: Ending | None = None
    ended_at: AwareDatetime | None = None
    work: Work

    @property
    def apps(self) -> tuple[AppCode, ...]:
        """What it is about."""
        return tuple(claim.app for claim in self.claims)


# ── events ───────────────────────────────────────────────────────────────────────────────────────────


class Taken(Event):
    """A citizen complains, identified by a proof that is good for this complaint and what follows from it.

    What its follow-ups need of the registry is here, as it was on that day.
    """

    type: Literal["taken"] = "taken"
    case: CaseId
    channel: PartyCode
    masked_number: str
    language: Language = Language.ZH
    kind: ComplaintKind
    about: CaseId | None = None
    text: PaperId
    identity: Proof
    claims: tuple[dispute.Wanted, ...] = Field(min_length=1)
    parties: tuple[investigation.Party, ...] = Field(min_length=1)
    dispute_policy: DisputePolicy
    investigation_policy: InvestigationPolicy
    due_at: AwareDatetime


class FollowedUp(Event):
    """It goes on as this case."""

    type: Literal["followed_up"] = "followed_up"
    to: CaseId
    way: Way

    @property
    def word(self) -> str:
        """Where it went says where the complaint stands."""
        return f"{self.type}:{self.way.value}"


class Rerouted(Event):
    """A case worker sends it another way."""

    type: Literal["rerouted"] = "rerouted"
    way: Way
    reason: PaperId


class Concluded(Event):
    """A follow-up has ended."""

    type: Literal["concluded"] = "concluded"
    by: CaseId
    outcome: str


class Returned(Event):
    """The follow-up ended without an answer to this complaint: a case worker has to see to it."""

    type: Literal["returned"] = "returned"


class Closed(Event):
    """The complaint is answered."""

    type: Literal["closed"] = "closed"
    ending: Ending


ComplaintEvent = Annotated[
    Taken | FollowedUp | Rerouted | Concluded | Returned | Closed | Told | NotTold | casework.WorkEvent,
    Field(discriminator="type"),
]

# ── commands ─────────────────────────────────────────────────────────────────────────────────────────


class Take(Model):
    """What a channel hands in for a citizen, already masked: the number itself is in the vault."""

    case: CaseId
    channel: PartyCode
    masked_number: str
    language: Language
    kind: ComplaintKind
    about: CaseId | None
    text: PaperId
    identity: Proof
    apps: tuple[AppCode, ...]


class Follow(Model):
    """A follow-up was opened."""

    to: CaseId
    way: Way


class Route(Model):
    """A case worker sends the complaint this way."""

    actor: Actor
    way: Way
    reason: PaperId


class Conclude(Model):
    """A follow-up has ended."""

    by: CaseId
    outcome: str


Command = casework.WorkCommand | Follow | Route | Conclude
Decision = tuple[Event, ...] | Refusal
