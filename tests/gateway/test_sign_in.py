"""Signing in with an account of this system, and everything that must not work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from domain.access import SCOPES, Role
from gateway import tokens
from gateway.people import MOST_WAITING
from gateway.problems import ProblemError
from gateway.sign_in import local
from store import accounts, clients
from store.database import Database
from store.keys import KeyRing
from store.trail import Did
from tests.gateway.desk_site import AUDITOR, HANDED, WORKER, Site, hidden, site

MINUTE = timedelta(minutes=1)
PASSWORD = "another long password"


@pytest.fixture
async def desk(database: Database, keys: KeyRing) -> AsyncIterator[Site]:
    """The site."""
    async with site(database, keys) as found:
        yield found


def actions(desk: Site, **wanted: Any) -> list[str]:
    return [one.action.value for one in desk.noted(**wanted) if one.action is not Did.ACCOUNT_ADDED]


async def test_a_person_signs_in_by_the_page_looks_who_they_are_and_signs_out(desk: Site) -> None:
    shown = await desk.browser.get("/sign-in", params={"next": "/v1/me"})
    assert shown.status_code == 200 and "default-src 'none'" in shown.headers["content-security-policy"]
    assert shown.headers["referrer-policy"] == "same-origin"  # or browsers would send `Origin: null` with the form
    form = hidden(shown.text) | desk.words() | {"one_time_code": "{} {}".format(*_halves(desk.one_time_code()))}
    done = await desk.browser.post("/sign-in", data=form, headers={"origin": desk.url})
    assert (done.status_code, done.headers["location"]) == (303, "/v1/me"), done.text
    (cookie,) = [one for one in done.headers.get_list("set-cookie") if one.startswith("jiebang=")]
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Path=/" in cookie and "Secure" not in cookie
    me = (await desk.browser.get("/v1/me")).json()
    assert me["code"] == WORKER and me["role"] == "case_worker" and me["client"] == "session"
    assert me["scopes"] == sorted(SCOPES[Role.CASE_WORKER]) and me["session_ends_at"]
    page = (await desk.browser.get("/sign-in")).text
    assert WORKER in page and hidden(page) == {"csrf": me["csrf"]}

    kept = {"cookie": f"jiebang={desk.browser.cookies['jiebang']}"}
    assert (await desk.browser.post("/sign-out")).json()["code"] == "csrf"
    out = await desk.browser.post("/sign-out", data=hidden(page))
    assert out.status_code == 303 and "jiebang" not in desk.browser.cookies
    late = await desk.browser.get("/v1/me", headers=kept)
    assert (late.status_code, late.json()["code"]) == (401, "session_ended")
    assert actions(desk) == ["signed_in", "signed_out"]


def _halves(code: str) -> tuple[str, str]:
    return code[:3], code[3:]


async def test_over_tls_the_cookie_is_this_hosts_alone(database: Database, keys: KeyRing) -> None:
    async with site(database, keys, public_url="https://jiebang.example") as desk:
        done = await desk.sign_in()
        cookies = done.headers.get_list("set-cookie")
        (cookie,) = [one for one in cookies if one.startswith("__Host-jiebang=")]
        assert "Secure" in cookie and "HttpOnly" in cookie and "SameSite=lax" in cookie and "Path=/" in cookie
        assert "Domain" not in cookie
        value = cookie.partition(";")[0].partition("=")[2]
        plain = await desk.browser.get("/v1/me", headers={"cookie": f"jiebang={value}"})
        assert plain.json()["code"] == "not_signed_in"
        assert (await desk.browser.get("/v1/me", headers={"cookie": f"__Host-jiebang={value}"})).status_code == 200


async def test_a_one_time_code_is_good_once_and_only_about_now(desk: Site) -> None:
    assert (await desk.sign_in()).status_code == 200
    code = desk.one_time_code()
    for wrong in (code, desk.one_time_code(-1), desk.one_time_code(2), "000000"):
        assert (await desk.sign_in(one_time_code=wrong)).status_code == 401
    assert (await desk.sign_in(one_time_code=desk.one_time_code(1))).status_code == 200
    desk.clock.passes(MINUTE * 2)
    assert (await desk.sign_in(one_time_code=desk.one_time_code(-1))).status_code == 200
    assert len(desk.noted(action=Did.SIGN_IN_FAILED, about=WORKER)) == 4
    at_once = await asyncio.gather(*(desk.sign_in() for _ in range(4)))
    assert sorted(one.status_code for one in at_once) == [200, 401, 401, 401]


async def test_whoever_fails_five_times_is_locked_out_and_nobody_can_tell(desk: Site) -> None:
    stranger = await desk.sign_in("nobody-here")
    answers = [await desk.sign_in(password=f"a wrong password {n}") for n in range(5)]
    desk.clock.passes(MINUTE)
    answers.append(await desk.sign_in())
    desk.clock.passes(13 * MINUTE)
    answers.append(await desk.sign_in())
    assert {(one.status_code, one.text) for one in answers} == {(401, stranger.text)}
    desk.clock.passes(MINUTE)
    assert (await desk.sign_in()).status_code == 200
    noted = actions(desk, about=WORKER)
    assert noted == ["sign_in_failed"] * 5 + ["account_locked"] + ["sign_in_failed"] * 2 + ["signed_in"]
    assert all(one.about != "nobody-here" for one in desk.noted())  # it may be a password in the wrong field


async def test_signing_in_gives_a_new_session_and_ends_the_one_before(desk: Site) -> None:
    await desk.signed_in(AUDITOR)
    planted = desk.browser.cookies["jiebang"]
    await desk.signed_in()
    assert desk.browser.cookies["jiebang"] != planted
    async with desk.another() as attacker:
        for value in (planted, planted[:-2] + "AA", "made.up"):
            seen = await attacker.get("/v1/me", headers={"cookie": f"jiebang={value}"})
            assert seen.json()["code"] == "session_ended"
    assert (await desk.browser.get("/v1/me")).json()["code"] == WORKER


FORGED: list[tuple[dict[str, str], dict[str, str], int]] = [
    ({"x-csrf-token": "{csrf}"}, {}, 200),
    ({"x-csrf-token": "{csrf}", "origin": "{url}", "sec-fetch-site": "same-origin"}, {}, 200),
    ({}, {"csrf": "{csrf}"}, 200),
    ({}, {}, 403),
    ({}, {"csrf": ""}, 403),
    ({"x-csrf-token": "{other}"}, {}, 403),
    ({"x-csrf-token": "{csrf}", "origin": "https://evil.example"}, {}, 403),
    ({"x-csrf-token": "{csrf}", "origin": "null"}, {}, 403),
    ({"x-csrf-token": "{csrf}", "sec-fetch-site": "cross-site"}, {}, 403),
    ({"x-csrf-token": "{csrf}", "sec-fetch-site": "same-site"}, {}, 403),
]
"""Headers and form fields of a request with a session's cookie, and what it gets."""


