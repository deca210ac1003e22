"""A holder renews a second-hand number: all apps, followed to the end while enterprises answer; and a few ticked by
search without JavaScript."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from gateway.pages.renewal import ALL, apps_of, word_of
from tests.chaos.conftest import until
from tests.pages.conftest import Site

ID_TAIL = "15106X"
CODE = re.compile(r"验证码([0-9]{6})")
CASE = re.compile(r"/case/(R[0-9A-Z]{12})")
TO_THE_END_MS = 90_000
"""The slowest enterprise's last word, and the short message that tells of it."""

CODES = tuple(f"app-{n}" for n in range(230))


@pytest.mark.parametrize("ticked", [(), CODES[:1], CODES[-1:], CODES[3:40:3], CODES[:-1], CODES], ids=len)
def test_a_word_for_what_is_ticked(ticked: tuple[str, ...]) -> None:
    word = word_of(CODES, ticked)
    assert apps_of(CODES, word) == ticked
    assert len(word) <= 50 and (word == ALL) is (ticked == CODES)
    if word != ALL:
        assert apps_of((*CODES, "one-more"), word) is None and apps_of(tuple(reversed(CODES)), word) is None


@pytest.mark.parametrize("word", ["", "x", ".", "nonsense.", "all.all", "12345678.____", "é.ü", "a" * 4000])
def test_what_is_no_word_of_ours(word: str) -> None:
    assert apps_of(CODES, word) is None


def prove(site: Site, page: Page, number: str) -> str:
    """Number, ID tail, code; the case that it leads to."""
    page.locator("#number").fill(number)
    page.locator("#id_tail").fill(ID_TAIL)
    page.get_by_role("button", name="发送验证码").click()
    page.wait_for_url("**/check/**")
    codes = until(lambda: [found[1] for text in site.phone(number) if (found := CODE.search(text))])
    page.locator("#code").fill(codes[-1])
    page.locator("main form button").first.click()
    page.wait_for_url("**/case/**")
    found = CASE.search(page.url)
    assert found, page.url
    return found[1]


def of_ours(site: Site, number: str) -> list[str]:
    """The short messages a number got that are no codes."""
    return [text for text in site.phone(number) if not CODE.search(text)]


def unbound(page: Page) -> int:
    """How many apps are, as the group says."""
    return int(page.locator("#sum-unbound .hint").inner_text())


def listed(page: Page) -> int:
    """How many apps the groups have in all."""
    return int(page.evaluate("() => document.querySelectorAll('.group li').length"))


@pytest.mark.timeout(300)
def test_all_apps_followed_to_the_end(site: Site) -> None:
    number = "13900030100"
    page = site.open("/renewal")
    site.look(page, "renewal")
    page.get_by_role("link", name="个应用申请焕新").click()
    expect(page.locator("main")).to_contain_text("全部 230 个应用")
    page.locator("#id_tail").fill("123")
    page.get_by_role("button", name="发送验证码").click()
    expect(page.locator("#error-number")).to_be_visible()
    expect(page.locator("#error-id_tail")).to_be_visible()
    expect(page.locator("#id_tail")).to_have_value("123")
    assert page.title().startswith("有误")
    site.look(page, "renewal-holder-wrong", again=False)
    case = prove(site, page, number)
    expect(page.locator("#progress li b").first).to_be_visible()
    expect(page.locator("#progress-bar")).to_have_attribute("max", "230")
    page.goto(f"/case/{case}")
    page.locator("#sum-unbound").click(timeout=TO_THE_END_MS)
    before, done = unbound(page), int(page.locator("#progress-bar").get_attribute("value") or 0)
    page.locator("#sum-unbound").focus()
    page.wait_for_function("(n) => +document.querySelector('#sum-unbound .hint').textContent > n", arg=before)
    page.wait_for_function("(n) => document.querySelector('#progress-bar').value > n", arg=done)
    expect(page.locator("#group-unbound")).to_have_attribute("open", "")
    assert page.evaluate("() => document.activeElement.id") == "sum-unbound", "who is there is not thrown out"
    site.look(page, "renewal-case-running", again=False)

    expect(page.locator("#in-overdue li").first).to_be_visible(timeout=TO_THE_END_MS)
    (summary,) = until(lambda: of_ours(site, number)[:1], limit=TO_THE_END_MS / 1000)
    assert "焕新" in summary and case in summary
    expect(page.locator("#case-state")).to_contain_text("结果已短信告知", timeout=TO_THE_END_MS)
    expect(page.locator("#in-rejected li").first).to_contain_text("不在受理范围")
    expect(page.locator("#why-exempt")).to_contain_text("依法保全")
    assert listed(page) == 230
    page.reload()  # what was fetched while it was looked at is not the page's weight
    site.look(page, "renewal-case-told")


