"""The page behind a mailed link: answered by a person, useless to everybody else."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from html import unescape
from html.parser import HTMLParser

import httpx
import pytest

from gateway.desk import EngineBusy
from store import papers
from store.links import Link
from tests.gateway.conftest import Doors
from tests.support import eventually


async def opened(doors: Doors, *others: str) -> tuple[str, str, str, str]:
    """A case with a mail enterprise: its reference, its item, the link's path and the page."""
    case = await doors.running(apps=["mail-0-app", *others])
    await eventually(lambda: doors.house.mailer.mails)
    found = re.search(r"http://us(/m/\S+)", doors.house.mailer.mails[0][2])
    assert found
    page = await doors.http.get(found[1])
    assert page.status_code == 200
    return case, doors.house.item(case, "mail-0").id, found[1], page.text


def hidden(page: str) -> dict[str, str]:
    """The form's hidden fields."""
    return dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]+)"', page))


class Page(HTMLParser):
    """A page's fields as a browser would send them, and whether everything on it belongs together."""

    VOID = frozenset({"meta", "link", "input"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self.open_details = False
        self._ids: Counter[str] = Counter()
        self._named: list[str] = []
        self._stack: list[str] = []
        self._within = ""
        self.feed(page)
        self.close()
        assert not self._stack, self._stack
        assert max(self._ids.values(), default=1) == 1, "an id stands for one element"
        assert set(self._named) <= set(self._ids), "labels and descriptions lead somewhere"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        had = dict(attrs)
        assert tag not in ("script", "style") and not any(name == "style" or name.startswith("on") for name in had)
        if tag not in self.VOID:
            self._stack.append(tag)
        self._ids.update([had["id"] or ""] if "id" in had else [])
        self._named += [str(had[name]) for name in ("for", "aria-describedby") if name in had]
        self.open_details |= tag == "details" and "open" in had
        if tag in ("input", "select", "textarea"):
            self._within = str(had["name"])
            self.fields[self._within] = had.get("value") or ""
        if tag == "option" and "selected" in had:
            self.fields[self._within] = had["value"] or ""

    def handle_endtag(self, tag: str) -> None:
        assert self._stack.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        if self._stack and self._stack[-1] == "textarea":
            self.fields[self._within] += data.removeprefix("\n")

    async def send(self, doors: Doors, path: str, **typed: str) -> tuple[httpx.Response, Page]:
        """What a browser does: all fields, with what was typed now."""
        answer = await doors.http.post(path, data={**self.fields, **typed})
        return answer, Page(answer.text)


def beside(page: str, field: str) -> str:
    """The error a field is described by."""
    control = re.search(rf'<(?:input|select|textarea) id="{field}"[^>]*aria-describedby="([^"]+)"', page)
    assert control, f"no error beside {field}"
    said = re.search(rf'<p class="error" id="{control[1]}">([^<]+)</p>', page)
    assert said
    return unescape(said[1])


async def test_a_person_acknowledges_before_answering(doors: Doors) -> None:
    case, item, path, text = await opened(doors)
    answer, page = await Page(text).send(doors, path, **{f"outcome-{item}": "acknowledge"})
    assert answer.status_code == 200 and "已记录 1 项" in answer.text and "已受理，待反馈" in answer.text
    assert doors.house.states(case) == {"mail-0": "acknowledged"} and "受理，稍后反馈" not in answer.text
    late = await doors.http.post(f"/v1/renewals/{case}/withdraw", headers=doors.bearer("carrier"))
    assert (late.status_code, late.json()["code"]) == (409, "too_late_to_withdraw")
    again, _ = await Page(text).send(doors, path, **{f"outcome-{item}": "acknowledge"})
    assert again.status_code == 200 and "已记录" not in again.text
    done, _ = await page.send(doors, path, **{f"outcome-{item}": "unbound"})
    assert done.status_code == 200 and doors.house.states(case) == {"mail-0": "unbound"}
    assert "受理，稍后反馈" not in done.text and "申请延期" not in done.text.partition("<tbody>")[2]


async def test_a_person_asks_for_more_time_once(doors: Doors) -> None:
    case, item, path, text = await opened(doors)
    due = doors.house.item(case, "mail-0").due_at
    more = {f"days-{item}": " 3 ", f"because-{item}": "核对 13800138000 的账号"}
    assert "延长几天（1 至 5）" in text and not Page(text).open_details
    answer, page = await Page(text).send(doors, path, **more)
    assert answer.status_code == 200 and "已记录 1 项" in answer.text and "已延期" in answer.text
    extended = doors.house.item(case, "mail-0")
    assert extended.due_at - due == timedelta(days=3)
    assert extended.extension_reason and "13800138000" not in extended.extension_reason
    assert f"days-{item}" not in page.fields, "there is one extension"
    again, _ = await Page(text).send(doors, path, **more)
    assert again.status_code == 200 and "已记录" not in again.text
    other, page = await Page(text).send(doors, path, **{f"days-{item}": "1", f"because-{item}": "另一原因"})
    assert other.status_code == 422 and "不能延期" in beside(other.text, f"days-{item}")
    assert (page.fields[f"days-{item}"], page.fields[f"because-{item}"]) == ("1", "另一原因")
    assert doors.house.item(case, "mail-0").due_at == extended.due_at
    doors.house.verify()


async def test_what_does_not_fit_is_said_beside_its_field_and_kept(doors: Doors) -> None:
    case, item, path, text = await opened(doors)
    for days, because, field, said in (
        ("6", "忙", "days", "1 至 5"),
        ("0", "忙", "days", "1 至 5"),
        ("三", "忙", "days", "1 至 5"),
        ("", "忙", "days", "1 至 5"),
        ("9" * 5000, "忙", "days", "1 至 5"),
        ("2", "  ", "because", "请填写延期原因"),
        ("2", "忙" * 501, "because", "最多 500 个字"),
    ):
        typed = {f"days-{item}": days, f"because-{item}": because}
        answer, page = await Page(text).send(doors, path, **typed)
        assert answer.status_code == 422 and "有 1 项未能记录" in answer.text
        assert said in beside(answer.text, f"{field}-{item}")
        assert page.open_details and {name: page.fields[name] for name in typed} == typed
    assert "extended" not in doors.house.events(f"{case}-unbind-0")


async def test_each_wish_of_a_row_is_judged_by_itself(doors: Doors) -> None:
    case, item, path, text = await opened(doors)
    odd = '"><b>急</b>'
    answer, page = await Page(text).send(
        doors, path, **{f"outcome-{item}": "acknowledge", f"days-{item}": "40", f"because-{item}": odd}
    )
    assert (
        answer.status_code == 422 and "已记录 1 项" in answer.text and "1 至 5" in beside(answer.text, f"days-{item}")
    )
    assert doors.house.states(case) == {"mail-0": "acknowledged"}
    assert page.fields[f"because-{item}"] == odd and "<b>" not in answer.text
    fixed, _ = await page.send(doors, path, **{f"days-{item}": "2"})
    assert fixed.status_code == 200
    reason = doors.house.item(case, "mail-0").extension_reason
    kept = await doors.house.database.read(lambda c: papers.get(c, doors.house.keys, case, reason))
    assert kept == odd, "it is a paper: a person may write anything"


async def test_an_answer_and_a_wish_for_more_time_contradict_each_other(doors: Doors) -> None:
    case, item, path, text = await opened(doors)
    typed = {f"outcome-{item}": "not_found/no_binding", f"days-{item}": "2", f"because-{item}": "忙"}
    answer, page = await Page(text).send(doors, path, **typed)
    assert answer.status_code == 422 and "无需延期" in beside(answer.text, f"days-{item}")
    assert {name: page.fields[name] for name in typed} == typed
    assert doors.house.states(case) == {"mail-0": "delivered"}


async def test_an_engine_that_is_busy_costs_nothing_typed(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    case, item, path, text = await opened(doors)
    typed = {f"outcome-{item}": "acknowledge", f"days-{item}": "2", f"because-{item}": "忙\r\n得很"}

    async def busy(commands: list[object]) -> list[EngineBusy]:
        return [EngineBusy() for _ in commands]

    with monkeypatch.context() as patch:
        patch.setattr(doors.house.desk, "take", busy)
        answer, page = await Page(text).send(doors, path, **typed)
    assert answer.status_code == 503
    for field in (f"outcome-{item}", f"days-{item}"):
        assert "系统繁忙" in beside(answer.text, field)
    assert {name: page.fields[name] for name in typed} == typed
    done, _ = await page.send(doors, path)
    assert done.status_code == 200 and "已记录 1 项" in done.text
    assert doors.house.events(f"{case}-unbind-0")[-2:] == ["acknowledged", "extended"]


async def test_a_withdrawn_item_says_so_instead_of_its_fields(doors: Doors) -> None:
    case, item, path, text = await opened(doors, "push-0-app")
    await doors.house.acknowledge(case, "push-0")  # so that the case goes on
    withdrawn = await doors.http.post(f"/v1/renewals/{case}/withdraw", headers=doors.bearer("carrier"))
    assert withdrawn.status_code == 200 and doors.house.states(case)["mail-0"] == "withdrawn"
    for typed in ({f"outcome-{item}": "acknowledge"}, {f"days-{item}": "2", f"because-{item}": "忙"}):
        answer, page = await Page(text).send(doors, path, **typed)
        assert answer.status_code == 422 and "用户已撤回此项" in answer.text.partition("<tbody>")[2]
        assert set(page.fields) == {"csrf"}


async def test_a_person_answers_and_corrects(doors: Doors) -> None:
    case, item, path, page = await opened(doors)
    assert "13800138000" not in page and f'name="outcome-{item}"' in page
    done = await doors.http.post(path, data={**hidden(page), f"outcome-{item}": "not_found/no_binding"})
    assert done.status_code == 200 and "已记录 1 项" in done.text
    assert doors.house.states(case) == {"mail-0": "not_found"}
    fixed = await doors.http.post(path, data={**hidden(done.text), f"outcome-{item}": "unbound"})
    assert "已记录 1 项" in fixed.text and doors.house.item(case, "mail-0").version == 2


async def test_a_stale_page_does_not_overwrite_a_colleague_s_answer(doors: Doors) -> None:
    case, item, path, page = await opened(doors)
    assert (await doors.http.post(path, data={**hidden(page), f"outcome-{item}": "unbound"})).status_code == 200
    stale = await doors.http.post(path, data={**hidden(page), f"outcome-{item}": "not_found/no_binding"})
    assert stale.status_code == 422 and "此项已有人反馈" in stale.text
    assert Page(stale.text).fields[f"outcome-{item}"] == "", "it has to be chosen again"
    assert doors.house.states(case) == {"mail-0": "unbound"}
    meant = await doors.http.post(path, data={**hidden(stale.text), f"outcome-{item}": "not_found/no_binding"})
    assert meant.status_code == 200 and doors.house.states(case) == {"mail-0": "not_found"}


async def test_bad_choices_are_said_beside_the_row_and_nothing_is_lost(doors: Doors) -> None:
    case, item, path, page = await opened(doors)
    empty = await doors.http.post(path, data={**hidden(page), f"outcome-{item}": ""})
    assert empty.status_code == 200 and doors.house.states(case) == {"mail-0": "delivered"}
    bad = await doors.http.post(path, data={**hidden(page), f"outcome-{item}": "exempt"})
    assert bad.status_code == 422 and f'id="error-{item}"' in bad.text
    assert "此结果需要选择原因" in bad.text
    odd = await doors.http.post(path, data={**hidden(page), f"version-{item}": "x", f"outcome-{item}": "unbound"})
    assert odd.status_code == 422
    for word in ("x", "伪造"):
        forged = await doors.http.post(path, data={"csrf": word, f"outcome-{item}": "unbound"})
        assert forged.status_code == 403 and doors.house.states(case) == {"mail-0": "delivered"}


async def test_link_is_for_one_enterprise_one_request_and_a_while(doors: Doors) -> None:
    case, _, path, page = await opened(doors)
    part = f"{case}-unbind-0"
    expired = Link("mail-0", part, datetime.now(UTC) - timedelta(seconds=1)).sign(doors.house.keys)
    word = path.removeprefix("/m/")
    for bad in (expired, word[:-3], word[:20] + ("A" if word[20] != "A" else "B") + word[21:], "rubbish", "%00"):
        answer = await doors.http.get(f"/m/{bad}")
        assert answer.status_code == 410 and "链接不完整" in answer.text and "This link" not in answer.text
    assert "script" not in page.lower()
    assert "unsafe-inline" not in (await doors.http.get(path)).headers["content-security-policy"]