async def test_forged_requests_change_nothing(desk: Site) -> None:
    async with desk.another() as browser:
        other = await desk.signed_in(AUDITOR, browser)
    known = {"csrf": await desk.signed_in(), "other": other, "url": desk.url}
    for headers, form, status in FORGED:
        sent, filled = [{name: value.format(**known) for name, value in one.items()} for one in (headers, form)]
        answer = await desk.browser.post("/v1/probe", headers=sent, data=filled)
        assert answer.status_code == status, (headers, form)
        assert status == 200 or answer.json()["code"] == "csrf"
    assert (await desk.browser.get("/v1/me", headers={"sec-fetch-site": "cross-site"})).status_code == 200


async def test_a_token_needs_no_csrf_and_goes_before_the_cookie(desk: Site) -> None:
    now, keys = desk.clock(), desk.services.keys
    issued = desk.services.database.write_now(lambda c: clients.issue(c, "mini-program", Role.CHANNEL, now))
    access = tokens.Access(issued.client_id, "mini-program", Role.CHANNEL, SCOPES[Role.CHANNEL])
    bearer = {"authorization": f"Bearer {tokens.mint(keys, access, now)}"}
    await desk.signed_in()
    assert (await desk.browser.post("/v1/probe", headers=bearer)).json() == "mini-program"
    me = (await desk.browser.get("/v1/me", headers=bearer)).json()
    assert (me["client"], me["session_ends_at"], me["csrf"]) == (issued.client_id, None, "")
    answer = await desk.browser.post("/v1/me/password", json={"current": "x", "new": PASSWORD}, headers=bearer)
    assert (answer.status_code, answer.json()["code"]) == (409, "no_password")


async def test_the_form_of_another_browser_or_site_signs_nobody_in(desk: Site) -> None:
    mine = await desk.form()
    async with desk.another() as other:
        theirs = await desk.form(other)
    for form, headers in (
        (theirs, {}),
        ({}, {}),
        (mine, {"origin": "https://evil.example"}),
        (mine, {"sec-fetch-site": "cross-site"}),
    ):
        answer = await desk.browser.post("/sign-in", data=form | desk.words(), headers=headers)
        assert answer.status_code == 403 and "jiebang" not in desk.browser.cookies
    text = await desk.browser.post("/sign-in", content="{}", headers={"content-type": "text/plain"})
    assert text.status_code == 415
    for form, status in ((mine | desk.words(one_time_code="12"), 401), (mine | desk.words(), 303)):
        assert (await desk.browser.post("/sign-in", data=form)).status_code == status


async def test_a_session_ends_when_idle_and_after_a_day_at_work(desk: Site) -> None:
    await desk.signed_in()
    for _ in range(25):  # never idle for long
        desk.clock.passes(28 * MINUTE)
        assert (await desk.browser.get("/v1/me")).status_code == 200
    desk.clock.passes(21 * MINUTE)
    assert (await desk.browser.get("/v1/me")).json()["code"] == "session_ended"
    await desk.signed_in()
    desk.clock.passes(30 * MINUTE)
    assert (await desk.browser.get("/v1/me")).json()["code"] == "session_ended"
    assert 'name="password"' in (await desk.browser.get("/sign-in")).text


