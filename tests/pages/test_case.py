"""A case's page at the desk: what happened, how long it has, and what two people do with it in two browsers."""

from __future__ import annotations

import re
from itertools import count

import pytest
from playwright.sync_api import Locator, Page, expect

from runtime.stack import Stack
from tests.chaos.conftest import until
from tests.chaos.people import CHEN, LIN, SUPERVISOR, Partners
from tests.cli.conftest import Terminal
from tests.pages.conftest import Site

REFUSES = "muduo-youxiang"
"""An app whose enterprise refuses whatever it is asked."""

AUDITOR = "auditor-qian"
LATIN = re.compile(r"[a-z]{4,}")


@pytest.fixture(scope="module")
def terminal(running: Stack) -> Terminal:
    """Somebody who opens cases, with numbers no other test uses."""
    terminal = Terminal(running)
    terminal._numbers = count(13900050100)
    return terminal


@pytest.fixture(scope="module")
def case(terminal: Terminal) -> str:
    """A dispute that a case worker has to see to."""
    return terminal.with_case_worker(REFUSES)


def form(page: Page, name: str) -> Locator:
    """The form of an action, opened if it has to be."""
    found = page.locator(f"form:has(input[name=action][value={name}])")
    if page.locator(f"details#do-{name}:not([open])").count():
        page.locator(f"#do-{name} > summary").click()
    return found


def do(page: Page, name: str, **fields: str) -> None:
    """Fill a form in and send it."""
    one = form(page, name)
    for field, value in fields.items():
        box = one.locator(f"[name={name}-{field}]")
        if box.evaluate("box => box.tagName") == "SELECT":
            box.select_option(value)
        elif box.get_attribute("type") == "radio":
            one.locator(f"[name={name}-{field}][value={value}]").check()
        else:
            box.fill(value)
    one.locator("button").click()


def offered(page: Page) -> set[str]:
    """What the page offers to do."""
    return {str(one.get_attribute("value")) for one in page.locator("input[name=action]").all()}


def test_two_people_decide_in_two_browsers(site: Site, terminal: Terminal, case: str) -> None:
    chen = site.sign_in(CHEN, f"/desk/case/{case}")
    assert {"claim", "note", "pause", "escalate", "extend", "merge", "investigate"} <= offered(chen)
    assert not {"propose", "settle", "assign", "approve", "release", "resume", "reopen"} & offered(chen)
    site.look(chen, "desk-case")
    do(chen, "claim")
    expect(chen.get_by_role("status")).to_have_text("您已认领该案件。")
    assert {"propose", "settle", "release"} <= offered(chen) and "claim" not in offered(chen)

    do(chen, "note", text="", attachments="doc-17")
    expect(chen.get_by_role("alert")).to_contain_text("请填写内容")
    assert form(chen, "note").locator("[name=note-attachments]").input_value().strip() == "doc-17"
    site.look(chen, "desk-case-wrong", again=False)
    do(chen, "note", text="Called them.\nThey call back.")
    expect(chen.locator("#story")).to_contain_text("They call back. / doc-17")

    do(chen, "propose", decision=f"override:{REFUSES}", reason="The contract is older.")
    expect(chen.get_by_role("status")).to_contain_text("须由另一人同意")
    expect(chen.locator("#acts")).to_contain_text("该决定由您提出")
    assert not {"approve", "reject", "propose"} & offered(chen)
    site.look(chen, "desk-case-proposed")

    wu = site.sign_in(SUPERVISOR, f"/desk/case/{case}", language="en")
    expect(wu.locator("#acts")).to_contain_text("The contract is older.")
    expect(wu.locator("#acts")).to_contain_text(f"Proposed by {CHEN}")
    assert {"approve", "reject", "assign"} <= offered(wu)
    do(wu, "reject")
    expect(wu.get_by_role("status")).to_contain_text("void")
    expect(chen.locator("#story")).to_contain_text("该决定作废", timeout=15_000)
    assert "propose" in offered(chen), "the page freshened by itself"

    do(chen, "propose", decision=f"override:{REFUSES}", reason="It is, see the letter.")
    expect(wu.locator("#acts")).to_contain_text("see the letter", timeout=15_000)
    do(wu, "approve")
    expect(wu.get_by_role("status")).to_contain_text("it stands")
    until(lambda: terminal.claims(case)[REFUSES] != "with_case_worker")
    wu.goto(f"/desk/case/{case}")
    expect(wu.locator("#story")).to_contain_text(f"Approved what {CHEN} proposed")


