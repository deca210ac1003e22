"""What supervisors look at, counted over all cases at once: what is owed, whether it comes in time, and who works on it.

Counting reads every open work item, question and case, and a year of answers: seconds at a million. So it is done now
and then beside everything else (`gateway/overview.py`), and what it gives is small: by enterprise and day, never by case.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Date, and_, case, cast, func, select

from domain import unbind
from domain.sla import SHANGHAI
from domain.unbind import ItemState
from store.figures import is_paused, seconds
from store.queues import CONDITIONS, SOON, Queue
from store.tables import cases, questions, work_items, worklist

LOOKED_BACK = timedelta(days=366)
"""How old an opening may be whose answer is counted; what is open is counted whatever its age."""


class Age(StrEnum):
    """For how long something is overdue."""

    DAY = "up_to_1_day"
    THREE_DAYS = "up_to_3_days"
    WEEK = "up_to_7_days"
    MONTH = "up_to_30_days"
    LONGER = "longer"


AGES: Sequence[tuple[Age, timedelta]] = (
    (Age.DAY, timedelta(days=1)),
    (Age.THREE_DAYS, timedelta(days=3)),
    (Age.WEEK, timedelta(days=7)),
    (Age.MONTH, timedelta(days=30)),
)

HOURS: Sequence[int] = (1, 4, 24, 48, 72, 120, 240)
"""How long answers took: up to so many hours; after the last, longer."""

LATER, DUE_SOON, NEVER = "later", "due_soon", "never"


@dataclass
class Owed:
    """What an enterprise or a carrier has yet to answer: work items and questions."""

    open: int = 0
    due_soon: int = 0
    overdue: dict[Age, int] = field(default_factory=lambda: dict.fromkeys(Age, 0))


@dataclass
class Kept:
    """Work items that should be answered, and those of them that were in time."""

    in_time: int = 0
    of: int = 0


@dataclass
class Load:
    """The open cases of a case worker."""

    open: int
    due_soon: int
    overdue: int


@dataclass(frozen=True)
class Counted:
    """Everything, as it was at a moment. Days are those on which a work item was opened, in Shanghai; `answers`: how
    many took how long (by the places of `HOURS`), in time and late."""

    at: datetime
    owed: Mapping[str, Owed]
    kept: Mapping[date, Mapping[str, Kept]]
    answers: Mapping[date, Mapping[bool, Sequence[int]]]
    workers: Mapping[str, Load]


def count(connection: Connection, now: datetime) -> Counted:
    """Count everything."""
    owed: dict[str, Owed] = {}
    kept: dict[date, dict[str, Kept]] = {}
    since = now - LOOKED_BACK
    for row in connection.execute(_open_items(connection, now)):
        if row.stands != NEVER:
            _owe(owed, row)
        if row.stands == NEVER or row.stands in tuple(Age):
            _of(kept, row.day, row.enterprise).of += row.number
    for row in connection.execute(_open_questions(now)):
        _owe(owed, row)
    for row in connection.execute(_answered(connection, since)):
        one = _of(kept, row.day, row.enterprise)
        one.of += row.number
        one.in_time += row.number - row.late
    return Counted(now, owed, kept, _answers(connection, since), _workers(connection, now))


def _open_items(connection: Connection, now: datetime) -> Any:
    """Work items without an answer: by enterprise and day, whether they are due later, soon, for how long overdue, or
    can never be answered, since their case is closed."""
    item = work_items.c
    waits = item.state != ItemState.OVERDUE.value
    stands = case(
        (cases.c.status != unbind.UnbindStatus.OPEN.value, NEVER),
        (and_(waits, item.due_at > now + SOON), LATER),
        (and_(waits, is_paused(connection)), LATER),
        (and_(waits, item.due_at > now), DUE_SOON),
        *((item.due_at > now - age, word.value) for word, age in AGES),
        else_=Age.LONGER.value,
    ).label("stands")
    day = _day(connection)
    return (
        select(item.enterprise, day, stands, func.count().label("number"))
        .select_from(work_items.join(cases, cases.c.case_id == item.case_id))
        .where(item.open.is_(True))
        .group_by(item.enterprise, day, stands)
    )


def _open_questions(now: datetime) -> Any:
    """Questions without an answer whose case still wants one."""
    one = questions.c
    stands = case(
        (one.due_at > now + SOON, LATER),
        (one.due_at > now, DUE_SOON),
        *((one.due_at > now - age, word.value) for word, age in AGES),
        else_=Age.LONGER.value,
    ).label("stands")
    return (
        select(one.party.label("enterprise"), stands, func.count().label("number"))
        .select_from(questions.join(worklist, worklist.c.case_id == one.case_id))
        .where(one.open.is_(True), worklist.c.open.is_(True))
        .group_by(one.party, stands)
    )


def _answered(connection: Connection, since: datetime) -> Any:
    item, day = work_items.c, _day(connection)
    return (
        select(
            item.enterprise, day, func.count().label("number"), func.count().filter(item.late.is_(True)).label("late")
        )
        .where(item.opened_at >= since, item.state.in_([outcome.value for outcome in unbind.Outcome]))
        .group_by(item.enterprise, day)
    )


def _answers(connection: Connection, since: datetime) -> dict[date, dict[bool, list[int]]]:
    item, day = work_items.c, _day(connection)
    took = seconds(connection, item.answered_at) - seconds(connection, item.opened_at)
    place = case(*((took <= hours * 3600, place) for place, hours in enumerate(HOURS)), else_=len(HOURS)).label(
        "place"
    )
    rows = connection.execute(
        select(day, item.late, place, func.count().label("number"))
        .where(item.opened_at >= since, item.answered_at.is_not(None))
        .group_by(day, item.late, place)
    )
    found: dict[date, dict[bool, list[int]]] = {}
    for row in rows:
        of_day = found.setdefault(_date(row.day), {late: [0] * (len(HOURS) + 1) for late in (False, True)})
        of_day[row.late][row.place] += row.number
    return found


def _workers(connection: Connection, now: datetime) -> dict[str, Load]:
    soon, overdue = CONDITIONS[Queue.DUE_SOON]("", now), CONDITIONS[Queue.OVERDUE]("", now)
    rows = connection.execute(
        select(
            worklist.c.assignee,
            func.count().label("open"),
            func.count().filter(soon).label("due_soon"),
            func.count().filter(overdue).label("overdue"),
        )
        .where(worklist.c.open.is_(True))
        .group_by(worklist.c.assignee)
    )
    return {row.assignee: Load(row.open, row.due_soon, row.overdue) for row in rows}


def _owe(owed: dict[str, Owed], row: Any) -> None:
    one = owed.setdefault(row.enterprise, Owed())
    one.open += row.number
    if row.stands == DUE_SOON:
        one.due_soon += row.number
    elif row.stands != LATER:
        one.overdue[Age(row.stands)] += row.number


def _of(kept: dict[date, dict[str, Kept]], day: Any, enterprise: str) -> Kept:
    return kept.setdefault(_date(day), {}).setdefault(enterprise, Kept())


def _day(connection: Connection) -> ColumnElement[Any]:
    """The day in Shanghai on which a work item was opened. Summer time ended there in 1991."""
    opened = work_items.c.opened_at
    if connection.dialect.name == "postgresql":
        return cast(func.timezone(str(SHANGHAI), opened), Date).label("day")
    return func.date(opened, "+8 hours").label("day")


def _date(day: Any) -> date:
    return day if isinstance(day, date) else date.fromisoformat(day)
