"""An enterprise's own figures from the read models: what it was asked, how it answered, and how long that took.

The database counts, from columns that lie in an index; of durations it gives how many took how many minutes, so that
nothing here grows with the rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import Field
from sqlalchemy import (
    JSON,
    BigInteger,
    ColumnElement,
    Connection,
    and_,
    cast,
    extract,
    func,
    or_,
    select,
)

from domain import unbind
from domain.case import Model
from domain.unbind import ItemState, Outcome
from store.tables import cases, questions, work_items, worklist


@dataclass(frozen=True)
class Span:
    """From a moment up to, and without, another; `now` is what open clocks are compared with."""

    since: datetime
    until: datetime
    now: datetime


class Hours(Model):
    """Hours, counted through nights and holidays."""

    median: float
    p90: float = Field(description="Nine in ten took no longer")


class ItemFigures(Model):
    """Work items whose clock began in this time. received = withdrawn + answered + open + never answered."""

    received: int
    withdrawn: int
    answered_in_time: int
    answered_late: int = Field(description="After it had gone overdue, whether amended later or not")
    open: int = Field(description="To be answered still")
    overdue: int = Field(description="Of the open: their time is over")
    never_answered: int = Field(description="Their case closed without your answer")
    share_in_time: float | None = Field(
        description="In time, of all that are answered, overdue or were never answered; null: there are none"
    )
    hours_to_acknowledge: Hours | None = Field(description="null: you acknowledged none")
    hours_to_answer: Hours | None = Field(
        description="Without amended answers, whose first time is not kept; null: there are none"
    )
    outcomes: Mapping[Outcome, int]


class QuestionFigures(Model):
    """Questions put to you in this time. asked = answered + open + never answered."""

    asked: int
    answered_in_time: int
    answered_late: int
    open: int
    overdue: int = Field(description="Of the open: their time is over")
    never_answered: int = Field(description="Their case closed without your answer")


def of_items(connection: Connection, enterprise: str, span: Span) -> ItemFigures:
    """What became of the work items an enterprise received. One that went overdue before its answer counts as late."""
    item, mine = work_items.c, _received(enterprise, span)
    rows = connection.execute(
        select(item.state, func.count().label("number"), func.count().filter(item.late).label("late"))
        .where(mine)
        .group_by(item.state)
    )
    states = {ItemState(row.state): row for row in rows}
    answers = {outcome: states[state] for outcome in Outcome if (state := ItemState(outcome.value)) in states}
    wanted = cases.c.status == unbind.UnbindStatus.OPEN.value
    still = connection.execute(
        select(
            func.count().filter(wanted).label("open"),
            func.count().filter(wanted, is_overdue(connection, span.now)).label("overdue"),
            func.count().filter(~wanted).label("never"),
        )
        .select_from(work_items.join(cases, cases.c.case_id == item.case_id))
        .where(mine, item.open.is_(True))
    ).one()
    in_time, late = sum(row.number - row.late for row in answers.values()), sum(row.late for row in answers.values())
    over = in_time + late + still.overdue + still.never
    return ItemFigures(
        received=sum(row.number for row in states.values()),
        withdrawn=states[ItemState.WITHDRAWN].number if ItemState.WITHDRAWN in states else 0,
        answered_in_time=in_time,
        answered_late=late,
        open=still.open,
        overdue=still.overdue,
        never_answered=still.never,
        share_in_time=round(in_time / over, 4) if over else None,
        hours_to_acknowledge=_hours(connection, mine, item.acknowledged_at),
        hours_to_answer=_hours(connection, mine, item.answered_at),
        outcomes={outcome: row.number for outcome, row in answers.items()},
    )


def is_overdue(connection: Connection, now: datetime) -> ColumnElement[bool]:
    """Of open work items: the time is over, and the clock does not stand."""
    item = work_items.c
    return or_(item.state == ItemState.OVERDUE.value, and_(item.due_at <= now, ~is_paused(connection)))


def is_paused(connection: Connection) -> ColumnElement[bool]:
    """Of work items: the clock stands. Only the row's state says so: to be asked of few rows."""
    if connection.dialect.name == "postgresql":
        paused: ColumnElement[Any] = cast(work_items.c.data, JSON)["paused_at"].as_string()
    else:
        paused = func.json_extract(work_items.c.data, "$.paused_at")
    return paused.is_not(None)


def of_questions(connection: Connection, party: str, span: Span) -> QuestionFigures:
    """What became of the questions put to a party."""
    one = questions.c
    mine = and_(one.party == party, one.asked_at >= span.since, one.asked_at < span.until)
    in_time = one.answered_at <= one.due_at
    answered = connection.execute(
        select(
            func.count().filter(in_time).label("in_time"),
            func.count().filter(one.answered_at > one.due_at).label("late"),
        ).where(mine, one.open.is_(False))
    ).one()
    wanted = worklist.c.open.is_(True)
    still = connection.execute(
        select(
            func.count().filter(wanted).label("open"),
            func.count().filter(wanted, one.due_at <= span.now).label("overdue"),
            func.count().filter(~wanted).label("never"),
        )
        .select_from(questions.join(worklist, worklist.c.case_id == one.case_id))
        .where(mine, one.open.is_(True))
    ).one()
    return QuestionFigures(
        asked=answered.in_time + answered.late + still.open + still.never,
        answered_in_time=answered.in_time,
        answered_late=answered.late,
        open=still.open,
        overdue=still.overdue,
        never_answered=still.never,
    )


def _received(enterprise: str, span: Span) -> ColumnElement[bool]:
    opened = work_items.c.opened_at
    return and_(work_items.c.enterprise == enterprise, opened >= span.since, opened < span.until)


def _hours(connection: Connection, mine: ColumnElement[bool], until: ColumnElement[Any]) -> Hours | None:
    """How long it took from the opening until something, of those where it came to it."""
    minutes = (seconds(connection, until) - seconds(connection, work_items.c.opened_at)) // 60
    rows = connection.execute(
        select(minutes.label("minutes"), func.count().label("number")).where(mine).group_by(minutes).order_by(minutes)
    )
    counted = [(row.minutes, row.number) for row in rows if row.minutes is not None]
    return Hours(median=_reached(counted, 0.5), p90=_reached(counted, 0.9)) if counted else None


def _reached(counted: list[tuple[int, int]], share: float) -> float:
    """The hours within which so great a share was done."""
    wanted = math.ceil(share * sum(count for _, count in counted))
    for minutes, count in counted:
        wanted -= count
        if wanted <= 0:
            return round(minutes / 60, 1)
    raise AssertionError("a share is at most all")


def seconds(connection: Connection, moment: ColumnElement[Any]) -> ColumnElement[int]:
    """A moment in Unix seconds."""
    if connection.dialect.name == "postgresql":
        return cast(func.floor(extract("epoch", moment)), BigInteger)
    return func.unixepoch(moment, type_=BigInteger)
