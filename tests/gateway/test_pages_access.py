"""Who may open which page: every page, in every role of people, with and without a session, as `docs/access.md` says."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import Response

from domain.access import Role
from gateway import sessions
from gateway.access_doc import NEVER, PageDoor, pages
from store import accounts
from store import sessions as kept
from tests.gateway.conftest import Doors

PEOPLE = {
    "worker-chen": (Role.CASE_WORKER, ""),
    "supervisor-wu": (Role.SUPERVISOR, ""),
    "auditor-qian": (Role.AUDITOR, ""),
    "admin-zhao": (Role.ADMINISTRATOR, ""),
    "clerk-sun": (Role.ENTERPRISE, "push-0"),
}
SOMETHING = {
    "case": "R0123456789AB",
    "item": "W0123456789ABCDEFGHJK",
    "question_id": "E0123456789ABCDEFGHJK",
    "part": "workload",
    "check": "K0123456789AB",
    "language": "zh",
}
"""What path parameters stand for: nothing of it is there, so who is let in gets 404 at worst."""

COUNTING = 503
"""The overview's figures are not counted here."""

BROWSER = {"accept": "text/html", "cache-control": "no-cache"}


def signed_in(doors: Doors, code: str) -> tuple[dict[str, str], str]:
    """The cookie of somebody's session, and what its forms carry."""
    role, tenant = PEOPLE[code]
    database, keys, now = doors.house.database, doors.house.keys, datetime.now(UTC)
    database.write_now(lambda c: accounts.add(c, keys, code, role, None, "operator:test", now, tenant))
    session_id, session = database.write_now(lambda c: kept.begin(c, code, role, now, tenant))
    response = Response()
    sessions.give(response, doors.house.services, sessions.COOKIE, session_id)
    return {"cookie": response.headers["set-cookie"].partition(";")[0]}, sessions.Live(session_id, session).csrf(keys)


async def answered(doors: Doors, door: PageDoor, path: str, cookie: dict[str, str], csrf: str) -> int:
    """How a page answers; of a stream of events only its beginning is waited for."""
    sent = {"csrf": csrf} if door.method == "POST" else None
    async with doors.http.stream(door.method, path, headers=BROWSER | cookie, data=sent) as answer:
        return answer.status_code


async def test_every_page_in_every_role(idle: Doors) -> None:
    wrong = []
    guarded = [door for door in pages() if door.scopes]
    assert len(guarded) > 15
    people = {code: signed_in(idle, code) for code in PEOPLE}
    for door in guarded:
        path = door.path.format(**SOMETHING)
        nobody = await idle.http.request(door.method, path, headers=BROWSER)
        if (nobody.status_code, nobody.headers.get("location", "")[:8]) != (303, "/sign-in"):
            wrong.append(f"{door.method} {path} by nobody: {nobody.status_code}")
        for code, (cookie, csrf) in people.items():
            role, _ = PEOPLE[code]
            status = await answered(idle, door, path, cookie, csrf)
            if (status == 403) != (door.may(role) == NEVER) or (status >= 500 and status != COUNTING):
                wrong.append(f"{door.method} {path} by {role.value}: {status}")
            if door.method == "POST" and await answered(idle, door, path, cookie, "x") != 403:
                wrong.append(f"{door.method} {path} by {role.value}: a forged form was taken")
    assert not wrong, "\n".join(wrong)


async def test_a_citizen_s_pages_are_for_the_browser_that_proved_the_case_alone(idle: Doors) -> None:
    for door in pages():
        if "{case}" not in door.path or door.scopes:
            continue
        answer = await idle.http.request(door.method, door.path.format(**SOMETHING), headers=BROWSER)
        to_follow = answer.headers.get("location", "").startswith("/follow")
        assert to_follow or answer.status_code in (401, 403, 404), f"{door.method} {door.path}: {answer.status_code}"
