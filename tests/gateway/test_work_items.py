"""Enterprises' doors: pull, acknowledge, answer, amend — and everything a hostile or careless one may try."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.gateway.conftest import Doors
from tests.support import eventually


async def test_an_enterprise_sees_its_own_items_and_no_person(doors: Doors) -> None:
    case = await doors.running()
    page = await doors.listed("pull-0")
    (item,) = page["work_items"]
    assert item["id"] == doors.house.item(case, "pull-0").id and page["next"] is None
    assert item["subject"] == {"token": doors.house.keys.enterprise_token("pull-0", "+8613800138000"), "number": None}
    assert set(item) == {
        *("id", "app", "subject", "bound_before", "state", "opened_at", "due_at", "outcome", "reason", "version")
    }
    assert case not in json.dumps(page)
    foreign = doors.house.item(case, "push-0").id
    for path in (f"/v1/work-items/{foreign}", "/v1/work-items/W00000000000000000000"):
        answer = await doors.http.get(path, headers=doors.bearer("pull-0"))
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_work_item")
    stolen = await doors.answer("pull-0", foreign, outcome="unbound")
    assert (stolen.status_code, stolen.json()["code"]) == (404, "unknown_work_item")
    assert doors.house.states(case)["push-0"] == "delivered"


async def test_pages_follow_the_cursor(doors: Doors) -> None:
    cases = [await doors.running(number=f"1380013800{n}", apps=["pull-0-app"]) for n in range(3)]
    first = await doors.listed("pull-0", limit=2)
    assert len(first["work_items"]) == 2 and first["next"]
    second = await doors.listed("pull-0", limit=2, after=first["next"])
    ids = [item["id"] for item in first["work_items"] + second["work_items"]]
    assert ids == [doors.house.item(case, "pull-0").id for case in cases]
    await doors.answer("pull-0", ids[0], outcome="unbound")
    assert [item["id"] for item in (await doors.listed("pull-0"))["work_items"]] == ids[1:]


async def test_acknowledge_answer_amend_extend(doors: Doors) -> None:
    case = await doors.running()
    item = doors.house.item(case, "push-0").id
    taken = await doors.say("push-0", f"/v1/work-items/{item}/acknowledge")
    assert taken.json() == {"work_item": item, "state": "acknowledged", "version": 0, "changed": True}
    more = await doors.say("push-0", f"/v1/work-items/{item}/extend", {"by": "P2D", "reason": "migration"})
    assert more.status_code == 200
    too_long = await doors.say("push-1", f"/v1/work-items/{doors.house.item(case, 'push-1').id}/extend",
                               {"by": "P60D", "reason": "holiday"})  # fmt: skip
    assert (too_long.status_code, too_long.json()["code"]) == (409, "extension_not_allowed")
    assert (await doors.answer("push-0", item, outcome="not_found")).json()["version"] == 1
    assert (await doors.answer("push-0", item, outcome="not_found")).json()["changed"] is False
    contradicting = await doors.answer("push-0", item, outcome="unbound")
    assert (contradicting.status_code, contradicting.json()["code"]) == (409, "already_answered")
    assert "amends=1" in contradicting.json()["remedy"]
    assert (await doors.answer("push-0", item, outcome="unbound", amends=1)).json()["version"] == 2
    outdated = await doors.answer("push-0", item, outcome="cancelled", amends=1)
    assert (outdated.status_code, outdated.json()["code"]) == (409, "wrong_version")


BAD_ANSWERS = [
    ({"outcome": "done"}, "malformed", "outcome"),
    ({}, "malformed", "outcome"),
    ({"outcome": "exempt"}, "reason_required", "reason"),
    ({"outcome": "unbound", "reason": "legal_hold"}, "reason_does_not_fit", "reason"),
    ({"outcome": "unbound", "note": "x"}, "malformed", "note"),
]


@pytest.mark.parametrize(("body", "code", "field"), BAD_ANSWERS, ids=lambda value: str(value)[:40])
async def test_bad_answer_names_its_field(doors: Doors, body: dict[str, str], code: str, field: str) -> None:
    case = await doors.running(apps=["push-0-app"])
    answer = await doors.answer("push-0", doors.house.item(case, "push-0").id, **body)
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, code, field)
    assert doors.house.states(case) == {"push-0": "delivered"}


@pytest.mark.parametrize(("seconds", "outcome", "code"), [
    (-1, "kept", "older_than_boundary"), (1, "unbound", "newer_than_boundary"),
    (-1, "unbound", None), (1, "kept", None),
])  # fmt: skip
async def test_boundary_to_the_second(doors: Doors, seconds: int, outcome: str, code: str | None) -> None:
    case = await doors.running(apps=["push-0-app"])
    item = doors.house.item(case, "push-0")
    body = {"outcome": outcome, "bound_at": (item.boundary + timedelta(seconds=seconds)).isoformat()}
    if outcome == "kept":
        body["reason"] = "bound_after_boundary"
    answer = await doors.answer("push-0", item.id, **body)
    assert answer.json().get("code") == code


async def test_signature_must_be_the_enterprise_s_own_and_fresh(doors: Doors) -> None:
    case = await doors.running(apps=["push-0-app"])
    path = f"/v1/work-items/{doors.house.item(case, 'push-0').id}/answer"
    raw = b'{"outcome":"unbound"}'
    forged = {**doors.signed("push-1", raw), **doors.bearer("push-0")}
    changed = doors.signed("push-0", b'{"outcome":"kept"}')
    old = doors.signed("push-0", raw, at=datetime.now(UTC) - timedelta(minutes=6))
    unsigned = doors.bearer("push-0")
    for headers in (forged, changed, old, unsigned, {**unsigned, "webhook-signature": "v1,!!!", "webhook-id": "x"}):
        answer = await doors.http.post(path, content=raw, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "bad_signature")
    assert doors.house.states(case) == {"push-0": "delivered"}


async def test_replayed_message_is_refused_once_it_was_taken(doors: Doors) -> None:
    case = await doors.running(apps=["push-0-app"])
    item = doors.house.item(case, "push-0").id
    path, raw = f"/v1/work-items/{item}/answer", b'{"outcome":"not_found"}'
    headers = doors.signed("push-0", raw)
    assert (await doors.http.post(path, content=raw, headers=headers)).status_code == 200
    await doors.answer("push-0", item, outcome="unbound", amends=1)
    replay = await doors.http.post(path, content=raw, headers=headers)
    assert (replay.status_code, replay.json()["code"]) == (409, "replayed")
    assert doors.house.states(case) == {"push-0": "unbound"}


async def test_upload_spares_good_lines_from_bad_ones(doors: Doors) -> None:
    cases = [await doors.running(number=f"1380013800{n}", apps=["pull-0-app", "push-0-app"]) for n in range(3)]
    items = [doors.house.item(case, "pull-0").id for case in cases]
    foreign = doors.house.item(cases[0], "push-0").id
    lines = [
        {"work_item": items[0], "outcome": "unbound"},
        "{rubbish",
        {"work_item": items[1], "outcome": "exempt"},
        {"work_item": foreign, "outcome": "unbound"},
        {"work_item": items[1], "acknowledge": True},
        {"work_item": items[2], "outcome": "kept", "reason": "holder_confirmed"},
        {"work_item": items[0], "outcome": "unbound"},
        {"work_item": items[2]},
        "",
    ]
    answer = await doors.say("pull-0", "/v1/answers", lines)
    results = [json.loads(line) for line in answer.text.splitlines()]
    assert [result["line"] for result in results] == list(range(1, 9))
    assert [(result["status"], result.get("problem", {}).get("code")) for result in results] == [
        ("recorded", None),
        ("refused", "malformed"),
        ("refused", "reason_required"),
        ("refused", "unknown_work_item"),
        ("recorded", None),
        ("recorded", None),
        ("unchanged", None),
        ("refused", "malformed"),
    ]
    assert [doors.house.states(case)["pull-0"] for case in cases] == ["unbound", "acknowledged", "kept"]


async def test_answer_for_a_closed_case_is_refused(doors: Doors) -> None:
    case = await doors.running(apps=["push-0-app"])
    item = doors.house.item(case, "push-0").id
    await doors.house.part(case).terminate("the test closes it")
    answer = await doors.answer("push-0", item, outcome="unbound")
    assert (answer.status_code, answer.json()["code"]) == (409, "case_closed")


async def test_answers_at_the_same_time_are_all_taken_once(doors: Doors) -> None:
    case = await doors.running()
    items = {code: doors.house.item(case, code).id for code in ("push-0", "push-1", "pull-0", "mail-0")}
    answers = await asyncio.gather(
        *(doors.answer(code, item, outcome="unbound") for code, item in items.items() for _ in range(10))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert sum(answer.json()["changed"] for answer in answers) == 4
    assert doors.house.events(f"{case}-unbind-0").count("answered") == 4
    doors.house.verify()


async def test_without_a_worker_the_enterprise_is_asked_to_repeat(
    idle_dev: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    idle = idle_dev
    monkeypatch.setattr("gateway.desk.UPDATE_SECONDS", 0.5)
    async with idle.house.working():
        case = await idle.running(apps=["push-0-app"])
        item = idle.house.item(case, "push-0").id
    raw = b'{"outcome":"unbound"}'
    headers = idle.signed("push-0", raw)
    path = f"/v1/work-items/{item}/answer"
    busy = await idle.http.post(path, content=raw, headers=headers)
    assert (busy.status_code, busy.headers["retry-after"]) == (503, "2")
    async with idle.house.working():
        monkeypatch.setattr("gateway.desk.UPDATE_SECONDS", 20.0)
        assert (await idle.http.post(path, content=raw, headers=headers)).status_code == 200
        await eventually(lambda: idle.house.states(case) == {"push-0": "unbound"})
    assert idle.house.events(f"{case}-unbind-0").count("answered") == 1
