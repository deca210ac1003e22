"""The supervisor's overview in a browser: charts that are drawn, their numbers, and what is downloaded."""

from __future__ import annotations

import csv
import io
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from domain.sla import SHANGHAI
from runtime.stack import Stack
from tests.chaos.people import CARRIER, Partners
from tests.pages.conftest import Site

SECONDS = 150
WORKER = "worker-chen"
PARTS = ("enterprises", "attainment", "answers", "workers")


@pytest.fixture(scope="module")
def counted(running: Stack) -> str:
    """An enterprise that is asked and stays silent, and is counted as one that did not answer in time."""
    partners, now = Partners(running), datetime.now(UTC)
    body = {
        "number": "13900060101",
        "id_tail": "15106X",
        "activated_at": (now - timedelta(days=60)).isoformat(),
        "apps": ["wayan-zhaopin"],
        "identity": {"checked_by": "counter-7", "method": "counter", "checked_at": now.isoformat()},
    }
    partners.post(CARRIER, "/v1/renewals", body)
    until = time.monotonic() + SECONDS
    while "silent-01" not in [one["enterprise"] for one in partners.get(WORKER, "/v1/overview")["attainment"]]:
        assert time.monotonic() < until, "it was not counted"
        time.sleep(0.5)
    return "silent-01"


def told(page: Page) -> dict[str, Any]:
    """The API's numbers, of the same count as the page's."""
    for _ in range(5):
        page.reload()
        found: dict[str, Any] = page.request.get("/v1/overview").json()
        at = page.locator("main p.hint time").first.get_attribute("datetime")
        if at and datetime.fromisoformat(at) == datetime.fromisoformat(found["as_of"]):
            return found
    raise AssertionError("the page and the API are never of the same count")


def cells(page: Page, part: str) -> list[list[str]]:
    """The numbers under a chart, row by row."""
    page.locator(f"section:has(#{part}) summary").click()
    rows = page.locator(f"section:has(#{part}) tbody tr").all()
    return [row.locator("th, td").all_inner_texts() for row in rows]


def test_the_charts_stand_over_the_numbers_of_the_api(site: Site, counted: str) -> None:
    page = site.sign_in("supervisor-wu", "/overview", language="en")
    expect(page.locator("h1")).to_have_text("Overview")
    said = told(page)
    for part in PARTS:
        image = page.locator(f"section:has(#{part}) img")
        image.scroll_into_view_if_needed()
        expect(image).to_have_js_property("complete", True)
        assert image.evaluate("image => image.naturalWidth") > 0 and image.get_attribute("alt")
    rows = cells(page, "enterprises")
    assert [[int(cell.replace(",", "")) for cell in row[1:4]] for row in rows] == [
        [one["open"], one["due_soon"], one["overdue"]] for one in said["enterprises"][:12]
    ]
    answers = [[one["in_time"], one["late"]] for one in said["answers"]]
    assert [[int(cell) for cell in row[1:]] for row in cells(page, "answers")] == answers
    whole = said["attainment"][0]
    shares = [None if cell == "–" else cell for cell in cells(page, "attainment")[0][3:]]
    assert shares == [None if one["share"] is None else f"{one['share']:.1%}" for one in (whole, *whole["periods"])]
    totals = page.locator(".counts b").all_inner_texts()
    assert [int(one.replace(",", "")) for one in totals] == [
        sum(one[name] for one in said["enterprises"]) for name in ("open", "due_soon", "overdue")
    ]
    site.look(page, "overview")


def test_days_are_chosen_and_a_table_is_taken_away(site: Site, counted: str, tmp_path: Path) -> None:
    page = site.sign_in("supervisor-wu", "/overview", scripts=False)
    since, until = page.locator("#from").input_value(), page.locator("#until").input_value()
    with page.expect_download() as download:
        page.locator("section:has(#attainment) a", has_text="CSV").click()
    assert download.value.suggested_filename == f"attainment-{since}-{until}.csv"
    download.value.save_as(tmp_path / "table.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "table.csv").read_text(encoding="utf-8-sig"))))
    assert counted in [row["enterprise"] for row in rows]
    page.locator("#until").fill(since)
    page.get_by_role("button", name="查看").click()
    expect(page.locator("#error-until")).to_contain_text("结束日期须晚于开始日期")
    site.look(page, "overview-wrong")
    first = datetime.now(SHANGHAI).date() - timedelta(days=9)
    page.locator("#from").fill(str(first))
    page.locator("#until").fill(str(first + timedelta(days=7)))
    page.get_by_role("button", name="查看").click()
    page.locator("section:has(#attainment) summary").click()
    heads = page.locator("section:has(#attainment) thead th").all_inner_texts()
    week = [first + timedelta(days=n) for n in range(7)]
    assert heads[4:] == [f"{day.month}月{day.day}日" for day in week]
    page.goto("/overview/attainment")
    assert page.locator("tbody tr").count() >= 1
    site.look(page, "overview-attainment")


def test_a_chart_by_itself_may_do_nothing_and_breaks_no_rule(site: Site, counted: str) -> None:
    """Opened as a document its own policy counts: were its style not the one that is allowed, the browser would say so."""
    page = site.sign_in("auditor-qian", "/overview")
    page.goto("/overview/enterprises.svg")
    background = page.locator("path, rect").first.evaluate("element => getComputedStyle(element).fill")
    assert page.locator("script").count() == 0 and background
    font = page.locator("text").first.evaluate("element => getComputedStyle(element).fontSize")
    assert font == "17px"
