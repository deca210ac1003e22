"""A dispute on its pages: from a count to the account unbound, and from a refusal to a decision of two people."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from domain.dispute import ClaimReason
from domain.messages import Language
from gateway.pages.disputes import Draft
from runtime.stack import Stack
from sandbox.behaviour import Held, held
from tests.chaos.conftest import until
from tests.pages.conftest import Site

ID_TAIL = "15106X"
REFUSES = "muduo-youxiang"
"""An app whose enterprise refuses whatever it is asked."""

REFERENCE = re.compile(r"/case/([QD][0-9A-Z]{12})")
CODE = re.compile(r"验证码([0-9]{6})")

_numbers = count(13900020100)


def books(stack: Stack, number: str, app: str) -> tuple[Held, ...]:
    """What an app's enterprise has in its books about a number."""
    config = stack.settings
    party = config.registry_data.owner(app).code
    return held(app, config.key_ring.enterprise_token(party, f"+86{number}"))


def number_where(fits: Callable[[str], bool]) -> str:
    """A number nobody has used yet, of which something is true."""
    return next(number for number in map(str, _numbers) if fits(number))


def own_and_former(stack: Stack, app: str) -> Callable[[str], bool]:
    """Whether an app has accounts of the holder and of a former one, not many."""

    def fits(number: str) -> bool:
        kinds = [one.bound.total_seconds() > 0 for one in books(stack, number, app)]
        return len(kinds) == 2 and any(kinds) and not all(kinds)

    return fits


def prove(site: Site, page: Page, number: str) -> str:
    """Number, ID tail, code; the case that it leads to. A second code within a minute has to be asked for again."""
    page.locator("#number").fill(number)
    page.locator("#id_tail").fill(ID_TAIL)
    before = len(site.phone(number))

    def sent() -> bool:
        page.get_by_role("button", name="发送验证码").click()
        return "/check/" in page.url

    until(sent, 70, 2)
    code = until(lambda: next((m[1] for text in site.phone(number)[before:] if (m := CODE.search(text))), None))
    page.locator("#code").fill(code)
    page.get_by_role("button", name="继续").click()
    page.wait_for_url("**/case/**")
    found = REFERENCE.search(page.url)
    assert found, page.url
    return found[1]


def shows(page: Page, words: str, scripts: bool, seconds: float = 30) -> None:
    """Wait until a page says so: it freshens by itself, or is reloaded where no scripts run."""
    if scripts:
        expect(page.locator("main")).to_contain_text(words, timeout=seconds * 1000)
    else:
        until(lambda: page.reload() and words in page.locator("main").inner_text(), seconds)


@dataclass(frozen=True)
class Asked:
    """A query that somebody asked from a browser, and that browser's cookies."""

    number: str
    query: str
    cookies: list[Any]


@pytest.fixture(scope="module", autouse=True)
def asked(running: Stack, chromium: Browser) -> dict[bool, Asked]:
    """A query from a browser with scripts and one from a browser without; they are answered while other tests run."""
    site = Site(running, chromium)
    mixed = own_and_former(running, "wechat")
    found = {}
    for scripts in (True, False):
        number = number_where(lambda n: mixed(n) and bool(books(running, n, "jd")))
        page = site.open("/", scripts=scripts)
        query = prove(site, page, number)
        found[scripts] = Asked(number, query, page.context.cookies())
        page.context.close()
    assert not site.wrong
    return found


def test_a_choice_survives_its_way_through_address_and_cookie() -> None:
    own = {"jd": ClaimReason.OTHER}
    draft = Draft("Q0123456789AB", ("wechat", "qq", "jd"), ClaimReason.NOT_MINE, own)
    word = draft.word(Language.EN)
    assert word == "en;Q0123456789AB;not_mine:wechat,qq;other:jd"
    language, back = Draft.of_word(word)
    assert language is Language.EN and back.query == draft.query and back.reasons == draft.reasons
    assert draft.to("/why").startswith("/dispute/why?query=Q0123456789AB&app=wechat&app=qq")
    assert draft.to("").startswith("/case/Q0123456789AB/dispute?")


