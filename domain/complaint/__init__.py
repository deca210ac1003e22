"""Complaints (投诉): the wrong account, still bound, or not done; each goes on as a dispute or an investigation.

taken → in dispute or in investigation → closed by what came of it; a closed one may be reopened.

`words` has the statuses, events and commands, `rules` decides, `fold` evolves, `agenda` says what is due.
"""

from domain.complaint.agenda import (
    Agenda,
    agenda,
)
from domain.complaint.fold import (
    evolve,
    standing,
)
from domain.complaint.rules import (
    decide,
    follow_up,
    take,
)
from domain.complaint.words import (
    ENDING_WORDS,
    FOLLOWED,
    NO_ANSWER,
    OPEN,
    TRANSITIONS,
    WAYS,
    Closed,
    Command,
    ComplaintEvent,
    ComplaintKind,
    ComplaintStatus,
    Conclude,
    Concluded,
    Decision,
    Ending,
    Follow,
    FollowedUp,
    FollowUp,
    News,
    Rerouted,
    Returned,
    Route,
    State,
    Take,
    Taken,
    Way,
)

__all__ = [
    "ENDING_WORDS",
    "FOLLOWED",
    "NO_ANSWER",
    "OPEN",
    "TRANSITIONS",
    "WAYS",
    "Agenda",
    "Closed",
    "Command",
    "ComplaintEvent",
    "ComplaintKind",
    "ComplaintStatus",
    "Conclude",
    "Concluded",
    "Decision",
    "Ending",
    "Follow",
    "FollowUp",
    "FollowedUp",
    "News",
    "Rerouted",
    "Returned",
    "Route",
    "State",
    "Take",
    "Taken",
    "Way",
    "agenda",
    "decide",
    "evolve",
    "follow_up",
    "standing",
    "take",
]
