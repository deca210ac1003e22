"""The citizen before the site: check my number, the code, follow, take back, hotlines; with scripts and without."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import cast
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Page, expect

from domain.citizen import Words
from domain.messages import Language
from domain.registry import load
from gateway.my_case import MyApp
from gateway.pages import hotlines, own
from gateway.pages import page as pages
from runtime.stack import SANDBOX_REGISTRY
from sandbox.carriers import WRONG_TAIL
from tests.chaos.conftest import until
from tests.chaos.people import CARRIER, Partners
from tests.pages.conftest import Site

TAIL = "15106X"
CODE = re.compile(r"(?:验证码|code is )([0-9]{6})")
RESULT_MS = 60_000
TO_FOLLOW = re.compile(r"/follow\?reference=Q[0-9A-Z]{12}$")


def begin(page: Page, number: str, tail: str = TAIL, target: str = "accounts") -> None:
    """Fill in the start page and send it."""
    page.goto("/")
    page.locator("#number").fill(number)
    page.locator("#id_tail").fill(tail)
    page.locator(f"#target-{target}").check()
    page.locator("form[action='/'] button").click()


def code(site: Site, number: str, sent: int = 1) -> str:
    """The last code on a phone, once so many came."""

    def newest() -> str | None:
        found = [one[1] for text in site.phone(number) if (one := CODE.search(text))]
        return found[-1] if len(found) >= sent else None

    return until(newest)


def enter(page: Page, word: str) -> None:
    """Send a code."""
    page.locator("#code").fill(word)
    page.locator("main form button").first.click()


def reference(page: Page) -> str:
    """The case whose page this is."""
    found: str = urlsplit(page.url).path.rpartition("/")[2]
    return found


def follow(site: Site, page: Page, case: str, number: str) -> None:
    """From the form with the reference in it to the case."""
    before = len(CODE.findall(" ".join(site.phone(number))))
    page.locator("#reference").fill(case)
    page.locator("#id_tail").fill(TAIL)
    page.locator("form[action='/follow'] button").click()
    expect(page.locator("h1")).to_have_text(re.compile("填写验证码|Enter the code"))
    enter(page, code(site, number, before + 1))


# ── a query ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.timeout(300)
def test_a_query_from_the_number_to_the_short_message(site: Site) -> None:
    """The page is not touched after the code: it becomes the result by itself."""
    number, page = "13900010101", site.open()
    site.look(page, "citizen-start")
    begin(page, number)
    expect(page.locator("main")).to_contain_text("139****0101")
    site.look(page, "citizen-code")
    enter(page, code(site, number))
    page.wait_for_url("**/case/Q*?new=1")
    case = reference(page)
    expect(page.get_by_text("刷新页面可查看最新进展")).not_to_be_visible()
    expect(page.locator(".panel")).to_contain_text(case)
    expect(page.locator(".panel h1")).to_have_text("查询已受理")
    expect(page.locator("#case-state")).to_contain_text("全部应用答复后短信告知结果")
    expect(page.locator("#case-state time")).to_have_count(1)
    site.look(page, "citizen-query-taken")
    expect(page.locator("#case-state .tag")).to_have_text(re.compile("结果已短信告知|已办结"), timeout=RESULT_MS)
    (text,) = until(lambda: [one for one in site.phone(number) if case in one])
    total = re.search(r"共查到(\d+)个", text)
    assert total is not None
    expect(page.locator("#case-parts")).to_contain_text(f"目前查到{total[1]}个")
    expect(page.locator("#group-no_reply td.number")).to_have_text("–")
    assert number not in page.content() and TAIL not in page.content()
    page.reload()  # what it fetched to stay fresh is not its weight
    site.look(page, "citizen-query-result")

    page.get_by_role("link", name="English").click()
    assert reference(page) == case
    expect(page.locator("#case-state .tag")).to_have_text(re.compile("You were sent the result|Closed"))
    expect(page.locator("tr th[scope=row]", has_text="WeChat")).to_have_count(1)
    expect(page.get_by_role("link", name="Some of these are not mine")).to_have_attribute(
        "href", f"/case/{case}/dispute"
    )


def test_wholly_without_scripts_and_in_english(site: Site) -> None:
    """To the result by reloading; then asked again, followed from another browser, and forgotten."""
    number, page = "13900010102", site.open(scripts=False, language="en")
    begin(page, number, target="cards")
    site.look(page, "citizen-code-plain")
    enter(page, code(site, number))
    expect(page.locator(".panel h1")).to_have_text("We have your query")
    expect(page.get_by_text("Reload the page to see news")).to_be_visible()
    case = reference(page)
    until(
        lambda: page.reload() and page.get_by_text(re.compile("You were sent the result|Closed")).count(),
        RESULT_MS / 1000,
    )
    text = until(lambda: next((one for one in site.phone(number) if case in one), None))
    assert "139****0102" in text and number not in text
    expect(page.locator("#case-parts")).to_contain_text("2 of 2 have answered")

    again = site.open(scripts=False, language="en")
    begin(again, number, target="cards")
    enter(again, code(site, number, 2))
    expect(again.locator("h1")).to_have_text("This was asked within the last 24 hours")
    expect(again.locator("main time")).to_have_count(1)
    site.look(again, "citizen-one-a-day", again=False)

    foreign = site.open(f"/case/{case}", scripts=False, language="en")
    assert TO_FOLLOW.search(foreign.url) and foreign.locator("#reference").input_value() == case
    for path in ("events", "withdraw"):
        assert foreign.request.get(f"/case/{case}/{path}").status == 401
    follow(site, foreign, case, number)
    assert foreign.url.endswith(f"/case/{case}")
    foreign.get_by_role("button", name="Forget me on this device").click()
    expect(foreign.get_by_role("status")).to_contain_text("has forgotten your case")
    assert TO_FOLLOW.search((foreign.goto(f"/case/{case}") and foreign.url) or "")
    page.reload()
    assert reference(page) == case, "the other browser's visit goes on"


def test_many_apps_are_grouped_and_weigh_little() -> None:
    """Not those that answered first, but those something was found at; no answer is never counted as none."""
    answered = [app(n, "counted", n % 3) for n in range(150)]
    rest = [app(n, "pending") for n in range(150, 220)] + [app(220, "no_reply")]
    page = cast(pages.Page, SimpleNamespace(_=str, language=Language.EN))
    found = own.groups(page, [*rest, *answered])
    assert [(one.key, len(one.apps)) for one in found] == [
        ("found", 100),
        ("pending", 70),
        ("none", 50),
        ("no_reply", 1),
    ]
    assert [one.count for one in found[0].apps] == [2] * 50 + [1] * 50
    drawn = pages.environment(Language.ZH).get_template("case_apps.html")
    my = SimpleNamespace(kind="query", apps=[*rest, *answered])
    said = {"groups": found, "many": True, "answered": [1, 2], "tones": own.TONES, "name": lambda one: one.name}
    assert 221 * 100 < len(drawn.render(my=my, **said).encode()) < 60_000


def app(n: int, state: str, count: int | None = None) -> MyApp:
    what = Words(zh=f"状态{state}", en=state)
    return MyApp(app=f"app-{n}", name=f"应用程序{n}", hotline="400-000-0001", state=state, what=what, count=count)


# ── what does not fit ────────────────────────────────────────────────────────────────────────────────────


def test_each_error_stands_beside_its_field_and_nothing_is_lost(site: Site) -> None:
    page = site.open()
    begin(page, "1390001", "99", target="cards")
    assert page.locator("#number").get_attribute("aria-describedby") == "error-number hint-number"
    expect(page.locator("#error-number")).to_contain_text("11位数字")
    expect(page.locator("#error-id_tail")).to_contain_text("后六位")
    assert page.locator("#number").input_value() == "1390001" and page.locator("#id_tail").input_value() == "99"
    expect(page.locator("#target-cards")).to_be_checked()
    assert page.title().startswith("有误")
    site.look(page, "citizen-start-errors", again=False)
    page.get_by_role("alert").get_by_role("link").first.click()
    assert page.evaluate("() => document.activeElement.id") == "number"
    page.goto("/follow")
    page.locator("form[action='/follow'] button").click()
    expect(page.locator(".error")).to_have_count(2)


def test_wrong_codes_are_counted_and_end_the_check(site: Site) -> None:
    number, page = "13900010103", site.open()
    begin(page, number)
    right = code(site, number)
    enter(page, "12 34")
    expect(page.locator("#error-code")).to_contain_text("六位数字")
    assert page.locator("#code").input_value() == "1234"
    expect(page.locator("main")).to_contain_text("还可尝试5次")
    page.get_by_role("button", name="重新获取验证码").click()
    expect(page.locator("#error-resend")).to_contain_text("验证码刚刚发送")
    site.look(page, "citizen-code-errors", again=False)
    page.get_by_role("link", name="English").click()
    expect(page.locator("h1")).to_have_text("Enter the code")
    for left, one in zip(range(4, -1, -1), wrong_ones(right), strict=True):
        enter(page, one)
        if left:
            expect(page.locator("main")).to_contain_text(f"Tries left: {left}")
            expect(page.locator("#error-code")).to_contain_text("The code is wrong")
    expect(page.locator("h1")).to_have_text("Too many wrong codes")
    site.look(page, "citizen-code-locked")
    page.get_by_role("link", name="Start anew").click()
    assert urlsplit(page.url).path == "/"
    begin(page, number)
    expect(page.locator("#error-number")).to_contain_text("A code was sent a moment ago")


def wrong_ones(right: str) -> list[str]:
    """Five codes that are not this one."""
    return [f"{(int(right) + n) % 1_000_000:06}" for n in range(1, 6)]


@pytest.mark.parametrize(
    ("number", "tail", "title", "hotline"),
    [
        ("13900010006", TAIL, "该号码已销户", "400-000-0001"),
        ("13900010104", WRONG_TAIL, "手机号码与身份证信息不符", ""),
    ],
)
def test_what_the_carriers_say_no_to(site: Site, number: str, tail: str, title: str, hotline: str) -> None:
    page = site.open()
    begin(page, number, tail)
    enter(page, code(site, number))
    expect(page.locator("h1")).to_have_text(title)
    expect(page.locator("main time")).to_have_count(0 if hotline else 1)
    expect(page.locator(f"main a[href='tel:{hotline}']")).to_have_count(1 if hotline else 0)
    site.look(page, "citizen-cancelled" if hotline else "citizen-mismatch")


def test_a_form_sent_twice_before_its_answer_begins_one_check(site: Site) -> None:
    number = "13900010105"
    with httpx.Client(base_url=site.url, trust_env=False) as browser:
        first = browser.get("/", headers={"accept": "text/html"})
        csrf = re.search(r'name="csrf" value="([^"]+)"', first.text)
        assert csrf is not None
        form = {"csrf": csrf[1], "number": number, "id_tail": TAIL, "target": "accounts"}
        cookies = dict(browser.cookies)
        sent = [httpx.post(f"{site.url}/", data=form, cookies=cookies, trust_env=False) for _ in range(2)]
    assert [one.status_code for one in sent] == [303, 303]
    assert len({one.headers["location"] for one in sent}) == 1
    assert httpx.post(f"{site.url}/", data={**form, "csrf": "x"}, cookies=cookies, trust_env=False).status_code == 403
    elsewhere = httpx.get(
        f"{site.url}{sent[0].headers['location']}", headers={"accept": "text/html"}, trust_env=False
    )
    assert elsewhere.status_code == 404, "another browser's check"


# ── follow, and take back ────────────────────────────────────────────────────────────────────────────────


def test_a_reference_that_is_none_is_told_apart_by_nobody(site: Site) -> None:
    """The pages for a case and for no case differ in the check's own name, times and secrets only."""
    number = "13900010106"
    partners = Partners(site.stack)
    case = renewal(partners, number)
    seen = []
    for one in (case, "R0123456789AB"):
        page = site.open(f"/follow?reference={one}", scripts=False, language="en")
        page.locator("#id_tail").fill(TAIL)
        page.locator("form[action='/follow'] button").click()
        if one == case:
            right = code(site, number)
        said = [page.content()]
        enter(page, wrong_ones(right)[0])
        expect(page.locator("#error-code")).to_contain_text("4 tries are left")
        said.append(page.content())
        seen.append([anonymous(one) for one in said])
    assert seen[0] == seen[1]


