"""A party's own figures: every work item and question is counted once, by its own clock, and nobody else's."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

import httpx
from sqlalchemy import Connection, insert

from domain import unbind
from domain.case import CaseKind, Event
from domain.question import Counts, Question, QuestionKind
from domain.sla import SHANGHAI, Deadline
from domain.unbind import NewItem, Outcome
from store.ids import new_case_id, question_id, work_item_id
from store.ledger import Append, append
from store.projection import question_values
from store.tables import questions, worklist
from tests.gateway.conftest import Doors

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def midnight(days: int) -> datetime:
    """So many days from today, in Shanghai."""
    return datetime.combine(datetime.now(SHANGHAI).date() + timedelta(days=days), time(), SHANGHAI)


class Told:
    """Unbind requests as their workflows would have told them."""

    def __init__(self, doors: Doors) -> None:
        self.doors = doors

    def request(self, at: datetime, *stories: list[Event], to: str = "push-0", closed: bool = False) -> None:
        """One request with a work item per story; in a story `ITEM` stands for the item."""
        case, keys = f"{new_case_id()}-unbind-0", self.doors.house.keys
        ids = [work_item_id(keys, case, f"app-{n}") for n in range(len(stories))]
        clock = Deadline(remind_at=at + 4 * DAY, due_at=at + 5 * DAY, calendar="test")
        new = tuple(
            NewItem(
                id=item,
                app=f"app-{n}",
                enterprise=to,
                clock=clock,
                retry_first=HOUR,
                retry_at_most=HOUR,
                extend_at_most=DAY,
            )
            for n, item in enumerate(ids)
        )
        opened = unbind.Opened(at=at, case=case, parent=case[:13], boundary=at - DAY, late_window=30 * DAY, items=new)
        events = [opened, *(named(event, item) for item, story in zip(ids, stories, strict=True) for event in story)]
        if closed:
            events.append(unbind.Closed(at=at + 40 * DAY))
        order = Append(case, CaseKind.UNBIND, "told", events)
        self.doors.house.database.write_now(lambda c: append(c, keys, order))


ITEM = "W" + 20 * "0"


def named(event: Event, item: str) -> Event:
    field = "items" if hasattr(event, "items") else "item"
    return event.model_copy(update={field: (item,) if field == "items" else item})


def answered(at: datetime, outcome: Outcome, version: int = 1) -> Event:
    return unbind.Answered(at=at, item=ITEM, outcome=outcome, version=version)


def asked(doors: Doors, n: int, at: datetime, answered_at: datetime | None = None, over: bool = False) -> None:
    """A question to push-0, due after two days."""
    case = new_case_id(CaseKind.QUERY)
    one = Question(
        id=question_id(doors.house.keys, case, "counts", "push-0"),
        kind=QuestionKind.COUNTS,
        party="push-0",
        apps=("push-0-app",),
        asked_at=at,
        due_at=at + 2 * DAY,
        answer=Counts(counts={"push-0-app": 1}) if answered_at else None,
        answered_at=answered_at,
    )
    standing = {
        "case_id": case,
        "kind": "query",
        "status": "asking",
        "open": not over,
        "waiting": "party",
        "assignee": "",
        "due_at": None,
        "due_order": at,
        "paused": False,
        "escalated": False,
        "opened_at": at,
    }

    def put(connection: Connection) -> None:
        connection.execute(
            insert(questions), {"question_id": one.id, "case_id": case, "cursor": n, **question_values(one)}
        )
        connection.execute(insert(worklist), standing)

    doors.house.database.write_now(put)


async def figures(doors: Doors, code: str, since: datetime, until: datetime) -> httpx.Response:
    query = {"from": since.date().isoformat(), "until": until.date().isoformat()}
    return await doors.http.get("/v1/figures", params=query, headers=doors.bearer(code))


async def test_everything_is_counted_once(idle: Doors) -> None:
    told, first, last = Told(idle), midnight(-20), midnight(-2)
    at = first + 3 * DAY
    overdue = unbind.WentOverdue(at=at + 5 * DAY, items=())
    told.request(
        at,
        [unbind.Acknowledged(at=at + HOUR, item=ITEM), answered(at + 10 * HOUR, Outcome.UNBOUND)],
        [answered(at + 20 * HOUR, Outcome.KEPT), answered(at + 14 * DAY, Outcome.UNBOUND, 2)],
        [unbind.Acknowledged(at=at + 3 * HOUR, item=ITEM), overdue, answered(at + 130 * HOUR, Outcome.NOT_FOUND)],
        [overdue],
        [unbind.Paused(at=at + DAY, items=(), reason="P0123456789AB")],
        [unbind.Withdrawn(at=at + DAY, items=())],
    )
    told.request(last - timedelta(seconds=1), [], [answered(last + HOUR / 2, Outcome.REJECTED)])
    told.request(first, [overdue], closed=True)
    told.request(first - timedelta(seconds=1), [overdue])
    told.request(last, [])
    told.request(at, [answered(at + 2 * HOUR, Outcome.CANCELLED)], to="push-1")
    for n, (begins, after, over) in enumerate(
        [(at, HOUR, False), (at, 3 * DAY, True), (at, None, False), (at, None, True), (last, None, False)]
    ):
        asked(idle, n, begins, begins + after if after else None, over)
    asked(idle, 9, last - HOUR, None)

    own = await figures(idle, "push-0", first, last)
    assert own.status_code == 200, own.text
    items: dict[str, Any] = own.json()["work_items"]
    assert items == {
        "received": 9,
        "withdrawn": 1,
        "answered_in_time": 3,
        "answered_late": 1,
        "open": 3,
        "overdue": 1,
        "never_answered": 1,
        "share_in_time": 0.5,
        "hours_to_acknowledge": {"median": 1.0, "p90": 3.0},
        "hours_to_answer": {"median": 10.0, "p90": 130.0},
        "outcomes": {"unbound": 2, "not_found": 1, "rejected": 1},
    }
    answers = items["answered_in_time"] + items["answered_late"]
    assert items["received"] == items["withdrawn"] + answers + items["open"] + items["never_answered"]
    assert own.json()["questions"] == {
        "asked": 5,
        "answered_in_time": 1,
        "answered_late": 1,
        "open": 2,
        "overdue": 1 + (datetime.now(UTC) > last - HOUR + 2 * DAY),
        "never_answered": 1,
    }
    assert (own.json()["from"], own.json()["until"]) == (first.date().isoformat(), last.date().isoformat())

    other = (await figures(idle, "push-1", first, last)).json()["work_items"]
    assert (other["received"], other["outcomes"], other["hours_to_acknowledge"]) == (1, {"cancelled": 1}, None)
    none = (await figures(idle, "carrier", first, last)).json()
    assert none["work_items"]["received"] == none["questions"]["asked"] == 0
    assert none["work_items"]["share_in_time"] is None

    for since, until in ((last, first), (first, first), (first, first + 367 * DAY), (first - 9000 * DAY, last)):
        bad = await figures(idle, "push-0", since, until)
        assert (bad.status_code, bad.json()["code"]) == (422, "malformed")
    far = {"from": "0001-01-01", "until": "9999-12-31"}
    bad = await idle.http.get("/v1/figures", params=far, headers=idle.bearer("push-0"))
    assert bad.status_code == 422
    staff = await figures(idle, "worker-chen", first, last)
    assert (staff.status_code, staff.json()["code"]) == (403, "not_allowed")
