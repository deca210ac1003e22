"""The case workers' queues: reading the worklist, a page at a time, in the order things are due."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, func, or_, select

from domain.case import CaseKind
from domain.casework import Waiting
from store.tables import worklist

SOON = timedelta(days=2)
NEVER = datetime(9999, 1, 1, tzinfo=UTC)


class Queue(StrEnum):
    """Which cases a case worker looks at."""

    UNASSIGNED = "unassigned"
    MINE = "mine"
    DUE_SOON = "due_soon"
    OVERDUE = "overdue"
    WAITING_FOR_CITIZEN = "waiting_for_citizen"
    WAITING_FOR_PARTY = "waiting_for_party"
    ESCALATED = "escalated"
    PAUSED = "paused"
    OPEN = "open"


Condition = Callable[[str, datetime], ColumnElement[Any]]
columns = worklist.c

CONDITIONS: Mapping[Queue, Condition] = {
    Queue.UNASSIGNED: lambda _me, _now: and_(columns.assignee == "", columns.waiting == Waiting.CASE_WORKER.value),
    Queue.MINE: lambda me, _now: columns.assignee == me,
    Queue.DUE_SOON: lambda _me, now: and_(
        columns.paused.is_(False), columns.due_at > now, columns.due_at <= now + SOON
    ),
    Queue.OVERDUE: lambda _me, now: and_(columns.paused.is_(False), columns.due_at <= now),
    Queue.WAITING_FOR_CITIZEN: lambda _me, _now: columns.waiting == Waiting.CITIZEN.value,
    Queue.WAITING_FOR_PARTY: lambda _me, _now: columns.waiting.in_([Waiting.PARTY.value, Waiting.CARRIER.value]),
    Queue.ESCALATED: lambda _me, _now: columns.escalated.is_(True),
    Queue.PAUSED: lambda _me, _now: columns.paused.is_(True),
    Queue.OPEN: lambda _me, _now: columns.open.is_(True),
}
"""What is in each queue besides being open: by who looks, and when."""


@dataclass(frozen=True)
class Place:
    """Where a page ended."""

    due_at: datetime
    case: str


def page(
    connection: Connection,
    queue: Queue,
    me: str,
    now: datetime,
    kind: CaseKind | None,
    after: Place | None,
    limit: int,
) -> list[Row[Any]]:
    """Cases of a queue, those due first on top, from beyond a place."""
    due = func.coalesce(columns.due_at, NEVER)
    wanted = select(worklist).where(columns.open.is_(True), CONDITIONS[queue](me, now))
    if kind is not None:
        wanted = wanted.where(columns.kind == kind.value)
    if after is not None:
        wanted = wanted.where(or_(due > after.due_at, and_(due == after.due_at, columns.case_id > after.case)))
    return list(connection.execute(wanted.order_by(due, columns.case_id).limit(limit)))


def counts(connection: Connection, me: str, now: datetime) -> dict[Queue, int]:
    """How many cases are in each queue."""
    return {
        queue: connection.execute(
            select(func.count()).select_from(worklist).where(columns.open.is_(True), condition(me, now))
        ).scalar_one()
        for queue, condition in CONDITIONS.items()
    }