def test_what_cannot_be_taken_is_said_beside_it(site: Site) -> None:
    """A former holder's account cannot be cancelled, whatever a form says; and no other browser sees the case."""
    number = number_where(own_and_former(site.stack, "wechat"))
    page = site.open("/dispute/identity?app=wechat&reason=not_mine")
    case = prove(site, page, number)
    shows(page, "选择处理方式", True)
    page.goto(f"/case/{case}/accounts")
    former = page.get_by_role("group", name="原机主").get_by_role("radio")
    former.evaluate("one => one.value = 'cancel'")
    former.check()
    page.get_by_role("group").filter(has_not_text="原机主").get_by_label("保留").check()
    page.get_by_role("button", name="继续").click()
    expect(page.locator(".error")).to_contain_text("该账号只能解绑")
    expect(page.get_by_label("保留")).to_be_checked()
    stranger = site.open(f"/case/{case}/accounts")
    assert "/follow" in stranger.url and "微信" not in stranger.content()


def test_too_many_at_once(site: Site) -> None:
    apps = site.stack.settings.registry_data.app_codes[:31]
    page = site.open("/dispute/why?" + "&".join(f"app={app}" for app in apps), scripts=False)
    expect(page.locator("#error-app")).to_contain_text("您选择了31项，一次最多30项")
    assert page.locator("input[name=app]:checked").count() == 31
    page.goto("/dispute")
    site.look(page, "dispute-alone")
    page.get_by_label("搜索应用或运营商").fill("zzz")
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_contain_text("没有找到")


def test_solved_by_two_people_in_two_browsers(site: Site) -> None:
    """An enterprise refuses; one worker proposes to set that aside, another approves, and the citizen is told."""
    number = number_where(lambda _: True)
    page = site.open("/dispute")
    page.get_by_label("搜索应用或运营商").fill("木铎")
    page.get_by_role("button", name="搜索").click()
    page.get_by_label("木铎邮箱").check()
    page.get_by_role("button", name="继续").click()
    page.get_by_label("以前向企业申请过").check()
    page.get_by_role("button", name="继续").click()
    page.get_by_role("link", name="继续").click()
    case = prove(site, page, number)
    shows(page, "请人工跟进", True)
    refused = page.locator(f"#claim-{REFUSES}")
    for words in ("未支持的原因", "个人信息保护法", "客服"):
        expect(refused).to_contain_text(words)
    site.look(page, "dispute-refused")
    page.get_by_role("button", name="没有解决，请人工跟进").click()
    expect(refused).to_contain_text("人工跟进中")
    decided_by_two(site, case)
    shows(page, "支持您的异议", True)
    site.look(page, "dispute-decided")


def decided_by_two(site: Site, case: str) -> None:
    """At the desk: one takes the case on and proposes; to the other it is offered to approve."""
    chen = site.sign_in("worker-chen", f"/desk/case/{case}", language="en")
    done(chen, "claim")
    done(chen, "propose", decision=f"override:{REFUSES}", reason="The contract is older than the account.")
    assert not form_of(chen, "approve").count(), "nobody approves what they proposed"
    lin = site.sign_in("worker-lin", f"/desk/case/{case}", language="en")
    expect(lin.locator("#acts")).to_contain_text("The contract is older than the account.")
    done(lin, "approve")
    expect(lin.locator("#claims")).to_contain_text("Settled")


def form_of(page: Page, action: str) -> Locator:
    """The form of one thing that can be done with a case."""
    return page.locator(f'form:has(input[name="action"][value="{action}"])')


def done(page: Page, action: str, **fields: str) -> None:
    """Do it, as somebody at the desk would."""
    if fields:
        page.locator(f"#do-{action} summary").click()
    for name, value in fields.items():
        field = page.locator(f"#{action}-{name}")
        field.select_option(value) if name == "decision" else field.fill(value)
    form_of(page, action).locator("button").click()
    expect(page.get_by_role("status")).to_be_visible()


@pytest.mark.parametrize("scripts", [True, False])
def test_from_a_count_to_the_account_unbound(site: Site, asked: dict[bool, Asked], scripts: bool) -> None:
    """All the way over the pages, with scripts and without; last, when another code may be sent to the numbers."""
    one = asked[scripts]
    page = site.open("/", scripts=scripts)
    page.context.add_cookies(one.cookies)  # type: ignore[arg-type]
    page.goto(f"/case/{one.query}")
    link = page.locator(f'a[href="/case/{one.query}/dispute"]')
    until(lambda: page.reload() and link.count(), 40)
    link.click()
    choose_apps_and_reasons(site, page)
    prove(site, page, one.number)
    expect(page.locator(".panel")).to_be_visible()
    choose_for_accounts(site, page, scripts)


