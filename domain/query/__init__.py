"""A query (一证通查): how many internet accounts hang on a number, or how many phone cards are under an ID.

asking → reported → result sent (late answers are taken, one supplement) → closed; or undelivered.

`words` has the statuses, events and commands, `rules` decides, `fold` evolves, `agenda` knows what is due, `message`
words the result.
"""

from domain.query.agenda import (
    Agenda,
    AnswerState,
    AppAnswer,
    Next,
    Step,
    agenda,
    answers,
    ask_again_at,
    counted,
    due,
    next_step,
    settled,
    standing,
    to_ask,
)
from domain.query.fold import evolve
from domain.query.message import MOST_FOUND, MOST_SILENT, messages, result
from domain.query.rules import asked, decide, refuse_cancelled, refuse_slot, submit
from domain.query.words import (
    OPEN,
    TRANSITIONS,
    Asked,
    Close,
    Closed,
    Command,
    Decision,
    QueryEvent,
    QueryStatus,
    Report,
    Reported,
    State,
    Submit,
    Submitted,
    Supplement,
    Supplemented,
    Target,
)

__all__ = [
    "MOST_FOUND",
    "MOST_SILENT",
    "OPEN",
    "TRANSITIONS",
    "Agenda",
    "AnswerState",
    "AppAnswer",
    "Asked",
    "Close",
    "Closed",
    "Command",
    "Decision",
    "Next",
    "QueryEvent",
    "QueryStatus",
    "Report",
    "Reported",
    "State",
    "Step",
    "Submit",
    "Submitted",
    "Supplement",
    "Supplemented",
    "Target",
    "agenda",
    "answers",
    "ask_again_at",
    "asked",
    "counted",
    "decide",
    "due",
    "evolve",
    "messages",
    "next_step",
    "refuse_cancelled",
    "refuse_slot",
    "result",
    "settled",
    "standing",
    "submit",
    "to_ask",
]
