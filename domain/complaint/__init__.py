"""Stub."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from domain.case import CaseId, Event, Model
from domain.casework import Standing, Waiting, Work
from domain.question import Questions


class ComplaintStatus(StrEnum):
    """Stub."""

    OPEN = "open"


class State(Model):
    """Stub."""

    case: CaseId
    status: ComplaintStatus = ComplaintStatus.OPEN
    ended_at: datetime | None = None
    free_at: datetime | None = None
    questions: Questions = {}
    work: Work = Work()


class Opened(Event):
    """Stub."""

    type: Literal["opened"] = "opened"
    case: CaseId


ComplaintEvent = Opened


def evolve(state: State | None, event: Event) -> State:
    """Stub."""
    assert isinstance(event, Opened)
    return State(case=event.case)


def standing(state: State) -> Standing:
    """Stub."""
    return Standing(status=state.status.value, open=True, waiting=Waiting.NOBODY, work=state.work)