def anonymous(page: str) -> str:
    """A page without what is different each time it is drawn."""
    page = re.sub(r"K[0-9A-Z]{12}|value=\"[^\"]*\"|datetime=\"[^\"]*\"", "", page)
    return re.sub(r"\d+ (seconds|minutes?)|\d+ Nov 2026, \d\d:\d\d|\d+ \w{3} \d{4}, \d\d:\d\d", "", page)


def renewal(partners: Partners, number: str) -> str:
    """A renewal as a carrier hands it in; its reference."""
    now = datetime.now(UTC)
    body = {
        "number": number,
        "id_tail": TAIL,
        "activated_at": (now - timedelta(days=60)).isoformat(),
        "apps": ["wechat", "taobao"],
        "identity": {"checked_by": "counter-7", "method": "counter", "checked_at": now.isoformat()},
    }
    return str(partners.post(CARRIER, "/v1/renewals", body)["case"])


def test_a_case_is_taken_back_after_asking(site: Site) -> None:
    """Its carrier will never know the number, so that no enterprise has begun."""
    number = "13900010003"
    case = renewal(Partners(site.stack), number)
    page = site.open("/follow")
    site.look(page, "citizen-follow")
    follow(site, page, case, number)
    page.wait_for_url(f"**/case/{case}")
    page.get_by_role("link", name="撤回本案").click()
    expect(page.locator("main")).to_contain_text("139****0003")
    site.look(page, "citizen-withdraw")
    page.get_by_role("link", name="否，返回案件").click()
    page.get_by_role("link", name="撤回本案").click()
    page.get_by_role("button", name="是，撤回").click()
    assert reference(page) == case
    expect(page.locator("#case-state .tag")).to_have_text("已撤回")
    expect(page.get_by_role("link", name="撤回本案")).to_have_count(0)
    page.goto(f"/case/{case}/withdraw")
    expect(page.get_by_role("button", name="是，撤回")).to_have_count(0)


# ── hotlines ─────────────────────────────────────────────────────────────────────────────────────────────


def test_hotlines_are_found_by_app_or_enterprise(site: Site) -> None:
    page = site.open("/hotlines", scripts=False)
    page.locator("#q").fill("微信")
    page.get_by_role("button", name="搜索").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("tbody tr")).to_contain_text("0755-83765566")
    page.goto("/hotlines?q=nobody-is-called-so")
    expect(page.get_by_role("status")).to_contain_text("没有找到")
    site.look(site.open("/hotlines"), "citizen-hotlines")


def test_a_word_finds_an_enterprise_in_either_language() -> None:
    registry = load(SANDBOX_REGISTRY.read_text(), {"SANDBOX_URL": "http://127.0.0.1:1"})
    for word in ("腾讯", "tencent", "WeChat", " 微信 "):
        assert [one.hotline for one in hotlines.found(registry, word, Language.ZH)] == ["0755-83765566"]
    assert len([*hotlines.found(registry, "", Language.EN)]) == len(registry.enterprises)
