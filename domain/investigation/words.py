"""The words an investigation is told in: statuses, task states, results, events and commands.

An investigation (协查) asks several parties (carriers, enterprises) for evidence, each with a deadline of its own;
two people state its result. open → overdue → decided → closed; a closed one may be reopened.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from domain import casework, question
from domain.case import AppCode, CaseId, Event, Model, NotTold, PaperId, PartyCode, QuestionId, Told, Transitions
from domain.casework import Work
from domain.messages import Language, MessageKey
from domain.question import Questions
from domain.refusal import Refusal
from domain.registry import InvestigationPolicy

MOST_PARTIES = 50
"""Parties of one investigation; whoever wants to ask more wants something else."""


class InvestigationStatus(StrEnum):
    """Where an investigation stands."""

    OPEN = "open"
    OVERDUE = "overdue"
    """Its time is up without a decision; the citizen knows where to appeal, and it can still be decided."""
    DECIDED = "decided"
    CLOSED = "closed"


UNDECIDED = frozenset({InvestigationStatus.OPEN, InvestigationStatus.OVERDUE})

TRANSITIONS: Transitions[InvestigationStatus] = {
    (InvestigationStatus.OPEN, "went_overdue"): InvestigationStatus.OVERDUE,
    (InvestigationStatus.OVERDUE, "due_moved"): InvestigationStatus.OPEN,
    **{(status, "decided"): InvestigationStatus.DECIDED for status in sorted(UNDECIDED)},
    **{(status, "merged"): InvestigationStatus.CLOSED for status in sorted(UNDECIDED)},
    (InvestigationStatus.DECIDED, "closed"): InvestigationStatus.CLOSED,
    **{
        (status, "reopened"): InvestigationStatus.OPEN
        for status in (InvestigationStatus.DECIDED, InvestigationStatus.CLOSED)
    },
}


class TaskState(StrEnum):
    """Where one party's task stands."""

    ASKED = "asked"
    ANSWERED = "answered"
    DECLINED = "declined"
    OVERDUE = "overdue"


TASK_TRANSITIONS: Transitions[TaskState] = {
    (TaskState.ASKED, "evidence"): TaskState.ANSWERED,
    (TaskState.ASKED, "declined"): TaskState.DECLINED,
    (TaskState.ASKED, "evidence_overdue"): TaskState.OVERDUE,
    (TaskState.OVERDUE, "evidence"): TaskState.ANSWERED,
    (TaskState.OVERDUE, "declined"): TaskState.DECLINED,
}
"""By the type of an answer, or of the event that nobody answered; late evidence ends an overdue task."""


class Result(StrEnum):
    """What an investigation finds."""

    CITIZEN_RIGHT = "citizen_right"
    ENTERPRISE_RIGHT = "enterprise_right"
    INCONCLUSIVE = "inconclusive"


RESULT_WORDS: Mapping[Result, Mapping[Language, str]] = {
    Result.CITIZEN_RIGHT: {Language.ZH: "支持您的主张", Language.EN: "you were right"},
    Result.ENTERPRISE_RIGHT: {Language.ZH: "企业处理无误", Language.EN: "the enterprise was right"},
    Result.INCONCLUSIVE: {Language.ZH: "证据不足，无法认定", Language.EN: "the evidence does not settle it"},
}
"""How the citizen reads it."""

MERGED = "merged"
"""The outcome of an investigation that went on in another."""


class Party(Model):
    """Who is asked, about which of its apps, and how patiently when it cannot be reached (the registry's words)."""

    code: PartyCode
    apps: tuple[AppCode, ...]
    retry_first: timedelta = timedelta(seconds=30)
    retry_at_most: timedelta = timedelta(hours=1)


class Task(Model):
    """One party's task. `question` is what it was asked with, None until it is asked."""

    party: PartyCode
    apps: tuple[AppCode, ...]
    retry_first: timedelta
    retry_at_most: timedelta
    state: TaskState = TaskState.ASKED
    question: QuestionId | None = None
    failures: int = 0
    ask_at: AwareDatetime | None = None
    """When it is asked (again): at once at first, with backoff while it cannot be reached, never after that."""


class News(Model):
    """Something the citizen has to be told."""

    key: MessageKey
    words: Mapping[str, str] = {}


class State(Model):
    """One investigation."""

    case: CaseId
    opened_from: CaseId | None = None
    masked_number: str
    language: Language
    text: PaperId
    text_for_parties: bool = False
    policy: InvestigationPolicy
    opened_at: AwareDatetime
    evidence_due_at: AwareDatetime
    status: InvestigationStatus = InvestigationStatus.OPEN
    tasks: Mapping[PartyCode, Task]
    questions: Questions = {}
    news: tuple[News, ...]
    result: Result | None = None
    overdue_at: AwareDatetime | None = None
    decided_at: AwareDatetime | None = None
    ended_at: AwareDatetime | None = None
    work: Work


# ── events ───────────────────────────────────────────────────────────────────────────────────────────


class Opened(Event):
    """What is to be found out, who is asked, and every clock.

    `text` is a case worker's question, a paper of this case, which the parties read (`text_for_parties`); or what the
    citizen wrote, a paper of the case it was opened from, which they never do.
    """

    type: Literal["opened"] = "opened"
    case: CaseId
    opened_from: CaseId | None = None
    masked_number: str
    language: Language = Language.ZH
    text: PaperId
    text_for_parties: bool = False
    parties: tuple[Party, ...] = Field(min_length=1, max_length=MOST_PARTIES)
    policy: InvestigationPolicy
    due_at: AwareDatetime
    evidence_due_at: AwareDatetime


class EvidenceOverdue(Event):
    """These parties let their deadline pass; what they say late still counts until the decision."""

    type: Literal["evidence_overdue"] = "evidence_overdue"
    parties: tuple[PartyCode, ...]


class WentOverdue(Event):
    """The investigation's own deadline passed without a decision (逾期): the citizen is told how to appeal."""

    type: Literal["went_overdue"] = "went_overdue"


class Decided(Event):
    """Two people stated the result."""

    type: Literal["decided"] = "decided"
    result: Result


class Closed(Event):
    """The citizen was told the result; nothing is done any more, unless it is reopened."""

    type: Literal["closed"] = "closed"


InvestigationEvent = Annotated[
    Opened
    | question.QuestionsPut
    | question.Heard
    | question.Answered
    | EvidenceOverdue
    | WentOverdue
    | Decided
    | Closed
    | Told
    | NotTold
    | casework.WorkEvent,
    Field(discriminator="type"),
]

# ── commands ─────────────────────────────────────────────────────────────────────────────────────────


class LookAtClock(Model):
    """Time has passed: whatever is overdue now is marked."""


class Close(Model):
    """The citizen and the case it came from know the result."""


Command = casework.WorkCommand | question.Answering | LookAtClock | Close
Decision = tuple[Event, ...] | Refusal