def choose_apps_and_reasons(site: Site, page: Page) -> None:
    """Three steps, one thing per page; what is missing is said beside it, and nothing is lost."""
    page.get_by_role("button", name="继续").click()
    expect(page.locator("#error-app")).to_contain_text("请至少选择一个应用")
    site.look(page, "dispute-which-error")
    page.get_by_label("微信").check()
    page.get_by_label("京东").check()
    page.get_by_label("搜索其他应用").fill("木铎")
    page.get_by_role("button", name="搜索").click()
    expect(page.get_by_label("微信")).to_be_checked()
    expect(page.get_by_label("木铎邮箱")).not_to_be_checked()
    site.look(page, "dispute-which")
    page.get_by_role("button", name="继续").click()
    page.get_by_role("button", name="继续").click()
    expect(page.locator("#error-reason")).to_contain_text("请选择提出异议的原因")
    page.get_by_label("不是我的").first.check()
    site.look(page, "dispute-why", again=False)
    page.get_by_role("button", name="继续").click()
    page.get_by_role("row", name="京东").get_by_role("link").click()
    page.get_by_label("京东").select_option("other")
    site.look(page, "dispute-why-each", again=False)
    page.get_by_role("button", name="继续").click()
    expect(page.get_by_role("row", name="微信")).to_contain_text("不是我的")
    expect(page.get_by_role("row", name="京东")).to_contain_text("其他原因")
    site.look(page, "dispute-confirm")
    page.get_by_role("link", name="返回").click()
    expect(page.get_by_label("京东")).to_have_value("other")
    page.get_by_role("button", name="继续").click()
    page.get_by_role("link", name="继续").click()
    page.locator("#number").fill("123")
    page.get_by_role("button", name="发送验证码").click()
    expect(page.locator("#number")).to_have_value("123")
    site.look(page, "dispute-identity", again=False)


def choose_for_accounts(site: Site, page: Page, scripts: bool) -> None:
    """Every account of one app first, then all of the other at once; then everything is done, and may be taken up."""
    case = page.url.partition("/case/")[2].partition("?")[0]
    shows(page, "选择处理方式", scripts)
    until(lambda: page.reload() and page.locator(".tag", has_text="待您选择").count() == 2)
    site.look(page, "dispute-choosing")
    page.get_by_role("link", name="选择处理方式").click()
    former = page.get_by_role("group", name="原机主")
    wechat = page.locator("section", has=page.get_by_role("heading", name="微信"))
    assert former.first.get_by_role("radio").count() == 1
    wechat.get_by_role("group", name="原机主").get_by_label("解绑").check()
    page.get_by_role("button", name="继续").click()
    expect(page.locator(".error")).to_contain_text("请同时选择如何处理这个账号")
    site.look(page, "dispute-accounts", again=False)
    mine = wechat.get_by_role("group").filter(has_not_text="原机主")
    mine.get_by_label("注销").check()
    expect(wechat.get_by_role("group", name="原机主").get_by_label("解绑")).to_be_checked()
    page.get_by_role("button", name="继续").click()
    expect(page.locator("main")).to_contain_text("稍后再选：京东")
    site.look(page, "dispute-sure", again=False)
    page.get_by_role("button", name="修改").click()
    expect(mine.get_by_label("注销")).to_be_checked()
    page.get_by_role("button", name="继续").click()
    page.get_by_role("button", name="确认办理").click()
    page.wait_for_url(f"**/case/{case}")
    page.goto(f"/case/{case}/accounts")
    page.get_by_role("button", name="全部解绑").click()
    page.get_by_role("button", name="确认办理").click()
    page.wait_for_url(f"**/case/{case}")
    shows(page, "申请继续办理", scripts, 60)
    expect(page.locator("#claim-wechat")).to_contain_text("企业答复：")
    expect(page.locator("#claim-jd")).to_contain_text("企业答复：")
    site.look(page, "dispute-done")
    page.get_by_role("button", name="申请继续办理").click()
    expect(page.locator("#claim-wechat")).to_contain_text("人工跟进中")
