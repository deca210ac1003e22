"""The case workers' queues and their search: reading the worklist, a page at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, exists, func, select, true

from domain.case import CaseKind
from domain.casework import Waiting
from store.keyset import Order, Place
from store.tables import case_parties, worklist

SOON = timedelta(days=2)

MOST_COUNTED = 1000
"""So far are the cases of a queue counted: whoever has more to do does not need the number, and it takes long."""

FEW = 2000
"""Cases of an enterprise that a search looks at one by one."""


class Queue(StrEnum):
    """Which cases a case worker looks at. `all` has the closed ones too."""

    UNASSIGNED = "unassigned"
    MINE = "mine"
    DUE_SOON = "due_soon"
    OVERDUE = "overdue"
    WAITING_FOR_CITIZEN = "waiting_for_citizen"
    WAITING_FOR_PARTY = "waiting_for_party"
    ESCALATED = "escalated"
    PAUSED = "paused"
    OPEN = "open"
    ALL = "all"


Condition = Callable[[str, datetime], ColumnElement[Any]]
columns = worklist.c

CONDITIONS: Mapping[Queue, Condition] = {
    Queue.UNASSIGNED: lambda _me, _now: and_(columns.assignee == "", columns.waiting == Waiting.CASE_WORKER.value),
    Queue.MINE: lambda me, _now: columns.assignee == me,
    Queue.DUE_SOON: lambda _me, now: and_(
        columns.paused.is_(False), columns.due_order > now, columns.due_order <= now + SOON
    ),
    Queue.OVERDUE: lambda _me, now: and_(columns.paused.is_(False), columns.due_order <= now),
    Queue.WAITING_FOR_CITIZEN: lambda _me, _now: columns.waiting == Waiting.CITIZEN.value,
    Queue.WAITING_FOR_PARTY: lambda _me, _now: columns.waiting.in_([Waiting.PARTY.value, Waiting.CARRIER.value]),
    Queue.ESCALATED: lambda _me, _now: columns.escalated.is_(True),
    Queue.PAUSED: lambda _me, _now: columns.paused.is_(True),
    Queue.OPEN: lambda _me, _now: true(),
}
"""What is in each queue besides being open: by who looks, and when. Not in it: the queue of all, open or not."""


class Sort(StrEnum):
    """What stands on top."""

    DUE = "due"
    DUE_LAST = "-due"
    OPENED = "opened"
    NEWEST = "-opened"


ORDERS: Mapping[Sort, Order] = {
    Sort.DUE: Order(columns.due_order, columns.case_id),
    Sort.DUE_LAST: Order(columns.due_order, columns.case_id, descending=True),
    Sort.OPENED: Order(columns.opened_at, columns.case_id),
    Sort.NEWEST: Order(columns.opened_at, columns.case_id, descending=True),
}


@dataclass(frozen=True)
class Search:
    """What is looked for; what is left empty does not matter. `number` is a masked one."""

    queue: Queue = Queue.OPEN
    kind: CaseKind | None = None
    reference: str = ""
    number: str = ""
    enterprise: str = ""
    status: str = ""
    due_after: datetime | None = None
    due_before: datetime | None = None
    assignee: str = ""
    waiting: Waiting | None = None


def _wanted(search: Search, me: str, now: datetime) -> Select[Any]:
    """What is looked for, whomever it is about."""
    found = select(worklist)
    if search.queue is not Queue.ALL:
        found = found.where(columns.open.is_(True), CONDITIONS[search.queue](me, now))
    same = {
        columns.kind: search.kind,
        columns.case_id: search.reference,
        columns.masked_number: search.number,
        columns.status: search.status,
        columns.assignee: search.assignee,
        columns.waiting: search.waiting,
    }
    found = found.where(*(column == str(value) for column, value in same.items() if value))
    if search.due_after:
        found = found.where(columns.due_order >= search.due_after, columns.due_at.is_not(None))
    if search.due_before:
        found = found.where(columns.due_order < search.due_before)
    return found


def _found(connection: Connection, search: Search, me: str, now: datetime) -> Select[Any]:
    """What is wanted; whoever has few cases is looked for by them, of the others the list is read from the top."""
    wanted = _wanted(search, me, now)
    if not search.enterprise:
        return wanted
    theirs = case_parties.c.party == search.enterprise
    few = connection.execute(select(case_parties.c.case_id).where(theirs).limit(FEW + 1)).scalars().all()
    if len(few) <= FEW:
        return wanted.where(columns.case_id.in_(few))
    return wanted.where(exists().where(theirs, case_parties.c.case_id == columns.case_id))


def page(
    connection: Connection, search: Search, me: str, now: datetime, sort: Sort, after: Place | None, limit: int
) -> list[Row[Any]]:
    """Cases that are looked for, from beyond a place."""
    return list(connection.execute(ORDERS[sort].page(_found(connection, search, me, now), after, limit)))


def place(row: Row[Any], sort: Sort) -> Place:
    """Where a page ends that ends with this row."""
    return Place(getattr(row, ORDERS[sort].at.name), row.case_id)


def count(connection: Connection, search: Search, me: str, now: datetime, most: int) -> int:
    """How many there are, up to one more than `most`."""
    return connection.execute(_counted(_found(connection, search, me, now), most)).scalar_one()


def _counted(wanted: Select[Any], most: int) -> Select[int]:
    found = wanted.with_only_columns(columns.case_id).limit(most + 1)
    return select(func.count()).select_from(found.subquery())


def parties(connection: Connection, cases: list[str]) -> dict[str, list[str]]:
    """The enterprises and carriers of these cases, by case, in the order of their codes."""
    found: dict[str, list[str]] = {}
    wanted = select(case_parties).where(case_parties.c.case_id.in_(cases))
    for row in connection.execute(wanted.order_by(case_parties.c.case_id, case_parties.c.party)):
        found.setdefault(row.case_id, []).append(row.party)
    return found


def counts(connection: Connection, me: str, now: datetime) -> dict[Queue, int]:
    """How many cases are in each queue, up to one more than `MOST_COUNTED`."""
    found = {queue: _counted(_wanted(Search(queue), me, now), MOST_COUNTED).scalar_subquery() for queue in CONDITIONS}
    row = connection.execute(select(*found.values())).one()
    return dict(zip(found, row, strict=True))
