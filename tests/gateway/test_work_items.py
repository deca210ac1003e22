"""Enterprises' doors: pull, acknowledge, answer, amend — and everything a hostile or careless one may try."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from domain import unbind
from domain.case import CaseKind
from gateway.desk import EngineBusy
from store import vault
from store.ledger import Append, append
from tests.gateway.conftest import Doors
from tests.support import eventually


async def closed(doors: Doors, case: str) -> None:
    """Close a case in the ledger, as its workflow does at the end of the late window."""
    order = Append(f"{case}-unbind-0", CaseKind.UNBIND, "test-closes", (unbind.Closed(at=datetime.now(UTC)),))
    await doors.house.database.write(lambda c: append(c, doors.house.keys, order))


async def forgotten(doors: Doors, case: str) -> None:
    """Purge a case's person, as the sweep does 30 days after the close."""
    now = datetime.now(UTC)
    await doors.house.database.write(lambda c: vault.purge_after(c, case, now - timedelta(days=1)))
    assert await doors.house.database.write(lambda c: vault.purge(c, now)) == 1


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


async def test_a_closed_case_is_listed_no_more(doors: Doors) -> None:
    cases = [await doors.running(number=f"1380013800{n}", apps=["pull-0-app"]) for n in range(2)]
    ids = [doors.house.item(case, "pull-0").id for case in cases]
    await closed(doors, cases[0])
    assert [item["id"] for item in (await doors.listed("pull-0"))["work_items"]] == ids[1:]
    shown = await doors.http.get(f"/v1/work-items/{ids[0]}", headers=doors.bearer("pull-0"))
    assert (shown.status_code, shown.json()["state"]) == (200, "delivered")


async def test_a_forgotten_person_spoils_no_page(doors: Doors) -> None:
    cases = [await doors.running(number=f"1380013800{n}", apps=["pull-0-app"]) for n in range(2)]
    ids = [doors.house.item(case, "pull-0").id for case in cases]
    await forgotten(doors, cases[0])
    assert [item["id"] for item in (await doors.listed("pull-0"))["work_items"]] == ids[1:]
    gone = await doors.http.get(f"/v1/work-items/{ids[0]}", headers=doors.bearer("pull-0"))
    assert (gone.status_code, gone.json()["code"]) == (410, "forgotten")


async def test_what_is_no_id_or_cursor_is_refused(doors: Doors) -> None:
    item = "W" + "I" * 20
    shown = await doors.http.get(f"/v1/work-items/{item}", headers=doors.bearer("pull-0"))
    paged = await doors.http.get(f"/v1/work-items?after={10**20}", headers=doors.bearer("pull-0"))
    said = [await doors.say("pull-0", f"/v1/work-items/{item}/acknowledge")]
    said += [await doors.answer("pull-0", item, outcome="unbound")]
    for answer in (shown, paged, *said):
        assert (answer.status_code, answer.json()["code"]) == (422, "malformed")


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
async def test_renewal_boundary_to_the_second(doors: Doors, seconds: int, outcome: str, code: str | None) -> None:
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


async def test_same_message_id_for_something_else_is_told_apart(doors: Doors) -> None:
    case = await doors.running(apps=["push-0-app"])
    item = doors.house.item(case, "push-0").id
    path = f"/v1/work-items/{item}"
    assert (await doors.say("push-0", f"{path}/acknowledge", message_id=item)).status_code == 200
    again = await doors.say("push-0", f"{path}/acknowledge", message_id=item)
    assert (again.status_code, again.json()["code"]) == (409, "replayed")
    reused = await doors.say("push-0", f"{path}/answer", {"outcome": "unbound"}, message_id=item)
    assert (reused.status_code, reused.json()["code"]) == (422, "webhook_id_reused")
    assert "webhook-id of its own" in reused.json()["remedy"]
    assert (await doors.answer("push-0", item, outcome="unbound")).status_code == 200


BAD_LINES = [
    '{"work_item": "WIIIIIIIIIIIIIIIIIIII", "outcome": "unbound"}',
    '{"work_item": "WIIIIIIIIIIIIIIIIIIII", "acknowledge": true}',
    '{"work_item": "\\ud800", "outcome": "unbound"}',
    "[" * 100_000,
    "[1]",
]


