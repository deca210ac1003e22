"""What every case kind shares: ids, actors, events, the fold, and the table of states.

A case kind is a *decider*: `decide(state, command) -> events | Refusal` and `evolve(state, event) -> state`,
both pure. This module holds the words they are written in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints

CASE_ID = r"^[RKQDNXC][0-9A-HJKMNP-TV-Z]{12}(-unbind-[0-9]{1,3})?$"
"""A case's reference: its kind's letter, twelve Crockford base-32 characters of randomness; or an unbind part below."""

CaseId = Annotated[str, StringConstraints(pattern=CASE_ID)]
WorkItemId = Annotated[str, StringConstraints(pattern=r"^W[0-9A-HJKMNP-TV-Z]{20}$")]
QuestionId = Annotated[str, StringConstraints(pattern=r"^A[0-9A-HJKMNP-TV-Z]{20}$")]
PaperId = Annotated[str, StringConstraints(pattern=r"^P[0-9A-HJKMNP-TV-Z]{12}$")]
AppCode = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,39}$")]
EnterpriseCode = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,39}$")]
CarrierCode = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,39}$")]
PartyCode = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,39}$")]
"""An enterprise or a carrier: whoever owns the app or the card in question."""


class Model(BaseModel):
    """A value: frozen, closed to unknown fields, and silent about its input when it does not fit."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class CaseKind(StrEnum):
    """One kind, one decider, one workflow, one word in the ledger."""

    RENEWAL = "renewal"
    UNBIND = "unbind"
    IDENTITY = "identity_check"
    QUERY = "query"
    DISPUTE = "dispute"
    NUMBER = "number"
    INVESTIGATION = "investigation"
    COMPLAINT = "complaint"


LETTERS: Mapping[CaseKind, str] = {
    CaseKind.RENEWAL: "R",
    CaseKind.IDENTITY: "K",
    CaseKind.QUERY: "Q",
    CaseKind.DISPUTE: "D",
    CaseKind.NUMBER: "N",
    CaseKind.INVESTIGATION: "X",
    CaseKind.COMPLAINT: "C",
}
"""What a reference begins with, so that a person at the telephone knows which kind is meant."""

KINDS: Mapping[str, CaseKind] = {letter: kind for kind, letter in LETTERS.items()}


class ActorKind(StrEnum):
    """Who may act on a case (domain.md, Actors)."""

    HOLDER = "holder"
    CITIZEN = "citizen"
    CARRIER = "carrier"
    ENTERPRISE = "enterprise"
    CHANNEL = "channel"
    CASE_WORKER = "case_worker"
    SUPERVISOR = "supervisor"
    SYSTEM = "system"


class Actor(Model):
    """Who did it: the kind and a code, never a person's name or number."""

    kind: ActorKind
    code: str = ""

    def __str__(self) -> str:
        return f"{self.kind.value}:{self.code}" if self.code else self.kind.value


SYSTEM = Actor(kind=ActorKind.SYSTEM)
CITIZEN = Actor(kind=ActorKind.CITIZEN)
STAFF = frozenset({ActorKind.CASE_WORKER, ActorKind.SUPERVISOR})


class Event(Model):
    """Something that happened to a case. Subclasses add a `type` literal and their facts."""

    type: str
    at: AwareDatetime
    actor: Actor = SYSTEM

    @property
    def word(self) -> str:
        """What the tables of states know the event by: its type, and what else decides where it leads."""
        return self.type


class Told(Event):
    """A short message to the citizen was handed over; `delivered` is None where no receipt ever came."""

    type: Literal["told"] = "told"
    message: str
    step: str
    delivered: bool | None = None


class NotTold(Event):
    """The citizen could not be told although tried for days: a case worker has to."""

    type: Literal["not_told"] = "not_told"
    message: str
    step: str
    code: str


class LinkKind(StrEnum):
    """Why two cases belong together; each names the other's part in it."""

    OPENED_FROM = "opened_from"
    LED_TO = "led_to"
    MERGED_INTO = "merged_into"
    MERGED_FROM = "merged_from"


class Linked(Event):
    """Another case belongs to this one."""

    type: Literal["linked"] = "linked"
    to: CaseId
    how: LinkKind


S = TypeVar("S")
E = TypeVar("E")
Status = TypeVar("Status", bound=StrEnum)


def fold(evolve: Callable[[S | None, E], S], events: Iterable[E]) -> S | None:
    """The state after `events`, from nothing. The same fold runs live, at rebuild and at audit."""
    state: S | None = None
    for event in events:
        state = evolve(state, event)
    return state


Transitions = Mapping[tuple[Status, str], Status]
"""Where each event takes a status, by its `word`; what is not in the table changes nothing. `docs/cases.md` is drawn
from it."""


def after(table: Transitions[Status], status: Status, event: Event) -> Status:
    """The status after an event, by the kind's table."""
    return table.get((status, event.word), status)


def root(case: str) -> str:
    """The case a person asked for: an unbind request belongs to the case its id begins with."""
    return case.partition("-unbind-")[0]


def kind_of(case: str) -> CaseKind:
    """The kind a reference names. KeyError if it names none."""
    return CaseKind.UNBIND if "-unbind-" in case else KINDS[case[0]]
