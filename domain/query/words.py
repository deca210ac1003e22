"""The words a query is told in: statuses, events and commands. Counts only, never accounts."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from domain.case import AppCode, CaseId, Event, Model, NotTold, PartyCode, Told, Transitions
from domain.casework import Work, WorkCommand, WorkEvent
from domain.messages import Language
from domain.proof import Proof
from domain.question import Answered, Answering, Heard, Question, Questions, QuestionsPut
from domain.refusal import Refusal
from domain.registry import QueryPolicy


class Target(StrEnum):
    """What is counted."""

    ACCOUNTS = "accounts"
    """Internet accounts hanging on a number, per app (一证通查 2.0)."""
    CARDS = "cards"
    """Phone cards under an ID, per carrier (一证通查 1.0)."""


class QueryStatus(StrEnum):
    """Where a query stands. A result may be partial: `State.silent` names the apps without a reply (未反馈)."""

    ASKING = "asking"
    REPORTED = "reported"
    """The result, or its supplement, is fixed; the short message is on its way."""
    RESULT_SENT = "result_sent"
    """The citizen was told; `State.delivered` says whether a receipt came. Late answers are taken."""
    UNDELIVERED = "undelivered"
    """The citizen could not be told: a case worker has to."""
    CLOSED = "closed"


OPEN = frozenset(QueryStatus) - {QueryStatus.CLOSED}
AFTER_REPORT = OPEN - {QueryStatus.ASKING}

TRANSITIONS: Transitions[QueryStatus] = {
    (QueryStatus.ASKING, "reported"): QueryStatus.REPORTED,
    (QueryStatus.REPORTED, "told"): QueryStatus.RESULT_SENT,
    (QueryStatus.UNDELIVERED, "told"): QueryStatus.RESULT_SENT,
    (QueryStatus.RESULT_SENT, "supplemented"): QueryStatus.REPORTED,
    (QueryStatus.UNDELIVERED, "supplemented"): QueryStatus.REPORTED,
    (QueryStatus.REPORTED, "not_told"): QueryStatus.UNDELIVERED,
    (QueryStatus.RESULT_SENT, "not_told"): QueryStatus.UNDELIVERED,
    (QueryStatus.RESULT_SENT, "closed"): QueryStatus.CLOSED,
    (QueryStatus.UNDELIVERED, "closed"): QueryStatus.CLOSED,
    **{(status, "merged"): QueryStatus.CLOSED for status in QueryStatus if status in OPEN},
}


class Asked(Model):
    """One app (or one carrier's cards) that is asked about: whose it is, and its name in the citizen's language."""

    app: AppCode
    party: PartyCode
    name: str


class State(Model):
    """One query. `counts` and `silent` are what the citizen was told last; `questions` is what is known now."""

    case: CaseId
    channel: PartyCode
    target: Target
    masked_number: str
    language: Language
    identity: Proof
    apps: tuple[Asked, ...]
    policy: QueryPolicy
    submitted_at: AwareDatetime
    deadline_at: AwareDatetime
    """When what is there goes out; pauses and extensions move it."""
    status: QueryStatus = QueryStatus.ASKING
    questions: Questions = {}
    asked: int = 0
    """How many rounds of asking there were."""
    heard_at: AwareDatetime | None = None
    counts: Mapping[AppCode, int] = {}
    silent: tuple[AppCode, ...] = ()
    reported_at: AwareDatetime | None = None
    supplemented_at: AwareDatetime | None = None
    delivered: bool | None = None
    """What the last message's receipt said; None while there is none."""
    free_at: AwareDatetime | None = None
    """When the number may be queried again; None while this query runs."""
    late_until: AwareDatetime | None = None
    """Until when late answers are taken, from the report on."""
    ended_at: AwareDatetime | None = None
    work: Work = Work()

    @property
    def parties(self) -> dict[PartyCode, tuple[AppCode, ...]]:
        """Who is asked about what."""
        parties: dict[str, tuple[str, ...]] = {}
        for one in self.apps:
            parties[one.party] = (*parties.get(one.party, ()), one.app)
        return parties

    def question_to(self, party: PartyCode) -> Question | None:
        """A party's question, once it was asked."""
        return next((one for one in self.questions.values() if one.party == party), None)


# ── events ───────────────────────────────────────────────────────────────────────────────────────────


class Submitted(Event):
    """A citizen asks, identified by a proof that is good for this query alone."""

    type: Literal["submitted"] = "submitted"
    case: CaseId
    channel: PartyCode
    target: Target
    masked_number: str
    language: Language
    identity: Proof
    apps: tuple[Asked, ...]
    policy: QueryPolicy
    deadline_at: AwareDatetime


class Reported(Event):
    """The result: everybody answered, or the 48 hours are over. An app without an answer is silent, never zero."""

    type: Literal["reported"] = "reported"
    counts: Mapping[AppCode, int]
    silent: tuple[AppCode, ...]


class Supplemented(Event):
    """Late answers changed the result; the citizen is told once more, and no further time."""

    type: Literal["supplemented"] = "supplemented"
    counts: Mapping[AppCode, int]
    silent: tuple[AppCode, ...]


class Closed(Event):
    """Late answers are over; nothing changes any more."""

    type: Literal["closed"] = "closed"


QueryEvent = Annotated[
    Submitted | QuestionsPut | Heard | Answered | Reported | Supplemented | Told | NotTold | Closed | WorkEvent,
    Field(discriminator="type"),
]


# ── commands ─────────────────────────────────────────────────────────────────────────────────────────


class Submit(Model):
    """What a channel asks for a citizen, already masked and identified: the number itself is in the vault."""

    case: CaseId
    channel: PartyCode
    target: Target
    masked_number: str
    language: Language
    identity: Proof


class Report(Model):
    """The result is due."""


class Supplement(Model):
    """The supplement is due."""


class Close(Model):
    """The late window is over."""


Clockwork = Report | Supplement | Close
"""What a query does of itself when its time has come."""

Command = Clockwork | Answering | WorkCommand
Decision = tuple[Event, ...] | Refusal
