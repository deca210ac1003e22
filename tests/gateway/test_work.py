"""The clerk's pages from behind: who may come in, what their session is good for elsewhere, and who is noted."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from html import unescape
from typing import Any

import httpx
import pytest
from fastapi import Response
from pyotp import TOTP

from domain.access import CLERK as SCOPES
from domain.access import Role
from gateway import sessions as cookies
from gateway import work_files
from gateway.pages import work
from gateway.sessions import COOKIE, Live
from gateway.work_files import CannotRead
from gateway.work_items import Line, LineResult
from store import accounts, sessions, trail
from store.accounts import Credentials
from store.trail import Did, Wanted
from tests.gateway.conftest import Doors
from tests.gateway.test_questions import question_to, running

LI, ITEM = "clerk-li", "W" + "0" * 20


@dataclass
class Clerk:
    """Somebody signed in for an enterprise."""

    doors: Doors
    live: Live
    cookie: str

    async def get(self, path: str, **params: Any) -> httpx.Response:
        return await self.doors.http.get(path, params=params or None, headers={"cookie": self.cookie})

    async def post(self, path: str, data: dict[str, Any], **more: Any) -> httpx.Response:
        fields = {"csrf": self.live.csrf(self.doors.house.keys), **data}
        return await self.doors.http.post(path, data=fields, headers={"cookie": self.cookie}, **more)


def clerk_of(doors: Doors, enterprise: str, code: str = LI) -> Clerk:
    """A clerk whose session has begun."""
    house, now = doors.house, datetime.now(UTC)

    def begun(connection: Any) -> Any:
        accounts.add(connection, house.keys, code, Role.ENTERPRISE, None, "operator:test", now, enterprise)
        return sessions.begin(connection, code, Role.ENTERPRISE, now, enterprise)

    live, given = Live(*house.database.write_now(begun)), Response()
    cookies.give(given, house.services, COOKIE, live.session_id)
    return Clerk(doors, live, given.headers["set-cookie"].partition(";")[0])


async def test_a_clerk_signs_in_with_password_and_code(idle: Doors) -> None:
    house, now, given = idle.house, datetime.now(UTC), Credentials.new()
    house.database.write_now(
        lambda c: accounts.add(c, house.keys, LI, Role.ENTERPRISE, given, "operator:test", now, "pull-0")
    )
    words = {"account": LI, "password": given.password, "one_time_code": TOTP(given.totp_secret).at(now)}
    signed_in = await idle.http.post("/sign-in", json=words)
    assert signed_in.status_code == 200 and signed_in.json()["code"] == "pull-0", signed_in.text
    (noted,) = await house.database.read(lambda c: trail.page(c, Wanted(action=Did.SIGNED_IN), None, 9))
    assert noted.actor == LI
    shown = await idle.http.get("/work")
    assert shown.status_code == 200 and "目前没有待办工单" in shown.text
    idle.http.cookies.clear()


def offered(page: httpx.Response) -> list[str]:
    """The work items of the list."""
    assert page.status_code == 200, page.text
    return re.findall(r'name="item" value="(W\w+)"', page.text)


async def test_a_session_answers_by_the_pages_and_by_nothing_else(doors: Doors) -> None:
    case = await doors.running()
    item, clerk = doors.house.item(case, "push-0").id, clerk_of(doors, "push-0")
    me = (await clerk.get("/v1/me")).json()
    assert (me["code"], me["role"], set(me["scopes"])) == ("push-0", "enterprise", set(SCOPES))
    token = {"cookie": clerk.cookie, "x-csrf-token": me["csrf"], "content-type": "application/json"}
    for path in (f"/v1/work-items/{item}/answer", f"/v1/work-items/{item}/acknowledge", "/v1/answers"):
        unsigned = await doors.http.post(path, content=b'{"outcome": "unbound"}', headers=token)
        assert (unsigned.status_code, unsigned.json()["code"]) == (401, "bad_signature")
    for path in ("/v1/webhooks/sent", "/v1/signing-keys", "/v1/cases", "/desk"):
        assert (await clerk.get(path)).status_code in (403, 404), path
    program = await doors.http.post(
        "/work", data={"item": item, "outcome": "unbound"}, headers=doors.bearer("push-0")
    )
    assert (program.status_code, program.json()["code"]) == (403, "clerks_only")
    stale = await clerk.post("/work", {"item": item, "outcome": "unbound", "csrf": "x"})
    assert (stale.status_code, stale.json()["code"]) == (403, "csrf")
    assert doors.house.states(case)["push-0"] == "delivered"
    assert (await doors.http.get("/work")).status_code == 401

    done = await clerk.post("/work", {"item": item, "outcome": "kept/holder_confirmed"})
    assert (done.status_code, done.headers["location"]) == (303, "/work?done=1")
    assert doors.house.states(case)["push-0"] == "kept"
    noted = await doors.house.database.read(lambda c: trail.page(c, Wanted(action=Did.WORK_ANSWERED), None, 9))
    assert [(one.actor, one.about, one.detail) for one in noted] == [(LI, item, "answer")]
    doors.house.verify()


async def test_the_list_goes_on_by_due_date_and_knows_nobody_elses(
    doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = [await doors.running(number=f"1390007500{n}") for n in range(3)]
    ours = [doors.house.item(case, "pull-0").id for case in cases]
    other = doors.house.item(cases[0], "push-0").id
    clerk = clerk_of(doors, "pull-0")
    monkeypatch.setattr(work, "ROWS", 2)
    first = await clerk.get("/work")
    (following,) = re.findall(r'rel="next" href="([^"]+)"', first.text)
    rest = await clerk.get(unescape(following))
    assert offered(first) + offered(rest) == ours and "13900075" not in first.text + rest.text
    assert (await clerk.get("/work", after="rubbish")).status_code == 422

    refused = await clerk.post("/work", {"item": [ours[0], other], "outcome": "unbound"})
    assert refused.status_code == 422 and "已记录 1/2 项" in refused.text and "没有这个工单" in refused.text
    found = doors.house.states(cases[0])
    assert (found["push-0"], found["pull-0"]) == ("delivered", "unbound")
    for data in ({"outcome": "unbound"}, {"item": ours[1]}, {"item": ours[1], "outcome": "rubbish"}):
        assert (await clerk.post("/work", data)).status_code == 422
    assert (await clerk.get(f"/work/item/{other}")).status_code == 404
    assert (await clerk.post(f"/work/item/{other}", {f"outcome-{other}": "unbound"})).status_code == 404

    more = {f"days-{ours[1]}": "2", f"because-{ours[1]}": "核对", f"outcome-{ours[1]}": "acknowledge"}
    assert (await clerk.post(f"/work/item/{ours[1]}", {**more, f"days-{ours[1]}": "9"})).status_code == 422
    assert (await clerk.post(f"/work/item/{ours[1]}", more)).status_code == 303
    extended = doors.house.item(cases[1], "pull-0")
    assert extended.state == "acknowledged" and extended.extension_reason
    assert "已延期" in (await clerk.get(f"/work/item/{ours[1]}")).text


async def test_a_file_is_carried_out_line_by_line(doors: Doors) -> None:
    case = await doors.running()
    clerk, item = clerk_of(doors, "pull-0"), doors.house.item(case, "pull-0").id
    rows = (await clerk.get("/work/items.csv")).text.removeprefix("\ufeff").splitlines()
    assert rows[0] == "work_item,app,subject,due_at,outcome,reason" and rows[1].startswith(f"{item},pull-0,")
    filled = "\r\n".join([rows[0], rows[1].removesuffix(",") + "exempt,legal_hold", f"{ITEM},,,,unbound,"])
    for times, recorded in ((1, "已记录"), (2, "此前已记录")):
        sent = await clerk.post("/work/upload", {}, files={"file": ("a.csv", filled.encode("gb18030"))})
        assert sent.status_code == 422 and "已记录 1/2 项" in sent.text and recorded in sent.text, times
    assert doors.house.states(case)["pull-0"] == "exempt"
    for name, data, said in (
        ("", b"", "请选择文件"),
        ("a.csv", b"work_item,outcome\n", "没有反馈内容"),
        ("a.csv", b"id;outcome\n", "第一行须为列名"),
        ("a.csv", b"work_item,outcome\n" + b"x" * 2 * 1024 * 1024, "超过 2 MB"),
    ):
        wrong = await clerk.post("/work/upload", {}, files={"file": (name, data)})
        assert wrong.status_code == 422 and said in wrong.text, data[:20]
    noted = await doors.house.database.read(lambda c: trail.page(c, Wanted(actor=LI), None, 9))
    assert [(one.action, one.about) for one in noted] == [(Did.WORK_ANSWERED, item)]


async def test_a_question_is_answered_by_hand(doors: Doors) -> None:
    case = await running(doors)
    clerk, question = clerk_of(doors, "pull-0"), question_to(doors, case, "pull-0")
    assert f"/work/question/{question}" in (await clerk.get("/work/questions")).text
    wrong = await clerk.post(f"/work/question/{question}", {"count-pull-0-app": "many"})
    assert wrong.status_code == 422 and 'value="many"' in wrong.text and "请填写整数" in wrong.text
    done = await clerk.post(f"/work/question/{question}", {"count-pull-0-app": "2"})
    assert done.status_code == 303, done.text
    assert question not in (await clerk.get("/work/questions")).text
    noted = await doors.house.database.read(lambda c: trail.page(c, Wanted(actor=LI), None, 9))
    assert [(one.about, one.detail) for one in noted] == [(question, "counts")]
    others = clerk_of(doors, "push-0", "clerk-wang")
    assert (await others.get(f"/work/question/{question}")).status_code == 404


async def test_figures_are_of_the_days_asked_for(idle: Doors) -> None:
    clerk = clerk_of(idle, "pull-0")
    assert (await clerk.get("/work-figures")).status_code == 200
    shown = await clerk.get("/work-figures", **{"from": "2026-01-01", "until": "2026-01-31"})
    assert shown.status_code == 200 and 'value="2026-01-31"' in shown.text
    for first, last in (("soon", "2026-01-31"), ("2026-02-01", "2026-01-01"), ("2020-01-01", "2026-01-01")):
        wrong = await clerk.get("/work-figures", **{"from": first, "until": last})
        assert wrong.status_code == 422 and f'value="{first}"' in wrong.text


def test_a_file_is_read_as_people_save_it() -> None:
    def items(data: str | bytes) -> Any:
        found = work_files.read(data if isinstance(data, bytes) else data.encode(), "push-0")
        return found if isinstance(found, CannotRead) else [(type(one), getattr(one, "number", 0)) for one in found]

    csv = f"Work_item,outcome,reason\n{ITEM},unbound,\n\n{ITEM},,\n{ITEM},kept,holder_confirmed"
    assert items(csv) == items("\ufeff" + csv.replace("\n", "\r\n")) == [(Line, 2), (Line, 5)]
    assert items(f'\n{{"work_item": "{ITEM}", "outcome": "unbound"}}\n') == [(Line, 2)]
    wrong = work_files.read(f"work_item,outcome,amends\n{ITEM},gone,1\nx,unbound,\n".encode(), "push-0")
    assert not isinstance(wrong, CannotRead)
    assert [(one.line, one.work_item) for one in wrong if isinstance(one, LineResult)] == [(2, ITEM), (3, "")]
    for data, why in (
        ("", CannotRead.EMPTY),
        ("work_item,outcome\n", CannotRead.EMPTY),
        (f"work_item,result\n{ITEM},unbound", CannotRead.HEADER),
        (f"{ITEM},unbound", CannotRead.HEADER),
        (b"\xff\xfe\x00\x00\x81", CannotRead.NO_TEXT),
        ('work_item,outcome\n"x"y,unbound', CannotRead.NO_TEXT),
        ("work_item,outcome\n" + f"{ITEM},unbound\n" * 10_001, CannotRead.TOO_LONG),
    ):
        assert items(data) is why, data[:40]


async def test_an_enterprise_that_left_has_no_pages(idle: Doors) -> None:
    left = await clerk_of(idle, "gone-0").get("/work")
    assert (left.status_code, left.json()["code"]) == (403, "enterprise_gone")
