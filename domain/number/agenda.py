"""What is due: everything a clock makes happen to a number, computed from its state alone."""

from __future__ import annotations

from datetime import datetime

from pydantic import AwareDatetime

from domain.case import CaseId, Model
from domain.number.timeline import batch_due
from domain.number.words import ANNOUNCE_TRIES, State


class Agenda(Model):
    """What the workflow has to do now, and when it has to look again (None: when somebody says something)."""

    batch: bool
    withdraw: tuple[CaseId, ...]
    announce: bool
    give_up: bool
    wake_at: AwareDatetime | None

    @property
    def busy(self) -> bool:
        """Whether something is to be done at once."""
        return self.batch or bool(self.withdraw) or self.announce or self.give_up


def agenda(state: State, now: datetime) -> Agenda:
    """Everything due at `now`, and the earliest clock among the rest."""
    batch = batch_due(state.life, state.policy) if state.life.batch_at is None else None
    announcing = state.announcement
    again = announcing.try_after if announcing else None
    given_up = announcing is not None and announcing.tries >= ANNOUNCE_TRIES
    return Agenda(
        batch=batch is not None and batch <= now,
        withdraw=state.withdrawing,
        announce=again is not None and again <= now and not given_up,
        give_up=given_up,
        wake_at=min((clock for clock in (batch, again) if clock and clock > now), default=None),
    )
