"""Investigations (协查): several parties give evidence, each by a deadline; two people state the result.

open → (overdue, with the appeal told) → decided → closed; a closed one may be reopened.

`words` has the statuses, events and commands, `rules` decides, `fold` evolves, `agenda` says what is due.
"""

from domain.investigation.agenda import (
    Agenda,
    agenda,
    backoff,
    case_is_overdue,
    evidence_overdue,
)
from domain.investigation.fold import (
    evolve,
    standing,
)
from domain.investigation.rules import (
    decide,
    opened,
    parties_of,
)
from domain.investigation.words import (
    MERGED,
    MOST_PARTIES,
    RESULT_WORDS,
    TASK_TRANSITIONS,
    TRANSITIONS,
    UNDECIDED,
    Close,
    Closed,
    Command,
    Decided,
    Decision,
    EvidenceOverdue,
    InvestigationEvent,
    InvestigationStatus,
    LookAtClock,
    News,
    Opened,
    Party,
    Result,
    State,
    Task,
    TaskState,
    WentOverdue,
)

__all__ = [
    "MERGED",
    "MOST_PARTIES",
    "RESULT_WORDS",
    "TASK_TRANSITIONS",
    "TRANSITIONS",
    "UNDECIDED",
    "Agenda",
    "Close",
    "Closed",
    "Command",
    "Decided",
    "Decision",
    "EvidenceOverdue",
    "InvestigationEvent",
    "InvestigationStatus",
    "LookAtClock",
    "News",
    "Opened",
    "Party",
    "Result",
    "State",
    "Task",
    "TaskState",
    "WentOverdue",
    "agenda",
    "backoff",
    "case_is_overdue",
    "decide",
    "evidence_overdue",
    "evolve",
    "opened",
    "parties_of",
    "standing",
]
