"""The door to the overview of all cases, for supervisors and whoever else reads at the desk. What it tells was counted
a moment before (`gateway/held.py`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from domain.access import Scope
from domain.sla import SHANGHAI
from gateway.auth import Using, may
from gateway.caller import Caller
from gateway.problems import fail
from gateway.services import Services
from store.overview import HOURS, LOOKED_BACK, Age, Counted, Kept

router = APIRouter(prefix="/v1", tags=["case work"])

DEFAULT = timedelta(days=28)
MOST_PERIODS = 14
STEPS = (1, 7, 28)
"""Days of one period: the shortest that gives at most `MOST_PERIODS`."""

SHARE = Field(description="In time, of all that are answered, overdue or were never answered; null: there are none")


class OfEnterprise(BaseModel):
    """What an enterprise or a carrier has yet to answer: work items and questions."""

    enterprise: str
    open: int
    due_soon: int = Field(description="Of the open: within two days")
    overdue: int = Field(description="Of the open: their time is over")
    overdue_for: Mapping[Age, int] = Field(description="The overdue by how long they are")


class Share(BaseModel):
    """Work items by the day they were opened, and how many of them were answered in time."""

    in_time: int
    of: int
    share: float | None = SHARE


class Attainment(Share):
    """How an enterprise kept its deadlines, as a whole and by period."""

    enterprise: str = Field(description="Empty: all together")
    periods: list[Share]


class Answers(BaseModel):
    """Answers by how long they took, counted through nights and holidays."""

    hours: int | None = Field(description="Up to so many, and more than the line before; null: longer")
    in_time: int
    late: int


class OfWorker(BaseModel):
    """The open cases of a case worker."""

    assignee: str = Field(description="Empty: nobody's")
    open: int
    due_soon: int
    overdue: int


class Overview(BaseModel):
    """All cases at once. Work items count by the day they were opened; what is open counts whatever its age."""

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True)

    as_of: AwareDatetime
    since: date = Field(alias="from")
    until: date
    enterprises: list[OfEnterprise] = Field(description="The most overdue first")
    periods: list[date] = Field(description="The first day of each")
    attainment: list[Attainment] = Field(description="All together, then the one with the smallest share first")
    answers: list[Answers] = Field(description="Without amended answers, whose first time is not kept")
    workers: list[OfWorker] = Field(description="The most overdue first")


@dataclass(frozen=True)
class Days:
    """From a day up to, and without, another."""

    since: date
    until: date

    @property
    def periods(self) -> list[date]:
        """The first day of each period."""
        days = (self.until - self.since).days
        step = next((one for one in STEPS if days <= one * MOST_PERIODS), STEPS[-1])
        return [self.since + timedelta(days=n) for n in range(0, days, step)]


def days(since: date | None, until: date | None, today: date) -> Days:
    """The days asked for; the last four weeks where nothing is said. Raises ProblemError 422."""
    until = until or today + timedelta(days=1)
    since = since or date.fromordinal(max(1, until.toordinal() - DEFAULT.days))
    if not timedelta() < until - since <= LOOKED_BACK or since < today - LOOKED_BACK:
        raise fail(
            422,
            "malformed",
            "until: it is not after `from`, or more than a year after; or `from` is more than a year ago.",
            "Ask for days within the last year; `until` is the day after the last.",
            "until",
        )
    return Days(since, until)


def wanted(
    since: Annotated[
        date | None, Query(alias="from", description="First day, in Shanghai; left out: 28 days before `until`")
    ] = None,
    until: Annotated[
        date | None, Query(description="Day after the last, at most a year in all; left out: tomorrow")
    ] = None,
) -> Days:
    """The days a request asks for."""
    return days(since, until, datetime.now(SHANGHAI).date())


Wanted = Annotated[Days, Depends(wanted)]


@router.get("/overview")
async def show_overview(staff: Annotated[Caller, may(Scope.DESK_READ)], services: Using, asked: Wanted) -> Overview:
    """All cases at once: what is owed and overdue by enterprise, deadlines kept, time to answer, who has how much work.

    It is counted again and again: `as_of` says when last.
    """
    return overview(services, asked)


def overview(services: Services, asked: Days) -> Overview:
    """What was counted last, for these days. Raises ProblemError 503 before anything was."""
    held = services.overview
    if held.counted is None:
        raise fail(
            503,
            "counting",
            "The figures are being counted since the start.",
            "Ask again in a few seconds.",
            retry_after=5,
        )
    counted = held.counted
    return held.once(asked, lambda: _told(counted, asked))


def _told(counted: Counted, asked: Days) -> Overview:
    enterprises = [
        OfEnterprise(
            enterprise=code,
            open=one.open,
            due_soon=one.due_soon,
            overdue=sum(one.overdue.values()),
            overdue_for=one.overdue,
        )
        for code, one in counted.owed.items()
    ]
    workers = [OfWorker(assignee=code, **vars(load)) for code, load in counted.workers.items()]
    return Overview(
        as_of=counted.at,
        since=asked.since,
        until=asked.until,
        enterprises=sorted(enterprises, key=lambda one: (-one.overdue, -one.open, one.enterprise)),
        periods=asked.periods,
        attainment=_attainment(counted, asked),
        answers=_answers(counted, asked),
        workers=sorted(workers, key=lambda one: (-one.overdue, -one.open, one.assignee)),
    )


def _attainment(counted: Counted, asked: Days) -> list[Attainment]:
    periods = asked.periods
    step = (periods[1] - periods[0]).days if len(periods) > 1 else LOOKED_BACK.days
    found: dict[str, list[Kept]] = {"": [Kept() for _ in periods]}
    for day, enterprises in counted.kept.items():
        if asked.since <= day < asked.until:
            place = (day - asked.since).days // step
            for code, kept in enterprises.items():
                for of_one in (found[""], found.setdefault(code, [Kept() for _ in periods])):
                    of_one[place].in_time += kept.in_time
                    of_one[place].of += kept.of
    all_together, *told = [
        Attainment(
            enterprise=code,
            periods=[_share(one.in_time, one.of) for one in of_one],
            **_share(sum(one.in_time for one in of_one), sum(one.of for one in of_one)).model_dump(),
        )
        for code, of_one in found.items()
    ]
    return [all_together, *sorted(told, key=lambda one: (one.share or 0.0, -one.of, one.enterprise))]


def _share(in_time: int, of: int) -> Share:
    return Share(in_time=in_time, of=of, share=round(in_time / of, 4) if of else None)


def _answers(counted: Counted, asked: Days) -> list[Answers]:
    told = [Answers(hours=hours, in_time=0, late=0) for hours in (*HOURS, None)]
    for day, answers in counted.answers.items():
        if asked.since <= day < asked.until:
            for place, one in enumerate(told):
                one.in_time += answers[False][place]
                one.late += answers[True][place]
    return told
