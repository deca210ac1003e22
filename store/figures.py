"""An enterprise's own figures from the read models: what it was asked, how it answered, and how long that took.

The database counts; of durations it gives how many took how many minutes, so that nothing here grows with the rows.
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
    DateTime,
    Integer,
    Table,
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
    once = cast(_said(connection, work_items, "version"), Integer) == 1
    wanted = cases.c.status == unbind.UnbindStatus.OPEN.value
    due = or_(
        item.state == ItemState.OVERDUE.value,
        and_(item.due_at <= span.now, _said(connection, work_items, "paused_at").is_(None)),
    )
    rows = connection.execute(
        select(
            item.state,
            func.count().label("number"),
            func.count().filter(_said(connection, work_items, "overdue_at").is_not(None)).label("late"),
            func.count().filter(wanted).label("wanted"),
            func.count().filter(and_(wanted, due)).label("due"),
        )
        .select_from(work_items.join(cases, cases.c.case_id == item.case_id))
        .where(mine)
        .group_by(item.state)
    )
    states = {ItemState(row.state): row for row in rows}
    answers = {outcome: states[state] for outcome in Outcome if (state := ItemState(outcome.value)) in states}
    still = [row for state, row in states.items() if state in unbind.OPEN]
    in_time, late = sum(row.number - row.late for row in answers.values()), sum(row.late for row in answers.values())
    overdue, never = sum(row.due for row in still), sum(row.number - row.wanted for row in still)
    over = in_time + late + overdue + never
    return ItemFigures(
        received=sum(row.number for row in states.values()),
        withdrawn=states[ItemState.WITHDRAWN].number if ItemState.WITHDRAWN in states else 0,
        answered_in_time=in_time,
        answered_late=late,
        open=sum(row.wanted for row in still),
        overdue=overdue,
        never_answered=never,
        share_in_time=round(in_time / over, 4) if over else None,
        hours_to_acknowledge=_hours(connection, mine, "acknowledged_at"),
        hours_to_answer=_hours(connection, mine, "answered_at", once),
        outcomes={outcome: row.number for outcome, row in answers.items()},
    )


def of_questions(connection: Connection, party: str, span: Span) -> QuestionFigures:
    """What became of the questions put to a party."""
    asked, answered, due = (_seconds(connection, questions, name) for name in ("asked_at", "answered_at", "due_at"))
    one, wanted = questions.c, worklist.c.open.is_(True)
    row = connection.execute(
        select(
            func.count().label("asked"),
            func.count().filter(one.open.is_(False), answered <= due).label("answered_in_time"),
            func.count().filter(one.open.is_(False), answered > due).label("answered_late"),
            func.count().filter(one.open.is_(True), wanted).label("open"),
            func.count().filter(one.open.is_(True), wanted, one.due_at <= span.now).label("overdue"),
            func.count().filter(one.open.is_(True), worklist.c.open.is_(False)).label("never_answered"),
        )
        .select_from(questions.join(worklist, worklist.c.case_id == one.case_id))
        .where(
            one.party == party,
            asked >= int(span.since.timestamp()),
            asked < int(span.until.timestamp()),
        )
    ).one()
    return QuestionFigures(**row._mapping)


def _received(enterprise: str, span: Span) -> ColumnElement[bool]:
    """Their clocks began when their request was opened."""
    opened = cases.c.opened_at
    return and_(work_items.c.enterprise == enterprise, opened >= span.since, opened < span.until)


def _hours(
    connection: Connection, mine: ColumnElement[bool], until: str, *those: ColumnElement[bool]
) -> Hours | None:
    """How long it took from the opening until something."""
    minutes = (_seconds(connection, work_items, until) - _seconds(connection, work_items, "opened_at")) // 60
    rows = connection.execute(
        select(minutes.label("minutes"), func.count().label("number"))
        .select_from(work_items.join(cases, cases.c.case_id == work_items.c.case_id))
        .where(mine, _said(connection, work_items, until).is_not(None), *those)
        .group_by(minutes)
        .order_by(minutes)
    )
    counted = [(row.minutes, row.number) for row in rows]
    return Hours(median=_reached(counted, 0.5), p90=_reached(counted, 0.9)) if counted else None


def _reached(counted: list[tuple[int, int]], share: float) -> float:
    """The hours within which so great a share was done."""
    wanted = math.ceil(share * sum(count for _, count in counted))
    for minutes, count in counted:
        wanted -= count
        if wanted <= 0:
            return round(minutes / 60, 1)
    raise AssertionError("a share is at most all")


def _said(connection: Connection, table: Table, name: str) -> ColumnElement[Any]:
    """A field of a row's state, as text."""
    found: ColumnElement[Any] = cast(table.c.data, JSON)[name].as_string()
    return found if connection.dialect.name == "postgresql" else func.json_extract(table.c.data, f"$.{name}")


def _seconds(connection: Connection, table: Table, name: str) -> ColumnElement[int]:
    """A moment of a row's state, in Unix seconds."""
    said = _said(connection, table, name)
    if connection.dialect.name == "postgresql":
        return cast(func.floor(extract("epoch", cast(said, DateTime(timezone=True)))), BigInteger)
    return func.unixepoch(said, type_=BigInteger)
