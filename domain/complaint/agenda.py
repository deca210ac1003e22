"""What is due: everything that has to be done for a complaint, computed from its state alone."""

from __future__ import annotations

from datetime import datetime

from pydantic import AwareDatetime

from domain import casework
from domain.case import Model
from domain.complaint.words import State, Way


class Agenda(Model):
    """What the workflow has to do now, and when it has to look again (None: when something happens)."""

    follow_up: Way | None = None
    over: bool = False
    wake_at: AwareDatetime | None = None


def agenda(state: State, now: datetime) -> Agenda:
    """Open the follow-up that is wanted; otherwise wait, for ever or until nothing can be reopened."""
    if state.ended_at is None:
        return Agenda(follow_up=state.wanted)
    over_at = state.ended_at + casework.REOPEN_WITHIN
    return Agenda(over=over_at <= now, wake_at=over_at)
