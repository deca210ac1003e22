"""Deadlines: the vectors of domain.md, and what must hold for any clock."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from activities.calendar import china
from domain import sla, unbind
from domain.sla import SHANGHAI, Calendar, DayKind, SlaPolicy
from tests.strategies import DAY, HOUR, item_id, opening

FIVE = {kind: SlaPolicy(days=kind, answer_within=5 * DAY) for kind in DayKind}
PLAIN = Calendar(version="plain", holidays=frozenset(), worked_weekends=frozenset())
MONDAY = datetime(2026, 11, 2, 10, tzinfo=SHANGHAI)


@pytest.mark.parametrize(
    ("start", "kind", "due"),
    [
        (date(2026, 9, 30), DayKind.CALENDAR, date(2026, 10, 5)),
        (date(2026, 9, 30), DayKind.WORKING, date(2026, 10, 13)),
        (date(2026, 2, 13), DayKind.WORKING, date(2026, 2, 27)),
    ],
)
def test_working_day_clock_by_the_vectors_of_domain_md(start: date, kind: DayKind, due: date) -> None:
    ten = datetime(start.year, start.month, start.day, 10, tzinfo=SHANGHAI)
    clock = sla.deadline(ten, FIVE[kind], china(start.year))
    assert clock.due_at == datetime(due.year, due.month, due.day, 10, tzinfo=SHANGHAI)
    assert clock.calendar == china(start.year).version


def test_a_start_in_utc_counts_the_days_of_shanghai() -> None:
    """17:00 UTC on a Friday is Saturday in Shanghai: Monday is the first working day."""
    start = datetime(2026, 11, 6, 17, tzinfo=UTC)
    due = sla.add_days(start, DAY, DayKind.WORKING, PLAIN)
    assert due == datetime(2026, 11, 9, 1, tzinfo=SHANGHAI)
    assert due.tzinfo is UTC


def test_a_worked_saturday_counts_and_a_holiday_does_not() -> None:
    calendar = china(2026)
    assert calendar.is_working_day(date(2026, 10, 10))
    assert not calendar.is_working_day(date(2026, 10, 11))
    assert not calendar.is_working_day(date(2026, 10, 1))
    assert calendar.is_working_day(date(2026, 10, 8))


def test_a_clock_may_run_over_new_year() -> None:
    due = sla.deadline(datetime(2026, 12, 30, 10, tzinfo=SHANGHAI), FIVE[DayKind.WORKING], china(2026)).due_at
    assert due.astimezone(SHANGHAI).date() > date(2027, 1, 5)  # 1 January is a holiday


def test_a_stored_deadline_survives_a_newer_calendar() -> None:
    """Computed once and stored: the state after replay has the old date, whatever today's calendar says."""
    opened = opening()
    newer = Calendar(
        version="newer", holidays=frozenset({date(2026, 9, 2), date(2026, 9, 3)}), worked_weekends=frozenset()
    )
    clock = sla.deadline(opened.at, FIVE[DayKind.WORKING], newer)
    item = unbind.evolve(None, type(opened).model_validate_json(opened.model_dump_json())).items[item_id(0)]
    assert (item.due_at, item.calendar) == (opened.items[0].clock.due_at, opened.items[0].clock.calendar)
    assert clock.due_at != item.due_at and clock.calendar == "newer"


def test_the_reminder_comes_a_day_before() -> None:
    clock = sla.deadline(MONDAY, FIVE[DayKind.CALENDAR], PLAIN)
    assert clock.remind_at == clock.due_at - DAY


@given(
    start=st.timedeltas(timedelta(0), 1200 * DAY).map(lambda after: datetime(2024, 1, 1, tzinfo=UTC) + after),
    days=st.integers(1, 20),
    kind=st.sampled_from(DayKind),
    remind_before=st.timedeltas(timedelta(0), 40 * DAY),
)
def test_any_clock(start: datetime, days: int, kind: DayKind, remind_before: timedelta) -> None:
    policy = SlaPolicy(days=kind, answer_within=days * DAY, remind_before=remind_before)
    clock = sla.deadline(start, policy, calendar := china(start.year))
    assert start <= clock.remind_at <= clock.due_at
    assert clock.remind_at == max(start, clock.due_at - remind_before)
    local, begun = clock.due_at.astimezone(SHANGHAI), start.astimezone(SHANGHAI)
    assert local.time() == begun.time()
    if kind is DayKind.WORKING:
        assert calendar.is_working_day(local.date())
        between = [begun.date() + n * DAY for n in range(1, (local.date() - begun.date()).days + 1)]
        assert sum(calendar.is_working_day(day) for day in between) == days
    else:
        assert clock.due_at - start == days * DAY


def test_an_extension_counts_from_the_deadline_as_the_policy_counts() -> None:
    friday = MONDAY + 4 * DAY
    longer = sla.extended(friday, 2 * DAY, FIVE[DayKind.WORKING], PLAIN, MONDAY)
    assert longer.due_at == friday + 4 * DAY
    assert sla.extended(friday, 2 * DAY, FIVE[DayKind.CALENDAR], PLAIN, MONDAY).due_at == friday + 2 * DAY


def test_an_extension_never_reminds_in_the_past() -> None:
    now = MONDAY
    policy = SlaPolicy(days=DayKind.CALENDAR, remind_before=3 * DAY)
    clock = sla.extended(now + HOUR, DAY, policy, PLAIN, now)
    assert clock.remind_at == now


@pytest.mark.parametrize("by", [HOUR, 12 * HOUR, 36 * HOUR])
def test_an_extension_in_working_days_gives_what_was_asked_or_says_no(by: timedelta) -> None:
    """The policy itself must be whole working days; an extension that is not may not be cut short in silence."""
    try:
        clock = sla.extended(MONDAY, by, FIVE[DayKind.WORKING], PLAIN, MONDAY)
    except ValueError:
        return
    assert clock.due_at - MONDAY >= by


@pytest.mark.parametrize("kind", DayKind)
@pytest.mark.parametrize("by", [-DAY, -HOUR, timedelta(days=999_999_999)])
def test_any_length_gives_a_moment_or_a_value_error(by: timedelta, kind: DayKind) -> None:
    """The clock of an extension is computed before it is decided, so whatever a partner sends comes here."""
    late = datetime(9990, 1, 1, tzinfo=UTC)  # near the end of time: counting up to it must not be the way out
    with suppress(ValueError):
        assert sla.add_days(late, by, kind, PLAIN) <= late


@pytest.mark.parametrize(
    "wrong",
    [
        {"answer_within": timedelta(0)},
        {"answer_within": -DAY},
        {"remind_before": -HOUR},
        {"answer_within": 36 * HOUR},
        {"extend_at_most": HOUR},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, timedelta]) -> None:
    with pytest.raises(ValidationError):
        SlaPolicy(days=DayKind.WORKING, **wrong)


def test_calendar_days_may_be_hours() -> None:
    policy = SlaPolicy(days=DayKind.CALENDAR, answer_within=36 * HOUR)
    assert sla.deadline(MONDAY, policy, PLAIN).due_at == MONDAY + 36 * HOUR
