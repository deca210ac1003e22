"""Lists of carriers and channels: their own cases alone, each once, however many come in between the pages."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from domain.case import CaseKind
from store.database import Database
from store.ids import new_case_id
from store.tables import submissions, worklist
from tests.gateway.conftest import Doors
from tests.house import CARRIER
from tests.strategies import DAY, HOUR, T0

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""What the doors add to the SQL, which is tested on both databases."""


def row(kind: CaseKind, at: datetime, **changed: Any) -> dict[str, Any]:
    """A case as case workers see it."""
    case = {"case_id": new_case_id(kind), "kind": kind.value, "status": "running", "open": True, "waiting": "party"}
    clock = {"due_at": None, "due_order": at + 5 * DAY, "paused": False, "escalated": False, "closed_at": None}
    return {**case, **clock, "assignee": "", "opened_at": at, "masked_number": "138****8000", **changed}


def put(database: Database, partner: str, *rows: dict[str, Any]) -> list[str]:
    """A partner has handed these in."""

    def job(connection: Any) -> None:
        connection.execute(insert(worklist), list(rows))
        handed_in = [
            {"partner": partner, "key": one["case_id"], "digest": "", "case_id": one["case_id"], "started": True}
            | {"submitted_at": one["opened_at"]}
            for one in rows
        ]
        connection.execute(insert(submissions), handed_in)

    database.write_now(job)
    return [one["case_id"] for one in rows]


async def page(doors: Doors, who: str, path: str, **query: Any) -> dict[str, Any]:
    """One page."""
    answer = await doors.http.get(f"/v1/{path}", params=query, headers=doors.bearer(who))
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@pytest.mark.parametrize("sort", ["-submitted", "submitted"])
async def test_each_once_whatever_comes_in_between(idle: Doors, sort: str) -> None:
    """Ten at the same moment, so that a page ends among equals; newer and older ones, and strangers', come meanwhile."""
    database = idle.house.database
    times = [T0 + n * HOUR for n in range(8)] + [T0 + 3 * HOUR] * 10
    mine = put(database, CARRIER, *(row(CaseKind.RENEWAL, at) for at in times))
    strangers = put(database, "other-carrier", *(row(CaseKind.RENEWAL, at) for at in times))
    put(database, CARRIER, row(CaseKind.NUMBER, T0))
    seen: list[str] = []
    after, pages = "", 0
    while after is not None:
        found = await page(idle, CARRIER, "renewals", sort=sort, limit=4, after=after)
        assert len(found["cases"]) == 4 or found["next"] is None
        seen += [one["case"] for one in found["cases"]]
        after, pages = found["next"], pages + 1
        between = (row(CaseKind.RENEWAL, T0 - pages * HOUR), row(CaseKind.RENEWAL, T0 + (9 + pages) * HOUR))
        mine_too = put(database, CARRIER, *between)
        assert pages < 20 and not set(mine_too) & set(seen)
        if sort == "submitted" and pages == 6:
            break  # each page is followed by a newer one
    assert len(seen) == len(set(seen)) and not set(seen) & set(strangers)
    assert set(mine) <= set(seen) or sort == "-submitted"
    assert set(mine) <= set(seen)


@ON_SQLITE
async def test_what_a_row_says_and_what_can_be_asked(idle: Doors) -> None:
    database = idle.house.database
    kinds = {"queries": CaseKind.QUERY, "disputes": CaseKind.DISPUTE, "complaints": CaseKind.COMPLAINT}
    for path, kind in kinds.items():
        closed = {"status": "closed", "open": False}
        first, last = put(database, "mini-program", row(kind, T0, due_at=T0 + DAY), row(kind, T0 + DAY, **closed))
        put(database, "other-channel", row(kind, T0))
        everything = (await page(idle, "mini-program", path))["cases"]
        assert [one["case"] for one in everything] == [last, first]
        assert everything[1] == {
            "case": first,
            "status": "running",
            "number": "138****8000",
            "submitted_at": T0.isoformat().replace("+00:00", "Z"),
            "due_at": (T0 + DAY).isoformat().replace("+00:00", "Z"),
            "open": True,
            "status_url": f"/v1/{path}/{first}",
        }
        edge = (T0 + DAY).isoformat()
        for query, found in (
            ({"status": "closed"}, [last]),
            ({"submitted_from": edge}, [last]),
            ({"submitted_until": edge}, [first]),
            ({"submitted_from": edge, "submitted_until": edge}, []),
        ):
            assert [one["case"] for one in (await page(idle, "mini-program", path, **query))["cases"]] == found, query
        for who in (CARRIER, "push-0", "worker-chen"):
            assert (await idle.http.get(f"/v1/{path}", headers=idle.bearer(who))).status_code == 403
    for wrong in (
        {"status": "dancing"},
        {"submitted_from": "2026-01-01T00:00:00"},
        {"limit": 101},
        {"sort": "up"},
    ):
        answer = await idle.http.get("/v1/queries", params=wrong, headers=idle.bearer("mini-program"))
        assert (answer.status_code, answer.json()["field"]) == (422, next(iter(wrong)))


@ON_SQLITE
async def test_a_cursor_is_good_for_its_own_list_and_caller(idle: Doors) -> None:
    put(idle.house.database, CARRIER, *(row(CaseKind.RENEWAL, T0 + timedelta(hours=n)) for n in range(3)))
    cursor = (await page(idle, CARRIER, "renewals", limit=1))["next"]
    assert (await page(idle, CARRIER, "renewals", limit=1, after=cursor))["cases"]
    turned = cursor[:-2] + ("A" if cursor[-2] != "A" else "B") + cursor[-1]
    for who, query in (
        (CARRIER, {"after": cursor, "sort": "submitted"}),
        ("other-carrier", {"after": cursor}),
        (CARRIER, {"after": turned}),
        (CARRIER, {"after": "%%%"}),
        (CARRIER, {"after": "中文"}),
        (CARRIER, {"after": "AAAA"}),
    ):
        answer = await idle.http.get("/v1/renewals", params=query, headers=idle.bearer(who))
        assert (answer.status_code, answer.json()["field"]) == (422, "after"), query
