"""Slots: what a number may not do again yet (domain.md: one result per number and kind in 24 h; 24 h after a mismatch).

A slot is taken in the transaction that opens a case, so of two at the same time one gets it. An identity check that
proves nothing takes none: a stranger's attempts never use up anybody's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, select, update

from domain import query
from store.tables import slots

MISMATCH = "mismatch"


@dataclass(frozen=True)
class Taken:
    """Somebody has the slot, until then or (None) for as long as their case runs."""

    case: str
    until: datetime | None


def look(connection: Connection, number_token: str, what: str, at: datetime) -> Taken | None:
    """Who has a number's slot at this moment; at `until` itself it is free."""
    row = connection.execute(select(slots).where(_is(number_token, what))).one_or_none()
    if row is None or (row.until is not None and row.until <= at):
        return None
    return Taken(row.case_id, row.until)


def take(connection: Connection, number_token: str, what: str, case: str, at: datetime) -> Taken | None:
    """Take the slot for a case; who has it if it is not free."""
    if taken := look(connection, number_token, what, at):
        return taken
    connection.execute(delete(slots).where(_is(number_token, what)))
    connection.execute(insert(slots), {"number_token": number_token, "what": what, "case_id": case, "until": None})
    return None


def block(connection: Connection, number_token: str, what: str, case: str, until: datetime) -> None:
    """Nobody gets the slot before that moment."""
    connection.execute(delete(slots).where(_is(number_token, what)))
    row = {"number_token": number_token, "what": what, "case_id": case, "until": until}
    connection.execute(insert(slots), row)


def hold(connection: Connection, case: str, until: datetime) -> None:
    """The case's slots are free again at that moment."""
    connection.execute(update(slots).where(slots.c.case_id == case), {"until": until})


def after_query(connection: Connection, state: query.State) -> None:
    """A query holds its slot while it runs, and for 24 hours after its result."""
    if state.free_at is not None:
        hold(connection, state.case, state.free_at)


def _is(number_token: str, what: str) -> ColumnElement[Any]:
    return and_(slots.c.number_token == number_token, slots.c.what == what)
