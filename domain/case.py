"""What every case kind shares: ids, actors, events and the fold.

A case kind is a *decider*: `decide(state, command) -> events | Refusal` and `evolve(state, event) -> state`,
both pure. This module holds the words they are written in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Annotated, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints

CASE_ID = r"^R[0-9A-HJKMNP-TV-Z]{12}(-unbind-[0-9]{1,2})?$"
"""A renewal's reference, twelve Crockford base-32 characters of randomness, or an unbind part below it."""

CaseId = Annotated[str, StringConstraints(pattern=CASE_ID)]
WorkItemId = Annotated[str, StringConstraints(pattern=r"^W[0-9A-HJKMNP-TV-Z]{20}$")]
AppCode = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,39}$")]
EnterpriseCode = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,39}$")]
CarrierCode = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,39}$")]


class Model(BaseModel):
    """A value: frozen, closed to unknown fields, and silent about its input when it does not fit."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class CaseKind(StrEnum):
    """One kind, one decider, one workflow, one word in the ledger."""

    RENEWAL = "renewal"
    UNBIND = "unbind"


class ActorKind(StrEnum):
    """Who may act on a case (domain.md, Actors)."""

    HOLDER = "holder"
    CARRIER = "carrier"
    ENTERPRISE = "enterprise"
    CASE_WORKER = "case_worker"
    SYSTEM = "system"


class Actor(Model):
    """Who did it: the kind and a code, never a person's name or number."""

    kind: ActorKind
    code: str = ""

    def __str__(self) -> str:
        return f"{self.kind.value}:{self.code}" if self.code else self.kind.value


SYSTEM = Actor(kind=ActorKind.SYSTEM)


class Event(Model):
    """Something that happened to a case. Subclasses add a `type` literal and their facts."""

    type: str
    at: AwareDatetime
    actor: Actor = SYSTEM


S = TypeVar("S")
E = TypeVar("E")


def fold(evolve: Callable[[S | None, E], S], events: Iterable[E]) -> S | None:
    """The state after `events`, from nothing. The same fold runs live, at rebuild and at audit."""
    state: S | None = None
    for event in events:
        state = evolve(state, event)
    return state


def root(case: str) -> str:
    """The case a person asked for: an unbind request belongs to the renewal its id begins with."""
    return case.partition("-unbind-")[0]
