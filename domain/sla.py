"""SLA clocks: when an answer is due, in calendar or working days of Asia/Shanghai.

A deadline is computed once, with a calendar that has a version, and stored; a newer calendar never moves it
(domain.md, 'unbind SLA' and 'working-day vectors').
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, Field, model_validator

from domain.case import Model

SHANGHAI = ZoneInfo("Asia/Shanghai")
SATURDAY = 5
LONGEST = timedelta(days=3660)


class DayKind(StrEnum):
    """How an SLA counts: every day, or the days people in China work (调休 included)."""

    CALENDAR = "calendar"
    WORKING = "working"


class Calendar(Model):
    """Public holidays and worked weekend days (调休) of mainland China, and which edition of them."""

    version: str
    holidays: frozenset[date]
    worked_weekends: frozenset[date]

    def is_working_day(self, day: date) -> bool:
        """A weekday that is no holiday, or a weekend day that is worked."""
        if day in self.worked_weekends:
            return True
        return day.weekday() < SATURDAY and day not in self.holidays


class SlaPolicy(Model):
    """One enterprise's clock as data (registry). Durations are ISO 8601; `P5D` with `working` is 5 working days."""

    days: DayKind = DayKind.WORKING
    answer_within: timedelta = Field(default=timedelta(days=5), gt=timedelta(0))
    remind_before: timedelta = Field(default=timedelta(days=1), ge=timedelta(0))
    extend_at_most: timedelta = Field(default=timedelta(days=5), ge=timedelta(0))

    @model_validator(mode="after")
    def _whole_working_days(self) -> SlaPolicy:
        for name in ("answer_within", "extend_at_most"):
            if self.days is DayKind.WORKING and getattr(self, name) % timedelta(days=1):
                raise ValueError(f"{name} must be whole days when days are counted as working days")
        return self


class Deadline(Model):
    """When the reminder goes out, when the answer is due (UTC), and by which calendar that was computed."""

    remind_at: AwareDatetime
    due_at: AwareDatetime
    calendar: str


def add_days(start: datetime, length: timedelta, days: DayKind, calendar: Calendar) -> datetime:
    """`start` plus `length`, at the same time of day in Shanghai; the day of `start` itself never counts.

    Part of a working day counts as one. Raises ValueError for a length no clock should have.
    """
    if length > LONGEST:
        raise ValueError(f"no clock runs longer than {LONGEST.days} days")
    if days is DayKind.CALENDAR:
        return start + length
    local = start.astimezone(SHANGHAI)
    left = -(-length // timedelta(days=1))
    while left > 0:
        local += timedelta(days=1)
        left -= calendar.is_working_day(local.date())
    return local.astimezone(start.tzinfo)


def deadline(start: datetime, policy: SlaPolicy, calendar: Calendar) -> Deadline:
    """The clock of a request that starts at `start`."""
    return due(add_days(start, policy.answer_within, policy.days, calendar), start, policy, calendar)


def extended(current: datetime, by: timedelta, policy: SlaPolicy, calendar: Calendar, now: datetime) -> Deadline:
    """The clock after an extension `by` days or duration, counted as the policy counts."""
    return due(add_days(current, by, policy.days, calendar), now, policy, calendar)


def due(due_at: datetime, not_before: datetime, policy: SlaPolicy, calendar: Calendar) -> Deadline:
    """A deadline with its reminder, which is never before `not_before`."""
    remind_at = max(due_at - policy.remind_before, not_before)
    return Deadline(remind_at=remind_at, due_at=due_at, calendar=calendar.version)
