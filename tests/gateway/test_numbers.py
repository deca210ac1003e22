"""A number's doors: reports in any order, releases, certificates, the list of recycled numbers, who may see what."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from domain.registry import NumberForm
from store import numbers
from store.papers import get
from store.tables import ledger, submissions
from tests.gateway.conftest import Doors
from tests.house import CARRIER, DAY, NUMBER
from tests.support import eventually

NOW = datetime.now(UTC)
REFUSED = [
    ({"number": "12800138000"}, "number"),
    ({"number": 13800138000}, "number"),
    ({"event": "death"}, "event"),
    ({"event_id": ""}, "event_id"),
    ({"event_id": "x" * 81}, "event_id"),
    ({"occurred_at": (NOW + timedelta(days=1)).isoformat()}, "occurred_at"),
    ({"occurred_at": "1989-12-31T23:59:59+08:00"}, "occurred_at"),
    ({"occurred_at": "2026-08-01T10:00:00"}, "occurred_at"),
    ({"name": "张三"}, "name"),
]


def event(what: str = "activation", days: float = 0, **changed: Any) -> dict[str, Any]:
    """What a carrier reports: it happened so many days ago."""
    happened = (NOW - days * DAY).isoformat()
    body = {"number": "13800138000", "event_id": f"e-{what}-{days}", "event": what, "occurred_at": happened}
    return {**body, **changed}


async def post(doors: Doors, who: str, path: str, body: Any) -> httpx.Response:
    """As a partner."""
    return await doors.http.post(path, json=body, headers=doors.bearer(who))


async def report(doors: Doors, what: str, days: float = 0, who: str = CARRIER, **changed: Any) -> httpx.Response:
    """A fact."""
    return await post(doors, who, "/v1/number-events", event(what, days, **changed))


async def get_json(doors: Doors, who: str, path: str, **query: Any) -> tuple[int, dict[str, Any]]:
    """A page, as a partner."""
    answer = await doors.http.get(path, params=query, headers=doors.bearer(who))
    return answer.status_code, answer.json()


@pytest.mark.parametrize(("changed", "field"), REFUSED, ids=lambda value: str(value)[:30])
async def test_a_bad_report_is_refused_with_its_field(idle: Doors, changed: dict[str, Any], field: str) -> None:
    answer = await report(idle, "activation", **changed)
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["field"]) == (422, "malformed", field)
    assert "13800138000" not in answer.text and "张三" not in answer.text


async def test_reports_in_any_order_and_more_than_once(doors: Doors) -> None:
    first = (await report(doors, "freeze", 8)).json()
    assert (first["status"], first["changed"]) == ("frozen", True)
    case = first["case"]
    assert (await report(doors, "activation", 400)).json() == {**first, "life": 1}
    late = (await report(doors, "cancellation", 9)).json()
    assert (late["case"], late["status"], late["changed"]) == (case, "frozen", True)
    for what, days in (("freeze", 8), ("activation", 400), ("cancellation", 9)):
        again = await report(doors, what, days)
        assert (again.status_code, again.json()["changed"]) == (200, False)
    for changed in ({"event": "suspension"}, {"occurred_at": NOW.isoformat()}, {"number": "13900139000"}):
        for one in (("freeze", 8), ("cancellation", 9)):
            other = await report(doors, *one, **changed)
            assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused"), changed
            assert other.json()["field"] == "event_id"
    status, view = await get_json(doors, CARRIER, f"/v1/numbers/{case}")
    assert status == 200 and [one["event"] for one in view["timeline"]] == ["activation", "cancellation", "freeze"]
    assert view["number"] == "138****8000"
    started = datetime.fromisoformat(view["cancelled_at"])
    assert datetime.fromisoformat(view["releasable_at"]) - started == 90 * DAY
    doors.house.verify()


async def test_two_first_reports_in_parallel_are_one_case(doors: Doors) -> None:
    answers = await asyncio.gather(*(report(doors, what, 1) for what in ("activation", "suspension", "resumption")))
    assert {answer.status_code for answer in answers} == {200}, [answer.text for answer in answers]
    assert len({answer.json()["case"] for answer in answers}) == 1
    again = await asyncio.gather(*(report(doors, "suspension", 1, number="13900139000", event_id="x") for _ in "123"))
    assert [answer.json()["changed"] for answer in again].count(True) == 1
    doors.house.verify()


async def test_a_report_is_kept_while_the_engine_is_away(idle: Doors) -> None:
    first = await report(idle, "activation", 1)
    assert first.status_code == 200 and first.json()["changed"]
    another = await report(idle, "suspension", 0)
    assert (another.status_code, another.json()["code"]) == (503, "engine_busy")
    async with idle.house.working():
        assert (await report(idle, "suspension", 0)).json()["status"] == "suspended"
    idle.house.verify()


async def test_only_the_numbers_own_carrier_and_the_desk_see_it(doors: Doors) -> None:
    case = (await report(doors, "activation", 1)).json()["case"]
    foreign = await report(doors, "cancellation", 0, who="other-carrier")
    assert foreign.json()["case"] == case and foreign.json()["status"] == "active", "recorded, and moves nothing"
    for path in (f"/v1/numbers/{case}", f"/v1/numbers/{case}/certificate"):
        status, problem = await get_json(doors, "other-carrier", path)
        assert (status, problem["code"]) == (404, "unknown_case")
        assert (await get_json(doors, "push-0", path))[0] == 403
    for path in ("/v1/numbers/find", "/v1/numbers/release"):
        own = await post(doors, CARRIER, path, {"number": "+86 138-0013-8000"})
        assert own.status_code == (200 if path.endswith("find") else 409)
        unknown = await post(doors, CARRIER, path, {"number": "13900139000"})
        other = await post(doors, "other-carrier", path, {"number": "13800138000"})
        assert unknown.status_code == other.status_code == 404 and unknown.text == other.text
    assert (await get_json(doors, "worker-chen", f"/v1/numbers/{case}"))[0] == 200
    assert (await get_json(doors, CARRIER, "/v1/numbers/N000000000000"))[0] == 404
    assert (await post(doors, "push-0", "/v1/number-events", event())).status_code == 403
    doors.house.verify()


async def test_batch_release_certificate_and_its_check(doors: Doors) -> None:
    case = (await report(doors, "activation", 400)).json()["case"]
    await report(doors, "cancellation", 91)
    await eventually(lambda: "noticed" in doors.house.events(f"{case}-unbind-0"))
    listed = (await doors.listed("pull-0"))["work_items"]
    assert listed[0]["bound_before"].startswith((NOW - 91 * DAY).date().isoformat())
    refused = await post(doors, CARRIER, "/v1/numbers/release", {"number": NUMBER.national})
    assert (refused.status_code, refused.json()["code"]) == (409, "items_unreported")
    items = doors.house.database.read_now(lambda c: numbers.items_of(c, [f"{case}-unbind-0"]))
    for item in items:
        assert (await doors.answer(item.enterprise, item.id, outcome="unbound")).status_code == 200
    before = await get_json(doors, CARRIER, f"/v1/numbers/{case}/certificate")
    assert (before[0], before[1]["code"]) == (409, "not_released")
    released = await post(doors, CARRIER, "/v1/numbers/release", {"number": NUMBER.national})
    assert released.status_code == 200 and released.json()["released_at"] and released.json()["unreported"] == 0
    again = await post(doors, CARRIER, "/v1/numbers/release", {"number": NUMBER.national})
    assert again.json() == released.json()

    status, issued = await get_json(doors, CARRIER, f"/v1/numbers/{case}/certificate")
    assert status == 200 and issued["counts"] == {"unbound": len(items)} and len(issued["apps"]) == len(items)
    assert issued["number"] == "138****8000" and "13800138000" not in str(issued)
    for who in (CARRIER, "push-0", "worker-chen"):
        found = (await post(doors, who, "/v1/certificates/verify", {"certificate": issued})).json()
        assert found == {"genuine": True, "difference": ""}
    forged = {**issued, "override": True}
    found = (await post(doors, CARRIER, "/v1/certificates/verify", {"certificate": forged})).json()
    assert found == {"genuine": False, "difference": "override: the certificate says true, the ledger false"}
    assert (await get_json(doors, "other-carrier", f"/v1/numbers/{case}/certificate"))[0] == 404
    await report(doors, "activation", 0, who="other-carrier")
    assert (await get_json(doors, CARRIER, f"/v1/numbers/{case}"))[0] == 404, "another carrier's number now"
    assert (await get_json(doors, CARRIER, f"/v1/numbers/{case}/certificate"))[1] == issued, "it was issued to them"
    story = (await get_json(doors, "worker-chen", f"/v1/cases/{case}"))[1]
    assert any("Released" in str(line) for line in story["lines"])
    doors.house.verify()


async def test_a_supervisors_override_is_on_record_with_its_reason(doors: Doors) -> None:
    case = (await report(doors, "cancellation", 1)).json()["case"]
    path, body = f"/v1/numbers/{case}/override", {"reason": "最后一个应用已关停，王小明核实"}
    assert (await post(doors, "worker-chen", path, body)).status_code == 403
    assert (await post(doors, CARRIER, path, body)).status_code == 403
    assert (await post(doors, "supervisor-wu", path, {"reason": ""})).status_code == 422
    done = await post(doors, "supervisor-wu", path, body)
    assert (done.status_code, done.json()["overridden"]) == (200, True)
    assert (await post(doors, CARRIER, "/v1/numbers/release", {"number": NUMBER.national})).status_code == 200
    rows = doors.house.database.read_now(lambda c: c.execute(select(ledger).where(ledger.c.case_id == case)).all())
    (overridden,) = [row for row in rows if row.type == "overridden"]
    assert overridden.actor == "supervisor:supervisor-wu" and "王小明" not in "".join(row.data for row in rows)
    paper = overridden.data.partition('"reason":"')[2][:13]
    keys = doors.house.keys
    assert doors.house.database.read_now(lambda c: get(c, keys, case, paper)) == body["reason"]
    doors.house.verify()


async def test_recycled_numbers_by_push_and_by_list_with_the_enterprises_own_tokens(doors: Doors) -> None:
    """Whatever an enterprise's profile says: never the number itself."""
    registry = doors.house.registry
    full = [one.model_copy(update={"number_form": NumberForm.FULL}) for one in registry.enterprises]
    registry._party.update((one.code, one) for one in full)
    await report(doors, "cancellation", 1)
    await report(doors, "cancellation", 2, number="13900139000")
    await report(doors, "activation", 1.5, number="13900139000")

    def token(code: str, phone: str) -> str:
        key = bytes.fromhex(doors.issued[code].token_key)
        return hmac.new(key, f"+86{phone}".encode(), hashlib.sha256).hexdigest()

    await eventually(lambda: len(doors.house.webhooks.told("push-0")) == 3)
    pushed = [
        (b["type"], b["data"]["numbers"][0]["token"]) for c, _, b in doors.house.webhooks.posts if c == "push-0"
    ]
    assert set(pushed) == {
        ("numbers.recycled", token("push-0", "13800138000")),
        ("numbers.recycled", token("push-0", "13900139000")),
        ("numbers.reinstated", token("push-0", "13900139000")),
    }
    assert "13800138000" not in str(doors.house.webhooks.posts)
    assert len({message_id for _, message_id, _ in doors.house.webhooks.posts}) == len(doors.house.webhooks.posts)

    status, page = await get_json(doors, "pull-0", "/v1/recycled-numbers")
    assert status == 200 and "13800138000" not in str(page)
    first, second = token("pull-0", "13800138000"), token("pull-0", "13900139000")
    said = [(one["event"], one["token"]) for one in page["numbers"]]
    assert said == [("recycled", first), ("recycled", second), ("reinstated", second)]
    walked, after = [], 0
    while True:
        _, one = await get_json(doors, "pull-0", "/v1/recycled-numbers", after=after, limit=1)
        walked += one["numbers"]
        after = one["next"]
        if not one["more"]:
            break
    assert walked == page["numbers"]
    assert (await get_json(doors, "pull-0", "/v1/recycled-numbers", after=after))[1]["numbers"] == []
    assert (await get_json(doors, "pull-0", "/v1/recycled-numbers", limit=201))[0] == 422
    assert (await get_json(doors, CARRIER, "/v1/recycled-numbers"))[0] == 403
    doors.house.verify()


async def test_no_number_outside_the_vault(doors: Doors) -> None:
    await report(doors, "activation", 1, event_id="13800138000-activation")
    await report(doors, "cancellation", 0, event_id="13800138000-cancellation")

    def everything(connection: Any) -> str:
        rows = [*connection.execute(select(ledger)), *connection.execute(select(submissions))]
        return str([tuple(row) for row in rows])

    assert "13800138000" not in doors.house.database.read_now(everything)