def test_ticking_with_scripts(site: Site) -> None:
    page = site.open("/renewal")
    page.get_by_role("link", name="自选应用").click()
    ticked, found = page.locator("#ticked"), page.locator("#found")
    expect(ticked).to_have_text("已选 0 / 230 个")
    site.look(page, "renewal-apps")
    page.locator("#q").focus()
    page.keyboard.type("qingyan")
    expect(found).to_have_text(re.compile(r"找到 \d+ 个"))
    expect(page.locator(".many .tick:visible").first).to_be_visible()
    assert all("青砚" in name for name in page.locator(".many .tick:visible").all_inner_texts())
    page.keyboard.press("Enter")
    assert "q=" not in page.url, "found already"
    while page.evaluate("() => document.activeElement.name") != "app":
        page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(ticked).to_have_text("已选 1 / 230 个")
    site.look(page, "renewal-apps-search", again=False)
    page.locator("#q").fill("没有这样的应用")
    expect(found).to_have_text("没有找到这样的应用，请换一个更短的词。")
    page.locator("#q").fill("")
    expect(page.locator(".shelf:visible")).to_have_count(8)
    shopping = page.locator(".shelf", has=page.locator("#all-shopping"))
    shopping.locator("summary").click()
    shopping.locator("#all-shopping").check()
    expect(shopping.locator("summary")).to_have_text("购物 13 / 13")
    shopping.get_by_label("淘宝").uncheck()
    expect(shopping.locator("summary")).to_have_text("购物 12 / 13")
    assert page.evaluate("() => document.querySelector('#all').indeterminate")
    page.get_by_role("button", name="继续").click()
    page.wait_for_url("**/renewal/holder?picked=*")
    expect(page.locator("main")).to_contain_text("向 12 个应用申请焕新")
    site.look(page, "renewal-holder")
    page.get_by_role("link", name="返回").click()
    expect(ticked).to_have_text("已选 12 / 230 个")
    page.locator("#all").check()
    expect(ticked).to_have_text("已选 230 / 230 个")
    page.locator("#all").uncheck()
    page.get_by_role("button", name="继续").click()
    expect(page.locator("#error-apps")).to_contain_text("请至少勾选一个应用")
    site.look(page, "renewal-apps-wrong")


def test_ticked_by_search_without_scripts(site: Site) -> None:
    number = "13900030200"
    page = site.open("/renewal/apps", scripts=False)
    page.get_by_role("button", name="继续").click()
    expect(page.locator("#error-apps")).to_contain_text("请至少勾选一个应用")
    expect(page.locator(".summary a")).to_have_attribute("href", "#apps")
    for words, name in (("淘宝", "淘宝"), ("Kuaishou", "快手"), ("meituan", "美团")):
        page.locator("#q").fill(words)
        page.get_by_role("button", name="搜索").click()
        expect(page.locator("#found")).to_have_text("找到 1 个")
        assert page.locator(".many .tick:visible").all_inner_texts() == [name]
        page.get_by_label(name, exact=True).check()
    page.locator("#q").fill("no such app")
    page.get_by_role("button", name="搜索").click()
    expect(page.locator("#found")).to_have_text("没有找到这样的应用，请换一个更短的词。")
    expect(page.locator("#ticked")).to_have_text("已选 3 / 230 个")
    site.look(page, "renewal-apps-unscripted")
    page.get_by_role("button", name="继续").click()
    expect(page.locator("main")).to_contain_text("淘宝、快手、美团")
    page.locator("#number").fill("1380013")
    page.locator("#id_tail").fill(ID_TAIL)
    page.get_by_role("button", name="发送验证码").click()
    expect(page.locator("#error-number")).to_be_visible()
    expect(page.locator("#number")).to_have_value("1380013")
    case = prove(site, page, number)

    def told() -> bool:
        page.goto(f"/case/{case}")
        return "结果已短信告知" in page.locator("#case-state").inner_text()

    until(told, every=1)
    assert until(lambda: of_ours(site, number))
    assert {"淘宝", "快手", "美团"} == set(page.locator(".group li").all_text_contents())
    site.look(page, "renewal-case-unscripted")


def test_a_category_without_scripts_and_a_list_that_has_changed(site: Site) -> None:
    page = site.open("/renewal/apps", scripts=False, language="en")
    page.locator(".shelf", has_text="Shopping").locator("summary").click()
    page.get_by_label("All 13 in this category").check()
    page.get_by_role("button", name="Continue").click()
    expect(page.locator("main")).to_contain_text("You ask 13 apps")
    picked = page.url.partition("picked=")[2]
    page.goto(f"/renewal/holder?picked={picked[:-4]}&app=wechat")
    expect(page.locator("#error-apps")).to_contain_text("The list of apps has changed")
    expect(page.locator("#ticked")).to_have_text("Ticked: 1 of 230")
    page.goto("/renewal/holder?all=1")
    expect(page.locator("main")).to_contain_text("You ask all 230 apps")


def test_a_number_that_is_none_and_one_that_is_taken_back(site: Site) -> None:
    page = site.open("/renewal/holder?app=wechat")
    prove(site, page, "13900030001")
    expect(page.locator("#case-state")).to_contain_text("未能办理")
    expect(page.locator("#case-state")).to_contain_text("并非二次号码")
    site.look(page, "renewal-case-refused")

    page = site.open("/renewal/holder?app=yunshan-dushu")
    number = "13900030003"  # its carrier does not know yet
    case = prove(site, page, number)
    expect(page.locator("#case-state")).to_contain_text("等待运营商确认")
    site.look(page, "renewal-case-waiting")
    again = site.open("/renewal/holder?picked=all")
    again.locator("#number").fill(number)
    page.goto(f"/case/{case}/withdraw")
    page.locator("main form button").first.click()
    page.wait_for_url(f"**/case/{case}")
    expect(page.locator("#case-state")).to_contain_text("已撤回")