async def test_no_line_spoils_an_upload(doors: Doors) -> None:
    case = await doors.running(apps=["pull-0-app"])
    good = {"work_item": doors.house.item(case, "pull-0").id, "outcome": "unbound"}
    answer = await doors.say("pull-0", "/v1/answers", [*BAD_LINES, good])
    *bad, last = [json.loads(line) for line in answer.text.splitlines()]
    assert [(one["status"], one["problem"]["code"]) for one in bad] == [("refused", "malformed")] * len(BAD_LINES)
    assert last["status"] == "recorded" and doors.house.states(case) == {"pull-0": "unbound"}


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
    await closed(doors, case)
    await doors.house.part(case).terminate("its end")
    answer = await doors.answer("push-0", item, outcome="unbound")
    assert (answer.status_code, answer.json()["code"]) == (409, "case_closed")


async def test_lost_workflow_of_an_open_case_is_our_fault(doors: Doors) -> None:
    case = await doors.running(apps=["push-0-app"])
    item = doors.house.item(case, "push-0").id
    await doors.house.part(case).terminate("an accident")
    answer = await doors.answer("push-0", item, outcome="unbound")
    assert (answer.status_code, answer.json()["code"]) == (503, "engine_busy")


async def test_surprise_in_the_engine_leaves_nobody_waiting(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    case = await doors.running(apps=["push-0-app"])
    item = doors.house.item(case, "push-0").id

    def surprised(*_: object) -> None:
        raise ConnectionResetError

    with monkeypatch.context() as broken:
        broken.setattr(doors.house.client, "get_workflow_handle_for", surprised)
        async with asyncio.timeout(5):
            answers = await asyncio.gather(*(doors.answer("push-0", item, outcome="unbound") for _ in range(3)))
    assert {answer.status_code for answer in answers} == {503}
    assert (await doors.answer("push-0", item, outcome="unbound")).status_code == 200


async def test_desk_that_is_cleared_leaves_nobody_waiting(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    case = await doors.running(apps=["push-0-app"])
    house = doors.house
    command = unbind.Acknowledge(item=house.item(case, "push-0").id, enterprise="push-0")
    sent = asyncio.Event()

    class Stuck:
        async def execute_update(self, *_: object) -> None:
            sent.set()
            await asyncio.Event().wait()

    monkeypatch.setattr(house.client, "get_workflow_handle_for", lambda *_: Stuck())
    first = asyncio.create_task(house.desk.take([command]))
    await sent.wait()
    second = asyncio.create_task(house.desk.take([command]))
    await eventually(lambda: house.desk._waiting[f"{case}-unbind-0"])
    house.desk._busy[f"{case}-unbind-0"].cancel()
    async with asyncio.timeout(5):
        for (taken,) in await asyncio.gather(first, second):
            assert isinstance(taken, EngineBusy)


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


async def test_why_more_time_is_wanted_is_a_paper(doors: Doors) -> None:
    """An enterprise may write anything: it stands in the vault, is staff's to read, and the same text is no new one."""
    case = await doors.running()
    item, part = doors.house.item(case, "push-0").id, f"{case}-unbind-0"
    more = {"by": "P2D", "reason": "欧阳测试 17482X is abroad"}
    assert (await doors.say("push-0", f"/v1/work-items/{item}/extend", more)).json()["changed"] is True
    assert (await doors.say("push-0", f"/v1/work-items/{item}/extend", more)).json()["changed"] is False
    assert doors.house.item(case, "push-0").extension_reason.startswith("P")
    story = await doors.http.get(f"/v1/cases/{part}", headers=doors.bearer("worker-chen"))
    assert [line["note"] for line in story.json()["lines"] if line["note"]] == [more["reason"]]
    foreign = await doors.say("push-1", f"/v1/work-items/{item}/extend", more)
    assert foreign.status_code == 404


async def test_what_is_no_name_of_ours_is_not_said_back(doors: Doors) -> None:
    item = doors.house.item(await doors.running(), "push-0").id
    answer = await doors.answer("push-0", item, outcome="unbound", **{"欧阳测试": "17482X"})
    assert (answer.status_code, answer.json()["field"]) == (422, "*") and "欧阳" not in answer.text
