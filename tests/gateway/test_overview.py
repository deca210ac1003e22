"""The overview's doors: the same numbers as JSON, as a page, as a chart and for a spreadsheet, and who may see them."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest
from sqlalchemy import insert, select

from domain import unbind
from domain.sla import SHANGHAI
from domain.unbind import Outcome
from gateway.held import MOST_MADE, Held
from gateway.overview import STEPS, Days, days
from gateway.pages import charts
from gateway.problems import ProblemError
from store.tables import audit_entries, worklist
from tests.gateway.conftest import Doors
from tests.gateway.test_figures import DAY, HOUR, Told, answered, asked, midnight

PARTS = ("enterprises", "attainment", "answers", "workers")


async def told(doors: Doors) -> None:
    """Three requests of push-0, one of push-1, and a case of a worker; counted."""
    stories, at = Told(doors), midnight(-6)
    overdue = unbind.WentOverdue(at=at + 5 * DAY, items=())
    late = answered(at + 6 * DAY, Outcome.KEPT)
    stories.request(at, [answered(at + 2 * HOUR, Outcome.UNBOUND)], [overdue, late], [overdue])
    stories.request(at, [answered(at + 30 * HOUR, Outcome.UNBOUND)], to="push-1")
    asked(doors, 1, at + 5 * DAY)
    case = {"case_id": "D0123456789AB", "kind": "dispute", "status": "open", "open": True, "waiting": "case_worker"}
    clock = {"due_at": at, "due_order": at, "paused": False, "escalated": False, "opened_at": at}
    row = {**case, **clock, "assignee": "worker-chen"}
    doors.house.database.write_now(lambda c: c.execute(insert(worklist), row))
    await doors.house.overview.count(doors.house.database)


async def get(doors: Doors, path: str, code: str = "supervisor-wu", **query: Any) -> httpx.Response:
    return await doors.http.get(path, params=query, headers=doors.bearer(code))


async def rows(doors: Doors, part: str, **query: Any) -> list[dict[str, str]]:
    found = await get(doors, f"/overview/{part}.csv", **query)
    assert found.status_code == 200 and found.text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(found.text.removeprefix("\ufeff"))))


async def test_the_same_numbers_as_json_and_for_a_spreadsheet(idle: Doors) -> None:
    await told(idle)
    since, until = midnight(-7).date(), midnight(1).date()
    answer = await get(idle, "/v1/overview", **{"from": str(since), "until": str(until)})
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert (said["from"], said["until"], len(said["periods"])) == (str(since), str(until), 8)
    ages = {"up_to_1_day": 0, "up_to_3_days": 1, "up_to_7_days": 0, "up_to_30_days": 0, "longer": 0}
    of_push = {"enterprise": "push-0", "open": 2, "due_soon": 1, "overdue": 1}
    assert said["enterprises"] == [{**of_push, "overdue_for": {**ages, **said["enterprises"][0]["overdue_for"]}}]
    assert sum(said["enterprises"][0]["overdue_for"].values()) == 1
    whole = [(one["enterprise"], one["in_time"], one["of"], one["share"]) for one in said["attainment"]]
    assert whole == [("", 2, 4, 0.5), ("push-0", 1, 3, 0.3333), ("push-1", 1, 1, 1.0)]
    assert [one["share"] for one in said["attainment"][1]["periods"]] == [None, 0.3333, *[None] * 6]
    took = {one["hours"]: (one["in_time"], one["late"]) for one in said["answers"]}
    assert took == {1: (0, 0), 4: (1, 0), 24: (0, 0), 48: (1, 0), 72: (0, 0), 120: (0, 0), 240: (0, 1), None: (0, 0)}
    workers = [{"assignee": "worker-chen", "open": 1, "due_soon": 0, "overdue": 1}]
    assert [one for one in said["workers"] if one["assignee"]] == workers

    period = {"from": str(since), "until": str(until)}
    (enterprise,) = await rows(idle, "enterprises", **period)
    assert {name: enterprise[name] for name in of_push} == {name: str(value) for name, value in of_push.items()}
    assert [row["share"] for row in await rows(idle, "attainment", **period)] == ["0.5", "0.3333", "1.0"]
    assert (await rows(idle, "attainment", **period))[1][str(since + timedelta(days=1))] == "0.3333"
    assert [row["late"] for row in await rows(idle, "answers", **period)] == list("00000010")
    assert {row["assignee"]: row["overdue"] for row in await rows(idle, "workers", **period)}["worker-chen"] == "1"
    entries = idle.house.database.read_now(lambda c: c.execute(select(audit_entries)).all())
    assert entries[0].actor == "supervisor:supervisor-wu" and entries[0].action == "exported"
    assert entries[0].detail == f"overview=enterprises from={since} until={until} rows=1"


async def test_charts_are_images_that_do_nothing(idle: Doors) -> None:
    await told(idle)
    for part in PARTS:
        found = await get(idle, f"/overview/{part}.svg")
        assert (found.status_code, found.headers["content-type"]) == (200, "image/svg+xml")
        assert found.headers["content-security-policy"] == charts.POLICY and "unsafe" not in charts.POLICY
        assert len(found.content) < 15_000
        drawn = ElementTree.fromstring(found.text)
        words = {element.tag.rpartition("}")[2] for element in drawn.iter()}
        assert words <= {"svg", "defs", "style", "g", "rect", "path", "line", "text", "circle", "tspan"}, words
        attributes = {name for element in drawn.iter() for name in element.attrib}
        assert not {name for name in attributes if name.startswith("on") or "href" in name or name == "style"}
        (style,) = [element for element in drawn.iter() if element.tag.endswith("style")]
        assert style.text == charts.STYLE and "http" not in charts.STYLE
        assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", found.text)


async def test_who_may_look_and_take_it_away(idle: Doors) -> None:
    await told(idle)
    readers = {"worker-chen": True, "supervisor-wu": True, "auditor-qian": True}
    others = {"admin-zhao": False, "push-0": False, "carrier": False, "mini-program": False}
    paths = ("/v1/overview", "/overview", "/overview/workers", "/overview/workers.svg", "/overview/workers.csv")
    for path in paths:
        for code, may in (readers | others).items():
            assert (await get(idle, path, code)).status_code == (200 if may else 403), (path, code)
        assert (await idle.http.get(path)).status_code == 401
    assert (await get(idle, "/overview/nothing")).status_code == 422


async def test_before_anything_is_counted(idle: Doors) -> None:
    found = await get(idle, "/v1/overview")
    assert (found.status_code, found.json()["code"], found.headers["retry-after"]) == (503, "counting", "5")
    page = await get(idle, "/overview")
    assert (page.status_code, page.headers["refresh"]) == (503, "3") and "正在统计数据" in page.text
    await idle.house.overview.count(idle.house.database)
    empty = (await get(idle, "/v1/overview")).json()
    assert empty["enterprises"] == empty["workers"] == [] and empty["attainment"][0]["share"] is None
    assert (await get(idle, "/overview")).status_code == 200


async def test_days_that_do_not_fit_are_said_beside_their_field(idle: Doors) -> None:
    await told(idle)
    first, last = str(midnight(-7).date()), str(midnight(1).date())
    for since, until in ((last, first), (first, first), (str(midnight(-500).date()), last), ("", "0001-01-03")):
        query = {name: day for name, day in (("from", since), ("until", until)) if day}
        assert (await get(idle, "/v1/overview", **query)).status_code == 422
        page = await get(idle, "/overview", **query)
        assert page.status_code == 422 and 'id="error-until"' in page.text and f'value="{until}"' in page.text
    page = await get(idle, "/overview", **{"from": "yesterday", "until": last})
    assert page.status_code == 422 and 'id="error-from"' in page.text and 'value="yesterday"' in page.text


@pytest.mark.parametrize(("many", "step"), [(1, 1), (14, 1), (15, 7), (28, 7), (98, 7), (99, 28), (366, 28)])
def test_periods_are_few_and_cover_every_day(many: int, step: int) -> None:
    since = midnight(-300).date()
    periods = Days(since, since + timedelta(days=many)).periods
    assert periods == [since + timedelta(days=n) for n in range(0, many, step)] and step in STEPS
    assert len(periods) <= 14


def test_what_is_left_out_is_the_last_four_weeks() -> None:
    today = midnight(0).astimezone(SHANGHAI).date()
    assert days(None, None, today) == Days(today - timedelta(days=27), today + timedelta(days=1))
    with pytest.raises(ProblemError):
        days(today - timedelta(days=367), None, today)


def test_what_is_made_of_a_count_is_made_once_and_bounded() -> None:
    held, made = Held(), []
    for number in (1, 1, *range(MOST_MADE + 50), MOST_MADE + 49):
        held.once(number, lambda: made.append(1))
    assert len(made) == MOST_MADE + 50
