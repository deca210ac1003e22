"""What a partner has handed in: its own cases of one kind, by when it handed them in, a page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from domain.case import CaseKind
from store.keyset import Order, Place
from store.tables import submissions, worklist

NEWEST = Order(submissions.c.submitted_at, submissions.c.case_id, descending=True)
OLDEST = Order(submissions.c.submitted_at, submissions.c.case_id)


@dataclass(frozen=True)
class Own:
    """Whose cases of which kind are listed; what is left empty does not matter."""

    partner: str
    kind: CaseKind
    status: str = ""
    since: datetime | None = None
    until: datetime | None = None


def handed_in_by(connection: Connection, case: str) -> str | None:
    """The partner a case came from; None where nobody handed it in."""
    return connection.execute(select(submissions.c.partner).where(submissions.c.case_id == case)).scalar_one_or_none()


def page(connection: Connection, own: Own, order: Order, after: Place | None, limit: int) -> Sequence[Row[Any]]:
    """A partner's own cases from beyond a place; `until` itself is not in it."""
    return connection.execute(order.page(_wanted(own), after, limit)).all()


def _wanted(own: Own) -> Select[Any]:
    at = submissions.c.submitted_at
    found = (
        select(
            submissions.c.case_id, at, worklist.c.status, worklist.c.masked_number, worklist.c.due_at, worklist.c.open
        )
        .join(worklist, worklist.c.case_id == submissions.c.case_id)
        .where(submissions.c.partner == own.partner, worklist.c.kind == own.kind.value)
    )
    if own.status:
        found = found.where(worklist.c.status == own.status)
    if own.since:
        found = found.where(at >= own.since)
    if own.until:
        found = found.where(at < own.until)
    return found
