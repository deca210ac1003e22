"""The case desk: signing in, queues, what is looked for and kept, the keyboard, and one action on many cases."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import delete, insert

from domain.case import CaseKind
from domain.casework import Waiting
from runtime.stack import Stack
from store.database import Database
from store.projection import NEVER
from store.tables import worklist
from tests.cli.conftest import Terminal
from tests.pages.conftest import Site

CHEN, LIN, WU, QIAN, ZHAO = "worker-chen", "worker-lin", "supervisor-wu", "auditor-qian", "admin-zhao"
NUMBERS = ("13900040101", "13900040102", "13900040103")
NOBODY = "worker-nobody"
"""Whose the many cases are that no person has anything to do with."""

MANY = 60


@pytest.fixture(scope="module")
def disputes(running: Stack) -> list[str]:
    """Cases of three numbers that somebody can take on."""
    terminal = Terminal(running)
    return [terminal.dispute("muduo-youxiang", number=number)[0] for number in NUMBERS]


@pytest.fixture
def many(running: Stack) -> Iterator[list[str]]:
    """More cases than fit on a page, all of one worker, as far as the list knows."""
    database, now = Database(running.settings.database_url), datetime.now(UTC)
    rows = [
        {
            "case_id": f"Q{n:012}",
            "kind": CaseKind.QUERY.value,
            "status": "asking",
            "open": True,
            "waiting": Waiting.CITIZEN.value,
            "assignee": NOBODY,
            "due_at": (due := now + timedelta(hours=n - 10) if n else None),
            "due_order": due or NEVER,
            "paused": n == 2,
            "escalated": n == 3,
            "opened_at": now - timedelta(days=400, minutes=n),
            "masked_number": "139****0000",
        }
        for n in range(MANY)
    ]
    database.write_now(lambda c: c.execute(insert(worklist), rows))
    yield [str(row["case_id"]) for row in rows]
    database.write_now(lambda c: c.execute(delete(worklist).where(worklist.c.assignee == NOBODY)))
    database.close()


def shown(page: Page) -> list[str]:
    """The cases in the table, from the top."""
    return page.locator("table.cases tbody th").all_inner_texts()


def tick(page: Page, *cases: str) -> None:
    for case in cases:
        page.locator(f'input[name="case"][value="{case}"]').check()


def finding(page: Page) -> Page:
    """With everything shown that finds cases."""
    if page.locator("#find").get_attribute("open") is None:
        page.locator("#find > summary").click()
    return page


def do(page: Page, action: str, **fields: str) -> None:
    page.locator("#action").select_option(action)
    for name, value in fields.items():
        page.locator(f"#{name}").fill(value)
    page.locator("#bulk button").click()


# ── coming in ────────────────────────────────────────────────────────────────────────────────────────


def test_who_is_not_signed_in_comes_back_to_where_they_wanted(site: Site) -> None:
    page = site.open("/desk?queue=overdue&kind=dispute")
    assert "/sign-in?next=" in page.url and page.locator("h1").inner_text() == "登录"
    site.look(page, "sign-in")
    page.locator('a[href^="/sign-in/oidc"]').click()
    page.get_by_role("link", name=CHEN, exact=True).click()
    page.wait_for_url("**/desk?queue=overdue&kind=dispute")
    expect(page.locator(".counts a[aria-current]")).to_contain_text("逾期")
    expect(page.locator("#kind")).to_have_value("dispute")
    page.goto("/sign-in")
    expect(page.locator("dl.facts")).to_contain_text("坐席")
    site.look(page, "signed-in")
    page.locator('form[action="/sign-out"] button').click()
    page.goto("/desk")
    assert "/sign-in?next=" in page.url


@pytest.mark.parametrize(("code", "home"), [(QIAN, "/desk"), (ZHAO, "/sign-in")])
def test_people_begin_where_their_work_is(site: Site, code: str, home: str) -> None:
    page = site.open("/sign-in", scripts=False, language="en")
    assert page.locator("h1").inner_text() == "Sign in"
    page.locator('a[href^="/sign-in/oidc"]').click()
    page.get_by_role("link", name=code, exact=True).click()
    page.wait_for_url(f"{site.url}{home}")
    page.goto("/desk")
    if code == ZHAO:
        assert page.locator("h1").inner_text() == "That is not allowed"
    else:
        expect(page.locator("#bulk")).to_have_count(0)
        assert page.locator("h1").inner_text() == "Case desk"


def test_a_wrong_password_is_said_in_one_sentence_and_never_shown_again(site: Site) -> None:
    page = site.open("/sign-in", scripts=False)
    for name, value in {"account": CHEN, "password": "not this one", "one_time_code": "123456"}.items():
        page.locator(f"#{name}").fill(value)
    page.locator("form button").click()
    expect(page.locator("#error-account")).to_contain_text("账号、密码或动态验证码有误")
    assert page.locator("#account").input_value() == CHEN and page.locator("#password").input_value() == ""
    site.look(page, "sign-in-wrong", again=False)


# ── lists ────────────────────────────────────────────────────────────────────────────────────────────


def test_queues_filters_sorting_and_pages(site: Site, many: list[str]) -> None:
    page = site.sign_in(CHEN, f"/desk?assignee={NOBODY}", language="en")
    assert shown(page) == many[1:51]  # what is due first on top
    expect(page.locator("caption")).to_have_text("All open")
    expect(page.locator("tbody tr").nth(0)).to_contain_text("Overdue by ")
    expect(page.locator("tbody tr").nth(1)).to_contain_text("Paused")
    expect(page.locator("tbody tr").nth(2)).to_contain_text("Escalated")
    expect(page.locator("tbody tr").nth(10)).to_contain_text("in ")
    site.look(page, "desk")
    page.get_by_role("link", name="Next page").click()
    assert shown(page) == [*many[51:], many[0]]
    page.get_by_role("link", name="First page").click()
    assert shown(page) == many[1:51]
    due, opened = page.locator("thead th", has_text="Due"), page.locator("thead th", has_text="Opened")
    expect(due).to_have_attribute("aria-sort", "ascending")
    due.get_by_role("link").click()
    expect(due).to_have_attribute("aria-sort", "descending")
    assert shown(page)[:2] == [many[0], many[-1]]
    opened.get_by_role("link").click()
    expect(opened).to_have_attribute("aria-sort", "ascending")
    assert shown(page)[0] == many[-1] and due.get_attribute("aria-sort") is None

    page.locator("#waiting").select_option("case_worker")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("main .notice")).to_have_text("There is no such case.")
    page.locator("#waiting").select_option("citizen")
    page.locator("#due_before").fill("2020-01-01")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("#due_before")).to_have_value("2020-01-01")
    expect(page.locator("table.cases")).to_have_count(0)
    page.get_by_role("link", name="Without filters").click()
    assert page.url.endswith("/desk?queue=open")

    finding(page).locator("#reference").fill(many[7].lower())
    page.get_by_role("button", name="Filter").click()
    assert shown(page) == [many[7]]
    page.locator("#reference").fill("13900040101")
    page.locator("#assignee").fill("Worker Lin")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("#error-reference")).to_contain_text("a letter and 12 characters")
    expect(page.locator("#assignee")).to_have_value("Worker Lin")
    expect(page.locator("#error-assignee")).to_be_visible()


def test_the_cases_of_a_number_without_the_number_in_an_address(site: Site, disputes: list[str]) -> None:
    page = site.sign_in(LIN, scripts=False)
    finding(page).locator("#number").fill("139 0004")
    page.get_by_role("button", name="查找").click()
    expect(page.locator("#error-number")).to_contain_text("11 位")
    assert page.locator("#number").input_value() == "139 0004"
    page.locator("#number").fill("+86 139 0004 0102")
    page.get_by_role("button", name="查找").click()
    assert disputes[1] in shown(page) and disputes[0] not in shown(page)
    assert "0102" not in page.url
    site.look(page, "desk-number", again=False)
    expect(page.get_by_role("link", name=disputes[1])).to_have_attribute("href", f"/desk/case/{disputes[1]}")


def test_a_search_is_kept_for_oneself(site: Site) -> None:
    page = site.sign_in(CHEN)
    page.goto("/desk?queue=overdue&kind=dispute&sort=-due")
    keep = page.locator('form[action="/desk/searches"]')
    keep.locator("#name").fill("号码 13900040101")
    keep.get_by_role("button").click()
    expect(page.locator("#error-name")).to_contain_text("不得包含手机号码")
    expect(page.locator("#kind")).to_have_value("dispute")
    keep.locator("#name").fill("逾期异议")
    keep.get_by_role("button").click()
    page.goto("/desk")
    page.get_by_role("link", name="逾期异议").click()
    assert {"queue=overdue", "kind=dispute", "sort=-due"} == set(page.url.partition("?")[2].split("&"))
    expect(page.locator("#kind")).to_have_value("dispute")
    assert site.sign_in(LIN).get_by_role("link", name="逾期异议").count() == 0
    site.look(page, "desk-kept")
    finding(page).get_by_role("button", name="删除 逾期异议").click()
    expect(page.get_by_role("link", name="逾期异议")).to_have_count(0)


def test_the_list_as_a_table_for_a_spreadsheet(site: Site, many: list[str]) -> None:
    page = site.sign_in(QIAN, f"/desk?assignee={NOBODY}")
    href = page.get_by_role("link", name="导出此列表").get_attribute("href")
    rows = list(csv.reader(io.StringIO(page.request.get(f"{site.url}{href}").text())))
    assert sorted(row[0] for row in rows[1:]) == sorted(many)


def test_the_keyboard_is_enough(site: Site, many: list[str]) -> None:
    page = site.sign_in(CHEN, f"/desk?assignee={NOBODY}")

    def press(*keys: str) -> str:
        for key in keys:
            page.keyboard.press(key)
        return str(page.evaluate("document.activeElement.innerText || document.activeElement.id"))

    assert press("j") == many[1] and press("j", "ArrowDown") == many[3] and press("k") == many[2]
    press("x", "j", "x")
    expect(page.locator("#ticked")).to_have_text("已勾选 2 件")
    assert page.locator("tbody input:checked").evaluate_all("all => all.map(one => one.value)") == many[2:4]
    assert press("/") == "reference"
    press("j", "?", "x", "o")
    assert page.locator("#reference").input_value() == "j?xo" and "assignee" in page.url
    expect(page.locator("#ticked")).to_have_text("已勾选 2 件")
    page.locator("#reference").fill("")
    page.locator("h1").click()
    press("?")
    expect(page.locator("#keys dl")).to_be_visible()
    press("k")
    page.keyboard.press("o")
    page.wait_for_url(f"**/desk/case/{many[50]}")


# ── many at once ─────────────────────────────────────────────────────────────────────────────────────


def test_one_action_on_many_cases_says_what_it_was_not_done_on(site: Site, disputes: list[str]) -> None:
    lin = site.sign_in(LIN, "/desk?kind=dispute", scripts=False)
    do(lin, "claim")
    expect(lin.locator("#error-cases, #bulk .error").first).to_contain_text("请至少勾选一个案件")
    tick(lin, disputes[0])
    do(lin, "claim")
    expect(lin.locator(".notice.good")).to_contain_text("共 1 件，已完成 1 件")
    expect(lin.locator("tr", has_text=disputes[0])).to_contain_text(LIN)

    chen = site.sign_in(CHEN, "/desk?kind=dispute")
    tick(chen, *disputes)
    do(chen, "note")
    expect(chen.locator("#error-text")).to_be_visible()
    assert chen.locator("tbody input:checked").count() == 3
    do(chen, "claim")
    assert chen.locator("h1").inner_text() == "共 3 件，已完成 2 件"
    site.look(chen, "desk-bulk", again=False)
    (row,) = chen.locator("tbody tr").all()
    expect(row).to_contain_text(disputes[0])
    assert row.locator("input").is_checked()
    assert not re.search("[0-9]{11}", row.inner_text())
    chen.get_by_role("link", name="返回列表").click()
    expect(chen.locator("tr", has_text=disputes[1])).to_contain_text(CHEN)

    tick(chen, *disputes[1:])
    do(chen, "release")
    expect(chen.locator(".notice.good")).to_contain_text("共 2 件，已完成 2 件")
    wu = site.sign_in(WU, "/desk?kind=dispute", scripts=False)
    tick(wu, *disputes)
    do(wu, "assign", to="Chen!")
    expect(wu.locator("#error-to")).to_be_visible()
    do(wu, "assign", to=CHEN)
    expect(wu.locator(".notice.good")).to_contain_text("共 3 件，已完成 3 件")
    tick(wu, *disputes)
    do(wu, "release")
    expect(wu.locator(".notice.good")).to_be_visible()


def test_auditors_look_and_do_nothing(site: Site, disputes: list[str]) -> None:
    page = site.sign_in(QIAN, "/desk?kind=dispute", language="en")
    assert disputes[0] in shown(page)
    assert page.locator("tbody input").count() == 0 and page.locator("#bulk").count() == 0
    csrf = page.locator('input[name="csrf"]').first.get_attribute("value") or ""
    form: dict[str, Any] = {"csrf": csrf, "action": "claim", "case": disputes[0]}
    browser = {"accept": "text/html", "accept-language": "en"}
    refused = page.request.post(f"{site.url}/desk/bulk", form=form, headers=browser)
    assert refused.status == 403 and "That is not allowed" in refused.text()
    form["csrf"] = "made up"
    assert page.request.post(f"{site.url}/desk/find", form=form, headers=browser).status == 403