async def test_a_disabled_account_is_out_at_once_and_stays_out(desk: Site) -> None:
    await desk.signed_in()
    desk.services.database.write_now(lambda c: accounts.disable(c, WORKER, "operator:root", desk.clock()))
    assert (await desk.browser.get("/v1/me")).json()["code"] == "session_ended"
    desk.clock.passes(MINUTE)
    assert (await desk.sign_in()).status_code == 401
    (noted,) = desk.noted(action=Did.ACCOUNT_DISABLED)
    assert (noted.actor, noted.about) == ("operator:root", WORKER)


async def test_a_person_changes_their_password_and_other_sessions_end(desk: Site) -> None:
    async with desk.another() as other:
        await desk.signed_in(browser=other)
        headers = {"x-csrf-token": await desk.signed_in()}
        for body, status, code in (
            ({"current": "not this one", "new": PASSWORD}, 422, "wrong_password"),
            ({"current": HANDED.password, "new": "short"}, 422, "malformed"),
            ({"current": HANDED.password, "new": HANDED.password}, 422, "same_password"),
        ):
            refused = await desk.browser.post("/v1/me/password", json=body, headers=headers)
            assert (refused.status_code, refused.json()["code"]) == (status, code)
        form = hidden((await desk.browser.get("/sign-in")).text)
        short = await desk.browser.post("/v1/me/password", data=form | {"current": HANDED.password, "new": "short"})
        assert short.status_code == 422 and 'role="alert"' in short.text
        done = await desk.browser.post("/v1/me/password", data=form | {"current": HANDED.password, "new": PASSWORD})
        assert done.status_code == 303 and "密码已更改" in (await desk.browser.get(done.headers["location"])).text
        assert (await desk.browser.get("/v1/me")).status_code == 200
        assert (await other.get("/v1/me")).json()["code"] == "session_ended"
    desk.clock.passes(MINUTE)
    assert (await desk.sign_in()).status_code == 401
    assert (await desk.sign_in(password=PASSWORD)).status_code == 200
    again = {"current": PASSWORD, "new": HANDED.password}
    headers = {"x-csrf-token": (await desk.browser.get("/v1/me")).json()["csrf"]}
    assert (await desk.browser.post("/v1/me/password", json=again, headers=headers)).status_code == 204


async def test_the_audit_trail_is_read_by_those_who_may(desk: Site) -> None:
    for _ in range(3):
        await desk.sign_in(password="wrong")
    await desk.signed_in()
    assert (await desk.browser.get("/v1/audit-entries")).status_code == 403
    before = desk.clock() + timedelta(seconds=1)
    await desk.signed_in(AUDITOR)

    async def listed(**query: Any) -> dict[str, Any]:
        return dict((await desk.browser.get("/v1/audit-entries", params=query)).json())

    whole, pages, after = (await listed())["entries"], [], ""
    while after is not None:
        found = await listed(limit=3, after=after)
        pages, after = pages + found["entries"], found["next"]
    assert pages == whole and len(whole) == 7
    assert whole[0]["actor"] == AUDITOR and whole[-1]["actor"] == "operator:test"
    assert [one["action"] for one in (await listed(about=WORKER, limit=2))["entries"]] == [
        "signed_in",
        "sign_in_failed",
    ]
    assert len((await listed(action="sign_in_failed"))["entries"]) == 3
    assert len((await listed(since=before.isoformat()))["entries"]) == 1
    assert len((await listed(actor="nobody"))["entries"]) == 3
    for query in (
        {"after": "%%%"},
        {"action": "danced"},
        {"since": "yesterday"},
        {"since": "9999-12-31T23:59:59-23:59"},
        {"about": "\x00"},
    ):
        assert (await desk.browser.get("/v1/audit-entries", params=query)).status_code == 422


async def test_too_many_passwords_at_once_are_refused_not_queued(desk: Site) -> None:
    passwords = desk.services.people.passwords
    passwords._waiting = MOST_WAITING
    with pytest.raises(ProblemError) as refused:
        await passwords.fits("", "x")
    assert refused.value.problem.status == 503 and refused.value.retry_after
    passwords._waiting = 0
    assert (await desk.sign_in()).status_code == 200 and passwords._waiting == 0


@pytest.mark.parametrize("path", ["/v1/me", "/", "/cases?queue=mine&kind=dispute", "/cases/Q2TAWT84E9EYG"])
def test_people_are_sent_on_within_the_site(path: str) -> None:
    assert local(path) == path


@pytest.mark.parametrize(
    "path",
    ["", "//evil.example", "/\\evil.example", "https://evil.example", "/\t/evil.example", "javascript:x", "/a\n"],
)
def test_nobody_is_sent_elsewhere(path: str) -> None:
    assert local(path) == ""


async def test_malformed_json_says_nothing_back(desk: Site) -> None:
    for content, status in ((b"{", 400), (b'{"account": "x", "password": "geheim-12345"}', 422)):
        answer: httpx.Response = await desk.browser.post(
            "/sign-in", content=content, headers={"content-type": "application/json"}
        )
        assert answer.status_code == status and "geheim" not in answer.text