def test_clocks_stop_and_go_on_and_two_tabs_do_not_collide(site: Site, terminal: Terminal) -> None:
    case = terminal.with_case_worker(REFUSES)
    lin = site.sign_in(LIN, f"/desk/case/{case}", scripts=False, language="en")
    expect(lin.locator("#head .clock").first).to_contain_text("Due in")
    other = lin.context.new_page()
    other.goto(f"/desk/case/{case}")
    do(lin, "pause", reason="Waits for a letter.")
    expect(lin.locator("#head")).to_contain_text("The clock stands")
    assert "resume" in offered(lin) and not {"pause", "extend"} & offered(lin)
    site.look(lin, "desk-case-paused")

    do(other, "extend", by="3", reason="More time is needed.")
    expect(other.get_by_role("alert")).to_contain_text("has changed since you opened this page")
    expect(other.locator("#acts")).to_contain_text("More time is needed.")
    expect(other.locator("#head")).to_contain_text("The clock stands")

    do(lin, "resume")
    do(lin, "extend", by="three", reason="More time is needed.")
    expect(lin.locator("#error-extend-by")).to_contain_text("a whole number of days")
    assert form(lin, "extend").locator("[name=extend-reason]").input_value().strip() == "More time is needed."
    do(lin, "extend", by="3")
    expect(lin.get_by_role("status")).to_have_text("The deadline is moved.")
    assert "extend" not in offered(lin), "a case worker extends once"


def test_who_may_only_look(site: Site, case: str, running: Stack) -> None:
    he = site.sign_in(AUDITOR, f"/desk/case/{case}")
    assert not offered(he)
    expect(he.locator("#acts")).to_contain_text("不能办理")
    he.get_by_role("link", name="留痕记录").click()
    expect(he.locator("h1")).to_have_text("留痕记录")
    he.locator("details > summary").first.click()
    assert "139****" in he.locator("pre").first.inner_text()
    site.look(he, "desk-case-events")
    sent = he.request.post(f"{site.url}/desk/case/{case}/act", form={"action": "claim"})
    assert sent.status == 403

    chen = site.sign_in(CHEN, f"/desk/case/{case}")
    assert not chen.get_by_role("link", name="留痕记录").count()
    assert chen.goto(f"/desk/case/{case}/events").status == 403  # type: ignore[union-attr]
    assert chen.goto("/desk/case/D0000000000ZZ").status == 404  # type: ignore[union-attr]

    nobody = site.open(f"/desk/case/{case}")
    assert "/sign-in" in nobody.url
    partners = Partners(running)
    assert partners.get(SUPERVISOR, f"/v1/cases/{case}/events", limit=2)["next"] == 2
    assert partners.get(CHEN, f"/v1/cases/{case}/requests")["questions"]


def test_on_paper_a_case_is_its_story(site: Site, case: str) -> None:
    page = site.sign_in(CHEN, f"/desk/case/{case}")
    page.emulate_media(media="print")
    assert page.locator("#story").is_visible() and page.locator(".clock").count() <= 2
    assert not page.locator("#acts").is_visible() and not page.locator("header.site").is_visible()


def test_every_kind_has_its_page(site: Site, terminal: Terminal, running: Stack) -> None:
    partners = Partners(running)
    complaint = terminal.complaint("not_done", "wechat")
    wu = site.sign_in(SUPERVISOR, f"/desk/case/{complaint}")
    assert {"route", "investigate", "propose"} - {"propose"} <= offered(wu)
    site.look(wu, "desk-case-complaint")
    do(wu, "investigate", parties="tencent:wechat, sandbox-mobile", question="When was it unbound?")
    expect(wu.get_by_role("status")).to_contain_text("协查")
    assert re.search(r"/desk/case/X[0-9A-Z]{12}", wu.url)
    expect(wu.locator("#claims")).to_contain_text("腾讯")
    site.look(wu, "desk-case-investigation")
    (followed,) = partners.get(CHEN, f"/v1/cases/{complaint}")["links"][:1]
    wu.goto(f"/desk/case/{followed}")
    expect(wu.locator("h1")).to_contain_text(followed)
    assert not LATIN.search(
        re.sub(r"[A-Za-z0-9-]*-[a-z0-9-]+|wechat|tencent|http_\d+", "", wu.locator("#story").inner_text())
    )


def test_a_request_that_is_overdue_is_marked(site: Site, terminal: Terminal) -> None:
    words = ("renew", "--activated-on", "2026-08-01", "--apps", "banxia-zhaopin", "--json")
    case = terminal(*words, "--number", terminal.number()).json["case"]
    page = site.sign_in(CHEN, f"/desk/case/{case}")

    def marked() -> int:
        page.reload()
        return page.locator("main .tag.bad", has_text="逾期").count()

    until(marked, limit=90, every=1)
    site.look(page, "desk-case-overdue")
