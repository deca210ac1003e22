"""An enterprise's clerk: by the mailed link and signed in, with scripts and without, one and many and by a file."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from runtime.api import Api
from tests.pages.conftest import Site

CLERK, ENTERPRISE, APP, OTHERS = "clerk-sun", "mail-04", "taiyuan-maicai", "shisui-luntan"
LINK = re.compile(r"https?://\S+(/m/\S+)")


def handed_in(site: Site, *numbers: str, apps: tuple[str, ...] = (APP,)) -> list[str]:
    """Renewals over the clerk's app; their cases, once the enterprise has its mails."""
    api, now = Api.from_folder(site.stack.folder, None, None), datetime.now(UTC)
    before = len(mails(site))
    cases = [api.renew(one, now - timedelta(days=60), list(apps), "15106X", now, f"work-{one}") for one in numbers]
    until = time.monotonic() + 30
    while len(mails(site)) < before + len(numbers) and time.monotonic() < until:
        time.sleep(0.2)
    return cases


def mails(site: Site) -> list[str]:
    """What the enterprise was mailed about new work."""
    seen = httpx.get(f"{site.stack.world}/world/state", trust_env=False).json()["mails"]
    return [one["text"] for one in seen if f"{ENTERPRISE}@sandbox.example" in one["to"] and "核实" in one["text"]]


def state(site: Site, case: str) -> str:
    (app,) = Api.from_folder(site.stack.folder, None, None).show(case)["apps"]
    return str(app["state"])


@pytest.mark.parametrize("scripts", [True, False])
def test_a_clerk_answers_from_the_mailed_link(site: Site, scripts: bool) -> None:
    (case,) = handed_in(site, f"1390007100{int(scripts)}")
    (link,) = LINK.findall(mails(site)[-1])
    page = site.open(link, scripts=scripts)
    assert page.locator("h1").inner_text() == "解绑工单" and "139****" in page.locator("main").inner_text()
    site.look(page, "work-mailed")
    page.get_by_role("combobox").select_option(label="受理，稍后反馈")
    page.get_by_role("button", name="提交").click()
    expect(page.get_by_role("status")).to_contain_text("已记录 1 项")
    page.get_by_role("link", name="English").click()
    assert page.url.endswith(link)
    page.get_by_role("combobox").select_option("kept/holder_confirmed")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("status")).to_contain_text("1 recorded")
    assert state(site, case) == "kept"
    site.look(page, "work-mailed-answered", again=False)
    page.goto("/m/rubbish")
    assert page.locator("h1").inner_text() == "The link cannot be opened"
    site.look(page, "work-bad-link")


def test_a_clerk_answers_many_and_one_that_is_refused_says_why(site: Site) -> None:
    cases = handed_in(site, "13900072001", "13900072002", "13900072003", "13900072004")
    page = site.sign_in(CLERK, "/work")
    assert "苔原买菜科技" in page.locator("h1").inner_text()
    site.look(page, "work-list")
    page.get_by_role("button", name="提交").click()
    expect(page.locator("#error-ticked, .summary").first).to_contain_text("请至少勾选一个工单")
    site.look(page, "work-list-nothing-ticked", again=False)
    page.get_by_label("全选").check()
    row(page, "2004").get_by_role("checkbox").uncheck()
    withdrawn = Api.from_folder(site.stack.folder, None, None)
    withdrawn.withdraw(cases[1])
    page.get_by_label("对已勾选工单的反馈").select_option("not_found/no_binding")
    page.get_by_role("button", name="提交").click()
    expect(page.get_by_role("alert")).to_contain_text("已记录 2/3 项")
    expect(page.get_by_role("alert")).to_contain_text(re.compile("已撤回|已办结"))
    assert page.get_by_label("对已勾选工单的反馈").input_value() == "not_found/no_binding"
    site.look(page, "work-list-refused", again=False)
    *answered, left = (state(site, case) for case in cases)
    assert answered == ["not_found", "withdrawn", "not_found"] and left in ("delivered", "overdue")

    assert not row(page, "2004").get_by_role("checkbox").is_checked()


def test_a_clerk_answers_one_and_corrects_it(site: Site) -> None:
    (case,) = handed_in(site, "13900072005")
    page = site.sign_in(CLERK, "/work")
    row(page, "2005").get_by_role("link").click()
    site.look(page, "work-item")
    for outcome, reason in (("exempt/legal_hold", "exempt"), ("unbound", "unbound")):
        page.get_by_role("combobox").select_option(outcome)
        page.get_by_role("button", name="提交").click()
        expect(page.get_by_role("status")).to_contain_text("已记录")
        assert state(site, case) == reason


def row(page: Page, last: str) -> Locator:
    """The row of a number that ends so."""
    return page.locator("tbody tr", has_text=f"139****{last}")


def test_a_clerk_sends_a_file_and_sees_figures_without_scripts(site: Site, tmp_path: Path) -> None:
    (case,) = handed_in(site, "13900073001")
    page = site.sign_in(CLERK, "/work", scripts=False)
    page.get_by_role("link", name="用文件反馈").click()
    site.look(page, "work-upload")
    page.get_by_role("button", name="提交").click()
    expect(page.get_by_role("alert")).to_contain_text("请选择文件")
    template = page.request.get("/work/items.csv").text()
    assert template.startswith("\ufeffwork_item,app,subject,due_at,outcome,reason")
    ours = [
        line.removesuffix(",,") + ",kept,holder_confirmed" for line in template.splitlines() if "****3001" in line
    ]
    filled = [template.splitlines()[0], *ours, "W00000000000000000000,,,,unbound,"]
    (tmp_path / "answers.csv").write_text("\r\n".join(filled))
    page.locator("#file").set_input_files(tmp_path / "answers.csv")
    page.get_by_role("button", name="提交").click()
    expect(page.get_by_role("alert")).to_contain_text("已记录 1/2 项")
    expect(page.locator("table")).to_contain_text("没有这个工单")
    site.look(page, "work-uploaded", again=False)
    assert state(site, case) == "kept"
    page.get_by_role("link", name="统计").click()
    expect(page.get_by_role("row", name="收到").first).to_be_visible()
    site.look(page, "work-figures")


def test_a_clerk_sees_nothing_of_others(site: Site) -> None:
    handed_in(site, "13900074001", apps=(APP, OTHERS))
    other = another_enterprises_item(site)
    page = site.sign_in(CLERK, "/work", language="en")
    expect(page.locator("main")).not_to_contain_text("Shisui")
    counts = page.locator("#counts")
    before = counts.inner_text()
    handed_in(site, "13900074002")
    expect(counts).not_to_have_text(before, use_inner_text=True)  # told of by the server; the list stays as it was
    expect(row(page, "4002")).to_have_count(0)
    page.goto(f"/work/item/{other}")
    expect(page.locator("h1")).to_have_text("There is no such page")
    for path in ("/desk", "/overview"):
        assert (shown := page.goto(path)) and shown.status == 403
    worker = site.sign_in("worker-chen", "/desk")
    assert (shown := worker.goto("/work")) and shown.status == 403


def another_enterprises_item(site: Site) -> str:
    """A work item of the enterprise the other app is of, from its own mail."""
    seen = httpx.get(f"{site.stack.world}/world/state", trust_env=False).json()["mails"]
    text = [one["text"] for one in seen if "mail-03@sandbox.example" in one["to"]][-1]
    found = re.search(r'name="outcome-(W\w+)"', httpx.get(site.url + LINK.findall(text)[-1], trust_env=False).text)
    assert found
    return found[1]
