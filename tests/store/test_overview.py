"""The overview counted over a small world whose numbers are known by hand, and the columns it is counted from."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy import insert, select, update

from domain import unbind
from domain.sla import SHANGHAI
from domain.unbind import Outcome
from store import audit
from store.audit import Difference
from store.database import Database
from store.keys import KeyRing
from store.overview import Age, Counted, Kept, Load, Owed, count
from store.tables import work_items, worklist
from tests.gateway.conftest import Doors
from tests.gateway.test_figures import DAY, HOUR, ITEM, Told, answered, asked, midnight

NOW = datetime.now(UTC)
OVERDUE = unbind.WentOverdue(at=NOW, items=())


@pytest.fixture
def doors(database: Database, keys: KeyRing) -> Doors:
    """As much of the gateway as telling stories needs."""
    return cast(Doors, SimpleNamespace(house=SimpleNamespace(database=database, keys=keys)))


def days(number: float) -> datetime:
    """So many days ago."""
    return NOW - number * DAY


def overdue(**ages: int) -> dict[Age, int]:
    return {age: ages.get(age.name.lower(), 0) for age in Age}


def on(at: datetime, counted: Counted, enterprise: str) -> Kept:
    return counted.kept[at.astimezone(SHANGHAI).date()][enterprise]


def test_what_is_owed_and_for_how_long(doors: Doors, database: Database) -> None:
    """Every clock here is of five days; questions are due after two."""
    told = Told(doors)
    paused = unbind.Paused(at=NOW, items=(), reason="P0123456789AB")
    told.request(days(1), [], [paused])
    told.request(days(4), [], [paused])  # the first is due tomorrow, of the other the clock stands
    told.request(days(5.5), [OVERDUE], [], [paused], [unbind.Withdrawn(at=NOW, items=())])
    told.request(days(7), [OVERDUE])
    told.request(days(9.9), [OVERDUE], [answered(days(1), Outcome.KEPT)])
    told.request(days(20), [OVERDUE, paused])  # it was overdue before the clock was stopped
    told.request(days(900), [OVERDUE])
    told.request(days(50), [OVERDUE], closed=True)
    told.request(days(1), [], to="push-1")
    asked(doors, 1, days(1))
    asked(doors, 2, days(4.5))
    asked(doors, 3, days(4.5), over=True)
    asked(doors, 4, days(4.5), days(4))
    counted = database.read_now(lambda c: count(c, NOW))
    ages = overdue(day=2, three_days=2, week=1, month=1, longer=1)
    assert counted.owed == {"push-0": Owed(open=13, due_soon=2, overdue=ages), "push-1": Owed(open=1)}
    assert on(days(5.5), counted, "push-0") == Kept(in_time=0, of=2)
    assert on(days(50), counted, "push-0") == Kept(in_time=0, of=1)
    assert on(days(9.9), counted, "push-0") == Kept(in_time=1, of=2)
    assert days(1).astimezone(SHANGHAI).date() not in counted.kept


def test_answers_in_time_by_day_and_how_long_they_took(doors: Doors, database: Database) -> None:
    told, day = Told(doors), midnight(-9)
    told.request(
        day,
        [answered(day + HOUR, Outcome.UNBOUND)],
        [answered(day + HOUR + timedelta(seconds=1), Outcome.KEPT)],
        [answered(day + 5 * HOUR, Outcome.KEPT), answered(day + 30 * HOUR, Outcome.UNBOUND, 2)],
        [unbind.WentOverdue(at=day + 5 * DAY, items=()), answered(day + 130 * HOUR, Outcome.NOT_FOUND)],
        [unbind.Withdrawn(at=day, items=())],
    )
    told.request(day - HOUR / 3600, [answered(day + 7 * DAY, Outcome.REJECTED)])
    told.request(day, [answered(day + 999 * HOUR, Outcome.UNBOUND)], to="push-1")
    told.request(days(400), [answered(days(399), Outcome.UNBOUND)])
    counted = database.read_now(lambda c: count(c, NOW))
    today, before = day.date(), (day - DAY).date()
    assert counted.kept == {
        today: {"push-0": Kept(in_time=3, of=4), "push-1": Kept(in_time=1, of=1)},
        before: {"push-0": Kept(in_time=1, of=1)},
    }
    assert counted.answers == {
        today: {False: [1, 1, 0, 0, 0, 0, 0, 1], True: [0, 0, 0, 0, 0, 0, 1, 0]},
        before: {False: [0, 0, 0, 0, 0, 0, 1, 0], True: [0] * 8},
    }
    assert counted.owed == {}


def test_who_has_how_many_cases(database: Database) -> None:
    def row(number: int, who: str, due: float | None, **more: Any) -> dict[str, Any]:
        at = days(-due) if due is not None else datetime(9999, 1, 1, tzinfo=UTC)
        plain = {"kind": "dispute", "status": "open", "open": True, "waiting": "case_worker", "assignee": who}
        clock = {"due_at": at if due is not None else None, "due_order": at, "paused": False, "escalated": False}
        return {"case_id": f"D{number:012}", "opened_at": days(1), **plain, **clock, **more}

    rows = [row(1, "chen", 5), row(2, "chen", 1), row(3, "chen", -1), row(4, "chen", -1, paused=True)]
    rows += [row(5, "chen", -1, open=False), row(6, "lin", None), row(7, "", -3), row(8, "", 2.5)]
    database.write_now(lambda c: c.execute(insert(worklist), rows))
    counted = database.read_now(lambda c: count(c, NOW))
    assert counted.workers == {"chen": Load(4, 1, 1), "lin": Load(1, 0, 0), "": Load(2, 0, 1)}


def test_the_columns_are_of_the_events_and_kept_to_them(doors: Doors, database: Database, keys: KeyRing) -> None:
    told, at = Told(doors), days(9)
    told.request(
        at,
        [unbind.Acknowledged(at=at + HOUR, item=ITEM), answered(at + 2 * HOUR, Outcome.UNBOUND)],
        [answered(at + HOUR, Outcome.KEPT), answered(at + 3 * HOUR, Outcome.UNBOUND, 2)],
        [unbind.WentOverdue(at=at + 5 * DAY, items=()), answered(at + 6 * DAY, Outcome.UNBOUND)],
        [],
    )
    one = work_items.c
    wanted = select(one.opened_at, one.acknowledged_at, one.answered_at, one.late).order_by(one.app)
    expected = [
        (at, at + HOUR, at + 2 * HOUR, False),
        (at, None, None, False),
        (at, None, at + 6 * DAY, True),
        (at, None, None, False),
    ]
    assert database.read_now(lambda c: [tuple(row) for row in c.execute(wanted)]) == expected
    assert database.read_now(lambda c: audit.verify(c, keys)).work_items == 4
    for column in (one.opened_at, one.acknowledged_at, one.answered_at):
        database.write_now(lambda c: c.execute(update(work_items).values({column.name: NOW, "late": True})))  # noqa: B023
        with pytest.raises(Difference, match="run rebuild"):
            database.read_now(lambda c: audit.verify(c, keys))
        database.write_now(audit.rebuild)
        assert database.read_now(lambda c: [tuple(row) for row in c.execute(wanted)]) == expected
